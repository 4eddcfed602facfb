/* check.h - cmocka with what it needs, and checks of enum hif_err that name the error. */
#ifndef HIF_TESTS_BASE_CHECK_H
#define HIF_TESTS_BASE_CHECK_H

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define assert_err(call, expected) assert_string_equal(hif_err_name(call), hif_err_name(expected))
#define assert_ok(call)            assert_err(call, HIF_OK)

/* A seeded stream for randomised tests (xorshift64; seed and state are never 0). */
static inline uint64_t next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

#endif
