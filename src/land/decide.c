/* Who of a batch lands: each is decided against the tree after the one before it, in memory. What
 * does not land is decided again whenever others have landed after all, so that in the end it
 * conflicts with the slot's tree, and not with something that never was a position. */
#include "core/key.h"
#include "land/batch.h"

#include <inttypes.h>
#include <stdlib.h>

#define WARM_CHANGES_MAX 4096u /* of one entrant: what has more reads its own way */

void entrant_finish(struct entrant *entrant, enum hif_err err)
{
        entrant->state = ENTRANT_DONE;
        /* What an earlier run sent may still arrive: "nothing was landed" would be a guess. */
        entrant->member->err = err != HIF_OK && entrant->pending ? HIF_EUNKNOWN : err;
        if (err == HIF_ENOMEM)
                (void)why_set(entrant->member->why, err, "out of memory");
}

/* --- reading what all of them need, together --- */

struct warm {
        struct arena arena;
        struct span *keys;
        size_t count, capacity;
};

static enum hif_err warm_add(struct warm *warm, struct span path)
{
        AUTO_BUF struct buf key = {0};

        if (warm->count == warm->capacity) {
                size_t capacity = warm->capacity ? warm->capacity * 2 : 256;
                struct span *grown = realloc(warm->keys, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                warm->keys = grown;
                warm->capacity = capacity;
        }
        key_from_path(&key, path);
        if (buf_failed(&key))
                return HIF_ENOMEM;
        warm->keys[warm->count] =
            key.size > 0 ? arena_span(&warm->arena, buf_span(&key)) : span_str("");
        return warm->keys[warm->count++].data ? HIF_OK : HIF_ENOMEM;
}

static int by_span(const void *a, const void *b)
{
        return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static void warm_sort(struct warm *warm)
{
        size_t kept = 0;

        if (warm->count == 0)
                return;
        qsort(warm->keys, warm->count, sizeof(*warm->keys), by_span);
        for (size_t i = 1; i < warm->count; i++)
                if (!span_eq(warm->keys[i], warm->keys[kept]))
                        warm->keys[++kept] = warm->keys[i];
        warm->count = kept + 1;
}

static enum hif_err warm_changes(struct warm *warm, const struct land_member *member)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < member->count && err == HIF_OK; i++) {
                struct span path = member->changes[i].path;

                err = warm_add(warm, path);
                while (err == HIF_OK && path.size > 0) {
                        path = path_parent(path);
                        err = warm_add(warm, path);
                }
        }
        return err;
}

/* The keys of those with this base; zeros: of all. */
static enum hif_err warm_tree(struct commit *c, const struct hif_hash *tree, bool all)
{
        struct warm warm = {0};
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < c->count && err == HIF_OK; i++) {
                const struct entrant *entrant = &c->entrants[i];

                if (entrant->state == ENTRANT_WAITS && entrant->member->count <= WARM_CHANGES_MAX &&
                    (all || hash_eq(&entrant->land->base_tree, tree)))
                        err = warm_changes(&warm, entrant->member);
        }
        warm_sort(&warm);
        if (err == HIF_OK && warm.count > 0)
                err = node_reader_touch(c->line->reader, tree, warm.keys, warm.count);
        free(warm.keys);
        arena_free(&warm.arena);
        return err;
}

/* A trip a level for all, not for each. Failing is fine: each then reads for itself, and says why
 * it cannot. */
static void warm_up(struct commit *c)
{
        enum hif_err err = c->count > 1 ? warm_tree(c, &c->tail->slot.tree, true) : HIF_OK;

        for (size_t i = 0; i < c->count && c->count > 1 && err == HIF_OK; i++) {
                const struct hif_hash *base = &c->entrants[i].land->base_tree;
                bool seen =
                    hash_eq(base, &c->tail->slot.tree) || c->entrants[i].state != ENTRANT_WAITS;

                for (size_t j = 0; j < i && !seen; j++)
                        seen = c->entrants[j].state == ENTRANT_WAITS &&
                               hash_eq(base, &c->entrants[j].land->base_tree);
                if (!seen)
                        err = warm_tree(c, base, false);
        }
}

