/* apply.c - operations on open files and their contents. */
#include "model.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ull
/* Larger files would take the time of many operations. */
#define SIZE_MAX_OF_FILE (12ull << 20)

void expect_errno(const struct worker *worker, int got, int expected)
{
        if (got != expected)
                finding(worker, "returned '%s', and not '%s'", got == 0 ? "success" : strerror(got),
                        expected == 0 ? "success" : strerror(expected));
}

static void changed(struct node *node, struct timespec since)
{
        moment_changed(&node->mtime, since);
}

/* Sizes may have stayed as they were: then it is open whether the time moved. */
static void resized(struct node *node, uint64_t size, struct timespec since)
{
        if (size == node->content.size)
                moment_maybe_changed(&node->mtime, since);
        else
                changed(node, since);
        content_resize(&node->content, size);
}

/* --- open and close --- */

static void close_slot(struct worker *worker, struct slot *slot)
{
        if (slot->node == NULL)
                return;
        if (close(slot->fd) != 0)
                finding(worker, "close: %s", strerror(errno));
        if (slot->node->holders == 1)
                slot->node->mtime.pending = false;
        node_release(slot->node);
        slot->node = NULL;
}

static int open_error(const struct op *op, const struct node *node)
{
        if (node == NULL)
                return (op->how & OPEN_CREATE) != 0 ? 0 : ENOENT;
        if ((op->how & OPEN_EXCLUSIVE) != 0)
                return EEXIST;
        if (node->kind == NODE_SYMLINK)
                return ELOOP;
        return node->kind == NODE_DIRECTORY ? EISDIR : 0;
}

