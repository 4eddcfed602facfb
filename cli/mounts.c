/* Mounts of ours, as the kernel lists them (proc_pid_mountinfo(5)). */
#include "cli/mounts.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>

#define MOUNTINFO_MAX (16u << 20)

/* The next field of a line; blanks and backslashes in it are written in octal. */
static struct span next_field(struct span *line)
{
        const uint8_t *end = memchr(line->data, ' ', line->size);
        struct span field = span_of(line->data, end ? (size_t)(end - line->data) : line->size);
        size_t skip = field.size + (end != NULL);

        *line = span_of(line->data + skip, line->size - skip);
        return field;
}

static void unescape(struct buf *out, struct span field)
{
        for (size_t i = 0; i < field.size; i++) {
                const uint8_t *c = field.data + i;

                if (*c != '\\' || field.size - i < 4) {
                        buf_put_u8(out, *c);
                        continue;
                }
                buf_put_u8(out, (uint8_t)((c[1] - '0') << 6 | (c[2] - '0') << 3 | (c[3] - '0')));
                i += 3;
        }
}

static bool starts_with(struct span text, const char *start)
{
        return text.size >= strlen(start) && memcmp(text.data, start, strlen(start)) == 0;
}

/* FUSE mounts name the project, NFS ones an export of this machine that no one else has. */
static bool is_ours(struct span type, struct span source)
{
        if (starts_with(type, "fuse"))
                return starts_with(source, "hif:");
        return starts_with(type, "nfs") && starts_with(source, "127.0.0.1:/s-");
}

static bool holds(struct span mount_point, const char *path)
{
        size_t size = mount_point.size;

        if (size == 1) /* "/" */
                return true;
        return strncmp(path, (const char *)mount_point.data, size) == 0 &&
               (path[size] == '/' || path[size] == '\0');
}

/* 36 35 98:0 /root /mount/point options tag:1 - type source options */
static enum hif_err read_line(struct span line, bool (*each)(void *arg, const struct mount *mount),
                              void *arg, bool *more)
{
        AUTO_BUF struct buf point = {0};
        struct mount mount = {0};
        struct span device;

        for (int i = 0; i < 2; i++)
                (void)next_field(&line);
        device = next_field(&line);
        (void)next_field(&line);
        unescape(&point, next_field(&line));
        buf_put_u8(&point, '\0');
        if (buf_failed(&point))
                return HIF_ENOMEM;
        while (line.size > 0 && !span_eq(next_field(&line), span_str("-")))
                continue;
        mount.path = (const char *)point.data;
        mount.type = next_field(&line);
        mount.source = next_field(&line);
        mount.options = line;
        mount.ours = is_ours(mount.type, mount.source);
        for (size_t i = 0; i < device.size; i++) {
                if (device.data[i] == ':')
                        mount.minor = 0;
                else if (device.data[i] >= '0' && device.data[i] <= '9')
                        mount.minor = mount.minor * 10 + device.data[i] - '0';
        }
        *more = each(arg, &mount);
        return HIF_OK;
}

enum hif_err mounts_each(struct env *env, bool (*each)(void *arg, const struct mount *mount),
                         void *arg)
{
        AUTO_BUF struct buf info = {0};
        struct reader rd;
        bool more = true;
        enum hif_err err = env_read_file(env, "/proc/self/mountinfo", MOUNTINFO_MAX, &info);

        rd = rd_open(buf_span(&info));
        while (err == HIF_OK && more && rd_left(&rd) > 0) {
                const uint8_t *end = memchr(rd.next, '\n', rd_left(&rd));
                size_t n = end ? (size_t)(end - rd.next) : rd_left(&rd);

                err = read_line(rd_span(&rd, n), each, arg, &more);
                if (end)
                        rd.next++;
        }
        return err;
}

/* What is looked for among the mounts. */
struct search {
        const char *path, *source;
        struct buf best, type;
        bool ours, held;
};

