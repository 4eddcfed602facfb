/* Credentials from servers: containers, instance metadata, STS; and for how long they are kept. */
#include "remote.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- containers --- */

/* The endpoint is asked with the token that is set; a token file goes before, and is trimmed. */
static void container_is_asked_with_its_token(void **state)
{
        struct remote *r = *state;
        char *file = taws_path(r->aws, "token");

        set_url(r, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/creds?a=b");
        gives(r, "KEY1", "token");
        assert_string_equal(r->asked, "GET /creds?a=b\n");
        r->must_have = "authorization: in the variable";
        taws_set(r->aws, "AWS_CONTAINER_AUTHORIZATION_TOKEN", "in the variable");
        gives(r, "KEY2", "token");
        r->must_have = "authorization: in the file";
        refuses(r, "HTTP status 403");
        taws_write(r->aws, "token", "in the file\n", 0600);
        taws_set(r->aws, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file);
        gives(r, "KEY4", "token");
        taws_write(r->aws, "token", "two\nlines", 0600);
        refuses(r, "holds a line break");
        taws_write(r->aws, "token", "\n", 0600);
        refuses(r, "there is no token in ");
        taws_set(r->aws, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nowhere");
        refuses(r, "cannot read the token in /nowhere");
        free(file);
}

/* Credentials do not travel in the clear to another machine. */
static void container_has_to_be_near(void **state)
{
        static const char *const far[] = {"http://10.0.0.1/",
                                          "http://example.org/",
                                          "http://127.0.0.1.example.org/",
                                          "http://169.254.170.3/",
                                          "ftp://127.0.0.1/",
                                          "http://[fe80::1]/",
                                          "127.0.0.1",
                                          "http:"};
        struct remote *r = *state;

        for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
                taws_set(r->aws, "AWS_CONTAINER_CREDENTIALS_FULL_URI", far[i]);
                refuses(r, "AWS_CONTAINER_CREDENTIALS_FULL_URI has to be");
        }
        taws_set(r->aws, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "no-slash");
        refuses(r, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI has to start");
        assert_int_equal(asked(r), 0);
}

/* What may be over in a moment is tried again; what is refused is not. */
static void container_errors_are_repeated(void **state)
{
        struct remote *r = *state;

        set_url(r, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
        fail_first(r, 2, 500);
        gives(r, "KEY3", "token");
        fail_first(r, 1000, 404);
        refuses(r, "HTTP status 404");
        assert_int_equal(asked(r), 4);
        fail_first(r, 1000, 0);
        refuses(r, "the container's credentials endpoint does not answer");
        assert_int_equal(asked(r), 7);
}

/* --- instance metadata --- */

/* Version 2: a token, the role, its key; nothing is asked without the token. */
static void imds_is_asked_with_a_token(void **state)
{
        struct remote *r = *state;

        taws_set(r->aws, "AWS_EC2_METADATA_DISABLED", NULL);
        set_url(r, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "/");
        gives(r, "KEY3", "token");
        assert_string_equal(r->asked, "PUT /latest/api/token\n"
                                      "GET /latest/meta-data/iam/security-credentials/\n"
                                      "GET /latest/meta-data/iam/security-credentials/role-one\n");
}

/* A machine without the service, and one that forbids it, have no credentials, and say so. */
static void imds_absent_is_told(void **state)
{
        struct remote *r = *state;

        refuses(r, "AWS_EC2_METADATA_DISABLED is true");
        assert_int_equal(asked(r), 0);
        taws_set(r->aws, "AWS_EC2_METADATA_DISABLED", NULL);
        taws_set(r->aws, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
        refuses(r, "no instance metadata at http://127.0.0.1:1: ");
        set_url(r, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "");
        fail_first(r, 1, 403);
        refuses(r, "the instance metadata service answers with status 403");
        fail_first(r, 1000, 500);
        refuses(r, "status 500");
}

/* --- STS --- */

/* The file's token is exchanged for the role's key, in the body and not in the URL. */
static void web_identity_is_exchanged(void **state)
{
        struct remote *r = *state;
        char *file = taws_path(r->aws, "jwt");

        taws_write(r->aws, "jwt", "header.payload+/=\n", 0600);
        taws_set(r->aws, "AWS_WEB_IDENTITY_TOKEN_FILE", file);
        refuses(r, "but AWS_ROLE_ARN is not");
        taws_set(r->aws, "AWS_ROLE_ARN", "arn:aws:iam::1:role/x");
        taws_set(r->aws, "AWS_ROLE_SESSION_NAME", "me");
        set_url(r, "AWS_ENDPOINT_URL_STS", "/");
        r->life_s = 3600;
        gives(r, "STS", "a&b");
        assert_string_equal(r->asked, "POST /\n");
        assert_string_equal(r->last_body,
                            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn="
                            "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx&RoleSessionName=me&"
                            "WebIdentityToken=header.payload%2B%2F%3D");
        fail_first(r, 1000, 400);
        refuses(r, "STS refuses with AccessDenied (HTTP status 400)");
        free(file);
}

/* A profile may name token and role, too. */
static void profile_has_a_web_identity(void **state)
{
        struct remote *r = *state;
        char text[500];

        taws_write(r->aws, "jwt", "token", 0600);
        snprintf(text, sizeof(text),
                 "[profile w]\nrole_arn = arn:x\nweb_identity_token_file = %s/jwt\n", r->aws->home);
        taws_config(r->aws, text);
        taws_set(r->aws, "AWS_PROFILE", "w");
        set_url(r, "AWS_ENDPOINT_URL", "");
        r->life_s = 3600;
        gives(r, "STS", "a&b");
        assert_non_null(strstr(r->last_body, "RoleArn=arn%3Ax&RoleSessionName=hif-"));
}

static void head_has(struct remote *r, const char *text)
{
        if (!strstr(r->last_head, text))
                fail_msg("\"%s\" should be in: %s", text, r->last_head);
}

/* A role is taken on with another profile's keys, in a signed request; and that role may be the
 * source of another. */
static void role_is_taken_on_with_other_keys(void **state)
{
        struct remote *r = *state;

        taws_config(r->aws,
                    "[profile role]\nrole_arn = arn:x\nsource_profile = keys\nexternal_id = e\n"
                    "region = eu-west-1\n"
                    "[profile twice]\nrole_arn = arn:y\nsource_profile = role\n"
                    "role_session_name = me\nduration_seconds = 900\n"
                    "[profile place]\nrole_arn = arn:z\ncredential_source = EcsContainer\n");
        taws_credentials(r->aws,
                         "[keys]\naws_access_key_id = K\naws_secret_access_key = " SECRET "\n");
        set_url(r, "AWS_ENDPOINT_URL_STS", "");
        r->life_s = 3600;
        taws_set(r->aws, "AWS_PROFILE", "role");
        gives(r, "STS", "a&b");
        assert_non_null(strstr(r->last_body, "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Ax&"
                                             "RoleSessionName=hif-"));
        assert_non_null(strstr(r->last_body, "&ExternalId=e"));
        head_has(r, "authorization: AWS4-HMAC-SHA256 Credential=K/");
        head_has(r, "/eu-west-1/sts/aws4_request");
        head_has(r, "SignedHeaders=content-type;host;x-amz-date,");
        assert_null(strstr(r->last_head, "x-amz-security-token"));
        taws_set(r->aws, "AWS_PROFILE", "twice");
        gives(r, "STS", "a&b");
        assert_int_equal(asked(r), 3);
        assert_non_null(strstr(r->last_body, "RoleArn=arn%3Ay&RoleSessionName=me&"
                                             "DurationSeconds=900"));
        head_has(r, "Credential=STS/");
        head_has(r, "x-amz-security-token: a&b");
        taws_set(r->aws, "AWS_PROFILE", "place");
        set_url(r, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/creds");
        gives(r, "STS", "a&b");
        head_has(r, "Credential=KEY4/");
}

/* What is missing or cannot be done is told with the profile's name. */
static void role_failures_are_told(void **state)
{
        static const char *const cases[][2] = {
            {"role_arn = a", "neither source_profile nor credential_source"},
            {"role_arn = a\nsource_profile = none", "\"none\", which is not there"},
            {"role_arn = a\nsource_profile = empty", "neither keys nor credential_process"},
            {"role_arn = a\ncredential_source = Moon", "may be Environment, EcsContainer or Ec2"},
            {"role_arn = a\ncredential_source = Environment", "Environment, where there are none"},
            {"role_arn = a\nsource_profile = b\nmfa_serial = m", "a device (mfa_serial); make"},
            {"role_arn = a\nsource_profile = loop", "through more than 5 roles"},
            {"sso_session = s",
             "credential_process = aws configure export-credentials --profile p"},
        };
        struct remote *r = *state;
        char text[1000];

        taws_set(r->aws, "AWS_PROFILE", "p");
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                snprintf(text, sizeof(text),
                         "[profile p]\n%s\n[profile empty]\nx = y\n[profile b]\nx = y\n"
                         "[profile loop]\nrole_arn = l\nsource_profile = pool\n"
                         "[profile pool]\nrole_arn = m\nsource_profile = loop\n",
                         cases[i][0]);
                taws_config(r->aws, text);
                refuses(r, cases[i][1]);
        }
        assert_int_equal(asked(r), 0);
        taws_config(r->aws, "[profile p]\nrole_arn = a\nsource_profile = p\n"
                            "aws_access_key_id = K\naws_secret_access_key = " SECRET "\n");
        set_url(r, "AWS_ENDPOINT_URL_STS", "");
        fail_first(r, 1000, 403);
        refuses(r, "the role of profile \"p\": STS refuses with AccessDenied (HTTP status 403)");
}

/* --- time --- */

/* A key that expires is fetched anew before that, and the old one is handed out meanwhile. */
static void key_is_renewed_ahead(void **state)
{
        struct remote *r = *state;
        struct aws_creds *creds;
        struct aws_key key = {0};
        struct hif_why why = {0};
        uint64_t start = env_mono_ns(&r->aws->env);

        r->life_s = 4;
        set_url(r, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
        creds = open_creds(r);
        assert_int_equal(wait_key(creds, &key, &why), HIF_OK);
        assert_string_equal(key.access_key_id, "KEY1");
        while (strcmp(key.access_key_id, "KEY2") != 0) {
                assert_int_equal(aws_creds_peek(creds, &key, &why), HIF_OK);
                usleep(10000);
                assert_true(env_mono_ns(&r->aws->env) - start < UINT64_C(20000000000));
        }
        aws_creds_free(creds);
}

/* While it cannot be renewed, the old key is used to its end; then the reason is told; and a later
 * call tries again. */
static void failing_renewal_is_told_at_the_end(void **state)
{
        struct remote *r = *state;
        struct aws_creds *creds;
        struct aws_key key = {0};
        struct hif_why why = {0};
        enum hif_err err;

        r->life_s = 3;
        set_url(r, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
        creds = open_creds(r);
        assert_int_equal(wait_key(creds, &key, &why), HIF_OK);
        fail_first(r, 1000000, 403);
        for (int i = 0; i < 1000; i++) {
                err = aws_creds_peek(creds, &key, &why);
                if (err == HIF_EDENIED)
                        break;
                usleep(10000);
        }
        assert_int_equal(err, HIF_EDENIED);
        assert_non_null(strstr(why.text, "HTTP status 403"));
        assert_true(asked(r) < 20); /* with pauses */
        pthread_mutex_lock(&r->mutex);
        r->fail_first = 0;
        r->life_s = 100;
        pthread_mutex_unlock(&r->mutex);
        for (int i = 0; i < 3000 && err != HIF_OK; i++) {
                usleep(10000);
                err = aws_creds_peek(creds, &key, &why);
        }
        assert_int_equal(err, HIF_OK);
        aws_creds_free(creds);
}

struct woken {
        pthread_mutex_t mutex;
        pthread_cond_t change;
        unsigned count;
};

static void wake(void *arg)
{
        struct woken *woken = arg;

        pthread_mutex_lock(&woken->mutex);
        woken->count++;
        pthread_cond_signal(&woken->change);
        pthread_mutex_unlock(&woken->mutex);
}

/* Whoever was told to wait is woken when there is something to see, good or bad. */
static void waiting_is_ended_by_wake(void **state)
{
        struct remote *r = *state;
        struct woken woken = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                              .change = PTHREAD_COND_INITIALIZER};
        struct aws_creds *creds = NULL;
        struct aws_key key = {0};
        struct hif_why why = {0};

        fail_first(r, 1, 403);
        set_url(r, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
        taws_load(r->aws);
        assert_int_equal(aws_creds_new(&r->aws->env, &r->aws->settings, &r->aws->vars, wake, &woken,
                                       &creds, NULL),
                         HIF_OK);
        for (unsigned round = 1; round <= 2; round++) {
                enum hif_err err = aws_creds_peek(creds, &key, &why);

                while (round == 2 && err == HIF_EDENIED) { /* the pause after the failure */
                        usleep(10000);
                        err = aws_creds_peek(creds, &key, &why);
                }
                pthread_mutex_lock(&woken.mutex);
                while (woken.count < round)
                        pthread_cond_wait(&woken.change, &woken.mutex);
                pthread_mutex_unlock(&woken.mutex);
                assert_int_equal(aws_creds_peek(creds, &key, &why),
                                 round == 1 ? HIF_EDENIED : HIF_OK);
        }
        aws_creds_free(creds);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, remote_setup, remote_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(container_is_asked_with_its_token),
            TEST(container_has_to_be_near),
            TEST(container_errors_are_repeated),
            TEST(imds_is_asked_with_a_token),
            TEST(imds_absent_is_told),
            TEST(web_identity_is_exchanged),
            TEST(profile_has_a_web_identity),
            TEST(role_is_taken_on_with_other_keys),
            TEST(role_failures_are_told),
            TEST(key_is_renewed_ahead),
            TEST(failing_renewal_is_told_at_the_end),
            TEST(waiting_is_ended_by_wake),
        };

        return cmocka_run_group_tests_name("aws_remote", tests, NULL, NULL);
}
