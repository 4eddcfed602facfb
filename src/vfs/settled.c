#include "vfs/settled.h"

#include "vfs/internal.h"

#include <stdlib.h>

#define ROWS_A_STEP 2000u

struct looking {
        struct vfs_settled *settled;
        const struct overlay *overlay;
        size_t rows;
        enum hif_err err;
};

/* Does the file have a name that may land? Its path goes to `out`, then. */
static bool path_of(const struct overlay *overlay, const struct onode *node, struct buf *out)
{
        struct span names[PATH_DEPTH_MAX];
        size_t depth = 0;

        for (;;) {
                if (depth == PATH_DEPTH_MAX || (node->flags & ONODE_REMOVED) != 0 ||
                    (node->flags & ONODE_PLACED) == 0 || name_is_local(node->name))
                        return false;
                names[depth++] = node->name;
                if (node->parent == NODEID_ROOT)
                        break;
                node = overlay_node(overlay, node->parent);
                if (node == NULL)
                        return false;
        }
        for (size_t i = depth; i > 0; i--) {
                buf_put_span(out, names[i - 1]);
                if (i > 1)
                        buf_put_u8(out, '/');
        }
        return true;
}

static enum hif_err copy(struct looking *looking, const struct onode *node, struct buf *list)
{
        struct arena *arena = &looking->settled->arena;
        CLEANUP(buf_free) struct buf path = {0};
        struct vfs_settled_file file = {
            .node = node->id,
            .changed = (node->flags & ONODE_CONTENT) != 0,
            .content = {.base = node->base, .size = node->size, .data_seq = node->data_seq}};
        size_t max = (size_t)node->extent_count * 2 + 2;

        if (!path_of(looking->overlay, node, &path))
                return HIF_OK;
        if (path.size > PATH_SIZE_MAX)
                return HIF_OK; /* it cannot land, and landing says so */
        file.path = arena_span(arena, buf_span(&path));
        if (file.changed) {
                file.content.pieces = arena_alloc(arena, max * sizeof(*file.content.pieces));
                if (file.content.pieces == NULL)
                        return HIF_ENOMEM;
                file.content.piece_count =
                    overlay_pieces(node, 0, node->size, file.content.pieces, max);
        }
        buf_put(list, &file, sizeof(file));
        return buf_failed(&path) || buf_failed(list) || file.path.data == NULL ? HIF_ENOMEM
                                                                               : HIF_OK;
}

static bool is_always(const struct vfs_settled *settled, const struct onode *node)
{
        for (size_t i = 0; i < settled->always_count; i++)
                if (span_eq(node->name, settled->always[i]))
                        return true;
        return false;
}

static bool look(void *arg, const struct onode *node)
{
        struct looking *looking = arg;
        struct vfs_settled *settled = looking->settled;
        bool changed = (node->flags & ONODE_CONTENT) != 0;

        looking->rows++;
        if (node->kind != ONODE_FILE || (node->flags & ONODE_REMOVED) != 0)
                return true;
        if (is_always(settled, node) && (changed || node->base.kind != 0))
                looking->err = copy(looking, node, &settled->always_list);
        if (looking->err != HIF_OK || !changed || !settled->wants(settled->arg, node))
                return looking->err == HIF_OK;
        if (vfs_settled_count(&settled->list) >= settled->files_max) {
                settled->full = true;
                return true; /* rule files are wanted all the same */
        }
        looking->err = copy(looking, node, &settled->list);
        return looking->err == HIF_OK;
}

enum hif_err vfs_settled_step(struct vfs *vfs, struct vfs_settled *settled, bool *done)
{
        struct looking looking = {.settled = settled, .overlay = vfs->config.overlay};
        struct vfs_base base = vfs_base(vfs);

        if (settled->part == 0)
                settled->base = base;
        else if (!hash_eq(&base.slot, &settled->base.slot))
                return HIF_EAGAIN;
        while (settled->part < OVERLAY_PARTS && looking.rows < ROWS_A_STEP) {
                overlay_each_node_of(looking.overlay, settled->part++, look, &looking);
                if (looking.err != HIF_OK)
                        return looking.err;
        }
        *done = settled->part == OVERLAY_PARTS;
        return HIF_OK;
}

void vfs_settled_free(struct vfs_settled *settled)
{
        buf_free(&settled->list);
        buf_free(&settled->always_list);
        arena_free(&settled->arena);
}
