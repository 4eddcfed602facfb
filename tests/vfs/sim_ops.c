/* sim_ops.c - what programs do to a working tree, done to the workspace and to the model. */
#include "sim.h"

#include <stdlib.h>

/* --- choices ------------------------------------------------------------------------------------
 */

static int pick_live(struct sim *sim, bool (*wanted)(const struct mnode *node))
{
        int live[NODES_MAX];
        size_t count = live_nodes(sim, live), kept = 0;

        for (size_t i = 0; i < count; i++)
                if (wanted(&sim->nodes[live[i]]))
                        live[kept++] = live[i];
        return kept == 0 ? 0 : live[pick(sim, kept)];
}

static bool is_dir(const struct mnode *node)
{
        return node->kind == ONODE_DIR;
}

static bool is_file(const struct mnode *node)
{
        return node->kind == ONODE_FILE;
}

static bool any(const struct mnode *node)
{
        (void)node;
        return true;
}

static int pick_dir(struct sim *sim)
{
        return pick_live(sim, is_dir);
}

static int pick_name(struct sim *sim)
{
        return (int)pick(sim, chance(sim, 80) ? NAMES_COMMON : NAMES);
}

/* A name that is there. */
static bool pick_taken(struct sim *sim, int *dir, int *name)
{
        for (int tries = 0; tries < 20; tries++) {
                *dir = pick_dir(sim);
                *name = (int)pick(sim, NAMES);
                if (sim->nodes[*dir].child[*name] != 0)
                        return true;
        }
        return false;
}

static bool pick_free(struct sim *sim, int *dir, int *name)
{
        int live[NODES_MAX];

        *dir = pick_dir(sim);
        *name = pick_name(sim);
        return sim->nodes[*dir].child[*name] == 0 && node_depth(sim, *dir) < DEPTH_MAX &&
               live_nodes(sim, live) < LIVE_MAX;
}

/* --- what a call says of a node -----------------------------------------------------------------
 */

static void learn(struct sim *sim, int node, const struct vfs_attr *attr)
{
        struct mnode *m = &sim->nodes[node];

        if (m->id == 0)
                m->id = attr->id;
        expect(sim, m->id == attr->id, "the call answers with another node's attributes");
        m->mtime = attr->mtime;
        m->mtime_known = true;
}

static void learn_wcc(struct sim *sim, int node, const struct vfs_wcc *wcc)
{
        expect(sim, wcc->have, "no attributes after a change");
        learn(sim, node, &wcc->after);
}

static struct span name_span(int name)
{
        return span_str(name_text(name));
}

static void expect_err(struct sim *sim, const char *what, enum hif_err err, enum hif_err wanted)
{
        expect(sim, err == wanted, "%s: %s instead of %s", what, hif_err_name(err),
               hif_err_name(wanted));
}

/* --- the operations -----------------------------------------------------------------------------
 */

static void do_create(struct sim *sim, int dir, int name, enum vfs_create_how how, bool cut)
{
        struct vfs_setattr set = {.set = VFS_SET_MODE | (cut ? VFS_SET_SIZE : 0u),
                                  .mode = chance(sim, 25) ? 0755 : 0644};
        int old = sim->nodes[dir].child[name];
        struct mnode *there = &sim->nodes[old];
        enum hif_err wanted = old == 0 ? HIF_OK : HIF_EEXIST, err = HIF_OK;
        struct vfs_attr attr;
        struct vfs_wcc wcc;
        struct run run;

        sim_trace(sim, "create %s in %d%s%s", name_text(name), dir, cut ? ", cut" : "",
                  old ? " (there)" : "");
        if (old != 0 && how == VFS_UNCHECKED)
                wanted = there->kind == ONODE_DIR           ? HIF_EISDIR
                         : there->kind != ONODE_FILE        ? HIF_EEXIST
                         : cut && (there->mode & 0200) == 0 ? HIF_EACCES
                                                            : HIF_OK;
        RUN(sim, run, err,
            vfs_create(sim->vfs, &run.call, sim->nodes[dir].id, name_span(name), how, 0, &set,
                       &attr, &wcc));
        vfs_call_end(&run.call);
        expect_err(sim, "create", err, wanted);
        if (err != HIF_OK)
                return;
        if (old == 0) {
                old = node_new(sim, ONODE_FILE, set.mode);
                node_link(sim, dir, name, old);
                learn_wcc(sim, dir, &wcc);
        } else if (cut) {
                there->data.size = 0;
                there->writes++;
        }
        learn(sim, old, &attr);
}

