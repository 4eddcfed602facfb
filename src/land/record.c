/* The session's record: what landed, as its author did it. */
#include "core/layout.h"
#include "land/batch.h"

#include <stdlib.h>

/* Changes by path, as a session has as many operations. */
struct by_path {
        const struct land *land;
        const struct land_change *changes;
        size_t count;
        struct map map; /* index + 1, as a pointer */
};

static enum hif_err index_changes(struct by_path *index)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < index->count && err == HIF_OK; i++)
                err = map_put(&index->map,
                              siphash(index->land->mix, index->changes[i].path.data,
                                      index->changes[i].path.size),
                              (void *)(uintptr_t)(i + 1));
        return err;
}

static const struct land_change *find_change(const struct by_path *index, struct span path)
{
        uintptr_t at =
            (uintptr_t)map_get(&index->map, siphash(index->land->mix, path.data, path.size));

        /* Two paths with one keyed hash: the operation keeps its hash open. */
        return at > 0 && span_eq(index->changes[at - 1].path, path) ? &index->changes[at - 1]
                                                                    : NULL;
}

/* The content that a path has after the session; false: none. */
static bool content_of(const struct land_change *change, struct hif_hash *out)
{
        if (!change || change->kind != LAND_PUT || change->entry_kind == ENTRY_DIR)
                return false;
        *out =
            change->entry_kind == ENTRY_SYMLINK ? hash_of(HASH_BLOB, change->target) : change->hash;
        return true;
}

static enum hif_err fill_ops(const struct by_path *index, struct session_op *ops, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                if (hash_is_zero(&ops[i].hash) &&
                    (ops[i].kind == SESSION_CREATE || ops[i].kind == SESSION_WRITE))
                        (void)content_of(find_change(index, ops[i].path), &ops[i].hash);
        return HIF_OK;
}

static enum hif_err encode(struct land *land, const struct land_change *changes, size_t count,
                           struct buf *body)
{
        struct by_path index = {.land = land, .changes = changes, .count = count};
        struct session session = *land->session;
        AUTO_FREE struct session_op *ops = malloc((session.op_count + 1) * sizeof(*ops));
        enum hif_err err = ops ? HIF_OK : HIF_ENOMEM;

        if (err == HIF_OK && session.op_count > 0) {
                memcpy(ops, session.ops, session.op_count * sizeof(*ops));
                err = index_changes(&index);
                if (err == HIF_OK)
                        err = fill_ops(&index, ops, session.op_count);
        }
        map_free(&index.map);
        if (err != HIF_OK)
                return err;
        session.ops = ops;
        session.state = SESSION_LANDED;
        err = session_put(body, &session);
        return err == HIF_OK && buf_failed(body) ? HIF_ENOMEM : err;
}

enum hif_err record_put(struct land *land, const struct land_change *changes, size_t count,
                        struct puts *puts, struct hif_hash *hash, struct hif_why *why)
{
        struct layout_key key;
        struct buf body = {0};
        enum hif_err err = encode(land, changes, count, &body);

        if (err != HIF_OK) {
                buf_free(&body);
                return why_set(why, err, "the session's record cannot be encoded: %s",
                               hif_strerror(err));
        }
        *hash = hash_of(HASH_SESSION, buf_span(&body));
        if (known_find(&land->known, KNOWN_OBJECT, hash) ||
            (puts->known && known_find(puts->known, KNOWN_OBJECT, hash))) {
                buf_free(&body);
                return HIF_OK;
        }
        key = layout_session(&land->project->layout, &land->session->id, hash);
        return puts_add(puts, &key, hash, &body, NULL, why);
}