/* --- one of them --- */

static enum hif_err apply(struct commit *c, struct entrant *entrant)
{
        struct merge *merge = &entrant->land->merge;
        struct made_sink sink = made_sink_of(c->made);
        struct merge_edits edits;
        struct tree_stats stats = {0};
        struct hif_hash tree;
        enum hif_err err = merge_paths(merge, &merge->arena, &entrant->paths, &entrant->path_count);

        merge_edits_init(&edits, merge);
        if (err == HIF_OK)
                err = tree_apply(node_reader_source(c->line->reader), &sink.sink,
                                 &c->line->project->format.tree, &c->tree, &edits.edits, &tree,
                                 &stats);
        if (err != HIF_OK)
                return err;
        c->tree = tree;
        c->tree_entries += merge->added - merge->removed;
        return HIF_OK;
}

/* LANDS, CONFLICTS, NOTHING; or DONE, with an error. */
static void decide_against(struct commit *c, struct entrant *entrant, const struct hif_hash *theirs)
{
        struct land *land = entrant->land;
        struct merge *merge = &land->merge;
        const struct land_member *member = entrant->member;
        enum hif_err err;

        merge_free(merge);
        merge_init(merge, c->line->reader, &land->base_tree, theirs, land->mix);
        merge->tag = entrant->tag;
        merge->now = c->now;
        err = merge_gather(merge, member->changes, member->count, member->why);
        if (err == HIF_OK)
                err = merge_decide(merge);
        if (err == HIF_OK && merge->conflict_count > 0) {
                entrant->state = ENTRANT_CONFLICTS;
                return;
        }
        if (err == HIF_OK)
                err = merge_entries(merge, member->why);
        if (err == HIF_OK && merge->edit_count == 0) {
                entrant->state = ENTRANT_NOTHING;
                return;
        }
        if (err != HIF_OK)
                entrant_finish(entrant, err);
        else
                entrant->state = ENTRANT_LANDS;
}

/* Read, decide, and put it behind those who land already. */
static void decide_one(struct commit *c, struct entrant *entrant)
{
        bool at_tail = LAND_MUTATION == MUTATE_DECIDE_AT_TAIL;
        enum hif_err err = HIF_OK;

        decide_against(c, entrant, at_tail ? &c->tail->slot.tree : &c->tree);
        if (entrant->state != ENTRANT_LANDS)
                return;
        if (c->mode != COMMIT_CHECK)
                err = apply(c, entrant);
        if (err == HIF_OK)
                c->landing[c->landing_count++] = entrant;
        else
                entrant_finish(entrant, err);
}

void batch_decide(struct commit *c)
{
        size_t before = SIZE_MAX;

        if (batch_follow(c))
                return;
        made_reset(c->made);
        c->tree = c->tail->slot.tree;
        c->tree_entries = c->tail->slot.tree_entries;
        c->landing_count = 0;
        warm_up(c);
        for (size_t i = 0; i < c->count; i++)
                if (c->entrants[i].state == ENTRANT_WAITS)
                        decide_one(c, &c->entrants[i]);
        while (c->landing_count != before && c->count > 1) {
                before = c->landing_count;
                for (size_t i = 0; i < c->count; i++)
                        if (c->entrants[i].state == ENTRANT_CONFLICTS ||
                            c->entrants[i].state == ENTRANT_NOTHING)
                                decide_one(c, &c->entrants[i]);
        }
        batch_followable(c);
}

/* --- what those are told who do not land --- */

static void compared_with(struct entrant *entrant, const struct slot_read *against)
{
        struct land_result *out = entrant->member->out;

        out->position = against->slot.position;
        out->slot_hash = against->hash;
        out->tree = against->slot.tree;
}

