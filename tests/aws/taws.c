#include "taws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *get(void *arg, const char *name)
{
        const struct taws *aws = arg;

        for (size_t i = 0; i < aws->count; i++)
                if (strcmp(aws->set[i].name, name) == 0)
                        return aws->set[i].value;
        return NULL;
}

int taws_setup(void **state)
{
        struct taws *aws = calloc(1, sizeof(*aws));

        aws->env = env_system(NULL);
        aws->home = t_temp_dir();
        aws->vars = (struct aws_vars){.get = get, .arg = aws};
        taws_set(aws, "HOME", aws->home);
        taws_set(aws, "AWS_EC2_METADATA_DISABLED", "true"); /* no test asks the real one */
        *state = aws;
        return 0;
}

int taws_teardown(void **state)
{
        struct taws *aws = *state;

        aws_settings_free(&aws->settings);
        for (size_t i = 0; i < aws->count; i++) {
                free(aws->set[i].name);
                free(aws->set[i].value);
        }
        t_remove_tree(aws->home);
        free(aws);
        return 0;
}

void taws_set(struct taws *aws, const char *name, const char *value)
{
        size_t i = 0;

        while (i < aws->count && strcmp(aws->set[i].name, name) != 0)
                i++;
        if (i == aws->count) {
                assert_true(i < TAWS_VARS_MAX);
                aws->set[aws->count++].name = strdup(name);
        }
        free(aws->set[i].value);
        aws->set[i].value = value ? strdup(value) : NULL;
}

char *taws_path(struct taws *aws, const char *path)
{
        size_t size = strlen(aws->home) + strlen(path) + 2;
        char *out = malloc(size);

        snprintf(out, size, "%s/%s", aws->home, path);
        return out;
}

void taws_write(struct taws *aws, const char *path, const char *text, mode_t mode)
{
        char *full = taws_path(aws, path);
        char *slash = strrchr(full, '/');

        *slash = '\0';
        assert_int_equal(env_mkdirs(&aws->env, full, 0700), HIF_OK);
        *slash = '/';
        assert_int_equal(env_write_file(&aws->env, full, text, strlen(text), mode), HIF_OK);
        free(full);
}

void taws_config(struct taws *aws, const char *text)
{
        taws_write(aws, ".aws/config", text, 0600);
}

void taws_credentials(struct taws *aws, const char *text)
{
        taws_write(aws, ".aws/credentials", text, 0600);
}

void taws_load(struct taws *aws)
{
        struct hif_why why = {0};

        aws_settings_free(&aws->settings);
        if (aws_settings_load(&aws->env, &aws->vars, aws->profile, &aws->settings, &why) != HIF_OK)
                fail_msg("the settings should load: %s", why.text);
}

void taws_load_fails(struct taws *aws, enum hif_err err, const char *says)
{
        struct aws_settings settings;
        struct hif_why why = {0};

        assert_int_equal(aws_settings_load(&aws->env, &aws->vars, aws->profile, &settings, &why),
                         err);
        if (!strstr(why.text, says))
                fail_msg("\"%s\" should say \"%s\"", why.text, says);
}
