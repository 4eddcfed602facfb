#include "tirpc_peer.h"

#include "nfs3.h" /* generated from nfs3.x */

#include <stdlib.h>
#include <string.h>

#define PROC_COUNT 22

/* --- arguments --- */

typedef const struct tirpc_question question;

static nfs_fh3 fh_of(const void *handle, size_t size)
{
        nfs_fh3 fh = {.data = {.data_len = (u_int)size, .data_val = (char *)(uintptr_t)handle}};

        return fh;
}

static diropargs3 place_of(const void *handle, size_t size, const char *name)
{
        return (diropargs3){.dir = fh_of(handle, size), .name = (char *)(uintptr_t)name};
}

static sattr3 sattr_of(question *q)
{
        sattr3 set;

        memset(&set, 0, sizeof(set));
        if (q->mode >= 0) {
                set.mode.set_it = TRUE;
                set.mode.set_mode3_u.mode = (mode3)q->mode;
        }
        if (q->size >= 0) {
                set.size.set_it = TRUE;
                set.size.set_size3_u.size = (size3)q->size;
        }
        return set;
}

#define FH    fh_of(q->handle, q->handle_size)
#define PLACE place_of(q->handle, q->handle_size, q->name)

static bool put_getattr(XDR *xdr, question *q)
{
        GETATTR3args args = {.object = FH};

        return xdr_GETATTR3args(xdr, &args);
}

static bool put_setattr(XDR *xdr, question *q)
{
        SETATTR3args args = {.object = FH, .new_attributes = sattr_of(q)};

        args.guard.check = q->guard;
        args.guard.sattrguard3_u.obj_ctime = (nfstime3){q->guard_sec, q->guard_nsec};
        return xdr_SETATTR3args(xdr, &args);
}

static bool put_lookup(XDR *xdr, question *q)
{
        LOOKUP3args args = {.what = PLACE};

        return xdr_LOOKUP3args(xdr, &args);
}

static bool put_access(XDR *xdr, question *q)
{
        ACCESS3args args = {.object = FH, .access = q->access};

        return xdr_ACCESS3args(xdr, &args);
}

static bool put_readlink(XDR *xdr, question *q)
{
        READLINK3args args = {.symlink = FH};

        return xdr_READLINK3args(xdr, &args);
}

static bool put_read(XDR *xdr, question *q)
{
        READ3args args = {.file = FH, .offset = q->offset, .count = q->count};

        return xdr_READ3args(xdr, &args);
}

static bool put_write(XDR *xdr, question *q)
{
        WRITE3args args = {
            .file = FH, .offset = q->offset, .count = q->count, .stable = (stable_how)q->stable};

        args.data.data_len = q->count;
        args.data.data_val = (char *)(uintptr_t)q->data;
        return xdr_WRITE3args(xdr, &args);
}

static bool put_create(XDR *xdr, question *q)
{
        CREATE3args args = {.where = PLACE, .how = {.mode = (createmode3)q->how}};

        if (q->how == EXCLUSIVE)
                memcpy(args.how.createhow3_u.verf, "verifier", 8);
        else
                args.how.createhow3_u.obj_attributes = sattr_of(q);
        return xdr_CREATE3args(xdr, &args);
}

static bool put_mkdir(XDR *xdr, question *q)
{
        MKDIR3args args = {.where = PLACE, .attributes = sattr_of(q)};

        return xdr_MKDIR3args(xdr, &args);
}

static bool put_symlink(XDR *xdr, question *q)
{
        SYMLINK3args args = {.where = PLACE,
                             .symlink = {.symlink_attributes = sattr_of(q),
                                         .symlink_data = (char *)(uintptr_t)q->target}};

        return xdr_SYMLINK3args(xdr, &args);
}

static bool put_mknod(XDR *xdr, question *q)
{
        MKNOD3args args = {.where = PLACE, .what = {.type = (ftype3)q->type}};

        if (q->type == NF3CHR || q->type == NF3BLK) {
                args.what.mknoddata3_u.device.dev_attributes = sattr_of(q);
                args.what.mknoddata3_u.device.spec = (specdata3){1, 5};
        } else if (q->type == NF3SOCK || q->type == NF3FIFO) {
                args.what.mknoddata3_u.pipe_attributes = sattr_of(q);
        }
        return xdr_MKNOD3args(xdr, &args);
}

