/* Stores by URL. */
#include "store/percent.h"
#include "store/s3/open.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

/* So many syncs go to the disk at once; more gained little (see put.c). */
#define IO_THREADS 16

/* "file:///dir"; the host may be missing, empty or localhost (RFC 8089). */
static enum hif_err open_file_url(struct env *env, const char *url, const char *rest, bool create,
                                  struct store **out, struct hif_why *why)
{
        AUTO_FREE char *path = NULL;

        if (strncmp(rest, "//", 2) == 0) {
                rest += 2;
                if (strncmp(rest, "localhost/", 10) == 0)
                        rest += 9;
        }
        if (rest[0] != '/')
                return why_set(why, HIF_EINVAL,
                               "the store URL %s does not name an absolute path on this machine; "
                               "write file:///path/to/dir",
                               url);
        path = strdup(rest);
        if (!path)
                return why_set(why, HIF_ENOMEM, "no memory to open the store %s", url);
        if (!percent_decode(path))
                return why_set(why, HIF_EINVAL,
                               "the store URL %s has a %% that is not followed by two hexadecimal "
                               "digits; write %%25 for the sign itself",
                               url);
        return store_dir_open(env, path, create, IO_THREADS, out, why);
}

enum hif_err store_open(struct env *env, const char *url, bool create, struct store **out,
                        struct hif_why *why)
{
        const char *scheme_end;

        if (url[0] == '/')
                return store_dir_open(env, url, create, IO_THREADS, out, why);
        if (strncmp(url, "file:", 5) == 0)
                return open_file_url(env, url, url + 5, create, out, why);
        if (strncmp(url, "s3:", 3) == 0)
                return s3_open(env, url, create, out, why);
        scheme_end = strstr(url, "://");
        if (scheme_end)
                return why_set(why, HIF_EINVAL,
                               "the store %s has the unknown scheme %.*s; use a directory, "
                               "file:///path/to/dir, or a bucket, s3://bucket/prefix",
                               url, (int)(scheme_end - url), url);
        return why_set(why, HIF_EINVAL,
                       "the store \"%s\" is not an absolute path; write /path/to/dir, "
                       "file:///path/to/dir or s3://bucket/prefix",
                       url);
}
