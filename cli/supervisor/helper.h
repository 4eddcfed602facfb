/* helper.h - what needs privileges: the server asks, and a child of the supervisor does it.
 *
 * The server reads what others send, so it keeps no right to mount (cli/daemon/sandbox.h). What it
 * needs of that it asks of the supervisor in typed requests, which say what is wanted and never how:
 * flags, addresses and options are made here, and each field is checked. For each request the
 * supervisor forks a child, which answers the server itself and ends: so a mount that hangs in the
 * kernel holds that child and nobody else, and the supervisor never waits.
 *
 *      server                      supervisor                     child
 *        | WIRE_HELP, request, end   |                              |
 *        |-------------------------->| fork ----------------------->|
 *        |<--------------- WIRE_DONE |                              |
 *        |<---------------------------------- WIRE_DONE, errno, sentence, descriptor
 *        | of a mount: one byte, once it is recorded -------------->|
 *
 * Without that byte, so when the server dies before a next one would know of the mount, the child
 * takes it back.
 *
 * What can be had by that, whoever asks: mounts of hif on empty directories, nosuid and nodev; the
 * end of such mounts; sockets that listen in the private network namespace. For an ordinary user it
 * runs fusermount3, as found by the supervisor's own PATH, and nothing else. */
#ifndef HIF_CLI_SUPERVISOR_HELPER_H
#define HIF_CLI_SUPERVISOR_HELPER_H

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

#define HELP_KEY_SIZE 16   /* of an export's name */
#define HELP_SIZE_MAX 8192 /* of a request */
#define HELP_KEEP_S   30
#define HELPERS_MAX   64 /* at a time; those that hang count */

/* Numbers are for ever: the other side may be of another version. */
enum help_op {
        HELP_MOUNT_NFS = 1,     /* port, key, isolated, read_only, mount_point */
        HELP_MOUNT_FUSE = 2,    /* mount_point, name, allow_other, read_only -> /dev/fuse */
        HELP_UNMOUNT = 3,       /* mount_point */
        HELP_UNMOUNT_FORCE = 4, /* the same: calls that wait for the server end with EIO */
        HELP_DETACH = 5,        /* the same: also when it is busy */
        HELP_NFS_CLIENT = 6,    /* is there one in this kernel? HIF_ENOTSUP */
        HELP_NETNS_MAKE = 7,    /* make the network namespace, unless it is there (netns.h) */
        HELP_NETNS_REMOVE = 8,
        HELP_LISTEN = 9, /* in it: port, 0: any -> a socket that listens on loopback */
        HELP_PEERS = 10, /* in it: -> the table of its sockets */
};

struct help_request {
        enum help_op op;
        bool allow_other, read_only;
        bool isolated; /* from within the network namespace */
        uint16_t port;
        uint8_t key[HELP_KEY_SIZE]; /* the export is /s-HEX */
        const char *mount_point;    /* absolute, canonical; "": none */
        const char *name;           /* of a project, "acme/app"; "": none */
};

/* --- the server's side --- */

struct hold;

/* Ask, and wait for the answer. *fd: for those that have one, else NULL. With a sentence: what the
 * child says; HIF_EUNREACHABLE: the supervisor is gone, and no other came within some seconds;
 * HIF_ENOTSUP: it is of a version that does not know this; HIF_ETIMEDOUT: not done in time, or hung;
 * HIF_ELIMIT: too many hang. */
HIF_MUST_USE enum hif_err help_ask(struct hold *hold, const struct help_request *request, int *fd,
                                   struct hif_why *why);
/* The same for HELP_MOUNT_*: *end is set on HIF_OK, and goes to help_keep soon, whatever comes: within
 * HELP_KEEP_S, and once the mount is recorded, or is gone in order. */
HIF_MUST_USE enum hif_err help_mount(struct hold *hold, const struct help_request *request, int *fd,
                                     int *end, struct hif_why *why);
/* HIF_OK also when the child is gone, and so does nothing any more; else the mount will be taken back. */
HIF_MUST_USE enum hif_err help_keep(int end);

/* --- what both sides agree on (helper_wire.c) --- */

HIF_MUST_USE enum hif_err help_encode(struct buf *out, const struct help_request *request);
/* Texts lie in `bytes`. HIF_ECORRUPT, HIF_EUNSUPPORTED. */
HIF_MUST_USE enum hif_err help_decode(struct span bytes, struct help_request *out);
/* How long it may take: then the child is killed. */
unsigned help_patience_s(enum help_op op);

/* --- the supervisor's side (helper_fork.c) --- */

/* Fork the child. state_dir: where the network namespace has its file. The end stays the
 * caller's. */
HIF_MUST_USE enum hif_err helper_start(const char *state_dir, struct span request, int end,
                                       pid_t *pid);

/* --- the child's (helper_run.c, helper_netns.c), which may hang --- */

HIF_MUST_USE enum hif_err helper_run(const char *state_dir, const struct help_request *request,
                                     int *fd, struct hif_why *why);
/* HELP_UNMOUNT and its like. A place that is no mount of hif is left alone; nothing there: fine. */
HIF_MUST_USE enum hif_err helper_unmount(const char *mount_point, enum help_op how,
                                         struct hif_why *why);
HIF_MUST_USE enum hif_err helper_netns(const char *state_dir, const struct help_request *request,
                                       int *fd, struct hif_why *why);
/* A socket that listens on loopback, where this process is. */
HIF_MUST_USE enum hif_err helper_listen(uint16_t port, int *out);
/* From here on this process is in the network namespace. HIF_ENOENT: there is none. */
HIF_MUST_USE enum hif_err helper_netns_enter(const char *state_dir, struct hif_why *why);

#endif
