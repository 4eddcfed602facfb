/* landing_check.h - the checksum that ends slots and the format. Private to landing. */
#ifndef HIF_CORE_LANDING_CHECK_H
#define HIF_CORE_LANDING_CHECK_H

#include "core/landing.h"

#define LANDING_CHECK_SIZE 8

/* Append the checksum of everything from `start` on, which is something (asserted); drawn in
 * landing.c. */
void landing_check_put(struct buf *out, size_t start);
/* *record: what stands before the checksum. HIF_ECORRUPT: it does not match. */
HIF_MUST_USE enum hif_err landing_check_get(struct span stored, struct span *record);
/* Open a record that begins with a magic and a version u8, and ends in the checksum: *rd is then
 * behind the version, and ends before the checksum. HIF_ECORRUPT: another magic, or damaged.
 * HIF_EUNSUPPORTED: another version, which may end in another way. */
HIF_MUST_USE enum hif_err landing_record_open(struct span stored, const char magic[4],
                                              uint8_t version, struct reader *rd);

#endif
