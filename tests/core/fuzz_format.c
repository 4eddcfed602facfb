/* fuzz_format.c - format and head: what is accepted comes back to the same bytes. */
#include "core/landing.h"
#include "core/landing_check.h"
#include "tests/core/fuzz_target.h"

static void fuzz_format(struct span stored)
{
        AUTO_BUF struct buf again = {0};
        struct project_format format;

        if (format_get(stored, &format) != HIF_OK)
                return;
        format_put(&again, &format);
        FUZZ_CHECK(span_eq(buf_span(&again), stored));
}

/* With a checksum that matches: no mutation would get past it otherwise. */
static void fuzz_sealed_format(struct span stored)
{
        AUTO_BUF struct buf sealed = {0};

        if (stored.size <= LANDING_CHECK_SIZE)
                return;
        buf_put(&sealed, stored.data, stored.size - LANDING_CHECK_SIZE);
        landing_check_put(&sealed, 0);
        fuzz_format(buf_span(&sealed));
}

static void fuzz_head(struct span stored)
{
        AUTO_BUF struct buf again = {0};
        struct head head;

        if (head_get(stored, &head) != HIF_OK)
                return;
        head_put(&again, &head);
        FUZZ_CHECK(span_eq(buf_span(&again), stored));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_format(span_of(data, size));
        fuzz_sealed_format(span_of(data, size));
        fuzz_head(span_of(data, size));
        return 0;
}
