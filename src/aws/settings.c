/* What the environment and the profile say, checked. */
#include "aws/settings.h"

#include "aws/profile.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define REGION_DEFAULT "us-east-1"
#define REGION_MAX     63u /* it becomes part of a host's name */

/* --- variables --- */

static const char *get_process(void *arg, const char *name)
{
        (void)arg;
        return getenv(name);
}

struct aws_vars aws_vars_process(void)
{
        return (struct aws_vars){.get = get_process};
}

const char *aws_var(const struct aws_vars *vars, const char *name)
{
        const char *value = vars->get(vars->arg, name);

        return value && value[0] ? value : NULL;
}

/* --- where files are --- */

static enum hif_err no_memory(struct hif_why *why)
{
        return why_set(why, HIF_ENOMEM, "out of memory");
}

static enum hif_err copy(char **out, const char *text, struct hif_why *why)
{
        *out = strdup(text);
        return *out ? HIF_OK : no_memory(why);
}

/* The path that a variable gives, or that below the home directory; "~/" is the latter, too. */
static enum hif_err find_file(const struct aws_vars *vars, const char *variable,
                              const char *by_default, char **out, struct hif_why *why)
{
        const char *path = aws_var(vars, variable);
        const char *home = aws_var(vars, "HOME");
        const struct passwd *user = home ? NULL : getpwuid(geteuid());

        if (!path)
                path = by_default;
        if (strncmp(path, "~/", 2) != 0)
                return copy(out, path, why);
        if (user)
                home = user->pw_dir;
        if (!home)
                return why_set(why, HIF_ENOENT,
                               "cannot tell where %s is without a home directory: set HOME, or %s",
                               path, variable);
        if (asprintf(out, "%s%s", home, path + 1) >= 0)
                return HIF_OK;
        *out = NULL;
        return no_memory(why);
}

/* --- one setting each --- */

/* A setting, and what gave it: for messages. */
struct given {
        const char *value;
        const char *by;
};

static struct given from_vars(const struct aws_vars *vars, const char *first, const char *second)
{
        const char *value = aws_var(vars, first);

        if (value || !second)
                return (struct given){value, first};
        return (struct given){aws_var(vars, second), second};
}

static struct given or_profile(struct given given, const struct aws_profiles *profiles,
                               const char *profile, const char *key)
{
        if (given.value)
                return given;
        return (struct given){aws_profiles_get(profiles, profile, key), key};
}

static enum hif_err set_region(struct aws_settings *out, struct given region, struct hif_why *why)
{
        const char *bad;

        out->region_given = region.value && region.value[0];
        if (!out->region_given)
                return copy(&out->region, REGION_DEFAULT, why);
        bad = region.value + strspn(region.value, "abcdefghijklmnopqrstuvwxyz"
                                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
        if (*bad || strlen(region.value) > REGION_MAX)
                return why_set(why, HIF_EINVAL,
                               "%s is \"%.100s\", which is no region; one looks like \"us-east-1\"",
                               region.by, region.value);
        return copy(&out->region, region.value, why);
}

static enum hif_err set_endpoint(struct aws_settings *out, struct given endpoint,
                                 struct hif_why *why)
{
        const char *url = endpoint.value, *host;
        size_t size;

