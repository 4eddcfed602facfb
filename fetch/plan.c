#include "fetch/plan.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

static int by_offset(const void *a, const void *b)
{
        const struct plan_item *x = a, *y = b;

        return (x->offset > y->offset) - (x->offset < y->offset);
}

static uint64_t end_of(const struct plan_item *item)
{
        return (uint64_t)item->offset + item->size;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

/* Widen by the item at `index` when it is near enough and the whole stays within bounds. */
static bool widen(struct plan_range *range, const struct plan_item *item)
{
        uint64_t end = range->start + range->size;
        uint64_t start = item->offset < range->start ? item->offset : range->start;

        if (range->count == PLAN_ITEMS_MAX)
                return false;
        if (item->offset > end + PLAN_GAP_MAX || end_of(item) + PLAN_GAP_MAX < range->start)
                return false;
        end = max_u64(end, end_of(item));
        if (end - start > PLAN_BYTES_MAX)
                return false;
        range->start = start;
        range->size = end - start;
        range->count++;
        return true;
}

struct plan_range plan_around(struct plan_item *items, size_t count, const void *seed)
{
        struct plan_range range = {0};
        size_t at = 0;
        bool grew = true;

        qsort(items, count, sizeof(*items), by_offset);
        while (at < count && items[at].arg != seed)
                at++;
        assert(at < count);
        range = (struct plan_range){.start = items[at].offset, .size = items[at].size, .first = at};
        range.count = 1;
        while (grew) {
                size_t next = range.first + range.count;

                grew = false;
                if (next < count && widen(&range, &items[next]))
                        grew = true;
                if (range.first > 0 && widen(&range, &items[range.first - 1])) {
                        range.first--;
                        grew = true;
                }
        }
        return range;
}
