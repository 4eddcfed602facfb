/* fuzz_pack.c - the entries of an accepted index lie within the pack, one after the other. */
#include "core/body.h"
#include "tests/core/fuzz_target.h"

static void fuzz_tail(struct span tail)
{
        AUTO_ARENA struct arena arena = {0};
        struct pack_entry *entries;
        uint32_t count;

        uint64_t pack_size;

        if (tail.size < 8)
                return;
        pack_size = be32_get(tail.data + tail.size - 8) + pack_index_size(tail);
        if (pack_index_of_tail(tail, pack_size, &arena, &entries, &count) == HIF_OK)
                FUZZ_CHECK(count > 0 && pack_index_size(tail) <= tail.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO_ARENA struct arena arena = {0};
        struct pack_entry *entries, *again;
        uint64_t end = 0;
        uint32_t count, count_again;

        fuzz_tail(span_of(data, size));
        if (pack_index(span_of(data, size), &arena, &entries, &count) != HIF_OK)
                return 0;
        FUZZ_CHECK(count > 0);
        FUZZ_CHECK(pack_index_of_tail(span_of(data, size), size, &arena, &again, &count_again) ==
                   HIF_OK);
        FUZZ_CHECK(count_again == count);
        for (uint32_t i = 0; i < count; i++) {
                FUZZ_CHECK(entries[i].size > 0 && entries[i].offset >= end);
                FUZZ_CHECK(entries[i].content_size <= BODY_PACK_BLOB_MAX);
                end = (uint64_t)entries[i].offset + entries[i].size;
        }
        FUZZ_CHECK(end < size);
        return 0;
}
