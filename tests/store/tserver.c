#include "tserver.h"

#include "base/buf.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define REQUESTS_MAX    4096
#define CONNECTIONS_MAX 1024

struct connection {
        struct tserver *server;
        pthread_t thread;
        int fd;
};

struct tserver {
        int listener, stop[2];
        char url[64];
        pthread_t thread;
        pthread_mutex_t mutex;
        struct tserver_reply script[REQUESTS_MAX];
        size_t script_size, next;
        struct tserver_reply always;
        char *requests[REQUESTS_MAX];
        size_t count;
        struct connection connections[CONNECTIONS_MAX];
        size_t connection_count, open, open_most;
};

/* --- one connection --- */

/* False: the other side is gone, or the test is over. */
static bool wait_readable(struct connection *connection)
{
        struct pollfd fds[2] = {{connection->fd, POLLIN, 0},
                                {connection->server->stop[0], POLLIN, 0}};

        return poll(fds, 2, -1) > 0 && !fds[1].revents;
}

static bool read_more(struct connection *connection, struct buf *in)
{
        uint8_t *at = buf_reserve(in, 65536);
        ssize_t size;

        if (!at || !wait_readable(connection))
                return false;
        size = recv(connection->fd, at, 65536, 0);
        if (size <= 0)
                return false;
        buf_extend(in, (size_t)size);
        return true;
}

static size_t body_size(const char *head)
{
        const char *line = strcasestr(head, "\r\ncontent-length:");

        return line ? strtoul(line + 17, NULL, 10) : 0;
}

/* A whole request as a string, its bytes taken off `in`. */
static char *read_request(struct connection *connection, struct buf *in)
{
        for (;;) {
                uint8_t *end = in->size ? memmem(in->data, in->size, "\r\n\r\n", 4) : NULL;

                if (end) {
                        size_t head = (size_t)(end - in->data) + 4;
                        char *text = strndup((char *)in->data, head);
                        size_t size = head + body_size(text);

                        free(text);
                        while (in->size < size) {
                                if (!read_more(connection, in))
                                        return NULL;
                        }
                        text = malloc(size + 1);
                        memcpy(text, in->data, size);
                        text[size] = '\0';
                        memmove(in->data, in->data + size, in->size - size);
                        in->size -= size;
                        return text;
                }
                if (!read_more(connection, in))
                        return NULL;
        }
}

static struct tserver_reply take_reply(struct tserver *server, char *request)
{
        struct tserver_reply reply;

        pthread_mutex_lock(&server->mutex);
        if (server->count == REQUESTS_MAX)
                abort();
        server->requests[server->count++] = request;
        reply = server->always;
        if (server->next < server->script_size)
                reply = server->script[server->next++];
        pthread_mutex_unlock(&server->mutex);
        return reply;
}

static bool send_all(int fd, const void *data, size_t size)
{
        const char *at = data;

        while (size > 0) {
                ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

                if (sent <= 0)
                        return false;
                at += sent;
                size -= (size_t)sent;
        }
        return true;
}

/* False: close. */
static bool answer(struct connection *connection, const struct tserver_reply *reply, bool is_head)
{
        const char *body = reply->body ? reply->body : "";
        size_t size = strlen(body);
        struct buf out = {0};
        bool sent;

        if (reply->act == TSERVER_CLOSE)
                return false;
        if (reply->act == TSERVER_HANG) {
                (void)wait_readable(connection);
                return false;
        }
        buf_printf(&out, "HTTP/1.1 %d Scripted\r\n%s", reply->status,
                   reply->headers ? reply->headers : "");
        if (reply->length)
                buf_printf(&out, "Content-Length: %s\r\n", reply->length);
        else
                buf_printf(&out, "Content-Length: %zu\r\n", size);
        buf_printf(&out, "\r\n");
        if (!is_head)
                buf_put(&out, body, reply->act == TSERVER_CUT ? size / 2 : size);
        sent = send_all(connection->fd, out.data, out.size);
        buf_free(&out);
        return sent && reply->act == TSERVER_ANSWER;
}

