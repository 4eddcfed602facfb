/* Packs. What lies in one is known from the trees, or from its own index; so, where every content
 * can be had, the very pack can be made again: the same frames in the same order, which its name
 * then proves. Where that does not work (a content is lost, or another zstd compresses otherwise),
 * what can be had is stored as blobs of their own, which readers ask for when a pack fails. */
#include "check/internal.h"

#define PACK_HEADER_SIZE  8u
#define PACK_FOOTER_SIZE  8u
#define PACK_ENTRY_SIZE   44u
#define INDEX_FIRST_GUESS (64u << 10) /* bytes from the end of a pack */

/* --- where other packs have it --- */

struct place {
        struct hif_hash hash;
        struct pack_loc loc;
};

struct repair_state {
        struct map places; /* hash prefix -> place, of contents that are wanted */
        struct map wanted;
        struct arena arena;
        struct buf objects; /* struct slot_object: for the repair slot */
};

static enum hif_err want(struct repair_state *state, const struct hif_hash *hash)
{
        return map_put(&state->wanted, hash_prefix(hash), state);
}

/* Everything that may be looked for, so that one pass over the indexes does. */
static enum hif_err want_all(struct check *c)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < c->broken_count && err == HIF_OK; i++) {
                const struct broken *broken = &c->broken[i];

                if (broken->kind == OBJECT_BLOB)
                        err = want(c->repair, &broken->hash);
                for (const struct located *l = broken->located; l && err == HIF_OK; l = l->next)
                        err = want(c->repair, &l->hash);
        }
        return err;
}

static enum hif_err take_index(struct check *c, const struct hif_hash *pack, struct span index)
{
        for (size_t at = 0; at + PACK_ENTRY_SIZE <= index.size; at += PACK_ENTRY_SIZE) {
                struct reader rd = rd_open(span_of(index.data + at, PACK_ENTRY_SIZE));
                struct place *place;
                struct hif_hash hash;

                rd_copy(&rd, hash.bytes, HIF_HASH_SIZE);
                if (!map_get(&c->repair->wanted, hash_prefix(&hash)))
                        continue;
                place = arena_alloc(&c->repair->arena, sizeof(*place));
                if (!place)
                        return HIF_ENOMEM;
                *place = (struct place){.hash = hash, .loc.pack = *pack};
                place->loc.offset = rd_u32(&rd);
                place->loc.size = rd_u32(&rd);
                if (place->loc.size == 0 || map_put(&c->repair->places, hash_prefix(&hash), place))
                        return HIF_ENOMEM;
        }
        return HIF_OK;
}

/* The index of one pack, from its end. What is wrong with it only means that nothing is found
 * there: what is read by it is held against its hash. */
static enum hif_err read_index(struct check *c, const struct object *object)
{
        struct layout_key key = layout_pack(&c->project.layout, &object->hash);
        uint64_t size = object->size;
        uint64_t guess = size < INDEX_FIRST_GUESS ? size : INDEX_FIRST_GUESS;
        struct store_req req;
        uint64_t frames_end, index_size;
        enum hif_err err = HIF_OK;

        if (size < PACK_HEADER_SIZE + PACK_FOOTER_SIZE || size > BODY_PACK_MAX)
                return HIF_OK;
        for (int round = 0; round < 2 && err == HIF_OK; round++) {
                req = (struct store_req){.op = STORE_GET,
                                         .key = key.text,
                                         .range_start = size - guess,
                                         .range_size = guess};
                err = run_requests(c, &req, 1);
                if (err != HIF_OK || req.result != HIF_OK || req.data.size != guess) {
                        store_req_free(&req);
                        return err;
                }
                frames_end = be32_get(req.data.data + guess - 8);
                index_size = (uint64_t)be32_get(req.data.data + guess - 4) * PACK_ENTRY_SIZE;
                if (frames_end + index_size + PACK_FOOTER_SIZE != size) {
                        store_req_free(&req);
                        return HIF_OK;
                }
                if (index_size + PACK_FOOTER_SIZE <= guess) {
                        err = take_index(
                            c, &object->hash,
                            span_of(req.data.data + guess - PACK_FOOTER_SIZE - index_size,
                                    (size_t)index_size));
                        round = 2;
                }
                guess = index_size + PACK_FOOTER_SIZE;
                store_req_free(&req);
        }
        return err;
}

