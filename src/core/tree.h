/* tree.h - the prolly tree that holds one state of a project.
 *
 * Sorted entries (core/key.h, core/entry.h), cut into nodes by a rule on keys alone: the same
 * entries give the same root, whatever the order of the edits that led to them (I4). The root
 * directory is the entry with the empty key, so a tree is never empty and rank 0 is the root.
 * Inner nodes hold entry counts: rank and select are O(log n).
 *
 * Nothing here does I/O. Nodes come from a `struct tree_source`; when it answers HIF_EMISS, the
 * operation returns HIF_EMISS, having changed nothing, and can be run again from its start. */
#ifndef HIF_CORE_TREE_H
#define HIF_CORE_TREE_H

#include "base/buf.h"
#include "base/err.h"
#include "core/entry.h"
#include "core/key.h"

#define TREE_LEVEL_MAX     16
#define TREE_NODE_SIZE_MAX (4u << 20)

/* How nodes are cut; part of a project's format, equal for its whole life. A node ends after an
 * entry whose key's boundary hash falls below 2^32 / mean, once it has `min` entries, and at `max`
 * at the latest. The hash is keyed with `seed` (random, per project), so that no one can choose
 * names which never end a node. */
struct tree_params {
        uint16_t leaf_min, leaf_mean, leaf_max;
        uint16_t inner_min, inner_mean, inner_max;
        uint64_t seed;
};

struct tree_params tree_params_default(uint64_t seed); /* about 16 KiB a node before zstd */
bool tree_params_valid(const struct tree_params *params);

/* --- nodes --- */

/* A checked view of an encoded node: entries are read in place. Bytes as drawn in tree_node.c. */
struct tree_node {
        struct span bytes;
        uint32_t count; /* of entries, or of children */
        uint8_t level;  /* 0 = leaf */
        /* The rest is private to tree_node.c. */
        uint16_t prefix_size;
        uint16_t pack_count;
        uint32_t packs_at, heads_at, offsets_at, sums_at;
        void *pin; /* the source's: how put() finds what to release */
};

/* Check everything once, on arrival: after HIF_OK no access can go out of bounds, keys ascend and
 * are well-formed, entries are valid. HIF_ECORRUPT; HIF_EUNSUPPORTED for a newer node version. */
HIF_MUST_USE enum hif_err tree_node_check(struct span bytes);
/* Open bytes that tree_node_check accepted. */
void tree_node_open(struct span bytes, struct tree_node *out);

/* Total entries below: the count of a leaf, the sum of an inner node's. */
uint64_t tree_node_entries(const struct tree_node *node);
void tree_node_key(const struct tree_node *node, uint32_t index, struct buf *out); /* appends */
/* index of the first key >= key (leaf) or of the child that covers key (inner). exact: equal. */
uint32_t tree_node_search(const struct tree_node *node, struct span key, bool *exact);
void tree_node_entry(const struct tree_node *node, uint32_t index, struct entry *out); /* leaf */
void tree_node_child(const struct tree_node *node, uint32_t index, struct hif_hash *hash,
                     uint64_t *entries); /* inner */

/* Where nodes come from. get() answers with a view that stays valid until put(); HIF_EMISS when it
 * is not resident (the source remembers what was missed); or an error. Operations put what they
 * get, on every path. */
struct tree_source {
        enum hif_err (*get)(struct tree_source *source, const struct hif_hash *hash,
                            struct tree_node *out);
        void (*put)(struct tree_source *source, struct tree_node *node);
        /* This node is what its hash says, and does not fit where a tree has it: the operation ends
         * in HIF_ECORRUPT, and this is the one who knows which node it is. NULL: nobody asks. */
        void (*misfit)(struct tree_source *source, const struct hif_hash *hash);
};

/* Where new nodes go: bytes are encoded, not compressed, and borrowed for the call. */
struct tree_sink {
        enum hif_err (*put)(struct tree_sink *sink, const struct hif_hash *hash, struct span bytes);
};

/* --- reading --- */

/* A position in a tree. Holds its path of nodes until it is closed. */
struct tree_cursor {
        struct tree_source *source;
        struct tree_node nodes[TREE_LEVEL_MAX]; /* [0] is the root */
        uint32_t index[TREE_LEVEL_MAX];
        int depth; /* nodes held; 0 = closed, or not opened */
        uint64_t rank;
        struct hif_hash root;
        uint8_t key[KEY_SIZE_MAX]; /* scratch */
};

void tree_cursor_init(struct tree_cursor *cursor, struct tree_source *source);
void tree_cursor_close(struct tree_cursor *cursor); /* fine when closed */

/* Move to the first entry with a key >= `key`, or to the entry of that rank. HIF_ENOENT: past the
 * last one. HIF_EMISS and errors leave the cursor closed. Seeking again from an open cursor of the
 * same root reuses its nodes where they still cover the target. */
