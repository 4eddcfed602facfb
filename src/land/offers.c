/* Proposals in the store: read, judged, and made into members of a batch. Whoever may write a
 * proposal may write a slot as well, so what one says is believed as far as a slot is: its author
 * has stored what it names before it. What cannot be read or is of no use harms no one: it is left
 * out, and the log says so. */
#include "base/log.h"
#include "core/layout.h"
#include "land/propose.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- one of them --- */

static struct land_change change_of(const struct proposal_change *from)
{
        return (struct land_change){.kind = from->remove ? LAND_REMOVE : LAND_PUT,
                                    .path = from->path,
                                    .entry_kind = from->entry.kind,
                                    .mtime = from->entry.mtime,
                                    .target = from->entry.target,
                                    .size = from->entry.size,
                                    .have_hash = true,
                                    .hash = from->entry.hash,
                                    .loc = from->entry.loc,
                                    .path_from = from->path_from};
}

static enum hif_err take_lists(const struct project *project, struct offer *offer,
                               struct hif_why *why)
{
        struct proposal *proposal = &offer->proposal;
        enum hif_err err = HIF_OK;
        struct span bytes;
        uint32_t count = 0;

        if (!proposal->changes) {
                err = list_get(project, &proposal->changes_list, &offer->arena, &bytes, why);
                if (err == HIF_OK)
                        err =
                            proposal_changes_get(bytes, &offer->arena, &proposal->changes, &count);
                if (err == HIF_OK && count != proposal->change_count)
                        err = HIF_ECORRUPT;
        }
        if (err == HIF_OK && !proposal->objects && proposal->object_count > 0) {
                err = list_get(project, &proposal->objects_list, &offer->arena, &bytes, why);
                if (err == HIF_OK)
                        err = slot_objects_get(bytes, &offer->arena, &proposal->objects, &count);
                if (err == HIF_OK && count != proposal->object_count)
                        err = HIF_ECORRUPT;
        }
        return err;
}

static enum hif_err take_changes(struct offer *offer)
{
        const struct proposal *proposal = &offer->proposal;

        offer->changes =
            arena_alloc(&offer->arena, proposal->change_count * sizeof(*offer->changes));
        if (!offer->changes)
                return HIF_ENOMEM;
        for (uint32_t i = 0; i < proposal->change_count; i++)
                offer->changes[i] = change_of(&proposal->changes[i]);
        return HIF_OK;
}

static void take_session(struct offer *offer)
{
        const struct proposal *proposal = &offer->proposal;

        offer->session = (struct session){.id = proposal->session,
                                          .state = SESSION_OPEN,
                                          .origin = proposal->origin,
                                          .base_position = proposal->base_position,
                                          .base_slot = proposal->base_slot,
                                          .author = proposal->author,
                                          .updated = proposal->hlc,
                                          .goal = proposal->goal};
}

/* What the record itself says; its lists are still to be read. */
static enum hif_err offer_parse(struct buf *stored, struct offer **out)
{
        struct offer *offer = calloc(1, sizeof(*offer));
        enum hif_err err;

        if (!offer) {
                buf_free(stored);
                return HIF_ENOMEM;
        }
        offer->stored = *stored;
        *stored = (struct buf){0};
        err = proposal_get(buf_span(&offer->stored), &offer->arena, &offer->proposal);
        if (err == HIF_OK)
                *out = offer;
        else
                offer_free(offer);
        return err;
}

static enum hif_err offer_load(const struct project *project, struct offer *offer, struct land *own,
                               struct hif_why *why)
{
        enum hif_err err = take_lists(project, offer, why);

        if (err == HIF_OK)
                err = take_changes(offer);
        if (err != HIF_OK)
                return err;
        take_session(offer);
        offer->land = own;
        if (!own)
                err = land_of_others(project, &offer->session, &offer->others);
        if (!own)
                offer->land = offer->others;
        return err;
}

enum hif_err offer_open(const struct project *project, struct buf *stored, struct land *own,
                        struct offer **out, struct hif_why *why)
{
        struct offer *offer;
        enum hif_err err = offer_parse(stored, &offer);

        if (err != HIF_OK)
                return err;
        err = offer_load(project, offer, own, why);
        if (err == HIF_OK)
                *out = offer;
        else
                offer_free(offer);
        return err;
}

void offer_free(struct offer *offer)
{
        if (!offer)
                return;
        land_free(offer->others);
        buf_free(&offer->stored);
        arena_free(&offer->arena);
        free(offer);
}

/* --- what is listed --- */

/* "…/proposals/{32 digits}". */
static bool id_of_key(const char *key, uint8_t id[LANDING_ID_SIZE])
{
        const char *name = strrchr(key, '/');
        struct session_id parsed;

        if (!name || !session_id_from_hex(span_str(name + 1), &parsed))
                return false;
        memcpy(id, parsed.bytes, LANDING_ID_SIZE);
        return true;
}

