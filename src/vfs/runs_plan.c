/* runs_plan.c - the run table of a new base, from the old one and what differs between the trees.
 */
#include "vfs/move_impl.h"

#include <assert.h>
#include <stdlib.h>

struct planning {
        struct runs *old;
        const struct assigned *assigned; /* by rank */
        size_t assigned_count;
        uint64_t *assigned_ids; /* ascending */
        size_t next;            /* assigned below this index are in the list already */
        uint64_t pos_a, pos_b;  /* ranks reached */
        struct buf runs;        /* struct run */
        enum hif_err (*each_changed)(void *arg, struct span key, const struct entry *a,
                                     const struct entry *b, uint64_t rank_b);
        void *arg;
};

static struct run *last_run(struct planning *plan)
{
        if (plan->runs.size == 0)
                return NULL;
        return (struct run *)(void *)(plan->runs.data + plan->runs.size - sizeof(struct run));
}

static enum hif_err append(struct planning *plan, struct run run)
{
        struct run *last = last_run(plan);

        if (run.rank == 0) { /* the root goes by its own number */
                run.rank++;
                run.id++;
                run.count--;
        }
        if (run.count == 0)
                return HIF_OK;
        if (last != NULL && last->rank + last->count == run.rank &&
            last->id + last->count == run.id) {
                last->count += run.count;
                return HIF_OK;
        }
        buf_put(&plan->runs, &run, sizeof(run));
        return buf_failed(&plan->runs) ? HIF_ENOMEM : HIF_OK;
}

/* The first assigned number that is not below `id`. */
static size_t first_id(const struct planning *plan, uint64_t id)
{
        size_t low = 0, high = plan->assigned_count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (plan->assigned_ids[mid] < id)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

/* Append a run without the numbers that are assigned elsewhere. */
static enum hif_err append_unassigned(struct planning *plan, struct run run)
{
        size_t index = first_id(plan, run.id);

        while (run.count > 0) {
                uint64_t keep = run.count;
                enum hif_err err;

                if (index < plan->assigned_count && plan->assigned_ids[index] - run.id < run.count)
                        keep = plan->assigned_ids[index++] - run.id;
                err = append(plan, (struct run){.rank = run.rank, .count = keep, .id = run.id});
                if (err != HIF_OK)
                        return err;
                if (keep == run.count)
                        break;
                run.rank += keep + 1;
                run.id += keep + 1;
                run.count -= keep + 1;
        }
        return HIF_OK;
}

/* Append a run in pieces around the ranks that are assigned, and those ranks with their numbers. */
static enum hif_err append_around(struct planning *plan, struct run run)
{
        while (run.count > 0) {
                const struct assigned *assigned =
                    plan->next < plan->assigned_count ? &plan->assigned[plan->next] : NULL;
                uint64_t keep = run.count;
                enum hif_err err;

                if (assigned != NULL && assigned->rank < run.rank + run.count)
                        keep = assigned->rank - run.rank;
                err = append_unassigned(plan, (struct run){run.rank, keep, run.id});
                if (err == HIF_OK && keep < run.count) {
                        plan->next++;
                        err = append(plan, (struct run){assigned->rank, 1, assigned->id});
                        keep++;
                }
                if (err != HIF_OK)
                        return err;
                run.rank += keep;
                run.id += keep;
                run.count -= keep;
        }
        return HIF_OK;
}

/* Entries [pos_a, pos_a + count) are the same as [pos_b, ...): they keep their numbers. */
static enum hif_err keep(struct planning *plan, uint64_t count)
{
        while (count > 0) {
                uint64_t stretch = runs_stretch(plan->old, plan->pos_a);
                uint64_t take = stretch < count ? stretch : count;
                enum hif_err err = append_around(
                    plan, (struct run){plan->pos_b, take, runs_id(plan->old, plan->pos_a)});

                if (err != HIF_OK)
                        return err;
                plan->pos_a += take;
                plan->pos_b += take;
                count -= take;
        }
        return HIF_OK;
}

static bool is_assigned(const struct planning *plan, uint64_t rank)
{
        return plan->next < plan->assigned_count && plan->assigned[plan->next].rank == rank;
}

static enum hif_err on_change(void *arg, struct span key, const struct entry *a,
                              const struct entry *b, uint64_t rank_a, uint64_t rank_b)
{
        struct planning *plan = arg;
        enum hif_err err;
        bool same;

        err = keep(plan, a != NULL ? rank_a - plan->pos_a : rank_b - plan->pos_b);
        if (err != HIF_OK)
                return err;
        assert((a == NULL || plan->pos_a == rank_a) && (b == NULL || plan->pos_b == rank_b));
        same = a != NULL && b != NULL &&
               ((a->kind == ENTRY_DIR && b->kind == ENTRY_DIR) || entry_same(a, b));
        if (same)
                return keep(plan, 1);
        if (b != NULL && is_assigned(plan, rank_b)) {
                err = append(plan, (struct run){rank_b, 1, plan->assigned[plan->next].id});
                plan->next++;
        }
        if (err == HIF_OK)
                err = plan->each_changed(plan->arg, key, a, b, rank_b);
        plan->pos_a += a != NULL;
        plan->pos_b += b != NULL;
        return err;
}

static int compare_ids(const void *a, const void *b)
{
        uint64_t id_a = *(const uint64_t *)a, id_b = *(const uint64_t *)b;

        return id_a < id_b ? -1 : id_a > id_b;
}

static enum hif_err sort_ids(struct planning *plan)
{
        plan->assigned_ids = malloc((plan->assigned_count + 1) * sizeof(uint64_t));
        if (plan->assigned_ids == NULL)
                return HIF_ENOMEM;
        for (size_t i = 0; i < plan->assigned_count; i++)
                plan->assigned_ids[i] = plan->assigned[i].id;
        qsort(plan->assigned_ids, plan->assigned_count, sizeof(uint64_t), compare_ids);
        return HIF_OK;
}

enum hif_err runs_plan(struct tree_source *nodes, const struct hif_hash *from,
                       const struct hif_hash *to, struct runs *old, const struct assigned *assigned,
                       size_t assigned_count, struct runs *out,
                       enum hif_err (*each_changed)(void *arg, struct span key,
                                                    const struct entry *a, const struct entry *b,
                                                    uint64_t rank_b),
                       void *arg)
{
        struct planning plan = {.old = old,
                                .assigned = assigned,
                                .assigned_count = assigned_count,
                                .each_changed = each_changed,
                                .arg = arg};
        CLEANUP(buf_free) struct buf stored = {0};
        uint64_t total = 0;
        enum hif_err err = sort_ids(&plan);

        if (err == HIF_OK)
                err = tree_diff(nodes, from, to, (struct span){0}, (struct span){0}, on_change,
                                &plan);
        if (err == HIF_OK)
                err = tree_count(nodes, to, &total);
        if (err == HIF_OK)
                err = keep(&plan, total - plan.pos_b);
        if (err == HIF_OK) {
                assert(plan.next == assigned_count);
                runs_put(&stored, old->epoch + 1, (struct run *)(void *)plan.runs.data,
                         plan.runs.size / sizeof(struct run));
                err = buf_failed(&stored) ? HIF_ENOMEM : runs_get(buf_span(&stored), out);
        }
        free(plan.assigned_ids);
        buf_free(&plan.runs);
        return err;
}
