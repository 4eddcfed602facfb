/* dirents.c - the B+tree: leaves of row pointers beside their numeric keys, inner nodes with copies
 * of the first key of each child. A node is freed when it is empty and never merged before (Johnson
 * and Shasha, "B-trees with inserts and deletes: why free-at-empty is better than
 * merge-at-half", 1993). */
#include "overlay/dirents.h"

#include <assert.h>
#include <string.h>

#define FAN        64
#define HEIGHT_MAX 16
#define NAME_BOUND 256

struct key {
        uint64_t dir, hash60;
};

struct dirent_leaf {
        struct dirent_leaf *prev, *next;
        uint32_t count;
        struct key keys[FAN];
        struct odirent *rows[FAN];
};

/* keys[i] and names[i] are a lower bound of child i and an upper one of child i - 1; those of child
 * 0 are not used. */
struct inner {
        uint32_t count; /* children */
        struct key keys[FAN];
        struct span names[FAN]; /* owned copies */
        void *children[FAN];
};

struct path {
        struct inner *inner[HEIGHT_MAX];
        uint32_t index[HEIGHT_MAX]; /* the child taken */
};

static int key_cmp(struct key a, struct key b)
{
        if (a.dir != b.dir)
                return a.dir < b.dir ? -1 : 1;
        if (a.hash60 != b.hash60)
                return a.hash60 < b.hash60 ? -1 : 1;
        return 0;
}

static int full_cmp(struct key a, struct span a_name, struct key b, struct span b_name)
{
        int order = key_cmp(a, b);

        return order != 0 ? order : span_cmp(a_name, b_name);
}

void dirents_init(struct dirents *dirents, struct slab *slab)
{
        *dirents = (struct dirents){.slab = slab};
}

void dirents_free(struct dirents *dirents)
{
        idmap_free(&dirents->per_dir);
        *dirents = (struct dirents){.slab = dirents->slab};
}

size_t dirents_cost(const struct dirents *dirents, size_t puts, size_t name_bytes)
{
        size_t leaf = slab_cost(sizeof(struct dirent_leaf));
        size_t inner = slab_cost(sizeof(struct inner));
        size_t separator = slab_cost(NAME_BOUND);

        if (puts == 0)
                return 0;
        /* Each insertion may split a leaf; the levels above split at most once for each of their
         * own half-fulls, and once more on the first path. */
        return puts * (slab_cost(sizeof(struct odirent)) + 16 + leaf + separator) + name_bytes +
               (puts / (FAN / 2) * 2 + dirents->height + 2) * (inner + separator);
}

