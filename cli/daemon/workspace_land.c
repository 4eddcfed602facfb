/* workspace_land.c - `hif land`: freeze, hash and upload, land, move on to the new base. */
#include "cli/daemon/workspace_land.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/conflicts.h"
#include "cli/daemon/call.h"
#include "cli/daemon/kernel.h"
#include "cli/daemon/landings.h"
#include "cli/daemon/refresh.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/daemon/workspace_publish_when.h"
#include "cli/daemon/workspace_records.h"
#include "cli/daemon/workspace_work.h"
#include "cli/store.h"
#include "land/derived/derived.h"

#include <stdio.h>
#include <stdlib.h>

/* One landing. */
struct landing {
        struct workspace *workspace;
        struct land_hooks hooks; /* first use: back to this by container */
        struct work work;
        struct land_intent intent; /* of an earlier run */
        uint64_t intent_seq;
        bool have_intent;
        uint64_t last; /* where this workspace landed last; 0: nowhere */
        struct land *land;
        struct land_result result;
        void (*progress)(void *arg, const struct land_progress *progress);
        void *arg;
        enum hif_err err;
};

/* More than this are not worth asking for ahead. */
#define HINTED_NODES_MAX 256

#define FROM_HOOKS(ptr) ((struct landing *)((char *)(ptr)-offsetof(struct landing, hooks)))

/* --- the intent --- */

static enum hif_err save_intent(struct land_hooks *hooks, const struct land_intent *intent)
{
        struct landing *landing = FROM_HOOKS(hooks);
        CLEANUP(buf_free) struct buf value = {0};
        struct vfs_value stored;

        buf_put(&value, intent->landing_id, LANDING_ID_SIZE);
        buf_put_u64(&value, intent->tag);
        buf_put(&value, intent->session.bytes, SESSION_ID_SIZE);
        buf_put_u64(&value, intent->position);
        buf_put_u64(&value, landing->work.snapshot.seq);
        buf_put(&value, intent->slot.data, intent->slot.size);
        if (buf_failed(&value))
                return HIF_ENOMEM;
        stored = (struct vfs_value){VALUE_INTENT, buf_span(&value)};
        return workspace_set(landing->workspace, &stored, 1);
}

static enum hif_err get_intent(struct landing *landing)
{
        struct span value = overlay_value(landing->workspace->overlay, VALUE_INTENT);
        struct reader rd = rd_open(value);
        struct land_intent *intent = &landing->intent;

        if (value.size == 0)
                return HIF_OK;
        rd_copy(&rd, intent->landing_id, LANDING_ID_SIZE);
        intent->tag = rd_u64(&rd);
        rd_copy(&rd, intent->session.bytes, SESSION_ID_SIZE);
        intent->position = rd_u64(&rd);
        landing->intent_seq = rd_u64(&rd);
        buf_put_span(&intent->slot, rd_span(&rd, rd_left(&rd)));
        if (rd_bad(&rd))
                return HIF_ECORRUPT;
        if (buf_failed(&intent->slot))
                return HIF_ENOMEM;
        landing->have_intent = true;
        return HIF_OK;
}

/* Values are the loop's to read. */
static void load_intent(void *arg)
{
        struct landing *landing = arg;
        struct span last = overlay_value(landing->workspace->overlay, VALUE_LAST);

        if (last.size == 8)
                landing->last = be64_get(last.data);
        landing->err = get_intent(landing);
}

/* --- the move to the new base --- */

struct moving {
        struct landing *landing;
        struct vfs_move *move;
        struct session_id session;
        bool published; /* the store has a record of the one that has landed */
        enum hif_err err;
};

