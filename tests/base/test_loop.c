/* test_loop.c - turns of the loop: descriptors, timers and hooks, under a clock that the test
 * moves. */
#include "base/loop.h"

#include "base/simenv.h"
#include "tests/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000

/* What happened is a string, one letter an event. */
struct tloop {
        struct simenv *sim;
        struct loop *loop;
        char trace[256];
};

static int setup(void **state)
{
        struct tloop *t = calloc(1, sizeof(*t));

        assert_non_null(t);
        t->sim = simenv_new(1);
        assert_non_null(t->sim);
        assert_ok(loop_new(simenv_env(t->sim), &t->loop));
        *state = t;
        return 0;
}

static int teardown(void **state)
{
        struct tloop *t = *state;

        loop_free(t->loop);
        simenv_free(t->sim);
        free(t);
        return 0;
}

static void note(struct tloop *t, char letter)
{
        size_t size = strlen(t->trace);

        assert_true(size + 1 < sizeof(t->trace));
        t->trace[size] = letter;
}

/* Move the clock and take one turn. */
static void turn_after(struct tloop *t, uint64_t ns)
{
        simenv_advance(t->sim, ns);
        loop_turn(t->loop, 0);
}

static void expect(struct tloop *t, const char *trace)
{
        assert_string_equal(t->trace, trace);
        memset(t->trace, 0, sizeof(t->trace));
}

/* --- timers --- */

struct ttimer {
        struct loop_timer timer;
        struct tloop *t;
        char letter;
        uint64_t rearm_ns; /* UINT64_MAX: not */
        struct loop_timer *disarm;
};

static void timer_run(struct loop_timer *base)
{
        struct ttimer *timer = (struct ttimer *)base;

        note(timer->t, timer->letter);
        if (timer->disarm)
                loop_timer_disarm(timer->t->loop, timer->disarm);
        if (timer->rearm_ns != UINT64_MAX)
                loop_timer_arm(timer->t->loop, base, timer->rearm_ns);
}

static struct ttimer timer_of(struct tloop *t, char letter)
{
        return (struct ttimer){
            .timer.run = timer_run, .t = t, .letter = letter, .rearm_ns = UINT64_MAX};
}

/* Timers run in the order in which they are due, those due together in the order of arming. */
static void timers_run_when_due(void **state)
{
        struct tloop *t = *state;
        struct ttimer a = timer_of(t, 'a'), b = timer_of(t, 'b'), c = timer_of(t, 'c'),
                      d = timer_of(t, 'd');

        loop_timer_arm(t->loop, &c.timer, 30 * MS);
        loop_timer_arm(t->loop, &a.timer, 10 * MS);
        loop_timer_arm(t->loop, &d.timer, 30 * MS);
        loop_timer_arm(t->loop, &b.timer, 20 * MS);
        turn_after(t, 0);
        expect(t, "");
        turn_after(t, 10 * MS - 1);
        expect(t, "");
        turn_after(t, 1);
        expect(t, "a");
        assert_int_equal(a.timer.due_ns, 0);
        turn_after(t, 100 * MS);
        expect(t, "bcd");
        turn_after(t, 100 * MS);
        expect(t, "");
}

/* Arming an armed timer moves it, in both directions. */
static void arming_again_moves(void **state)
{
        struct tloop *t = *state;
        struct ttimer a = timer_of(t, 'a'), b = timer_of(t, 'b');

        loop_timer_arm(t->loop, &a.timer, 10 * MS);
        loop_timer_arm(t->loop, &b.timer, 20 * MS);
        loop_timer_arm(t->loop, &a.timer, 30 * MS);
        loop_timer_arm(t->loop, &b.timer, 5 * MS);
        turn_after(t, 20 * MS);
        expect(t, "b");
        turn_after(t, 10 * MS);
        expect(t, "a");
}

/* A disarmed timer does not run; disarming what is not armed is fine. */
static void disarmed_timer_does_not_run(void **state)
{
        struct tloop *t = *state;
        struct ttimer a = timer_of(t, 'a');

        loop_timer_disarm(t->loop, &a.timer);
        loop_timer_arm(t->loop, &a.timer, 1);
        loop_timer_disarm(t->loop, &a.timer);
        loop_timer_disarm(t->loop, &a.timer);
        turn_after(t, 10 * MS);
        expect(t, "");
}

