/* The config file, read by inih. Its handler is not told the line, so the reader counts them; a
 * mistake names file, line and key, and the first one counts. */
#include "cli/cli.h"

#include <errno.h>
#include <ini.h>

#define CONFIG_SIZE_MAX (1u << 20)

struct load {
        struct reader rd;
        const char *path;
        unsigned line;
        struct cli_config *config;
        enum hif_err err; /* the first */
        struct hif_why *why;
};

/* One setting: where its value goes, and how it is read. */
struct setting {
        const char *section, *key;
        enum hif_err (*read)(const char *value, void *out, const char **expected);
        size_t offset;
};

static enum hif_err read_text(const char *value, void *out, const char **expected)
{
        char *copy = strdup(value);

        *expected = "some text";
        if (!copy)
                return HIF_ENOMEM;
        if (!copy[0]) {
                free(copy);
                return HIF_EINVAL;
        }
        free(*(char **)out);
        *(char **)out = copy;
        return HIF_OK;
}

static enum hif_err read_front_end(const char *value, void *out, const char **expected)
{
        enum hif_err err = read_text(value, out, expected);

        *expected = "auto, nfs or fuse";
        if (err != HIF_OK)
                return err;
        return strcmp(value, "auto") == 0 || strcmp(value, "nfs") == 0 || strcmp(value, "fuse") == 0
                   ? HIF_OK
                   : HIF_EINVAL;
}

static enum hif_err read_durability(const char *value, void *out, const char **expected)
{
        enum hif_err err = read_text(value, out, expected);

        *expected = "process or power";
        if (err != HIF_OK)
                return err;
        return strcmp(value, "process") == 0 || strcmp(value, "power") == 0 ? HIF_OK : HIF_EINVAL;
}

static enum hif_err read_netns(const char *value, void *out, const char **expected)
{
        enum hif_err err = read_text(value, out, expected);

        *expected = "auto or off";
        if (err != HIF_OK)
                return err;
        return strcmp(value, "auto") == 0 || strcmp(value, "off") == 0 ? HIF_OK : HIF_EINVAL;
}

static enum hif_err read_addressing(const char *value, void *out, const char **expected)
{
        enum hif_err err = read_text(value, out, expected);

        *expected = "auto, path or virtual";
        if (err != HIF_OK)
                return err;
        return strcmp(value, "auto") == 0 || strcmp(value, "path") == 0 ||
                       strcmp(value, "virtual") == 0
                   ? HIF_OK
                   : HIF_EINVAL;
}

static enum hif_err read_ahead(const char *value, void *out, const char **expected)
{
        enum hif_err err = read_text(value, out, expected);

        *expected = "auto, on or off";
        if (err != HIF_OK)
                return err;
        return strcmp(value, "auto") == 0 || strcmp(value, "on") == 0 || strcmp(value, "off") == 0
                   ? HIF_OK
                   : HIF_EINVAL;
}

static enum hif_err read_land_mode(const char *value, void *out, const char **expected)
{
        enum hif_err err = read_text(value, out, expected);

        *expected = "solo or epoch";
        if (err != HIF_OK)
                return err;
        return strcmp(value, "solo") == 0 || strcmp(value, "epoch") == 0 ? HIF_OK : HIF_EINVAL;
}

static enum hif_err read_publish(const char *value, void *out, const char **expected)
{
        enum hif_err err = read_text(value, out, expected);

        *expected = "auto or manual";
        if (err != HIF_OK)
                return err;
        return strcmp(value, "auto") == 0 || strcmp(value, "manual") == 0 ? HIF_OK : HIF_EINVAL;
}

static bool read_number(const char *value, uint64_t *out, const char **end)
{
        char *after;

        if (value[0] < '0' || value[0] > '9')
                return false;
        errno = 0;
        *out = strtoull(value, &after, 10);
        *end = after;
        return errno == 0;
}

static enum hif_err read_size(const char *value, void *out, const char **expected)
{
        static const char units[] = "KMGT";
        const char *end, *unit;
        unsigned shift = 0;
        uint64_t size;

        *expected = "a number of bytes, with K, M, G or T for powers of 1024";
        if (!read_number(value, &size, &end))
                return HIF_EINVAL;
        if (*end) {
                unit = strchr(units, *end);
                if (!unit || end[1])
                        return HIF_EINVAL;
                shift = 10 * (unsigned)(unit - units + 1);
        }
        if (size > UINT64_MAX >> shift)
                return HIF_EINVAL;
        *(uint64_t *)out = size << shift;
        return HIF_OK;
}

static enum hif_err read_threads(const char *value, void *out, const char **expected)
{
        const char *end;
        uint64_t number;

