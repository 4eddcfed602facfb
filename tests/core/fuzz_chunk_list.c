/* fuzz_chunk_list.c - every entry of an accepted list can be reached, and found by its offsets. */
#include "core/body.h"
#include "tests/core/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct chunk_list list;
        uint64_t at = 0, start;

        if (chunk_list_open(span_of(data, size), &list) != HIF_OK)
                return 0;
        for (uint32_t i = 0; i < list.count; i++) {
                struct chunk chunk;

                chunk_list_at(&list, i, &chunk);
                FUZZ_CHECK(chunk.size > 0);
                FUZZ_CHECK(chunk_list_search(&list, at, &start) == i && start == at);
                at += chunk.size;
                FUZZ_CHECK(chunk_list_search(&list, at - 1, &start) == i);
        }
        FUZZ_CHECK(at == list.size);
        return 0;
}
