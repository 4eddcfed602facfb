/* random_ops - random operations on a directory, each compared with a model: is it one that programs can rely on?
 *
 *      random_ops [OPTION...] DIR      DIR: absolute, and the workers' alone
 *
 *      --seed N            what is done (default 1); a finding can be repeated with it
 *      --operations N      of each worker (10000)
 *      --workers N         processes, each below a directory of its own, DIR/w0 and on (2)
 *      --between COMMAND   every so many operations all workers close their files and wait, COMMAND is run by sh, and
 *                          everything is checked byte by byte. Repeated: the commands in turn
 *      --every N           operations between those (1000)
 *      --during COMMAND    is run at random moments while the workers work. Repeated: the commands in turn
 *      --during-ms N       the mean time between those (1000)
 *      --final COMMAND     is run at the end; then DIR should show what was landed
 *      --base              DIR/w0 and on are there, as --make has made them
 *      --make              make them: a tree to be imported
 *      --list N            print the operations of worker N; nothing is done
 *      --replay FILE       one worker does the operations in FILE, as --list prints them; lines may be missing
 *      --stuck N           seconds without any progress that are a finding (120)
 *      --corrupt           the model is wrong now and then: this has to be found
 *
 * Exit status: 0 all is well, 1 a finding, 2 it could not run. */
#include "model.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS_MAX     32
#define COMMANDS_MAX    8
#define NFS_SUPER_MAGIC 0x6969
#define FINAL           UINT32_MAX /* the command that the workers ask for last */

struct commands {
        const char *text[COMMANDS_MAX];
        unsigned count, runs;
};

struct child {
        pid_t pid;
        int socket; /* -1: it has ended */
        bool waits; /* for a command */
        unsigned command;
};

/* What a worker tells while it works. */
struct progress {
        volatile uint32_t done;
        volatile uint64_t effective;
};

struct options {
        uint64_t seed;
        uint32_t operations, every;
        unsigned workers, during_ms, stuck_s;
        struct commands between, during;
        const char *final, *replay, *dir;
        bool base, corrupt;
};

static struct progress *progress; /* shared by all */

static _Noreturn void die(const char *what)
{
        fprintf(stderr, "random_ops: %s: %s\n", what, strerror(errno));
        exit(2);
}

/* --- a worker --- */

static void ask(struct worker *worker, unsigned command)
{
        int socket = *(int *)worker->context;
        char go;

        progress[worker->number].done = worker->done;
        if (write(socket, &command, sizeof(command)) != sizeof(command) ||
            read(socket, &go, 1) != 1)
                exit(2); /* the parent has given up, and said why */
}

static void *new_buffer(void)
{
        void *at = NULL;

        if (posix_memalign(&at, 4096, BUFFER_SIZE) != 0)
                die("memory");
        return at;
}

static bool direct_works(const char *dir)
{
        char path[PATH_MAX];
        int fd;

        snprintf(path, sizeof(path), "%s/.direct", dir);
        fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
        if (fd >= 0)
                close(fd);
        unlink(path);
        return fd >= 0;
}

static void prepare(struct worker *worker, const struct options *options)
{
        struct statfs seen;

        if (options->base)
                worker->root = model_base();
        else
                worker->root = node_new(NODE_DIRECTORY, 0755);
        if (!options->base && mkdir(worker->dir, 0755) != 0)
                die(worker->dir);
        if (statfs(worker->dir, &seen) != 0)
                die(worker->dir);
        worker->nfs = seen.f_type == NFS_SUPER_MAGIC;
        worker->direct = direct_works(worker->dir);
        worker->root->mtime = (struct moment){.is_any = true};
        worker->is_root = geteuid() == 0;
        worker->corrupt = options->corrupt;
        worker->got = new_buffer();
        worker->expected = new_buffer();
}

static void replay(struct worker *worker, const char *path)
{
        FILE *file = fopen(path, "re");
        char line[OP_LINE_MAX + 1];
        struct op op;

        if (file == NULL)
                die(path);
        while (fgets(line, sizeof(line), file) != NULL) {
                if (!op_parse(line, &op)) {
                        fprintf(stderr, "random_ops: %s: this is no operation: %s", path, line);
                        exit(2);
                }
                apply(worker, &op);
                progress[worker->number].done = worker->done;
        }
        fclose(file);
}

