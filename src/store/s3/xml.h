/* xml.h - the XML that S3 answers with. It is as hostile as any other input: document types and
 * entities are refused, depth and lengths are bounded, and nothing is believed of what it says. */
#ifndef HIF_STORE_S3_XML_H
#define HIF_STORE_S3_XML_H

#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"

#include <stdbool.h>

#define S3_XML_DEPTH_MAX  8
#define S3_XML_PATH_MAX   256
#define S3_XML_TEXT_MAX   8192 /* of one element: a key of 1,024 bytes, each encoded, and more */
#define S3_LIST_SIZE_MAX  ((uint64_t)16 << 20)
#define S3_UPLOAD_ID_SIZE 1024

/* What an error's body says, as far as it can be read; all empty when it says nothing. */
struct s3_error {
        char code[64];     /* "NoSuchKey" */
        char message[256]; /* control characters replaced */
        char region[64];   /* of a redirect */
};
void s3_error_parse(struct span xml, struct s3_error *out);

/* A page of ListObjectsV2. Keys are decoded, and otherwise as the store has them: any bytes. */
struct s3_page {
        struct store_list keys; /* more is never set */
        bool truncated;
};
void s3_page_free(struct s3_page *page);
/* HIF_EIO: it is no such page. HIF_ENOMEM. */
HIF_MUST_USE enum hif_err s3_page_parse(struct span xml, struct s3_page *out);

/* Of CreateMultipartUpload. HIF_EIO, HIF_ENOMEM. */
HIF_MUST_USE enum hif_err s3_upload_id_parse(struct span xml, char out[S3_UPLOAD_ID_SIZE]);
/* Of CompleteMultipartUpload, which may say 200 and then fail: HIF_EIO with what failed in *error.
 * The tag may be empty, also when it is there. */
HIF_MUST_USE enum hif_err s3_completed_parse(struct span xml, struct store_tag *tag,
                                             struct s3_error *error);

/* Without its one pair of quotes. HIF_EIO: none, or too long to keep. */
HIF_MUST_USE enum hif_err s3_tag_parse(const char *etag, struct store_tag *out);

#endif
