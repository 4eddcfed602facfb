/* front.c - the way in: the kernel's NFS client where there is one and we may mount, else FUSE. */
#include "cli/daemon/front.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/daemon/call.h"
#include "cli/daemon/front_fuse.h"
#include "cli/daemon/ghost.h"
#include "cli/daemon/mount_fuse.h"
#include "cli/daemon/mount_nfs.h"
#include "cli/daemon/netns.h"
#include "cli/daemon/peer.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/daemon/workspace_place.h"
#include "cli/mounts.h"
#include "cli/supervisor/helper.h"
#include "cli/supervisor/hold.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A listening socket on loopback: the port that handles and mounts know, or any (0). */
static enum hif_err listen_on(struct workspace *workspace, uint16_t port, int *out,
                              struct hif_why *why)
{
        enum hif_err err;

        if (workspace->isolated)
                return netns_open(workspace->daemon, HELP_LISTEN, port, out, why);
        err = helper_listen(port, out);
        return err == HIF_OK ? HIF_OK
                             : why_set(why, err, "port %u on loopback could not be opened: %s",
                                       port, hif_strerror(err));
}

static bool port_of(int fd, uint16_t *out)
{
        struct sockaddr_in address;
        socklen_t size = sizeof(address);

        if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
                return false;
        *out = ntohs(address.sin_port);
        return true;
}

/* --- NFS: the port stays ours while there is no server --- */

#define HELD_NAME_MAX 512

/* "nfs-listen": the socket; "nfs-peers": where its peers are looked up. */
static void held_name(const struct workspace *workspace, const char *what, char out[HELD_NAME_MAX])
{
        snprintf(out, HELD_NAME_MAX, "%s:%s/%s", what, workspace->project_name,
                 workspace->session_name);
}

static bool take_held(const struct workspace *workspace, const char *what, int *out)
{
        char name[HELD_NAME_MAX];

        held_name(workspace, what, name);
        return hold_take(workspace->daemon->hold, name, out, NULL) == HIF_OK;
}

static void put_held(const struct workspace *workspace, const char *what, int fd)
{
        char name[HELD_NAME_MAX];
        enum hif_err err;

        held_name(workspace, what, name);
        err = hold_put(workspace->daemon->hold, name, fd, (struct span){0});
        if (err != HIF_OK)
                log_line(workspace->daemon->cli->env.log, LOG_WARN, "daemon",
                         "the port of '%s' cannot be held: %s; when the server dies, programs in "
                         "it wait some seconds longer",
                         workspace->mount_point, hif_strerror(err));
}

static void drop_held(const struct workspace *workspace)
{
        char name[HELD_NAME_MAX];

        held_name(workspace, "nfs-listen", name);
        (void)!hold_drop(workspace->daemon->hold, name); /* they need not be there */
        held_name(workspace, "nfs-peers", name);
        (void)!hold_drop(workspace->daemon->hold, name);
}

/* What the last server listened on, if it is at the port that the mount knows; else anew, there or,
 * when nothing is mounted yet, anywhere. */
static enum hif_err find_listener(struct workspace *workspace, bool there, int *out,
                                  struct hif_why *why)
{
        uint16_t port;
        enum hif_err err;

        if (there && take_held(workspace, "nfs-listen", out)) {
                if (port_of(*out, &port) && port == workspace->port)
                        return HIF_OK;
                close(*out);
        }
        err = listen_on(workspace, there ? workspace->port : 0, out, why);
        if (err != HIF_OK)
                return err;
        if (!port_of(*out, &workspace->port)) {
                close(*out);
                return HIF_EIO;
        }
        put_held(workspace, "nfs-listen", *out);
        return HIF_OK;
}

static enum hif_err find_peers(struct workspace *workspace, bool there, struct hif_why *why)
{
        enum hif_err err;

        if (!workspace->isolated) {
                err = peer_table(&workspace->peers);
                return err == HIF_OK
                           ? HIF_OK
                           : why_set(why, err, "the table of sockets in /proc cannot be read: %s",
                                     hif_strerror(err));
        }
        if (there && take_held(workspace, "nfs-peers", &workspace->peers))
                return HIF_OK;
        err = netns_open(workspace->daemon, HELP_PEERS, 0, &workspace->peers, why);
        if (err == HIF_OK)
                put_held(workspace, "nfs-peers", workspace->peers);
        return err;
}

struct serving {
        struct workspace *workspace;
        int fd;
        char export_path[NFS_EXPORT_MAX];
        enum hif_err err;
        struct hif_why *why;
};

