/* A role that a profile takes on with another's keys: source_profile, or credential_source. */
#include "aws/sts.h"
#include "aws/wipe.h"

#include <stdio.h>

#define DEPTH_MAX 5 /* roles that take on roles */

static const char *get(const struct aws_chain *chain, const char *profile, const char *key)
{
        const char *value = aws_profiles_get(&chain->profiles, profile, key);

        return value && value[0] ? value : NULL;
}

/* A profile with a role of this kind; the other kind is aws_from_web_identity's. */
static bool has_role(const struct aws_chain *chain, const char *profile)
{
        return get(chain, profile, "role_arn") && !get(chain, profile, "web_identity_token_file");
}

static enum hif_err role_key(struct aws_chain *chain, const char *profile, int depth,
                             struct aws_fetched *out, struct hif_why *why);

static enum hif_err key_of_place(struct aws_chain *chain, const char *profile, const char *place,
                                 struct aws_fetched *out, struct hif_why *why)
{
        enum hif_err err;

        if (strcmp(place, "Environment") == 0)
                err = aws_from_env(chain, out, why);
        else if (strcmp(place, "EcsContainer") == 0)
                err = aws_from_container(chain, out, why);
        else if (strcmp(place, "Ec2InstanceMetadata") == 0)
                err = aws_from_imds(chain, out, why);
        else
                return why_set(
                    why, HIF_EDENIED,
                    "the profile \"%.64s\" has the credential_source \"%.40s\"; it may be "
                    "Environment, EcsContainer or Ec2InstanceMetadata",
                    profile, place);
        if (err != HIF_ENOENT)
                return err;
        return why_set(why, HIF_EDENIED,
                       "the profile \"%.64s\" wants credentials from %s, where there are none",
                       profile, place);
}

/* The keys with which the role of `profile` is taken on. */
static enum hif_err source_key(struct aws_chain *chain, const char *profile, int depth,
                               struct aws_fetched *out, struct hif_why *why)
{
        const char *source = get(chain, profile, "source_profile");
        const char *place = get(chain, profile, "credential_source");
        enum hif_err err;

        if (!source && !place)
                return why_set(
                    why, HIF_EDENIED,
                    "the profile \"%.64s\" has a role_arn, but neither source_profile nor "
                    "credential_source nor web_identity_token_file",
                    profile);
        if (!source)
                return key_of_place(chain, profile, place, out, why);
        if (!aws_profiles_has(&chain->profiles, source))
                return why_set(
                    why, HIF_EDENIED,
                    "the profile \"%.64s\" has the source_profile \"%.64s\", which is not "
                    "there",
                    profile, source);
        if (strcmp(source, profile) != 0 && has_role(chain, source))
                return role_key(chain, source, depth + 1, out, why);
        err = aws_profile_key(chain, source, out, why);
        if (err != HIF_ENOENT)
                return err;
        return why_set(
            why, HIF_EDENIED,
            "the profile \"%.64s\" has the source_profile \"%.64s\", which has neither keys "
            "nor credential_process",
            profile, source);
}

static void put_form(struct aws_chain *chain, const char *profile, struct buf *form)
{
        const char *session = get(chain, profile, "role_session_name");
        char own[AWS_SESSION_NAME_SIZE];

        aws_session_name(chain, own);
        aws_form_put(form, "Action", "AssumeRole");
        aws_form_put(form, "Version", "2011-06-15");
        aws_form_put(form, "RoleArn", get(chain, profile, "role_arn"));
        aws_form_put(form, "RoleSessionName", session ? session : own);
        aws_form_put(form, "ExternalId", get(chain, profile, "external_id"));
        aws_form_put(form, "DurationSeconds", get(chain, profile, "duration_seconds"));
}

static enum hif_err role_key(struct aws_chain *chain, const char *profile, int depth,
                             struct aws_fetched *out, struct hif_why *why)
{
        AUTO_WIPE_BUF struct buf form = {0};
        enum hif_err err;

        if (depth == DEPTH_MAX)
                return why_set(why, HIF_EDENIED,
                               "the source_profile of \"%.64s\" leads through more than %d roles",
                               profile, DEPTH_MAX);
        if (get(chain, profile, "mfa_serial"))
                return why_set(
                    why, HIF_EDENIED,
                    "the role of profile \"%.64s\" needs a code from a device (mfa_serial); "
                    "make another profile with: credential_process = " AWS_EXPORT,
                    profile, profile);
        err = source_key(chain, profile, depth, out, why);
        if (err != HIF_OK)
                return err;
        put_form(chain, profile, &form);
        if (buf_failed(&form))
                return why_set(why, HIF_ENOMEM, "out of memory");
        snprintf(out->source, sizeof(out->source), "the role of profile \"%.64s\"", profile);
        return aws_sts_call(chain, buf_span(&form), &out->key, out, why);
}

enum hif_err aws_from_role(struct aws_chain *chain, struct aws_fetched *out, struct hif_why *why)
{
        const char *profile = chain->settings->profile;

        if (!has_role(chain, profile))
                return HIF_ENOENT;
        return chain->near_only ? HIF_EAGAIN : role_key(chain, profile, 0, out, why);
}
