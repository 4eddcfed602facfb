/* profile.h - profiles out of AWS's two shared files, seen as one. */
#ifndef HIF_AWS_PROFILE_H
#define HIF_AWS_PROFILE_H

#include "aws/ini.h"
#include "base/buf.h"

struct aws_profiles {
        const char *config_file, *credentials_file; /* borrowed */
        struct aws_ini *config, *credentials;
};

/* Files that are not there are empty. The errors of aws_ini_read. */
HIF_MUST_USE enum hif_err aws_profiles_read(struct env *env, const char *config_file,
                                            const char *credentials_file, struct aws_profiles *out,
                                            struct hif_why *why);
void aws_profiles_free(struct aws_profiles *profiles); /* wiped and zeroed */

bool aws_profiles_has(const struct aws_profiles *profiles, const char *name);
/* A setting of a profile, or NULL; what the credentials file says goes before the config file. */
const char *aws_profiles_get(const struct aws_profiles *profiles, const char *name,
                             const char *key);
/* A setting of a section that is not a profile ("services NAME"): config file only. */
const char *aws_profiles_section_get(const struct aws_profiles *profiles, const char *kind,
                                     const char *name, const char *key);
/* The names of all profiles, joined by ", ", at most 20 of them; "none". */
void aws_profiles_list(const struct aws_profiles *profiles, struct buf *out);
/* HIF_ENOENT with a sentence that names the files and the profiles that there are. */
HIF_MUST_USE enum hif_err aws_profiles_check(const struct aws_profiles *profiles, const char *name,
                                             const char *named_by, struct hif_why *why);

#endif