static void apply_move(void *arg)
{
        struct moving *moving = arg;
        struct landing *landing = moving->landing;
        uint8_t origin[8], created[8], last[8];
        uint64_t now_ms = env_wall_ns(&landing->workspace->daemon->cli->env) / 1000000;
        struct vfs_value values[] = {
            {VALUE_SESSION_ID, span_of(moving->session.bytes, SESSION_ID_SIZE)},
            {VALUE_ORIGIN, span_of(origin, sizeof(origin))},
            {VALUE_CREATED, span_of(created, sizeof(created))},
            {VALUE_LAST, span_of(last, sizeof(last))},
            {VALUE_INTENT, {0}},
            {VALUE_GOAL, {0}},
            {VALUE_HOLDER, {0}},
            {VALUE_PUBLISHED, {0}},
        };

        moving->published = overlay_value(landing->workspace->overlay, VALUE_HOLDER).size > 0;
        be64_put(origin, landing->result.position);
        be64_put(last, landing->result.position);
        be64_put(created, hlc_next(0, now_ms));
        moving->err = vfs_move_apply(landing->workspace->vfs, moving->move, values,
                                     sizeof(values) / sizeof(values[0]));
}

/* The way to the new tree is along nodes that the slot lists: ask for them together, or they come
 * one after the other, a round trip each. Where this fails, they do. */
static void hint_new_nodes(const struct landing *landing, struct fetch_hints *hints)
{
        struct fetch_want wants[HINTED_NODES_MAX];
        struct slot_read read;
        size_t count = 0;

        if (project_slot(&landing->workspace->project, landing->result.position, true, &read,
                         NULL) != HIF_OK)
                return;
        for (uint32_t i = 0; i < read.slot.object_count && count < HINTED_NODES_MAX; i++)
                if (read.slot.objects[i].kind == SLOT_NODE)
                        wants[count++] = (struct fetch_want){.kind = FETCH_NODE,
                                                             .hash = read.slot.objects[i].hash};
        fetch_hint(hints, wants, count);
        slot_read_free(&read);
}

static enum hif_err plan_move(struct landing *landing, const struct vfs_base *to,
                              struct vfs_move **out, struct hif_why *why)
{
        struct workspace *workspace = landing->workspace;
        struct fetch_hints *hints = NULL;
        enum hif_err err = HIF_OK;

        if (!workspace->store->local)
                err = fetch_hints_new(workspace->origin, &hints);
        if (err == HIF_OK && hints)
                hint_new_nodes(landing, hints);
        if (err == HIF_OK)
                err = vfs_move_plan(&landing->work.snapshot, landing->work.expanded,
                                    landing->work.expanded_count, &landing->work.nodes.source, to,
                                    out, why);
        fetch_hints_free(hints);
        return err;
}

/* Is the slot that has the session the one which was sent from here? Another machine may have gone
 * on with the session, and landed it. */
static bool is_our_slot(const struct landing *landing)
{
        struct hif_hash sent;

        if (!landing->have_intent)
                return false;
        sent = hash_of(HASH_SLOT, buf_span(&landing->intent.slot));
        return hash_eq(&sent, &landing->result.slot_hash);
}

/* What the kernel will have to be told, whichever server does it. */
static void note_news(const struct workspace *workspace, const struct vfs_move *move,
                      struct buf *out)
{
        enum hif_err err;

        refresh_encode(move, out);
        err = buf_failed(out) ? HIF_ENOMEM : refresh_store(workspace, buf_span(out));
        if (err != HIF_OK)
                log_line(workspace->daemon->cli->env.log, LOG_WARN, "mount",
                         "what changes in '%s' could not be noted: %s; if the daemon dies now, "
                         "the kernel may show what was",
                         workspace->mount_point, hif_strerror(err));
}

/* It is for `hif session list` alone: what has landed has landed. */
static void summarize(struct workspace *workspace)
{
        enum hif_err err = workspace_summary(workspace, "open");

        if (err != HIF_OK)
                log_line(workspace->daemon->cli->env.log, LOG_WARN, "land",
                         "the summary in '%s' could not be stored: %s; until something changes "
                         "`hif session list` shows the session that has landed",
                         workspace->dir, hif_strerror(err));
}

