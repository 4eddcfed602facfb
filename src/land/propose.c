/* Landing through a proposal: say in the store what would be landed; then land it, or see it landed
 * by others. Slots alone decide: a proposal whose session is in a slot has landed, one whose
 * session a slot refuses never will. */
#include "land/propose.h"

#include "core/layout.h"

#include <inttypes.h>
#include <stdlib.h>

#define FAILURES_MAX 8u             /* requests in a row that were not answered */
#define LEADERS_MAX  4u             /* so many before us are waited for, one after the other */
#define BATCH_TRIPS  6u             /* round trips of a batch, about */
#define CHANGE_NS    100000u        /* that a slow machine takes for one of a large landing */
#define WAY_MAX_NS   20000000000ull /* ... and for all of them: who takes longer is not waited for */

struct proposing {
        struct land_line *line;
        struct land *land;
        struct env *env;
        struct land_result *out;
        struct hif_why *why;
        struct offer *own;
        uint64_t trip_ns;  /* what a request takes */
        uint64_t lead_at;  /* monotonic: when it is our turn */
        uint32_t races;    /* that were lost for the position that comes next */
        uint32_t tries;    /* slots, of our own */
        bool asked;        /* lead_at is set for what is listed now */
        uint64_t newest;   /* the slot that was seen when it was */
        uint64_t gave_way; /* to a large one, for the position behind this + 1; 0: never */
};

/* --- saying it --- */

struct listing {
        struct slot_object *items;
        uint32_t count, capacity;
};

static enum hif_err list_object(void *arg, const struct slot_object *object)
{
        struct listing *listing = arg;

        for (uint32_t i = listing->count; i-- > 0 && listing->count - i <= 8;)
                if (listing->items[i].kind == object->kind &&
                    hash_eq(&listing->items[i].hash, &object->hash))
                        return HIF_OK; /* packs come in runs */
        if (listing->count == listing->capacity) {
                uint32_t capacity = listing->capacity ? listing->capacity * 2 : 64;
                struct slot_object *grown = realloc(listing->items, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                listing->items = grown;
                listing->capacity = capacity;
        }
        listing->items[listing->count++] = *object;
        return HIF_OK;
}

static struct proposal_change change_of(const struct land_change *from)
{
        struct proposal_change change = {.remove = from->kind == LAND_REMOVE, .path = from->path};
        struct entry *entry = &change.entry;

        if (change.remove)
                return change;
        change.path_from = from->path_from;
        *entry = (struct entry){.kind = from->entry_kind, .mtime = from->mtime};
        if (from->entry_kind == ENTRY_SYMLINK) {
                entry->target = from->target;
                entry->size = from->target.size;
                entry->hash = hash_of(HASH_BLOB, from->target);
        } else if (from->entry_kind != ENTRY_DIR) {
                entry->size = from->size;
                entry->hash = from->hash;
                entry->loc = from->loc;
        }
        return change;
}

static enum hif_err fill_changes(struct land *land, const struct land_change *changes, size_t count,
                                 struct arena *arena, struct proposal *proposal,
                                 struct listing *objects, struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        proposal->change_count = (uint32_t)count;
        proposal->changes = arena_alloc(arena, (count + 1) * sizeof(*proposal->changes));
        if (!proposal->changes)
                return HIF_ENOMEM;
        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                struct proposal_change *change = &proposal->changes[i];

                *change = change_of(&changes[i]);
                if (!change->remove && !entry_valid(&change->entry))
                        err = why_set(why, HIF_EINVAL, "%.*s: no entry of a tree",
                                      (int)change->path.size, (const char *)change->path.data);
                else if (!change->remove && entry_is_file(&change->entry))
                        err = content_objects(land->project, &land->known, &change->entry,
                                              list_object, objects, why);
        }
        proposal->objects = objects->items;
        proposal->object_count = objects->count;
        return err;
}

static enum hif_err put_list(struct land *land, struct puts *puts, struct buf *body,
                             struct hif_hash *hash, struct hif_why *why)
{
        struct layout_key key;

        if (buf_failed(body)) {
                buf_free(body);
                return HIF_ENOMEM;
        }
        *hash = hash_of(HASH_LIST, buf_span(body));
        key = layout_list(&land->project->layout, hash);
        return puts_add(puts, &key, hash, body, NULL, why);
}

/* What does not fit goes out into objects of its own: the changes, then the objects. */
static enum hif_err encode(struct land *land, struct puts *puts, struct proposal *proposal,
                           struct buf *out, struct hif_why *why)
{
        enum hif_err err;

