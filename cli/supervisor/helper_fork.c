/* helper_fork.c - the supervisor forks a child for a request of its server's, and waits for no one.
 *
 * The child is killed when it takes too long, unless it hangs in the kernel: then it stays, without
 * anything of the supervisor's but its memory. What it has mounted for a server that dies before the mount
 * is recorded, it takes back. */
#include "cli/supervisor/helper_fork.h"

#include "cli/supervisor/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_FD 3

/* Nothing of the supervisor's stays open, and signals are as usual. */
static bool part(int *end)
{
        sigset_t none;

        if (dup2(*end, END_FD) < 0 || fcntl(END_FD, F_SETFD, FD_CLOEXEC) < 0 ||
            close_range(END_FD + 1, ~0u, 0) != 0)
                return false;
        *end = END_FD;
        for (int number = 1; number < NSIG; number++)
                (void)signal(number, SIG_DFL);
        (void)signal(SIGPIPE, SIG_IGN);
        sigemptyset(&none);
        return sigprocmask(SIG_SETMASK, &none, NULL) == 0 && prctl(PR_SET_NAME, "hif-helper") == 0;
}

/* Has who asked recorded the mount? One that dies closes its end without a byte. */
static bool is_kept(int end)
{
        char byte;

        (void)alarm(HELP_KEEP_S);
        return recv(end, &byte, 1, 0) == 1;
}

static _Noreturn void help(const char *state_dir, struct span bytes, int end)
{
        struct help_request request;
        struct wire_msg answer = {.kind = WIRE_DONE, .fd = -1};
        struct hif_why why = {0};
        bool mounted, sent;
        enum hif_err err;

        if (!part(&end))
                _exit(1);
        err = help_decode(bytes, &request);
        if (err == HIF_OK) {
                (void)alarm(help_patience_s(request.op));
                err = helper_run(state_dir, &request, &answer.fd, &why);
        }
        if (err != HIF_OK)
                answer.value = (uint32_t)hif_err_to_errno(err);
        answer.note = span_str(why.text);
        mounted = err == HIF_OK && (request.op == HELP_MOUNT_NFS || request.op == HELP_MOUNT_FUSE);
        sent = wire_send(end, &answer) == HIF_OK;
        if (mounted && !(sent && is_kept(end)))
                (void)!helper_unmount(request.mount_point, HELP_DETACH, &why);
        _exit(0);
}

enum hif_err helper_start(const char *state_dir, struct span request, int end, pid_t *pid)
{
        pid_t child = fork();

        if (child == 0)
                help(state_dir, request, end);
        if (child < 0)
                return hif_err_from_errno(errno);
        *pid = child;
        return HIF_OK;
}

enum hif_err supervisor_help(struct supervisor *supervisor, const struct wire_msg *msg)
{
        enum hif_err err;
        pid_t pid;

        if (msg->fd < 0)
                return HIF_EINVAL;
        if (supervisor->helpers >= HELPERS_MAX)
                return HIF_ELIMIT;
        err = helper_start(supervisor->cli->paths.state_dir, msg->note, msg->fd, &pid);
        if (err == HIF_OK)
                supervisor->helpers++;
        return err;
}

/* Whichever child it is but the servers, whose ends are waited for by name. Those of a supervisor
 * that has become this one are among them, and were not counted here. */
void supervisor_reap_helpers(struct supervisor *supervisor)
{
        for (;;) {
                siginfo_t end = {0};

                if (waitid(P_ALL, 0, &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid == 0 ||
                    end.si_pid == supervisor->server.pid || end.si_pid == supervisor->spare.pid)
                        return;
                (void)waitpid(end.si_pid, NULL, WNOHANG);
                if (supervisor->helpers > 0)
                        supervisor->helpers--;
        }
}
