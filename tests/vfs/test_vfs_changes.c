/* test_vfs_changes.c - what a workspace's changes look like to its user. */
#include "vfs/changes.h"
#include "vfs/tvfs.h"

#include <stdio.h>

static int setup(void **state)
{
        static const struct tmount_options options = {.seed = 1};
        struct tmount *m = tmount_new(&options);

        tmount_add_text(m, "a.txt", "a");
        tmount_add_text(m, "b.txt", "b");
        tmount_add_file(m, "run.sh", "#!", 2, true);
        tmount_add_text(m, "dir/c.txt", "c");
        tmount_add_text(m, "dir/d.txt", "d");
        tmount_add_text(m, "dir/sub/e.txt", "e");
        tmount_add_text(m, "dir/sub/f.txt", "f");
        tmount_add_link(m, "link", "a.txt");
        tmount_open(m);
        *state = m;
        return 0;
}

static int teardown(void **state)
{
        tmount_free(*state);
        return 0;
}

static void put(struct tmount *m, const char *path, const char *text)
{
        if (tmount_id(m, path) != NODEID_NONE)
                assert_int_equal(tvfs_truncate(m, path, 0), HIF_OK);
        assert_int_equal(tmount_write(m, path, 0, text, strlen(text), false), HIF_OK);
}

static void move(struct tmount *m, const char *from, const char *to)
{
        assert_int_equal(tmount_rename(m, from, to), HIF_OK);
}

static void gone(struct tmount *m, const char *path)
{
        assert_int_equal(tmount_remove(m, path), HIF_OK);
}

static void dir(struct tmount *m, const char *path)
{
        assert_int_equal(tmount_mkdir(m, path), HIF_OK);
}

static void chmod_to(struct tmount *m, const char *path, uint16_t mode)
{
        struct vfs_setattr set = {.set = VFS_SET_MODE, .mode = mode};

        assert_int_equal(tvfs_setattr(m, path, &set), HIF_OK);
}

/* --- the tests --- */

static void an_untouched_workspace_has_no_changes(void **state)
{
        tvfs_expect_changes(*state, "");
}

/* What was made, written and removed, by path. */
static void plain_changes_are_told(void **state)
{
        struct tmount *m = *state;

        put(m, "new", "n");
        put(m, "dir/c.txt", "cc");
        gone(m, "b.txt");
        dir(m, "made");
        put(m, "made/x", "x");
        assert_int_equal(tvfs_symlink(m, "made/l", "x"), HIF_OK);
        tvfs_expect_changes(m, "D b.txt\nM dir/c.txt\nA made\nA made/l\nA made/x\nA new\n");
        tmount_restart(m);
        tvfs_expect_changes(m, "D b.txt\nM dir/c.txt\nA made\nA made/l\nA made/x\nA new\n");
}

/* An editor's save is one modification. */
static void a_temporary_file_renamed_over_is_one_modification(void **state)
{
        struct tmount *m = *state;

        put(m, "dir/.c.txt.swp", "saved");
        move(m, "dir/.c.txt.swp", "dir/c.txt");
        tvfs_expect_changes(m, "M dir/c.txt\n");
}

/* What ends as the base has it is no change: content, name, mode. */
static void what_ends_equal_vanishes(void **state)
{
        struct tmount *m = *state;

        put(m, "a.txt", "other");
        put(m, "a.txt", "a");
        tvfs_expect_changes(m, "");
        put(m, "temp", "b");
        move(m, "temp", "b.txt");
        tvfs_expect_changes(m, "");
        move(m, "dir", "elsewhere");
        move(m, "elsewhere", "dir");
        chmod_to(m, "run.sh", 0644);
        chmod_to(m, "run.sh", 0755);
        gone(m, "link");
        assert_int_equal(tvfs_symlink(m, "link", "a.txt"), HIF_OK);
        tvfs_expect_changes(m, "");
}

/* The executable bit counts; other bits and times do not. */
static void the_executable_bit_is_a_modification(void **state)
{
        struct tmount *m = *state;

        chmod_to(m, "a.txt", 0600);
        tvfs_expect_changes(m, "");
        chmod_to(m, "a.txt", 0700);
        chmod_to(m, "run.sh", 0644);
        tvfs_expect_changes(m, "M a.txt\nM run.sh\n");
}

/* A renamed directory is one line, however much is in it; an edit below is another. */
static void a_renamed_directory_is_one_line(void **state)
{
        struct tmount *m = *state;

        move(m, "dir", "other");
        tvfs_expect_changes(m, "R dir > other/\n");
        put(m, "other/sub/e.txt", "edited");
        put(m, "other/new", "n");
        tvfs_expect_changes(m, "R dir > other/\nA other/new\nM other/sub/e.txt\n");
}

