#include "cli/daemon/workspace_changes.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "cli/daemon/call.h"

#include <stdlib.h>

#define RULES_SIZE_MAX (1u << 20)

struct change_rules {
        struct workspace *workspace;
        struct vfs_snapshot *snapshot;
        struct ignore *ignore;
        struct map loaded;  /* hash of a directory's path -> anything */
        struct map changed; /* hash of a changed rule file's path -> struct vfs_change */
        struct fetch_nodes_blocking nodes;
        struct tree_cursor cursor;
};

static uint64_t path_key(struct span path)
{
        struct hif_hash hash = hash_of(HASH_BLOB, path);

        return hash_prefix(&hash);
}

static bool is_rule_file(struct span name)
{
        return span_eq(name, span_str(".gitignore")) || span_eq(name, span_str(".hifignore"));
}

enum hif_err change_rules_new(struct workspace *workspace, struct vfs_snapshot *snapshot,
                              struct change_rules **out)
{
        struct change_rules *rules = calloc(1, sizeof(*rules));
        enum hif_err err = HIF_OK;

        if (rules == NULL)
                return HIF_ENOMEM;
        rules->workspace = workspace;
        rules->snapshot = snapshot;
        fetch_nodes_blocking_init(&rules->nodes, workspace->origin);
        tree_cursor_init(&rules->cursor, &rules->nodes.source);
        err = ignore_new(&rules->ignore);
        for (size_t i = 0; i < snapshot->change_count && err == HIF_OK; i++) {
                struct vfs_change *change = &snapshot->changes[i];

                if (is_rule_file(path_name(change->path)))
                        err = map_put(&rules->changed, path_key(change->path), change);
        }
        if (err != HIF_OK) {
                change_rules_free(rules);
                return err;
        }
        *out = rules;
        return HIF_OK;
}

void change_rules_free(struct change_rules *rules)
{
        if (rules == NULL)
                return;
        tree_cursor_close(&rules->cursor);
        map_free(&rules->loaded);
        map_free(&rules->changed);
        ignore_free(rules->ignore);
        free(rules);
}

/* Out of the cache, if it is there. */
static enum hif_err base_content(struct workspace *workspace, const struct entry *entry,
                                 size_t size_max, struct buf *out)
{
        struct opiece piece = {.kind = OPIECE_BASE, .size = entry->size};
        struct vfs_content content = {
            .pieces = &piece, .piece_count = 1, .base = *entry, .size = entry->size};
        struct vfs_snapshot view = {.origin = workspace->origin};
        uint8_t *bytes;
        enum hif_err err;

        if (entry->size > size_max)
                return HIF_ELIMIT;
        bytes = buf_reserve(out, (size_t)entry->size);
        if (bytes == NULL)
                return HIF_ENOMEM;
        err = vfs_content_read(&view, &content, 0, bytes, (size_t)entry->size);
        if (err == HIF_OK)
                buf_extend(out, (size_t)entry->size);
        return err;
}

/* The rule file as the workspace has it; HIF_ENOENT: none. */
static enum hif_err rule_file(struct change_rules *rules, struct span path, struct buf *out)
{
        const struct vfs_change *change = map_get(&rules->changed, path_key(path));
        CLEANUP(buf_free) struct buf key = {0};
        struct entry entry;
        enum hif_err err;

        if (change != NULL) {
                if (change->kind == VFS_DELETED)
                        return HIF_ENOENT;
                return change_new_content(rules->workspace, rules->snapshot, change, RULES_SIZE_MAX,
                                          out);
        }
        if (path.size > PATH_SIZE_MAX)
                return HIF_ENOENT; /* no tree holds it */
        key_from_path(&key, path);
        if (buf_failed(&key))
                return HIF_ENOMEM;
        err = tree_find(&rules->cursor, &rules->snapshot->base.tree, buf_span(&key), &entry, NULL);
        if (err != HIF_OK)
                return err;
        return entry_is_file(&entry) ? base_content(rules->workspace, &entry, RULES_SIZE_MAX, out)
                                     : HIF_ENOENT;
}

