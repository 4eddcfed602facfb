/* park.c - requests that wait: for objects, for overlay data, for the disk. */
#include "vfs/internal.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define DEADLINE_TICK_NS (250ull * 1000000)
/* How long clients are asked to try again later while the store does not answer at all. Linux asks
 * again every 5 s, for ever: someone has to say that it is over. */
#define OUTAGE_NS (12ull * 1000000000)

enum wait_state {
        WAIT_AWAY, /* others work for it */
        WAIT_HOME, /* done: its message is posted */
        WAIT_LEFT, /* vfs is closed: who ends it frees it */
};

/* One wait of one call. It outlives the call when the call is given up: fetch and the pool still
 * hold pointers into it. */
struct wait {
        struct fetch_waiter waiter; /* first: call->waiter points here */
        struct overlay_load load;
        struct loop_msg msg;
        struct vfs *vfs;
        struct vfs_call *call;     /* NULL: given up */
        struct vfs_parked *parked; /* NULL: given up */
        struct wait *older; /* earlier waits of the call: their pins last as long as it does */
        struct wait *prev, *next; /* of those on their way */
        struct loop *loop;
        uint64_t since_ns;
        atomic_int pending;
        _Atomic(int) err;
        _Atomic(enum wait_state) state;
        atomic_bool loading; /* the pool still reads the overlay's files for it */
        bool fetching;
};

static void wait_free(struct wait *wait)
{
        if (wait->fetching)
                fetch_waiter_release(&wait->waiter);
        free(wait);
}

static void part_done(struct wait *wait, enum hif_err err)
{
        if (err != HIF_OK)
                atomic_store(&wait->err, (int)err);
        if (atomic_fetch_sub(&wait->pending, 1) != 1)
                return;
        if (atomic_exchange(&wait->state, WAIT_HOME) == WAIT_LEFT)
                wait_free(wait);
        else
                loop_post(wait->loop, &wait->msg);
}

static void fetched(struct fetch_waiter *waiter, enum hif_err err)
{
        part_done((struct wait *)waiter, err);
}

static void loaded(struct overlay_load *load, enum hif_err err)
{
        struct wait *wait = load->arg;

        atomic_store(&wait->loading, false);
        part_done(wait, err);
}

static void unlink_parked(struct vfs *vfs, struct vfs_parked *parked)
{
        if (parked->prev != NULL)
                parked->prev->next = parked->next;
        else
                vfs->parked_first = parked->next;
        if (parked->next != NULL)
                parked->next->prev = parked->prev;
        else
                vfs->parked_last = parked->prev;
        vfs->stats.parked--;
}

/* Has the store been away for too long to ask clients to wait? An outage begins with a failure, and
 * is over with a success, or when nobody has asked for as long. */
static bool outage_is_long(struct vfs *vfs, enum hif_err err)
{
        uint64_t now = loop_now_ns(vfs->config.loop);

        if (err != HIF_EUNREACHABLE) {
                if (err == HIF_OK)
                        vfs->outage_ns = 0;
                return false;
        }
        if (vfs->outage_ns == 0 || now - vfs->outage_seen_ns > OUTAGE_NS)
                vfs->outage_ns = now;
        vfs->outage_seen_ns = now;
        return now - vfs->outage_ns >= OUTAGE_NS;
}

/* What a fetch's failure means to who reads the file. */
static enum hif_err answer_of(struct vfs *vfs, enum hif_err err)
{
        if (vfs != NULL && outage_is_long(vfs, err))
                return HIF_EIO;
        switch (err) {
        case HIF_ETIMEDOUT:
        case HIF_EUNREACHABLE:
                return HIF_ETIMEDOUT;
        case HIF_OK:
        case HIF_ENOMEM:
        case HIF_ECANCELED:
                return err;
        default:
                return HIF_EIO;
        }
}

static void link_wait(struct vfs *vfs, struct wait *wait)
{
        wait->prev = NULL;
        wait->next = vfs->waits;
        if (wait->next != NULL)
                wait->next->prev = wait;
        vfs->waits = wait;
}

static void unlink_wait(struct wait *wait)
{
        if (wait->prev != NULL)
                wait->prev->next = wait->next;
        else
                wait->vfs->waits = wait->next;
        if (wait->next != NULL)
                wait->next->prev = wait->prev;
}

static void wait_over(struct loop_msg *msg)
{
        struct wait *wait = (struct wait *)((char *)msg - offsetof(struct wait, msg));
        struct vfs *vfs = wait->vfs;
        struct vfs_parked *parked = wait->parked;
        enum hif_err err = answer_of(vfs, (enum hif_err)atomic_load(&wait->err));

        if (vfs != NULL)
                unlink_wait(wait);
        if (parked == NULL) {
                wait_free(wait);
                return;
        }
        wait->parked = NULL;
        parked->internal = NULL;
        unlink_parked(vfs, parked);
        vfs->stats.resumed++;
        /* The call keeps what arrived until it ends; what its failed run pinned it pins again. */
        vfs_call_unpin(wait->call);
        wait->older = (struct wait *)wait->call->waiter;
        wait->call->waiter = &wait->waiter;
        wait->call = NULL;
        parked->resume(parked, err);
}

