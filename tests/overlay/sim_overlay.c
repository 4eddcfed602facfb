/* sim_overlay --seeds A:B - random operations on an overlay over a simulated machine, against a
 * model, with process kills, power cuts, failing calls and full disks; each run is a function of
 * its seed.
 *
 * The model keeps its own history: the state after each record. After a crash the overlay must show
 * the state of one record of that history, at or after the last that was promised: for a killed
 * process every acknowledged record, for a power cut every record that a sync was acknowledged for.
 * Bytes of a file may moreover be those of a write that came after that record and lay in the same
 * place: what write(2) allows. */
#include "model.h"

#include "base/log.h"
#include "base/simenv.h"
#include "core/nodeid.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIR      "/home/agent/overlay"
#define CAPACITY (1ull << 40)

struct run {
        uint64_t seed;
        struct simenv *sim;
        struct env *env;
        struct pool *pool;
        struct overlay *overlay;
        struct overlay_config config;
        struct model model;
        unsigned frozen;
        struct opiece held[4]; /* named at a freeze */
        uint8_t held_bytes[4][64];
        size_t held_count;
        struct overlay_ops held_ops; /* as they were at a freeze */
        uint64_t *held_seqs;
        size_t held_op_count;
        bool dropped; /* some, since then */
        unsigned crashes, cuts, failures, refused, healed;
        const char *doing;
        char names[4][8]; /* of a transaction, which makes up to three */
        unsigned name_count;
};

static void bad(const struct run *run, const char *what, unsigned long long value)
{
        fprintf(stderr, "sim_overlay: seed %llu: %s (%llu) while %s, after %u kills, %u cuts\n",
                (unsigned long long)run->seed, what, value, run->doing, run->crashes, run->cuts);
        fprintf(stderr, "run again: sim_overlay --seeds %llu:%llu\n", (unsigned long long)run->seed,
                (unsigned long long)run->seed);
        abort();
}

static uint64_t pick(struct run *run, uint64_t below)
{
        return simenv_rand(run->sim) % below;
}

static void write_boot(struct run *run)
{
        static const char path[] = "/proc/sys/kernel/random/boot_id";
        uint64_t id = env_random_u64(run->env);

        simenv_set_capacity(run->sim, CAPACITY);
        if (env_mkdirs(run->env, "/proc/sys/kernel/random", 0755) != HIF_OK ||
            env_write_file(run->env, path, &id, sizeof(id), 0444) != HIF_OK)
                bad(run, "cannot write the boot id", 0);
}

static enum hif_err open_overlay(struct run *run, struct hif_why *why)
{
        if (run->pool == NULL && pool_new(0, "sim", &run->pool) != HIF_OK)
                bad(run, "no pool", 0);
        return overlay_open(run->env, run->pool, DIR, &run->config, &run->overlay, why);
}

static void let_go_ops(struct run *run)
{
        overlay_ops_free(&run->held_ops);
        free(run->held_seqs);
        run->held_seqs = NULL;
        run->held_op_count = 0;
}

static void close_overlay(struct run *run)
{
        while (run->frozen > 0) {
                overlay_thaw(run->overlay);
                run->frozen--;
        }
        let_go_ops(run);
        run->held_count = 0;
        overlay_close(run->overlay);
        run->overlay = NULL;
        if (run->pool != NULL)
                pool_free(run->pool);
        run->pool = NULL;
}

/* --- checking --- */

/* The overlay holds the state of the newest record at or before `seq`, or of one of the `slack`
 * before that. Returns the one. */
static uint64_t check(struct run *run, uint64_t seq, uint64_t slack, uint64_t at_least)
{
        char what[256] = "";
        uint64_t known = 0;

        simenv_fail_at(run->sim, 0, HIF_OK);
        for (uint64_t i = 0; i <= slack && seq - i >= at_least; i++) {
                known = model_known(&run->model, seq - i);
                what[0] = '\0';
                if (model_matches(&run->model, run->overlay, known, what, sizeof(what)))
                        return known;
                if (run->model.trace)
                        fprintf(stderr, "not record %llu: %s\n", (unsigned long long)(seq - i),
                                what);
        }
        bad(run, what[0] != '\0' ? what : "a promised record is gone", known);
        return 0;
}

