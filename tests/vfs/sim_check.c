/* sim_check.c - the workspace, its status and its landed trees, held against the model. */
#include "sim.h"

#include <stdlib.h>

/* --- the merged tree ----------------------------------------------------------------------------
 */

static bool time_eq(struct hif_time a, struct hif_time b)
{
        return a.sec == b.sec && a.nsec == b.nsec;
}

static bool time_before(struct hif_time a, struct hif_time b)
{
        return a.sec < b.sec || (a.sec == b.sec && a.nsec < b.nsec);
}

static void check_id(struct sim *sim, int node, uint64_t id)
{
        struct mnode *m = &sim->nodes[node];
        void *owner = map_get(&sim->ids, id);

        if (m->id == 0)
                m->id = id;
        expect(sim, m->id == id, "node %d had the number %llx, and has %llx", node,
               (unsigned long long)m->id, (unsigned long long)id);
        expect(sim, owner == NULL || owner == (void *)(uintptr_t)node,
               "node %d has the number %llx, which was node %d's", node, (unsigned long long)id,
               (int)(uintptr_t)owner);
        must(sim, map_put(&sim->ids, id, (void *)(uintptr_t)node));
}

static void check_attr(struct sim *sim, int node, const struct vfs_attr *attr)
{
        struct mnode *m = &sim->nodes[node];

        check_id(sim, node, attr->id);
        expect(sim, m->kind == attr->kind, "node %d is a %d instead of a %d", node, attr->kind,
               m->kind);
        expect(sim, m->mode == attr->mode, "node %d has mode %o instead of %o", node, attr->mode,
               m->mode);
        if (!m->mtime_known)
                m->mtime = attr->mtime;
        m->mtime_known = true;
        expect(sim, time_eq(m->mtime, attr->mtime),
               "node %d has mtime %lld.%09u instead of %lld.%09u", node, (long long)attr->mtime.sec,
               attr->mtime.nsec, (long long)m->mtime.sec, m->mtime.nsec);
        expect(sim, !time_before(attr->ctime, m->ctime), "the ctime of node %d goes back", node);
        m->ctime = attr->ctime;
        if (m->kind == ONODE_DIR)
                return;
        expect(sim, m->nlink == attr->nlink, "node %d has %u links instead of %u", node,
               attr->nlink, m->nlink);
        expect(sim, m->data.size == attr->size || m->kind == ONODE_FIFO,
               "node %d has size %llu instead of %zu", node, (unsigned long long)attr->size,
               m->data.size);
}

struct span read_node(struct sim *sim, uint64_t id)
{
        CLEANUP(buf_free) struct buf all = {0};
        uint8_t scratch[512];
        struct vfs_data data;
        struct vfs_attr attr;
        struct run run;

        do {
                enum hif_err err = HIF_OK;

                RUN(sim, run, err,
                    vfs_read(sim->vfs, &run.call, id, all.size, sizeof(scratch), scratch, &data,
                             &attr));
                expect(sim, err == HIF_OK, "read of %llx: %s", (unsigned long long)id,
                       hif_err_name(err));
                for (size_t i = 0; i < data.iov_count; i++)
                        buf_put(&all, data.iov[i].iov_base, data.iov[i].iov_len);
                expect(sim, data.eof || data.size > 0, "a read of nothing before the end");
                vfs_call_end(&run.call);
        } while (!data.eof);
        return keep_bytes(sim, all.data, all.size);
}

static void check_content(struct sim *sim, int node)
{
        struct mnode *m = &sim->nodes[node];
        struct span content;

        if (m->kind == ONODE_FILE) {
                content = read_node(sim, m->id);
        } else {
                enum hif_err err = HIF_OK;
                struct vfs_attr attr;
                struct run run;

                RUN(sim, run, err, vfs_readlink(sim->vfs, &run.call, m->id, &content, &attr));
                expect(sim, err == HIF_OK, "readlink: %s", hif_err_name(err));
                content = keep_bytes(sim, content.data, content.size);
                vfs_call_end(&run.call);
        }
        expect(sim, span_eq(content, buf_span(&m->data)), "node %d holds '%.*s' instead of '%.*s'",
               node, (int)content.size, (const char *)content.data, (int)m->data.size,
               (const char *)m->data.data);
}