/* Do the slots that are kept decide it? */
static bool decided(const struct land_line *line, const uint8_t id[LANDING_ID_SIZE])
{
        for (size_t i = 0; i < RECENT_SLOTS; i++) {
                const struct slot *slot = &line->recent[i].slot;

                if (line->recent[i].stored.size == 0)
                        continue;
                for (uint32_t m = 0; m < slot->member_count; m++)
                        if (memcmp(slot->members[m].landing_id, id, LANDING_ID_SIZE) == 0)
                                return true;
                for (uint32_t r = 0; r < slot->refused_count; r++)
                        if (memcmp(slot->refused[r].landing_id, id, LANDING_ID_SIZE) == 0)
                                return true;
        }
        return false;
}

static bool useless(const struct land_line *line, const uint8_t id[LANDING_ID_SIZE])
{
        for (size_t i = 0; i < line->useless_count && i < USELESS_MAX; i++)
                if (memcmp(line->useless[i], id, LANDING_ID_SIZE) == 0)
                        return true;
        return false;
}

void offers_leave_out(struct land_line *line, const char *key, enum hif_err err)
{
        uint8_t id[LANDING_ID_SIZE];

        log_line(line->project->env->log, LOG_WARN, "land",
                 "%s in %s is left out: it cannot be landed: %s", key,
                 store_url(line->project->store), hif_strerror(err));
        if (id_of_key(key, id))
                memcpy(line->useless[line->useless_count++ % USELESS_MAX], id, LANDING_ID_SIZE);
}

static void keep_id(const struct land_line *line, const char *key, struct offers *offers)
{
        uint8_t id[LANDING_ID_SIZE];

        if (offers->id_count == OFFERS_MAX || offers->done_count == OFFERS_MAX ||
            !id_of_key(key, id) || useless(line, id))
                return;
        if (decided(line, id))
                memcpy(offers->done_ids[offers->done_count++], id, LANDING_ID_SIZE);
        else
                memcpy(offers->ids[offers->id_count++], id, LANDING_ID_SIZE);
}

/* One part of them when there are more than one batch holds: each time from another point on, so
 * that none is left for ever. */
enum hif_err offers_list(struct land_line *line, struct offers *offers, struct hif_why *why)
{
        const struct project *project = line->project;
        struct layout_key prefix = layout_proposals(&project->layout);
        uint8_t start[LANDING_ID_SIZE];
        struct layout_key after;
        struct store_req req = {.op = STORE_LIST, .prefix = prefix.text, .list_max = OFFERS_MAX};
        enum hif_err err;

        offers->id_count = offers->done_count = 0;
        store_run(project->store, &req, 1);
        if (req.result == HIF_OK && req.list.more) {
                store_req_free(&req);
                env_random(project->env, start, sizeof(start));
                after = layout_proposal(&project->layout, start);
                req = (struct store_req){.op = STORE_LIST,
                                         .prefix = prefix.text,
                                         .key = after.text,
                                         .list_max = OFFERS_MAX};
                store_run(project->store, &req, 1);
        }
        err = req.result;
        if (err != HIF_OK)
                (void)object_why(project, err, "list", prefix.text, why);
        for (size_t i = 0; err == HIF_OK && i < req.list.count; i++)
                keep_id(line, req.list.items[i].key, offers);
        store_req_free(&req);
        return err;
}

size_t offers_before(const struct offers *offers, const uint8_t id[LANDING_ID_SIZE])
{
        size_t count = 0;

        for (size_t i = 0; i < offers->id_count; i++)
                count += memcmp(offers->ids[i], id, LANDING_ID_SIZE) < 0;
        return count;
}

/* --- what they say --- */

/* It may be landed by others: they can tell that it did not land before, at a bounded cost. */
static bool of_use(const struct land_line *line, const struct proposal *proposal)
{
        return proposal->base_position <= line->newest &&
               proposal->tag.position <= line->newest + 1 && proposal->origin <= line->newest &&
               line->newest - proposal->origin <= PROPOSAL_AGE_MAX;
}

static bool same_session(const struct offers *offers, const struct session_id *session)
{
        for (size_t i = 0; i < offers->count; i++)
                if (session_id_eq(&offers->items[i]->proposal.session, session))
                        return true;
        return false;
}

/* Too large for a batch of others: its owner lands it, while it has patience. Two such go in the
 * order of their ids. */
static bool goes_ahead(const struct land_line *line, const struct proposal *proposal,
                       const struct proposal *own)
{
        uint64_t now = env_wall_ns(line->project->env);
        bool fresh = proposal->wall_ns < now + PROPOSAL_PATIENCE_NS &&
                     now < proposal->wall_ns + PROPOSAL_PATIENCE_NS;

        return fresh && proposal->change_count > OFFERS_CHANGES_MAX &&
               (own->change_count <= OFFERS_CHANGES_MAX ||
                memcmp(proposal->landing_id, own->landing_id, LANDING_ID_SIZE) < 0);
}

