#include "tmount.h"
#include "tmount_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIM_DIR    "/home/agent/overlay"
#define TURNS_MAX  200000
#define SETTLE_FOR 4 /* quiet turns */

void tmount_fail(const char *file, int line, const char *what)
{
        fprintf(stderr, "%s:%d: fixture: %s\n", file, line, what);
        abort();
}

/* --- machine --- */

/* Each start of a machine has a name of its own. */
static void boot(struct tmount *m)
{
        uint64_t id = env_random_u64(m->env);
        int fd;

        check_ok(env_mkdirs(m->env, "/proc/sys/kernel/random", 0755));
        check_ok(m->env->ops->open(m->env, "/proc/sys/kernel/random/boot_id",
                                   O_RDWR | O_CREAT | O_TRUNC, 0644, &fd));
        check_ok(env_write_all(m->env, fd, &id, sizeof(id), 0));
        m->env->ops->close(m->env, fd);
}

static void make_dir(struct tmount *m)
{
        if (m->sim != NULL) {
                snprintf(m->dir, sizeof(m->dir), SIM_DIR);
                boot(m);
        } else if (m->options.dir != NULL) {
                snprintf(m->dir, sizeof(m->dir), "%s", m->options.dir);
        } else {
                const char *tmp = getenv("TMPDIR");

                snprintf(m->dir, sizeof(m->dir), "%s/hif-tmount-XXXXXX", tmp ? tmp : "/tmp");
                tmount_check(mkdtemp(m->dir) != NULL);
                m->own_dir = true;
        }
}

struct tmount *tmount_new(const struct tmount_options *options)
{
        struct tmount *m = calloc(1, sizeof(*m));

        tmount_check(m != NULL);
        m->options = *options;
        m->real = env_system(NULL);
        m->env = &m->real;
        if (!options->real) {
                m->sim = simenv_new(options->seed);
                tmount_check(m->sim != NULL);
                m->env = simenv_env(m->sim);
                m->options.overlay.serial = true;
        }
        m->caller = (struct vfs_caller){.uid = TMOUNT_UID, .gid = TMOUNT_GID};
        make_dir(m);
        check_ok(store_mem_new(m->env, &m->mem));
        check_ok(store_fault_new(m->env, m->mem, &m->store));
        check_ok(layout_init(&m->layout, "acme/app", NULL));
        m->codec = body_codec_new(1);
        tmount_check(m->codec != NULL);
        return m;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st, (void)type, (void)ftw;
        return remove(path);
}

