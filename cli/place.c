/* place.c - paths as the user means them, told without asking a file system that may hang. */
#include "base/cleanup.h"
#include "cli/bounded.h"
#include "cli/control.h"
#include "cli/known.h"
#include "cli/mounts.h"
#include "core/key.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FOLLOW_STILL_MS 1000  /* then what it looks at hangs */
#define FOLLOW_MOST_MS  10000 /* on a machine that is very busy */
#define FOLLOW_MAX      40    /* links, as the kernel does */

/* Append the components of `path`, with "." and ".." carried out as words. */
static void append_components(struct buf *out, const char *path)
{
        while (*path != '\0') {
                size_t size = strcspn(path, "/");

                if (size == 2 && path[0] == '.' && path[1] == '.') {
                        while (out->size > 0 && out->data[--out->size] != '/')
                                ;
                } else if (size > 0 && !(size == 1 && path[0] == '.')) {
                        buf_put_u8(out, '/');
                        buf_put(out, path, size);
                }
                path += size + (path[size] == '/');
        }
}

/* Where we stand. A directory of a mount that is gone has no path any more, but the shell knows the
 * one it had. (Not getcwd(3): that would look for the path in the mount.) */
static enum hif_err put_here(struct buf *out, struct hif_why *why)
{
        char here[PATH_MAX] = "";
        bool known = syscall(SYS_getcwd, here, sizeof(here)) > 0 && here[0] == '/';
        int error = known ? 0 : errno;
        const char *told = known ? here : getenv("PWD");

        if (told == NULL || told[0] != '/')
                return why_set(why, error != 0 ? hif_err_from_errno(error) : HIF_ENOENT,
                               "the current directory cannot be told: %s; go to another, or name "
                               "the mount with -C",
                               error != 0 ? strerror(error) : "it is in a mount that is gone");
        append_components(out, told);
        return HIF_OK;
}

enum hif_err cli_absolute(const struct cli *cli, const char *path, char **out, struct hif_why *why)
{
        CLEANUP(buf_free) struct buf text = {0};
        enum hif_err err = HIF_OK;

        if (path[0] != '/') {
                if (cli->directory == NULL || cli->directory[0] != '/')
                        err = put_here(&text, why);
                if (cli->directory != NULL)
                        append_components(&text, cli->directory);
        }
        if (err != HIF_OK)
                return err;
        append_components(&text, path);
        if (text.size == 0)
                buf_put_u8(&text, '/');
        buf_put_u8(&text, '\0');
        if (buf_failed(&text))
                return HIF_ENOMEM;
        *out = (char *)STEAL(text.data);
        return HIF_OK;
}

/* --- symbolic links that lead into a mount --- */

static bool is_in_mount(struct env *env, const char *path)
{
        AUTO_FREE char *mount_point = NULL;
        bool found = false;

        return mounts_find(env, path, &found, &mount_point) == HIF_OK && found;
}

/* Replace the first `end` bytes, which are a link to `target`. HIF_ENAMETOOLONG. */
static enum hif_err replace_link(char path[PATH_MAX], size_t end, const char *target)
{
        AUTO_BUF struct buf text = {0};
        size_t dir = end;

        while (dir > 0 && path[dir - 1] != '/')
                dir--;
        if (target[0] != '/')
                buf_put(&text, path, dir - 1);
        append_components(&text, target);
        append_components(&text, path + end);
        if (buf_failed(&text))
                return HIF_ENOMEM;
        if (text.size >= PATH_MAX)
                return HIF_ENAMETOOLONG;
        memcpy(path, text.data, text.size);
        path[text.size] = '\0';
        return HIF_OK;
}