static bool put_remove(XDR *xdr, question *q)
{
        REMOVE3args args = {.object = PLACE};

        return xdr_REMOVE3args(xdr, &args);
}

static bool put_rename(XDR *xdr, question *q)
{
        RENAME3args args = {.from = PLACE, .to = place_of(q->handle2, q->handle_size, q->name2)};

        return xdr_RENAME3args(xdr, &args);
}

static bool put_link(XDR *xdr, question *q)
{
        LINK3args args = {.file = FH, .link = place_of(q->handle2, q->handle_size, q->name2)};

        return xdr_LINK3args(xdr, &args);
}

static bool put_readdir(XDR *xdr, question *q)
{
        READDIR3args args = {.dir = FH, .cookie = q->cookie, .count = q->count};

        return xdr_READDIR3args(xdr, &args);
}

static bool put_readdirplus(XDR *xdr, question *q)
{
        READDIRPLUS3args args = {
            .dir = FH, .cookie = q->cookie, .dircount = q->count, .maxcount = q->count};

        return xdr_READDIRPLUS3args(xdr, &args);
}

static bool put_commit(XDR *xdr, question *q)
{
        COMMIT3args args = {.file = FH, .offset = q->offset, .count = q->count};

        return xdr_COMMIT3args(xdr, &args);
}

size_t tirpc_nfs_args(uint32_t proc, const struct tirpc_question *q, uint8_t *out, size_t size)
{
        static bool (*const puts[PROC_COUNT])(XDR *, question *) = {
            NULL,        put_getattr, put_setattr, put_lookup, put_access,  put_readlink,
            put_read,    put_write,   put_create,  put_mkdir,  put_symlink, put_mknod,
            put_remove,  put_remove,  put_rename,  put_link,   put_readdir, put_readdirplus,
            put_getattr, put_getattr, put_getattr, put_commit};
        size_t used = 0;
        XDR xdr;

        if (puts[proc] == NULL)
                return 0;
        xdrmem_create(&xdr, (char *)out, (u_int)size, XDR_ENCODE);
        if (puts[proc](&xdr, q))
                used = xdr_getpos(&xdr);
        xdr_destroy(&xdr);
        return used;
}

size_t tirpc_mount_args(uint32_t proc, const char *path, uint8_t *out, size_t size)
{
        char *text = (char *)(uintptr_t)path;
        size_t used = 0;
        XDR xdr;

        if (proc != 1 && proc != 3)
                return 0;
        xdrmem_create(&xdr, (char *)out, (u_int)size, XDR_ENCODE);
        if (xdr_dirpath(&xdr, &text))
                used = xdr_getpos(&xdr);
        xdr_destroy(&xdr);
        return used;
}

/* --- results --- */

union result {
        GETATTR3res getattr;
        SETATTR3res setattr;
        LOOKUP3res lookup;
        ACCESS3res access;
        READLINK3res readlink;
        READ3res read;
        WRITE3res write;
        CREATE3res create;
        MKDIR3res mkdir;
        SYMLINK3res symlink;
        MKNOD3res mknod;
        REMOVE3res remove;
        RMDIR3res rmdir;
        RENAME3res rename;
        LINK3res link;
        READDIR3res readdir;
        READDIRPLUS3res readdirplus;
        FSSTAT3res fsstat;
        FSINFO3res fsinfo;
        PATHCONF3res pathconf;
        COMMIT3res commit;
        mountres3 mnt;
        mountlist dump;
        exports exports_;
};

