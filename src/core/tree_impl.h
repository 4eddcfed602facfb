/* tree_impl.h - what the tree's own files share. */
#ifndef HIF_CORE_TREE_IMPL_H
#define HIF_CORE_TREE_IMPL_H

#include "core/tree.h"

#define TREE_NODE_HEADER_SIZE 16
#define TREE_NODE_VERSION     1
#define TREE_KEY_HEAD_SIZE    8
#define TREE_ENTRIES_MAX      ((uint64_t)1 << 48) /* below one node; sums cannot overflow */

enum tree_record_flags {
        TREE_RECORD_LOCATED = 1,
        TREE_RECORD_EXT = 2,
};

extern const uint8_t tree_node_magic[4];

/* --- keys of a node, without an allocation --- */

/* Copies key `index` to out (KEY_SIZE_MAX bytes of room); gives its size. */
size_t node_key_copy(const struct tree_node *node, uint32_t index, uint8_t *out);
int node_key_cmp(const struct tree_node *node, uint32_t index, struct span key);
bool node_key_eq(const struct tree_node *a, uint32_t index_a, const struct tree_node *b,
                 uint32_t index_b);
bool node_key_below(const struct tree_node *a, uint32_t index_a, const struct tree_node *b,
                    uint32_t index_b);
/* Entries before entry or child `index`; index == count gives all. */
uint64_t node_sum(const struct tree_node *node, uint32_t index);
/* The entry or child that holds the entry of this rank in the node (< its entries, asserted). */
uint32_t node_select(const struct tree_node *node, uint64_t rank);

/* --- getting nodes: structure is hostile even when bytes are what their hash says --- */

/* A root begins with the root directory (of one that is no leaf, the first leaf has to). */
HIF_MUST_USE enum hif_err tree_get_root(struct tree_source *source, const struct hif_hash *root,
                                        struct tree_node *out);
/* A child is one level below, has the first key and the count that its parent claims, and ends before the
 * parent's next one begins. */
HIF_MUST_USE enum hif_err tree_get_child(struct tree_source *source, const struct tree_node *parent,
                                         uint32_t index, struct tree_node *out);

/* --- moving a cursor that may stop above the leaves (tree_read.c) --- */

/* Put the nodes below the first `depth`. */
void cursor_drop(struct tree_cursor *cursor, int depth);
/* Hold the path from the root to the node of `level` that covers key; index[] of that node itself
 * is left to the caller. Errors close the cursor. */
HIF_MUST_USE enum hif_err cursor_descend(struct tree_cursor *cursor, const struct hif_hash *root,
                                         struct span key, int level);
/* The depth of the deepest node above the last one that has a child after the present one; -1: the
 * last node held is the last of its level. */
int cursor_fork(const struct tree_cursor *cursor);
/* Move to the next node of the same level, at its first key; fork as above, not -1. Errors close the
 * cursor. */
HIF_MUST_USE enum hif_err cursor_next_node(struct tree_cursor *cursor, int fork);

/* --- building nodes (tree_build.c) --- */

struct tree_item {
        uint32_t key_at, key_size;
        uint32_t value_at, value_size;
        uint64_t entries; /* inner: below this child */
};

/* The node of one level that is being filled. Zero-initialised is empty and valid. */
struct node_builder {
        uint8_t level;
        uint32_t count;
        struct buf items; /* of struct tree_item */
        struct buf keys, values;
        struct buf packs; /* hashes */
        struct buf bytes; /* the node, once encoded */
        uint64_t entries;
};

void builder_free(struct node_builder *builder);
void builder_reset(struct node_builder *builder); /* empty; keeps level and memory */
struct span builder_key(const struct node_builder *builder, uint32_t index);

/* Keys must ascend: HIF_ECORRUPT (an old tree may break that; own edits are asserted before). */
HIF_MUST_USE enum hif_err builder_add_entry(struct node_builder *builder, struct span key,
                                            const struct entry *entry);
HIF_MUST_USE enum hif_err builder_add_child(struct node_builder *builder, struct span key,
                                            const struct hif_hash *hash, uint64_t entries);
/* The child's hash at index, of an inner node's builder. */
struct hif_hash builder_child(const struct node_builder *builder, uint32_t index);
/* The rule: does a node of `count` items end after one with this key? */
bool tree_boundary(const struct tree_params *params, uint8_t level, uint32_t count,
                   struct span key);
/* Encode into builder->bytes and give the hash. */
HIF_MUST_USE enum hif_err builder_encode(struct node_builder *builder, struct hif_hash *hash);

#endif