enum hif_err place_follow(struct env *env, const char *path,
                          enum hif_err (*before)(void *arg, const char *path), void *arg,
                          char out[PATH_MAX])
{
        char target[PATH_MAX];
        size_t end = 0;
        int links = 0;

        snprintf(out, PATH_MAX, "%s", path);
        while (out[end] != '\0' && links <= FOLLOW_MAX) {
                size_t next = end + 1 + strcspn(out + end + 1, "/");
                char after = out[next];
                enum hif_err err = HIF_OK;
                ssize_t size = -1;
                bool found;

                out[next] = '\0';
                found = is_in_mount(env, out);
                if (!found && before != NULL)
                        err = before(arg, out);
                if (!found && err == HIF_OK)
                        size = readlink(out, target, sizeof(target) - 1);
                out[next] = after;
                end = next;
                if (found || err != HIF_OK)
                        return err;
                if (size > 0) {
                        target[size] = '\0';
                        err = replace_link(out, next, target);
                        if (err != HIF_OK)
                                return err;
                        end = 0;
                        links++;
                }
        }
        return HIF_ENOENT;
}

struct following {
        struct env *env;
        const char *path;
};

static enum hif_err follow(void *arg, int out)
{
        const struct following *following = arg;
        char path[PATH_MAX];
        enum hif_err err = place_follow(following->env, following->path, NULL, NULL, path);

        if (err != HIF_OK)
                return err;
        return write(out, path, strlen(path)) > 0 ? HIF_OK : HIF_EIO;
}

static bool may_follow(void *arg, const struct bounded_wait *wait)
{
        (void)arg;
        return wait->still_ms < FOLLOW_STILL_MS && wait->waited_ms < FOLLOW_MOST_MS;
}

enum hif_err cli_place(struct cli *cli, const char *path, char **out, struct hif_why *why)
{
        AUTO_FREE char *absolute = NULL;
        CLEANUP(buf_free) struct buf followed = {0};
        struct following following = {.env = &cli->env};
        enum hif_err err = cli_absolute(cli, path, &absolute, why);

        if (err != HIF_OK)
                return err;
        following.path = absolute;
        if (is_in_mount(&cli->env, absolute) ||
            bounded_watch(may_follow, follow, &following, &followed) != HIF_OK) {
                *out = STEAL(absolute);
                return HIF_OK;
        }
        buf_put_u8(&followed, '\0');
        if (buf_failed(&followed))
                return HIF_ENOMEM;
        *out = (char *)STEAL(followed.data);
        return HIF_OK;
}

enum hif_err cli_put_place(struct cli *cli, json_t *request, const char *path, struct hif_why *why)
{
        AUTO_FREE char *place = NULL;
        enum hif_err err = cli_place(cli, path, &place, why);

        if (err == HIF_OK)
                json_set_path(request, "path", span_str(place));
        return err != HIF_OK || json_object_get(request, "path") != NULL ? err : HIF_ENOMEM;
}

enum hif_err cli_path(const struct cli *cli, const char *path, char **out)
{
        bool below = path[0] != '/' && cli->directory != NULL;
        int n = below ? asprintf(out, "%s/%s", cli->directory, path) : asprintf(out, "%s", path);

        return n < 0 ? HIF_ENOMEM : HIF_OK;
}

static enum hif_err list_mounts(struct cli *cli, json_t **list, struct hif_why *why)
{
        int fd;
        enum hif_err err = control_connect(cli, false, &fd, why);

        if (err != HIF_OK)
                return err;
        err = control_call(cli, fd, json_pack("{s:s}", "op", "list"), 0, NULL, NULL, list, why);
        close(fd);
        return err;
}

/* The mount that holds an absolute path, as the daemon lists it (a new reference); one that hangs is
 * not needed for that. */
static enum hif_err find_mount(struct cli *cli, const char *path, json_t **out, struct hif_why *why)
{
        json_t *list = NULL, *item;
        size_t index;
        enum hif_err err = list_mounts(cli, &list, why);

        if (err == HIF_EUNREACHABLE && (item = known_mount_of(cli, path)) != NULL) {
                *out = item;
                return HIF_OK;
        }
        if (err != HIF_OK)
                return err;
        err = HIF_ENOENT;
        json_array_foreach(list, index, item)
        {
                const char *at = json_string_value(json_object_get(item, "mount_point"));

                if (at != NULL && path_within(span_str(path), span_str(at))) {
                        *out = json_incref(item);
                        err = HIF_OK;
                        break;
                }
        }
        json_decref(list);
        return err;
}

