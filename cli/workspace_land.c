/* workspace_land.c - `hif land`: freeze, hash and upload, land, move on to the new base. */
#include "cli/workspace_impl.h"

#include "base/cleanup.h"
#include "cli/conflicts.h"
#include "cli/workspace_changes.h"
#include "cli/workspace_session.h"

#include <stdio.h>
#include <stdlib.h>

#define FLUSH_TIMEOUT_MS 120000

/* One landing. */
struct landing {
        struct workspace *workspace;
        struct land_hooks hooks; /* first use: back to this by container */
        struct land_reader reader;
        struct vfs_snapshot snapshot;
        bool snapshot_taken;
        struct vfs_expanded *expanded;
        size_t expanded_count;
        struct land_change *changes;
        size_t change_count;
        struct session session;
        struct land_intent intent; /* of an earlier run */
        uint64_t intent_seq;
        bool have_intent;
        struct land *land;
        struct land_result result;
        struct fetch_nodes_blocking nodes;
        void (*progress)(void *arg, const struct land_progress *progress);
        void *arg;
        enum hif_err err;
};

#define FROM_HOOKS(ptr)  ((struct landing *)((char *)(ptr)-offsetof(struct landing, hooks)))
#define FROM_READER(ptr) ((struct landing *)((char *)(ptr)-offsetof(struct landing, reader)))

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
        buf_put_u64(&value, landing->snapshot.seq);
        buf_put(&value, intent->slot.data, intent->slot.size);
        if (buf_failed(&value))
                return HIF_ENOMEM;
        stored = (struct vfs_value){VALUE_INTENT, buf_span(&value)};
        return workspace_set(landing->workspace, &stored, 1);
}

static enum hif_err load_intent(struct landing *landing)
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

/* --- what is landed --- */

static void take_snapshot(void *arg)
{
        struct landing *landing = arg;

        landing->err = load_intent(landing);
        if (landing->err == HIF_OK)
                landing->err = vfs_snapshot_take(landing->workspace->vfs, true, &landing->snapshot);
        landing->snapshot_taken = landing->err == HIF_OK;
        if (landing->err == HIF_OK)
                landing->err = session_load_notes(landing->workspace->overlay,
                                                  &landing->snapshot.arena, &landing->session);
}

static void free_snapshot(void *arg)
{
        struct landing *landing = arg;

        vfs_snapshot_free(&landing->snapshot);
}

static enum hif_err read_content(struct land_reader *reader, uint64_t content, uint64_t offset,
                                 void *out, size_t size)
{
        struct landing *landing = FROM_READER(reader);

        return vfs_content_read(&landing->snapshot, landing->expanded[content].content, offset, out,
                                size);
}

/* The paths to land, without the ignored ones. */
static enum hif_err list_changes(struct landing *landing, struct hif_why *why)
{
        enum hif_err err = vfs_changes_expand(&landing->snapshot, &landing->nodes.source,
                                              &landing->expanded, &landing->expanded_count);

        if (err == HIF_OK)
                err = changes_skip_ignored(landing->workspace, &landing->snapshot,
                                           landing->expanded, landing->expanded_count, why);
        if (err != HIF_OK)
                return err;
        landing->changes = calloc(landing->expanded_count + 1, sizeof(*landing->changes));
        if (landing->changes == NULL)
                return HIF_ENOMEM;
        for (size_t i = 0; i < landing->expanded_count; i++) {
                const struct vfs_expanded *item = &landing->expanded[i];

                if (item->skip)
                        continue;
                landing->changes[landing->change_count++] =
                    (struct land_change){.kind = item->remove ? LAND_REMOVE : LAND_PUT,
                                         .path = item->path,
                                         .entry_kind = item->entry_kind,
                                         .mtime = item->mtime,
                                         .target = item->target,
                                         .size = item->size,
                                         .have_hash = item->have_hash,
                                         .hash = item->hash,
                                         .loc = item->loc,
                                         .content = i,
                                         .path_from = item->path_from};
        }
        return HIF_OK;
}

/* Goal, decisions and conversation are there from the snapshot on. */
static void describe_session(struct landing *landing, const char *goal)
{
        struct workspace *workspace = landing->workspace;
        uint64_t now_ms = env_wall_ns(&workspace->daemon->cli->env) / 1000000;
        struct span created = overlay_value(workspace->overlay, VALUE_CREATED);

        struct session *session = &landing->session;

        session->id = workspace->session;
        session->state = SESSION_LANDED;
        session->origin = workspace->origin_position;
        session->base_position = landing->snapshot.base.position;
        session->base_slot = landing->snapshot.base.slot;
        session->author = span_str(workspace->daemon->cli->config.author);
        session->created = created.size == 8 ? be64_get(created.data) : hlc_next(0, now_ms);
        session->updated = hlc_next(0, now_ms);
        if (goal[0] != '\0')
                session->goal = span_str(goal);
        session->ops = landing->snapshot.ops;
        session->op_count = (uint32_t)landing->snapshot.op_count;
        session->bloom = landing->snapshot.bloom;
}

/* --- the move to the new base --- */

struct moving {
        struct landing *landing;
        struct vfs_move *move;
        struct session_id session;
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
        };

        be64_put(origin, landing->result.position);
        be64_put(last, landing->result.position);
        be64_put(created, hlc_next(0, now_ms));
        moving->err = vfs_move_apply(landing->workspace->vfs, moving->move, values,
                                     sizeof(values) / sizeof(values[0]));
}

/* The landing is made; what is left is our own bookkeeping, which a later run can do as well. */
static enum hif_err move_on(struct landing *landing, struct hif_why *why)
{
        struct workspace *workspace = landing->workspace;
        struct vfs_base to = {.position = landing->result.position,
                              .slot = landing->result.slot_hash,
                              .tree = landing->result.tree};
        struct moving moving = {.landing = landing};
        enum hif_err err;

