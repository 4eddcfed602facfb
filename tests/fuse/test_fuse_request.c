/* test_fuse_request.c - requests that are not whole are told apart before libfuse sees them. */
#include "fuse/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A request with these arguments behind its header, of which the header tells the true size. */
static bool whole(uint32_t opcode, const void *args, size_t size)
{
        struct fuse_in_header in = {.len = (uint32_t)(sizeof(in) + size), .opcode = opcode};
        AUTO_BUF struct buf request = {0};

        buf_put(&request, &in, sizeof(in));
        buf_put(&request, args, size);
        assert_false(buf_failed(&request));
        return request_is_whole(buf_span(&request));
}

static void arguments_are_all_there(void **state)
{
        static const uint8_t zeros[sizeof(struct fuse_setattr_in)];

        (void)state;
        assert_true(whole(FUSE_SETATTR, zeros, sizeof(zeros)));
        assert_false(whole(FUSE_SETATTR, zeros, sizeof(zeros) - 1));
        assert_false(whole(FUSE_READ, NULL, 0));
        assert_true(whole(FUSE_STATFS, NULL, 0));
}

static void names_end_within_the_request(void **state)
{
        (void)state;
        assert_true(whole(FUSE_LOOKUP, "name", 5));
        assert_false(whole(FUSE_LOOKUP, "name", 4));
        assert_false(whole(FUSE_LOOKUP, NULL, 0));
        assert_true(whole(FUSE_SYMLINK, "name\0target", 12));
        assert_false(whole(FUSE_SYMLINK, "name\0target", 11));
        assert_false(whole(FUSE_SYMLINK, "name", 5));
        /* Eight bytes of the new directory's number, then both names. */
        assert_true(whole(FUSE_RENAME, "\1\0\0\0\0\0\0\0a\0b", 12));
        assert_false(whole(FUSE_RENAME, "\1\0\0\0\0\0\0\0a", 10));
}

static void counts_are_of_what_follows(void **state)
{
        struct {
                struct fuse_write_in in;
                char data[8];
        } write = {.in.size = 8};
        struct {
                struct fuse_batch_forget_in in;
                struct fuse_forget_one one[2];
        } forget = {.in.count = 2};
        struct fuse_init_in init = {.major = 7, .flags = FUSE_INIT_EXT};

        (void)state;
        assert_true(whole(FUSE_WRITE, &write, sizeof(write)));
        assert_false(whole(FUSE_WRITE, &write, sizeof(write) - 1));
        assert_true(whole(FUSE_BATCH_FORGET, &forget, sizeof(forget)));
        forget.in.count = UINT32_MAX;
        assert_false(whole(FUSE_BATCH_FORGET, &forget, sizeof(forget)));
        assert_true(whole(FUSE_INIT, &init, sizeof(init)));
        assert_false(whole(FUSE_INIT, &init, 16));
        init.flags = 0;
        assert_true(whole(FUSE_INIT, &init, 16)); /* as before Linux 5.17 */
}

static void the_told_length_is_the_true_one(void **state)
{
        struct fuse_in_header in = {.len = sizeof(in) + 1, .opcode = FUSE_STATFS};

        (void)state;
        assert_false(request_is_whole(span_of(&in, sizeof(in))));
        in.len = sizeof(in);
        assert_true(request_is_whole(span_of(&in, sizeof(in))));
        assert_false(request_is_whole(span_of(&in, sizeof(in) - 1)));
        in.opcode = 9999; /* gets ENOSYS */
        assert_true(request_is_whole(span_of(&in, sizeof(in))));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(arguments_are_all_there),
            cmocka_unit_test(names_end_within_the_request),
            cmocka_unit_test(counts_are_of_what_follows),
            cmocka_unit_test(the_told_length_is_the_true_one),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
