#include "s3/place.h"
#include "s3/impatient.h"

#include "base/cleanup.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct place {
        struct store *store;
        char *url;
        char *directory;
        struct s3fault *proxy;
        char *endpoint; /* the server's, while AWS_ENDPOINT_URL names the proxy */
        char reply[S3FAULT_REPLY_MAX];
};

const char *place_asked(void)
{
        return getenv("HIF_TEST_STORE");
}

static const char *need_env(const char *name)
{
        const char *value = getenv(name);

        if (!value || !*value)
                fail_msg("%s is not set: run this through integration/s3/with_s3.sh", name);
        return value;
}

static void make_directory(struct place *place)
{
        const char *base = getenv("TMPDIR");

        assert_true(asprintf(&place->directory, "%s/hif-place-XXXXXX", base ? base : "/tmp") > 0);
        assert_non_null(mkdtemp(place->directory));
        assert_true(asprintf(&place->url, "file://%s", place->directory) > 0);
}

/* The store takes the endpoint from the environment, so the proxy is put there. */
static void put_proxy_before(struct place *place)
{
        const char *upstream = need_env("AWS_ENDPOINT_URL");
        char url[64];

        assert_int_equal(strncmp(upstream, "http://", 7), 0);
        place->endpoint = strdup(upstream);
        place->proxy = s3fault_start("0", upstream + 7, 1);
        assert_non_null(place->proxy);
        snprintf(url, sizeof(url), "http://127.0.0.1:%u", s3fault_port(place->proxy));
        assert_int_equal(setenv("AWS_ENDPOINT_URL", url, 1), 0);
}

static void make_prefix(struct env *env, struct place *place, const char *options)
{
        uint8_t random[8];

        env_random(env, random, sizeof(random));
        assert_true(asprintf(&place->url, "%s/%02x%02x%02x%02x%02x%02x%02x%02x%s",
                             need_env("HIF_TEST_S3"), random[0], random[1], random[2], random[3],
                             random[4], random[5], random[6], random[7], options) > 0);
}

/* What a store hides: reads and deletions can be repeated. */
static void make_noise(struct place *place)
{
        static const char *const commands[] = {
            "chance GET * 3 cutresp 1",     "chance GET * 3 closelate", "chance GET * 3 status 503",
            "chance HEAD * 3 resetlate",    "chance HEAD * 3 lost 500", "chance * * 3 late 20",
            "chance DELETE * 20 closelate",
        };

        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
                (void)place_say(place, "%s", commands[i]);
}

struct place *place_new(struct env *env, const char *kind)
{
        struct place *place = calloc(1, sizeof(*place));
        struct hif_why why = {.text = ""};

        assert_non_null(place);
        if (strcmp(kind, "memory") == 0) {
                assert_int_equal(store_mem_new(env, &place->store), HIF_OK);
                return place;
        }
        if (strcmp(kind, "directory") == 0)
                make_directory(place);
        else if (strncmp(kind, "s3", 2) == 0)
                make_prefix(env, place, strcmp(kind, "s3-quotes") == 0 ? "?quotes=yes" : "");
        else
                fail_msg("no back end %s: s3/place.h names them", kind);
        if (strncmp(kind, "s3-", 3) == 0)
                put_proxy_before(place);
        if (strcmp(kind, "s3-dialect") == 0)
                (void)place_say(place, "dialect ce");
        if (strcmp(kind, "s3-quotes") == 0)
                (void)place_say(place, "dialect q");
        if (strcmp(kind, "s3-noise") == 0)
                make_noise(place);
        if (impatient_open(env, place->url, strcmp(kind, "s3-faults") == 0 ? 1000 : 0,
                           &place->store, &why) != HIF_OK)
                fail_msg("%s: %s", place->url, why.text);
        return place;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

void place_free(struct place *place)
{
        if (!place)
                return;
        store_close(place->store);
        s3fault_stop(place->proxy);
        if (place->endpoint)
                assert_int_equal(setenv("AWS_ENDPOINT_URL", place->endpoint, 1), 0);
        if (place->directory)
                assert_int_equal(nftw(place->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
        free(place->endpoint);
        free(place->directory);
        free(place->url);
        free(place);
}

struct store *place_store(struct place *place)
{
        return place->store;
}

const char *place_url(struct place *place)
{
        return place->url;
}

struct s3fault *place_proxy(struct place *place)
{
        return place->proxy;
}

const char *place_say(struct place *place, const char *format, ...)
{
        char line[2048];
        const char *space;
        va_list args;

        va_start(args, format);
        vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        if (!s3fault_say(place->proxy, line, place->reply))
                fail_msg("%s: %s", line, place->reply);
        space = strrchr(place->reply, ' ');
        return space && place->reply[0] != '{' ? space + 1 : place->reply;
}
