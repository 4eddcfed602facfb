#include "base/loop.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_MAX   64
#define SLOW_TURN_NS 20000000

struct loop {
        struct env *env;
        int epoll_fd;
        int wake_fd;
        uint64_t now_ns, wall_ns;
        bool in_turn;
        size_t io_count;

        /* The events of this turn that are not dispatched yet; loop_remove() clears their pointers.
         */
        struct epoll_event events[EVENTS_MAX];
        int event_next, event_count;

        /* Rings around a sentinel: armed timers by due time, and hooks in the order they came. */
        struct loop_timer timers;
        struct loop_hook hooks;
        struct loop_stats stats;

        /* What other threads touch. The mailbox is a stack; its owner takes it whole. */
        _Alignas(64) _Atomic(struct loop_msg *) mailbox;
        atomic_bool sleeping; /* a post must write to wake_fd */
        atomic_bool stopping;
};

/* --- rings --- */

#define RING_INIT(ring)  ((ring)->prev = (ring)->next = (ring))
#define RING_EMPTY(ring) ((ring)->next == (ring))

#define RING_INSERT_BEFORE(where, item)                                                            \
        do {                                                                                       \
                (item)->prev = (where)->prev;                                                      \
                (item)->next = (where);                                                            \
                (item)->prev->next = (item);                                                       \
                (item)->next->prev = (item);                                                       \
        } while (0)

#define RING_UNLINK(item)                                                                          \
        do {                                                                                       \
                (item)->prev->next = (item)->next;                                                 \
                (item)->next->prev = (item)->prev;                                                 \
                (item)->prev = (item)->next = NULL;                                                \
        } while (0)

/* --- life --- */

static void read_clocks(struct loop *loop)
{
        loop->now_ns = env_mono_ns(loop->env);
        loop->wall_ns = env_wall_ns(loop->env);
}

enum hif_err loop_new(struct env *env, struct loop **out)
{
        /* Edge-triggered: each write counts as news, and nobody need read the counter back. */
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
        enum hif_err err = HIF_ENOMEM;
        struct loop *loop = aligned_alloc(_Alignof(struct loop), sizeof(*loop));

        if (!loop)
                return HIF_ENOMEM;
        *loop = (struct loop){.env = env};
        RING_INIT(&loop->timers);
        RING_INIT(&loop->hooks);
        read_clocks(loop);
        loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (loop->epoll_fd < 0) {
                err = hif_err_from_errno(errno);
                goto fail_epoll;
        }
        loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (loop->wake_fd < 0) {
                err = hif_err_from_errno(errno);
                goto fail_wake;
        }
        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) < 0) {
                err = hif_err_from_errno(errno);
                goto fail_add;
        }
        *out = loop;
        return HIF_OK;

fail_add:
        close(loop->wake_fd);
fail_wake:
        close(loop->epoll_fd);
fail_epoll:
        free(loop);
        return err;
}

static bool deliver(struct loop *loop);

void loop_free(struct loop *loop)
{
        if (!loop)
                return;
        assert(!loop->in_turn);
        while (deliver(loop))
                ;
        assert(loop->io_count == 0 && RING_EMPTY(&loop->timers) && RING_EMPTY(&loop->hooks));
        close(loop->wake_fd);
        close(loop->epoll_fd);
        free(loop);
}

/* --- descriptors --- */

enum hif_err loop_add(struct loop *loop, struct loop_io *io, uint32_t events)
{
        struct epoll_event event = {.events = events, .data.ptr = io};

        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, io->fd, &event) < 0)
                return hif_err_from_errno(errno);
        loop->io_count++;
        return HIF_OK;
}

enum hif_err loop_change(struct loop *loop, struct loop_io *io, uint32_t events)
{
        struct epoll_event event = {.events = events, .data.ptr = io};

        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &event) < 0)
                return hif_err_from_errno(errno);
        return HIF_OK;
}

void loop_remove(struct loop *loop, struct loop_io *io)
{
        int rc = epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);

        assert(rc == 0);
        (void)rc;
        loop->io_count--;
        for (int i = loop->event_next; i < loop->event_count; i++) {
                if (loop->events[i].data.ptr == io)
                        loop->events[i].data.ptr = NULL;
        }
}

static void dispatch(struct loop *loop)
{
        while (loop->event_next < loop->event_count) {
                struct epoll_event *event = &loop->events[loop->event_next++];
                struct loop_io *io = event->data.ptr;

                if (io) /* else the mailbox, or removed in this turn */
                        io->ready(io, event->events);
        }
}

/* --- timers and hooks --- */

/* Searched from the end: the common timer has the longest delay so far. */
void loop_timer_arm(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns)
{
        uint64_t now_ns = loop->in_turn ? loop->now_ns : env_mono_ns(loop->env);
        struct loop_timer *after = &loop->timers;

        loop_timer_disarm(loop, timer);
        if (__builtin_add_overflow(now_ns, delay_ns, &timer->due_ns))
                timer->due_ns = UINT64_MAX;
        if (timer->due_ns == 0)
                timer->due_ns = 1;
        while (after->prev != &loop->timers && after->prev->due_ns > timer->due_ns)
                after = after->prev;
        RING_INSERT_BEFORE(after, timer);
}

void loop_timer_disarm(struct loop *loop, struct loop_timer *timer)
{
        (void)loop;
        if (timer->due_ns == 0)
                return;
        timer->due_ns = 0;
        RING_UNLINK(timer);
}

/* Due timers move to a ring of their own first: what run() arms waits for the next turn, even with
 * no delay, and what it disarms leaves whichever ring it is in. */
