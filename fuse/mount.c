/* mount.c - can this be mounted, and if not, why not: as a sentence, before anything is tried. */
#include "fuse/internal.h"

#include "base/program.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICE     "/dev/fuse"
#define CONF       "/etc/fuse.conf"
#define FUSERMOUNT "fusermount3"

extern char **environ;

static enum hif_err check_device(struct hif_why *why)
{
        int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

        if (fd >= 0) {
                close(fd);
                return HIF_OK;
        }
        if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
                return why_set(why, HIF_ENOTSUP,
                               "this machine has no working %s: load the kernel's fuse module "
                               "(`modprobe fuse`), or start the container with `--device %s`",
                               DEVICE, DEVICE);
        return why_set(why, HIF_ENOTSUP,
                       "%s may not be opened (%s): give this user read and write access to it, or "
                       "start the container with `--device %s`",
                       DEVICE, hif_strerror(hif_err_from_errno(errno)), DEVICE);
}

static bool conf_allows_other(void)
{
        FILE *conf = fopen(CONF, "re");
        char line[256];
        bool allowed = false;

        while (conf != NULL && !allowed && fgets(line, sizeof(line), conf) != NULL) {
                const char *word = line;

                while (isspace((unsigned char)*word))
                        word++;
                allowed = strncmp(word, "user_allow_other", 16) == 0 &&
                          (word[16] == '\0' || isspace((unsigned char)word[16]));
        }
        if (conf != NULL)
                fclose(conf);
        return allowed;
}

/* In mountinfo(5) blanks and backslashes of a path are octal. */
static void unescape(char *path)
{
        char *to = path;

        for (; *path != '\0'; path++) {
                if (path[0] == '\\' && isdigit((unsigned char)path[1]) && path[2] != '\0' &&
                    path[3] != '\0') {
                        *to++ = (char)((path[1] - '0') * 64 + (path[2] - '0') * 8 + path[3] - '0');
                        path += 3;
                } else {
                        *to++ = *path;
                }
        }
        *to = '\0';
}

static bool is_below(const char *path, const char *dir)
{
        size_t size = strlen(dir);

        return strncmp(path, dir, size) == 0 && path[size] == '/';
}

/* Looked up in the table of mounts: a touch of a mount of ours would wait for this very thread. */
static enum hif_err check_mounts(const char *mount_point, struct hif_why *why)
{
        FILE *table = fopen("/proc/self/mountinfo", "re");
        enum hif_err err = HIF_OK;
        char *line = NULL;
        size_t capacity = 0;

        if (table == NULL)
                return HIF_OK; /* no /proc: mount(2) will say */
        while (err == HIF_OK && getline(&line, &capacity, table) > 0) {
                char *save, *path = strtok_r(line, " ", &save);
                bool ours;

                for (int field = 1; path != NULL && field < 5; field++)
                        path = strtok_r(NULL, " ", &save);
                if (path == NULL)
                        continue;
                ours = strstr(save, " - fuse.hif ") != NULL;
                unescape(path);
                if (strcmp(path, mount_point) == 0)
                        err = why_set(why, HIF_EBUSY,
                                      "something is mounted on '%s' already: unmount it (`hif "
                                      "unmount`; `hif unmount --force` after a crash), or choose "
                                      "another directory",
                                      mount_point);
                else if (ours && is_below(mount_point, path))
                        err = why_set(why, HIF_EBUSY,
                                      "'%s' is inside another mount of hif, '%s': choose a "
                                      "directory outside of it",
                                      mount_point, path);
        }
        free(line);
        fclose(table);
        return err;
}

static enum hif_err check_empty(const char *mount_point, struct hif_why *why)
{
        DIR *dir = opendir(mount_point);
        const struct dirent *entry;
        enum hif_err err = HIF_OK;

        if (dir == NULL)
                return why_set(why, hif_err_from_errno(errno),
                               "'%s' can not be mounted on: %s; give an empty directory that you "
                               "own",
                               mount_point, hif_strerror(hif_err_from_errno(errno)));
        while (err == HIF_OK && (entry = readdir(dir)) != NULL)
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        err =
                            why_set(why, HIF_ENOTEMPTY,
                                    "'%s' is not empty: mount on an empty directory", mount_point);
        closedir(dir);
        if (err == HIF_OK && access(mount_point, W_OK) != 0)
                err = why_set(why, HIF_EACCES,
                              "'%s' may not be written by this user: mount on a directory that you "
                              "own",
                              mount_point);
        return err;
}

enum hif_err mount_check(const struct fuse_server_config *config, struct hif_why *why)
{
        enum hif_err err = check_device(why);

        if (err != HIF_OK)
                return err;
        if (geteuid() != 0) {
                if (!program_is_there(FUSERMOUNT))
                        return why_set(why, HIF_ENOTSUP,
                                       FUSERMOUNT " is not installed, and only root can mount "
                                                  "without it: `apt-get install fuse3`");
                if (config->allow_other && !conf_allows_other())
                        return why_set(why, HIF_ENOTSUP,
                                       "other users may only be let in when %s has the line "
                                       "'user_allow_other': ask root to add it, or mount without "
                                       "other users",
                                       CONF);
        }
        err = check_mounts(config->mount_point, why);
        if (err == HIF_OK)
                err = check_empty(config->mount_point, why);
        return err;
}

