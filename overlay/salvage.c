/* salvage.c - opening what can still be read of an overlay, for reading only. Nothing in its
 * directory changes: what one cannot read today, someone else may be able to. */
#include "overlay/state.h"

#include "core/key.h"
#include "overlay/db_salvage.h"

#include <fcntl.h>
#include <stdio.h>

#define DEPTH_MAX PATH_DEPTH_MAX

/* --- rows that hang together --- */

/* Keys of rows, gathered while their map may not change. */
static void drop_nodes(struct rows *rows, const struct buf *ids)
{
        for (size_t i = 0; i + sizeof(uint64_t) <= ids->size; i += sizeof(uint64_t)) {
                struct item item = {.kind = ITEM_DEL_NODE};

                memcpy(&item.id, ids->data + i, sizeof(item.id));
                (void)!rows_apply_item(rows, 0, &item); /* removing needs no room */
        }
}

/* A record before it was lost: half of a node is there, or a name that no file system has. */
static bool is_half(const struct onode *node)
{
        if ((node->flags & ONODE_PLACED) != 0 && !name_valid(node->name))
                return true;
        return node->kind == 0 && ((node->flags & ONODE_ATTRS) != 0 || !nodeid_is_base(node->id)) &&
               node->id != NODEID_ROOT;
}

static enum hif_err drop_halves(struct overlay *overlay)
{
        struct buf ids = {0};
        uint64_t id;
        void *row;

        for (struct idmap_at at = {0}; idmap_next(&overlay->rows.nodes, &at, &id, &row);)
                if (is_half(&((struct node_row *)row)->node))
                        buf_put(&ids, &id, sizeof(id));
        if (buf_failed(&ids)) {
                buf_free(&ids);
                return HIF_ENOMEM;
        }
        if (ids.size > 0)
                damage_add(overlay->damage,
                           "%zu file(s) or directories are known in part only, and left out",
                           ids.size / sizeof(id));
        drop_nodes(&overlay->rows, &ids);
        buf_free(&ids);
        return HIF_OK;
}

/* Does the directory hang on the root, or on something that has no name any more? */
static bool is_rooted(const struct rows *rows, uint64_t id)
{
        for (size_t depth = 0; depth < DEPTH_MAX; depth++) {
                const struct node_row *row = rows_node(rows, id);

                if (id == NODEID_ROOT)
                        return true;
                if (row == NULL)
                        return false;
                if ((row->node.flags & ONODE_REMOVED) != 0)
                        return true;
                if ((row->node.flags & ONODE_PLACED) == 0)
                        return false;
                id = row->node.parent;
        }
        return false;
}

struct dropping {
        struct rows *rows;
        struct buf list; /* of struct odirent */
};

static bool note_loose(void *arg, const struct odirent *row)
{
        struct dropping *dropping = arg;

        if (!name_valid(row->name) || !is_rooted(dropping->rows, row->dir) ||
            (row->child != NODEID_NONE && rows_node(dropping->rows, row->child) == NULL))
                buf_put(&dropping->list, row, sizeof(*row));
        return !buf_failed(&dropping->list);
}

static enum hif_err drop_loose_names(struct overlay *overlay)
{
        struct dropping dropping = {.rows = &overlay->rows};
        struct dirents *dirents = &overlay->rows.dirents;
        size_t count;

        dirents_each(dirents, note_loose, &dropping);
        if (buf_failed(&dropping.list)) {
                buf_free(&dropping.list);
                return HIF_ENOMEM;
        }
        count = dropping.list.size / sizeof(struct odirent);
        if (count > 0)
                damage_add(overlay->damage,
                           "%zu name(s) are left out: the directory they were in, or what they "
                           "named, is lost",
                           count);
        /* The name in the copy is the row's own: it is read before the row goes. */
        for (size_t i = 0; i < count; i++) {
                struct odirent row;

                memcpy(&row, dropping.list.data + i * sizeof(row), sizeof(row));
                dirents_del(dirents, row.dir, row.hash60, row.name);
        }
        buf_free(&dropping.list);
        return HIF_OK;
}

