/* The order of the sources, and what is said when none is configured. */
#include "aws/source.h"

#include "aws/wipe.h"

#include <stdio.h>

static aws_source_fn *const sources[] = {aws_from_env,          aws_from_role,
                                         aws_from_web_identity, aws_from_profile,
                                         aws_from_container,    aws_from_imds};

enum hif_err aws_chain_run(struct aws_chain *chain, struct aws_fetched *out, struct hif_why *why)
{
        const struct aws_settings *settings = chain->settings;
        enum hif_err err = aws_profiles_read(chain->env, settings->config_file,
                                             settings->credentials_file, &chain->profiles, why);

        if (err != HIF_OK)
                return err;
        err = HIF_ENOENT;
        for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]) && err == HIF_ENOENT; i++)
                if (sources[i] != aws_from_env || !settings->profile_chosen)
                        err = sources[i](chain, out, why);
        aws_profiles_free(&chain->profiles);
        if (err == HIF_ENOENT) {
                buf_put_u8(&chain->tried, 0);
                err = why_set(why, HIF_EDENIED,
                              "there are no credentials for S3: %.700s. Set AWS_ACCESS_KEY_ID and "
                              "AWS_SECRET_ACCESS_KEY, or name a profile of %.150s with AWS_PROFILE",
                              buf_failed(&chain->tried) ? "?" : (const char *)chain->tried.data,
                              settings->credentials_file);
        }
        buf_free(&chain->tried);
        return err;
}
