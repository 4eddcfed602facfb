/* test_log.c - what lines look like, and how many there can be. */
#include "base/log.h"

#include "tests/base/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* What was written to fd so far. The caller frees it. */
static char *written(int fd)
{
        off_t size = lseek(fd, 0, SEEK_END);
        char *text = calloc(1, (size_t)size + 1);

        assert_non_null(text);
        assert_int_equal(pread(fd, text, (size_t)size, 0), size);
        return text;
}

static size_t line_count(const char *text)
{
        size_t count = 0;

        for (; *text; text++)
                count += *text == '\n';
        return count;
}

static int setup(void **state)
{
        int *fd = malloc(sizeof(*fd));

        assert_non_null(fd);
        *fd = memfd_create("log", MFD_CLOEXEC);
        assert_true(*fd >= 0);
        *state = fd;
        return 0;
}

static int teardown(void **state)
{
        int *fd = *state;

        close(*fd);
        free(fd);
        return 0;
}

/* A line has the time in UTC, the level, the module and the text. */
static void line_has_time_level_room_and_text(void **state)
{
        int fd = *(int *)*state;
        struct log *log = log_new(fd, LOG_INFO);
        int year, month, day, hour, minute, second, ms, end = 0;
        char *text;

        log_line(log, LOG_WARN, "overlay", "%d of %s", 3, "these");
        text = written(fd);
        assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour,
                                &minute, &second, &ms, &end),
                         7);
        assert_int_equal(end, 24);
        assert_true(year >= 2024);
        assert_string_equal(text + end, " warn  overlay: 3 of these\n");
        free(text);
        log_free(log);
}

/* Lines below the level are dropped; no log at all drops everything. */
static void level_is_respected(void **state)
{
        int fd = *(int *)*state;
        struct log *log = log_new(fd, LOG_WARN);
        char *text;

        log_line(log, LOG_INFO, "test", "quiet");
        log_line(log, LOG_ERROR, "test", "loud");
        log_line(NULL, LOG_ERROR, "test", "nowhere");
        text = written(fd);
        assert_int_equal(line_count(text), 1);
        assert_non_null(strstr(text, " error test: loud\n"));
        free(text);
        log_free(log);
        log_free(NULL);
}

/* Hostile text stays in its line and drives no terminal; UTF-8 passes. */
static void control_characters_are_escaped(void **state)
{
        int fd = *(int *)*state;
        struct log *log = log_new(fd, LOG_DEBUG);
        char *text;

        log_line(log, LOG_INFO, "test", "a\nb\x1b[31m\x7f\t\xc2\x9b!\xc3\xa9\xc2\xb5");
        text = written(fd);
        assert_int_equal(line_count(text), 1);
        assert_non_null(strstr(text, "a\\nb\\x1b[31m\\x7f\\x09\\xc2\\x9b!\xc3\xa9\xc2\xb5\n"));
        free(text);
        log_free(log);
}

/* Text that is too long is cut and says so, also when every byte of it is escaped. */
static void long_text_is_cut(void **state)
{
        int fd = *(int *)*state;
        struct log *log = log_new(fd, LOG_DEBUG);
        char control[5000];
        char *text;

        memset(control, 1, sizeof(control) - 1);
        control[sizeof(control) - 1] = '\0';
        log_line(log, LOG_INFO, "test", "%s", control);
        log_line(log, LOG_INFO, "test", "%2000d", 1);
        text = written(fd);
        assert_int_equal(line_count(text), 2);
        assert_non_null(strstr(text, "\\x01...\n"));
        assert_non_null(strstr(text, " 1\n"));
        free(text);
        log_free(log);
}

/* A word without digits, another one for each i. */
static const char *word(int i)
{
        static char text[8];

        for (int at = 0; at < 4; at++, i /= 26)
                text[at] = (char)('a' + i % 26);
        return text;
}

/* A flood is cut after the burst, a warning still passes, and the next line owns up to the gap. */
static void flood_is_limited(void **state)
{
        int fd = *(int *)*state;
        struct log *log = log_new(fd, LOG_DEBUG);
        size_t passed, before;
        char *text, told[100];

        for (int i = 0; i < LOG_BURST * 4; i++)
                log_line(log, LOG_INFO, "test", "line %s", word(i));
        log_line(log, LOG_WARN, "test", "important");
        text = written(fd);
        passed = line_count(text) - 1;
        assert_true(passed >= LOG_BURST && passed < LOG_BURST * 2);
        snprintf(told, sizeof(told), "important (%zu lines before this were dropped)\n",
                 LOG_BURST * 4 - passed);
        assert_non_null(strstr(text, told));
        free(text);

        before = passed + 1;
        for (int i = 0; i < LOG_BURST; i++)
                log_line(log, LOG_INFO, "test", "too early: %s", word(i));
        text = written(fd);
        passed = line_count(text) - before;
        assert_true(passed < LOG_BURST);
        free(text);
        usleep(1000000 / LOG_PER_SECOND * 3);
        log_line(log, LOG_INFO, "test", "later");
        text = written(fd);
        snprintf(told, sizeof(told), "later (%zu lines before this were dropped)\n",
                 LOG_BURST - passed);
        assert_non_null(strstr(text, told));
        free(text);
        log_free(log);
}