/* A timer may disarm another one that is due in the same turn. */
static void timer_disarms_another_due_one(void **state)
{
        struct tloop *t = *state;
        struct ttimer a = timer_of(t, 'a'), b = timer_of(t, 'b'), c = timer_of(t, 'c');

        a.disarm = &b.timer;
        loop_timer_arm(t->loop, &a.timer, 1);
        loop_timer_arm(t->loop, &b.timer, 1);
        loop_timer_arm(t->loop, &c.timer, 1);
        turn_after(t, 10 * MS);
        expect(t, "ac");
}

/* A timer that arms itself without a delay runs once a turn, not for ever. */
static void rearmed_timer_waits_for_the_next_turn(void **state)
{
        struct tloop *t = *state;
        struct ttimer a = timer_of(t, 'a');

        a.rearm_ns = 0;
        loop_timer_arm(t->loop, &a.timer, 0);
        turn_after(t, 0);
        turn_after(t, 0);
        expect(t, "aa");
        loop_timer_disarm(t->loop, &a.timer);
}

/* The next due time is known, so that a simulation can move its clock there. */
static void next_due_time_is_known(void **state)
{
        struct tloop *t = *state;
        struct ttimer a = timer_of(t, 'a'), b = timer_of(t, 'b');
        uint64_t now_ns = env_mono_ns(simenv_env(t->sim));

        assert_int_equal(loop_due_ns(t->loop), 0);
        loop_timer_arm(t->loop, &a.timer, 20 * MS);
        loop_timer_arm(t->loop, &b.timer, UINT64_MAX);
        assert_int_equal(loop_due_ns(t->loop), now_ns + 20 * MS);
        loop_timer_disarm(t->loop, &a.timer);
        assert_int_equal(loop_due_ns(t->loop), UINT64_MAX);
        loop_timer_disarm(t->loop, &b.timer);
}

/* Under the real clock a turn waits until the timer is due, and no longer. */
static void turn_waits_for_the_timer(void **state)
{
        struct env env = env_system(NULL);
        struct tloop t = {0};
        struct ttimer a = timer_of(&t, 'a');
        uint64_t start_ns = env_mono_ns(&env), took_ns;

        (void)state;
        assert_ok(loop_new(&env, &t.loop));
        loop_timer_arm(t.loop, &a.timer, 20 * MS);
        loop_turn(t.loop, UINT64_MAX);
        took_ns = env_mono_ns(&env) - start_ns;
        assert_string_equal(t.trace, "a");
        assert_true(took_ns >= 20 * MS && took_ns < 2000 * (uint64_t)MS);
        loop_free(t.loop);
}

/* --- hooks --- */

struct thook {
        struct loop_hook hook;
        struct tloop *t;
        char letter;
        struct loop_hook *remove, *add; /* once */
};

static void hook_run(struct loop_hook *base)
{
        struct thook *hook = (struct thook *)base;
        struct loop_hook *remove = hook->remove, *add = hook->add;

        note(hook->t, hook->letter);
        hook->remove = hook->add = NULL;
        if (remove)
                loop_hook_remove(hook->t->loop, remove);
        if (add)
                loop_hook_add(hook->t->loop, add);
}

static struct thook hook_of(struct tloop *t, char letter)
{
        return (struct thook){.hook.run = hook_run, .t = t, .letter = letter};
}

/* Hooks run at the end of every turn, in the order they came, after timers. */
static void hooks_end_every_turn(void **state)
{
        struct tloop *t = *state;
        struct thook x = hook_of(t, 'x'), y = hook_of(t, 'y');
        struct ttimer a = timer_of(t, 'a');

        loop_hook_add(t->loop, &x.hook);
        loop_hook_add(t->loop, &y.hook);
        loop_timer_arm(t->loop, &a.timer, 0);
        turn_after(t, 0);
        turn_after(t, 0);
        expect(t, "axyxy");
        loop_hook_remove(t->loop, &x.hook);
        turn_after(t, 0);
        expect(t, "y");
        loop_hook_remove(t->loop, &y.hook);
}

