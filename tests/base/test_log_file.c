/* test_log_file.c - a log in a file: never too large, and shared by processes. */
#include "base/log.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/env.h"
#include "tests/base/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 4
#define LINES   90 /* of each, all within LOG_KIND_BURST */

struct place {
        char dir[32], path[64], older[64];
};

static int setup(void **state)
{
        struct place *place = calloc(1, sizeof(*place));

        assert_non_null(place);
        strcpy(place->dir, "/tmp/hif-log-XXXXXX");
        assert_non_null(mkdtemp(place->dir));
        snprintf(place->path, sizeof(place->path), "%s/log", place->dir);
        snprintf(place->older, sizeof(place->older), "%s/log.1", place->dir);
        *state = place;
        return 0;
}

static int teardown(void **state)
{
        struct place *place = *state;

        (void)unlink(place->path);
        (void)unlink(place->older);
        assert_int_equal(rmdir(place->dir), 0); /* nothing else was left there */
        free(place);
        return 0;
}

static struct log *open_log(const struct place *place, uint64_t size_max)
{
        struct hif_why why = {0};
        struct log *log = NULL;

        assert_int_equal(log_open(place->path, size_max, LOG_INFO, false, &log, &why), HIF_OK);
        return log;
}

/* The whole file, as a string. The caller frees it. */
static char *content(const char *path)
{
        struct env env = env_system(NULL);
        struct buf text = {0};

        assert_int_equal(env_read_file(&env, path, 1u << 24, &text), HIF_OK);
        buf_put_u8(&text, '\0');
        assert_false(buf_failed(&text));
        return (char *)text.data;
}

static void expect_no_longer_than(const char *path, off_t size)
{
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        assert_true(st.st_size <= size);
        assert_int_equal(st.st_mode & 07777, 0600);
}

/* Beyond its size the file becomes the older one, and a new one begins; the one before is gone. */
static void file_begins_anew(void **state)
{
        const struct place *place = *state;
        struct log *log = open_log(place, 1000);
        char *newer, *older;

        for (int i = 0; i < LINES; i++)
                log_line(log, LOG_INFO, "test", "line %d", i);
        newer = content(place->path);
        older = content(place->older);
        expect_no_longer_than(place->path, 1100);
        expect_no_longer_than(place->older, 1100);
        assert_null(strstr(older, "line 0\n"));
        assert_non_null(strstr(newer, "line 89\n"));
        log_free(log);
        free(newer);
        free(older);
}

static void mark(const char *text, bool seen[WRITERS][LINES])
{
        while (*text != '\0') {
                int writer, number, end = 0;
                const char *line = strchr(text, 'Z');

                assert_non_null(line);
                assert_int_equal(line - text, 23);
                assert_int_equal(sscanf(line, "Z info  test: %d says %d%n", &writer, &number, &end),
                                 2);
                assert_int_equal(line[end], '\n');
                assert_in_range(writer, 0, WRITERS - 1);
                assert_in_range(number, 0, LINES - 1);
                assert_false(seen[writer][number]);
                seen[writer][number] = true;
                text = line + end + 1;
        }
}

/* Processes write at once, and whoever notices begins a new file: each line is in one of the two
 * files, whole, once. */
static void processes_lose_no_line(void **state)
{
        const struct place *place = *state;
        bool seen[WRITERS][LINES] = {0};
        pid_t pids[WRITERS];
        char *newer, *older;
        int status;

        for (int i = 0; i < WRITERS; i++) {
                pids[i] = fork();
                assert_true(pids[i] >= 0);
                if (pids[i] == 0) {
                        struct log *log = open_log(place, 10000);

                        for (int j = 0; j < LINES; j++)
                                log_line(log, LOG_INFO, "test", "%d says %d", i, j);
                        log_free(log);
                        _exit(0);
                }
        }
        for (int i = 0; i < WRITERS; i++) {
                assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                assert_int_equal(status, 0);
        }
        newer = content(place->path);
        older = content(place->older);
        assert_true(strlen(older) >= 10000); /* it did begin anew */
        mark(older, seen);
        mark(newer, seen);
        for (int i = 0; i < WRITERS; i++)
                for (int j = 0; j < LINES; j++)
                        assert_true(seen[i][j]);
        free(newer);
        free(older);
}

/* One that has said nothing since the file was exchanged writes to the new one, and so does what a
 * library says on its standard error. */
