/* parts.h - what the files about derived records share. */
#ifndef HIF_LAND_DERIVED_PARTS_H
#define HIF_LAND_DERIVED_PARTS_H

#include "land/derived/derived.h"
#include "land/internal.h"

/* Every slot of a window, in order and linked, 32 a trip. each() may take the read's content. */
HIF_MUST_USE enum hif_err window_slots(const struct project *project, enum window_kind kind,
                                       uint64_t start,
                                       enum hif_err (*each)(void *arg, struct slot_read *read,
                                                            struct hif_why *why),
                                       void *arg, struct window *out, struct hif_why *why);
/* A read of the slot at the window's end shows the hash that the window has for it. */
bool window_fits(const struct window *window, const struct store_req *req);

HIF_MUST_USE enum hif_err segment_make(const struct project *project, uint64_t start,
                                       struct buf *out, struct hif_why *why);
HIF_MUST_USE enum hif_err rollup_make(const struct project *project, uint64_t start,
                                      struct buf *out, struct hif_why *why);
HIF_MUST_USE enum hif_err rollup_merge(const struct project *project, int level, uint64_t start,
                                       struct buf *out, struct hif_why *why);
HIF_MUST_USE enum hif_err hashes_make(const struct project *project, uint64_t start,
                                      struct buf *out, struct hif_why *why);

#endif
