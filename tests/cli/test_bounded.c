/* What may hang runs in a child. A machine that is busy is played by a processor that others use all the
 * time, and to which the child has the least right. */
#include "cli/bounded.h"

#include "cli/clock.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define STILL_MS 700
#define MOST_MS  20000
#define SPINNERS 4

/* As those who use it: it hangs when it has done nothing for a while. */
struct watch {
        uint64_t still_ms, waited_ms; /* the most that was seen */
        size_t said;                  /* before it ended */
        bool gave_up;
};

static bool go_on(void *arg, const struct bounded_wait *wait)
{
        struct watch *watch = arg;

        if (wait->still_ms > watch->still_ms)
                watch->still_ms = wait->still_ms;
        watch->waited_ms = wait->waited_ms;
        watch->said = wait->said != NULL ? wait->said->size : 0;
        watch->gave_up = wait->still_ms >= STILL_MS || wait->waited_ms >= MOST_MS;
        return !watch->gave_up;
}

static enum hif_err hang(void)
{
        while (pause() != 0)
                continue;
        return HIF_OK;
}

static enum hif_err says_and_hangs(void *arg, int out)
{
        (void)arg;
        (void)!write(out, "here", 4);
        return hang();
}

/* It is given up in time, and what it said is known: before, and after. */
static void one_that_hangs_is_given_up(void **state)
{
        struct watch watch = {0};
        struct buf said = {0};
        uint64_t begin = clock_now_ms();

        (void)state;
        assert_int_equal(bounded_watch(go_on, says_and_hangs, &watch, &said), HIF_ETIMEDOUT);
        assert_true(watch.gave_up && watch.still_ms < MOST_MS / 2);
        assert_true(clock_now_ms() - begin >= STILL_MS);
        assert_int_equal(watch.said, 4);
        assert_memory_equal(said.data, "here", 4);
        buf_free(&said);
}

static enum hif_err waits_and_goes_on(void *arg, int out)
{
        (void)arg;
        (void)out;
        for (int i = 0; i < 3 * STILL_MS / 50; i++)
                usleep(50000);
        return HIF_ENOENT;
}

/* Many short waits are no long one. */
static void one_that_goes_on_is_waited_for(void **state)
{
        struct watch watch = {0};

        (void)state;
        assert_int_equal(bounded_watch(go_on, waits_and_goes_on, &watch, NULL), HIF_ENOENT);
        assert_true(watch.waited_ms > STILL_MS);
}

static enum hif_err closes_and_hangs(void *arg, int out)
{
        (void)arg;
        close(out);
        return hang();
}

/* Nor does one hold anybody that has nothing more to say, and does not end. */
static void one_that_does_not_end_is_given_up(void **state)
{
        struct watch watch = {0};

        (void)state;
        assert_int_equal(bounded_watch(go_on, closes_and_hangs, &watch, NULL), HIF_ETIMEDOUT);
        assert_true(watch.gave_up);
}

static enum hif_err dies(void *arg, int out)
{
        (void)arg;
        (void)out;
        raise(SIGKILL);
        return HIF_OK;
}

static void one_that_dies_is_an_error(void **state)
{
        struct watch watch = {0};

        (void)state;
        assert_int_equal(bounded_watch(go_on, dies, &watch, NULL), HIF_EIO);
}

/* --- a processor that is busy --- */

static void on_one_processor(int cpu)
{
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        (void)sched_setaffinity(0, sizeof(set), &set);
}

static enum hif_err works(void *arg, int out)
{
        const struct sched_param none = {0};
        uint64_t begin = clock_now_ms();

        (void)arg;
        (void)out;
        on_one_processor(sched_getcpu());
        (void)sched_setscheduler(0, SCHED_IDLE, &none);
        while (clock_now_ms() - begin < 4 * STILL_MS)
                continue;
        return HIF_EEXIST;
}

static _Noreturn void spin(void)
{
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
                continue;
}

/* It waits for a processor for longer than one may hang, and is not taken for one that does. */
static void one_that_gets_no_processor_is_waited_for(void **state)
{
        struct watch watch = {0};
        cpu_set_t before;
        enum hif_err err;
        pid_t spinners[SPINNERS];

        (void)state;
        assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
        on_one_processor(sched_getcpu());
        for (int i = 0; i < SPINNERS; i++) {
                spinners[i] = fork();
                assert_true(spinners[i] >= 0);
                if (spinners[i] == 0)
                        spin();
        }
        err = bounded_watch(go_on, works, &watch, NULL);
        for (int i = 0; i < SPINNERS; i++) {
                kill(spinners[i], SIGKILL);
                (void)waitpid(spinners[i], NULL, 0);
        }
        assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
        assert_int_equal(err, HIF_EEXIST);
        assert_true(watch.waited_ms > STILL_MS); /* else nothing was shown */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(one_that_hangs_is_given_up),
            cmocka_unit_test(one_that_goes_on_is_waited_for),
            cmocka_unit_test(one_that_does_not_end_is_given_up),
            cmocka_unit_test(one_that_dies_is_an_error),
            cmocka_unit_test(one_that_gets_no_processor_is_waited_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
