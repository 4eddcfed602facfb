/* db_salvage.h - the folded rows that can be read out of a database that may be damaged. */
#ifndef HIF_OVERLAY_DB_SALVAGE_H
#define HIF_OVERLAY_DB_SALVAGE_H

#include "overlay/damage.h"
#include "overlay/rows.h"

struct db_salvaged {
        bool known; /* up to where it was folded; else there is no database that can be read */
        uint32_t generation;
        uint64_t seq;
        bool names_lost; /* directory entries may be missing */
};

/* Put every row of the database at `path` that can be read into rows; damage is told, and nothing
 * changes on the disk. HIF_ENOMEM; HIF_EUNSUPPORTED: of a newer version. */
HIF_MUST_USE enum hif_err db_salvage(struct env *env, const char *path, struct rows *rows,
                                     struct db_salvaged *out, struct damage *damage);

#endif
