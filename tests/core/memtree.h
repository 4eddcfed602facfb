/* memtree.h - tree nodes in memory for tests: a source and a sink that check what they are given.
 *
 * Nodes are resident until memtree_evict(); then a get misses, is remembered, and memtree_fetch()
 * brings what was missed. Every put is checked with tree_node_check. */
#ifndef HIF_TESTS_CORE_MEMTREE_H
#define HIF_TESTS_CORE_MEMTREE_H

#include "base/map.h"
#include "core/tree.h"

struct memtree {
        struct tree_source source;
        struct tree_sink sink;
        struct map nodes;
        uint64_t gets; /* calls, hits and misses */
        uint64_t misses;
        uint64_t writes;       /* nodes given to the sink that were not there */
        int64_t held;          /* got and not put */
        uint64_t miss_at;      /* the k-th get from now misses, once; 0: none does */
        uint64_t missed_count; /* since the last fetch */
};

void memtree_init(struct memtree *tree);
void memtree_free(struct memtree *tree); /* asserts that nothing is held */

/* Add encoded bytes as they are, checked or not; gives their hash. */
struct hif_hash memtree_add(struct memtree *tree, struct span bytes);
/* The bytes of a node that is there (asserted). */
struct span memtree_bytes(struct memtree *tree, const struct hif_hash *hash);

/* Every node: for (size_t i = 0; memtree_next(tree, &i, &bytes);). */
bool memtree_next(const struct memtree *tree, size_t *index, struct span *bytes);

void memtree_evict(struct memtree *tree);
uint64_t memtree_fetch(struct memtree *tree); /* how many nodes became resident */

/* Edits from an array. */
struct memtree_edits {
        struct tree_edits edits;
        const struct tree_edit *array;
        size_t count, next;
};
void memtree_edits_init(struct memtree_edits *edits, const struct tree_edit *array, size_t count);

/* tree_apply with an array; root NULL builds from nothing. */
HIF_MUST_USE enum hif_err memtree_apply(struct memtree *tree, const struct tree_params *params,
                                        const struct hif_hash *root, const struct tree_edit *array,
                                        size_t count, struct hif_hash *new_root,
                                        struct tree_stats *stats);

#endif