/* A hook may remove itself, and one that was still to come, and add another for the next turn. */
static void hooks_change_hooks(void **state)
{
        struct tloop *t = *state;
        struct thook x = hook_of(t, 'x'), y = hook_of(t, 'y'), z = hook_of(t, 'z');

        loop_hook_add(t->loop, &x.hook);
        loop_hook_add(t->loop, &y.hook);
        x.remove = &y.hook;
        x.add = &z.hook;
        turn_after(t, 0);
        expect(t, "x");
        z.remove = &z.hook;
        turn_after(t, 0);
        expect(t, "xz");
        turn_after(t, 0);
        expect(t, "x");
        x.remove = x.add = &x.hook; /* out and in again: still once a turn */
        turn_after(t, 0);
        expect(t, "x");
        loop_hook_remove(t->loop, &x.hook);
}

/* --- descriptors --- */

struct tpipe {
        struct loop_io io;
        struct tloop *t;
        char letter;
        int write_fd;
        struct tpipe *remove; /* both pipes of a pair, whichever comes first */
        uint32_t events;
};

static void pipe_ready(struct loop_io *io, uint32_t events)
{
        struct tpipe *p = (struct tpipe *)io;
        char byte;

        note(p->t, p->letter);
        p->events = events;
        if (events & EPOLLIN)
                assert_int_equal(read(io->fd, &byte, 1), 1);
        if (p->remove) {
                loop_remove(p->t->loop, &p->remove->io);
                memset(&p->remove->io, 0xee, sizeof(p->remove->io)); /* as if it were freed */
        }
}

static void pipe_open(struct tpipe *p, struct tloop *t, char letter)
{
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        *p = (struct tpipe){.io = {.ready = pipe_ready, .fd = fds[0]},
                            .t = t,
                            .letter = letter,
                            .write_fd = fds[1]};
        assert_ok(loop_add(t->loop, &p->io, EPOLLIN));
}

static void pipe_poke(struct tpipe *p)
{
        assert_int_equal(write(p->write_fd, "x", 1), 1);
}

static void pipe_close(struct tpipe *p)
{
        loop_remove(p->t->loop, &p->io);
        close(p->io.fd);
        close(p->write_fd);
}

/* A readable descriptor is dispatched, and again only when there is more. */
static void readable_descriptor_is_dispatched(void **state)
{
        struct tloop *t = *state;
        struct tpipe p;

        pipe_open(&p, t, 'p');
        loop_turn(t->loop, 0);
        expect(t, "");
        pipe_poke(&p);
        pipe_poke(&p);
        loop_turn(t->loop, UINT64_MAX);
        loop_turn(t->loop, 0);
        loop_turn(t->loop, 0);
        expect(t, "pp");
        assert_int_equal(p.events, EPOLLIN);
        pipe_close(&p);
}

/* Events that are not asked for do not come, until they are asked for again. */
static void change_selects_events(void **state)
{
        struct tloop *t = *state;
        struct tpipe p;

        pipe_open(&p, t, 'p');
        pipe_poke(&p);
        assert_ok(loop_change(t->loop, &p.io, 0));
        loop_turn(t->loop, 0);
        expect(t, "");
        assert_ok(loop_change(t->loop, &p.io, EPOLLIN));
        loop_turn(t->loop, 0);
        expect(t, "p");
        pipe_close(&p);
}

/* The end of the other side is told even if nothing is asked for. */
static void hangup_is_told(void **state)
{
        struct tloop *t = *state;
        struct tpipe p;

        pipe_open(&p, t, 'p');
        close(p.write_fd);
        loop_turn(t->loop, 0);
        expect(t, "p");
        assert_true(p.events & EPOLLHUP);
        p.write_fd = -1;
        pipe_close(&p);
}

/* A callback may remove another descriptor that is ready in the same turn, which is not called. */
static void removal_during_dispatch_drops_events(void **state)
{
        struct tloop *t = *state;
        struct tpipe p, q;
        int fds[4];

        pipe_open(&p, t, 'p');
        pipe_open(&q, t, 'q');
        memcpy(fds, (int[]){p.io.fd, q.io.fd, p.write_fd, q.write_fd}, sizeof(fds));
        p.remove = &q;
        q.remove = &p;
        pipe_poke(&p);
        pipe_poke(&q);
        loop_turn(t->loop, 0);
        assert_int_equal(strlen(t->trace), 1);
        loop_remove(t->loop, t->trace[0] == 'p' ? &p.io : &q.io);
        for (int i = 0; i < 4; i++)
                close(fds[i]);
}

