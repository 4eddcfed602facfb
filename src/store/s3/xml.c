#include "store/s3/xml.h"
#include "store/s3/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <expat.h>

/* Calls `element` at the end of every element, with its path ("Error/Code") and its own text. */
struct walk {
        XML_Parser parser;
        enum hif_err (*element)(void *arg, const char *path, char *text);
        void *arg;
        char path[S3_XML_PATH_MAX];
        size_t path_size;
        size_t depth;
        struct buf text;
        enum hif_err err;
};

static void walk_stop(struct walk *walk, enum hif_err err)
{
        if (walk->err == HIF_OK)
                walk->err = err;
        XML_StopParser(walk->parser, XML_FALSE);
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
        struct walk *walk = arg;
        size_t size = strlen(name);

        (void)attributes;
        if (walk->err)
                return; /* expat may call once more after it was stopped */
        if (walk->depth == S3_XML_DEPTH_MAX || walk->path_size + size + 2 > S3_XML_PATH_MAX) {
                walk_stop(walk, HIF_EIO);
                return;
        }
        if (walk->depth++ > 0)
                walk->path[walk->path_size++] = '/';
        memcpy(walk->path + walk->path_size, name, size + 1);
        walk->path_size += size;
        buf_reset(&walk->text);
}

static void on_text(void *arg, const XML_Char *text, int size)
{
        struct walk *walk = arg;

        if (walk->err)
                return;
        if (walk->text.size + (size_t)size > S3_XML_TEXT_MAX)
                walk_stop(walk, HIF_EIO);
        else
                buf_put(&walk->text, text, (size_t)size);
}

static void on_end(void *arg, const XML_Char *name)
{
        struct walk *walk = arg;
        size_t size = strlen(name);
        enum hif_err err;

        if (walk->err)
                return;
        buf_put_u8(&walk->text, 0);
        err = buf_failed(&walk->text)
                  ? HIF_ENOMEM
                  : walk->element(walk->arg, walk->path, (char *)walk->text.data);
        buf_reset(&walk->text);
        walk->path_size -= size;
        if (--walk->depth > 0)
                walk->path_size--;
        walk->path[walk->path_size] = '\0';
        if (err)
                walk_stop(walk, err);
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
                       const XML_Char *public, int internal)
{
        (void)name;
        (void)system;
        (void)public;
        (void)internal;
        walk_stop(arg, HIF_EIO);
}

static enum hif_err xml_walk(struct span xml,
                             enum hif_err (*element)(void *arg, const char *path, char *text),
                             void *arg)
{
        struct walk walk = {.element = element, .arg = arg};

        if (xml.size == 0 || xml.size > S3_LIST_SIZE_MAX)
                return HIF_EIO;
        walk.parser = XML_ParserCreate(NULL);
        if (!walk.parser)
                return HIF_ENOMEM;
        XML_SetUserData(walk.parser, &walk);
        XML_SetElementHandler(walk.parser, on_start, on_end);
        XML_SetCharacterDataHandler(walk.parser, on_text);
        XML_SetStartDoctypeDeclHandler(walk.parser, on_doctype);
        if (XML_Parse(walk.parser, (const char *)xml.data, (int)xml.size, XML_TRUE) !=
                XML_STATUS_OK &&
            walk.err == HIF_OK)
                walk.err =
                    XML_GetErrorCode(walk.parser) == XML_ERROR_NO_MEMORY ? HIF_ENOMEM : HIF_EIO;
        XML_ParserFree(walk.parser);
        buf_free(&walk.text);
        return walk.err;
}

/* --- errors --- */

/* For a log or a terminal. */
static void copy_printable(char *out, size_t size, const char *text)
{
        size_t i;

        for (i = 0; text[i] && i + 1 < size; i++)
                out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
        out[i] = '\0';
}

static enum hif_err error_element(void *arg, const char *path, char *text)
{
        struct s3_error *error = arg;

        if (strcmp(path, "Error/Code") == 0)
                copy_printable(error->code, sizeof(error->code), text);
        else if (strcmp(path, "Error/Message") == 0)
                copy_printable(error->message, sizeof(error->message), text);
        else if (strcmp(path, "Error/Region") == 0)
                copy_printable(error->region, sizeof(error->region), text);
        return HIF_OK;
}

void s3_error_parse(struct span xml, struct s3_error *out)
{
        *out = (struct s3_error){0};
        if (xml_walk(xml, error_element, out) != HIF_OK)
                return; /* a long one may have been cut: what was read before that stands */
}

/* --- lists --- */

struct page_walk {
        struct s3_page page;
        char *key; /* of the Contents that is being read */
        uint64_t size;
        bool is_page, encoded, done;
};