void vfs_park(struct vfs *vfs, struct vfs_call *call, struct vfs_parked *parked)
{
        struct wait *wait = calloc(1, sizeof(*wait));
        uint64_t now = loop_now_ns(vfs->config.loop);

        assert(call->want_count > 0 || call->load.size > 0);
        if (call->first_ns == 0)
                call->first_ns = now;
        if (wait == NULL) {
                parked->resume(parked, HIF_ENOMEM);
                return;
        }
        wait->vfs = vfs;
        wait->call = call;
        wait->parked = parked;
        wait->since_ns = call->first_ns;
        wait->msg.run = wait_over;
        wait->loop = vfs->config.loop;
        atomic_init(&wait->state, WAIT_AWAY);
        atomic_init(&wait->loading, call->load.size > 0);
        atomic_init(&wait->pending, (call->want_count > 0) + (call->load.size > 0));
        parked->internal = wait;
        parked->next = NULL;
        parked->prev = vfs->parked_last;
        if (vfs->parked_last != NULL)
                vfs->parked_last->next = parked;
        else
                vfs->parked_first = parked;
        vfs->parked_last = parked;
        vfs->stats.parked++;
        link_wait(vfs, wait);
        if (vfs->deadline.due_ns == 0)
                loop_timer_arm(vfs->config.loop, &vfs->deadline, DEADLINE_TICK_NS);

        /* The message may be posted before these return; it is delivered in a later turn. */
        if (call->load.size > 0) {
                wait->load.done = loaded;
                wait->load.arg = wait;
                wait->load.piece = call->load;
        }
        if (call->want_count > 0) {
                wait->fetching = true;
                wait->waiter.done = fetched;
                fetch_want(vfs->config.origin, call->wants, call->want_count, &wait->waiter);
        }
        if (call->load.size > 0)
                overlay_load(vfs->config.overlay, &wait->load);
}

static void give_up(struct vfs *vfs, struct vfs_parked *parked)
{
        struct wait *wait = parked->internal;

        wait->parked = NULL;
        wait->call = NULL;
        parked->internal = NULL;
        unlink_parked(vfs, parked);
}

void vfs_unpark(struct vfs *vfs, struct vfs_parked *parked)
{
        if (parked->internal != NULL)
                give_up(vfs, parked);
}

static void check_deadlines(struct loop_timer *timer)
{
        struct vfs *vfs = (struct vfs *)((char *)timer - offsetof(struct vfs, deadline));
        uint64_t now = loop_now_ns(vfs->config.loop);
        uint64_t limit_ns = vfs->config.fault_deadline_ms * 1000000;
        struct vfs_parked *parked = vfs->parked_first;

        while (parked != NULL) {
                struct vfs_parked *next = parked->next;
                struct wait *wait = parked->internal;

                if (now - wait->since_ns >= limit_ns) {
                        vfs->stats.timed_out++;
                        give_up(vfs, parked);
                        parked->resume(parked, HIF_ETIMEDOUT);
                        /* resume() may have changed the list. */
                        next = vfs->parked_first;
                }
                parked = next;
        }
        if (vfs->parked_first != NULL)
                loop_timer_arm(vfs->config.loop, &vfs->deadline, DEADLINE_TICK_NS);
}

void vfs_call_begin(struct vfs_call *call, const struct vfs_caller *caller)
{
        call->caller = caller;
        call->reply = NULL;
        call->closes = call->sgid_checked = false;
        call->stable_seq = 0;
        call->want_count = 0;
        call->load.size = 0;
        call->pin_count = 0;
        call->waiter = NULL;
        call->first_ns = 0;
}

void vfs_call_unpin(struct vfs_call *call)
{
        while (call->pin_count > 0)
                fetch_unref(call->pins[--call->pin_count]);
}

void vfs_call_end(struct vfs_call *call)
{
        struct wait *wait = (struct wait *)call->waiter;

        vfs_call_unpin(call);
        while (wait != NULL) {
                struct wait *older = wait->older;

                wait_free(wait);
                wait = older;
        }
        call->waiter = NULL;
}

/* --- waiting for the disk --- */

/* One sync at a time, for all that wait: group commit. */
struct sync_wait {
        struct overlay_sync sync;
        struct loop_msg msg;
        struct vfs *vfs; /* NULL: closed */
        struct loop *loop;
        enum hif_err err;
        bool busy;
        atomic_bool away; /* the overlay still works for it */
};

