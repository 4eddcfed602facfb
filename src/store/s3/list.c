/* LIST: pages of ListObjectsV2, one after the other by start-after, until the list is full. */
#include "store/s3/impl.h"

#include <stdlib.h>
#include <string.h>

/* Pages that give nothing: keys of others in the same bucket, which no key of ours looks like. */
#define EMPTY_PAGES_MAX 1000

struct listing {
        struct s3_call *call;
        char *after; /* with the store's prefix: where the next page begins */
        uint32_t empty_pages;
};

static void finish(struct listing *listing, enum hif_err err)
{
        struct s3_call *call = listing->call;
        struct s3_store *s3 = call->s3;
        struct store_req *req = call->req;

        if (err)
                store_list_free(&req->list);
        free(listing->after);
        free(listing);
        s3_call_free(call);
        store_done(&s3->store, req, err);
}

/* A key of the page as one of ours; NULL: it is none. */
static const char *own_key(const struct s3_store *s3, const struct store_req *req, const char *key)
{
        if (strncmp(key, s3->prefix, s3->prefix_size) != 0)
                return NULL;
        key += s3->prefix_size;
        return store_key_valid(key) && strncmp(key, req->prefix, strlen(req->prefix)) == 0 ? key
                                                                                           : NULL;
}

/* Take over a page; HIF_EIO where it is not in order: what lies behind could be missing then. */
static enum hif_err take_page(struct listing *listing, const struct s3_page *page)
{
        struct s3_call *call = listing->call;
        struct store_req *req = call->req;
        const char *last = listing->after;

        for (size_t i = 0; i < page->keys.count; i++) {
                const struct store_listed *item = &page->keys.items[i];
                const char *key = own_key(call->s3, req, item->key);
                enum hif_err err;

                if (last && strcmp(item->key, last) <= 0)
                        return HIF_EIO;
                last = item->key;
                if (!key)
                        continue;
                if (req->list.count == req->list_max) {
                        req->list.more = true;
                        return HIF_OK;
                }
                err = store_list_add(&req->list, key, item->size);
                if (err)
                        return err;
        }
        if (!page->truncated)
                return HIF_OK;
        if (!last || last == listing->after)
                return HIF_EIO; /* more, but nothing here: it would never end */
        last = strdup(last);
        if (!last)
                return HIF_ENOMEM;
        free(listing->after);
        listing->after = (char *)(uintptr_t)last;
        return HIF_OK;
}

static void page_arrived(struct s3_call *call, enum hif_err err)
{
        struct listing *listing = call->arg;
        struct store_req *req = call->req;
        size_t before = req->list.count;
        struct s3_page page = {0};
        bool more;

        if (!err)
                err = s3_page_parse(buf_span(&call->data), &page);
        if (!err)
                err = take_page(listing, &page);
        more = page.truncated;
        s3_page_free(&page);
        if (!err && req->list.count == before && more && ++listing->empty_pages > EMPTY_PAGES_MAX)
                err = HIF_EIO;
        if (err || !more || req->list.count == req->list_max) {
                if (!err && more && req->list.count == req->list_max)
                        req->list.more = true;
                finish(listing, err);
                return;
        }
        buf_free(&call->data);
        call->list_after = listing->after;
        s3_call_submit(call);
}

void s3_list(struct s3_store *s3, struct store_req *req)
{
        struct listing *listing = calloc(1, sizeof(*listing));
        struct s3_call *call = s3_call_new(s3, S3_LIST, req, page_arrived);
        struct buf after = {0};

        if (req->key && req->key[0]) {
                buf_put_span(&after, span_str(s3->prefix));
                buf_put(&after, req->key, strlen(req->key) + 1);
        }
        if (!listing || !call || buf_failed(&after)) {
                free(listing);
                s3_call_free(call);
                buf_free(&after);
                store_done(&s3->store, req, HIF_ENOMEM);
                return;
        }
        listing->call = call;
        listing->after = (char *)after.data;
        call->arg = listing;
        call->list_after = listing->after;
        s3_call_submit(call);
}
