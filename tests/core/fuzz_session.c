/* fuzz_session.c - what session_get accepts is the one encoding of its meaning. */
#include "core/session.h"
#include "tests/core/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf again = {0};
        struct session session;

        if (session_get(span_of(data, size), &arena, &session) != HIF_OK)
                return 0;
        FUZZ_CHECK(session_put(&again, &session) == HIF_OK);
        FUZZ_CHECK(span_eq(buf_span(&again), span_of(data, size)));
        return 0;
}
