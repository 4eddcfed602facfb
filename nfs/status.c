/* status.c - what an error of ours is to an NFS client. */
#include "nfs/nfs3.h"

#include <assert.h>

enum nfsstat3 nfs3_status(enum hif_err err)
{
        switch (err) {
        case HIF_OK:
                return NFS3_OK;
        case HIF_EPERM:
                return NFS3ERR_PERM;
        case HIF_ENOENT:
                return NFS3ERR_NOENT;
        case HIF_EACCES:
                return NFS3ERR_ACCES;
        case HIF_EEXIST:
                return NFS3ERR_EXIST;
        case HIF_EXDEV:
                return NFS3ERR_XDEV;
        case HIF_ENOTDIR:
                return NFS3ERR_NOTDIR;
        case HIF_EISDIR:
                return NFS3ERR_ISDIR;
        case HIF_EINVAL:
                return NFS3ERR_INVAL;
        case HIF_EFBIG:
                return NFS3ERR_FBIG;
        case HIF_ENOSPC:
                return NFS3ERR_NOSPC;
        case HIF_EDQUOT:
                return NFS3ERR_DQUOT;
        case HIF_EROFS:
                return NFS3ERR_ROFS;
        case HIF_EMLINK:
                return NFS3ERR_MLINK;
        case HIF_ENAMETOOLONG:
                return NFS3ERR_NAMETOOLONG;
        case HIF_ENOTEMPTY:
                return NFS3ERR_NOTEMPTY;
        case HIF_ESTALE:
                return NFS3ERR_STALE;
        case HIF_EBADHANDLE:
                return NFS3ERR_BADHANDLE;
        case HIF_ENOTSUP:
                return NFS3ERR_NOTSUPP;
        case HIF_EBUSY: /* only from a guard of SETATTR */
                return NFS3ERR_NOT_SYNC;

        /* Ask again later: the client keeps its dirty pages, and its user sees a pause. */
        case HIF_ENOMEM:
        case HIF_EAGAIN:
        case HIF_ETIMEDOUT:
        case HIF_EUNREACHABLE:
                return NFS3ERR_JUKEBOX;

        case HIF_EIO:
        case HIF_ECORRUPT:
        case HIF_EDENIED:
                return NFS3ERR_IO;

        /* Nothing that a file operation should end in. */
        case HIF_ECANCELED:
        case HIF_ELIMIT:
        case HIF_EUNSUPPORTED:
        case HIF_ELOST:
        case HIF_EUNKNOWN:
        case HIF_ECONFLICT:
        case HIF_ENOTHING:
                return NFS3ERR_SERVERFAULT;

        case HIF_EMISS:
        case HIF_ERR_COUNT:
                break;
        }
        assert(false && "a fault is not an answer");
        return NFS3ERR_SERVERFAULT;
}
