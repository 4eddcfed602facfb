/* A walked tree in the order of tree keys: a directory's children first, by the hashes of their
 * names; then what is below each of its directories, by the bytes of their names. */
#include "cli/import/import.h"

typedef enum hif_err each_fn(void *arg, struct span path, struct span key,
                             const struct walk_entry *entry, struct span target);

struct order {
        each_fn *each;
        void *arg;
        struct buf path, key;
};

static struct span name_of(const struct walk_dir *dir, const struct walk_entry *entry)
{
        return span_of(dir->bytes.data + entry->name_at, entry->name_size);
}

/* prefix: the key bytes that all children of dir share. */
static enum hif_err children(struct order *order, const struct walk_dir *dir, struct span prefix)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < dir->count && err == HIF_OK; i++) {
                const struct walk_entry *entry = &dir->entries[i];
                struct span name = name_of(dir, entry);
                struct span target =
                    span_of(dir->bytes.data + entry->target_at, entry->target_size);

                buf_reset(&order->path);
                buf_put(&order->path, dir->path, dir->path_size);
                if (dir->path_size > 0)
                        buf_put_u8(&order->path, '/');
                buf_put_span(&order->path, name);
                buf_reset(&order->key);
                key_child(&order->key, prefix, entry->hash60, name);
                if (buf_failed(&order->path) || buf_failed(&order->key))
                        return HIF_ENOMEM;
                err = order->each(order->arg, buf_span(&order->path), buf_span(&order->key), entry,
                                  target);
        }
        return err;
}

static int compare_paths(const void *a, const void *b)
{
        const struct walk_dir *left = *(struct walk_dir *const *)a;
        const struct walk_dir *right = *(struct walk_dir *const *)b;

        return strcmp(left->path, right->path); /* siblings: only their names differ */
}

/* Directories below dir, in order; *count of them. */
static struct walk_dir **sorted_dirs(const struct walk_dir *dir, size_t *count)
{
        struct walk_dir **dirs = calloc(dir->count + 1, sizeof(*dirs));
        size_t n = 0;

        if (!dirs)
                return NULL;
        for (size_t i = 0; i < dir->count; i++)
                if (dir->entries[i].dir)
                        dirs[n++] = dir->entries[i].dir;
        if (n > 1)
                qsort(dirs, n, sizeof(struct walk_dir *), compare_paths);
        *count = n;
        return dirs;
}

/* Depth is that of the tree, at most half of PATH_SIZE_MAX; frames are small. */
static enum hif_err subtree(struct order *order, const struct walk_dir *dir)
{
        AUTO_FREE struct walk_dir **dirs = NULL;
        AUTO_BUF struct buf prefix = {0};
        size_t count = 0;
        enum hif_err err;

        key_prefix(&prefix, span_of(dir->path, dir->path_size));
        if (buf_failed(&prefix))
                return HIF_ENOMEM;
        err = children(order, dir, buf_span(&prefix));
        buf_free(&prefix);
        if (err != HIF_OK)
                return err;
        dirs = sorted_dirs(dir, &count);
        if (!dirs)
                return HIF_ENOMEM;
        for (size_t i = 0; i < count && err == HIF_OK; i++)
                err = subtree(order, dirs[i]);
        return err;
}

enum hif_err walk_each(const struct walk *walk, each_fn *each, void *arg)
{
        struct order order = {.each = each, .arg = arg};
        enum hif_err err = subtree(&order, walk->root);

        buf_free(&order.path);
        buf_free(&order.key);
        return err;
}
