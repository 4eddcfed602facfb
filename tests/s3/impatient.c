#include "s3/impatient.h"

#include "store/s3/store_s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum hif_err key_of_environment(void *arg, struct aws_key *key, struct hif_why *why)
{
        const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");

        (void)arg;
        if (!id || !secret)
                return why_set(why, HIF_EDENIED, "no key in the environment");
        *key = (struct aws_key){.generation = 1};
        snprintf(key->access_key_id, sizeof(key->access_key_id), "%s", id);
        snprintf(key->secret_access_key, sizeof(key->secret_access_key), "%s", secret);
        return HIF_OK;
}

enum hif_err impatient_open(struct env *env, const char *url, uint64_t timeout_ms,
                            struct store **out, struct hif_why *why)
{
        struct s3_config config = {
            .url = url,
            .endpoint = getenv("AWS_ENDPOINT_URL"),
            .region = getenv("AWS_REGION"),
            .style = S3_STYLE_PATH,
            .limits = {.connect_ms = timeout_ms,
                       .answer_ms = timeout_ms,
                       .stall_s = (uint32_t)(timeout_ms / 1000 + 1)},
            .keys = {.peek = key_of_environment},
        };

        if (timeout_ms == 0 || strncmp(url, "s3:", 3) != 0)
                return store_open(env, url, true, out, why);
        return store_s3_new(env, &config, out, why);
}
