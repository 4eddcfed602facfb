#include "kill_model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRS      4  /* the first is the model's own, and stays */
#define SLOTS     10 /* names in each */
#define FILES     96
#define HELD      4 /* files that stay open */
#define SIZE_MAX_ (160u << 10)
#define WRITE_MAX 9000

/* What is behind one or more names, or behind none and still open. */
struct file {
        bool used;
        unsigned links, held;
        mode_t mode;
        size_t size;
        uint8_t *data;
};

struct model {
        uint64_t random;
        bool dir_there[DIRS];
        int entries[DIRS][SLOTS]; /* index into files; -1: no such name */
        struct file files[FILES];
        struct {
                int file, fd; /* -1: none */
        } held[HELD];
};

static uint64_t next_random(struct model *model)
{
        model->random ^= model->random << 13;
        model->random ^= model->random >> 7;
        model->random ^= model->random << 17;
        return model->random;
}

static unsigned below(struct model *model, unsigned limit)
{
        return (unsigned)(next_random(model) % limit);
}

static bool __attribute__((format(printf, 2, 3))) failed(char why[256], const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(why, 256, format, args);
        va_end(args);
        return false;
}

static void name_of(unsigned dir, unsigned slot, char out[32])
{
        if (dir == 0)
                snprintf(out, 32, "f%u", slot);
        else
                snprintf(out, 32, "d%u/f%u", dir, slot);
}

/* --- picking --- */

static bool pick_dir(struct model *model, unsigned *dir)
{
        *dir = below(model, DIRS);
        return model->dir_there[*dir];
}

static bool pick_name(struct model *model, bool taken, unsigned *dir, unsigned *slot)
{
        *slot = below(model, SLOTS);
        return pick_dir(model, dir) && (model->entries[*dir][*slot] >= 0) == taken;
}

static int new_file(struct model *model, mode_t mode)
{
        for (int i = 0; i < FILES; i++) {
                if (model->files[i].used)
                        continue;
                model->files[i] = (struct file){
                    .used = true, .links = 1, .mode = mode, .data = calloc(1, SIZE_MAX_)};
                if (model->files[i].data == NULL)
                        abort();
                return i;
        }
        return -1;
}

static void put_file(struct model *model, int index)
{
        struct file *file = &model->files[index];

        if (file->links == 0 && file->held == 0) {
                free(file->data);
                *file = (struct file){0};
        }
}

static void drop_link(struct model *model, int index)
{
        model->files[index].links--;
        put_file(model, index);
}

/* --- contents --- */

static bool write_some(struct model *model, struct file *file, int fd, size_t at, char why[256])
{
        uint8_t bytes[WRITE_MAX];
        size_t size = 1 + below(model, below(model, 4) == 0 ? WRITE_MAX : 200);
        uint64_t pattern = next_random(model);

        if (at + size > SIZE_MAX_)
                return true;
        for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)(pattern >> (i % 8 * 8)) ^ (uint8_t)i;
        if (pwrite(fd, bytes, size, (off_t)at) != (ssize_t)size)
                return failed(why, "write: %s", strerror(errno));
        memcpy(file->data + at, bytes, size);
        if (at + size > file->size)
                file->size = at + size;
        return true;
}

static bool same_content(const struct file *file, int fd, const char *name, char why[256])
{
        static uint8_t bytes[SIZE_MAX_ + 1];
        ssize_t size = pread(fd, bytes, sizeof(bytes), 0);

        if (size < 0)
                return failed(why, "read of %s: %s", name, strerror(errno));
        if ((size_t)size != file->size)
                return failed(why, "%s has %zd bytes, not %zu", name, size, file->size);
        for (size_t i = 0; i < file->size; i++)
                if (bytes[i] != file->data[i])
                        return failed(why, "%s differs at byte %zu: %02x, not %02x", name, i,
                                      bytes[i], file->data[i]);
        return true;
}

