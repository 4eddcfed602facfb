/* Opening stores: which one is meant, and whether it is known to keep its promises. */
#include "cli/store.h"
#include "cli/json_encode.h"

#include "aws/settings.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "core/hash.h"
#include "store/probe/probe.h"
#include "store/s3/url.h"

#include <stdio.h>
#include <string.h>

static enum hif_err no_memory(struct hif_why *why)
{
        return why_set(why, HIF_ENOMEM, "out of memory");
}

/* --- which store --- */

/* Append "?name=value", or "&name=value" behind another. */
static void put_parameter(struct buf *url, const char *name, const char *value)
{
        buf_printf(url, "%c%s=", memchr(url->data, '?', url->size) ? '&' : '?', name);
        for (const char *c = value; *c; c++) {
                if (*c == ':') /* it needs no encoding here, and reads better */
                        buf_put_u8(url, ':');
                else
                        s3_encode(url, span_of(c, 1), true);
        }
}

/* Then they go before a profile of AWS_PROFILE, as in AWS's own tools. */
static bool environment_has_keys(const struct aws_vars *vars)
{
        return aws_var(vars, "AWS_ACCESS_KEY_ID") || aws_var(vars, "AWS_SECRET_ACCESS_KEY") ||
               aws_var(vars, "AWS_WEB_IDENTITY_TOKEN_FILE");
}

/* An S3 URL with the endpoint, region and profile that the environment gives: it names the same
 * store for the daemon, too, and in a month. */
static enum hif_err complete_s3(const struct cli *cli, const char *url, char **out,
                                struct hif_why *why)
{
        struct env env = cli->env;
        struct aws_vars vars = aws_vars_process();
        struct aws_settings settings = {0};
        AUTO_BUF struct buf text = {0};
        struct s3_url parsed = {0};
        enum hif_err err = s3_url_parse(url, &parsed, why);

        if (err == HIF_OK)
                err = aws_settings_load(&env, &vars, parsed.profile, &settings, why);
        if (err == HIF_OK) {
                buf_put(&text, url, strlen(url));
                if (!parsed.endpoint && settings.endpoint_url)
                        put_parameter(&text, "endpoint", settings.endpoint_url);
                if (!parsed.region && settings.region_given)
                        put_parameter(&text, "region", settings.region);
                if (!parsed.profile && settings.profile_named && !environment_has_keys(&vars))
                        put_parameter(&text, "profile", settings.profile);
                buf_put_u8(&text, '\0');
                if (buf_failed(&text))
                        err = no_memory(why);
                else
                        *out = (char *)STEAL(text.data);
        }
        aws_settings_free(&settings);
        s3_url_free(&parsed);
        return err;
}

enum hif_err cli_store_url(const struct cli *cli, char **out, struct hif_why *why)
{
        const char *store = cli->config.store;

        if (strncmp(store, "s3:", 3) == 0)
                return complete_s3(cli, store, out, why);
        if (store[0] != '/' && !strstr(store, "://"))
                return cli_absolute(cli, store, out, why);
        *out = strdup(store);
        return *out ? HIF_OK : no_memory(why);
}

/* --- whose keys --- */

bool cli_own_key(const char *url, char out[CLI_KEY_SIZE])
{
        struct aws_vars vars = aws_vars_process();
        const char *id = aws_var(&vars, "AWS_ACCESS_KEY_ID");
        struct s3_url parsed = {0};
        char hex[HIF_HASH_HEX_SIZE];
        struct hif_hash hash;
        bool used = id && s3_url_parse(url, &parsed, NULL) == HIF_OK && !parsed.profile;

        s3_url_free(&parsed);
        if (!used)
                return false;
        hash = hash_of(HASH_BLOB, span_str(id));
        hash_to_hex(&hash, hex);
        memcpy(out, hex, CLI_KEY_SIZE - 1);
        out[CLI_KEY_SIZE - 1] = '\0';
        return true;
}

/* --- what is known of a store --- */

#define KNOWN_SIZE_MAX 8192

/* Where the result of a probe is kept: by endpoint and bucket, since the prefix makes no
 * difference. */
struct known {
        char *name; /* "s3://bucket?endpoint=..." */
        char *path;
};

static void known_free(struct known *known)
{
        free(known->name);
        free(known->path);
}

static enum hif_err known_name(struct store *store, char **out)
{
        AUTO_BUF struct buf text = {0};
        struct s3_url parsed = {0};

        if (s3_url_parse(store_url(store), &parsed, NULL) != HIF_OK) {
                *out = strdup(store_url(store)); /* a store of another kind */
                return *out ? HIF_OK : HIF_ENOMEM;
        }
        buf_printf(&text, "s3://%s", parsed.bucket);
        if (parsed.endpoint)
                put_parameter(&text, "endpoint", parsed.endpoint);
        buf_put_u8(&text, '\0');
        s3_url_free(&parsed);
        if (buf_failed(&text))
                return HIF_ENOMEM;
        *out = (char *)STEAL(text.data);
        return HIF_OK;
}

static enum hif_err known_find(struct cli *cli, struct store *store, struct known *out,
                               struct hif_why *why)
{
        char hex[HIF_HASH_HEX_SIZE];
        struct hif_hash hash;
        enum hif_err err = known_name(store, &out->name);

        if (err != HIF_OK)
                return no_memory(why);
        hash = hash_of(HASH_BLOB, span_str(out->name));
        hash_to_hex(&hash, hex);
        hex[32] = '\0'; /* enough for a name: the file says which store it is of */
        if (asprintf(&out->path, "%s/probes/%s", cli->paths.state_dir, hex) < 0) {
                out->path = NULL;
                return no_memory(why);
        }
        return HIF_OK;
}

