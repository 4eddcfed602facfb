/* Processes that land at the same time in one directory store: the real thing, with nothing shared
 * but the file system. */
#include "tests/land/tland.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 8
#define LANDINGS  100

static void directory(char path[64])
{
        snprintf(path, 64, "/tmp/hif-land-dir-XXXXXX");
        assert_non_null(mkdtemp(path));
}

static void remove_directory(const char *path)
{
        char command[96];

        snprintf(command, sizeof(command), "rm -rf %s", path);
        assert_int_equal(system(command), 0);
}

/* Land one new file; a race lost too often is tried again, as a person would. */
static bool land_one(struct tproject *tp, const char *path, const char *content)
{
        struct tsession *ts = calloc(1, sizeof(*ts));
        enum hif_err err = HIF_ELIMIT;

        if (!ts)
                return false;
        tsession_open(ts, tp, tproject_tail(tp));
        ts->hooks.sleep = NULL;
        tsession_put(ts, path, content);
        for (int i = 0; i < 20 && err == HIF_ELIMIT; i++)
                err = tsession_land(ts);
        if (err != HIF_OK)
                fprintf(stderr, "%s: %s\n", path, ts->why.text);
        tsession_close(ts);
        free(ts);
        return err == HIF_OK;
}

static int process(const char *store, int number)
{
        static char paths[LANDINGS][32];
        struct tproject tp;
        bool good = true;

        tproject_open(&tp, store, 0);
        for (int i = 0; i < LANDINGS; i++) {
                snprintf(paths[i], sizeof(paths[i]), "p%d-%d", number, i);
                good = land_one(&tp, paths[i], paths[i]) && good;
        }
        tproject_close(&tp);
        return good ? 0 : 1;
}

static void run_processes(const char *store)
{
        pid_t children[PROCESSES];

        for (int i = 0; i < PROCESSES; i++) {
                children[i] = fork();
                assert_true(children[i] >= 0);
                if (children[i] == 0)
                        _exit(process(store, i));
        }
        for (int i = 0; i < PROCESSES; i++) {
                int status;

                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_true(WIFEXITED(status));
                assert_int_equal(WEXITSTATUS(status), 0);
        }
}

static uint64_t landings(struct tproject *tp)
{
        uint64_t tail = tproject_tail(tp), count = 0;

        for (uint64_t at = 1; at <= tail; at++) {
                struct slot_read read;

                assert_int_equal(project_slot(&tp->project, at, false, &read, NULL), HIF_OK);
                count += slot_landing_count(&read.slot);
                slot_read_free(&read);
        }
        return count;
}

/* Eight processes, a hundred landings each: every one is in a slot once. In each other's way, they
 * share slots. */
static void every_landing_is_there_exactly_once(void **state)
{
        char store[64];
        struct tproject tp;

        (void)state;
        directory(store);
        tproject_open(&tp, store, 0); /* the processes find the project there */
        run_processes(store);
        assert_int_equal(landings(&tp), PROCESSES * LANDINGS);
        assert_in_range(tproject_tail(&tp), 1, PROCESSES * LANDINGS);
        for (int p = 0; p < PROCESSES; p++)
                for (int i = 0; i < LANDINGS; i++) {
                        char path[32];

                        snprintf(path, sizeof(path), "p%d-%d", p, i);
                        tproject_expect(&tp, path, path);
                }
        tproject_verify(&tp);
        tproject_close(&tp);
        remove_directory(store);
}

/* Eight processes that create one project at the same moment make one. */
static void a_project_is_created_once(void **state)
{
        char store[64];
        struct tproject tp;
        pid_t children[PROCESSES];

        (void)state;
        directory(store);
        for (int i = 0; i < PROCESSES; i++) {
                children[i] = fork();
                if (children[i] == 0) {
                        tproject_open(&tp, store, 0);
                        _exit(tproject_tail(&tp) == 0 ? 0 : 1);
                }
        }
        for (int i = 0; i < PROCESSES; i++) {
                int status;

                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_int_equal(status, 0);
        }
        tproject_open(&tp, store, 0);
        tproject_verify(&tp);
        tproject_close(&tp);
        remove_directory(store);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_landing_is_there_exactly_once),
            cmocka_unit_test(a_project_is_created_once),
        };

        return cmocka_run_group_tests_name("land_dir", tests, NULL, NULL);
}
