/* mount_nfs.h - mounts of the kernel's NFS client. */
#ifndef HIF_CLI_DAEMON_MOUNT_NFS_H
#define HIF_CLI_DAEMON_MOUNT_NFS_H

#include "cli/daemon/frame.h"
#include "nfs/server.h"

bool mount_nfs_available(const struct daemon *daemon,
                         struct hif_why *why); /* why not, when false */
HIF_MUST_USE enum hif_err mount_nfs(struct workspace *workspace, struct hif_why *why);
void export_path_of(const struct workspace *workspace, char out[NFS_EXPORT_MAX]);
/* What the kernel's list of mounts calls it: no other mount is called so. */
#define NFS_SOURCE_MAX (NFS_EXPORT_MAX + 16)
void nfs_source_of(const struct workspace *workspace, char out[NFS_SOURCE_MAX]);
/* Does the kernel have this workspace's mount, wherever? True where that cannot be told. */
bool mount_nfs_is_there(const struct workspace *workspace);

#endif
