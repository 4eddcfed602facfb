#include "fuse/request.h"

#include <stddef.h>
#include <string.h>

/* What follows the header of linux/fuse.h: arguments of a fixed size, then names. */
struct shape {
        uint16_t opcode;
        uint8_t fixed, names;
};

static const struct shape shapes[] = {
    {FUSE_LOOKUP, 0, 1},
    {FUSE_FORGET, sizeof(struct fuse_forget_in), 0},
    {FUSE_GETATTR, sizeof(struct fuse_getattr_in), 0},
    {FUSE_SETATTR, sizeof(struct fuse_setattr_in), 0},
    {FUSE_SYMLINK, 0, 2},
    {FUSE_MKNOD, sizeof(struct fuse_mknod_in), 1},
    {FUSE_MKDIR, sizeof(struct fuse_mkdir_in), 1},
    {FUSE_UNLINK, 0, 1},
    {FUSE_RMDIR, 0, 1},
    {FUSE_RENAME, sizeof(struct fuse_rename_in), 2},
    {FUSE_LINK, sizeof(struct fuse_link_in), 1},
    {FUSE_OPEN, sizeof(struct fuse_open_in), 0},
    {FUSE_READ, sizeof(struct fuse_read_in), 0},
    {FUSE_WRITE, sizeof(struct fuse_write_in), 0},
    {FUSE_RELEASE, sizeof(struct fuse_release_in), 0},
    {FUSE_FSYNC, sizeof(struct fuse_fsync_in), 0},
    {FUSE_SETXATTR, FUSE_COMPAT_SETXATTR_IN_SIZE, 1},
    {FUSE_GETXATTR, sizeof(struct fuse_getxattr_in), 1},
    {FUSE_LISTXATTR, sizeof(struct fuse_getxattr_in), 0},
    {FUSE_REMOVEXATTR, 0, 1},
    {FUSE_FLUSH, sizeof(struct fuse_flush_in), 0},
    {FUSE_INIT, offsetof(struct fuse_init_in, flags2), 0},
    {FUSE_OPENDIR, sizeof(struct fuse_open_in), 0},
    {FUSE_READDIR, sizeof(struct fuse_read_in), 0},
    {FUSE_RELEASEDIR, sizeof(struct fuse_release_in), 0},
    {FUSE_FSYNCDIR, sizeof(struct fuse_fsync_in), 0},
    {FUSE_GETLK, sizeof(struct fuse_lk_in), 0},
    {FUSE_SETLK, sizeof(struct fuse_lk_in), 0},
    {FUSE_SETLKW, sizeof(struct fuse_lk_in), 0},
    {FUSE_ACCESS, sizeof(struct fuse_access_in), 0},
    {FUSE_CREATE, sizeof(struct fuse_create_in), 1},
    {FUSE_INTERRUPT, sizeof(struct fuse_interrupt_in), 0},
    {FUSE_BMAP, sizeof(struct fuse_bmap_in), 0},
    {FUSE_IOCTL, sizeof(struct fuse_ioctl_in), 0},
    {FUSE_POLL, sizeof(struct fuse_poll_in), 0},
    {FUSE_BATCH_FORGET, sizeof(struct fuse_batch_forget_in), 0},
    {FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in), 0},
    {FUSE_READDIRPLUS, sizeof(struct fuse_read_in), 0},
    {FUSE_RENAME2, sizeof(struct fuse_rename2_in), 2},
    {FUSE_LSEEK, sizeof(struct fuse_lseek_in), 0},
    {FUSE_COPY_FILE_RANGE, sizeof(struct fuse_copy_file_range_in), 0},
};

static const struct shape *shape_of(uint32_t opcode)
{
        for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
                if (shapes[i].opcode == opcode)
                        return &shapes[i];
        return NULL;
}

/* The names, one behind the other, each with its end. */
static bool names_end(struct span rest, unsigned count)
{
        for (; count > 0; count--) {
                const uint8_t *end = rest.size > 0 ? memchr(rest.data, '\0', rest.size) : NULL;

                if (end == NULL)
                        return false;
                rest.size -= (size_t)(end - rest.data) + 1;
                rest.data = end + 1;
        }
        return true;
}

/* Arguments that say how much follows them. `rest` begins behind the fixed ones. */
static bool rest_is_there(uint32_t opcode, struct span args, struct span rest)
{
        struct fuse_write_in write;
        struct fuse_batch_forget_in forget;
        struct fuse_init_in init = {0};

        switch (opcode) {
        case FUSE_WRITE:
                memcpy(&write, args.data, sizeof(write));
                return write.size <= rest.size;
        case FUSE_BATCH_FORGET:
                memcpy(&forget, args.data, sizeof(forget));
                return forget.count <= rest.size / sizeof(struct fuse_forget_one);
        case FUSE_INIT:
                memcpy(&init, args.data, args.size < sizeof(init) ? args.size : sizeof(init));
                return (init.flags & FUSE_INIT_EXT) == 0 || args.size >= sizeof(init);
        default:
                return true;
        }
}

bool request_is_whole(struct span request)
{
        struct fuse_in_header in;
        const struct shape *shape;
        struct span args, rest;

        if (request.size < sizeof(in))
                return false;
        memcpy(&in, request.data, sizeof(in));
        if (in.len != request.size)
                return false;
        shape = shape_of(in.opcode);
        if (shape == NULL)
                return true;
        args = span_of(request.data + sizeof(in), request.size - sizeof(in));
        if (args.size < shape->fixed)
                return false;
        rest = span_of(args.data + shape->fixed, args.size - shape->fixed);
        return names_end(rest, shape->names) && rest_is_there(in.opcode, args, rest);
}

bool request_wants_answer(const struct fuse_in_header *in)
{
        return in->opcode != FUSE_FORGET && in->opcode != FUSE_BATCH_FORGET &&
               in->opcode != FUSE_INTERRUPT && in->opcode != FUSE_NOTIFY_REPLY;
}
