/* export_files.c - see export_files.h. Paths are checked components below a directory that was empty;
 * symbolic links come last, so that nothing is written through one. */
#include "cli/daemon/export_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/key.h"

#define CHUNK ((size_t)64 << 10)
#define PAGE  ((size_t)4 << 10)

static void note(struct export_files *files, const struct vfs_export_item *item, const char *format,
                 ...) __attribute__((format(printf, 3, 4)));

/* A line of the report; a path in it may hold anything but what ends a line. */
static void put_path(struct buf *out, struct span path)
{
        for (size_t i = 0; i < path.size; i++)
                if (path.data[i] < ' ' || path.data[i] == '\\' || path.data[i] == 0x7f)
                        buf_printf(out, "\\x%02x", path.data[i]);
                else
                        buf_put_u8(out, path.data[i]);
}

static void note(struct export_files *files, const struct vfs_export_item *item, const char *format,
                 ...)
{
        char text[256];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        put_path(&files->not_saved, item->path);
        buf_printf(&files->not_saved, ": %s\n", text);
        files->not_saved_count++;
}

static enum hif_err cannot_write(struct span path, struct hif_why *why)
{
        int error = errno;

        return why_set(why, hif_err_from_errno(error), "'%.*s' could not be written: %s",
                       (int)path.size, (const char *)path.data, strerror(error));
}

/* The directories above, and with `whole` the path itself. */
static enum hif_err make_dirs(const struct export_files *files, struct span path, bool whole,
                              struct hif_why *why)
{
        char text[PATH_SIZE_MAX + 1];

        for (size_t i = 0; i <= path.size; i++) {
                if (i < path.size && path.data[i] != '/')
                        continue;
                if (i == path.size && !whole)
                        break;
                memcpy(text, path.data, i);
                text[i] = '\0';
                if (mkdirat(files->dir_fd, text, 0777) != 0 && errno != EEXIST)
                        return cannot_write(path, why);
        }
        return HIF_OK;
}

struct copying {
        struct export_files *files;
        const struct vfs_export_item *item;
        int fd;
        uint64_t saved, lost;
        uint64_t lost_from;
        enum hif_err reason; /* of what is lost */
};

/* A short count of pwrite is an error of a full disk; the next one then says so. */
static enum hif_err put_bytes(int fd, const uint8_t *bytes, size_t size, uint64_t offset)
{
        while (size > 0) {
                ssize_t put = pwrite(fd, bytes, size, (off_t)offset);

                if (put < 0 && errno == EINTR)
                        continue;
                if (put <= 0)
                        return hif_err_from_errno(put < 0 ? errno : ENOSPC);
                bytes += put;
                offset += (uint64_t)put;
                size -= (size_t)put;
        }
        return HIF_OK;
}

/* Up to CHUNK bytes at `at`. Where they cannot be read whole, page by page. */
static enum hif_err copy_chunk(struct copying *copying, uint64_t at, size_t size, size_t step,
                               struct hif_why *why)
{
        uint8_t bytes[CHUNK];
        enum hif_err err;

        for (size_t done = 0; done < size; done += step) {
                size_t part = size - done < step ? size - done : step;

                err = vfs_export_read(copying->files->export, copying->files->origin, copying->item,
                                      at + done, bytes, part);
                if (err != HIF_OK && step == CHUNK)
                        return copy_chunk(copying, at, size, PAGE, why);
                if (err != HIF_OK) {
                        if (copying->lost == 0)
                                copying->lost_from = at + done;
                        copying->lost += part;
                        copying->reason = err;
                        continue;
                }
                err = put_bytes(copying->fd, bytes, part, at + done);
                if (err != HIF_OK)
                        return why_set(why, err, "'%.*s' could not be written: %s",
                                       (int)copying->item->path.size,
                                       (const char *)copying->item->path.data, hif_strerror(err));
                copying->saved += part;
        }
        return HIF_OK;
}

static enum hif_err copy_piece(struct copying *copying, const struct opiece *piece,
                               struct hif_why *why)
{
        for (uint64_t done = 0; done < piece->size;) {
                uint64_t left = piece->size - done, saved = copying->saved;
                size_t size = left < CHUNK ? (size_t)left : CHUNK;
                enum hif_err err = copy_chunk(copying, piece->offset + done, size, CHUNK, why);

                if (err != HIF_OK)
                        return err;
                done += size;
                /* The rest of what lies in one place has the same fate: it is not asked for page by
                 * page, with a timeout each. */
                if (copying->saved == saved) {
                        copying->lost += piece->size - done;
                        break;
                }
        }
        return HIF_OK;
}

static void tell_lost(struct copying *copying)
{
        const char *reason = copying->reason == HIF_ENOENT && copying->files->origin == NULL
                                 ? "they are the base's, and the store cannot be reached"
                                 : hif_strerror(copying->reason);

        note(copying->files, copying->item, "%llu of %llu bytes are missing, from byte %llu on: %s",
             (unsigned long long)copying->lost, (unsigned long long)copying->item->content.size,
             (unsigned long long)copying->lost_from, reason);
}

