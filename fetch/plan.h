/* plan.h - which wanted ranges of one pack make one request. Pure. */
#ifndef HIF_FETCH_PLAN_H
#define HIF_FETCH_PLAN_H

#include <stddef.h>
#include <stdint.h>

/* At 100 Mbit/s and 20 ms, 64 KiB of waste cost a quarter of the round trip that they save. */
#define PLAN_GAP_MAX   (64u << 10)
#define PLAN_BYTES_MAX (4u << 20)
#define PLAN_ITEMS_MAX 512

struct plan_item {
        uint32_t offset, size; /* size > 0 */
        void *arg;
};

struct plan_range {
        uint64_t start, size;
        size_t first, count; /* of the sorted items */
};

/* Sorts the items (count > 0) by offset, and gives the widest range that holds the one whose arg is
 * `seed`, and its neighbours over gaps of at most PLAN_GAP_MAX, nearest first, up to PLAN_BYTES_MAX
 * (one larger item alone is fine) and PLAN_ITEMS_MAX. Items may overlap. */
struct plan_range plan_around(struct plan_item *items, size_t count, const void *seed);

#endif
