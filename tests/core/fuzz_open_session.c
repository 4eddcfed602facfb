/* fuzz_open_session.c - what open_session_get accepts is the one encoding of its meaning. */
#include "core/landing_check.h"
#include "core/open_session.h"
#include "tests/core/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO_BUF struct buf checked = {0}, again = {0};
        struct open_session record;

        /* Nothing but a right check gets any further: put one behind the bytes. */
        buf_put(&checked, data, size);
        if (size > 0)
                landing_check_put(&checked, 0);
        FUZZ_CHECK(!buf_failed(&checked));
        if (open_session_get(span_of(data, size), &record) == HIF_OK)
                FUZZ_CHECK(record.revision > 0);
        if (open_session_get(buf_span(&checked), &record) != HIF_OK)
                return 0;
        FUZZ_CHECK(open_session_put(&again, &record) == HIF_OK);
        FUZZ_CHECK(span_eq(buf_span(&again), buf_span(&checked)));
        return 0;
}
