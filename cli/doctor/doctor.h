/* doctor.h - what `hif doctor` looks at, and what it says.
 *
 * Each check looks at one thing and tells what it found: a name (docs/cli.md lists them), how bad it
 * is, a sentence, and what to do about it. Nothing that may hang is touched in this process: mounts
 * and stores are asked by children with a deadline (bounded.h), the daemon with one of its own. With
 * --fix only what loses nothing is done: a mount without a server is detached, a mark or a socket
 * without an owner is removed. */
#ifndef HIF_CLI_DOCTOR_DOCTOR_H
#define HIF_CLI_DOCTOR_DOCTOR_H

#include "cli/bounded.h"
#include "cli/cli.h"

enum doctor_severity { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_ERROR };

struct doctor {
        struct cli *cli;
        bool fix;
        json_t *findings;
        size_t warnings, errors; /* that were not fixed */
        json_t *served;          /* mounts that the daemon lists; NULL: it was not there to ask */
        size_t sessions;         /* that this machine has */
        bool hung;               /* there is a daemon, and it does not answer */
        struct bounded store;    /* who asks the store */
};

/* report.c. todo: what to do, or NULL. */
void doctor_say(struct doctor *doctor, const char *name, enum doctor_severity severity,
                const char *todo, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same for something that was wrong, and is not any more. */
void doctor_fixed(struct doctor *doctor, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* First: the store is asked while all else is looked at. */
void doctor_store_begin(struct doctor *doctor);
/* In this order: the later ones build on what the daemon said. */
void doctor_machine(struct doctor *doctor);  /* FUSE, NFS, room on the disk */
void doctor_daemon(struct doctor *doctor);   /* supervisor, server, socket, lock, versions */
void doctor_mounts(struct doctor *doctor);   /* do they answer, and who serves them */
void doctor_sessions(struct doctor *doctor); /* marks, damage */
void doctor_store(struct doctor *doctor);    /* reachable, probed, credentials, clock */

/* rpc.c: NULL, MNT and GETATTR of the root, by a client that shares no code with the server; in a
 * child, as it may hang. What is wrong is written to `out`. */
struct doctor_export {
        unsigned short port;
        char path[256];
        char netns[256]; /* the file of the network namespace that it listens in; "": this one */
};
HIF_MUST_USE enum hif_err doctor_ask_nfs(void *export_, int out);

#endif