static void stable_unlink(struct vfs *vfs, struct vfs_stable *stable)
{
        if (stable->prev != NULL)
                stable->prev->next = stable->next;
        else
                vfs->stable_first = stable->next;
        if (stable->next != NULL)
                stable->next->prev = stable->prev;
        else
                vfs->stable_last = stable->prev;
        stable->prev = stable->next = NULL;
}

static void synced(struct overlay_sync *sync, enum hif_err err)
{
        struct sync_wait *wait = (struct sync_wait *)sync;

        wait->err = err;
        atomic_store(&wait->away, false);
        loop_post(wait->loop, &wait->msg);
}

static void start_sync(struct vfs *vfs)
{
        struct sync_wait *wait = vfs->sync;
        uint64_t seq = 0;

        if (wait->busy || vfs->stable_first == NULL)
                return;
        for (struct vfs_stable *stable = vfs->stable_first; stable != NULL; stable = stable->next)
                if (stable->seq > seq)
                        seq = stable->seq;
        wait->busy = true;
        atomic_store(&wait->away, true);
        wait->sync = (struct overlay_sync){.done = synced, .seq = seq};
        overlay_sync(vfs->config.overlay, &wait->sync);
}

static void sync_over(struct loop_msg *msg)
{
        struct sync_wait *wait =
            (struct sync_wait *)((char *)msg - offsetof(struct sync_wait, msg));
        struct vfs *vfs = wait->vfs;
        uint64_t through = wait->sync.seq;
        struct vfs_stable *stable;

        if (vfs == NULL) {
                free(wait);
                return;
        }
        wait->busy = false;
        for (;;) {
                for (stable = vfs->stable_first; stable != NULL; stable = stable->next)
                        if (stable->seq <= through)
                                break;
                if (stable == NULL)
                        break;
                stable_unlink(vfs, stable);
                stable->done(stable, wait->err);
        }
        start_sync(vfs);
}

void vfs_when_stable(struct vfs *vfs, struct vfs_stable *stable)
{
        stable->next = NULL;
        stable->prev = vfs->stable_last;
        if (vfs->stable_last != NULL)
                vfs->stable_last->next = stable;
        else
                vfs->stable_first = stable;
        vfs->stable_last = stable;
        /* The sync starts at the end of the turn, for all that came in it. */
        vfs->dirty = true;
}

void vfs_stable_cancel(struct vfs *vfs, struct vfs_stable *stable)
{
        stable_unlink(vfs, stable);
}

static void turn_over(struct loop_hook *hook)
{
        struct vfs *vfs = (struct vfs *)((char *)hook - offsetof(struct vfs, turn_end));

        if (!vfs->dirty)
                return;
        vfs->dirty = false;
        start_sync(vfs);
        overlay_kick(vfs->config.overlay);
}

enum hif_err park_init(struct vfs *vfs)
{
        vfs->sync = calloc(1, sizeof(*vfs->sync));
        if (vfs->sync == NULL)
                return HIF_ENOMEM;
        vfs->sync->vfs = vfs;
        vfs->sync->loop = vfs->config.loop;
        vfs->sync->msg.run = sync_over;
        vfs->deadline.run = check_deadlines;
        vfs->turn_end.run = turn_over;
        loop_hook_add(vfs->config.loop, &vfs->turn_end);
        return HIF_OK;
}

/* A read or a sync of the local disk: short. */
static void until_clear(atomic_bool *flag)
{
        const struct timespec pause = {.tv_nsec = 100000};

        while (atomic_load(flag))
                nanosleep(&pause, NULL);
}

/* Fetches take as long as a store does: they are left to themselves. What works on the overlay is
 * waited for: it is closed next. */
static void leave_wait(struct vfs *vfs, struct wait *wait)
{
        until_clear(&wait->loading);
        vfs->waits = wait->next;
        wait->vfs = NULL;
        if (atomic_exchange(&wait->state, WAIT_LEFT) != WAIT_HOME)
                return;
        /* Its message is on its way, and frees it; its pins must not outlive fetch. */
        if (wait->fetching)
                fetch_waiter_release(&wait->waiter);
        wait->fetching = false;
}

void park_close(struct vfs *vfs)
{
        if (vfs->sync == NULL)
                return;
        while (vfs->parked_first != NULL) {
                struct vfs_parked *parked = vfs->parked_first;

                give_up(vfs, parked);
                parked->resume(parked, HIF_ECANCELED);
        }
        while (vfs->stable_first != NULL) {
                struct vfs_stable *stable = vfs->stable_first;

                stable_unlink(vfs, stable);
                stable->done(stable, HIF_ECANCELED);
        }
        while (vfs->waits != NULL)
                leave_wait(vfs, vfs->waits);
        loop_timer_disarm(vfs->config.loop, &vfs->deadline);
        loop_hook_remove(vfs->config.loop, &vfs->turn_end);
        if (vfs->sync->busy) {
                until_clear(&vfs->sync->away);
                vfs->sync->vfs = NULL;
        } else {
                free(vfs->sync);
        }
        vfs->sync = NULL;
}
