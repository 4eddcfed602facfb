/* The key that is handed out, and the thread that keeps it fresh. */
#include "aws/source.h"

#include "aws/wipe.h"
#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#define NS_PER_S        UINT64_C(1000000000)
#define AHEAD_NS        (300 * NS_PER_S) /* fetched anew so long before it expires */
#define PAUSE_SHIFT_MAX 6                /* after failures: 1, 2, 4 ... 64 s, and up to a quarter */
#define LOOK_NS         (60 * NS_PER_S)  /* clocks may be set: look so often at least */

struct aws_creds {
        struct env *env;
        const struct aws_settings *settings;
        struct aws_vars vars;
        void (*wake)(void *arg);
        void *arg;

        pthread_mutex_t mutex;
        pthread_cond_t change; /* wanted, stop */
        pthread_t thread;
        bool running; /* the thread was started */
        bool stop, wanted, fetching;

        bool have;    /* current is a key */
        bool refused; /* by the store: not to be handed out again */
        struct aws_fetched current;
        uint64_t refresh_ns; /* wall clock; 0: never */

        unsigned failures;  /* in a row */
        uint64_t retry_ns;  /* wall clock: no attempt before it */
        enum hif_err error; /* the last failure's */
        struct hif_why failure;
};

/* --- with the mutex held --- */

static bool usable(const struct aws_creds *creds, uint64_t now)
{
        return creds->have && !creds->refused &&
               (creds->current.expires_ns == 0 || now < creds->current.expires_ns);
}

static bool same_key(const struct aws_key *a, const struct aws_key *b)
{
        return strcmp(a->access_key_id, b->access_key_id) == 0 &&
               strcmp(a->secret_access_key, b->secret_access_key) == 0 &&
               strcmp(a->session_token, b->session_token) == 0;
}

static void take_failure(struct aws_creds *creds, enum hif_err err, const struct hif_why *why)
{
        unsigned shift = creds->failures < PAUSE_SHIFT_MAX ? creds->failures : PAUSE_SHIFT_MAX;
        uint64_t pause = NS_PER_S << shift;

        creds->failures++;
        creds->retry_ns =
            env_wall_ns(creds->env) + pause + env_random_u64(creds->env) % (pause / 4);
        creds->error = err;
        creds->failure = *why;
        log_line(creds->env->log, LOG_WARN, "store", "credentials: %s", why->text);
}

/* When to fetch again: ahead of the end, but not before half of what is left is over. */
static uint64_t refresh_time(uint64_t now, uint64_t expires)
{
        uint64_t half = now + (expires > now ? expires - now : 0) / 2;
        uint64_t ahead = expires > AHEAD_NS ? expires - AHEAD_NS : 0;

        if (expires == 0)
                return 0;
        return ahead > half ? ahead : half;
}

static void take_key(struct aws_creds *creds, struct aws_fetched *fetched)
{
        uint64_t now = env_wall_ns(creds->env);
        uint64_t generation = creds->current.key.generation;
        bool same = creds->have && same_key(&creds->current.key, &fetched->key);
        struct hif_why why;

        if (same && creds->refused && creds->failures == 0) { /* later it gets another chance */
                (void)why_set(&why, HIF_EDENIED,
                              "the store does not know the key from %s, or says that it has "
                              "expired, and there is no newer one: renew it, or see whether key "
                              "and endpoint belong together",
                              fetched->source);
                take_failure(creds, HIF_EDENIED, &why);
                return;
        }
        if (fetched->expires_ns != 0 && fetched->expires_ns <= now) {
                (void)why_set(&why, HIF_EDENIED,
                              "the credentials from %s have expired: renew them, and see that this "
                              "machine's clock is right",
                              fetched->source);
                take_failure(creds, HIF_EDENIED, &why);
                return;
        }
        creds->current = *fetched;
        creds->current.key.generation = same ? generation : generation + 1;
        creds->have = true;
        creds->refused = false;
        creds->failures = 0;
        creds->retry_ns = 0;
        creds->refresh_ns = refresh_time(now, fetched->expires_ns);
}

static void take_result(struct aws_creds *creds, enum hif_err err, struct aws_fetched *fetched,
                        const struct hif_why *why)
{
        creds->wanted = creds->fetching = false;
        if (err == HIF_OK)
                take_key(creds, fetched);
        else
                take_failure(creds, err, why);
}

/* --- fetching --- */

static bool stopped(void *arg)
{
        struct aws_creds *creds = arg;
        bool stop;

        pthread_mutex_lock(&creds->mutex);
        stop = creds->stop;
        pthread_mutex_unlock(&creds->mutex);
        return stop;
}

static enum hif_err run_chain(struct aws_creds *creds, bool near_only, struct aws_fetched *out,
                              struct hif_why *why)
{
        struct aws_chain chain = {.env = creds->env,
                                  .settings = creds->settings,
                                  .vars = &creds->vars,
                                  .near_only = near_only,
                                  .stopped = stopped,
                                  .arg = creds};

        why_set(why, HIF_OK, "unknown failure");
        return aws_chain_run(&chain, out, why);
}

/* Called and left with the mutex held. */
static void fetch(struct aws_creds *creds)
{
        struct aws_fetched fetched = {0};
        struct hif_why why;
        enum hif_err err;

        creds->fetching = true;
        pthread_mutex_unlock(&creds->mutex);
        err = run_chain(creds, false, &fetched, &why);
        pthread_mutex_lock(&creds->mutex);
        take_result(creds, err, &fetched, &why);
        OPENSSL_cleanse(&fetched, sizeof(fetched));
        pthread_mutex_unlock(&creds->mutex);
        if (creds->wake)
                creds->wake(creds->arg);
        pthread_mutex_lock(&creds->mutex);
}