static bool is_unnamed(const struct rows *rows, const struct onode *node)
{
        return !nodeid_is_base(node->id) && node->id != NODEID_ROOT &&
               (node->flags & (ONODE_PLACED | ONODE_REMOVED)) == ONODE_PLACED &&
               dirents_get(&rows->dirents, node->parent, name_hash60(node->name), node->name) ==
                   NULL;
}

/* Nodes know where they are, too: names that are lost are made again from that. */
static enum hif_err name_again(struct overlay *overlay)
{
        struct rows *rows = &overlay->rows;
        uint64_t id;
        void *value;
        enum hif_err err = HIF_OK;

        for (struct idmap_at at = {0};
             err == HIF_OK && idmap_next(&rows->nodes, &at, &id, &value);) {
                const struct onode *node = &((struct node_row *)value)->node;

                if (is_unnamed(rows, node))
                        err = dirents_put(&rows->dirents,
                                          &(struct odirent){.dir = node->parent,
                                                            .hash60 = name_hash60(node->name),
                                                            .name = node->name,
                                                            .child = id,
                                                            .seq = node->seq});
        }
        return err;
}

/* What the merged view asserts of rows that we wrote ourselves is made true again. */
static enum hif_err mend(struct overlay *overlay, bool names_lost)
{
        enum hif_err err;

        if (overlay->damage->count == 0)
                return HIF_OK;
        err = drop_halves(overlay);
        if (err == HIF_OK && names_lost)
                err = name_again(overlay);
        return err == HIF_OK ? drop_loose_names(overlay) : err;
}

/* --- content --- */

struct telling {
        struct overlay *overlay;
        struct idmap *bad; /* numbers of data files that lack something */
};

static bool tell_node(void *arg, const struct onode *node)
{
        struct telling *telling = arg;

        for (uint32_t i = 0; i < node->extent_count; i++) {
                const struct oextent *extent = &node->extents[i];
                const struct dfile *file = idmap_get(telling->bad, extent->file);

                if (file == NULL || extent->at + extent->size <= file->found)
                        continue;
                damage_add(telling->overlay->damage, "content of '%.*s' (%llu bytes) is lost%s",
                           (int)node->name.size, (const char *)node->name.data,
                           (unsigned long long)node->size, i > 0 ? " in part" : "");
                break;
        }
        return true;
}

static enum hif_err tell_content(struct overlay *overlay)
{
        struct idmap bad = {0};
        struct telling telling = {.overlay = overlay, .bad = &bad};
        enum hif_err err = data_check(&overlay->data, overlay->damage, &bad);

        if (err == HIF_OK && bad.count > 0)
                overlay_each_node(overlay, tell_node, &telling);
        idmap_free(&bad);
        if (err == HIF_OK && overlay->damage->count > 0)
                data_tell_orphans(&overlay->data, overlay->damage);
        return err;
}

/* --- opening --- */

struct reading {
        struct overlay *overlay;
        struct oplog_scan scan;
};

static enum hif_err salvage_record(void *arg, uint64_t seq, struct span body)
{
        struct reading *reading = arg;
        struct overlay *overlay = reading->overlay;
        struct reader rd = rd_open(body);
        struct item item = {0};
        enum hif_err err = HIF_OK;

        while (rd_left(&rd) > 0 && err == HIF_OK) {
                err = item_next(&rd, &item);
                if (err == HIF_OK)
                        err = rows_apply_item(&overlay->rows, seq, &item);
                if (err == HIF_OK && item.kind == ITEM_EXTENT && item.carried.size > 0 &&
                    reading->scan.rebooted && seq > reading->scan.marked)
                        err = data_keep(&overlay->data, item.extent.file, item.extent.at,
                                        item.carried);
        }
        return err;
}

static enum hif_err read_all(struct overlay *overlay, struct hif_why *why)
{
        struct db_salvaged folded;
        struct reading reading = {.overlay = overlay};
        char path[OPLOG_PATH_MAX];
        enum hif_err err;

