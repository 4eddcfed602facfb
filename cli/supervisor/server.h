/* server.h - a server's process, as its supervisor sees it. Nothing here waits for it, but
 * server_discard. */
#ifndef HIF_CLI_SUPERVISOR_SERVER_H
#define HIF_CLI_SUPERVISOR_SERVER_H

#include "base/err.h"
#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define VERSION_SIZE 64

struct server {
        pid_t pid;
        int pidfd, calls, events; /* -1: none */
        bool child;               /* of this process: its status can be had */
        bool warm;
        bool failed; /* it has said why it could not start */
        uint64_t started_ms, ready_ms;
        uint64_t leaving_ms; /* told to suspend */
        uint64_t probed_ms;  /* a probe that waits for its answer; 0: none does */
        uint64_t beat_ms;    /* the last answer */
        uint64_t kill_at_ms; /* SIGKILL follows; 0: no */
        char version[VERSION_SIZE];
};

void server_init(struct server *server); /* none */
/* Start the process of one. It sets itself up, and then waits for WIRE_GO. serve: in a copy of this
 * process, which has the program loaded already: that takes a tenth of the time, but the same places
 * in memory, and must be the same program; NULL: by running the program anew. */
HIF_MUST_USE enum hif_err server_start(struct server *server, int program_fd, int (*serve)(void),
                                       struct hif_why *why);
/* Send it a word. A server that is gone is noticed by its end; from one that cannot be told, part. */
void server_tell(struct server *server, uint16_t kind, struct log *log);
/* Unless a question is under way already, ask it whether all its loops turn. */
void server_probe(struct server *server, struct log *log);
/* It has not answered for SUPERVISOR_HUNG_MS. */
bool server_hung(const struct server *server);
/* A word was lost, there or here, and nobody says it again: it suspends, for the next one. */
void server_cut(struct server *server);
/* SIGABRT, and a second later SIGKILL. */
void server_kill(struct server *server);
/* After its end: what it died of, for people; true: by its own fault. Closes all of it. */
bool server_reap(struct server *server, char *text, size_t size);
/* End a spare, and wait for that. */
void server_discard(struct server *server);

#endif
