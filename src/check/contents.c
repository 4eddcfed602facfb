/* The contents that entries name: that they are there, from the inventory; what chunk lists say;
 * and, for the part that is to be read, what it takes to check locations against packs. */
#include "check/internal.h"

/* The object that an entry needs first: its chunk list, its pack, or its blob. */
static const struct hif_hash *first_object(const struct entry *entry, enum object_kind *kind)
{
        *kind = OBJECT_BLOB;
        if (entry->size <= BODY_BLOB_MAX && entry->loc.size > 0) {
                *kind = OBJECT_PACK;
                return &entry->loc.pack;
        }
        return &entry->hash;
}

void content_gone(struct walk *w, const struct entry *entry)
{
        enum object_kind kind;
        const struct hif_hash *hash = first_object(entry, &kind);
        struct broken *broken;

        if (!entry_is_file(entry) || entry->size == 0)
                return;
        broken = broken_find(w->c, kind, hash);
        if (broken && broken->live > 0 && --broken->live == 0)
                broken_close(w->c, kind, hash, w->slot->position);
}

/* Note that the tree needs this object. *missing: it is not there. */
static enum hif_err refer(struct walk *w, enum object_kind kind, enum slot_object_kind slot_kind,
                          const struct hif_hash *hash, bool *missing)
{
        struct layout_key key = kind == OBJECT_PACK ? layout_pack(&w->c->project.layout, hash)
                                                    : layout_blob(&w->c->project.layout, hash);
        struct object *object;
        enum hif_err err = inventory_add(&w->c->inventory, kind, hash, &object);

        *missing = false;
        if (err != HIF_OK || !object)
                return err;
        object->reached = 1;
        walk_listed(w, slot_kind, hash, object, key.text);
        if (!w->exact)
                object->listed = 1; /* by a slot that was not read */
        if (w->unlisted_count > 0 && w->unlisted_path.size == 0)
                buf_put_span(&w->unlisted_path, buf_span(&w->path));
        *missing = !object->present && w->c->inventory.complete;
        return HIF_OK;
}

static struct broken *lost(struct walk *w, enum object_kind kind, const struct hif_hash *hash,
                           enum check_kind finding, enum broken_state state, const char *detail)
{
        struct broken *broken = broken_add(w->c, kind, hash, finding, state, w->slot->position);

        if (!broken)
                return NULL;
        broken->open = true;
        broken->live++;
        if (detail)
                broken->detail = detail;
        broken_path(w->c, broken, buf_span(&w->path));
        return broken;
}

static void lost_blob(struct walk *w, const struct hif_hash *hash, uint64_t size,
                      uint64_t file_size, const char *detail)
{
        struct broken *broken =
            lost(w, OBJECT_BLOB, hash, CHECK_BLOB_MISSING, BROKEN_MISSING, detail);

        if (broken) {
                broken->size = size;
                broken->file_size = file_size;
        }
}

/* --- small files --- */

/* The pack is gone, and this content has a blob of its own. */
static struct broken *covered(struct walk *w, const struct hif_hash *pack)
{
        struct broken *broken = broken_add(w->c, OBJECT_PACK, pack, CHECK_PACK_MISSING,
                                           BROKEN_MISSING, w->slot->position);

        if (!broken)
                return NULL;
        broken->covered++;
        broken->live++;
        broken->open = true;
        return broken;
}

static enum hif_err packed(struct walk *w, const struct entry *entry)
{
        struct check *c = w->c;
        const struct hif_hash *pack = &entry->loc.pack;
        uint64_t end = (uint64_t)entry->loc.offset + entry->loc.size;
        struct object *own = inventory_find(&c->inventory, OBJECT_BLOB, &entry->hash);
        const struct object *object;
        bool missing;
        enum hif_err err = refer(w, OBJECT_PACK, SLOT_PACK, pack, &missing);

        if (err != HIF_OK)
                return err;
        if (own && own->present)
                own->reached = 1; /* what is read when the pack fails */
        if (missing) {
                struct broken *broken;

                if (own && own->present)
                        broken = covered(w, pack);
                else
                        broken =
                            lost(w, OBJECT_PACK, pack, CHECK_PACK_MISSING, BROKEN_MISSING, NULL);
                return broken ? located_add(c, broken, &entry->hash, entry->loc.offset,
                                            entry->loc.size, (uint32_t)entry->size)
                              : HIF_OK;
        }
        object = inventory_find(&c->inventory, OBJECT_PACK, pack);
        if (!object || !object->present)
                return HIF_OK;
        if (end <= object->size)
                return location_note(c, entry);
        if (!own || !own->present)
                lost_blob(w, &entry->hash, entry->size, entry->size, LOCATION_LOST);
        /* What it is at the newest position is told later: a location is a hint. */
        return map_put(&c->wrong_locations, location_digest(entry), c);
}

