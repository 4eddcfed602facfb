/* sign.h - AWS Signature Version 4, for requests whose headers carry it.
 *
 * Source: AWS, "Authenticating Requests (AWS Signature Version 4)", S3's variant of it: the path is
 * encoded once and not normalised. What is signed is the caller's choice; S3 demands host and all
 * x-amz-*. Headers that are left out (Range, If-Match ...) may be changed by proxies. */
#ifndef HIF_AWS_SIGN_H
#define HIF_AWS_SIGN_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define S3_SIGNED_MAX      16 /* headers of a request */
#define S3_HASH_SIZE       65 /* hexadecimal, and the NUL */
#define S3_TIME_SIZE       17 /* "20130524T000000Z", and the NUL */
#define S3_REGION_SIZE     64
#define S3_SERVICE         "s3"
#define S3_UNSIGNED        "UNSIGNED-PAYLOAD"
#define S3_HASH_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct s3_header {
        const char *name; /* in lower case */
        const char *value;
};

struct s3_to_sign {
        const char *method;
        struct span path;                /* encoded: "/bucket/key" */
        struct span query;               /* encoded and sorted (s3_query_put); may be empty */
        const struct s3_header *headers; /* to be signed, in any order; among them host */
        size_t header_count;
        const char *payload_hash; /* hexadecimal, or S3_UNSIGNED */
        const char *time;         /* that of x-amz-date */
        const char *region;
        const char *service; /* S3_SERVICE; others are for tests */
};

/* The key that signs a day's requests, kept because making it takes four hashes. Zero-initialise;
 * for one thread; wipe at the end. */
struct s3_signer {
        char day[9];
        char region[S3_REGION_SIZE];
        uint64_t generation; /* of the secret; 0: none */
        uint8_t key[32];
};
void s3_signer_wipe(struct s3_signer *signer);

struct s3_secret {
        const char *access_key_id;
        const char *secret_access_key;
        uint64_t generation; /* another secret has another, never 0 */
};

/* Append the value of the Authorization header. HIF_ENOMEM. */
HIF_MUST_USE enum hif_err s3_sign(struct s3_signer *signer, const struct s3_secret *secret,
                                  const struct s3_to_sign *what, struct buf *out);

/* "20130524T000000Z" */
void s3_time(uint64_t wall_ns, char out[S3_TIME_SIZE]);
/* SHA-256, hexadecimal; MD5, in base64 (24 bytes and the NUL), as Content-MD5 has it. */
void s3_sha256_hex(struct span bytes, char out[S3_HASH_SIZE]);
void s3_md5_base64(struct span bytes, char out[25]);

#endif
