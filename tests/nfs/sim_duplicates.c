/* sim_duplicates [--seed S] [--operations N] [--every N] [--mutation] - requests that must not run
 * twice, sent twice.
 *
 * Rounds of requests that change names and attributes. Every n-th is sent on a second connection,
 * too: while the first one waits for objects, before its answer is read, after it, and long after,
 * when other requests have changed the same names. In between connections break in the middle of a
 * record or before the answers are read, and the server is closed or killed, and started again; what
 * was not answered is sent again then, as clients do. Each answer has to be what it is for a request
 * that runs once, and all names, links and modes have to be a model's.
 *
 * On a simulated machine: a failure prints the seed that repeats it. --mutation gives repetitions
 * an xid of their own, so that they run: that has to be noticed. */
#include "sim_duplicates.h"

#include <stdio.h>
#include <stdlib.h>

#define AUDIT_EVERY 64 /* rounds */

/* --- rounds --- */

static bool is_nth(const struct dup *d)
{
        return d->sent % d->every == 0;
}

/* Both are there before anything is answered; with objects held back, before anything runs. */
static void round_twice_at_once(struct dup *d)
{
        struct store_fault_rule rule = {
            .op = STORE_GET, .key_contains = "/trees/", .count = 1000, .fault = STORE_FAULT_HOLD};
        bool cold = dup_pick(d, 4) == 0;
        size_t second = 0;

        if (cold) {
                tmount_cool(d->m);
                d->life++;
                dup_reconnect(d, &d->first);
                dup_reconnect(d, &d->second);
                dup_require(d, store_fault_add(d->m->store, &rule) == HIF_OK, NULL, "no fault");
        }
        for (size_t i = 0; i < d->op_count; i++) {
                bool twice = is_nth(d) || dup_pick(d, 4) == 0;

                dup_send_op(d, &d->first, &d->ops[i].record, false);
                if (dup_pick(d, 2) == 0)
                        tmount_turn(d->m);
                if (!twice)
                        continue;
                dup_send_op(d, &d->second, &d->ops[i].record, true);
                second++;
        }
        if (cold) {
                tmount_settle(d->m);
                d->waiting += second < vfs_stats(d->m->vfs).parked ? second : 0;
                store_fault_clear(d->m->store);
                while (store_fault_waiting(d->m->store) > 0) {
                        store_fault_deliver(d->m->store);
                        tmount_settle(d->m);
                }
        } else {
                d->soon += second;
        }
        for (size_t i = 0; i < second; i++)
                dup_receive(d, &d->second);
        for (size_t i = 0; i < d->op_count; i++)
                dup_receive(d, &d->first);
}

/* The connection breaks, or the server dies, when some of the requests have run. */
static void round_interrupted(struct dup *d)
{
        size_t sent = 1 + dup_pick(d, d->op_count), read = dup_pick(d, sent);

        for (size_t i = 0; i < sent; i++)
                dup_send_op(d, &d->first, &d->ops[i].record, false);
        for (size_t i = 0; i < read; i++)
                dup_receive(d, &d->first);
        if (dup_pick(d, 2) == 0) /* in the middle of a record */
                tclient_send_raw(&d->first, "\x80\0\0\x60 cut off", 11);
        if (dup_pick(d, 2) == 0)
                tmount_settle(d->m);
        if (dup_pick(d, 2) == 0) {
                dup_restart(d);
        } else {
                dup_reconnect(d, &d->first);
                d->reconnects++;
        }
        dup_send_again(d);
}

/* One after the other; every n-th is repeated right after its answer. */
static void round_plain(struct dup *d)
{
        for (size_t i = 0; i < d->op_count; i++) {
                dup_send_op(d, &d->first, &d->ops[i].record, false);
                dup_receive(d, &d->first);
                if (!is_nth(d))
                        continue;
                dup_send_op(d, &d->second, &d->ops[i].record, true);
                dup_receive(d, &d->second);
                d->soon++;
        }
}

/* Something of long ago comes on the second connection. */
static void come_late(struct dup *d)
{
        uint64_t known = d->past_count < HISTORY ? d->past_count : HISTORY;
        AUTO_REPLY struct treply reply = {.xid = 0};
        uint64_t seq = overlay_seq(d->m->overlay);
        struct past *past;

        if (known == 0)
                return;
        past = &d->past[dup_pick(d, known)];
        /* A failure has changed nothing, so a server that was started since may run it. */
        if (past->status != NFS3_OK && past->life != d->life)
                return;
        dup_send_op(d, &d->second, &past->record, true);
        tclient_receive(&d->second, &reply);
        dup_require(d, !reply.none && !reply.closed, NULL, "no answer to what comes late");
        dup_require(d, rd_u32(&reply.rd) == (uint32_t)past->status, NULL,
                    "the answer of a second run, late");
        dup_require(d, overlay_seq(d->m->overlay) == seq, NULL, "a second run, late");
        d->late++;
}

