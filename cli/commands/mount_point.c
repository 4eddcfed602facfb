/* A child looks at the directory, and says each place before it touches it. So when it hangs it is known
 * where, and by the kernel's list of mounts on what. */
#include "cli/commands/mount_point.h"

#include "base/cleanup.h"
#include "cli/bounded.h"
#include "cli/mounts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TELL_AFTER_MS 2000 /* the user, that it is waited for */
#define HANGS_AFTER_MS                                                                             \
        2000 /* one wait of somebody's server for so long; those of disks may be longer */
#define WAIT_MS         30000 /* in all */
#define RETURN_LIMIT_MS 1000

/* What the child says: one of these, a text, and a zero. */
enum {
        SAY_BEFORE = '>',  /* a place that it is about to look at */
        SAY_MOUNT = '=',   /* it leads into a mount of ours, here */
        SAY_MADE = '+',    /* the directory was made */
        SAY_READY = '.',   /* the directory's canonical path */
        SAY_WHY_NOT = '!', /* the sentence for the user */
};

struct look {
        struct cli *cli;
        const char *absolute; /* as words */
        const char *named;    /* for system calls */
        struct buf said;
        bool told, gave_up;
};

/* --- the child --- */

static enum hif_err say(int out, char kind, const char *text)
{
        char message[PATH_MAX + sizeof(((struct hif_why *)0)->text)];
        int size = snprintf(message, sizeof(message), "%c%s", kind, text);
        ssize_t sent =
            size < 0 || size >= (int)sizeof(message) ? -1 : write(out, message, (size_t)size + 1);

        return sent == (ssize_t)size + 1 ? HIF_OK : HIF_EIO;
}

static enum hif_err say_before(void *arg, const char *path)
{
        return say(*(const int *)arg, SAY_BEFORE, path);
}

static enum hif_err check_empty(const char *path, struct hif_why *why)
{
        DIR *dir = opendir(path);
        struct dirent *entry;
        bool empty = true;

        if (dir == NULL)
                return why_set(why, hif_err_from_errno(errno),
                               errno == ENOTDIR
                                   ? "'%s' cannot be mounted on: %s; name an empty directory, or "
                                     "one that does not exist yet"
                                   : "'%s' cannot be mounted on: %s; name a directory of your own",
                               path, strerror(errno));
        while (empty && (entry = readdir(dir)) != NULL)
                empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        closedir(dir);
        if (empty)
                return HIF_OK;
        return why_set(why, HIF_ENOTEMPTY,
                       "'%s' is not empty, and a mount would hide what is in it; name an empty "
                       "directory, or one that does not exist yet",
                       path);
}

static enum hif_err make_mount_point(const char *dir, bool *made, struct hif_why *why)
{
        int error;

        *made = mkdir(dir, 0755) == 0;
        error = *made ? 0 : errno;
        if (*made || error == EEXIST || error == ENOTCONN)
                return HIF_OK;
        if (error == ENOENT)
                return why_set(why, HIF_EINVAL,
                               "'%s' could not be made: the directory above it does not exist; "
                               "make it with `mkdir -p`, and try again",
                               dir);
        return why_set(why, hif_err_from_errno(error),
                       "'%s' could not be made: %s; name a directory of your own", dir,
                       strerror(error));
}

static enum hif_err take(const struct look *look, int out, struct hif_why *why)
{
        AUTO_FREE char *path = NULL, *mount_point = NULL;
        struct env *env = &look->cli->env;
        const char *dir = look->named;
        char leads[PATH_MAX];
        bool made = false, found = false;
        enum hif_err err = place_follow(env, look->absolute, say_before, &out, leads);

        if (err == HIF_OK)
                return say(out, SAY_MOUNT, leads);
        err = say(out, SAY_BEFORE, leads);
        if (err == HIF_OK)
                err = make_mount_point(dir, &made, why);
        if (err == HIF_OK && made)
                err = say(out, SAY_MADE, "");
        if (err != HIF_OK)
                return err;
        path = realpath(dir, NULL);
        if (path == NULL)
                return why_set(why, hif_err_from_errno(errno), "'%s' could not be found: %s", dir,
                               strerror(errno));
        /* It may be made to lead into one of ours just now. */
        err = mounts_find(env, path, &found, &mount_point);
        if (err != HIF_OK)
                return why_set(why, err, "the list of mounts could not be read: %s",
                               hif_strerror(err));
        if (found)
                return say(out, SAY_MOUNT, path);
        err = check_empty(path, why);
        return err == HIF_OK ? say(out, SAY_READY, path) : err;
}

static enum hif_err take_in_child(void *arg, int out)
{
        struct hif_why why = {0};
        enum hif_err err = take(arg, out, &why);

        if (err != HIF_OK && why.text[0] != '\0')
                (void)!say(out, SAY_WHY_NOT, why.text); /* else it is said without it */
        return err;
}

/* --- who waits for it --- */

