/* test_tree_diff.c - comparing trees, and trees of which parts are not resident.
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

/* --- against the array --- */

/* What tree_diff should call, in order. */
struct expected {
        struct model *model;
        const struct model_state *a, *b;
        size_t next, end;
        uint64_t rank_a, rank_b; /* of next */
        uint64_t calls;
        uint64_t stop_after; /* 0: never */
};

static void expected_step(struct expected *e)
{
        e->rank_a += e->a->versions[e->next] > 0;
        e->rank_b += e->b->versions[e->next] > 0;
        e->next++;
}

static void expected_skip_equal(struct expected *e)
{
        while (e->next < e->end && e->a->versions[e->next] == e->b->versions[e->next])
                expected_step(e);
}

static void expect_side(struct expected *e, const struct model_state *state,
                        const struct entry *entry)
{
        struct entry want;

        if (state->versions[e->next] == 0) {
                assert_null(entry);
                return;
        }
        model_entry(e->model, e->next, state->versions[e->next], &want);
        assert_non_null(entry);
        assert_true(entry_identical(entry, &want));
}

static enum hif_err expect_call(void *arg, struct span key, const struct entry *a,
                                const struct entry *b, uint64_t rank_a, uint64_t rank_b)
{
        struct expected *e = arg;

        expected_skip_equal(e);
        assert_in_range(e->next, 0, e->end - 1);
        assert_true(span_eq(key, e->model->paths[e->next].key));
        expect_side(e, e->a, a);
        expect_side(e, e->b, b);
        assert_int_equal(rank_a, e->rank_a);
        assert_int_equal(rank_b, e->rank_b);
        expected_step(e);
        return ++e->calls == e->stop_after ? HIF_ECANCELED : HIF_OK;
}

static void expected_init(struct expected *e, struct model *model, const struct model_state *a,
                          const struct model_state *b, size_t from, size_t to)
{
        *e = (struct expected){.model = model, .a = a, .b = b, .end = to};
        while (e->next < from)
                expected_step(e);
}

/* Over paths [from, to) of the universe. */
static void expect_diff(struct model *model, const struct model_state *a,
                        const struct model_state *b, size_t from, size_t to)
{
        struct span from_key = {0}, to_key = {0};
        struct expected e;

        expected_init(&e, model, a, b, from, to);
        if (from > 0)
                from_key = model->paths[from].key;
        if (to < model->count)
                to_key = model->paths[to].key;
        assert_int_equal(
            tree_diff(&model->tree.source, &a->root, &b->root, from_key, to_key, expect_call, &e),
            HIF_OK);
        expected_skip_equal(&e);
        assert_int_equal(e.next, to);
        assert_int_equal(model->tree.held, 0);
}

static void diff_states(uint64_t seed, size_t files, bool small, int rounds)
{
        struct model_state states[3];
        struct model model;

        print_message("seed %llu\n", (unsigned long long)seed);
        model_init(&model, seed, files, small);
        for (int i = 0; i < 3; i++)
                state_init(&model, &states[i]);
        state_apply(&model, NULL, &states[0], NULL);
        state_change(&model, &states[1], model.count);
        state_apply(&model, &states[0], &states[1], NULL);
        for (int round = 0; round < rounds; round++) {
                static const size_t sizes[] = {1, 2, 10, 100, 1000};
                const struct model_state *other = &states[model_random(&model) % 2];

                state_copy(&model, &states[2], &states[1]);
                state_change(&model, &states[2], sizes[model_random(&model) % 5]);
                state_apply(&model, &states[1], &states[2], NULL);
                expect_diff(&model, other, &states[2], 0, model.count);
                expect_diff(&model, &states[2], other, 0, model.count);
                for (int i = 0; i < 4; i++) {
                        size_t from = model_random(&model) % model.count;
                        size_t to = from + 1 + model_random(&model) % (model.count - from);

                        expect_diff(&model, other, &states[2], from, to);
                }
        }
        for (int i = 0; i < 3; i++)
                state_free(&states[i]);
        model_free(&model);
}

/* Every difference is told once, in key order, with both ranks, within the range. */
static void differences_agree_with_the_array(void **state)
{
        (void)state;
        for (size_t i = 0; i < seed_count; i++) {
                diff_states(seeds[i], 300, true, 40);
                diff_states(seeds[i], 4000, false, 10);
        }
}

/* --- cost --- */

struct big {
        struct model model;
        struct model_state old, now;
        uint64_t nodes; /* of the old tree */
};

