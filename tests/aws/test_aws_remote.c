/* Credentials from programs and servers: processes, containers, instance metadata, STS. */
#include "taws.h"
#include "thttp.h"

#include "aws/creds.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECRET "hunter2"

/* The server's side: what it was asked, and what it does. */
struct remote {
        struct taws *aws;
        struct thttp *server;
        pthread_mutex_t mutex;
        char asked[4000]; /* "METHOD TARGET\n" of each request */
        char last_body[4000];
        char last_head[4000];
        unsigned count;
        unsigned fail_first; /* so many requests get `fail_status` */
        int fail_status;
        int life_s;            /* of a key; 0: without end */
        const char *must_have; /* a header line, or 403 */
};

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

static int setup(void **state)
{
        struct remote *r = calloc(1, sizeof(*r));

        (void)taws_setup((void **)&r->aws);
        pthread_mutex_init(&r->mutex, NULL);
        r->server = thttp_new(answer, r);
        assert_non_null(r->server);
        *state = r;
        return 0;
}

static int teardown(void **state)
{
        struct remote *r = *state;

        thttp_free(r->server);
        (void)taws_teardown((void **)&r->aws);
        free(r);
        return 0;
}

/* Set a variable to this server's URL with a path behind it. */
static void set_url(struct remote *r, const char *name, const char *path)
{
        char url[200];

        snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", thttp_port(r->server), path);
        taws_set(r->aws, name, url);
}

static unsigned asked(struct remote *r)
{
        unsigned count;

        pthread_mutex_lock(&r->mutex);
        count = r->count;
        pthread_mutex_unlock(&r->mutex);
        return count;
}

/* From now on: this status for the first so many requests of all. */
static void fail_first(struct remote *r, unsigned count, int status)
{
        pthread_mutex_lock(&r->mutex);
        r->fail_first = count;
        r->fail_status = status;
        pthread_mutex_unlock(&r->mutex);
}

static struct aws_creds *open_creds(struct remote *r)
{
        struct aws_creds *creds = NULL;

        taws_load(r->aws);
        assert_int_equal(
            aws_creds_new(&r->aws->env, &r->aws->settings, &r->aws->vars, NULL, NULL, &creds, NULL),
            HIF_OK);
        return creds;
}

static enum hif_err wait_key(struct aws_creds *creds, struct aws_key *key, struct hif_why *why)
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

static void gives(struct remote *r, const char *id, const char *token)
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

static void refuses(struct remote *r, const char *says)
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

/* --- processes --- */

static void set_process(struct remote *r, const char *command)
{
        char text[2000];

        snprintf(text, sizeof(text), "[default]\ncredential_process = %s\n", command);
        taws_config(r->aws, text);
}

/* A program's output, with words as a shell takes them apart, and no shell. */
static void process_output_is_a_key(void **state)
{
        struct remote *r = *state;
        char command[500];

        taws_write(r->aws, "with blank",
                   "#!/bin/sh\n[ \"$1\" = 'one two' ] || exit 3\n[ \"$2\" = '$HOME' ] || exit 4\n"
                   "[ \"$3\" = 'a\"b' ] || exit 5\n[ \"$4\" = 'a b' ] || exit 6\n"
                   "[ $# = 5 ] || exit 7\n[ -z \"$(cat)\" ] || exit 8\necho noise >&2\n"
                   "echo '{\"Version\": 1, \"AccessKeyId\": \"P\", \"SecretAccessKey\":"
                   " \"" SECRET "\", \"SessionToken\": \"S\"}'\n",
                   0700);
        snprintf(command, sizeof(command), "\"%s/with blank\" 'one two' $HOME \"a\\\"b\" a\\ b ''",
                 r->aws->home);
        set_process(r, command);
        gives(r, "P", "S");
}

