/* Where STS is: AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL, the profile's endpoints, else AWS's own in
 * the region. */
#include "store/aws_sts.h"

#include "store/aws_answer.h"
#include "store/aws_http.h"
#include "store/aws_wipe.h"

#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>

#define TIMEOUT_MS 20000
#define CONNECT_MS 5000
#define ATTEMPTS   3
#define PAUSE_MS   300

static const char *given_endpoint(struct aws_chain *chain)
{
        const char *profile = chain->settings->profile;
        const char *ignore = aws_var(chain->vars, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
        const char *url = aws_var(chain->vars, "AWS_ENDPOINT_URL_STS");
        const char *services;

        if (!url)
                url = aws_var(chain->vars, "AWS_ENDPOINT_URL");
        if (url || (ignore && strcasecmp(ignore, "true") == 0))
                return url;
        services = aws_profiles_get(&chain->profiles, profile, "services");
        if (services)
                url = aws_profiles_section_get(&chain->profiles, "services", services,
                                               "sts.endpoint_url");
        if (!url)
                url = aws_profiles_get(&chain->profiles, profile, "endpoint_url");
        return url && url[0] ? url : NULL;
}

static int find_url(struct aws_chain *chain, char **out)
{
        const struct aws_settings *settings = chain->settings;
        const char *url = given_endpoint(chain);
        size_t size;

        if (!url && !settings->region_given)
                return asprintf(out, "https://sts.amazonaws.com/");
        if (!url)
                return asprintf(out, "https://sts.%s.amazonaws.com%s/", settings->region,
                                strncmp(settings->region, "cn-", 3) == 0 ? ".cn" : "");
        size = strlen(url);
        while (size > 0 && url[size - 1] == '/')
                size--;
        return asprintf(out, "%.*s/", (int)size, url);
}

void aws_form_put(struct buf *form, const char *name, const char *value)
{
        char *escaped = value ? curl_easy_escape(NULL, value, 0) : NULL;

        if (!value)
                return;
        if (!escaped) {
                form->failed = true;
                return;
        }
        buf_printf(form, "%s%s=%s", form->size > 0 ? "&" : "", name, escaped);
        OPENSSL_cleanse(escaped, strlen(escaped));
        curl_free(escaped);
}

void aws_session_name(struct aws_chain *chain, char out[AWS_SESSION_NAME_SIZE])
{
        snprintf(out, AWS_SESSION_NAME_SIZE, "hif-%llu",
                 (unsigned long long)(env_wall_ns(chain->env) / 1000000000));
}

static enum hif_err take_answer(const struct aws_http_answer *answer, struct aws_fetched *out,
                                struct hif_why *why)
{
        char code[AWS_STS_CODE_SIZE];

        if (answer->status == 200)
                return aws_sts_key(buf_span(&answer->body), out, why);
        aws_sts_error(buf_span(&answer->body), code);
        return why_set(why, HIF_EDENIED, "%s: STS refuses%s%s (HTTP status %ld)", out->source,
                       code[0] ? " with " : "", code, answer->status);
}

enum hif_err aws_sts_call(struct aws_chain *chain, struct span form, struct aws_fetched *out,
                          struct hif_why *why)
{
        AUTO_FREE char *url = NULL;
        struct aws_http_req req = {
            .method = "POST",
            .headers = {"Content-Type: application/x-www-form-urlencoded; charset=utf-8"},
            .body = form,
            .timeout_ms = TIMEOUT_MS,
            .connect_ms = CONNECT_MS,
            .ca_bundle = chain->settings->ca_bundle,
            .stopped = chain->stopped,
            .arg = chain->arg};
        struct aws_http_answer answer = {0};
        struct hif_why reason;
        enum hif_err err = HIF_OK;

        if (find_url(chain, &url) < 0) {
                url = NULL;
                return why_set(why, HIF_ENOMEM, "out of memory");
        }
        req.url = url;
        for (int i = 0; i < ATTEMPTS; i++) {
                if (i > 0)
                        (void)poll(NULL, 0, PAUSE_MS);
                wipe_buf(&answer.body);
                err = aws_http(&req, &answer, &reason);
                if (err != HIF_EUNREACHABLE && (err != HIF_OK || answer.status < 500))
                        break;
        }
        if (err == HIF_EUNREACHABLE || err == HIF_ELIMIT)
                err = why_set(why, HIF_EDENIED, "%s: STS does not answer: %s", out->source,
                              reason.text);
        else if (err != HIF_OK)
                err = why_set(why, err, "%s", reason.text);
        else
                err = take_answer(&answer, out, why);
        wipe_buf(&answer.body);
        return err;
}
