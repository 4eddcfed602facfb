/* fuzz_requests.c - what commands ask of a daemon that has a session mounted: every request, with
 * arguments that are right, telling, missing or of another type, one after the other, and bytes
 * that come as JSON as they are. Each is answered once, with a result or with a sentence, and the
 * mount answers afterwards.
 *
 * The daemon is whole, its supervisor a few lines: loops and jobs on threads, a store, a state directory,
 * a mount through FUSE. All of it lies below /mnt in a mount namespace of this process, so that
 * nothing is left of it; it needs root and /dev/fuse. Requests that reach further (a store
 * elsewhere, NFS, a supervisor) are left out. fuzz_control.c takes the bytes of the socket. */
#include "base/loop.h"
#include "cli/daemon/daemon.h"
#include "cli/supervisor/helper.h"
#include "cli/supervisor/hold.h"
#include "cli/supervisor/wire.h"
#include "land/project.h"
#include "tests/core/fuzz_target.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUTS_PER_DAEMON 200
#define INPUTS_PER_MOUNT  10
#define REQUESTS_MAX      12 /* of one input */
#define TIMEOUT_MS        20000
#define SOCKET_BYTES      (8 << 20)
#define LOOPS             2
#define UPLOADS_MAX       4

#define ROOT  "/mnt"
#define MOUNT ROOT "/app"
#define STORE "file://" ROOT "/store"

/* --- a daemon --- */

struct machine {
        struct cli cli;
        struct daemon daemon;
        struct loop *loops[LOOPS];
        pthread_t threads[LOOPS], supervisor;
        int supervisor_fd;
};

static void make_namespace(void)
{
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
                perror("fuzz_requests: a mount namespace of its own needs root");
                abort();
        }
}

/* HOME and all that follows from it lie there, too. */
static void make_home(void)
{
        static const char *const unset[] = {"XDG_CONFIG_HOME", "XDG_DATA_HOME",
                                            "XDG_STATE_HOME",  "XDG_CACHE_HOME",
                                            "HIF_AUTHOR",      "HIF_S3_ADDRESSING"};

        FUZZ_CHECK(mount("tmpfs", ROOT, "tmpfs", 0, "size=256m") == 0);
        FUZZ_CHECK(mkdir(MOUNT, 0700) == 0 && mkdir(ROOT "/app2", 0700) == 0 &&
                   mkdir(ROOT "/out", 0700) == 0 && mkdir(ROOT "/run", 0700) == 0);
        for (size_t i = 0; i < sizeof(unset) / sizeof(unset[0]); i++)
                unsetenv(unset[i]);
        setenv("HOME", ROOT "/home", 1);
        setenv("XDG_RUNTIME_DIR", ROOT "/run", 1);
        setenv("HIF_STORE", STORE, 1);
}

/* What the server asks of its supervisor is done by a thread: it mounts, and keeps nothing. */
static uint32_t supervise_one(const struct machine *machine, const struct wire_msg *msg)
{
        struct wire_msg answer = {.kind = WIRE_DONE, .fd = -1};
        struct help_request request;
        struct hif_why why = {""};
        enum hif_err err;

        if (msg->kind != WIRE_HELP)
                return msg->kind == WIRE_PUT ? 0 : ENOENT;
        FUZZ_CHECK(help_decode(msg->note, &request) == HIF_OK);
        err = helper_run(machine->cli.paths.state_dir, &request, &answer.fd, &why);
        answer.value = err == HIF_OK ? 0 : (uint32_t)hif_err_to_errno(err);
        answer.note = span_str(why.text);
        FUZZ_CHECK(wire_send(msg->fd, &answer) == HIF_OK);
        if (answer.fd >= 0)
                close(answer.fd);
        return 0;
}

static void *supervise(void *arg)
{
        struct machine *machine = arg;
        static uint8_t buffer[WIRE_SIZE_MAX];
        struct wire_msg msg;

        while (wire_receive(machine->supervisor_fd, buffer, &msg) == HIF_OK) {
                const struct wire_msg done = {
                    .kind = WIRE_DONE, .fd = -1, .value = supervise_one(machine, &msg)};

                if (msg.fd >= 0)
                        close(msg.fd);
                FUZZ_CHECK(wire_send(machine->supervisor_fd, &done) == HIF_OK);
        }
        close(machine->supervisor_fd);
        return NULL;
}

