/* place.c - paths as the user means them, told without asking a file system that may hang. */
#include "base/cleanup.h"
#include "cli/commands/commands.h"
#include "cli/control.h"
#include "core/key.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

enum hif_err cli_path(const struct cli *cli, const char *path, char **out)
{
        bool below = path[0] != '/' && cli->directory != NULL;
        int n = below ? asprintf(out, "%s/%s", cli->directory, path) : asprintf(out, "%s", path);

        return n < 0 ? HIF_ENOMEM : HIF_OK;
}

/* The mount that holds an absolute path, as the daemon lists it (a new reference). */
static enum hif_err find_mount(struct cli *cli, const char *path, json_t **out, struct hif_why *why)
{
        json_t *list = NULL, *item;
        size_t index;
        int fd;
        enum hif_err err = control_connect(cli, false, &fd, why);

        if (err != HIF_OK)
                return err;
        err = control_call(cli, fd, json_pack("{s:s}", "op", "list"), 0, NULL, NULL, &list, why);
        close(fd);
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
        enum hif_err err = cli_absolute(cli, dir != NULL ? dir : ".", &path, why);

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
        enum hif_err err = cli_absolute(cli, path, &absolute, why);

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