        if (!url || !url[0])
                return HIF_OK;
        host = strncasecmp(url, "http://", 7) == 0    ? url + 7
               : strncasecmp(url, "https://", 8) == 0 ? url + 8
                                                      : NULL;
        if (!host || host[0] == '\0' || host[0] == '/')
                return why_set(why, HIF_EINVAL,
                               "%s is no URL of a server: write https://HOST or http://HOST:PORT",
                               endpoint.by);
        if (strpbrk(host, "@?# \t\n"))
                return why_set(why, HIF_EINVAL,
                               "%s may hold scheme, host, port and path, and nothing else",
                               endpoint.by);
        size = strlen(url);
        while (url[size - 1] == '/')
                size--;
        out->endpoint_url = strndup(url, size);
        return out->endpoint_url ? HIF_OK : no_memory(why);
}

static enum hif_err set_style(struct aws_settings *out, struct given style, struct hif_why *why)
{
        if (!style.value || !style.value[0] || strcmp(style.value, "auto") == 0) {
                out->path_style = out->endpoint_url != NULL;
                return HIF_OK;
        }
        if (strcmp(style.value, "path") != 0 && strcmp(style.value, "virtual") != 0)
                return why_set(why, HIF_EINVAL, "%s is \"%.40s\"; it may be path, virtual or auto",
                               style.by, style.value);
        out->path_style = style.value[0] == 'p';
        out->style_given = true;
        return HIF_OK;
}

/* The files' endpoint: what the profile's services section says of S3, then what it says of all. */
static struct given file_endpoint(const struct aws_vars *vars, const struct aws_profiles *profiles,
                                  const char *profile)
{
        const char *ignore = aws_var(vars, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
        const char *services = aws_profiles_get(profiles, profile, "services");
        const char *url = NULL;

        if (ignore && strcasecmp(ignore, "true") == 0)
                return (struct given){0};
        if (services)
                url = aws_profiles_section_get(profiles, "services", services, "s3.endpoint_url");
        if (url)
                return (struct given){url, "endpoint_url of s3 in the services section"};
        return (struct given){aws_profiles_get(profiles, profile, "endpoint_url"),
                              "the profile's endpoint_url"};
}

static enum hif_err set_all(struct aws_settings *out, const struct aws_vars *vars,
                            const struct aws_profiles *profiles, struct hif_why *why)
{
        struct given region = or_profile(from_vars(vars, "AWS_REGION", "AWS_DEFAULT_REGION"),
                                         profiles, out->profile, "region");
        struct given ca =
            or_profile(from_vars(vars, "AWS_CA_BUNDLE", NULL), profiles, out->profile, "ca_bundle");
        struct given style = or_profile(from_vars(vars, "HIF_S3_ADDRESSING", NULL), profiles,
                                        out->profile, "s3.addressing_style");
        struct given endpoint = from_vars(vars, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
        enum hif_err err = set_region(out, region, why);

        if (!endpoint.value)
                endpoint = file_endpoint(vars, profiles, out->profile);
        if (err == HIF_OK)
                err = set_endpoint(out, endpoint, why);
        if (err == HIF_OK)
                err = set_style(out, style, why);
        if (err == HIF_OK && ca.value && ca.value[0])
                err = copy(&out->ca_bundle, ca.value, why);
        return err;
}

enum hif_err aws_settings_load(struct env *env, const struct aws_vars *vars, const char *chosen,
                               struct aws_settings *out, struct hif_why *why)
{
        struct given profile = chosen ? (struct given){chosen, "the store's URL"}
                                      : from_vars(vars, "AWS_PROFILE", "AWS_DEFAULT_PROFILE");
        struct aws_settings settings = {.profile_chosen = chosen != NULL,
                                        .profile_named = profile.value != NULL};
        struct aws_profiles profiles = {0};
        enum hif_err err = copy(&settings.profile, profile.value ? profile.value : "default", why);

        if (err == HIF_OK)
                err =
                    find_file(vars, "AWS_CONFIG_FILE", "~/.aws/config", &settings.config_file, why);
        if (err == HIF_OK)
                err = find_file(vars, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials",
                                &settings.credentials_file, why);
        if (err == HIF_OK)
                err = aws_profiles_read(env, settings.config_file, settings.credentials_file,
                                        &profiles, why);
        if (err == HIF_OK && settings.profile_named && strcmp(settings.profile, "default") != 0)
                err = aws_profiles_check(&profiles, settings.profile, profile.by, why);
        if (err == HIF_OK)
                err = set_all(&settings, vars, &profiles, why);
        if (profiles.config)
                aws_profiles_free(&profiles);
        if (err == HIF_OK)
                *out = settings;
        else
                aws_settings_free(&settings);
        return err;
}

void aws_settings_free(struct aws_settings *settings)
{
        free(settings->profile);
        free(settings->config_file);
        free(settings->credentials_file);
        free(settings->region);
        free(settings->endpoint_url);
        free(settings->ca_bundle);
        *settings = (struct aws_settings){0};
}
