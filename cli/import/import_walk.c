/* Names and attributes of a directory tree: one job a directory. */
#include "base/siphash.h"
#include "cli/import/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define WARNINGS_MAX     10u
#define PROGRESS_WAIT_NS 100000000

static void run_dir(struct pool_job *job);

/* --- the walk's own --- */

static uint64_t path_hash(struct span path)
{
        return siphash((struct sipkey){0x77616c6b, 0x686966}, path.data, path.size);
}

static struct walk_dir *dir_new(struct walk *walk, struct span parent, struct span name,
                                const struct ignore_scope *scope)
{
        size_t size = parent.size + (parent.size > 0) + name.size;
        struct walk_dir *dir = calloc(1, sizeof(*dir) + size + 1);

        if (!dir)
                return NULL;
        if (parent.size > 0) {
                memcpy(dir->path, parent.data, parent.size);
                dir->path[parent.size] = '/';
        }
        if (name.size > 0)
                memcpy(dir->path + size - name.size, name.data, name.size);
        dir->path_size = size;
        dir->job.run = run_dir;
        dir->walk = walk;
        dir->scope = scope;
        return dir;
}

static void dir_free(struct walk_dir *dir)
{
        buf_free(&dir->bytes);
        free(dir->entries);
        free(dir);
}

/* Keep the directory and queue it. */
static enum hif_err dir_add(struct walk_dir *dir)
{
        struct walk *walk = dir->walk;
        uint64_t hash = path_hash(span_of(dir->path, dir->path_size));
        enum hif_err err;

        pthread_mutex_lock(&walk->mutex);
        dir->chain = map_get(&walk->by_path, hash);
        err = map_put(&walk->by_path, hash, dir);
        walk->pending += err == HIF_OK;
        pthread_mutex_unlock(&walk->mutex);
        if (err == HIF_OK)
                pool_submit(walk->pool, &dir->job);
        return err;
}

struct walk_dir *walk_find(const struct walk *walk, struct span path)
{
        struct walk_dir *dir = map_get(&walk->by_path, path_hash(path));

        while (dir && !span_eq(span_of(dir->path, dir->path_size), path))
                dir = dir->chain;
        return dir;
}

/* "DIR/path/name", for messages. */
static enum hif_err fail(const struct walk_dir *dir, const char *name, enum hif_err err,
                         struct hif_why *why)
{
        const char *next =
            err == HIF_EACCES ? "; make it readable, or name it in a .hifignore file" : "";

        return why_set(why, err, "cannot read %s%s%s%s%s: %s%s", dir->walk->top,
                       dir->path_size > 0 ? "/" : "", dir->path, name[0] ? "/" : "", name,
                       hif_strerror(err), next);
}

/* --- one directory --- */

struct visit {
        struct walk_dir *dir;
        int fd;
        struct walk_stats stats;
        struct hif_why *why;
};

static struct span entry_name(const struct walk_dir *dir, const struct walk_entry *entry)
{
        return span_of(dir->bytes.data + entry->name_at, entry->name_size);
}

static enum hif_err add_entry(struct walk_dir *dir, const struct walk_entry *entry)
{
        if (dir->count == dir->capacity) {
                size_t capacity = dir->capacity ? dir->capacity * 2 : 16;
                struct walk_entry *grown = realloc(dir->entries, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                dir->entries = grown;
                dir->capacity = capacity;
        }
        dir->entries[dir->count++] = *entry;
        return HIF_OK;
}

/* All names, and of each the type where the file system gives it along. */
static enum hif_err list_names(struct visit *visit, DIR *stream)
{
        struct walk_dir *dir = visit->dir;

