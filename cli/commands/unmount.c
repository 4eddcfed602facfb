/* hif unmount. With --force it ends within two seconds, whatever has become of the server. */
#include "cli/commands/unmount.h"
#include "base/cleanup.h"
#include "cli/bounded.h"
#include "cli/commands/commands.h"
#include "cli/commands/session.h"
#include "cli/control.h"
#include "cli/known.h"
#include "cli/mounts.h"
#include "cli/process.h"
#include "cli/sockets.h"
#include "cli/supervisor/helper.h"
#include "cli/supervisor/supervisor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FORCE_PATIENCE_MS 500   /* with a server that says nothing */
#define PING_TIMEOUT_MS   250   /* is it alive at all? */
#define ALIVE_PATIENCE_MS 15000 /* with one that is, and writes back */
#define DETACH_TIMEOUT_MS 800
#define ASK_AGAIN_MS      50
#define ASK_AGAIN_MAX     10

struct unmount_args {
        const char *dir;
        bool force;
};

static const struct argp_option unmount_options[] = {
    {"force", 'f', NULL, 0, "Also when it is busy, or its server does not answer", 0}, {0}};

static error_t parse_unmount(int key, char *arg, struct argp_state *state)
{
        struct unmount_args *args = state->input;

        switch (key) {
        case 'f':
                args->force = true;
                return 0;
        case ARGP_KEY_ARG:
                if (args->dir != NULL)
                        return ARGP_ERR_UNKNOWN;
                if (arg[0] == '\0') /* a variable that is not set: not the mount around us */
                        argp_error(state, "which mount? Its directory's name is empty");
                args->dir = arg;
                return 0;
        case ARGP_KEY_NO_ARGS:
                argp_error(state, "which mount? Name its directory");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp unmount_argp = {
    .options = unmount_options,
    .parser = parse_unmount,
    .args_doc = "DIR",
    .doc = "Flush and unmount. The session stays, and can be mounted again with its edits. With "
           "--force it is also detached when its server hangs, or is gone."};

/* --- without a server's help --- */

struct found {
        const char *path;
        bool there, fuse;
        unsigned minor;
};

static bool find(void *arg, const struct mount *mount)
{
        struct found *found = arg;

        if (strcmp(mount->path, found->path) == 0) { /* the last lies on top */
                found->there = mount->ours;
                found->fuse = mount->type.size >= 4 && memcmp(mount->type.data, "fuse", 4) == 0;
                found->minor = mount->minor;
        }
        return true;
}

/* Whatever waits for the server gets an error at once, and so does whoever asks it again later from
 * a directory or a file that he still has. */
static void abort_connection(const struct found *found)
{
        char path[64];
        int fd;

        snprintf(path, sizeof(path),
                 found->fuse ? "/sys/fs/fuse/connections/%u/abort" : "/sys/fs/nfs/0:%u/shutdown",
                 found->minor);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return; /* not in every container, and for NFS since Linux 6.5 only */
        (void)!write(fd, "1", 1);
        close(fd);
}

static enum hif_err detach(void *arg, int out)
{
        const struct found *found = arg;
        struct hif_why why = {0};
        enum hif_err err;

        abort_connection(found);
        err = helper_unmount(found->path, HELP_UNMOUNT_FORCE, &why);
        (void)!write(out, why.text, strlen(why.text));
        return err;
}

/* The next server must not bring it back. */
static void forget(struct cli *cli, const char *path)
{
        json_t *sessions = NULL, *session;
        size_t index;

        if (sessions_here(cli, &sessions) != HIF_OK)
                cli_warn(cli,
                         "the sessions of this machine could not be read; the daemon may mount "
                         "it again");
        json_array_foreach(sessions, index, session)
        {
                AUTO_FREE char *mark = NULL;

                if (strcmp(json_text(session, "mount_point"), path) != 0)
                        continue;
                if (asprintf(&mark, "%s/mounted", json_text(session, "directory")) < 0)
                        mark = NULL;
                else
                        (void)unlink(mark); /* it need not be there */
        }
        json_decref(sessions);
}

static bool is_gone(struct cli *cli, const char *path)
{
        struct found found = {.path = path};

        return mounts_each(&cli->env, find, &found) == HIF_OK && !found.there;
}

enum hif_err unmount_alone(struct cli *cli, const char *path, struct hif_why *why)
{
        struct found found = {.path = path};
        AUTO_BUF struct buf said = {0};
        enum hif_err err = mounts_each(&cli->env, find, &found);

        if (err != HIF_OK)
                return why_set(why, err, "the list of mounts could not be read: %s",
                               hif_strerror(err));
        if (!found.there)
                return why_set(why, HIF_ENOENT,
                               "'%s' is no mount of hif; `hif mount` shows what is mounted", path);
        forget(cli, path);
        err = bounded_run(DETACH_TIMEOUT_MS, detach, &found, &said);
        /* What is left of it may hang still, where nobody sees it. */
        if (err == HIF_ETIMEDOUT && is_gone(cli, path))
                return HIF_OK;
        if (err == HIF_ETIMEDOUT)
                return why_set(
                    why, err,
                    "'%s' could not be detached in time; is it inside another mount that "
                    "hangs? Detach that first",
                    path);
        if (err == HIF_OK)
                return HIF_OK;
        return why_set(why, err, "%.*s", (int)said.size, (const char *)said.data);
}

/* --- with it --- */

static json_t *request(const char *path, bool force)
{
        json_t *request = json_pack("{s:s, s:b}", "op", "unmount", "force", force);

        json_set_path(request, "path", span_str(path));
        return request;
}

/* Has it a word for its supervisor? It lets no more commands in, because many wait for it. */
static bool answers_supervisor(struct cli *cli)
{
        struct hif_why ignored = {0};
        json_t *status = NULL;
        enum hif_err err = supervisor_status(cli, PING_TIMEOUT_MS, &status, &ignored);
        json_int_t silent_ms =
            json_integer_value(json_object_get(json_object_get(status, "server"), "silent_ms"));

        json_decref(status);
        return err == HIF_OK && silent_ms < PING_TIMEOUT_MS;
}

/* One that runs; none is started for this. */
static enum hif_err connect_to(struct cli *cli, int *fd, struct hif_why *why)
{
        struct sockaddr_un where;
        enum hif_err err = sockets_find(cli, SOCKET_CONTROL, &where, fd);

        if (err == HIF_OK)
                return err;
        if (err == HIF_EUNREACHABLE && !answers_supervisor(cli))
                return why_set(why, err, "the daemon lets no more commands in");
        return control_connect(cli, false, fd, why);
}

/* *stopped: nothing is to be expected of it. */
static enum hif_err ask(struct cli *cli, const char *path, uint64_t timeout_ms, bool *stopped,
                        json_t **result, struct hif_why *why)
{
        int fd;
        enum hif_err err = connect_to(cli, &fd, why);

        if (err != HIF_OK)
                return err;
        *stopped = process_stopped(process_of_socket(fd));
        err = *stopped
                  ? HIF_EUNREACHABLE
                  : control_call(cli, fd, request(path, true), timeout_ms, NULL, NULL, result, why);
        close(fd);
        return err;
}

/* Does it answer, if only to its name? */
static bool is_alive(struct cli *cli)
{
        struct hif_why ignored = {0};
        json_t *pong = NULL;
        int fd;
        bool alive;

        if (connect_to(cli, &fd, &ignored) != HIF_OK)
                return false;
        alive = !process_stopped(process_of_socket(fd)) &&
                control_call(cli, fd, json_pack("{s:s}", "op", "ping"), PING_TIMEOUT_MS, NULL, NULL,
                             &pong, &ignored) == HIF_OK;
        close(fd);
        json_decref(pong);
        return alive;
}

/* Whoever answers gets the time to write back; who does not is not waited for. */
static enum hif_err ask_patiently(struct cli *cli, const char *path, json_t **result,
                                  struct hif_why *why)
{
        const struct timespec pause = {.tv_nsec = ASK_AGAIN_MS * 1000000l};
        uint64_t start = env_mono_ns(&cli->env);
        enum hif_err err = HIF_EUNREACHABLE;
        bool stopped = false;

        for (int tries = 0; tries < ASK_AGAIN_MAX; tries++) {
                uint64_t spent = (env_mono_ns(&cli->env) - start) / 1000000;

                if (spent >= FORCE_PATIENCE_MS)
                        break;
                why->text[0] = '\0';
                err = ask(cli, path, FORCE_PATIENCE_MS - spent, &stopped, result, why);
                if (err != HIF_EUNREACHABLE || stopped)
                        return err;
                /* One that died is started again at once, by its supervisor. */
                if (!supervisor_there(cli))
                        break;
                nanosleep(&pause, NULL);
        }
        /* The server needs the supervisor for it. */
        return is_alive(cli) && supervisor_stopped(cli) == 0
                   ? ask(cli, path, ALIVE_PATIENCE_MS, &stopped, result, why)
                   : err;
}

/* *alone: it was detached without a server. */
static enum hif_err force(struct cli *cli, const char *path, json_t **result, bool *alone,
                          struct hif_why *why)
{
        struct found before = {.path = path};
        struct hif_why answer = {0};
        enum hif_err err = mounts_each(&cli->env, find, &before);

        if (err == HIF_OK)
                err = ask_patiently(cli, path, result, &answer);
        *alone = err == HIF_ENOENT || err == HIF_EUNREACHABLE;
        if (!*alone) {
                *why = answer;
                return err;
        }
        err = unmount_alone(cli, path, why);
        if (err != HIF_ENOENT || !before.there)
                return err;
        *alone = false; /* the server has done it, and did not say so in time */
        *result = json_pack("{s:s}", "mount_point", path);
        return HIF_OK;
}

int cmd_unmount(struct cli *cli, int argc, char **argv)
{
        struct unmount_args args = {0};
        struct hif_why why = {0};
        AUTO_FREE char *path = NULL;
        json_t *result = NULL;
        bool alone = false;
        enum hif_err err;

        cli_parse(cli, &unmount_argp, argc, argv, &args);
        /* Not realpath: that would ask a server which may hang. */
        err = cli_place(cli, args.dir, &path, &why);
        if (err == HIF_OK)
                err = args.force
                          ? force(cli, path, &result, &alone, &why)
                          : control_ask(cli, request(path, false), NULL, NULL, &result, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json && alone)
                return cli_print_json(
                    cli, json_pack("{s:s, s:b}", "mount_point", path, "detached", true));
        if (cli->json)
                return cli_print_json(cli, result);
        if (alone) {
                printf("Detached %s without its daemon; its session keeps its edits\n", path);
                return cli_finish(cli, EXIT_DONE);
        }
        warn_of(cli, result);
        if (json_text(result, "session")[0] != '\0')
                printf("Unmounted %s; session %s keeps its edits\n", path,
                       json_text(result, "session"));
        else
                printf("Unmounted %s; its session keeps its edits\n", path);
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}
