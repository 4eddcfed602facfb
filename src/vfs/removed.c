/* removed.c - nodes that have lost their last name, and when their content may go. */
#include "vfs/internal.h"

#include "base/log.h"

#include <stdlib.h>

#define PURGE_EVERY_NS (5ull * 1000000000)
#define PURGE_BATCH    256 /* a turn */

struct removed {
        uint64_t id;
        uint64_t since_ns;
        struct removed *next;
};

static void arm(struct vfs *vfs)
{
        if (vfs->purge.due_ns == 0 && vfs->removed_first != NULL)
                loop_timer_arm(vfs->config.loop, &vfs->purge, PURGE_EVERY_NS);
}

static void append(struct vfs *vfs, struct removed *removed)
{
        removed->next = NULL;
        if (vfs->removed_last != NULL)
                vfs->removed_last->next = removed;
        else
                vfs->removed_first = removed;
        vfs->removed_last = removed;
}

void removed_note(struct vfs *vfs, uint64_t id)
{
        struct removed *removed = malloc(sizeof(*removed));

        if (removed == NULL)
                return;
        *removed = (struct removed){.id = id, .since_ns = loop_now_ns(vfs->config.loop)};
        append(vfs, removed);
        arm(vfs);
}

static bool in_base(const struct vfs *vfs, uint64_t id)
{
        uint64_t rank;

        return runs_rank(&vfs->runs, id, &rank);
}

/* A node of the base keeps its row, which says that it is gone; all else goes. */
static void purge_node(const struct vfs *vfs, struct otx *tx, const struct onode *row)
{
        if (in_base(vfs, row->id))
                otx_drop_extents(tx, row->id);
        else
                otx_node_del(tx, row->id);
}

static void purge(struct loop_timer *timer)
{
        struct vfs *vfs = (struct vfs *)((char *)timer - offsetof(struct vfs, purge));
        uint64_t now = loop_now_ns(vfs->config.loop);
        struct otx *tx = NULL;
        uint64_t seq;

        for (size_t i = 0; i < PURGE_BATCH && vfs->removed_first != NULL; i++) {
                struct removed *oldest = vfs->removed_first;
                const struct onode *row = overlay_node(vfs->config.overlay, oldest->id);

                if (now - oldest->since_ns < VFS_REMOVED_GRACE_MS * 1000000ull)
                        break;
                vfs->removed_first = oldest->next;
                if (oldest->next == NULL)
                        vfs->removed_last = NULL;
                if (map_get(&vfs->held, oldest->id) != NULL) {
                        oldest->since_ns = now;
                        append(vfs, oldest);
                        continue;
                }
                if (row != NULL && (row->flags & ONODE_REMOVED) != 0) {
                        if (tx == NULL) {
                                tx = otx_begin(vfs->config.overlay);
                                otx_need(tx, OVERLAY_FREEING);
                        }
                        purge_node(vfs, tx, row);
                }
                free(oldest);
        }
        if (tx != NULL && otx_commit(tx, &seq) != HIF_OK)
                log_line(vfs->config.env->log, LOG_WARN, "vfs",
                         "removed nodes could not be purged; they go at the next start");
        vfs->dirty = vfs->dirty || tx != NULL;
        arm(vfs);
}

static bool find_removed(void *arg, const struct onode *row)
{
        if ((row->flags & ONODE_REMOVED) != 0 && (!in_base(arg, row->id) || row->extent_count > 0))
                removed_note(arg, row->id);
        return true;
}

void removed_init(struct vfs *vfs)
{
        vfs->purge.run = purge;
        overlay_each_node(vfs->config.overlay, find_removed, vfs);
}

void removed_close(struct vfs *vfs)
{
        loop_timer_disarm(vfs->config.loop, &vfs->purge);
        while (vfs->removed_first != NULL) {
                struct removed *next = vfs->removed_first->next;

                free(vfs->removed_first);
                vfs->removed_first = next;
        }
        vfs->removed_last = NULL;
        map_free(&vfs->held);
}

enum hif_err vfs_hold(struct vfs *vfs, uint64_t id)
{
        uintptr_t count = (uintptr_t)map_get(&vfs->held, id);

        return map_put(&vfs->held, id, (void *)(count + 1));
}

void vfs_release(struct vfs *vfs, uint64_t id)
{
        uintptr_t count = (uintptr_t)map_get(&vfs->held, id);

        if (count <= 1) {
                map_del(&vfs->held, id);
                return;
        }
        /* Replacing a value that is there needs no memory. */
        if (map_put(&vfs->held, id, (void *)(count - 1)) != HIF_OK)
                map_del(&vfs->held, id);
}
