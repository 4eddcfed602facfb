#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

bool wire_open(struct wire *wire, int fd)
{
        int on = 1;

        *wire = (struct wire){.fd = fd, .bytes = malloc(WIRE_BYTES)};
        if (wire->bytes && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0)
                return true;
        wire_close(wire);
        return false;
}

void wire_close(struct wire *wire)
{
        if (wire->fd >= 0)
                close(wire->fd);
        wire->fd = -1;
        free(wire->bytes);
        wire->bytes = NULL;
        wire->start = wire->end = 0;
}

void wire_reset(struct wire *wire)
{
        struct linger none = {.l_onoff = 1, .l_linger = 0};

        if (wire->fd >= 0)
                setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

bool wire_idle(const struct wire *wire)
{
        struct pollfd poller = {.fd = wire->fd, .events = POLLIN | POLLRDHUP};

        return wire->start == wire->end && poll(&poller, 1, 0) == 0;
}

void wire_wait_for_leave(const struct wire *wire)
{
        struct pollfd poller = {.fd = wire->fd, .events = POLLRDHUP};

        while (poll(&poller, 1, -1) < 0 && errno == EINTR)
                ;
}

static bool fill(struct wire *wire)
{
        ssize_t count;

        if (wire->start > 0) {
                memmove(wire->bytes, wire->bytes + wire->start, wire->end - wire->start);
                wire->end -= wire->start;
                wire->start = 0;
        }
        if (wire->end == WIRE_BYTES)
                return false;
        do
                count = read(wire->fd, wire->bytes + wire->end, WIRE_BYTES - wire->end);
        while (count < 0 && errno == EINTR);
        if (count <= 0)
                return false;
        wire->end += (size_t)count;
        wire->received += (uint64_t)count;
        return true;
}

bool wire_send(struct wire *wire, const void *bytes, size_t size)
{
        const char *at = bytes;

        while (size > 0) {
                ssize_t count = send(wire->fd, at, size, MSG_NOSIGNAL);

                if (count < 0 && errno == EINTR)
                        continue;
                if (count <= 0)
                        return false;
                at += count;
                size -= (size_t)count;
                wire->sent += (uint64_t)count;
        }
        return true;
}

/* The next piece of at most `most` bytes, which is used up by this. */
static bool take(struct wire *wire, uint64_t most, const char **piece, size_t *size)
{
        if (wire->start == wire->end && !fill(wire))
                return false;
        *piece = wire->bytes + wire->start;
        *size = wire->end - wire->start;
        if (*size > most)
                *size = (size_t)most;
        wire->start += *size;
        return true;
}

bool wire_pass(struct wire *from, struct wire *to, uint64_t size)
{
        const char *piece;
        size_t count;

        while (size > 0) {
                if (!take(from, size, &piece, &count))
                        return false;
                if (to && !wire_send(to, piece, count))
                        return false;
                size -= count;
        }
        return true;
}

bool wire_pass_rest(struct wire *from, struct wire *to)
{
        const char *piece;
        size_t count;

        while (take(from, WIRE_BYTES, &piece, &count))
                if (to && !wire_send(to, piece, count))
                        return false;
        return true;
}

bool wire_pass_chunked(struct wire *from, struct wire *to)
{
        for (;;) {
                char *end;
                uint64_t size;

                while (
                    !(end = memmem(from->bytes + from->start, from->end - from->start, "\r\n", 2)))
                        if (!fill(from))
                                return false;
                size = strtoull(from->bytes + from->start, NULL, 16);
                if (size > (UINT64_C(1) << 40))
                        return false;
                /* The line with the size, the chunk, and the line end behind it. */
                if (!wire_pass(from, to,
                               (uint64_t)(end + 2 - (from->bytes + from->start)) + size + 2))
                        return false;
                if (size == 0)
                        return true;
        }
}

bool wire_read(struct wire *from, void *out, size_t size)
{
        char *at = out;

        while (size > 0) {
                const char *piece;
                size_t count;

                if (!take(from, size, &piece, &count))
                        return false;
                memcpy(at, piece, count);
                at += count;
                size -= count;
        }
        return true;
}

/* --- header blocks --- */

bool wire_read_head(struct wire *wire, struct http_head *out)
{
        for (;;) {
                char *start = wire->bytes + wire->start;
                char *end = memmem(start, wire->end - wire->start, "\r\n\r\n", 4);

                if (end) {
                        out->size = (size_t)(end + 4 - start);
                        if (out->size > HTTP_HEAD_MAX || memchr(start, '\0', out->size))
                                return false;
                        memcpy(out->text, start, out->size);
                        out->text[out->size] = '\0';
                        wire->start += out->size;
                        return true;
                }
                if (wire->end - wire->start > HTTP_HEAD_MAX || !fill(wire))
                        return false;
        }
}

/* The line of a field, or NULL. */
static const char *find_line(const struct http_head *head, const char *name)
{
        size_t size = strlen(name);

        for (const char *at = strstr(head->text, "\r\n"); at; at = strstr(at, "\r\n")) {
                at += 2;
                if (strncasecmp(at, name, size) == 0 && at[size] == ':')
                        return at;
        }
        return NULL;
}

const char *http_field(const struct http_head *head, const char *name)
{
        const char *line = find_line(head, name);

        if (!line)
                return NULL;
        line += strlen(name) + 1;
        return line + strspn(line, " \t");
}

bool http_field_has(const struct http_head *head, const char *name, const char *word)
{
        const char *value = http_field(head, name);
        size_t size = value ? strcspn(value, "\r") : 0;

        for (size_t i = 0; i + strlen(word) <= size; i++)
                if (strncasecmp(value + i, word, strlen(word)) == 0)
                        return true;
        return false;
}

bool http_length(const struct http_head *head, uint64_t *out)
{
        const char *value = http_field(head, "content-length");

        if (!value)
                return false;
        *out = strtoull(value, NULL, 10);
        return true;
}

static void cut(struct http_head *head, size_t start, size_t count)
{
        memmove(head->text + start, head->text + start + count, head->size - start - count + 1);
        head->size -= count;
}

void http_drop_field(struct http_head *head, const char *name)
{
        const char *line;

        while ((line = find_line(head, name)))
                cut(head, (size_t)(line - head->text), strcspn(line, "\r") + 2);
}

void http_unquote_field(struct http_head *head, const char *name)
{
        const char *value = http_field(head, name);

        if (!value)
                return;
        for (size_t at = (size_t)(value - head->text); head->text[at] != '\r';)
                if (head->text[at] == '"')
                        cut(head, at, 1);
                else
                        at++;
}

/* --- addresses --- */

bool address_parse(const char *text, struct sockaddr_in *out)
{
        const char *colon = strchr(text, ':');
        const char *port = colon ? colon + 1 : text;
        char host[INET_ADDRSTRLEN] = "127.0.0.1";
        char *end;
        unsigned long number = strtoul(port, &end, 10);

        if (*port == '\0' || *end != '\0' || number > UINT16_MAX)
                return false;
        if (colon) {
                if ((size_t)(colon - text) >= sizeof(host))
                        return false;
                snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
        }
        *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
        return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

int address_listen(struct sockaddr_in *address)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int on = 1;
        socklen_t size = sizeof(*address);

        if (fd < 0)
                return -1;
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
            bind(fd, (struct sockaddr *)address, size) != 0 || listen(fd, 1024) != 0 ||
            getsockname(fd, (struct sockaddr *)address, &size) != 0) {
                int saved = errno;

                close(fd);
                errno = saved;
                return -1;
        }
        return fd;
}

int address_connect(const struct sockaddr_in *address)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
                close(fd);
                return -1;
        }
        return fd;
}