/* The landing is made; what is left is our own bookkeeping, which a later run can do as well. */
static enum hif_err move_on(struct landing *landing, struct hif_why *why)
{
        struct workspace *workspace = landing->workspace;
        struct vfs_base to = {.position = landing->result.position,
                              .slot = landing->result.slot_hash,
                              .tree = landing->result.tree};
        struct moving moving = {.landing = landing};
        AUTO_BUF struct buf news = {0};
        enum hif_err err = HIF_OK;

        if (landing->result.already_landed && is_our_slot(landing))
                landing->work.snapshot.seq = landing->intent_seq;
        else if (landing->result.already_landed)
                err = work_keep_unlanded(&landing->work, &landing->result.tree);
        if (err != HIF_OK)
                return why_set(why, err,
                               "the session has landed from elsewhere, at @%llu, and "
                               "cannot be compared with that: %s; run `hif land` again",
                               (unsigned long long)landing->result.position, hif_strerror(err));
        env_random(&workspace->daemon->cli->env, moving.session.bytes, SESSION_ID_SIZE);
        err = plan_move(landing, &to, &moving.move, why);
        if (err != HIF_OK)
                return err;
        note_news(workspace, moving.move, &news);
        loop_call(workspace->loop, apply_move, &moving);
        if (moving.err == HIF_OK) {
                workspace->session = moving.session;
                workspace->origin_position = landing->result.position;
                kernel_refresh(workspace, buf_span(&news));
                if (moving.published)
                        workspace_record_landed(workspace, &landing->work.session.id);
                summarize(workspace);
        } else {
                err =
                    why_set(why, moving.err,
                            "landed at @%llu, but the workspace could not follow: %s; run `hif "
                            "land` again",
                            (unsigned long long)landing->result.position, hif_strerror(moving.err));
        }
        refresh_done(workspace);
        vfs_move_free(moving.move);
        return err;
}

/* --- the command --- */

static void on_progress(struct land_hooks *hooks, const struct land_progress *progress)
{
        struct landing *landing = FROM_HOOKS(hooks);

        if (landing->progress != NULL)
                landing->progress(landing->arg, progress);
}

static bool store_time(struct land_hooks *hooks, uint64_t *wall_ns)
{
        return store_date(FROM_HOOKS(hooks)->workspace->store, wall_ns);
}

/* What an earlier run may have sent. HIF_OK: it has landed; HIF_ENOENT: it has not and never will.
 */
static enum hif_err resolve_intent(struct landing *landing, struct hif_why *why)
{
        if (!landing->have_intent)
                return HIF_ENOENT;
        return land_resolve(landing->land, &landing->intent, &landing->result, why);
}

/* Others may land it, from any machine. */
static enum hif_err land_by_proposal(struct landing *landing, struct hif_why *why)
{
        struct workspace *workspace = landing->workspace;
        struct fetch_nodes nodes;
        struct fetch_nodes_made made;
        struct land_line *line;
        uint32_t tries;
        enum hif_err err;

        fetch_nodes_init(&nodes, workspace->daemon->fetch);
        fetch_nodes_made_init(&made, workspace->origin);
        err = land_line_new(&workspace->project, &nodes.source, &line);
        if (err != HIF_OK)
                return err;
        land_line_keep(line, &made.sink);
        tries = landing->result.attempts;
        err = land_propose(landing->land, line, landing->work.changes, landing->work.change_count,
                           &landing->result, why);
        landing->result.attempts += tries;
        land_line_free(line);
        return err;
}

/* Sessions of this daemon that land at the same time share a position. Where others are in
 * the way, from other machines, it is proposed. */
static enum hif_err land_with_others(struct landing *landing, struct hif_why *why)
{
        struct workspace *workspace = landing->workspace;
        enum hif_err err = HIF_OK;

        if (workspace->landings == NULL)
                err = landings_enter(workspace->daemon, workspace->store_url,
                                     workspace->project_name, &workspace->landings, why);
        if (err != HIF_OK)
                return err;
        err = land_queue_commit(landings_queue(workspace->landings), landing->land,
                                landing->work.changes, landing->work.change_count, &landing->result,
                                why);
        return err == HIF_ELOST ? land_by_proposal(landing, why) : err;
}

