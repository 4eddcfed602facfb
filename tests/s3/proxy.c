/* The proxy's listener and its connections: a thread each, because a connection does one thing
 * after the other and mostly sleeps. */
#include "proxy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#define STACK_BYTES (256 << 10)

struct connection {
        struct exchange exchange;
        struct s3fault *proxy;
        struct connection *next, *previous;
};

static void enlist(struct s3fault *proxy, struct connection *connection)
{
        connection->next = proxy->connections;
        if (connection->next)
                connection->next->previous = connection;
        proxy->connections = connection;
}

/* The client's socket is closed here only, under the lock, so that s3fault_stop never shuts down
 * another. */
static void delist_and_close(struct connection *connection)
{
        struct s3fault *proxy = connection->proxy;

        pthread_mutex_lock(&proxy->lock);
        if (connection->next)
                connection->next->previous = connection->previous;
        if (connection->previous)
                connection->previous->next = connection->next;
        else
                proxy->connections = connection->next;
        wire_close(&connection->exchange.client);
        if (!proxy->connections)
                pthread_cond_broadcast(&proxy->empty);
        pthread_mutex_unlock(&proxy->lock);
}

static void *serve(void *arg)
{
        struct connection *connection = arg;

        while (exchange_run(&connection->exchange))
                ;
        wire_close(&connection->exchange.server);
        delist_and_close(connection);
        free(connection);
        return NULL;
}

static void begin_connection(struct s3fault *proxy, int fd)
{
        struct connection *connection = calloc(1, sizeof(*connection));
        pthread_attr_t attributes;
        pthread_t thread;

        if (!connection) {
                close(fd);
                return;
        }
        connection->proxy = proxy;
        connection->exchange.relay = &proxy->relay;
        connection->exchange.server.fd = -1;
        if (!wire_open(&connection->exchange.client, fd)) {
                free(connection);
                return;
        }
        counts_connection(&proxy->relay.counts);
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        pthread_mutex_lock(&proxy->lock);
        enlist(proxy, connection);
        pthread_mutex_unlock(&proxy->lock);
        if (pthread_create(&thread, &attributes, serve, connection) != 0) {
                delist_and_close(connection);
                free(connection);
        }
        pthread_attr_destroy(&attributes);
}

static void *accept_clients(void *arg)
{
        struct s3fault *proxy = arg;

        for (;;) {
                int fd = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);

                if (fd >= 0)
                        begin_connection(proxy, fd);
                else if (errno != EINTR && errno != ECONNABORTED)
                        return NULL; /* shut down */
        }
}

struct s3fault *s3fault_start(const char *listen_at, const char *upstream, uint64_t seed)
{
        struct s3fault *proxy = calloc(1, sizeof(*proxy));
        struct sockaddr_in address;

        if (!proxy)
                return NULL;
        if (!address_parse(listen_at, &address) ||
            !address_parse(upstream, &proxy->relay.upstream)) {
                fprintf(stderr, "s3fault: an address is PORT or A.B.C.D:PORT, not %s or %s\n",
                        listen_at, upstream);
                goto free_proxy;
        }
        proxy->listener = address_listen(&address);
        if (proxy->listener < 0) {
                fprintf(stderr, "s3fault: listening on %s: %s\n", listen_at, strerror(errno));
                goto free_proxy;
        }
        proxy->port = ntohs(address.sin_port);
        proxy->relay.faults = faults_new(seed);
        if (!proxy->relay.faults)
                goto close_listener;
        counts_init(&proxy->relay.counts);
        pthread_mutex_init(&proxy->lock, NULL);
        pthread_cond_init(&proxy->empty, NULL);
        if (pthread_create(&proxy->acceptor, NULL, accept_clients, proxy) == 0)
                return proxy;
        counts_destroy(&proxy->relay.counts);
        faults_free(proxy->relay.faults);
close_listener:
        close(proxy->listener);
free_proxy:
        free(proxy);
        return NULL;
}

uint16_t s3fault_port(const struct s3fault *proxy)
{
        return proxy->port;
}

void s3fault_stop(struct s3fault *proxy)
{
        if (!proxy)
                return;
        shutdown(proxy->listener, SHUT_RDWR);
        pthread_join(proxy->acceptor, NULL);
        close(proxy->listener);
        faults_stop(proxy->relay.faults);
        pthread_mutex_lock(&proxy->lock);
        for (struct connection *at = proxy->connections; at; at = at->next)
                shutdown(at->exchange.client.fd, SHUT_RDWR);
        while (proxy->connections)
                pthread_cond_wait(&proxy->empty, &proxy->lock);
        pthread_mutex_unlock(&proxy->lock);
        pthread_cond_destroy(&proxy->empty);
        pthread_mutex_destroy(&proxy->lock);
        counts_destroy(&proxy->relay.counts);
        faults_free(proxy->relay.faults);
        free(proxy);
}