static void silent_process_follows(void **state)
{
        const struct place *place = *state;
        struct log *other;
        int errors = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        struct hif_why why = {0};
        struct log *log = NULL;
        char *newer, *older;

        /* Standard error may be a terminal, which would be left alone. */
        assert_int_equal(dup2(nowhere, STDERR_FILENO), STDERR_FILENO);
        assert_int_equal(log_open(place->path, 1000, LOG_INFO, true, &log, &why), HIF_OK);
        log_line(log, LOG_INFO, "test", "%1000d", 1);
        other = open_log(place, 1000);
        log_line(other, LOG_INFO, "test", "another begins anew");
        log_tend(log);
        assert_int_equal(write(STDERR_FILENO, "a library speaks\n", 17), 17);
        assert_int_equal(dup2(errors, STDERR_FILENO), STDERR_FILENO);
        newer = content(place->path);
        older = content(place->older);
        assert_non_null(strstr(newer, "another begins anew\na library speaks\n"));
        assert_null(strstr(older, "library"));
        log_free(log);
        log_free(other);
        close(errors);
        close(nowhere);
        free(newer);
        free(older);
}

/* A file that someone has removed comes back. */
static void removed_file_comes_back(void **state)
{
        const struct place *place = *state;
        struct log *log = open_log(place, 1000);
        char *text;

        log_line(log, LOG_INFO, "test", "before");
        assert_int_equal(unlink(place->path), 0);
        log_line(log, LOG_INFO, "test", "after");
        text = content(place->path);
        assert_non_null(strstr(text, "after\n"));
        log_free(log);
        free(text);
}

/* A link is not followed, neither when the log is opened nor when it begins anew, and what it leads to
 * stays as it is. A FIFO holds nobody. */
static void links_are_not_followed(void **state)
{
        const struct place *place = *state;
        struct hif_why why = {0};
        struct log *log = NULL;
        char *text;

        assert_int_equal(symlink(place->older, place->path), 0);
        assert_int_equal(log_open(place->path, 1000, LOG_INFO, false, &log, &why), HIF_EINVAL);
        assert_non_null(strstr(why.text, "move it away"));
        assert_int_equal(access(place->older, F_OK), -1);
        assert_int_equal(unlink(place->path), 0);
        assert_int_equal(mkfifo(place->path, 0600), 0);
        assert_int_equal(log_open(place->path, 1000, LOG_INFO, false, &log, &why), HIF_EINVAL);
        assert_int_equal(unlink(place->path), 0);

        log = open_log(place, 1000);
        assert_int_equal(rename(place->path, place->older), 0);
        assert_int_equal(symlink("/dev/null", place->path), 0);
        log_line(log, LOG_INFO, "test", "goes on");
        text = content(place->older);
        assert_non_null(strstr(text, "goes on\n"));
        log_free(log);
        free(text);
}

/* Where no new file can be made, the old one goes on. */
static void no_room_for_a_new_file(void **state)
{
        const struct place *place = *state;
        struct log *log = open_log(place, 1000);
        char *text;

        assert_int_equal(mkdir(place->older, 0700), 0); /* nothing can be renamed over it */
        for (int i = 0; i < 30; i++)
                log_line(log, LOG_INFO, "test", "line %d", i);
        text = content(place->path);
        assert_non_null(strstr(text, "line 0\n"));
        assert_non_null(strstr(text, "line 29\n"));
        assert_int_equal(rmdir(place->older), 0);
        log_free(log);
        free(text);
}

/* One that others may read is closed to them. */
static void mode_is_narrowed(void **state)
{
        const struct place *place = *state;
        int fd = open(place->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        close(fd);
        log_free(open_log(place, 1000));
        expect_no_longer_than(place->path, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(file_begins_anew, setup, teardown),
            cmocka_unit_test_setup_teardown(processes_lose_no_line, setup, teardown),
            cmocka_unit_test_setup_teardown(silent_process_follows, setup, teardown),
            cmocka_unit_test_setup_teardown(removed_file_comes_back, setup, teardown),
            cmocka_unit_test_setup_teardown(links_are_not_followed, setup, teardown),
            cmocka_unit_test_setup_teardown(no_room_for_a_new_file, setup, teardown),
            cmocka_unit_test_setup_teardown(mode_is_narrowed, setup, teardown),
        };

        return cmocka_run_group_tests_name("log_file", tests, NULL, NULL);
}