        for (;;) {
                struct walk_entry entry = {.name_at = (uint32_t)dir->bytes.size};
                const struct dirent *found;
                enum hif_err err;

                errno = 0;
                found = readdir(stream);
                if (!found)
                        return errno == 0 ? HIF_OK
                                          : fail(dir, "", hif_err_from_errno(errno), visit->why);
                if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
                        continue;
                entry.name_size = (uint32_t)strlen(found->d_name);
                entry.size = found->d_type; /* until it is looked at */
                buf_put(&dir->bytes, found->d_name, entry.name_size + 1u);
                if (buf_failed(&dir->bytes) || dir->bytes.size > UINT32_MAX / 2)
                        return HIF_ENOMEM;
                err = add_entry(dir, &entry);
                if (err != HIF_OK)
                        return err;
        }
}

static enum hif_err read_rules(struct visit *visit, const char *name, struct buf *out)
{
        struct env *env = (struct env *)&visit->dir->walk->cli->env;
        struct stat stat;
        int fd = openat(visit->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        enum hif_err err = HIF_OK;

        if (fd < 0) /* none; or a symlink, which git does not follow either */
                return errno == ENOENT || errno == ELOOP
                           ? HIF_OK
                           : fail(visit->dir, name, hif_err_from_errno(errno), visit->why);
        if (fstat(fd, &stat) != 0) {
                err = fail(visit->dir, name, hif_err_from_errno(errno), visit->why);
        } else if (S_ISREG(stat.st_mode) && stat.st_size > (off_t)IGNORE_FILE_SIZE_MAX) {
                err = why_set(visit->why, HIF_ELIMIT, "%s/%s/%s is too large for a rule file",
                              visit->dir->walk->top, visit->dir->path, name);
        } else if (S_ISREG(stat.st_mode) && stat.st_size > 0) {
                uint8_t *bytes = buf_reserve(out, (size_t)stat.st_size);

                err = bytes ? env_read_all(env, fd, bytes, (size_t)stat.st_size, 0) : HIF_ENOMEM;
                if (err == HIF_OK)
                        buf_extend(out, (size_t)stat.st_size);
                else
                        err = fail(visit->dir, name, err, visit->why);
        }
        close(fd);
        return err;
}

/* The directory's own rules, where it has any. */
static enum hif_err enter_scope(struct visit *visit)
{
        struct walk_dir *dir = visit->dir;
        AUTO_BUF struct buf git = {0};
        AUTO_BUF struct buf hif = {0};
        enum hif_err err = HIF_OK;

        for (size_t i = 0; dir->walk->rules && i < dir->count && err == HIF_OK; i++) {
                struct span name = entry_name(dir, &dir->entries[i]);

                if (span_eq(name, span_str(".gitignore")))
                        err = read_rules(visit, ".gitignore", &git);
                else if (span_eq(name, span_str(".hifignore")))
                        err = read_rules(visit, ".hifignore", &hif);
        }
        if (err != HIF_OK || (git.size == 0 && hif.size == 0))
                return err;
        return ignore_scope_new(dir->walk->ignore, dir->scope, span_of(dir->path, dir->path_size),
                                buf_span(&git), buf_span(&hif), &dir->scope);
}

static enum hif_err read_target(struct visit *visit, struct walk_entry *entry)
{
        struct walk_dir *dir = visit->dir;
        uint8_t *out = buf_reserve(&dir->bytes, SYMLINK_SIZE_MAX + 1);
        const char *name = (const char *)dir->bytes.data + entry->name_at;
        ssize_t n;

        if (!out)
                return HIF_ENOMEM;
        n = readlinkat(visit->fd, name, (char *)out, SYMLINK_SIZE_MAX + 1);
        if (n < 0)
                return fail(dir, name, hif_err_from_errno(errno), visit->why);
        if (n > SYMLINK_SIZE_MAX || n == 0)
                return fail(dir, name, HIF_ENAMETOOLONG, visit->why);
        entry->target_at = (uint32_t)dir->bytes.size;
        entry->target_size = (uint32_t)n;
        entry->size = (uint64_t)n;
        buf_extend(&dir->bytes, (size_t)n);
        return HIF_OK;
}

static void warn_special(struct visit *visit, const char *name)
{
        struct walk *walk = visit->dir->walk;
        uint64_t before = __atomic_fetch_add(&walk->stats.special, 1, __ATOMIC_RELAXED);

        if (before < WARNINGS_MAX)
                cli_warn(walk->cli, "left out %s%s%s: it is a socket, a fifo or a device",
                         visit->dir->path, visit->dir->path_size > 0 ? "/" : "", name);
}

/* *keep: it is something that a project can hold. */
static enum hif_err look_at(struct visit *visit, struct walk_entry *entry, bool *keep)
{
        struct walk_dir *dir = visit->dir;
        const char *name = (const char *)dir->bytes.data + entry->name_at;
        struct stat stat;