        *expected = "a number from 0 to 256";
        if (!read_number(value, &number, &end) || *end || number > POOL_THREADS_MAX)
                return HIF_EINVAL;
        *(uint32_t *)out = (uint32_t)number;
        return HIF_OK;
}

static enum hif_err read_seconds(const char *value, void *out, const char **expected)
{
        const char *end;
        uint64_t number;

        *expected = "a number of seconds, from 1 to 3600";
        if (!read_number(value, &number, &end) || *end || number < 1 || number > 3600)
                return HIF_EINVAL;
        *(uint32_t *)out = (uint32_t)number;
        return HIF_OK;
}

static const struct setting settings[] = {
    {"store", "url", read_text, offsetof(struct cli_config, store)},
    {"store", "s3-addressing", read_addressing, offsetof(struct cli_config, s3_addressing)},
    {"user", "author", read_text, offsetof(struct cli_config, author)},
    {"mount", "front-end", read_front_end, offsetof(struct cli_config, front_end)},
    {"mount", "durability", read_durability, offsetof(struct cli_config, durability)},
    {"mount", "netns", read_netns, offsetof(struct cli_config, netns)},
    {"session", "publish", read_publish, offsetof(struct cli_config, publish)},
    {"land", "mode", read_land_mode, offsetof(struct cli_config, land_mode)},
    {"cache", "ram-max", read_size, offsetof(struct cli_config, ram_max)},
    {"cache", "ssd-max", read_size, offsetof(struct cli_config, ssd_max)},
    {"daemon", "threads", read_threads, offsetof(struct cli_config, threads)},
    {"uploads", "ahead", read_ahead, offsetof(struct cli_config, ahead)},
    {"uploads", "after", read_seconds, offsetof(struct cli_config, ahead_after)},
    {"daemon", "loops", read_threads, offsetof(struct cli_config, loops)},
};

/* inih's handler: 0 is an error. */
static int handle(void *arg, const char *section, const char *key, const char *value)
{
        struct load *load = arg;

        if (load->err != HIF_OK)
                return 0;
        for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
                const struct setting *setting = &settings[i];
                const char *expected = "";

                if (strcmp(setting->section, section) != 0 || strcmp(setting->key, key) != 0)
                        continue;
                load->err = setting->read(value, (char *)load->config + setting->offset, &expected);
                if (load->err == HIF_EINVAL)
                        (void)why_set(load->why, HIF_EINVAL,
                                      "%s:%u: \"%s\" is no value for %s in [%s]: it is %s",
                                      load->path, load->line, value, key, section, expected);
                return load->err == HIF_OK;
        }
        load->err = why_set(load->why, HIF_EINVAL,
                            "%s:%u: there is no setting \"%s\" in section [%s]; docs/cli.md lists "
                            "them, under \"Configuration\"",
                            load->path, load->line, key, section);
        return 0;
}

/* inih's reader, as fgets. Leading blanks go: to inih such a line continues the one before. */
static char *next_line(char *out, int size, void *arg)
{
        struct load *load = arg;
        size_t left = rd_left(&load->rd), n = 0;
        const uint8_t *line = load->rd.next;
        const uint8_t *end;

        if (left == 0 || load->err != HIF_OK)
                return NULL;
        load->line++;
        end = memchr(line, '\n', left);
        n = end ? (size_t)(end - line) + 1 : left;
        (void)rd_span(&load->rd, n);
        for (; n > 0 && (*line == ' ' || *line == '\t'); n--)
                line++;
        if (n >= (size_t)size || memchr(line, 0, n)) {
                load->err =
                    why_set(load->why, HIF_EINVAL, "%s:%u: the line %s", load->path, load->line,
                            n >= (size_t)size ? "is too long" : "holds a zero byte");
                return NULL;
        }
        memcpy(out, line, n);
        out[n] = '\0';
        return out;
}

enum hif_err config_load(struct env *env, const char *path, struct cli_config *config,
                         struct hif_why *why)
{
        AUTO_BUF struct buf bytes = {0};
        struct load load = {.path = path, .config = config, .why = why};
        enum hif_err err = env_read_file(env, path, CONFIG_SIZE_MAX, &bytes);
        int line;

        if (err == HIF_ENOENT || err == HIF_ENOTDIR)
                return HIF_OK;
        if (err != HIF_OK)
                return why_set(why, err, "cannot read the config file %s: %s", path,
                               hif_strerror(err));
        load.rd = rd_open(buf_span(&bytes));
        line = ini_parse_stream(next_line, &load, handle, &load);
        if (load.err == HIF_ENOMEM || line == -2)
                return why_set(why, HIF_ENOMEM, "out of memory");
        if (load.err == HIF_OK && line != 0)
                return why_set(why, HIF_EINVAL,
                               "%s:%d: this is neither \"[section]\" nor \"key = value\"", path,
                               line);
        return load.err;
}
