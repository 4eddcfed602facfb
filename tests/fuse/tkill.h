/* tkill.h - a FUSE server in a process of its own, which can be killed, and a supervisor that keeps
 * what has to outlive it: a second process. (Not the test itself: a server would inherit what that
 * has open in the mount, and hang in closing it when it dies.) Needs /dev/fuse and root. */
#ifndef HIF_TESTS_FUSE_TKILL_H
#define HIF_TESTS_FUSE_TKILL_H

#include "tfuse.h"

#include <sys/types.h>

/* What the test, the supervisor and the server share. */
struct tkill_shared {
        _Atomic int replies_left; /* the server dies at the reply that makes this 0 */
        _Atomic bool after;       /* ... once it has been sent */
        char cold[16];            /* the next server's store does not answer to keys with this */
        _Atomic int ledger_fd;    /* the supervisor's */
        _Atomic uint64_t held;    /* files that the server holds open when it begins */
        uint32_t note_size;
        uint8_t note[8192]; /* the handshake */
};

struct tkill {
        struct tkill_shared *shared;
        char dir[64], root[64]; /* overlay, mount point */
        char path[4096];
        pid_t supervisor, pid; /* pid: of the server; 0: none runs */
        int socket;            /* to the supervisor */
};

struct tkill *tkill_new(void); /* mounted */
void tkill_free(struct tkill *t);
/* The server dies now, and is gone when this returns. */
void tkill_kill(struct tkill *t);
/* Whether it dies by itself within this time. */
bool tkill_dies(struct tkill *t, int timeout_ms);
/* Another one: HIF_OK once it has run again what the last one left. */
enum hif_err tkill_start(struct tkill *t);
/* It ends, and leaves the mount to the next. */
void tkill_leave(struct tkill *t);
/* The server dies at its so manieth reply from now on: before it, or after it. 0: it does not. */
void tkill_arm(struct tkill *t, int replies, bool after);
/* It does not die any more; true: it is just dying. */
bool tkill_disarm(struct tkill *t);
/* Requests of this kind (FUSE_READ; 0: of any), with these flags, that wait in the server, or for one; and files that
 * are open. */
size_t tkill_waiting(const struct tkill *t, uint32_t opcode, uint32_t flags);
size_t tkill_open(const struct tkill *t);
/* "root/name"; good until the next call. */
const char *tkill_path(struct tkill *t, const char *name);

#endif