/* A removal below a renamed directory is told at the base's path. */
static void a_removal_in_a_moved_directory_is_told_at_the_base_path(void **state)
{
        struct tmount *m = *state;

        move(m, "dir", "other");
        gone(m, "other/c.txt");
        tvfs_expect_changes(m, "D dir/c.txt\nR dir > other/\n");
        move(m, "other/sub", "other/below");
        tvfs_expect_changes(m, "D dir/c.txt\nR dir > other/\nR dir/sub > other/below/\n");
}

/* Removing a directory that was renamed removes what the base had. */
static void a_renamed_directory_can_be_deleted(void **state)
{
        struct tmount *m = *state;

        move(m, "dir/sub", "moved");
        gone(m, "moved/e.txt");
        gone(m, "moved/f.txt");
        gone(m, "moved");
        tvfs_expect_changes(m, "D dir/sub/\nD dir/sub/e.txt\nD dir/sub/f.txt\n");
}

/* A file becomes a directory, and a file again. */
static void a_file_replaced_by_a_directory_and_back(void **state)
{
        struct tmount *m = *state;

        gone(m, "a.txt");
        dir(m, "a.txt");
        put(m, "a.txt/x", "x");
        tvfs_expect_changes(m, "M a.txt\nA a.txt/x\n");
        gone(m, "a.txt/x");
        gone(m, "a.txt");
        put(m, "a.txt", "a");
        tvfs_expect_changes(m, "");
}

/* A directory that was emptied, removed and made anew is not told; what differs in it is, once. */
static void a_directory_made_anew_is_told_by_what_differs(void **state)
{
        struct tmount *m = *state;

        gone(m, "dir/sub/e.txt");
        gone(m, "dir/sub/f.txt");
        gone(m, "dir/sub");
        dir(m, "dir/sub");
        put(m, "dir/sub/e.txt", "e");
        put(m, "dir/sub/f.txt", "changed");
        tvfs_expect_changes(m, "M dir/sub/f.txt\n");
}

/* A new directory where a renamed one was: both are told. */
static void a_new_directory_in_place_of_a_renamed_one(void **state)
{
        struct tmount *m = *state;

        move(m, "dir", "other");
        dir(m, "dir");
        put(m, "dir/c.txt", "c");
        tvfs_expect_changes(m, "A dir\nA dir/c.txt\nR dir > other/\n");
}

/* Names that tools make for themselves, fifos and what lies in such directories never show. */
static void local_names_never_show(void **state)
{
        struct tmount *m = *state;
        struct vfs_setattr set = {.set = VFS_SET_MODE, .mode = 0644};
        struct tmount_run run;
        struct vfs_attr attr;
        struct vfs_wcc wcc;
        enum hif_err err = HIF_OK;

        put(m, ".DS_Store", "x");
        put(m, "dir/._c.txt", "x");
        put(m, "dir/.nfs000012", "x");
        dir(m, "._folder");
        put(m, "._folder/inside", "x");
        TVFS_RUN(m, run, err,
                 vfs_mknod(m->vfs, &run.call, NODEID_ROOT, span_str("fifo"), ONODE_FIFO, 0, &set,
                           &attr, &wcc));
        vfs_call_end(&run.call);
        assert_int_equal(err, HIF_OK);
        tvfs_expect_changes(m, "");
}

/* What goes under such a name is deleted for everyone else; and back again, nothing happened. */
static void a_name_that_turns_local_is_a_deletion(void **state)
{
        struct tmount *m = *state;

        move(m, "a.txt", ".nfs0000a");
        move(m, "dir", "._dir");
        tvfs_expect_changes(m, "D a.txt\nD dir/\n");
        move(m, "._dir/sub", "sub");
        tvfs_expect_changes(m, "D a.txt\nD dir/\nR dir/sub > sub/\n");
        move(m, "sub", "._dir/sub");
        move(m, "._dir", "dir");
        move(m, ".nfs0000a", "a.txt");
        tvfs_expect_changes(m, "");
}

/* Another name of a file is an addition, and an edit shows under both. */
static void hard_links_are_additions(void **state)
{
        struct tmount *m = *state;

        assert_int_equal(tvfs_link(m, "a.txt", "dir/again"), HIF_OK);
        tvfs_expect_changes(m, "A dir/again\n");
        put(m, "dir/again", "both");
        tvfs_expect_changes(m, "M a.txt\nA dir/again\n");
        gone(m, "a.txt");
        tvfs_expect_changes(m, "R a.txt > dir/again\n");
}

