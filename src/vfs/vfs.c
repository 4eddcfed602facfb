/* vfs.c - opening and closing a workspace's merged view, and where it stands. */
#include "vfs/internal.h"

#include <stdlib.h>

#define FAULT_DEADLINE_MS  20000
#define PREFETCH_BYTES_MAX (8ull << 20)
#define HYDRATE_BYTES_MAX  (4ull << 30)
#define EPOCH_SIZE         (8 + 2 * HIF_HASH_SIZE)

static void get_epoch(struct reader *rd, struct vfs_base *out)
{
        out->position = rd_u64(rd);
        rd_copy(rd, out->slot.bytes, HIF_HASH_SIZE);
        rd_copy(rd, out->tree.bytes, HIF_HASH_SIZE);
}

enum hif_err vfs_base_stored(const struct overlay *overlay, struct vfs_base *out)
{
        struct span stored = overlay_value(overlay, VALUE_EPOCHS);
        struct reader rd;

        if (stored.size == 0 || stored.size % EPOCH_SIZE != 0)
                return HIF_ECORRUPT;
        rd = rd_open(span_of(stored.data + stored.size - EPOCH_SIZE, EPOCH_SIZE));
        get_epoch(&rd, out);
        return HIF_OK;
}

static enum hif_err load_epochs(struct vfs *vfs, struct hif_why *why)
{
        struct span stored = overlay_value(vfs->config.overlay, VALUE_EPOCHS);
        struct reader rd = rd_open(stored);
        size_t count = stored.size / EPOCH_SIZE;

        if (stored.size % EPOCH_SIZE != 0 || count == 0 || count > EPOCHS_MAX)
                return why_set(
                    why, HIF_ECORRUPT,
                    "the overlay's record of its base in '%s' is damaged; keep that directory, and "
                    "mount another session with --session",
                    vfs->dir);
        vfs->epochs = calloc(count, sizeof(*vfs->epochs));
        if (vfs->epochs == NULL)
                return HIF_ENOMEM;
        for (size_t i = 0; i < count; i++)
                get_epoch(&rd, &vfs->epochs[i]);
        vfs->epoch = (uint32_t)count - 1;
        return HIF_OK;
}

static enum hif_err load_runs(struct vfs *vfs, struct hif_why *why)
{
        struct span stored = overlay_value(vfs->config.overlay, VALUE_RUNS);
        enum hif_err err;

        if (stored.size == 0) {
                runs_init(&vfs->runs, vfs->epoch);
                return HIF_OK;
        }
        err = runs_get(stored, &vfs->runs);
        if (err == HIF_OK && vfs->runs.epoch != vfs->epoch)
                err = HIF_ECORRUPT;
        if (err == HIF_ECORRUPT)
                return why_set(
                    why, err,
                    "the overlay's run table in '%s' is damaged; keep that directory, and mount "
                    "another session with --session",
                    vfs->dir);
        return err;
}

static enum hif_err first_base(struct vfs *vfs, const struct vfs_base *base, struct hif_why *why)
{
        CLEANUP(buf_free) struct buf value = {0};
        struct otx *tx;
        uint64_t seq;
        enum hif_err err;

        buf_put_u64(&value, base->position);
        buf_put(&value, base->slot.bytes, HIF_HASH_SIZE);
        buf_put(&value, base->tree.bytes, HIF_HASH_SIZE);
        if (buf_failed(&value))
                return HIF_ENOMEM;
        tx = otx_begin(vfs->config.overlay);
        otx_need(tx, OVERLAY_LANDING);
        otx_value(tx, VALUE_EPOCHS, buf_span(&value));
        err = otx_commit(tx, &seq);
        if (err != HIF_OK)
                return why_set(why, err, "the session's base could not be recorded in '%s': %s",
                               vfs->config.dir, hif_strerror(err));
        return HIF_OK;
}

/* What comes is later than all that was given before, also where the clock is not. */
static bool note_ctime(void *arg, const struct onode *row)
{
        struct hif_time *last = arg;

        if ((row->flags & ONODE_ATTRS) != 0 &&
            (row->ctime.sec > last->sec ||
             (row->ctime.sec == last->sec && row->ctime.nsec > last->nsec)))
                *last = row->ctime;
        return true;
}

static enum hif_err init(struct vfs *vfs, const struct vfs_base *first, struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        if (first != NULL)
                err = first_base(vfs, first, why);
        if (err == HIF_OK)
                err = load_epochs(vfs, why);
        if (err == HIF_OK)
                err = load_runs(vfs, why);
        if (err == HIF_OK)
                err = vcache_init(&vfs->cache);
        if (err == HIF_OK)
                err = fetch_hints_new(vfs->config.origin, &vfs->directory_hints);
        if (err == HIF_OK)
                err = fetch_hints_new(vfs->config.origin, &vfs->chunk_hints);
        if (err == HIF_OK)
                err = park_init(vfs);
        if (err != HIF_OK)
                return err;
        fetch_nodes_init(&vfs->nodes, vfs->config.fetch);
        tree_cursor_init(&vfs->cursor, &vfs->nodes.source);
        tree_cursor_init(&vfs->scan, &vfs->nodes.source);
        overlay_each_node(vfs->config.overlay, note_ctime, &vfs->last_ctime);
        removed_init(vfs);
        return HIF_OK;
}

enum hif_err vfs_open(const struct vfs_config *config, const struct vfs_base *first,
                      struct vfs **out, struct hif_why *why)
{
        struct vfs *vfs = calloc(1, sizeof(*vfs));
        enum hif_err err;

        if (vfs == NULL)
                return HIF_ENOMEM;
        vfs->config = *config;
        vfs->dir = strdup(config->dir);
        vfs->config.dir = vfs->dir;
        if (config->fault_deadline_ms == 0)
                vfs->config.fault_deadline_ms = FAULT_DEADLINE_MS;
        if (config->prefetch_bytes_max == 0)
                vfs->config.prefetch_bytes_max = PREFETCH_BYTES_MAX;
        if (config->hydrate_bytes_max == 0)
                vfs->config.hydrate_bytes_max = HYDRATE_BYTES_MAX;
        err = vfs->dir != NULL ? init(vfs, first, why) : HIF_ENOMEM;
        if (err != HIF_OK) {
                vfs_close(vfs);
                return err;
        }
        *out = vfs;
        return HIF_OK;
}

void vfs_close(struct vfs *vfs)
{
        if (vfs == NULL)
                return;
        vfs->closing = true;
        park_close(vfs);
        if (vfs->purge.run != NULL)
                removed_close(vfs);
        fetch_hints_free(vfs->directory_hints);
        fetch_hints_free(vfs->chunk_hints);
        tree_cursor_close(&vfs->cursor);
        tree_cursor_close(&vfs->scan);
        vcache_free(&vfs->cache);
        links_free(vfs);
        runs_free(&vfs->runs);
        buf_free(&vfs->key);
        buf_free(&vfs->prefix);
        buf_free(&vfs->place_names);
        free(vfs->placements);
        free(vfs->epochs);
        free(vfs->dir);
        free(vfs);
}

struct vfs_base vfs_base(const struct vfs *vfs)
{
        return vfs->epochs[vfs->epoch];
}

struct overlay *vfs_overlay(struct vfs *vfs)
{
        return vfs->config.overlay;
}

struct loop *vfs_loop(struct vfs *vfs)
{
        return vfs->config.loop;
}

struct vfs_stats vfs_stats(const struct vfs *vfs)
{
        struct vfs_stats stats = vfs->stats;

        stats.cached_nodes = vfs->cache.count;
        stats.held = vfs->held.count;
        return stats;
}