static void serve_nfs(void *arg)
{
        struct serving *serving = arg;
        struct workspace *workspace = serving->workspace;
        struct nfs_server_config config = {.export_path = serving->export_path,
                                           .workspace_id = be64_get(workspace->key + 16),
                                           .admit = peer_admitted,
                                           .admit_arg = &workspace->peers};

        memcpy(config.handle_key, workspace->key, sizeof(config.handle_key));
        serving->err = nfs_server_new(workspace->vfs, serving->fd, &config, &workspace->nfs);
}

static void sweep(void *arg)
{
        struct serving *serving = arg;

        serving->err = vfs_sweep_left(serving->workspace->vfs);
}

/* Nobody has it mounted: what an earlier client left goes. */
static void sweep_left(struct workspace *workspace)
{
        struct serving serving = {.workspace = workspace};

        loop_call(workspace->loop, sweep, &serving);
        if (serving.err != HIF_OK)
                log_line(workspace->daemon->cli->env.log, LOG_WARN, "daemon",
                         "'.nfs*' files that an earlier mount of '%s' left stay: %s",
                         workspace->mount_point, hif_strerror(serving.err));
}

/* Into the namespace, where there can be one. Where not, the port lies open to this machine, and
 * that is said; a mount that is in there already has to be served there. */
static enum hif_err enter_netns(struct workspace *workspace, bool there, char **note,
                                struct hif_why *why)
{
        struct hif_why reason = {.text =
                                     "--no-netns, or `netns = off` in the config file, says so"};
        struct log *log = workspace->daemon->cli->env.log;
        const char *isolated = "in a network namespace of its own";
        AUTO_FREE char *before = NULL;
        enum hif_err err = HIF_ENOTSUP;

        if (workspace->isolated)
                err = netns_enter(workspace->daemon, there, &reason);
        if (err != HIF_OK && workspace->isolated && there)
                return why_set(why, err, "'%s' is mounted in a network namespace that is gone: %s",
                               workspace->mount_point, reason.text);
        workspace->entered = err == HIF_OK;
        workspace->isolated = err == HIF_OK;
        if (err != HIF_OK)
                log_line(
                    log, LOG_WARN, "daemon",
                    "the port of '%s' is in no network namespace of its own, because %s: local "
                    "users can connect to it, and are refused",
                    workspace->mount_point, reason.text);
        if (note == NULL)
                return HIF_OK;
        before = *note;
        if (err == HIF_OK
                ? asprintf(note, "%s, %s", before, isolated) < 0
                : asprintf(note, "%s, but not %s, because %s", before, isolated, reason.text) < 0)
                *note = NULL;
        return *note != NULL ? HIF_OK : HIF_ENOMEM;
}

static enum hif_err start_nfs(struct workspace *workspace, bool resume, char **note,
                              struct hif_why *why)
{
        struct serving serving = {.workspace = workspace};
        /* After a reboot, or an umount(8) while no daemon ran, there is nothing to come back to. */
        bool there = resume && mount_nfs_is_there(workspace);
        enum hif_err err = enter_netns(workspace, there, note, why);

        if (!there)
                workspace->device = 0; /* of the mount that is gone */
        if (err == HIF_OK)
                err = find_peers(workspace, there, why);
        if (err == HIF_OK && resume && !there)
                sweep_left(workspace);
        if (err == HIF_OK)
                err = find_listener(workspace, there, &serving.fd, why);
        if (err != HIF_OK)
                return err;
        export_path_of(workspace, serving.export_path);
        loop_call(workspace->loop, serve_nfs, &serving);
        if (serving.err != HIF_OK) {
                close(serving.fd);
                return serving.err;
        }
        return there ? HIF_OK : mount_nfs(workspace, why);
}

/* Decide, and say why. */
static enum hif_err choose(struct workspace *workspace, char **note, struct hif_why *why)
{
        struct hif_why reason = {.text = "as asked for"};
        bool nfs = mount_nfs_available(workspace->daemon, &reason);

        if (workspace->front == FRONT_NFS && !nfs)
                return why_set(why, HIF_ENOTSUP,
                               "NFS was asked for, but %s; leave --nfs out to mount through FUSE",
                               reason.text);
        if (workspace->front != FRONT_AUTO) {
                if (asprintf(note, "through %s, as asked for",
                             workspace->front == FRONT_NFS ? "NFS" : "FUSE") < 0)
                        return HIF_ENOMEM;
                return HIF_OK;
        }
        workspace->front = nfs ? FRONT_NFS : FRONT_FUSE;
        if (asprintf(note, nfs ? "through the kernel's NFS client%s" : "through FUSE, because %s",
                     nfs ? "" : reason.text) < 0)
                return HIF_ENOMEM;
        return HIF_OK;
}