/* Whether this version of the probe has approved of the store. What cannot be read is not known. */
static bool known_good(struct cli *cli, const struct known *known)
{
        AUTO_BUF struct buf bytes = {0};
        const char *name, *result;
        json_t *value;
        bool good;

        if (env_read_file(&cli->env, known->path, KNOWN_SIZE_MAX, &bytes) != HIF_OK)
                return false;
        value = json_loadb((const char *)bytes.data, bytes.size, 0, NULL);
        name = json_string_value(json_object_get(value, "store"));
        result = json_string_value(json_object_get(value, "result"));
        good = name && strcmp(name, known->name) == 0 && result && strcmp(result, "good") == 0 &&
               json_integer_value(json_object_get(value, "version")) == PROBE_VERSION;
        json_decref(value);
        return good;
}

/* Not being able to keep it costs another probe next time, and nothing else. */
static void known_keep(struct cli *cli, const struct known *known)
{
        uint64_t now = env_wall_ns(&cli->env);
        char time[TIME_TEXT_SIZE];
        AUTO_FREE char *text = NULL, *dir = NULL;
        json_t *value;
        enum hif_err err;

        time_text((int64_t)(now / 1000000000), (uint32_t)(now % 1000000000), time);
        value = json_pack("{s:s, s:s, s:s, s:i}", "store", known->name, "result", "good", "time",
                          time, "version", PROBE_VERSION);
        text = json_encode(value, JSON_INDENT(2));
        json_decref(value);
        if (!text || asprintf(&dir, "%s/probes", cli->paths.state_dir) < 0) {
                dir = NULL;
                return;
        }
        err = env_mkdirs(&cli->env, dir, 0700);
        if (err == HIF_OK)
                err = env_write_file(&cli->env, known->path, text, strlen(text), 0600);
        if (err != HIF_OK)
                log_line(cli->env.log, LOG_WARN, "store", "cannot write %s: %s", known->path,
                         hif_strerror(err));
}

enum hif_err cli_store_probe(struct cli *cli, struct store *store, struct probe_report *report,
                             struct hif_why *why)
{
        CLEANUP(known_free) struct known known = {0};
        enum hif_err found, err = known_find(cli, store, &known, why);

        if (err != HIF_OK)
                return err;
        found = store_probe(store, report, why);
        if (found == HIF_OK)
                known_keep(cli, &known);
        else if (found == HIF_ENOTSUP)
                (void)cli->env.ops->unlink(&cli->env, known.path); /* if it was known as good */
        return found;
}

bool cli_store_is_known(struct cli *cli, struct store *store)
{
        CLEANUP(known_free) struct known known = {0};

        return known_find(cli, store, &known, NULL) == HIF_OK && known_good(cli, &known);
}

enum hif_err cli_store_trusted(struct cli *cli, struct store *store, struct hif_why *why)
{
        CLEANUP(known_free) struct known known = {0};
        struct probe_report report;
        enum hif_err err;

        if (store->local)
                return HIF_OK;
        err = known_find(cli, store, &known, why);
        if (err != HIF_OK || known_good(cli, &known))
                return err;
        return cli_store_probe(cli, store, &report, why);
}

/* --- opening --- */

enum hif_err cli_store_unprobed(struct cli *cli, bool check, struct store **out,
                                struct hif_why *why)
{
        AUTO_FREE char *url = NULL;
        enum hif_err err = cli_store_url(cli, &url, why);
        bool s3 = err == HIF_OK && strncmp(url, "s3:", 3) == 0;

        if (s3)
                cli_guard_memory();
        return err == HIF_OK ? store_open(&cli->env, url, check && s3, out, why) : err;
}

/* NULL: nobody looks at the terminal. */
static enum hif_err open_trusted(struct cli *cli, const char *url, bool create,
                                 void (*slow)(void *arg), struct store **out, struct hif_why *why)
{
        struct store *store;
        enum hif_err err;

        if (strncmp(url, "s3:", 3) == 0)
                cli_guard_memory();
        err = store_open(&cli->env, url, create, &store, why);
        if (err != HIF_OK)
                return err;
        if (slow != NULL)
                store_tell_slow(store, slow, store);
        err = cli_store_trusted(cli, store, why);
        if (!create && (err == HIF_EDENIED || err == HIF_EROFS))
                err = HIF_OK; /* reading loses nothing */
        if (err != HIF_OK)
                store_close(store);
        else
                *out = store;
        return err;
}

enum hif_err cli_store_open(struct cli *cli, const char *url, bool create, struct store **out,
                            struct hif_why *why)
{
        return open_trusted(cli, url, create, NULL, out, why);
}

static void tell_slow(void *arg)
{
        struct store *store = arg;

        (void)fprintf(stderr,
                      "hif: the store %s has not answered for %d s; it is asked again for a while "
                      "(Ctrl-C ends this)\n",
                      store_url(store), STORE_SLOW_MS / 1000);
}

enum hif_err cli_store(struct cli *cli, bool create, struct store **out, struct hif_why *why)
{
        AUTO_FREE char *url = NULL;
        AUTO_FREE char *by_default = NULL;
        enum hif_err err = cli_store_url(cli, &url, why);

        /* Ours alone; a store that the user named gets what their umask says. */
        if (err == HIF_OK && create) {
                by_default = cli_default_store(cli->paths.data_dir);
                if (!by_default)
                        err = no_memory(why);
                else if (strcmp(url, by_default) == 0)
                        err = cli_mkdir(cli, cli->paths.data_dir, why);
        }
        return err == HIF_OK
                   ? open_trusted(cli, url, create, cli->progress ? tell_slow : NULL, out, why)
                   : err;
}
