/* test_vfs_claim.c - a session that was published elsewhere becomes rows of a fresh overlay: what a
 * workspace over them shows is what the session was. */
#include "core/memtree.h"
#include "vfs/changes.h"
#include "vfs/claim.h"
#include "vfs/tmount_impl.h"
#include "vfs/tvfs.h"

#include <stdio.h>

/* The base, and after claim_edits() what is edited; both trees also lie in memory. */
struct fixture {
        struct tmount *m;
        struct memtree nodes;
        struct vfs_base base;
        struct hif_hash edited;
        struct session_op ops[8];
        size_t op_count;
};

/* The tree of what was added to the fixture, in memory, too. */
static void land(struct fixture *f)
{
        struct tree_params params = tree_params_default(7);
        struct tree_stats stats = {0};
        struct tree_edit edits[64];
        struct hif_hash root;

        tmount_land(f->m);
        assert_true(f->m->entry_count <= 64);
        for (size_t i = 0; i < f->m->entry_count; i++)
                edits[i] = (struct tree_edit){.key = buf_span(&f->m->entries[i].key),
                                              .entry = &f->m->entries[i].entry};
        assert_int_equal(
            memtree_apply(&f->nodes, &params, NULL, edits, f->m->entry_count, &root, &stats),
            HIF_OK);
        assert_true(hash_eq(&root, &f->m->base.tree));
}

/* Of the base, all that few tests change. */
static void add_most(struct tmount *m)
{
        tmount_add_text(m, "dir/c.txt", "c");
        tmount_add_text(m, "dir/sub/e.txt", "e");
        tmount_add_link(m, "link", "a.txt");
}

static void add_base(struct tmount *m)
{
        tmount_add_text(m, "a.txt", "a");
        tmount_add_text(m, "b.txt", "b");
        add_most(m);
}

static int setup(void **state)
{
        static const struct tmount_options options = {.seed = 1};
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        memtree_init(&f->nodes);
        f->m = tmount_new(&options);
        add_base(f->m);
        land(f);
        f->base = f->m->base;
        tmount_forget_entries(f->m);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        tmount_free(f->m);
        memtree_free(&f->nodes);
        free(f);
        return 0;
}

static void op_rename(struct fixture *f, const char *from, const char *to)
{
        assert_true(f->op_count < sizeof(f->ops) / sizeof(f->ops[0]));
        f->ops[f->op_count++] = (struct session_op){
            .kind = SESSION_RENAME, .path = span_str(from), .path2 = span_str(to)};
}

static void op_create(struct fixture *f, const char *path)
{
        f->ops[f->op_count++] = (struct session_op){.kind = SESSION_CREATE, .path = span_str(path)};
}

/* What was added since setup is what the session had; its rows go into the overlay. */
static enum hif_err claim(struct fixture *f)
{
        struct vfs_claim claim = {.env = f->m->env,
                                  .nodes = &f->nodes.source,
                                  .base = f->base,
                                  .ops = f->ops,
                                  .op_count = f->op_count,
                                  .uid = TMOUNT_UID,
                                  .gid = TMOUNT_GID};
        struct overlay_config config = f->m->options.overlay;
        struct hif_why why = {""};
        enum hif_err err;

        land(f);
        claim.tree = f->m->base.tree;
        check_why(overlay_open(f->m->env, NULL, f->m->dir, &config, &claim.overlay, &why), &why);
        err = vfs_claim(&claim);
        overlay_close(claim.overlay);
        return err;
}

/* Claimed, and mounted. */
static struct tmount *claimed(struct fixture *f)
{
        assert_int_equal(claim(f), HIF_OK);
        assert_int_equal(f->nodes.held, 0);
        tmount_open(f->m);
        return f->m;
}

/* The number that a workspace has for it that nobody has edited. */
static uint64_t number_in_base(const char *path)
{
        static const struct tmount_options options = {.seed = 1};
        struct tmount *m = tmount_new(&options);
        uint64_t id;

        add_base(m);
        tmount_open(m);
        id = tmount_id(m, path);
        tmount_free(m);
        return id;
}

/* --- the tests --- */

