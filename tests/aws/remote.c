#include "remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void expiration(const struct remote *r, char *out, size_t size)
{
        time_t then = time(NULL) + r->life_s;
        struct tm tm;

        strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&then, &tm));
}

static void put_json(const struct remote *r, struct thttp_answer *out)
{
        char when[40], text[80] = "";

        expiration(r, when, sizeof(when));
        if (r->life_s > 0)
                snprintf(text, sizeof(text), ", \"Expiration\": \"%s\"", when);
        snprintf(
            out->body, sizeof(out->body),
            "{\"Code\": \"Success\", \"AccessKeyId\": \"KEY%u\", \"SecretAccessKey\": \"" SECRET
            "\", \"Token\": \"token\"%s}",
            r->count, text);
}

static void put_xml(const struct remote *r, struct thttp_answer *out)
{
        char when[40];

        expiration(r, when, sizeof(when));
        snprintf(out->body, sizeof(out->body),
                 "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/"
                 "2011-06-15/\"><AssumeRoleWithWebIdentityResult><Credentials>"
                 "<SessionToken>a&amp;b</SessionToken><SecretAccessKey>" SECRET
                 "</SecretAccessKey><Expiration>%s</Expiration><AccessKeyId>STS</AccessKeyId>"
                 "</Credentials></AssumeRoleWithWebIdentityResult>"
                 "</AssumeRoleWithWebIdentityResponse>",
                 when);
}

static void answer_one(struct remote *r, const struct thttp_request *request,
                       struct thttp_answer *out)
{
        if (r->count <= r->fail_first) {
                out->status = r->fail_status;
                snprintf(out->body, sizeof(out->body),
                         "<ErrorResponse><Error><Code>AccessDenied</Code><Message>" SECRET
                         "</Message></Error></ErrorResponse>");
        } else if (r->must_have && !thttp_has(request, r->must_have)) {
                out->status = 403;
        } else if (strcmp(request->target, "/latest/api/token") == 0) {
                out->status = strcmp(request->method, "PUT") == 0 ? 200 : 405;
                strcpy(out->body, "METATOKEN");
        } else if (strstr(request->target, "/security-credentials/") &&
                   !thttp_has(request, "x-aws-ec2-metadata-token: METATOKEN")) {
                out->status = 401;
        } else if (strcmp(request->target, "/latest/meta-data/iam/security-credentials/") == 0) {
                strcpy(out->body, "role-one\nrole-two");
        } else if (strcmp(request->method, "POST") == 0) {
                put_xml(r, out);
        } else {
                put_json(r, out);
        }
}

static void answer(void *arg, const struct thttp_request *request, struct thttp_answer *out)
{
        struct remote *r = arg;
        size_t size;

        pthread_mutex_lock(&r->mutex);
        r->count++;
        size = strlen(r->asked);
        snprintf(r->asked + size, sizeof(r->asked) - size, "%s %s\n", request->method,
                 request->target);
        snprintf(r->last_body, sizeof(r->last_body), "%s", request->body);
        snprintf(r->last_head, sizeof(r->last_head), "%s", request->head);
        answer_one(r, request, out);
        pthread_mutex_unlock(&r->mutex);
}

int remote_setup(void **state)
{
        struct remote *r = calloc(1, sizeof(*r));

        (void)taws_setup((void **)&r->aws);
        pthread_mutex_init(&r->mutex, NULL);
        r->server = thttp_new(answer, r);
        assert_non_null(r->server);
        *state = r;
        return 0;
}

int remote_teardown(void **state)
{
        struct remote *r = *state;

        thttp_free(r->server);
        (void)taws_teardown((void **)&r->aws);
        free(r);
        return 0;
}

void set_url(struct remote *r, const char *name, const char *path)
{
        char url[200];

        snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", thttp_port(r->server), path);
        taws_set(r->aws, name, url);
}

unsigned asked(struct remote *r)
{
        unsigned count;

        pthread_mutex_lock(&r->mutex);
        count = r->count;
        pthread_mutex_unlock(&r->mutex);
        return count;
}

void fail_first(struct remote *r, unsigned count, int status)
{
        pthread_mutex_lock(&r->mutex);
        r->fail_first = count;
        r->fail_status = status;
        pthread_mutex_unlock(&r->mutex);
}

struct aws_creds *open_creds(struct remote *r)
{
        struct aws_creds *creds = NULL;

        taws_load(r->aws);
        assert_int_equal(
            aws_creds_new(&r->aws->env, &r->aws->settings, &r->aws->vars, NULL, NULL, &creds, NULL),
            HIF_OK);
        return creds;
}

enum hif_err wait_key(struct aws_creds *creds, struct aws_key *key, struct hif_why *why)
{
        enum hif_err err;

        for (int i = 0; i < 3000; i++) {
                err = aws_creds_peek(creds, key, why);
                if (err != HIF_EAGAIN)
                        return err;
                usleep(10000);
        }
        fail_msg("the fetch does not end");
        return HIF_EAGAIN;
}

void gives(struct remote *r, const char *id, const char *token)
{
        struct aws_creds *creds = open_creds(r);
        struct aws_key key = {0};
        struct hif_why why = {0};

        if (wait_key(creds, &key, &why) != HIF_OK)
                fail_msg("there should be a key: %s", why.text);
        assert_string_equal(key.access_key_id, id);
        assert_string_equal(key.secret_access_key, SECRET);
        assert_string_equal(key.session_token, token);
        aws_creds_free(creds);
}

void refuses(struct remote *r, const char *says)
{
        struct aws_creds *creds = open_creds(r);
        struct aws_key key = {0};
        struct hif_why why = {0};

        assert_int_equal(wait_key(creds, &key, &why), HIF_EDENIED);
        if (!strstr(why.text, says))
                fail_msg("\"%s\" should say \"%s\"", why.text, says);
        if (strstr(why.text, SECRET))
                fail_msg("a secret is shown: %s", why.text);
        aws_creds_free(creds);
}
