/* The ordered tree of directory entries, against a sorted array. */
#include "overlay/dirents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct tdirents {
        struct slab slab;
        struct dirents dirents;
        uint64_t random;
};

static int setup(void **state)
{
        struct tdirents *t = calloc(1, sizeof(*t));

        assert_non_null(t);
        dirents_init(&t->dirents, &t->slab);
        t->random = 1;
        *state = t;
        return 0;
}

static int teardown(void **state)
{
        struct tdirents *t = *state;

        dirents_free(&t->dirents);
        slab_release(&t->slab);
        free(t);
        return 0;
}

static uint64_t next_random(struct tdirents *t)
{
        t->random ^= t->random << 13;
        t->random ^= t->random >> 7;
        t->random ^= t->random << 17;
        return t->random;
}

static void put(struct tdirents *t, uint64_t dir, uint64_t hash, const char *name, uint64_t child)
{
        struct odirent row = {.dir = dir, .hash60 = hash, .name = span_str(name), .child = child};

        assert_int_equal(dirents_put(&t->dirents, &row), HIF_OK);
}

/* What is put is found, a second put replaces it, and what is deleted is not found. */
static void put_get_and_delete(void **state)
{
        struct tdirents *t = *state;

        put(t, 1, 5, "a", 10);
        put(t, 1, 5, "a", 11);
        put(t, 1, 5, "b", 12);
        assert_int_equal(dirents_get(&t->dirents, 1, 5, span_str("a"))->child, 11);
        assert_int_equal(dirents_count_of(&t->dirents, 1), 2);
        assert_true(dirents_del(&t->dirents, 1, 5, span_str("a")));
        assert_false(dirents_del(&t->dirents, 1, 5, span_str("a")));
        assert_null(dirents_get(&t->dirents, 1, 5, span_str("a")));
        assert_int_equal(dirents_count_of(&t->dirents, 1), 1);
        assert_int_equal(dirents_count_of(&t->dirents, 2), 0);
}

/* Names whose hashes are all equal are kept apart by their bytes, in any number. */
static void equal_hashes_are_ordered_by_name(void **state)
{
        struct tdirents *t = *state;
        const struct odirent *row;
        char name[16];
        int listed = 0;

        for (int i = 0; i < 1000; i++) {
                snprintf(name, sizeof(name), "n%03d", (i * 377) % 1000);
                put(t, 7, 42, name, (uint64_t)i + 1);
        }
        dirents_check(&t->dirents);
        for (row = dirents_seek(&t->dirents, 7, 42, (struct span){0}); row != NULL;
             row = dirents_next(&t->dirents, row)) {
                snprintf(name, sizeof(name), "n%03d", listed++);
                assert_true(span_eq(row->name, span_str(name)));
        }
        assert_int_equal(listed, 1000);
}

/* Seek finds the first row at or after a key, in the next directory too. */
static void seek_finds_the_next_row(void **state)
{
        struct tdirents *t = *state;

        put(t, 1, 10, "x", 1);
        put(t, 1, 20, "y", 2);
        put(t, 3, 0, "z", 3);
        assert_int_equal(dirents_seek(&t->dirents, 1, 11, (struct span){0})->child, 2);
        assert_int_equal(dirents_seek(&t->dirents, 1, 20, span_str("y"))->child, 2);
        assert_int_equal(dirents_seek(&t->dirents, 1, 20, span_str("z"))->child, 3);
        assert_null(dirents_seek(&t->dirents, 3, 1, (struct span){0}));
}

/* Under random churn the tree stays ordered, linked and counted, and empties without a rest. */
static void random_churn_keeps_the_tree_whole(void **state)
{
        struct tdirents *t = *state;
        static bool present[8][1000];
        size_t count = 0;
        char name[16];

        memset(present, 0, sizeof(present));
        for (int i = 0; i < 60000; i++) {
                uint64_t dir = next_random(t) % 8, k = next_random(t) % 1000;
                bool grow = (i / 10000) % 2 == 0, add = next_random(t) % 4 != 0 ? grow : !grow;

                snprintf(name, sizeof(name), "f%u", (unsigned)k);
                if (add) {
                        put(t, dir, k / 3, name, k + 1);
                        count += !present[dir][k];
                } else {
                        assert_int_equal(dirents_del(&t->dirents, dir, k / 3, span_str(name)),
                                         present[dir][k]);
                        count -= present[dir][k];
                }
                present[dir][k] = add;
                if (i % 5000 == 0)
                        dirents_check(&t->dirents);
        }
        dirents_check(&t->dirents);
        assert_int_equal(t->dirents.count, count);
        for (unsigned dir = 0; dir < 8; dir++)
                for (unsigned k = 0; k < 1000; k++) {
                        snprintf(name, sizeof(name), "f%u", k);
                        assert_int_equal(dirents_get(&t->dirents, dir, k / 3, span_str(name)) !=
                                             NULL,
                                         present[dir][k]);
                        dirents_del(&t->dirents, dir, k / 3, span_str(name));
                }
        dirents_check(&t->dirents);
        assert_null(t->dirents.root);
}

/* Iteration goes on from a row although the tree was searched elsewhere in between. */
static void next_works_without_the_remembered_place(void **state)
{
        struct tdirents *t = *state;
        const struct odirent *row;
        char name[16];
        size_t listed = 0;

        for (unsigned i = 0; i < 500; i++) {
                snprintf(name, sizeof(name), "f%u", i);
                put(t, 1, i, name, i + 1);
        }
        for (row = dirents_seek(&t->dirents, 1, 0, (struct span){0}); row != NULL;
             row = dirents_next(&t->dirents, row)) {
                dirents_seek(&t->dirents, 1, (listed * 7) % 500, (struct span){0});
                listed++;
        }
        assert_int_equal(listed, 500);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
            TEST(put_get_and_delete),
            TEST(equal_hashes_are_ordered_by_name),
            TEST(seek_finds_the_next_row),
            TEST(random_churn_keeps_the_tree_whole),
            TEST(next_works_without_the_remembered_place),
        };

        return cmocka_run_group_tests_name("dirents", tests, NULL, NULL);
}
