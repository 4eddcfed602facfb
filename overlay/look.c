/* look.c - what an overlay holds, and its numbers: questions that change nothing. */
#include "overlay/state.h"

#include <assert.h>

/* --- rows --- */

const struct onode *overlay_node(const struct overlay *overlay, uint64_t id)
{
        const struct node_row *row = rows_node(&overlay->rows, id);

        return row == NULL ? NULL : &row->node;
}

uint64_t overlay_new_id(struct overlay *overlay)
{
        return overlay->ids_next++;
}

void overlay_each_node(const struct overlay *overlay,
                       bool (*each)(void *arg, const struct onode *node), void *arg)
{
        uint64_t id;
        void *row;

        for (struct idmap_at at = {0}; idmap_next(&overlay->rows.nodes, &at, &id, &row);)
                if (!each(arg, &((struct node_row *)row)->node))
                        return;
}

void overlay_each_node_of(const struct overlay *overlay, uint32_t part,
                          bool (*each)(void *arg, const struct onode *node), void *arg)
{
        uint64_t id;
        void *row;

        _Static_assert(OVERLAY_PARTS == IDMAP_SHARDS, "a part is a shard");
        for (struct idmap_at at = {.shard = part};
             idmap_next(&overlay->rows.nodes, &at, &id, &row) && at.shard == part;)
                if (!each(arg, &((struct node_row *)row)->node))
                        return;
}

uint64_t overlay_torn(const struct overlay *overlay)
{
        return overlay->torn;
}

const struct odirent *overlay_dirent(const struct overlay *overlay, uint64_t dir, uint64_t hash60,
                                     struct span name)
{
        return dirents_get(&overlay->rows.dirents, dir, hash60, name);
}

size_t overlay_dirent_count(const struct overlay *overlay, uint64_t dir)
{
        return dirents_count_of(&overlay->rows.dirents, dir);
}

/* The tree remembers where its last row lies, which is not a change that anyone sees. */
static struct dirents *dirents_of(const struct overlay *overlay)
{
        return (struct dirents *)(uintptr_t)&overlay->rows.dirents;
}

const struct odirent *overlay_dirent_seek(const struct overlay *overlay, uint64_t dir,
                                          uint64_t hash60, struct span name)
{
        const struct odirent *row = dirents_seek(dirents_of(overlay), dir, hash60, name);

        return row != NULL && row->dir == dir ? row : NULL;
}

const struct odirent *overlay_dirent_next(const struct overlay *overlay, const struct odirent *row)
{
        const struct odirent *next = dirents_next(dirents_of(overlay), row);

        return next != NULL && next->dir == row->dir ? next : NULL;
}

void overlay_each_dirent(const struct overlay *overlay,
                         bool (*each)(void *arg, const struct odirent *row), void *arg)
{
        dirents_each(&overlay->rows.dirents, each, arg);
}

const struct overlay_reply *overlay_reply(const struct overlay *overlay, uint64_t key)
{
        return replies_find(overlay->rows.replies, key);
}

struct span overlay_value(const struct overlay *overlay, const char *name)
{
        const struct value_row *row = rows_value(&overlay->rows, span_str(name));

        return row == NULL ? (struct span){0} : row->value;
}

size_t overlay_note_count(const struct overlay *overlay)
{
        return overlay->rows.notes.count;
}

size_t overlay_note_bytes(const struct overlay *overlay)
{
        return overlay->rows.notes.bytes;
}

struct onote overlay_note(const struct overlay *overlay, size_t index)
{
        assert(index < overlay->rows.notes.count);
        return overlay->rows.notes.rows[index]->note;
}

/* --- content --- */

enum hif_err overlay_read(struct overlay *overlay, const struct opiece *piece, bool wait, void *out)
{
        assert(piece->kind == OPIECE_DATA);
        return data_read(&overlay->data, piece->file, piece->at, piece->size, wait, out);
}

static void load_run(struct pool_job *job)
{
        struct overlay_load *load =
            (struct overlay_load *)((char *)job - offsetof(struct overlay_load, job));
        struct opiece piece = load->piece;
        enum hif_err err = HIF_OK;
        uint8_t page[16384];

        /* Reading is what brings it in; where the bytes go does not matter. */
        while (piece.size > 0 && err == HIF_OK) {
                uint64_t size = piece.size < sizeof(page) ? piece.size : sizeof(page);

                err = data_read(&load->overlay->data, piece.file, piece.at, size, true, page);
                piece.at += size;
                piece.size -= size;
        }
        load->done(load, err);
}

void overlay_load(struct overlay *overlay, struct overlay_load *load)
{
        load->overlay = overlay;
        load->job.run = load_run;
        if (overlay->pool != NULL)
                pool_submit(overlay->pool, &load->job);
        else
                load_run(&load->job);
}

uint64_t overlay_freeze(struct overlay *overlay)
{
        data_freeze(&overlay->data);
        return overlay->seq;
}

void overlay_thaw(struct overlay *overlay)
{
        data_thaw(&overlay->data);
}

/* --- numbers --- */

uint64_t overlay_seq(const struct overlay *overlay)
{
        return overlay->seq;
}

uint64_t overlay_durable(const struct overlay *overlay)
{
        return overlay->durable;
}

uint64_t overlay_verifier(const struct overlay *overlay)
{
        return overlay->verifier;
}

enum overlay_durability overlay_durability(const struct overlay *overlay)
{
        return overlay->config.durability;
}

void overlay_set_durability(struct overlay *overlay, enum overlay_durability durability)
{
        overlay->config.durability = durability;
}

uint64_t overlay_reserve(const struct overlay *overlay)
{
        return overlay->data.reserve_bytes;
}

struct overlay_stats overlay_stats(const struct overlay *overlay)
{
        pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&overlay->lock;
        struct overlay_stats stats = {.nodes = overlay->rows.nodes.count,
                                      .dirents = overlay->rows.dirents.count,
                                      .data_bytes = overlay->data.live_bytes};

        pthread_mutex_lock(lock);
        stats.log_bytes = overlay->log.bytes;
        stats.syncs = overlay->syncs;
        stats.folds = overlay->folds;
        pthread_mutex_unlock(lock);
        return stats;
}
