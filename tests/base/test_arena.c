/* test_arena.c - allocations that are freed together. */
#include "base/arena.h"
#include "tests/base/check.h"

/* Allocations of any size are aligned, apart from each other, and keep what is written. */
static void allocations_are_aligned_and_apart(void **state)
{
        static const size_t sizes[] = {1, 15, 16, 17, 100, 1000, 5000, 0, 70000, 3, 300000, 8};
        enum { COUNT = 600 };
        AUTO_ARENA struct arena arena = {0};
        uint8_t *rooms[COUNT];

        (void)state;
        for (size_t i = 0; i < COUNT; i++) {
                size_t size = sizes[i % 12];

                rooms[i] = arena_alloc(&arena, size);
                assert_non_null(rooms[i]);
                assert_int_equal((uintptr_t)rooms[i] % 16, 0);
                memset(rooms[i], (int)(i % 251), size);
        }
        for (size_t i = 0; i < COUNT; i++) {
                for (size_t k = 0; k < sizes[i % 12]; k++)
                        assert_int_equal(rooms[i][k], i % 251);
        }
}

/* Zeroed memory is zeroed, also where memory was used before. */
static void zalloc_gives_zeros(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        uint8_t *room;

        (void)state;
        memset(arena_alloc(&arena, 4000), 1, 4000);
        arena_free(&arena);
        room = arena_zalloc(&arena, 4000);
        for (size_t i = 0; i < 4000; i++)
                assert_int_equal(room[i], 0);
}

/* Spans and strings are copied, not borrowed. */
static void copies_are_copies(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        char text[] = "hello";
        struct span span = arena_span(&arena, span_str(text));
        char *copy = arena_str(&arena, text);

        (void)state;
        text[0] = 'j';
        assert_true(span_eq(span, span_str("hello")));
        assert_string_equal(copy, "hello");
        assert_int_equal(arena_span(&arena, span_of(NULL, 0)).size, 0);
        assert_string_equal(arena_str(&arena, ""), "");
}

/* What cannot be had is refused, and the arena goes on. */
static void impossible_size_is_refused(void **state)
{
        AUTO_ARENA struct arena arena = {0};

        (void)state;
        assert_null(arena_alloc(&arena, SIZE_MAX));
        assert_null(arena_alloc(&arena, SIZE_MAX - 20));
        assert_null(arena_zalloc(&arena, PTRDIFF_MAX));
        assert_int_equal(arena.used, 0);
        assert_non_null(arena_alloc(&arena, 10));
        assert_null(arena_alloc(&arena, SIZE_MAX - 20));
}

/* `used` counts what was handed out, and a freed arena is empty and valid. */
static void freed_arena_is_empty(void **state)
{
        struct arena arena = {0};

        (void)state;
        arena_free(&arena);
        assert_non_null(arena_alloc(&arena, 10));
        assert_true(arena.used >= 10 && arena.used <= 32);
        arena_free(&arena);
        assert_int_equal(arena.used, 0);
        assert_non_null(arena_alloc(&arena, 10));
        arena_free(&arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(allocations_are_aligned_and_apart),
            cmocka_unit_test(zalloc_gives_zeros),
            cmocka_unit_test(copies_are_copies),
            cmocka_unit_test(impossible_size_is_refused),
            cmocka_unit_test(freed_arena_is_empty),
        };

        return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
