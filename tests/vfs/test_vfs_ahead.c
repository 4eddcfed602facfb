/* test_vfs_ahead.c - what is fetched ahead of reads: enough, not too much, and nothing for looks.
 */
#include "vfs/tvfs.h"

#include "base/log.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define DIRS      120
#define FILES     8
#define FILE_SIZE 2000u

static struct tmount *new_mount(uint64_t hydrate_bytes_max)
{
        struct tmount_options options = {.seed = 1, .vfs.hydrate_bytes_max = hydrate_bytes_max};
        struct tmount *m = tmount_new(&options);

        for (int i = 0; i < DIRS * FILES; i++) {
                AUTO_FREE uint8_t *content = tmount_bytes((uint64_t)i + 1, FILE_SIZE);
                char path[64];

                snprintf(path, sizeof(path), "part%d/dir%d/file%d", i / FILES % 7, i / FILES,
                         i % FILES);
                tmount_add_file(m, path, content, FILE_SIZE, false);
        }
        tmount_open(m);
        return m;
}

static uint64_t read_file(struct tmount *m, uint64_t id)
{
        uint64_t faults = vfs_stats(m->vfs).faults;
        uint8_t content[FILE_SIZE];
        size_t size;

        assert_int_equal(tvfs_read_id(m, id, 0, content, sizeof(content), &size), HIF_OK);
        assert_int_equal(size, sizeof(content));
        return vfs_stats(m->vfs).faults - faults;
}

/* List a directory and what is below it, depth first, as find does; read every file, if so wanted.
 * How many reads missed. */
static uint64_t walk(struct tmount *m, const char *path, int depth, bool read)
{
        struct tvfs_list list = {0};
        uint64_t missed = 0;

        tvfs_list(m, path, 100, NULL, NULL, &list);
        for (size_t i = 0; i < list.count; i++) {
                char below[2 * NAME_SIZE_MAX];

                if (list.names[i].text[0] == '.')
                        continue;
                snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "",
                         list.names[i].text);
                if (depth > 0)
                        missed += walk(m, below, depth - 1, read);
                else if (read)
                        missed += read_file(m, list.names[i].id);
        }
        tvfs_list_free(&list);
        return missed;
}

/* Listing everything fetches no content. */
static void listing_fetches_no_content(void **state)
{
        struct tmount *m = new_mount(0);

        (void)state;
        assert_int_equal(walk(m, "", 2, false), 0);
        tmount_settle(m);
        assert_int_equal(fetch_stats(m->fetch).store_blobs, 0);
        assert_int_equal(fetch_stats(m->fetch).hints, 0);
        tmount_free(m);
}

/* Who reads everything waits seldom: 960 files in 120 directories, known from listings only. */
static void reading_everything_misses_seldom(void **state)
{
        struct tmount *m = new_mount(0);
        uint64_t missed = walk(m, "", 2, true);

        (void)state;
        assert_in_range(missed, 1, DIRS / 2);
        assert_int_equal(fetch_stats(m->fetch).store_blobs, DIRS * FILES);
        tmount_free(m);
}

/* Who reads a file here and there is not brought more and more. */
static void reading_little_brings_little(void **state)
{
        struct tmount *m = new_mount(0);

        (void)state;
        for (int i = 0; i < 10; i++) {
                char path[64];

                snprintf(path, sizeof(path), "part%d/dir%d/file0", i * 11 % 7, i * 11);
                (void)read_file(m, tmount_id(m, path));
                tmount_settle(m);
        }
        assert_in_range(fetch_stats(m->fetch).hints, 10, 10 * 64);
        tmount_free(m);
}

/* The budget of a workspace counts what was asked for, ends prefetch, and the log says so once. */
static void budget_ends_prefetch_and_says_so_once(void **state)
{
        struct tmount *m = new_mount(20 * FILE_SIZE);
        int fd = memfd_create("log", MFD_CLOEXEC);
        struct log *log = log_new(fd, LOG_INFO), *before = m->env->log;
        char text[1000] = {0};
        const char *line;

        (void)state;
        assert_non_null(log);
        m->env->log = log;
        assert_in_range(walk(m, "", 2, true), DIRS * FILES - 64 * 3, DIRS * FILES - 20);
        assert_in_range(fetch_stats(m->fetch).hints, 20, 64 * 3);
        m->env->log = before;
        log_free(log);
        assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
        close(fd);
        line = strstr(text, "were fetched ahead");
        assert_non_null(line);
        assert_null(strstr(line + 1, "were fetched ahead"));
        tmount_free(m);
}

/* A directory of 200 files that is read in an order which is not its own is brought whole. */
static void a_directory_is_brought_whole(void **state)
{
        struct tmount_options options = {.seed = 1};
        struct tmount *m = tmount_new(&options);
        uint64_t missed = 0;

        (void)state;
        for (int i = 0; i < 200; i++) {
                AUTO_FREE uint8_t *content = tmount_bytes((uint64_t)i + 1, FILE_SIZE);
                char path[64];

                snprintf(path, sizeof(path), "dir/file%03d", i);
                tmount_add_file(m, path, content, FILE_SIZE, false);
        }
        tmount_open(m);
        assert_int_equal(walk(m, "", 1, false), 0);
        for (int i = 0; i < 200; i++) {
                char path[64];

                snprintf(path, sizeof(path), "dir/file%03d", i);
                missed += read_file(m, tmount_id(m, path));
        }
        assert_in_range(missed, 1, 16); /* some of them are on their way by then */
        tmount_free(m);
}

/* Who lists one directory after the other soon lists what is there already. */
static void listing_everything_misses_seldom(void **state)
{
        struct tmount_options options = {.seed = 1};
        struct tmount *m = tmount_new(&options);
        uint64_t before;

        (void)state;
        for (int i = 0; i < 6000; i++) {
                char path[64];

                snprintf(path, sizeof(path), "part%d/dir%d/file%d", i / 20 % 3, i / 20, i % 20);
                tmount_add_text(m, path, "");
        }
        tmount_open(m);
        before = vfs_stats(m->vfs).faults;
        assert_int_equal(walk(m, "", 2, false), 0);
        assert_in_range(vfs_stats(m->vfs).faults - before, 3, 25);
        tmount_free(m);
}

/* A large file that is read from beginning to end: ever more is on its way before it is wanted. */
static void a_sequence_runs_ahead(void **state)
{
        struct tmount_options options = {.seed = 1};
        struct tmount *m = tmount_new(&options);
        size_t size = 48u << 20, got;
        AUTO_FREE uint8_t *content = tmount_bytes(7, size), *out = malloc(1u << 16);
        uint64_t id, missed;

        (void)state;
        tmount_add_file(m, "large", content, size, false);
        tmount_open(m);
        id = tmount_id(m, "large");
        missed = vfs_stats(m->vfs).faults;
        for (uint64_t at = 0; at < size; at += 1u << 16) {
                assert_int_equal(tvfs_read_id(m, id, at, out, 1u << 16, &got), HIF_OK);
                assert_int_equal(got, 1u << 16);
                assert_memory_equal(out, content + at, got);
                tmount_settle(m);
        }
        assert_in_range(vfs_stats(m->vfs).faults - missed, 1, 4);
        tmount_free(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(listing_fetches_no_content),
            cmocka_unit_test(reading_everything_misses_seldom),
            cmocka_unit_test(reading_little_brings_little),
            cmocka_unit_test(budget_ends_prefetch_and_says_so_once),
            cmocka_unit_test(a_directory_is_brought_whole),
            cmocka_unit_test(listing_everything_misses_seldom),
            cmocka_unit_test(a_sequence_runs_ahead),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
