/* The landing machine: find the tail, look for ourselves, decide, store, claim the next slot; and
 * again when someone else had it. docs/landing.md says why in this order. */
#include "core/layout.h"
#include "land/internal.h"

#include <inttypes.h>
#include <stdlib.h>

#define ATTEMPTS_DEFAULT 64u
#define SKEW_MS_DEFAULT  300000u

void land_report(struct land *land)
{
        if (land->hooks && land->hooks->progress)
                land->hooks->progress(land->hooks, &land->progress);
}

void land_intent_free(struct land_intent *intent)
{
        buf_free(&intent->slot);
}

enum hif_err land_begin(const struct project *project, const struct session *session,
                        struct tree_source *nodes, struct pool *pool, struct land_hooks *hooks,
                        const char *journal_path, struct land **out)
{
        struct land *land = calloc(1, sizeof(*land));
        enum hif_err err = HIF_ENOMEM;

        if (!land)
                return HIF_ENOMEM;
        land->project = project;
        land->session = session;
        land->env = project->env;
        land->pool = pool;
        land->hooks = hooks;
        land->journal.fd = -1;
        land->scan = (struct scan){.project = project,
                                   .session = session->id,
                                   .origin = session->origin,
                                   .position = session->origin,
                                   .base_position = session->base_position,
                                   .base_slot = session->base_slot};
        if (session->origin == session->base_position)
                land->scan.hash = session->base_slot;
        env_random(land->env, &land->mix, sizeof(land->mix));
        land->codec = body_codec_new(3);
        if (land->codec)
                err = node_reader_over(project, NODE_CACHE_BYTES, nodes, &land->reader);
        if (err == HIF_OK && journal_path)
                err = journal_open(land->env, journal_path, project, &session->id, &land->known,
                                   &land->journal);
        if (err != HIF_OK) {
                land_free(land);
                return err;
        }
        *out = land;
        return HIF_OK;
}

void land_free(struct land *land)
{
        if (!land)
                return;
        merge_free(&land->merge);
        journal_close(&land->journal);
        known_free(&land->known);
        node_reader_free(land->reader);
        body_codec_free(land->codec);
        free(land);
}

/* --- where we start from --- */

static enum hif_err accept_base(struct land *land, const struct slot_read *base,
                                struct hif_why *why)
{
        if (!hash_eq(&base->hash, &land->session->base_slot))
                return why_set(why, HIF_ECORRUPT,
                               "%s holds something else at @%" PRIu64
                               " than this session started from: it is another store, or an older "
                               "copy of it",
                               store_url(land->project->store), land->session->base_position);
        land->base_tree = base->slot.tree;
        return HIF_OK;
}

enum hif_err land_load_base(struct land *land, struct hif_why *why)
{
        struct slot_read base;
        enum hif_err err;

        if (!hash_is_zero(&land->base_tree))
                return HIF_OK;
        err = project_slot(land->project, land->session->base_position, false, &base, why);
        if (err == HIF_ENOENT)
                err = slot_lost(land->project, land->session->base_position, why);
        if (err != HIF_OK)
                return err;
        err = accept_base(land, &base, why);
        slot_read_free(&base);
        return err;
}

/* --- one commit --- */

struct commit {
        struct land *land;
        const struct land_change *changes;
        size_t count;
        const struct land_intent *intent;
        bool pending; /* the intent's slot may still arrive */
        bool check_only;
        uint8_t landing_id[LANDING_ID_SIZE];
        struct landing_tag tag;
        struct hif_time now;
        struct slot_read tail;
        bool lost; /* the last attempt, to: */
        struct slot_read winner;
        struct land_result *out;
        struct hif_why *why;
};

/* The tail; on the way, in the same trip where that is possible, base. After a lost race, base is
 * known, and the slot that won is where to go on from. */
static enum hif_err find_tail(struct commit *c)
{
        struct land *land = c->land;
        uint64_t base_position = land->session->base_position;
        uint64_t known = land->scan.position > base_position ? land->scan.position : base_position;
        bool want_base = hash_is_zero(&land->base_tree) && known == base_position;
        struct slot_read base = {0};
        enum hif_err err;

