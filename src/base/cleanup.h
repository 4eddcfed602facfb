/* cleanup.h - scope-bound release of locals, and handing ownership out of a scope. */
#ifndef HIF_BASE_CLEANUP_H
#define HIF_BASE_CLEANUP_H

#include <stdlib.h>

/* CLEANUP(fn) type var: fn(&var) runs when var goes out of scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Take the pointer out of a CLEANUP local and leave NULL behind. */
#define STEAL(ptr)                                                                                 \
        ({                                                                                         \
                __typeof__(ptr) stolen_ = (ptr);                                                   \
                (ptr) = NULL;                                                                      \
                stolen_;                                                                           \
        })

static inline void cleanup_free(void *ptr)
{
        free(*(void **)ptr);
}

#define AUTO_FREE CLEANUP(cleanup_free)

#endif
