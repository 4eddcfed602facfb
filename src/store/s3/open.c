#include "store/s3/open.h"
#include "aws/creds.h"
#include "store/s3/store_s3.h"
#include "store/s3/url.h"

#include <pthread.h>
#include <stdlib.h>

/* What lives as long as the store: settings and keys, and the way from the keys' thread to it. */
struct opened {
        struct aws_settings settings;
        struct aws_vars vars;
        struct aws_creds *creds;
        pthread_mutex_t mutex;
        struct store *store; /* NULL: not there yet, or not any more */
};

static void wake(void *arg)
{
        struct opened *opened = arg;

        pthread_mutex_lock(&opened->mutex);
        if (opened->store)
                store_s3_wake(opened->store);
        pthread_mutex_unlock(&opened->mutex);
}

static enum hif_err peek(void *arg, struct aws_key *key, struct hif_why *why)
{
        struct opened *opened = arg;

        return aws_creds_peek(opened->creds, key, why);
}

static void expired(void *arg, uint64_t generation)
{
        struct opened *opened = arg;

        aws_creds_expired(opened->creds, generation);
}

static void closing(void *arg)
{
        struct opened *opened = arg;

        pthread_mutex_lock(&opened->mutex);
        opened->store = NULL;
        pthread_mutex_unlock(&opened->mutex);
}

static void opened_free(void *arg)
{
        struct opened *opened = arg;

        aws_creds_free(opened->creds);
        aws_settings_free(&opened->settings);
        pthread_mutex_destroy(&opened->mutex);
        free(opened);
}

static enum hif_err opened_new(struct env *env, const char *url, struct opened **out,
                               struct hif_why *why)
{
        struct s3_url parsed = {0};
        enum hif_err err = s3_url_parse(url, &parsed, why);
        struct opened *opened = err ? NULL : calloc(1, sizeof(*opened));

        if (!opened) {
                s3_url_free(&parsed);
                return err ? err : why_set(why, HIF_ENOMEM, "out of memory");
        }
        pthread_mutex_init(&opened->mutex, NULL);
        opened->vars = aws_vars_process();
        err = aws_settings_load(env, &opened->vars, parsed.profile, &opened->settings, why);
        s3_url_free(&parsed);
        if (!err)
                err = aws_creds_new(env, &opened->settings, &opened->vars, wake, opened,
                                    &opened->creds, why);
        if (err) {
                opened_free(opened);
                return err;
        }
        *out = opened;
        return HIF_OK;
}

static enum s3_style style_of(const struct aws_settings *settings)
{
        if (!settings->style_given)
                return S3_STYLE_AUTO;
        return settings->path_style ? S3_STYLE_PATH : S3_STYLE_VIRTUAL;
}

enum hif_err s3_open(struct env *env, const char *url, bool check, struct store **out,
                     struct hif_why *why)
{
        struct opened *opened = NULL;
        struct store *store;
        enum hif_err err = opened_new(env, url, &opened, why);

        if (err)
                return err;
        struct s3_config config = {.url = url,
                                   .endpoint = opened->settings.endpoint_url,
                                   .region = opened->settings.region,
                                   .ca_bundle = opened->settings.ca_bundle,
                                   .style = style_of(&opened->settings),
                                   .keys = {.peek = peek,
                                            .expired = expired,
                                            .closing = closing,
                                            .free = opened_free,
                                            .arg = opened}};
        err = store_s3_new(env, &config, &store, why);
        if (err)
                return err;
        pthread_mutex_lock(&opened->mutex);
        opened->store = store;
        pthread_mutex_unlock(&opened->mutex);
        err = check ? store_s3_check(store, why) : HIF_OK;
        if (err) {
                store_close(store);
                return err;
        }
        *out = store;
        return HIF_OK;
}
