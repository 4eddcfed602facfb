/* left.c - what a client has left behind.
 *
 * Linux' NFS client renames a file that it has open, instead of removing it, to ".nfs" and 24 hexadecimal
 * digits, and removes that name when the file is closed. When the machine stops, or the mount is torn
 * down, it does not come to that. */
#include "vfs/internal.h"

#include <ctype.h>

#define PREFIX     ".nfs"
#define DIGITS_MIN 16u /* other versions have had fewer than 24 */
#define BATCH      256u

static bool is_client_name(struct span name)
{
        size_t prefix = sizeof(PREFIX) - 1;

        if (name.size < prefix + DIGITS_MIN || memcmp(name.data, PREFIX, prefix) != 0)
                return false;
        for (size_t i = prefix; i < name.size; i++)
                if (!isxdigit(name.data[i]))
                        return false;
        return true;
}

struct left {
        struct vfs *vfs;
        const struct odirent *rows[BATCH];
        size_t count;
};

static bool collect(void *arg, const struct odirent *row)
{
        struct left *left = arg;
        const struct onode *node;

        if (row->child == NODEID_NONE || !is_client_name(row->name))
                return true;
        node = overlay_node(left->vfs->config.overlay, row->child);
        if (node != NULL && node->kind == ONODE_FILE && (node->flags & ONODE_ATTRS) != 0)
                left->rows[left->count++] = row;
        return left->count < BATCH;
}

static void drop(struct vfs *vfs, struct otx *tx, const struct odirent *row)
{
        struct onode *node = otx_node(tx, row->child);
        struct odirent gone = *row;

        gone.child = NODEID_NONE;
        if (row->base_child == NODEID_NONE)
                otx_dirent_del(tx, row->dir, row->hash60, row->name);
        else
                otx_dirent_put(tx, &gone);
        node->ctime = tick(vfs);
        if (node->nlink > 1) {
                const struct odirent *other = links_other(vfs, row->child, row->dir, row->name);

                node->nlink--;
                if (other != NULL && node->parent == row->dir && span_eq(node->name, row->name)) {
                        node->parent = other->dir;
                        node->name = other->name;
                }
                return;
        }
        node->nlink = 0;
        node->flags |= ONODE_REMOVED;
}

enum hif_err vfs_sweep_left(struct vfs *vfs)
{
        for (;;) {
                struct left left = {.vfs = vfs};
                uint64_t ids[BATCH], seq;
                struct otx *tx;
                enum hif_err err;

                if (vfs->config.read_only)
                        return HIF_OK;
                overlay_each_dirent(vfs->config.overlay, collect, &left);
                if (left.count == 0)
                        return HIF_OK;
                tx = otx_begin(vfs->config.overlay);
                otx_need(tx, OVERLAY_FREEING);
                for (size_t i = 0; i < left.count; i++) {
                        ids[i] = left.rows[i]->child;
                        drop(vfs, tx, left.rows[i]);
                }
                err = otx_commit(tx, &seq);
                if (err != HIF_OK)
                        return err;
                vfs->dirty = true;
                for (size_t i = 0; i < left.count; i++)
                        removed_note(vfs, ids[i]);
        }
}