static void a_session_without_edits_has_no_changes(void **state)
{
        struct fixture *f = *state;
        struct tmount *m;

        add_base(f->m);
        m = claimed(f);
        tvfs_expect_changes(m, "");
        tvfs_expect(m, "dir/sub/e.txt", "e");
}

static void edits_are_there_with_their_content(void **state)
{
        struct fixture *f = *state;
        struct tmount *m;

        tmount_add_text(f->m, "a.txt", "changed");
        tmount_add_text(f->m, "dir/c.txt", "c");
        tmount_add_text(f->m, "dir/new/deep/f.txt", "f");
        tmount_add_file(f->m, "run.sh", "#!", 2, true);
        tmount_add_link(f->m, "link", "b.txt");
        m = claimed(f);
        tvfs_expect_changes(m, "M a.txt\nD b.txt\nA dir/new\nA dir/new/deep\nA dir/new/deep/f.txt\n"
                               "D dir/sub/\nD dir/sub/e.txt\nM link\nA run.sh\n");
        tvfs_expect(m, "a.txt", "changed");
        tvfs_expect(m, "dir/c.txt", "c");
        tvfs_expect(m, "dir/new/deep/f.txt", "f");
        assert_true(tvfs_leads_to(m, "link", "b.txt"));
        assert_int_equal(tmount_attr(m, "run.sh").mode, 0755);
        assert_int_equal(tmount_id(m, "b.txt"), NODEID_NONE);
        assert_int_equal(tmount_id(m, "dir/sub/e.txt"), NODEID_NONE);
}

/* Nothing is read but nodes until someone reads. */
static void no_content_is_fetched(void **state)
{
        struct fixture *f = *state;
        uint64_t gets = store_stats_get(f->m->mem).requests[STORE_GET];

        tmount_add_text(f->m, "a.txt", "changed");
        assert_int_equal(claim(f), HIF_OK);
        assert_int_equal(store_stats_get(f->m->mem).requests[STORE_GET], gets);
}

static void a_renamed_file_is_the_same_file(void **state)
{
        struct fixture *f = *state;
        struct tmount *m;

        tmount_add_text(f->m, "dir/moved.txt", "a");
        tmount_add_text(f->m, "b.txt", "b");
        add_most(f->m);
        op_rename(f, "a.txt", "between");
        op_rename(f, "between", "dir/moved.txt");
        m = claimed(f);
        tvfs_expect_changes(m, "R a.txt > dir/moved.txt\n");
        assert_int_equal(tmount_id(m, "dir/moved.txt"), number_in_base("a.txt"));
        tvfs_expect(m, "dir/moved.txt", "a");
        assert_int_equal(tmount_id(m, "a.txt"), NODEID_NONE);
}

/* What is below goes along, and what changed there is a change of its own. */
static void a_renamed_directory_takes_along_what_is_in_it(void **state)
{
        struct fixture *f = *state;
        struct tmount *m;

        tmount_add_text(f->m, "a.txt", "a");
        tmount_add_text(f->m, "b.txt", "b");
        tmount_add_text(f->m, "elsewhere/c.txt", "changed");
        tmount_add_text(f->m, "elsewhere/added", "x");
        tmount_add_text(f->m, "elsewhere/sub/e.txt", "e");
        tmount_add_link(f->m, "link", "a.txt");
        op_rename(f, "dir", "elsewhere");
        m = claimed(f);
        assert_int_equal(tmount_id(m, "elsewhere"), number_in_base("dir"));
        assert_int_equal(tmount_id(m, "elsewhere/sub/e.txt"), number_in_base("dir/sub/e.txt"));
        assert_int_equal(tmount_id(m, "dir"), NODEID_NONE);
        tvfs_expect(m, "elsewhere/c.txt", "changed");
        tvfs_expect(m, "elsewhere/added", "x");
        tvfs_expect(m, "elsewhere/sub/e.txt", "e");
}

