/* sim_land.c - landings of ours, and moves of the base. */
#include "sim.h"

#include <stdlib.h>

#define VALUE_INTENT "land.intent"

static void no_sleep(struct land_hooks *hooks, uint64_t ns)
{
        (void)hooks, (void)ns;
}

/* --- the model's base moves ---------------------------------------------------------------------
 */

/* The directory of a path, by what the snapshot had there or the move has made; 0: none. */
static int dir_of(const struct mtree *then, const struct mtree *made, const char *path)
{
        char above[PATH_MAX_SIM];
        char *slash;
        const struct ment *entry;

        strcpy(above, path);
        slash = strrchr(above, '/');
        if (slash == NULL)
                return NODE_ROOT;
        *slash = '\0';
        entry = tree_get(made, above);
        if (entry == NULL)
                entry = tree_get(then, above);
        return entry != NULL && entry->kind == ENTRY_DIR ? entry->node : 0;
}

static int last_name(const char *path)
{
        const char *slash = strrchr(path, '/');

        path = slash != NULL ? slash + 1 : path;
        return name_of_text(path, strlen(path));
}

/* What others removed takes what only the tools see below it along. */
static void drop_tree(struct sim *sim, int dir, int name)
{
        int node = sim->nodes[dir].child[name];

        if (sim->nodes[node].kind == ONODE_DIR)
                for (int i = 0; i < NAMES; i++)
                        if (sim->nodes[node].child[i] != 0)
                                drop_tree(sim, node, i);
        node_unlink(sim, dir, name);
        sim->nodes[dir].mtime_known = false;
}

static void forget_file(struct sim *sim, int node)
{
        struct mnode *m = &sim->nodes[node];

        if (m->kind != ONODE_FILE || m->id == 0 || sim->ghost_count == GHOSTS_MAX)
                return;
        sim->ghosts[sim->ghost_count].lasting = nodeid_is_base(m->id) && m->writes == 0;
        sim->ghosts[sim->ghost_count].since_ns = env_mono_ns(sim->env);
        sim->ghosts[sim->ghost_count].id = m->id;
        sim->ghosts[sim->ghost_count++].data = keep_bytes(sim, m->data.data, m->data.size);
}

/* A directory that others removed stays while something of ours is in it. */
static bool holds_ours(const struct mnode *node)
{
        for (int i = 0; i < NAMES && node->kind == ONODE_DIR; i++)
                if (node->child[i] != 0 && name_lands(i))
                        return true;
        return false;
}

/* The workspace follows: what differs between what the snapshot had and what there is now was done
 * by others. */
static void follow(struct sim *sim, const struct mtree *then, const struct mtree *merged)
{
        struct mtree made = {.count = 0}, gone = {.count = 0};
        uint64_t now = loop_wall_ns(sim->loop);

        for (size_t i = then->count; i > 0; i--) { /* what is in a directory before it */
                const struct ment *old = &then->at[i - 1];
                int dir = dir_of(then, &made, old->path), name = last_name(old->path);

                if (ment_same(old, tree_get(merged, old->path)) || dir == 0 ||
                    sim->nodes[dir].child[name] != old->node)
                        continue;
                if (holds_ours(&sim->nodes[old->node]) ||
                    sim->nodes[old->node].writes != old->writes) {
                        sim->kept = true; /* nothing that was written here is lost */
                        continue;
                }
                tree_put(&gone, old);
                sim_trace(sim, "  gone: %s", old->path);
                if (sim->nodes[old->node].nlink == 1)
                        forget_file(sim, old->node);
                drop_tree(sim, dir, name);
        }
        for (size_t i = 0; i < merged->count; i++) {
                struct ment entry = merged->at[i];
                int dir = dir_of(then, &made, entry.path), name = last_name(entry.path);
                struct mnode *m;

                if (ment_same(&entry, tree_get(then, entry.path)))
                        continue;
                if (dir == 0 || sim->nodes[dir].child[name] != 0 ||
                    (tree_get(then, entry.path) != NULL && tree_get(&gone, entry.path) == NULL))
                        continue; /* changed here since */
                entry.node = model_add(sim, dir, name, &entry);
                sim_trace(sim, "  new: %s, node %d", entry.path, entry.node);
                tree_put(&made, &entry);
                sim->nodes[dir].mtime_known = false;
                m = &sim->nodes[entry.node];
                if (entry.kind == ENTRY_DIR)
                        continue;
                m->mtime = (struct hif_time){.sec = (int64_t)(now / 1000000000),
                                             .nsec = (uint32_t)(now % 1000000000)};
                m->mtime_known = true;
        }
}

