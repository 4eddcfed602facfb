/* check.c - is what the kernel shows what the model says? */
#include "model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Kernels stamp files with the time of their last tick, and the server with that of its turn: on a
 * machine that has much to do it is a little in the past. */
#define SLACK_NS 1000000000

static int64_t ns_of(struct timespec at)
{
        return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static void check_moment(struct worker *worker, struct moment *moment, struct timespec seen,
                         const char *name)
{
        bool exact = moment->is_exact && ns_of(seen) == ns_of(moment->exact);
        bool since = moment->is_since && ns_of(seen) >= ns_of(moment->since) - SLACK_NS &&
                     ns_of(seen) <= ns_of(moment_now()) + SLACK_NS;

        if (!exact && !since && !moment->is_any)
                finding(worker, "the mtime of %s is %lld, and not %lld%s%lld", name,
                        (long long)ns_of(seen),
                        (long long)(moment->is_exact ? ns_of(moment->exact) : 0),
                        moment->is_since ? ", nor since " : ", and not looked for since ",
                        (long long)ns_of(moment->since));
        moment_set(moment, seen);
}

static mode_t type_of(const struct node *node)
{
        return node->kind == NODE_DIRECTORY ? S_IFDIR
               : node->kind == NODE_SYMLINK ? S_IFLNK
                                            : S_IFREG;
}

void check_stat(struct worker *worker, struct node *node, const struct stat *seen, const char *name)
{
        unsigned links = (unsigned)seen->st_nlink;

        if ((seen->st_mode & S_IFMT) != type_of(node))
                finding(worker, "%s is of type %o, and not %o", name, seen->st_mode & S_IFMT,
                        type_of(node));
        if (node->kind != NODE_SYMLINK && (seen->st_mode & 07777) != node->mode)
                finding(worker, "%s has the mode %o, and not %o", name, seen->st_mode & 07777,
                        node->mode);
        if (node->kind == NODE_FILE && (uint64_t)seen->st_size != node->content.size)
                finding(worker, "%s has %llu bytes, and not %llu", name,
                        (unsigned long long)seen->st_size, (unsigned long long)node->content.size);
        if (node->kind == NODE_FILE && node->links > 0 &&
            (links < node->links || links > node->links + node->ghosts))
                finding(worker, "%s has %u names, and not %u", name, links, node->links);
        if (node->kind == NODE_FILE && node->holders == 0 && links == node->links)
                node->ghosts = 0;
        if (node->ino != 0 && node->ino != seen->st_ino)
                finding(worker, "%s has changed its number from %llu to %llu", name,
                        (unsigned long long)node->ino, (unsigned long long)seen->st_ino);
        node->ino = seen->st_ino;
        if (ns_of(seen->st_ctim) < ns_of(node->ctime))
                finding(worker, "the ctime of %s went back from %lld to %lld", name,
                        (long long)ns_of(node->ctime), (long long)ns_of(seen->st_ctim));
        node->ctime = seen->st_ctim;
        if (node->kind != NODE_DIRECTORY || node->ghosts == 0)
                check_moment(worker, &node->mtime, seen->st_mtim, name);
}

/* Which of the writes up to now has these bytes? */
static uint32_t whose(const struct worker *worker, uint64_t offset, const uint8_t *bytes,
                      size_t size)
{
        uint8_t pattern[8];

        if (size < sizeof(pattern))
                return 0;
        for (uint32_t i = 0; i < worker->done + BASE_FILES; i++) {
                uint32_t tag = i < BASE_FILES ? BASE_TAG + i : i - BASE_FILES + 1;

                content_pattern(tag, offset, sizeof(pattern), pattern);
                if (memcmp(pattern, bytes, sizeof(pattern)) == 0)
                        return tag;
        }
        return 0;
}

void check_bytes(struct worker *worker, const struct node *node, uint64_t offset, size_t size,
                 const char *name)
{
        size_t first = 0, last;
        uint32_t found;

        if (size == 0)
                return;
        content_expect(&node->content, offset, size, worker->expected);
        if (memcmp(worker->got, worker->expected, size) == 0)
                return;
        while (worker->got[first] == worker->expected[first])
                first++;
        for (last = size - 1; worker->got[last] == worker->expected[last];)
                last--;
        found = whose(worker, offset + first, worker->got + first, size - first);
        finding(worker,
                "%s: of bytes %llu to %llu, %zu to %zu are wrong: %02x %02x.. and not %02x %02x.. "
                "of write %u "
                "(what is there %s %u)",
                name, (unsigned long long)offset, (unsigned long long)(offset + size), first, last,
                worker->got[first], worker->got[first + 1], worker->expected[first],
                worker->expected[first + 1], content_tag_at(&node->content, offset + first),
                found != 0 ? "is of write" : "is of none that is known:", found);
}

void check_list(struct worker *worker, struct node *node, const char *path)
{
        unsigned seen[OP_NAMES] = {0}, ghosts = 0;
        DIR *stream = opendir(path);
        struct dirent *entry;

        if (stream == NULL)
                finding(worker, "%s cannot be listed: %s", path, strerror(errno));
        while (errno = 0, (entry = readdir(stream)) != NULL) {
                unsigned i = 0;

                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (worker->nfs && strncmp(entry->d_name, ".nfs", 4) == 0) {
                        ghosts++;
                        continue;
                }
                while (i < OP_NAMES && strcmp(entry->d_name, op_name(i)) != 0)
                        i++;
                if (i == OP_NAMES || node->child[i] == NULL)
                        finding(worker, "%s lists '%s', which is not there", path, entry->d_name);
                if (seen[i]++ != 0)
                        finding(worker, "%s lists '%s' twice", path, entry->d_name);
        }
        if (errno != 0)
                finding(worker, "listing %s: %s", path, strerror(errno));
        closedir(stream);
        for (unsigned i = 0; i < OP_NAMES; i++)
                if (node->child[i] != NULL && seen[i] == 0)
                        finding(worker, "%s does not list '%s'", path, op_name(i));
        if (ghosts == 0 && node->ghosts != 0) {
                node->ghosts = 0;
                node->mtime = (struct moment){.is_any = true};
        }
}

static void check_file(struct worker *worker, struct node *node, const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                finding(worker, "%s cannot be opened: %s", path, strerror(errno));
        for (uint64_t at = 0;;) {
                uint64_t left = node->content.size - at;
                size_t size = left < BUFFER_SIZE ? (size_t)left : BUFFER_SIZE;
                ssize_t got = pread(fd, worker->got, BUFFER_SIZE, (off_t)at);

                if (got < 0)
                        finding(worker, "reading %s at %llu: %s", path, (unsigned long long)at,
                                strerror(errno));
                if ((size_t)got > size || (got == 0 && size != 0))
                        finding(worker, "reading %s at %llu: %zd bytes, and not %zu", path,
                                (unsigned long long)at, got, size);
                if (got == 0)
                        break;
                check_bytes(worker, node, at, (size_t)got, path);
                at += (uint64_t)got;
        }
        close(fd);
}

static void check_symlink(struct worker *worker, const struct node *node, const char *path)
{
        char target[64], expected[64];
        ssize_t size = readlink(path, target, sizeof(target) - 1);

        if (size < 0)
                finding(worker, "readlink %s: %s", path, strerror(errno));
        target[size] = '\0';
        snprintf(expected, sizeof(expected), "to-%u", node->target);
        if (strcmp(target, expected) != 0)
                finding(worker, "%s leads to '%s', and not '%s'", path, target, expected);
}

/* What another mount shows of a node after landing, with what is not landed as it was here: so check_stat can be asked.
 * A time lands with a content, and not alone. */
static void landed_stat(struct node *node, struct stat *seen)
{
        seen->st_mode =
            (seen->st_mode & S_IFMT) |
            (((seen->st_mode & 0100) != 0) == ((node->mode & 0100) != 0) ? node->mode
                                                                         : seen->st_mode & 07777);
        seen->st_nlink = node->links;
        seen->st_ino = node->ino;
        seen->st_ctim = node->ctime;
        node->mtime = (struct moment){.is_any = true};
}

static void check_below(struct worker *worker, struct node *node, struct op_path path, bool landed)
{
        char name[PATH_MAX];
        struct stat seen;

        worker_path(worker, &path, name);
        if (lstat(name, &seen) != 0)
                finding(worker, "%s: %s", name, strerror(errno));
        if (landed)
                landed_stat(node, &seen);
        check_stat(worker, node, &seen, name);
        if (node->kind == NODE_FILE)
                check_file(worker, node, name);
        if (node->kind == NODE_SYMLINK)
                check_symlink(worker, node, name);
        if (node->kind != NODE_DIRECTORY)
                return;
        check_list(worker, node, name);
        for (unsigned i = 0; i < OP_NAMES; i++) {
                struct op_path below = path;

                if (node->child[i] == NULL || path.depth == OP_DEPTH_MAX)
                        continue;
                below.name[below.depth++] = (unsigned char)i;
                check_below(worker, node->child[i], below, landed);
        }
}

void check_all(struct worker *worker, bool landed)
{
        check_below(worker, worker->root, (struct op_path){0}, landed);
}