        if (c->lost) {
                c->lost = false;
                c->tail = c->winner;
                c->winner = (struct slot_read){0};
                return tail_follow(land->project, &c->tail, c->why);
        }
        err = tail_read(land->project, known, want_base ? &base : NULL, &c->tail, c->why);
        if (err != HIF_OK)
                return err;
        err = want_base ? accept_base(land, &base, c->why) : land_load_base(land, c->why);
        slot_read_free(&base);
        if (err != HIF_OK)
                slot_read_free(&c->tail);
        return err;
}

static enum hif_err check_skew(const struct commit *c)
{
        struct land_hooks *hooks = c->land->hooks;
        uint64_t limit_ms = hooks && hooks->skew_max_ms ? hooks->skew_max_ms : SKEW_MS_DEFAULT;
        uint64_t ours = env_wall_ns(c->land->env), theirs, off_ms;

        if (!hooks || !hooks->store_time || !hooks->store_time(hooks, &theirs))
                return HIF_OK;
        off_ms = (ours > theirs ? ours - theirs : theirs - ours) / 1000000;
        if (off_ms <= limit_ms)
                return HIF_OK;
        return why_set(c->why, HIF_EINVAL,
                       "this machine's clock is %" PRIu64 " s %s that of %s: set it, then land",
                       off_ms / 1000, ours > theirs ? "ahead of" : "behind",
                       store_url(c->land->project->store));
}

static void landed(struct commit *c, const struct slot *slot, const struct hif_hash *hash,
                   bool already)
{
        c->out->position = slot->position;
        c->out->slot_hash = *hash;
        c->out->tree = slot->tree;
        c->out->paths = slot->path_count;
        c->out->already_landed = already;
        c->pending = false;
        /* A hint: the next reader that finds it behind helps. */
        if (project_advance_head(c->land->project, slot) != HIF_OK)
                return;
}

/* An earlier run's slot may still arrive, at the position that comes next. */
static bool must_replay(struct commit *c)
{
        if (c->pending && c->intent->position <= c->tail.slot.position)
                c->pending = false; /* its slot is taken, and not by us: it cannot arrive */
        return c->pending && !c->check_only;
}

/* Send that slot again, as it was. *done: it is the landing; otherwise the tail is further now. */
static enum hif_err replay(struct commit *c, bool *done)
{
        const struct land_intent *intent = c->intent;
        struct arena arena = {0};
        struct slot slot;
        struct hif_hash hash;
        enum hif_err err = slot_get(buf_span(&intent->slot), intent->position, &arena, &slot);

        if (err == HIF_OK && (intent->position != c->tail.slot.position + 1 ||
                              !hash_eq(&slot.previous, &c->tail.hash) ||
                              !session_id_eq(&slot.session, &c->land->session->id)))
                err = HIF_EINVAL;
        if (err != HIF_OK) {
                arena_free(&arena);
                return why_set(c->why, err,
                               "the landing that was tried at @%" PRIu64
                               " does not fit what %s holds now",
                               intent->position, store_url(c->land->project->store));
        }
        err = publish_slot(c->land->project, c->land->hooks, intent->position,
                           buf_span(&intent->slot), intent->landing_id, true, &c->winner, done,
                           c->why);
        if (err == HIF_OK)
                c->pending = false;
        c->lost = err == HIF_OK && !*done;
        if (err == HIF_OK && *done) {
                hash = hash_of(HASH_SLOT, buf_span(&intent->slot));
                landed(c, &slot, &hash, true);
        }
        arena_free(&arena);
        return err;
}

static enum hif_err report_conflicts(struct commit *c)
{
        struct merge *merge = &c->land->merge;
        AUTO_FREE struct conflict_name *names = calloc(merge->conflict_count, sizeof(*names));
        struct land_conflict *first = &merge->conflicts[0];
        enum hif_err err;

