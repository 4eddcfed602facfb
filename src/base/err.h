/* err.h - the one error type, and the sentence that the user gets.
 *
 * An error is converted where it is born (errno at the system call, the library's code at its
 * call) and travels up unchanged. Out parameters come last and are untouched on failure. */
#ifndef HIF_BASE_ERR_H
#define HIF_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#define HIF_MUST_USE __attribute__((warn_unused_result))

enum hif_err {
        HIF_OK = 0,

        /* Not an error: the operation lacks objects that are not resident. Nothing has changed. */
        HIF_EMISS,

        /* File system errors, named as in POSIX. */
        HIF_EPERM,
        HIF_ENOENT,
        HIF_EIO,
        HIF_EACCES,
        HIF_EEXIST,
        HIF_EXDEV,
        HIF_ENOTDIR,
        HIF_EISDIR,
        HIF_EINVAL,
        HIF_EFBIG,
        HIF_ENOSPC,
        HIF_EDQUOT, /* as HIF_ENOSPC, by a quota: hif_err_is_full */
        HIF_EROFS,
        HIF_EMLINK,
        HIF_ENAMETOOLONG,
        HIF_ENOTEMPTY,
        HIF_ESTALE,     /* a handle of ours whose node is gone */
        HIF_EBADHANDLE, /* not a handle of ours: forged, foreign or garbled */
        HIF_ENOTSUP,
        HIF_EBUSY,

        /* Resources and time. */
        HIF_ENOMEM,
        HIF_EAGAIN, /* would block: ask again */
        HIF_ETIMEDOUT,
        HIF_ECANCELED,
        HIF_ELIMIT, /* a named bound of ours was reached */

        /* Stores and formats. */
        HIF_ECORRUPT,     /* bytes do not match their hash, checksum or format */
        HIF_EUNSUPPORTED, /* a newer version, or a required feature that we lack */
        HIF_ELOST,        /* the condition of a conditional write did not hold */
        HIF_EUNKNOWN,     /* the write may or may not have taken effect */
        HIF_EUNREACHABLE, /* the store did not answer */
        HIF_EDENIED,      /* the store refused our credentials */
        HIF_ECONFLICT,    /* landing: overlapping changes */
        HIF_ENOTHING,     /* nothing to do: no changes to land */

        HIF_ERR_COUNT
};

/* A short lower-case phrase ("no such file or directory"); never NULL. */
const char *hif_strerror(enum hif_err err);

/* The symbol without prefix ("ENOENT"), for logs and --json; never NULL. */
const char *hif_err_name(enum hif_err err);

/* There is no room: of the disk, or of a quota of it. */
static inline bool hif_err_is_full(enum hif_err err)
{
        return err == HIF_ENOSPC || err == HIF_EDQUOT;
}

/* Convert an errno value; an unknown one is HIF_EIO. 0 is HIF_OK. */
enum hif_err hif_err_from_errno(int errnum);

/* The inverse, for FUSE: a positive errno value. HIF_EMISS must not get here (asserted). */
int hif_err_to_errno(enum hif_err err);

/* The sentence for the user: names the thing, the reason and the next step.
 * Filled by functions that take one, on failure only. */
struct hif_why {
        char text[1024];
};

/* Set why->text (truncating) and return err, so that `return why_set(why, HIF_EIO, "...")` reads
 * well. why may be NULL. */
enum hif_err why_set(struct hif_why *why, enum hif_err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
