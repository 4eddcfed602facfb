/* Which ranges of a pack travel together. */
#include "fetch/plan.h"
#include "tfetch.h"

#define KIB 1024u

static int seeds[4]; /* addresses to tell items by */

static struct plan_item item(uint32_t offset, uint32_t size, size_t who)
{
        return (struct plan_item){.offset = offset, .size = size, .arg = &seeds[who]};
}

/* Neighbours up to the allowed gap make one range, in whatever order they were wanted. */
static void near_items_are_one_range(void **state)
{
        struct plan_item items[] = {item(200 * KIB, 10, 0), item(0, 100, 1),
                                    item(100 + PLAN_GAP_MAX, 100, 2)};
        struct plan_range range = plan_around(items, 3, &seeds[2]);

        (void)state;
        assert_int_equal(range.first, 0);
        assert_int_equal(range.count, 2);
        assert_int_equal(range.start, 0);
        assert_int_equal(range.size, 200 + PLAN_GAP_MAX);
}

/* One byte more of a gap is two requests. */
static void gap_parts_ranges(void **state)
{
        struct plan_item items[] = {item(0, 100, 0), item(101 + PLAN_GAP_MAX, 100, 1)};
        struct plan_range range = plan_around(items, 2, &seeds[1]);

        (void)state;
        assert_int_equal(range.first, 1);
        assert_int_equal(range.count, 1);
        assert_int_equal(range.start, 101 + PLAN_GAP_MAX);
}

/* A range ends before it would grow over the limit; one item that is larger goes alone. */
static void range_is_bounded(void **state)
{
        struct plan_item items[] = {item(0, PLAN_BYTES_MAX - 50, 0),
                                    item(PLAN_BYTES_MAX - 50, 50, 1), item(PLAN_BYTES_MAX, 1, 2)};
        struct plan_item large = item(7, PLAN_BYTES_MAX * 2, 0);
        struct plan_range range = plan_around(items, 3, &seeds[0]);

        (void)state;
        assert_int_equal(range.count, 2);
        assert_int_equal(range.size, PLAN_BYTES_MAX);
        range = plan_around(&large, 1, &seeds[0]);
        assert_int_equal(range.count, 1);
        assert_int_equal(range.size, PLAN_BYTES_MAX * 2);
}

/* Hostile locations overlap and sit at the end of 32 bits. */
static void overlaps_and_extremes_are_fine(void **state)
{
        struct plan_item items[] = {item(UINT32_MAX, UINT32_MAX, 0), item(UINT32_MAX, 5, 1),
                                    item(UINT32_MAX - 10, 20, 2)};
        struct plan_range range = plan_around(items, 3, &seeds[1]);

        (void)state;
        assert_true(range.size <= PLAN_BYTES_MAX);
        assert_true(range.start <= UINT32_MAX && range.start + range.size >= UINT32_MAX + 5ull);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(near_items_are_one_range),
            cmocka_unit_test(gap_parts_ranges),
            cmocka_unit_test(range_is_bounded),
            cmocka_unit_test(overlaps_and_extremes_are_fine),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