/* Directories have the time of the move, or the new base's, once others have landed; what they
 * wrote again as it was has theirs. */
static void forget_times(struct sim *sim, const struct mtree *then, const struct mtree *tail)
{
        for (int node = 1; node < sim->node_count; node++)
                sim->nodes[node].mtime_known &= sim->nodes[node].kind != ONODE_DIR;
        for (size_t i = 0; i < then->count; i++) {
                const struct ment *old = tree_get(&sim->base, then->at[i].path),
                                  *now = tree_get(tail, then->at[i].path);

                if (now != NULL && now->stamp != (old != NULL ? old->stamp : 0))
                        sim->nodes[then->at[i].node].mtime_known = false;
        }
}

/* --- landing ours -------------------------------------------------------------------------------
 */

struct ours {
        struct land_hooks hooks; /* first */
        struct land_reader reader;
        struct sim *sim;
        struct vfs_snapshot snapshot;
        struct fetch_nodes_blocking nodes;
        struct vfs_expanded *expanded;
        size_t expanded_count;
        struct land_change *changes;
        size_t change_count;
        struct land_intent intent;
        uint64_t intent_seq;
        bool have_intent;
        struct session session;
        struct land *land;
        struct land_result result;
};

static enum hif_err read_ours(struct land_reader *reader, uint64_t content, uint64_t offset,
                              void *out, size_t size)
{
        struct ours *ours = (struct ours *)((char *)reader - offsetof(struct ours, reader));

        return vfs_content_read(&ours->snapshot, ours->expanded[content].content, offset, out,
                                size);
}

static enum hif_err save_intent(struct land_hooks *hooks, const struct land_intent *intent)
{
        struct ours *ours = (struct ours *)hooks;
        CLEANUP(buf_free) struct buf value = {0};
        struct otx *tx;
        uint64_t seq;

        buf_put(&value, intent->landing_id, LANDING_ID_SIZE);
        buf_put_u64(&value, intent->tag);
        buf_put(&value, intent->session.bytes, SESSION_ID_SIZE);
        buf_put_u64(&value, intent->position);
        buf_put_u64(&value, ours->snapshot.seq);
        buf_put_span(&value, buf_span(&intent->slot));
        tx = otx_begin(ours->sim->overlay);
        otx_value(tx, VALUE_INTENT, buf_span(&value));
        return otx_commit(tx, &seq);
}

static void load_intent(struct ours *ours)
{
        struct span value = overlay_value(ours->sim->overlay, VALUE_INTENT);
        struct reader rd = rd_open(value);

        if (value.size == 0)
                return;
        rd_copy(&rd, ours->intent.landing_id, LANDING_ID_SIZE);
        ours->intent.tag = rd_u64(&rd);
        rd_copy(&rd, ours->intent.session.bytes, SESSION_ID_SIZE);
        ours->intent.position = rd_u64(&rd);
        ours->intent_seq = rd_u64(&rd);
        buf_put_span(&ours->intent.slot, rd_span(&rd, rd_left(&rd)));
        ours->have_intent = true;
}

static bool has_ignored_name(struct span path)
{
        struct span ignored = span_str(name_text(NAME_IGNORED));

        return memmem(path.data, path.size, ignored.data, ignored.size) != NULL;
}