static void two_files_that_changed_places_have_each_others_number(void **state)
{
        struct fixture *f = *state;
        struct tmount *m;

        tmount_add_text(f->m, "a.txt", "b");
        tmount_add_text(f->m, "b.txt", "a");
        add_most(f->m);
        op_rename(f, "a.txt", "t");
        op_rename(f, "b.txt", "a.txt");
        op_rename(f, "t", "b.txt");
        m = claimed(f);
        tvfs_expect(m, "a.txt", "b");
        tvfs_expect(m, "b.txt", "a");
        assert_int_equal(tmount_id(m, "a.txt"), number_in_base("b.txt"));
        assert_int_equal(tmount_id(m, "b.txt"), number_in_base("a.txt"));
}

/* A name that was left and made again is something new. */
static void a_name_that_was_taken_again_is_another_file(void **state)
{
        struct fixture *f = *state;
        struct tmount *m;

        tmount_add_text(f->m, "a.txt", "new");
        tmount_add_text(f->m, "old.txt", "a");
        tmount_add_text(f->m, "b.txt", "b");
        add_most(f->m);
        op_rename(f, "a.txt", "old.txt");
        op_create(f, "a.txt");
        m = claimed(f);
        assert_int_equal(tmount_id(m, "old.txt"), number_in_base("a.txt"));
        assert_int_not_equal(tmount_id(m, "a.txt"), number_in_base("a.txt"));
        tvfs_expect(m, "a.txt", "new");
        tvfs_expect(m, "old.txt", "a");
}

/* The trees decide: operations that they do not bear out are an addition and a removal. */
static void a_rename_that_the_trees_deny_is_an_addition(void **state)
{
        struct fixture *f = *state;
        struct tmount *m;

        tmount_add_text(f->m, "moved.txt", "changed, too");
        tmount_add_text(f->m, "b.txt", "b");
        add_most(f->m);
        op_rename(f, "a.txt", "moved.txt");
        op_rename(f, "never", "was");
        m = claimed(f);
        tvfs_expect_changes(m, "D a.txt\nA moved.txt\n");
        assert_int_not_equal(tmount_id(m, "moved.txt"), number_in_base("a.txt"));
        tvfs_expect(m, "moved.txt", "changed, too");
}

static void operations_of_names_that_can_not_be_are_damage(void **state)
{
        static const char *const names[] = {"..", "a//b", "/a", "a/"};

        (void)state;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                struct fixture *f;
                void *mine = NULL;

                setup(&mine);
                f = mine;
                add_base(f->m);
                op_rename(f, names[i], "moved");
                assert_int_equal(claim(f), HIF_ECORRUPT);
                teardown(&mine);
        }
}

/* Whichever node cannot be read, that is the answer, and no node stays held. */
static void a_node_that_can_not_be_read_ends_it(void **state)
{
        enum hif_err err = HIF_EMISS;
        unsigned failed = 0;

        (void)state;
        for (uint64_t k = 1; err != HIF_OK; k++) {
                struct fixture *f;
                void *mine = NULL;

                setup(&mine);
                f = mine;
                tmount_add_text(f->m, "elsewhere/c.txt", "changed");
                tmount_add_text(f->m, "elsewhere/sub/e.txt", "e");
                op_rename(f, "dir", "elsewhere");
                f->nodes.miss_at = k + f->nodes.gets;
                err = claim(f);
                failed += err == HIF_EMISS;
                assert_true(err == HIF_OK || err == HIF_EMISS);
                assert_int_equal(f->nodes.held, 0);
                teardown(&mine);
        }
        assert_true(failed > 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(a_session_without_edits_has_no_changes, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(edits_are_there_with_their_content, setup, teardown),
            cmocka_unit_test_setup_teardown(no_content_is_fetched, setup, teardown),
            cmocka_unit_test_setup_teardown(a_renamed_file_is_the_same_file, setup, teardown),
            cmocka_unit_test_setup_teardown(a_renamed_directory_takes_along_what_is_in_it, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(two_files_that_changed_places_have_each_others_number,
                                            setup, teardown),
            cmocka_unit_test_setup_teardown(a_name_that_was_taken_again_is_another_file, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(a_rename_that_the_trees_deny_is_an_addition, setup,
                                            teardown),
            cmocka_unit_test(a_node_that_can_not_be_read_ends_it),
            cmocka_unit_test(operations_of_names_that_can_not_be_are_damage),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