struct whole {
        struct sim *sim;
        int dir;
        uint64_t id[NAMES];
        uint64_t parent;
};

static bool note_entry(void *arg, const struct vfs_dirent *entry)
{
        struct whole *whole = arg;
        int name = name_of_text((const char *)entry->name.data, entry->name.size);

        if (span_eq(entry->name, span_str("..")))
                whole->parent = entry->id;
        if (span_eq(entry->name, span_str(".")) || span_eq(entry->name, span_str("..")))
                return true;
        expect(whole->sim, name >= 0, "%d holds '%.*s', which nobody made", whole->dir,
               (int)entry->name.size, (const char *)entry->name.data);
        expect(whole->sim, whole->id[name] == 0, "%s is listed twice in one page", name_text(name));
        whole->id[name] = entry->id;
        return true;
}

static void check_dir(struct sim *sim, int dir)
{
        struct mnode *m = &sim->nodes[dir];
        struct whole whole;
        struct vfs_attr attr;
        enum hif_err err = HIF_OK;
        struct run run;
        bool eof = false, plus = chance(sim, 50);

        RUN(sim, run, err,
            (whole = (struct whole){.sim = sim, .dir = dir},
             vfs_readdir(sim->vfs, &run.call, m->id, 0, plus, note_entry, &whole, &eof, &attr)));
        vfs_call_end(&run.call);
        expect(sim, err == HIF_OK, "readdir of %d: %s", dir, hif_err_name(err));
        check_attr(sim, dir, &attr);
        expect(sim, dir == NODE_ROOT || whole.parent == sim->nodes[m->parent].id,
               "'..' of %d is %llx", dir, (unsigned long long)whole.parent);
        for (int i = 0; i < NAMES; i++) {
                int child = m->child[i];

                expect(sim, (child != 0) == (whole.id[i] != 0), "%s in %d is %s", name_text(i), dir,
                       child != 0 ? "missing" : "too much");
                if (child == 0)
                        continue;
                err = HIF_OK;
                RUN(sim, run, err,
                    vfs_lookup(sim->vfs, &run.call, m->id, span_str(name_text(i)), &attr, NULL));
                vfs_call_end(&run.call);
                expect(sim, err == HIF_OK, "lookup of %s in %d: %s", name_text(i), dir,
                       hif_err_name(err));
                expect(sim, attr.id == whole.id[i], "%s in %d is %llx by lookup, %llx by readdir",
                       name_text(i), dir, (unsigned long long)attr.id,
                       (unsigned long long)whole.id[i]);
                check_attr(sim, child, &attr);
        }
}

/* --- where nodes are placed ---------------------------------------------------------------------
 */

static bool reachable(struct sim *sim, int node)
{
        int live[NODES_MAX];
        size_t count = live_nodes(sim, live);

        for (size_t i = 0; i < count; i++)
                if (live[i] == node)
                        return true;
        return false;
}

struct names {
        uint64_t id;
        unsigned count;
};

static bool count_name(void *arg, const struct odirent *row)
{
        struct names *names = arg;

        names->count += row->child == names->id;
        return true;
}

/* Rows tell a path of each node: that of the base's name where it has that, else of another. */
static bool check_place(void *arg, const struct onode *node)
{
        struct sim *sim = arg;
        struct names names = {.id = node->id};
        int model = (int)(uintptr_t)map_get(&sim->ids, node->id);
        const struct odirent *row;

        if (model == 0 || sim->nodes[model].nlink == 0 || (node->flags & ONODE_PLACED) == 0 ||
            !reachable(sim, model))
                return true;
        row = overlay_dirent(sim->overlay, node->parent, name_hash60(node->name), node->name);
        overlay_each_dirent(sim->overlay, count_name, &names);
        expect(sim, row == NULL || row->child == node->id,
               "node %d is placed at '%.*s', which is another's", model, (int)node->name.size,
               (const char *)node->name.data);
        expect(sim, (row != NULL) == (names.count == sim->nodes[model].nlink),
               "node %d has %u names, %u by rows, and is placed at '%.*s'", model,
               sim->nodes[model].nlink, names.count, (int)node->name.size,
               (const char *)node->name.data);
        return true;
}

/* --- everything ---------------------------------------------------------------------------------
 */