static const xdrproc_t codecs[PROC_COUNT] = {
    NULL,
    (xdrproc_t)xdr_GETATTR3res,
    (xdrproc_t)xdr_SETATTR3res,
    (xdrproc_t)xdr_LOOKUP3res,
    (xdrproc_t)xdr_ACCESS3res,
    (xdrproc_t)xdr_READLINK3res,
    (xdrproc_t)xdr_READ3res,
    (xdrproc_t)xdr_WRITE3res,
    (xdrproc_t)xdr_CREATE3res,
    (xdrproc_t)xdr_MKDIR3res,
    (xdrproc_t)xdr_SYMLINK3res,
    (xdrproc_t)xdr_MKNOD3res,
    (xdrproc_t)xdr_REMOVE3res,
    (xdrproc_t)xdr_RMDIR3res,
    (xdrproc_t)xdr_RENAME3res,
    (xdrproc_t)xdr_LINK3res,
    (xdrproc_t)xdr_READDIR3res,
    (xdrproc_t)xdr_READDIRPLUS3res,
    (xdrproc_t)xdr_FSSTAT3res,
    (xdrproc_t)xdr_FSINFO3res,
    (xdrproc_t)xdr_PATHCONF3res,
    (xdrproc_t)xdr_COMMIT3res,
};

static void see_attr(const post_op_attr *attr, struct tirpc_answer *out)
{
        out->attributes = attr->attributes_follow;
        if (!attr->attributes_follow)
                return;
        out->fileid = attr->post_op_attr_u.attributes.fileid;
        out->attr_size = attr->post_op_attr_u.attributes.size;
}

static void see_wcc(const wcc_data *wcc, struct tirpc_answer *out)
{
        out->wcc_before = wcc->before.attributes_follow;
        see_attr(&wcc->after, out);
}

static void see_handle(const char *data, u_int size, struct tirpc_answer *out)
{
        memcpy(out->handle, data, size);
        out->handle_size = size;
}

static void see_new(const post_op_fh3 *fh, const post_op_attr *attr, struct tirpc_answer *out)
{
        if (fh->handle_follows)
                see_handle(fh->post_op_fh3_u.handle.data.data_val,
                           fh->post_op_fh3_u.handle.data.data_len, out);
        see_attr(attr, out);
}

static uint64_t sum_of(const void *data, size_t size)
{
        const uint8_t *bytes = data;
        uint64_t sum = size;

        for (size_t i = 0; i < size; i++)
                sum = sum * 31 + bytes[i];
        return sum;
}

static void see_read(const READ3resok *ok, struct tirpc_answer *out)
{
        see_attr(&ok->file_attributes, out);
        out->count = ok->count;
        out->eof = ok->eof;
        out->data_sum = sum_of(ok->data.data_val, ok->data.data_len);
}

static void see_readdir(const READDIR3resok *ok, struct tirpc_answer *out)
{
        see_attr(&ok->dir_attributes, out);
        out->eof = ok->reply.eof;
        for (const entry3 *entry = ok->reply.entries; entry != NULL; entry = entry->nextentry) {
                out->entries++;
                out->cookie = entry->cookie;
        }
}

static void see_readdirplus(const READDIRPLUS3resok *ok, struct tirpc_answer *out)
{
        see_attr(&ok->dir_attributes, out);
        out->eof = ok->reply.eof;
        for (const entryplus3 *entry = ok->reply.entries; entry != NULL; entry = entry->nextentry) {
                out->entries++;
                out->cookie = entry->cookie;
        }
}

