/* damage.c - see damage.h. */
#include "overlay/damage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void damage_add(struct damage *damage, const char *format, ...)
{
        struct hif_why text;
        va_list args;

        va_start(args, format);
        vsnprintf(text.text, sizeof(text.text), format, args);
        va_end(args);
        /* Out of memory: it still counts. */
        if (damage->count < OVERLAY_DAMAGE_MAX)
                damage->texts[damage->count] = strdup(text.text);
        damage->count++;
}

void damage_free(struct damage *damage)
{
        for (size_t i = 0; i < OVERLAY_DAMAGE_MAX; i++)
                free(damage->texts[i]);
        *damage = (struct damage){0};
}