/* The number of a file that others changed reads what it was; one that was written here, for as
 * long as a removed file. */
static void check_ghost(struct sim *sim, size_t index)
{
        uint64_t id = sim->ghosts[index].id;
        uint64_t age = env_mono_ns(sim->env) - sim->ghosts[index].since_ns;

        if (sim->ghosts[index].lasting || age < VFS_REMOVED_GRACE_MS * 1000000ull)
                expect(sim, span_eq(read_node(sim, id), sim->ghosts[index].data),
                       "the old number %llx of a file that others changed reads other bytes",
                       (unsigned long long)id);
}

void check_all(struct sim *sim)
{
        int live[NODES_MAX];
        size_t count = live_nodes(sim, live);

        for (size_t i = 0; i < count; i++) { /* directories before what is in them */
                struct mnode *m = &sim->nodes[live[i]];

                if (m->kind == ONODE_DIR)
                        check_dir(sim, live[i]);
                else if (m->kind != ONODE_FIFO)
                        check_content(sim, live[i]);
        }
        for (size_t i = 0; i < sim->ghost_count; i++)
                check_ghost(sim, i);
        overlay_each_node(sim->overlay, check_place, sim);
}

/* --- landed trees -------------------------------------------------------------------------------
 */

static enum hif_err collect(void *arg, struct span piece)
{
        buf_put_span(arg, piece);
        return HIF_OK;
}

static void check_entry(struct sim *sim, struct tree_cursor *cursor, const struct mtree *expected)
{
        CLEANUP(buf_free) struct buf path = {0}, content = {0};
        const struct ment *wanted;
        struct hif_why why = {""};
        struct entry entry;

        key_to_path(&path, tree_cursor_key(cursor));
        buf_put_u8(&path, 0);
        if (path.size == 1)
                return;
        tree_cursor_entry(cursor, &entry);
        wanted = tree_get(expected, (const char *)path.data);
        expect(sim, wanted != NULL, "the landed tree holds %s", (const char *)path.data);
        expect(sim, wanted->kind == entry.kind, "the landed %s is a %d instead of a %d",
               wanted->path, entry.kind, wanted->kind);
        if (entry.kind == ENTRY_SYMLINK)
                buf_put_span(&content, entry.target);
        else if (entry.kind != ENTRY_DIR)
                must_why(sim,
                         project_read_file(&sim->project, &entry, 0, UINT64_MAX, collect, &content,
                                           &why),
                         why);
        expect(sim, entry.kind == ENTRY_DIR || span_eq(buf_span(&content), wanted->data),
               "the landed %s holds '%.*s' instead of '%.*s'", wanted->path, (int)content.size,
               (const char *)content.data, (int)wanted->data.size, (const char *)wanted->data.data);
}

void check_tree(struct sim *sim, const struct hif_hash *root, const struct mtree *expected)
{
        struct node_reader *reader;
        struct tree_cursor cursor;
        struct hif_why why = {""};
        size_t count = 0;
        enum hif_err err;

        must(sim, node_reader_new(&sim->project, 1 << 20, &reader));
        must_why(sim,
                 tree_verify(node_reader_source(reader), &sim->project.format.tree, root, &why),
                 why);
        tree_cursor_init(&cursor, node_reader_source(reader));
        for (err = tree_seek_rank(&cursor, root, 0); err == HIF_OK; err = tree_next(&cursor)) {
                check_entry(sim, &cursor, expected);
                count++;
        }
        tree_cursor_close(&cursor);
        node_reader_free(reader);
        expect(sim, err == HIF_ENOENT, "walking the landed tree: %s", hif_err_name(err));
        expect(sim, count == expected->count + 1, "the landed tree holds %zu entries, not %zu",
               count, expected->count + 1);
}

/* --- what is to be landed -----------------------------------------------------------------------
 */

static void path_text(struct sim *sim, struct span path, char out[PATH_MAX_SIM])
{
        expect(sim, path.size < PATH_MAX_SIM, "a path of %zu bytes", path.size);
        memcpy(out, path.data, path.size);
        out[path.size] = '\0';
}

static struct span content_of(struct sim *sim, const struct vfs_snapshot *snapshot,
                              const struct vfs_content *content)
{
        uint8_t *bytes = arena_alloc(&sim->arena, content->size + 1);

        expect(sim, bytes != NULL, "out of memory");
        must(sim, vfs_content_read(snapshot, content, 0, bytes, content->size));
        return span_of(bytes, content->size);
}

