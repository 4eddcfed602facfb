/* hlc.h - hybrid logical clock: 48 bits of milliseconds, 16 bits of counter.
 * (Kulkarni et al., "Logical Physical Clocks", 2014.) For display and order hints: nothing correct
 * depends on it. */
#ifndef HIF_CORE_HLC_H
#define HIF_CORE_HLC_H

#include <stdint.h>

typedef uint64_t hlc_t;

static inline uint64_t hlc_ms(hlc_t hlc)
{
        return hlc >> 16;
}

/* The next stamp after `last` at physical time now_ms; the counter overflows into the
 * milliseconds. */
hlc_t hlc_next(hlc_t last, uint64_t now_ms);
/* The next stamp after both `last` and a stamp that was seen. */
hlc_t hlc_merge(hlc_t last, hlc_t seen, uint64_t now_ms);

#endif