/* The last that was said of this kind; NULL: nothing. */
static const char *last_of(const struct buf *said, char kind)
{
        const char *next = (const char *)said->data, *last = NULL;
        size_t left = buf_failed(said) ? 0 : said->size;

        while (left > 0) {
                const char *zero = memchr(next, '\0', left);

                if (zero == NULL)
                        break;
                if (*next == kind)
                        last = next + 1;
                left -= (size_t)(zero + 1 - next);
                next = zero + 1;
        }
        return last;
}

/* Does somebody's server have to answer for it, here or far away? One wait is then one request. Not so
 * for disks: a wait for them may be for all that others write. Nor for autofs: that mounts. */
static bool is_served(const char *type)
{
        static const char *const types[] = {"fuse", "nfs", "cifs",   "smb3",    "9p",
                                            "ceph", "afs", "lustre", "virtiofs"};

        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
                if (strncmp(type, types[i], strlen(types[i])) == 0)
                        return true;
        return false;
}

static bool go_on(void *arg, const struct bounded_wait *wait)
{
        struct look *look = arg;
        const char *at = last_of(wait->said, SAY_BEFORE);
        AUTO_FREE char *mount_point = NULL, *type = NULL;

        if (wait->waited_ms >= WAIT_MS ||
            (wait->still_ms >= HANGS_AFTER_MS && at != NULL &&
             mounts_holding(&look->cli->env, at, &mount_point, &type) == HIF_OK &&
             is_served(type))) {
                look->gave_up = true;
                return false;
        }
        if (wait->waited_ms >= TELL_AFTER_MS && !look->told) {
                look->told = true;
                cli_warn(look->cli,
                         "'%s' does not answer yet; it is waited for, and Ctrl-C ends that",
                         at != NULL ? at : look->absolute);
        }
        return true;
}

static enum hif_err say_hangs(const struct look *look, struct hif_why *why)
{
        const char *at = last_of(&look->said, SAY_BEFORE);
        AUTO_FREE char *mount_point = NULL, *type = NULL;

        if (at == NULL || mounts_holding(&look->cli->env, at, &mount_point, &type) != HIF_OK)
                return why_set(why, HIF_ETIMEDOUT,
                               "'%s' does not answer; name a directory elsewhere, or try again",
                               look->absolute);
        return why_set(
            why, HIF_ETIMEDOUT,
            "'%s' does not answer: the file system that is mounted at '%s' (%s) hangs, or "
            "is very busy; name a directory elsewhere, or try again when it "
            "answers",
            at, mount_point, type);
}

/* What leads into a mount of ours. */
static enum hif_err judge_mount(struct cli *cli, const char *path, char **out, struct hif_why *why)
{
        AUTO_FREE char *mount_point = NULL;
        bool found = false;
        enum hif_err err = mounts_find(&cli->env, path, &found, &mount_point);

        if (err != HIF_OK)
                return why_set(why, err, "the list of mounts could not be read: %s",
                               hif_strerror(err));
        if (found && strcmp(mount_point, path) != 0)
                return why_set(why, HIF_EBUSY,
                               "'%s' is inside the mount at '%s'; choose a directory outside", path,
                               mount_point);
        *out = strdup(path);
        return *out != NULL ? HIF_OK : HIF_ENOMEM;
}

static enum hif_err judge(struct look *look, enum hif_err err, char **out, bool *made,
                          struct hif_why *why)
{
        const char *ready = last_of(&look->said, SAY_READY);
        const char *mount = last_of(&look->said, SAY_MOUNT);
        const char *why_not = last_of(&look->said, SAY_WHY_NOT);

        if (buf_failed(&look->said))
                return HIF_ENOMEM;
        if (look->gave_up)
                return say_hangs(look, why);
        if (why_not != NULL)
                return why_set(why, err, "%s", why_not);
        if (err == HIF_OK && mount != NULL)
                return judge_mount(look->cli, mount, out, why);
        if (err != HIF_OK || ready == NULL)
                return why_set(why, err != HIF_OK ? err : HIF_EIO,
                               "'%s' could not be looked at: %s", look->absolute,
                               hif_strerror(err != HIF_OK ? err : HIF_EIO));
        *out = strdup(ready);
        *made = *out != NULL && last_of(&look->said, SAY_MADE) != NULL;
        return *out != NULL ? HIF_OK : HIF_ENOMEM;
}

enum hif_err mount_point_take(struct cli *cli, const char *dir, char **out, bool *made,
                              struct hif_why *why)
{
        AUTO_FREE char *absolute = NULL, *named = NULL;
        struct look look = {.cli = cli};
        enum hif_err err = cli_absolute(cli, dir, &absolute, why);

        if (err == HIF_OK)
                err = cli_path(cli, dir, &named);
        if (err != HIF_OK)
                return err;
        look.absolute = absolute;
        look.named = named;
        err = judge(&look, bounded_watch(go_on, take_in_child, &look, &look.said), out, made, why);
        buf_free(&look.said);
        return err;
}

static enum hif_err unmake(void *arg, int out)
{
        (void)out;
        return rmdir(arg) == 0 ? HIF_OK : hif_err_from_errno(errno);
}

void mount_point_return(const char *dir)
{
        /* It need not go: it is empty, and may be mounted on the next time. */
        (void)!bounded_run(RETURN_LIMIT_MS, unmake, (void *)(uintptr_t)dir, NULL);
}