static enum hif_err write_content(struct copying *copying, struct hif_why *why)
{
        const struct vfs_export_item *item = copying->item;
        struct timespec times[2] = {{.tv_nsec = UTIME_NOW},
                                    {.tv_sec = item->mtime.sec, .tv_nsec = item->mtime.nsec}};
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < item->content.piece_count && err == HIF_OK; i++)
                if (item->content.pieces[i].kind != OPIECE_ZERO)
                        err = copy_piece(copying, &item->content.pieces[i], why);
        if (err != HIF_OK)
                return err;
        if (item->content.size <= INT64_MAX &&
            ftruncate(copying->fd, (off_t)item->content.size) != 0)
                return cannot_write(item->path, why);
        if (futimens(copying->fd, times) != 0)
                note(copying->files, item,
                     "its content is there, but its time could not be set: %s",
                     hif_strerror(hif_err_from_errno(errno)));
        if (fchmod(copying->fd, item->mode & 0777) != 0)
                return cannot_write(item->path, why);
        return HIF_OK;
}

static enum hif_err write_file(struct export_files *files, const struct vfs_export_item *item,
                               struct hif_why *why)
{
        struct copying copying = {.files = files, .item = item};
        char path[PATH_SIZE_MAX + 1];
        enum hif_err err = make_dirs(files, item->path, false, why);

        if (err != HIF_OK)
                return err;
        memcpy(path, item->path.data, item->path.size);
        path[item->path.size] = '\0';
        copying.fd =
            openat(files->dir_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (copying.fd < 0 && (errno == EEXIST || errno == EISDIR || errno == ENOTDIR)) {
                note(files, item, "something else has that path");
                return HIF_OK;
        }
        if (copying.fd < 0)
                return cannot_write(item->path, why);
        err = write_content(&copying, why);
        close(copying.fd);
        if (err != HIF_OK)
                return err;
        if (copying.lost > 0)
                tell_lost(&copying);
        if (copying.lost > 0 && copying.saved == 0) {
                (void)unlinkat(files->dir_fd, path, 0);
                return HIF_OK;
        }
        files->files++;
        files->bytes += copying.saved;
        return HIF_OK;
}

static enum hif_err write_symlink(struct export_files *files, const struct vfs_export_item *item,
                                  struct hif_why *why)
{
        char path[PATH_SIZE_MAX + 1], target[PATH_SIZE_MAX + 1];
        enum hif_err err = make_dirs(files, item->path, false, why);

        if (err != HIF_OK)
                return err;
        if (item->target.size == 0 || item->target.size > PATH_SIZE_MAX ||
            memchr(item->target.data, 0, item->target.size) != NULL) {
                note(files, item, "where the link leads is not known here");
                return HIF_OK;
        }
        memcpy(path, item->path.data, item->path.size);
        path[item->path.size] = '\0';
        memcpy(target, item->target.data, item->target.size);
        target[item->target.size] = '\0';
        if (symlinkat(target, files->dir_fd, path) != 0) {
                if (errno != EEXIST && errno != ENOTDIR)
                        return cannot_write(item->path, why);
                note(files, item, "something else has that path");
                return HIF_OK;
        }
        files->symlinks++;
        return HIF_OK;
}

static enum hif_err write_item(struct export_files *files, const struct vfs_export_item *item,
                               struct hif_why *why)
{
        switch (item->kind) {
        case VFS_EXPORT_FILE:
                return write_file(files, item, why);
        case VFS_EXPORT_DIR:
                files->directories++;
                if (item->renamed)
                        note(files, item,
                             "a directory under a new name: what the session did not change in it "
                             "is the base's");
                return make_dirs(files, item->path, true, why);
        case VFS_EXPORT_SYMLINK:
                return HIF_OK; /* later */
        case VFS_EXPORT_REMOVED:
                put_path(&files->removed, item->path);
                buf_put_u8(&files->removed, '\n');
                files->removed_count++;
                return HIF_OK;
        case VFS_EXPORT_SPECIAL:
                note(files, item, "a fifo, a socket or a device");
                return HIF_OK;
        }
        return HIF_OK;
}

enum hif_err export_files_write(struct export_files *files, struct hif_why *why)
{
        const struct vfs_export *export = files->export;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < export->count && err == HIF_OK; i++)
                err = write_item(files, &export->items[i], why);
        for (size_t i = 0; i < export->count && err == HIF_OK; i++)
                if (export->items[i].kind == VFS_EXPORT_SYMLINK)
                        err = write_symlink(files, &export->items[i], why);
        if (err == HIF_OK && (buf_failed(&files->removed) || buf_failed(&files->not_saved)))
                err = HIF_ENOMEM;
        return err;
}

void export_files_free(struct export_files *files)
{
        if (files->dir_fd >= 0)
                close(files->dir_fd);
        buf_free(&files->removed);
        buf_free(&files->not_saved);
}
