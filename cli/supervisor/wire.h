/* wire.h - messages among the supervisor, its server, and the commands that ask it: one packet each
 * on a SOCK_SEQPACKET socket, with at most one descriptor beside it (SCM_RIGHTS).
 *
 *      0  "HIFV"                 magic
 *      4  version u16 = 1        another is refused; kinds that are not known are passed over
 *      6  kind    u16
 *      8  value   u32            an errno for answers, else by kind
 *      12 name    u16            bytes of the name
 *      14 zero    u16
 *      16 name, then the note up to the packet's end
 *
 * All integers are big-endian. Who is at the other end may be of another version of hif: during an
 * upgrade that is so. So kinds keep their numbers for ever, and errors travel as errno. */
#ifndef HIF_CLI_SUPERVISOR_WIRE_H
#define HIF_CLI_SUPERVISOR_WIRE_H

#include "base/buf.h"
#include "base/err.h"

#define WIRE_HEAD     16
#define WIRE_NAME_MAX 512
#define WIRE_NOTE_MAX 65536
#define WIRE_SIZE_MAX (WIRE_HEAD + WIRE_NAME_MAX + WIRE_NOTE_MAX)
#define WIRE_VERSION  1

enum wire_kind {
        /* The server's calls, each answered by WIRE_DONE (hold.h). */
        WIRE_PUT = 1,  /* name, note, descriptor */
        WIRE_TAKE = 2, /* name; the answer has note and descriptor */
        WIRE_DROP = 3, /* name */
        WIRE_DONE = 4, /* value: 0 or an errno */
        WIRE_HELP = 5, /* note: a request, descriptor: where to answer it (helper.h) */

        /* What the server tells. */
        WIRE_READY = 16,  /* it serves; value: its pid; name: its version */
        WIRE_BEAT = 17,   /* all its loops have turned since WIRE_PROBE */
        WIRE_FAILED = 18, /* it could not start; value: errno; note: the sentence */
        WIRE_ENDING = 19, /* it was told to stop, and so shall the supervisor */
        WIRE_WARM = 20,   /* all is set up that needs nothing of the last server's; it waits for: */

        /* What the server is told. */
        WIRE_PROBE = 32,
        WIRE_SUSPEND = 33, /* flush, close, end; mounts stay for the next one */
        WIRE_GO = 34,      /* serve */

        /* Commands, on the supervisor's own socket. Answers: WIRE_DONE, note: JSON or a sentence */
        WIRE_STATUS = 48, /* value: so many ms may go into asking the server; 0: until it hangs */
        WIRE_STOP = 49,   /* leave the mounts as they are, and end; a server that hangs is killed */
        WIRE_RESTART = 50, /* another server; one that hangs is killed */
        WIRE_UPGRADE = 51, /* name: the program's path */

        /* A server that outlived its supervisor, to a new one, on its socket: from then on the
         * connection is what the socket pair of a server that was started would be. */
        WIRE_ADOPT_CALLS = 64,  /* value: its pid */
        WIRE_ADOPT_EVENTS = 65, /* the same */
};

struct wire_msg {
        uint16_t kind;
        uint32_t value;
        struct span name, note;
        int fd; /* -1: none */
};

/* Blocks at most as long as the socket's timeout says. HIF_ENOENT: the other end is gone;
 * HIF_ELIMIT: too long; HIF_EAGAIN. The descriptor stays the caller's. */
HIF_MUST_USE enum hif_err wire_send(int socket, const struct wire_msg *msg);
/* One byte: what was mounted is recorded (helper.h). HIF_ENOENT: the other end is gone. */
HIF_MUST_USE enum hif_err wire_kept(int socket);
/* The next message; name and note lie in the buffer, which has WIRE_SIZE_MAX bytes; fd is the
 * caller's. HIF_ENOENT: the other end is gone; HIF_EAGAIN; HIF_ECORRUPT: not one of ours. */
HIF_MUST_USE enum hif_err wire_receive(int socket, uint8_t *buffer, struct wire_msg *out);
/* Of one packet's bytes. HIF_ECORRUPT, HIF_EUNSUPPORTED. */
HIF_MUST_USE enum hif_err wire_decode(struct span bytes, struct wire_msg *out);

#endif
