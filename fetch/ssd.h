/* ssd.h - the SSD tier: the content of objects in append-only segment files, never over a limit.
 *
 * Nothing here is trusted or synced: what is read goes through the same check of its hash as what
 * comes from a store, and the caller drops what fails. The tier is never in the way either: where
 * it cannot write, it does without.
 *
 * Segments are evicted whole, oldest first. Tree nodes have segments of their own, which stay as
 * long as they are no more than half of the limit; and while someone holds them (a workspace that
 * is mounted, and has to find its paths also without its store) as long as the limit allows: then
 * everything else gives way first. The index is in RAM, and built again at opening
 * from the footers of sealed segments and by walking the records of others. Thread-safe; calls that
 * read or write block on the disk: for pool threads. */
#ifndef HIF_FETCH_SSD_H
#define HIF_FETCH_SSD_H

#include "base/env.h"
#include "fetch/fetch.h"

struct ssd;

/* dir is created if missing. HIF_EBUSY: another process has it. */
HIF_MUST_USE enum hif_err ssd_open(struct env *env, const char *dir, uint64_t bytes_max,
                                   struct ssd **out, struct hif_why *why);
void ssd_close(struct ssd *ssd); /* no call is running; NULL is fine */

/* Whether it is worth asking; does not block on the disk. */
bool ssd_has(struct ssd *ssd, enum fetch_kind kind, const struct hif_hash *hash);
/* Append the content, unchecked. HIF_ENOENT; HIF_ECORRUPT: it was there, unreadable, and has been
 * dropped; HIF_ENOMEM. */
HIF_MUST_USE enum hif_err ssd_get(struct ssd *ssd, enum fetch_kind kind,
                                  const struct hif_hash *hash, struct buf *out);
void ssd_drop(struct ssd *ssd, enum fetch_kind kind, const struct hif_hash *hash);
/* Keep it if possible. */
void ssd_put(struct ssd *ssd, enum fetch_kind kind, const struct hif_hash *hash,
             struct span content);
/* Hold the tree nodes, those to come included; nests. Release as often. */
void ssd_hold_nodes(struct ssd *ssd);
void ssd_release_nodes(struct ssd *ssd);
/* Of all segment files. */
uint64_t ssd_bytes(struct ssd *ssd);

#endif
