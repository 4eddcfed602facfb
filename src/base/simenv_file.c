/* The calls of a simulated env that take a descriptor. */
#include "base/simmachine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum hif_err sim_fd_open(struct simenv *sim, struct sim_inode *inode, int flags, int *fd)
{
        struct sim_open *file = malloc(sizeof(*file));

        if (!file)
                return HIF_ENOMEM;
        if (map_put(&sim->files, (uint64_t)sim->fd_last + 1, file)) {
                free(file);
                return HIF_ENOMEM;
        }
        *file = (struct sim_open){.inode = inode, .flags = flags};
        inode->refs++;
        *fd = ++sim->fd_last;
        return HIF_OK;
}

static void op_close(struct env *env, int fd)
{
        SIM(env);
        struct sim_open *file = map_del(&sim->files, (uint64_t)fd);

        if (!file) {
                assert(fd <= sim->fd_stale); /* else it was never open, or closed before */
                return;
        }
        inode_unref(&sim->disk, file->inode);
        free(file);
}

enum intent { READ, WRITE, ANY };

/* Start a call on fd. On a directory only what is ANY works. */
static enum hif_err begin(struct simenv *sim, int fd, enum intent intent, struct sim_inode **out)
{
        enum hif_err err = sim_call(sim);
        const struct sim_open *file;
        int access;

        if (err)
                return err;
        file = map_get(&sim->files, (uint64_t)fd);
        if (!file) {
                assert(fd <= sim->fd_stale);
                return hif_err_from_errno(EBADF);
        }
        access = file->flags & O_ACCMODE;
        if ((intent == READ && access == O_WRONLY) || (intent == WRITE && access == O_RDONLY))
                return hif_err_from_errno(EBADF);
        if (intent != ANY && inode_is_dir(file->inode))
                return HIF_EISDIR;
        *out = file->inode;
        return HIF_OK;
}

static bool in_range(uint64_t offset, uint64_t size)
{
        return size <= INT64_MAX && offset <= INT64_MAX - size;
}

static void touch(struct simenv *sim, struct sim_inode *file)
{
        file->mtime_ns = file->ctime_ns = sim_wall_ns(sim);
}

static enum hif_err read_at(struct simenv *sim, int fd, void *out, size_t size, uint64_t offset,
                            bool nowait, size_t *count)
{
        struct sim_inode *file;
        enum hif_err err = begin(sim, fd, READ, &file);

        if (err)
                return err;
        if (!in_range(offset, size))
                return HIF_EINVAL;
        if (nowait && sim_rng_next(&sim->fate) % 100 < sim->nowait_misses)
                return HIF_EAGAIN;
        if (offset >= file->current.size)
                size = 0;
        else if (size > file->current.size - offset)
                size = (size_t)(file->current.size - offset);
        /* What is in memory may end at any page. */
        if (nowait && size > SIM_PAGE_SIZE && sim_rng_next(&sim->fate) % 100 < sim->nowait_misses)
                size = SIM_PAGE_SIZE - offset % SIM_PAGE_SIZE;
        file_read(file, offset, out, size);
        *count = size;
        return HIF_OK;
}

static enum hif_err op_pread(struct env *env, int fd, void *out, size_t size, uint64_t offset,
                             size_t *count)
{
        SIM(env);

        return read_at(sim, fd, out, size, offset, false, count);
}

static enum hif_err op_pread_nowait(struct env *env, int fd, void *out, size_t size,
                                    uint64_t offset, size_t *count)
{
        SIM(env);

        return read_at(sim, fd, out, size, offset, true, count);
}

/* A process that dies in pwrite has written some of the pages (the kernel looks for a fatal signal
 * between two). */
static void write_cut_short(struct simenv *sim, int fd, const void *data, size_t size,
                            uint64_t offset)
{
        const struct sim_open *file = map_get(&sim->files, (uint64_t)fd);
        uint64_t pages = (offset + size) / SIM_PAGE_SIZE - offset / SIM_PAGE_SIZE;
        uint64_t end;
        size_t count;

        if (!file || inode_is_dir(file->inode) || (file->flags & O_ACCMODE) == O_RDONLY)
                return;
        pages = sim_rng_next(&sim->fate) % (pages + 1);
        if (pages == 0)
                return;
        end = (offset / SIM_PAGE_SIZE + pages) * SIM_PAGE_SIZE;
        if (file_write(&sim->disk, file->inode, offset, data, (size_t)(end - offset), &count))
                return; /* nothing was written, then */
        touch(sim, file->inode);
}

