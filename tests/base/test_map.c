/* test_map.c - the hash map against a plain table. An argument replaces the fixed seeds. */
#include "base/map.h"
#include "tests/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_COUNT 3000

static uint64_t seeds[] = {1, 20260101, 0x9e3779b97f4a7c15};
static size_t seed_count = sizeof(seeds) / sizeof(seeds[0]);

static int values[KEY_COUNT * 2]; /* their addresses are the values */

/* The empty map has nothing, and freeing it twice is fine. */
static void empty_map_has_nothing(void **state)
{
        struct map map = {0};
        size_t index = 0;
        uint64_t key;
        void *value;

        (void)state;
        assert_null(map_get(&map, 0));
        assert_null(map_del(&map, 0));
        assert_false(map_next(&map, &index, &key, &value));
        map_free(&map);
        map_free(&map);
}

/* A put replaces, and counts a key once. */
static void put_replaces(void **state)
{
        struct map map = {0};

        (void)state;
        assert_ok(map_put(&map, 7, &values[0]));
        assert_ok(map_put(&map, 7, &values[1]));
        assert_int_equal(map.count, 1);
        assert_ptr_equal(map_get(&map, 7), &values[1]);
        assert_ptr_equal(map_del(&map, 7), &values[1]);
        assert_null(map_get(&map, 7));
        assert_int_equal(map.count, 0);
        map_free(&map);
}

/* The extreme keys are keys like any other. */
static void extreme_keys_work(void **state)
{
        struct map map = {0};

        (void)state;
        assert_ok(map_put(&map, 0, &values[0]));
        assert_ok(map_put(&map, UINT64_MAX, &values[1]));
        assert_ptr_equal(map_get(&map, 0), &values[0]);
        assert_ptr_equal(map_get(&map, UINT64_MAX), &values[1]);
        map_free(&map);
}

/* Each entry is met once, with its value. */
static void check_against(const struct map *map, void *const *model, uint64_t stride)
{
        size_t count = 0, index = 0;
        uint64_t key;
        void *value;

        while (map_next(map, &index, &key, &value)) {
                assert_true(key % stride == 0 && key / stride < KEY_COUNT);
                assert_ptr_equal(model[key / stride], value);
                count++;
        }
        assert_int_equal(count, map->count);
        for (size_t i = 0; i < KEY_COUNT; i++)
                assert_ptr_equal(map_get(map, i * stride), model[i]);
}

/* One step: mostly puts while filling, mostly deletions while emptying. */
static void random_step(struct map *map, void **model, uint64_t stride, uint64_t *random,
                        bool filling)
{
        size_t i = next_random(random) % KEY_COUNT;

        if (next_random(random) % 4 == 0 ? !filling : filling) {
                void *value = &values[next_random(random) % (KEY_COUNT * 2)];

                assert_ok(map_put(map, i * stride, value));
                model[i] = value;
        } else {
                assert_ptr_equal(map_del(map, i * stride), model[i]);
                model[i] = NULL;
        }
}

/* Whatever the history of puts and deletions, the map holds what a plain table holds; for dense
 * keys and for keys that share their low bits. */
static void agrees_with_a_table(void **state)
{
        static const uint64_t strides[] = {1, 4096, (uint64_t)1 << 50};

        (void)state;
        for (size_t s = 0; s < seed_count * 3; s++) {
                uint64_t random = seeds[s / 3], stride = strides[s % 3];
                void *model[KEY_COUNT] = {0};
                struct map map = {0};

                print_message("seed %#jx\n", (uintmax_t)seeds[s / 3]);
                for (int round = 0; round < 6; round++) {
                        for (int i = 0; i < 8000; i++)
                                random_step(&map, model, stride, &random, round % 2 == 0);
                        check_against(&map, model, stride);
                }
                map_free(&map);
        }
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(empty_map_has_nothing),
            cmocka_unit_test(put_replaces),
            cmocka_unit_test(extreme_keys_work),
            cmocka_unit_test(agrees_with_a_table),
        };

        if (argc > 1) {
                seeds[0] = strtoull(argv[1], NULL, 0) | 1; /* the generator has no zero state */
                seed_count = 1;
        }
        return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