static void start_supervisor(struct machine *machine)
{
        int ends[2];

        FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        machine->supervisor_fd = ends[0];
        FUZZ_CHECK(pthread_create(&machine->supervisor, NULL, supervise, machine) == 0);
        FUZZ_CHECK(hold_new(ends[1], &machine->daemon.hold) == HIF_OK);
}

static void *run_loop(void *arg)
{
        loop_run(arg);
        return NULL;
}

static void start_daemon(struct machine *machine)
{
        struct daemon *daemon = &machine->daemon;
        struct fetch_config config = {.ram_max = 8u << 20};
        struct hif_why why = {""};

        daemon->cli = &machine->cli;
        config.ssd_dir = machine->cli.paths.cache_dir;
        pthread_mutex_init(&daemon->lock, NULL);
        pthread_mutex_init(&daemon->netns.lock, NULL);
        pthread_mutex_init(&daemon->resuming, NULL);
        pthread_mutex_init(&daemon->landing, NULL);
        sem_init(&daemon->uploads, 0, UPLOADS_MAX);
        FUZZ_CHECK(pool_new(2, "fuzz", &daemon->pool) == HIF_OK);
        FUZZ_CHECK(fetch_new(&machine->cli.env, daemon->pool, &config, &daemon->fetch, &why) ==
                   HIF_OK);
        start_supervisor(machine);
        daemon->ending = true; /* the supervisor would not keep a mount */
        daemon->loops = machine->loops;
        daemon->threads = machine->threads;
        for (; daemon->loop_count < LOOPS; daemon->loop_count++) {
                struct loop **loop = &daemon->loops[daemon->loop_count];

                FUZZ_CHECK(loop_new(&machine->cli.env, loop) == HIF_OK);
                FUZZ_CHECK(pthread_create(&daemon->threads[daemon->loop_count], NULL, run_loop,
                                          *loop) == 0);
        }
}

static struct machine *start(void)
{
        struct machine *machine = calloc(1, sizeof(*machine));
        struct hif_why why = {""};
        struct project project;
        struct store *store;

        FUZZ_CHECK(machine != NULL);
        make_home();
        FUZZ_CHECK(cli_init(&machine->cli, &why) == HIF_OK);
        FUZZ_CHECK(cli_mkdir(&machine->cli, machine->cli.paths.state_dir, &why) == HIF_OK);
        FUZZ_CHECK(cli_store(&machine->cli, true, &store, &why) == HIF_OK);
        FUZZ_CHECK(project_create(&machine->cli.env, store, "acme/app", "A <a@example.org>",
                                  &project, &why) == HIF_OK);
        store_close(store);
        start_daemon(machine);
        return machine;
}

static void stop(struct machine *machine)
{
        struct daemon *daemon = &machine->daemon;

        daemon_close_all(daemon, false);
        FUZZ_CHECK(daemon->first == NULL);
        for (size_t i = 0; i < LOOPS; i++) {
                loop_stop(daemon->loops[i]);
                pthread_join(daemon->threads[i], NULL);
                loop_free(daemon->loops[i]);
        }
        fetch_quiesce(daemon->fetch);
        fetch_free(daemon->fetch);
        pool_free(daemon->pool);
        hold_free(daemon->hold);
        pthread_join(machine->supervisor, NULL);
        json_decref(daemon->unresumed);
        sem_destroy(&daemon->uploads);
        cli_free(&machine->cli);
        free(machine);
        while (umount2(ROOT, MNT_DETACH) == 0)
                ;
}

/* --- a command --- */

static void end_nothing(void *arg)
{
        (void)arg;
}

/* What comes before the end is progress; the end is a result or a sentence. */
static void check_answers(int fd, bool must)
{
        for (;;) {
                json_t *answer = NULL;
                const json_t *error;
                bool progress, done;

                FUZZ_CHECK(control_receive(fd, TIMEOUT_MS, &answer) == HIF_OK);
                progress = json_object_get(answer, "progress") != NULL;
                error = json_object_get(answer, "error");
                done = json_object_get(answer, "result") != NULL && error == NULL;
                if (must && error != NULL)
                        fprintf(stderr, "%s\n", json_string_value(json_object_get(error, "text")));
                FUZZ_CHECK(!must || error == NULL);
                FUZZ_CHECK(progress || done ||
                           (json_string_length(json_object_get(error, "code")) > 0 &&
                            json_string_length(json_object_get(error, "text")) > 0));
                json_decref(answer);
                if (!progress)
                        return;
        }
}

