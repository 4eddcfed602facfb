/* What a landing says of itself while it stages. */
#include "tests/land/tland.h"

#include <stdlib.h>

struct fixture {
        struct tproject tp;
        struct tsession ts;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tproject_open(&f->tp, NULL, 0);
        tsession_open(&f->ts, &f->tp, 0);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        tsession_close(&f->ts);
        tproject_close(&f->tp);
        free(f);
        return 0;
}

/* Files count as they are hashed, a job of 256 at a time, not only once their pack is full. */
static void progress_does_not_wait_for_packs(void **state)
{
        static char names[500][8];
        struct fixture *f = *state;

        for (int i = 0; i < 500; i++) {
                snprintf(names[i], sizeof(names[i]), "f%d", i);
                tsession_put(&f->ts, names[i], names[i]);
        }
        assert_int_equal(tsession_land(&f->ts), HIF_OK);
        assert_int_equal(f->ts.early_steps, 2);
        assert_int_equal(f->ts.progress.files_done, 500);
        assert_int_equal(f->ts.progress.bytes_done, f->ts.progress.bytes_total);
        assert_int_equal(f->ts.progress.bytes_total, 10 * 2 + 90 * 3 + 400 * 4);
}

/* A file of each way to keep content counts once, with all its bytes. */
static void progress_adds_up(void **state)
{
        static const size_t sizes[] = {0, 10, 300000, 5000000};
        static const char *const names[] = {"empty", "packed", "blob", "chunks"};
        struct fixture *f = *state;
        uint8_t *content = calloc(1, 5000000);

        assert_non_null(content);
        for (size_t i = 0; i < 4; i++)
                tsession_put_bytes(&f->ts, names[i], span_of(content, sizes[i]));
        assert_int_equal(tsession_land(&f->ts), HIF_OK);
        assert_int_equal(f->ts.progress.files_done, 4);
        assert_int_equal(f->ts.progress.files_total, 4);
        assert_int_equal(f->ts.progress.bytes_done, 5300010);
        assert_int_equal(f->ts.progress.bytes_total, 5300010);
        free(content);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(progress_does_not_wait_for_packs),
            TEST(progress_adds_up),
        };

        return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