/* After a landing whose answer was lost, this is the answer. */
static enum hif_err nothing(const struct landing *landing, struct hif_why *why)
{
        uint64_t position = landing->work.snapshot.base.position;

        return why_set(why, HIF_ENOTHING, "nothing to land: '%s' holds no changes %s @%llu",
                       landing->workspace->mount_point,
                       landing->last == position && position > 0 ? "since it landed at" : "against",
                       (unsigned long long)position);
}

static enum hif_err land_changes(struct landing *landing, const struct land_how *how,
                                 struct hif_why *why)
{
        enum hif_err err;

        if (landing->work.change_count == 0)
                return nothing(landing, why);
        err = land_stage(landing->land, landing->work.changes, landing->work.change_count,
                         &landing->work.reader, why);
        if (err != HIF_OK)
                return err;
        work_staged(&landing->work);
        if (how->dry_run)
                return land_commit(landing->land, landing->work.changes, landing->work.change_count,
                                   NULL, true, &landing->result, why);
        return how->epoch ? land_by_proposal(landing, why) : land_with_others(landing, why);
}

/* A slot has refused the session, which never lands under that id any more: what it holds goes on
 * under another. */
static enum hif_err take_new_id(struct landing *landing, struct hif_why *why)
{
        struct workspace *workspace = landing->workspace;
        struct session_id session;
        uint8_t origin[8];
        struct vfs_value values[] = {
            {VALUE_SESSION_ID, span_of(session.bytes, SESSION_ID_SIZE)},
            {VALUE_ORIGIN, span_of(origin, sizeof(origin))},
            {VALUE_INTENT, {0}},
            {VALUE_HOLDER, {0}},
            {VALUE_PUBLISHED, {0}},
        };
        enum hif_err err;

        env_random(&workspace->daemon->cli->env, session.bytes, SESSION_ID_SIZE);
        be64_put(origin, landing->result.position);
        err = workspace_set(workspace, values, sizeof(values) / sizeof(values[0]));
        if (err != HIF_OK)
                return why_set(why, err,
                               "@%llu refused this session, and its new id could not be stored: "
                               "%s; run `hif land` again",
                               (unsigned long long)landing->result.position, hif_strerror(err));
        workspace->session = session;
        workspace->origin_position = landing->result.position;
        return workspace_summary(workspace, "open");
}

static enum hif_err run(struct landing *landing, const char *goal, const struct land_how *how,
                        struct hif_why *why)
{
        struct workspace *workspace = landing->workspace;
        AUTO_FREE char *journal = NULL;
        bool dry_run = how->dry_run;
        enum hif_err err = work_list(&landing->work, why);

        if (err != HIF_OK)
                return err;
        if (asprintf(&journal, "%s/land.journal", workspace->dir) < 0)
                return HIF_ENOMEM;
        landing->work.session.state = SESSION_LANDED;
        if (goal[0] != '\0')
                landing->work.session.goal = span_str(goal);
        err = land_begin(&workspace->project, &landing->work.session, &landing->work.nodes.source,
                         workspace->daemon->pool, &landing->hooks, journal, &landing->land);
        if (err != HIF_OK)
                return err;
        land_know_base(landing->land, &landing->work.snapshot.base.tree);
        err = resolve_intent(landing, why);
        landing->result.already_landed = err == HIF_OK;
        if (err == HIF_ENOENT && landing->have_intent && !dry_run) {
                err = workspace_may_land(workspace, why); /* nothing is on its way any more */
                if (err != HIF_OK)
                        return err;
                err = HIF_ENOENT;
        }
        if (err == HIF_ENOENT)
                err = land_changes(landing, how, why);
        else if (err == HIF_OK)
                dry_run = false; /* what has landed is followed, whatever was asked for */
        if (err == HIF_OK && !dry_run && !landing->result.already_landed)
                land_tidy(landing->land);
        if (err == HIF_OK && !dry_run)
                err = move_on(landing, why);
        return err;
}

