/* fuzz_hash_index.c - no head and no block lead out of the bytes. */
#include "core/hash_index.h"
#include "core/landing_check.h"
#include "tests/core/fuzz_target.h"

static void fuzz_stored(struct span stored)
{
        struct hash_index index;

        if (hash_index_open(stored, 20000, &index) != HIF_OK)
                return;
        for (uint32_t block = 0; block < index.block_count; block++) {
                uint64_t offset;
                uint32_t size, count, at;
                struct span bytes;

                hash_index_block_at(&index, block, &offset, &size);
                FUZZ_CHECK(offset >= index.head_size && size > 0);
                if (offset + size > stored.size)
                        return;
                bytes = span_of(stored.data + offset, size);
                if (hash_index_block(&index, block, bytes, &count) != HIF_OK)
                        continue;
                for (uint32_t i = 0; i < count; i++) {
                        struct hash_item item;

                        hash_index_item(bytes, i, &item);
                        FUZZ_CHECK(item.pack < index.pack_count);
                        (void)hash_index_block_of(&index, item.prefix, &at);
                }
        }
}

/* With checks that match. */
static void fuzz_sealed(struct span stored)
{
        AUTO_BUF struct buf sealed = {0}, head = {0};
        uint32_t head_size, block = 1024 * HASH_INDEX_ITEM_SIZE;

        if (hash_index_head_size(stored, &head_size) != HIF_OK || stored.size < head_size)
                return;
        buf_put_span(&sealed, stored);
        if (buf_failed(&sealed))
                return;
        for (size_t at = HASH_INDEX_HEAD_FIXED, from = head_size;
             at + 16 + LANDING_CHECK_SIZE <= head_size; at += 16, from += block) {
                uint32_t items = be32_get(sealed.data + 88) -
                                 (uint32_t)((at - HASH_INDEX_HEAD_FIXED) / 16) * 1024;
                size_t size = items < 1024 ? items * HASH_INDEX_ITEM_SIZE : block;
                struct hif_hash hash;

                if (from + size > sealed.size)
                        break;
                hash = hash_of(HASH_BLOB, span_of(sealed.data + from, size));
                memcpy(sealed.data + at + 8, hash.bytes, 8);
        }
        buf_put(&head, sealed.data, head_size - LANDING_CHECK_SIZE);
        landing_check_put(&head, 0);
        if (buf_failed(&head))
                return;
        memcpy(sealed.data, head.data, head_size);
        fuzz_stored(buf_span(&sealed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_stored(span_of(data, size));
        fuzz_sealed(span_of(data, size));
        return 0;
}
