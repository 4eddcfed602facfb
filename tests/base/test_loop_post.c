/* test_loop_post.c - the mailbox of the loop, and stopping it, from other threads. */
#include "base/loop.h"
#include "tests/base/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 4
#define POSTS   20000

/* Zeroed; only the loop's thread touches it. */
struct inbox {
        struct loop *loop;
        int next[THREADS]; /* the number that is expected of each thread */
        int disorders;
        size_t count, expected;
};

struct letter {
        struct loop_msg msg;
        struct inbox *inbox;
        int from, number;
};

static void letter_run(struct loop_msg *msg)
{
        struct letter *letter = (struct letter *)msg;
        struct inbox *inbox = letter->inbox;

        inbox->disorders += letter->number != inbox->next[letter->from];
        inbox->next[letter->from] = letter->number + 1;
        if (++inbox->count == inbox->expected)
                loop_stop(inbox->loop);
}

struct poster {
        struct inbox *inbox;
        struct letter *letters;
        int from;
        unsigned pause_every; /* sleep a little after so many: the loop falls asleep meanwhile */
};

static void *post_all(void *arg)
{
        struct poster *poster = arg;

        for (int i = 0; i < POSTS; i++) {
                struct letter *letter = &poster->letters[i];

                *letter = (struct letter){.msg.run = letter_run,
                                          .inbox = poster->inbox,
                                          .from = poster->from,
                                          .number = i};
                loop_post(poster->inbox->loop, &letter->msg);
                if (poster->pause_every && (unsigned)i % poster->pause_every == 0)
                        usleep(50);
        }
        return NULL;
}

static void post_from_threads(unsigned pause_every)
{
        struct env env = env_system(NULL);
        struct inbox inbox = {.expected = (size_t)THREADS * POSTS};
        struct poster posters[THREADS];
        pthread_t threads[THREADS];

        assert_ok(loop_new(&env, &inbox.loop));
        for (int i = 0; i < THREADS; i++) {
                posters[i] =
                    (struct poster){.inbox = &inbox,
                                    .from = i,
                                    .pause_every = pause_every ? pause_every + (unsigned)i : 0};
                posters[i].letters = calloc(POSTS, sizeof(struct letter));
                assert_non_null(posters[i].letters);
                assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
        }
        loop_run(inbox.loop); /* a lost wake-up would leave it here */
        for (int i = 0; i < THREADS; i++) {
                pthread_join(threads[i], NULL);
                free(posters[i].letters);
        }
        assert_int_equal(inbox.count, inbox.expected);
        assert_int_equal(inbox.disorders, 0);
        loop_free(inbox.loop);
}

/* Every message arrives, those of one thread in order, while all post as fast as they can. */
static void posts_arrive_in_order(void **state)
{
        (void)state;
        post_from_threads(0);
}

/* The same when the loop falls asleep between batches. */
static void posts_wake_a_sleeping_loop(void **state)
{
        (void)state;
        post_from_threads(97);
}

static void letter_post_again(struct loop_msg *msg)
{
        struct letter *letter = (struct letter *)msg;

        if (++letter->number < 3)
                loop_post(letter->inbox->loop, msg);
}

/* A message that posts itself runs once a turn; the loop does not sleep over it. */
static void message_posts_itself(void **state)
{
        struct env env = env_system(NULL);
        struct inbox inbox = {0};
        struct letter letter = {.msg.run = letter_post_again, .inbox = &inbox};

        (void)state;
        assert_ok(loop_new(&env, &inbox.loop));
        loop_post(inbox.loop, &letter.msg);
        loop_turn(inbox.loop, 0);
        assert_int_equal(letter.number, 1);
        loop_turn(inbox.loop, UINT64_MAX);
        assert_int_equal(letter.number, 2);
        loop_free(inbox.loop);
        assert_int_equal(letter.number, 3); /* posted messages run, those that they post too */
}

static void letter_free(struct loop_msg *msg)
{
        free(msg);
}

/* A message may free itself, also when nobody turns the loop any more. */
static void message_frees_itself(void **state)
{
        struct env env = env_system(NULL);
        struct loop *loop;

        (void)state;
        assert_ok(loop_new(&env, &loop));
        for (int i = 0; i < 10; i++) {
                struct letter *letter = calloc(1, sizeof(*letter));

                assert_non_null(letter);
                letter->msg.run = letter_free;
                loop_post(loop, &letter->msg);
                if (i == 5)
                        loop_turn(loop, 0);
        }
        loop_free(loop);
}

static void *stop_later(void *loop)
{
        usleep(20000);
        loop_stop(loop);
        return NULL;
}

/* Another thread stops a loop that sleeps; it can run, and be stopped, again. */
static void stop_wakes_a_sleeping_loop(void **state)
{
        struct env env = env_system(NULL);
        struct loop *loop;

        (void)state;
        assert_ok(loop_new(&env, &loop));
        for (int i = 0; i < 2; i++) {
                pthread_t thread;

                assert_int_equal(pthread_create(&thread, NULL, stop_later, loop), 0);
                loop_run(loop);
                pthread_join(thread, NULL);
        }
        loop_stop(loop);
        loop_run(loop); /* was stopped before: one turn */
        loop_free(loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(posts_arrive_in_order),
            cmocka_unit_test(posts_wake_a_sleeping_loop),
            cmocka_unit_test(message_posts_itself),
            cmocka_unit_test(message_frees_itself),
            cmocka_unit_test(stop_wakes_a_sleeping_loop),
        };

        return cmocka_run_group_tests_name("loop_post", tests, NULL, NULL);
}
