/* derived.h - records made from many slots, to be read instead of them: segments, rollups, the hash
 * index. docs/derived.md tells of all of them.
 *
 * They are made from complete windows only, by whoever comes by: a lander after it has landed, `hif
 * maintain`. Nobody needs them: where one is missing, damaged, or does not fit the slots, the finer
 * ones are asked, and in the end the slots. They say where to look, and decide nothing (I5). */
#ifndef HIF_LAND_DERIVED_DERIVED_H
#define HIF_LAND_DERIVED_DERIVED_H

#include "core/hash_index.h"
#include "core/rollup.h"
#include "core/segment.h"
#include "land/project.h"

/* --- making: segments.c, rollup_make.c, rollup_merge.c, hashes.c --- */

/* The bytes of one record, whose window is complete (the caller has seen a slot at or after its
 * end). A level above the first is made from the records of the level below.
 *      HIF_ENOENT   one of those is not there (yet), or does not fit: make it first
 *      HIF_ELIMIT   too large for the format: there will be none
 *      HIF_ECORRUPT a slot is missing, damaged, or does not follow the one before */
HIF_MUST_USE enum hif_err derived_build(const struct project *project, enum window_kind kind,
                                        uint64_t start, struct buf *out, struct hif_why *why);
/* Build and write. Whoever does it, and however often, writes the same. size (may be NULL) grows by
 * what was written. */
HIF_MUST_USE enum hif_err derived_make(const struct project *project, enum window_kind kind,
                                       uint64_t start, uint64_t *size, struct hif_why *why);
/* What is stored is what would be made: the same bytes, or a segment of the same rows compressed by
 * another version of zstd. */
bool derived_same(enum window_kind kind, uint64_t start, struct span stored, struct span made);
/* The segments and rollups of the first level that this landing has completed, or that others
 * should have, a short while before. Failing is no failure of the landing: it is logged. */
void derived_after_landing(const struct project *project, uint64_t position);

/* --- rollups: index.c --- */

/* What is searched for. */
struct index_item {
        uint64_t fingerprint;
        bool is_path; /* parts with too many paths to list may have it */
};
struct index_item index_path(struct span path);
struct index_item index_session(const struct session_id *session);

/* Rollups as far as they were read. One thread at a time. */
struct derived_index;
/* limit: a position that exists. Windows up to there may be there, too. */
HIF_MUST_USE enum hif_err index_new(const struct project *project, uint64_t limit,
                                    struct derived_index **out);
void index_free(struct derived_index *index);
void index_raise(struct derived_index *index, uint64_t limit);

/* The nearest position in [from, to] (from the start, or from the end, on) whose slot may have any
 * of the items. covered: rollups say so; otherwise there is none for that position, and they do not
 * know. HIF_ENOENT: none has. HIF_ENOMEM. */
HIF_MUST_USE enum hif_err index_next(struct derived_index *index, const struct index_item *items,
                                     size_t count, uint64_t from, uint64_t to, uint64_t *position,
                                     bool *covered);
HIF_MUST_USE enum hif_err index_previous(struct derived_index *index,
                                         const struct index_item *items, size_t count,
                                         uint64_t from, uint64_t to, uint64_t *position,
                                         bool *covered);

struct index_stats {
        uint64_t windows, blocks; /* read */
        uint64_t requests, bytes, trips;
};
struct index_stats index_stats_get(const struct derived_index *index);

/* --- segments: segments.c --- */

/* The segment that starts at `start`, held against the slot at its end. HIF_ENOENT: none, or none
 * that counts. */
HIF_MUST_USE enum hif_err segment_read(const struct project *project, uint64_t start,
                                       struct arena *arena, struct segment *out);

/* --- the hash index: hashes.c --- */

/* Up to `most` places of a packed content, by the hash index alone, those of the last windows
 * first; how many. Hints as all locations are: what is read there has to be held against the hash.
 */
size_t hash_index_find(const struct project *project, const struct hif_hash *hash,
                       uint64_t content_size, struct pack_loc *locs, size_t most);

#endif
