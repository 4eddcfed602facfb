/* loop_helper.c - what a server has from its supervisor, while something fails once: descriptors that
 * outlive it, and mounts that a child makes and takes away.
 *
 * A call that fails says why and goes through the next time. What was put is found by the next server,
 * whichever call failed on either side. A mount that failed has left none, and no descriptor stays open
 * but those that were asked for. Runs as root, with /dev/fuse. */
#include "loop.h"

#include "cli/mounts.h"
#include "cli/supervisor/helper.h"
#include "cli/supervisor/hold.h"
#include "cli/supervisor/life.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES_MAX 8
#define PATH_SIZE 96

static size_t count_open(void)
{
        DIR *dir = opendir("/proc/self/fd");
        size_t count = 0;

        loop_check(dir != NULL);
        while (readdir(dir) != NULL)
                count++;
        closedir(dir);
        return count;
}

/* What may come of a call while something fails; it counts, and there is another try. */
static bool done(struct loop_run *run, enum hif_err err)
{
        if (err == HIF_OK)
                return true;
        loop_check(run->kind != FAULT_SHORT);
        run->errors++;
        return false;
}

#define GO_THROUGH(run, call)                                                                      \
        do {                                                                                       \
                bool through = false;                                                              \
                                                                                                   \
                for (int tries = 0; !through && tries < TRIES_MAX; tries++) {                      \
                        enum hif_err outcome;                                                      \
                                                                                                   \
                        fault_resume();                                                            \
                        outcome = (call);                                                          \
                        fault_pause();                                                             \
                        through = done(run, outcome);                                              \
                }                                                                                  \
                loop_check(through);                                                               \
        } while (0)

/* --- the supervisor's memory --- */

/* Until its server is gone. */
static void *supervise(void *arg)
{
        struct supervisor *supervisor = arg;

        while (supervisor->server.calls >= 0) {
                struct pollfd calls = {.fd = supervisor->server.calls, .events = POLLIN};

                if (poll(&calls, 1, -1) > 0)
                        (void)supervisor_call(supervisor);
        }
        return NULL;
}

static struct hold *server_of(struct supervisor *supervisor, pthread_t *thread)
{
        struct hold *hold;
        int ends[2];

        loop_check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        supervisor->server.calls = ends[0];
        loop_check(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
        loop_check(hold_new(ends[1], &hold) == HIF_OK);
        loop_check(pthread_create(thread, NULL, supervise, supervisor) == 0);
        return hold;
}

static void end_server(struct hold *hold, pthread_t thread)
{
        hold_free(hold);
        pthread_join(thread, NULL);
}

/* "a" and "b" were put, and "a" replaced; "gone" was dropped. */
static void check_found(struct hold *hold, const char *name, const char *note, int like)
{
        struct stat one, other;
        struct buf text = {0};
        int fd = -1;

        loop_check(hold_take(hold, name, &fd, &text) == HIF_OK);
        loop_check(span_eq(buf_span(&text), span_str(note)));
        loop_check(fstat(fd, &one) == 0 && fstat(like, &other) == 0 && one.st_ino == other.st_ino);
        close(fd);
        buf_free(&text);
}

static void memory(struct loop_run *run)
{
        static struct supervisor supervisor; /* large */
        size_t open_before;
        struct hold *hold;
        pthread_t thread;
        int ends[2], fd = -1;

        fault_pause();
        supervisor = (struct supervisor){0};
        server_init(&supervisor.server);
        open_before = count_open();
        loop_check(pipe2(ends, O_CLOEXEC) == 0);
        hold = server_of(&supervisor, &thread);
        loop_arm(run, NULL);
        GO_THROUGH(run, hold_put(hold, "a", ends[1], span_str("first")));
        GO_THROUGH(run, hold_put(hold, "gone", ends[0], (struct span){0}));
        GO_THROUGH(run, hold_put(hold, "a", ends[0], span_str("one")));
        GO_THROUGH(run, hold_put(hold, "b", ends[1], span_str("two")));
        fault_resume();
        (void)!hold_drop(hold, "gone"); /* not there any more, where the answer was lost */
        fault_pause();
        loop_check(hold_take(hold, "gone", &fd, NULL) == HIF_ENOENT ||
                   hold_drop(hold, "gone") == HIF_OK);
        end_server(hold, thread);

        hold = server_of(&supervisor, &thread);
        fault_resume();
        if (hold_take(hold, "a", &fd, NULL) == HIF_OK)
                close(fd);
        fault_pause();
        loop_disarm(run);
        fault_pause();
        check_found(hold, "a", "one", ends[0]);
        check_found(hold, "b", "two", ends[1]);
        loop_check(hold_take(hold, "gone", &fd, NULL) == HIF_ENOENT);
        end_server(hold, thread);
        shelf_free(&supervisor.shelf);
        close(ends[0]);
        close(ends[1]);
        loop_check(count_open() == open_before);
}

/* --- mounts --- */

static bool see(void *arg, const struct mount *mount)
{
        const char **path = arg;

        if (strcmp(mount->path, *path) == 0)
                *path = NULL;
        return *path != NULL;
}

static bool is_mounted(const char *path)
{
        struct env env = env_system(NULL);

        loop_check(mounts_each(&env, see, &path) == HIF_OK);
        return path == NULL;
}

/* As in the child: it answers with what comes of it. */
static enum hif_err try_help(const char *dir, const struct help_request *request, int *fd)
{
        struct hif_why why = {0};
        enum hif_err err = helper_run(dir, request, fd, &why);

        fault_pause();
        if (request->op == HELP_MOUNT_FUSE)
                loop_check(is_mounted(request->mount_point) == (err == HIF_OK));
        else
                loop_check(err != HIF_OK || !is_mounted(request->mount_point));
        loop_check(err == HIF_OK || err == HIF_ENOMEM || why.text[0] != '\0');
        fault_resume();
        return err;
}

static void mounting(struct loop_run *run)
{
        char dir[] = "/tmp/hif-faults-helper-XXXXXX", point[PATH_SIZE];
        const struct help_request mount = {
            .op = HELP_MOUNT_FUSE, .mount_point = point, .name = "acme/app"};
        size_t open_before;
        int fd = -1;

        fault_pause();
        loop_check(mkdtemp(dir) != NULL);
        snprintf(point, sizeof(point), "%s/point", dir);
        loop_check(mkdir(point, 0700) == 0);
        open_before = count_open();
        loop_arm(run, NULL);
        for (enum help_op how = HELP_UNMOUNT; how <= HELP_DETACH; how++) {
                const struct help_request unmount = {.op = how, .mount_point = point, .name = ""};

                GO_THROUGH(run, try_help(dir, &mount, &fd));
                close(fd);
                GO_THROUGH(run, try_help(dir, &unmount, NULL));
        }
        loop_disarm(run);
        fault_pause();
        loop_check(count_open() == open_before);
        loop_check(rmdir(point) == 0 && rmdir(dir) == 0);
}

#define KINDS (1u << FAULT_MALLOC | 1u << FAULT_CALL | 1u << FAULT_SHORT)

int main(int argc, char **argv)
{
        static const struct loop_scenario scenarios[] = {
            {"memory", KINDS, memory, NULL},
            {"mounting", KINDS, mounting, NULL},
            {NULL, 0, NULL, NULL},
        };

        return loop_main(argc, argv, scenarios);
}
