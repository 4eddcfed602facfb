#include "cli/fsck_source.h"

#include "core/body.h"
#include "fetch/ssd.h"

#include <fcntl.h>
#include <sys/stat.h>

#define FILES_MAX 4000000u /* of a directory that are looked at */
#define READ_SIZE (1u << 20)

/* The three are told apart by their get(). */
struct source {
        struct check_source source;
        struct env *env;
        /* another store */
        struct store *store;
        /* files: sorted by size */
        struct file *files;
        size_t count, capacity;
        struct arena arena;
        /* the cache */
        struct ssd *ssd;
};

struct file {
        uint64_t size;
        const char *path;
};

/* --- another copy of the store --- */

static enum hif_err get_stored(struct check_source *base, const struct check_wanted *wanted,
                               struct buf *out)
{
        struct source *source = (struct source *)base;
        struct store_req req = {.op = STORE_GET, .key = wanted->key, .size_max = 1u << 30};
        enum hif_err err;

        if (wanted->want != CHECK_WANT_STORED)
                return HIF_ENOENT;
        store_run(source->store, &req, 1);
        err = req.result;
        if (err == HIF_OK) {
                *out = req.data;
                req.data = (struct buf){0};
        }
        store_req_free(&req);
        return err;
}

/* --- a directory of files --- */

