/* damage.h - what is wrong with an overlay's files, as sentences for its user. */
#ifndef HIF_OVERLAY_DAMAGE_H
#define HIF_OVERLAY_DAMAGE_H

#include "overlay/overlay.h"

struct damage {
        char *texts[OVERLAY_DAMAGE_MAX];
        size_t count; /* of all */
};

void damage_add(struct damage *damage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void damage_free(struct damage *damage);

#endif