/* A callback may remove its own descriptor. */
static void removal_of_itself(void **state)
{
        struct tloop *t = *state;
        struct tpipe p;
        int fd;

        pipe_open(&p, t, 'p');
        fd = p.io.fd;
        p.remove = &p;
        pipe_poke(&p);
        loop_turn(t->loop, 0);
        loop_turn(t->loop, 0);
        expect(t, "p");
        close(fd);
        close(p.write_fd);
}

/* More descriptors than one wait returns are all served, over a few turns. */
static void many_descriptors_are_all_served(void **state)
{
        struct tloop *t = *state;
        struct tpipe *pipes = calloc(200, sizeof(*pipes));

        assert_non_null(pipes);
        for (int i = 0; i < 200; i++) {
                pipe_open(&pipes[i], t, 'p');
                pipe_poke(&pipes[i]);
        }
        for (int i = 0; i < 10; i++)
                loop_turn(t->loop, 0);
        assert_int_equal(strlen(t->trace), 200);
        for (int i = 0; i < 200; i++)
                pipe_close(&pipes[i]);
        free(pipes);
}

/* A descriptor that epoll cannot watch is an error, and nothing is registered. */
static void unwatchable_descriptor_is_an_error(void **state)
{
        struct tloop *t = *state;
        struct loop_io io = {.ready = pipe_ready, .fd = -1};

        assert_err(loop_add(t->loop, &io, EPOLLIN), HIF_EIO);
        assert_err(loop_change(t->loop, &io, EPOLLIN), HIF_EIO);
}

/* --- the clock and the watchdog --- */

static void slow_timer_run(struct loop_timer *base)
{
        struct ttimer *timer = (struct ttimer *)base;
        uint64_t before_ns = loop_now_ns(timer->t->loop);

        simenv_advance(timer->t->sim, timer->rearm_ns);
        assert_int_equal(loop_now_ns(timer->t->loop), before_ns); /* read once a turn */
}

/* A turn over 20 ms is counted as slow, one of exactly 20 ms is not. */
static void slow_turns_are_counted(void **state)
{
        struct tloop *t = *state;
        struct ttimer a = timer_of(t, 'a');

        a.timer.run = slow_timer_run;
        a.rearm_ns = 20 * MS;
        loop_timer_arm(t->loop, &a.timer, 0);
        loop_turn(t->loop, 0);
        assert_int_equal(loop_stats(t->loop).slow_turns, 0);
        a.rearm_ns = 20 * MS + 1;
        loop_timer_arm(t->loop, &a.timer, 0);
        loop_turn(t->loop, 0);
        loop_turn(t->loop, 0);
        assert_int_equal(loop_stats(t->loop).turns, 3);
        assert_int_equal(loop_stats(t->loop).slow_turns, 1);
        assert_int_equal(loop_stats(t->loop).slowest_ns, 20 * MS + 1);
}

/* Both clocks are those of the env, as of the start of the turn. */
static void clocks_are_those_of_the_env(void **state)
{
        struct tloop *t = *state;
        struct env *env = simenv_env(t->sim);

        assert_ptr_equal(loop_env(t->loop), env);
        assert_int_equal(loop_now_ns(t->loop), env_mono_ns(env));
        turn_after(t, 5);
        assert_int_equal(loop_now_ns(t->loop), env_mono_ns(env));
        assert_int_equal(loop_wall_ns(t->loop), env_wall_ns(env));
        simenv_advance(t->sim, 1);
        assert_int_equal(loop_now_ns(t->loop), env_mono_ns(env) - 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
            TEST(timers_run_when_due),
            TEST(arming_again_moves),
            TEST(disarmed_timer_does_not_run),
            TEST(timer_disarms_another_due_one),
            TEST(rearmed_timer_waits_for_the_next_turn),
            TEST(next_due_time_is_known),
            TEST(turn_waits_for_the_timer),
            TEST(hooks_end_every_turn),
            TEST(hooks_change_hooks),
            TEST(readable_descriptor_is_dispatched),
            TEST(change_selects_events),
            TEST(hangup_is_told),
            TEST(removal_during_dispatch_drops_events),
            TEST(removal_of_itself),
            TEST(many_descriptors_are_all_served),
            TEST(unwatchable_descriptor_is_an_error),
            TEST(slow_turns_are_counted),
            TEST(clocks_are_those_of_the_env),
        };

        return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