static void *serve(void *arg)
{
        struct connection *connection = arg;
        struct tserver *server = connection->server;
        struct buf in = {0};
        bool more = true;

        while (more) {
                char *request = read_request(connection, &in);
                struct tserver_reply reply;

                if (!request)
                        break;
                reply = take_reply(server, request);
                more = answer(connection, &reply, strncmp(request, "HEAD ", 5) == 0);
        }
        buf_free(&in);
        pthread_mutex_lock(&server->mutex);
        server->open--;
        pthread_mutex_unlock(&server->mutex);
        close(connection->fd);
        return NULL;
}

/* --- the server --- */

static void accept_one(struct tserver *server)
{
        struct connection *connection = &server->connections[server->connection_count];
        int fd = accept(server->listener, NULL, NULL), one = 1;

        if (fd < 0 || server->connection_count == CONNECTIONS_MAX)
                abort();
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        *connection = (struct connection){.server = server, .fd = fd};
        pthread_mutex_lock(&server->mutex);
        server->connection_count++;
        if (++server->open > server->open_most)
                server->open_most = server->open;
        pthread_mutex_unlock(&server->mutex);
        if (pthread_create(&connection->thread, NULL, serve, connection))
                abort();
}

static void *listen_for(void *arg)
{
        struct tserver *server = arg;
        struct pollfd fds[2] = {{server->listener, POLLIN, 0}, {server->stop[0], POLLIN, 0}};

        while (poll(fds, 2, -1) > 0 && !fds[1].revents)
                accept_one(server);
        return NULL;
}

struct tserver *tserver_start(void)
{
        struct tserver *server = calloc(1, sizeof(*server));
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(address);

        assert_non_null(server);
        server->always = (struct tserver_reply){.status = 500};
        pthread_mutex_init(&server->mutex, NULL);
        assert_int_equal(pipe(server->stop), 0);
        server->listener = socket(AF_INET, SOCK_STREAM, 0);
        assert_true(server->listener >= 0);
        assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
        assert_int_equal(listen(server->listener, 256), 0);
        assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
        snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u", ntohs(address.sin_port));
        assert_int_equal(pthread_create(&server->thread, NULL, listen_for, server), 0);
        return server;
}

void tserver_stop(struct tserver *server)
{
        if (!server)
                return;
        assert_int_equal(write(server->stop[1], "x", 1), 1);
        pthread_join(server->thread, NULL);
        for (size_t i = 0; i < server->connection_count; i++)
                pthread_join(server->connections[i].thread, NULL);
        for (size_t i = 0; i < server->count; i++)
                free(server->requests[i]);
        close(server->listener);
        close(server->stop[0]);
        close(server->stop[1]);
        pthread_mutex_destroy(&server->mutex);
        free(server);
}

const char *tserver_url(struct tserver *server)
{
        return server->url;
}

void tserver_script(struct tserver *server, const struct tserver_reply *replies, size_t count)
{
        pthread_mutex_lock(&server->mutex);
        assert_true(server->script_size + count <= REQUESTS_MAX);
        memcpy(&server->script[server->script_size], replies, count * sizeof(*replies));
        server->script_size += count;
        pthread_mutex_unlock(&server->mutex);
}

void tserver_always(struct tserver *server, struct tserver_reply reply)
{
        pthread_mutex_lock(&server->mutex);
        server->always = reply;
        pthread_mutex_unlock(&server->mutex);
}

static size_t locked(struct tserver *server, const size_t *value)
{
        size_t out;

        pthread_mutex_lock(&server->mutex);
        out = *value;
        pthread_mutex_unlock(&server->mutex);
        return out;
}

size_t tserver_count(struct tserver *server)
{
        return locked(server, &server->count);
}

size_t tserver_connections(struct tserver *server)
{
        return locked(server, &server->connection_count);
}

size_t tserver_open_most(struct tserver *server)
{
        return locked(server, &server->open_most);
}

const char *tserver_request(struct tserver *server, size_t index)
{
        assert_true(index < tserver_count(server));
        return server->requests[index];
}

bool tserver_saw(struct tserver *server, size_t index, const char *text)
{
        return strstr(tserver_request(server, index), text) != NULL;
}