/* The first name may come and go while there is a second one. */
static void a_linked_file_gets_its_first_name_back(void **state)
{
        struct tmount *m = *state;

        assert_int_equal(tvfs_link(m, "a.txt", "second"), HIF_OK);
        gone(m, "a.txt");
        assert_int_equal(tvfs_link(m, "second", "a.txt"), HIF_OK);
        gone(m, "second");
        tvfs_expect_changes(m, "");
        put(m, "a.txt", "edited");
        tvfs_expect_changes(m, "M a.txt\n");
}

/* Two files change places. */
static void swapped_files_are_two_renames(void **state)
{
        struct tmount *m = *state;

        move(m, "a.txt", "t");
        move(m, "b.txt", "a.txt");
        move(m, "t", "b.txt");
        tvfs_expect_changes(m, "R b.txt > a.txt\nR a.txt > b.txt\n");
}

/* A deleted file whose content a new one has, was renamed. */
static void a_copy_and_a_deletion_are_a_rename(void **state)
{
        struct tmount *m = *state;

        put(m, "moved.txt", "a");
        gone(m, "a.txt");
        tvfs_expect_changes(m, "R a.txt > moved.txt\n");
}

/* An editor renames a file aside and writes a new one: the file has changed, and has a backup. */
static void a_file_saved_anew_is_a_modification(void **state)
{
        struct tmount *m = *state;

        move(m, "a.txt", "a.txt~");
        put(m, "a.txt", "edited");
        tvfs_expect_changes(m, "M a.txt\nA a.txt~\n");
        gone(m, "a.txt~");
        tvfs_expect_changes(m, "M a.txt\n");
}

/* The same with the old content: there is only the backup. */
static void a_file_saved_as_it_was_is_no_change(void **state)
{
        struct tmount *m = *state;

        move(m, "a.txt", "a.txt~");
        put(m, "a.txt", "a");
        tvfs_expect_changes(m, "A a.txt~\n");
}

/* Who lands says what was done, with a filter of the paths that it touched and of the directories above
 * them; also once it is on disk only. */
static void operations_come_with_a_filter_of_their_paths(void **state)
{
        struct tmount *m = *state;
        struct vfs_snapshot snapshot;
        struct hif_why why = {""};

        put(m, "dir/sub/new", "n");
        move(m, "dir/c.txt", "moved");
        tmount_restart(m);
        assert_int_equal(vfs_snapshot_take(m->vfs, false, &snapshot), HIF_OK);
        assert_int_equal(vfs_snapshot_ops(&snapshot, &why), HIF_OK);
        assert_true(snapshot.op_count >= 2);
        assert_int_equal(snapshot.ops[0].kind, SESSION_CREATE);
        assert_true(span_eq(snapshot.ops[0].path, span_str("dir/sub/new")));
        assert_true(span_eq(snapshot.ops[snapshot.op_count - 1].path2, span_str("moved")));
        assert_true(bloom_maybe(&snapshot.bloom, span_str("dir/sub/new")));
        assert_true(bloom_maybe(&snapshot.bloom, span_str("dir/sub")));
        assert_true(bloom_maybe(&snapshot.bloom, span_str("dir")));
        assert_true(bloom_maybe(&snapshot.bloom, span_str("moved")));
        assert_false(bloom_maybe(&snapshot.bloom, span_str("dir/d.txt")));
        vfs_snapshot_free(&snapshot);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
            TEST(an_untouched_workspace_has_no_changes),
            TEST(plain_changes_are_told),
            TEST(a_temporary_file_renamed_over_is_one_modification),
            TEST(what_ends_equal_vanishes),
            TEST(the_executable_bit_is_a_modification),
            TEST(a_renamed_directory_is_one_line),
            TEST(a_removal_in_a_moved_directory_is_told_at_the_base_path),
            TEST(a_renamed_directory_can_be_deleted),
            TEST(a_file_replaced_by_a_directory_and_back),
            TEST(a_directory_made_anew_is_told_by_what_differs),
            TEST(a_new_directory_in_place_of_a_renamed_one),
            TEST(local_names_never_show),
            TEST(a_name_that_turns_local_is_a_deletion),
            TEST(hard_links_are_additions),
            TEST(a_linked_file_gets_its_first_name_back),
            TEST(swapped_files_are_two_renames),
            TEST(a_copy_and_a_deletion_are_a_rename),
            TEST(a_file_saved_anew_is_a_modification),
            TEST(a_file_saved_as_it_was_is_no_change),
            TEST(operations_come_with_a_filter_of_their_paths),
        };

        return cmocka_run_group_tests_name("vfs_changes", tests, NULL, NULL);
}
