#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* One row an error: the symbol, the phrase, and what FUSE is told. */
struct err_row {
        const char *name;
        const char *phrase;
        int errnum;
};

#define ROW(symbol, phrase, errnum) [HIF_##symbol] = {#symbol, phrase, errnum}

static const struct err_row rows[] = {
    ROW(OK, "success", 0),
    ROW(EMISS, "objects are not resident", 0),
    ROW(EPERM, "operation not permitted", EPERM),
    ROW(ENOENT, "no such file or directory", ENOENT),
    ROW(EIO, "input/output error", EIO),
    ROW(EACCES, "permission denied", EACCES),
    ROW(EEXIST, "file exists", EEXIST),
    ROW(EXDEV, "not on the same file system", EXDEV),
    ROW(ENOTDIR, "not a directory", ENOTDIR),
    ROW(EISDIR, "is a directory", EISDIR),
    ROW(EINVAL, "invalid argument", EINVAL),
    ROW(EFBIG, "file too large", EFBIG),
    ROW(ENOSPC, "no space left on the disk", ENOSPC),
    ROW(EDQUOT, "the disk quota is used up", EDQUOT),
    ROW(EROFS, "read-only file system", EROFS),
    ROW(EMLINK, "too many links", EMLINK),
    ROW(ENAMETOOLONG, "name too long", ENAMETOOLONG),
    ROW(ENOTEMPTY, "directory not empty", ENOTEMPTY),
    ROW(ESTALE, "the file is gone", ESTALE),
    ROW(EBADHANDLE, "not a file handle of this server", ESTALE),
    ROW(ENOTSUP, "operation not supported", EOPNOTSUPP),
    ROW(EBUSY, "resource busy", EBUSY),
    ROW(ENOMEM, "out of memory", ENOMEM),
    ROW(EAGAIN, "would block", EAGAIN),
    ROW(ETIMEDOUT, "timed out", ETIMEDOUT),
    ROW(ECANCELED, "canceled", ECANCELED),
    ROW(ELIMIT, "a limit was reached", ENOSPC),
    ROW(ECORRUPT, "the data are corrupt", EIO),
    ROW(EUNSUPPORTED, "a newer format, or a feature that this version lacks", EOPNOTSUPP),
    ROW(ELOST, "another writer was first", EIO),
    ROW(EUNKNOWN, "the outcome of the write is unknown", EIO),
    ROW(EUNREACHABLE, "the store is unreachable", EIO),
    ROW(EDENIED, "the store refused the credentials", EACCES),
    ROW(ECONFLICT, "conflicting changes", EIO),
    ROW(ENOTHING, "nothing to do", EIO),
};

_Static_assert(sizeof(rows) / sizeof(rows[0]) == HIF_ERR_COUNT, "one row an error");

const char *hif_strerror(enum hif_err err)
{
        return (unsigned)err < HIF_ERR_COUNT ? rows[err].phrase : "unknown error";
}

const char *hif_err_name(enum hif_err err)
{
        return (unsigned)err < HIF_ERR_COUNT ? rows[err].name : "UNKNOWN";
}

enum hif_err hif_err_from_errno(int errnum)
{
        switch (errnum) {
        case 0:
                return HIF_OK;
        case EPERM:
                return HIF_EPERM;
        case ENOENT:
                return HIF_ENOENT;
        case EACCES:
                return HIF_EACCES;
        case EEXIST:
                return HIF_EEXIST;
        case EXDEV:
                return HIF_EXDEV;
        case ENOTDIR:
                return HIF_ENOTDIR;
        case EISDIR:
                return HIF_EISDIR;
        case EINVAL:
        case ELOOP: /* also what O_NOFOLLOW says of a symbolic link */
                return HIF_EINVAL;
        case EFBIG:
        case EOVERFLOW:
                return HIF_EFBIG;
        case ENOSPC:
                return HIF_ENOSPC;
        case EDQUOT:
                return HIF_EDQUOT;
        case EROFS:
                return HIF_EROFS;
        case EMLINK:
                return HIF_EMLINK;
        case ENAMETOOLONG:
                return HIF_ENAMETOOLONG;
        case ENOTEMPTY:
                return HIF_ENOTEMPTY;
        case ESTALE:
                return HIF_ESTALE;
        case EOPNOTSUPP:
        case ENOSYS:
                return HIF_ENOTSUP;
        case EBUSY:
        case ETXTBSY:
                return HIF_EBUSY;
        case ENOMEM:
                return HIF_ENOMEM;
        case EAGAIN:
                return HIF_EAGAIN;
        case ETIMEDOUT:
                return HIF_ETIMEDOUT;
        case ECANCELED:
                return HIF_ECANCELED;
        case EMFILE:
        case ENFILE:
                return HIF_ELIMIT;
        case EBADMSG:
        case EUCLEAN:
                return HIF_ECORRUPT;
        case ECONNREFUSED:
        case ECONNRESET:
        case EHOSTUNREACH:
        case ENETUNREACH:
                return HIF_EUNREACHABLE;
        default:
                return HIF_EIO;
        }
}

int hif_err_to_errno(enum hif_err err)
{
        assert((unsigned)err < HIF_ERR_COUNT && err != HIF_EMISS);
        return rows[err].errnum;
}

enum hif_err why_set(struct hif_why *why, enum hif_err err, const char *format, ...)
{
        va_list args;

        if (!why)
                return err;
        va_start(args, format);
        vsnprintf(why->text, sizeof(why->text), format, args);
        va_end(args);
        return err;
}