/* --- large files --- */

/* One list, verified; what is wrong with it is told. *ok: it can be used. */
static enum hif_err list_read(struct walk *w, const struct chunk *of, int depth, struct buf *bytes,
                              struct chunk_list *list, bool *ok)
{
        struct check *c = w->c;
        struct layout_key key = layout_blob(&c->project.layout, &of->hash);
        struct store_req req;
        struct hif_hash actual;
        enum hif_err err = get_one(c, key.text, 0, &req);

        *ok = false;
        if (err == HIF_OK && answer_of(&req) == ANSWER_NONE)
                not_checked(c, req.result, key.text, "cannot be read");
        if (err == HIF_OK && answer_of(&req) == ANSWER_ABSENT)
                lost(w, OBJECT_BLOB, &of->hash, CHECK_CHUNKS_MISSING, BROKEN_MISSING, NULL);
        if (err == HIF_OK && answer_of(&req) == ANSWER_HERE) {
                *bytes = req.data;
                req.data = (struct buf){0};
                actual = hash_of(HASH_CHUNKS, buf_span(bytes));
                if (!hash_eq(&actual, &of->hash))
                        lost(w, OBJECT_BLOB, &of->hash, CHECK_CHUNKS_DAMAGED, BROKEN_DAMAGED, NULL);
                else if (chunk_list_open(buf_span(bytes), list) != HIF_OK)
                        lost(w, OBJECT_BLOB, &of->hash, CHECK_CHUNKS_WRONG, BROKEN_DAMAGED,
                             "its bytes are what its name says, and make no list");
                else if (list->size != of->size || list->depth > CHUNK_DEPTH_MAX ||
                         (depth >= 0 && list->depth != depth))
                        lost(w, OBJECT_BLOB, &of->hash, CHECK_CHUNKS_WRONG, BROKEN_DAMAGED,
                             "its sizes do not add up to the file's");
                else
                        *ok = true;
        }
        w->incomplete |= !*ok;
        store_req_free(&req);
        return err;
}

/* depth -1: the top list says how deep it is. Recursion is at most CHUNK_DEPTH_MAX + 1 deep. */
static enum hif_err large(struct walk *w, const struct chunk *of, int depth, uint64_t file_size)
{
        AUTO_BUF struct buf bytes = {0};
        struct chunk_list list;
        struct object *object;
        bool missing, ok;
        enum hif_err err = refer(w, OBJECT_BLOB, SLOT_CHUNKS, &of->hash, &missing);

        if (err != HIF_OK)
                return err;
        if (missing) {
                w->incomplete = true; /* its chunks are not known */
                lost(w, OBJECT_BLOB, &of->hash, CHECK_CHUNKS_MISSING, BROKEN_MISSING, NULL);
                return HIF_OK;
        }
        object = inventory_find(&w->c->inventory, OBJECT_BLOB, &of->hash);
        if (object && object->bad)
                lost(w, OBJECT_BLOB, &of->hash, CHECK_CHUNKS_DAMAGED, BROKEN_DAMAGED, NULL);
        if (object && (object->read || object->bad))
                return HIF_OK; /* and all below it */
        err = list_read(w, of, depth, &bytes, &list, &ok);
        for (uint32_t i = 0; err == HIF_OK && ok && i < list.count; i++) {
                struct chunk chunk;

                chunk_list_at(&list, i, &chunk);
                if (list.depth > 0) {
                        err = large(w, &chunk, list.depth - 1, file_size);
                        continue;
                }
                err = refer(w, OBJECT_BLOB, SLOT_BLOB, &chunk.hash, &missing);
                if (missing)
                        lost_blob(w, &chunk.hash, chunk.size, file_size, NULL);
        }
        object = inventory_find(&w->c->inventory, OBJECT_BLOB, &of->hash);
        if (err == HIF_OK && ok && object)
                object->read = 1;
        return err;
}

enum hif_err content_check(struct walk *w, const struct entry *entry)
{
        bool missing;
        enum hif_err err;

        if (!entry_is_file(entry) || entry->size == 0)
                return HIF_OK;
        w->c->report->contents++;
        if (entry->size > BODY_BLOB_MAX)
                return large(w, &(struct chunk){.hash = entry->hash, .size = entry->size}, -1,
                             entry->size);
        if (entry->loc.size > 0)
                return packed(w, entry);
        err = refer(w, OBJECT_BLOB, SLOT_BLOB, &entry->hash, &missing);
        if (err == HIF_OK && (missing || broken_find(w->c, OBJECT_BLOB, &entry->hash)))
                lost_blob(w, &entry->hash, entry->size, entry->size, NULL);
        return err;
}