/* Each attempt to open adds at most two records of its own, which change no row: one that promises
 * numbers, and one that says everything, where a sync had failed. */
static void check_opened(struct run *run, uint64_t attempts, uint64_t at_least, bool cut)
{
        uint64_t seq = overlay_seq(run->overlay);
        uint64_t known = check(run, seq, 2 * attempts, at_least);

        if (overlay_durable(run->overlay) < seq) {
                /* Opened on a full disk. With room it becomes writable, and what it holds durable.
                 */
                simenv_set_capacity(run->sim, CAPACITY);
                overlay_kick(run->overlay);
                seq = overlay_seq(run->overlay);
                if (overlay_durable(run->overlay) < seq)
                        bad(run, "it does not become writable", seq);
                run->healed++;
        }
        if (!model_restart(&run->model, run->overlay, known, seq, cut))
                bad(run, "content cannot be read", known);
}

static void check_held(struct run *run)
{
        uint8_t bytes[64];

        for (size_t i = 0; i < run->held_count; i++)
                if (overlay_read(run->overlay, &run->held[i], true, bytes) == HIF_OK &&
                    memcmp(bytes, run->held_bytes[i], run->held[i].size) != 0)
                        bad(run, "frozen content has changed", i);
}

/* --- crashes --- */

/* Open again until it works: the machine may die while it does. */
static void reopen(struct run *run, bool cut, uint64_t promised, uint64_t acknowledged)
{
        struct hif_why why = {""};
        int attempt = 0;

        for (;; attempt++) {
                enum hif_err err;

                if (cut) {
                        simenv_power_cut(run->sim);
                        write_boot(run);
                        run->cuts++;
                } else {
                        simenv_process_kill(run->sim);
                        run->crashes++;
                }
                if (attempt < 3 && pick(run, 3) == 0)
                        simenv_crash_at(run->sim, 1 + pick(run, 60));
                run->doing = "opening after a crash";
                err = open_overlay(run, &why);
                if (err == HIF_OK && !simenv_crashed(run->sim))
                        break;
                if (err == HIF_OK)
                        close_overlay(run);
                if (err == HIF_ENOSPC)
                        simenv_set_capacity(run->sim, CAPACITY);
                else if (!simenv_crashed(run->sim)) {
                        fprintf(stderr, "%s\n", why.text);
                        bad(run, "cannot open", err);
                }
                if (run->pool != NULL)
                        pool_free(run->pool);
                run->pool = NULL;
                /* A later crash may be of the other kind, and promises then only what it does. */
                if (!cut && pick(run, 2) == 0) {
                        cut = true;
                        acknowledged = promised;
                }
        }
        simenv_crash_at(run->sim, 0);
        check_opened(run, (uint64_t)attempt + 1, cut ? promised : acknowledged, cut);
}

static void crash(struct run *run)
{
        bool cut = pick(run, 2) == 0;
        uint64_t promised = run->model.synced, acknowledged = run->model.newest;

        if (!simenv_crashed(run->sim))
                simenv_crash_at(run->sim, 1);
        close_overlay(run);
        reopen(run, cut, promised, acknowledged);
        simenv_crash_at(run->sim, 1 + pick(run, 400));
}

/* --- operations --- */

static void op_create(struct run *run, struct otx *tx)
{
        uint64_t dir = 1 + pick(run, 3), id = overlay_new_id(run->overlay), old;
        struct onode *node;
        char *name = run->names[run->name_count++ % 4]; /* borrowed until the commit */

        snprintf(name, sizeof(run->names[0]), "n%u", (unsigned)pick(run, 12));
        if (model_entry(&run->model, dir, name, &old))
                otx_node_del(tx, old);
        node = otx_node(tx, id);
        node->kind = ONODE_FILE;
        node->flags = ONODE_PLACED | ONODE_ATTRS;
        node->mode = 0644;
        node->nlink = 1;
        node->parent = dir;
        node->name = span_str(name);
        otx_dirent_put(tx, &(struct odirent){.dir = dir,
                                             .hash60 = (uint64_t)name[1] & 3,
                                             .name = span_str(name),
                                             .child = id});
        otx_op(tx, &(struct session_op){.kind = SESSION_CREATE, .path = span_str(name)});
        otx_reply(tx, &(struct overlay_reply){.key = id, .node = id});
        model_create(&run->model, dir, name, id);
}