char *mount_options(const struct fuse_server_config *config)
{
        AUTO_BUF struct buf out = {0};
        char *text;

        buf_printf(&out, "default_permissions,max_read=%u,subtype=hif,%s%sfsname=", IO_SIZE_MAX,
                   config->allow_other ? "allow_other," : "", config->read_only ? "ro," : "rw,");
        for (const char *c = config->name; *c != '\0'; c++) {
                if (*c == ',' || *c == '\\')
                        buf_put_u8(&out, '\\');
                buf_put_u8(&out, (uint8_t)*c);
        }
        buf_put_u8(&out, '\0');
        if (buf_failed(&out))
                return NULL;
        text = (char *)out.data;
        out.data = NULL;
        return text;
}

static enum hif_err not_mounted(const char *mount_point, int error, struct hif_why *why)
{
        return why_set(why, HIF_EIO,
                       "'%s' could not be mounted through FUSE: %s; the log may have the words of "
                       "libfuse",
                       mount_point, strerror(error));
}

static enum hif_err mount_as_root(const struct fuse_server_config *config, const char *at, int *out,
                                  struct hif_why *why)
{
        unsigned long flags = MS_NOSUID | MS_NODEV | (config->read_only ? MS_RDONLY : 0);
        int fd = open(DEVICE, O_RDWR | O_CLOEXEC), error;
        char options[128];

        if (fd < 0)
                return not_mounted(config->mount_point, errno, why);
        snprintf(options, sizeof(options),
                 "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,max_read=%u%s", fd,
                 IO_SIZE_MAX, config->allow_other ? ",allow_other" : "");
        if (mount(config->name, at, "fuse.hif", flags, options) == 0) {
                *out = fd;
                return HIF_OK;
        }
        error = errno;
        close(fd);
        return not_mounted(config->mount_point, error, why);
}

/* libfuse talks with fusermount3: by a session that only mounts, as the one that serves gets its
 * descriptor from outside. (What it remembers of the mount point is not freed but by unmounting.) */
static enum hif_err mount_as_user(const struct fuse_server_config *config, int *fd,
                                  struct hif_why *why)
{
        static const struct fuse_lowlevel_ops none = {0};
        AUTO_FREE char *options = mount_options(config);
        char *argv[] = {(char *)"hif", (char *)"-o", options, NULL};
        struct fuse_args args = FUSE_ARGS_INIT(3, argv);
        struct fuse_session *session;
        int mounted;

        if (options == NULL)
                return why_set(why, HIF_ENOMEM, "out of memory");
        session = fuse_session_new(&args, &none, sizeof(none), NULL);
        fuse_opt_free_args(&args);
        if (session == NULL)
                return why_set(why, HIF_EIO, "libfuse refused the mount options '%s'", options);
        if (fuse_session_mount(session, config->mount_point) != 0) {
                int error = errno;

                fuse_session_destroy(session);
                return not_mounted(config->mount_point, error, why);
        }
        mounted = fcntl(fuse_session_fd(session), F_DUPFD_CLOEXEC, 3);
        if (mounted < 0)
                fuse_session_unmount(session);
        fuse_session_destroy(session);
        if (mounted < 0)
                return why_set(why, HIF_ELIMIT, "too many files are open");
        *fd = mounted;
        return HIF_OK;
}

enum hif_err fuse_mount_here(const struct fuse_server_config *config, const char *at, int *fd,
                             struct hif_why *why)
{
        if (geteuid() != 0)
                return mount_as_user(config, fd, why);
        return mount_as_root(config, at != NULL ? at : config->mount_point, fd, why);
}

static bool fusermount(const char *flags, const char *mount_point)
{
        char *const argv[] = {(char *)FUSERMOUNT, (char *)(uintptr_t)flags,       (char *)"-q",
                              (char *)"--",       (char *)(uintptr_t)mount_point, NULL};
        int status;
        pid_t pid;

        if (posix_spawnp(&pid, FUSERMOUNT, NULL, NULL, argv, environ) != 0)
                return false;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return false;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool fuse_unmount_here(const char *mount_point, bool detach)
{
        if (geteuid() == 0)
                return umount2(mount_point, UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)) == 0;
        return fusermount(detach ? "-uz" : "-u", mount_point);
}

enum hif_err mount_open(const struct fuse_server_config *config, int *fd, struct hif_why *why)
{
        const struct fuse_mounter *mounter = config->mounter;

        return mounter != NULL ? mounter->mount(mounter->arg, config, fd, why)
                               : fuse_mount_here(config, NULL, fd, why);
}

bool mount_undo(const struct fuse_mounter *mounter, const char *mount_point)
{
        return mounter != NULL ? mounter->unmount(mounter->arg, mount_point, false)
                               : fuse_unmount_here(mount_point, false);
}

void mount_detach(const struct fuse_mounter *mounter, const char *mount_point)
{
        if (mounter != NULL)
                (void)!mounter->unmount(mounter->arg, mount_point, true);
        else
                (void)!fuse_unmount_here(mount_point, true);
}