void tmount_free(struct tmount *m)
{
        tmount_join(m);
        tmount_close(m);
        tmount_forget_entries(m);
        body_codec_free(m->codec);
        store_close(m->store);
        store_close(m->mem);
        simenv_free(m->sim);
        if (m->own_dir)
                nftw(m->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(m);
}

/* --- opening --- */

static int listen_on(struct tmount *m)
{
        struct sockaddr_in addr = {.sin_family = AF_INET,
                                   .sin_port = htons(m->port != 0 ? m->port : m->options.port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(addr);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

        tmount_check(fd >= 0);
        tmount_check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
        tmount_check(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
        tmount_check(listen(fd, 64) == 0);
        tmount_check(getsockname(fd, (struct sockaddr *)&addr, &size) == 0);
        m->port = ntohs(addr.sin_port);
        return fd;
}

static void open_fetch(struct tmount *m)
{
        struct fetch_config config = m->options.fetch;
        struct hif_why why = {""};

        config.no_timer = m->sim != NULL;
        check_why(fetch_new(m->env, m->pool, &config, &m->fetch, &why), &why);
        check_ok(fetch_origin_new(m->fetch, m->store, &m->layout, &m->origin));
}

void tmount_open(struct tmount *m)
{
        struct nfs_server_config server = {.export_path = TMOUNT_EXPORT,
                                           .handle_key = "tmount's own key",
                                           .workspace_id = TMOUNT_WORKSPACE};
        struct vfs_config config = m->options.vfs;
        struct hif_why why = {""};
        bool fresh;

        if (m->options.export_path != NULL)
                server.export_path = m->options.export_path;
        server.admit = m->options.admit;
        server.admit_arg = m->options.admit_arg;
        if (m->base.position == 0)
                tmount_land(m);
        check_ok(loop_new(m->env, &m->loop));
        check_ok(pool_new(m->sim != NULL ? 0 : 2, "tmount", &m->pool));
        open_fetch(m);
        check_why(overlay_open(m->env, m->pool, m->dir, &m->options.overlay, &m->overlay, &why),
                  &why);
        fresh = overlay_value(m->overlay, "vfs.epochs").size == 0;
        config.env = m->env;
        config.loop = m->loop;
        config.overlay = m->overlay;
        config.dir = m->dir;
        config.fetch = m->fetch;
        config.origin = m->origin;
        config.uid = TMOUNT_UID;
        config.gid = TMOUNT_GID;
        check_why(vfs_open(&config, fresh ? &m->base : NULL, &m->vfs, &why), &why);
        if (m->options.nfs)
                check_ok(nfs_server_new(m->vfs, m->options.listen ? listen_on(m) : -1, &server,
                                        &m->server));
}

static void close_front(struct tmount *m)
{
        nfs_server_free(m->server);
        m->server = NULL;
        /* What is still on its way to the loop comes home with the fetches. */
        vfs_close(m->vfs);
        m->vfs = NULL;
        overlay_close(m->overlay);
        m->overlay = NULL;
}

static void close_back(struct tmount *m)
{
        fetch_origin_free(m->origin);
        fetch_free(m->fetch);
        m->fetch = NULL;
        pool_free(m->pool);
        m->pool = NULL;
        loop_free(m->loop);
        m->loop = NULL;
}

void tmount_close(struct tmount *m)
{
        if (m->vfs == NULL)
                return;
        if (m->sim != NULL)
                tmount_settle(m);
        close_front(m);
        close_back(m);
}

void tmount_restart(struct tmount *m)
{
        tmount_close(m);
        tmount_open(m);
}

/* Every file call fails from here on: closing frees memory and changes nothing. */
static void drop(struct tmount *m)
{
        tmount_settle(m);
        simenv_crash_at(m->sim, 1);
        close_front(m);
        close_back(m);
}

void tmount_kill(struct tmount *m)
{
        drop(m);
        simenv_process_kill(m->sim);
        tmount_open(m);
}

void tmount_power_cut(struct tmount *m)
{
        drop(m);
        simenv_power_cut(m->sim);
        boot(m);
        tmount_open(m);
}

void tmount_cool(struct tmount *m)
{
        tmount_restart(m);
}

/* --- turns --- */

void tmount_turn(struct tmount *m)
{
        if (m->sim != NULL) {
                pool_drain(m->pool);
                fetch_tick(m->fetch);
        }
        loop_turn(m->loop, m->sim != NULL ? 0 : 1000000);
}

void tmount_settle(struct tmount *m)
{
        uint64_t requests = 0;

        for (int quiet = 0, turns = 0; quiet < SETTLE_FOR && turns < TURNS_MAX; turns++) {
                uint64_t now = store_stats_get(m->mem).requests[STORE_GET];

                tmount_turn(m);
                quiet = now == requests ? quiet + 1 : 0;
                requests = now;
        }
}

void tmount_advance(struct tmount *m, uint64_t ns)
{
        simenv_advance(m->sim, ns);
        tmount_turn(m);
}

static void *run_loop(void *arg)
{
        loop_run(arg);
        return NULL;
}

void tmount_thread(struct tmount *m)
{
        pthread_t *thread = malloc(sizeof(*thread));

        tmount_check(thread != NULL && m->sim == NULL);
        tmount_check(pthread_create(thread, NULL, run_loop, m->loop) == 0);
        m->thread = thread;
}

void tmount_join(struct tmount *m)
{
        if (m->thread == NULL)
                return;
        loop_stop(m->loop);
        pthread_join(*(pthread_t *)m->thread, NULL);
        free(m->thread);
        m->thread = NULL;
}

int tmount_connect(struct tmount *m)
{
        int fds[2];

        tmount_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
        check_ok(nfs_server_attach(m->server, fds[1]));
        return fds[0];
}
