/* hif mount. */
#include "base/cleanup.h"
#include "cli/commands/commands.h"
#include "cli/commands/mount_point.h"
#include "cli/commands/session.h"
#include "cli/control.h"
#include "cli/known.h"
#include "cli/store.h"
#include "cli/supervisor/supervisor.h"
#include "core/layout.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct mount_args {
        const char *project, *dir, *session, *at, *durability, *front, *goal;
        bool read_only, allow_other, no_netns;
};

enum {
        OPTION_SESSION = 256,
        OPTION_AT,
        OPTION_READ_ONLY,
        OPTION_NFS,
        OPTION_FUSE,
        OPTION_DURABILITY,
        OPTION_ALLOW_OTHER,
        OPTION_NO_NETNS
};

static const struct argp_option mount_options[] = {
    {"session", OPTION_SESSION, "NAME", 0, "The session to open or resume (default: \"default\")",
     0},
    {"at", OPTION_AT, "@N", 0, "Start a new session at this position instead of the head", 0},
    {"read-only", OPTION_READ_ONLY, NULL, 0, "Refuse every change", 0},
    {"nfs", OPTION_NFS, NULL, 0, "Mount with the kernel's NFS client", 0},
    {"fuse", OPTION_FUSE, NULL, 0, "Mount through FUSE", 0},
    {"durability", OPTION_DURABILITY, "LEVEL", 0,
     "\"process\": an answered change survives the daemon's death, and a power cut 50 ms later. "
     "\"power\": it survives both at once",
     0},
    {"allow-other", OPTION_ALLOW_OTHER, NULL, 0, "Serve other users too, by the files' modes", 0},
    {"no-netns", OPTION_NO_NETNS, NULL, 0,
     "As root: listen where every local user can connect (and is refused), not in a network "
     "namespace of the daemon's own",
     0},
    {0}};

static error_t parse_mount(int key, char *arg, struct argp_state *state)
{
        struct mount_args *args = state->input;

        switch (key) {
        case OPTION_SESSION:
                args->session = arg;
                return 0;
        case OPTION_AT:
                args->at = arg;
                return 0;
        case OPTION_READ_ONLY:
                args->read_only = true;
                return 0;
        case OPTION_NFS:
                args->front = "nfs";
                return 0;
        case OPTION_FUSE:
                args->front = "fuse";
                return 0;
        case OPTION_DURABILITY:
                args->durability = arg;
                return 0;
        case OPTION_ALLOW_OTHER:
                args->allow_other = true;
                return 0;
        case OPTION_NO_NETNS:
                args->no_netns = true;
                return 0;
        case ARGP_KEY_ARG:
                if (args->project == NULL)
                        args->project = arg;
                else if (args->dir == NULL)
                        args->dir = arg;
                else
                        return ARGP_ERR_UNKNOWN;
                return 0;
        case ARGP_KEY_END:
                if (args->project != NULL && args->dir == NULL)
                        argp_error(state, "where? Name an empty directory to mount on");
                if (args->dir != NULL && args->dir[0] == '\0') /* a variable that is not set */
                        argp_error(state, "where? The directory's name is empty");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp mount_argp = {
    .options = mount_options,
    .parser = parse_mount,
    .args_doc = "[ORG/NAME DIR]",
    .doc = "Mount a project as a writable directory. Edits are kept in a session, which survives "
           "unmounting and can be landed. Without arguments: list what is mounted."};

/* What the command line says wrongly. */
static enum hif_err check_args(struct cli *cli, const struct mount_args *args, uint64_t *position,
                               struct hif_why *why)
{
        const char *durability = args->durability ? args->durability : cli->config.durability;
        struct layout layout;
        enum hif_err err = layout_init(&layout, args->project, why);

        if (err == HIF_OK && args->session != NULL && !session_name_valid(args->session))
                err =
                    why_set(why, HIF_EINVAL,
                            "'%s' cannot name a session; use 1 to %d letters, digits, \".\", \"_\" "
                            "and \"-\", not starting with \".\" or \"-\"",
                            args->session, SESSION_NAME_MAX);
        if (err == HIF_OK && strcmp(durability, "process") != 0 && strcmp(durability, "power") != 0)
                err = why_set(why, HIF_EINVAL,
                              "'%s' is no durability; it is \"process\" or \"power\"", durability);
        if (err == HIF_OK && args->at != NULL)
                err = position_parse(args->at, position, why);
        return err;
}

static enum hif_err ask_to_mount(struct cli *cli, const struct mount_args *args, const char *dir,
                                 uint64_t position, json_t **result, struct hif_why *why)
{
        const char *durability = args->durability ? args->durability : cli->config.durability;
        AUTO_FREE char *store = NULL;
        char key[CLI_KEY_SIZE];
        json_t *request;
        enum hif_err err = cli_store_url(cli, &store, why); /* the daemon stands elsewhere */

        if (err != HIF_OK)
                return err;
        request = json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b}", "op", "mount", "project",
            args->project, "session", args->session ? args->session : "default", "mount_point", dir,
            "store", store, "front_end", args->front ? args->front : cli->config.front_end,
            "read_only", args->read_only, "power", strcmp(durability, "power") == 0, "allow_other",
            args->allow_other, "no_netns", args->no_netns || strcmp(cli->config.netns, "off") == 0);
        if (request == NULL ||
            (args->at != NULL &&
             json_object_set_new(request, "at", json_integer((json_int_t)position)) != 0) ||
            (cli_own_key(store, key) &&
             json_object_set_new(request, "key", json_string(key)) != 0) ||
            (args->goal != NULL &&
             json_object_set_new(request, "goal", json_string(args->goal)) != 0)) {
                json_decref(request);
                return HIF_ENOMEM;
        }
        return control_ask(cli, request, NULL, NULL, result, why);
}

