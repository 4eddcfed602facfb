#include "ts3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum hif_err peek(void *arg, struct aws_key *key, struct hif_why *why)
{
        struct ts3 *s3 = arg;
        enum hif_err result = __atomic_load_n(&s3->key_result, __ATOMIC_SEQ_CST);

        __atomic_add_fetch(&s3->keys_asked, 1, __ATOMIC_SEQ_CST);
        if (result)
                return why_set(why, result, "there is no key; find one");
        snprintf(key->access_key_id, sizeof(key->access_key_id), "AKID%llu",
                 (unsigned long long)s3->key_generation);
        snprintf(key->secret_access_key, sizeof(key->secret_access_key), TS3_SECRET);
        key->generation = s3->key_generation;
        return HIF_OK;
}

static void expired(void *arg, uint64_t generation)
{
        struct ts3 *s3 = arg;

        s3->keys_expired++;
        s3->expired_generation = generation;
        s3->key_generation++;
}

int ts3_setup(void **state)
{
        struct ts3 *s3 = calloc(1, sizeof(*s3));

        assert_non_null(s3);
        s3->env = env_system(NULL);
        s3->server = tserver_start();
        s3->key_generation = 1;
        s3->config = (struct s3_config){
            .url = "s3://bucket/pre",
            .endpoint = tserver_url(s3->server),
            .region = "eu-central-1",
            .patience_ms = 400,
            .limits = {.connect_ms = 300, .answer_ms = 300, .stall_s = 1},
            .keys = {.peek = peek, .expired = expired, .arg = s3},
        };
        *state = s3;
        return 0;
}

void ts3_open(struct ts3 *s3)
{
        struct hif_why why = {.text = ""};

        if (store_s3_new(&s3->env, &s3->config, &s3->store, &why) != HIF_OK)
                fail_msg("%s", why.text);
}

int ts3_teardown(void **state)
{
        struct ts3 *s3 = *state;

        store_close(s3->store);
        tserver_stop(s3->server);
        free(s3);
        return 0;
}

enum hif_err ts3_run(struct ts3 *s3, enum store_op op, const char *key, struct store_req *out)
{
        /* Small, so that the time to wait for an answer is the limit's alone. */
        struct store_req req = {.op = op, .key = key, .size_max = 1000};

        if (!s3->store)
                ts3_open(s3);
        if (op == STORE_PUT || op == STORE_PUT_NEW || op == STORE_PUT_MATCH)
                req.body = span_str("body");
        if (op == STORE_PUT_MATCH)
                strcpy(req.match.text, "tag-1");
        if (op == STORE_LIST) {
                req.prefix = key;
                req.key = NULL;
        }
        store_run(s3->store, &req, 1);
        if (out)
                *out = req;
        else
                store_req_free(&req);
        return req.result;
}
