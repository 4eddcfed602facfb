/* repair_find.c - where intact bytes of a content are: in a blob of its own, in other packs of the store,
 * or with the sources that whoever repairs has named. */
#include "check/internal.h"

#define PACK_HEADER_SIZE  8u
#define PACK_FOOTER_SIZE  8u
#define PACK_ENTRY_SIZE   44u
#define INDEX_FIRST_GUESS (64u << 10) /* bytes from the end of a pack */

/* --- other packs --- */

struct place {
        struct hif_hash hash;
        struct pack_loc loc;
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

enum hif_err repair_begin(struct check *c)
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

static enum hif_err packs_find(struct check *c, const struct hif_hash *hash, struct pack_loc *out)
{
        const struct place *place;
        enum hif_err err = repair_begin(c);

        if (err != HIF_OK)
                return err;
        place = map_get(&c->repair->places, hash_prefix(hash));
        if (!place || !hash_eq(&place->hash, hash))
                return HIF_ENOENT;
        *out = place->loc;
        return HIF_OK;
}

void repair_forget(struct check *c)
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

/* --- a content --- */

enum hif_err source_get(struct check *c, const struct check_wanted *wanted,
                        bool (*is_right)(struct check *c, struct span bytes,
                                         const struct check_wanted *wanted),
                        struct buf *out)
{
        for (struct check_source *source = c->options->repair->sources; source;
             source = source->next) {
                AUTO_BUF struct buf bytes = {0};
                enum hif_err err = source->get(source, wanted, &bytes);

                if (err == HIF_ENOMEM || buf_failed(&bytes))
                        return HIF_ENOMEM;
                if (err != HIF_OK || !is_right(c, buf_span(&bytes), wanted))
                        continue; /* another one may have it whole */
                buf_put_span(out, buf_span(&bytes));
                return buf_failed(out) ? HIF_ENOMEM : HIF_OK;
        }
        return HIF_ENOENT;
}

bool repair_is_content(struct check *c, struct span bytes, const struct check_wanted *wanted)
{
        struct hif_hash actual = hash_of(HASH_BLOB, bytes);

        (void)c;
        return bytes.size <= BODY_BLOB_MAX && hash_eq(&actual, wanted->hash);
}

/* A frame of another pack of this store. */
static enum hif_err from_packs(struct check *c, const struct hif_hash *hash, uint64_t size,
                               struct buf *out)
{
        struct check_wanted wanted = {.hash = hash};
        struct pack_loc loc;
        struct layout_key key;
        AUTO_BUF struct buf content = {0};
        struct store_req req;
        enum hif_err err;

        if (size == 0 || size > BODY_PACK_BLOB_MAX)
                return HIF_ENOENT;
        err = packs_find(c, hash, &loc);
        if (err != HIF_OK)
                return err;
        key = layout_pack(&c->project.layout, &loc.pack);
        req = (struct store_req){
            .op = STORE_GET, .key = key.text, .range_start = loc.offset, .range_size = loc.size};
        err = run_requests(c, &req, 1);
        if (err == HIF_OK &&
            (req.result != HIF_OK ||
             body_frame_get(c->codec, buf_span(&req.data), (size_t)size, &content) != HIF_OK ||
             !repair_is_content(c, buf_span(&content), &wanted)))
                err = HIF_ENOENT;
        if (err == HIF_OK)
                buf_put_span(out, buf_span(&content));
        store_req_free(&req);
        return err == HIF_OK && buf_failed(out) ? HIF_ENOMEM : err;
}

static enum hif_err from_blob(struct check *c, const struct hif_hash *hash, struct buf *out)
{
        struct layout_key key = layout_blob(&c->project.layout, hash);
        struct check_wanted wanted = {.hash = hash};
        AUTO_BUF struct buf content = {0};
        struct store_req req;
        enum hif_err err;

        if (!has_own_blob(c, hash))
                return HIF_ENOENT;
        err = get_one(c, key.text, 0, &req);
        if (err == HIF_OK &&
            (req.result != HIF_OK ||
             body_get(c->codec, BODY_BLOB, buf_span(&req.data), &content) != HIF_OK ||
             !repair_is_content(c, buf_span(&content), &wanted)))
                err = HIF_ENOENT;
        if (err == HIF_OK)
                buf_put_span(out, buf_span(&content));
        store_req_free(&req);
        return err == HIF_OK && buf_failed(out) ? HIF_ENOMEM : err;
}

enum hif_err content_get(struct check *c, const struct hif_hash *hash, uint64_t size,
                         uint64_t file_size, struct buf *out)
{
        struct layout_key key = layout_blob(&c->project.layout, hash);
        struct check_wanted wanted = {.want = CHECK_WANT_CONTENT,
                                      .key = key.text,
                                      .hash = hash,
                                      .size = size,
                                      .file_size = file_size};
        enum hif_err err = from_blob(c, hash, out);

        if (err == HIF_ENOENT)
                err = from_packs(c, hash, size, out);
        return err == HIF_ENOENT ? source_get(c, &wanted, repair_is_content, out) : err;
}
