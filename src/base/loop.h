/* loop.h - an event loop: descriptors, timers, and a mailbox that other threads post to.
 *
 * One thread runs the loop and is the only one that may call anything here but loop_post() and
 * loop_stop(). Callbacks never block. A turn is: wait, dispatch ready descriptors, deliver posted
 * messages, run due timers, then the turn-end hooks (where replies collected in the turn go out).
 */
#ifndef HIF_BASE_LOOP_H
#define HIF_BASE_LOOP_H

#include "base/env.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* Intrusive: embed it, set run, post it. Owned by the loop from loop_post() until run() is called;
 * run() may free or post it again. Messages of one thread arrive in order. */
struct loop_msg {
        void (*run)(struct loop_msg *msg);
        struct loop_msg *next;
};

/* One watched descriptor. Embed it; it must outlive its registration. */
struct loop_io {
        void (*ready)(struct loop_io *io,
                      uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR */
        int fd;
};

/* A one-shot timer; run() may arm it again, and then it is due in a later turn at the earliest.
 * Zero-initialise all but run. */
struct loop_timer {
        void (*run)(struct loop_timer *timer);
        uint64_t due_ns; /* monotonic; 0 = not armed */
        struct loop_timer *prev, *next;
};

/* Runs at the end of every turn; run() may add and remove hooks, itself too. */
struct loop_hook {
        void (*run)(struct loop_hook *hook);
        struct loop_hook *prev, *next;
};

struct loop_stats {
        uint64_t turns;
        uint64_t slow_turns; /* over 20 ms: something blocked */
        uint64_t slowest_ns;
};

/* env stays the caller's and outlives the loop. */
HIF_MUST_USE enum hif_err loop_new(struct env *env, struct loop **out);
void loop_free(struct loop *loop); /* nothing registered any more (asserted); posted messages run */

HIF_MUST_USE enum hif_err loop_add(struct loop *loop, struct loop_io *io, uint32_t events);
HIF_MUST_USE enum hif_err loop_change(struct loop *loop, struct loop_io *io, uint32_t events);
void loop_remove(struct loop *loop,
                 struct loop_io *io); /* before close(); pending events are dropped */

void loop_timer_arm(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns);
void loop_timer_disarm(struct loop *loop, struct loop_timer *timer); /* fine when not armed */
/* When the next timer is due, 0 without one: how far to move a simulated clock. */
uint64_t loop_due_ns(const struct loop *loop);
void loop_hook_add(struct loop *loop, struct loop_hook *hook);
void loop_hook_remove(struct loop *loop, struct loop_hook *hook);

/* Thread-safe; never fails, never blocks. One wake-up a batch. The caller keeps the loop alive
 * until this returns: join the posters before loop_free(). */
void loop_post(struct loop *loop, struct loop_msg *msg);
/* Thread-safe: make loop_run() return after the turn; before loop_run(), after its first one. */
void loop_stop(struct loop *loop);

/* Run until loop_stop(). */
void loop_run(struct loop *loop);
/* One turn that waits at most timeout_ns (0: not at all); for tests and simulation. */
void loop_turn(struct loop *loop, uint64_t timeout_ns);

uint64_t loop_now_ns(const struct loop *loop);  /* monotonic time, read once a turn */
uint64_t loop_wall_ns(const struct loop *loop); /* wall time, read once a turn */
struct env *loop_env(struct loop *loop);
struct loop_stats loop_stats(const struct loop *loop);

#endif