void check_expanded(struct sim *sim, const struct vfs_snapshot *snapshot,
                    const struct vfs_expanded *list, size_t count, const struct mtree *base,
                    const struct mtree *expected)
{
        struct mtree tree = *base;

        for (size_t i = 0; i < count; i++)
                if (list[i].remove) {
                        char path[PATH_MAX_SIM];

                        path_text(sim, list[i].path, path);
                        tree_remove(&tree, path);
                }
        for (size_t i = 0; i < count; i++) {
                struct ment entry = {.kind = list[i].entry_kind};
                const struct ment *wanted, *old;

                if (list[i].remove || list[i].skip)
                        continue;
                path_text(sim, list[i].path, entry.path);
                old = tree_get(&tree, entry.path);
                if (old != NULL && old->kind == ENTRY_DIR && entry.kind != ENTRY_DIR)
                        tree_remove(&tree, entry.path);
                wanted = tree_get(expected, entry.path);
                expect(sim, wanted != NULL, "%s is to be landed, and is not there", entry.path);
                if (entry.kind == ENTRY_SYMLINK) {
                        entry.data = list[i].target;
                } else if (entry.kind != ENTRY_DIR && !list[i].have_hash) {
                        entry.data = content_of(sim, snapshot, list[i].content);
                } else if (entry.kind != ENTRY_DIR) {
                        struct hif_hash hash = hash_of(HASH_BLOB, wanted->data);

                        expect(sim, hash_eq(&hash, &list[i].hash),
                               "%s is to be landed with another content's hash", entry.path);
                        entry.data = wanted->data;
                }
                tree_put(&tree, &entry);
        }
        for (size_t i = 0; i < tree.count; i++)
                expect(sim, ment_same(&tree.at[i], tree_get(expected, tree.at[i].path)),
                       "%s would be landed as '%.*s', kind %d", tree.at[i].path,
                       (int)tree.at[i].data.size, (const char *)tree.at[i].data.data,
                       tree.at[i].kind);
        for (size_t i = 0; i < expected->count; i++)
                expect(sim, tree_get(&tree, expected->at[i].path) != NULL, "%s would not be landed",
                       expected->at[i].path);
}

/* --- status -------------------------------------------------------------------------------------
 */

/* Where a base path is now, by the renames and deletions of a status; false: gone. */
static bool moved_to(struct sim *sim, const struct vfs_snapshot *status, const char *path,
                     char out[PATH_MAX_SIM])
{
        size_t longest = 0;
        bool gone = false, found = false;

        strcpy(out, path);
        for (size_t i = 0; i < status->change_count; i++) {
                const struct vfs_change *change = &status->changes[i];
                char from[PATH_MAX_SIM], to[PATH_MAX_SIM];

                if (change->kind != VFS_DELETED && change->kind != VFS_RENAMED)
                        continue;
                path_text(sim, change->kind == VFS_DELETED ? change->path : change->path_from,
                          from);
                path_text(sim, change->path, to);
                if (strcmp(path, from) != 0 && !(change->subtree && path_below(path, from)))
                        continue;
                if (found && strlen(from) < longest)
                        continue;
                found = true;
                longest = strlen(from);
                gone = change->kind == VFS_DELETED;
                snprintf(out, PATH_MAX_SIM, "%s%s", to, path + longest);
        }
        return !gone;
}

static bool shows_base(const struct vfs_change *change)
{
        for (size_t i = 0; i < change->content.piece_count; i++)
                if (change->content.pieces[i].kind == OPIECE_BASE)
                        return true;
        return false;
}

/* Below a directory that was renamed, it is compared with what that one brought along. */
static bool carried(struct sim *sim, const struct vfs_snapshot *status, const char *path)
{
        for (size_t i = 0; i < status->change_count; i++) {
                char dir[PATH_MAX_SIM];

                path_text(sim, status->changes[i].path, dir);
                if (status->changes[i].kind == VFS_RENAMED && path_below(path, dir))
                        return true;
        }
        return false;
}