static bool is_text(const char *text)
{
        json_t *string = json_string(text);
        bool valid = string != NULL;

        json_decref(string);
        return valid;
}

static enum hif_err mount_project(struct cli *cli, const struct mount_args *args, uint64_t position,
                                  json_t **result, struct hif_why *why)
{
        AUTO_FREE char *dir = NULL;
        bool made = false;
        enum hif_err err = mount_point_take(cli, args->dir, &dir, &made, why);

        if (err == HIF_OK && !is_text(dir))
                err = why_set(
                    why, HIF_EINVAL,
                    "'%s' is no UTF-8, and cannot be mounted on; choose another directory", dir);
        if (err == HIF_OK)
                err = ask_to_mount(cli, args, dir, position, result, why);
        if (err != HIF_OK && made)
                mount_point_return(dir);
        return err;
}

enum hif_err mount_session(struct cli *cli, const char *project, const char *dir,
                           const char *session, const char *goal, json_t **result,
                           struct hif_why *why)
{
        struct mount_args args = {.project = project, .dir = dir, .session = session, .goal = goal};
        uint64_t position = 0;
        enum hif_err err = check_args(cli, &args, &position, why);

        return err == HIF_OK ? mount_project(cli, &args, position, result, why) : err;
}

void warn_of(const struct cli *cli, const json_t *result)
{
        const char *warning = json_string_value(json_object_get(result, "warning"));

        if (warning != NULL)
                cli_warn(cli, "%s", warning);
}

static void print_mount(const json_t *mount)
{
        const char *note = json_string_value(json_object_get(mount, "note"));

        cli_print_path(span_str(json_string_value(json_object_get(mount, "project"))));
        printf(" at ");
        cli_print_path(span_str(json_string_value(json_object_get(mount, "mount_point"))));
        printf(", session %s", json_string_value(json_object_get(mount, "session")));
        if (json_object_get(mount, "base") != NULL)
                printf(", base @%lld",
                       (long long)json_integer_value(json_object_get(mount, "base")));
        if (note != NULL)
                printf(", %s", note);
        if (json_is_false(json_object_get(mount, "mounted")))
                printf(", but not mounted there now: `hif mount` it again, or `hif unmount` it");
        printf("\n");
}

/* One whose server does not say it. */
static void print_known(const json_t *mount)
{
        cli_print_path(span_str(json_text(mount, "project")));
        printf(" at ");
        cli_print_path(span_str(json_text(mount, "mount_point")));
        printf(", session %s, base @%lld, not served\n", json_text(mount, "session"),
               (long long)json_integer_value(json_object_get(mount, "base")));
}

/* One that runs; none is started for this. *runs: there is one. */
static enum hif_err ask_for_list(struct cli *cli, json_t **result, bool *runs, struct hif_why *why)
{
        int fd;
        enum hif_err err = control_connect(cli, false, &fd, why);

        *runs = err == HIF_OK || supervisor_there(cli);
        if (err != HIF_OK)
                return err;
        err = control_call(cli, fd, json_pack("{s:s}", "op", "list"), 0, NULL, NULL, result, why);
        close(fd);
        return err;
}

/* Nobody tells what is mounted, but the kernel does. */
static int list_known(struct cli *cli, bool runs, struct hif_why *why)
{
        json_t *mounts = NULL, *item;
        size_t index;
        enum hif_err err = known_mounts(cli, &mounts);

        if (err != HIF_OK) {
                json_decref(mounts);
                return cli_fail(cli, err, NULL);
        }
        if (!runs && json_array_size(mounts) == 0) {
                if (cli->json)
                        return cli_print_json(cli, mounts);
                json_decref(mounts);
                printf("nothing is mounted\n");
                return cli_finish(cli, EXIT_DONE);
        }
        if (!runs)
                why_set(
                    why, HIF_EUNREACHABLE,
                    "no daemon is running for what is mounted; `hif status` in a mount starts one, "
                    "`hif unmount --force` takes it away");
        if (!cli->json)
                json_array_foreach(mounts, index, item) print_known(item);
        return cli_fail_with(cli, HIF_EUNREACHABLE, why, "mounts", mounts);
}

static int list_mounts(struct cli *cli)
{
        json_t *result = NULL, *item;
        struct hif_why why = {0};
        bool runs;
        size_t index;
        enum hif_err err = ask_for_list(cli, &result, &runs, &why);

        if (err == HIF_EUNREACHABLE)
                return list_known(cli, runs, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, result);
        json_array_foreach(result, index, item) print_mount(item);
        if (json_array_size(result) == 0)
                printf("nothing is mounted\n");
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}

int cmd_mount(struct cli *cli, int argc, char **argv)
{
        struct mount_args args = {0};
        struct hif_why why = {0};
        json_t *result = NULL;
        uint64_t position = 0;
        enum hif_err err;

        cli_parse(cli, &mount_argp, argc, argv, &args);
        if (args.project == NULL)
                return list_mounts(cli);
        if (check_args(cli, &args, &position, &why) != HIF_OK)
                return cli_usage(cli, "%s", why.text);
        err = mount_project(cli, &args, position, &result, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, result);
        warn_of(cli, result);
        printf("Mounted ");
        print_mount(result);
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}
