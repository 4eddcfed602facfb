/* claim_moves.c - which entries of the base are elsewhere, by a session's operations. */
#include "vfs/claim.h"

#include "core/key.h"

/* A path as it was after some operations, and where the base has it; from.data NULL: it was made in
 * the session. */
struct place {
        struct span at, from;
        bool made;
};

struct replaying {
        const struct vfs_claim *claim;
        struct arena *arena;
        struct buf places; /* struct place; the newest of a path counts */
};

static struct place *place_at(const struct replaying *re, size_t index)
{
        return (struct place *)(void *)re->places.data + index;
}

static size_t place_count(const struct replaying *re)
{
        return re->places.size / sizeof(struct place);
}

static enum hif_err add(struct replaying *re, struct span at, struct span from, bool made)
{
        struct place place = {.at = at, .from = from, .made = made};

        buf_put(&re->places, &place, sizeof(place));
        return buf_failed(&re->places) ? HIF_ENOMEM : HIF_OK;
}

/* `path`, which is at or below `dir`, as it is called when dir is called `to`. */
static enum hif_err rename_path(struct arena *arena, struct span path, struct span dir,
                                struct span to, struct span *out)
{
        size_t rest = path.size - dir.size;
        uint8_t *bytes = arena_alloc(arena, to.size + rest);

        if (bytes == NULL)
                return HIF_ENOMEM;
        memcpy(bytes, to.data, to.size);
        memcpy(bytes + to.size, path.data + dir.size, rest);
        *out = span_of(bytes, to.size + rest);
        return HIF_OK;
}

/* Where the base has what is at `path`. False: nowhere. */
static enum hif_err origin_of(const struct replaying *re, struct span path, struct span *from,
                              bool *made)
{
        const struct place *best = NULL;

        for (size_t i = place_count(re); i > 0; i--) {
                const struct place *place = place_at(re, i - 1);

                if (path_within(path, place->at) &&
                    (best == NULL || place->at.size > best->at.size))
                        best = place;
        }
        *made = best != NULL && best->made;
        *from = path;
        return best == NULL || best->made
                   ? HIF_OK
                   : rename_path(re->arena, path, best->at, best->from, from);
}

static enum hif_err replay_rename(struct replaying *re, struct span from, struct span to)
{
        size_t count = place_count(re);
        struct span origin;
        bool made;
        enum hif_err err = origin_of(re, from, &origin, &made);

        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                struct place *place = place_at(re, i);

                if (path_within(place->at, to)) /* it was replaced */
                        *place = (struct place){.at = place->at, .made = true};
                else if (path_within(place->at, from))
                        err = rename_path(re->arena, place->at, from, to, &place->at);
        }
        return err == HIF_OK ? add(re, to, origin, made) : err;
}

static enum hif_err replay(struct replaying *re)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < re->claim->op_count && err == HIF_OK; i++) {
                const struct session_op *op = &re->claim->ops[i];

                switch (op->kind) {
                case SESSION_RENAME:
                        err = replay_rename(re, op->path, op->path2);
                        break;
                case SESSION_CREATE:
                case SESSION_MKDIR:
                case SESSION_SYMLINK:
                        err = add(re, op->path, (struct span){0}, true);
                        break;
                case SESSION_LINK:
                        err = add(re, op->path2, (struct span){0}, true);
                        break;
                case SESSION_WRITE:
                case SESSION_DELETE:
                case SESSION_RMDIR:
                case SESSION_CHMOD:
                        break;
                }
        }
        return err;
}

/* --- what the trees say --- */

static enum hif_err find(struct tree_cursor *cursor, const struct hif_hash *tree, struct span path,
                         struct entry *out, uint64_t *rank, bool *there)
{
        AUTO_BUF struct buf key = {0};
        enum hif_err err;

        if (!path_valid(path))
                return HIF_ECORRUPT;
        key_from_path(&key, path);
        if (buf_failed(&key))
                return HIF_ENOMEM;
        err = tree_find(cursor, tree, buf_span(&key), out, rank);
        *there = err == HIF_OK;
        return err == HIF_ENOENT ? HIF_OK : err;
}

/* What the base has at `from`, the session has at `to`. What it has at `from` instead must differ from
 * that, or no row would say that the name stands for something else; and one directory in the place
 * of another has the other's number. */
