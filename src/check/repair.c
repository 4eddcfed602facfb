/* Mending what was found, where that is safe: objects are written only under names that their bytes
 * prove, slots are only created, and head is a hint. So the worst that a repair can do is nothing.
 *
 * Objects first, then packs, whose contents may need what came back, then the newest tree. */
#include "check/internal.h"

/* --- what is right --- */

static bool is_chunks(struct check *c, struct span bytes, const struct check_wanted *wanted)
{
        struct hif_hash actual = hash_of(HASH_CHUNKS, bytes);
        struct chunk_list list;

        (void)c;
        return hash_eq(&actual, wanted->hash) && chunk_list_open(bytes, &list) == HIF_OK;
}

static bool is_node(struct check *c, struct span bytes, const struct check_wanted *wanted)
{
        struct hif_hash actual = hash_of(HASH_NODE, bytes);

        (void)c;
        return bytes.size <= TREE_NODE_SIZE_MAX && hash_eq(&actual, wanted->hash) &&
               tree_node_check(bytes) == HIF_OK;
}

static bool is_stored_node(struct check *c, struct span bytes, const struct check_wanted *wanted)
{
        AUTO_BUF struct buf node = {0};

        return body_get(c->codec, BODY_NODE, bytes, &node) == HIF_OK &&
               is_node(c, buf_span(&node), wanted);
}

static bool is_stored_blob(struct check *c, struct span bytes, const struct check_wanted *wanted)
{
        AUTO_BUF struct buf content = {0};

        return is_chunks(c, bytes, wanted) ||
               (body_get(c->codec, BODY_BLOB, bytes, &content) == HIF_OK &&
                repair_is_content(c, buf_span(&content), wanted));
}

/* --- one object --- */

static enum hif_err node_repair(struct check *c, struct broken *broken, struct buf *stored)
{
        struct check_wanted wanted = {
            .want = CHECK_WANT_STORED, .key = broken->key.text, .hash = &broken->hash};
        AUTO_BUF struct buf bytes = {0};
        enum hif_err err = source_get(c, &wanted, is_stored_node, stored);

        if (err != HIF_ENOENT)
                return err;
        wanted.want = CHECK_WANT_NODE;
        err = source_get(c, &wanted, is_node, &bytes);
        return err == HIF_OK ? body_put(c->codec, BODY_NODE, buf_span(&bytes), stored) : err;
}

static enum hif_err blob_repair(struct check *c, struct broken *broken, struct buf *stored)
{
        struct check_wanted wanted = {
            .want = CHECK_WANT_STORED, .key = broken->key.text, .hash = &broken->hash};
        AUTO_BUF struct buf bytes = {0};
        enum hif_err err = source_get(c, &wanted, is_stored_blob, stored);

        if (err != HIF_ENOENT)
                return err;
        if (broken->finding == CHECK_CHUNKS_MISSING || broken->finding == CHECK_CHUNKS_DAMAGED) {
                wanted.want = CHECK_WANT_CHUNKS;
                return source_get(c, &wanted, is_chunks, stored);
        }
        err = content_get(c, &broken->hash, broken->size, broken->file_size, &bytes);
        return err == HIF_OK ? body_put(c->codec, BODY_BLOB, buf_span(&bytes), stored) : err;
}

static enum hif_err broken_repair(struct check *c, struct broken *broken)
{
        AUTO_BUF struct buf stored = {0};
        struct object *object;
        enum hif_err err;

        if (broken->here || broken->state == BROKEN_UNREAD || broken->repaired)
                return HIF_OK;
        if (broken->kind == OBJECT_PACK)
                return pack_repair(c, broken);
        err = broken->kind == OBJECT_NODE ? node_repair(c, broken, &stored)
                                          : blob_repair(c, broken, &stored);
        if (err == HIF_ENOENT) {
                tell_repaired(c, false, "not restored", broken->key.text,
                              "no intact copy of it was found");
                return HIF_OK;
        }
        if (err != HIF_OK)
                return err;
        if (!object_put(c, broken->key.text, buf_span(&stored)))
                return HIF_OK;
        broken->repaired = true;
        object = inventory_find(&c->inventory, broken->kind, &broken->hash);
        if (object) {
                object->present = 1;
                object->bad = 0;
        }
        return HIF_OK;
}

