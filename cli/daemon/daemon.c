/* daemon.c - the server's frame: lock, log, loops, resuming mounts, accepting requests. */
#include "cli/daemon/daemon.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/loop.h"
#include "cli/daemon/ghost.h"
#include "cli/daemon/resume.h"
#include "cli/daemon/tie.h"
#include "cli/daemon/workspace_ahead.h"
#include "cli/daemon/workspace_status.h"
#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUESTS_MAX       1024 /* at a time: landings wait for each other */
#define REQUEST_TIMEOUT_MS 10000
#define SEND_TIMEOUT_S     30
#define FILES_MAX          65536
#define LOCK_WAIT_MS       5000 /* for what is left of the last server */
#define LOCK_POLL_MS       5
#define REQUEST_POLL_US    10000
#define CLOSE_TURN_NS      1000000000
#define ACCEPT_PAUSE_US    10000 /* without a descriptor for one more connection */
#define NICE               -15   /* of the main thread */
#define HEAP_WARM_BLOCKS   64
#define HEAP_WARM_BLOCK    (64 << 10)
#define HEAP_PAGE          4096

/* The main thread: signals and control connections. Requests run on threads of their own, because
 * they wait for stores and kernels. */
struct frame {
        struct daemon daemon;
        struct loop *loop;
        struct loop_io listener, signals;
        int lock_fd;
        int reserve; /* a descriptor for the command that is needed most when there is none left */
        struct log *log;
        atomic_int requests;
        bool stopping;
};

#define FROM_LISTENER(ptr) ((struct frame *)((char *)(ptr)-offsetof(struct frame, listener)))
#define FROM_SIGNALS(ptr)  ((struct frame *)((char *)(ptr)-offsetof(struct frame, signals)))

/* --- requests --- */

struct serving {
        struct frame *frame;
        int fd;
};

static void stop_frame(void *arg)
{
        struct frame *frame = arg;

        loop_stop(frame->loop);
}

static void *serve(void *arg)
{
        struct serving *serving = arg;
        struct request request = {.daemon = &serving->frame->daemon,
                                  .fd = serving->fd,
                                  .control_fd = serving->frame->listener.fd,
                                  .stop = stop_frame,
                                  .stop_arg = serving->frame};

        if (control_receive(request.fd, REQUEST_TIMEOUT_MS, &request.args) == HIF_OK) {
                request_serve(&request);
                json_decref(request.args);
                free(request.path);
                free(request.moved_from);
        }
        close(request.fd);
        atomic_fetch_sub(&serving->frame->requests, 1);
        free(serving);
        return NULL;
}

/* Only our own user, whoever can reach the socket. */
static bool is_own_user(int fd)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

/* Closes it. */
static void refuse(struct frame *frame, int fd, const char *reason)
{
        json_t *message;
        struct hif_why why;

        why_set(&why, HIF_EUNREACHABLE, "the daemon cannot serve the command: %s", reason);
        log_line(frame->log, LOG_WARN, "daemon", "a command was refused: %s", reason);
        message = json_pack("{s:{s:s, s:s}}", "error", "code", hif_err_name(HIF_EUNREACHABLE),
                            "text", why.text);
        if (message != NULL)
                (void)!control_send(fd, message); /* it fits into the socket's buffer */
        json_decref(message);
        close(fd);
}