static void remember(struct dup *d, struct op *op)
{
        struct past *past = &d->past[d->past_count++ % HISTORY];

        buf_free(&past->record);
        *past = (struct past){.record = op->record, .status = op->status, .life = op->life};
        op->record = (struct buf){0};
}

static void end_round(struct dup *d)
{
        for (size_t i = 0; i < d->op_count; i++) {
                struct op *op = &d->ops[i];

                dup_require(d, op->answered, op, "no answer");
                if (op->status == NFS3_OK)
                        dup_apply(d, op);
                remember(d, op);
                buf_free(&op->answer);
                d->done++;
        }
        d->op_count = 0;
        for (size_t i = 0; i < (size_t)DIRS * NAMES; i++)
                (&d->slots[0][0])[i].busy = false;
        for (size_t i = 0; i < NODES_MAX; i++)
                d->nodes[i].busy = false;
}

static void run_round(struct dup *d)
{
        size_t count = 1 + dup_pick(d, ROUND_MAX);
        uint64_t what = dup_pick(d, 20);

        for (size_t i = 0; i < count; i++)
                dup_make_op(d);
        if (d->op_count == 0)
                return;
        if (what < 2)
                round_interrupted(d);
        else if (what < 7)
                round_twice_at_once(d);
        else
                round_plain(d);
        end_round(d);
        for (uint64_t i = dup_pick(d, 3); i > 0; i--)
                come_late(d);
}

/* --- start and end --- */

static void start(struct dup *d)
{
        struct tmount_options options = {.nfs = true,
                                         .seed = d->seed,
                                         .overlay.durability =
                                             (enum overlay_durability)(d->seed % 2)};

        d->random = d->seed * 0x9e3779b97f4a7c15ull + 1;
        d->xid = 5000;
        d->m = tmount_new(&options);
        for (size_t i = 0; i < (size_t)DIRS * 20; i++) {
                char path[32];

                snprintf(path, sizeof(path), "d%zu/base%zu", i / 20, i % 20);
                tmount_add_text(d->m, path, "base");
        }
        tmount_open(d->m);
        for (size_t i = 0; i < DIRS; i++) {
                char path[32];

                snprintf(path, sizeof(path), "d%zu", i);
                d->dirs[i] = tmount_id(d->m, path);
        }
        tclient_open(&d->first, d->m);
        tclient_open(&d->second, d->m);
}

static void stop(struct dup *d)
{
        for (size_t i = 0; i < HISTORY; i++)
                buf_free(&d->past[i].record);
        tclient_close(&d->first);
        tclient_close(&d->second);
        tmount_free(d->m);
}

static int usage(void)
{
        fprintf(stderr,
                "usage: sim_duplicates [--seed S] [--operations N] [--every N] [--mutation]\n");
        return 2;
}

int main(int argc, char **argv)
{
        struct dup *d = calloc(1, sizeof(*d));
        unsigned long long operations = 4000;

        if (d == NULL)
                abort();
        d->seed = 1;
        d->every = 5;
        for (int i = 1; i < argc; i++) {
                bool value = i + 1 < argc;

                if (strcmp(argv[i], "--mutation") == 0)
                        d->mutation = true;
                else if (value && strcmp(argv[i], "--seed") == 0)
                        d->seed = strtoull(argv[++i], NULL, 10);
                else if (value && strcmp(argv[i], "--operations") == 0)
                        operations = strtoull(argv[++i], NULL, 10);
                else if (value && strcmp(argv[i], "--every") == 0)
                        d->every = strtoull(argv[++i], NULL, 10);
                else
                        return usage();
        }
        if (d->every == 0)
                return usage();
        start(d);
        for (unsigned long long round = 1; d->done < operations; round++) {
                run_round(d);
                if (round % AUDIT_EVERY == 0)
                        dup_audit(d);
        }
        dup_audit(d);
        printf("sim_duplicates: seed %llu: %llu operations, repeated %llu times while they waited, "
               "%llu times at once, %llu times after %llu broken connections, %llu restarts and "
               "%llu kills, and %llu times late: none ran twice\n",
               d->seed, d->done, d->waiting, d->soon, d->again, d->reconnects, d->closed, d->killed,
               d->late);
        stop(d);
        if (d->mutation) {
                fprintf(stderr, "sim_duplicates: the mistake was not noticed\n");
                return 1;
        }
        free(d);
        return 0;
}
