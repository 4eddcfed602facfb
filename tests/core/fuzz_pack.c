/* fuzz_pack.c - the entries of an accepted index lie within the pack, one after the other. */
#include "core/body.h"
#include "tests/core/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO_ARENA struct arena arena = {0};
        struct pack_entry *entries;
        uint64_t end = 0;
        uint32_t count;

        if (pack_index(span_of(data, size), &arena, &entries, &count) != HIF_OK)
                return 0;
        FUZZ_CHECK(count > 0);
        for (uint32_t i = 0; i < count; i++) {
                FUZZ_CHECK(entries[i].size > 0 && entries[i].offset >= end);
                FUZZ_CHECK(entries[i].content_size <= BODY_PACK_BLOB_MAX);
                end = (uint64_t)entries[i].offset + entries[i].size;
        }
        FUZZ_CHECK(end < size);
        return 0;
}
