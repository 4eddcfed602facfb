/* front_fuse.c - the way in through FUSE, and how a mount passes from server to server: the
 * supervisor holds its descriptor, what was agreed on with the kernel, and the list of requests. */
#include "cli/daemon/front_fuse.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/daemon/call.h"
#include "cli/daemon/mount_fuse.h"
#include "cli/daemon/tie.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/supervisor/helper.h"
#include "cli/supervisor/hold.h"

#include <stdio.h>
#include <unistd.h>

#define HELD_NAME_MAX 512

/* "fuse": /dev/fuse, with the handshake; "fuse-inflight": fuse/ledger.h. */
static void held_name(const struct workspace *workspace, const char *what, char out[HELD_NAME_MAX])
{
        snprintf(out, HELD_NAME_MAX, "%s:%s/%s", what, workspace->project_name,
                 workspace->session_name);
}

static void drop_held(struct workspace *workspace)
{
        char name[HELD_NAME_MAX];

        held_name(workspace, "fuse", name);
        (void)!hold_drop(workspace->daemon->hold, name); /* they need not be there */
        held_name(workspace, "fuse-inflight", name);
        (void)!hold_drop(workspace->daemon->hold, name);
}

static bool take_held(struct workspace *workspace, struct fuse_kept *out)
{
        struct hold *hold = workspace->daemon->hold;
        struct fuse_kept kept = {.ledger_fd = -1};
        char name[HELD_NAME_MAX];

        held_name(workspace, "fuse", name);
        if (hold_take(hold, name, &kept.fd, &kept.note) != HIF_OK)
                return false;
        held_name(workspace, "fuse-inflight", name);
        if (hold_take(hold, name, &kept.ledger_fd, NULL) != HIF_OK) {
                close(kept.fd);
                buf_free(&kept.note);
                return false;
        }
        *out = kept;
        return true;
}

struct serving {
        struct workspace *workspace;
        const struct fuse_kept *kept; /* NULL: mount */
        struct fuse_kept keep;
        enum hif_err err, keep_err;
        struct hif_why *why;
};

/* The list comes first: without it the descriptor is of no use. */
static void put_held(struct workspace *workspace, struct serving *serving)
{
        struct hold *hold = workspace->daemon->hold;
        enum hif_err err = serving->keep_err;
        char name[HELD_NAME_MAX];

        held_name(workspace, "fuse-inflight", name);
        if (err == HIF_OK)
                err = hold_put(hold, name, serving->keep.ledger_fd, (struct span){0});
        held_name(workspace, "fuse", name);
        if (err == HIF_OK)
                err = hold_put(hold, name, serving->keep.fd, buf_span(&serving->keep.note));
        buf_free(&serving->keep.note);
        if (err != HIF_OK)
                log_line(workspace->daemon->cli->env.log, LOG_WARN, "daemon",
                         "the mount at '%s' cannot be held: %s; when the server dies, programs in "
                         "it lose it",
                         workspace->mount_point, hif_strerror(err));
}

static void unmounted(void *arg)
{
        struct workspace *workspace = arg;

        workspace->mounted = false;
}

static void serve(void *arg)
{
        struct serving *serving = arg;
        struct workspace *workspace = serving->workspace;
        AUTO_FREE char *name = NULL;
        struct fuse_server_config config = {.mounter = &workspace->mounter,
                                            .mount_point = workspace->mount_point,
                                            .allow_other = workspace->allow_other,
                                            .read_only = workspace->read_only};

        if (asprintf(&name, "hif:%s", workspace->project_name) < 0) {
                serving->err = HIF_ENOMEM;
                return;
        }
        config.name = name;
        if (serving->kept != NULL)
                serving->err = fuse_server_resume(workspace->vfs, &config, serving->kept,
                                                  &workspace->fuse, serving->why);
        else
                serving->err =
                    fuse_server_new(workspace->vfs, &config, &workspace->fuse, serving->why);
        if (serving->err != HIF_OK)
                return;
        serving->keep_err = fuse_server_kept(workspace->fuse, &serving->keep);
        fuse_server_on_unmount(workspace->fuse, unmounted, workspace);
}

/* False: there is nothing to follow, or it can not be followed, and the log says why. */
static bool follow(struct workspace *workspace)
{
        struct hif_why why = {0};
        struct fuse_kept kept;
        struct serving serving = {.workspace = workspace, .kept = &kept, .why = &why};

        if (!take_held(workspace, &kept)) {
                why_set(&why, HIF_ENOENT, "no supervisor has kept it");
        } else {
                loop_call(workspace->loop, serve, &serving);
                buf_free(&kept.note);
                if (serving.err == HIF_OK) {
                        buf_free(&serving.keep.note); /* it is held already */
                        return true;
                }
        }
        log_line(workspace->daemon->cli->env.log, LOG_WARN, "daemon",
                 "'%s' is mounted anew (%s): programs that were in it have lost it",
                 workspace->mount_point, why.text);
        drop_held(workspace);
        return false;
}

enum hif_err front_fuse_start(struct workspace *workspace, bool resume, struct hif_why *why)
{
        struct serving serving = {.workspace = workspace, .why = why};
        enum hif_err err = HIF_OK;

        if (resume && follow(workspace))
                return HIF_OK;
        workspace->device = 0; /* of the mount that is gone */
        if (resume)
                err = unmount(workspace->daemon, workspace->mount_point, HELP_UNMOUNT_FORCE, why);
        if (err != HIF_OK)
                return err;
        loop_call(workspace->loop, serve, &serving);
        if (serving.err == HIF_OK)
                put_held(workspace, &serving);
        return serving.err;
}

static void stop_serving(void *arg)
{
        struct workspace *workspace = arg;

        fuse_server_free(workspace->fuse);
        workspace->fuse = NULL;
}

static void leave(void *arg)
{
        struct workspace *workspace = arg;

        fuse_server_leave(workspace->fuse);
        workspace->fuse = NULL;
}

void front_fuse_stop(struct workspace *workspace)
{
        struct daemon *daemon = workspace->daemon;

        if (workspace->fuse == NULL)
                return;
        if (workspace->mounted && !daemon->ending && !tie_is_orphan(daemon->tie)) {
                loop_call(workspace->loop, leave, workspace);
                return;
        }
        loop_call(workspace->loop, stop_serving, workspace);
        drop_held(workspace);
}
