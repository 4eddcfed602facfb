/* fuzz_target.h - what a fuzz target needs. */
#ifndef HIF_TESTS_CORE_FUZZ_TARGET_H
#define HIF_TESTS_CORE_FUZZ_TARGET_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Checked in every build. */
#define FUZZ_CHECK(condition)                                                                      \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

#endif
