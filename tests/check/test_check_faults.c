/* A store that does not answer, or refuses: what could not be asked is told as that. It is never
 * damage, and never "nothing is wrong". */
#include "tests/check/tcheck.h"

static void with_fault(struct tcheck *tc, int op, const char *key, uint64_t skip, uint64_t count,
                       enum store_fault fault, enum hif_err err)
{
        struct store_fault_rule rule = {.op = op,
                                        .key_contains = key,
                                        .skip = skip,
                                        .count = count,
                                        .fault = fault,
                                        .err = err};

        if (tc->store == tc->tp.store)
                assert_int_equal(store_fault_new(&tc->tp.env, tc->tp.store, &tc->store), HIF_OK);
        assert_int_equal(store_fault_add(tc->store, &rule), HIF_OK);
}

/* Whatever the store refuses: something is not checked, and nothing is damaged. */
static void expect_not_checked(struct tcheck *tc, enum hif_err reason)
{
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_true(tc->report.not_checked > 0);
        assert_int_equal(tc->report.not_checked_err, reason);
        assert_int_equal(tc->report.counts[CHECK_WARNING], 0);
        assert_int_equal(tc->report.counts[CHECK_ERROR], 0);
        assert_int_equal(tc->report.counts[CHECK_FATAL], 0);
}

static void what_is_refused_is_not_checked(void **state)
{
        static const char *const folders[] = {
            "/trees/", "/blobs/", "/packs/", "/sessions/", "/landing-log/000000000002", "/head"};

        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
                struct tcheck *tc = *state;

                tc->options.subset.kind = CHECK_SUBSET_ALL;
                if (tc->store != tc->tp.store)
                        store_fault_clear(tc->store);
                with_fault(tc, STORE_GET, folders[i], 0, UINT64_MAX, STORE_FAULT_FAIL, HIF_EDENIED);
                expect_not_checked(tc, HIF_EDENIED);
        }
}

static void keys_that_are_not_listed_are_not_missing(void **state)
{
        struct tcheck *tc = *state;

        with_fault(tc, STORE_LIST, "projects/", 1, UINT64_MAX, STORE_FAULT_FAIL, HIF_EDENIED);
        expect_not_checked(tc, HIF_EDENIED);
}

static void no_listing_at_all(void **state)
{
        struct tcheck *tc = *state;

        with_fault(tc, STORE_LIST, "projects/", 0, UINT64_MAX, STORE_FAULT_FAIL, HIF_EDENIED);
        expect_not_checked(tc, HIF_EDENIED);
}

/* One that is not answered is asked again. */
static void a_passing_silence_is_overcome(void **state)
{
        struct tcheck *tc = *state;

        with_fault(tc, -1, NULL, 5, 2, STORE_FAULT_FAIL, HIF_EUNREACHABLE);
        with_fault(tc, STORE_GET, "/trees/", 3, 1, STORE_FAULT_FLIP, HIF_OK);
        with_fault(tc, STORE_GET, "/landing-log/", 2, 1, STORE_FAULT_TRUNCATE, HIF_OK);
        with_fault(tc, STORE_GET, "/packs/", 1, 1, STORE_FAULT_FLIP, HIF_OK);
        tc->options.subset.kind = CHECK_SUBSET_ALL;
        tcheck_expect_clean(tc);
}

static void a_store_that_is_gone_ends_the_check(void **state)
{
        struct tcheck *tc = *state;

        with_fault(tc, -1, NULL, 12, UINT64_MAX, STORE_FAULT_FAIL, HIF_EUNREACHABLE);
        assert_int_equal(tcheck_run(tc), HIF_EUNREACHABLE);
        assert_non_null(strstr(tc->why.text, "does not answer"));
        assert_int_equal(tc->report.counts[CHECK_ERROR], 0);
}

static void a_format_that_is_refused(void **state)
{
        struct tcheck *tc = *state;

        with_fault(tc, STORE_GET, "/format", 0, UINT64_MAX, STORE_FAULT_FAIL, HIF_EDENIED);
        assert_int_equal(tcheck_run(tc), HIF_EDENIED);
        assert_int_equal(tc->count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tcheck_setup, tcheck_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(what_is_refused_is_not_checked),
            TEST(keys_that_are_not_listed_are_not_missing),
            TEST(no_listing_at_all),
            TEST(a_passing_silence_is_overcome),
            TEST(a_store_that_is_gone_ends_the_check),
            TEST(a_format_that_is_refused),
        };

        return cmocka_run_group_tests_name("check: faults", tests, NULL, NULL);
}
