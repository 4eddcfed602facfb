/* fuzz_proposal.c - what proposal_get accepts comes back to the same bytes, or fewer by the fields
 * that we do not know; LIST objects of changes to the same bytes. */
#include "core/landing_check.h"
#include "core/proposal.h"
#include "tests/core/fuzz_target.h"

static void fuzz_proposal(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf again = {0};
        struct proposal proposal;

        if (proposal_get(stored, &arena, &proposal) != HIF_OK)
                return;
        FUZZ_CHECK(proposal_put(&again, &proposal) == HIF_OK);
        FUZZ_CHECK(again.size <= stored.size);
        FUZZ_CHECK(again.size < stored.size || span_eq(buf_span(&again), stored));
}

/* With a checksum that matches: no mutation would get past it otherwise. */
static void fuzz_sealed(struct span stored)
{
        AUTO_BUF struct buf sealed = {0};

        if (stored.size <= LANDING_CHECK_SIZE)
                return;
        buf_put(&sealed, stored.data, stored.size - LANDING_CHECK_SIZE);
        landing_check_put(&sealed, 0);
        fuzz_proposal(buf_span(&sealed));
}

static void fuzz_changes(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf again = {0};
        struct proposal_change *changes;
        uint32_t count;

        if (proposal_changes_get(stored, &arena, &changes, &count) != HIF_OK)
                return;
        proposal_changes_put(&again, changes, count);
        FUZZ_CHECK(span_eq(buf_span(&again), stored));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_proposal(span_of(data, size));
        fuzz_sealed(span_of(data, size));
        fuzz_changes(span_of(data, size));
        return 0;
}