static int open_flags(const struct worker *worker, unsigned how)
{
        return O_NOFOLLOW | O_CLOEXEC | ((how & OPEN_READ_ONLY) != 0 ? O_RDONLY : O_RDWR) |
               ((how & OPEN_APPEND) != 0 ? O_APPEND : 0) |
               ((how & OPEN_CREATE) != 0 ? O_CREAT : 0) |
               ((how & OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0) |
               ((how & OPEN_TRUNCATE) != 0 ? O_TRUNC : 0) | ((how & OPEN_SYNC) != 0 ? O_SYNC : 0) |
               ((how & OPEN_DIRECT) != 0 && worker->direct ? O_DIRECT : 0);
}

static void apply_open(struct worker *worker, const struct op *op)
{
        struct slot *slot = &worker->slots[op->fd];
        unsigned mode = op_mode(op->how / OPEN_MODE) | (worker->is_root ? 0 : 0600);
        struct timespec since = moment_now();
        struct node *parent, *node;
        char path[PATH_MAX];
        int error, fd;

        close_slot(worker, slot);
        error = model_walk(worker, &op->a, &parent, &node);
        if (error == 0 && node != NULL && node->kind == NODE_DIRECTORY &&
            (op->how & OPEN_READ_ONLY) != 0)
                return; /* that would do, and is OP_LIST's */
        if (error == 0)
                error = open_error(op, node);
        worker->effective++;
        worker_path(worker, &op->a, path);
        fd = open(path, open_flags(worker, op->how), mode);
        expect_errno(worker, fd < 0 ? errno : 0, error);
        if (error != 0)
                return;
        if (node == NULL) {
                node = parent->child[op->a.name[op->a.depth - 1]] = node_new(NODE_FILE, mode);
                changed(parent, since);
                changed(node, since);
        } else if ((op->how & OPEN_TRUNCATE) != 0) {
                resized(node, 0, since);
        }
        node->holders++;
        *slot = (struct slot){fd, node, op->how};
}

/* --- contents --- */

static bool is_aligned(const struct slot *slot)
{
        return (slot->how & OPEN_DIRECT) != 0;
}

/* NFS' client does not look for pages that were written through a mapping while a file is read and
 * written directly: open(2) says not to mix the two. So what is in memory is written first. */
static void before_direct(struct worker *worker, const struct slot *slot)
{
        if (!is_aligned(slot) || !worker->nfs || !slot->node->mtime.pending)
                return;
        if (fsync(slot->fd) != 0)
                finding(worker, "fsync: %s", strerror(errno));
        slot->node->mtime.pending = false;
}

static void apply_read(struct worker *worker, const struct op *op, const struct slot *slot)
{
        uint64_t offset = is_aligned(slot) ? op->offset & ~(PAGE - 1) : op->offset;
        uint64_t size = is_aligned(slot) ? (op->size + PAGE - 1) & ~(PAGE - 1) : op->size,
                 there = 0;
        ssize_t got;

        before_direct(worker, slot);
        got = pread(slot->fd, worker->got, size, (off_t)offset);
        if (offset < slot->node->content.size)
                there = slot->node->content.size - offset;
        if (there > size)
                there = size;
        if (got < 0)
                finding(worker, "read: %s", strerror(errno));
        if ((uint64_t)got != there)
                finding(worker, "read returned %zd bytes, and not %llu", got,
                        (unsigned long long)there);
        check_bytes(worker, slot->node, offset, (size_t)got, "what was read");
}

static void apply_write(struct worker *worker, const struct op *op, const struct slot *slot)
{
        uint64_t offset = is_aligned(slot) ? op->offset & ~(PAGE - 1) : op->offset;
        uint64_t size = is_aligned(slot) ? (op->size + PAGE - 1) & ~(PAGE - 1) : op->size;
        struct timespec since = moment_now();
        ssize_t got;

        if ((slot->how & OPEN_APPEND) != 0)
                offset = slot->node->content.size;
        if ((is_aligned(slot) && offset % PAGE != 0) || offset + size > SIZE_MAX_OF_FILE)
                return;
        before_direct(worker, slot);
        content_pattern(op->tag, offset, size, worker->got);
        got = pwrite(slot->fd, worker->got, size, (off_t)offset);
        if ((slot->how & OPEN_READ_ONLY) != 0) {
                expect_errno(worker, got < 0 ? errno : 0, EBADF);
                return;
        }
        if (got != (ssize_t)size)
                finding(worker, "write returned %zd, and not %llu: %s", got,
                        (unsigned long long)size, got < 0 ? strerror(errno) : "it is short");
        content_write(&slot->node->content, offset, size,
                      worker->corrupt && op->tag % 8 == 0 ? 1 : op->tag);
        changed(slot->node, since);
}

static void apply_copy(struct worker *worker, const struct op *op, const struct slot *from)
{
        const struct slot *to = &worker->slots[op->fd2];
        uint64_t there =
            from->node->content.size > op->offset ? from->node->content.size - op->offset : 0;
        uint64_t size = op->size < there ? op->size : there, done = 0;
        off_t in = (off_t)op->offset, out = (off_t)op->offset2;
        struct timespec since = moment_now();

        if (to->node == NULL || to->node == from->node || is_aligned(from) || is_aligned(to) ||
            (to->how & (OPEN_READ_ONLY | OPEN_APPEND)) != 0)
                return;
        while (done < size) {
                ssize_t got = copy_file_range(from->fd, &in, to->fd, &out, size - done, 0);

                if (got <= 0)
                        finding(worker, "copy_file_range: %s",
                                got < 0 ? strerror(errno) : "0 bytes");
                done += (uint64_t)got;
        }
        content_copy(&to->node->content, op->offset2, &from->node->content, op->offset, size);
        if (size > 0)
                changed(to->node, since);
}

/* Map the part of [offset, offset + size) that the file has. */
static uint8_t *map(struct worker *worker, const struct op *op, const struct slot *slot,
                    int protection, size_t *size)
{
        uint64_t start = op->offset & ~(PAGE - 1), there = slot->node->content.size;
        uint8_t *at;

        if (op->offset >= there)
                return NULL;
        *size = op->size < there - op->offset ? op->size : there - op->offset;
        at = mmap(NULL, op->offset - start + *size, protection, MAP_SHARED, slot->fd, (off_t)start);
        if (at == MAP_FAILED)
                finding(worker, "mmap: %s", strerror(errno));
        return at;
}

static void apply_map_read(struct worker *worker, const struct op *op, const struct slot *slot)
{
        size_t skip = op->offset & (PAGE - 1), size;
        uint8_t *at = map(worker, op, slot, PROT_READ, &size);

        if (at == NULL)
                return;
        memcpy(worker->got, at + skip, size);
        check_bytes(worker, slot->node, op->offset, size, "what was mapped");
        munmap(at, skip + size);
}

static void apply_map_write(struct worker *worker, const struct op *op, const struct slot *slot)
{
        size_t skip = op->offset & (PAGE - 1), size;
        struct timespec since = moment_now();
        uint8_t *at;

        if ((slot->how & OPEN_READ_ONLY) != 0)
                return;
        at = map(worker, op, slot, PROT_READ | PROT_WRITE, &size);
        if (at == NULL)
                return;
        content_pattern(op->tag, op->offset, size, at + skip);
        if ((op->how & 1) != 0 && msync(at, skip + size, MS_SYNC) != 0)
                finding(worker, "msync: %s", strerror(errno));
        munmap(at, skip + size);
        content_write(&slot->node->content, op->offset, size, op->tag);
        moment_maybe_changed(&slot->node->mtime, since);
        slot->node->mtime.pending = true;
}

static void apply_allocate(struct worker *worker, const struct op *op, const struct slot *slot)
{
        uint64_t end = op->offset + op->size;
        struct timespec since = moment_now();
        int error;

        if (end > SIZE_MAX_OF_FILE)
                return;
        error =
            fallocate(slot->fd, (int)op->how, (off_t)op->offset, (off_t)op->size) != 0 ? errno : 0;
        if (error == EOPNOTSUPP || error == ENOSYS)
                return; /* NFS version 3 has no such thing */
        expect_errno(worker, error, (slot->how & OPEN_READ_ONLY) != 0 ? EBADF : 0);
        if (error != 0)
                return;
        moment_maybe_changed(&slot->node->mtime, since);
        if ((op->how & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0)
                content_zero(&slot->node->content, op->offset, op->size);
        if ((op->how & FALLOC_FL_KEEP_SIZE) == 0 && end > slot->node->content.size)
                content_resize(&slot->node->content, end);
}

static void apply_sync(struct worker *worker, const struct op *op, const struct slot *slot)
{
        int failed =
            op->kind == OP_SYNC && (op->how & 1) != 0 ? fdatasync(slot->fd) : fsync(slot->fd);

        if (failed != 0)
                finding(worker, "fsync: %s", strerror(errno));
        slot->node->mtime.pending = false;
        if (op->kind == OP_FORGET &&
            (errno = posix_fadvise(slot->fd, 0, 0, POSIX_FADV_DONTNEED)) != 0)
                finding(worker, "posix_fadvise: %s", strerror(errno));
}

static void apply_open_file(struct worker *worker, const struct op *op)
{
        struct slot *slot = &worker->slots[op->fd];
        struct timespec since = moment_now();
        struct stat seen;

        if (slot->node == NULL)
                return;
        worker->effective++;
        switch (op->kind) {
        case OP_CLOSE:
                close_slot(worker, slot);
                break;
        case OP_READ:
                apply_read(worker, op, slot);
                break;
        case OP_WRITE:
                apply_write(worker, op, slot);
                break;
        case OP_COPY:
                apply_copy(worker, op, slot);
                break;
        case OP_MAP_READ:
                apply_map_read(worker, op, slot);
                break;
        case OP_MAP_WRITE:
                apply_map_write(worker, op, slot);
                break;
        case OP_FTRUNCATE:
                expect_errno(worker, ftruncate(slot->fd, (off_t)op->size) != 0 ? errno : 0,
                             (slot->how & OPEN_READ_ONLY) != 0 ? EINVAL : 0);
                if ((slot->how & OPEN_READ_ONLY) == 0)
                        resized(slot->node, op->size, since);
                break;
        case OP_ALLOCATE:
                apply_allocate(worker, op, slot);
                break;
        case OP_SYNC:
        case OP_FORGET:
                apply_sync(worker, op, slot);
                break;
        case OP_FSTAT:
                if (fstat(slot->fd, &seen) != 0)
                        finding(worker, "fstat: %s", strerror(errno));
                check_stat(worker, slot->node, &seen, "the open file");
                break;
        default:
                assert(false);
        }
}

void apply_close_all(struct worker *worker)
{
        for (unsigned i = 0; i < OP_FDS; i++)
                close_slot(worker, &worker->slots[i]);
}

void apply(struct worker *worker, const struct op *op)
{
        worker->last[worker->done++ % WORKER_LAST] = *op;
        if (apply_names(worker, op))
                return;
        switch (op->kind) {
        case OP_OPEN:
                apply_open(worker, op);
                break;
        case OP_CHECK:
                check_all(worker, false);
                break;
        case OP_RUN:
                apply_close_all(worker);
                worker->run(worker, op->how);
                check_all(worker, false);
                break;
        default:
                apply_open_file(worker, op);
        }
}