static int setup_big(void **state)
{
        struct big *big = calloc(1, sizeof(*big));
        struct tree_stats stats;

        assert_non_null(big);
        model_init(&big->model, 99, 20000, false);
        state_init(&big->model, &big->old);
        state_init(&big->model, &big->now);
        state_fill(&big->model, &big->old);
        state_apply(&big->model, NULL, &big->old, &stats);
        big->nodes = stats.nodes_written;
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

/* Finding a few differences reads a few nodes, also where they moved the boundaries. */
static void equal_parts_are_not_read(void **state)
{
        struct big *big = *state;

        for (int round = 0; round < 30; round++) {
                uint64_t gets;

                state_copy(&big->model, &big->now, &big->old);
                for (int i = 0; i < 3; i++) {
                        size_t at = 1 + model_random(&big->model) % (big->model.count - 1);

                        big->now.versions[at] = big->model.paths[at].dir || round % 2 ? 7 : 0;
                }
                state_apply(&big->model, &big->old, &big->now, NULL);
                gets = big->model.tree.gets;
                expect_diff(&big->model, &big->old, &big->now, 0, big->model.count);
                assert_in_range(big->model.tree.gets - gets, 4, 50);
        }
}

/* each() ends the walk with its error. */
static void the_callback_stops_the_walk(void **state)
{
        struct big *big = *state;
        struct expected e;

        state_change(&big->model, &big->now, 100);
        state_apply(&big->model, &big->old, &big->now, NULL);
        expected_init(&e, &big->model, &big->old, &big->now, 0, big->model.count);
        e.stop_after = 3;
        assert_int_equal(tree_diff(&big->model.tree.source, &big->old.root, &big->now.root,
                                   (struct span){0}, (struct span){0}, expect_call, &e),
                         HIF_ECANCELED);
        assert_int_equal(e.calls, 3);
}

/* --- misses --- */

/* Runs until it does not miss; how many rounds of fetching that took. */
static unsigned fetch_until_ok(struct big *big, enum hif_err (*run)(struct big *big),
                               uint64_t *fetched)
{
        for (unsigned rounds = 0; rounds < 100; rounds++) {
                enum hif_err err = run(big);

                assert_int_equal(big->model.tree.held, 0);
                if (err == HIF_OK)
                        return rounds;
                assert_int_equal(err, HIF_EMISS);
                *fetched += memtree_fetch(&big->model.tree);
        }
        fail_msg("still missing");
        return 0;
}

static enum hif_err run_diff(struct big *big)
{
        struct expected e;
        enum hif_err err;

        expected_init(&e, &big->model, &big->old, &big->now, 0, big->model.count);
        err = tree_diff(&big->model.tree.source, &big->old.root, &big->now.root, (struct span){0},
                        (struct span){0}, expect_call, &e);
        expected_skip_equal(&e);
        if (!err)
                assert_int_equal(e.next, big->model.count);
        return err;
}

/* One run of a cold diff makes known all misses of a level: some rounds for many differences. */
static void a_cold_diff_asks_for_many_nodes_at_once(void **state)
{
        struct big *big = *state;
        uint64_t fetched = 0;

        for (size_t i = 0; i < 20; i++) {
                size_t at = 1 + i * 997;

                big->now.versions[at] = 9;
        }
        state_apply(&big->model, &big->old, &big->now, NULL);
        memtree_evict(&big->model.tree);
        assert_in_range(fetch_until_ok(big, run_diff, &fetched), 1, 4);
        assert_in_range(fetched, 40, 60);
}

static enum hif_err run_touch(struct big *big)
{
        return tree_touch(&big->model.tree.source, &big->old.root, (struct span){0},
                          (struct span){0}, SIZE_MAX);
}

/* Touching a cold tree takes a round a level, and then a walk over it misses nothing. */
static void touching_takes_a_round_a_level(void **state)
{
        struct big *big = *state;
        struct memtree *tree = &big->model.tree;
        struct tree_cursor cursor;
        uint64_t fetched = 0, misses;
        enum hif_err err;

        memtree_evict(tree);
        assert_in_range(fetch_until_ok(big, run_touch, &fetched), 2, 3);
        assert_int_equal(fetched, big->nodes);
        misses = tree->misses;
        tree_cursor_init(&cursor, &tree->source);
        for (err = tree_seek(&cursor, &big->old.root, (struct span){0}); !err;)
                err = tree_next(&cursor);
        assert_int_equal(err, HIF_ENOENT);
        tree_cursor_close(&cursor);
        assert_int_equal(tree->misses, misses);
}

/* A touch of a range asks for the nodes of that range, and for no more than it may. */
static void touching_keeps_to_its_range_and_its_limit(void **state)
{
        struct big *big = *state;
        struct memtree *tree = &big->model.tree;
        struct span from = big->model.paths[9000].key, to = big->model.paths[9300].key;
        struct tree_cursor cursor;
        uint64_t gets, misses;
        enum hif_err err;

        memtree_evict(tree);
        gets = tree->gets;
        while ((err = tree_touch(&tree->source, &big->old.root, from, to, 1000)) == HIF_EMISS)
                memtree_fetch(tree);
        assert_int_equal(err, HIF_OK);
        assert_in_range(tree->gets - gets, 4, 40);
        misses = tree->misses;
        tree_cursor_init(&cursor, &tree->source);
        err = tree_seek(&cursor, &big->old.root, from);
        while (!err && span_cmp(tree_cursor_key(&cursor), big->model.paths[9299].key) < 0)
                err = tree_next(&cursor);
        assert_int_equal(err, HIF_OK);
        tree_cursor_close(&cursor);
        assert_int_equal(tree->misses, misses);
        gets = tree->gets;
        assert_int_equal(tree_touch(&tree->source, &big->old.root, from, to, 2), HIF_OK);
        assert_int_equal(tree->gets - gets, 2);
}

static enum hif_err run_apply(struct big *big)
{
        struct hif_hash before = {{0x55}}, root = before;
        struct model_edits edits;
        struct tree_stats stats = {.nodes_read = 4711};
        enum hif_err err;

        edits_between(&big->model, &big->old, &big->now, false, &edits);
        err = memtree_apply(&big->model.tree, &big->model.params, &big->old.root, edits.array,
                            edits.count, &root, &stats);
        edits_free(&edits);
        if (err) {
                assert_true(hash_eq(&root, &before));
                assert_int_equal(stats.nodes_read, 4711);
        } else {
                assert_true(hash_eq(&root, &big->now.root));
        }
        return err;
}

static enum hif_err run_reads(struct big *big)
{
        struct tree_source *source = &big->model.tree.source;
        struct span key = big->model.paths[5000].key;
        struct tree_cursor cursor;
        struct entry entry;
        uint64_t rank, count;
        enum hif_err err;

        tree_cursor_init(&cursor, source);
        err = tree_find(&cursor, &big->old.root, key, &entry, &rank);
        if (!err)
                assert_int_equal(rank, 5000);
        for (int i = 0; !err && i < 400; i++)
                err = tree_next(&cursor);
        assert_int_equal(cursor.depth > 0, err == HIF_OK);
        if (!err)
                assert_true(span_eq(tree_cursor_key(&cursor), big->model.paths[5400].key));
        if (!err)
                err = tree_seek_rank(&cursor, &big->old.root, 19999);
        if (!err)
                err = tree_seek(&cursor, &big->old.root, key);
        if (!err)
                err = tree_rank(source, &big->old.root, key, &rank);
        if (!err)
                err = tree_count(source, &big->old.root, &count);
        tree_cursor_close(&cursor);
        return err;
}

static enum hif_err run_verify(struct big *big)
{
        struct hif_why why;

        return tree_verify(&big->model.tree.source, &big->model.params, &big->old.root, &why);
}

/* With its k-th get missing, for every k: an operation says so, changes nothing, holds nothing, and
 * succeeds when it runs again. */
static void any_get_may_miss(void **state)
{
        struct big *big = *state;
        static enum hif_err (*const runs[])(struct big *) = {run_diff, run_touch, run_apply,
                                                             run_reads, run_verify};

        state_change(&big->model, &big->now, 8);
        big->now.versions[big->model.count / 2] = 3;
        state_apply(&big->model, &big->old, &big->now, NULL);
        for (size_t r = 0; r < sizeof(runs) / sizeof(runs[0]); r++) {
                enum hif_err err = HIF_EMISS;
                uint64_t k;

                for (k = 1; err == HIF_EMISS && k < 100000; k += r == 4 ? 61 : 1) {
                        big->model.tree.miss_at = k;
                        err = runs[r](big);
                        assert_int_equal(big->model.tree.held, 0);
                        if (big->model.tree.miss_at == 0) {
                                assert_int_equal(err, HIF_EMISS);
                                assert_int_equal(runs[r](big), HIF_OK);
                        }
                        big->model.tree.miss_at = 0;
                }
                assert_int_equal(err, HIF_OK);
                assert_true(k > 3);
        }
}

/* Changing a cold tree needs the nodes of the edits, not the tree. */
static void changing_a_cold_tree_reads_little(void **state)
{
        struct big *big = *state;
        uint64_t fetched = 0;

        for (size_t i = 0; i < 5; i++)
                big->now.versions[1 + i * 3001] = 9;
        state_apply(&big->model, &big->old, &big->now, NULL);
        memtree_evict(&big->model.tree);
        fetch_until_ok(big, run_apply, &fetched);
        assert_in_range(fetched, 6, 12);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(differences_agree_with_the_array),
            cmocka_unit_test_setup_teardown(equal_parts_are_not_read, setup_big, teardown_big),
            cmocka_unit_test_setup_teardown(the_callback_stops_the_walk, setup_big, teardown_big),
            cmocka_unit_test_setup_teardown(a_cold_diff_asks_for_many_nodes_at_once, setup_big,
                                            teardown_big),
            cmocka_unit_test_setup_teardown(touching_takes_a_round_a_level, setup_big,
                                            teardown_big),
            cmocka_unit_test_setup_teardown(touching_keeps_to_its_range_and_its_limit, setup_big,
                                            teardown_big),
            cmocka_unit_test_setup_teardown(any_get_may_miss, setup_big, teardown_big),
            cmocka_unit_test_setup_teardown(changing_a_cold_tree_reads_little, setup_big,
                                            teardown_big),
        };

        if (argc > 1) {
                seeds[0] = strtoull(argv[1], NULL, 0);
                seed_count = 1;
        }
        return cmocka_run_group_tests_name("tree_diff", tests, NULL, NULL);
}