static void do_write(struct sim *sim, int node, uint64_t offset, const void *data, size_t size)
{
        struct mnode *m = &sim->nodes[node];
        struct vfs_wcc wcc;
        enum hif_err err = HIF_OK;
        struct run run;

        sim_trace(sim, "write %zu at %llu to %d", size, (unsigned long long)offset, node);
        RUN(sim, run, err,
            vfs_write(sim->vfs, &run.call, m->id, offset, span_of(data, size), chance(sim, 10),
                      &wcc));
        vfs_call_end(&run.call);
        expect_err(sim, "write", err, HIF_OK);
        if (offset + size > m->data.size)
                buf_put_zero(&m->data, offset + size - m->data.size);
        memcpy(m->data.data + offset, data, size);
        m->writes++;
        learn_wcc(sim, node, &wcc);
}

static void op_write(struct sim *sim)
{
        int node = pick_live(sim, is_file);
        uint8_t bytes[120];
        size_t size = 1 + pick(sim, sizeof(bytes) - 1);

        if (node == 0)
                return;
        for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)('a' + pick(sim, 26));
        do_write(sim, node, pick(sim, sim->nodes[node].data.size + (chance(sim, 10) ? 9000 : 9)),
                 bytes, size);
}

static void do_setattr(struct sim *sim, int node, const struct vfs_setattr *set)
{
        struct mnode *m = &sim->nodes[node];
        struct vfs_wcc wcc;
        enum hif_err err = HIF_OK;
        struct run run;

        sim_trace(sim, "setattr %x of %d: mode %o, size %llu", set->set, node, set->mode,
                  (unsigned long long)set->size);
        RUN(sim, run, err, vfs_setattr(sim->vfs, &run.call, m->id, set, NULL, &wcc));
        vfs_call_end(&run.call);
        expect_err(sim, "setattr", err, HIF_OK);
        if ((set->set & VFS_SET_MODE) != 0)
                m->mode = set->mode;
        if ((set->set & VFS_SET_SIZE) != 0) {
                if (set->size > m->data.size)
                        buf_put_zero(&m->data, set->size - m->data.size);
                m->data.size = set->size;
                m->writes++;
        }
        if ((set->set & VFS_SET_MTIME) != 0)
                expect(sim, wcc.after.mtime.sec == set->mtime.sec, "mtime is not what was set");
        learn_wcc(sim, node, &wcc);
}

static void op_setattr(struct sim *sim)
{
        static const uint16_t modes[] = {0644, 0755, 0600, 0700, 0444};
        struct vfs_setattr set = {.set = VFS_SET_MTIME,
                                  .mtime = {.sec = 1000000 + (int64_t)pick(sim, 1000000)}};
        int node = pick_live(sim, any);

        if (chance(sim, 60)) {
                set.set = VFS_SET_MODE;
                set.mode = modes[pick(sim, 5)];
                if (sim->nodes[node].kind == ONODE_DIR)
                        set.mode |= 0700;
                if (sim->nodes[node].kind == ONODE_SYMLINK)
                        set.mode = 0777;
        }
        do_setattr(sim, node, &set);
}

static void op_truncate(struct sim *sim)
{
        struct vfs_setattr set = {.set = VFS_SET_SIZE};
        int node = pick_live(sim, is_file);

        if (node == 0)
                return;
        set.size = pick(sim, sim->nodes[node].data.size + (chance(sim, 30) ? 60 : 1));
        do_setattr(sim, node, &set);
}

static void op_make(struct sim *sim, enum onode_kind kind)
{
        static const char *const targets[] = {"a", "../lib", "main.c", "nowhere/at/all"};
        struct span target = span_str(targets[pick(sim, 4)]);
        struct vfs_setattr set = {.set = VFS_SET_MODE, .mode = kind == ONODE_DIR ? 0755 : 0777};
        int dir, name, node;
        struct vfs_attr attr;
        struct vfs_wcc wcc;
        enum hif_err err = HIF_OK;
        struct run run;
        bool is_free = pick_free(sim, &dir, &name);
        uint64_t id = sim->nodes[dir].id;

        if (!is_free && sim->nodes[dir].child[name] == 0)
                return;
        sim_trace(sim, "make %d %s in %d", kind, name_text(name), dir);
        RUN(sim, run, err,
            kind == ONODE_DIR
                ? vfs_mkdir(sim->vfs, &run.call, id, name_span(name), &set, &attr, &wcc)
            : kind == ONODE_SYMLINK
                ? vfs_symlink(sim->vfs, &run.call, id, name_span(name), target, &set, &attr, &wcc)
                : vfs_mknod(sim->vfs, &run.call, id, name_span(name), kind, 0, &set, &attr, &wcc));
        vfs_call_end(&run.call);
        expect_err(sim, "make", err, is_free ? HIF_OK : HIF_EEXIST);
        if (!is_free)
                return;
        node = node_new(sim, kind, set.mode);
        if (kind == ONODE_SYMLINK)
                buf_put_span(&sim->nodes[node].data, target);
        node_link(sim, dir, name, node);
        learn(sim, node, &attr);
        learn_wcc(sim, dir, &wcc);
}

