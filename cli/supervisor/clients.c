#include "cli/supervisor/clients.h"

#include "cli/clock.h"
#include "cli/supervisor/wire.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void clients_init(struct clients *clients)
{
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                clients->all[i] = (struct client){.fd = -1};
}

void client_close(struct client *client)
{
        close(client->fd);
        *client = (struct client){.fd = -1};
}

void clients_close(struct clients *clients)
{
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                if (clients->all[i].fd >= 0)
                        client_close(&clients->all[i]);
}

bool client_is_own_user(int fd, pid_t *pid)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != geteuid())
                return false;
        *pid = peer.pid;
        return true;
}

void clients_accept(struct clients *clients, int listen_fd)
{
        struct client *room = NULL, *oldest = &clients->all[0];
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        pid_t pid;

        if (fd < 0)
                return;
        for (size_t i = 0; i < CLIENTS_MAX; i++) {
                struct client *client = &clients->all[i];

                if (client->fd < 0)
                        room = client;
                else if (client->since_ms < oldest->since_ms)
                        oldest = client;
        }
        if (!client_is_own_user(fd, &pid)) {
                close(fd);
                return;
        }
        if (room == NULL) {
                client_close(oldest);
                room = oldest;
        }
        *room = (struct client){.fd = fd, .since_ms = clock_now_ms()};
}

void client_answer(struct client *client, enum hif_err err, const char *text)
{
        size_t size = strlen(text);
        struct wire_msg msg = {.kind = WIRE_DONE,
                               .value = (uint32_t)(err == HIF_OK ? 0 : hif_err_to_errno(err)),
                               .note = span_of(text, size < WIRE_NOTE_MAX ? size : WIRE_NOTE_MAX),
                               .fd = -1};

        (void)!wire_send(client->fd, &msg); /* who does not read it does not want it */
        client_close(client);
}

void clients_answer(struct clients *clients, uint16_t wants, enum hif_err err, const char *text)
{
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                if (clients->all[i].fd >= 0 && clients->all[i].wants == wants)
                        client_answer(&clients->all[i], err, text);
}