static enum hif_err load_dir(struct change_rules *rules, struct span dir)
{
        static const char *const names[] = {".gitignore", ".hifignore"};
        uint64_t key = path_key(dir);
        enum hif_err err;

        if (map_get(&rules->loaded, key) != NULL)
                return HIF_OK;
        for (size_t i = 0; i < 2; i++) {
                CLEANUP(buf_free) struct buf path = {0}, text = {0};

                buf_put_span(&path, dir);
                if (dir.size > 0)
                        buf_put_u8(&path, '/');
                buf_put_span(&path, span_str(names[i]));
                if (buf_failed(&path))
                        return HIF_ENOMEM;
                err = rule_file(rules, buf_span(&path), &text);
                if (err == HIF_OK)
                        err = ignore_add(rules->ignore, dir, buf_span(&text));
                if (err != HIF_OK && err != HIF_ENOENT && err != HIF_ELIMIT)
                        return err;
        }
        return map_put(&rules->loaded, key, rules);
}

enum hif_err change_rules_match(struct change_rules *rules, struct span path, bool is_dir,
                                bool *ignored)
{
        enum hif_err err = HIF_OK;

        /* Outer rules first: inner ones override. */
        for (size_t i = 0; i < path.size && err == HIF_OK; i++)
                if (i == 0 || path.data[i] == '/')
                        err = load_dir(rules, span_of(path.data, i));
        return err == HIF_OK ? ignore_match(rules->ignore, path, is_dir, ignored) : err;
}

enum hif_err changes_skip_ignored(struct workspace *workspace, struct vfs_snapshot *snapshot,
                                  struct vfs_expanded *expanded, size_t count, struct hif_why *why)
{
        struct change_rules *rules;
        CLEANUP(buf_free) struct buf key = {0};
        enum hif_err err = change_rules_new(workspace, snapshot, &rules);

        if (err != HIF_OK)
                return err;
        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                struct entry entry;

                if (expanded[i].remove)
                        continue;
                err = change_rules_match(rules, expanded[i].path,
                                         expanded[i].entry_kind == ENTRY_DIR, &expanded[i].skip);
                if (err != HIF_OK || !expanded[i].skip)
                        continue;
                buf_reset(&key);
                key_from_path(&key, expanded[i].path);
                err = tree_find(&rules->cursor, &snapshot->base.tree, buf_span(&key), &entry, NULL);
                if (err == HIF_OK)
                        expanded[i].skip = false;
                else if (err == HIF_ENOENT)
                        err = HIF_OK;
        }
        change_rules_free(rules);
        if (err != HIF_OK)
                return changes_why(workspace, err, "told from what is ignored", why);
        return HIF_OK;
}

enum hif_err changes_why(const struct workspace *workspace, enum hif_err err, const char *done,
                         struct hif_why *why)
{
        switch (err) {
        case HIF_ENOENT:
        case HIF_EINVAL:
        case HIF_ECORRUPT:
                return why_set(why, HIF_ECORRUPT,
                               "the changes in '%s' could not be %s: something that their base "
                               "needs is missing or damaged in %s; put it back from a copy of the "
                               "store",
                               workspace->mount_point, done, workspace->store_url);
        case HIF_EUNREACHABLE:
        case HIF_ETIMEDOUT:
                return why_set(why, err,
                               "the changes in '%s' could not be %s: %s does not answer; check the "
                               "way to it, and try again",
                               workspace->mount_point, done, workspace->store_url);
        default:
                return why_set(why, err, "the changes in '%s' could not be %s: %s",
                               workspace->mount_point, done, hif_strerror(err));
        }
}

struct taking {
        struct workspace *workspace;
        struct vfs_snapshot *snapshot;
        enum hif_err err;
};

