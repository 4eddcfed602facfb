/* ssd_index.h - where the SSD tier has an object: a table in RAM from key to record. */
#ifndef HIF_FETCH_SSD_INDEX_H
#define HIF_FETCH_SSD_INDEX_H

#include "base/map.h"
#include "fetch/ssd_segment.h"

struct ssd_slot {
        uint64_t key; /* 0: empty */
        uint32_t
            segment; /* 0: deleted. An id that is not in `segments`: evicted, as good as that */
        uint32_t offset, size;
};

struct ssd_index {
        struct ssd_slot *slots;
        size_t capacity;     /* a power of two, or 0 */
        size_t used;         /* slots that are not empty */
        struct map segments; /* id -> struct ssd_segment: those that are alive */
};

/* NULL: none. */
struct ssd_slot *ssd_index_find(struct ssd_index *index, uint64_t key);
HIF_MUST_USE enum hif_err ssd_index_put(struct ssd_index *index, uint32_t segment,
                                        struct ssd_record record);
void ssd_index_free(struct ssd_index *index);

#endif
