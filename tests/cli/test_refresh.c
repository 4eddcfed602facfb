/* test_refresh.c - the list of what the kernel is still to be told, as a next server reads it. */
#include "cli/daemon/refresh.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void put(struct buf *out, uint64_t id, const char *text)
{
        buf_put_u64(out, id);
        buf_put_u32(out, (uint32_t)strlen(text));
        buf_put(out, text, strlen(text));
}

/* As drawn in refresh.h. */
static void make(struct buf *out)
{
        buf_put(out, "HIFR\1\0\0\0", 8);
        buf_put_u32(out, 2);
        put(out, 7, "src");
        put(out, 8, "src/main.c");
        buf_put_u32(out, 1);
        put(out, 7, "new");
        buf_put(out, "HIFR", 4);
        assert_false(buf_failed(out));
}

struct heard {
        uint64_t nodes, names;
        char last[64];
};

static void node(void *arg, uint64_t id, struct span path)
{
        struct heard *heard = arg;

        heard->nodes += id;
        snprintf(heard->last, sizeof(heard->last), "%.*s", (int)path.size, (const char *)path.data);
}

static void name(void *arg, uint64_t dir, struct span text)
{
        struct heard *heard = arg;

        heard->names += dir;
        assert_true(span_eq(text, span_str("new")));
}

static void all_of_it_is_told(void **state)
{
        AUTO_BUF struct buf list = {0};
        struct heard heard = {0};

        (void)state;
        make(&list);
        assert_int_equal(refresh_each(buf_span(&list), node, name, &heard), HIF_OK);
        assert_int_equal(heard.nodes, 15);
        assert_int_equal(heard.names, 7);
        assert_string_equal(heard.last, "src/main.c");
        assert_int_equal(refresh_each(buf_span(&list), NULL, NULL, NULL), HIF_OK);
}

/* Cut anywhere, longer than it says, or with any byte of its frame changed: none. */
static void what_is_damaged_is_refused(void **state)
{
        AUTO_BUF struct buf list = {0};

        (void)state;
        make(&list);
        for (size_t size = 0; size < list.size; size++)
                assert_int_equal(refresh_each(span_of(list.data, size), NULL, NULL, NULL),
                                 HIF_ECORRUPT);
        for (size_t at = 0; at < 12; at++) {
                list.data[at] ^= 0x80;
                assert_int_equal(refresh_each(buf_span(&list), NULL, NULL, NULL), HIF_ECORRUPT);
                list.data[at] ^= 0x80;
        }
        buf_put_u8(&list, 0);
        assert_int_equal(refresh_each(buf_span(&list), NULL, NULL, NULL), HIF_ECORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(all_of_it_is_told),
            cmocka_unit_test(what_is_damaged_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