/* What came of it, which is so even where there is no memory to tell it whole. */
static enum hif_err tell(const struct landing *landing, enum hif_err err, bool dry_run,
                         json_t **result, struct hif_why *why)
{
        unsigned long long position = (unsigned long long)landing->result.position;
        char id[SESSION_ID_HEX_SIZE];

        session_id_to_hex(&landing->work.session.id, id);
        *result = json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:b, s:b, s:o}", "session", id, "position",
            (json_int_t)landing->result.position, "member", (json_int_t)landing->result.member,
            "paths", (json_int_t)landing->result.paths, "attempts",
            (json_int_t)landing->result.attempts, "already_landed", landing->result.already_landed,
            "dry_run", dry_run, "conflicts", conflicts_to_json(&landing->result));
        if (*result != NULL)
                return err;
        if (err == HIF_OK && !dry_run)
                return why_set(why, HIF_ENOMEM,
                               "the session has landed at @%llu; there was no memory to say more",
                               position);
        return why_set(why, HIF_ENOMEM,
                       "it was compared up to @%llu, and there was no memory to say how; run `hif "
                       "land` again",
                       position);
}

enum hif_err workspace_land(struct workspace *workspace, const char *goal,
                            const struct land_how *how,
                            void (*progress)(void *arg, const struct land_progress *progress),
                            void *arg, json_t **result, struct hif_why *why)
{
        struct landing landing = {.workspace = workspace,
                                  .hooks = {.save_intent = save_intent,
                                            .progress = on_progress,
                                            .store_time = store_time},
                                  .progress = progress,
                                  .arg = arg};
        bool conflicted = false, dry_run = how->dry_run;
        enum hif_err err;

        if (workspace->damaged)
                return why_set(why, HIF_EROFS,
                               "session '%s' is damaged, so it is not landed: `hif session export "
                               "%s %s DIR` saves what is there; copy from it into a new session",
                               workspace->session_name, workspace->project_name,
                               workspace->session_name);
        if (workspace->read_only)
                return why_set(why, HIF_EROFS,
                               "'%s' is mounted read-only: there is nothing to land",
                               workspace->mount_point);
        err = work_flush(workspace, "landed", why);
        if (err != HIF_OK)
                return err;
        loop_call(workspace->loop, load_intent, &landing);
        err = landing.err;
        if (err == HIF_OK && !landing.have_intent && !dry_run)
                err = workspace_may_land(workspace, why);
        if (err == HIF_OK)
                err = work_take(&landing.work, workspace);
        if (err == HIF_OK && goal[0] == '\0' && landing.work.session.goal.size == 0)
                err = why_set(why, HIF_EINVAL,
                              "what for? Say in a sentence what the session achieves: `hif land "
                              "GOAL`, or beforehand `hif session start GOAL`");
        if (err == HIF_OK)
                err = cli_store_trusted(workspace->daemon->cli, workspace->store, why);
        if (err == HIF_OK)
                err = run(&landing, goal, how, why);
        if (err == HIF_ECONFLICT && !dry_run)
                conflicted = true;
        if (err == HIF_OK || err == HIF_ECONFLICT)
                err = tell(&landing, err, dry_run, result, why);
        land_free(landing.land);
        land_intent_free(&landing.intent);
        work_free(&landing.work);
        if (conflicted)
                workspace_record_conflicted(workspace);
        if (landing.result.refused && !dry_run) {
                enum hif_err renamed = take_new_id(&landing, why);

                err = renamed == HIF_OK ? err : renamed;
        }
        if (err != HIF_OK && why->text[0] == '\0')
                why_set(why, err, "the session could not be landed: %s", hif_strerror(err));
        return err;
}

void workspace_landed(struct workspace *workspace, uint64_t position)
{
        derived_after_landing(&workspace->project, position);
}
