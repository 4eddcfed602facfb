/* sim_model.c - the model: inodes, names, and what a landing of them is. */
#include "sim.h"

#include <stdlib.h>

static const char *const names[NAMES] = {"a",      "b",         "c",      "d",    "lib",
                                         "main.c", "x.txt",     "deep",   "A",    "build.out",
                                         "._a",    ".DS_Store", ".nfs01", "._dir"};

const char *name_text(int name)
{
        return names[name];
}

bool name_lands(int name)
{
        return name < NAMES_LANDED;
}

int name_of_text(const char *text, size_t size)
{
        for (int i = 0; i < NAMES; i++)
                if (strlen(names[i]) == size && memcmp(names[i], text, size) == 0)
                        return i;
        return -1;
}

/* --- states of the project ----------------------------------------------------------------------
 */

bool path_below(const char *path, const char *dir)
{
        size_t size = strlen(dir);

        return size == 0 ? path[0] != '\0' : strncmp(path, dir, size) == 0 && path[size] == '/';
}

const struct ment *tree_get(const struct mtree *tree, const char *path)
{
        for (size_t i = 0; i < tree->count; i++)
                if (strcmp(tree->at[i].path, path) == 0)
                        return &tree->at[i];
        return NULL;
}

void tree_put(struct mtree *tree, const struct ment *entry)
{
        struct ment *at = (struct ment *)(uintptr_t)tree_get(tree, entry->path);

        if (at == NULL) {
                if (tree->count == TREE_MAX)
                        abort();
                at = &tree->at[tree->count++];
        }
        *at = *entry;
}

void tree_remove(struct mtree *tree, const char *path)
{
        size_t kept = 0;

        for (size_t i = 0; i < tree->count; i++)
                if (strcmp(tree->at[i].path, path) != 0 && !path_below(tree->at[i].path, path))
                        tree->at[kept++] = tree->at[i];
        tree->count = kept;
}

static int by_key(const void *a, const void *b)
{
        CLEANUP(buf_free) struct buf key_a = {0}, key_b = {0};

        key_from_path(&key_a, span_str(((const struct ment *)a)->path));
        key_from_path(&key_b, span_str(((const struct ment *)b)->path));
        return span_cmp(buf_span(&key_a), buf_span(&key_b));
}

void tree_sort(struct mtree *tree)
{
        qsort(tree->at, tree->count, sizeof(tree->at[0]), by_key);
}

bool ment_same(const struct ment *a, const struct ment *b)
{
        if (a == NULL || b == NULL)
                return a == b;
        return a->kind == b->kind && (a->kind == ENTRY_DIR || span_eq(a->data, b->data));
}

static bool is_dir(const struct ment *entry)
{
        return entry != NULL && entry->kind == ENTRY_DIR;
}

static bool ancestors_are_directories(const struct mtree *base, const struct mtree *ours,
                                      const struct mtree *theirs, const char *path)
{
        char above[PATH_MAX_SIM];
        char *slash;

        strcpy(above, path);
        while ((slash = strrchr(above, '/')) != NULL) {
                const struct ment *b, *o, *t;

                *slash = '\0';
                b = tree_get(base, above);
                o = tree_get(ours, above);
                t = tree_get(theirs, above);
                if (!is_dir(!ment_same(b, o) && ment_same(b, t) ? o : t))
                        return false;
        }
        return true;
}

static bool adds_below(const struct mtree *base, const struct mtree *theirs, const char *dir)
{
        for (size_t i = 0; i < theirs->count; i++)
                if (path_below(theirs->at[i].path, dir) &&
                    tree_get(base, theirs->at[i].path) == NULL)
                        return true;
        return false;
}

/* One path of ours; false: it conflicts. */
static bool merge_path(const struct mtree *base, const struct mtree *ours,
                       const struct mtree *theirs, const char *path, struct mtree *merged)
{
        const struct ment *b = tree_get(base, path), *o = tree_get(ours, path),
                          *t = tree_get(theirs, path);

        if (ment_same(b, o))
                return true;
        if (!ment_same(t, b) && !ment_same(t, o))
                return false;
        if (o != NULL && !ancestors_are_directories(base, ours, theirs, path))
                return false;
        if (is_dir(b) && !is_dir(o) && adds_below(base, theirs, path))
                return false;
        if (ment_same(t, o))
                return true;
        if (o != NULL)
                tree_put(merged, o);
        else
                for (size_t i = 0; i < merged->count; i++)
                        if (strcmp(merged->at[i].path, path) == 0)
                                merged->at[i] = merged->at[--merged->count];
        return true;
}

bool oracle_merge(const struct mtree *base, const struct mtree *ours, const struct mtree *theirs,
                  struct mtree *merged)
{
        bool fits = true;

        *merged = *theirs;
        for (size_t i = 0; i < base->count; i++)
                if (tree_get(ours, base->at[i].path) == NULL)
                        fits &= merge_path(base, ours, theirs, base->at[i].path, merged);
        for (size_t i = 0; i < ours->count; i++)
                fits &= merge_path(base, ours, theirs, ours->at[i].path, merged);
        return fits;
}

/* --- inodes ------------------------------------------------------------------------------------
 */

struct mnode *node_at(struct sim *sim, int node)
{
        return &sim->nodes[node];
}

int node_new(struct sim *sim, enum onode_kind kind, uint16_t mode)
{
        int node = sim->node_count++;

        if (node == NODES_MAX)
                abort();
        sim->nodes[node] = (struct mnode){.kind = kind, .mode = mode, .mtime_known = true};
        return node;
}

