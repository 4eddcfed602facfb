/* test_tree.c - trees against a sorted array: histories, lookups, ranks, what is written and read.
 *
 * An argument replaces the fixed seeds of the randomised tests. */
#include "tests/core/test_tree_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t seeds[] = {1, 2, 3, 20260101};
static size_t seed_count = sizeof(seeds) / sizeof(seeds[0]);

static void expect_root(const struct hif_hash *got, const struct hif_hash *want)
{
        assert_memory_equal(got->bytes, want->bytes, HIF_HASH_SIZE);
}

static void expect_tree(struct model *model, const struct model_state *state)
{
        struct hif_hash bulk = state_bulk_root(model, state);
        struct hif_why why = {"fine"};
        uint64_t count;
        enum hif_err err;

        expect_root(&state->root, &bulk);
        err = tree_verify(&model->tree.source, &model->params, &state->root, &why);
        if (err)
                fail_msg("%s: %s", hif_err_name(err), why.text);
        assert_int_equal(tree_count(&model->tree.source, &state->root, &count), HIF_OK);
        assert_int_equal(count, state_count(model, state));
        assert_int_equal(model->tree.held, 0);
}

static int key_order(const void *a, const void *b)
{
        return span_cmp(buf_span(a), buf_span(b));
}

static size_t change_size(struct model *model)
{
        static const size_t sizes[] = {1, 1, 2, 10, 60};

        return sizes[model_random(model) % 5];
}

static void one_history(uint64_t seed, size_t files, bool small, int rounds)
{
        struct model_state old, now;
        struct model model;

        print_message("seed %llu\n", (unsigned long long)seed);
        model_init(&model, seed, files, small);
        state_init(&model, &old);
        state_init(&model, &now);
        if (seed % 2)
                state_fill(&model, &old);
        state_apply(&model, NULL, &old, NULL);
        expect_tree(&model, &old);
        for (int round = 0; round < rounds; round++) {
                struct tree_stats stats;
                uint64_t writes = model.tree.writes;

                memcpy(now.versions, old.versions, model.count * sizeof(uint32_t));
                switch (model_random(&model) % 12) {
                case 0:
                        state_clear(&model, &now);
                        break;
                case 1:
                        state_fill(&model, &now);
                        break;
                case 2:
                        state_change(&model, &now, model.count);
                        break;
                default:
                        state_change(&model, &now, change_size(&model));
                        break;
                }
                state_apply(&model, &old, &now, &stats);
                expect_tree(&model, &now);
                assert_true(model.tree.writes - writes <= stats.nodes_written);
                state_copy(&model, &old, &now);
        }
        state_free(&old);
        state_free(&now);
        model_free(&model);
}

/* Whatever edits led to them, the same entries have the root that they have when built at once. */
static void any_history_leads_to_the_same_root(void **state)
{
        (void)state;
        for (size_t i = 0; i < seed_count; i++) {
                one_history(seeds[i], 400, true, 60);
                one_history(seeds[i] + 1, 30, true, 120);
                one_history(seeds[i], 6000, false, 12);
        }
}

/* The same edits one by one, in any order, give the same root as all at once. */
static void the_order_of_edits_leaves_no_trace(void **state)
{
        (void)state;
        for (size_t s = 0; s < seed_count; s++) {
                struct model_state old, now;
                struct model_edits edits;
                struct model model;
                struct hif_hash root;

                print_message("seed %llu\n", (unsigned long long)seeds[s]);
                model_init(&model, seeds[s], 200, true);
                state_init(&model, &old);
                state_init(&model, &now);
                state_change(&model, &old, 100);
                state_apply(&model, NULL, &old, NULL);
                state_change(&model, &now, 150);
                edits_between(&model, &old, &now, false, &edits);
                for (size_t i = edits.count; i > 1; i--) {
                        size_t k = model_random(&model) % i;
                        struct tree_edit swap = edits.array[k];

                        edits.array[k] = edits.array[i - 1];
                        edits.array[i - 1] = swap;
                }
                root = old.root;
                for (size_t i = 0; i < edits.count; i++)
                        assert_int_equal(memtree_apply(&model.tree, &model.params, &root,
                                                       &edits.array[i], 1, &root, NULL),
                                         HIF_OK);
                now.root = root;
                expect_tree(&model, &now);
                edits_free(&edits);
                state_free(&old);
                state_free(&now);
                model_free(&model);
        }
}