static bool is_empty(const struct mnode *dir)
{
        for (int i = 0; i < NAMES; i++)
                if (dir->child[i] != 0)
                        return false;
        return true;
}

static enum hif_err wanted_of_rename(struct sim *sim, int from_dir, int from, int to_dir, int to)
{
        int node = sim->nodes[from_dir].child[from], old = sim->nodes[to_dir].child[to];

        if (node == old)
                return HIF_OK;
        if (sim->nodes[node].kind == ONODE_DIR && node_within(sim, to_dir, node))
                return HIF_EINVAL;
        if (old == 0)
                return HIF_OK;
        if (sim->nodes[node].kind == ONODE_DIR && sim->nodes[old].kind != ONODE_DIR)
                return HIF_ENOTDIR;
        if (sim->nodes[node].kind != ONODE_DIR && sim->nodes[old].kind == ONODE_DIR)
                return HIF_EISDIR;
        if (sim->nodes[old].kind == ONODE_DIR && !is_empty(&sim->nodes[old]))
                return HIF_ENOTEMPTY;
        return HIF_OK;
}

static void do_rename(struct sim *sim, int from_dir, int from, int to_dir, int to)
{
        int node = sim->nodes[from_dir].child[from], old = sim->nodes[to_dir].child[to];
        enum hif_err wanted = wanted_of_rename(sim, from_dir, from, to_dir, to), err = HIF_OK;
        struct vfs_wcc from_wcc, to_wcc;
        struct run run;

        sim_trace(sim, "rename %s in %d to %s in %d (%d over %d)", name_text(from), from_dir,
                  name_text(to), to_dir, node, old);
        RUN(sim, run, err,
            vfs_rename(sim->vfs, &run.call, sim->nodes[from_dir].id, name_span(from),
                       sim->nodes[to_dir].id, name_span(to), &from_wcc, &to_wcc));
        vfs_call_end(&run.call);
        expect_err(sim, "rename", err, wanted);
        if (err != HIF_OK || node == old)
                return;
        if (old != 0)
                node_unlink(sim, to_dir, to);
        node_unlink(sim, from_dir, from);
        node_link(sim, to_dir, to, node);
        learn_wcc(sim, from_dir, &from_wcc);
        learn_wcc(sim, to_dir, &to_wcc);
}

static void op_rename(struct sim *sim)
{
        int from_dir, from, to_dir = pick_dir(sim), to = pick_name(sim);

        if (!pick_taken(sim, &from_dir, &from))
                return;
        if (chance(sim, 40))
                to_dir = from_dir;
        if (node_depth(sim, to_dir) + node_height(sim, sim->nodes[from_dir].child[from]) >=
            DEPTH_MAX)
                return;
        do_rename(sim, from_dir, from, to_dir, to);
}

static void do_remove(struct sim *sim, int dir, int name, bool rmdir)
{
        int node = sim->nodes[dir].child[name];
        bool here = sim->nodes[node].kind == ONODE_DIR;
        enum hif_err wanted = rmdir && !here                          ? HIF_ENOTDIR
                              : !rmdir && here                        ? HIF_EISDIR
                              : rmdir && !is_empty(&sim->nodes[node]) ? HIF_ENOTEMPTY
                                                                      : HIF_OK;
        enum hif_err err = HIF_OK;
        struct vfs_wcc wcc;
        struct run run;

        sim_trace(sim, "%s %s in %d (%d)", rmdir ? "rmdir" : "remove", name_text(name), dir, node);
        RUN(sim, run, err,
            rmdir ? vfs_rmdir(sim->vfs, &run.call, sim->nodes[dir].id, name_span(name), &wcc)
                  : vfs_remove(sim->vfs, &run.call, sim->nodes[dir].id, name_span(name), &wcc));
        vfs_call_end(&run.call);
        expect_err(sim, "remove", err, wanted);
        if (err != HIF_OK)
                return;
        node_unlink(sim, dir, name);
        learn_wcc(sim, dir, &wcc);
        if (!rmdir && sim->nodes[node].nlink == 0 && sim->nodes[node].kind == ONODE_FILE)
                expect(
                    sim,
                    span_eq(read_node(sim, sim->nodes[node].id), buf_span(&sim->nodes[node].data)),
                    "a removed file that is still open reads other bytes");
}

