/* hlc.c - see hlc.h. */
#include "core/hlc.h"

#define HLC_MS_MAX ((1ull << 48) - 1)

hlc_t hlc_next(hlc_t last, uint64_t now_ms)
{
        hlc_t now = (now_ms < HLC_MS_MAX ? now_ms : HLC_MS_MAX) << 16;

        if (now > last)
                return now;
        /* A stamp at the very end came from a hostile record: stay there, never wrap around. */
        return last < UINT64_MAX ? last + 1 : last;
}

hlc_t hlc_merge(hlc_t last, hlc_t seen, uint64_t now_ms)
{
        return hlc_next(last > seen ? last : seen, now_ms);
}
