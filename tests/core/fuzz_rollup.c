/* fuzz_rollup.c - no head and no block lead out of the bytes; items ascend, and each is found. */
#include "core/landing_check.h"
#include "core/rollup.h"
#include "tests/core/fuzz_target.h"

#define FIND_EVERY 1024 /* a search reads the block from its start */

static void fuzz_block(const struct rollup *rollup, uint32_t block, struct span bytes)
{
        struct rollup_items items;
        struct rollup_set found;
        uint64_t last = 0;

        if (rollup_items_open(rollup, block, bytes, &items) != HIF_OK)
                return;
        for (uint32_t i = 0; rollup_items_next(&items) == HIF_OK; i++) {
                FUZZ_CHECK(i == 0 || items.fingerprint > last);
                FUZZ_CHECK(items.set.bits[0] || items.set.bits[1]);
                last = items.fingerprint;
                if (i % FIND_EVERY != 0)
                        continue;
                FUZZ_CHECK(rollup_find(rollup, block, bytes, items.fingerprint, &found) == HIF_OK);
                FUZZ_CHECK(found.bits[0] == items.set.bits[0] &&
                           found.bits[1] == items.set.bits[1]);
        }
}

static void fuzz_stored(struct span stored, enum window_kind kind, uint64_t start)
{
        struct rollup rollup;

        if (rollup_open(stored, kind, start, &rollup) != HIF_OK)
                return;
        for (uint32_t block = 0; block < rollup.block_count; block++) {
                uint64_t offset;
                uint32_t size, number;

                rollup_block_at(&rollup, block, &offset, &size);
                FUZZ_CHECK(offset >= rollup.head_size && size > 0);
                (void)rollup_block_of(&rollup, offset, &number);
                if (offset + size <= stored.size)
                        fuzz_block(&rollup, block, span_of(stored.data + offset, size));
        }
}

/* With checks that match: of every block that lies in the bytes, then of the head. */
static void fuzz_sealed(struct span stored)
{
        AUTO_BUF struct buf sealed = {0}, head = {0};
        uint32_t head_size, start = 0;

        if (rollup_head_size(stored, &head_size) != HIF_OK || stored.size < head_size)
                return;
        buf_put_span(&sealed, stored);
        if (buf_failed(&sealed))
                return;
        for (size_t at = ROLLUP_HEAD_FIXED; at + 17 + LANDING_CHECK_SIZE <= head_size; at += 17) {
                uint32_t end = be32_get(sealed.data + at + 5);
                struct hif_hash hash;

                if (end <= start || head_size + (size_t)end > sealed.size)
                        break;
                hash = hash_of(HASH_BLOB, span_of(sealed.data + head_size + start, end - start));
                memcpy(sealed.data + at + 9, hash.bytes, 8);
                start = end;
        }
        buf_put(&head, sealed.data, head_size - LANDING_CHECK_SIZE);
        landing_check_put(&head, 0);
        if (buf_failed(&head))
                return;
        memcpy(sealed.data, head.data, head_size);
        fuzz_stored(buf_span(&sealed), WINDOW_LEVEL_2, 10000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_stored(span_of(data, size), WINDOW_LEVEL_2, 10000);
        fuzz_sealed(span_of(data, size));
        return 0;
}