static void op_remove(struct sim *sim)
{
        int dir, name;

        if (pick_taken(sim, &dir, &name))
                do_remove(sim, dir, name,
                          chance(sim, 90) ==
                              (sim->nodes[sim->nodes[dir].child[name]].kind == ONODE_DIR));
}

/* rm -r */
static void remove_tree(struct sim *sim, int dir, int name)
{
        int node = sim->nodes[dir].child[name];

        if (sim->nodes[node].kind == ONODE_DIR)
                for (int i = 0; i < NAMES; i++)
                        if (sim->nodes[node].child[i] != 0)
                                remove_tree(sim, node, i);
        do_remove(sim, dir, name, sim->nodes[node].kind == ONODE_DIR);
}

static void op_remove_tree(struct sim *sim)
{
        int dir, name;

        if (pick_taken(sim, &dir, &name) && name_lands(name))
                remove_tree(sim, dir, name);
}

static void op_link(struct sim *sim)
{
        int node = pick_live(sim, any), dir, name;
        bool is_free = pick_free(sim, &dir, &name);
        enum hif_err wanted = sim->nodes[node].kind == ONODE_DIR ? HIF_ENOTSUP
                              : is_free                          ? HIF_OK
                                                                 : HIF_EEXIST;
        enum hif_err err = HIF_OK;
        struct vfs_attr attr;
        struct vfs_wcc wcc;
        struct run run;

        if (!is_free && sim->nodes[dir].child[name] == 0)
                return;
        sim_trace(sim, "link %d as %s in %d", node, name_text(name), dir);
        RUN(sim, run, err,
            vfs_link(sim->vfs, &run.call, sim->nodes[node].id, sim->nodes[dir].id, name_span(name),
                     &attr, &wcc));
        vfs_call_end(&run.call);
        expect_err(sim, "link", err, wanted);
        if (err != HIF_OK)
                return;
        node_link(sim, dir, name, node);
        learn(sim, node, &attr);
        learn_wcc(sim, dir, &wcc);
}

/* An editor's save: a new file, renamed over the old one. */
static void op_save(struct sim *sim)
{
        int dir, name, temp = pick_name(sim);
        char text[64];
        int size = snprintf(text, sizeof(text), "saved %llu", (unsigned long long)pick(sim, 1000));

        if (!pick_taken(sim, &dir, &name) || sim->nodes[dir].child[temp] != 0 ||
            sim->nodes[sim->nodes[dir].child[name]].kind == ONODE_DIR)
                return;
        do_create(sim, dir, temp, VFS_GUARDED, false);
        do_write(sim, sim->nodes[dir].child[temp], 0, text, (size_t)size);
        do_rename(sim, dir, temp, dir, name);
}

static int find_path(struct sim *sim, const char *path, int *dir, int *name)
{
        *dir = NODE_ROOT;
        for (;;) {
                size_t size = strcspn(path, "/");

                *name = name_of_text(path, size);
                if (path[size] == '\0')
                        return sim->nodes[*dir].child[*name];
                *dir = sim->nodes[*dir].child[*name];
                if (*dir == 0 || sim->nodes[*dir].kind != ONODE_DIR)
                        return -1;
                path += size + 1;
        }
}

/* `git checkout -- path`: the base's content again. */
static void op_restore(struct sim *sim)
{
        const struct ment *entry = &sim->base.at[pick(sim, sim->base.count + 1)];
        struct vfs_setattr set = {.set = VFS_SET_MODE};
        int dir, name, node;

        if (entry == &sim->base.at[sim->base.count] ||
            (entry->kind != ENTRY_FILE && entry->kind != ENTRY_EXEC))
                return;
        node = find_path(sim, entry->path, &dir, &name);
        if (node < 0 || (node != 0 && sim->nodes[node].kind != ONODE_FILE))
                return;
        if (node != 0 && (sim->nodes[node].mode & 0200) == 0)
                return;
        do_create(sim, dir, name, VFS_UNCHECKED, true);
        node = sim->nodes[dir].child[name];
        if (entry->data.size > 0)
                do_write(sim, node, 0, entry->data.data, entry->data.size);
        set.mode = entry->kind == ENTRY_EXEC ? 0755 : 0644;
        do_setattr(sim, node, &set);
}

