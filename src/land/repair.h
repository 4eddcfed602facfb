/* repair.h - a position that mends the tree of the one before it.
 *
 * A repair slot lands no session. It takes locations away that lead nowhere, so that contents are
 * read by their own names; and, only when someone asks for that, leaves out files whose contents
 * are lost. It is created as every slot is: under the condition that its position is free. */
#ifndef HIF_LAND_REPAIR_H
#define HIF_LAND_REPAIR_H

#include "land/project.h"

struct repair_edit {
        struct span path;
        struct span key;      /* of the path */
        struct hif_hash hash; /* what the entry's content was when this was decided */
        bool remove;          /* leave the file out; otherwise only its location */
};

struct repair {
        const struct repair_edit *edits; /* ascending by key */
        size_t count;
        const struct slot_object *objects; /* stored for this: what locations led to before */
        uint32_t object_count;
        struct span author, goal;
};

struct repair_result {
        uint64_t position;
        uint64_t changed; /* entries */
};

/* Entries that have other contents by now are left alone. HIF_ENOTHING: none is left to change, and
 * there are no objects to list. HIF_EUNKNOWN: it may still arrive; doing it again does no harm.
 * HIF_ELIMIT: others landed first, every time. */
HIF_MUST_USE enum hif_err land_repair(const struct project *project, const struct repair *repair,
                                      struct repair_result *out, struct hif_why *why);

#endif
