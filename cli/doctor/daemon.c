/* daemon.c - the supervisor, its server, and what they may have left behind. */
#include "base/cleanup.h"
#include "cli/control.h"
#include "cli/doctor/doctor.h"
#include "cli/patience.h"
#include "cli/process.h"
#include "cli/sockets.h"
#include "cli/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_MS 1500 /* with a server that is silent, before that is said of it */

static const char *text_of(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(object, name));

        return text != NULL ? text : "";
}

static long long number_of(const json_t *object, const char *name)
{
        return (long long)json_integer_value(json_object_get(object, name));
}

static void check_version(struct doctor *doctor, const char *what, const char *version)
{
        if (version[0] == '\0' || strcmp(version, HIF_VERSION) == 0)
                return;
        doctor_say(doctor, "version", DOCTOR_WARNING,
                   "`hif daemon upgrade` hands over to this program; mounts stay",
                   "the daemon's %s is of version %s, and this program of " HIF_VERSION, what,
                   version);
}

static void no_supervisor(struct doctor *doctor, const json_t *pong)
{
        doctor_say(doctor, "supervisor", DOCTOR_WARNING,
                   "any command that uses the daemon starts one",
                   "the server (process %lld) has lost its supervisor: nobody would start another "
                   "one if it died",
                   number_of(pong, "pid"));
}

static void tell_supervisor(struct doctor *doctor, const json_t *status)
{
        const json_t *server = json_object_get(status, "server");
        const char *death = text_of(status, "last_death");
        long long restarts = number_of(status, "restarts");
        struct hif_why why = {0};

        doctor->hung = patience_judge(doctor->cli, status, true, &why) != HIF_OK;
        if (doctor->hung)
                doctor_say(doctor, "server", DOCTOR_ERROR, "mounts stay where they are", "%s",
                           why.text);
        else
                doctor_say(doctor, "server", restarts > 0 ? DOCTOR_NOTE : DOCTOR_OK, NULL,
                           "the daemon runs: server %lld, supervisor %lld; the server was started "
                           "again %lld times%s%s",
                           number_of(server, "pid"), number_of(status, "pid"), restarts,
                           death[0] != '\0' ? "; last: " : "", death);
        check_version(doctor, "supervisor", text_of(status, "version"));
        check_version(doctor, "server", text_of(server, "version"));
}

/* The kernel's list of a process's restrictions. */
static void tell_sandbox(struct doctor *doctor, long long pid)
{
        AUTO_BUF struct buf text = {0};
        char path[64];
        const char *privs, *filter;

        snprintf(path, sizeof(path), "/proc/%lld/status", pid);
        if (pid <= 0 || env_read_file(&doctor->cli->env, path, 1u << 16, &text) != HIF_OK)
                return;
        buf_put_u8(&text, '\0');
        if (buf_failed(&text))
                return;
        privs = strstr((const char *)text.data, "NoNewPrivs:");
        filter = strstr((const char *)text.data, "\nSeccomp:");
        if (privs == NULL || filter == NULL)
                return;
        if (geteuid() != 0)
                doctor_say(doctor, "sandbox", DOCTOR_OK, NULL,
                           "the server runs as this user, without privileges");
        else if (privs[12] == '1' && filter[10] == '2')
                doctor_say(doctor, "sandbox", DOCTOR_OK, NULL,
                           "the server can gain no privileges, and its system calls are filtered");
        else
                doctor_say(doctor, "sandbox", DOCTOR_NOTE,
                           "the log says why, where the kernel or the container forbids it",
                           "the server runs without %s%s%s", privs[12] == '1' ? "" : "no_new_privs",
                           privs[12] != '1' && filter[10] != '2' ? " and " : "",
                           filter[10] == '2' ? "" : "a filter of system calls");
}

/* What the server serves; NULL: it did not say. */
static void ask_server(struct doctor *doctor)
{
        struct cli *cli = doctor->cli;
        struct hif_why why = {0};
        json_t *pong = NULL;
        int fd;
        enum hif_err err = control_ping(cli, 0, &pong, &why);

        if (err == HIF_OK)
                err = control_connect(cli, false, &fd, &why);
        if (err == HIF_OK) {
                err = control_call(cli, fd, json_pack("{s:s}", "op", "list"), 0, NULL, NULL,
                                   &doctor->served, &why);
                close(fd);
        }
        if (err != HIF_OK) {
                doctor->hung = true;
                doctor_say(doctor, "server", DOCTOR_ERROR, "`hif daemon restart` starts another",
                           "the daemon's server does not answer: %s", why.text);
        } else {
                tell_sandbox(doctor, number_of(pong, "pid"));
                check_version(doctor, "server", text_of(pong, "version"));
        }
        json_decref(pong);
}

