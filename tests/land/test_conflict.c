/* What counts as a conflict, rule by rule (docs/landing.md, "Conflicts"). In every test somebody
 * lands first, from the same base; then the session under test tries. */
#include "tests/land/tland.h"

#include <stdlib.h>

/* base: a file, a file in a directory, and an empty directory. */
struct fixture {
        struct tproject tp;
        struct tsession ts;
        uint64_t base;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tproject_open(&f->tp, NULL, 0);
        tproject_land_put(&f->tp, "file", "base");
        tproject_land_mkdir(&f->tp, "dir");
        tproject_land_put(&f->tp, "dir/inner", "base");
        tproject_land_mkdir(&f->tp, "empty");
        f->base = tproject_tail(&f->tp);
        tsession_open(&f->ts, &f->tp, f->base);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        tsession_close(&f->ts);
        tproject_close(&f->tp);
        free(f);
        return 0;
}

static void expect_conflict(struct fixture *f, const char *path, const char *ours,
                            const char *theirs)
{
        uint64_t tail = tproject_tail(&f->tp);

        assert_int_equal(tsession_land(&f->ts), HIF_ECONFLICT);
        tsession_expect_conflict(&f->ts, path, ours, theirs);
        assert_int_equal(f->ts.result.position, tail);
        assert_int_equal(f->ts.result.conflicts[0].position, f->base + 1);
        assert_true(span_eq(f->ts.result.conflicts[0].author, span_str("A <a@b>")));
        assert_int_equal(tproject_tail(&f->tp), tail);
}

static void expect_landed(struct fixture *f)
{
        enum hif_err err = tsession_land(&f->ts);

        if (err != HIF_OK)
                fail_msg("%s: %s", hif_err_name(err), f->ts.why.text);
        tproject_verify(&f->tp);
}

/* Two files that were changed by one side each are both there. */
static void different_files_do_not_conflict(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "dir/inner", "theirs");
        tsession_put(&f->ts, "file", "ours");
        expect_landed(f);
        tproject_expect(&f->tp, "file", "ours");
        tproject_expect(&f->tp, "dir/inner", "theirs");
}

/* Two new files in one directory are both there. */
static void two_additions_to_one_directory_do_not_conflict(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "empty/theirs", "1");
        tsession_put(&f->ts, "empty/ours", "2");
        expect_landed(f);
        tproject_expect(&f->tp, "empty/theirs", "1");
        tproject_expect(&f->tp, "empty/ours", "2");
}

/* N's entry differs from base's and from ours. */
static void both_changed_a_file(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "file", "theirs");
        tsession_put(&f->ts, "file", "ours");
        expect_conflict(f, "file", "changed", "changed");
}

/* A path that exists on one side only is that side's. */
static void both_added_a_file(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "new", "theirs");
        tsession_put(&f->ts, "new", "ours");
        expect_conflict(f, "new", "added", "added");
}

static void we_change_what_they_removed(void **state)
{
        struct fixture *f = *state;

        tproject_land_remove(&f->tp, "file");
        tsession_put(&f->ts, "file", "ours");
        expect_conflict(f, "file", "changed", "removed");
}

static void we_remove_what_they_changed(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "file", "theirs");
        tsession_remove(&f->ts, "file");
        expect_conflict(f, "file", "removed", "changed");
}

/* The executable bit is one of the four things that are compared. */
static void the_executable_bit_counts(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "file", "theirs");
        tsession_exec(&f->ts, "file", "base");
        expect_conflict(f, "file", "changed", "changed");
}

/* So is the kind. */
static void a_file_replaced_by_a_link_counts(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "file", "theirs");
        tsession_link(&f->ts, "file", "elsewhere");
        expect_conflict(f, "file", "changed", "changed");
}

/* Where both sides are equal, N's entry is kept whole: its time and its tag too. */
static void equal_changes_keep_their_entry_whole(void **state)
{
        struct fixture *f = *state;
        struct entry before, after;

        tproject_land_put(&f->tp, "file", "same");
        before = tproject_entry(&f->tp, f->base + 1, "file");
        tsession_put(&f->ts, "file", "same");
        f->ts.changes[0].mtime.sec = 77777;
        tsession_put(&f->ts, "other", "ours");
        expect_landed(f);
        after = tproject_entry(&f->tp, f->base + 2, "file");
        assert_int_equal(after.mtime.sec, before.mtime.sec);
        assert_int_equal(after.tag.id, before.tag.id);
        assert_memory_equal(&after.loc, &before.loc, sizeof(after.loc));
}

/* The same when that is all there is. */
static void equal_changes_alone_are_nothing_to_land(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "file", "same");
        tsession_put(&f->ts, "file", "same");
        assert_int_equal(tsession_land(&f->ts), HIF_ENOTHING);
}

static void both_removed_is_nothing_to_land(void **state)
{
        struct fixture *f = *state;

        tproject_land_remove(&f->tp, "file");
        tsession_remove(&f->ts, "file");
        assert_int_equal(tsession_land(&f->ts), HIF_ENOTHING);
}

/* Times never conflict: a touched file is nobody's change. */
static void a_touched_file_is_not_ours(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "file", "theirs");
        tsession_put(&f->ts, "file", "base");
        f->ts.changes[0].mtime.sec = 99999;
        tsession_put(&f->ts, "other", "ours");
        expect_landed(f);
        tproject_expect(&f->tp, "file", "theirs");
}

