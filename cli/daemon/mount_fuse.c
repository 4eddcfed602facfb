/* mount_fuse.c - mounting and unmounting FUSE through the supervisor, and either kind's end. */
#include "cli/daemon/mount_fuse.h"

#include "cli/daemon/workspace_impl.h"
#include "cli/supervisor/helper.h"

#include <assert.h>
#include <string.h>

#define NAME_START "hif:" /* of what mount(8) shows */

static enum hif_err mount_through(void *arg, const struct fuse_server_config *config, int *fd,
                                  struct hif_why *why)
{
        struct workspace *workspace = arg;
        const struct help_request request = {.op = HELP_MOUNT_FUSE,
                                             .allow_other = config->allow_other,
                                             .read_only = config->read_only,
                                             .mount_point = config->mount_point,
                                             .name = config->name + strlen(NAME_START)};

        assert(strncmp(config->name, NAME_START, strlen(NAME_START)) == 0);
        return help_mount(workspace->daemon->hold, &request, fd, &workspace->mount_end, why);
}

/* It may have moved since it was mounted there. */
static bool unmount_through(void *arg, const char *mount_point, bool detach)
{
        const struct workspace *workspace = arg;
        struct hif_why ignored;

        (void)mount_point;
        return unmount(workspace->daemon, workspace->mount_point,
                       detach ? HELP_DETACH : HELP_UNMOUNT, &ignored) == HIF_OK;
}

void mounter_init(struct workspace *workspace)
{
        workspace->mounter = (struct fuse_mounter){mount_through, unmount_through, workspace};
        workspace->mount_end = -1;
}

enum hif_err mount_keep(struct workspace *workspace)
{
        enum hif_err err = workspace->mount_end >= 0 ? help_keep(workspace->mount_end) : HIF_OK;

        workspace->mount_end = -1;
        return err;
}

enum hif_err unmount(const struct daemon *daemon, const char *mount_point, int how,
                     struct hif_why *why)
{
        struct help_request request = {.op = (enum help_op)how, .mount_point = mount_point};
        enum hif_err err = help_ask(daemon->hold, &request, NULL, why);

        /* Forcing hangs where the server's last answer does: it is left to itself then. */
        if (err == HIF_ETIMEDOUT && request.op == HELP_UNMOUNT_FORCE) {
                request.op = HELP_DETACH;
                err = help_ask(daemon->hold, &request, NULL, why);
        }
        return err;
}