static void work(const struct options *options, unsigned number, int socket)
{
        char dir[PATH_MAX];
        struct worker worker = {.number = number,
                                .run_seed = options->seed,
                                .seed = op_mix(options->seed, number),
                                .dir = dir,
                                .context = &socket,
                                .run = ask};

        worker.run_every = options->between.count > 0 ? options->every : 0;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        snprintf(dir, sizeof(dir), "%s/w%u", options->dir, number);
        prepare(&worker, options);
        for (uint32_t i = 1; options->replay == NULL && i <= options->operations; i++) {
                struct op op = op_draw(worker.seed, i, worker.run_every);

                apply(&worker, &op);
                progress[number].done = i;
                progress[number].effective = worker.effective;
        }
        if (options->replay != NULL)
                replay(&worker, options->replay);
        check_all(&worker, false);
        if (options->final != NULL) {
                apply_close_all(&worker);
                ask(&worker, FINAL);
                check_all(&worker, true);
        }
        exit(0);
}

/* --- the parent --- */

static void end(struct child *children, unsigned count)
{
        for (unsigned i = 0; i < count; i++)
                if (children[i].socket >= 0)
                        kill(children[i].pid, SIGKILL);
}

static bool run(const char *command)
{
        int status = system(command);

        if (status == 0)
                return true;
        fprintf(stderr, "random_ops: this failed (status %d): %s\n", status, command);
        return false;
}