static void op_remove(struct run *run, struct otx *tx)
{
        uint64_t dir, id;
        char name[8];

        if (!model_any_entry(&run->model, simenv_rand(run->sim), &dir, name, &id))
                return;
        otx_dirent_del(tx, dir, (uint64_t)name[1] & 3, span_str(name));
        otx_node_del(tx, id);
        model_remove(&run->model, dir, name, id);
}

static enum hif_err op_write(struct run *run, struct otx *tx)
{
        uint64_t id, offset;
        uint8_t bytes[6000], first = (uint8_t)simenv_rand(run->sim);
        size_t size = 1 + pick(run, pick(run, 4) == 0 ? sizeof(bytes) : 50);
        enum hif_err err;

        if (!model_any_file(&run->model, simenv_rand(run->sim), &id))
                return HIF_OK;
        offset = pick(run, pick(run, 3) == 0 ? MODEL_FILE_MAX - sizeof(bytes) : 300);
        for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)(first + i * 7);
        model_about_to_write(&run->model, id, offset, bytes, size);
        err = overlay_write(tx, id, offset, span_of(bytes, size));
        if (err == HIF_OK)
                model_write(&run->model, id, offset, bytes, size);
        return err;
}

static void op_truncate(struct run *run, struct otx *tx)
{
        uint64_t id, size = pick(run, pick(run, 2) == 0 ? MODEL_FILE_MAX : 100);

        if (!model_any_file(&run->model, simenv_rand(run->sim), &id))
                return;
        otx_truncate(tx, id, size);
        model_truncate(&run->model, id, size);
}

static void op_value(struct run *run, struct otx *tx)
{
        char name[8], value[16] = "";

        snprintf(name, sizeof(name), "v%u", (unsigned)pick(run, 4));
        if (pick(run, 3) != 0)
                snprintf(value, sizeof(value), "%u", (unsigned)pick(run, 1000));
        otx_value(tx, name, span_str(value));
        model_value(&run->model, name, value);
}

static void op_attrs(struct run *run, struct otx *tx)
{
        uint64_t id;
        uint16_t mode = (uint16_t)pick(run, 0777);

        if (!model_any_file(&run->model, simenv_rand(run->sim), &id))
                return;
        otx_node(tx, id)->mode = mode;
        model_mode(&run->model, id, mode);
}

static void op_ops_drop(struct run *run, struct otx *tx)
{
        uint64_t through = run->model.newest - pick(run, 5) % (run->model.newest + 1);

        otx_ops_drop(tx, through);
        run->dropped = true;
        model_ops_drop(&run->model, through);
}

static void op_note(struct run *run, struct otx *tx)
{
        struct onote note = {
            .kind = ONOTE_MESSAGE, .role = span_str("agent"), .text = span_str("said")};

        otx_note(tx, &note);
        model_note(&run->model);
}

static void op_notes_drop(struct run *run, struct otx *tx)
{
        uint64_t through = run->model.newest - pick(run, 5) % (run->model.newest + 1);

        otx_notes_drop(tx, through);
        model_notes_drop(&run->model, through);
}

/* One transaction of a few changes; an error must come from what the run did to the machine. */
static void transaction(struct run *run)
{
        struct otx *tx = otx_begin(run->overlay);
        enum hif_err err = HIF_OK;
        uint64_t seq = 0;

        if (pick(run, 2) == 0)
                otx_carry(tx);
        otx_need(tx, (enum overlay_need)pick(run, 3));
        model_begin(&run->model);
        for (uint64_t i = 1 + pick(run, 3); i > 0 && err == HIF_OK; i--) {
                switch (pick(run, 14)) {
                case 0:
                case 1:
                        op_create(run, tx);
                        break;
                case 2:
                        op_remove(run, tx);
                        break;
                case 3:
                        op_truncate(run, tx);
                        break;
                case 4:
                        op_value(run, tx);
                        break;
                case 5:
                        op_attrs(run, tx);
                        break;
                case 6:
                        op_ops_drop(run, tx);
                        break;
                case 7:
                        op_note(run, tx);
                        break;
                case 8:
                        op_notes_drop(run, tx);
                        break;
                default:
                        err = op_write(run, tx);
                }
        }
        if (err == HIF_OK && pick(run, 20) == 0)
                err = HIF_ECANCELED; /* the caller thinks better of it */
        else if (err == HIF_OK)
                err = otx_commit(tx, &seq), tx = NULL;
        if (tx != NULL)
                otx_abort(tx);
        if (err == HIF_OK) {
                model_commit(&run->model, seq);
                return;
        }
        simenv_fail_at(run->sim, 0, HIF_OK);
        model_abort(&run->model, run->overlay);
        run->refused++;
}

