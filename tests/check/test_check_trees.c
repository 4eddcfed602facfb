/* Trees: nodes that are gone or changed, trees that break the rules, and what slots say of them. */
#include "tests/check/tcheck.h"

static struct layout_key leaf_key(struct tcheck *tc, uint64_t position, const char *path)
{
        struct hif_hash leaf = tcheck_leaf(tc, position, path);

        return layout_node(&tc->tp.project.layout, &leaf);
}

/* A leaf that is gone names the paths that were in it, and from where to where it is missed. */
static void a_leaf_that_is_gone(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key key = leaf_key(tc, 3, "dir/one");
        const struct tfinding *finding;
        uint64_t last = 3; /* how the tree is cut is random, and so where else the leaf is */

        tproject_land_put(&tc->tp, "dir/one", "111");
        if (strcmp(key.text, leaf_key(tc, 4, "dir/one").text) == 0)
                last = 4;
        tcheck_drop(tc, key.text);
        finding = tcheck_expect(tc, CHECK_NODE_MISSING);
        assert_string_equal(finding->key, key.text);
        assert_int_equal(finding->first, 3);
        assert_int_equal(finding->last, last);
        assert_string_equal(finding->path, "dir/one");
        assert_true(finding->path_total > 1);
}

static void a_leaf_of_the_newest_tree_that_is_changed(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key key = leaf_key(tc, 4, "many/file-0100");
        const struct tfinding *finding;

        tcheck_flip(tc, key.text, 40);
        finding = tcheck_expect(tc, CHECK_NODE_DAMAGED);
        assert_string_equal(finding->key, key.text);
        assert_int_equal(finding->last, 4);
        assert_true(strncmp(finding->path, "many/", 5) == 0);
}

/* Every node of every tree, gone and changed: told as that, and nothing else is. */
static void every_node_that_is_gone_or_changed_is_found(void **state)
{
        struct tcheck *tc = *state;
        struct store_req req = {
            .op = STORE_LIST, .prefix = "projects/org/name/trees/", .list_max = 1000};

        store_run(tc->store, &req, 1);
        assert_true(req.list.count > 6);
        for (size_t i = 0; i < req.list.count; i++) {
                const char *key = req.list.items[i].key;
                struct buf saved = {0};

                tcheck_read(tc, key, &saved);
                tcheck_flip(tc, key, saved.size / 2);
                assert_string_equal(tcheck_expect(tc, CHECK_NODE_DAMAGED)->key, key);
                tcheck_drop(tc, key);
                assert_string_equal(tcheck_expect(tc, CHECK_NODE_MISSING)->key, key);
                tcheck_write(tc, key, buf_span(&saved));
                buf_free(&saved);
        }
        store_req_free(&req);
        tcheck_expect_clean(tc);
}

/* The history before it is not read, but the tree before it is. */
static void a_check_from_a_later_position_sees_what_that_tree_needs(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key old = leaf_key(tc, 1, "dir/one");

        tc->options.from = 4;
        tcheck_drop(tc, old.text);
        tcheck_expect_clean(tc);
        tcheck_drop(tc, leaf_key(tc, 4, "many/file-0100").text);
        tcheck_expect(tc, CHECK_NODE_MISSING);
}

static void an_entry_without_a_directory(void **state)
{
        struct tcheck *tc = *state;
        struct entry file;
        struct tslot ts;

        tslot_begin(tc, &ts);
        file = tslot_file(&ts);
        tslot_edit(tc, &ts, "nowhere/file", &file);
        tslot_put(tc, &ts);
        assert_non_null(strstr(tcheck_expect(tc, CHECK_TREE_WRONG)->detail, "no directory"));
}

