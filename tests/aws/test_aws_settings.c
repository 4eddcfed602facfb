/* What the environment and AWS's shared files say of region, endpoint and style. */
#include "taws.h"

#include "aws/ini.h"
#include "aws/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nothing set: AWS itself, in its first region, with the bucket in the host's name. */
static void nothing_set_is_aws(void **state)
{
        struct taws *aws = *state;

        taws_load(aws);
        assert_string_equal(aws->settings.profile, "default");
        assert_string_equal(aws->settings.region, "us-east-1");
        assert_false(aws->settings.region_given);
        assert_null(aws->settings.endpoint_url);
        assert_null(aws->settings.ca_bundle);
        assert_false(aws->settings.path_style);
}

/* The environment goes before the profile, and the name for S3 before that for all services. */
static void environment_goes_before_files(void **state)
{
        struct taws *aws = *state;

        taws_config(aws, "[default]\nregion = eu-west-1\nendpoint_url = http://file:1\n"
                         "ca_bundle = /file.pem\n");
        taws_load(aws);
        assert_string_equal(aws->settings.region, "eu-west-1");
        assert_true(aws->settings.region_given);
        assert_string_equal(aws->settings.endpoint_url, "http://file:1");
        assert_string_equal(aws->settings.ca_bundle, "/file.pem");
        taws_set(aws, "AWS_DEFAULT_REGION", "eu-west-2");
        taws_set(aws, "AWS_ENDPOINT_URL", "http://all:2/");
        taws_set(aws, "AWS_CA_BUNDLE", "/env.pem");
        taws_load(aws);
        assert_string_equal(aws->settings.region, "eu-west-2");
        assert_string_equal(aws->settings.endpoint_url, "http://all:2");
        assert_string_equal(aws->settings.ca_bundle, "/env.pem");
        taws_set(aws, "AWS_REGION", "eu-west-3");
        taws_set(aws, "AWS_ENDPOINT_URL_S3", "https://s3:3");
        taws_load(aws);
        assert_string_equal(aws->settings.region, "eu-west-3");
        assert_string_equal(aws->settings.endpoint_url, "https://s3:3");
}

/* An endpoint means path style, AWS virtual hosts, until someone says otherwise. */
static void style_follows_the_endpoint(void **state)
{
        struct taws *aws = *state;

        taws_set(aws, "AWS_ENDPOINT_URL", "http://127.0.0.1:9000");
        taws_load(aws);
        assert_true(aws->settings.path_style);
        taws_config(aws, "[default]\ns3 =\n    addressing_style = virtual\n");
        taws_load(aws);
        assert_false(aws->settings.path_style);
        taws_set(aws, "HIF_S3_ADDRESSING", "path");
        taws_load(aws);
        assert_true(aws->settings.path_style);
        taws_set(aws, "HIF_S3_ADDRESSING", "sideways");
        taws_load_fails(aws, HIF_EINVAL, "HIF_S3_ADDRESSING is \"sideways\"");
}