static enum hif_err op_pwrite(struct env *env, int fd, const void *data, size_t size,
                              uint64_t offset, size_t *count)
{
        SIM(env);
        bool crashed = sim->crashed;
        struct sim_inode *file;
        enum hif_err err;

        if (!in_range(offset, size))
                return HIF_EFBIG;
        err = begin(sim, fd, WRITE, &file);
        if (sim->crashed && !crashed)
                write_cut_short(sim, fd, data, size, offset);
        if (err)
                return err;
        err = file_write(&sim->disk, file, offset, data, size, count);
        if (!err)
                touch(sim, file);
        return err;
}

/* Linux counts pages as clean once it has failed to write them, and the next sync says that all is well. */
static void sync_fails(struct simenv *sim, int fd)
{
        const struct sim_open *file = map_get(&sim->files, (uint64_t)fd);

        if (file && !inode_is_dir(file->inode) && !sim->crashed)
                file_sync_fails(file->inode, &sim->fate);
}

static enum hif_err op_sync(struct env *env, int fd)
{
        SIM(env);
        struct sim_inode *inode;
        enum hif_err err = begin(sim, fd, ANY, &inode);

        sim->syncs++;
        if (!err)
                return disk_sync(&sim->disk, inode);
        sync_fails(sim, fd);
        return err;
}

static enum hif_err op_ftruncate(struct env *env, int fd, uint64_t size)
{
        SIM(env);
        struct sim_inode *file;
        enum hif_err err = begin(sim, fd, WRITE, &file);

        if (err)
                return err;
        if (!in_range(0, size))
                return HIF_EFBIG;
        err = file_truncate(&sim->disk, file, size);
        if (!err)
                touch(sim, file);
        return err;
}

static enum hif_err op_fallocate(struct env *env, int fd, uint64_t offset, uint64_t size)
{
        SIM(env);
        struct sim_inode *file;
        enum hif_err err = begin(sim, fd, WRITE, &file);

        if (err)
                return err;
        if (size == 0)
                return HIF_EINVAL;
        if (!in_range(offset, size))
                return HIF_EFBIG;
        return file_allocate(&sim->disk, file, offset, size);
}

static enum hif_err op_punch(struct env *env, int fd, uint64_t offset, uint64_t size)
{
        SIM(env);
        struct sim_inode *file;
        enum hif_err err = begin(sim, fd, WRITE, &file);

        if (err)
                return err;
        if (size == 0)
                return HIF_EINVAL;
        if (!in_range(offset, size))
                return HIF_EFBIG;
        return file_punch(&sim->disk, file, offset, size);
}

static struct timespec timespec_of(uint64_t ns)
{
        return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
                                 .tv_nsec = (long)(ns % 1000000000)};
}

void sim_stat(const struct sim_inode *inode, struct stat *out)
{
        *out = (struct stat){
            .st_dev = 1,
            .st_ino = inode->number,
            .st_mode = inode->mode,
            .st_nlink = inode_is_dir(inode) ? 2 : inode->nlink,
            .st_uid = geteuid(),
            .st_gid = getegid(),
            .st_size = (off_t)inode->current.size,
            .st_blksize = SIM_PAGE_SIZE,
            .st_blocks = (blkcnt_t)(inode->current.pages.count * (SIM_PAGE_SIZE / 512)),
            .st_mtim = timespec_of(inode->mtime_ns),
            .st_ctim = timespec_of(inode->ctime_ns),
            .st_atim = timespec_of(inode->mtime_ns),
        };
}

static enum hif_err op_fstat(struct env *env, int fd, struct stat *out)
{
        SIM(env);
        struct sim_inode *inode;
        enum hif_err err = begin(sim, fd, ANY, &inode);

        if (!err)
                sim_stat(inode, out);
        return err;
}

static enum hif_err op_map(struct env *env, int fd, uint64_t offset, size_t size, void **out)
{
        SIM(env);
        struct sim_inode *file;
        enum hif_err err = begin(sim, fd, WRITE, &file);

        return err ? err : file_map(file, offset, size, out);
}

static void op_unmap(struct env *env, void *address, size_t size)
{
        SIM(env);
        bool found = disk_unmap(&sim->disk, address);

        (void)size;
        /* After a crash it is not ours any more, after a kill it may belong to a dead process. */
        assert(found || sim->crashed || sim->fd_stale > SIM_FD_FIRST);
        (void)found;
}

void sim_file_ops(struct env_ops *ops)
{
        ops->close = op_close;
        ops->pread = op_pread;
        ops->pread_nowait = op_pread_nowait;
        ops->pwrite = op_pwrite;
        ops->fdatasync = op_sync;
        ops->fsync = op_sync;
        ops->ftruncate = op_ftruncate;
        ops->fallocate = op_fallocate;
        ops->punch = op_punch;
        ops->fstat = op_fstat;
        ops->map = op_map;
        ops->unmap = op_unmap;
}
