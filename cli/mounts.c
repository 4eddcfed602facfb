/* Mounts of ours, as the kernel lists them (proc_pid_mountinfo(5)). */
#include "cli/import/import.h"

#include <stdio.h>

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

/* What is looked for among the mounts. */
struct search {
        const char *path, *source;
        struct buf best;
        bool ours, held;
};

/* 36 35 98:0 /root /mount/point options tag:1 - type source options */
static enum hif_err read_line(struct span line, struct search *search)
{
        AUTO_BUF struct buf point = {0};
        struct span type, source;

        for (int i = 0; i < 4; i++)
                (void)next_field(&line);
        unescape(&point, next_field(&line));
        if (buf_failed(&point))
                return HIF_ENOMEM;
        while (line.size > 0 && !span_eq(next_field(&line), span_str("-")))
                continue;
        type = next_field(&line);
        source = next_field(&line);
        if (search->source != NULL && span_eq(source, span_str(search->source)) &&
            span_eq(buf_span(&point), span_str(search->path)))
                search->held = true;
        /* The longest holds the path; of equal ones the last lies on top. */
        if (!holds(buf_span(&point), search->path) || point.size < search->best.size)
                return HIF_OK;
        search->ours = is_ours(type, source);
        buf_reset(&search->best);
        buf_put_span(&search->best, buf_span(&point));
        return buf_failed(&search->best) ? HIF_ENOMEM : HIF_OK;
}

static enum hif_err read_mounts(struct env *env, struct search *search)
{
        AUTO_BUF struct buf info = {0};
        struct reader rd;
        enum hif_err err = env_read_file(env, "/proc/self/mountinfo", MOUNTINFO_MAX, &info);

        rd = rd_open(buf_span(&info));
        while (err == HIF_OK && rd_left(&rd) > 0) {
                const uint8_t *end = memchr(rd.next, '\n', rd_left(&rd));
                size_t n = end ? (size_t)(end - rd.next) : rd_left(&rd);

                err = read_line(rd_span(&rd, n), search);
                if (end)
                        rd.next++;
        }
        return err;
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
        buf_free(&search.best);
        return err;
}

enum hif_err mounts_hold(struct env *env, const char *source, const char *mount_point, bool *found)
{
        struct search search = {.path = mount_point, .source = source};
        enum hif_err err = read_mounts(env, &search);

        *found = search.held;
        buf_free(&search.best);
        return err;
}