/* HIF_ELIMIT: not in this batch. */
static enum hif_err judge_offer(struct land_line *line, struct offers *offers,
                                const struct proposal *own, const char *key,
                                const struct proposal *proposal)
{
        uint8_t id[LANDING_ID_SIZE];

        if (!id_of_key(key, id) || memcmp(id, proposal->landing_id, LANDING_ID_SIZE) != 0)
                return HIF_ECORRUPT;
        if (!of_use(line, proposal) || same_session(offers, &proposal->session))
                return HIF_ELIMIT;
        if (goes_ahead(line, proposal, own) && proposal->change_count > offers->large)
                offers->large = proposal->change_count;
        return offers->changes + proposal->change_count > OFFERS_CHANGES_MAX ? HIF_ELIMIT : HIF_OK;
}

static void take_read(struct land_line *line, struct offers *offers, const struct proposal *own,
                      struct store_req *req)
{
        struct offer *offer = NULL;
        enum hif_err err = req->result;

        if (err == HIF_ENOENT)
                return; /* decided, and taken away */
        if (err == HIF_OK)
                err = offer_parse(&req->data, &offer);
        if (err == HIF_OK)
                err = judge_offer(line, offers, own, req->key, &offer->proposal);
        if (err == HIF_OK)
                err = offer_load(line->project, offer, NULL, NULL);
        if (err == HIF_ECORRUPT || err == HIF_EUNSUPPORTED)
                offers_leave_out(line, req->key, err);
        if (err != HIF_OK) {
                offer_free(offer);
                return;
        }
        offers->changes += offer->proposal.change_count;
        offers->items[offers->count++] = offer;
}

static int by_landing_id(const void *a, const void *b)
{
        return memcmp((*(struct offer *const *)a)->proposal.landing_id,
                      (*(struct offer *const *)b)->proposal.landing_id, LANDING_ID_SIZE);
}

enum hif_err offers_read(struct land_line *line, struct offers *offers, struct offer *own)
{
        const struct project *project = line->project;
        AUTO_FREE struct store_req *reqs = calloc(offers->id_count + 1, sizeof(*reqs));
        AUTO_FREE struct layout_key *keys = calloc(offers->id_count + 1, sizeof(*keys));
        size_t n = 0;

        if (!reqs || !keys)
                return HIF_ENOMEM;
        offers->items[0] = own;
        offers->count = 1;
        offers->changes = own->proposal.change_count < OFFERS_CHANGES_MAX
                              ? own->proposal.change_count
                              : OFFERS_CHANGES_MAX;
        for (size_t i = 0; i < offers->id_count && n + 1 < LAND_BATCH_MAX; i++) {
                if (memcmp(offers->ids[i], own->proposal.landing_id, LANDING_ID_SIZE) == 0)
                        continue;
                keys[n] = layout_proposal(&project->layout, offers->ids[i]);
                reqs[n] = (struct store_req){
                    .op = STORE_GET, .key = keys[n].text, .size_max = PROPOSAL_SIZE_MAX};
                n++;
        }
        if (n > 0)
                store_run(project->store, reqs, n);
        for (size_t i = 0; i < n; i++) {
                take_read(line, offers, &own->proposal, &reqs[i]);
                store_req_free(&reqs[i]);
        }
        qsort(offers->items, offers->count, sizeof(struct offer *), by_landing_id);
        return HIF_OK;
}

void offers_free(struct offers *offers, const struct offer *own)
{
        for (size_t i = 0; i < offers->count; i++)
                if (offers->items[i] != own)
                        offer_free(offers->items[i]);
        free(offers);
}

/* What slots have decided is in nobody's way any more. A proposal that stays costs those who come a
 * read, and nothing else. */
void offers_settle(struct land_line *line, const struct offers *offers)
{
        const struct project *project = line->project;
        struct store_batch batch;
        struct slot tail;
        size_t most = offers->count + offers->done_count, n = 0;
        AUTO_FREE struct store_req *reqs = calloc(most + 1, sizeof(*reqs));
        AUTO_FREE struct layout_key *keys = calloc(most + 1, sizeof(*keys));

        for (size_t i = 0; reqs && keys && i < offers->done_count; i++)
                keys[n++] = layout_proposal(&project->layout, offers->done_ids[i]);
        for (size_t i = 0; reqs && keys && i < offers->count; i++)
                if (offers->items[i]->decided)
                        keys[n++] = layout_proposal(&project->layout,
                                                    offers->items[i]->proposal.landing_id);
        for (size_t i = 0; i < n; i++)
                reqs[i] = (struct store_req){.op = STORE_DELETE, .key = keys[i].text};
        if (n > 0)
                store_batch_start(project->store, &batch, reqs, n);
        if (land_line_tail(line, &tail) && project_advance_head(project, &tail) != HIF_OK)
                log_line(project->env->log, LOG_INFO, "land", "head in %s stays behind",
                         store_url(project->store));
        if (n > 0)
                store_batch_wait(project->store, &batch, reqs, n);
        for (size_t i = 0; i < n; i++)
                store_req_free(&reqs[i]);
}
