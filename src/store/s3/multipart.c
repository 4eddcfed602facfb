/* A large unconditional PUT in parts: create the upload, send parts side by side, complete it.
 *
 * What was not completed is not to be seen, and costs its owner storage until it is aborted: so it
 * is, where something fails. An answer to the completion that gets lost is settled by HEAD: the
 * tag of an object in parts can be told from its parts' tags. */
#include "store/s3/impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define PARTS_MAX         10000 /* S3's limit */
#define ABORT_PATIENCE_NS UINT64_C(3000000000)

struct upload {
        struct s3_store *s3;
        struct store_req *req;
        char id[S3_UPLOAD_ID_SIZE];
        size_t part_size;
        unsigned count, next, in_flight; /* parts; next is the first that was not sent */
        struct store_tag *tags;          /* of the parts */
        struct buf completion;
        enum hif_err err; /* of the first part that failed */
};

static void finish(struct upload *upload, enum hif_err err)
{
        struct s3_store *s3 = upload->s3;
        struct store_req *req = upload->req;

        assert(upload->in_flight == 0);
        buf_free(&upload->completion);
        free(upload->tags);
        free(upload);
        store_done(&s3->store, req, err);
}

static struct s3_call *upload_call(struct upload *upload, enum s3_kind kind,
                                   void (*finished)(struct s3_call *call, enum hif_err err))
{
        struct s3_call *call = s3_call_new(upload->s3, kind, upload->req, finished);

        if (!call)
                return NULL;
        call->arg = upload;
        call->upload_id = upload->id[0] ? upload->id : NULL;
        return call;
}

/* --- when it fails --- */

static void aborted(struct s3_call *call, enum hif_err err)
{
        struct upload *upload = call->arg;

        (void)
            err; /* a lifecycle rule of the bucket may still remove it; nothing else can be done */
        s3_call_free(call);
        finish(upload, upload->err);
}

static void abort_upload(struct upload *upload, enum hif_err err)
{
        struct s3_call *call;

        upload->err = err;
        call = err == HIF_ECANCELED ? NULL : upload_call(upload, S3_ABORT_UPLOAD, aborted);
        if (!call) {
                finish(upload, err);
                return;
        }
        call->patience_ns = ABORT_PATIENCE_NS;
        s3_call_submit(call);
}

/* --- completion --- */

static int hex_value(char c)
{
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= '0' && c <= '9' ? c - '0' : -1;
}

/* "MD5 of the parts' MD5s"-N; false where the store's tags are no MD5s. */
static bool expected_tag(const struct upload *upload, struct store_tag *out)
{
        AUTO_BUF struct buf parts = {0};
        uint8_t md5[16];
        unsigned size = 0;

        for (unsigned i = 0; i < upload->count; i++) {
                const char *text = upload->tags[i].text;

                for (size_t j = 0; j < 16; j++) {
                        int high = hex_value(text[2 * j]);
                        int low = high < 0 ? -1 : hex_value(text[2 * j + 1]);

                        if (low < 0)
                                return false;
                        buf_put_u8(&parts, (uint8_t)(high << 4 | low));
                }
                if (text[32])
                        return false;
        }
        if (buf_failed(&parts) ||
            EVP_Digest(parts.data, parts.size, md5, &size, EVP_md5(), NULL) != 1)
                return false;
        *out = (struct store_tag){0};
        for (size_t j = 0; j < 16; j++)
                snprintf(out->text + 2 * j, 3, "%02x", md5[j]);
        snprintf(out->text + 32, sizeof(out->text) - 32, "-%u", upload->count);
        return true;
}

/* After a completion without a tag, or without an answer: is it ours that is there? */
static void seen(struct s3_call *call, enum hif_err err)
{
        struct upload *upload = call->arg;
        bool sure = upload->err == HIF_OK;
        struct store_tag expected;
        bool ours = !err && call->size == upload->req->body.size &&
                    (sure || (expected_tag(upload, &expected) &&
                              strcmp(expected.text, call->tag.text) == 0));

        if (ours)
                upload->req->tag = call->tag;
        s3_call_free(call);
        finish(upload, ours ? HIF_OK : err == HIF_ECANCELED ? err : HIF_EUNKNOWN);
}

static void look(struct upload *upload, enum hif_err err)
{
        struct s3_call *call = upload_call(upload, S3_HEAD, seen);

        upload->err = err;
        if (!call) {
                finish(upload, HIF_EUNKNOWN);
                return;
        }
        call->upload_id = NULL;
        s3_call_submit(call);
}

