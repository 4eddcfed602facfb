/* Contents in full: packs, blobs and chunk lists of the subset are read, and held against their
 * names; frames of packs, too; and the locations that entries gave against what packs say. */
#include "check/internal.h"

/* --- locations: a set of (pack, offset, size, content), small enough for all files --- */

#define LOCATIONS_MAX (1u << 24)

enum hif_err location_note(struct check *c, const struct entry *entry)
{
        if (!subset_has(&c->subset, &entry->loc.pack) || c->locations_full)
                return HIF_OK;
        if (c->locations.count >= LOCATIONS_MAX) {
                c->locations_full = true;
                not_checked(c, HIF_ELIMIT, "",
                            "there are more locations in packs than are remembered");
                return HIF_OK;
        }
        return map_put(&c->locations, location_digest(entry), c);
}

/* --- one object --- */

static bool is_list(struct span stored)
{
        return stored.size >= 4 && memcmp(stored.data, "HIFC", 4) == 0;
}

static enum hif_err verify_blob(struct check *c, const struct hif_hash *hash, struct span stored)
{
        AUTO_BUF struct buf content = {0};
        struct chunk_list list;
        struct hif_hash actual;
        enum hif_err err;

        if (is_list(stored)) {
                actual = hash_of(HASH_CHUNKS, stored);
                return hash_eq(&actual, hash) ? chunk_list_open(stored, &list) : HIF_ECORRUPT;
        }
        err = body_get(c->codec, BODY_BLOB, stored, &content);
        if (err != HIF_OK)
                return err;
        actual = hash_of(HASH_BLOB, buf_span(&content));
        return hash_eq(&actual, hash) ? HIF_OK : HIF_ECORRUPT;
}

static enum hif_err verify_frame(struct check *c, struct span stored,
                                 const struct pack_entry *entry)
{
        AUTO_BUF struct buf content = {0};
        struct hif_hash actual;
        enum hif_err err =
            body_frame_get(c->codec, span_of(stored.data + entry->offset, entry->size),
                           entry->content_size, &content);

        if (err != HIF_OK)
                return err;
        actual = hash_of(HASH_BLOB, buf_span(&content));
        return hash_eq(&actual, &entry->hash) ? HIF_OK : HIF_ECORRUPT;
}

static enum hif_err verify_pack(struct check *c, const struct hif_hash *hash, struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        struct pack_entry *entries = NULL;
        uint32_t count = 0;
        struct hif_hash actual = hash_of(HASH_PACK, stored);
        enum hif_err err =
            hash_eq(&actual, hash) ? pack_index(stored, &arena, &entries, &count) : HIF_ECORRUPT;

        for (uint32_t i = 0; i < count && err == HIF_OK; i++) {
                err = verify_frame(c, stored, &entries[i]);
                (void)map_del(&c->locations, place_digest(hash, &entries[i].hash, entries[i].offset,
                                                          entries[i].size));
        }
        return err;
}

/* --- many --- */

struct reading {
        struct check *c;
        struct store_req reqs[READ_AHEAD];
        struct layout_key keys[READ_AHEAD];
        struct object objects[READ_AHEAD];
        size_t count;
        uint64_t bytes;
        uint64_t done, total; /* bytes */
};

/* What of a damaged pack has other places to be read from, as far as its index tells. */
static enum hif_err look_into(struct check *c, struct broken *broken, struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        struct pack_entry *entries;
        uint32_t count;
        enum hif_err err = pack_index(stored, &arena, &entries, &count);

        broken->lost_more = err != HIF_OK;
        for (uint32_t i = 0; err == HIF_OK && i < count; i++) {
                const struct object *own =
                    inventory_find(&c->inventory, OBJECT_BLOB, &entries[i].hash);
                bool covered = own && own->present && !own->bad;
                enum hif_err frame = verify_frame(c, stored, &entries[i]);

                broken->covered += covered;
                broken->lost_more |= !covered && frame != HIF_OK;
                err = located_add(c, broken, &entries[i].hash, entries[i].offset, entries[i].size,
                                  entries[i].content_size);
        }
        return err == HIF_ENOMEM ? err : HIF_OK;
}

static enum hif_err damaged(struct check *c, const struct object *object, struct span stored)
{
        enum check_kind finding = object->kind == OBJECT_PACK ? CHECK_PACK_DAMAGED
                                  : is_list(stored)           ? CHECK_CHUNKS_DAMAGED
                                                              : CHECK_BLOB_DAMAGED;
        struct broken *broken = broken_add(c, (enum object_kind)object->kind, &object->hash,
                                           finding, BROKEN_DAMAGED, c->report->tail);