/* Growing and shrinking at its end, one entry a time, a tree passes through every shape: roots that
 * end by the rule and get a sibling, last nodes that vanish, levels that come and go. */
static void a_tree_grows_and_shrinks_at_its_end(void **state)
{
        (void)state;
        for (size_t s = 0; s < seed_count; s++) {
                struct model_state old, now;
                struct model model;

                print_message("seed %llu\n", (unsigned long long)seeds[s]);
                model_init(&model, seeds[s], 150, true);
                state_init(&model, &old);
                state_init(&model, &now);
                state_apply(&model, NULL, &old, NULL);
                for (size_t i = 1; i < 2 * model.count; i++) {
                        size_t at = i < model.count ? i : 2 * model.count - i;
                        struct hif_hash bulk;

                        if (at == model.count)
                                continue;
                        state_copy(&model, &now, &old);
                        now.versions[at] = i < model.count;
                        state_apply(&model, &old, &now, NULL);
                        bulk = state_bulk_root(&model, &now);
                        expect_root(&now.root, &bulk);
                        state_copy(&model, &old, &now);
                }
                assert_int_equal(state_count(&model, &now), 1);
                state_free(&old);
                state_free(&now);
                model_free(&model);
        }
}

/* The cut is part of the format: 500 directories, in nodes of three on average, have this root. */
static void a_tree_has_its_golden_root(void **state)
{
        static const char golden[] =
            "e7f503605ae70ea55821ed4a2fb7f53ccb8073365e835e81357efe64b82aa465";
        const struct tree_params params = {2, 3, 7, 2, 3, 6, 0x0123456789abcdef};
        const struct entry dir = {.kind = ENTRY_DIR};
        struct tree_edit edits[501];
        struct buf keys[501] = {{0}};
        struct memtree tree;
        struct hif_hash root;
        char hex[HIF_HASH_HEX_SIZE];

        (void)state;
        memtree_init(&tree);
        for (int i = 1; i < 501; i++) {
                char name[16];

                snprintf(name, sizeof(name), "%d", i);
                key_from_path(&keys[i], span_str(name));
        }
        qsort(keys, 501, sizeof(keys[0]), key_order);
        for (int i = 0; i < 501; i++)
                edits[i] = (struct tree_edit){.key = buf_span(&keys[i]), .entry = &dir};
        assert_int_equal(memtree_apply(&tree, &params, NULL, edits, 501, &root, NULL), HIF_OK);
        hash_to_hex(&root, hex);
        assert_string_equal(hex, golden);
        for (int i = 0; i < 501; i++)
                buf_free(&keys[i]);
        memtree_free(&tree);
}

/* --- reading --- */

static void expect_entry(struct model *model, const struct model_state *state, size_t i,
                         const struct entry *entry)
{
        struct entry want;

        model_entry(model, i, state->versions[i], &want);
        assert_true(entry_identical(entry, &want));
}

static void expect_lookup(struct model *model, const struct model_state *state,
                          struct tree_cursor *cursor, size_t i, uint64_t rank)
{
        struct tree_source *source = &model->tree.source;
        struct span key = model->paths[i].key;
        uint64_t got = 12345;
        struct entry entry;
        enum hif_err err = tree_find(cursor, &state->root, key, &entry, &got);

        if (state->versions[i] == 0) {
                assert_int_equal(err, HIF_ENOENT);
                assert_int_equal(got, 12345);
        } else {
                assert_int_equal(err, HIF_OK);
                assert_int_equal(got, rank);
                expect_entry(model, state, i, &entry);
        }
        assert_int_equal(tree_rank(source, &state->root, key, &got), HIF_OK);
        assert_int_equal(got, rank);
        assert_int_equal(tree_rank_about(source, &state->root, key, &got), HIF_OK);
        assert_int_equal(got, rank); /* all nodes are there */
}

/* From the first path at or after i that is there: a few steps. */
static void expect_walk(struct model *model, const struct model_state *state,
                        struct tree_cursor *cursor, enum hif_err err, size_t i, uint64_t rank)
{
        for (int steps = 0; steps < 12; steps++, i++) {
                struct entry entry;

                while (i < model->count && state->versions[i] == 0)
                        i++;
                if (i == model->count) {
                        assert_int_equal(err, HIF_ENOENT);
                        return;
                }
                assert_int_equal(err, HIF_OK);
                assert_true(span_eq(tree_cursor_key(cursor), model->paths[i].key));
                tree_cursor_entry(cursor, &entry);
                expect_entry(model, state, i, &entry);
                assert_int_equal(cursor->rank, rank++);
                err = tree_next(cursor);
        }
}

