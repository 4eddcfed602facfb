/* data.c - OPEN, READ, WRITE, LSEEK, FSYNC, FLUSH, RELEASE.
 */
#include "fuse/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum hif_err run_open(struct op *op)
{
        struct vfs *vfs = op->server->vfs;
        struct vfs_wcc wcc;

        if ((op->file.flags & O_TRUNC) != 0)
                return vfs_setattr(vfs, &op->call, op->id, &op->set, NULL, &wcc);
        return vfs_getattr(vfs, &op->call, op->id, &op->attr);
}

static void reply_open(struct op *op)
{
        enum hif_err err = op_hold(op, op->id);

        /* While it is open a file that loses its last name keeps its content. */
        if (err != HIF_OK) {
                fuse_reply_err(op->req, err == HIF_ELIMIT ? ENFILE : ENOMEM);
                return;
        }
        op->file.keep_cache = 1;
        if (fuse_reply_open(op->req, &op->file) != 0)
                server_release(op->server, op->id);
}

void on_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
        static const struct op_type type = {run_open, reply_open, false};
        struct op op;

        op_begin(&op, req, &type, id);
        op.file = *file;
        op.call.closes = true;
        if ((file->flags & O_TRUNC) != 0)
                op.set = (struct vfs_setattr){.set = VFS_SET_SIZE, .size = 0};
        op_go(&op);
}

void on_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
        struct fuse_server *server = fuse_req_userdata(req);

        (void)file;
        /* Marked first: a death in between leaves it open, rather than closed twice. */
        if ((server->now.slot->flags & LEDGER_CLOSED) == 0) {
                server->now.slot->flags |= LEDGER_CLOSED;
                atomic_signal_fence(memory_order_seq_cst);
                server_release(server, id);
        }
        fuse_reply_err(req, 0);
}

/* Move what was read so far aside, so that the next pieces find room. */
static enum hif_err gather(struct op *op)
{
        if (op->gathered == NULL)
                op->gathered = malloc(op->size);
        if (op->gathered == NULL)
                return HIF_ENOMEM;
        for (size_t i = 0; i < op->content.iov_count; i++) {
                memcpy(op->gathered + op->done, op->content.iov[i].iov_base,
                       op->content.iov[i].iov_len);
                op->done += op->content.iov[i].iov_len;
        }
        vfs_call_unpin(&op->call);
        return HIF_OK;
}

/* A short answer means the end of the file to the kernel, so all of it is read, however many pieces
 * it lies in. What was gathered stays gathered when the request waits. */
static enum hif_err run_read(struct op *op)
{
        for (;;) {
                enum hif_err err =
                    vfs_read(op->server->vfs, &op->call, op->id, op->offset + op->done,
                             op->size - op->done, op->server->scratch, &op->content, &op->attr);

                if (err != HIF_OK)
                        return err;
                if (op->done == 0 && (op->content.eof || op->content.size == op->size))
                        return HIF_OK; /* straight from where it lies */
                if (op->content.size == 0 && !op->content.eof)
                        return HIF_EIO;
                err = gather(op);
                if (err != HIF_OK || op->content.eof || op->done == op->size)
                        return err;
        }
}

static void reply_read(struct op *op)
{
        if (op->gathered != NULL)
                fuse_reply_buf(op->req, (const char *)op->gathered, op->done);
        else
                fuse_reply_iov(op->req, op->content.iov, (int)op->content.iov_count);
}

void on_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file)
{
        static const struct op_type type = {run_read, reply_read, false};
        struct op op;

        (void)file;
        if (offset < 0) {
                fuse_reply_err(req, EINVAL);
                return;
        }
        op_begin(&op, req, &type, id);
        op_opened(&op);
        op.offset = (uint64_t)offset;
        op.size = size < IO_SIZE_MAX ? size : IO_SIZE_MAX;
        op_go(&op);
}

static enum hif_err run_write(struct op *op)
{
        struct vfs_wcc wcc;

        return vfs_write(op->server->vfs, &op->call, op->id, op->offset, op->data, false, &wcc);
}

static void reply_write(struct op *op)
{
        fuse_reply_write(op->req, op->data.size);
}

void on_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t offset,
              struct fuse_file_info *file)
{
        static const struct op_type type = {run_write, reply_write, false};
        struct op op;

        (void)file;
        if (offset < 0) {
                fuse_reply_err(req, EINVAL);
                return;
        }
        op_begin(&op, req, &type, id);
        op_opened(&op);
        op.offset = (uint64_t)offset;
        op.data = span_of(data, size);
        op_go(&op);
}

static enum hif_err run_lseek(struct op *op)
{
        uint64_t found;
        enum hif_err err = vfs_seek(op->server->vfs, &op->call, op->id, op->offset,
                                    op->flags == SEEK_HOLE, &found);

        op->done = err == HIF_OK;
        if (op->done)
                op->offset = found;
        return err == HIF_ENOENT ? HIF_OK : err;
}

static void reply_lseek(struct op *op)
{
        if (op->done)
                fuse_reply_lseek(op->req, (off_t)op->offset);
        else
                fuse_reply_err(op->req, ENXIO);
}

/* SEEK_DATA and SEEK_HOLE; the kernel does the others. */
void on_lseek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence, struct fuse_file_info *file)
{
        static const struct op_type type = {run_lseek, reply_lseek, false};
        struct op op;

        (void)file;
        if (whence != SEEK_DATA && whence != SEEK_HOLE) {
                fuse_reply_err(req, EINVAL);
                return;
        }
        if (offset < 0) {
                fuse_reply_err(req, ENXIO);
                return;
        }
        op_begin(&op, req, &type, id);
        op_opened(&op);
        op.offset = (uint64_t)offset;
        op.flags = (uint32_t)whence;
        op_go(&op);
}

static enum hif_err run_flush(struct op *op)
{
        vfs_closed(op->server->vfs, &op->call, op->id);
        return HIF_OK;
}

/* close(2), of any of the descriptors. With durability "power" it waits for what was done to the file
 * while it was open, all at once; without, nothing waits, and the kernel need not ask again. */
void on_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
        static const struct op_type type = {run_flush, reply_done, false};
        const struct fuse_server *server = fuse_req_userdata(req);
        struct op op;

        (void)file;
        if (overlay_durability(vfs_overlay(server->vfs)) != OVERLAY_POWER) {
                fuse_reply_err(req, ENOSYS);
                return;
        }
        op_begin(&op, req, &type, id);
        op_go(&op);
}

static enum hif_err run_fsync(struct op *op)
{
        struct vfs_wcc wcc;

        return vfs_commit(op->server->vfs, &op->call, op->id, &wcc);
}

/* Of files and of directories: what is on disk is a prefix of everything. */
void on_fsync(fuse_req_t req, fuse_ino_t id, int data_only, struct fuse_file_info *file)
{
        static const struct op_type type = {run_fsync, reply_done, false};
        struct op op;

        (void)data_only, (void)file;
        op_begin(&op, req, &type, id);
        op_opened(&op);
        op_go(&op);
}
