/* Profiles: "[profile NAME]" and "[default]" of the config file, "[NAME]" of the credentials file.
 */
#include "aws/profile.h"

#include <stdio.h>

#define LISTED_MAX   20
#define SECTION_SIZE 256

enum hif_err aws_profiles_read(struct env *env, const char *config_file,
                               const char *credentials_file, struct aws_profiles *out,
                               struct hif_why *why)
{
        struct aws_profiles profiles = {.config_file = config_file,
                                        .credentials_file = credentials_file};
        enum hif_err err = aws_ini_read(env, config_file, &profiles.config, why);

        if (err == HIF_OK)
                err = aws_ini_read(env, credentials_file, &profiles.credentials, why);
        if (err == HIF_OK)
                *out = profiles;
        else
                aws_ini_free(profiles.config);
        return err;
}

void aws_profiles_free(struct aws_profiles *profiles)
{
        aws_ini_free(profiles->config);
        aws_ini_free(profiles->credentials);
        *profiles = (struct aws_profiles){0};
}

/* "KIND NAME"; false when that is longer than any section may be. */
static bool section_name(char out[SECTION_SIZE], const char *kind, const char *name)
{
        int n = snprintf(out, SECTION_SIZE, "%s %s", kind, name);

        return n > 0 && n < SECTION_SIZE;
}

bool aws_profiles_has(const struct aws_profiles *profiles, const char *name)
{
        char section[SECTION_SIZE];

        return aws_ini_has(profiles->credentials, name) ||
               (section_name(section, "profile", name) && aws_ini_has(profiles->config, section)) ||
               (strcmp(name, "default") == 0 && aws_ini_has(profiles->config, "default"));
}

const char *aws_profiles_section_get(const struct aws_profiles *profiles, const char *kind,
                                     const char *name, const char *key)
{
        char section[SECTION_SIZE];

        return section_name(section, kind, name) ? aws_ini_get(profiles->config, section, key)
                                                 : NULL;
}

const char *aws_profiles_get(const struct aws_profiles *profiles, const char *name, const char *key)
{
        const char *value = aws_ini_get(profiles->credentials, name, key);

        if (!value)
                value = aws_profiles_section_get(profiles, "profile", name, key);
        if (!value && strcmp(name, "default") == 0)
                value = aws_ini_get(profiles->config, "default", key);
        return value;
}

struct listing {
        struct buf *out;
        size_t count;
};

static void list_one(struct listing *listing, const char *name)
{
        if (++listing->count <= LISTED_MAX)
                buf_printf(listing->out, "%s%s", listing->count > 1 ? ", " : "", name);
        else if (listing->count == LISTED_MAX + 1)
                buf_printf(listing->out, " ...");
}

void aws_profiles_list(const struct aws_profiles *profiles, struct buf *out)
{
        struct listing listing = {.out = out};
        const char *section;

        for (size_t i = 0; (section = aws_ini_section(profiles->config, i)) != NULL; i++) {
                if (strcmp(section, "default") == 0)
                        list_one(&listing, section);
                else if (strncmp(section, "profile ", 8) == 0)
                        list_one(&listing, section + 8);
        }
        for (size_t i = 0; (section = aws_ini_section(profiles->credentials, i)) != NULL; i++) {
                char other[SECTION_SIZE];
                bool in_config =
                    (section_name(other, "profile", section) &&
                     aws_ini_has(profiles->config, other)) ||
                    (strcmp(section, "default") == 0 && aws_ini_has(profiles->config, section));

                if (!in_config)
                        list_one(&listing, section);
        }
        if (listing.count == 0)
                buf_printf(out, "none");
}

enum hif_err aws_profiles_check(const struct aws_profiles *profiles, const char *name,
                                const char *named_by, struct hif_why *why)
{
        AUTO_BUF struct buf names = {0};

        if (aws_profiles_has(profiles, name))
                return HIF_OK;
        aws_profiles_list(profiles, &names);
        buf_put_u8(&names, 0);
        return why_set(why, HIF_ENOENT,
                       "%s names the profile \"%.100s\", which is neither in %s%s nor in %s%s; the "
                       "profiles there are: %s",
                       named_by, name, profiles->config_file,
                       aws_ini_found(profiles->config) ? "" : " (no such file)",
                       profiles->credentials_file,
                       aws_ini_found(profiles->credentials) ? "" : " (no such file)",
                       buf_failed(&names) ? "?" : (const char *)names.data);
}