/* --- operations: each does one thing to the mount, and the same to the model --- */

static bool do_create(struct model *model, char why[256])
{
        unsigned dir, slot;
        char name[32];
        mode_t mode = (mode_t)(0600 | below(model, 0100));
        int fd, index;
        bool good;

        if (!pick_name(model, false, &dir, &slot) || (index = new_file(model, mode)) < 0)
                return true;
        name_of(dir, slot, name);
        fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd < 0)
                return failed(why, "create of %s: %s", name, strerror(errno));
        model->entries[dir][slot] = index;
        good = below(model, 3) == 0 || write_some(model, &model->files[index], fd, 0, why);
        if (good && below(model, 4) == 0 && fsync(fd) != 0)
                good = failed(why, "fsync of %s: %s", name, strerror(errno));
        if (close(fd) != 0)
                return failed(why, "close of %s: %s", name, strerror(errno));
        return good;
}

static bool do_write(struct model *model, char why[256])
{
        unsigned dir, slot;
        struct file *file;
        char name[32];
        size_t at;
        bool good;
        int fd;

        if (!pick_name(model, true, &dir, &slot))
                return true;
        file = &model->files[model->entries[dir][slot]];
        name_of(dir, slot, name);
        at = below(model, 2) ? file->size : below(model, (unsigned)file->size + 5000);
        fd = open(name, O_RDWR | O_CLOEXEC | (at == file->size ? O_APPEND : 0));
        if (fd < 0)
                return failed(why, "open of %s: %s", name, strerror(errno));
        good = write_some(model, file, fd, at, why);
        if (good && below(model, 2) && fsync(fd) != 0)
                good = failed(why, "fsync of %s: %s", name, strerror(errno));
        if (close(fd) != 0)
                return failed(why, "close of %s: %s", name, strerror(errno));
        return good;
}

static bool do_truncate(struct model *model, char why[256])
{
        unsigned dir, slot;
        struct file *file;
        char name[32];
        size_t size;

        if (!pick_name(model, true, &dir, &slot))
                return true;
        file = &model->files[model->entries[dir][slot]];
        name_of(dir, slot, name);
        size = below(model, (unsigned)file->size + 3000);
        if (size > SIZE_MAX_)
                return true;
        if (truncate(name, (off_t)size) != 0)
                return failed(why, "truncate of %s: %s", name, strerror(errno));
        if (size < file->size)
                memset(file->data + size, 0, file->size - size);
        file->size = size;
        return true;
}

static bool do_rename(struct model *model, char why[256])
{
        unsigned from_dir, from, to_dir, to;
        char old[32], new[32];
        int over, moved;

        if (!pick_name(model, true, &from_dir, &from) || !pick_dir(model, &to_dir))
                return true;
        to = below(model, SLOTS);
        over = model->entries[to_dir][to];
        moved = model->entries[from_dir][from];
        if (over == moved)
                return true; /* the same file: nothing happens, by POSIX */
        name_of(from_dir, from, old);
        name_of(to_dir, to, new);
        if (rename(old, new) != 0)
                return failed(why, "rename of %s to %s: %s", old, new, strerror(errno));
        model->entries[from_dir][from] = -1;
        model->entries[to_dir][to] = moved;
        if (over >= 0)
                drop_link(model, over);
        return true;
}

static bool do_unlink(struct model *model, char why[256])
{
        unsigned dir, slot;
        char name[32];
        int index;

        if (!pick_name(model, true, &dir, &slot))
                return true;
        name_of(dir, slot, name);
        if (unlink(name) != 0)
                return failed(why, "unlink of %s: %s", name, strerror(errno));
        index = model->entries[dir][slot];
        model->entries[dir][slot] = -1;
        drop_link(model, index);
        return true;
}