static enum hif_err check(const struct vfs_claim *claim, struct tree_cursor *cursor,
                          struct moved *moved, bool *holds)
{
        struct entry now, instead, replaced;
        uint64_t rank;
        bool there = false, was = false, filled = false, taken = false;
        enum hif_err err =
            find(cursor, &claim->base.tree, moved->from, &moved->base, &moved->rank, &was);

        moved->base.target = moved->base.ext = (struct span){0};
        if (err == HIF_OK)
                err = find(cursor, &claim->tree, moved->from, &instead, &rank, &filled);
        if (err == HIF_OK)
                err = find(cursor, &claim->base.tree, moved->to, &replaced, &rank, &taken);
        if (err == HIF_OK)
                err = find(cursor, &claim->tree, moved->to, &now, &rank, &there);
        *holds = err == HIF_OK && was && there && entry_same(&now, &moved->base) &&
                 !(filled && (entry_same(&instead, &moved->base) ||
                              (instead.kind == ENTRY_DIR && now.kind == ENTRY_DIR))) &&
                 !(taken && (replaced.kind == ENTRY_DIR || now.kind == ENTRY_DIR));
        return err;
}

static bool known(const struct moves *moves, const struct place *place)
{
        return moves_from(moves, place->from) != NULL || moves_to(moves, place->at) != NULL;
}

static enum hif_err confirm(const struct replaying *re, struct moves *out)
{
        struct tree_cursor cursor;
        enum hif_err err = HIF_OK;

        out->items = arena_zalloc(re->arena, (place_count(re) + 1) * sizeof(*out->items));
        if (out->items == NULL)
                return HIF_ENOMEM;
        tree_cursor_init(&cursor, re->claim->nodes);
        for (size_t i = place_count(re); i > 0 && err == HIF_OK; i--) {
                const struct place *place = place_at(re, i - 1);
                struct moved *moved = &out->items[out->count];
                bool holds;

                if (place->made || span_eq(place->at, place->from) || known(out, place))
                        continue;
                *moved = (struct moved){.from = place->from, .to = place->at};
                err = check(re->claim, &cursor, moved, &holds);
                out->count += err == HIF_OK && holds;
        }
        tree_cursor_close(&cursor);
        return err;
}

enum hif_err claim_moves(const struct vfs_claim *claim, struct arena *arena, struct moves *out)
{
        struct replaying re = {.claim = claim, .arena = arena};
        size_t renames = 0;
        enum hif_err err;

        *out = (struct moves){0};
        for (size_t i = 0; i < claim->op_count; i++)
                renames += claim->ops[i].kind == SESSION_RENAME;
        if (renames == 0 || renames > CLAIM_RENAMES_MAX)
                return HIF_OK;
        err = replay(&re);
        if (err == HIF_OK)
                err = confirm(&re, out);
        buf_free(&re.places);
        return err;
}

/* --- asking --- */

const struct moved *moves_from(const struct moves *moves, struct span path)
{
        for (size_t i = 0; i < moves->count; i++)
                if (span_eq(moves->items[i].from, path))
                        return &moves->items[i];
        return NULL;
}

const struct moved *moves_to(const struct moves *moves, struct span path)
{
        for (size_t i = 0; i < moves->count; i++)
                if (span_eq(moves->items[i].to, path))
                        return &moves->items[i];
        return NULL;
}

static bool strictly_below(struct span path, struct span dir)
{
        return path.size > dir.size && path_within(path, dir);
}

const struct moved *moves_above_from(const struct moves *moves, struct span path)
{
        const struct moved *best = NULL;

        for (size_t i = 0; i < moves->count; i++)
                if (strictly_below(path, moves->items[i].from) &&
                    (best == NULL || moves->items[i].from.size > best->from.size))
                        best = &moves->items[i];
        return best;
}

const struct moved *moves_above_to(const struct moves *moves, struct span path)
{
        const struct moved *best = NULL;

        for (size_t i = 0; i < moves->count; i++)
                if (strictly_below(path, moves->items[i].to) &&
                    (best == NULL || moves->items[i].to.size > best->to.size))
                        best = &moves->items[i];
        return best;
}
