/* helper_wire.c - a request for help as bytes, which are the note of WIRE_HELP:
 *
 *      0  op      u8             enum help_op
 *      1  flags   u8             1 allow_other, 2 read-only, 4 isolated; others are refused
 *      2  port    u16
 *      4  key     16 bytes
 *      20 mount point, 00, name, 00
 */
#include "cli/supervisor/helper.h"

#define FLAG_ALLOW_OTHER 1u
#define FLAG_READ_ONLY   2u
#define FLAG_ISOLATED    4u
#define FLAGS            7u

enum hif_err help_encode(struct buf *out, const struct help_request *request)
{
        const char *mount_point = request->mount_point != NULL ? request->mount_point : "";
        const char *name = request->name != NULL ? request->name : "";

        if (out->size + 22 + strlen(mount_point) + strlen(name) > HELP_SIZE_MAX)
                return HIF_ENAMETOOLONG;
        buf_put_u8(out, (uint8_t)request->op);
        buf_put_u8(out, (uint8_t)((request->allow_other ? FLAG_ALLOW_OTHER : 0) |
                                  (request->read_only ? FLAG_READ_ONLY : 0) |
                                  (request->isolated ? FLAG_ISOLATED : 0)));
        buf_put_u16(out, request->port);
        buf_put(out, request->key, HELP_KEY_SIZE);
        buf_put(out, mount_point, strlen(mount_point) + 1);
        buf_put(out, name, strlen(name) + 1);
        return buf_failed(out) ? HIF_ENOMEM : HIF_OK;
}

/* A text that ends within what is left. */
static const char *read_text(struct reader *rd)
{
        const uint8_t *end = rd_left(rd) > 0 ? memchr(rd->next, 0, rd_left(rd)) : NULL;

        if (end == NULL)
                return NULL;
        return (const char *)rd_span(rd, (size_t)(end - rd->next) + 1).data;
}

enum hif_err help_decode(struct span bytes, struct help_request *out)
{
        struct reader rd = rd_open(bytes);
        uint8_t op = rd_u8(&rd), flags = rd_u8(&rd);
        struct help_request request = {.port = rd_u16(&rd)};
        struct span key = rd_span(&rd, HELP_KEY_SIZE);

        if (rd_bad(&rd) || bytes.size > HELP_SIZE_MAX)
                return HIF_ECORRUPT;
        if (op < HELP_MOUNT_NFS || op > HELP_PEERS || (flags & ~FLAGS) != 0)
                return HIF_EUNSUPPORTED;
        request.op = (enum help_op)op;
        request.allow_other = (flags & FLAG_ALLOW_OTHER) != 0;
        request.read_only = (flags & FLAG_READ_ONLY) != 0;
        request.isolated = (flags & FLAG_ISOLATED) != 0;
        memcpy(request.key, key.data, HELP_KEY_SIZE);
        request.mount_point = read_text(&rd);
        request.name = request.mount_point != NULL ? read_text(&rd) : NULL;
        if (request.name == NULL || rd_left(&rd) > 0)
                return HIF_ECORRUPT;
        *out = request;
        return HIF_OK;
}

unsigned help_patience_s(enum help_op op)
{
        switch (op) {
        case HELP_MOUNT_NFS:
                return 60;
        case HELP_UNMOUNT: /* waits for the disk */
                return 120;
        case HELP_UNMOUNT_FORCE:
                return 3;
        case HELP_MOUNT_FUSE:
        case HELP_DETACH:
        case HELP_NFS_CLIENT:
        case HELP_NETNS_MAKE:
        case HELP_NETNS_REMOVE:
        case HELP_LISTEN:
        case HELP_PEERS:
                break;
        }
        return 10;
}
