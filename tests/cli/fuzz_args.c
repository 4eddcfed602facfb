/* fuzz_args.c - any text where a command takes a project, a path, a position, or bytes in JSON. */
#include "cli/base64.h"
#include "cli/cli.h"
#include "core/key.h"
#include "core/layout.h"
#include "tests/core/fuzz_target.h"

static void fuzz_project(const char *text)
{
        struct project_arg arg = {0};
        struct hif_why why = {""};
        struct layout layout;

        if (project_arg_parse(text, &arg, &why) != HIF_OK) {
                FUZZ_CHECK(why.text[0] != '\0');
                return;
        }
        FUZZ_CHECK(arg.project != NULL);
        if (layout_init(&layout, arg.project, &why) != HIF_OK)
                FUZZ_CHECK(why.text[0] != '\0');
        FUZZ_CHECK(arg.path == NULL || path_valid(span_str(arg.path)));
        project_arg_free(&arg);
}

static void fuzz_path(const char *text)
{
        struct hif_why why = {""};
        char *path;

        if (path_arg_parse(text, &path, &why) != HIF_OK) {
                FUZZ_CHECK(why.text[0] != '\0');
                return;
        }
        FUZZ_CHECK(path_valid(span_str(path)));
        free(path);
}

static void fuzz_base64(const char *text, size_t size)
{
        AUTO_BUF struct buf bytes = {0};
        json_t *value = json_stringn_nocheck(text, size);

        if (value == NULL)
                return;
        (void)!base64_from_json(value, &bytes);
        json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO_FREE char *text = malloc(size + 1);
        struct hif_why why;
        uint64_t position;

        FUZZ_CHECK(text != NULL);
        memcpy(text, data, size);
        text[size] = '\0';
        fuzz_project(text);
        fuzz_path(text);
        (void)!position_parse(text, &position, &why);
        fuzz_base64(text, size);
        return 0;
}