static enum hif_err begin(struct check *c)
{
        enum hif_err err;

        if (c->repair)
                return HIF_OK;
        c->repair = calloc(1, sizeof(*c->repair));
        if (!c->repair)
                return HIF_ENOMEM;
        err = want_all(c);
        for (size_t i = 0; i < c->inventory.capacity && err == HIF_OK; i++) {
                const struct object object = c->inventory.items[i];

                if (object.used && object.kind == OBJECT_PACK && object.present && !object.bad &&
                    c->repair->wanted.count > 0)
                        err = read_index(c, &object);
        }
        return err;
}

enum hif_err packs_find(struct check *c, const struct hif_hash *hash, struct pack_loc *out)
{
        const struct place *place;
        enum hif_err err = begin(c);

        if (err != HIF_OK)
                return err;
        place = map_get(&c->repair->places, hash_prefix(hash));
        if (!place || !hash_eq(&place->hash, hash))
                return HIF_ENOENT;
        *out = place->loc;
        return HIF_OK;
}

void packs_forget(struct check *c)
{
        if (!c->repair)
                return;
        map_free(&c->repair->places);
        map_free(&c->repair->wanted);
        arena_free(&c->repair->arena);
        buf_free(&c->repair->objects);
        free(c->repair);
        c->repair = NULL;
}

/* --- blobs of their own --- */

