/* LIST of the directory store: a walk in the order of whole keys, which is not that of a tree walk:
 * the keys below directory "a" start with "a/", and "a-" and "a.b" sort before that. */
#include "store/dir/impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct walk {
        struct dir_store *dir;
        struct store_req *req;
        char key[STORE_KEY_MAX + 1]; /* where the walk stands */
};

/* The names of one directory. */
struct names {
        const struct walk *walk;
        size_t base;        /* the directory is key[0, base), with its '/' */
        const char *filter; /* they start with this */
        char **items;
        size_t count, capacity;
        bool no_memory;
};

static void names_free(struct names *names)
{
        for (size_t i = 0; i < names->count; i++)
                free(names->items[i]);
        free(names->items);
}

/* Whether the object of this key, or anything below it if it is a directory, comes after the start.
 * (What is below is then not all in, but nothing that is left out would be.) */
static bool may_follow(const struct walk *walk, size_t base, const char *name)
{
        const char *after = walk->req->key;
        size_t size = strlen(name);
        int order;

        if (!after)
                return true;
        order = strncmp(walk->key, after, base);
        if (order != 0)
                return order > 0;
        after += base;
        order = strncmp(name, after, size);
        if (order != 0)
                return order > 0;
        /* The start is the name and more: "name" itself does not follow it, "name/..." may. */
        return (unsigned char)after[size] <= '/';
}

static bool collect(void *arg, const char *name)
{
        struct names *names = arg;

        if (name[0] == '.' || strncmp(name, names->filter, strlen(names->filter)) != 0)
                return true;
        if (names->base + strlen(name) > STORE_KEY_MAX || !store_key_valid(name))
                return true;
        if (!may_follow(names->walk, names->base, name))
                return true;
        if (names->count == names->capacity) {
                size_t capacity = names->capacity ? 2 * names->capacity : 64;
                char **items = reallocarray(names->items, capacity, sizeof(*items));

                if (!items) {
                        names->no_memory = true;
                        return false;
                }
                names->items = items;
                names->capacity = capacity;
        }
        names->items[names->count] = strdup(name);
        names->no_memory = !names->items[names->count];
        names->count += !names->no_memory;
        return !names->no_memory;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool walk_is_full(const struct walk *walk)
{
        return walk->req->list.more;
}

static enum hif_err walk_dir(struct walk *walk, size_t base, const char *filter);

static enum hif_err emit(struct walk *walk, uint64_t size)
{
        struct store_req *req = walk->req;

        if (req->key && strcmp(walk->key, req->key) <= 0)
                return HIF_OK;
        if (req->list.count == req->list_max) {
                req->list.more = true;
                return HIF_OK;
        }
        return store_list_add(&req->list, walk->key, size);
}

static enum hif_err walk_below(struct walk *walk, size_t base, const char *name)
{
        size_t size = strlen(name);

        if (base + size + 1 >= STORE_KEY_MAX) /* no room for a key below */
                return HIF_OK;
        memcpy(walk->key + base, name, size);
        memcpy(walk->key + base + size, "/", 2);
        return walk_dir(walk, base + size + 1, "");
}

/* An object is listed now; of a directory, whether it is one. */
static enum hif_err visit(struct walk *walk, size_t base, const char *name, bool *is_dir)
{
        struct env *env = walk->dir->store.env;
        AUTO_FREE char *path = NULL;
        struct stat st;
        enum hif_err err;

        memcpy(walk->key + base, name, strlen(name) + 1);
        path = dir_path(walk->dir, walk->key);
        if (!path)
                return HIF_ENOMEM;
        *is_dir = false;
        err = env->ops->stat(env, path, &st);
        if (err)
                return err == HIF_ENOENT ? HIF_OK : err; /* deleted meanwhile */
        *is_dir = S_ISDIR(st.st_mode);
        return S_ISREG(st.st_mode) ? emit(walk, (uint64_t)st.st_size) : HIF_OK;
}

/* Whether all that is below directory `name` sorts before `next` (NULL: the end), which sorts
 * behind `name`. */
static bool below_precedes(const char *name, const char *next)
{
        size_t size = strlen(name);

        return !next || strncmp(next, name, size) != 0 || (unsigned char)next[size] > '/';
}

/* Directories wait, the longest name on top, while names that continue theirs with a byte below '/'
 * go first. Only what is listed is looked at. */
static enum hif_err walk_names(struct walk *walk, struct names *names)
{
        size_t waiting = 0; /* they take the places of names that were dealt with */
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i <= names->count && !err && !walk_is_full(walk); i++) {
                char *next = i < names->count ? names->items[i] : NULL;
                bool is_dir;

                while (waiting > 0 && below_precedes(names->items[waiting - 1], next) && !err &&
                       !walk_is_full(walk))
                        err = walk_below(walk, names->base, names->items[--waiting]);
                if (!next || err || walk_is_full(walk))
                        break;
                err = visit(walk, names->base, next, &is_dir);
                if (!err && is_dir) {
                        names->items[i] = names->items[waiting];
                        names->items[waiting++] = next;
                }
        }
        return err;
}

static enum hif_err walk_dir(struct walk *walk, size_t base, const char *filter)
{
        struct env *env = walk->dir->store.env;
        struct names names = {.walk = walk, .base = base, .filter = filter};
        struct dir_part part = {.text = walk->key, .size = base ? base - 1 : 0};
        AUTO_FREE char *path = dir_part_path(walk->dir, part);
        enum hif_err err;

        if (!path)
                return HIF_ENOMEM;
        err = env->ops->list(env, path, collect, &names);
        if (names.no_memory)
                err = HIF_ENOMEM;
        else if (err == HIF_ENOENT || err == HIF_ENOTDIR)
                err = HIF_OK; /* nothing is below */
        if (!err && names.count > 0) {
                qsort(names.items, names.count, sizeof(*names.items), compare_names);
                err = walk_names(walk, &names);
        }
        names_free(&names);
        return err;
}

void dir_list(struct dir_store *dir, struct store_req *req)
{
        struct walk walk = {.dir = dir, .req = req};
        const char *slash = strrchr(req->prefix, '/');
        size_t base = slash ? (size_t)(slash - req->prefix) + 1 : 0;
        enum hif_err err;

        memcpy(walk.key, req->prefix, base);
        err = walk_dir(&walk, base, req->prefix + base);
        if (err)
                store_list_free(&req->list);
        store_done(&dir->store, req, dir_error(STORE_LIST, err));
}
