/* server.h - the NFS version 3 server of one workspace: RPC over TCP, MOUNT v3 and NFS v3 on one
 * port.
 *
 * RFC 1813 (NFS and MOUNT version 3), RFC 5531 (RPC: record marking §11, AUTH_SYS appendix A). No
 * rpcbind, no UDP, no NLM. A front end over vfs/: no rule of file systems is decided here, only how
 * calls and answers look on the wire.
 *
 * Lives on the loop that owns the workspace. Requests are parsed in place, run to completion or
 * parked, and all answers of a turn leave in one writev a connection. Everything is bounded:
 * connections, bytes a record, requests in flight, bytes of answers not yet taken by the client.
 * Any bytes may come at any time: they are answered or the connection is closed. */
#ifndef HIF_NFS_SERVER_H
#define HIF_NFS_SERVER_H

#include "vfs/vfs.h"

#define NFS_READ_MAX        (1u << 20) /* rtmax, wtmax */
#define NFS_READDIR_MAX     (1u << 20)
#define NFS_CONNECTIONS_MAX 64
#define NFS_EXPORT_MAX      128

struct nfs_server;

struct nfs_server_config {
        const char *export_path; /* "/s-<32 hex digits>": what MNT must ask for; copied */
        uint8_t handle_key[16];  /* secret of the workspace: handles carry a SipHash of it */
        uint64_t workspace_id;   /* in each handle: one of another workspace is BADHANDLE */
        /* May this peer talk to us? NULL: everyone may. addr: struct sockaddr of the peer; fd: the
         * accepted socket. Called once a connection, before anything is read. */
        bool (*admit)(void *arg, int fd);
        void *admit_arg;
};

struct nfs_stats {
        uint64_t connections, refused, requests, replies_cached, bad_records;
        uint64_t calls[22]; /* by NFS procedure */
        uint64_t errors;    /* answers that are not NFS3_OK */
        uint64_t bytes_in, bytes_out;
};

/* Serve on a listening socket (non-blocking, owned by the server from here on); -1: none, only what
 * is attached. */
HIF_MUST_USE enum hif_err nfs_server_new(struct vfs *vfs, int listen_fd,
                                         const struct nfs_server_config *config,
                                         struct nfs_server **out);
/* Closes all connections; requests in flight are not answered. Before vfs_close. */
void nfs_server_free(struct nfs_server *server);
struct nfs_stats nfs_server_stats(const struct nfs_server *server);

/* Serve a connected socket (non-blocking, owned by the server from here on), as if it had been
 * accepted: for socketpairs of tests. */
HIF_MUST_USE enum hif_err nfs_server_attach(struct nfs_server *server, int fd);

#endif
