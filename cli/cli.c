/* Where things are, and how they are set. */
#include "cli/cli.h"
#include "cli/store.h"

#include <errno.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PATH_LIMIT 4000u /* room for what goes below a directory of ours */

static enum hif_err no_memory(struct hif_why *why)
{
        return why_set(why, HIF_ENOMEM, "out of memory");
}

/* --- paths --- */

static const char *home_dir(void)
{
        const char *home = getenv("HOME");
        const struct passwd *user;

        if (home && home[0] == '/')
                return home;
        user = getpwuid(geteuid());
        return user && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
}

/* "All paths set in these environment variables must be absolute. If an implementation encounters a
 * relative path [...] it should consider the path invalid and ignore it." (XDG Base Directory
 * Specification) */
static enum hif_err join(const char *variable, const char *home, const char *fallback,
                         const char *tail, char **out, struct hif_why *why)
{
        const char *base = getenv(variable);
        int n;

        if (base && base[0] == '/')
                n = asprintf(out, "%s%s", base, tail);
        else
                n = asprintf(out, "%s%s%s", home, fallback, tail);
        if (n < 0) {
                *out = NULL;
                return no_memory(why);
        }
        if (n > (int)PATH_LIMIT)
                return why_set(why, HIF_ENAMETOOLONG,
                               "the directory in %s is too long: set it to a shorter one",
                               variable);
        return HIF_OK;
}

static enum hif_err below(const char *dir, const char *name, char **out, struct hif_why *why)
{
        if (asprintf(out, "%s/%s", dir, name) >= 0)
                return HIF_OK;
        *out = NULL;
        return no_memory(why);
}

static enum hif_err find_paths(struct cli_paths *paths, struct hif_why *why)
{
        const char *home = home_dir();
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        enum hif_err err;

        if (!home)
                return why_set(why, HIF_ENOENT,
                               "cannot tell your home directory: set HOME to an absolute path");
        err = join("XDG_CONFIG_HOME", home, "/.config", "/hif/config", &paths->config_file, why);
        if (err == HIF_OK)
                err = join("XDG_DATA_HOME", home, "/.local/share", "/hif", &paths->data_dir, why);
        if (err == HIF_OK)
                err = join("XDG_STATE_HOME", home, "/.local/state", "/hif", &paths->state_dir, why);
        if (err == HIF_OK)
                err = join("XDG_CACHE_HOME", home, "/.cache", "/hif", &paths->cache_dir, why);
        if (err == HIF_OK)
                err = below(paths->state_dir, "daemon.log", &paths->log_file, why);
        if (err == HIF_OK)
                err = below(paths->state_dir, "daemon.lock", &paths->daemon_lock, why);
        if (err == HIF_OK)
                err = below(paths->state_dir, "server.lock", &paths->server_lock, why);
        if (err == HIF_OK)
                err = below(paths->state_dir, "run", &paths->run_dir, why);
        if (err != HIF_OK)
                return err;
        if (runtime && runtime[0] == '/')
                return below(runtime, "hif", &paths->runtime_dir, why);
        return below(paths->state_dir, "run", &paths->runtime_dir, why);
}

static void paths_free(struct cli_paths *paths)
{
        free(paths->config_file);
        free(paths->data_dir);
        free(paths->state_dir);
        free(paths->log_file);
        free(paths->daemon_lock);
        free(paths->server_lock);
        free(paths->run_dir);
        free(paths->runtime_dir);
        free(paths->cache_dir);
}

/* --- defaults and the environment --- */

static enum hif_err replace(char **value, char *with, struct hif_why *why)
{
        if (!with)
                return no_memory(why);
        free(*value);
        *value = with;
        return HIF_OK;
}

/* The name from the user database, and user@host for the mail. */
static char *default_author(void)
{
        const struct passwd *user = getpwuid(geteuid());
        const char *name = user ? user->pw_name : "unknown";
        size_t full = user && user->pw_gecos ? strcspn(user->pw_gecos, ",<>") : 0;
        char host[256] = "localhost";
        char *author;
        int n;

        if (gethostname(host, sizeof(host) - 1) != 0)
                strcpy(host, "localhost");
        n = asprintf(&author, "%.*s <%.64s@%.100s>", (int)(full > 0 ? (full < 80 ? full : 80) : 64),
                     full > 0 ? user->pw_gecos : name, name, host);
        return n < 0 ? NULL : author;
}

/* Who holds a session, as others read it: user@host. */
static char *default_holder(void)
{
        const struct passwd *user = getpwuid(geteuid());
        char host[256] = "localhost", *holder;

        if (gethostname(host, sizeof(host) - 1) != 0)
                strcpy(host, "localhost");
        return asprintf(&holder, "%.64s@%.100s", user ? user->pw_name : "unknown", host) < 0
                   ? NULL
                   : holder;
}

/* A URL's path says '%' as "%25". */
char *cli_default_store(const char *data_dir)
{
        AUTO_BUF struct buf url = {0};

        buf_printf(&url, "file://");
        for (const char *c = data_dir; *c; c++)
                buf_printf(&url, *c == '%' ? "%%25" : "%c", *c);
        buf_printf(&url, "/store");
        buf_put_u8(&url, 0);
        return buf_failed(&url) ? NULL : strdup((const char *)url.data);
}

