#include "cli/supervisor/supervisor.h"

#include "cli/clock.h"
#include "cli/supervisor/become.h"
#include "cli/supervisor/life.h"
#include "cli/supervisor/place.h"
#include "cli/supervisor/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define FILES_MAX     65536
#define ADOPT_WAIT_MS 10000
#define OOM_SCORE     "-900" /* the last to go: without it nobody brings the server back */

/* What could end this process by chance is not for it. */
static enum hif_err watch_signals(struct supervisor *supervisor)
{
        static const int ignored[] = {SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM,
                                      SIGPROF, SIGXCPU, SIGXFSZ, SIGIO,   SIGQUIT,
                                      SIGTSTP, SIGTTIN, SIGTTOU};
        sigset_t set;

        for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
                (void)signal(ignored[i], SIG_IGN);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
                return hif_err_from_errno(errno);
        supervisor->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return supervisor->signal_fd >= 0 ? HIF_OK : hif_err_from_errno(errno);
}

/* Best effort: an ordinary user may do neither. */
static void hold_out(void)
{
        int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        if (score >= 0) {
                (void)!write(score, OOM_SCORE, strlen(OOM_SCORE));
                close(score);
        }
        (void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

static enum hif_err set_up(struct supervisor *supervisor, struct hif_why *why)
{
        struct cli *cli = supervisor->cli;
        struct rlimit files = {.rlim_cur = FILES_MAX, .rlim_max = FILES_MAX};
        char program[PATH_MAX];
        enum hif_err err;
        ssize_t size;

        umask(077);
        prctl(PR_SET_NAME, "hif"); /* else it is called after /proc/self/exe */
        if (chdir("/") != 0)
                return hif_err_from_errno(errno);
        if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
                getrlimit(RLIMIT_NOFILE, &files);
                files.rlim_cur = files.rlim_max;
                setrlimit(RLIMIT_NOFILE, &files);
        }
        supervisor->program_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        size = readlink("/proc/self/exe", program, sizeof(program) - 1);
        if (supervisor->program_fd < 0 || size < 0)
                return why_set(why, hif_err_from_errno(errno), "'/proc' could not be used: %s",
                               strerror(errno));
        supervisor->program = strndup(program, (size_t)size);
        if (supervisor->program == NULL)
                return HIF_ENOMEM;
        supervisor->began_ms = clock_now_ms();
        err = env_mkdirs(&cli->env, cli->paths.state_dir, 0700);
        if (err != HIF_OK)
                return why_set(why, err, "'%s' could not be made: %s", cli->paths.state_dir,
                               hif_strerror(err));
        return HIF_OK;
}

static void say_hello(struct supervisor *supervisor)
{
        supervisor->cli->env = env_system(supervisor->log);
        log_line(supervisor->log, LOG_INFO, "supervisor", "version %s, process %d", HIF_VERSION,
                 (int)getpid());
        hold_out();
}

/* In the place of a supervisor of another program, in the same process. */
static enum hif_err start_again(struct supervisor *supervisor, int state_fd, struct hif_why *why)
{
        enum hif_err err = supervisor_log(supervisor, why);

        if (err == HIF_OK)
                err = watch_signals(supervisor);
        supervisor->server_stays = true;
        if (err == HIF_OK)
                err = supervisor_resume(supervisor, state_fd, why);
        supervisor->server_stays = err != HIF_OK;
        say_hello(supervisor);
        return err;
}

static enum hif_err start_first(struct supervisor *supervisor, struct hif_why *why)
{
        enum hif_err err = supervisor_lock(supervisor, why);
        bool asked = false;

        if (err == HIF_OK)
                err = supervisor_log(supervisor, why);
        if (err == HIF_OK)
                err = watch_signals(supervisor);
        if (err == HIF_OK)
                err = supervisor_adopt(supervisor, &asked, why);
        if (err != HIF_OK)
                return err;
        say_hello(supervisor);
        if (asked) {
                supervisor->life = LIFE_ADOPTING;
                supervisor->start_at_ms = clock_now_ms() + ADOPT_WAIT_MS;
                return HIF_OK;
        }
        err = supervisor_sockets(supervisor, why);
        if (err == HIF_OK)
                supervisor_start_server(supervisor);
        return err;
}

static enum hif_err start(struct supervisor *supervisor, int state_fd, struct hif_why *why)
{
        enum hif_err err = set_up(supervisor, why);

        if (err != HIF_OK)
                return err;
        return state_fd >= 0 ? start_again(supervisor, state_fd, why)
                             : start_first(supervisor, why);
}

static void stop(struct supervisor *supervisor, enum hif_err err)
{
        /* No server of ours may be there without us when we end in order. */
        if (supervisor->listen_fd >= 0) {
                if (!supervisor->server_stays)
                        unlink(supervisor->control.sun_path);
                unlink(supervisor->own.sun_path);
                close(supervisor->listen_fd);
        }
        server_discard(&supervisor->spare);
        clients_answer(&supervisor->clients, WIRE_STOP, HIF_OK, "{}");
        clients_close(&supervisor->clients);
        if (err != HIF_OK)
                log_line(supervisor->log, LOG_ERROR, "supervisor", "it ends: %s",
                         supervisor->why.text);
        shelf_free(&supervisor->shelf);
        for (int *fd = (int[]){supervisor->lock_fd, supervisor->signal_fd, supervisor->program_fd,
                               supervisor->adopt_fd},
                 i = 0;
             i < 4; i++)
                if (fd[i] >= 0)
                        close(fd[i]);
        supervisor->cli->env.log = NULL;
        log_free(supervisor->log);
        free(supervisor->program);
}

enum hif_err supervisor_run(struct cli *cli, int (*serve)(void), int state_fd, struct hif_why *why)
{
        struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
        enum hif_err err;

        if (supervisor == NULL)
                return HIF_ENOMEM;
        supervisor->cli = cli;
        supervisor->serve = serve;
        supervisor->lock_fd = supervisor->signal_fd = -1;
        supervisor->listen_fd = supervisor->program_fd = supervisor->old_program_fd = -1;
        supervisor->adopt_fd = -1;
        server_init(&supervisor->server);
        server_init(&supervisor->spare);
        clients_init(&supervisor->clients);
        err = start(supervisor, state_fd, why);
        while (err == HIF_OK && !supervisor->done)
                supervisor_turn(supervisor);
        if (err == HIF_OK) {
                err = supervisor->failure;
                *why = supervisor->why;
        } else {
                supervisor->why = *why;
        }
        stop(supervisor, err);
        free(supervisor);
        return err;
}