        *keep = true;
        if (fstatat(visit->fd, name, &stat, AT_SYMLINK_NOFOLLOW) != 0)
                return fail(dir, name, hif_err_from_errno(errno), visit->why);
        entry->mtime = (struct hif_time){stat.st_mtim.tv_sec, (uint32_t)stat.st_mtim.tv_nsec};
        entry->size = 0;
        if (S_ISREG(stat.st_mode)) {
                entry->kind = stat.st_mode & S_IXUSR ? ENTRY_EXEC : ENTRY_FILE;
                entry->size = (uint64_t)stat.st_size;
                visit->stats.files++;
                visit->stats.bytes += entry->size;
                return HIF_OK;
        }
        if (S_ISDIR(stat.st_mode)) {
                entry->kind = ENTRY_DIR;
                visit->stats.dirs++;
                if (stat.st_ino == dir->walk->store_ino && stat.st_dev == dir->walk->store_dev)
                        return why_set(visit->why, HIF_EINVAL,
                                       "%s/%s%s%s is the store itself: keep it elsewhere, or name "
                                       "it in a .hifignore file",
                                       dir->walk->top, dir->path, dir->path_size > 0 ? "/" : "",
                                       name);
                return HIF_OK;
        }
        if (S_ISLNK(stat.st_mode)) {
                entry->kind = ENTRY_SYMLINK;
                visit->stats.symlinks++;
                return read_target(visit, entry);
        }
        *keep = false;
        warn_special(visit, name);
        return HIF_OK;
}

/* Rules come first: what is ignored is not looked at. */
static enum hif_err is_ignored(struct visit *visit, const struct walk_entry *entry,
                               struct buf *path, bool *out)
{
        struct walk_dir *dir = visit->dir;
        const char *name = (const char *)dir->bytes.data + entry->name_at;
        bool is_dir = entry->size == DT_DIR;
        struct stat stat;

        if (entry->size == DT_UNKNOWN) {
                if (fstatat(visit->fd, name, &stat, AT_SYMLINK_NOFOLLOW) != 0)
                        return fail(dir, name, hif_err_from_errno(errno), visit->why);
                is_dir = S_ISDIR(stat.st_mode);
        }
        buf_reset(path);
        buf_put(path, dir->path, dir->path_size);
        if (dir->path_size > 0)
                buf_put_u8(path, '/');
        buf_put(path, name, entry->name_size);
        if (buf_failed(path))
                return HIF_ENOMEM;
        if (path->size > PATH_SIZE_MAX)
                return fail(dir, name, HIF_ENAMETOOLONG, visit->why);
        *out = ignore_scope_match(dir->scope, buf_span(path), is_dir);
        visit->stats.ignored += *out;
        return HIF_OK;
}

/* The order of a directory's children in a tree. */
static int compare_entries(const void *a, const void *b, void *arg)
{
        const struct walk_entry *left = a, *right = b;
        const struct walk_dir *dir = arg;

        if (left->hash60 != right->hash60)
                return left->hash60 < right->hash60 ? -1 : 1;
        return span_cmp(entry_name(dir, left), entry_name(dir, right));
}

static enum hif_err look_at_all(struct visit *visit)
{
        struct walk_dir *dir = visit->dir;
        AUTO_BUF struct buf path = {0};
        size_t kept = 0;

        for (size_t i = 0; i < dir->count; i++) {
                struct walk_entry entry = dir->entries[i];
                bool ignored = false, keep = false;
                enum hif_err err = is_ignored(visit, &entry, &path, &ignored);

                if (err == HIF_OK && !ignored)
                        err = look_at(visit, &entry, &keep);
                if (err != HIF_OK)
                        return err;
                if (!keep)
                        continue;
                entry.hash60 = name_hash60(entry_name(dir, &entry));
                dir->entries[kept++] = entry;
        }
        dir->count = kept;
        if (kept > 0)
                qsort_r(dir->entries, kept, sizeof(*dir->entries), compare_entries, dir);
        return HIF_OK;
}

static enum hif_err queue_children(struct visit *visit)
{
        struct walk_dir *dir = visit->dir;

        for (size_t i = 0; i < dir->count; i++) {
                struct walk_entry *entry = &dir->entries[i];
                struct walk_dir *child;
                enum hif_err err;

                if (entry->kind != ENTRY_DIR)
                        continue;
                child = dir_new(dir->walk, span_of(dir->path, dir->path_size),
                                entry_name(dir, entry), dir->scope);
                err = child ? dir_add(child) : HIF_ENOMEM;
                if (err != HIF_OK) {
                        if (child)
                                dir_free(child);
                        return err;
                }
                entry->dir = child;
        }
        return HIF_OK;
}

static enum hif_err visit_dir(struct visit *visit)
{
        struct walk_dir *dir = visit->dir;
        DIR *stream;
        enum hif_err err = open_below(dir->walk->fd, dir->path, O_RDONLY | O_DIRECTORY, &visit->fd);

