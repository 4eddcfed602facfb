/* test_buf.c - spans, the growable buffer and the bounds-checked reader. */
#include "base/buf.h"
#include "tests/base/check.h"

/* Spans sort as memcmp does, and a proper prefix comes first. */
static void spans_sort_as_memcmp(void **state)
{
        (void)state;
        assert_true(span_cmp(span_str("a"), span_str("b")) < 0);
        assert_true(span_cmp(span_str("b"), span_str("a")) > 0);
        assert_true(span_cmp(span_str("a"), span_str("ab")) < 0);
        assert_true(span_cmp(span_str("ab"), span_str("a")) > 0);
        assert_true(span_cmp(span_str("\xff"), span_str("a")) > 0);
        assert_int_equal(span_cmp(span_str("ab"), span_str("ab")), 0);
        assert_int_equal(span_cmp(span_of(NULL, 0), span_str("")), 0);
        assert_true(span_eq(span_of(NULL, 0), span_str("")));
        assert_false(span_eq(span_str("a"), span_str("ab")));
        assert_false(span_eq(span_str("a"), span_str("b")));
}

/* What was put comes back, in network order. */
static void fields_go_there_and_back(void **state)
{
        AUTO_BUF struct buf buf = {0};
        struct reader rd;
        uint8_t copied[2];

        (void)state;
        buf_put_u8(&buf, 0x01);
        buf_put_u16(&buf, 0x0203);
        buf_put_u32(&buf, 0x04050607);
        buf_put_u64(&buf, 0x08090a0b0c0d0e0f);
        buf_put(&buf, "\x10\x11", 2);
        buf_put_span(&buf, span_str("\x12"));
        buf_put_zero(&buf, 2);
        assert_false(buf_failed(&buf));
        assert_int_equal(buf.size, 20);
        for (size_t i = 0; i < 18; i++)
                assert_int_equal(buf.data[i], i + 1);

        rd = rd_open(buf_span(&buf));
        assert_int_equal(rd_left(&rd), 20);
        assert_int_equal(rd_u8(&rd), 0x01);
        assert_int_equal(rd_u16(&rd), 0x0203);
        assert_int_equal(rd_u32(&rd), 0x04050607);
        assert_int_equal(rd_u64(&rd), 0x08090a0b0c0d0e0f);
        rd_copy(&rd, copied, 2);
        assert_memory_equal(copied, "\x10\x11", 2);
        assert_true(span_eq(rd_span(&rd, 1), span_str("\x12")));
        assert_false(rd_done(&rd));
        assert_int_equal(rd_u16(&rd), 0);
        assert_true(rd_done(&rd));
}

/* A read past the end gives zeros, and so does every later one, even if it would fit. */
static void short_input_is_sticky(void **state)
{
        struct reader rd = rd_open(span_str("\x01\x02\x03"));
        uint8_t copied[2] = {9, 9};

        (void)state;
        assert_int_equal(rd_u32(&rd), 0);
        assert_true(rd_bad(&rd));
        assert_int_equal(rd_u8(&rd), 0);
        assert_int_equal(rd_u16(&rd), 0);
        assert_int_equal(rd_u64(&rd), 0);
        assert_int_equal(rd_span(&rd, 1).size, 0);
        rd_copy(&rd, copied, 2);
        assert_memory_equal(copied, "\0\0", 2);
        assert_false(rd_done(&rd));
}

/* A length from outside that is near the top of size_t is out of bounds, not an overflow. */
static void huge_length_is_refused(void **state)
{
        struct reader rd = rd_open(span_str("abc"));

        (void)state;
        assert_null(rd_span(&rd, SIZE_MAX).data);
        assert_true(rd_bad(&rd));
}

/* An empty span is read to its end at once. */
static void empty_input_is_done(void **state)
{
        struct reader rd = rd_open(span_of(NULL, 0));

        (void)state;
        assert_true(rd_done(&rd));
        assert_int_equal(rd_span(&rd, 0).size, 0);
        assert_true(rd_done(&rd));
        assert_int_equal(rd_u8(&rd), 0);
        assert_false(rd_done(&rd));
}