static bool do_link(struct model *model, char why[256])
{
        unsigned dir, slot, to_dir, to;
        char old[32], new[32];

        if (!pick_name(model, true, &dir, &slot) || !pick_name(model, false, &to_dir, &to))
                return true;
        name_of(dir, slot, old);
        name_of(to_dir, to, new);
        if (link(old, new) != 0)
                return failed(why, "link of %s to %s: %s", old, new, strerror(errno));
        model->entries[to_dir][to] = model->entries[dir][slot];
        model->files[model->entries[dir][slot]].links++;
        return true;
}

static bool do_chmod(struct model *model, char why[256])
{
        unsigned dir, slot;
        char name[32];
        mode_t mode = (mode_t)(0600 | below(model, 0100));

        if (!pick_name(model, true, &dir, &slot))
                return true;
        name_of(dir, slot, name);
        if (chmod(name, mode) != 0)
                return failed(why, "chmod of %s: %s", name, strerror(errno));
        model->files[model->entries[dir][slot]].mode = mode;
        return true;
}

static bool is_empty(const struct model *model, unsigned dir)
{
        for (unsigned slot = 0; slot < SLOTS; slot++)
                if (model->entries[dir][slot] >= 0)
                        return false;
        return true;
}

static bool do_directory(struct model *model, char why[256])
{
        unsigned dir = 1 + below(model, DIRS - 1);
        char name[32];
        bool there = model->dir_there[dir];

        snprintf(name, sizeof(name), "d%u", dir);
        if (!there && mkdir(name, 0755) != 0)
                return failed(why, "mkdir of %s: %s", name, strerror(errno));
        if (there && !is_empty(model, dir))
                return true;
        /* A file that is removed and still open keeps a name of the NFS client's in there. */
        if (there && rmdir(name) != 0)
                return errno == ENOTEMPTY ? true
                                          : failed(why, "rmdir of %s: %s", name, strerror(errno));
        model->dir_there[dir] = !there;
        return true;
}

/* Files that stay open for long, also when their last name is gone. */
static bool do_hold(struct model *model, char why[256])
{
        unsigned i = below(model, HELD), dir, slot;
        int index = model->held[i].file;
        char name[32];

        if (index >= 0) {
                model->held[i].file = -1;
                model->files[index].held--;
                put_file(model, index);
                return close(model->held[i].fd) == 0 ||
                       failed(why, "close of a file held open: %s", strerror(errno));
        }
        if (!pick_name(model, true, &dir, &slot))
                return true;
        name_of(dir, slot, name);
        model->held[i].fd = open(name, O_RDWR | O_CLOEXEC);
        if (model->held[i].fd < 0)
                return failed(why, "open of %s: %s", name, strerror(errno));
        model->held[i].file = model->entries[dir][slot];
        model->files[model->held[i].file].held++;
        return true;
}

static bool do_held(struct model *model, char why[256])
{
        unsigned i = below(model, HELD);
        struct file *file;

        if (model->held[i].file < 0)
                return true;
        file = &model->files[model->held[i].file];
        if (!write_some(model, file, model->held[i].fd, below(model, (unsigned)file->size + 100),
                        why))
                return false;
        return below(model, 3) != 0 || fsync(model->held[i].fd) == 0 ||
               failed(why, "fsync of a file held open: %s", strerror(errno));
}

bool model_step(struct model *model, char why[256])
{
        static bool (*const operations[])(struct model * model, char why[256]) = {
            do_create,   do_create,    do_create, do_write,  do_write,  do_write,
            do_truncate, do_rename,    do_rename, do_unlink, do_unlink, do_link,
            do_chmod,    do_directory, do_hold,   do_held,   do_held,
        };

        return operations[below(model, sizeof(operations) / sizeof(operations[0]))](model, why);
}

/* --- checking --- */

