/* What is in the store and nothing names. It is told, and left alone: a landing under way has
 * stored its objects already, and its slot not yet. */
#include "check/internal.h"

#define ALL_KINDS_DETAIL 160

enum hif_err leftovers_check(struct check *c)
{
        static const char *const names[OBJECT_KINDS] = {"tree nodes", "blobs", "packs", "lists",
                                                        "sessions"};
        uint64_t counts[OBJECT_KINDS] = {0};
        struct check_finding finding = {.kind = CHECK_UNREFERENCED};
        struct check_finding unknown = {.kind = CHECK_UNKNOWN_KEY,
                                        .count = c->unknown_count,
                                        .bytes = c->unknown_bytes,
                                        .key = c->unknown[0]};
        char detail[ALL_KINDS_DETAIL] = "";
        size_t used = 0;

        report_progress(c, CHECK_STAGE_LEFTOVERS, 0, 1);
        if (c->unknown_count > 0)
                found(c, &unknown);
        if (!c->inventory.complete || c->options->from > 0 || c->report->not_checked > 0 ||
            c->slots_unread)
                return HIF_OK; /* who knows what names them */
        for (size_t i = 0; i < c->inventory.capacity; i++) {
                const struct object *object = &c->inventory.items[i];

                if (!object->used || !object->present || object->listed || object->reached)
                        continue;
                counts[object->kind]++;
                finding.count++;
                finding.bytes += object->size;
        }
        for (int kind = 0; kind < OBJECT_KINDS; kind++)
                if (counts[kind] > 0 && used < sizeof(detail))
                        used += (size_t)snprintf(detail + used, sizeof(detail) - used, "%s%llu %s",
                                                 used ? ", " : "", (unsigned long long)counts[kind],
                                                 names[kind]);
        finding.detail = detail;
        if (finding.count > 0)
                found(c, &finding);
        return HIF_OK;
}