enum hif_err front_start(struct workspace *workspace, bool resume, char **note, struct hif_why *why)
{
        enum hif_err err = resume ? HIF_OK : choose(workspace, note, why);

        if (err == HIF_OK && !resume)
                sweep_left(workspace);
        if (err == HIF_OK)
                err = workspace->front == FRONT_NFS ? start_nfs(workspace, resume, note, why)
                                                    : front_fuse_start(workspace, resume, why);
        if (err != HIF_OK)
                return err;
        /* One that a server before this had mounted may have moved since. Unknown at worst: what has
         * moved is not found then. */
        if (!resume || workspace->device == 0)
                if (mounts_device(&workspace->daemon->cli->env, workspace->mount_point,
                                  &workspace->device) != HIF_OK)
                        workspace->device = 0;
        workspace->mounted = true;
        return HIF_OK;
}

/* A directory above the mount point was renamed: to call it unmounted would leave a dead mount. */
enum hif_err front_not_moved(struct workspace *workspace, struct hif_why *why)
{
        AUTO_FREE char *now = NULL;
        enum hif_err err = workspace_moved(workspace, &now);

        if (err != HIF_OK)
                return why_set(why, err, "the kernel's list of mounts could not be read: %s",
                               hif_strerror(err));
        return now == NULL ? HIF_OK
                           : why_set(why, HIF_EBUSY,
                                     "what was mounted at '%s' is at '%s' now, because a directory "
                                     "was renamed; `hif unmount %s` takes it away",
                                     workspace->mount_point, now, now);
}

/* *busy: programs may go on using it, out of sight. */
static enum hif_err unmount_here(struct workspace *workspace, bool force, bool *busy,
                                 struct hif_why *why)
{
        struct daemon *daemon = workspace->daemon;
        struct hif_why refused = {0};

        *busy =
            !workspace_is_mounted(workspace); /* someone else did it, and maybe with umount -l */
        if (*busy || (workspace->front == FRONT_FUSE && force))
                return HIF_OK;
        if (!force)
                return unmount(daemon, workspace->mount_point, HELP_UNMOUNT, why);
        *busy = unmount(daemon, workspace->mount_point, HELP_UNMOUNT, &refused) != HIF_OK;
        return *busy ? unmount(daemon, workspace->mount_point, HELP_UNMOUNT_FORCE, why) : HIF_OK;
}

enum hif_err front_unmount(struct workspace *workspace, bool force, struct hif_why *why)
{
        bool was_mounted = workspace->mounted, busy = false;
        enum hif_err err = unmount_here(workspace, force, &busy, why);

        if (err == HIF_OK)
                workspace->mounted = false;
        if (err == HIF_OK && workspace->front == FRONT_NFS && was_mounted && busy &&
            workspace->ghost < 0 && !take_held(workspace, "nfs-listen", &workspace->ghost))
                workspace->ghost = -1;
        if (err == HIF_OK && workspace->front == FRONT_NFS)
                drop_held(workspace);
        return err;
}

static void stop_nfs(void *arg)
{
        struct workspace *workspace = arg;

        nfs_server_free(workspace->nfs);
        workspace->nfs = NULL;
}

/* What was taken away while it was in use gets errors from now on, and not silence. */
static void leave_ghost(struct workspace *workspace)
{
        int fd = workspace->ghost, peers = workspace->peers;
        enum hif_err err;

        workspace->ghost = workspace->peers = -1;
        err = ghost_start(workspace->daemon, fd, peers);
        if (err != HIF_OK)
                log_line(workspace->daemon->cli->env.log, LOG_WARN, "daemon",
                         "programs that still use what was mounted at '%s' may hang: %s; end them",
                         workspace->mount_point, hif_strerror(err));
}

void front_stop(struct workspace *workspace)
{
        loop_call(workspace->loop, stop_nfs, workspace);
        front_fuse_stop(workspace);
        if (workspace->ghost >= 0)
                leave_ghost(workspace);
        if (workspace->peers >= 0)
                close(workspace->peers);
        /* What stays mounted is served there by the next daemon, or by this one if it could not now. */
        if (workspace->entered)
                netns_leave(workspace->daemon, workspace->mounted || mount_nfs_is_there(workspace));
        workspace->entered = false;
        workspace->peers = -1;
}