static void start(const struct options *options, struct child *child, unsigned number)
{
        int sockets[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
                die("socketpair");
        child->pid = fork();
        if (child->pid < 0)
                die("fork");
        if (child->pid == 0)
                work(options, number, sockets[1]);
        close(sockets[1]);
        child->socket = sockets[0];
}

/* A message of a worker, or its end. Returns whether all is well. */
static bool hear(struct child *child)
{
        ssize_t got = read(child->socket, &child->command, sizeof(child->command));
        int status;

        child->waits = got == sizeof(child->command);
        if (child->waits)
                return true;
        close(child->socket);
        child->socket = -1;
        if (waitpid(child->pid, &status, 0) != child->pid)
                die("waitpid");
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* All workers wait: do what they wait for, and let them go on. */
static bool serve(struct options *options, struct child *children)
{
        unsigned command = 0;

        for (unsigned i = 0; i < options->workers; i++)
                if (children[i].socket >= 0)
                        command = children[i].command;
        if ((command == FINAL || options->between.count > 0) &&
            !run(command == FINAL ? options->final
                                  : options->between.text[command % options->between.count]))
                return false;
        if (command != FINAL)
                options->between.runs++;
        for (unsigned i = 0; i < options->workers; i++) {
                if (children[i].socket >= 0 && write(children[i].socket, "g", 1) != 1)
                        die("a worker");
                children[i].waits = false;
        }
        return true;
}

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void tell_stuck(const struct options *options)
{
        char line[OP_LINE_MAX];

        for (unsigned i = 0; i < options->workers; i++) {
                struct op op = op_draw(op_mix(options->seed, i), progress[i].done + 1,
                                       options->between.count > 0 ? options->every : 0);

                op_format(&op, line);
                fprintf(stderr, "random_ops: no progress for %u s: worker %u does %s\n",
                        options->stuck_s, i, line);
        }
}

struct watch {
        uint64_t next_during, last_sum, last_progress;
};

/* What is due between two messages. */
static bool tick(struct options *options, struct watch *watch)
{
        uint64_t sum = 0, now = now_ms();

        for (unsigned i = 0; i < options->workers; i++)
                sum += progress[i].done;
        if (sum != watch->last_sum)
                watch->last_progress = now;
        watch->last_sum = sum;
        if (now > watch->last_progress + options->stuck_s * 1000ull) {
                tell_stuck(options);
                return false;
        }
        if (options->during.count == 0 || now < watch->next_during)
                return true;
        watch->next_during = now + op_mix(now, options->seed) % (2 * options->during_ms + 1);
        return run(options->during.text[options->during.runs++ % options->during.count]);
}

static bool supervise(struct options *options, struct child *children)
{
        struct watch watch = {now_ms() + options->during_ms, 0, now_ms()};

        for (;;) {
                struct pollfd polls[WORKERS_MAX];
                unsigned alive = 0, waiting = 0;

                for (unsigned i = 0; i < options->workers; i++) {
                        polls[i] =
                            (struct pollfd){children[i].waits ? -1 : children[i].socket, POLLIN, 0};
                        alive += children[i].socket >= 0;
                        waiting += children[i].socket >= 0 && children[i].waits;
                }
                if (alive == 0)
                        return true;
                if (waiting == alive) {
                        if (!serve(options, children))
                                return false;
                        watch.last_progress = now_ms();
                        continue;
                }
                if (poll(polls, options->workers, 50) < 0 && errno != EINTR)
                        die("poll");
                for (unsigned i = 0; i < options->workers; i++)
                        if (polls[i].fd >= 0 && polls[i].revents != 0 && !hear(&children[i]))
                                return false;
                if (!tick(options, &watch))
                        return false;
        }
}

static int run_all(struct options *options)
{
        struct child children[WORKERS_MAX] = {0};
        unsigned long long done = 0, effective = 0;
        bool good;

        progress = mmap(NULL, WORKERS_MAX * sizeof(*progress), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (progress == MAP_FAILED)
                die("mmap");
        if (chdir("/") != 0) /* so that DIR can be unmounted */
                die("/");
        umask(0);
        signal(SIGPIPE, SIG_IGN);
        for (unsigned i = 0; i < options->workers; i++)
                start(options, &children[i], i);
        good = supervise(options, children);
        end(children, options->workers);
        for (unsigned i = 0; i < options->workers; i++) {
                done += progress[i].done;
                effective += progress[i].effective;
        }
        printf("random_ops: seed %llu: %llu operations (%llu asked the kernel something), %u "
               "commands between, "
               "%u during: %s\n",
               (unsigned long long)options->seed, done, effective, options->between.runs,
               options->during.runs, good ? "nothing found" : "A FINDING");
        return good ? 0 : 1;
}

/* --- the command line --- */

static int list(const struct options *options, unsigned number)
{
        char line[OP_LINE_MAX];

        for (uint32_t i = 1; i <= options->operations; i++) {
                struct op op = op_draw(op_mix(options->seed, number), i,
                                       options->between.count > 0 ? options->every : 0);

                op_format(&op, line);
                puts(line);
        }
        return 0;
}

static int make(const struct options *options)
{
        char dir[PATH_MAX];

        umask(0);
        for (unsigned i = 0; i < options->workers; i++) {
                snprintf(dir, sizeof(dir), "%s/w%u", options->dir, i);
                model_write_base(dir);
        }
        return 0;
}

static _Noreturn void usage(void)
{
        fprintf(stderr, "usage: random_ops [OPTION...] DIR; the head of tests/mount/random_ops.c "
                        "tells the options\n");
        exit(2);
}

static uint64_t number(const char *text, uint64_t max)
{
        char *last;
        unsigned long long value;

        errno = 0;
        value = strtoull(text, &last, 10);
        if (errno != 0 || *text == '\0' || *last != '\0' || value > max)
                usage();
        return value;
}

static void add(struct commands *commands, const char *text)
{
        if (commands->count == COMMANDS_MAX)
                usage();
        commands->text[commands->count++] = text;
}

int main(int argc, char **argv)
{
        static const struct option longs[] = {
            {"seed", 1, NULL, 's'},      {"operations", 1, NULL, 'o'}, {"workers", 1, NULL, 'w'},
            {"between", 1, NULL, 'b'},   {"every", 1, NULL, 'e'},      {"during", 1, NULL, 'd'},
            {"during-ms", 1, NULL, 'm'}, {"final", 1, NULL, 'f'},      {"base", 0, NULL, 'B'},
            {"make", 0, NULL, 'M'},      {"list", 1, NULL, 'l'},       {"replay", 1, NULL, 'r'},
            {"stuck", 1, NULL, 'k'},     {"corrupt", 0, NULL, 'c'},    {NULL, 0, NULL, 0}};
        struct options options = {.seed = 1,
                                  .operations = 10000,
                                  .every = 1000,
                                  .workers = 2,
                                  .during_ms = 1000,
                                  .stuck_s = 120};
        bool make_base = false, list_only = false;
        unsigned listed = 0;

        for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
                switch (c) {
                case 's':
                        options.seed = number(optarg, UINT64_MAX);
                        break;
                case 'o':
                        options.operations = (uint32_t)number(optarg, 1000000000);
                        break;
                case 'w':
                        options.workers = (unsigned)number(optarg, WORKERS_MAX);
                        break;
                case 'b':
                        add(&options.between, optarg);
                        break;
                case 'e':
                        options.every = (uint32_t)number(optarg, UINT32_MAX);
                        break;
                case 'd':
                        add(&options.during, optarg);
                        break;
                case 'm':
                        options.during_ms = (unsigned)number(optarg, 1000000);
                        break;
                case 'f':
                        options.final = optarg;
                        break;
                case 'B':
                        options.base = true;
                        break;
                case 'M':
                        make_base = true;
                        break;
                case 'l':
                        list_only = true;
                        listed = (unsigned)number(optarg, WORKERS_MAX);
                        break;
                case 'r':
                        options.replay = realpath(optarg, NULL);
                        options.workers = 1;
                        break;
                case 'k':
                        options.stuck_s = (unsigned)number(optarg, 1000000);
                        break;
                case 'c':
                        options.corrupt = true;
                        break;
                default:
                        usage();
                }
        }
        if (list_only && optind == argc)
                return list(&options, listed);
        if (optind + 1 != argc || argv[optind][0] != '/')
                usage();
        options.dir = argv[optind];
        return make_base ? make(&options) : run_all(&options);
}