        if (!names)
                return HIF_ENOMEM;
        for (uint32_t i = 0; i < merge->conflict_count; i++)
                names[i] = (struct conflict_name){&merge->conflicts[i], merge->conflict_tags[i]};
        err = scan_name(c->land->project, c->land->session->base_position, c->tail.slot.position,
                        names, merge->conflict_count, &merge->arena, c->why);
        if (err != HIF_OK)
                return err;
        c->out->position = c->tail.slot.position;
        c->out->slot_hash = c->tail.hash;
        c->out->tree = c->tail.slot.tree;
        c->out->conflicts = merge->conflicts;
        c->out->conflict_count = merge->conflict_count;
        return why_set(c->why, HIF_ECONFLICT,
                       "%u path%s changed on both sides, the first is %.*s (we %s, @%" PRIu64
                       " %s): nothing was landed",
                       merge->conflict_count, merge->conflict_count == 1 ? "" : "s",
                       (int)first->path.size, (const char *)first->path.data, first->ours,
                       first->position, first->theirs);
}

/* Read, decide, and prepare the entries of the merged tree. */
static enum hif_err decide(struct commit *c)
{
        struct land *land = c->land;
        struct merge *merge = &land->merge;
        enum hif_err err;

        merge_free(merge);
        merge_init(merge, land->reader, &land->base_tree, &c->tail.slot.tree, land->mix);
        merge->tag = c->tag;
        merge->now = c->now;
        err = merge_gather(merge, c->changes, c->count, c->why);
        if (err == HIF_OK)
                err = merge_decide(merge);
        if (err == HIF_OK && merge->conflict_count > 0)
                return report_conflicts(c);
        if (err == HIF_OK)
                err = merge_entries(merge, c->why);
        if (err == HIF_OK)
                c->out->paths = merge->edit_count;
        if (err == HIF_OK && merge->edit_count == 0) {
                c->out->position = c->tail.slot.position;
                c->out->slot_hash = c->tail.hash;
                c->out->tree = c->tail.slot.tree;
                return why_set(c->why, HIF_ENOTHING, "nothing to land: no change against @%" PRIu64,
                               c->tail.slot.position);
        }
        return err;
}

static enum hif_err save_intent(struct commit *c, const struct slot_built *built)
{
        struct land_hooks *hooks = c->land->hooks;
        struct land_intent intent = {.tag = c->tag.id,
                                     .session = c->land->session->id,
                                     .position = built->slot.position,
                                     .slot = built->bytes};
        enum hif_err err;

        if (!hooks || !hooks->save_intent)
                return HIF_OK;
        memcpy(intent.landing_id, c->landing_id, LANDING_ID_SIZE);
        err = hooks->save_intent(hooks, &intent);
        if (err != HIF_OK)
                return why_set(c->why, err, "cannot note what is about to be landed: %s",
                               hif_strerror(err));
        return HIF_OK;
}

/* Store everything, then claim the slot. *done: landed. */
static enum hif_err attempt(struct commit *c, bool *done)
{
        struct slot_built built;
        struct hif_hash hash;
        bool won = false;
        enum hif_err err = land_build(c->land, &c->tail, c->tag.id, c->landing_id, &built, c->why);

        if (err != HIF_OK)
                return err;
        err = save_intent(c, &built);
        if (LAND_MUTATION == MUTATE_HEAD_FIRST && err == HIF_OK)
                err = project_advance_head(c->land->project, &built.slot);
        if (err == HIF_OK)
                err = publish_slot(c->land->project, c->land->hooks, built.slot.position,
                                   buf_span(&built.bytes), c->landing_id, false, &c->winner, &won,
                                   c->why);
        if (err == HIF_OK)
                c->out->attempts++;
        *done = err == HIF_OK && won;
        c->lost = err == HIF_OK && !won;
        if (*done) {
                hash = hash_of(HASH_SLOT, buf_span(&built.bytes));
                landed(c, &built.slot, &hash, false);
        }
        if (LAND_MUTATION == MUTATE_LOST_IS_LOST && c->lost) {
                c->land->scan.position = c->winner.slot.position;
                c->land->scan.hash = c->winner.hash;
        }
        slot_built_free(&built);
        return err;
}