void node_link(struct sim *sim, int dir, int name, int node)
{
        sim->nodes[dir].child[name] = node;
        sim->nodes[node].nlink++;
        if (sim->nodes[node].kind == ONODE_DIR)
                sim->nodes[node].parent = dir;
        listing_changed(sim, dir, name);
}

void node_unlink(struct sim *sim, int dir, int name)
{
        struct mnode *node = &sim->nodes[sim->nodes[dir].child[name]];

        sim->nodes[dir].child[name] = 0;
        node->nlink--;
        listing_changed(sim, dir, name);
}

int node_depth(struct sim *sim, int dir)
{
        int depth = 0;

        for (; dir != NODE_ROOT; dir = sim->nodes[dir].parent)
                depth++;
        return depth;
}

int node_height(struct sim *sim, int node)
{
        int height = 0;

        if (sim->nodes[node].kind != ONODE_DIR)
                return 0;
        for (int i = 0; i < NAMES; i++)
                if (sim->nodes[node].child[i] != 0) {
                        int below = 1 + node_height(sim, sim->nodes[node].child[i]);

                        height = below > height ? below : height;
                }
        return height;
}

bool node_within(struct sim *sim, int node, int dir)
{
        for (;; node = sim->nodes[node].parent) {
                if (node == dir)
                        return true;
                if (node == NODE_ROOT)
                        return false;
        }
}

static void add_live(struct sim *sim, int node, int *out, size_t *count)
{
        for (size_t i = 0; i < *count; i++)
                if (out[i] == node)
                        return;
        out[(*count)++] = node;
        if (sim->nodes[node].kind != ONODE_DIR)
                return;
        for (int i = 0; i < NAMES; i++)
                if (sim->nodes[node].child[i] != 0)
                        add_live(sim, sim->nodes[node].child[i], out, count);
}

size_t live_nodes(struct sim *sim, int *out)
{
        size_t count = 0;

        add_live(sim, NODE_ROOT, out, &count);
        return count;
}

/* --- between the two ----------------------------------------------------------------------------
 */

struct span keep_bytes(struct sim *sim, const void *data, size_t size)
{
        struct span kept = arena_span(&sim->arena, span_of(data, size));

        expect(sim, size == 0 || kept.data != NULL, "out of memory");
        return kept;
}

static enum entry_kind entry_kind_of(const struct mnode *node)
{
        switch (node->kind) {
        case ONODE_DIR:
                return ENTRY_DIR;
        case ONODE_SYMLINK:
                return ENTRY_SYMLINK;
        case ONODE_FILE:
        case ONODE_FIFO:
        case ONODE_SOCKET:
        case ONODE_BLOCK:
        case ONODE_CHAR:
                break;
        }
        return (node->mode & 0100) != 0 ? ENTRY_EXEC : ENTRY_FILE;
}

static void add_dir(struct sim *sim, int dir, const char *path, struct mtree *out)
{
        for (int i = 0; i < NAMES; i++) {
                int node = sim->nodes[dir].child[i];
                struct ment entry = {.node = node};

                if (node == 0 || !name_lands(i) || sim->nodes[node].kind == ONODE_FIFO)
                        continue;
                snprintf(entry.path, sizeof(entry.path), "%s%s%s", path, path[0] ? "/" : "",
                         names[i]);
                entry.writes = sim->nodes[node].writes;
                entry.kind = entry_kind_of(&sim->nodes[node]);
                entry.data =
                    keep_bytes(sim, sim->nodes[node].data.data, sim->nodes[node].data.size);
                tree_put(out, &entry);
                if (entry.kind == ENTRY_DIR)
                        add_dir(sim, node, entry.path, out);
        }
}

void tree_of_model(struct sim *sim, struct mtree *out)
{
        out->count = 0;
        add_dir(sim, NODE_ROOT, "", out);
}

int model_add(struct sim *sim, int dir, int name, const struct ment *entry)
{
        static const enum onode_kind kinds[] = {[ENTRY_FILE] = ONODE_FILE,
                                                [ENTRY_EXEC] = ONODE_FILE,
                                                [ENTRY_SYMLINK] = ONODE_SYMLINK,
                                                [ENTRY_DIR] = ONODE_DIR};
        static const uint16_t modes[] = {
            [ENTRY_FILE] = 0644, [ENTRY_EXEC] = 0755, [ENTRY_SYMLINK] = 0777, [ENTRY_DIR] = 0755};
        int node = node_new(sim, kinds[entry->kind], modes[entry->kind]);

        sim->nodes[node].mtime_known = false;
        if (entry->kind != ENTRY_DIR)
                buf_put_span(&sim->nodes[node].data, entry->data);
        node_link(sim, dir, name, node);
        return node;
}

void model_from_tree(struct sim *sim, const struct mtree *tree)
{
        for (size_t i = 0; i < tree->count; i++) { /* sorted: directories before what is in them */
                const char *path = tree->at[i].path;
                int dir = NODE_ROOT;

                for (;;) {
                        size_t size = strcspn(path, "/");
                        int name = name_of_text(path, size);

                        expect(sim, name >= 0, "a name that is not the model's: %s", path);
                        if (path[size] == '\0') {
                                model_add(sim, dir, name, &tree->at[i]);
                                break;
                        }
                        dir = sim->nodes[dir].child[name];
                        path += size + 1;
                }
        }
}