/* --- what is left of one that is gone --- */

/* Is anybody there whom nobody hears? */
static void check_lock(struct doctor *doctor, const char *path)
{
        int fd = open(path, O_RDWR | O_CLOEXEC);

        if (fd < 0)
                return; /* none has ever run */
        if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
                pid_t owner = process_of_lock(&doctor->cli->env, path);

                doctor->hung = true;
                if (process_stopped(owner))
                        doctor_say(
                            doctor, "lock", DOCTOR_ERROR,
                            "`kill -CONT` lets it go on; its sockets come back by themselves",
                            "process %d holds '%s', and is stopped", (int)owner, path);
                else
                        doctor_say(doctor, "lock", DOCTOR_ERROR,
                                   "wait a moment, if it is just starting or ending; else end that "
                                   "process",
                                   "process %d holds '%s', and answers on no socket", (int)owner,
                                   path);
        }
        close(fd);
}

static void check_socket(struct doctor *doctor, const char *dir)
{
        struct sockaddr_un address;
        struct hif_why ignored;
        int fd;

        if (sockets_address(dir, SOCKET_CONTROL, &address, &ignored) != HIF_OK ||
            access(address.sun_path, F_OK) != 0)
                return;
        if (sockets_connect(&address, SOCKET_CONTROL, &fd) != HIF_ENOENT)
                return;
        if (doctor->fix && unlink(address.sun_path) == 0)
                doctor_fixed(doctor, "socket", "nobody listened on '%s'; it was removed",
                             address.sun_path);
        else
                doctor_say(doctor, "socket", DOCTOR_NOTE,
                           "the next daemon takes its place; `hif doctor --fix` removes it",
                           "nobody listens on '%s'", address.sun_path);
}

static void left_behind(struct doctor *doctor)
{
        const struct cli_paths *paths = &doctor->cli->paths;

        check_lock(doctor, paths->daemon_lock);
        check_lock(doctor, paths->server_lock);
        if (doctor->hung)
                return;
        doctor_say(doctor, "server", DOCTOR_OK, NULL,
                   "no daemon is running; the next command that needs it starts one");
        check_socket(doctor, paths->runtime_dir);
        if (strcmp(paths->run_dir, paths->runtime_dir) != 0)
                check_socket(doctor, paths->run_dir);
}

/* The supervisor is there, and says nothing; the server may work all the same. */
static void silent_supervisor(struct doctor *doctor, const char *reason)
{
        doctor_say(doctor, "supervisor", DOCTOR_ERROR,
                   "let it go on (`kill -CONT`), or end it (`kill -KILL`): the next command starts "
                   "another",
                   "%s", reason);
        ask_server(doctor);
}

/* --- the log --- */

static void check_log(struct doctor *doctor)
{
        const char *path = doctor->cli->paths.log_file;
        struct stat st;

        if (lstat(path, &st) != 0)
                return; /* no daemon has ever run */
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
                doctor_say(doctor, "log", DOCTOR_ERROR, "move it away: no daemon starts with it",
                           "'%s' is not a file of this user's", path);
        else
                doctor_say(doctor, "log", DOCTOR_OK, NULL,
                           "what daemons could tell no one is in '%s' (%lld KiB), and before that "
                           "in '%s.1'",
                           path, ((long long)st.st_size + 1023) / 1024, path);
}

void doctor_daemon(struct doctor *doctor)
{
        struct hif_why why = {0}, ignored = {0};
        json_t *status = NULL, *pong = NULL;
        enum hif_err err = supervisor_status(doctor->cli, PATIENCE_MS, &status, &why);
        int fd;

        check_log(doctor);
        if (err == HIF_OK) {
                tell_supervisor(doctor, status);
                json_decref(status);
                if (!doctor->hung)
                        ask_server(doctor);
                return;
        }
        if (err != HIF_ENOENT) {
                silent_supervisor(doctor, why.text);
                return;
        }
        if (control_connect(doctor->cli, false, &fd, &ignored) != HIF_OK) {
                left_behind(doctor);
                return;
        }
        close(fd);
        if (control_ping(doctor->cli, 0, &pong, &ignored) == HIF_OK)
                no_supervisor(doctor, pong);
        json_decref(pong);
        ask_server(doctor);
}