/* --- slots, lists, records of sessions --- */

/* A slot that is gone, out of a copy: it must follow what is before it, and be followed by what is
 * after it. */
static bool is_slot(struct check *c, struct span bytes, uint64_t position)
{
        AUTO_ARENA struct arena arena = {0};
        struct hif_hash hash = hash_of(HASH_SLOT, bytes);
        struct slot_read neighbour;
        struct slot slot;
        bool fits;

        if (slot_get(bytes, position, &arena, &slot) != HIF_OK)
                return false;
        if (project_slot(&c->project, position + 1, false, &neighbour, NULL) == HIF_OK) {
                fits = hash_eq(&neighbour.slot.previous, &hash);
                slot_read_free(&neighbour);
                return fits;
        }
        if (position == 0 ||
            project_slot(&c->project, position - 1, false, &neighbour, NULL) != HIF_OK)
                return false;
        fits = hash_eq(&slot.previous, &neighbour.hash);
        slot_read_free(&neighbour);
        return fits;
}

static bool is_other(struct check *c, struct span bytes, const struct check_wanted *wanted)
{
        const struct other *other =
            (const struct other *)((const char *)wanted->key - offsetof(struct other, key));
        struct hif_hash actual;

        if (other->kind == HASH_SLOT)
                return is_slot(c, bytes, other->position);
        actual = hash_of(other->kind, bytes);
        return hash_eq(&actual, &other->hash);
}

static enum hif_err other_repair(struct check *c, const struct other *other)
{
        struct check_wanted wanted = {
            .want = CHECK_WANT_STORED, .key = other->key, .hash = &other->hash};
        AUTO_BUF struct buf bytes = {0};
        enum hif_err err;

        if (other->kind == HASH_KIND_COUNT)
                return derived_remove(c, other->key);
        err = source_get(c, &wanted, is_other, &bytes);
        if (err == HIF_ENOENT) {
                tell_repaired(c, false, "not restored", other->key,
                              "no intact copy of it was found");
                return HIF_OK;
        }
        if (err != HIF_OK)
                return err;
        if (other->kind != HASH_SLOT) {
                object_put(c, other->key, buf_span(&bytes));
                return HIF_OK;
        }
        struct store_req req = {.op = STORE_PUT_NEW, .key = other->key, .body = buf_span(&bytes)};
        store_run(c->project.store, &req, 1);
        store_req_free(&req);
        tell_repaired(c, req.result == HIF_OK, req.result == HIF_OK ? "restored" : "not restored",
                      other->key, req.result == HIF_OK ? "" : hif_strerror(req.result));
        return HIF_OK;
}

/* From the last to the first: of several slots that are gone, each is held against the next. */
static enum hif_err others_repair(struct check *c)
{
        enum hif_err err = HIF_OK;

        for (size_t i = c->other_count; i-- > 0 && err == HIF_OK;)
                err = other_repair(c, &c->others[i]);
        return err;
}

/* --- head --- */

static enum hif_err head_repair(struct check *c)
{
        struct layout_key key = layout_head(&c->project.layout);
        struct slot_read tail;
        struct hif_why why = {.text = ""};

        if (!c->head_wrong)
                return HIF_OK;
        /* Finding the tail moves a head that is behind, and replaces one that is not true. */
        if (project_tail(&c->project, 0, &tail, &why) != HIF_OK) {
                tell_repaired(c, false, "not written anew", key.text, why.text);
                return HIF_OK;
        }
        slot_read_free(&tail);
        tell_repaired(c, true, "written anew", key.text, "");
        return HIF_OK;
}

enum hif_err repair_all(struct check *c)
{
        enum hif_err err = others_repair(c);

        for (int packs = 0; packs <= 1; packs++)
                for (size_t i = 0; i < c->broken_count && err == HIF_OK; i++)
                        if ((c->broken[i].kind == OBJECT_PACK) == packs)
                                err = broken_repair(c, &c->broken[i]);
        if (err == HIF_OK)
                err = tree_repair(c);
        if (err == HIF_OK)
                err = head_repair(c);
        if (err == HIF_OK)
                err = derived_make_again(c);
        repair_forget(c);
        return err;
}