static void expect_reads(struct model *model, const struct model_state *state)
{
        uint64_t *ranks = calloc(model->count + 1, sizeof(*ranks));
        struct tree_cursor cursor;

        assert_non_null(ranks);
        for (size_t i = 0; i < model->count; i++)
                ranks[i + 1] = ranks[i] + (state->versions[i] > 0);
        tree_cursor_init(&cursor, &model->tree.source);
        for (size_t n = 0; n < 2 * model->count; n++) {
                size_t i = n < model->count ? n : model_random(model) % model->count;

                expect_lookup(model, state, &cursor, i, ranks[i]);
                if (n % 3 == 0)
                        expect_walk(model, state, &cursor,
                                    tree_seek(&cursor, &state->root, model->paths[i].key), i,
                                    ranks[i]);
                if (n % 5 == 0 && state->versions[i] > 0)
                        expect_walk(model, state, &cursor,
                                    tree_seek_rank(&cursor, &state->root, ranks[i]), i, ranks[i]);
        }
        assert_int_equal(tree_seek_rank(&cursor, &state->root, ranks[model->count]), HIF_ENOENT);
        tree_cursor_close(&cursor);
        free(ranks);
}

/* Find, seek, next, rank and select agree with the array, with one cursor in any order, also when
 * it changes its root. */
static void reads_agree_with_the_array(void **state)
{
        (void)state;
        for (size_t s = 0; s < seed_count; s++) {
                struct model_state a, b;
                struct model model;
                struct tree_cursor cursor;

                print_message("seed %llu\n", (unsigned long long)seeds[s]);
                model_init(&model, seeds[s], s % 2 ? 3000 : 300, s % 2 == 0);
                state_init(&model, &a);
                state_init(&model, &b);
                state_apply(&model, NULL, &b, NULL);
                expect_reads(&model, &b);
                state_change(&model, &a, model.count);
                state_apply(&model, &b, &a, NULL);
                expect_reads(&model, &a);
                tree_cursor_init(&cursor, &model.tree.source);
                for (int i = 0; i < 20; i++) {
                        const struct model_state *at = i % 2 ? &a : &b;

                        expect_walk(&model, at, &cursor,
                                    tree_seek(&cursor, &at->root, (struct span){0}), 0, 0);
                }
                tree_cursor_close(&cursor);
                state_free(&a);
                state_free(&b);
                model_free(&model);
        }
}

/* --- cost --- */

struct big {
        struct model model;
        struct model_state old, now;
        struct tree_stats built;
};

static int setup_big(void **state)
{
        struct big *big = calloc(1, sizeof(*big));

        assert_non_null(big);
        model_init(&big->model, 77, 20000, false);
        state_init(&big->model, &big->old);
        state_init(&big->model, &big->now);
        state_fill(&big->model, &big->old);
        state_apply(&big->model, NULL, &big->old, &big->built);
        state_copy(&big->model, &big->now, &big->old);
        *state = big;
        return 0;
}

static int teardown_big(void **state)
{
        struct big *big = *state;

        state_free(&big->old);
        state_free(&big->now);
        model_free(&big->model);
        free(big);
        return 0;
}

/* A tree of 20,000 entries in nodes of some 137 has two or three levels, and nodes of the size that
 * was meant. */
static void nodes_have_the_size_that_was_meant(void **state)
{
        struct big *big = *state;
        uint64_t mean = big->built.bytes_written / big->built.nodes_written;

        assert_int_equal(big->built.nodes_read, 0);
        assert_in_range(big->built.nodes_written, 100, 250);
        assert_in_range(mean, 8 << 10, 20 << 10);
}

/* One edit writes one node a level, rarely two, and reads little more. */
static void an_edit_costs_its_path(void **state)
{
        struct big *big = *state;
        uint64_t written = 0, read = 0;

        for (int round = 0; round < 50; round++) {
                size_t i = model_random(&big->model) % big->model.count;
                uint64_t writes = big->model.tree.writes;
                struct model_edits edits;
                struct tree_stats stats;

                state_copy(&big->model, &big->now, &big->old);
                big->now.versions[i] += 1 + (uint32_t)round;
                edits_between(&big->model, &big->old, &big->now, false, &edits);
                assert_int_equal(edits.count, 1);
                assert_int_equal(memtree_apply(&big->model.tree, &big->model.params, &big->old.root,
                                               edits.array, 1, &big->now.root, &stats),
                                 HIF_OK);
                edits_free(&edits);
                /* A key that stays keeps the boundaries: exactly the path is new. */
                assert_in_range(stats.nodes_written, 2, 3);
                assert_in_range(stats.nodes_read, 3, 7);
                assert_int_equal(big->model.tree.writes - writes, stats.nodes_written);
                written += stats.nodes_written;
                read += stats.nodes_read;
        }
        assert_true(written <= 150 && read <= 350);
}

