/* workspace_left.c - a session that has landed, but not from here: what is only here stays. */
#include "cli/daemon/workspace_work.h"

#include "base/cleanup.h"
#include "core/body.h"
#include "core/key.h"

/* The content's name; false: not known without reading a large file. */
static enum hif_err hash_of_item(const struct work *work, struct vfs_expanded *item, bool *known)
{
        enum hif_err err = HIF_OK;

        if (!item->have_hash && item->content != NULL && item->size <= BODY_BLOB_MAX) {
                err = vfs_content_hash(&work->snapshot, item->content, &item->hash);
                item->have_hash = err == HIF_OK;
        }
        *known = item->have_hash;
        return err;
}

static enum hif_err has_landed(const struct work *work, struct vfs_expanded *item,
                               const struct entry *entry, bool *landed)
{
        struct hif_hash hash;
        bool known;
        enum hif_err err;

        *landed = false;
        if (item->remove || entry == NULL) {
                *landed = item->remove && entry == NULL;
                return HIF_OK;
        }
        if (entry->kind != item->entry_kind)
                return HIF_OK;
        if (entry->kind == ENTRY_DIR) {
                *landed = true;
                return HIF_OK;
        }
        if (entry->kind == ENTRY_SYMLINK) {
                hash = hash_of(HASH_BLOB, item->target);
                *landed = hash_eq(&hash, &entry->hash);
                return HIF_OK;
        }
        if (entry->size != item->size)
                return HIF_OK;
        err = hash_of_item(work, item, &known);
        *landed = err == HIF_OK && known && hash_eq(&item->hash, &entry->hash);
        return err;
}

enum hif_err work_keep_unlanded(struct work *work, const struct hif_hash *tree)
{
        struct tree_cursor cursor;
        enum hif_err err = HIF_OK;

        tree_cursor_init(&cursor, &work->nodes.source);
        for (size_t i = 0; i < work->expanded_count && err == HIF_OK; i++) {
                struct vfs_expanded *item = &work->expanded[i];
                AUTO_BUF struct buf key = {0};
                struct entry entry;
                bool landed = false;

                if (item->skip)
                        continue;
                key_from_path(&key, item->path);
                if (buf_failed(&key)) {
                        err = HIF_ENOMEM;
                        break;
                }
                err = tree_find(&cursor, tree, buf_span(&key), &entry, NULL);
                if (err == HIF_OK || err == HIF_ENOENT)
                        err = has_landed(work, item, err == HIF_OK ? &entry : NULL, &landed);
                item->skip = !landed;
        }
        tree_cursor_close(&cursor);
        return err;
}