static void sync_now(struct run *run)
{
        uint64_t seq = overlay_seq(run->overlay);

        if (overlay_sync_wait(run->overlay, seq) == HIF_OK)
                model_synced(&run->model, seq);
        else
                run->failures++;
}

/* Operations as they are now, to be read after more was done, and folded. */
static void hold_ops(struct run *run)
{
        const struct mstate *state = &run->model.states[run->model.count - 1];
        size_t size = (state->op_end - state->op_first) * sizeof(uint64_t);

        let_go_ops(run);
        run->dropped = false;
        run->held_op_count = state->op_end - state->op_first;
        run->held_seqs = malloc(size + 1);
        if (run->held_seqs == NULL || overlay_ops_take(run->overlay, &run->held_ops) != HIF_OK)
                abort();
        if (size > 0)
                memcpy(run->held_seqs, &run->model.op_seqs[state->op_first], size);
}

static void check_held_ops(struct run *run)
{
        bool dropped;

        if (!model_ops_are(run->held_seqs, run->held_op_count, run->overlay, &run->held_ops,
                           &dropped))
                bad(run, "operations are not those there were", run->held_op_count);
        if (dropped && !run->dropped)
                bad(run, "operations are told to be gone", run->held_op_count);
        let_go_ops(run);
}

static void freeze(struct run *run)
{
        uint64_t id;
        const struct onode *node;

        if (run->frozen > 0) {
                check_held(run);
                check_held_ops(run);
                overlay_thaw(run->overlay);
                run->frozen--;
                run->held_count = 0;
                return;
        }
        overlay_freeze(run->overlay);
        run->frozen++;
        hold_ops(run);
        if (!model_any_file(&run->model, simenv_rand(run->sim), &id))
                return;
        node = overlay_node(run->overlay, id);
        if (node == NULL)
                return;
        struct opiece pieces[4];
        size_t count = overlay_pieces(node, 0, MODEL_FILE_MAX, pieces, 4);

        for (size_t i = 0; i < count; i++) {
                struct opiece *held = &run->held[run->held_count];

                if (pieces[i].kind != OPIECE_DATA)
                        continue;
                *held = pieces[i];
                if (held->size > 64)
                        held->size = 64;
                if (overlay_read(run->overlay, held, true, run->held_bytes[run->held_count]) ==
                    HIF_OK)
                        run->held_count++;
        }
}

static void step(struct run *run)
{
        run->doing = "working";
        switch (pick(run, 24)) {
        case 0:
        case 1:
                run->doing = "syncing";
                sync_now(run);
                break;
        case 2:
                run->doing = "folding";
                pool_drain(run->pool);
                break;
        case 3:
                simenv_advance(run->sim, pick(run, 2000000000));
                overlay_kick(run->overlay);
                if (overlay_seq(run->overlay) != run->model.newest)
                        model_alias(&run->model, overlay_seq(run->overlay));
                break;
        case 4:
                freeze(run);
                break;
        case 5:
                /* Any call may fail once, with any of these; the disk is full for a while. */
                if (pick(run, 4) == 0)
                        simenv_set_capacity(
                            run->sim, pick(run, 2) == 0 ? 1ull << 40 : (64 + pick(run, 900)) << 10);
                else if (pick(run, 4) == 0)
                        simenv_fail_at(run->sim, 1 + pick(run, 12),
                                       pick(run, 2) == 0 ? HIF_ENOSPC : HIF_EIO);
                break;
        default:
                transaction(run);
        }
}

