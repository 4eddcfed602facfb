/* tclient.h - a client of the server in the same thread: calls as bytes, answers as bytes.
 *
 * Arguments are put into a struct buf, and results are read with a struct reader, field by field,
 * so that tests see the wire and not an interpretation of it. */
#ifndef HIF_TESTS_NFS_TCLIENT_H
#define HIF_TESTS_NFS_TCLIENT_H

#include "nfs/nfs3.h"
#include "vfs/tmount.h"

struct tclient {
        struct tmount *m;
        int fd;
        uint32_t xid, uid, gid;
        struct buf in; /* received, not yet taken */
};

/* One answer. */
struct treply {
        struct buf bytes; /* the record */
        bool closed;      /* none came: the server closed */
        bool none;        /* none came, and the connection is open */
        uint32_t xid;
        uint32_t reply_stat; /* 0 = accepted */
        uint32_t stat;       /* accept_stat, or reject_stat */
        struct reader rd;    /* what follows */
        uint32_t status;     /* nfsstat3: the first word of an NFS result */
};
void treply_free(struct treply *reply);
#define AUTO_REPLY CLEANUP(treply_free)

void tclient_open(struct tclient *c, struct tmount *m);
void tclient_close(struct tclient *c);

/* Raw bytes; and a record with its mark. */
void tclient_send_raw(struct tclient *c, const void *data, size_t size);
void tclient_send(struct tclient *c, struct span record);
/* The header of a call with AUTH_SYS, appended; its xid is returned. */
uint32_t tclient_header(struct tclient *c, struct buf *out, uint32_t prog, uint32_t proc);
void tclient_receive(struct tclient *c, struct treply *out);
/* An NFS call and its answer; *out is freed first. Results: out->status and out->rd behind it. */
void tclient_nfs(struct tclient *c, enum nfs_proc proc, const struct buf *args, struct treply *out);
void tclient_start(struct tclient *c, enum nfs_proc proc, const struct buf *args);

/* --- arguments --- */

void put_handle(struct buf *args, uint64_t id); /* of the fixture's workspace */
void put_string(struct buf *args, const char *text);
void put_opaque(struct buf *args, struct span bytes);
void put_place(struct buf *args, uint64_t dir, const char *name);
/* Any of mode and size; -1: leave as it is. */
void put_sattr(struct buf *args, int mode, int64_t size);

/* --- results --- */

struct tattr {
        bool have;
        uint32_t type, mode, nlink, uid, gid;
        uint64_t size, used, device, fsid, fileid;
        uint64_t atime, mtime, ctime; /* seconds << 32 | nanoseconds */
};
struct twcc {
        bool have_before;
        uint64_t size, mtime, ctime;
        struct tattr after;
};
struct tattr get_fattr(struct reader *rd);
struct tattr get_post_op(struct reader *rd);
struct twcc get_wcc(struct reader *rd);
/* fileid of a handle that comes next as an opaque; 0: not one of the fixture's. */
uint64_t get_handle(struct reader *rd);
struct span get_opaque(struct reader *rd);

#endif