/* Growing keeps what is there, whatever the sizes of the pieces. */
static void growth_keeps_content(void **state)
{
        AUTO_BUF struct buf buf = {0};
        uint64_t random = 42;
        size_t total = 0;

        (void)state;
        for (int i = 0; i < 2000; i++) {
                size_t size = next_random(&random) % 100;
                uint8_t *room = buf_reserve(&buf, size);

                assert_non_null(room);
                for (size_t k = 0; k < size; k++)
                        room[k] = (uint8_t)((total + k) % 251);
                buf_extend(&buf, size);
                total += size;
        }
        assert_int_equal(buf.size, total);
        for (size_t i = 0; i < total; i++)
                assert_int_equal(buf.data[i], i % 251);
}

/* After a failed allocation puts do nothing until a reset, and nothing leaks. */
static void failure_is_sticky_until_reset(void **state)
{
        AUTO_BUF struct buf buf = {0};

        (void)state;
        assert_null(buf_reserve(&buf, PTRDIFF_MAX));
        buf_reset(&buf);
        buf_put_u8(&buf, 1);
        assert_null(buf_reserve(&buf, SIZE_MAX));
        assert_true(buf_failed(&buf));
        buf_put_u8(&buf, 2);
        buf_put_zero(&buf, 3);
        buf_printf(&buf, "x");
        buf_extend(&buf, 100);
        buf_set_u32(&buf, 100, 1);
        assert_int_equal(buf.size, 1);
        buf_reset(&buf);
        assert_false(buf_failed(&buf));
        buf_put_u8(&buf, 3);
        assert_int_equal(buf.size, 1);
        assert_int_equal(buf.data[0], 3);
}

/* Formatted text is appended without its NUL. */
static void printf_appends_text(void **state)
{
        AUTO_BUF struct buf buf = {0};

        (void)state;
        buf_printf(&buf, "%s-%d", "a", 1);
        buf_printf(&buf, "%s", "");
        buf_printf(&buf, "%0200d", 5);
        assert_int_equal(buf.size, 203);
        assert_memory_equal(buf.data, "a-1000", 6);
        assert_int_equal(buf.data[202], '5');
}

/* A length that is known late is written over its place alone. */
static void set_overwrites_in_place(void **state)
{
        AUTO_BUF struct buf buf = {0};

        (void)state;
        buf_put(&buf, "abcdefgh", 8);
        buf_set_u32(&buf, 2, 0x31323334);
        assert_int_equal(buf.size, 8);
        assert_memory_equal(buf.data, "ab1234gh", 8);
        buf_set_u32(&buf, 4, 0x35363738);
        assert_memory_equal(buf.data, "ab125678", 8);
}

/* Loads and stores in place need no alignment. */
static void unaligned_loads_and_stores(void **state)
{
        uint8_t bytes[16] = {0};

        (void)state;
        be16_put(bytes + 1, 0x0102);
        be32_put(bytes + 3, 0x03040506);
        be64_put(bytes + 7, 0x0708090a0b0c0d0e);
        assert_memory_equal(bytes, "\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\0", 16);
        assert_int_equal(be16_get(bytes + 1), 0x0102);
        assert_int_equal(be32_get(bytes + 3), 0x03040506);
        assert_int_equal(be64_get(bytes + 7), 0x0708090a0b0c0d0e);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(spans_sort_as_memcmp),
            cmocka_unit_test(fields_go_there_and_back),
            cmocka_unit_test(short_input_is_sticky),
            cmocka_unit_test(huge_length_is_refused),
            cmocka_unit_test(empty_input_is_done),
            cmocka_unit_test(growth_keeps_content),
            cmocka_unit_test(failure_is_sticky_until_reset),
            cmocka_unit_test(printf_appends_text),
            cmocka_unit_test(set_overwrites_in_place),
            cmocka_unit_test(unaligned_loads_and_stores),
        };

        return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