/* A loop that fails for ever, each time with another number, hash and name, is cut after some lines;
 * other lines of the same room pass; at the end it is told how many were left out. */
static void loop_of_one_kind_is_cut(void **state)
{
        int fd = *(int *)*state;
        struct log *log = log_new(fd, LOG_DEBUG);
        char *text;

        for (int i = 0; i < 100000; i++)
                log_line(log, LOG_WARN, "store", "blob %x%d of '%s' is missing, try %d", i, i,
                         word(i), i);
        log_line(log, LOG_WARN, "store", "blob of another kind is missing");
        text = written(fd);
        assert_in_range(line_count(text), LOG_KIND_BURST + 1, LOG_KIND_BURST + 3);
        assert_non_null(strstr(text, "another kind is missing\n"));
        free(text);
        log_free(log);
        text = written(fd);
        assert_in_range(line_count(text), LOG_KIND_BURST + 2, LOG_KIND_BURST + 4);
        assert_non_null(strstr(text, "try 99999 (99900 such lines were left out)\n"));
        free(text);
}

/* What was left out of a kind is told before the kind is forgotten. */
static void forgotten_kind_is_told(void **state)
{
        int fd = *(int *)*state;
        struct log *log = log_new(fd, LOG_DEBUG);
        char *text;

        for (int i = 0; i < LOG_KIND_BURST + 7; i++)
                log_line(log, LOG_WARN, "test", "number %d", i);
        for (int i = 0; i < LOG_KINDS; i++)
                log_line(log, LOG_INFO, "test", "kind %s", word(i));
        text = written(fd);
        assert_non_null(strstr(text, "number 106 (7 such lines were left out)\n"));
        free(text);
        log_free(log);
}

/* What cannot be written is counted, and a line that was cut off does not mix with the next. */
static void full_disk_loses_lines_and_says_so(void **state)
{
        char dir[] = "/tmp/hif-log-XXXXXX", path[64], *text;
        struct rlimit limit, before;
        struct hif_why why = {0};
        struct log *log;
        int fd;

        (void)state;
        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/log", dir);
        assert_int_equal(log_open(path, LOG_FILE_MAX, LOG_INFO, false, &log, &why), HIF_OK);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        signal(SIGXFSZ, SIG_IGN);
        limit = before;
        limit.rlim_cur = 10;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        log_line(log, LOG_INFO, "test", "cut off");
        log_line(log, LOG_INFO, "test", "not there");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        log_line(log, LOG_INFO, "test", "there");
        fd = open(path, O_RDONLY | O_CLOEXEC);
        text = written(fd);
        assert_int_equal(line_count(text), 2);
        assert_int_equal(strchr(text, '\n') - text, 10);
        assert_non_null(strstr(text, "test: there (2 lines before this were dropped)\n"));
        assert_null(strstr(text, "not there"));
        free(text);
        close(fd);
        log_free(log);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(dir), 0);
}

static void *log_many(void *log)
{
        for (int i = 0; i < 25; i++)
                log_line(log, LOG_INFO, "thread", "0123456789012345678901234567890123456789");
        return NULL;
}

/* Lines of several threads do not mix. */
static void lines_of_threads_stay_whole(void **state)
{
        int fd = *(int *)*state;
        struct log *log = log_new(fd, LOG_DEBUG);
        pthread_t threads[4];
        char *text, *line, *rest = NULL;
        size_t count = 0;

        assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, log_many, log), 0);
        for (int i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        text = written(fd);
        for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                assert_string_equal(line + 24,
                                    " info  thread: 0123456789012345678901234567890123456789");
                count++;
        }
        assert_int_equal(count, 100);
        free(text);
        log_free(log);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(line_has_time_level_room_and_text, setup, teardown),
            cmocka_unit_test_setup_teardown(level_is_respected, setup, teardown),
            cmocka_unit_test_setup_teardown(control_characters_are_escaped, setup, teardown),
            cmocka_unit_test_setup_teardown(long_text_is_cut, setup, teardown),
            cmocka_unit_test_setup_teardown(flood_is_limited, setup, teardown),
            cmocka_unit_test_setup_teardown(loop_of_one_kind_is_cut, setup, teardown),
            cmocka_unit_test_setup_teardown(forgotten_kind_is_told, setup, teardown),
            cmocka_unit_test(full_disk_loses_lines_and_says_so),
            cmocka_unit_test_setup_teardown(lines_of_threads_stay_whole, setup, teardown),
        };

        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