static void take(void *arg)
{
        struct taking *taking = arg;

        /* Frozen: what is read stays what it was while programs go on to write and remove. */
        taking->err = vfs_snapshot_take(taking->workspace->vfs, true, taking->snapshot);
}

static void release(void *arg)
{
        vfs_snapshot_free(arg);
}

void changes_free(struct workspace *workspace, struct vfs_snapshot *snapshot)
{
        loop_call(workspace->loop, release, snapshot);
}

/* Take ignored additions out, and directories that are told by what is in them. */
static enum hif_err drop_ignored(struct workspace *workspace, struct vfs_snapshot *snapshot,
                                 size_t *ignored)
{
        struct change_rules *rules;
        enum hif_err err = change_rules_new(workspace, snapshot, &rules);
        size_t kept = 0;

        if (err != HIF_OK)
                return err;
        for (size_t i = 0; i < snapshot->change_count; i++) {
                const struct vfs_change *change = &snapshot->changes[i];
                bool skip = false;

                if (change->kind == VFS_ADDED) {
                        err = change_rules_match(rules, change->path,
                                                 change->entry_kind == ENTRY_DIR, &skip);
                        if (err == HIF_ENOMEM)
                                break;
                        /* One's own changes are worth telling without the store, too. */
                        if (err != HIF_OK)
                                *ignored = IGNORED_UNKNOWN;
                        else if (*ignored != IGNORED_UNKNOWN)
                                *ignored += skip;
                        skip = err == HIF_OK && skip;
                        err = HIF_OK;
                        if (!skip && change->entry_kind == ENTRY_DIR &&
                            i + 1 < snapshot->change_count &&
                            path_within(snapshot->changes[i + 1].path, change->path))
                                skip = true;
                }
                if (!skip)
                        snapshot->changes[kept++] = *change;
        }
        change_rules_free(rules);
        if (err == HIF_OK)
                snapshot->change_count = kept;
        return err;
}

enum hif_err changes_take(struct workspace *workspace, struct vfs_snapshot *out, size_t *ignored,
                          struct hif_why *why)
{
        struct taking taking = {.workspace = workspace, .snapshot = out};
        enum hif_err err;

        *ignored = 0;
        loop_call(workspace->loop, take, &taking);
        if (taking.err != HIF_OK)
                return taking.err;
        err = vfs_changes_settle(out);
        if (err == HIF_OK)
                err = drop_ignored(workspace, out, ignored);
        if (err == HIF_OK)
                return HIF_OK;
        changes_free(workspace, out);
        return changes_why(workspace, err, "told", why);
}

enum hif_err change_old_content(struct workspace *workspace, const struct vfs_change *change,
                                size_t size_max, struct buf *out)
{
        if (change->kind == VFS_ADDED || !entry_is_file(&change->base))
                return HIF_OK;
        return base_content(workspace, &change->base, size_max, out);
}

enum hif_err change_new_content(struct workspace *workspace, const struct vfs_snapshot *snapshot,
                                const struct vfs_change *change, size_t size_max, struct buf *out)
{
        uint8_t *bytes;
        enum hif_err err;

        if (change->kind == VFS_DELETED)
                return HIF_OK;
        if (change->entry_kind == ENTRY_SYMLINK) {
                buf_put_span(out, change->target);
                return buf_failed(out) ? HIF_ENOMEM : HIF_OK;
        }
        if (change->entry_kind == ENTRY_DIR)
                return HIF_OK;
        if (!change->content_changed) /* as the base has it elsewhere, or as it was claimed */
                return base_content(workspace, &change->content.base, size_max, out);
        if (change->content.size > size_max)
                return HIF_ELIMIT;
        bytes = buf_reserve(out, (size_t)change->content.size);
        if (bytes == NULL)
                return HIF_ENOMEM;
        err = vfs_content_read(snapshot, &change->content, 0, bytes, (size_t)change->content.size);
        if (err == HIF_OK)
                buf_extend(out, (size_t)change->content.size);
        return err;
}
