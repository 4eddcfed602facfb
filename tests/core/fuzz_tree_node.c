/* fuzz_tree_node.c - any bytes are refused, or are a node that can be read all over. */
#include "tests/core/fuzz_target.h"
#include "tests/core/read_tree_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        FUZZ_CHECK(read_all_of_node(span_of(data, size)) != NODE_BROKEN);
        return 0;
}
