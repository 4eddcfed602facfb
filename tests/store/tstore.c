#include "tstore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ftw.h>

enum hif_err t_put_tag(struct store *store, enum store_op op, const char *key, const char *text,
                       struct store_tag *tag)
{
        struct store_req req = {.op = op, .key = key, .body = span_str(text)};

        if (op == STORE_PUT_MATCH)
                req.match = *tag;
        store_run(store, &req, 1);
        if (req.result == HIF_OK && tag)
                *tag = req.tag;
        store_req_free(&req);
        return req.result;
}

enum hif_err t_put(struct store *store, enum store_op op, const char *key, const char *text)
{
        return t_put_tag(store, op, key, text, NULL);
}

enum hif_err t_put_match(struct store *store, const char *key, const char *text,
                         struct store_tag *tag)
{
        return t_put_tag(store, STORE_PUT_MATCH, key, text, tag);
}

enum hif_err t_delete(struct store *store, const char *key)
{
        struct store_req req = {.op = STORE_DELETE, .key = key};

        store_run(store, &req, 1);
        return req.result;
}

enum hif_err t_head(struct store *store, const char *key, uint64_t *size, struct store_tag *tag)
{
        struct store_req req = {.op = STORE_HEAD, .key = key};

        store_run(store, &req, 1);
        if (req.result == HIF_OK) {
                if (size)
                        *size = req.size;
                if (tag)
                        *tag = req.tag;
        }
        return req.result;
}

void t_expect(struct store *store, const char *key, const char *text)
{
        struct store_req req = {.op = STORE_GET, .key = key};

        store_run(store, &req, 1);
        assert_int_equal(req.result, text ? HIF_OK : HIF_ENOENT);
        if (text) {
                assert_int_equal(req.data.size, strlen(text));
                assert_int_equal(req.size, strlen(text));
                assert_memory_equal(req.data.data, text, req.data.size);
        }
        store_req_free(&req);
}

struct store_tag t_tag(struct store *store, const char *key)
{
        struct store_tag tag;

        assert_int_equal(t_head(store, key, NULL, &tag), HIF_OK);
        return tag;
}

char *t_list(struct store *store, const char *prefix, const char *after, size_t max)
{
        struct store_req req = {.op = STORE_LIST, .prefix = prefix, .key = after, .list_max = max};
        struct buf text = {0};

        store_run(store, &req, 1);
        assert_int_equal(req.result, HIF_OK);
        for (size_t i = 0; i < req.list.count; i++)
                buf_printf(&text, "%s%s", i ? " " : "", req.list.items[i].key);
        if (req.list.more)
                buf_printf(&text, " ...");
        buf_put_u8(&text, 0);
        assert_false(buf_failed(&text));
        store_req_free(&req);
        return (char *)text.data;
}

void t_expect_list(struct store *store, const char *prefix, const char *after, size_t max,
                   const char *expected)
{
        char *keys = t_list(store, prefix, after, max);

        assert_string_equal(keys, expected);
        free(keys);
}

char *t_temp_dir(void)
{
        const char *base = getenv("TMPDIR");
        char *path;

        assert_true(asprintf(&path, "%s/hif-store-XXXXXX", base ? base : "/tmp") > 0);
        assert_non_null(mkdtemp(path));
        return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

void t_remove_tree(char *path)
{
        assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
        free(path);
}
