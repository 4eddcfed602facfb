/* settings.h - which S3, and how: what the environment and AWS's shared files say, secrets
 * apart (those are creds.h's).
 *
 *      region      AWS_REGION, AWS_DEFAULT_REGION, the profile's region, else us-east-1
 *      endpoint    AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's services section, its
 *                  endpoint_url, else AWS itself
 *      ca_bundle   AWS_CA_BUNDLE, the profile's ca_bundle, else the system's
 *      addressing  HIF_S3_ADDRESSING, the profile's s3 addressing_style, else path style with an
 *                  endpoint and virtual-host style without
 *      profile     the URL's, AWS_PROFILE, AWS_DEFAULT_PROFILE, else "default"
 *      files       AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE, else config and credentials in
 *                  ~/.aws
 *
 * AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true leaves the files' endpoints out. Variables that are
 * empty count as not set. docs/s3.md is the user's page. */
#ifndef HIF_AWS_SETTINGS_H
#define HIF_AWS_SETTINGS_H

#include "base/env.h"
#include "base/err.h"

#include <stdbool.h>

/* Where variables come from. get gives NULL for one that is not set; what it gives stays valid and
 * unchanged as long as anything made with it lives. Called on any thread. */
struct aws_vars {
        const char *(*get)(void *arg, const char *name);
        void *arg;
};

/* The process's own environment. */
struct aws_vars aws_vars_process(void);
/* A variable that is set and not empty, else NULL. */
const char *aws_var(const struct aws_vars *vars, const char *name);

struct aws_settings {
        char *profile;       /* never NULL */
        bool profile_chosen; /* by the URL: before keys in the environment */
        bool profile_named;  /* by URL or environment: it has to be there, unless it is "default" */
        char *config_file;   /* absolute or as given; never NULL */
        char *credentials_file; /* the same */
        char *region;           /* never NULL */
        bool region_given;      /* false: a guess */
        char *endpoint_url;     /* "http://host:port", without a slash at the end; NULL: AWS's */
        char *ca_bundle;        /* NULL: the system's */
        bool path_style;        /* false: the bucket is part of the host's name */
        bool style_given;       /* false: path_style follows from endpoint_url */
};

/* profile: the URL's, before the environment's; NULL: it has none.
 * HIF_ENOENT: AWS_PROFILE or the URL names a profile that no file has. HIF_EINVAL: a value that makes no
 * sense. The errors of aws_ini_read. Every sentence names variable or file. */
HIF_MUST_USE enum hif_err aws_settings_load(struct env *env, const struct aws_vars *vars,
                                            const char *profile, struct aws_settings *out,
                                            struct hif_why *why);
void aws_settings_free(struct aws_settings *settings); /* leaves it zeroed */

#endif
