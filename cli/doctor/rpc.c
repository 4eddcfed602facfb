/* rpc.c - asking an NFS server of ours as a stranger would: through libtirpc (RFC 5531, RFC 1813). */
#include "cli/doctor/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <rpc/rpc.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NFS_PROGRAM   100003
#define MOUNT_PROGRAM 100005
#define VERSION       3
#define MNT           1
#define GETATTR       1
#define HANDLE_MAX    64
#define CALL_S        2

static bool_t nothing(XDR *xdr, void *arg)
{
        (void)xdr, (void)arg;
        return TRUE;
}

struct handle {
        char bytes[HANDLE_MAX];
        u_int size;
};

static bool_t get_handle(XDR *xdr, struct handle *handle)
{
        char *bytes = handle->bytes;

        return xdr_bytes(xdr, &bytes, &handle->size, HANDLE_MAX);
}

struct mounted {
        u_int status;
        struct handle handle;
};

/* mountres3; the flavours after the handle are left where they are. */
static bool_t get_mounted(XDR *xdr, struct mounted *mounted)
{
        return xdr_u_int(xdr, &mounted->status) &&
               (mounted->status != 0 || get_handle(xdr, &mounted->handle));
}

struct attributes {
        u_int status, type;
};

static bool_t get_attributes(XDR *xdr, struct attributes *attributes)
{
        return xdr_u_int(xdr, &attributes->status) &&
               (attributes->status != 0 || xdr_u_int(xdr, &attributes->type));
}

static CLIENT *connect_to(unsigned short port, rpcprog_t program)
{
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = RPC_ANYSOCK;
        CLIENT *client = clnttcp_create(&address, program, VERSION, &fd, 0, 0);

        if (client != NULL)
                client->cl_auth = authunix_create_default();
        return client;
}

static enum hif_err say(int out, const char *what, const char *reason)
{
        dprintf(out, "%s: %s", what, reason);
        return HIF_EIO;
}

static enum hif_err ask(CLIENT *mount, CLIENT *nfs, const struct doctor_export *export_, int out)
{
        const struct timeval patience = {.tv_sec = CALL_S};
        struct mounted mounted = {0};
        struct attributes attributes = {0};
        char *path = (char *)(uintptr_t)export_->path;
        enum clnt_stat stat;

        stat =
            clnt_call(nfs, NULLPROC, (xdrproc_t)nothing, NULL, (xdrproc_t)nothing, NULL, patience);
        if (stat != RPC_SUCCESS)
                return say(out, "NULL", clnt_sperrno(stat));
        stat = clnt_call(mount, MNT, (xdrproc_t)xdr_wrapstring, (caddr_t)&path,
                         (xdrproc_t)get_mounted, (caddr_t)&mounted, patience);
        if (stat != RPC_SUCCESS || mounted.status != 0)
                return say(out, "MNT",
                           stat != RPC_SUCCESS ? clnt_sperrno(stat) : "the export is refused");
        stat = clnt_call(nfs, GETATTR, (xdrproc_t)get_handle, (caddr_t)&mounted.handle,
                         (xdrproc_t)get_attributes, (caddr_t)&attributes, patience);
        if (stat != RPC_SUCCESS || attributes.status != 0)
                return say(out, "GETATTR",
                           stat != RPC_SUCCESS ? clnt_sperrno(stat) : "the root has no attributes");
        return attributes.type == 2 ? HIF_OK : say(out, "GETATTR", "the root is no directory");
}

/* The process ends in there. */
static bool enter(const char *netns)
{
        int fd = open(netns, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        bool inside = fd >= 0 && setns(fd, CLONE_NEWNET) == 0;

        if (fd >= 0)
                close(fd);
        return inside;
}

enum hif_err doctor_ask_nfs(void *export_, int out)
{
        const struct doctor_export *at = export_;
        CLIENT *nfs, *mount;

        if (at->netns[0] != '\0' && !enter(at->netns))
                return say(out, "entering its network namespace", strerror(errno));
        nfs = connect_to(at->port, NFS_PROGRAM);
        mount = nfs != NULL ? connect_to(at->port, MOUNT_PROGRAM) : NULL;

        /* The process ends with this: so do the connections. */
        if (mount == NULL)
                return say(out, "connecting", clnt_spcreateerror(""));
        return ask(mount, nfs, at, out);
}
