/* test_tree_model.h - a sorted array that trees are held against.
 *
 * A universe of paths is made once from a seed; a state says of each path whether it is there and
 * in which version. Versions make every kind of entry, packs and ext bytes included. */
#ifndef HIF_TESTS_CORE_TEST_TREE_MODEL_H
#define HIF_TESTS_CORE_TEST_TREE_MODEL_H

#include "tests/core/memtree.h"

struct model_path {
        struct span key;
        size_t parent; /* index; the root's is its own */
        bool dir;
};

struct model {
        uint64_t random;
        struct tree_params params;
        struct model_path *paths; /* in key order; [0] is the root */
        size_t count;
        struct buf keys;
        struct memtree tree;
};

/* versions[i] == 0: absent. */
struct model_state {
        uint32_t *versions;
        struct hif_hash root;
};

uint64_t model_random(struct model *model);

/* About `files` files in directories of all sizes; small: nodes of a few entries, so that trees are
 * high; else the default parameters. */
void model_init(struct model *model, uint64_t seed, size_t files, bool small);
void model_free(struct model *model);

void state_init(struct model *model, struct model_state *state); /* the root directory alone */
void state_copy(struct model *model, struct model_state *to, const struct model_state *from);
void state_free(struct model_state *state);
uint64_t state_count(const struct model *model, const struct model_state *state);

/* Change up to `changes` random paths, near to one another or not; what has no parent then is
 * absent too. */
void state_change(struct model *model, struct model_state *state, size_t changes);
/* Every path there, or none but the root. */
void state_fill(struct model *model, struct model_state *state);
void state_clear(struct model *model, struct model_state *state);

void model_entry(const struct model *model, size_t index, uint32_t version, struct entry *out);

/* The edits from one state to another, with some that change nothing; the caller frees the array,
 * which borrows from `entries`. */
struct model_edits {
        struct tree_edit *array;
        struct entry *entries;
        size_t count;
};
void edits_between(struct model *model, const struct model_state *from,
                   const struct model_state *to, bool idle, struct model_edits *out);
void edits_free(struct model_edits *edits);

/* The root of a state, built from nothing in a tree of its own. */
struct hif_hash state_bulk_root(struct model *model, const struct model_state *state);
/* Apply the edits from `from` to `to`, and set to->root. */
void state_apply(struct model *model, const struct model_state *from, struct model_state *to,
                 struct tree_stats *stats);

#endif