static enum hif_err decide_and_try(struct commit *c, bool *done)
{
        enum hif_err err;

        if (c->tag.position == 0)
                c->tag.position = c->tail.slot.position + 1;
        err = decide(c);
        if (err != HIF_OK || !c->check_only)
                return err == HIF_OK ? attempt(c, done) : err;
        c->out->position = c->tail.slot.position;
        c->out->slot_hash = c->tail.hash;
        c->out->tree = c->tail.slot.tree;
        *done = true;
        return HIF_OK;
}

/* One look at the store and, unless that answers it, one slot tried. *done: the answer is in out.
 */
static enum hif_err turn(struct commit *c, bool resolve_only, bool *done)
{
        bool found = false;
        enum hif_err err = find_tail(c);

        if (err != HIF_OK)
                return err;
        err = scan_to(&c->land->scan, &c->tail, &found, c->out, c->why);
        if (err == HIF_OK && found) {
                c->pending = false;
                *done = true;
        } else if (err == HIF_OK && must_replay(c)) {
                err = replay(c, done);
        } else if (err == HIF_OK && !resolve_only) {
                err = decide_and_try(c, done);
        }
        slot_read_free(&c->tail);
        return err;
}

static enum hif_err run(struct commit *c)
{
        struct land_hooks *hooks = c->land->hooks;
        uint32_t most = hooks && hooks->attempts_max ? hooks->attempts_max : ATTEMPTS_DEFAULT;
        enum hif_err err = check_skew(c);
        bool done = false;

        for (uint32_t i = 0; err == HIF_OK && !done && i < most; i++) {
                if (i > 0)
                        land_pause(c->land->env, hooks, c->land->project->store->local, i - 1);
                err = turn(c, false, &done);
        }
        if (err == HIF_OK && !done)
                err = why_set(
                    c->why, HIF_ELIMIT,
                    "others landed first %u times in a row: nothing was landed, try again", most);
        return err;
}

enum hif_err land_resolve(struct land *land, const struct land_intent *intent,
                          struct land_result *out, struct hif_why *why)
{
        struct commit c = {.land = land, .intent = intent, .pending = true, .out = out, .why = why};
        bool done = false;
        enum hif_err err;

        *out = (struct land_result){0};
        err = turn(&c, true, &done);
        slot_read_free(&c.winner);
        if (c.pending)
                return HIF_EUNKNOWN;
        if (err == HIF_OK && !done)
                return why_set(why, HIF_ENOENT,
                               "the landing that was tried at @%" PRIu64 " did not succeed",
                               intent->position);
        return err;
}

enum hif_err land_commit(struct land *land, const struct land_change *changes, size_t count,
                         const struct land_intent *intent, bool check_only, struct land_result *out,
                         struct hif_why *why)
{
        uint64_t now = env_wall_ns(land->env);
        struct commit c = {
            .land = land,
            .changes = changes,
            .count = count,
            .intent = intent,
            .pending = intent != NULL,
            .check_only = check_only,
            .tag.id = env_random_u64(land->env),
            .now = {.sec = (int64_t)(now / 1000000000), .nsec = (uint32_t)(now % 1000000000)},
            .out = out,
            .why = why};
        enum hif_err err;

        *out = (struct land_result){0};
        env_random(land->env, c.landing_id, sizeof(c.landing_id));
        if (c.tag.id == 0)
                c.tag.id = 1; /* 0 means "nobody's" */
        err = run(&c);
        slot_read_free(&c.winner);
        if (err == HIF_ENOMEM)
                (void)why_set(why, err, "out of memory");
        /* What an earlier run sent may still arrive: "nothing was landed" would be a guess. */
        if (err != HIF_OK && c.pending && !check_only)
                return HIF_EUNKNOWN;
        return err;
}