static size_t first_of(const struct source *source, uint64_t size)
{
        size_t low = 0, high = source->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (source->files[middle].size < size)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool is_it(const struct hif_hash *hash, struct span bytes)
{
        struct hif_hash actual = hash_of(HASH_BLOB, bytes);

        return hash_eq(&actual, hash);
}

/* The chunk of a large file with this hash; it is cut as landing cuts it. */
static enum hif_err find_chunk(struct source *source, const struct file *file,
                               const struct hif_hash *hash, struct buf *out)
{
        AUTO_BUF struct buf chunk = {0};
        AUTO_BUF struct buf piece = {0};
        struct chunker chunker = {0};
        uint64_t at = 0;
        enum hif_err err = HIF_OK;
        int fd;

        if (source->env->ops->open(source->env, file->path, O_RDONLY | O_NOFOLLOW, 0, &fd))
                return HIF_ENOENT;
        while (err == HIF_OK && at < file->size) {
                uint64_t left = file->size - at;
                size_t size = left < READ_SIZE ? (size_t)left : READ_SIZE;
                uint8_t *to;

                buf_reset(&piece);
                to = buf_reserve(&piece, size);
                err = to ? env_read_all(source->env, fd, to, size, at) : HIF_ENOMEM;
                at += size;
                for (size_t done = 0; done < size && err == HIF_OK;) {
                        bool cut;
                        size_t n = chunker_next(&chunker, span_of(to + done, size - done), &cut);

                        buf_put(&chunk, to + done, n);
                        done += n;
                        if (!cut && !(at == file->size && done == size))
                                continue;
                        if (buf_failed(&chunk))
                                err = HIF_ENOMEM;
                        else if (is_it(hash, buf_span(&chunk)))
                                err = HIF_EEXIST; /* found */
                        else
                                buf_reset(&chunk);
                }
        }
        source->env->ops->close(source->env, fd);
        if (err != HIF_EEXIST)
                return err == HIF_ENOMEM ? err : HIF_ENOENT;
        buf_put_span(out, buf_span(&chunk));
        return HIF_OK;
}

static enum hif_err get_file(struct check_source *base, const struct check_wanted *wanted,
                             struct buf *out)
{
        struct source *source = (struct source *)base;
        uint64_t size = wanted->file_size;

        if (wanted->want != CHECK_WANT_CONTENT || size == 0)
                return HIF_ENOENT;
        for (size_t i = first_of(source, size); i < source->count && source->files[i].size == size;
             i++) {
                AUTO_BUF struct buf bytes = {0};
                enum hif_err err;

                if (size > BODY_BLOB_MAX) {
                        err = find_chunk(source, &source->files[i], wanted->hash, out);
                        if (err != HIF_ENOENT)
                                return err;
                        continue;
                }
                err = env_read_file(source->env, source->files[i].path, BODY_BLOB_MAX, &bytes);
                if (err == HIF_ENOMEM)
                        return err;
                if (err != HIF_OK || !is_it(wanted->hash, buf_span(&bytes)))
                        continue;
                buf_put_span(out, buf_span(&bytes));
                return HIF_OK;
        }
        return HIF_ENOENT;
}

static enum hif_err add_file(struct source *source, const char *path, uint64_t size)
{
        char *kept = arena_str(&source->arena, path);

        if (source->count == source->capacity) {
                size_t capacity = source->capacity ? source->capacity * 2 : 1024;
                struct file *grown = realloc(source->files, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                source->files = grown;
                source->capacity = capacity;
        }
        if (!kept)
                return HIF_ENOMEM;
        source->files[source->count++] = (struct file){.size = size, .path = kept};
        return HIF_OK;
}

struct names {
        struct source *source;
        const char *dir;
        struct arena arena;
        char **subdirs;
        size_t count, capacity;
        enum hif_err err;
};

static bool each_name(void *arg, const char *name)
{
        struct names *names = arg;
        AUTO_BUF struct buf path = {0};
        struct stat st;

        buf_printf(&path, "%s/%s", names->dir, name);
        buf_put_u8(&path, 0);
        if (buf_failed(&path)) {
                names->err = HIF_ENOMEM;
                return false;
        }
        /* What cannot be looked at is not there for us. */
        if (names->source->env->ops->stat(names->source->env, (char *)path.data, &st) != HIF_OK)
                return true;
        if (S_ISREG(st.st_mode) && st.st_size > 0) {
                names->err = add_file(names->source, (char *)path.data, (uint64_t)st.st_size);
        } else if (S_ISDIR(st.st_mode)) {
                if (names->count == names->capacity) {
                        size_t capacity = names->capacity ? names->capacity * 2 : 16;
                        char **grown = realloc(names->subdirs, capacity * sizeof(*grown));

                        if (!grown) {
                                names->err = HIF_ENOMEM;
                                return false;
                        }
                        names->subdirs = grown;
                        names->capacity = capacity;
                }
                names->subdirs[names->count] = arena_str(&names->arena, (char *)path.data);
                names->err = names->subdirs[names->count] ? HIF_OK : HIF_ENOMEM;
                names->count += names->err == HIF_OK;
        }
        return names->err == HIF_OK && names->source->count < FILES_MAX;
}

/* PATH_DEPTH_MAX, as a project's own trees. */
static enum hif_err walk(struct source *source, const char *dir, unsigned depth)
{
        struct names names = {.source = source, .dir = dir};
        enum hif_err err = source->env->ops->list(source->env, dir, each_name, &names);

        if (names.err != HIF_OK)
                err = names.err;
        for (size_t i = 0; i < names.count && err == HIF_OK && depth < PATH_DEPTH_MAX; i++) {
                err = walk(source, names.subdirs[i], depth + 1);
                if (err != HIF_ENOMEM)
                        err = HIF_OK; /* one that cannot be read has nothing for us */
        }
        free(names.subdirs);
        arena_free(&names.arena);
        return err;
}

static int by_size(const void *a, const void *b)
{
        const struct file *x = a, *y = b;

        return x->size < y->size ? -1 : x->size > y->size;
}

/* --- the cache --- */

static enum hif_err get_cached(struct check_source *base, const struct check_wanted *wanted,
                               struct buf *out)
{
        struct source *source = (struct source *)base;

        switch (wanted->want) {
        case CHECK_WANT_CONTENT:
                return ssd_get(source->ssd, FETCH_BLOB, wanted->hash, out);
        case CHECK_WANT_NODE:
                return ssd_get(source->ssd, FETCH_NODE, wanted->hash, out);
        case CHECK_WANT_CHUNKS:
                return ssd_get(source->ssd, FETCH_CHUNKS, wanted->hash, out);
        case CHECK_WANT_STORED:
                break;
        }
        return HIF_ENOENT;
}

/* --- opening --- */

static void push(struct check_source **list, struct source *source)
{
        source->source.next = *list;
        *list = &source->source;
}

static bool is_store(const char *path)
{
        AUTO_BUF struct buf projects = {0};
        struct stat st;

        buf_printf(&projects, "%s/projects", path);
        buf_put_u8(&projects, 0);
        return !buf_failed(&projects) && stat((char *)projects.data, &st) == 0 &&
               S_ISDIR(st.st_mode);
}

static enum hif_err add_files(struct source *source, const char *path, struct hif_why *why)
{
        enum hif_err err;

        source->source.get = get_file;
        err = walk(source, path, 0);
        if (err != HIF_OK)
                return why_set(why, err, "cannot read the directory %s: %s", path,
                               hif_strerror(err));
        if (source->count > 0)
                qsort(source->files, source->count, sizeof(*source->files), by_size);
        return HIF_OK;
}

enum hif_err fsck_source_add(struct cli *cli, const char *text, struct check_source **list,
                             struct hif_why *why)
{
        struct source *source = calloc(1, sizeof(*source));
        AUTO_FREE char *path = NULL;
        enum hif_err err = HIF_OK;

        if (!source)
                return why_set(why, HIF_ENOMEM, "out of memory");
        source->env = &cli->env;
        if (!strstr(text, "://"))
                err = cli_absolute(cli, text, &path, why);
        if (err == HIF_OK && (!path || is_store(path))) {
                source->source.get = get_stored;
                err = store_open(&cli->env, path ? path : text, false, &source->store, why);
        } else if (err == HIF_OK) {
                err = add_files(source, path, why);
        }
        push(list, source);
        return err;
}

enum hif_err fsck_source_cache(struct cli *cli, struct check_source **list)
{
        struct source *source;
        struct stat st;
        struct hif_why why;

        if (stat(cli->paths.cache_dir, &st) != 0)
                return HIF_OK;
        source = calloc(1, sizeof(*source));
        if (!source)
                return HIF_ENOMEM;
        source->env = &cli->env;
        source->source.get = get_cached;
        if (ssd_open(&cli->env, cli->paths.cache_dir, cli->config.ssd_max, &source->ssd, &why) !=
            HIF_OK) {
                free(source);
                return HIF_OK; /* a daemon uses it: the sources that were named remain */
        }
        push(list, source);
        return HIF_OK;
}

void fsck_sources_free(struct check_source *list)
{
        while (list) {
                struct source *source = (struct source *)list;

                list = list->next;
                store_close(source->store);
                ssd_close(source->ssd);
                free(source->files);
                arena_free(&source->arena);
                free(source);
        }
}