static void check_change(struct sim *sim, const struct vfs_snapshot *status,
                         const struct vfs_change *change, const struct mtree *now,
                         struct mtree *tree)
{
        struct ment entry = {.kind = change->entry_kind};
        const struct ment *wanted;
        const struct mnode *node;

        path_text(sim, change->path, entry.path);
        wanted = tree_get(now, entry.path);
        if (change->kind == VFS_DELETED) {
                expect(sim, tree_get(&sim->base, entry.path) != NULL,
                       "D %s, which the base does not have", entry.path);
                expect(sim,
                       change->apart || carried(sim, status, entry.path) ||
                           !ment_same(wanted, tree_get(&sim->base, entry.path)),
                       "D %s, which is there", entry.path);
                return;
        }
        expect(sim, wanted != NULL, "%c %s, which is not there", change->kind, entry.path);
        entry.data = wanted->data;
        if (entry.kind == ENTRY_SYMLINK && change->target.size > 0)
                entry.data = change->target;
        else if (change->content_changed)
                entry.data = content_of(sim, status, &change->content);
        node = &sim->nodes[wanted->node];
        expect(sim, change->entry_kind == wanted->kind && change->node == node->id,
               "%c %s is of node %llx, kind %d", change->kind, entry.path,
               (unsigned long long)change->node, change->entry_kind);
        if (wanted->kind != ENTRY_DIR)
                expect(sim,
                       change->size == wanted->data.size && time_eq(change->mtime, node->mtime),
                       "%c %s with another size or mtime", change->kind, entry.path);
        /* What was written over the base byte by byte, nobody reads to see that it is the same. */
        if (change->kind == VFS_MODIFIED && !shows_base(change) &&
            !carried(sim, status, entry.path))
                expect(sim,
                       tree_get(tree, entry.path) == NULL ||
                           !ment_same(tree_get(tree, entry.path), wanted),
                       "M %s, which is as it was", entry.path);
        if (entry.kind != ENTRY_DIR)
                tree_remove(tree, entry.path); /* with a directory all that was in it */
        tree_put(tree, &entry);
}

static void check_told(struct sim *sim, const struct vfs_snapshot *status, const struct mtree *now)
{
        struct mtree tree = {.count = 0};

        for (size_t i = 0; i < sim->base.count; i++) {
                struct ment entry = sim->base.at[i];

                if (moved_to(sim, status, sim->base.at[i].path, entry.path))
                        tree_put(&tree, &entry);
        }
        for (size_t i = 0; i < status->change_count; i++)
                check_change(sim, status, &status->changes[i], now, &tree);
        for (size_t i = 0; i < tree.count; i++)
                expect(sim, ment_same(&tree.at[i], tree_get(now, tree.at[i].path)),
                       "status makes '%.*s', kind %d, of %s", (int)tree.at[i].data.size,
                       (const char *)tree.at[i].data.data, tree.at[i].kind, tree.at[i].path);
        for (size_t i = 0; i < now->count; i++) {
                const struct ment *told = tree_get(&tree, now->at[i].path);

                /* What was renamed away and then made again as the base has it needs no line. */
                expect(sim,
                       told != NULL ||
                           ment_same(tree_get(&sim->base, now->at[i].path), &now->at[i]),
                       "status says nothing of %s", now->at[i].path);
        }
}

static void print_status(struct sim *sim, const struct vfs_snapshot *status)
{
        for (size_t i = 0; i < status->change_count && sim->trace; i++) {
                const struct vfs_change *change = &status->changes[i];

                printf("   %c %.*s%s%.*s%s%s\n", change->kind, (int)change->path_from.size,
                       (const char *)change->path_from.data,
                       change->path_from.size > 0 ? " -> " : "", (int)change->path.size,
                       (const char *)change->path.data, change->subtree ? "/" : "",
                       change->content_changed ? " *" : "");
        }
        fflush(stdout);
}

void check_status(struct sim *sim)
{
        struct vfs_snapshot status;
        struct mtree now;

        sim->doing = "asking for the status";
        sim_trace(sim, "status");
        tree_of_model(sim, &now);
        must(sim, vfs_snapshot_take(sim->vfs, false, &status));
        must(sim, vfs_changes_settle(&status));
        print_status(sim, &status);
        check_told(sim, &status, &now);
        vfs_snapshot_free(&status);
}