/* args: taken over. must: it has to go through. */
static void ask(struct machine *machine, json_t *args, bool must)
{
        struct request request = {
            .daemon = &machine->daemon, .control_fd = -1, .args = args, .stop = end_nothing};
        int ends[2], bytes = SOCKET_BYTES;

        FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        FUZZ_CHECK(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) == 0);
        request.fd = ends[0];
        request_serve(&request);
        free(request.path);
        FUZZ_CHECK(!request.gone);
        check_answers(ends[1], must);
        close(ends[0]);
        FUZZ_CHECK(recv(ends[1], &(char){0}, 1, 0) == 0); /* and nothing behind it */
        close(ends[1]);
        json_decref(args);
}

static bool is_below_root(const json_t *args, const char *key, const char *root)
{
        const json_t *value = json_object_get(args, key);
        const char *text = json_string_value(value);

        return value == NULL || text == NULL ||
               (strncmp(text, root, strlen(root)) == 0 && strstr(text, "..") == NULL);
}

/* Nothing leaves this machine, and no file is made outside of the namespace. */
static bool may_ask(const json_t *args)
{
        const char *op = json_string_value(json_object_get(args, "op"));
        const char *front = json_string_value(json_object_get(args, "front_end"));

        if (op != NULL && (strcmp(op, "stop") == 0 || strcmp(op, "adopt") == 0))
                return false;
        if (op != NULL && strcmp(op, "mount") == 0 && (front == NULL || strcmp(front, "fuse") != 0))
                return false;
        return is_below_root(args, "store", "file://" ROOT "/") &&
               is_below_root(args, "directory", ROOT "/") &&
               is_below_root(args, "mount_point", ROOT "/");
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *ftw)
{
        (void)about, (void)type;
        return ftw->level > 0 ? remove(path) : 0;
}

/* The mount point is empty then, whatever was exported there in between. */
static void mount_session(struct machine *machine)
{
        FUZZ_CHECK(nftw(MOUNT, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0);
        ask(machine,
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "op", "mount", "project", "acme/app",
                      "session", "main", "mount_point", MOUNT, "store", STORE, "front_end", "fuse"),
            true);
}

/* --- programs --- */

struct program {
        struct machine *machine;
        struct reader in;
};

/* What the bytes say, up to a NUL. */
static char *own_text(struct program *p)
{
        struct span bytes = rd_span(&p->in, rd_u8(&p->in) % (1 + rd_left(&p->in)));

        return bytes.size > 0 ? strndup((const char *)bytes.data, bytes.size) : strdup("");
}

static json_t *pick_text(struct program *p, const char *const *texts)
{
        size_t count = 0, which = rd_u8(&p->in);
        json_t *value;
        char *own;

        while (texts[count] != NULL)
                count++;
        if (which < 0xf0)
                return json_string(texts[which % count]);
        own = own_text(p);
        value = json_string(own); /* NULL where that is not UTF-8 */
        free(own);
        return value != NULL ? value : json_string("");
}

/* Of another type than what is wanted. */
static json_t *pick_other(struct program *p)
{
        switch (rd_u8(&p->in) % 6) {
        case 0:
                return json_null();
        case 1:
                return json_integer((json_int_t)rd_u64(&p->in));
        case 2:
                return json_array();
        case 3:
                return json_object();
        case 4:
                return json_real(-1.5);
        default:
                return json_pack("[s, i, n, {s:[]}]", "dir", 1, "x");
        }
}

#define TEXTS(...)                                                                                 \
        (const char *const[])                                                                      \
        {                                                                                          \
                __VA_ARGS__, NULL                                                                  \
        }

static json_t *pick_value(struct program *p, const char *key)
{
        static const struct {
                const char *key, *texts[12];
        } known[] = {
            {"path",
             {MOUNT, MOUNT "/dir", MOUNT "/dir/a", MOUNT "/../app", ROOT "/app2", ROOT "/ap", "/",
              "", "app", MOUNT "/"}},
            {"project", {"acme/app", "acme/none", "../..", "a", ""}},
            {"session", {"main", "other", "..", ".", "a/b", ""}},
            {"mount_point",
             {MOUNT, ROOT "/app2", MOUNT "/dir", ROOT "/none", ROOT "/home", ROOT "/"}},
            {"store", {STORE, "file://" ROOT "/none", "file://" MOUNT}},
            {"front_end", {"fuse"}},
            {"goal", {"a goal", "", "two\nlines"}},
            {"mode", {"solo", "epoch", ""}},
            {"role", {"user", "agent", ""}},
            {"text", {"a note", "", "\xc3\xa9"}},
            {"directory",
             {ROOT "/out/a", ROOT "/out", MOUNT "/out", ROOT "/none/deep", ROOT "/app2"}},
            {"key", {"0123", ""}},
        };

        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
                if (strcmp(known[i].key, key) == 0)
                        return pick_text(p, known[i].texts);
        if (strcmp(key, "paths") == 0)
                return json_pack("[o, o]", pick_text(p, TEXTS("dir", "dir/a", "", "..", "none")),
                                 pick_text(p, TEXTS("f", "/", "dir/../f")));
        if (strcmp(key, "at") == 0)
                return json_integer(rd_u8(&p->in) % 4);
        return json_boolean(rd_u8(&p->in) & 1);
}

