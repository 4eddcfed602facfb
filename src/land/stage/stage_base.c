/* What base has already: contents that a slot's tree reaches, and that need no upload. */
#include "core/key.h"
#include "land/internal.h"

#include <inttypes.h>
#include <stdlib.h>

bool stage_needs_content(const struct land_change *change)
{
        return change->kind == LAND_PUT && !change->have_hash &&
               (change->entry_kind == ENTRY_FILE || change->entry_kind == ENTRY_EXEC);
}

/* Base's content at a path needs no upload: a slot's tree reaches it. */
static enum hif_err reach_entry(struct land *land, struct stage_shared *shared,
                                const struct entry *entry)
{
        struct known *known;
        enum hif_err err = HIF_OK;

        if (!entry_is_file(entry) || entry->size == 0)
                return HIF_OK;
        pthread_mutex_lock(&shared->mutex);
        if (entry->size > BODY_BLOB_MAX) {
                err = content_reached(land->project, &land->known, entry);
        } else {
                enum known_kind kind = entry->loc.size > 0 ? KNOWN_PACKED : KNOWN_BLOB;

                if (!known_find(&land->known, kind, &entry->hash)) {
                        known = known_add(&land->known, kind, &entry->hash);
                        if (known) {
                                known->reached = true;
                                known->loc = entry->loc;
                        }
                        err = known ? HIF_OK : HIF_ENOMEM;
                }
        }
        pthread_mutex_unlock(&shared->mutex);
        return err;
}

static int compare_spans(const void *a, const void *b)
{
        return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static enum hif_err reach_keys(struct land *land, struct stage_shared *shared, struct span *keys,
                               size_t count, struct hif_why *why)
{
        struct tree_cursor cursor;
        enum hif_err err;

        qsort(keys, count, sizeof(*keys), compare_spans);
        err = node_reader_touch(land->reader, &land->base_tree, keys, count);
        tree_cursor_init(&cursor, node_reader_source(land->reader));
        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                struct entry entry;

                err = tree_find(&cursor, &land->base_tree, keys[i], &entry, NULL);
                if (err == HIF_OK)
                        err = reach_entry(land, shared, &entry);
                else if (err == HIF_ENOENT)
                        err = HIF_OK;
        }
        tree_cursor_close(&cursor);
        if (err != HIF_OK)
                (void)why_set(why, err, "cannot read the tree of @%" PRIu64 ": %s%s",
                              land->session->base_position, hif_strerror(err), next_step(err));
        return err;
}

static enum hif_err add_key(struct arena *arena, struct span path, struct span *out)
{
        AUTO_BUF struct buf key = {0};

        key_from_path(&key, path);
        *out = arena_span(arena, buf_span(&key));
        return buf_failed(&key) || !out->data ? HIF_ENOMEM : HIF_OK;
}

enum hif_err stage_reach_base(struct land *land, struct stage_shared *shared, size_t first,
                              size_t count, struct hif_why *why)
{
        struct arena arena = {0};
        struct span *keys = malloc(2 * count * sizeof(*keys));
        size_t n = 0;
        enum hif_err err = keys ? HIF_OK : why_set(why, HIF_ENOMEM, "out of memory");

        for (size_t i = first; i < first + count && err == HIF_OK; i++) {
                const struct land_change *change = &shared->changes[i];

                if (!stage_needs_content(change) || change->size == 0)
                        continue;
                err = add_key(&arena, change->path, &keys[n++]);
                if (err == HIF_OK && change->path_from.size > 0)
                        err = add_key(&arena, change->path_from, &keys[n++]);
        }
        if (err == HIF_OK && n > 0)
                err = reach_keys(land, shared, keys, n, why);
        free(keys);
        arena_free(&arena);
        return err;
}
