/* test_hlc.c - stamps that never go back. */
#include "core/hlc.h"
#include "tests/core/codec_check.h"

#define STEPS 100000

/* 48 bits of milliseconds, 16 of counter. */
static void golden_stamps(void **state)
{
        (void)state;
        assert_int_equal(hlc_next(0, 1000), 0x3e80000);
        assert_int_equal(hlc_next(0x3e80000, 1000), 0x3e80001);
        assert_int_equal(hlc_next(0x3e80001, 999), 0x3e80002);
        assert_int_equal(hlc_next(0x3e80002, 1001), 0x3e90000);
        assert_int_equal(hlc_ms(0x3e90007), 1001);
}

/* A full counter carries into the milliseconds. */
static void counter_carries(void **state)
{
        (void)state;
        assert_int_equal(hlc_next(0x3e8ffff, 1000), 0x3e90000);
}

/* After a stamp was seen, the next is after it, whatever our own clock says. */
static void merge_respects_causality(void **state)
{
        (void)state;
        assert_int_equal(hlc_merge(0x3e80000, 0x7d00005, 1000), 0x7d00006);
        assert_int_equal(hlc_merge(0x7d00005, 0x3e80000, 1000), 0x7d00006);
        assert_int_equal(hlc_merge(0x3e80000, 0x3e80000, 3000), 0xbb80000);
}

/* Stamps ascend strictly over a clock that jumps about. */
static void stamps_ascend(void **state)
{
        uint64_t random = 5;
        hlc_t last = 0;

        (void)state;
        for (int i = 0; i < STEPS; i++) {
                uint64_t now = 1000 + next_random(&random) % 50;
                hlc_t next = next_random(&random) % 2
                                 ? hlc_next(last, now)
                                 : hlc_merge(last, next_random(&random) % (2000 << 16), now);

                assert_true(next > last);
                last = next;
        }
}

/* A hostile stamp, or a clock beyond 48 bits, ends at the last stamp and never wraps around. */
static void the_end_of_time_holds(void **state)
{
        (void)state;
        assert_int_equal(hlc_next(UINT64_MAX, 1000), UINT64_MAX);
        assert_int_equal(hlc_merge(0x3e80000, UINT64_MAX, 1000), UINT64_MAX);
        assert_int_equal(hlc_next(0, UINT64_MAX), 0xffffffffffff0000);
        assert_int_equal(hlc_next(0xffffffffffff0000, UINT64_MAX), 0xffffffffffff0001);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(golden_stamps),
            cmocka_unit_test(counter_carries),
            cmocka_unit_test(merge_respects_causality),
            cmocka_unit_test(stamps_ascend),
            cmocka_unit_test(the_end_of_time_holds),
        };

        return cmocka_run_group_tests_name("hlc", tests, NULL, NULL);
}
