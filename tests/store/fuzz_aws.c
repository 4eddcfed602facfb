/* What sources of credentials say, and AWS's files: whatever it is, it is refused or gives texts that
 * can go into a header, and no sentence quotes it. */
#include "aws/answer.h"
#include "aws/ini.h"

#include "tests/core/fuzz_target.h"

static void check_text(const char *text, size_t size)
{
        FUZZ_CHECK(memchr(text, 0, size));
        for (; *text; text++)
                FUZZ_CHECK(*text > 0x20 && *text < 0x7f);
}

static void check_key(const struct aws_fetched *fetched)
{
        check_text(fetched->key.access_key_id, AWS_ID_SIZE);
        check_text(fetched->key.secret_access_key, AWS_SECRET_SIZE);
        check_text(fetched->key.session_token, AWS_TOKEN_SIZE);
        FUZZ_CHECK(fetched->key.access_key_id[0] && fetched->key.secret_access_key[0]);
}

static void check_file(struct span text)
{
        struct aws_ini *ini;
        const char *section;

        if (aws_ini_parse("file", text, &ini, NULL) != HIF_OK)
                return;
        for (size_t i = 0; (section = aws_ini_section(ini, i)) != NULL; i++) {
                const char *value = aws_ini_get(ini, section, "aws_access_key_id");

                FUZZ_CHECK(aws_ini_has(ini, section));
                FUZZ_CHECK(!value || strlen(value) <= text.size);
                (void)aws_ini_get(ini, section, "s3.addressing_style");
        }
        aws_ini_free(ini);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span bytes = span_of(data, size);
        struct aws_fetched fetched = {.source = "here"};
        char code[AWS_STS_CODE_SIZE], time[64];
        uint64_t ns;

        check_file(bytes);
        if (aws_json_key(bytes, "Token", false, &fetched, NULL) == HIF_OK)
                check_key(&fetched);
        if (aws_json_key(bytes, "SessionToken", true, &fetched, NULL) == HIF_OK)
                check_key(&fetched);
        if (aws_sts_key(bytes, &fetched, NULL) == HIF_OK)
                check_key(&fetched);
        aws_sts_error(bytes, code);
        if (code[0])
                check_text(code, sizeof(code));
        snprintf(time, sizeof(time), "%.*s", (int)(size < 63 ? size : 63), (const char *)data);
        (void)aws_time_parse(time, &ns);
        return 0;
}
