/* Packs. What lies in one is known from the trees, or from its own index; so, where every content
 * can be had, the very pack can be made again: the same frames in the same order, which its name
 * then proves. Where that does not work (a content is lost, or another zstd compresses otherwise),
 * what can be had is stored as blobs of their own, which readers ask for when a pack fails. */
#include "check/internal.h"

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
        err = repair_begin(c);
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
