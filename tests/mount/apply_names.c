/* apply_names.c - operations on names and on what they stand for. */
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One operation's paths: as the kernel gets them, and what the model has there. */
struct target {
        char path[PATH_MAX];
        int error; /* of the path */
        struct node *parent, *node;
        unsigned name;
};

static void find(const struct worker *worker, const struct op_path *path, struct target *target)
{
        worker_path(worker, path, target->path);
        target->error = model_walk(worker, path, &target->parent, &target->node);
        target->name = path->depth > 0 ? path->name[path->depth - 1] : 0;
}

static int error_of(int returned)
{
        return returned != 0 ? errno : 0;
}

static void set_name(const struct target *target, struct node *node, struct timespec since)
{
        target->parent->child[target->name] = node;
        moment_changed(&target->parent->mtime, since);
}

/* A name goes. NFS' client renames what it has open instead of removing it. */
static void drop_name(const struct worker *worker, const struct target *target)
{
        if (worker->nfs && target->node->holders > 0) {
                target->node->ghosts++;
                target->parent->ghosts++;
        }
        node_unlink(target->node);
}

/* A directory that the model has empty may still hold an .nfsXXXX, whose removal may be under way. */
static bool has_ghost(const struct worker *worker, const struct node *directory, int error)
{
        return worker->nfs && (error == ENOTEMPTY || error == EBUSY) && directory->ghosts > 0;
}

static void apply_unlink(struct worker *worker, struct target *a)
{
        int expected = a->error;
        struct timespec since = moment_now();

        if (expected == 0)
                expected = a->node == NULL ? ENOENT : a->node->kind == NODE_DIRECTORY ? EISDIR : 0;
        expect_errno(worker, error_of(unlink(a->path)), expected);
        if (expected != 0)
                return;
        drop_name(worker, a);
        set_name(a, NULL, since);
}

static void apply_rmdir(struct worker *worker, struct target *a)
{
        int expected = a->error, error;
        struct timespec since = moment_now();

        if (expected == 0)
                expected = a->node == NULL                   ? ENOENT
                           : a->node->kind != NODE_DIRECTORY ? ENOTDIR
                           : !node_is_empty(a->node)         ? ENOTEMPTY
                                                             : 0;
        error = error_of(rmdir(a->path));
        if (expected == 0 && has_ghost(worker, a->node, error))
                return;
        expect_errno(worker, error, expected);
        if (expected != 0)
                return;
        node_unlink(a->node);
        set_name(a, NULL, since);
}

static int rename_error(const struct target *a, const struct target *b)
{
        if (a->error != 0 || b->error != 0)
                return a->error != 0 ? a->error : b->error;
        if (a->node == NULL)
                return ENOENT;
        if (a->node->kind == NODE_DIRECTORY && a->node != b->node &&
            node_is_below(b->parent, a->node))
                return EINVAL;
        if (b->node == NULL || a->node == b->node)
                return 0;
        if (b->node->kind == NODE_DIRECTORY && node_is_below(a->parent, b->node))
                return ENOTEMPTY;
        if (a->node->kind == NODE_DIRECTORY && b->node->kind != NODE_DIRECTORY)
                return ENOTDIR;
        if (a->node->kind != NODE_DIRECTORY && b->node->kind == NODE_DIRECTORY)
                return EISDIR;
        return b->node->kind == NODE_DIRECTORY && !node_is_empty(b->node) ? ENOTEMPTY : 0;
}

static void apply_rename(struct worker *worker, struct target *a, struct target *b)
{
        int expected = rename_error(a, b), error;
        struct timespec since = moment_now();

        error = error_of(rename(a->path, b->path));
        if (expected == 0 && b->node != NULL && has_ghost(worker, b->node, error))
                return;
        expect_errno(worker, error, expected);
        if (expected != 0 || a->node == b->node)
                return;
        if (b->node != NULL)
                drop_name(worker, b);
        set_name(a, NULL, since);
        set_name(b, a->node, since);
}

static void apply_link(struct worker *worker, struct target *a, struct target *b)
{
        int expected = a->error;
        struct timespec since = moment_now();

        if (expected == 0)
                expected = a->node == NULL                   ? ENOENT
                           : b->error != 0                   ? b->error
                           : b->node != NULL                 ? EEXIST
                           : a->node->kind == NODE_DIRECTORY ? EPERM
                                                             : 0;
        expect_errno(worker, error_of(link(a->path, b->path)), expected);
        if (expected != 0)
                return;
        a->node->links++;
        set_name(b, a->node, since);
}

/* mkdir and symlink: `made` is what they make. */
static void apply_new(struct worker *worker, struct target *a, int error, struct node *made,
                      struct timespec since)
{
        int expected = a->error != 0 ? a->error : a->node != NULL ? EEXIST : 0;

