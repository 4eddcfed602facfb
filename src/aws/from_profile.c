/* Keys of a profile in the shared files, or of the program that it names. */
#include "aws/source.h"

#include <stdio.h>

static enum hif_err keys_of(struct aws_chain *chain, const char *profile, struct aws_fetched *out,
                            struct hif_why *why)
{
        const struct aws_profiles *profiles = &chain->profiles;
        const char *id = aws_profiles_get(profiles, profile, "aws_access_key_id");
        const char *secret = aws_profiles_get(profiles, profile, "aws_secret_access_key");

        if (!id && !secret)
                return HIF_ENOENT;
        snprintf(out->source, sizeof(out->source), "the profile \"%.64s\" in %.300s", profile,
                 aws_ini_get(profiles->credentials, profile, "aws_access_key_id")
                     ? profiles->credentials_file
                     : profiles->config_file);
        if (!id || !secret)
                return why_set(why, HIF_EDENIED, "%s has %s, but no %s", out->source,
                               id ? "aws_access_key_id" : "aws_secret_access_key",
                               id ? "aws_secret_access_key" : "aws_access_key_id");
        out->expires_ns = 0;
        return aws_key_set(&out->key, id, secret,
                           aws_profiles_get(profiles, profile, "aws_session_token"), out->source,
                           why);
}

enum hif_err aws_profile_key(struct aws_chain *chain, const char *profile, struct aws_fetched *out,
                             struct hif_why *why)
{
        const char *process = aws_profiles_get(&chain->profiles, profile, "credential_process");
        enum hif_err err = keys_of(chain, profile, out, why);

        if (err != HIF_ENOENT || !process)
                return err;
        return aws_from_process(chain, profile, process, out, why);
}

/* What only AWS's own tools can do, they do for others, too. */
static bool needs_browser(const struct aws_chain *chain, const char *profile)
{
        return aws_profiles_get(&chain->profiles, profile, "sso_session") ||
               aws_profiles_get(&chain->profiles, profile, "sso_start_url");
}

enum hif_err aws_from_profile(struct aws_chain *chain, struct aws_fetched *out, struct hif_why *why)
{
        const char *profile = chain->settings->profile;
        enum hif_err err = aws_profile_key(chain, profile, out, why);

        if (err != HIF_ENOENT)
                return err;
        if (needs_browser(chain, profile))
                return why_set(
                    why, HIF_EDENIED,
                    "the profile \"%.64s\" uses single sign-on, which only AWS's own "
                    "tools can do; make another profile with: credential_process = " AWS_EXPORT,
                    profile, profile);
        if (aws_profiles_has(&chain->profiles, profile))
                aws_tried(chain, "the profile \"%.64s\" has neither keys nor credential_process",
                          profile);
        else
                aws_tried(chain, "there is no profile \"%.64s\" in %.200s", profile,
                          chain->settings->credentials_file);
        return HIF_ENOENT;
}
