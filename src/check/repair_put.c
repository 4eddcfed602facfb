/* repair_put.c - writing what was mended, and telling of it. */
#include "check/internal.h"

void tell_repaired(struct check *c, bool done, const char *what, const char *key,
                   const char *detail)
{
        struct check_repaired repaired = {.what = what, .key = key, .detail = detail, .done = done};

        if (done)
                c->report->repaired++;
        else
                c->report->unrepaired++;
        if (c->hooks->repaired)
                c->hooks->repaired(c->hooks, &repaired);
}

bool object_put(struct check *c, const char *key, struct span body)
{
        struct store_req req = {.op = STORE_PUT, .key = key, .body = body};

        for (unsigned i = 0; i < TRIES; i++) {
                store_req_free(&req);
                req = (struct store_req){.op = STORE_PUT, .key = key, .body = body};
                store_run(c->project.store, &req, 1);
                c->report->requests++;
                if (req.result != HIF_EUNKNOWN && req.result != HIF_EUNREACHABLE)
                        break;
        }
        store_req_free(&req);
        if (req.result == HIF_OK)
                tell_repaired(c, true, "restored", key, "");
        else
                tell_repaired(c, false, "not restored", key, hif_strerror(req.result));
        c->unsure |= req.result != HIF_OK;
        return req.result == HIF_OK;
}

/* --- blobs of their own --- */

enum hif_err repair_list(struct check *c, const struct hif_hash *hash)
{
        struct slot_object listed = {.kind = SLOT_BLOB, .hash = *hash};
        enum hif_err err = repair_begin(c);

        if (err != HIF_OK)
                return err;
        buf_put(&c->repair->objects, &listed, sizeof(listed));
        return buf_failed(&c->repair->objects) ? HIF_ENOMEM : HIF_OK;
}

enum hif_err blob_put(struct check *c, const struct hif_hash *hash, struct span content, bool *done)
{
        struct layout_key key = layout_blob(&c->project.layout, hash);
        AUTO_BUF struct buf stored = {0};
        struct object *object;
        enum hif_err err;

        *done = has_own_blob(c, hash);
        if (*done)
                return HIF_OK;
        err = body_put(c->codec, BODY_BLOB, content, &stored);
        if (err == HIF_OK)
                err = inventory_add(&c->inventory, OBJECT_BLOB, hash, &object);
        if (err != HIF_OK)
                return err;
        *done = object_put(c, key.text, buf_span(&stored));
        if (!*done)
                return HIF_OK;
        if (object) {
                object->present = 1;
                object->bad = 0;
        }
        return repair_list(c, hash);
}

static int by_hash(const void *a, const void *b)
{
        return memcmp(((const struct slot_object *)a)->hash.bytes,
                      ((const struct slot_object *)b)->hash.bytes, HIF_HASH_SIZE);
}

/* Each once. */
const struct slot_object *repair_objects(struct check *c, uint32_t *count)
{
        struct slot_object *objects =
            c->repair ? (struct slot_object *)c->repair->objects.data : NULL;
        size_t size = objects ? c->repair->objects.size / sizeof(*objects) : 0, kept = 0;

        if (size > 0)
                qsort(objects, size, sizeof(*objects), by_hash);
        for (size_t i = 0; i < size; i++)
                if (kept == 0 || !hash_eq(&objects[kept - 1].hash, &objects[i].hash))
                        objects[kept++] = objects[i];
        if (objects)
                c->repair->objects.size = kept * sizeof(*objects);
        *count = (uint32_t)kept;
        return objects;
}