/* Edits that change nothing write nothing. */
static void idle_edits_write_nothing(void **state)
{
        struct big *big = *state;
        struct model_edits edits;
        struct tree_stats stats;
        struct hif_hash root;

        edits_between(&big->model, &big->old, &big->old, true, &edits);
        assert_true(edits.count > 100);
        assert_int_equal(memtree_apply(&big->model.tree, &big->model.params, &big->old.root,
                                       edits.array, edits.count, &root, &stats),
                         HIF_OK);
        expect_root(&root, &big->old.root);
        assert_int_equal(stats.nodes_written, 0);
        assert_int_equal(stats.bytes_written, 0);
        assert_int_equal(memtree_apply(&big->model.tree, &big->model.params, &big->old.root, NULL,
                                       0, &root, NULL),
                         HIF_OK);
        expect_root(&root, &big->old.root);
        edits_free(&edits);
}

/* An insertion or a removal moves boundaries; what is read and written stays near it. */
static void boundaries_find_back_soon(void **state)
{
        struct big *big = *state;
        struct tree_stats stats;
        uint64_t written = 0, read = 0;

        for (int round = 0; round < 50; round++) {
                size_t i = 1 + model_random(&big->model) % (big->model.count - 1);
                struct model_edits edits;

                if (big->model.paths[i].dir)
                        continue;
                state_copy(&big->model, &big->now, &big->old);
                big->now.versions[i] = 0;
                edits_between(&big->model, &big->old, &big->now, false, &edits);
                assert_int_equal(memtree_apply(&big->model.tree, &big->model.params, &big->old.root,
                                               edits.array, 1, &big->now.root, &stats),
                                 HIF_OK);
                edits_free(&edits);
                written += stats.nodes_written;
                read += stats.nodes_read;
        }
        assert_true(written <= 50 * 4);
        assert_true(read <= 50 * 8);
}

/* Without its entries, the root of an empty project is one leaf; that entry stays. */
static void the_root_directory_stays(void **state)
{
        struct big *big = *state;
        struct model *model = &big->model;
        const struct entry file = {.kind = ENTRY_FILE};
        struct tree_edit edit = {.key = {0}};
        struct hif_hash root;

        assert_int_equal(
            memtree_apply(&model->tree, &model->params, &big->old.root, &edit, 1, &root, NULL),
            HIF_EINVAL);
        edit.entry = &file;
        assert_int_equal(
            memtree_apply(&model->tree, &model->params, &big->old.root, &edit, 1, &root, NULL),
            HIF_EINVAL);
        assert_int_equal(memtree_apply(&model->tree, &model->params, NULL, NULL, 0, &root, NULL),
                         HIF_EINVAL);
        edit.key = model->paths[1].key;
        assert_int_equal(memtree_apply(&model->tree, &model->params, NULL, &edit, 1, &root, NULL),
                         HIF_EINVAL);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(any_history_leads_to_the_same_root),
            cmocka_unit_test(the_order_of_edits_leaves_no_trace),
            cmocka_unit_test(a_tree_grows_and_shrinks_at_its_end),
            cmocka_unit_test(a_tree_has_its_golden_root),
            cmocka_unit_test(reads_agree_with_the_array),
            cmocka_unit_test_setup_teardown(nodes_have_the_size_that_was_meant, setup_big,
                                            teardown_big),
            cmocka_unit_test_setup_teardown(an_edit_costs_its_path, setup_big, teardown_big),
            cmocka_unit_test_setup_teardown(idle_edits_write_nothing, setup_big, teardown_big),
            cmocka_unit_test_setup_teardown(boundaries_find_back_soon, setup_big, teardown_big),
            cmocka_unit_test_setup_teardown(the_root_directory_stays, setup_big, teardown_big),
        };

        if (argc > 1) {
                seeds[0] = strtoull(argv[1], NULL, 0);
                seed_count = 1;
        }
        return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