static json_t *make_request(struct program *p)
{
        static const struct {
                const char *op, *keys[12];
        } requests[] = {
            {"ping", {NULL}},
            {"mount",
             {"project", "session", "mount_point", "store", "front_end", "at", "goal", "read_only",
              "power", "allow_other", "no_netns", "key"}},
            {"unmount", {"path", "force"}},
            {"status", {"path"}},
            {"diff", {"path", "paths"}},
            {"land", {"path", "goal", "mode", "dry_run"}},
            {"list", {NULL}},
            {"session_start", {"path", "goal"}},
            {"session_note", {"path", "role", "text", "decision"}},
            {"session_show", {"path"}},
            {"session_publish", {"path"}},
            {"session_export", {"directory", "path", "project", "session"}},
            {"none", {"path"}},
        };
        size_t which = rd_u8(&p->in) % (sizeof(requests) / sizeof(requests[0]));
        json_t *args = json_pack("{s:s}", "op", requests[which].op);

        for (size_t i = 0; i < 12 && requests[which].keys[i] != NULL; i++) {
                const char *key = requests[which].keys[i];
                uint8_t how = rd_u8(&p->in);
                json_t *value = NULL;

                if (how < 0xd8)
                        value = pick_value(p, key);
                else if (how < 0xec)
                        value = pick_other(p);
                if (value != NULL)
                        json_object_set_new(args, key, value);
        }
        return args;
}

/* A change in the mount, so that there is something to tell and to land. */
static bool is_mounted(void)
{
        struct stat above, here;

        FUZZ_CHECK(stat(ROOT, &above) == 0 && stat(MOUNT, &here) == 0);
        return above.st_dev != here.st_dev;
}

static void edit(struct program *p)
{
        static const char *const names[] = {"f", "dir/a", "dir/b", ".hifignore"};
        char path[64];
        uint8_t how = rd_u8(&p->in);
        int fd;

        if (!is_mounted())
                return;
        snprintf(path, sizeof(path), MOUNT "/%s", names[how % 4]);
        (void)mkdir(MOUNT "/dir", 0755);
        if ((how & 0x40) != 0) {
                (void)unlink(path);
                return;
        }
        fd = open(path, O_WRONLY | O_CREAT | ((how & 0x80) ? O_TRUNC : O_APPEND) | O_CLOEXEC, 0644);
        if (fd < 0)
                return; /* mounted read-only */
        (void)!write(fd, &how, 1);
        close(fd);
}

static void one_step(struct program *p)
{
        uint8_t what = rd_u8(&p->in);
        json_t *args;

        if (what < 0x40) {
                edit(p);
                return;
        }
        if (what < 0xe0) {
                args = make_request(p);
        } else {
                char *text = own_text(p);

                args = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
                free(text);
        }
        if (args != NULL && may_ask(args))
                ask(p->machine, args, false);
        else
                json_decref(args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct machine *machine;
        static unsigned inputs;
        struct program program = {.in = rd_open(span_of(data, size))};

        if (size == 0)
                return 0;
        if (inputs == 0)
                make_namespace();
        if (inputs++ % INPUTS_PER_DAEMON == 0) {
                if (machine != NULL)
                        stop(machine);
                machine = start();
                mount_session(machine);
        }
        program.machine = machine;
        for (int i = 0; i < REQUESTS_MAX && rd_left(&program.in) > 0; i++)
                one_step(&program);
        ask(machine, json_pack("{s:s}", "op", "list"), true);
        if (!is_mounted() || inputs % INPUTS_PER_MOUNT == 0) {
                daemon_close_all(&machine->daemon, false);
                FUZZ_CHECK(machine->daemon.first == NULL);
                mount_session(machine);
                FUZZ_CHECK(is_mounted());
        }
        return 0;
}