/* New paths with the ignored name do not land. */
static void skip_ignored(struct sim *sim, struct ours *ours, const struct mtree *then,
                         struct mtree *landing)
{
        *landing = *then;
        for (size_t i = 0; i < ours->expanded_count; i++) {
                struct vfs_expanded *item = &ours->expanded[i];
                char path[PATH_MAX_SIM];

                snprintf(path, sizeof(path), "%.*s", (int)item->path.size,
                         (const char *)item->path.data);
                if (item->remove || !has_ignored_name(item->path) ||
                    tree_get(&sim->base, path) != NULL)
                        continue;
                item->skip = true;
                tree_remove(landing, path);
        }
}

static void list_ours(struct sim *sim, struct ours *ours)
{
        ours->changes = calloc(ours->expanded_count + 1, sizeof(*ours->changes));
        expect(sim, ours->changes != NULL, "out of memory");
        for (size_t i = 0; i < ours->expanded_count; i++) {
                const struct vfs_expanded *item = &ours->expanded[i];

                if (item->skip)
                        continue;
                ours->changes[ours->change_count++] =
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
}

static void ours_free(struct ours *ours)
{
        land_free(ours->land);
        land_intent_free(&ours->intent);
        free(ours->changes);
        vfs_snapshot_free(&ours->snapshot);
        free(ours);
}

/* What is removed between the snapshot of a landing and the death of its process is there again
 * afterwards: nobody remembers what that landing held. So only edits then. */
static void some_operations(struct sim *sim, bool edits)
{
        const char *doing = sim->doing;

        sim->frozen = true;
        for (uint64_t count = pick(sim, 5); count > 0; count--) {
                world_turn(sim);
                if (edits)
                        op_edit(sim);
                else
                        op_random(sim);
                sim->doing = "comparing while frozen";
                check_all(sim);
        }
        sim->frozen = false;
        sim->doing = doing;
}

static enum hif_err run_landing(struct sim *sim, struct ours *ours)
{
        struct hif_why why = {""};
        enum hif_err err;

        ours->session = (struct session){.id = sim->session,
                                         .state = SESSION_LANDED,
                                         .origin = sim->session_origin,
                                         .base_position = ours->snapshot.base.position,
                                         .base_slot = ours->snapshot.base.slot,
                                         .author = span_str("A <a@b>"),
                                         .goal = span_str("a goal"),
                                         .ops = ours->snapshot.ops,
                                         .op_count = (uint32_t)ours->snapshot.op_count,
                                         .bloom = ours->snapshot.bloom};
        must(sim, land_begin(&sim->project, &ours->session, &ours->nodes.source, NULL, &ours->hooks,
                             NULL, &ours->land));
        must_why(sim,
                 land_stage(ours->land, ours->changes, ours->change_count, &ours->reader, &why),
                 why);
        for (size_t i = 0; i < ours->change_count; i++) {
                struct vfs_expanded *item = &ours->expanded[ours->changes[i].content];

                item->have_hash = ours->changes[i].have_hash;
                item->hash = ours->changes[i].hash;
                item->loc = ours->changes[i].loc;
        }
        err = land_commit(ours->land, ours->changes, ours->change_count,
                          ours->have_intent ? &ours->intent : NULL, false, &ours->result, &why);
        expect(sim, err == HIF_OK || err == HIF_ECONFLICT || err == HIF_ENOTHING, "landing: %s: %s",
               hif_err_name(err), why.text);
        return err;
}

static bool apply_move(struct sim *sim, struct ours *ours, const struct vfs_base *to,
                       const struct mtree *then, const struct mtree *merged,
                       const struct mtree *tail, bool busy)
{
        struct session_id session;
        struct vfs_value values[] = {{VALUE_INTENT, {0}}};
        struct hif_why why = {""};
        struct vfs_move *move;
        enum hif_err err;

        err = vfs_move_plan(&ours->snapshot, ours->expanded, ours->expanded_count,
                            &ours->nodes.source, to, &move, &why);
        /* Paths fit, but others put something below a directory that was replaced here. */
        if (err == HIF_ECONFLICT && ours->expanded_count == 0)
                return false;
        must_why(sim, err, why);
        if (busy)
                some_operations(sim, ours->have_intent || chance(sim, 30));
        sim->doing = "moving";
        err = vfs_move_apply(sim->vfs, move, values, 1);
        vfs_move_free(move);
        if (err == HIF_EBUSY) /* a directory was made meanwhile that others have landed */
                return false;
        must(sim, err);
        env_random(sim->env, session.bytes, SESSION_ID_SIZE);
        if (ours->expanded_count > 0) {
                sim->session = session;
                sim->session_origin = to->position;
        }
        follow(sim, then, merged);
        if (sim->kept || ours->have_intent ||
            to->position > sim->base_at.position + (ours->expanded_count > 0))
                forget_times(sim, then, tail);
        sim->base = *tail;
        sim->base_at = *to;
        return true;
}

/* What the workspace is to show once it has followed a landing from which it has changed since. */
static void merge_pending(const struct pending *pending, const struct mtree *now,
                          struct mtree *merged)
{
        const struct mtree *trees[] = {&pending->then, &pending->shown};

        *merged = *now;
        for (int t = 0; t < 2; t++)
                for (size_t i = 0; i < trees[t]->count; i++) {
                        const char *path = trees[t]->at[i].path;
                        const struct ment *then = tree_get(&pending->then, path),
                                          *theirs = tree_get(&pending->shown, path),
                                          *ours = tree_get(now, path);

                        if (ment_same(then, theirs) || !ment_same(then, ours) ||
                            (then != NULL && then->writes != ours->writes))
                                continue;
                        if (theirs != NULL)
                                tree_put(merged, theirs);
                        for (size_t j = 0; j < merged->count && theirs == NULL; j++)
                                if (strcmp(merged->at[j].path, path) == 0)
                                        merged->at[j--] = merged->at[--merged->count];
                }
}

/* Follow the landing. False: it is still to be followed. */
static bool follow_landing(struct sim *sim, struct ours *ours, const struct mtree *now, bool busy)
{
        struct pending *pending = &sim->pending;
        struct mtree merged;

        merge_pending(pending, now, &merged);
        tree_sort(&merged);
        pending->on = !apply_move(sim, ours, &pending->at, now, &merged, &pending->landed, busy);
        sim_trace(sim, pending->on ? "not followed" : "followed");
        return !pending->on;
}

/* A landing of ours has come through. */
static void note_landing(struct sim *sim, const struct ours *ours, const struct mtree *then,
                         const struct mtree *landing, const struct mtree *landed)
{
        struct pending *pending = &sim->pending;

        sim->landings++;
        sim->tail = *landed;
        tree_sort(&sim->tail);
        sim->tail_at =
            (struct vfs_base){ours->result.position, ours->result.slot_hash, ours->result.tree};
        sim_trace(sim, "landed @%llu", (unsigned long long)sim->tail_at.position);
        check_tree(sim, &sim->tail_at.tree, &sim->tail);
        *pending = (struct pending){
            .on = true, .then = *then, .landed = sim->tail, .shown = sim->tail, .at = sim->tail_at};
        for (size_t i = 0; i < then->count; i++)
                if (tree_get(landing, then->at[i].path) == NULL)
                        tree_put(&pending->shown, &then->at[i]);
}

static void check_outcome(struct sim *sim, const struct ours *ours, enum hif_err err, bool fits,
                          const struct mtree *landed)
{
        sim_trace(sim, "landing: %s", hif_err_name(err));
        if (sim->pending.on) {
                expect(sim,
                       err == HIF_OK && ours->result.already_landed &&
                           ours->result.position == sim->pending.at.position,
                       "an earlier landing was not found: %s", hif_err_name(err));
                return;
        }
        expect(sim, fits == (err != HIF_ECONFLICT), "the landing says %s", hif_err_name(err));
        sim->conflicts += err == HIF_ECONFLICT;
        expect(sim, !fits || (err == HIF_ENOTHING) == trees_same(landed, &sim->tail),
               "the landing says %s", hif_err_name(err));
}

static struct ours *ours_new(struct sim *sim)
{
        struct ours *ours = calloc(1, sizeof(*ours));

        expect(sim, ours != NULL, "out of memory");
        ours->sim = sim;
        ours->hooks = (struct land_hooks){.save_intent = save_intent, .sleep = no_sleep};
        ours->reader.read = read_ours;
        fetch_nodes_blocking_init(&ours->nodes, sim->origin);
        return ours;
}

/* die: after the landing, before the workspace has followed. */
static void land_once(struct sim *sim, bool die)
{
        struct ours *ours = ours_new(sim);
        bool busy = chance(sim, 60), edits = die || sim->pending.on || chance(sim, 30);
        struct mtree then, landing, landed;
        struct vfs_snapshot second;
        struct hif_why why = {""};
        enum hif_err err;
        bool fits;

        sim->doing = "landing";
        sim_trace(sim, "land, from @%llu", (unsigned long long)sim->base_at.position);
        load_intent(ours);
        tree_of_model(sim, &then);
        tree_sort(&then);
        must(sim, vfs_snapshot_take(sim->vfs, true, &ours->snapshot));
        expect(sim, vfs_snapshot_take(sim->vfs, true, &second) == HIF_EBUSY, "frozen twice");
        if (busy)
                some_operations(sim, edits);
        must_why(sim, vfs_snapshot_ops(&ours->snapshot, &why), why);
        must(sim, vfs_changes_expand(&ours->snapshot, &ours->nodes.source, &ours->expanded,
                                     &ours->expanded_count));
        check_expanded(sim, &ours->snapshot, ours->expanded, ours->expanded_count, &sim->base,
                       &then);
        skip_ignored(sim, ours, &then, &landing);
        list_ours(sim, ours);
        if (chance(sim, 30))
                land_foreign(sim);
        fits = oracle_merge(&sim->base, &landing, &sim->tail, &landed);
        err = run_landing(sim, ours);
        check_outcome(sim, ours, err, fits, &landed);
        if (err == HIF_OK && sim->pending.on)
                ours->snapshot.seq = ours->intent_seq;
        else if (err == HIF_OK)
                note_landing(sim, ours, &then, &landing, &landed);
        if (err == HIF_OK && !die)
                follow_landing(sim, ours, &then, busy);
        ours_free(ours);
}

void land_ours(struct sim *sim)
{
        bool die = chance(sim, 15);

        land_once(sim, die);
        if (sim->pending.on && die) {
                sim_trace(sim, "kill");
                world_kill(sim);
                for (uint64_t edits = pick(sim, 4); edits > 0; edits--)
                        op_edit(sim);
                sim->doing = "comparing after a landing that was not followed";
                check_all(sim);
        }
        for (int tries = 0; sim->pending.on; tries++) {
                expect(sim, tries < 20, "a landing can not be followed");
                land_once(sim, false);
        }
}

/* --- moving without a landing -------------------------------------------------------------------
 */

void move_to_tail(struct sim *sim)
{
        struct ours *ours;
        struct mtree then, merged;
        bool busy;

        sim->doing = "moving";
        if (chance(sim, 50))
                land_foreign(sim);
        tree_of_model(sim, &then);
        tree_sort(&then);
        if (sim->tail_at.position == sim->base_at.position ||
            !oracle_merge(&sim->base, &then, &sim->tail, &merged))
                return;
        sim_trace(sim, "move from @%llu to @%llu", (unsigned long long)sim->base_at.position,
                  (unsigned long long)sim->tail_at.position);
        tree_sort(&merged);
        busy = chance(sim, 50);
        ours = ours_new(sim);
        must(sim, vfs_snapshot_take(sim->vfs, true, &ours->snapshot));
        if (busy)
                some_operations(sim, false);
        if (apply_move(sim, ours, &sim->tail_at, &then, &merged, &sim->tail, busy))
                sim->syncs++;
        else
                sim_trace(sim, "refused");
        ours_free(ours);
}