static void a_directory_that_went_from_above_its_files(void **state)
{
        struct tcheck *tc = *state;
        struct entry file;
        struct tslot ts;

        tslot_begin(tc, &ts);
        tslot_edit(tc, &ts, "dir", NULL);
        tslot_put(tc, &ts);
        assert_non_null(strstr(tcheck_expect(tc, CHECK_TREE_WRONG)->detail, "below a directory"));
        tslot_begin(tc, &ts);
        file = tslot_file(&ts);
        tslot_edit(tc, &ts, "dir", &file); /* and here it becomes a file */
        tslot_put(tc, &ts);
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_int_equal(tcheck_count(tc, CHECK_TREE_WRONG), 1);
}

/* Nodes end where the rule says, or the same entries would give different trees. */
static void nodes_that_end_elsewhere(void **state)
{
        struct tcheck *tc = *state;
        struct tree_params params = tc->tp.project.format.tree;
        struct entry file;
        struct tslot ts;

        params.leaf_max = params.leaf_mean = params.leaf_min = 7;
        tslot_begin(tc, &ts);
        file = tslot_file(&ts);
        tslot_edit_with(tc, &ts, "many/another", &file, &params);
        tslot_put(tc, &ts);
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_int_equal(tcheck_count(tc, CHECK_TREE_WRONG), tc->count);
        assert_true(tc->count > 0);
}

static void a_count_of_entries_that_is_wrong(void **state)
{
        struct tcheck *tc = *state;
        struct tslot ts;

        tslot_begin(tc, &ts);
        ts.slot.tree_entries++;
        tslot_put(tc, &ts);
        tcheck_expect(tc, CHECK_ENTRIES_WRONG);
}

/* Where the tree is the same, and only its name is another kind of object's. */
static void a_tree_that_is_no_tree(void **state)
{
        struct tcheck *tc = *state;
        struct tslot ts;

        tslot_begin(tc, &ts);
        memset(ts.slot.tree.bytes, 7, HIF_HASH_SIZE);
        tslot_object(&ts, SLOT_NODE, &ts.slot.tree);
        tslot_put(tc, &ts);
        assert_int_equal(tcheck_expect(tc, CHECK_NODE_MISSING)->first, 5);
        tslot_begin(tc, &ts);
        ts.slot.tree = tcheck_leaf(tc, 4, "many/file-0100");
        ts.slot.tree_entries = 1;
        tslot_object(&ts, SLOT_NODE, &ts.slot.tree);
        tslot_put(tc, &ts);
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_int_equal(tcheck_found(tc, CHECK_TREE_WRONG, 0)->first, 6);
}

/* --- what slots say of trees --- */

static void a_node_that_its_slot_does_not_list(void **state)
{
        struct tcheck *tc = *state;
        struct entry dir;
        struct tslot ts;

        tslot_begin(tc, &ts);
        dir = tslot_dir(&ts);
        tslot_edit(tc, &ts, "new-dir", &dir);
        ts.slot.object_count--;
        tslot_put(tc, &ts);
        assert_int_equal(tcheck_expect(tc, CHECK_OBJECT_UNLISTED)->count, 1);
}

static void an_object_that_is_listed_and_not_new(void **state)
{
        struct tcheck *tc = *state;
        struct hif_hash root = tcheck_root(tc, 1);
        struct tslot ts;

        tslot_begin(tc, &ts);
        tslot_object(&ts, SLOT_NODE, &root);
        tslot_put(tc, &ts);
        assert_int_equal(tcheck_expect(tc, CHECK_OBJECT_SURPLUS)->severity, CHECK_INFO);
}

static void a_changed_path_that_is_not_listed(void **state)
{
        struct tcheck *tc = *state;
        struct entry dir;
        struct tslot ts;

        tslot_begin(tc, &ts);
        dir = tslot_dir(&ts);
        tslot_edit(tc, &ts, "new-dir", &dir);
        ts.slot.path_count = 0;
        tslot_put(tc, &ts);
        assert_string_equal(tcheck_expect(tc, CHECK_PATH_UNLISTED)->path, "new-dir");
}