static void run_timers(struct loop *loop)
{
        struct loop_timer due;

        RING_INIT(&due);
        while (!RING_EMPTY(&loop->timers) && loop->timers.next->due_ns <= loop->now_ns) {
                struct loop_timer *timer = loop->timers.next;

                RING_UNLINK(timer);
                RING_INSERT_BEFORE(&due, timer);
        }
        while (!RING_EMPTY(&due)) {
                struct loop_timer *timer = due.next;

                timer->due_ns = 0;
                RING_UNLINK(timer);
                timer->run(timer);
        }
}

uint64_t loop_due_ns(const struct loop *loop)
{
        return RING_EMPTY(&loop->timers) ? 0 : loop->timers.next->due_ns;
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook)
{
        RING_INSERT_BEFORE(&loop->hooks, hook);
}

void loop_hook_remove(struct loop *loop, struct loop_hook *hook)
{
        (void)loop;
        RING_UNLINK(hook);
}

/* As with timers: each hook of now moves over once, those added meanwhile are already there. */
static void run_hooks(struct loop *loop)
{
        struct loop_hook now;

        if (RING_EMPTY(&loop->hooks))
                return;
        now.next = loop->hooks.next;
        now.prev = loop->hooks.prev;
        now.next->prev = now.prev->next = &now;
        RING_INIT(&loop->hooks);
        while (!RING_EMPTY(&now)) {
                struct loop_hook *hook = now.next;

                RING_UNLINK(hook);
                RING_INSERT_BEFORE(&loop->hooks, hook);
                hook->run(hook);
        }
}

/* --- the mailbox --- */

/* The poster publishes, then looks at `sleeping`; the loop sets `sleeping`, then looks at what was
 * published. All four are sequentially consistent, so at least one sees the other. */
static void wake(struct loop *loop)
{
        const uint64_t one = 1;

        if (!atomic_load(&loop->sleeping) || !atomic_exchange(&loop->sleeping, false))
                return;
        while (write(loop->wake_fd, &one, sizeof(one)) < 0)
                assert(errno == EINTR);
}

void loop_post(struct loop *loop, struct loop_msg *msg)
{
        struct loop_msg *head = atomic_load_explicit(&loop->mailbox, memory_order_relaxed);

        do {
                msg->next = head;
        } while (!atomic_compare_exchange_weak(&loop->mailbox, &head, msg));
        wake(loop);
}

void loop_stop(struct loop *loop)
{
        atomic_store(&loop->stopping, true);
        wake(loop);
}

/* Run what was posted so far, oldest first; what is posted meanwhile waits for the next turn. */
static bool deliver(struct loop *loop)
{
        struct loop_msg *msg, *next, *ordered = NULL;

        if (!atomic_load_explicit(&loop->mailbox, memory_order_relaxed))
                return false;
        for (msg = atomic_exchange(&loop->mailbox, NULL); msg; msg = next) {
                next = msg->next;
                msg->next = ordered;
                ordered = msg;
        }
        for (msg = ordered; msg; msg = next) {
                next = msg->next;
                msg->run(msg);
        }
        return true;
}

/* --- turns --- */

/* In milliseconds as epoll_wait takes them, rounded up so that no timer is woken for too early. */
static int wait_ms(const struct loop *loop, uint64_t timeout_ns)
{
        if (timeout_ns > 0 && !RING_EMPTY(&loop->timers)) {
                uint64_t now_ns = env_mono_ns(loop->env);
                uint64_t due_ns = loop->timers.next->due_ns;
                uint64_t left_ns = due_ns > now_ns ? due_ns - now_ns : 0;

                if (left_ns < timeout_ns)
                        timeout_ns = left_ns;
        }
        if (timeout_ns == UINT64_MAX)
                return -1;
        if (timeout_ns > (uint64_t)INT_MAX * 1000000)
                return INT_MAX;
        return (int)((timeout_ns + 999999) / 1000000);
}

static void wait_events(struct loop *loop, uint64_t timeout_ns)
{
        int ms = wait_ms(loop, timeout_ns);

        if (ms != 0) {
                atomic_store(&loop->sleeping, true);
                if (atomic_load(&loop->mailbox) || atomic_load(&loop->stopping))
                        ms = 0;
        }
        loop->event_next = 0;
        loop->event_count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX, ms);
        atomic_store(&loop->sleeping, false);
        if (loop->event_count < 0) {
                assert(errno == EINTR);
                loop->event_count = 0;
        }
}

static void count_turn(struct loop *loop)
{
        uint64_t took_ns = env_mono_ns(loop->env) - loop->now_ns;

        loop->stats.turns++;
        if (took_ns > loop->stats.slowest_ns)
                loop->stats.slowest_ns = took_ns;
        if (took_ns <= SLOW_TURN_NS)
                return;
        loop->stats.slow_turns++;
        log_line(loop->env->log, LOG_WARN, "loop", "a turn took %ju ms",
                 (uintmax_t)(took_ns / 1000000));
}

void loop_turn(struct loop *loop, uint64_t timeout_ns)
{
        assert(!loop->in_turn);
        wait_events(loop, timeout_ns);
        loop->in_turn = true;
        read_clocks(loop);
        dispatch(loop);
        deliver(loop);
        run_timers(loop);
        run_hooks(loop);
        count_turn(loop);
        loop->in_turn = false;
}

void loop_run(struct loop *loop)
{
        do
                loop_turn(loop, UINT64_MAX);
        while (!atomic_load(&loop->stopping));
        atomic_store(&loop->stopping, false);
}

uint64_t loop_now_ns(const struct loop *loop)
{
        return loop->now_ns;
}

uint64_t loop_wall_ns(const struct loop *loop)
{
        return loop->wall_ns;
}

struct env *loop_env(struct loop *loop)
{
        return loop->env;
}

struct loop_stats loop_stats(const struct loop *loop)
{
        return loop->stats;
}
