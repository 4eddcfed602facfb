/* Findings are promised by name: docs/fsck.md has each of them, with its severity, and no other. */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int read_docs(void **state)
{
        struct env env = env_system(NULL);
        struct buf *text = calloc(1, sizeof(*text));

        assert_non_null(text);
        assert_int_equal(env_read_file(&env, HIF_SOURCE_DIR "/docs/fsck.md", 1 << 20, text),
                         HIF_OK);
        buf_put_u8(text, 0);
        *state = text;
        return 0;
}

static int free_docs(void **state)
{
        buf_free(*state);
        free(*state);
        return 0;
}

static void the_table_has_every_finding(void **state)
{
        const struct buf *text = *state;

        for (int kind = 0; kind < CHECK_KIND_COUNT; kind++) {
                const struct check_kind_info *info = check_kind_info((enum check_kind)kind);
                char row[128];

                assert_non_null(info->name);
                (void)snprintf(row, sizeof(row), "\n| `%s` | %s | ", info->name,
                               check_severity_name(info->severity));
                if (!strstr((const char *)text->data, row))
                        fail_msg("docs/fsck.md has no row%s", row);
        }
}

static void the_table_has_no_other(void **state)
{
        const struct buf *text = *state;
        int rows = 0;

        for (const char *at = (const char *)text->data; (at = strstr(at, "\n| `")) != NULL; at++)
                rows++;
        assert_int_equal(rows, CHECK_KIND_COUNT);
}

static void names_are_different_and_texts_are_there(void **state)
{
        (void)state;
        for (int kind = 0; kind < CHECK_KIND_COUNT; kind++) {
                const struct check_kind_info *info = check_kind_info((enum check_kind)kind);

                assert_true(strlen(info->meaning) > 10 && strlen(info->next) > 5);
                for (int other = 0; other < kind; other++)
                        assert_string_not_equal(check_kind_info((enum check_kind)other)->name,
                                                info->name);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_table_has_every_finding),
            cmocka_unit_test(the_table_has_no_other),
            cmocka_unit_test(names_are_different_and_texts_are_there),
        };

        return cmocka_run_group_tests_name("check: docs", tests, read_docs, free_docs);
}