static void an_entry_with_a_tag_of_nobody(void **state)
{
        struct tcheck *tc = *state;
        struct entry dir;
        struct tslot ts;

        tslot_begin(tc, &ts);
        dir = tslot_dir(&ts);
        dir.tag.id ^= 2;
        tslot_edit(tc, &ts, "new-dir", &dir);
        tslot_put(tc, &ts);
        assert_string_equal(tcheck_expect(tc, CHECK_TAG_WRONG)->path, "new-dir");
}

/* A tree that shrinks ends in a node which was below its root before, and is not new. */
static void a_tree_that_shrinks_is_fine(void **state)
{
        struct tcheck *tc = *state;

        tproject_land_remove(&tc->tp, "many");
        tcheck_expect_clean(tc);
        tproject_land_put(&tc->tp, "dir/one", "1");
        tproject_land_remove(&tc->tp, "big");
        tproject_land_put(&tc->tp, "again", "1");
        tcheck_expect_clean(tc);
}

/* Whatever people do, the check has nothing against it; and the trees are those of tree_verify. */
static void any_history_that_hif_wrote_is_clean(void **state)
{
        static char names[32][24];
        struct tcheck *tc = *state;
        uint64_t random = env_random_u64(&tc->tp.env);

        print_message("seed %llu\n", (unsigned long long)random);
        for (unsigned i = 0; i < 60; i++) {
                struct tsession *ts = calloc(1, sizeof(*ts));
                bool any = false;

                assert_non_null(ts);
                tsession_open(ts, &tc->tp, tproject_tail(&tc->tp));
                for (unsigned k = 0; k < 32; k++) {
                        uint64_t position = tproject_tail(&tc->tp);
                        unsigned number;

                        random = random * 6364136223846793005u + 1442695040888963407u;
                        number = (unsigned)(random >> 40) % 700;
                        (void)snprintf(names[k], sizeof(names[k]), "many/file-%04u", number);
                        if (k > 0 && strcmp(names[k], names[0]) == 0)
                                continue;
                        if (k > 0 && (random >> 60) > 3)
                                break;
                        if ((random >> 30) % 3 == 0 && tproject_has(&tc->tp, position, names[k]))
                                tsession_remove(ts, names[k]);
                        else
                                tsession_put(ts, names[k], i % 2 ? "odd" : "even");
                        any = true;
                        for (unsigned j = 0; j < k; j++)
                                if (strcmp(names[j], names[k]) == 0) {
                                        ts->count--; /* each path once */
                                        break;
                                }
                }
                if (any && tsession_land(ts) != HIF_OK)
                        assert_non_null(strstr(ts->why.text, "nothing to land"));
                tsession_close(ts);
                free(ts);
        }
        tproject_verify(&tc->tp);
        tc->options.subset.kind = CHECK_SUBSET_ALL;
        tcheck_expect_clean(tc);
        assert_true(tc->report.tail > 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tcheck_setup, tcheck_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(a_leaf_that_is_gone),
            TEST(a_leaf_of_the_newest_tree_that_is_changed),
            TEST(every_node_that_is_gone_or_changed_is_found),
            TEST(a_check_from_a_later_position_sees_what_that_tree_needs),
            TEST(an_entry_without_a_directory),
            TEST(a_directory_that_went_from_above_its_files),
            TEST(nodes_that_end_elsewhere),
            TEST(a_count_of_entries_that_is_wrong),
            TEST(a_tree_that_is_no_tree),
            TEST(a_node_that_its_slot_does_not_list),
            TEST(an_object_that_is_listed_and_not_new),
            TEST(a_changed_path_that_is_not_listed),
            TEST(an_entry_with_a_tag_of_nobody),
            TEST(a_tree_that_shrinks_is_fine),
            TEST(any_history_that_hif_wrote_is_clean),
        };

        return cmocka_run_group_tests_name("check: trees", tests, NULL, NULL);
}