        while ((err = proposal_put(out, proposal)) == HIF_ELIMIT) {
                struct buf body = {0};

                if (proposal->changes) {
                        proposal_changes_put(&body, proposal->changes, proposal->change_count);
                        proposal->changes = NULL;
                        err = put_list(land, puts, &body, &proposal->changes_list, why);
                } else if (proposal->objects) {
                        slot_objects_put(&body, proposal->objects, proposal->object_count);
                        proposal->objects = NULL;
                        err = put_list(land, puts, &body, &proposal->objects_list, why);
                } else {
                        return why_set(why, err, "the proposal's record is too large");
                }
                if (err != HIF_OK)
                        return err;
        }
        if (err != HIF_OK)
                return why_set(why, err, "the proposal cannot be encoded: %s", hif_strerror(err));
        return HIF_OK;
}

static void describe(struct proposing *p, struct proposal *proposal)
{
        const struct session *session = p->land->session;

        *proposal = (struct proposal){
            .tag = {.id = env_random_u64(p->env), .position = session->base_position + 1},
            .session = session->id,
            .origin = session->origin,
            .base_position = session->base_position,
            .base_slot = session->base_slot,
            .hlc = session->updated,
            .wall_ns = env_wall_ns(p->env),
            .author = session->author,
            .goal = session->goal};
        if (proposal->tag.id == 0)
                proposal->tag.id = 1; /* 0 means "nobody's" */
        env_random(p->env, proposal->landing_id, LANDING_ID_SIZE);
}

static enum hif_err save_intent(struct proposing *p, const struct proposal *proposal,
                                const struct buf *bytes)
{
        struct land_hooks *hooks = p->land->hooks;
        struct land_intent intent = {
            .tag = proposal->tag.id, .session = proposal->session, .position = 0, .slot = *bytes};
        enum hif_err err;

        if (!hooks || !hooks->save_intent)
                return HIF_OK;
        memcpy(intent.landing_id, proposal->landing_id, LANDING_ID_SIZE);
        err = hooks->save_intent(hooks, &intent);
        if (err != HIF_OK)
                return why_set(p->why, err, "cannot note what is about to be landed: %s",
                               hif_strerror(err));
        return HIF_OK;
}

/* Everything that the proposal names is stored, and the intent is. */
static enum hif_err prepare(struct proposing *p, const struct land_change *changes, size_t count,
                            struct puts *puts, struct buf *bytes)
{
        AUTO_ARENA struct arena arena = {0};
        struct listing objects = {0};
        struct proposal proposal;
        enum hif_err err;

        describe(p, &proposal);
        err = fill_changes(p->land, changes, count, &arena, &proposal, &objects, p->why);
        if (err == HIF_OK)
                err = record_put(p->land, changes, count, puts, &proposal.session_object, p->why);
        if (err == HIF_OK)
                err = encode(p->land, puts, &proposal, bytes, p->why);
        if (err == HIF_OK)
                err = puts_flush(puts, p->why);
        if (err == HIF_OK)
                err = land_settle(p->land, p->why);
        /* Whoever reads the intent may send the proposal: what it names is there before. */
        if (err == HIF_OK)
                err = save_intent(p, &proposal, bytes);
        free(objects.items);
        return err;
}

static enum hif_err make_own(struct proposing *p, const struct land_change *changes, size_t count)
{
        struct puts *puts = calloc(1, sizeof(*puts));
        struct buf bytes = {0};
        enum hif_err err = land_share(p->land);

        if (!puts || err != HIF_OK) {
                free(puts);
                return err != HIF_OK ? err : HIF_ENOMEM;
        }
        puts->project = p->land->project;
        puts->hooks = p->land->hooks;
        puts->known = &p->land->known;
        err = prepare(p, changes, count, puts, &bytes);
        puts_free(puts);
        free(puts);
        if (err != HIF_OK) {
                buf_free(&bytes);
                return err;
        }
        return offer_open(p->land->project, &bytes, p->land, &p->own, p->why);
}

/* Into the store, for others to see. Whether it is there matters to no one's safety: we land it
 * ourselves if nobody else does. HIF_OK also when that is not known. */
static enum hif_err put_own(struct proposing *p)
{
        const struct project *project = p->line->project;
        struct layout_key key = layout_proposal(&project->layout, p->own->proposal.landing_id);
        struct store_req req = {
            .op = STORE_PUT_NEW, .key = key.text, .body = buf_span(&p->own->stored)};
        uint64_t start = env_mono_ns(p->env);

        store_run(project->store, &req, 1);
        store_req_free(&req);
        p->trip_ns = env_mono_ns(p->env) - start;
        switch (req.result) {
        case HIF_OK:
        case HIF_ELOST: /* an earlier try of ours */
        case HIF_EUNKNOWN:
        case HIF_EUNREACHABLE:
                return HIF_OK;
        default:
                return object_why(project, req.result, "write", key.text, p->why);
        }
}