        snprintf(path, sizeof(path), "%s/rows.db", overlay->dir);
        err = db_salvage(overlay->env, path, &overlay->rows, &folded, overlay->damage);
        if (err != HIF_OK)
                return why_set(why, err, "cannot read %s: %s", path, hif_strerror(err));
        if (folded.known && folded.seq < overlay->witness.folded) {
                damage_add(overlay->damage,
                           "rows.db, or its rows.db-wal, is missing or older than it was: it said "
                           "everything up to record %llu, and says it up to %llu",
                           (unsigned long long)overlay->witness.folded,
                           (unsigned long long)folded.seq);
                folded.names_lost = true;
        }
        err = oplog_salvage(&overlay->log, folded.known, folded.generation, folded.seq,
                            salvage_record, &reading, &reading.scan, overlay->damage);
        if (err != HIF_OK)
                return why_set(why, err, "cannot read the log in %s: %s", overlay->dir,
                               hif_strerror(err));
        overlay->seq = overlay->durable = reading.scan.last_seq;
        overlay->ids_next = overlay->rows.ids_next;
        err = tell_content(overlay);
        if (err == HIF_OK)
                err = mend(overlay, folded.names_lost);
        return err == HIF_OK
                   ? err
                   : why_set(why, err, "cannot open %s: %s", overlay->dir, hif_strerror(err));
}

/* A directory that we may not write in has nobody who writes. */
static enum hif_err take_lock(struct overlay *overlay, struct hif_why *why)
{
        const struct env_ops *ops = overlay->env->ops;
        char path[OPLOG_PATH_MAX];
        enum hif_err err;

        snprintf(path, sizeof(path), "%s/lock", overlay->dir);
        err = ops->open(overlay->env, path, O_RDWR | O_CREAT, 0600, &overlay->lock_fd);
        if (err == HIF_EROFS || err == HIF_EDENIED || hif_err_is_full(err))
                err = ops->open(overlay->env, path, O_RDONLY, 0, &overlay->lock_fd);
        if (err != HIF_OK) {
                overlay->lock_fd = -1;
                damage_add(overlay->damage, "lock: cannot be opened: %s", hif_strerror(err));
                return HIF_OK;
        }
        err = env_lock(overlay->env, overlay->lock_fd, path, ENV_LOCK_WAIT_MS);
        if (err == HIF_ENOENT)
                return why_set(why, err, "%s was just moved away", overlay->dir);
        if (err != HIF_OK)
                return why_set(why, HIF_EBUSY, "%s is in use by another process", overlay->dir);
        if (witness_open(&overlay->witness, overlay->lock_fd) != HIF_OK)
                damage_add(overlay->damage, "lock: cannot be read");
        return HIF_OK;
}

enum hif_err overlay_open_salvage(struct env *env, struct pool *pool, const char *dir,
                                  struct overlay **out, struct hif_why *why)
{
        struct overlay *overlay;
        struct stat st;
        enum hif_err err = env->ops->stat(env, dir, &st);

        if (err == HIF_OK)
                err = overlay_new(env, pool, dir, NULL, &overlay);
        if (err != HIF_OK)
                return why_set(why, err, "cannot open %s: %s", dir, hif_strerror(err));
        overlay->damage = calloc(1, sizeof(*overlay->damage));
        overlay->sync_state = SYNC_SALVAGED;
        overlay->data.read_only = true;
        err = overlay->damage != NULL ? take_lock(overlay, why) : HIF_ENOMEM;
        if (err == HIF_OK)
                err = overlay_read_boot(overlay, why);
        if (err == HIF_OK)
                err = read_all(overlay, why);
        if (err != HIF_OK) {
                overlay_free(overlay);
                return err;
        }
        *out = overlay;
        return HIF_OK;
}

size_t overlay_damage_count(const struct overlay *overlay)
{
        return overlay->damage != NULL ? overlay->damage->count : 0;
}

const char *overlay_damage(const struct overlay *overlay, size_t index)
{
        const char *text = index < OVERLAY_DAMAGE_MAX ? overlay->damage->texts[index] : NULL;

        return text != NULL ? text : "more is damaged than is listed here";
}
