/* model.c - nodes, paths, times; and the report of a finding. */
#include "model.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct node *node_new(enum node_kind kind, unsigned mode)
{
        struct node *node = calloc(1, sizeof(*node));

        assert(node != NULL);
        node->kind = kind;
        node->mode = mode;
        node->links = 1;
        node->mtime.is_any = true;
        return node;
}

static void free_unused(struct node *node)
{
        if (node->links > 0 || node->holders > 0)
                return;
        content_free(&node->content);
        free(node);
}

void node_unlink(struct node *node)
{
        assert(node->links > 0);
        node->links--;
        free_unused(node);
}

void node_release(struct node *node)
{
        assert(node->holders > 0);
        node->holders--;
        free_unused(node);
}

bool node_is_empty(const struct node *directory)
{
        for (unsigned i = 0; i < OP_NAMES; i++)
                if (directory->child[i] != NULL)
                        return false;
        return true;
}

bool node_is_below(const struct node *node, const struct node *directory)
{
        if (node == directory)
                return true;
        for (unsigned i = 0; directory->kind == NODE_DIRECTORY && i < OP_NAMES; i++)
                if (directory->child[i] != NULL && node_is_below(node, directory->child[i]))
                        return true;
        return false;
}

int model_walk(const struct worker *worker, const struct op_path *path, struct node **parent,
               struct node **node)
{
        *parent = NULL;
        *node = worker->root;
        for (unsigned i = 0; i < path->depth; i++) {
                if (*node == NULL || (*node)->kind == NODE_SYMLINK) /* all of them dangle */
                        return ENOENT;
                if ((*node)->kind != NODE_DIRECTORY)
                        return ENOTDIR;
                *parent = *node;
                *node = (*parent)->child[path->name[i]];
        }
        return 0;
}

void worker_path(const struct worker *worker, const struct op_path *path, char *out)
{
        size_t length = (size_t)snprintf(out, PATH_MAX, "%s", worker->dir);

        for (unsigned i = 0; i < path->depth; i++)
                length += (size_t)snprintf(out + length, PATH_MAX - length, "/%s",
                                           op_name(path->name[i]));
        assert(length < PATH_MAX);
}

/* --- the base --- */

/* Around the limits that matter: a block, 64 KiB, 4 MiB (larger contents are stored in chunks). */
static const struct {
        struct op_path path;
        uint64_t size;
        unsigned mode;
} base_files[BASE_FILES] = {
    {{1, {0}}, 65537, 0644}, {{1, {1}}, (5 << 20) + 13, 0755}, {{1, {2}}, 1, 0644},
    {{1, {3}}, 4096, 0755},  {{2, {5, 0}}, 200000, 0644},      {{2, {5, 1}}, 700000, 0644},
    {{2, {5, 4}}, 0, 0644},  {{3, {5, 6, 0}}, 65536, 0644},    {{3, {5, 6, 3}}, 12345, 0755},
};
#define BASE_MTIME 1600000000 /* s, and as many ns */

struct node *model_base(void)
{
        struct worker worker = {.root = node_new(NODE_DIRECTORY, 0755)};
        struct node *parent, *node, *deep;

        worker.root->child[5] = node_new(NODE_DIRECTORY, 0755);
        deep = worker.root->child[5]->child[6] = node_new(NODE_DIRECTORY, 0755);
        (void)deep;
        for (unsigned i = 0; i < BASE_FILES; i++) {
                int error = model_walk(&worker, &base_files[i].path, &parent, &node);

                assert(error == 0 && node == NULL);
                node = parent->child[base_files[i].path.name[base_files[i].path.depth - 1]] =
                    node_new(NODE_FILE, base_files[i].mode);
                content_write(&node->content, 0, base_files[i].size, BASE_TAG + i);
                moment_set(&node->mtime, (struct timespec){BASE_MTIME + i, BASE_MTIME / 10 + i});
        }
        return worker.root;
}

static void must(bool ok, const char *what)
{
        if (ok)
                return;
        fprintf(stderr, "random_ops: %s: %s\n", what, strerror(errno));
        exit(2);
}

void model_write_base(const char *dir)
{
        struct worker worker = {.dir = dir};
        struct op_path deep = {2, {5, 6}}, above = {1, {5}};
        static uint8_t bytes[6 << 20];
        char path[PATH_MAX];

        must(mkdir(dir, 0755) == 0 || errno == EEXIST, dir);
        worker_path(&worker, &above, path);
        must(mkdir(path, 0755) == 0, path);
        worker_path(&worker, &deep, path);
        must(mkdir(path, 0755) == 0, path);
        for (unsigned i = 0; i < BASE_FILES; i++) {
                struct timespec times[2] = {{BASE_MTIME + i, BASE_MTIME / 10 + i},
                                            {BASE_MTIME + i, BASE_MTIME / 10 + i}};
                size_t size = base_files[i].size;
                int fd;

                worker_path(&worker, &base_files[i].path, path);
                fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, base_files[i].mode);
                must(fd >= 0, path);
                content_pattern(BASE_TAG + i, 0, size, bytes);
                must(write(fd, bytes, size) == (ssize_t)size && futimens(fd, times) == 0 &&
                         close(fd) == 0,
                     path);
        }
}

/* --- times --- */

struct timespec moment_now(void)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return now;
}

void moment_changed(struct moment *moment, struct timespec since)
{
        *moment = (struct moment){.is_since = true, .pending = moment->pending, .since = since};
}

void moment_maybe_changed(struct moment *moment, struct timespec since)
{
        if (!moment->is_since)
                moment->since = since;
        moment->is_since = true;
}

void moment_set(struct moment *moment, struct timespec exact)
{
        moment->is_any = false;
        moment->is_exact = true;
        moment->is_since = moment->pending;
        moment->exact = exact;
}

/* --- findings --- */

void finding(const struct worker *worker, const char *format, ...)
{
        uint32_t first = worker->done > WORKER_LAST ? worker->done - WORKER_LAST : 0;
        char line[OP_LINE_MAX];
        va_list arguments;

        fprintf(stderr, "random_ops: worker %u: ", worker->number);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fprintf(stderr, "\n  its last operations:\n");
        for (uint32_t i = first; i < worker->done; i++) {
                op_format(&worker->last[i % WORKER_LAST], line);
                fprintf(stderr, "    %s\n", line);
        }
        fprintf(stderr,
                "  all of them: random_ops --seed %llu --operations %u --every %u%s --list %u\n",
                (unsigned long long)worker->run_seed, worker->done, worker->run_every,
                worker->run_every != 0 ? " --between :" : "", worker->number);
        exit(1);
}