/* When the thread has to do something by itself; UINT64_MAX: when it is asked. */
static uint64_t due(const struct aws_creds *creds)
{
        if (creds->wanted)
                return 0;
        if (!creds->have || creds->refused || creds->refresh_ns == 0)
                return UINT64_MAX;
        return creds->refresh_ns > creds->retry_ns ? creds->refresh_ns : creds->retry_ns;
}

static void *serve(void *arg)
{
        struct aws_creds *creds = arg;

        pthread_mutex_lock(&creds->mutex);
        while (!creds->stop) {
                uint64_t now = env_wall_ns(creds->env), when = due(creds);
                struct timespec until;

                if (when <= now) {
                        fetch(creds);
                        continue;
                }
                if (when == UINT64_MAX) {
                        pthread_cond_wait(&creds->change, &creds->mutex);
                        continue;
                }
                if (when > now + LOOK_NS)
                        when = now + LOOK_NS;
                until.tv_sec = (time_t)(when / NS_PER_S);
                until.tv_nsec = (long)(when % NS_PER_S);
                (void)pthread_cond_timedwait(&creds->change, &creds->mutex, &until);
        }
        pthread_mutex_unlock(&creds->mutex);
        return NULL;
}

/* Have the thread fetch; signals stay with the threads that wait for them. */
static enum hif_err want(struct aws_creds *creds)
{
        sigset_t all, old;
        int error = 0;

        creds->wanted = true;
        if (!creds->running) {
                sigfillset(&all);
                pthread_sigmask(SIG_SETMASK, &all, &old);
                error = pthread_create(&creds->thread, NULL, serve, creds);
                pthread_sigmask(SIG_SETMASK, &old, NULL);
                creds->running = error == 0;
        }
        pthread_cond_signal(&creds->change);
        if (error == 0)
                return HIF_OK;
        creds->wanted = false;
        return hif_err_from_errno(error);
}

/* --- for the store --- */

enum hif_err aws_creds_new(struct env *env, const struct aws_settings *settings,
                           const struct aws_vars *vars, void (*wake)(void *arg), void *arg,
                           struct aws_creds **out, struct hif_why *why)
{
        struct aws_creds *creds = calloc(1, sizeof(*creds));
        struct aws_fetched fetched = {0};
        struct hif_why failure;
        enum hif_err err;

        if (!creds)
                return why_set(why, HIF_ENOMEM, "out of memory");
        *creds = (struct aws_creds){
            .env = env, .settings = settings, .vars = *vars, .wake = wake, .arg = arg};
        pthread_mutex_init(&creds->mutex, NULL);
        pthread_cond_init(&creds->change, NULL);
        err = run_chain(creds, true, &fetched, &failure);
        pthread_mutex_lock(&creds->mutex);
        if (err == HIF_EAGAIN)
                err = want(creds);
        else
                take_result(creds, err, &fetched, &failure);
        pthread_mutex_unlock(&creds->mutex);
        OPENSSL_cleanse(&fetched, sizeof(fetched));
        *out = creds;
        return HIF_OK;
}

void aws_creds_free(struct aws_creds *creds)
{
        if (!creds)
                return;
        pthread_mutex_lock(&creds->mutex);
        creds->stop = true;
        pthread_cond_signal(&creds->change);
        pthread_mutex_unlock(&creds->mutex);
        if (creds->running)
                pthread_join(creds->thread, NULL);
        pthread_cond_destroy(&creds->change);
        pthread_mutex_destroy(&creds->mutex);
        OPENSSL_cleanse(creds, sizeof(*creds));
        free(creds);
}

static enum hif_err peek_locked(struct aws_creds *creds, struct aws_key *out, struct hif_why *why)
{
        const struct aws_key *key = &creds->current.key;
        uint64_t now = env_wall_ns(creds->env);
        enum hif_err err;

        if (usable(creds, now)) {
                if (out->generation == key->generation)
                        return HIF_OK;
                memcpy(out->access_key_id, key->access_key_id, sizeof(key->access_key_id));
                memcpy(out->secret_access_key, key->secret_access_key,
                       sizeof(key->secret_access_key));
                memcpy(out->session_token, key->session_token, sizeof(key->session_token));
                out->generation = key->generation;
                return HIF_OK;
        }
        if (creds->wanted || creds->fetching)
                return HIF_EAGAIN;
        if (creds->failures > 0 && now < creds->retry_ns)
                return why_set(why, HIF_EDENIED, "%s", creds->failure.text);
        err = want(creds);
        if (err != HIF_OK)
                return why_set(why, HIF_EDENIED, "cannot start a thread to fetch credentials: %s",
                               hif_strerror(err));
        return HIF_EAGAIN;
}

enum hif_err aws_creds_peek(struct aws_creds *creds, struct aws_key *out, struct hif_why *why)
{
        enum hif_err err;

        pthread_mutex_lock(&creds->mutex);
        err = peek_locked(creds, out, why);
        pthread_mutex_unlock(&creds->mutex);
        return err;
}

void aws_creds_expired(struct aws_creds *creds, uint64_t generation)
{
        pthread_mutex_lock(&creds->mutex);
        if (creds->have && !creds->refused && creds->current.key.generation == generation) {
                creds->refused = true;
                creds->failures = 0;
                creds->retry_ns = 0;
                (void)want(creds); /* if that fails, the next peek tries again and tells */
        }
        pthread_mutex_unlock(&creds->mutex);
}

void aws_creds_source(struct aws_creds *creds, char *out, size_t size)
{
        pthread_mutex_lock(&creds->mutex);
        snprintf(out, size, "%s", creds->have ? creds->current.source : "nowhere");
        pthread_mutex_unlock(&creds->mutex);
}