static bool look_at(void *arg, const struct mount *mount)
{
        struct search *search = arg;
        struct span point = span_str(mount->path);

        if (search->source != NULL && span_eq(mount->source, span_str(search->source)) &&
            strcmp(mount->path, search->path) == 0)
                search->held = true;
        /* The longest holds the path; of equal ones the last lies on top. */
        if (!holds(point, search->path) || point.size < search->best.size)
                return true;
        search->ours = mount->ours;
        buf_reset(&search->best);
        buf_put_span(&search->best, point);
        buf_reset(&search->type);
        buf_put_span(&search->type, mount->type);
        return true;
}

static enum hif_err read_mounts(struct env *env, struct search *search)
{
        enum hif_err err = mounts_each(env, look_at, search);

        if (buf_failed(&search->best) || buf_failed(&search->type))
                return HIF_ENOMEM;
        return err;
}

static void search_free(struct search *search)
{
        buf_free(&search->best);
        buf_free(&search->type);
}

enum hif_err mounts_find(struct env *env, const char *path, bool *found, char **mount_point)
{
        struct search search = {.path = path};
        enum hif_err err = read_mounts(env, &search);

        *found = err == HIF_OK && search.ours;
        if (*found) {
                *mount_point = strndup((const char *)search.best.data, search.best.size);
                if (!*mount_point)
                        err = HIF_ENOMEM;
        }
        search_free(&search);
        return err;
}

enum hif_err mounts_holding(struct env *env, const char *path, char **mount_point, char **type)
{
        struct search search = {.path = path};
        enum hif_err err = read_mounts(env, &search);

        if (err == HIF_OK && search.best.size == 0)
                err = HIF_ENOENT;
        buf_put_u8(&search.best, '\0');
        buf_put_u8(&search.type, '\0');
        if (err == HIF_OK && (buf_failed(&search.best) || buf_failed(&search.type)))
                err = HIF_ENOMEM;
        if (err == HIF_OK) {
                *mount_point = (char *)STEAL(search.best.data);
                *type = (char *)STEAL(search.type.data);
        }
        search_free(&search);
        return err;
}

enum hif_err mounts_hold(struct env *env, const char *source, const char *mount_point, bool *found)
{
        struct search search = {.path = mount_point, .source = source};
        enum hif_err err = read_mounts(env, &search);

        *found = search.held;
        search_free(&search);
        return err;
}

/* --- what has moved --- */

struct device {
        const char *mount_point;
        const char *source; /* NULL: the device counts */
        unsigned minor;     /* 0: looked for */
        char *elsewhere;
        bool here, failed;
};

static bool look_for_device(void *arg, const struct mount *mount)
{
        struct device *device = arg;

        if (strcmp(mount->path, device->mount_point) == 0)
                device->minor = mount->ours ? mount->minor : 0; /* the last one lies on top */
        return true;
}

enum hif_err mounts_device(struct env *env, const char *mount_point, unsigned *minor)
{
        struct device device = {.mount_point = mount_point};
        enum hif_err err = mounts_each(env, look_for_device, &device);

        *minor = device.minor;
        return err;
}

static bool look_for_place(void *arg, const struct mount *mount)
{
        struct device *device = arg;

        if (!mount->ours ||
            (device->source == NULL ? mount->minor != device->minor
                                    : !span_eq(mount->source, span_str(device->source))))
                return true;
        if (strcmp(mount->path, device->mount_point) == 0) {
                device->here = true;
        } else if (device->elsewhere == NULL) {
                device->elsewhere = strdup(mount->path);
                device->failed = device->elsewhere == NULL;
        }
        return !device->failed;
}

enum hif_err mounts_moved(struct env *env, const char *source, unsigned minor,
                          const char *mount_point, char **now)
{
        struct device device = {.mount_point = mount_point, .source = source, .minor = minor};
        enum hif_err err = mounts_each(env, look_for_place, &device);

        *now = NULL;
        if (err == HIF_OK && device.failed)
                err = HIF_ENOMEM;
        if (err == HIF_OK && !device.here)
                *now = STEAL(device.elsewhere);
        free(device.elsewhere);
        return err;
}
