#include "thttp.h"

#include <ctype.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct thttp {
        void (*answer)(void *arg, const struct thttp_request *request, struct thttp_answer *out);
        void *arg;
        int fd, port;
        pthread_t thread;
        char text[THTTP_SIZE_MAX + 1];
};

/* Where the headers end; NULL: not yet. */
static char *head_end(char *text)
{
        char *end = strstr(text, "\r\n\r\n");

        return end ? end + 2 : NULL;
}

/* A whole request into server->text; false when it does not come. */
static bool receive(struct thttp *server, int fd)
{
        size_t size = 0, want = SIZE_MAX;

        while (size < THTTP_SIZE_MAX) {
                ssize_t n = recv(fd, server->text + size, THTTP_SIZE_MAX - size, 0);
                char *end, *length;

                if (n <= 0)
                        return false;
                size += (size_t)n;
                server->text[size] = '\0';
                end = head_end(server->text);
                if (!end)
                        continue;
                length = strcasestr(server->text, "\r\ncontent-length:");
                want = (size_t)(end + 2 - server->text) +
                       (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
                if (size >= want)
                        return true;
        }
        return false;
}

static void lower_names(char *head)
{
        for (char *line = head; *line;) {
                while (*line && *line != ':' && *line != '\r') {
                        *line = (char)tolower((unsigned char)*line);
                        line++;
                }
                line = strstr(line, "\r\n");
                if (!line)
                        return;
                line += 2;
        }
}

static void send_all(int fd, const char *data, size_t size)
{
        while (size > 0) {
                ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

                if (n <= 0)
                        return;
                data += n;
                size -= (size_t)n;
        }
}

static void serve_one(struct thttp *server, int fd)
{
        struct thttp_request request = {0};
        struct thttp_answer *answer;
        char *head, *end, status[200];

        if (!receive(server, fd) ||
            sscanf(server->text, "%15s %1023s", request.method, request.target) != 2)
                return;
        head = strstr(server->text, "\r\n") + 2;
        end = head_end(server->text);
        *end = '\0';
        lower_names(head);
        request.head = head;
        request.body = end + 2;
        answer = calloc(1, sizeof(*answer));
        answer->status = 200;
        server->answer(server->arg, &request, answer);
        if (answer->status != 0) {
                int n = snprintf(status, sizeof(status),
                                 "HTTP/1.1 %d Answer\r\nContent-Length: %zu\r\n"
                                 "Connection: close\r\n\r\n",
                                 answer->status, strlen(answer->body));

                send_all(fd, status, (size_t)n);
                send_all(fd, answer->body, strlen(answer->body));
        }
        free(answer);
}

static void *serve(void *arg)
{
        struct thttp *server = arg;
        int fd;

        while ((fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
                serve_one(server, fd);
                close(fd);
        }
        return NULL;
}

struct thttp *thttp_new(void (*answer)(void *arg, const struct thttp_request *request,
                                       struct thttp_answer *out),
                        void *arg)
{
        struct thttp *server = calloc(1, sizeof(*server));
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(address);

        server->answer = answer;
        server->arg = arg;
        server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (server->fd < 0 || bind(server->fd, (struct sockaddr *)&address, size) != 0 ||
            listen(server->fd, 16) != 0 ||
            getsockname(server->fd, (struct sockaddr *)&address, &size) != 0 ||
            pthread_create(&server->thread, NULL, serve, server) != 0) {
                free(server);
                return NULL;
        }
        server->port = ntohs(address.sin_port);
        return server;
}

void thttp_free(struct thttp *server)
{
        if (!server)
                return;
        shutdown(server->fd, SHUT_RDWR); /* ends accept */
        pthread_join(server->thread, NULL);
        close(server->fd);
        free(server);
}

int thttp_port(const struct thttp *server)
{
        return server->port;
}

bool thttp_has(const struct thttp_request *request, const char *line)
{
        size_t size = strlen(line);
        const char *at = request->head;

        while ((at = strstr(at, line)) != NULL) {
                if ((at == request->head || at[-1] == '\n') && at[size] == '\r')
                        return true;
                at++;
        }
        return false;
}
