/* fuzz_format.c - format and head: what is accepted comes back to the same bytes. */
#include "core/landing.h"
#include "tests/core/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO_BUF struct buf again = {0};
        struct project_format format;
        struct head head;

        if (format_get(span_of(data, size), &format) == HIF_OK) {
                format_put(&again, &format);
                FUZZ_CHECK(span_eq(buf_span(&again), span_of(data, size)));
        }
        buf_reset(&again);
        if (head_get(span_of(data, size), &head) == HIF_OK) {
                head_put(&again, &head);
                FUZZ_CHECK(span_eq(buf_span(&again), span_of(data, size)));
        }
        return 0;
}