        if (landing->result.already_landed && landing->have_intent)
                landing->snapshot.seq = landing->intent_seq;
        env_random(&workspace->daemon->cli->env, moving.session.bytes, SESSION_ID_SIZE);
        err = vfs_move_plan(&landing->snapshot, landing->expanded, landing->expanded_count,
                            &landing->nodes.source, &to, &moving.move, why);
        if (err != HIF_OK)
                return err;
        loop_call(workspace->loop, apply_move, &moving);
        if (moving.err == HIF_OK) {
                workspace->session = moving.session;
                workspace->origin_position = landing->result.position;
                kernel_refresh(workspace, moving.move);
                err = workspace_summary(workspace, "open");
        } else {
                err =
                    why_set(why, moving.err,
                            "landed at @%llu, but the workspace could not follow: %s; run `hif "
                            "land` again",
                            (unsigned long long)landing->result.position, hif_strerror(moving.err));
        }
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

/* What an earlier run may have sent. HIF_OK: it has landed; HIF_ENOENT: it has not and never will.
 */
static enum hif_err resolve_intent(struct landing *landing, struct hif_why *why)
{
        if (!landing->have_intent)
                return HIF_ENOENT;
        return land_resolve(landing->land, &landing->intent, &landing->result, why);
}

static enum hif_err land_changes(struct landing *landing, bool dry_run, struct hif_why *why)
{
        enum hif_err err;

        if (landing->change_count == 0)
                return why_set(why, HIF_ENOTHING,
                               "nothing to land: '%s' holds no changes against @%llu",
                               landing->workspace->mount_point,
                               (unsigned long long)landing->snapshot.base.position);
        err = land_stage(landing->land, landing->changes, landing->change_count, &landing->reader,
                         why);
        if (err != HIF_OK)
                return err;
        return land_commit(landing->land, landing->changes, landing->change_count, NULL, dry_run,
                           &landing->result, why);
}

static enum hif_err run(struct landing *landing, const char *goal, bool dry_run,
                        struct hif_why *why)
{
        struct workspace *workspace = landing->workspace;
        AUTO_FREE char *journal = NULL;
        enum hif_err err = list_changes(landing, why);

        if (err != HIF_OK)
                return err;
        if (asprintf(&journal, "%s/land.journal", workspace->dir) < 0)
                return HIF_ENOMEM;
        describe_session(landing, goal);
        err = land_begin(&workspace->project, &landing->session, &landing->nodes.source,
                         workspace->daemon->pool, &landing->hooks, journal, &landing->land);
        if (err != HIF_OK)
                return err;
        err = resolve_intent(landing, why);
        landing->result.already_landed = err == HIF_OK;
        if (err == HIF_ENOENT)
                err = land_changes(landing, dry_run, why);
        else if (err == HIF_OK)
                dry_run = false; /* what has landed is followed, whatever was asked for */
        if (err == HIF_OK && !dry_run)
                err = move_on(landing, why);
        return err;
}

static enum hif_err tell(const struct landing *landing, enum hif_err err, bool dry_run,
                         json_t **result)
{
        char id[SESSION_ID_HEX_SIZE];

        session_id_to_hex(&landing->session.id, id);
        *result = json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:b, s:b, s:o}", "session", id, "position",
            (json_int_t)landing->result.position, "member", (json_int_t)landing->result.member,
            "paths", (json_int_t)landing->result.paths, "attempts",
            (json_int_t)landing->result.attempts, "already_landed", landing->result.already_landed,
            "dry_run", dry_run, "conflicts", conflicts_to_json(&landing->result));
        return *result != NULL ? err : HIF_ENOMEM;
}

enum hif_err workspace_land(struct workspace *workspace, const char *goal, bool dry_run,
                            void (*progress)(void *arg, const struct land_progress *progress),
                            void *arg, json_t **result, struct hif_why *why)
{
        struct landing landing = {.workspace = workspace,
                                  .hooks = {.save_intent = save_intent, .progress = on_progress},
                                  .reader = {.read = read_content},
                                  .progress = progress,
                                  .arg = arg};
        enum hif_err err;

        if (workspace->read_only)
                return why_set(why, HIF_EROFS,
                               "'%s' is mounted read-only: there is nothing to land",
                               workspace->mount_point);
        if (front_is_mounted(workspace) && workspace->front == FRONT_NFS) {
                err = kernel_sync(workspace->mount_point, FLUSH_TIMEOUT_MS);
                if (err != HIF_OK)
                        return why_set(
                            why, err,
                            "some of what programs have written to '%s' did not arrive: %s; "
                            "nothing was landed. Look at what was written last, and land again",
                            workspace->mount_point, hif_strerror(err));
        }
        fetch_nodes_blocking_init(&landing.nodes, workspace->origin);
        loop_call(workspace->loop, take_snapshot, &landing);
        err = landing.err;
        if (err == HIF_OK && goal[0] == '\0' && landing.session.goal.size == 0)
                err = why_set(why, HIF_EINVAL,
                              "what for? Say in a sentence what the session achieves: `hif land "
                              "GOAL`, or beforehand `hif session start GOAL`");
        if (err == HIF_OK)
                err = run(&landing, goal, dry_run, why);
        if (err == HIF_OK || err == HIF_ECONFLICT)
                err = tell(&landing, err, dry_run, result);
        land_free(landing.land);
        land_intent_free(&landing.intent);
        free(landing.changes);
        if (landing.snapshot_taken)
                loop_call(workspace->loop, free_snapshot, &landing);
        if (err != HIF_OK && why->text[0] == '\0')
                why_set(why, err, "the session could not be landed: %s", hif_strerror(err));
        return err;
}
