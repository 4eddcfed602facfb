/* Credentials by the chain: what is near. */
#include "taws.h"

#include "aws/creds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct aws_creds *open_creds(struct taws *aws)
{
        struct aws_creds *creds = NULL;

        taws_load(aws);
        assert_int_equal(
            aws_creds_new(&aws->env, &aws->settings, &aws->vars, NULL, NULL, &creds, NULL), HIF_OK);
        return creds;
}

static void gives(struct taws *aws, const char *id, const char *secret, const char *token,
                  const char *source)
{
        struct aws_creds *creds = open_creds(aws);
        struct aws_key key = {0};
        struct hif_why why = {0};
        char text[500];

        if (aws_creds_peek(creds, &key, &why) != HIF_OK)
                fail_msg("there should be a key: %s", why.text);
        assert_string_equal(key.access_key_id, id);
        assert_string_equal(key.secret_access_key, secret);
        assert_string_equal(key.session_token, token);
        assert_int_not_equal(key.generation, 0);
        aws_creds_source(creds, text, sizeof(text));
        if (!strstr(text, source))
                fail_msg("\"%s\" should be \"%s\"", text, source);
        aws_creds_free(creds);
}

static void refuses(struct taws *aws, const char *says)
{
        struct aws_creds *creds = open_creds(aws);
        struct aws_key key = {0};
        struct hif_why why = {0};

        assert_int_equal(aws_creds_peek(creds, &key, &why), HIF_EDENIED);
        if (!strstr(why.text, says))
                fail_msg("\"%s\" should say \"%s\"", why.text, says);
        assert_null(strstr(why.text, "hunter2"));
        aws_creds_free(creds);
}

/* The environment goes before the files. */
static void environment_goes_first(void **state)
{
        struct taws *aws = *state;

        taws_credentials(aws, "[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n");
        gives(aws, "FILE", "s", "", "\"default\" in ");
        taws_set(aws, "AWS_ACCESS_KEY_ID", "ENV");
        taws_set(aws, "AWS_SECRET_ACCESS_KEY", "t");
        gives(aws, "ENV", "t", "", "the environment");
        taws_set(aws, "AWS_SESSION_TOKEN", "u");
        gives(aws, "ENV", "t", "u", "the environment");
}

/* A profile of either file, with or without a token. */
static void profiles_give_keys(void **state)
{
        struct taws *aws = *state;

        taws_credentials(aws, "[a]\naws_access_key_id = A\naws_secret_access_key = s\n"
                              "aws_session_token = T\n");
        taws_config(aws, "[profile b]\naws_access_key_id = B\naws_secret_access_key = s\n");
        taws_set(aws, "AWS_PROFILE", "a");
        gives(aws, "A", "s", "T", "/.aws/credentials");
        taws_set(aws, "AWS_PROFILE", "b");
        gives(aws, "B", "s", "", "/.aws/config");
}

/* A profile that the store's URL names goes before all that the environment has. */
static void chosen_profile_goes_before_the_environment(void **state)
{
        struct taws *aws = *state;

        taws_credentials(aws, "[a]\naws_access_key_id = A\naws_secret_access_key = s\n");
        taws_set(aws, "AWS_ACCESS_KEY_ID", "ENV");
        taws_set(aws, "AWS_SECRET_ACCESS_KEY", "t");
        taws_set(aws, "AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere");
        taws_set(aws, "AWS_PROFILE", "other");
        aws->profile = "a";
        gives(aws, "A", "s", "", "\"a\" in ");
        aws->profile = "b";
        taws_load_fails(aws, HIF_ENOENT, "the store's URL names the profile \"b\"");
}

/* Half a key is a mistake that is told, and never a reason to look elsewhere. */
static void half_a_key_is_an_error(void **state)
{
        struct taws *aws = *state;

        taws_credentials(aws, "[default]\naws_access_key_id = A\naws_secret_access_key = hunter2\n"
                              "[half]\naws_secret_access_key = hunter2\n");
        taws_set(aws, "AWS_SECRET_ACCESS_KEY", "hunter2");
        refuses(aws, "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not");
        taws_set(aws, "AWS_SECRET_ACCESS_KEY", NULL);
        taws_set(aws, "AWS_PROFILE", "half");
        refuses(aws, "but no aws_access_key_id");
}

/* What no header may hold is refused without being shown. */
static void bad_characters_are_refused(void **state)
{
        struct taws *aws = *state;

        taws_set(aws, "AWS_ACCESS_KEY_ID", "A");
        taws_set(aws, "AWS_SECRET_ACCESS_KEY", "hunter2\nX: y");
        refuses(aws, "the secret access key that the environment gives holds blanks");
}

/* Nothing anywhere: what was looked for, and what to do. */
static void nothing_says_what_was_tried(void **state)
{
        struct taws *aws = *state;

        refuses(aws, "AWS_ACCESS_KEY_ID is not set");
        refuses(aws, "there is no profile \"default\"");
        refuses(aws, "name a profile of ");
}

/* A key that the store refuses is fetched anew: what the file holds now. */
static void refused_key_is_read_anew(void **state)
{
        struct taws *aws = *state;
        struct aws_creds *creds;
        struct aws_key key = {0};
        struct hif_why why = {0};
        uint64_t first;
        enum hif_err err;

        taws_credentials(aws, "[default]\naws_access_key_id = OLD\naws_secret_access_key = s\n");
        creds = open_creds(aws);
        assert_int_equal(aws_creds_peek(creds, &key, &why), HIF_OK);
        first = key.generation;
        taws_credentials(aws, "[default]\naws_access_key_id = NEW\naws_secret_access_key = s\n");
        assert_int_equal(aws_creds_peek(creds, &key, &why), HIF_OK);
        assert_string_equal(key.access_key_id, "OLD");
        aws_creds_expired(creds, first);
        while ((err = aws_creds_peek(creds, &key, &why)) == HIF_EAGAIN)
                ;
        assert_int_equal(err, HIF_OK);
        assert_string_equal(key.access_key_id, "NEW");
        assert_int_not_equal(key.generation, first);
        aws_creds_expired(creds, first); /* that one is gone already */
        assert_int_equal(aws_creds_peek(creds, &key, &why), HIF_OK);
        aws_creds_expired(creds, key.generation);
        while ((err = aws_creds_peek(creds, &key, &why)) == HIF_EAGAIN)
                ;
        assert_int_equal(err, HIF_EDENIED);
        assert_non_null(strstr(why.text, "there is no newer one"));
        aws_creds_free(creds);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, taws_setup, taws_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(environment_goes_first),
            TEST(profiles_give_keys),
            TEST(chosen_profile_goes_before_the_environment),
            TEST(half_a_key_is_an_error),
            TEST(bad_characters_are_refused),
            TEST(nothing_says_what_was_tried),
            TEST(refused_key_is_read_anew),
        };

        return cmocka_run_group_tests_name("aws_creds", tests, NULL, NULL);
}