/* The arms of success; all of failure hold attributes or wcc_data at their start. */
static void see(uint32_t proc, const union result *r, struct tirpc_answer *out)
{
        out->status = (uint32_t)r->getattr.status;
        if (out->status != NFS3_OK)
                return;
        switch (proc) {
        case 1:
                out->fileid = r->getattr.GETATTR3res_u.resok.obj_attributes.fileid;
                out->attr_size = r->getattr.GETATTR3res_u.resok.obj_attributes.size;
                break;
        case 3:
                see_handle(r->lookup.LOOKUP3res_u.resok.object.data.data_val,
                           r->lookup.LOOKUP3res_u.resok.object.data.data_len, out);
                see_attr(&r->lookup.LOOKUP3res_u.resok.obj_attributes, out);
                break;
        case 4:
                see_attr(&r->access.ACCESS3res_u.resok.obj_attributes, out);
                out->access = r->access.ACCESS3res_u.resok.access;
                break;
        case 5:
                see_attr(&r->readlink.READLINK3res_u.resok.symlink_attributes, out);
                out->data_sum = sum_of(r->readlink.READLINK3res_u.resok.data,
                                       strlen(r->readlink.READLINK3res_u.resok.data));
                break;
        case 6:
                see_read(&r->read.READ3res_u.resok, out);
                break;
        case 7:
                see_wcc(&r->write.WRITE3res_u.resok.file_wcc, out);
                out->count = r->write.WRITE3res_u.resok.count;
                out->committed = (uint32_t)r->write.WRITE3res_u.resok.committed;
                memcpy(&out->verifier, r->write.WRITE3res_u.resok.verf, 8);
                break;
        case 8: /* CREATE's, MKDIR's, SYMLINK's and MKNOD's results have one shape */
        case 9:
        case 10:
        case 11:
                see_new(&r->create.CREATE3res_u.resok.obj,
                        &r->create.CREATE3res_u.resok.obj_attributes, out);
                out->wcc_before = r->create.CREATE3res_u.resok.dir_wcc.before.attributes_follow;
                break;
        case 2:
        case 12:
        case 13:
        case 14: /* one wcc_data, or two */
                see_wcc(&r->setattr.SETATTR3res_u.resok.obj_wcc, out);
                break;
        case 16:
                see_readdir(&r->readdir.READDIR3res_u.resok, out);
                break;
        case 17:
                see_readdirplus(&r->readdirplus.READDIRPLUS3res_u.resok, out);
                break;
        case 21:
                see_wcc(&r->commit.COMMIT3res_u.resok.file_wcc, out);
                memcpy(&out->verifier, r->commit.COMMIT3res_u.resok.verf, 8);
                break;
        default: /* LINK, FSSTAT, FSINFO, PATHCONF start with attributes */
                see_attr(&r->fsinfo.FSINFO3res_u.resok.obj_attributes, out);
                break;
        }
}

static bool decode(xdrproc_t codec, const uint8_t *bytes, size_t size, union result *result)
{
        bool whole;
        XDR xdr;

        memset(result, 0, sizeof(*result));
        xdrmem_create(&xdr, (char *)(uintptr_t)bytes, (u_int)size, XDR_DECODE);
        whole = codec(&xdr, result, 0) && xdr_getpos(&xdr) == size;
        xdr_destroy(&xdr);
        return whole;
}

static bool encodes_to(xdrproc_t codec, union result *result, const uint8_t *bytes, size_t size)
{
        uint8_t *again = malloc(size + 64);
        bool same;
        XDR xdr;

        if (again == NULL)
                return false;
        xdrmem_create(&xdr, (char *)again, (u_int)size + 64, XDR_ENCODE);
        same =
            codec(&xdr, result, 0) && xdr_getpos(&xdr) == size && memcmp(again, bytes, size) == 0;
        xdr_destroy(&xdr);
        free(again);
        return same;
}

bool tirpc_nfs_result(uint32_t proc, const uint8_t *bytes, size_t size, struct tirpc_answer *out)
{
        union result result;
        bool good;

        memset(out, 0, sizeof(*out));
        if (codecs[proc] == NULL)
                return size == 0;
        good = decode(codecs[proc], bytes, size, &result) &&
               encodes_to(codecs[proc], &result, bytes, size);
        if (good)
                see(proc, &result, out);
        xdr_free(codecs[proc], &result);
        return good;
}

bool tirpc_mount_result(uint32_t proc, const uint8_t *bytes, size_t size, struct tirpc_answer *out)
{
        static const xdrproc_t mount_codecs[] = {
            NULL, (xdrproc_t)xdr_mountres3, (xdrproc_t)xdr_mountlist, NULL,
            NULL, (xdrproc_t)xdr_exports};
        union result result;
        bool good;

        memset(out, 0, sizeof(*out));
        if (mount_codecs[proc] == NULL)
                return size == 0;
        good = decode(mount_codecs[proc], bytes, size, &result) &&
               encodes_to(mount_codecs[proc], &result, bytes, size);
        if (good && proc == 1) {
                const mountres3_ok *ok = &result.mnt.mountres3_u.mountinfo;

                out->status = (uint32_t)result.mnt.fhs_status;
                if (out->status == MNT3_OK) {
                        see_handle(ok->fhandle.fhandle3_val, ok->fhandle.fhandle3_len, out);
                        out->entries = ok->auth_flavors.auth_flavors_len;
                }
        } else if (good) {
                out->entries = result.dump != NULL;
        }
        xdr_free(mount_codecs[proc], &result);
        return good;
}