static enum hif_err tell_conflicts(struct commit *c, struct entrant *entrant,
                                   const struct slot_read *against)
{
        struct merge *merge = &entrant->land->merge;
        AUTO_FREE struct conflict_name *names = calloc(merge->conflict_count, sizeof(*names));
        const struct land_conflict *first = &merge->conflicts[0];
        struct land_result *out = entrant->member->out;
        char name[LANDING_NAME_SIZE];
        enum hif_err err;

        if (!names)
                return HIF_ENOMEM;
        for (uint32_t i = 0; i < merge->conflict_count; i++)
                names[i] = (struct conflict_name){&merge->conflicts[i], merge->conflict_tags[i]};
        err = scan_name(c->line->project, entrant->land->session->base_position,
                        against->slot.position, names, merge->conflict_count, &merge->arena,
                        entrant->member->why);
        if (err != HIF_OK)
                return err;
        compared_with(entrant, against);
        out->conflicts = merge->conflicts;
        out->conflict_count = merge->conflict_count;
        landing_name(first->position, first->member, name);
        return why_set(entrant->member->why, HIF_ECONFLICT,
                       "%u path%s changed on both sides, the first is %.*s (we %s, %s %s): "
                       "nothing was landed",
                       merge->conflict_count, merge->conflict_count == 1 ? "" : "s",
                       (int)first->path.size, (const char *)first->path.data, first->ours, name,
                       first->theirs);
}

static void tell(struct commit *c, struct entrant *entrant, const struct slot_read *against)
{
        if (entrant->member->others) {
                entrant_finish(entrant, HIF_ECONFLICT); /* its owner finds out why */
        } else if (entrant->state == ENTRANT_CONFLICTS) {
                entrant_finish(entrant, tell_conflicts(c, entrant, against));
        } else {
                compared_with(entrant, against);
                entrant_finish(entrant, why_set(entrant->member->why, HIF_ENOTHING,
                                                "nothing to land: no change against @%" PRIu64,
                                                against->slot.position));
        }
}

bool entrant_is_refused(const struct entrant *entrant)
{
        return entrant->proposal &&
               (entrant->state == ENTRANT_CONFLICTS || entrant->state == ENTRANT_NOTHING);
}

void batch_tell_deferred(struct commit *c, const struct slot_read *against)
{
        for (size_t i = 0; i < c->count; i++) {
                struct entrant *entrant = &c->entrants[i];

                if (entrant->state != ENTRANT_CONFLICTS && entrant->state != ENTRANT_NOTHING)
                        continue;
                entrant->member->out->refused = entrant->proposal != NULL;
                tell(c, entrant, against);
        }
}

static void tell_against(struct commit *c, struct entrant *entrant, const struct slot_read *against)
{
        enum hif_err err = line_base(c->line, entrant->land, entrant->member->why);

        if (err != HIF_OK) {
                entrant_finish(entrant, err);
                return;
        }
        decide_against(c, entrant, &against->slot.tree);
        if (entrant->state == ENTRANT_LANDS)
                entrant_finish(entrant, why_set(entrant->member->why, HIF_EAGAIN,
                                                "@%" PRIu64 " refused this session, which would "
                                                "land now: run hif land again",
                                                against->slot.position));
        else if (entrant->state != ENTRANT_DONE)
                tell(c, entrant, against);
}

/* Why it was refused is in the trees: the same decision, against the tree of that slot. */
void batch_tell_refused(struct commit *c, struct entrant *entrant)
{
        const struct land_member *member = entrant->member;
        struct slot_read against;
        enum hif_err err;

        if (member->others || c->mode == COMMIT_RESOLVE) {
                entrant_finish(entrant, HIF_ENOENT);
                return;
        }
        err = project_slot(c->line->project, member->out->position, false, &against, member->why);
        if (err != HIF_OK) {
                entrant_finish(entrant, err);
                return;
        }
        tell_against(c, entrant, &against);
        slot_read_free(&against);
}
