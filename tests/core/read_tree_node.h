/* read_tree_node.h - reading everything of bytes that may be a tree node. */
#ifndef HIF_TESTS_CORE_READ_TREE_NODE_H
#define HIF_TESTS_CORE_READ_TREE_NODE_H

#include "core/tree_impl.h"

enum node_read {
        NODE_REFUSED,
        NODE_READ,
        NODE_BROKEN, /* accepted, but its accessors contradict each other */
};

static inline bool read_node_item(const struct tree_node *node, uint32_t index, uint64_t *sum,
                                  struct node_builder *builder)
{
        uint8_t key[KEY_SIZE_MAX];
        struct span span = span_of(key, node_key_copy(node, index, key));
        struct hif_hash child;
        struct entry entry;
        uint64_t entries;
        bool exact;

        if (!key_valid(span) || tree_node_search(node, span, &exact) != index || !exact ||
            node_sum(node, index) != *sum || node_select(node, *sum) != index)
                return false;
        if (node->level == 0) {
                tree_node_entry(node, index, &entry);
                ++*sum;
                return entry_valid(&entry) && builder_add_entry(builder, span, &entry) == HIF_OK;
        }
        tree_node_child(node, index, &child, &entries);
        *sum += entries;
        return builder_add_child(builder, span, &child, entries) == HIF_OK;
}

/* Calls every accessor for every index, holds their answers against each other, and encodes what it
 * read again: there is one encoding, but that a hostile leaf may name one pack twice. */
static inline enum node_read read_all_of_node(struct span bytes)
{
        struct node_builder builder = {0};
        struct tree_node node;
        struct hif_hash hash;
        uint64_t sum = 0;
        bool fine = true;

        if (tree_node_check(bytes) != HIF_OK)
                return NODE_REFUSED;
        tree_node_open(bytes, &node);
        builder.level = node.level;
        for (uint32_t i = 0; fine && i < node.count; i++)
                fine = read_node_item(&node, i, &sum, &builder);
        fine = fine && tree_node_entries(&node) == sum &&
               builder_encode(&builder, &hash) == HIF_OK &&
               (builder.bytes.size < bytes.size || span_eq(buf_span(&builder.bytes), bytes));
        builder_free(&builder);
        return fine ? NODE_READ : NODE_BROKEN;
}

#endif