/* --- seeing it through --- */

static struct land_member member_of(struct offer *offer, const struct proposing *p)
{
        bool own = offer == p->own;

        return (struct land_member){.land = offer->land,
                                    .changes = offer->changes,
                                    .count = offer->proposal.change_count,
                                    .proposal = &offer->proposal,
                                    .others = !own,
                                    .out = own ? p->out : &offer->result,
                                    .why = own ? p->why : &offer->why};
}

/* HIF_EAGAIN: no slot has decided it yet. */
static enum hif_err look(struct proposing *p)
{
        struct land_member member = member_of(p->own, p);
        struct land_batch batch = {.line = p->line, .members = &member, .count = 1};
        uint64_t start = env_mono_ns(p->env);

        commit_batch(&batch, COMMIT_LOOK);
        p->trip_ns = (p->trip_ns * 3 + (env_mono_ns(p->env) - start)) / 4;
        return member.err == HIF_ENOENT ? HIF_EAGAIN : member.err;
}

static void leave_out(struct proposing *p, const struct offer *offer, enum hif_err err)
{
        struct layout_key key =
            layout_proposal(&p->line->project->layout, offer->proposal.landing_id);

        offers_leave_out(p->line, key.text, err);
}

/* To who needs long for a slot, and would lose it each time: once for each position. */
static bool gives_way(struct proposing *p, uint32_t changes)
{
        uint64_t way_ns = BATCH_TRIPS * p->trip_ns + (uint64_t)changes * CHANGE_NS;

        if (changes == 0 || p->gave_way == p->line->newest + 1)
                return false;
        p->gave_way = p->line->newest + 1;
        p->asked = true;
        p->newest = p->line->newest;
        p->lead_at = env_mono_ns(p->env) + (way_ns < WAY_MAX_NS ? way_ns : WAY_MAX_NS);
        return true;
}

/* Land all that is proposed, our own among it. HIF_EAGAIN: somebody else had the slot. */
static enum hif_err lead(struct proposing *p, struct offers *offers)
{
        AUTO_FREE struct land_member *members = NULL;
        struct land_batch batch = {.line = p->line, .head_later = true, .races_lost = p->races};
        enum hif_err err = offers_read(p->line, offers, p->own);

        if (err == HIF_OK && gives_way(p, offers->large))
                return HIF_EAGAIN;
        members = calloc(offers->count + 1, sizeof(*members));
        if (err != HIF_OK || !members)
                return err != HIF_OK ? err : HIF_ENOMEM;
        batch.members = members;
        for (size_t i = 0; i < offers->count; i++)
                members[batch.count++] = member_of(offers->items[i], p);
        commit_batch(&batch, COMMIT_ONCE);
        err = HIF_EAGAIN;
        for (size_t i = 0; i < batch.count; i++) {
                offers->items[i]->decided = members[i].err == HIF_OK || members[i].out->refused;
                if (members[i].others &&
                    (members[i].err == HIF_ECORRUPT || members[i].err == HIF_EINVAL))
                        leave_out(p, offers->items[i], members[i].err);
                if (!members[i].others) {
                        err = members[i].err;
                        p->tries += p->out->attempts;
                }
        }
        p->races += err == HIF_ELOST;
        offers_settle(p->line, offers);
        return err == HIF_ELOST ? HIF_EAGAIN : err;
}

/* Whose proposal comes first leads; the others wait for that slot, and each a while longer for
 * those before it, who may be gone. */
static enum hif_err take_turn(struct proposing *p)
{
        uint64_t now = env_mono_ns(p->env), before;
        struct offers *offers = NULL;
        enum hif_err err;

        if (p->asked && p->line->newest == p->newest && now < p->lead_at)
                return HIF_EAGAIN;
        offers = calloc(1, sizeof(*offers));
        if (!offers)
                return HIF_ENOMEM;
        err = offers_list(p->line, offers, p->why);
        before = p->own->proposal.change_count > OFFERS_CHANGES_MAX
                     ? 0
                     : offers_before(offers, p->own->proposal.landing_id);
        if (err == HIF_OK && (!p->asked || p->line->newest != p->newest) && before > 0) {
                p->asked = true;
                p->newest = p->line->newest;
                p->lead_at =
                    now + (before < LEADERS_MAX ? before : LEADERS_MAX) * BATCH_TRIPS * p->trip_ns;
                err = HIF_EAGAIN;
        } else if (err == HIF_OK) {
                p->asked = false;
                err = lead(p, offers); /* or give way, and ask again later */
        }
        offers_free(offers, p->own);
        return err;
}

