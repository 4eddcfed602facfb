/* mount_nfs.c - a mount of the kernel's own NFS client, which the supervisor makes. */
#include "cli/daemon/mount_nfs.h"

#include "cli/daemon/workspace_impl.h"
#include "cli/mounts.h"
#include "cli/supervisor/helper.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool mount_nfs_available(const struct daemon *daemon, struct hif_why *why)
{
        const struct help_request request = {.op = HELP_NFS_CLIENT};

        if (geteuid() != 0) {
                why_set(why, HIF_EPERM, "only root may mount NFS");
                return false;
        }
        return help_ask(daemon->hold, &request, NULL, why) == HIF_OK;
}

static const uint8_t *export_key(const struct workspace *workspace)
{
        return workspace->key + sizeof(workspace->key) - HELP_KEY_SIZE;
}

void export_path_of(const struct workspace *workspace, char out[NFS_EXPORT_MAX])
{
        char hex[2 * HELP_KEY_SIZE + 1];

        for (size_t i = 0; i < HELP_KEY_SIZE; i++)
                snprintf(hex + 2 * i, 3, "%02x", export_key(workspace)[i]);
        snprintf(out, NFS_EXPORT_MAX, "/s-%s", hex);
}

void nfs_source_of(const struct workspace *workspace, char out[NFS_SOURCE_MAX])
{
        char export_path[NFS_EXPORT_MAX];

        export_path_of(workspace, export_path);
        snprintf(out, NFS_SOURCE_MAX, "127.0.0.1:%s", export_path);
}

bool mount_nfs_is_there(const struct workspace *workspace)
{
        struct env *env = &workspace->daemon->cli->env;
        char source[NFS_SOURCE_MAX];
        AUTO_FREE char *moved = NULL;
        bool there;

        nfs_source_of(workspace, source);
        return mounts_hold(env, source, workspace->mount_point, &there) != HIF_OK || there ||
               mounts_moved(env, source, 0, workspace->mount_point, &moved) != HIF_OK ||
               moved != NULL;
}

enum hif_err mount_nfs(struct workspace *workspace, struct hif_why *why)
{
        struct help_request request = {.op = HELP_MOUNT_NFS,
                                       .read_only = workspace->read_only,
                                       .isolated = workspace->isolated,
                                       .port = workspace->port,
                                       .mount_point = workspace->mount_point};

        memcpy(request.key, export_key(workspace), HELP_KEY_SIZE);
        return help_mount(workspace->daemon->hold, &request, NULL, &workspace->mount_end, why);
}
