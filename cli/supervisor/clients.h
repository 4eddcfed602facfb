/* clients.h - the commands that are connected to the supervisor: one packet each, and one back. */
#ifndef HIF_CLI_SUPERVISOR_CLIENTS_H
#define HIF_CLI_SUPERVISOR_CLIENTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CLIENTS_MAX 16 /* one more, and the oldest is sent away */

/* A command that waits for an answer, or has not said what it wants. */
struct client {
        int fd; /* -1: free */
        uint16_t wants;
        uint64_t since_ms;
        uint64_t answer_at_ms; /* WIRE_STATUS: whatever is known then; 0: when it is known */
};

struct clients {
        struct client all[CLIENTS_MAX];
};

void clients_init(struct clients *clients);
void clients_close(struct clients *clients);
/* Take the next one in. Only our own user, whoever can reach the socket. */
void clients_accept(struct clients *clients, int listen_fd);
bool client_is_own_user(int fd, pid_t *pid);
/* Answer one, and close it. */
void client_answer(struct client *client, enum hif_err err, const char *text);
void client_close(struct client *client);
/* Answer those who wait for this, and close them. */
void clients_answer(struct clients *clients, uint16_t wants, enum hif_err err, const char *text);

#endif