enum hif_err cli_project_of(struct cli *cli, const char *dir, char **project, struct hif_why *why)
{
        AUTO_FREE char *path = NULL;
        struct hif_why ignored;
        json_t *mount = NULL;
        enum hif_err err = cli_place(cli, dir != NULL ? dir : ".", &path, why);

        if (err != HIF_OK)
                return err;
        err = find_mount(cli, path, &mount, &ignored);
        if (err != HIF_OK)
                return why_set(why, HIF_ENOENT,
                               "no project was named, and '%s' is not inside a mount: name one, as "
                               "ORG/NAME",
                               path);
        *project = strdup(json_string_value(json_object_get(mount, "project")));
        json_decref(mount);
        return *project != NULL ? HIF_OK : HIF_ENOMEM;
}

enum hif_err cli_path_in_mount(struct cli *cli, const char *path, char **out, struct hif_why *why)
{
        AUTO_FREE char *absolute = NULL;
        json_t *mount = NULL;
        const char *rest;
        enum hif_err err = cli_place(cli, path, &absolute, why);

        if (err != HIF_OK)
                return err;
        err = find_mount(cli, absolute, &mount, why);
        if (err == HIF_ENOENT)
                return why_set(
                    why, err,
                    "'%s' is not in a mounted workspace; `hif mount` shows what is mounted",
                    absolute);
        if (err != HIF_OK)
                return err;
        rest = absolute + strlen(json_string_value(json_object_get(mount, "mount_point")));
        *out = strdup(rest[0] == '/' ? rest + 1 : rest);
        json_decref(mount);
        return *out != NULL ? HIF_OK : HIF_ENOMEM;
}

void json_get_path(const json_t *object, const char *key, struct buf *out)
{
        char name[64];
        const char *hex;

        snprintf(name, sizeof(name), "%s_bytes", key);
        hex = json_string_value(json_object_get(object, name));
        if (hex == NULL) {
                const json_t *text = json_object_get(object, key);

                buf_put(out, json_string_value(text), json_string_length(text));
                return;
        }
        for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
                unsigned byte = 0;

                sscanf(hex, "%2x", &byte);
                buf_put_u8(out, (uint8_t)byte);
        }
}

json_t *json_path_item(struct span path)
{
        json_t *item = json_stringn((const char *)path.data, path.size);

        if (item == NULL) {
                item = json_object();
                json_set_path(item, "path", path);
        }
        return item;
}

void json_get_path_item(const json_t *item, struct buf *out)
{
        if (json_is_object(item))
                json_get_path(item, "path", out);
        else
                buf_put(out, json_string_value(item), json_string_length(item));
}

int cli_fail_here(struct cli *cli, enum hif_err err, const struct hif_why *why)
{
        AUTO_FREE char *here = NULL;
        AUTO_BUF struct buf text = {0};
        struct hif_why ignored;
        json_t *known = NULL;
        int code;

        if (err == HIF_EUNREACHABLE && cli_absolute(cli, ".", &here, &ignored) == HIF_OK)
                known = known_mount_of(cli, here);
        if (json_text(known, "session")[0] != '\0')
                buf_printf(&text,
                           "without it is known: this is session '%s' of %s, base @%lld, at '%s'; "
                           "its edits are kept in '%s', and what they are is told when a server "
                           "answers again",
                           json_text(known, "session"), json_text(known, "project"),
                           (long long)json_integer_value(json_object_get(known, "base")),
                           json_text(known, "mount_point"), json_text(known, "directory"));
        code = cli_fail_with(cli, err, why, "known", known);
        if (!cli->json && !buf_failed(&text) && text.size > 0) {
                AUTO_BUF struct buf clean = {0};

                text_escape(&clean, buf_span(&text));
                if (!buf_failed(&clean))
                        (void)fprintf(stderr, "hif: %.*s\n", (int)clean.size,
                                      (const char *)clean.data);
        }
        return code;
}