/* What can go wrong with it is told by the program's name, and never by what it printed. */
static void process_failures_are_told(void **state)
{
        struct remote *r = *state;

        set_process(r, "sh -c 'echo " SECRET "; echo " SECRET " >&2; exit 3'");
        refuses(r, "\"sh\" ended with exit code 3");
        set_process(r, "sh -c 'echo " SECRET "; kill -9 $$'");
        refuses(r, "\"sh\" ended with signal 9");
        set_process(r, "sh -c 'echo " SECRET "; kill -SYS $$'");
        refuses(r, "\"sh\" made a system call that the sandbox of the daemon's server refuses");
        set_process(r, "echo " SECRET);
        refuses(r, "gave no JSON object");
        set_process(r, "echo '{\"Version\": 2, \"AccessKeyId\": \"" SECRET "\"}'");
        refuses(r, "\"Version\": 1");
        set_process(r, "echo '{\"Version\": 1, \"AccessKeyId\": \"" SECRET "\"}'");
        refuses(r, "without AccessKeyId and SecretAccessKey");
        set_process(r, "echo '{\"Version\": 1, \"AccessKeyId\": \"A\", \"SecretAccessKey\":"
                       " \"" SECRET "\", \"Expiration\": \"" SECRET "\"}'");
        refuses(r, "Expiration is no time");
        set_process(r, "echo '{\"Version\": 1, \"AccessKeyId\": \"A\", \"SecretAccessKey\":"
                       " \"" SECRET "\", \"Expiration\": \"2020-01-01T00:00:00Z\"}'");
        refuses(r, "have expired");
        set_process(r, "/no/such/program " SECRET);
        refuses(r, "cannot run \"/no/such/program\"");
        set_process(r, "echo 'open " SECRET);
        refuses(r, "ends inside quotes");
        set_process(r, "''");
        refuses(r, "cannot run \"\"");
        set_process(r, "yes " SECRET);
        refuses(r, "printed more than");
}

/* As the daemon's server is, but for one call only. */
static void confine(void)
{
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

        assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* In the daemon a program may fail that works by hand: that is said. */
static void confined_process_failures_say_so(void **state)
{
        struct remote *r = *state;
        pid_t pid;
        int status;

        set_process(r, "sh -c 'exit 3'");
        refuses(r, "run it by hand to see what it says");
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                confine();
                refuses(r, "In the daemon it can gain no privileges");
                set_process(r, "unshare --uts true");
                refuses(r, "made a system call that the sandbox");
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

/* One that hangs does not keep the store from closing, and is not left behind. */
static void hanging_process_is_killed_at_the_end(void **state)
{
        struct remote *r = *state;
        struct aws_creds *creds;
        struct aws_key key = {0};
        uint64_t start;
        char command[300];
        char *pid_file = taws_path(r->aws, "pid");
        struct buf pid = {0};
        char proc[100];

        snprintf(command, sizeof(command), "sh -c 'echo $$ >%s; exec sleep 1000'", pid_file);
        set_process(r, command);
        creds = open_creds(r);
        assert_int_equal(aws_creds_peek(creds, &key, NULL), HIF_EAGAIN);
        for (int i = 0; i < 500 && access(pid_file, F_OK) != 0; i++)
                usleep(10000);
        usleep(50000);
        assert_int_equal(aws_creds_peek(creds, &key, NULL), HIF_EAGAIN);
        start = env_mono_ns(&r->aws->env);
        aws_creds_free(creds);
        assert_true(env_mono_ns(&r->aws->env) - start < UINT64_C(5000000000));
        assert_int_equal(env_read_file(&r->aws->env, pid_file, 100, &pid), HIF_OK);
        snprintf(proc, sizeof(proc), "/proc/%.*s", (int)pid.size - 1, (char *)pid.data);
        assert_int_not_equal(access(proc, F_OK), 0);
        buf_free(&pid);
        free(pid_file);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
            TEST(process_output_is_a_key),
            TEST(process_failures_are_told),
            TEST(confined_process_failures_say_so),
            TEST(hanging_process_is_killed_at_the_end),
            TEST(key_is_renewed_ahead),
            TEST(failing_renewal_is_told_at_the_end),
            TEST(waiting_is_ended_by_wake),
        };

        return cmocka_run_group_tests_name("aws_remote", tests, NULL, NULL);
}
