/* export_files.h - the files of an export, on the disk. */
#ifndef HIF_CLI_DAEMON_EXPORT_FILES_H
#define HIF_CLI_DAEMON_EXPORT_FILES_H

#include "base/buf.h"
#include "vfs/export.h"

struct export_files {
        int dir_fd; /* of DIR/files */
        const struct vfs_export *export;
        struct fetch_origin *origin; /* NULL: the store cannot be reached */
        uint64_t files, directories, symlinks, bytes;
        struct buf removed;   /* lines of the report: paths that the session removed */
        struct buf not_saved; /* and what could not be saved, and why */
        uint64_t removed_count, not_saved_count;
};

/* Write every item. What cannot be read is noted; what cannot be written is an error, with a
 * sentence. */
HIF_MUST_USE enum hif_err export_files_write(struct export_files *files, struct hif_why *why);
void export_files_free(struct export_files *files);

#endif