enum hif_err repair_list(struct check *c, const struct hif_hash *hash)
{
        struct slot_object listed = {.kind = SLOT_BLOB, .hash = *hash};
        enum hif_err err = begin(c);

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

/* --- one pack --- */

static int by_offset(const void *a, const void *b)
{
        const struct located *x = *(struct located *const *)a, *y = *(struct located *const *)b;

        return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* What is known of the pack, in order, each place once; *count 0: nothing. */
static enum hif_err parts_of(struct broken *broken, struct located ***out, size_t *count)
{
        struct located **parts;
        size_t n = 0, kept = 0;

        for (const struct located *l = broken->located; l; l = l->next)
                n++;
        parts = calloc(n + 1, sizeof(struct located *));
        if (!parts)
                return HIF_ENOMEM;
        n = 0;
        for (struct located *l = broken->located; l; l = l->next)
                parts[n++] = l;
        qsort(parts, n, sizeof(*parts), by_offset);
        for (size_t i = 0; i < n; i++)
                if (kept == 0 || parts[kept - 1]->offset != parts[i]->offset)
                        parts[kept++] = parts[i];
        *out = parts;
        *count = kept;
        return HIF_OK;
}

/* The frame as it lies in the damaged pack, when it is whole. */
static bool frame_of(struct check *c, struct span damaged, const struct located *part,
                     struct span *frame, struct buf *content)
{
        struct hif_hash actual;

        if (damaged.size < part->size || part->offset > damaged.size - part->size)
                return false;
        *frame = span_of(damaged.data + part->offset, part->size);
        if (body_frame_get(c->codec, *frame, part->content_size, content) != HIF_OK)
                return false;
        actual = hash_of(HASH_BLOB, buf_span(content));
        return hash_eq(&actual, &part->hash);
}

/* One part into the pack that is being made. *exact: it is as it was. */
static enum hif_err add_part(struct check *c, struct span damaged, const struct located *part,
                             struct pack_writer *pack, bool *exact)
{
        AUTO_BUF struct buf content = {0};
        AUTO_BUF struct buf made = {0};
        struct span frame;
        uint32_t offset;
        enum hif_err err;

        if (!frame_of(c, damaged, part, &frame, &content)) {
                buf_reset(&content);
                err = content_get(c, &part->hash, part->content_size, part->content_size, &content);
                if (err != HIF_OK)
                        return err;
                err = body_frame_put(c->codec, buf_span(&content), &made);
                if (err != HIF_OK)
                        return err;
                frame = buf_span(&made);
        }
        if (frame.size != part->size || part->content_size > BODY_PACK_BLOB_MAX) {
                *exact = false;
                return HIF_OK;
        }
        err = pack_add(pack, &part->hash, frame, part->content_size, &offset);
        *exact = err == HIF_OK && offset == part->offset;
        return err == HIF_ELIMIT ? HIF_OK : err;
}

/* *made: the pack is there again, to the byte. */
static enum hif_err make_again(struct check *c, struct broken *broken, struct span damaged,
                               struct located **parts, size_t count, bool *made)
{
        struct pack_writer pack;
        struct hif_hash name;
        bool exact = count > 0;
        enum hif_err err = HIF_OK;

        *made = false;
        pack_begin(&pack);
        for (size_t i = 0; i < count && exact && err == HIF_OK; i++)
                err = add_part(c, damaged, parts[i], &pack, &exact);
        if (err == HIF_OK && exact)
                err = pack_finish(&pack, &name);
        if (err == HIF_OK && exact && hash_eq(&name, &broken->hash))
                *made = object_put(c, broken->key.text, buf_span(&pack.bytes));
        pack_free(&pack);
        return err == HIF_ENOENT ? HIF_OK : err; /* a content is lost */
}

/* What can be had of it, as blobs. */
static enum hif_err save_parts(struct check *c, struct broken *broken, struct span damaged,
                               struct located **parts, size_t count)
{
        char detail[128];
        size_t lost = 0;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                AUTO_BUF struct buf content = {0};
                struct span frame;

                if (has_own_blob(c, &parts[i]->hash))
                        continue;
                if (!frame_of(c, damaged, parts[i], &frame, &content)) {
                        buf_reset(&content);
                        err = content_get(c, &parts[i]->hash, parts[i]->content_size,
                                          parts[i]->content_size, &content);
                }
                if (err == HIF_ENOENT) {
                        lost++;
                        err = HIF_OK;
                } else if (err == HIF_OK) {
                        bool done;

                        err = blob_put(c, &parts[i]->hash, buf_span(&content), &done);
                        lost += err == HIF_OK && !done;
                }
        }
        if (err != HIF_OK)
                return err;
        (void)snprintf(detail, sizeof(detail),
                       lost > 0
                           ? "%zu of its %zu contents are not to be had, or could not be stored"
                           : "its contents have blobs of their own now",
                       lost > 0 ? lost : count, count);
        tell_repaired(c, lost == 0 && count > 0,
                      lost == 0 && count > 0 ? "replaced" : "not restored", broken->key.text,
                      count > 0 ? detail : "nothing is known of what was in it");
        return HIF_OK;
}

static bool is_pack(struct check *c, struct span bytes, const struct check_wanted *wanted)
{
        struct hif_hash actual = hash_of(HASH_PACK, bytes);

        (void)c;
        return hash_eq(&actual, wanted->hash);
}

enum hif_err pack_repair(struct check *c, struct broken *broken)
{
        struct check_wanted wanted = {
            .want = CHECK_WANT_STORED, .key = broken->key.text, .hash = &broken->hash};
        AUTO_BUF struct buf copy = {0};
        AUTO_FREE struct located **parts = NULL;
        struct store_req req = {0};
        size_t count = 0;
        enum hif_err err = source_get(c, &wanted, is_pack, &copy);

        if (err == HIF_OK)
                broken->repaired = object_put(c, broken->key.text, buf_span(&copy));
        if (err != HIF_ENOENT)
                return err;
        err = begin(c);
        if (err == HIF_OK)
                err = parts_of(broken, &parts, &count);
        if (err == HIF_OK && broken->state == BROKEN_DAMAGED)
                err = get_one(c, broken->key.text, 0, &req);
        if (err == HIF_OK)
                err = make_again(c, broken, buf_span(&req.data), parts, count, &broken->repaired);
        if (err == HIF_OK && !broken->repaired)
                err = save_parts(c, broken, buf_span(&req.data), parts, count);
        store_req_free(&req);
        return err;
}
