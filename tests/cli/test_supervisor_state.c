/* What a supervisor of one version tells one of another, which takes its place. */
#include "cli/supervisor/state.h"
#include "cli/supervisor/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct state state, found;

static void set_up_state(void)
{
        memset(&state, 0, sizeof(state));
        state = (struct state){.lock_fd = 4,
                               .listen_fd = 7,
                               .server_pid = 258,
                               .pidfd = 8,
                               .calls = 9,
                               .events = 10,
                               .started_ms = 11,
                               .began_ms = 12,
                               .restarts = 13,
                               .crashes = 14,
                               .version = span_str("v"),
                               .control = span_str("/c"),
                               .own = span_str("/o"),
                               .program = span_str("/p")};
        state.items[state.item_count++] =
            (struct state_item){.fd = 5, .name = span_str("one"), .note = span_str("hi")};
}

/* Another version reads these bytes: they may not change. */
static void bytes_are_as_drawn(void **unused)
{
        static const uint8_t
            expected
                [] =
                    {
                        'H', 'I', 'F', 'S', 0,   1, 0,   0,                     /* head */
                        0,   1,   0,   0,   0,   0, 0,   4,   0,   0,   0,   4, /* lock */
                        0,   2,   0,   0,   0,   0, 0,   4,   0,   0,   0,   7, /* our socket */
                        0,   3,   0,   0,   0,   0, 0,   25,  0,   0,   1,   2,
                        0,   0,   0,   8, /* server */
                        0,   0,   0,   9,   0,   0, 0,   10,  0,   0,   0,   0,
                        0,   0,   0,   11,  'v',                        /* its version */
                        0,   5,   0,   0,   0,   0, 0,   2,   '/', 'c', /* control.sock */
                        0,   6,   0,   0,   0,   0, 0,   2,   '/', 'o', /* supervisor.sock */
                        0,   7,   0,   0,   0,   0, 0,   2,   '/', 'p', /* program */
                        0,   8,   0,   0,   0,   0, 0,   24,  0,   0,   0,   0,
                        0,   0,   0,   12, /* figures */
                        0,   0,   0,   0,   0,   0, 0,   13,  0,   0,   0,   0,
                        0,   0,   0,   14,  0,   4, 0,   0,   0,   0,   0,   11,
                        0,   0,   0,   5,   0,   3, 'o', 'n', 'e', 'h', 'i', /* a held thing */
                    };
        AUTO_BUF struct buf bytes = {0};

        (void)unused;
        set_up_state();
        state_put(&bytes, &state);
        assert_int_equal(bytes.size, sizeof(expected));
        assert_memory_equal(bytes.data, expected, sizeof(expected));
}

static void all_of_it_comes_back(void **unused)
{
        AUTO_BUF struct buf bytes = {0};

        (void)unused;
        set_up_state();
        state_put(&bytes, &state);
        assert_int_equal(state_get(buf_span(&bytes), &found), HIF_OK);
        assert_int_equal(found.lock_fd, 4);
        assert_int_equal(found.listen_fd, 7);
        assert_int_equal(found.server_pid, 258);
        assert_int_equal(found.events, 10);
        assert_int_equal(found.restarts, 13);
        assert_int_equal(found.item_count, 1);
        assert_int_equal(found.items[0].fd, 5);
        assert_true(span_eq(found.items[0].name, span_str("one")));
        assert_true(span_eq(found.items[0].note, span_str("hi")));
        assert_true(span_eq(found.program, span_str("/p")));
}

/* A newer version may say more. */
static void unknown_fields_are_passed_over(void **unused)
{
        static const uint8_t more[] = {0, 200, 0, 0, 0, 0, 0, 2, 'x', 'y'};
        AUTO_BUF struct buf bytes = {0};

        (void)unused;
        set_up_state();
        state_put(&bytes, &state);
        buf_put(&bytes, more, sizeof(more));
        assert_int_equal(state_get(buf_span(&bytes), &found), HIF_OK);
        bytes.data[5] = 2;
        assert_int_equal(state_get(buf_span(&bytes), &found), HIF_EUNSUPPORTED);
}

/* Cut anywhere, it is refused or whole up to there, and never read past its end. */
static void cut_bytes_are_refused(void **unused)
{
        AUTO_BUF struct buf bytes = {0};

        (void)unused;
        set_up_state();
        state_put(&bytes, &state);
        for (size_t size = 0; size < bytes.size; size++) {
                uint8_t *copy = malloc(size > 0 ? size : 1);
                enum hif_err err;

                assert_non_null(copy);
                memcpy(copy, bytes.data, size);
                err = state_get(span_of(copy, size), &found);
                assert_true(err == HIF_ECORRUPT || (err == HIF_OK && found.server_pid == 258));
                free(copy);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(bytes_are_as_drawn),
            cmocka_unit_test(all_of_it_comes_back),
            cmocka_unit_test(unknown_fields_are_passed_over),
            cmocka_unit_test(cut_bytes_are_refused),
        };

        return cmocka_run_group_tests_name("supervisor_state", tests, NULL, NULL);
}
