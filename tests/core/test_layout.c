/* test_layout.c - where a project's objects lie. */
#include "core/layout.h"
#include "tests/core/codec_check.h"

static struct layout layout_for(const char *project)
{
        struct layout layout;
        struct hif_why why;

        assert_int_equal(layout_init(&layout, project, &why), HIF_OK);
        return layout;
}

#define HH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Every key, letter by letter: stores outlive programs. */
static void golden_keys(void **state)
{
        struct layout layout = layout_for("acme/app");
        struct session_id id;
        struct hif_hash hash;

        (void)state;
        assert_true(hash_from_hex(span_str(HH), &hash));
        assert_true(session_id_from_hex(span_str("00112233445566778899aabbccddeeff"), &id));
        assert_string_equal(layout.prefix, "projects/acme/app/");
        assert_string_equal(layout_format(&layout).text, "projects/acme/app/format");
        assert_string_equal(layout_head(&layout).text, "projects/acme/app/head");
        assert_string_equal(layout_slot(&layout, 0).text,
                            "projects/acme/app/landing-log/000000000000");
        assert_string_equal(layout_slot(&layout, POSITION_MAX).text,
                            "projects/acme/app/landing-log/999999999999");
        assert_string_equal(layout_session(&layout, &id, &hash).text,
                            "projects/acme/app/sessions/00112233445566778899aabbccddeeff/" HH
                            ".bin");
        assert_string_equal(layout_node(&layout, &hash).text,
                            "projects/acme/app/trees/01/" HH ".bin");
        assert_string_equal(layout_blob(&layout, &hash).text, "projects/acme/app/blobs/01/" HH);
        assert_string_equal(layout_pack(&layout, &hash).text, "projects/acme/app/packs/01/" HH);
        assert_string_equal(layout_list(&layout, &hash).text, "projects/acme/app/lists/01/" HH);
}

/* The longest names give keys that fit, and the project's name comes back. */
static void longest_names_fit(void **state)
{
        char project[64 + 1 + 64 + 1];
        struct layout layout;
        struct session_id id = {0};
        struct hif_hash hash = {0};
        AUTO_BUF struct buf out = {0};

        (void)state;
        memset(project, 'x', sizeof(project));
        project[64] = '/';
        project[129] = '\0';
        layout = layout_for(project);
        layout_project(&layout, &out);
        assert_true(span_eq(buf_span(&out), span_str(project)));
        assert_true(strlen(layout_session(&layout, &id, &hash).text) < LAYOUT_KEY_MAX);
        assert_true(strlen(layout_slot(&layout, UINT64_MAX).text) < LAYOUT_KEY_MAX);
}

/* Names that could leave the project's folder, or hide in it, are refused with a sentence. */
static void bad_names_are_refused(void **state)
{
        static const char *const bad[] = {
            "",          "app",       "/",        "acme/",     "/app",          "acme/app/x",
            "./app",     "../app",    "acme/..",  "acme/.app", "-acme/app",     "acme/-rf",
            "a b/c",     "acme/a\\b", "acme/a\n", "acme//app", "acme/\xc3\xa9", "acme/a:b",
            "acme/app/", "acme/a*",   "acme/%2e", " acme/app",
        };
        char long_name[80] = "acme/";
        struct layout layout;
        struct hif_why why;

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                if (layout_init(&layout, bad[i], &why) != HIF_EINVAL)
                        fail_msg("\"%s\" was taken", bad[i]);
                assert_non_null(strstr(why.text, "ORG/NAME"));
        }
        memset(long_name + 5, 'x', 65);
        assert_int_equal(layout_init(&layout, long_name, &why), HIF_EINVAL);
        long_name[5 + 64] = '\0';
        assert_int_equal(layout_init(&layout, long_name, NULL), HIF_OK);
}

/* All of the allowed alphabet is allowed. */
static void good_names_are_taken(void **state)
{
        (void)state;
        layout_for("a/b");
        layout_for("_org-1.x/Name_2.0-rc1");
        layout_for("0/9");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(golden_keys),
            cmocka_unit_test(longest_names_fit),
            cmocka_unit_test(bad_names_are_refused),
            cmocka_unit_test(good_names_are_taken),
        };

        return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