static void wait_a_trip(struct proposing *p)
{
        uint64_t trip = p->trip_ns < 1000000 ? 1000000 : p->trip_ns;

        land_sleep(p->land->hooks, trip / 4 + env_random_u64(p->env) % (trip / 2));
}

static bool passes(enum hif_err err)
{
        return err == HIF_EUNREACHABLE || err == HIF_EUNKNOWN || err == HIF_EAGAIN;
}

/* Until a slot has decided it. What else may go wrong does not settle anything: it may be landed by
 * others at any time. */
static enum hif_err see_through(struct proposing *p)
{
        uint64_t start = env_mono_ns(p->env);
        uint64_t newest = p->line->newest;
        uint32_t failures = 0;
        enum hif_err err = HIF_EAGAIN;

        while (passes(err) && failures < FAILURES_MAX &&
               env_mono_ns(p->env) - start < PROPOSAL_PATIENCE_NS) {
                err = look(p);
                if (err == HIF_EAGAIN)
                        err = take_turn(p);
                failures = p->line->newest != newest ? 0 : failures + (err != HIF_EAGAIN);
                newest = p->line->newest;
                if (err == HIF_EAGAIN)
                        wait_a_trip(p);
                else if (passes(err))
                        land_pause(p->env, p->land->hooks, p->line->project->store->local,
                                   failures);
        }
        if (err == HIF_OK || p->out->refused)
                return err;
        if (passes(err) || p->why->text[0] == '\0')
                (void)why_set(p->why, HIF_EUNKNOWN,
                              "the session is proposed in %s, and no landing has decided it yet: "
                              "the outcome is unknown, run hif land again",
                              store_url(p->line->project->store));
        return HIF_EUNKNOWN;
}

static enum hif_err run(struct proposing *p)
{
        enum hif_err err = put_own(p);

        if (err == HIF_OK)
                err = see_through(p);
        p->out->attempts = p->tries;
        /* Or did the session land in another way, before or elsewhere? */
        if (err == HIF_OK)
                p->out->already_landed =
                    memcmp(p->out->landing_id, p->own->proposal.landing_id, LANDING_ID_SIZE) != 0;
        offer_free(p->own);
        return err;
}

enum hif_err propose_after(struct land *land, struct land_line *line, uint32_t races_lost,
                           const struct land_change *changes, size_t count, struct land_result *out,
                           struct hif_why *why)
{
        struct hif_why local = {.text = ""};
        struct proposing p = {.line = line,
                              .land = land,
                              .env = land->env,
                              .out = out,
                              .why = why ? why : &local,
                              .races = races_lost,
                              .tries = races_lost};
        enum hif_err err;

        if (count == 0) /* nothing that anyone could land */
                return land_commit(land, changes, 0, NULL, false, out, why);
        *out = (struct land_result){0};
        err = check_skew(land, p.why);
        if (err == HIF_OK)
                err = make_own(&p, changes, count);
        if (err == HIF_ENOMEM)
                (void)why_set(p.why, err, "out of memory");
        return err == HIF_OK ? run(&p) : err;
}

enum hif_err land_propose(struct land *land, struct land_line *line,
                          const struct land_change *changes, size_t count, struct land_result *out,
                          struct hif_why *why)
{
        return propose_after(land, line ? line : land->line, 0, changes, count, out, why);
}

/* An earlier run's: its bytes are all that it takes. */
enum hif_err propose_again(struct land *land, const struct land_intent *intent,
                           struct land_result *out, struct hif_why *why)
{
        struct hif_why local = {.text = ""};
        struct proposing p = {.line = land->line,
                              .land = land,
                              .env = land->env,
                              .out = out,
                              .why = why ? why : &local};
        struct buf bytes = {0};
        enum hif_err err;

        *out = (struct land_result){0};
        buf_put_span(&bytes, buf_span(&intent->slot));
        if (buf_failed(&bytes))
                return HIF_EUNKNOWN;
        err = offer_open(land->project, &bytes, land, &p.own, p.why);
        if (err == HIF_OK && !session_id_eq(&p.own->proposal.session, &land->session->id)) {
                offer_free(p.own);
                err = why_set(p.why, HIF_EINVAL, "the proposal is another session's");
        }
        if (err != HIF_OK)
                return HIF_EUNKNOWN;
        err = run(&p);
        if (err != HIF_OK && !out->refused)
                return HIF_EUNKNOWN;
        if (err != HIF_OK)
                return why_set(p.why, HIF_ENOENT, "the proposal was refused at @%" PRIu64,
                               out->position);
        out->already_landed = err == HIF_OK;
        return err;
}
