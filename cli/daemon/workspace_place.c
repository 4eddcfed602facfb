#include "cli/daemon/workspace_place.h"

#include "cli/daemon/mount_nfs.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/mounts.h"

bool workspace_is_mounted(struct workspace *workspace)
{
        if (workspace->mounted && workspace->front == FRONT_NFS && !mount_nfs_is_there(workspace))
                workspace->mounted = false;
        return workspace->mounted;
}

enum hif_err workspace_moved(struct workspace *workspace, char **now)
{
        bool nfs = workspace->front == FRONT_NFS;
        char source[NFS_SOURCE_MAX];

        *now = NULL;
        if (!nfs && (!workspace->mounted || workspace->device == 0))
                return HIF_OK; /* that number may be another mount's now */
        nfs_source_of(workspace, source);
        return mounts_moved(&workspace->daemon->cli->env, nfs ? source : NULL, workspace->device,
                            workspace->mount_point, now);
}
