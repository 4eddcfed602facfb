/* data_files.h - the files under data.c: made, opened, synced, unlinked. Private to data*.c. */
#ifndef HIF_OVERLAY_DATA_FILES_H
#define HIF_OVERLAY_DATA_FILES_H

#include "overlay/data.h"

#include <limits.h>

HIF_MUST_USE enum hif_err dfile_path(const struct data *data, uint32_t number, char out[PATH_MAX]);
/* The number of a file of that name; false: none has it. */
bool dfile_number(const char *name, uint32_t *number);
/* A record of a file that is there; NULL when out of memory. The owner's. */
struct dfile *dfile_add(struct data *data, uint32_t number);
/* A new, empty file. */
HIF_MUST_USE enum hif_err dfile_make(struct data *data, bool sparse, struct dfile **out);
/* Open it if need be; it stays open until unpinned. */
HIF_MUST_USE enum hif_err dfile_pin(struct data *data, struct dfile *file);
HIF_MUST_USE enum hif_err dfile_pin_locked(struct data *data, struct dfile *file);
void dfile_unpin(struct data *data, struct dfile *file);
/* [from, to) was written. Not before: a sync that starts in between would clear the mark. */
void dfile_dirty(struct data *data, struct dfile *file, uint64_t from, uint64_t to);
void dfile_dirty_locked(struct data *data, struct dfile *file, uint64_t from, uint64_t to);
/* Open it, and make it if it is not there; as dfile_pin otherwise. */
HIF_MUST_USE enum hif_err dfile_pin_made(struct data *data, struct dfile *file);
/* Free the records of unlinked files. */
void dfile_drop_gone(struct data *data);

#endif