/* A profile is that of AWS_PROFILE; one that is not there is told with those that are. */
static void profile_is_the_named_one(void **state)
{
        struct taws *aws = *state;

        taws_config(aws, "[default]\nregion = eu-west-1\n[profile ci]\nregion = eu-west-2\n"
                         "services = local\n[profile \"two words\"]\nregion=eu-west-3\n"
                         "[services local]\ns3 =\n  endpoint_url = http://services:4\n");
        taws_credentials(aws, "[keys]\naws_access_key_id = A\naws_secret_access_key = B\n");
        taws_set(aws, "AWS_PROFILE", "ci");
        taws_load(aws);
        assert_string_equal(aws->settings.region, "eu-west-2");
        assert_string_equal(aws->settings.endpoint_url, "http://services:4");
        taws_set(aws, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        taws_load(aws);
        assert_null(aws->settings.endpoint_url);
        taws_set(aws, "AWS_PROFILE", "two words");
        taws_load(aws);
        assert_string_equal(aws->settings.region, "eu-west-3");
        taws_set(aws, "AWS_PROFILE", "keys");
        taws_load(aws);
        taws_set(aws, "AWS_PROFILE", "nobody");
        taws_load_fails(aws, HIF_ENOENT, "AWS_PROFILE names the profile \"nobody\"");
        taws_load_fails(aws, HIF_ENOENT, "/.aws/config");
        taws_load_fails(aws, HIF_ENOENT, "default, ci, two words, keys");
        taws_set(aws, "AWS_CONFIG_FILE", "~/elsewhere");
        taws_load_fails(aws, HIF_ENOENT, "/elsewhere (no such file)");
}

/* Values that make no sense are told by who gave them, and an endpoint never as it is: it might
 * hold a password. */
static void bad_values_name_their_source(void **state)
{
        struct taws *aws = *state;
        struct hif_why why = {0};
        struct aws_settings settings;

        taws_set(aws, "AWS_REGION", "eu west");
        taws_load_fails(aws, HIF_EINVAL, "AWS_REGION is \"eu west\"");
        taws_set(aws, "AWS_REGION", NULL);
        taws_set(aws, "AWS_ENDPOINT_URL", "localhost:9000");
        taws_load_fails(aws, HIF_EINVAL, "AWS_ENDPOINT_URL is no URL");
        taws_set(aws, "AWS_ENDPOINT_URL", "http://");
        taws_load_fails(aws, HIF_EINVAL, "AWS_ENDPOINT_URL is no URL");
        taws_set(aws, "AWS_ENDPOINT_URL", "http://me:SECRET@host");
        assert_int_equal(aws_settings_load(&aws->env, &aws->vars, NULL, &settings, &why),
                         HIF_EINVAL);
        assert_null(strstr(why.text, "SECRET"));
}

/* --- files --- */

static struct aws_ini *read_ini(struct taws *aws, const char *text)
{
        struct aws_ini *ini = NULL;
        struct hif_why why = {0};
        char *path = taws_path(aws, "ini");

        taws_write(aws, "ini", text, 0600);
        if (aws_ini_read(&aws->env, path, &ini, &why) != HIF_OK)
                fail_msg("it should be read: %s", why.text);
        free(path);
        return ini;
}

static void ini_is(const struct aws_ini *ini, const char *section, const char *key,
                   const char *value)
{
        const char *have = aws_ini_get(ini, section, key);

        if (value && have)
                assert_string_equal(have, value);
        else
                assert_ptr_equal(have, value);
}

/* The dialect: comments, blanks, '=' in values, empty values, the last one counts. */
static void ini_dialect(void **state)
{
        struct aws_ini *ini =
            read_ini(*state, "# comment\n; another\n\n[a]\nKey = v=1 # not a comment\r\nempty =\n"
                             "next = 2\n[b]\nkey=1\n[ a ]\nkey = last\n  \t\n");

        ini_is(ini, "a", "key", "last");
        ini_is(ini, "a", "empty", "");
        ini_is(ini, "a", "next", "2");
        ini_is(ini, "b", "key", "1");
        ini_is(ini, "b", "next", NULL);
        ini_is(ini, "c", "key", NULL);
        assert_true(aws_ini_has(ini, "a"));
        assert_false(aws_ini_has(ini, "c"));
        assert_string_equal(aws_ini_section(ini, 1), "b");
        assert_null(aws_ini_section(ini, 2));
        aws_ini_free(ini);
        ini = read_ini(*state, "[a]\nkey = v # text\n");
        ini_is(ini, "a", "key", "v # text");
        aws_ini_free(ini);
}

/* Indented lines below a setting without value are settings of their own, under its name; below
 * one with a value they go on with it. A section that is indented as a whole is just that. */
static void ini_nested(void **state)
{
        struct aws_ini *ini = read_ini(
            *state, "[a]\ns3 =\n  style = path\n  other = 1\nkey = 2\nlong = one\n   two = 2\n"
                    "style = outer\n[b]\n  x = 1\n  y = 2\n");

        ini_is(ini, "a", "s3.style", "path");
        ini_is(ini, "a", "s3.other", "1");
        ini_is(ini, "a", "other", NULL);
        ini_is(ini, "a", "key", "2");
        ini_is(ini, "a", "long", "one\ntwo = 2");
        ini_is(ini, "a", "style", "outer");
        ini_is(ini, "b", "x", "1");
        ini_is(ini, "b", "y", "2");
        aws_ini_free(ini);
}

/* A session token's length is no problem. */
static void ini_takes_long_lines(void **state)
{
        char text[8000], token[6001];
        struct aws_ini *ini;

        memset(token, 'T', 6000);
        token[6000] = '\0';
        snprintf(text, sizeof(text), "[a]\naws_session_token = %s", token);
        ini = read_ini(*state, text);
        ini_is(ini, "a", "aws_session_token", token);
        aws_ini_free(ini);
}

static void ini_fails(struct taws *aws, const char *text, enum hif_err err, const char *says)
{
        struct aws_ini *ini = NULL;
        struct hif_why why = {0};
        char *path = taws_path(aws, "ini");

        taws_write(aws, "ini", text, 0600);
        assert_int_equal(aws_ini_read(&aws->env, path, &ini, &why), err);
        if (!strstr(why.text, says) || !strstr(why.text, path))
                fail_msg("\"%s\" should say \"%s\"", why.text, says);
        assert_null(strstr(why.text, "SECRET"));
        free(path);
}

/* What is wrong is told by file and line, and the line, which may be a secret, is not. */
static void ini_mistakes_name_the_line(void **state)
{
        struct taws *aws = *state;
        size_t size = AWS_INI_FILE_MAX + 1;
        char *big = malloc(size + 1);
        char *path = taws_path(aws, "dir");
        struct aws_ini *ini = NULL;

        ini_fails(aws, "key = SECRET\n", HIF_EINVAL, "ini:1: a setting before");
        ini_fails(aws, "[a]\nSECRET\n", HIF_EINVAL, "ini:2: this is neither");
        ini_fails(aws, "[a]\nk = v\n[SECRET\n", HIF_EINVAL, "ini:3: the \"[\"");
        memset(big, 'x', size);
        big[size] = '\0';
        ini_fails(aws, big, HIF_ELIMIT, "larger than");
        memcpy(big, "[a]\nk=", 6);
        big[AWS_INI_LINE_MAX + 10] = '\0';
        ini_fails(aws, big, HIF_EINVAL, "ini:2: the line is too long");
        memset(big, '\n', size);
        big[AWS_INI_ENTRIES_MAX + 1] = '\0';
        ini_fails(aws, big, HIF_EINVAL, "lines");
        assert_int_equal(env_mkdirs(&aws->env, path, 0700), HIF_OK);
        assert_int_equal(aws_ini_read(&aws->env, path, &ini, NULL), HIF_EISDIR);
        assert_int_equal(aws_ini_read(&aws->env, "/dev/zero", &ini, NULL), HIF_EINVAL);
        free(path);
        free(big);
}

/* Secrets in a file that others may read are noticed; a file without secrets may be read. */
static void ini_notices_exposed_secrets(void **state)
{
        struct taws *aws = *state;
        char *path = taws_path(aws, "ini");
        struct aws_ini *ini = NULL;

        taws_write(aws, "ini", "[a]\naws_secret_access_key = x\n", 0644);
        assert_int_equal(aws_ini_read(&aws->env, path, &ini, NULL), HIF_OK);
        assert_true(aws_ini_exposed(ini));
        aws_ini_free(ini);
        taws_write(aws, "ini", "[a]\naws_secret_access_key = x\n", 0600);
        assert_int_equal(aws_ini_read(&aws->env, path, &ini, NULL), HIF_OK);
        assert_false(aws_ini_exposed(ini));
        aws_ini_free(ini);
        taws_write(aws, "ini", "[a]\nregion = x\n", 0644);
        assert_int_equal(aws_ini_read(&aws->env, path, &ini, NULL), HIF_OK);
        assert_false(aws_ini_exposed(ini));
        aws_ini_free(ini);
        free(path);
}

/* What the credentials file says of a profile goes before the config file. */
static void credentials_file_goes_first(void **state)
{
        struct taws *aws = *state;
        struct aws_profiles profiles;

        taws_config(aws, "[profile a]\nx = config\ny = config\n[default]\nx = plain\n"
                         "[profile default]\nx = long\n");
        taws_credentials(aws, "[a]\nx = credentials\n");
        taws_load(aws);
        assert_int_equal(aws_profiles_read(&aws->env, aws->settings.config_file,
                                           aws->settings.credentials_file, &profiles, NULL),
                         HIF_OK);
        assert_string_equal(aws_profiles_get(&profiles, "a", "x"), "credentials");
        assert_string_equal(aws_profiles_get(&profiles, "a", "y"), "config");
        assert_string_equal(aws_profiles_get(&profiles, "default", "x"), "long");
        assert_null(aws_profiles_get(&profiles, "b", "x"));
        aws_profiles_free(&profiles);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, taws_setup, taws_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(nothing_set_is_aws),
            TEST(environment_goes_before_files),
            TEST(style_follows_the_endpoint),
            TEST(profile_is_the_named_one),
            TEST(bad_values_name_their_source),
            TEST(ini_dialect),
            TEST(ini_nested),
            TEST(ini_takes_long_lines),
            TEST(ini_mistakes_name_the_line),
            TEST(ini_notices_exposed_secrets),
            TEST(credentials_file_goes_first),
        };

        return cmocka_run_group_tests_name("aws_settings", tests, NULL, NULL);
}