/* Ours exists, and its directory is gone at N. */
static void we_add_to_a_directory_that_they_removed(void **state)
{
        struct fixture *f = *state;

        tproject_land_remove(&f->tp, "empty");
        tsession_put(&f->ts, "empty/new", "ours");
        expect_conflict(f, "empty/new", "added", "removed a directory above it");
}

/* Ours exists, and its directory is something else at N. */
static void we_add_to_a_directory_that_they_replaced(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "empty", "a file now");
        tsession_put(&f->ts, "empty/new", "ours");
        expect_conflict(f, "empty/new", "added", "replaced a directory above it");
}

/* A directory of our own making needs none at N. */
static void we_add_a_directory_with_files(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "file", "theirs");
        tsession_mkdir(&f->ts, "new", 5);
        tsession_mkdir(&f->ts, "new/deeper", 5);
        tsession_put(&f->ts, "new/deeper/file", "ours");
        expect_landed(f);
        tproject_expect(&f->tp, "new/deeper/file", "ours");
}

/* Both make the same directory, with different files in it. */
static void both_added_a_directory(void **state)
{
        struct fixture *f = *state;

        tproject_land_mkdir(&f->tp, "new");
        tproject_land_put(&f->tp, "new/theirs", "1");
        tsession_mkdir(&f->ts, "new", 5);
        tsession_put(&f->ts, "new/ours", "2");
        expect_landed(f);
        tproject_expect(&f->tp, "new/theirs", "1");
        tproject_expect(&f->tp, "new/ours", "2");
}

/* Base has a directory, we have none, and N holds something new below it. */
static void we_remove_a_directory_that_they_added_to(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "dir/new", "theirs");
        tsession_remove(&f->ts, "dir/inner");
        tsession_remove(&f->ts, "dir");
        expect_conflict(f, "dir/new", "removed its directory", "added");
}

/* The same where we put something else in its place. */
static void we_replace_a_directory_that_they_added_to(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "dir/new", "theirs");
        tsession_put(&f->ts, "dir", "a file now");
        expect_conflict(f, "dir/new", "removed its directory", "added");
}

/* A renamed directory counts as all its base entries. */
static void we_rename_a_directory_with_a_file_that_they_changed(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "dir/inner", "theirs");
        tsession_rename(&f->ts, "dir", "moved");
        tsession_rename(&f->ts, "dir/inner", "moved/inner");
        expect_conflict(f, "dir/inner", "removed", "changed");
}

/* Removing a directory removes what base has below it, listed or not, and nothing else. */
static void removing_a_directory_removes_what_is_below(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "file", "theirs");
        tsession_remove(&f->ts, "dir");
        expect_landed(f);
        assert_false(tproject_has(&f->tp, f->base + 2, "dir"));
        assert_false(tproject_has(&f->tp, f->base + 2, "dir/inner"));
        assert_true(tproject_has(&f->tp, f->base + 2, "empty"));
}

/* A conflict names the landing that made it, not a later one. */
static void a_conflict_names_its_landing(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "file", "theirs");
        tproject_land_put(&f->tp, "unrelated", "1");
        tsession_put(&f->ts, "file", "ours");
        assert_int_equal(tsession_land(&f->ts), HIF_ECONFLICT);
        assert_int_equal(f->ts.result.conflicts[0].position, f->base + 1);
        assert_int_equal(f->ts.result.position, f->base + 2);
}

/* All of them are reported, in path order. */
static void every_conflict_is_reported(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "file", "theirs");
        tproject_land_put(&f->tp, "dir/inner", "theirs");
        tsession_put(&f->ts, "file", "ours");
        tsession_put(&f->ts, "dir/inner", "ours");
        assert_int_equal(tsession_land(&f->ts), HIF_ECONFLICT);
        assert_int_equal(f->ts.result.conflict_count, 2);
        assert_true(span_eq(f->ts.result.conflicts[0].path, span_str("dir/inner")));
        assert_true(span_eq(f->ts.result.conflicts[1].path, span_str("file")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(different_files_do_not_conflict),
            TEST(two_additions_to_one_directory_do_not_conflict),
            TEST(both_changed_a_file),
            TEST(both_added_a_file),
            TEST(we_change_what_they_removed),
            TEST(we_remove_what_they_changed),
            TEST(the_executable_bit_counts),
            TEST(a_file_replaced_by_a_link_counts),
            TEST(equal_changes_keep_their_entry_whole),
            TEST(equal_changes_alone_are_nothing_to_land),
            TEST(both_removed_is_nothing_to_land),
            TEST(a_touched_file_is_not_ours),
            TEST(we_add_to_a_directory_that_they_removed),
            TEST(we_add_to_a_directory_that_they_replaced),
            TEST(we_add_a_directory_with_files),
            TEST(both_added_a_directory),
            TEST(we_remove_a_directory_that_they_added_to),
            TEST(we_replace_a_directory_that_they_added_to),
            TEST(we_rename_a_directory_with_a_file_that_they_changed),
            TEST(removing_a_directory_removes_what_is_below),
            TEST(a_conflict_names_its_landing),
            TEST(every_conflict_is_reported),
        };

        return cmocka_run_group_tests_name("conflict", tests, NULL, NULL);
}