static enum hif_err parse_size(const char *text, uint64_t *out)
{
        char *end;
        unsigned long long size = strtoull(text, &end, 10);

        if (text[0] < '0' || text[0] > '9' || *end)
                return HIF_EIO;
        *out = size;
        return HIF_OK;
}

static enum hif_err page_contents(struct page_walk *walk)
{
        enum hif_err err;

        if (!walk->key)
                return HIF_EIO;
        err = store_list_add(&walk->page.keys, walk->key, walk->size);
        free(STEAL(walk->key));
        walk->size = 0;
        return err;
}

static enum hif_err page_element(void *arg, const char *path, char *text)
{
        struct page_walk *walk = arg;

        if (strcmp(path, "ListBucketResult/Contents/Key") == 0) {
                if (walk->key)
                        return HIF_EIO;
                walk->key = strdup(text);
                return walk->key ? HIF_OK : HIF_ENOMEM;
        }
        if (strcmp(path, "ListBucketResult/Contents/Size") == 0)
                return parse_size(text, &walk->size);
        if (strcmp(path, "ListBucketResult/Contents") == 0)
                return page_contents(walk);
        if (strcmp(path, "ListBucketResult/IsTruncated") == 0)
                walk->page.truncated = strcmp(text, "true") == 0;
        else if (strcmp(path, "ListBucketResult/EncodingType") == 0)
                walk->encoded = strcmp(text, "url") == 0;
        else if (strcmp(path, "ListBucketResult") == 0)
                walk->is_page = true;
        return HIF_OK;
}

void s3_page_free(struct s3_page *page)
{
        store_list_free(&page->keys);
}

enum hif_err s3_page_parse(struct span xml, struct s3_page *out)
{
        struct page_walk walk = {0};
        enum hif_err err = xml_walk(xml, page_element, &walk);

        free(walk.key);
        if (!err && !walk.is_page)
                err = HIF_EIO;
        for (size_t i = 0; !err && walk.encoded && i < walk.page.keys.count; i++) {
                if (!s3_decode_listed(walk.page.keys.items[i].key))
                        err = HIF_EIO;
        }
        if (err) {
                s3_page_free(&walk.page);
                return err;
        }
        *out = walk.page;
        return HIF_OK;
}

/* --- multipart uploads --- */

static enum hif_err upload_element(void *arg, const char *path, char *text)
{
        char *out = arg;

        if (strcmp(path, "InitiateMultipartUploadResult/UploadId") != 0)
                return HIF_OK;
        if (strlen(text) >= S3_UPLOAD_ID_SIZE)
                return HIF_EIO;
        snprintf(out, S3_UPLOAD_ID_SIZE, "%s", text);
        return HIF_OK;
}

enum hif_err s3_upload_id_parse(struct span xml, char out[S3_UPLOAD_ID_SIZE])
{
        enum hif_err err;

        out[0] = '\0';
        err = xml_walk(xml, upload_element, out);
        return err || out[0] ? err : HIF_EIO;
}

struct completed {
        bool done;
        char etag[128];
        struct s3_error *error;
};

static enum hif_err completed_element(void *arg, const char *path, char *text)
{
        struct completed *completed = arg;

        if (strcmp(path, "CompleteMultipartUploadResult") == 0)
                completed->done = true;
        else if (strcmp(path, "CompleteMultipartUploadResult/ETag") == 0)
                snprintf(completed->etag, sizeof(completed->etag), "%s", text);
        return error_element(completed->error, path, text);
}

enum hif_err s3_completed_parse(struct span xml, struct store_tag *tag, struct s3_error *error)
{
        struct completed completed = {.error = error};
        enum hif_err err;

        *error = (struct s3_error){0};
        err = xml_walk(xml, completed_element, &completed);
        if (err)
                return err;
        if (!completed.done)
                return HIF_EIO;
        if (s3_tag_parse(completed.etag, tag) != HIF_OK)
                *tag = (struct store_tag){0}; /* a HEAD will tell */
        return HIF_OK;
}

enum hif_err s3_tag_parse(const char *etag, struct store_tag *out)
{
        size_t size = strlen(etag);

        if (size >= 2 && etag[0] == '"' && etag[size - 1] == '"') {
                etag++;
                size -= 2;
        }
        if (size == 0 || size >= STORE_TAG_MAX)
                return HIF_EIO;
        for (size_t i = 0; i < size; i++) {
                if (etag[i] <= 0x20 || etag[i] > 0x7e) /* it will be in a header */
                        return HIF_EIO;
        }
        *out = (struct store_tag){0};
        memcpy(out->text, etag, size);
        return HIF_OK;
}