/* A clean end: everything is folded, and there again. */
static void close_and_open(struct run *run)
{
        struct hif_why why = {""};
        enum hif_err err;

        run->doing = "closing and opening";
        simenv_fail_at(run->sim, 0, HIF_OK);
        close_overlay(run);
        if (simenv_crashed(run->sim)) {
                reopen(run, pick(run, 2) == 0, run->model.synced, run->model.newest);
                simenv_crash_at(run->sim, 1 + pick(run, 400));
                return;
        }
        err = open_overlay(run, &why);
        if (err == HIF_OK && simenv_crashed(run->sim)) {
                close_overlay(run);
                err = HIF_ECANCELED;
        }
        if (err != HIF_OK) {
                if (!simenv_crashed(run->sim) && err != HIF_ENOSPC) {
                        fprintf(stderr, "%s\n", why.text);
                        bad(run, "cannot open", err);
                }
                if (run->pool != NULL)
                        pool_free(run->pool);
                run->pool = NULL;
                reopen(run, pick(run, 2) == 0, run->model.synced, run->model.newest);
                simenv_crash_at(run->sim, 1 + pick(run, 400));
                return;
        }
        simenv_crash_at(run->sim, 0);
        check_opened(run, 1, run->model.newest, false);
        simenv_crash_at(run->sim, 1 + pick(run, 400));
}

static void run_seed(uint64_t seed, bool verbose, bool trace, struct log *log)
{
        struct run run = {.seed = seed, .doing = "starting"};
        struct hif_why why = {""};
        unsigned steps;

        run.sim = simenv_new(seed);
        if (run.sim == NULL || !model_init(&run.model))
                abort();
        run.env = simenv_env(run.sim);
        run.env->log = log;
        run.model.trace = trace;
        run.config = (struct overlay_config){.serial = true,
                                             .log_segment_bytes = 8192u << pick(&run, 3),
                                             .data_segment_bytes = 16384u << pick(&run, 4),
                                             .spare_bytes = (uint64_t)pick(&run, 2) << 18};
        write_boot(&run);
        if (open_overlay(&run, &why) != HIF_OK)
                bad(&run, why.text, 0);
        model_alias(&run.model, overlay_seq(run.overlay));
        simenv_crash_at(run.sim, 1 + pick(&run, 400));
        steps = 300;
        for (unsigned i = 0; i < steps; i++) {
                if (simenv_crashed(run.sim) || pick(&run, 150) == 0)
                        crash(&run);
                else if (pick(&run, 200) == 0)
                        close_and_open(&run);
                else
                        step(&run);
                if (i % 16 == 0 && !simenv_crashed(run.sim)) {
                        run.doing = "comparing";
                        check(&run, overlay_seq(run.overlay), 0, run.model.newest);
                        check_held(&run);
                }
        }
        if (verbose)
                printf("seed %llu: %llu records, %u kills, %u cuts, %u failed syncs, %u refused\n",
                       (unsigned long long)seed, (unsigned long long)run.model.newest, run.crashes,
                       run.cuts, run.failures, run.refused);
        simenv_crash_at(run.sim, 0);
        close_overlay(&run);
        model_free(&run.model);
        simenv_free(run.sim);
}

int main(int argc, char **argv)
{
        unsigned long long from = 1, to = 20;
        bool verbose = false, trace = false;
        struct log *log = NULL;

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc &&
                    sscanf(argv[i + 1], "%llu:%llu", &from, &to) == 2) {
                        i++;
                } else if (strcmp(argv[i], "-v") == 0) {
                        verbose = true;
                        log = log_new(2, LOG_DEBUG);
                } else if (strcmp(argv[i], "-t") == 0) {
                        trace = true;
                } else {
                        fprintf(stderr, "usage: sim_overlay [--seeds FROM:TO] [-v] [-t]\n");
                        return 2;
                }
        }
        for (unsigned long long seed = from; seed <= to; seed++)
                run_seed(seed, verbose, trace, log);
        log_free(log);
        printf("sim_overlay: seeds %llu:%llu passed\n", from, to);
        return 0;
}
