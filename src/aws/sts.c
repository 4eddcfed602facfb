/* Where STS is: AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL, the profile's endpoints, else AWS's own in
 * the region. */
#include "aws/sts.h"

#include "aws/answer.h"
#include "aws/http.h"
#include "aws/sign.h"
#include "aws/wipe.h"

#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>

#define FORM_TYPE  "application/x-www-form-urlencoded; charset=utf-8"
#define HOST_SIZE  512
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

/* --- signing --- */

/* The headers of a signed request, as curl wants them; wiped when they are freed. */
struct signed_headers {
        struct buf date, token, authorization;
};

static void signed_free(struct signed_headers *headers)
{
        wipe_buf(&headers->date);
        wipe_buf(&headers->token);
        wipe_buf(&headers->authorization);
}

/* "host" or "host:port", as in the Host header, and the path. */
static bool split_url(const char *url, char host[HOST_SIZE], char path[HOST_SIZE])
{
        CURLU *parsed = curl_url();
        char *name = NULL, *port = NULL, *rest = NULL;
        bool good = parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
                    curl_url_get(parsed, CURLUPART_HOST, &name, 0) == CURLUE_OK &&
                    curl_url_get(parsed, CURLUPART_PATH, &rest, 0) == CURLUE_OK;

        if (good) {
                (void)curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT);
                good = snprintf(host, HOST_SIZE, "%s%s%s", name, port ? ":" : "",
                                port ? port : "") < HOST_SIZE &&
                       snprintf(path, HOST_SIZE, "%s", rest) < HOST_SIZE;
        }
        curl_free(name);
        curl_free(port);
        curl_free(rest);
        curl_url_cleanup(parsed);
        return good;
}

static enum hif_err sign(struct aws_chain *chain, const char *url, struct span form,
                         const struct aws_key *key, struct signed_headers *out)
{
        struct s3_secret secret = {key->access_key_id, key->secret_access_key, 1};
        struct s3_signer signer = {0};
        char host[HOST_SIZE], path[HOST_SIZE], hash[S3_HASH_SIZE], time[S3_TIME_SIZE];
        struct s3_header headers[] = {{"content-type", FORM_TYPE},
                                      {"host", host},
                                      {"x-amz-date", time},
                                      {"x-amz-security-token", key->session_token}};
        struct s3_to_sign what = {.method = "POST",
                                  .headers = headers,
                                  .header_count = key->session_token[0] ? 4 : 3,
                                  .payload_hash = hash,
                                  .time = time,
                                  .region = chain->settings->region,
                                  .service = "sts"};
        enum hif_err err;

        if (!split_url(url, host, path))
                return HIF_EINVAL;
        what.path = span_str(path);
        s3_sha256_hex(form, hash);
        s3_time(env_wall_ns(chain->env), time);
        buf_printf(&out->date, "X-Amz-Date: %s", time);
        buf_put_u8(&out->date, 0);
        if (key->session_token[0]) {
                buf_printf(&out->token, "X-Amz-Security-Token: %s", key->session_token);
                buf_put_u8(&out->token, 0);
        }
        buf_printf(&out->authorization, "Authorization: ");
        err = s3_sign(&signer, &secret, &what, &out->authorization);
        buf_put_u8(&out->authorization, 0);
        s3_signer_wipe(&signer);
        if (buf_failed(&out->date) || buf_failed(&out->token) || buf_failed(&out->authorization))
                return HIF_ENOMEM;
        return err;
}

/* --- asking --- */

static enum hif_err ask(struct aws_chain *chain, const char *url, struct span form,
                        const struct signed_headers *headers, struct aws_fetched *out,
                        struct hif_why *why)
{
        struct aws_http_req req = {.method = "POST",
                                   .url = url,
                                   .headers = {"Content-Type: " FORM_TYPE},
                                   .body = form,
                                   .timeout_ms = TIMEOUT_MS,
                                   .connect_ms = CONNECT_MS,
                                   .ca_bundle = chain->settings->ca_bundle,
                                   .stopped = chain->stopped,
                                   .arg = chain->arg};
        struct aws_http_answer answer = {0};
        struct hif_why reason;
        enum hif_err err = HIF_OK;

        if (headers->authorization.size > 0) {
                req.headers[1] = (const char *)headers->date.data;
                req.headers[2] = (const char *)headers->authorization.data;
                req.headers[3] = (const char *)headers->token.data; /* NULL: none */
        }
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

enum hif_err aws_sts_call(struct aws_chain *chain, struct span form, const struct aws_key *key,
                          struct aws_fetched *out, struct hif_why *why)
{
        CLEANUP(signed_free) struct signed_headers headers = {0};
        AUTO_FREE char *url = NULL;
        enum hif_err err = HIF_OK;

        if (find_url(chain, &url) < 0) {
                url = NULL;
                return why_set(why, HIF_ENOMEM, "out of memory");
        }
        if (key)
                err = sign(chain, url, form, key, &headers);
        if (err == HIF_EINVAL)
                return why_set(why, HIF_EDENIED, "%s: the endpoint of STS is no URL", out->source);
        if (err != HIF_OK)
                return why_set(why, err, "out of memory");
        return ask(chain, url, form, &headers, out, why);
}
