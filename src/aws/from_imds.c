/* The metadata service of EC2's machines, version 2: a token first, and then the credentials of the
 * role that the machine has. Version 1, which answers whoever asks, is not used. */
#include "aws/answer.h"
#include "aws/http.h"
#include "aws/wipe.h"

#include <stdio.h>
#include <strings.h>

#define IPV4         "http://169.254.169.254"
#define IPV6         "http://[fd00:ec2::254]"
#define ROLES        "/latest/meta-data/iam/security-credentials/"
#define TTL          "X-aws-ec2-metadata-token-ttl-seconds: 21600"
#define ROLE_MAX     128u
#define TIMEOUT_S    1
#define SECONDS_MAX  60
#define TOKEN_HEADER "X-aws-ec2-metadata-token: "

struct imds {
        struct aws_chain *chain;
        const char *endpoint;
        long timeout_ms;
        char token[512]; /* the header */
};

static const char *setting(struct aws_chain *chain, const char *variable, const char *key)
{
        const char *value = aws_var(chain->vars, variable);

        return value ? value : aws_profiles_get(&chain->profiles, chain->settings->profile, key);
}

static const char *find_endpoint(struct aws_chain *chain)
{
        const char *url =
            setting(chain, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint");
        const char *mode = setting(chain, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
                                   "ec2_metadata_service_endpoint_mode");

        if (url && url[0])
                return url;
        return mode && strcasecmp(mode, "ipv6") == 0 ? IPV6 : IPV4;
}

static long find_timeout(struct aws_chain *chain)
{
        const char *text =
            setting(chain, "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout");
        long seconds = text ? strtol(text, NULL, 10) : 0;

        return 1000 * (seconds > 0 && seconds <= SECONDS_MAX ? seconds : TIMEOUT_S);
}

static enum hif_err ask(const struct imds *imds, const char *method, const char *path,
                        const char *header, struct aws_http_answer *answer, struct hif_why *why)
{
        size_t size = strlen(imds->endpoint);
        AUTO_FREE char *url = NULL;
        struct aws_http_req req = {.method = method,
                                   .headers = {header},
                                   .timeout_ms = imds->timeout_ms,
                                   .connect_ms = imds->timeout_ms,
                                   .direct = true,
                                   .stopped = imds->chain->stopped,
                                   .arg = imds->chain->arg};

        while (size > 0 && imds->endpoint[size - 1] == '/')
                size--;
        if (asprintf(&url, "%.*s%s", (int)size, imds->endpoint, path) < 0) {
                url = NULL;
                return why_set(why, HIF_ENOMEM, "out of memory");
        }
        req.url = url;
        return aws_http(&req, answer, why);
}

/* Sets imds->token. HIF_ENOENT: there is no such service here. */
static enum hif_err get_token(struct imds *imds, struct hif_why *why)
{
        struct aws_http_answer answer = {0};
        enum hif_err err = ask(imds, "PUT", "/latest/api/token", TTL, &answer, why);

        if (err == HIF_EUNREACHABLE || err == HIF_ELIMIT) {
                aws_tried(imds->chain, "no instance metadata at %.100s: %.200s", imds->endpoint,
                          why->text);
                err = HIF_ENOENT;
        } else if (err == HIF_OK && answer.status != 200) {
                aws_tried(imds->chain, "the instance metadata service answers with status %ld",
                          answer.status);
                err = HIF_ENOENT;
        } else if (err == HIF_OK) {
                buf_put_u8(&answer.body, 0);
                if (buf_failed(&answer.body) || answer.body.size > sizeof(imds->token) / 2 ||
                    strpbrk((const char *)answer.body.data, "\r\n "))
                        err = why_set(why, HIF_EDENIED,
                                      "the instance metadata service gives no usable token");
                else
                        snprintf(imds->token, sizeof(imds->token), TOKEN_HEADER "%s",
                                 (const char *)answer.body.data);
        }
        wipe_buf(&answer.body);
        return err;
}

/* The first role of the list; it becomes part of a path. */
static bool take_role(struct span body, char role[ROLE_MAX])
{
        size_t size = 0;

        while (size < body.size && body.data[size] != '\n' && body.data[size] != '\r')
                size++;
        if (size == 0 || size >= ROLE_MAX)
                return false;
        memcpy(role, body.data, size);
        role[size] = '\0';
        return strspn(role, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                            "0123456789_+=,.@-") == size;
}

static enum hif_err get_role(struct imds *imds, char role[ROLE_MAX], struct hif_why *why)
{
        struct aws_http_answer answer = {0};
        struct hif_why reason;
        enum hif_err err = ask(imds, "GET", ROLES, imds->token, &answer, &reason);

        if (err == HIF_OK && answer.status == 404) {
                aws_tried(imds->chain, "this machine has no role");
                err = HIF_ENOENT;
        } else if (err == HIF_OK && answer.status != 200) {
                err = why_set(why, HIF_EDENIED,
                              "the instance metadata service answers with status %ld when asked "
                              "for roles",
                              answer.status);
        } else if (err == HIF_OK && !take_role(buf_span(&answer.body), role)) {
                err = why_set(why, HIF_EDENIED,
                              "the instance metadata service names no role that can be one");
        } else if (err != HIF_OK) {
                err = why_set(why, err == HIF_EUNREACHABLE ? HIF_EDENIED : err,
                              "the instance metadata service: %s", reason.text);
        }
        buf_free(&answer.body);
        return err;
}

static enum hif_err get_key(struct imds *imds, const char *role, struct aws_fetched *out,
                            struct hif_why *why)
{
        struct aws_http_answer answer = {0};
        struct hif_why reason;
        char path[sizeof(ROLES) + ROLE_MAX];
        enum hif_err err;

        snprintf(path, sizeof(path), ROLES "%s", role);
        snprintf(out->source, sizeof(out->source), "the instance metadata of role %s", role);
        err = ask(imds, "GET", path, imds->token, &answer, &reason);
        if (err != HIF_OK)
                err = why_set(why, err == HIF_EUNREACHABLE ? HIF_EDENIED : err, "%s: %s",
                              out->source, reason.text);
        else if (answer.status != 200)
                err = why_set(why, HIF_EDENIED, "%s: HTTP status %ld", out->source, answer.status);
        else
                err = aws_json_key(buf_span(&answer.body), "Token", false, out, why);
        wipe_buf(&answer.body);
        return err;
}

enum hif_err aws_from_imds(struct aws_chain *chain, struct aws_fetched *out, struct hif_why *why)
{
        const char *disabled = aws_var(chain->vars, "AWS_EC2_METADATA_DISABLED");
        struct imds imds = {.chain = chain};
        char role[ROLE_MAX];
        enum hif_err err;

        if (disabled && strcasecmp(disabled, "true") == 0) {
                aws_tried(chain, "AWS_EC2_METADATA_DISABLED is true");
                return HIF_ENOENT;
        }
        if (chain->near_only)
                return HIF_EAGAIN;
        imds.endpoint = find_endpoint(chain);
        imds.timeout_ms = find_timeout(chain);
        err = get_token(&imds, why);
        if (err == HIF_OK)
                err = get_role(&imds, role, why);
        if (err == HIF_OK)
                err = get_key(&imds, role, out, why);
        OPENSSL_cleanse(imds.token, sizeof(imds.token));
        return err;
}