static void take_reserve(struct frame *frame)
{
        if (frame->reserve < 0)
                frame->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int accept_one(struct frame *frame)
{
        int fd;

        take_reserve(frame);
        fd = accept4(frame->listener.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 || (errno != EMFILE && errno != ENFILE))
                return fd;
        if (frame->reserve < 0) {
                usleep(ACCEPT_PAUSE_US);
                return -1;
        }
        close(frame->reserve);
        frame->reserve = -1;
        return accept4(frame->listener.fd, NULL, NULL, SOCK_CLOEXEC);
}

static void on_connection(struct loop_io *io, uint32_t events)
{
        struct frame *frame = FROM_LISTENER(io);
        const struct timeval patience = {.tv_sec = SEND_TIMEOUT_S};
        struct serving *serving;
        pthread_t thread;
        int fd = accept_one(frame);

        (void)events;
        if (fd < 0)
                return;
        /* A command that is stopped (^Z) must not stop a landing. */
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        if (!is_own_user(fd)) {
                log_line(frame->log, LOG_WARN, "daemon",
                         "a control connection of another user was refused");
                close(fd);
                return;
        }
        if (atomic_load(&frame->requests) >= REQUESTS_MAX) {
                refuse(frame, fd, "it has too many at a time already; try again later");
                return;
        }
        serving = malloc(sizeof(*serving));
        if (serving != NULL) {
                *serving = (struct serving){.frame = frame, .fd = fd};
                atomic_fetch_add(&frame->requests, 1);
                if (pthread_create(&thread, NULL, serve, serving) == 0) {
                        pthread_detach(thread);
                        return;
                }
                atomic_fetch_sub(&frame->requests, 1);
                free(serving);
        }
        refuse(frame, fd,
               "it can start no thread for it: memory or processes are limited, see `ulimit -a` "
               "and the limits of its control group");
}

static void on_signal(struct loop_io *io, uint32_t events)
{
        struct signalfd_siginfo info;

        (void)events;
        if (read(io->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
                loop_stop(FROM_SIGNALS(io)->loop);
}

/* --- set-up --- */

/* One server a user: whoever holds the lock. It is kept until the process ends, and tells a new
 * supervisor that there is a server without one. */
static enum hif_err take_lock(struct frame *frame, struct hif_why *why)
{
        struct cli *cli = frame->daemon.cli;
        const char *path = cli->paths.server_lock;

        frame->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (frame->lock_fd < 0)
                return why_set(why, hif_err_from_errno(errno), "'%s' could not be opened: %s", path,
                               strerror(errno));
        for (int waited = 0; flock(frame->lock_fd, LOCK_EX | LOCK_NB) != 0;
             waited += LOCK_POLL_MS) {
                if (waited >= LOCK_WAIT_MS)
                        return why_set(why, HIF_EBUSY,
                                       "a server (process %d) is there already, and holds '%s'",
                                       (int)process_of_lock(&cli->env, path), path);
                usleep(LOCK_POLL_MS * 1000);
        }
        return HIF_OK;
}

static enum hif_err open_log(struct frame *frame, struct hif_why *why)
{
        struct cli *cli = frame->daemon.cli;
        /* What libraries and failed assertions say belongs there, too. */
        enum hif_err err =
            log_open(cli->paths.log_file, LOG_FILE_MAX, LOG_INFO, true, &frame->log, why);

        if (err == HIF_OK)
                cli->env = env_system(frame->log);
        return err;
}

/* fd: taken over. What is not watched has no `ready`, and nothing to be taken away at the end. */
static enum hif_err watch(struct frame *frame, struct loop_io *io,
                          void (*ready)(struct loop_io *io, uint32_t events), int fd)
{
        enum hif_err err;

        *io = (struct loop_io){.ready = ready, .fd = fd};
        err = loop_add(frame->loop, io, EPOLLIN);
        if (err != HIF_OK) {
                close(fd);
                io->ready = NULL;
        }
        return err;
}

/* The supervisor has bound the socket; commands are heard from now on, and wait there whenever
 * there is no server. */
static enum hif_err open_socket(struct frame *frame, struct hif_why *why)
{
        int fd;
        enum hif_err err = hold_take(frame->daemon.hold, "control", &fd, NULL);

        if (err != HIF_OK)
                return why_set(why, err, "the supervisor has no control socket: %s",
                               hif_strerror(err));
        if (listen(fd, REQUESTS_MAX) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
                err = hif_err_from_errno(errno);
                close(fd);
                return why_set(why, err, "the control socket cannot be listened on: %s",
                               hif_strerror(err));
        }
        return watch(frame, &frame->listener, on_connection, fd);
}

static enum hif_err watch_signals(struct frame *frame)
{
        sigset_t set;
        int fd;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        signal(SIGPIPE, SIG_IGN);
        if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
                return HIF_EIO;
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (fd < 0)
                return hif_err_from_errno(errno);
        return watch(frame, &frame->signals, on_signal, fd);
}

static void *run_loop(void *arg)
{
        loop_run(arg);
        return NULL;
}

static enum hif_err start_loops(struct daemon *daemon)
{
        size_t count = daemon->cli->config.loops > 0 ? daemon->cli->config.loops : 1;

        daemon->loops = calloc(count, sizeof(struct loop *));
        daemon->threads = calloc(count, sizeof(pthread_t));
        if (daemon->loops == NULL || daemon->threads == NULL)
                return HIF_ENOMEM;
        for (; daemon->loop_count < count; daemon->loop_count++) {
                size_t i = daemon->loop_count;
                enum hif_err err = loop_new(&daemon->cli->env, &daemon->loops[i]);

                if (err != HIF_OK)
                        return err;
                if (pthread_create(&daemon->threads[i], NULL, run_loop, daemon->loops[i]) != 0) {
                        loop_free(daemon->loops[i]);
                        return HIF_ENOMEM;
                }
        }
        return HIF_OK;
}

static void stop_loops(struct daemon *daemon)
{
        for (size_t i = 0; i < daemon->loop_count; i++) {
                loop_stop(daemon->loops[i]);
                pthread_join(daemon->threads[i], NULL);
        }
        free(daemon->threads);
}

static void free_loops(struct daemon *daemon)
{
        for (size_t i = 0; i < daemon->loop_count; i++)
                loop_free(daemon->loops[i]);
        free(daemon->loops);
}

static enum hif_err start_parts(struct frame *frame)
{
        struct daemon *daemon = &frame->daemon;
        const struct cli_config *config = &daemon->cli->config;
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        enum hif_err err;

        pthread_mutex_init(&daemon->lock, NULL);
        pthread_mutex_init(&daemon->netns.lock, NULL);
        pthread_mutex_init(&daemon->resuming, NULL);
        sem_init(&daemon->uploads, 0, AHEAD_ROUNDS_MAX);
        pthread_mutex_init(&daemon->landing, NULL);
        err = pool_new(config->threads > 0 ? config->threads
                       : cpus > 0          ? (size_t)cpus
                                           : 1,
                       "hif-job", &daemon->pool);
        return err == HIF_OK ? start_loops(daemon) : err;
}

/* Needs the cache directory, which the last server may have still. */
static enum hif_err start_fetch(struct daemon *daemon, struct hif_why *why)
{
        struct fetch_config config = {.ram_max = daemon->cli->config.ram_max,
                                      .ssd_max = daemon->cli->config.ssd_max,
                                      .ssd_dir = daemon->cli->paths.cache_dir};

        return fetch_new(&daemon->cli->env, daemon->pool, &config, &daemon->fetch, why);
}

static void stop_parts(struct daemon *daemon)
{
        stop_loops(daemon);
        /* Threads of these may still be in loop_post(), with a message that was already delivered. */
        fetch_free(daemon->fetch);
        pool_free(daemon->pool);
        free_loops(daemon);
        json_decref(daemon->unresumed);
        sem_destroy(&daemon->uploads);
        pthread_mutex_destroy(&daemon->resuming);
        pthread_mutex_destroy(&daemon->landing);
        pthread_mutex_destroy(&daemon->lock);
        pthread_mutex_destroy(&daemon->netns.lock);
}

/* A container's root may not be allowed to give things up: then it goes on with them, and says so. */
static void enter_sandbox(struct frame *frame)
{
        struct sandbox *sandbox = &frame->daemon.sandbox;
        struct hif_why why = {0};
        enum hif_err err = sandbox_enter(log_fd(frame->log), sandbox, &why);

        if (err == HIF_OK)
                return;
        why_set(&sandbox->why, err, "%s", why.text[0] != '\0' ? why.text : hif_strerror(err));
        log_line(frame->log, LOG_WARN, "daemon", "the server is not sandboxed, because %s",
                 sandbox->why.text);
}

/* --- running --- */

/* This server is one that the kernel waits for when it is short of memory: it may not wait for the
 * kernel to write its mounts' pages back then. Only root may say so, lift the limit of memory that
 * stays in place, and be in a hurry. */
static void set_up_process(void)
{
        struct rlimit files = {.rlim_cur = FILES_MAX, .rlim_max = FILES_MAX};
        const struct rlimit memory = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

        umask(077);
        /* Whoever is served waits for this thread to take over; those that it starts are as usual.
         */
        if (sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &(struct sched_param){0}) == 0)
                (void)setpriority(PRIO_PROCESS, 0, NICE);
        prctl(PR_SET_NAME, "hif-server"); /* its command line may be the supervisor's */
        (void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
        (void)setrlimit(RLIMIT_MEMLOCK, &memory);
        if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
                getrlimit(RLIMIT_NOFILE, &files);
                files.rlim_cur = files.rlim_max;
                setrlimit(RLIMIT_NOFILE, &files);
        }
}

/* Memory that a process uses for the first time is slow to come by, where the kernel is a program itself
 * above all. So what bringing a session's edits back takes is touched before, and stays with malloc. */
static void warm_memory(void)
{
        void *blocks[HEAP_WARM_BLOCKS];

        (void)mallopt(M_TRIM_THRESHOLD, 2 * HEAP_WARM_BLOCKS * HEAP_WARM_BLOCK);
        (void)mallopt(M_MMAP_THRESHOLD, 2 << 20);
        for (size_t i = 0; i < HEAP_WARM_BLOCKS; i++) {
                blocks[i] = malloc(HEAP_WARM_BLOCK);
                for (size_t at = 0; blocks[i] != NULL && at < HEAP_WARM_BLOCK; at += HEAP_PAGE)
                        ((volatile char *)blocks[i])[at] = 1;
        }
        for (size_t i = 0; i < HEAP_WARM_BLOCKS; i++)
                free(blocks[i]);
}

/* All that needs nothing of the last server's: a spare has it behind itself when that one dies. */
static enum hif_err warm_up(struct frame *frame, struct hif_why *why)
{
        struct cli *cli = frame->daemon.cli;
        enum hif_err err = env_mkdirs(&cli->env, cli->paths.state_dir, 0700);

        if (err != HIF_OK)
                return why_set(why, err, "'%s' could not be made: %s", cli->paths.state_dir,
                               hif_strerror(err));
        if (chdir("/") != 0)
                return hif_err_from_errno(errno);
        set_up_process();
        err = open_log(frame, why);
        if (err == HIF_OK)
                enter_sandbox(frame); /* before any thread starts, and anything is read */
        if (err == HIF_OK)
                err = loop_new(&cli->env, &frame->loop);
        if (err == HIF_OK)
                err = watch_signals(frame); /* before any thread starts: they inherit the mask */
        if (err == HIF_OK)
                err = start_parts(frame);
        if (err == HIF_OK)
                err = tie_new(&frame->daemon, frame->loop, stop_frame, frame, &frame->daemon.tie,
                              why);
        if (err == HIF_OK)
                err = workspace_diff_prepare();
        if (err == HIF_OK) {
                overlay_rehearse();
                warm_memory();
        }
        return err;
}

static enum hif_err start(struct frame *frame, struct hif_why *why)
{
        enum hif_err err;

        take_reserve(frame); /* before all that comes and goes */
        err = warm_up(frame, why);

        if (err == HIF_OK)
                err = tie_wait(frame->daemon.tie);
        if (err == HIF_OK)
                err = take_lock(frame, why);
        if (err == HIF_OK)
                err = start_fetch(&frame->daemon, why);
        if (err != HIF_OK)
                return err;
        /* Mounts come back before commands are answered, so that none sees a half-woken daemon. */
        daemon_resume(&frame->daemon);
        ghosts_resume(&frame->daemon);
        return open_socket(frame, why);
}

/* Closing takes its time. It has a thread of its own, so that this one can go on telling the
 * supervisor that nothing hangs. */
struct closing {
        struct loop_msg closed; /* first */
        struct frame *frame;
        bool done;
};

static void on_closed(struct loop_msg *msg)
{
        ((struct closing *)msg)->done = true;
}

static void *close_workspaces(void *arg)
{
        struct closing *closing = arg;

        while (atomic_load(&closing->frame->requests) > 0)
                usleep(REQUEST_POLL_US);
        daemon_retry_stop(&closing->frame->daemon);
        daemon_close_all(&closing->frame->daemon, true);
        loop_post(closing->frame->loop, &closing->closed);
        return NULL;
}

static void close_all(struct frame *frame)
{
        struct closing closing = {.closed.run = on_closed, .frame = frame};
        pthread_t thread;

        if (pthread_create(&thread, NULL, close_workspaces, &closing) != 0) {
                close_workspaces(&closing);
                loop_turn(frame->loop, 0);
                return;
        }
        while (!closing.done)
                loop_turn(frame->loop, CLOSE_TURN_NS);
        pthread_join(thread, NULL);
}

static void stop(struct frame *frame)
{
        struct loop_io *watched[] = {&frame->listener, &frame->signals};

        for (size_t i = 0; i < 2; i++) {
                if (watched[i]->ready == NULL)
                        continue;
                loop_remove(frame->loop, watched[i]);
                close(watched[i]->fd);
        }
        if (frame->daemon.pool != NULL) {
                close_all(frame);
                stop_parts(&frame->daemon);
        }
        tie_close(frame->daemon.tie);
        if (frame->loop != NULL)
                loop_free(frame->loop);
        tie_free(frame->daemon.tie);
        hold_free(frame->daemon.hold);
}

enum hif_err daemon_serve(struct cli *cli, struct hif_why *why)
{
        struct frame frame = {.daemon = {.cli = cli}, .lock_fd = -1, .reserve = -1};
        enum hif_err err = start(&frame, why);

        if (err == HIF_OK) {
                log_line(frame.log, LOG_INFO, "daemon", "version %s, process %d", HIF_VERSION,
                         (int)getpid());
                tie_ready(frame.daemon.tie);
                daemon_retry_start(&frame.daemon);
                loop_run(frame.loop);
                log_line(frame.log, LOG_INFO, "daemon", "stopping");
        } else if (err == HIF_ECANCELED) {
                err = HIF_OK; /* a spare that is not needed */
        } else {
                if (why->text[0] == '\0')
                        (void)why_set(why, err, "the server could not start: %s",
                                      hif_strerror(err));
                log_line(frame.log, LOG_ERROR, "daemon", "could not start: %s", why->text);
                if (frame.daemon.tie != NULL)
                        tie_failed(frame.daemon.tie, err, why);
        }
        stop(&frame);
        cli->env.log = NULL;
        log_free(frame.log);
        if (frame.lock_fd >= 0)
                close(frame.lock_fd);
        if (frame.reserve >= 0)
                close(frame.reserve);
        return err;
}