static enum hif_err set_defaults(struct cli *cli, struct hif_why *why)
{
        struct cli_config *config = &cli->config;
        enum hif_err err;

        config->ram_max = 256ull << 20;
        config->ssd_max = 4ull << 30;
        config->ahead_after = 5;
        err = replace(&config->store, cli_default_store(cli->paths.data_dir), why);
        if (err == HIF_OK)
                err = replace(&config->author, default_author(), why);
        if (err == HIF_OK)
                err = replace(&config->front_end, strdup("auto"), why);
        if (err == HIF_OK)
                err = replace(&config->durability, strdup("process"), why);
        if (err == HIF_OK)
                err = replace(&config->netns, strdup("auto"), why);
        if (err == HIF_OK)
                err = replace(&config->ahead, strdup("auto"), why);
        if (err == HIF_OK)
                err = replace(&config->publish, strdup("auto"), why);
        if (err == HIF_OK)
                err = replace(&config->land_mode, strdup("solo"), why);
        if (err == HIF_OK)
                err = replace(&config->holder, default_holder(), why);
        return err;
}

static enum hif_err read_environment(struct cli_config *config, struct hif_why *why)
{
        const char *store = getenv("HIF_STORE");
        const char *author = getenv("HIF_AUTHOR");
        const char *addressing = getenv("HIF_S3_ADDRESSING");
        enum hif_err err = HIF_OK;

        if (store && store[0])
                err = replace(&config->store, strdup(store), why);
        if (err == HIF_OK && author && author[0])
                err = replace(&config->author, strdup(author), why);
        /* Stores read it where they are opened, beside AWS's own variables. */
        if (err == HIF_OK && config->s3_addressing && !(addressing && addressing[0]) &&
            setenv("HIF_S3_ADDRESSING", config->s3_addressing, true) != 0)
                err = no_memory(why);
        return err;
}

#if defined(__SANITIZE_ADDRESS__)
#define HIF_HAS_ASAN 1
#elif defined(__has_feature)
#define HIF_HAS_ASAN __has_feature(address_sanitizer)
#else
#define HIF_HAS_ASAN 0
#endif

void cli_guard_memory(void)
{
#if !HIF_HAS_ASAN /* whose leak check is such a debugger */
        (void)prctl(PR_SET_DUMPABLE, 0);
#endif
}

/* Whether the environment itself holds keys: it is part of any core file. */
static bool environment_has_secrets(void)
{
        static const char *const names[] = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
                                            "AWS_CONTAINER_AUTHORIZATION_TOKEN"};

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (getenv(names[i]))
                        return true;
        return false;
}

enum hif_err cli_init(struct cli *cli, struct hif_why *why)
{
        const char *no_color = getenv("NO_COLOR");
        const char *term = getenv("TERM");
        bool dumb = !term || strcmp(term, "dumb") == 0;
        enum hif_err err;

        if (environment_has_secrets())
                cli_guard_memory();
        *cli = (struct cli){.env = env_system(NULL)};
        cli->color = isatty(STDOUT_FILENO) && !dumb && !(no_color && no_color[0]);
        cli->progress = isatty(STDERR_FILENO) && !dumb;
        err = find_paths(&cli->paths, why);
        if (err == HIF_OK)
                err = set_defaults(cli, why);
        if (err == HIF_OK)
                err = config_load(&cli->env, cli->paths.config_file, &cli->config, why);
        if (err == HIF_OK)
                err = read_environment(&cli->config, why);
        if (err != HIF_OK)
                cli_free(cli);
        return err;
}

void cli_free(struct cli *cli)
{
        paths_free(&cli->paths);
        free(cli->config.store);
        free(cli->config.s3_addressing);
        free(cli->config.author);
        free(cli->config.front_end);
        free(cli->config.durability);
        free(cli->config.netns);
        free(cli->config.ahead);
        free(cli->config.publish);
        free(cli->config.land_mode);
        free(cli->config.holder);
        cli->paths = (struct cli_paths){0};
        cli->config = (struct cli_config){0};
}

/* --- what commands open --- */

enum hif_err cli_mkdir(struct cli *cli, const char *path, struct hif_why *why)
{
        enum hif_err err = env_mkdirs(&cli->env, path, 0700);

        if (err == HIF_OK)
                return HIF_OK;
        return why_set(
            why, err,
            "cannot make the directory %s: %s; set HOME, or the XDG variable that names it, to a "
            "directory of your own",
            path, hif_strerror(err));
}

enum hif_err cli_pool(struct cli *cli, struct pool **out, struct hif_why *why)
{
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        size_t threads = cli->config.threads ? cli->config.threads : cpus > 0 ? (size_t)cpus : 1;
        enum hif_err err =
            pool_new(threads < POOL_THREADS_MAX ? threads : POOL_THREADS_MAX, "hif", out);

        return err == HIF_OK ? HIF_OK
                             : why_set(why, err, "cannot start threads: %s", hif_strerror(err));
}