static void completed(struct s3_call *call, enum hif_err err)
{
        struct upload *upload = call->arg;
        struct s3_error error = {.code = ""};

        if (!err &&
            s3_completed_parse(buf_span(&call->data), &upload->req->tag, &error) != HIF_OK) {
                /* 200, and then an error in the body: S3's way, as the status had to go out first
                 */
                s3_note_text(upload->s3, HIF_EUNKNOWN,
                             "%s answered %s to CompleteMultipartUpload in bucket %s",
                             upload->s3->place.base, error.code[0] ? error.code : "no XML",
                             upload->s3->bucket);
                err = HIF_EUNKNOWN;
        }
        s3_call_free(call);
        if (err == HIF_EUNKNOWN || (!err && !upload->req->tag.text[0]))
                look(upload, err);
        else if (err)
                abort_upload(upload, err);
        else
                finish(upload, HIF_OK);
}

static void complete(struct upload *upload)
{
        struct buf *xml = &upload->completion;
        struct s3_call *call;

        buf_printf(xml, "<CompleteMultipartUpload>");
        for (unsigned i = 0; i < upload->count; i++)
                buf_printf(xml, "<Part><PartNumber>%u</PartNumber><ETag>\"%s\"</ETag></Part>",
                           i + 1, upload->tags[i].text);
        buf_printf(xml, "</CompleteMultipartUpload>");
        call = buf_failed(xml) ? NULL : upload_call(upload, S3_COMPLETE_UPLOAD, completed);
        if (!call) {
                abort_upload(upload, HIF_ENOMEM);
                return;
        }
        call->body = buf_span(xml);
        s3_call_submit(call);
}

/* --- parts --- */

static void part_arrived(struct s3_call *call, enum hif_err err);

/* Send what fits; when nothing is left and nothing under way, go on. */
static void send_parts(struct upload *upload)
{
        while (!upload->err && upload->in_flight < S3_PARTS_AT_ONCE &&
               upload->next < upload->count) {
                struct s3_call *call = upload_call(upload, S3_PUT_PART, part_arrived);
                struct span body = upload->req->body;
                size_t offset = upload->part_size * upload->next;
                size_t left = body.size - offset;

                if (!call) {
                        upload->err = HIF_ENOMEM;
                        break;
                }
                call->body = span_of(body.data + offset,
                                     left < upload->part_size ? left : upload->part_size);
                call->part = ++upload->next;
                upload->in_flight++;
                s3_call_submit(call);
        }
        if (upload->in_flight > 0)
                return;
        if (upload->err)
                abort_upload(upload, upload->err);
        else
                complete(upload);
}

static void part_arrived(struct s3_call *call, enum hif_err err)
{
        struct upload *upload = call->arg;

        if (!err && (!call->tag.text[0] || strpbrk(call->tag.text, "<>&\"")))
                err = HIF_EIO;
        if (!err)
                upload->tags[call->part - 1] = call->tag;
        else if (!upload->err)
                upload->err = err;
        upload->in_flight--;
        s3_call_free(call);
        send_parts(upload);
}

static void created(struct s3_call *call, enum hif_err err)
{
        struct upload *upload = call->arg;

        if (!err)
                err = s3_upload_id_parse(buf_span(&call->data), upload->id);
        s3_call_free(call);
        if (err)
                finish(upload, err);
        else
                send_parts(upload);
}

void s3_multipart(struct s3_store *s3, struct store_req *req)
{
        struct upload *upload = calloc(1, sizeof(*upload));
        struct s3_call *call = NULL;

        if (upload) {
                upload->s3 = s3;
                upload->req = req;
                upload->part_size = s3->part_size;
                while (req->body.size / upload->part_size >= PARTS_MAX)
                        upload->part_size *= 2;
                upload->count =
                    (unsigned)((req->body.size + upload->part_size - 1) / upload->part_size);
                upload->tags = calloc(upload->count, sizeof(*upload->tags));
                call = upload->tags ? upload_call(upload, S3_CREATE_UPLOAD, created) : NULL;
        }
        if (!call) {
                if (upload)
                        free(upload->tags);
                free(upload);
                store_done(&s3->store, req, HIF_ENOMEM);
                return;
        }
        s3_call_submit(call);
}
