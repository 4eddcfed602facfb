/* hash_index.h - in which packs a content lies, by its hash.
 *
 * Entries say where their content lies; that is a hint, which a repacked project no longer keeps.
 * Derived (window.h) from the packs that the slots of a window list. Sorted by hash, in blocks, so
 * that a reader gets the head and the one block that it wants; then the names of the packs. */
#ifndef HIF_CORE_HASH_INDEX_H
#define HIF_CORE_HASH_INDEX_H

#include "base/arena.h"
#include "core/window.h"

#define HASH_INDEX_BLOCK_ITEMS 1024u
#define HASH_INDEX_ITEMS_MAX   (16u << 20)
#define HASH_INDEX_ITEM_SIZE   24u
#define HASH_INDEX_HEAD_FIXED  100u /* bytes that tell the size of the head */

struct hash_item {
        uint64_t prefix; /* the first bytes of the content's hash */
        uint32_t pack;   /* its number in the record */
        uint32_t offset, size;
        uint32_t content_size;
};

/* Append the stored bytes (drawn in hash_index.c). Sorts the items. HIF_ELIMIT: too many. */
HIF_MUST_USE enum hif_err hash_index_put(const struct window *window, struct hash_item *items,
                                         uint32_t count, const struct hif_hash *packs,
                                         uint32_t pack_count, struct buf *out);

/* A checked view of the head. */
struct hash_index {
        struct window window;
        uint32_t item_count, pack_count, block_count;
        struct span table;
        uint32_t head_size;
};

/* HIF_ECORRUPT: not the first HASH_INDEX_HEAD_FIXED bytes of a head. */
HIF_MUST_USE enum hif_err hash_index_head_size(struct span start, uint32_t *out);
HIF_MUST_USE enum hif_err hash_index_open(struct span head, uint64_t start, struct hash_index *out);
/* The first block that would have a hash; false: none. The next ones may go on with it. */
bool hash_index_block_of(const struct hash_index *index, uint64_t prefix, uint32_t *block);
void hash_index_block_at(const struct hash_index *index, uint32_t block, uint64_t *offset,
                         uint32_t *size);
/* Where the name of a pack lies. */
uint64_t hash_index_pack_at(const struct hash_index *index, uint32_t pack);
/* Item i of a block (< *count). HIF_ECORRUPT: the bytes are not what the head says. */
HIF_MUST_USE enum hif_err hash_index_block(const struct hash_index *index, uint32_t block,
                                           struct span bytes, uint32_t *count);
void hash_index_item(struct span block, uint32_t i, struct hash_item *out);

#endif
