/* taws.h - an environment and a home directory of their own, for the tests of AWS's settings. */
#ifndef HIF_TESTS_AWS_TAWS_H
#define HIF_TESTS_AWS_TAWS_H

#include "aws/settings.h"
#include "tests/store/tstore.h"

#define TAWS_VARS_MAX 64

struct taws {
        struct env env;
        char *home;
        struct aws_vars vars;
        const char *profile; /* the store's URL's; NULL: none */
        struct {
                char *name, *value;
        } set[TAWS_VARS_MAX];
        size_t count;
        struct aws_settings settings; /* what taws_load gave */
};

int taws_setup(void **state);
int taws_teardown(void **state);

/* Set a variable; NULL: not set. */
void taws_set(struct taws *aws, const char *name, const char *value);
/* Write a file below the home directory (its directory is made), with this mode. */
void taws_write(struct taws *aws, const char *path, const char *text, mode_t mode);
/* The absolute path of one; the caller's to free. */
char *taws_path(struct taws *aws, const char *path);
/* ~/.aws/config and ~/.aws/credentials, 0600. */
void taws_config(struct taws *aws, const char *text);
void taws_credentials(struct taws *aws, const char *text);

/* Load the settings, which must work; or must fail with this, saying that. */
void taws_load(struct taws *aws);
void taws_load_fails(struct taws *aws, enum hif_err err, const char *says);

#endif
