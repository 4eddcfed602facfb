/* The endpoint that container services (ECS, EKS and others) give to what runs in them. */
#include "aws/answer.h"
#include "aws/http.h"
#include "aws/wipe.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>

#define HOST       "http://169.254.170.2"
#define TIMEOUT_MS 2000
#define ATTEMPTS   3
#define PAUSE_MS   200
#define TOKEN_MAX  AWS_TOKEN_SIZE

/* The URL that is set; a secret must not go to another machine in the clear. */
static enum hif_err find_url(struct aws_chain *chain, char **out, struct hif_why *why)
{
        const char *path = aws_var(chain->vars, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        const char *full = aws_var(chain->vars, "AWS_CONTAINER_CREDENTIALS_FULL_URI");

        if (!path && !full) {
                aws_tried(chain, "AWS_CONTAINER_CREDENTIALS_FULL_URI is not set");
                return HIF_ENOENT;
        }
        if (path) {
                if (path[0] != '/')
                        return why_set(why, HIF_EDENIED,
                                       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI has to start "
                                       "with a \"/\"");
                return asprintf(out, HOST "%s", path) < 0 ? HIF_ENOMEM : HIF_OK;
        }
        if (strncasecmp(full, "https://", 8) != 0 &&
            !(strncasecmp(full, "http://", 7) == 0 && aws_http_is_near(full)))
                return why_set(why, HIF_EDENIED,
                               "AWS_CONTAINER_CREDENTIALS_FULL_URI has to be an https URL, or an "
                               "http one of this machine (127.0.0.1, [::1], localhost, "
                               "169.254.170.2, 169.254.170.23, [fd00:ec2::23])");
        *out = strdup(full);
        return *out ? HIF_OK : HIF_ENOMEM;
}

/* "Authorization: ..."; NULL when no token is set. A file's is read each time: it changes. */
static enum hif_err find_token(struct aws_chain *chain, char **out, struct hif_why *why)
{
        const char *token = aws_var(chain->vars, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
        const char *file = aws_var(chain->vars, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        AUTO_WIPE char *read = NULL;

        if (file) {
                enum hif_err err = aws_token_read(chain->env, file, &read, why);

                if (err != HIF_OK)
                        return err;
                token = read;
        }
        if (!token)
                return HIF_OK;
        if (strpbrk(token, "\r\n"))
                return why_set(why, HIF_EDENIED, "%s holds a line break",
                               file ? file : "AWS_CONTAINER_AUTHORIZATION_TOKEN");
        if (asprintf(out, "Authorization: %s", token) >= 0)
                return HIF_OK;
        *out = NULL;
        return HIF_ENOMEM;
}

static bool worth_repeating(enum hif_err err, long status)
{
        return err == HIF_EUNREACHABLE || (err == HIF_OK && status >= 500);
}

static enum hif_err ask(struct aws_chain *chain, const char *url, const char *authorization,
                        struct aws_fetched *out, struct hif_why *why)
{
        struct aws_http_req req = {.method = "GET",
                                   .url = url,
                                   .headers = {"Accept: application/json", authorization},
                                   .timeout_ms = TIMEOUT_MS,
                                   .connect_ms = TIMEOUT_MS,
                                   .direct = strncasecmp(url, "http:", 5) == 0,
                                   .ca_bundle = chain->settings->ca_bundle,
                                   .stopped = chain->stopped,
                                   .arg = chain->arg};
        struct aws_http_answer answer = {0};
        struct hif_why reason;
        enum hif_err err = HIF_OK;

        for (int i = 0; i < ATTEMPTS; i++) {
                if (i > 0)
                        (void)poll(NULL, 0, PAUSE_MS);
                wipe_buf(&answer.body);
                err = aws_http(&req, &answer, &reason);
                if (!worth_repeating(err, answer.status))
                        break;
        }
        if (err == HIF_ECANCELED || err == HIF_ENOMEM)
                err = why_set(why, err, "%s", reason.text);
        else if (err != HIF_OK)
                err = why_set(why, HIF_EDENIED, "%s does not answer: %s", out->source, reason.text);
        else if (answer.status != 200)
                err = why_set(why, HIF_EDENIED, "%s answers with HTTP status %ld", out->source,
                              answer.status);
        else
                err = aws_json_key(buf_span(&answer.body), "Token", false, out, why);
        wipe_buf(&answer.body);
        return err;
}

enum hif_err aws_from_container(struct aws_chain *chain, struct aws_fetched *out,
                                struct hif_why *why)
{
        AUTO_WIPE char *authorization = NULL;
        AUTO_FREE char *url = NULL;
        enum hif_err err = find_url(chain, &url, why);

        if (err == HIF_OK && chain->near_only)
                return HIF_EAGAIN;
        if (err == HIF_OK)
                err = find_token(chain, &authorization, why);
        if (err == HIF_ENOMEM)
                return why_set(why, err, "out of memory");
        if (err != HIF_OK)
                return err;
        snprintf(out->source, sizeof(out->source), "the container's credentials endpoint");
        return ask(chain, url, authorization, out, why);
}