        c->unplaced = true;
        if (!broken)
                return HIF_OK;
        broken->unplaced = true;
        return object->kind == OBJECT_PACK ? look_into(c, broken, stored) : HIF_OK;
}

static enum hif_err judge(struct reading *r, size_t index, bool again, bool *once_more)
{
        struct check *c = r->c;
        struct object *object = &r->objects[index], *kept;
        const struct store_req *req = &r->reqs[index];
        enum hif_err err;

        *once_more = false;
        if (answer_of(req) == ANSWER_NONE) {
                not_checked(c, req->result, req->key, "cannot be read");
                return HIF_OK;
        }
        if (answer_of(req) == ANSWER_ABSENT)
                return HIF_OK; /* removed since it was listed: a collector's or an owner's work */
        err = object->kind == OBJECT_PACK ? verify_pack(c, &object->hash, buf_span(&req->data))
                                          : verify_blob(c, &object->hash, buf_span(&req->data));
        kept = inventory_find(&c->inventory, (enum object_kind)object->kind, &object->hash);
        if (err == HIF_OK && kept)
                kept->read = 1;
        if (err == HIF_OK || err == HIF_ENOMEM)
                return err;
        *once_more = again;
        if (err == HIF_EUNSUPPORTED) {
                *once_more = false;
                not_checked(c, err, req->key, "cannot be read");
                return HIF_OK;
        }
        return again ? HIF_OK : damaged(c, object, buf_span(&req->data));
}

static enum hif_err flush(struct reading *r)
{
        enum hif_err err = run_requests(r->c, r->reqs, r->count);

        for (size_t i = 0; i < r->count; i++) {
                bool once_more = false;

                if (err == HIF_OK)
                        err = judge(r, i, true, &once_more);
                if (err == HIF_OK && once_more) {
                        store_req_free(&r->reqs[i]);
                        err = get_one(r->c, r->keys[i].text, 0, &r->reqs[i]);
                        if (err == HIF_OK)
                                err = judge(r, i, false, &once_more);
                }
                r->done += r->objects[i].size;
                store_req_free(&r->reqs[i]);
                report_progress(r->c, CHECK_STAGE_CONTENTS, r->done, r->total);
        }
        r->count = 0;
        r->bytes = 0;
        return err;
}

static bool is_wanted(const struct check *c, const struct object *object)
{
        return object->used && object->present && (object->listed || object->reached) &&
               !object->read && !object->bad &&
               (object->kind == OBJECT_PACK || object->kind == OBJECT_BLOB) &&
               subset_has(&c->subset, &object->hash);
}

static enum hif_err read_all(struct reading *r)
{
        struct check *c = r->c;
        enum hif_err err = HIF_OK;

        /* A copy of each: the table may grow while a batch is judged. */
        for (size_t i = 0; i < c->inventory.capacity && err == HIF_OK; i++) {
                const struct object *object = &c->inventory.items[i];

                if (!is_wanted(c, object))
                        continue;
                if (r->count > 0 && r->bytes + object->size > READ_BYTES)
                        err = flush(r);
                if (err != HIF_OK)
                        break;
                r->objects[r->count] = *object;
                r->keys[r->count] = object->kind == OBJECT_PACK
                                        ? layout_pack(&c->project.layout, &object->hash)
                                        : layout_blob(&c->project.layout, &object->hash);
                r->reqs[r->count] =
                    (struct store_req){.op = STORE_GET, .key = r->keys[r->count].text};
                r->bytes += object->size;
                if (++r->count == READ_AHEAD)
                        err = flush(r);
        }
        return err == HIF_OK ? flush(r) : err;
}

/* --- the stage --- */

static uint64_t bytes_wanted(const struct check *c)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < c->inventory.capacity; i++)
                if (is_wanted(c, &c->inventory.items[i]))
                        bytes += c->inventory.items[i].size;
        return bytes;
}

static enum hif_err read_subset(struct check *c)
{
        struct reading *r = calloc(1, sizeof(*r));
        enum hif_err err;

        if (!r)
                return HIF_ENOMEM;
        r->c = c;
        r->total = bytes_wanted(c);
        err = read_all(r);
        for (size_t i = 0; i < r->count; i++)
                store_req_free(&r->reqs[i]);
        free(r);
        return err;
}

enum hif_err contents_check(struct check *c)
{
        enum hif_err err = c->subset.kind == CHECK_SUBSET_NONE ? HIF_OK : read_subset(c);

        if (err == HIF_OK &&
            (c->unplaced || c->locations.count > 0 || c->wrong_locations.count > 0))
                err = locate(c);
        return err == HIF_OK ? broken_report(c) : err;
}
