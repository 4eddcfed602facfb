#include "vfs/runs.h"

#include <assert.h>
#include <stdlib.h>

#define RUN_SIZE 24

void runs_init(struct runs *runs, uint32_t epoch)
{
        *runs = (struct runs){.epoch = epoch};
}

void runs_free(struct runs *runs)
{
        free(runs->by_rank);
        free(runs->by_id);
        *runs = (struct runs){0};
}

/* The last run that starts at or before `rank`; count when there is none. */
static size_t last_by_rank(const struct runs *runs, uint64_t rank)
{
        size_t low = 0, high = runs->count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (runs->by_rank[mid].rank <= rank)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low == 0 ? runs->count : low - 1;
}

static bool covers_rank(const struct run *run, uint64_t rank)
{
        return rank >= run->rank && rank - run->rank < run->count;
}

uint64_t runs_id(struct runs *runs, uint64_t rank)
{
        size_t index = runs->hint;

        if (rank == 0)
                return NODEID_ROOT;
        if (index >= runs->count || !covers_rank(&runs->by_rank[index], rank))
                index = last_by_rank(runs, rank);
        if (index >= runs->count || !covers_rank(&runs->by_rank[index], rank))
                return nodeid_base(runs->epoch, rank);
        runs->hint = index;
        return runs->by_rank[index].id + (rank - runs->by_rank[index].rank);
}

uint64_t runs_stretch(const struct runs *runs, uint64_t rank)
{
        size_t index = last_by_rank(runs, rank), next = index < runs->count ? index + 1 : 0;

        if (rank == 0)
                return 1;
        if (index < runs->count && covers_rank(&runs->by_rank[index], rank))
                return runs->by_rank[index].count - (rank - runs->by_rank[index].rank);
        return next < runs->count ? runs->by_rank[next].rank - rank : UINT64_MAX;
}

bool runs_rank(const struct runs *runs, uint64_t id, uint64_t *rank)
{
        size_t low = 0, high = runs->count;

        if (id == NODEID_ROOT) {
                *rank = 0;
                return true;
        }
        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (runs->by_id[mid].id <= id)
                        low = mid + 1;
                else
                        high = mid;
        }
        if (low > 0 && id - runs->by_id[low - 1].id < runs->by_id[low - 1].count) {
                *rank = runs->by_id[low - 1].rank + (id - runs->by_id[low - 1].id);
                return true;
        }
        if (nodeid_is_base(id) && nodeid_epoch(id) == runs->epoch) {
                /* New with this epoch, unless a run gives that rank to an older number. */
                size_t index = last_by_rank(runs, nodeid_rank(id));

                if (index < runs->count && covers_rank(&runs->by_rank[index], nodeid_rank(id)))
                        return false;
                *rank = nodeid_rank(id);
                return true;
        }
        return false;
}

void runs_put(struct buf *out, uint32_t epoch, const struct run *by_rank, size_t count)
{
        buf_put_u32(out, epoch);
        for (size_t i = 0; i < count; i++) {
                assert(by_rank[i].count > 0);
                assert(i == 0 || by_rank[i].rank >= by_rank[i - 1].rank + by_rank[i - 1].count);
                buf_put_u64(out, by_rank[i].rank);
                buf_put_u64(out, by_rank[i].count);
                buf_put_u64(out, by_rank[i].id);
        }
}

static int compare_ids(const void *a, const void *b)
{
        const struct run *run_a = a, *run_b = b;

        return run_a->id < run_b->id ? -1 : run_a->id > run_b->id;
}

/* Sorted and disjoint both ways, within the bounds of ranks: what runs_put asserts and lookups rely
 * on. */
static bool table_valid(const struct runs *runs)
{
        for (size_t i = 0; i < runs->count; i++) {
                const struct run *rank = &runs->by_rank[i], *id = &runs->by_id[i];

                if (rank->count == 0 || rank->rank == 0 || rank->count > NODEID_RANK_MAX ||
                    rank->rank > NODEID_RANK_MAX - rank->count)
                        return false;
                if (i == 0)
                        continue;
                if (rank->rank < rank[-1].rank + rank[-1].count ||
                    id->id < id[-1].id + id[-1].count)
                        return false;
        }
        return true;
}

enum hif_err runs_get(struct span stored, struct runs *out)
{
        struct reader rd = rd_open(stored);
        struct runs runs = {0};
        size_t count;

        runs.epoch = rd_u32(&rd);
        if (rd_bad(&rd) || rd_left(&rd) % RUN_SIZE != 0 || runs.epoch > NODEID_EPOCH_MAX)
                return HIF_ECORRUPT;
        count = rd_left(&rd) / RUN_SIZE;
        if (count > 0) {
                runs.by_rank = calloc(count, sizeof(*runs.by_rank));
                runs.by_id = calloc(count, sizeof(*runs.by_id));
                if (runs.by_rank == NULL || runs.by_id == NULL) {
                        runs_free(&runs);
                        return HIF_ENOMEM;
                }
        }
        for (size_t i = 0; i < count; i++) {
                runs.by_rank[i].rank = rd_u64(&rd);
                runs.by_rank[i].count = rd_u64(&rd);
                runs.by_rank[i].id = rd_u64(&rd);
        }
        runs.count = count;
        if (count > 0) {
                memcpy(runs.by_id, runs.by_rank, count * sizeof(*runs.by_id));
                qsort(runs.by_id, count, sizeof(*runs.by_id), compare_ids);
        }
        if (!table_valid(&runs)) {
                runs_free(&runs);
                return HIF_ECORRUPT;
        }
        *out = runs;
        return HIF_OK;
}
