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
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define REQUESTS_MAX    4096
#define CONNECTIONS_MAX 1024

struct connection {
        struct tserver *server;
        pthread_t thread;
        int fd;
        SSL *ssl; /* NULL: plain */
};

struct tserver {
        int listener, stop[2];
        SSL_CTX *tls; /* NULL: plain */
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

        if (connection->ssl && SSL_pending(connection->ssl) > 0)
                return true;
        return poll(fds, 2, -1) > 0 && !fds[1].revents;
}

static bool read_more(struct connection *connection, struct buf *in)
{
        uint8_t *at = buf_reserve(in, 65536);
        ssize_t size;

        if (!at || !wait_readable(connection))
                return false;
        size = connection->ssl ? SSL_read(connection->ssl, at, 65536)
                               : recv(connection->fd, at, 65536, 0);
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

static bool send_all(struct connection *connection, const void *data, size_t size)
{
        const char *at = data;

        while (size > 0) {
                ssize_t sent = connection->ssl ? SSL_write(connection->ssl, at, (int)size)
                                               : send(connection->fd, at, size, MSG_NOSIGNAL);

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
        usleep(reply->late_ms * 1000);
        buf_printf(&out, "HTTP/1.1 %d Scripted\r\n%s", reply->status,
                   reply->headers ? reply->headers : "");
        if (reply->length)
                buf_printf(&out, "Content-Length: %s\r\n", reply->length);
        else
                buf_printf(&out, "Content-Length: %zu\r\n", size);
        buf_printf(&out, "\r\n");
        if (!is_head)
                buf_put(&out, body, reply->act == TSERVER_CUT ? size / 2 : size);
        sent = send_all(connection, out.data, out.size);
        buf_free(&out);
        return sent && reply->act == TSERVER_ANSWER;
}

static void *serve(void *arg)
{
        struct connection *connection = arg;
        struct tserver *server = connection->server;
        struct buf in = {0};
        bool more = true;

        if (server->tls) {
                connection->ssl = SSL_new(server->tls);
                more = connection->ssl && SSL_set_fd(connection->ssl, connection->fd) == 1 &&
                       SSL_accept(connection->ssl) == 1;
        }
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
        SSL_free(connection->ssl);
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

static struct tserver *start(SSL_CTX *tls)
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
        snprintf(server->url, sizeof(server->url), "%s://127.0.0.1:%u", tls ? "https" : "http",
                 ntohs(address.sin_port));
        server->tls = tls;
        assert_int_equal(pthread_create(&server->thread, NULL, listen_for, server), 0);
        return server;
}

struct tserver *tserver_start(void)
{
        return start(NULL);
}

/* Both key and certificate, as far as a client that is given the certificate looks. */
static void make_certificate(EVP_PKEY *key, X509 *certificate)
{
        X509_NAME *name = X509_get_subject_name(certificate);
        X509_EXTENSION *address;

        assert_int_equal(X509_set_version(certificate, X509_VERSION_3), 1);
        assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1), 1);
        assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), -3600));
        assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
        assert_int_equal(X509_set_pubkey(certificate, key), 1);
        assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                    (const unsigned char *)"test", -1, -1, 0),
                         1);
        assert_int_equal(X509_set_issuer_name(certificate, name), 1);
        address = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
        assert_non_null(address);
        assert_int_equal(X509_add_ext(certificate, address, -1), 1);
        X509_EXTENSION_free(address);
        assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
}

struct tserver *tserver_start_tls(const char *certificate_path)
{
        SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *certificate = X509_new();
        FILE *file = fopen(certificate_path, "w");

        assert_true(tls && key && certificate && file);
        make_certificate(key, certificate);
        assert_int_equal(PEM_write_X509(file, certificate), 1);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(SSL_CTX_use_certificate(tls, certificate), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
        X509_free(certificate);
        EVP_PKEY_free(key);
        return start(tls);
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
        SSL_CTX_free(server->tls);
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