HIF_MUST_USE enum hif_err tree_seek(struct tree_cursor *cursor, const struct hif_hash *root,
                                    struct span key);
HIF_MUST_USE enum hif_err tree_seek_rank(struct tree_cursor *cursor, const struct hif_hash *root,
                                         uint64_t rank);
HIF_MUST_USE enum hif_err tree_next(struct tree_cursor *cursor); /* HIF_ENOENT: no more */

/* Of an open cursor; borrowed until it moves or closes. */
struct span tree_cursor_key(struct tree_cursor *cursor);
void tree_cursor_entry(const struct tree_cursor *cursor, struct entry *out);

/* One lookup. HIF_ENOENT: no such key. The entry's spans are borrowed from the node, which the
 * cursor holds. rank may be NULL. */
HIF_MUST_USE enum hif_err tree_find(struct tree_cursor *cursor, const struct hif_hash *root,
                                    struct span key, struct entry *out, uint64_t *rank);

/* Entries with keys below `key`. */
HIF_MUST_USE enum hif_err tree_rank(struct tree_source *source, const struct hif_hash *root,
                                    struct span key, uint64_t *out);
/* The same as far as the source's nodes tell: where one is missing, the entries before it. So it is
 * off by what one node stands for, at most. HIF_EMISS when the root is missing. */
HIF_MUST_USE enum hif_err tree_rank_about(struct tree_source *source, const struct hif_hash *root,
                                          struct span key, uint64_t *out);
/* All entries, the root directory included. */
HIF_MUST_USE enum hif_err tree_count(struct tree_source *source, const struct hif_hash *root,
                                     uint64_t *out);

/* Ask the source for every node that covers [from, to) (to empty: to the end), not stopping at the
 * first miss, so that all the misses of one level become known at once. HIF_OK: all resident.
 * HIF_EMISS: some were not. At most nodes_max gets (HIF_OK when cut there with no miss). */
HIF_MUST_USE enum hif_err tree_touch(struct tree_source *source, const struct hif_hash *root,
                                     struct span from, struct span to, size_t nodes_max);

/* --- comparing --- */

/* Call each, in key order, for every key in [from, to) whose entries differ in any byte; a or b is
 * NULL where the key is absent on that side. Equal subtrees are skipped unread. each() may stop the
 * walk by returning an error, which is passed on. */
HIF_MUST_USE enum hif_err tree_diff(struct tree_source *source, const struct hif_hash *root_a,
                                    const struct hif_hash *root_b, struct span from, struct span to,
                                    enum hif_err (*each)(void *arg, struct span key,
                                                         const struct entry *a,
                                                         const struct entry *b, uint64_t rank_a,
                                                         uint64_t rank_b),
                                    void *arg);

/* --- writing --- */

/* Changes in strictly ascending key order (asserted). */
struct tree_edit {
        struct span key;
        const struct entry *entry; /* NULL: remove the key (absent already: fine) */
};

/* Supplies the edits one by one; false: no more. What it gives stays valid until the next call. */
struct tree_edits {
        bool (*next)(struct tree_edits *edits, struct tree_edit *out);
};

struct tree_stats {
        uint64_t nodes_written, bytes_written;
        uint64_t nodes_read; /* gets; an inner node once for each level below it that changes */
};

/* Apply the edits to the tree at root and give new nodes, children before parents, to the sink; a
 * new root comes last (a tree that shrank may end in a root that was there before). root NULL
 * builds from nothing: the first edit must then be the root directory's entry. Only nodes that
 * differ from the old tree's are written, and only those that differ, their path and few neighbours
 * are read. The root directory cannot be removed (HIF_EINVAL); HIF_ELIMIT: over TREE_LEVEL_MAX
 * levels. On HIF_EMISS some nodes may have been given already: they come again, the same, with the
 * next run. */
HIF_MUST_USE enum hif_err tree_apply(struct tree_source *source, struct tree_sink *sink,
                                     const struct tree_params *params, const struct hif_hash *root,
                                     struct tree_edits *edits, struct hif_hash *new_root,
                                     struct tree_stats *stats);

/* Walk a whole tree and check what single nodes cannot show: levels, counts, boundaries, order
 * across nodes, that every entry's parent is a directory. For tests and fsck. HIF_ECORRUPT with a
 * reason. */
HIF_MUST_USE enum hif_err tree_verify(struct tree_source *source, const struct tree_params *params,
                                      const struct hif_hash *root, struct hif_why *why);

/* What one node shows by itself, beyond tree_node_check: it ends where the rule says (last: it is
 * the last of its level and may end anywhere), its bytes are the one encoding of its entries,
 * symlinks have the hashes of their targets, the root is a directory. HIF_ECORRUPT with a reason.
 */
HIF_MUST_USE enum hif_err tree_verify_node(const struct tree_params *params,
                                           const struct hif_hash *hash,
                                           const struct tree_node *node, bool last,
                                           struct hif_why *why);

#endif