        if (err != HIF_OK)
                return fail(dir, "", err, visit->why);
        stream = fdopendir(visit->fd);
        if (!stream) {
                close(visit->fd);
                return fail(dir, "", hif_err_from_errno(errno), visit->why);
        }
        err = list_names(visit, stream);
        if (err == HIF_OK)
                err = enter_scope(visit);
        if (err == HIF_OK)
                err = look_at_all(visit);
        if (err == HIF_OK)
                err = queue_children(visit);
        closedir(stream);
        return err;
}

static void run_dir(struct pool_job *job)
{
        struct walk_dir *dir = (struct walk_dir *)job;
        struct walk *walk = dir->walk;
        struct hif_why why = {0};
        struct visit visit = {.dir = dir, .why = &why};
        enum hif_err err = __atomic_load_n(&walk->err, __ATOMIC_RELAXED);

        if (err == HIF_OK)
                err = visit_dir(&visit);
        pthread_mutex_lock(&walk->mutex);
        walk->stats.files += visit.stats.files;
        walk->stats.dirs += visit.stats.dirs;
        walk->stats.symlinks += visit.stats.symlinks;
        walk->stats.bytes += visit.stats.bytes;
        walk->stats.ignored += visit.stats.ignored;
        if (err != HIF_OK && walk->err == HIF_OK) {
                __atomic_store_n(&walk->err, err, __ATOMIC_RELAXED);
                walk->why = why;
        }
        if (--walk->pending == 0)
                pthread_cond_signal(&walk->done);
        pthread_mutex_unlock(&walk->mutex);
}

/* --- the whole --- */

static void wait_for_all(struct walk *walk, struct progress *progress)
{
        pthread_mutex_lock(&walk->mutex);
        while (walk->pending > 0) {
                struct timespec until;

                progress_set(progress, walk->stats.files, 0, 0);
                (void)clock_gettime(CLOCK_REALTIME, &until);
                until.tv_nsec += PROGRESS_WAIT_NS;
                until.tv_sec += until.tv_nsec / 1000000000;
                until.tv_nsec %= 1000000000;
                (void)pthread_cond_timedwait(&walk->done, &walk->mutex, &until);
        }
        pthread_mutex_unlock(&walk->mutex);
}

enum hif_err import_walk(struct walk *walk, const struct cli *cli, struct pool *pool,
                         const char *top, int fd, bool rules, const char *store_dir,
                         struct progress *progress, struct hif_why *why)
{
        struct stat stat;
        enum hif_err err;

        *walk = (struct walk){.cli = cli, .pool = pool, .top = top, .fd = fd, .rules = rules};
        pthread_mutex_init(&walk->mutex, NULL);
        pthread_cond_init(&walk->done, NULL);
        if (store_dir && lstat(store_dir, &stat) == 0) {
                walk->store_dev = stat.st_dev;
                walk->store_ino = stat.st_ino;
        }
        err = ignore_new(&walk->ignore);
        if (err == HIF_OK) {
                walk->root =
                    dir_new(walk, (struct span){0}, (struct span){0}, ignore_root(walk->ignore));
                err = walk->root ? dir_add(walk->root) : HIF_ENOMEM;
                if (err != HIF_OK && walk->root)
                        dir_free(walk->root);
        }
        if (err != HIF_OK)
                return why_set(why, err, "out of memory");
        wait_for_all(walk, progress);
        if (walk->err == HIF_ENOMEM)
                return why_set(why, HIF_ENOMEM, "out of memory");
        if (walk->err != HIF_OK)
                *why = walk->why;
        else if (walk->stats.special > WARNINGS_MAX)
                cli_warn(cli, "left out %lu sockets, fifos and devices in all",
                         (unsigned long)walk->stats.special);
        return walk->err;
}

void walk_free(struct walk *walk)
{
        void *value;
        uint64_t key;

        for (size_t i = 0; map_next(&walk->by_path, &i, &key, &value);) {
                struct walk_dir *dir = value;

                while (dir) {
                        struct walk_dir *next = dir->chain;

                        dir_free(dir);
                        dir = next;
                }
        }
        map_free(&walk->by_path);
        ignore_free(walk->ignore);
        close(walk->fd);
        pthread_mutex_destroy(&walk->mutex);
        pthread_cond_destroy(&walk->done);
}
