/* dir.c - OPENDIR and READDIR, with attributes and without. */
#include "fuse/internal.h"

#include <errno.h>
#include <string.h>

/* Linux keeps a listing once somebody has read it to its end, and lets others who are in the middle of
 * theirs go on in it: also those who began after a change which that listing was too early for. (It looks
 * for changes only where a listing begins. Seen on Linux 6.18: two who list a directory in which files
 * come and go; one is shown what was removed before it began.) So nobody is made to share a listing of a
 * directory that has changed within this time. */
#define SETTLED_NS 2000000000ull

static bool is_settled(const struct op *op)
{
        uint64_t now = env_wall_ns(loop_env(op->server->loop));
        struct hif_time changed = op->attr.ctime;

        return changed.sec < 0 ||
               now > (uint64_t)changed.sec * 1000000000u + changed.nsec + SETTLED_NS;
}

static enum hif_err run_opendir(struct op *op)
{
        return vfs_getattr(op->server->vfs, &op->call, op->id, &op->attr);
}

static void reply_opendir(struct op *op)
{
        op->file.cache_readdir = is_settled(op);
        op->file.keep_cache = 1;
        fuse_reply_open(op->req, &op->file);
}

void on_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
        static const struct op_type type = {run_opendir, reply_opendir, false};
        struct op op;

        op_begin(&op, req, &type, id);
        op_opened(&op);
        op.file = *file;
        op_go(&op);
}

/* A page of entries in server->scratch. */
struct page {
        struct op *op;
        size_t used;
};

static bool add_entry(void *arg, const struct vfs_dirent *dirent)
{
        struct page *page = arg;
        struct op *op = page->op;
        struct fuse_entry_param entry = entry_of(dirent->attr);
        char *to = (char *)op->server->scratch + page->used;
        char name[NAME_SIZE_MAX + 1];
        size_t left = op->size - page->used, need;

        memcpy(name, dirent->name.data, dirent->name.size);
        name[dirent->name.size] = '\0';
        need = op->flags != 0
                   ? fuse_add_direntry_plus(op->req, to, left, name, &entry, (off_t)dirent->cookie)
                   : fuse_add_direntry(op->req, to, left, name, &entry.attr, (off_t)dirent->cookie);
        if (need > left)
                return false;
        page->used += need;
        return true;
}

/* Attributes are asked for either way: the kinds are shown. */
static enum hif_err run_readdir(struct op *op)
{
        struct page page = {.op = op};
        bool eof;
        enum hif_err err = vfs_readdir(op->server->vfs, &op->call, op->id, op->offset, true,
                                       add_entry, &page, &eof, &op->attr);

        op->done = page.used;
        /* What is there can be shown; the rest is asked for when it is wanted. */
        return err == HIF_EMISS && page.used > 0 ? HIF_OK : err;
}

static void reply_page(struct op *op)
{
        fuse_reply_buf(op->req, (const char *)op->server->scratch, op->done);
}

static void readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, bool plus)
{
        static const struct op_type type = {run_readdir, reply_page, false};
        struct op op;

        if (offset < 0) {
                fuse_reply_err(req, EINVAL);
                return;
        }
        op_begin(&op, req, &type, id);
        op_opened(&op);
        op.offset = (uint64_t)offset;
        op.size = size < IO_SIZE_MAX ? size : IO_SIZE_MAX;
        op.flags = plus;
        op_go(&op);
}

void on_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                struct fuse_file_info *file)
{
        (void)file;
        readdir(req, id, size, offset, false);
}

void on_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                    struct fuse_file_info *file)
{
        (void)file;
        readdir(req, id, size, offset, true);
}
