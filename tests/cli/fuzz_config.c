/* fuzz_config.c - any bytes as the configuration file: values that make sense, or a sentence. */
#include "base/simenv.h"
#include "cli/cli.h"
#include "tests/core/fuzz_target.h"

#include <fcntl.h>

#define FILE_PATH "/config"

static void free_config(struct cli_config *config)
{
        char *texts[] = {config->store,     config->s3_addressing, config->author,
                         config->front_end, config->durability,    config->publish,
                         config->land_mode, config->ahead};

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                free(texts[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct simenv *sim;
        struct cli_config config = {.ram_max = 1, .ssd_max = 1, .ahead_after = 1};
        struct hif_why why = {""};
        struct env *env;
        enum hif_err err;
        int fd;

        if (sim == NULL)
                sim = simenv_new(1);
        env = simenv_env(sim);
        FUZZ_CHECK(env->ops->open(env, FILE_PATH, O_RDWR | O_CREAT | O_TRUNC, 0600, &fd) == HIF_OK);
        FUZZ_CHECK(env_write_all(env, fd, data, size, 0) == HIF_OK);
        env->ops->close(env, fd);
        err = config_load(env, FILE_PATH, &config, &why);
        FUZZ_CHECK((err == HIF_OK) == (why.text[0] == '\0'));
        FUZZ_CHECK(config.ahead_after >= 1 && config.ahead_after <= 3600);
        free_config(&config);
        return 0;
}