void op_edit(struct sim *sim)
{
        int dir, name;

        sim->doing = "editing";
        if (chance(sim, 20))
                op_make(sim, ONODE_DIR);
        else if (chance(sim, 50))
                op_write(sim);
        else if (pick_free(sim, &dir, &name))
                do_create(sim, dir, name, VFS_GUARDED, false);
}

void op_random(struct sim *sim)
{
        static const enum onode_kind kinds[] = {ONODE_DIR, ONODE_DIR, ONODE_SYMLINK, ONODE_FIFO};
        uint64_t what = pick(sim, 100);
        bool guarded = chance(sim, 50), cut = chance(sim, 50);
        int dir, name;

        sim->doing = "operating";
        if (what < 14) {
                if (pick_free(sim, &dir, &name) || sim->nodes[dir].child[name] != 0)
                        do_create(sim, dir, name, guarded ? VFS_GUARDED : VFS_UNCHECKED, cut);
        } else if (what < 30) {
                op_write(sim);
        } else if (what < 36) {
                op_truncate(sim);
        } else if (what < 44) {
                op_setattr(sim);
        } else if (what < 53) {
                op_make(sim, sim->frozen ? ONODE_SYMLINK : kinds[pick(sim, 4)]);
        } else if (what < 75) {
                op_rename(sim);
        } else if (what < 81) {
                op_link(sim);
        } else if (what < 90) {
                op_remove(sim);
        } else if (what < 93) {
                op_remove_tree(sim);
        } else if (what < 97) {
                op_save(sim);
        } else {
                op_restore(sim);
        }
}

/* --- listings -----------------------------------------------------------------------------------
 */

void listing_changed(struct sim *sim, int dir, int name)
{
        for (int i = 0; i < LISTINGS; i++)
                if (sim->listings[i].dir == dir)
                        sim->listings[i].stable[name] = false;
}

struct page {
        struct sim *sim;
        struct listing *listing;
        size_t left;
        uint64_t cookie;
        unsigned seen[NAMES];
};

static bool take_entry(void *arg, const struct vfs_dirent *entry)
{
        struct page *page = arg;
        int name = name_of_text((const char *)entry->name.data, entry->name.size);

        if (page->left == 0)
                return false;
        page->left--;
        expect(page->sim, entry->cookie > page->cookie, "cookies do not ascend");
        page->cookie = entry->cookie;
        if (entry->name.data[0] == '.' && name < 0)
                return true;
        expect(page->sim, name >= 0, "a listing holds a name that nobody made");
        page->seen[name]++;
        return true;
}

void listing_step(struct sim *sim, struct listing *listing)
{
        struct page page;
        struct vfs_attr attr;
        enum hif_err err = HIF_OK;
        struct run run;
        bool eof = false, plus = chance(sim, 50);
        size_t size = 1 + pick(sim, 4);

        sim->doing = "listing";
        if (listing->dir == 0) {
                *listing = (struct listing){.dir = pick_dir(sim)};
                for (int i = 0; i < NAMES; i++)
                        listing->stable[i] = sim->nodes[listing->dir].child[i] != 0;
        }
        if (sim->nodes[listing->dir].nlink == 0 && listing->dir != NODE_ROOT) {
                listing->dir = 0; /* removed meanwhile */
                return;
        }
        sim_trace(sim, "list %zu of %d", size, listing->dir);
        RUN(sim, run, err,
            (page = (struct page){sim, listing, size, listing->cookie, {0}},
             vfs_readdir(sim->vfs, &run.call, sim->nodes[listing->dir].id, listing->cookie, plus,
                         take_entry, &page, &eof, &attr)));
        vfs_call_end(&run.call);
        expect_err(sim, "readdir", err, HIF_OK);
        listing->cookie = page.cookie;
        for (int i = 0; i < NAMES; i++) {
                listing->seen[i] += page.seen[i];
                expect(sim, listing->seen[i] <= 1, "%s is listed twice", name_text(i));
                expect(sim, !eof || !listing->stable[i] || listing->seen[i] == 1,
                       "%s is not listed", name_text(i));
        }
        if (eof)
                listing->dir = 0;
}