static bool check_stat(const struct file *file, const struct stat *st, const char *name,
                       char why[256])
{
        if (!S_ISREG(st->st_mode) || (st->st_mode & 07777) != file->mode)
                return failed(why, "%s has mode %o, not %o", name, st->st_mode, file->mode);
        if ((size_t)st->st_size != file->size)
                return failed(why, "%s has size %lld, not %zu", name, (long long)st->st_size,
                              file->size);
        /* The NFS client keeps a name of its own for one that was opened by a name that is gone. */
        if (st->st_nlink < file->links || st->st_nlink > file->links + file->held)
                return failed(why, "%s has %lu links, not %u", name, (unsigned long)st->st_nlink,
                              file->links);
        return true;
}

static bool check_file(const struct file *file, const char *name, char why[256])
{
        int fd = open(name, O_RDONLY | O_CLOEXEC);
        struct stat st;
        bool good;

        if (fd < 0)
                return failed(why, "%s is lost: %s", name, strerror(errno));
        good = (fstat(fd, &st) == 0 || failed(why, "stat of %s: %s", name, strerror(errno))) &&
               check_stat(file, &st, name, why) && same_content(file, fd, name, why);
        close(fd);
        return good;
}

/* Names that should not be there; .nfs* are the client's own. */
static bool check_names(const struct model *model, unsigned dir, char why[256])
{
        char path[32] = ".";
        struct dirent *entry;
        unsigned number, found = 0, expected = 0;
        DIR *stream;

        if (dir > 0)
                snprintf(path, sizeof(path), "d%u", dir);
        stream = opendir(path);
        if (stream == NULL)
                return failed(why, "directory %s is lost: %s", path, strerror(errno));
        while ((entry = readdir(stream)) != NULL) {
                bool known = entry->d_name[0] == '.';

                if (sscanf(entry->d_name, "f%u", &number) == 1 && number < SLOTS &&
                    model->entries[dir][number] >= 0) {
                        known = true;
                        found++;
                }
                if (dir == 0 && sscanf(entry->d_name, "d%u", &number) == 1 && number < DIRS)
                        known = model->dir_there[number];
                if (!known) {
                        failed(why, "%s/%s should not be there", path, entry->d_name);
                        closedir(stream);
                        return false;
                }
        }
        closedir(stream);
        for (unsigned slot = 0; slot < SLOTS; slot++)
                expected += model->entries[dir][slot] >= 0;
        return found == expected || failed(why, "%s lists %u names, not %u", path, found, expected);
}

bool model_check(struct model *model, char why[256])
{
        char name[32];

        for (unsigned dir = 0; dir < DIRS; dir++) {
                if (!model->dir_there[dir])
                        continue;
                if (!check_names(model, dir, why))
                        return false;
                for (unsigned slot = 0; slot < SLOTS; slot++) {
                        if (model->entries[dir][slot] < 0)
                                continue;
                        name_of(dir, slot, name);
                        if (!check_file(&model->files[model->entries[dir][slot]], name, why))
                                return false;
                }
        }
        for (unsigned i = 0; i < HELD; i++)
                if (model->held[i].file >= 0 &&
                    !same_content(&model->files[model->held[i].file], model->held[i].fd,
                                  "a file held open", why))
                        return false;
        return true;
}

/* --- life --- */

struct model *model_new(const char *dir, uint64_t seed)
{
        struct model *model = calloc(1, sizeof(*model));

        if (model == NULL || chdir(dir) != 0) {
                free(model);
                return NULL;
        }
        model->random = seed * 0x9e3779b97f4a7c15u + 1;
        model->dir_there[0] = true;
        memset(model->entries, 0xff, sizeof(model->entries));
        for (unsigned i = 0; i < HELD; i++)
                model->held[i].file = model->held[i].fd = -1;
        return model;
}

void model_free(struct model *model)
{
        for (unsigned i = 0; i < HELD; i++)
                if (model->held[i].file >= 0)
                        close(model->held[i].fd);
        for (int i = 0; i < FILES; i++)
                free(model->files[i].data);
        free(model);
}