/* The last child whose lower bound is not above the key. */
static uint32_t inner_find(const struct inner *inner, struct key key, struct span name)
{
        uint32_t low = 1, high = inner->count;

        while (low < high) {
                uint32_t middle = (low + high) / 2;

                if (full_cmp(inner->keys[middle], inner->names[middle], key, name) <= 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low - 1;
}

/* The first row not below the key. */
static uint32_t leaf_find(const struct dirent_leaf *leaf, struct key key, struct span name)
{
        uint32_t low = 0, high = leaf->count;

        while (low < high) {
                uint32_t middle = (low + high) / 2;
                int order = key_cmp(leaf->keys[middle], key);

                if (order == 0)
                        order = span_cmp(leaf->rows[middle]->name, name);
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static struct dirent_leaf *descend(const struct dirents *dirents, struct key key, struct span name,
                                   struct path *path)
{
        void *node = dirents->root;

        for (uint32_t level = dirents->height; level > 0; level--) {
                struct inner *inner = node;
                uint32_t index = inner_find(inner, key, name);

                if (path != NULL) {
                        path->inner[level - 1] = inner;
                        path->index[level - 1] = index;
                }
                node = inner->children[index];
        }
        return node;
}

static bool leaf_has(const struct dirent_leaf *leaf, uint32_t index, struct key key,
                     struct span name)
{
        return index < leaf->count && key_cmp(leaf->keys[index], key) == 0 &&
               span_eq(leaf->rows[index]->name, name);
}

struct odirent *dirents_get(const struct dirents *dirents, uint64_t dir, uint64_t hash60,
                            struct span name)
{
        struct key key = {.dir = dir, .hash60 = hash60};
        struct dirent_leaf *leaf;
        uint32_t index;

        if (dirents->root == NULL)
                return NULL;
        leaf = descend(dirents, key, name, NULL);
        index = leaf_find(leaf, key, name);
        return leaf_has(leaf, index, key, name) ? leaf->rows[index] : NULL;
}

static struct span name_copy(struct slab *slab, struct span name)
{
        uint8_t *copy = slab_alloc(slab, name.size + 1); /* never a size of 0 */

        if (copy == NULL)
                return (struct span){0};
        if (name.size > 0)
                memcpy(copy, name.data, name.size);
        return span_of(copy, name.size);
}

static void name_free(struct slab *slab, struct span name)
{
        slab_free(slab, (void *)(uintptr_t)name.data, name.size + 1);
}

static struct odirent *row_new(struct slab *slab, const struct odirent *row)
{
        struct odirent *copy = slab_alloc(slab, sizeof(*copy) + row->name.size);

        if (copy == NULL)
                return NULL;
        *copy = *row;
        copy->name = span_of((uint8_t *)(copy + 1), row->name.size);
        memcpy(copy + 1, row->name.data, row->name.size);
        return copy;
}

static void row_free(struct slab *slab, struct odirent *row)
{
        slab_free(slab, row, sizeof(*row) + row->name.size);
}

static void inner_insert(struct inner *inner, uint32_t at, struct key key, struct span name,
                         void *child)
{
        size_t after = inner->count - at;

        memmove(&inner->keys[at + 1], &inner->keys[at], after * sizeof(inner->keys[0]));
        memmove(&inner->names[at + 1], &inner->names[at], after * sizeof(inner->names[0]));
        memmove(&inner->children[at + 1], &inner->children[at], after * sizeof(void *));
        inner->keys[at] = key;
        inner->names[at] = name;
        inner->children[at] = child;
        inner->count++;
}

/* Move the upper half to a new node; its lower bound goes to the caller. At the right edge only the
 * last child moves, so that a load in order fills its nodes. */
static struct inner *inner_split(struct slab *slab, struct inner *inner, bool at_end,
                                 struct key *key, struct span *name)
{
        struct inner *right = slab_alloc(slab, sizeof(*right));
        uint32_t keep = at_end ? FAN - 1 : FAN / 2;

        if (right == NULL)
                return NULL;
        right->count = inner->count - keep;
        memcpy(right->keys, &inner->keys[keep], right->count * sizeof(right->keys[0]));
        memcpy(right->names, &inner->names[keep], right->count * sizeof(right->names[0]));
        memcpy(right->children, &inner->children[keep], right->count * sizeof(void *));
        inner->count = keep;
        *key = right->keys[0];
        *name = right->names[0];
        right->names[0] = (struct span){0};
        return right;
}

/* Put a new right sibling of the child at `level` (0: a leaf) into its parent. The caller reserved
 * what this takes, or runs a replay, which ends at an error. */
static enum hif_err add_sibling(struct dirents *dirents, struct path *path, uint32_t level,
                                struct key key, struct span name, void *sibling)
{
        for (; level < dirents->height; level++) {
                struct inner *inner = path->inner[level], *right;
                uint32_t at = path->index[level] + 1;
                struct key right_key;
                struct span right_name;

                if (inner->count < FAN) {
                        inner_insert(inner, at, key, name, sibling);
                        return HIF_OK;
                }
                right =
                    inner_split(dirents->slab, inner, at == inner->count, &right_key, &right_name);
                if (right == NULL)
                        return HIF_ENOMEM;
                if (at <= inner->count)
                        inner_insert(inner, at, key, name, sibling);
                else
                        inner_insert(right, at - inner->count, key, name, sibling);
                key = right_key;
                name = right_name;
                sibling = right;
        }
        assert(dirents->height < HEIGHT_MAX);
        struct inner *root = slab_alloc(dirents->slab, sizeof(*root));

        if (root == NULL)
                return HIF_ENOMEM;
        root->count = 1;
        root->names[0] = (struct span){0};
        root->children[0] = dirents->root;
        inner_insert(root, 1, key, name, sibling);
        dirents->root = root;
        dirents->height++;
        return HIF_OK;
}

static void leaf_insert(struct dirent_leaf *leaf, uint32_t at, struct odirent *row)
{
        size_t after = leaf->count - at;

        memmove(&leaf->keys[at + 1], &leaf->keys[at], after * sizeof(leaf->keys[0]));
        memmove(&leaf->rows[at + 1], &leaf->rows[at], after * sizeof(leaf->rows[0]));
        leaf->keys[at] = (struct key){.dir = row->dir, .hash60 = row->hash60};
        leaf->rows[at] = row;
        leaf->count++;
}

static enum hif_err leaf_split_insert(struct dirents *dirents, struct path *path,
                                      struct dirent_leaf *leaf, uint32_t at, struct odirent *row)
{
        struct dirent_leaf *right = slab_alloc(dirents->slab, sizeof(*right));
        uint32_t keep = at == FAN && leaf->next == NULL ? FAN : FAN / 2;
        struct span name;

        if (right == NULL)
                return HIF_ENOMEM;
        right->count = leaf->count - keep;
        memcpy(right->keys, &leaf->keys[keep], right->count * sizeof(right->keys[0]));
        memcpy(right->rows, &leaf->rows[keep], right->count * sizeof(right->rows[0]));
        leaf->count = keep;
        right->prev = leaf;
        right->next = leaf->next;
        if (right->next != NULL)
                right->next->prev = right;
        leaf->next = right;
        if (at > keep || keep == FAN)
                leaf_insert(right, at - keep, row);
        else
                leaf_insert(leaf, at, row);
        name = name_copy(dirents->slab, right->rows[0]->name);
        if (name.data == NULL)
                return HIF_ENOMEM;
        return add_sibling(dirents, path, 0, right->keys[0], name, right);
}

static enum hif_err count_add(struct dirents *dirents, uint64_t dir)
{
        uintptr_t count = (uintptr_t)idmap_get(&dirents->per_dir, dir) + 1;

        return idmap_put(&dirents->per_dir, dir, (void *)count);
}

static void count_sub(struct dirents *dirents, uint64_t dir)
{
        uintptr_t count = (uintptr_t)idmap_get(&dirents->per_dir, dir);
        enum hif_err err = HIF_OK;

        assert(count > 0);
        if (count == 1)
                idmap_del(&dirents->per_dir, dir);
        else
                err = idmap_put(&dirents->per_dir, dir, (void *)(count - 1));
        assert(err == HIF_OK); /* it is there: nothing grows */
}

enum hif_err dirents_put(struct dirents *dirents, const struct odirent *row)
{
        struct key key = {.dir = row->dir, .hash60 = row->hash60};
        struct path path;
        struct dirent_leaf *leaf;
        struct odirent *copy;
        uint32_t at;

        if (dirents->root == NULL) {
                leaf = slab_alloc(dirents->slab, sizeof(*leaf));
                if (leaf == NULL)
                        return HIF_ENOMEM;
                leaf->prev = leaf->next = NULL;
                leaf->count = 0;
                dirents->root = leaf;
        }
        leaf = descend(dirents, key, row->name, &path);
        at = leaf_find(leaf, key, row->name);
        if (leaf_has(leaf, at, key, row->name)) {
                struct odirent *old = leaf->rows[at];
                struct span name = old->name;

                *old = *row;
                old->name = name;
                return HIF_OK;
        }
        copy = row_new(dirents->slab, row);
        if (copy == NULL || count_add(dirents, row->dir) != HIF_OK)
                return HIF_ENOMEM;
        dirents->count++;
        dirents->hint_leaf = NULL;
        if (leaf->count == FAN)
                return leaf_split_insert(dirents, &path, leaf, at, copy);
        leaf_insert(leaf, at, copy);
        return HIF_OK;
}

/* The child that path names at `level` is gone: close the gap, and free what gets empty. */
static void drop_child(struct dirents *dirents, struct path *path)
{
        uint32_t level = 0;

        for (; level < dirents->height; level++) {
                struct inner *inner = path->inner[level];
                uint32_t at = path->index[level];
                size_t after = inner->count - at - 1;

                if (at > 0)
                        name_free(dirents->slab, inner->names[at]);
                else if (inner->count > 1)
                        name_free(dirents->slab, inner->names[1]);
                memmove(&inner->keys[at], &inner->keys[at + 1], after * sizeof(inner->keys[0]));
                memmove(&inner->names[at], &inner->names[at + 1], after * sizeof(inner->names[0]));
                memmove(&inner->children[at], &inner->children[at + 1], after * sizeof(void *));
                inner->names[0] = (struct span){0};
                inner->count--;
                if (inner->count > 0)
                        break;
                slab_free(dirents->slab, inner, sizeof(*inner));
        }
        if (level == dirents->height) {
                dirents->root = NULL;
                dirents->height = 0;
                return;
        }
        while (dirents->height > 0 && ((struct inner *)dirents->root)->count == 1) {
                struct inner *root = dirents->root;

                dirents->root = root->children[0];
                dirents->height--;
                slab_free(dirents->slab, root, sizeof(*root));
        }
}

bool dirents_del(struct dirents *dirents, uint64_t dir, uint64_t hash60, struct span name)
{
        struct key key = {.dir = dir, .hash60 = hash60};
        struct path path;
        struct dirent_leaf *leaf;
        uint32_t at;
        size_t after;

        if (dirents->root == NULL)
                return false;
        leaf = descend(dirents, key, name, &path);
        at = leaf_find(leaf, key, name);
        if (!leaf_has(leaf, at, key, name))
                return false;
        row_free(dirents->slab, leaf->rows[at]);
        after = leaf->count - at - 1;
        memmove(&leaf->keys[at], &leaf->keys[at + 1], after * sizeof(leaf->keys[0]));
        memmove(&leaf->rows[at], &leaf->rows[at + 1], after * sizeof(leaf->rows[0]));
        leaf->count--;
        count_sub(dirents, dir);
        dirents->count--;
        dirents->hint_leaf = NULL;
        if (leaf->count > 0)
                return true;
        if (leaf->prev != NULL)
                leaf->prev->next = leaf->next;
        if (leaf->next != NULL)
                leaf->next->prev = leaf->prev;
        slab_free(dirents->slab, leaf, sizeof(*leaf));
        drop_child(dirents, &path);
        return true;
}

size_t dirents_count_of(const struct dirents *dirents, uint64_t dir)
{
        return (uintptr_t)idmap_get(&dirents->per_dir, dir);
}

/* The row at an index of a leaf, or the first of the next leaf; remembered for dirents_next. */
static const struct odirent *row_at(struct dirents *dirents, struct dirent_leaf *leaf, uint32_t at)
{
        if (at == leaf->count) {
                leaf = leaf->next;
                at = 0;
        }
        dirents->hint_leaf = leaf;
        dirents->hint_index = at;
        return leaf == NULL ? NULL : leaf->rows[at];
}

const struct odirent *dirents_seek(struct dirents *dirents, uint64_t dir, uint64_t hash60,
                                   struct span name)
{
        struct key key = {.dir = dir, .hash60 = hash60};
        struct dirent_leaf *leaf;

        if (dirents->root == NULL)
                return NULL;
        leaf = descend(dirents, key, name, NULL);
        return row_at(dirents, leaf, leaf_find(leaf, key, name));
}

const struct odirent *dirents_next(struct dirents *dirents, const struct odirent *row)
{
        struct dirent_leaf *leaf = dirents->hint_leaf;
        uint32_t at = dirents->hint_index;

        if (leaf == NULL || leaf->rows[at] != row) {
                struct key key = {.dir = row->dir, .hash60 = row->hash60};

                leaf = descend(dirents, key, row->name, NULL);
                at = leaf_find(leaf, key, row->name);
                assert(at < leaf->count && leaf->rows[at] == row);
        }
        return row_at(dirents, leaf, at + 1);
}

void dirents_each(const struct dirents *dirents, bool (*each)(void *arg, const struct odirent *row),
                  void *arg)
{
        const void *node = dirents->root;

        if (node == NULL)
                return;
        for (uint32_t level = dirents->height; level > 0; level--)
                node = ((const struct inner *)node)->children[0];
        for (const struct dirent_leaf *leaf = node; leaf != NULL; leaf = leaf->next)
                for (uint32_t i = 0; i < leaf->count; i++)
                        if (!each(arg, leaf->rows[i]))
                                return;
}

static size_t check_node(const struct dirents *dirents, const void *node, uint32_t level,
                         const struct dirent_leaf **last)
{
        const struct inner *inner = node;
        const struct dirent_leaf *leaf = node;
        size_t rows = 0;

        if (level == 0) {
                assert(leaf->count > 0 && leaf->count <= FAN && leaf->prev == *last);
                assert(*last == NULL || (*last)->next == leaf);
                for (uint32_t i = 0; i < leaf->count; i++) {
                        const struct odirent *row = leaf->rows[i], *before = NULL;
                        struct key key = {.dir = row->dir, .hash60 = row->hash60};

                        if (i > 0)
                                before = leaf->rows[i - 1];
                        else if (*last != NULL)
                                before = (*last)->rows[(*last)->count - 1];
                        assert(key_cmp(key, leaf->keys[i]) == 0);
                        assert(before == NULL || full_cmp((struct key){before->dir, before->hash60},
                                                          before->name, key, row->name) < 0);
                        assert(dirents_get(dirents, row->dir, row->hash60, row->name) == row);
                }
                *last = leaf;
                return leaf->count;
        }
        assert(inner->count > 0 && inner->count <= FAN);
        for (uint32_t i = 0; i < inner->count; i++)
                rows += check_node(dirents, inner->children[i], level - 1, last);
        return rows;
}

void dirents_check(const struct dirents *dirents)
{
        const struct dirent_leaf *last = NULL;
        size_t rows = 0, counted = 0;
        uint64_t dir;
        void *count;

        if (dirents->root != NULL)
                rows = check_node(dirents, dirents->root, dirents->height, &last);
        assert(rows == dirents->count && (last == NULL || last->next == NULL));
        for (struct idmap_at at = {0}; idmap_next(&dirents->per_dir, &at, &dir, &count);)
                counted += (uintptr_t)count;
        assert(counted == rows);
}