        expect_errno(worker, error, expected);
        if (expected != 0) {
                node_unlink(made);
                return;
        }
        moment_changed(&made->mtime, since);
        set_name(a, made, since);
}

static void apply_symlink(struct worker *worker, const struct op *op, struct target *a)
{
        struct node *made = node_new(NODE_SYMLINK, 0777);
        struct timespec since = moment_now();
        char text[64];

        made->target = op->tag;
        snprintf(text, sizeof(text), "to-%u", op->tag);
        apply_new(worker, a, error_of(symlink(text, a->path)), made, since);
}

static void apply_readlink(struct worker *worker, struct target *a)
{
        int expected = a->error;
        char got[64], text[64];
        ssize_t size;

        if (expected == 0)
                expected = a->node == NULL ? ENOENT : a->node->kind != NODE_SYMLINK ? EINVAL : 0;
        size = readlink(a->path, got, sizeof(got) - 1);
        expect_errno(worker, size < 0 ? errno : 0, expected);
        if (expected != 0)
                return;
        got[size] = '\0';
        snprintf(text, sizeof(text), "to-%u", a->node->target);
        if (strcmp(got, text) != 0)
                finding(worker, "readlink says '%s', and not '%s'", got, text);
}

/* By path, following symbolic links, all of which lead nowhere. */
static int followed_error(const struct target *a)
{
        if (a->error != 0)
                return a->error;
        return a->node == NULL || a->node->kind == NODE_SYMLINK ? ENOENT : 0;
}

static void apply_chmod(struct worker *worker, const struct op *op, struct target *a)
{
        bool directory = a->error == 0 && a->node != NULL && a->node->kind == NODE_DIRECTORY;
        unsigned mode = (unsigned)op->size | (directory ? 0700 : worker->is_root ? 0 : 0600);
        int expected = followed_error(a);

        expect_errno(worker, error_of(chmod(a->path, mode)), expected);
        if (expected == 0)
                a->node->mode = mode;
}

static void apply_times(struct worker *worker, const struct op *op, struct target *a)
{
        struct timespec at = {(time_t)op->size, (long)op->offset}, times[2] = {{0, UTIME_OMIT}, at};
        int expected = a->error != 0 ? a->error : a->node == NULL ? ENOENT : 0;

        expect_errno(worker, error_of(utimensat(AT_FDCWD, a->path, times, AT_SYMLINK_NOFOLLOW)),
                     expected);
        if (expected == 0)
                moment_set(&a->node->mtime, at);
}

static void apply_truncate(struct worker *worker, const struct op *op, struct target *a)
{
        int expected = followed_error(a);
        struct timespec since = moment_now();

        if (expected == 0 && a->node->kind == NODE_DIRECTORY)
                expected = EISDIR;
        expect_errno(worker, error_of(truncate(a->path, (off_t)op->size)), expected);
        if (expected != 0)
                return;
        if (a->node->content.size == op->size)
                moment_maybe_changed(&a->node->mtime, since);
        else
                moment_changed(&a->node->mtime, since);
        content_resize(&a->node->content, op->size);
}

static void apply_stat(struct worker *worker, struct target *a)
{
        int expected = a->error != 0 ? a->error : a->node == NULL ? ENOENT : 0;
        struct stat seen;

        expect_errno(worker, error_of(lstat(a->path, &seen)), expected);
        if (expected == 0)
                check_stat(worker, a->node, &seen, a->path);
}

static void apply_list(struct worker *worker, struct target *a)
{
        if (a->error == 0 && a->node != NULL && a->node->kind == NODE_DIRECTORY)
                check_list(worker, a->node, a->path);
}

bool apply_names(struct worker *worker, const struct op *op)
{
        struct timespec since = moment_now();
        struct target a, b;

        find(worker, &op->a, &a);
        find(worker, &op->b, &b);
        switch (op->kind) {
        case OP_UNLINK:
                apply_unlink(worker, &a);
                break;
        case OP_RENAME:
                apply_rename(worker, &a, &b);
                break;
        case OP_LINK:
                apply_link(worker, &a, &b);
                break;
        case OP_SYMLINK:
                apply_symlink(worker, op, &a);
                break;
        case OP_READLINK:
                apply_readlink(worker, &a);
                break;
        case OP_MKDIR:
                apply_new(worker, &a, error_of(mkdir(a.path, 0755)), node_new(NODE_DIRECTORY, 0755),
                          since);
                break;
        case OP_RMDIR:
                apply_rmdir(worker, &a);
                break;
        case OP_CHMOD:
                apply_chmod(worker, op, &a);
                break;
        case OP_TIMES:
                apply_times(worker, op, &a);
                break;
        case OP_TRUNCATE:
                apply_truncate(worker, op, &a);
                break;
        case OP_STAT:
                apply_stat(worker, &a);
                break;
        case OP_LIST:
                apply_list(worker, &a);
                break;
        default:
                return false;
        }
        worker->effective++;
        return true;
}
