/* One easy handle of libcurl: its options, its callbacks, and what its result means. */
#include "store/s3/http_impl.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define RECEIVE_BUFFER 65536L
#define SEND_BUFFER    131072L
#define UNSENT_MAX     131072
#define ERROR_READ_MAX ((size_t)1 << 20)

struct http_limits http_limits_default(void)
{
        return (struct http_limits){.connect_ms = 5000, .answer_ms = 10000, .stall_s = 10};
}

static bool is_2xx(const struct http_req *req)
{
        return req->status >= 200 && req->status < 300;
}

/* --- the answer's headers --- */

static char *trim(char *text)
{
        size_t size = strlen(text);

        while (size > 0 && strchr(" \t\r\n", text[size - 1]))
                text[--size] = '\0';
        return text + strspn(text, " \t");
}

static void note_date(struct http *http, const char *value)
{
        time_t seconds = curl_getdate(value, NULL);

        if (seconds <= 0)
                return;
        pthread_mutex_lock(&http->mutex);
        http->date_ns = (uint64_t)seconds * 1000000000;
        http->date_mono_ns = env_mono_ns(http->env);
        http->date_wall_ns = env_wall_ns(http->env);
        pthread_mutex_unlock(&http->mutex);
}

static void note_length(struct http_req *req, const char *value)
{
        char *end;
        unsigned long long length = strtoull(value, &end, 10);

        req->has_length = value[0] >= '0' && value[0] <= '9' && *end == '\0';
        req->length = req->has_length ? length : 0;
}

static void note_heard(struct http *http)
{
        http->heard_ns = env_mono_ns(http->env);
}

/* A new answer: the final one, or one before it (1xx, or a connection that died). */
static void start_answer(struct http_req *req, const char *line)
{
        unsigned status = 0;

        if (sscanf(line, "HTTP/%*u.%*u %3u", &status) != 1)
                status = 0;
        note_heard(req->http);
        req->status = status;
        req->has_length = false;
        req->length = 0;
        buf_reset(&req->error_body);
        if (req->data)
                buf_reset(req->data);
        if (req->header)
                req->header(req, NULL, NULL);
}

static bool end_of_headers(struct http_slot *slot)
{
        struct http_req *req = slot->req;

        if (!is_2xx(req) || !req->data || !req->has_length || req->method == HTTP_HEAD)
                return true;
        if (req->length > req->data_max) {
                slot->too_large = true;
                return false;
        }
        if (req->length > 0 && !buf_reserve(req->data, (size_t)req->length)) {
                slot->no_memory = true;
                return false;
        }
        return true;
}

static size_t on_header(char *bytes, size_t one, size_t size, void *arg)
{
        struct http_slot *slot = arg;
        struct http_req *req = slot->req;
        char line[2048];
        char *colon, *value;

        slot->header_bytes += size * one;
        if (slot->header_bytes > HTTP_HEADER_MAX)
                return 0;
        if (size == 0 || bytes[0] == '\r' || bytes[0] == '\n')
                return end_of_headers(slot) ? size * one : 0;
        if (size >= sizeof(line))
                return size; /* nothing that is asked for is so long */
        memcpy(line, bytes, size);
        line[size] = '\0';
        if (strncmp(line, "HTTP/", 5) == 0) {
                start_answer(req, line);
                return size;
        }
        colon = strchr(line, ':');
        if (!colon)
                return size;
        *colon = '\0';
        value = trim(colon + 1);
        if (strcasecmp(line, "date") == 0)
                note_date(req->http, value);
        else if (strcasecmp(line, "content-length") == 0)
                note_length(req, value);
        if (req->header)
                req->header(req, line, value);
        return size;
}

/* --- bodies --- */

/* What is over the limit is dropped; an error without end is broken off. */
static size_t on_error_body(struct http_slot *slot, const char *bytes, size_t size)
{
        struct http_req *req = slot->req;
        size_t room = HTTP_ERROR_MAX - req->error_body.size;

        slot->error_bytes += size;
        if (slot->error_bytes > ERROR_READ_MAX)
                return 0;
        buf_put(&req->error_body, bytes, size < room ? size : room);
        return size;
}

static size_t on_body(char *bytes, size_t one, size_t size, void *arg)
{
        struct http_slot *slot = arg;
        struct http_req *req = slot->req;

        assert(one == 1);
        note_heard(req->http);
        if (!is_2xx(req) || !req->data)
                return on_error_body(slot, bytes, size);
        if (size > req->data_max - req->data->size) {
                slot->too_large = true;
                return 0;
        }
        buf_put(req->data, bytes, size);
        slot->no_memory = buf_failed(req->data);
        return slot->no_memory ? 0 : size;
}

/* There is no seek function: libcurl cannot send a body again, and says so (65) instead. */
static size_t on_read(char *out, size_t one, size_t count, void *arg)
{
        struct http_slot *slot = arg;
        struct span body = slot->req->body;
        size_t size = body.size - slot->sent;

        if (slot->sent > UNSENT_MAX) /* so most of that was taken, and not by our kernel alone */
                note_heard(slot->req->http);
        if (size > one * count)
                size = one * count;
        if (size > 0)
                memcpy(out, body.data + slot->sent, size);
        slot->sent += size;
        return size;
}

/* --- the handle --- */

/* Of a body, little waits in the kernel: what it took from us has been sent, so that no progress
 * means no progress. */
static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
        int unsent = UNSENT_MAX;

        (void)arg;
        if (purpose == CURLSOCKTYPE_IPCXN)
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
        return CURL_SOCKOPT_OK;
}

/* What is the same for all requests. */
static CURLcode set_common(struct http *http, struct http_slot *slot)
{
        CURL *easy = slot->easy;
        CURLcode code = CURLE_OK;

#define SET(option, value)                                                                         \
        do {                                                                                       \
                if (code == CURLE_OK)                                                              \
                        code = curl_easy_setopt(easy, option, value);                              \
        } while (0)
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        SET(CURLOPT_PROTOCOLS_STR, "http,https");
        SET(CURLOPT_PATH_AS_IS, 1L);
        SET(CURLOPT_HTTP_TRANSFER_DECODING, 1L);
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        SET(CURLOPT_TCP_KEEPALIVE, 1L);
        SET(CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
        SET(CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER);
        SET(CURLOPT_CONNECTTIMEOUT_MS, (long)http->limits.connect_ms);
        SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
        SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
        SET(CURLOPT_ERRORBUFFER, slot->error);
        SET(CURLOPT_HEADERFUNCTION, on_header);
        SET(CURLOPT_HEADERDATA, slot);
        SET(CURLOPT_WRITEFUNCTION, on_body);
        SET(CURLOPT_WRITEDATA, slot);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, slot);
        SET(CURLOPT_PRIVATE, slot);
        SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        if (http->ca_bundle) { /* those, and not the system's beside them */
                SET(CURLOPT_CAINFO, http->ca_bundle);
                SET(CURLOPT_CAPATH, (char *)NULL);
        }
        return code;
}

void http_slot_close(struct http_slot *slot)
{
        if (slot->easy)
                curl_easy_cleanup(slot->easy);
        slot->easy = NULL;
}

static enum hif_err slot_open(struct http *http, struct http_slot *slot)
{
        slot->easy = curl_easy_init();
        if (!slot->easy)
                return HIF_ENOMEM;
        if (set_common(http, slot) == CURLE_OK)
                return HIF_OK;
        http_slot_close(slot);
        return HIF_ENOMEM;
}

static CURLcode set_method(CURL *easy, const struct http_req *req)
{
        bool upload = req->method == HTTP_PUT || req->method == HTTP_POST;
        CURLcode code = CURLE_OK;

        SET(CURLOPT_NOBODY, 0L);
        SET(CURLOPT_UPLOAD, 0L);
        SET(CURLOPT_HTTPGET, 1L);
        SET(CURLOPT_CUSTOMREQUEST, (char *)NULL);
        if (req->method == HTTP_HEAD)
                SET(CURLOPT_NOBODY, 1L);
        if (req->method == HTTP_DELETE)
                SET(CURLOPT_CUSTOMREQUEST, "DELETE");
        if (req->method == HTTP_POST)
                SET(CURLOPT_CUSTOMREQUEST, "POST");
        if (upload) {
                SET(CURLOPT_UPLOAD, 1L);
                SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)req->body.size);
        }
        return code;
}

static long timeout_of(const struct http *http, const struct http_req *req)
{
        uint64_t bytes = req->body.size;
        uint64_t ms = req->timeout_ms ? req->timeout_ms : http->limits.answer_ms;

        if (req->data)
                bytes += req->data_max;
        ms += bytes / HTTP_RATE_MIN * 1000;
        return ms < INT_MAX ? (long)ms : INT_MAX; /* libcurl's limit */
}

/* The list that libcurl wants, in the slot: it is read, never changed or freed. */
static struct curl_slist *header_list(struct http_slot *slot)
{
        static const char no_expect[] = "Expect:";
        const struct http_req *req = slot->req;
        size_t count = req->header_count;

        assert(count <= HTTP_HEADERS_MAX);
        for (size_t i = 0; i <= count; i++) {
                const char *text = i < count ? req->headers[i] : no_expect;

                slot->headers[i].data = (char *)(uintptr_t)text;
                slot->headers[i].next = i < count ? &slot->headers[i + 1] : NULL;
        }
        return slot->headers;
}

enum hif_err http_slot_start(struct http *http, struct http_slot *slot)
{
        struct http_req *req = slot->req;
        CURL *easy;
        CURLcode code;

        if (!slot->easy && slot_open(http, slot) != HIF_OK)
                return HIF_ENOMEM;
        easy = slot->easy;
        slot->sent = 0;
        slot->header_bytes = slot->error_bytes = 0;
        slot->too_large = slot->no_memory = false;
        slot->error[0] = '\0';
        req->status = 0;
        req->has_length = false;
        req->trouble[0] = '\0';
        code = set_method(easy, req);
        SET(CURLOPT_URL, req->url);
        SET(CURLOPT_HTTPHEADER, header_list(slot));
        SET(CURLOPT_TIMEOUT_MS, timeout_of(http, req));
        SET(CURLOPT_LOW_SPEED_TIME,
            (long)http->limits.stall_s * (slot->bulk ? HTTP_BULK_STALL : 1));
        /* Without a body nothing tells libcurl that it must not be sent again. */
        SET(CURLOPT_FRESH_CONNECT, req->once && req->body.size == 0 ? 1L : 0L);
#undef SET
        return code == CURLE_OK ? HIF_OK : HIF_ENOMEM;
}

/* --- results --- */

/* Of a failure: can the request have reached the server? Not before sending began. (What libcurl
 * sends again on a new connection after a kept one died has begun once, and counts as sent.) */
static enum http_outcome outcome_of_failure(CURL *easy)
{
        curl_off_t began_us = 0;

        if (curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &began_us) == CURLE_OK &&
            began_us == 0)
                return HTTP_REFUSED;
        return HTTP_BROKEN;
}

/* An answer is whole when what its length promised is there. */
static bool is_whole(const struct http_req *req)
{
        if (!is_2xx(req) || !req->data || req->method == HTTP_HEAD)
                return true;
        return req->has_length ? req->data->size == req->length : true;
}

void http_slot_finish(struct http *http, struct http_slot *slot, CURLcode code)
{
        struct http_req *req = slot->req;
        long connects = 0;

        req->hopeless = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
        if (curl_easy_getinfo(slot->easy, CURLINFO_NUM_CONNECTS, &connects) == CURLE_OK)
                __atomic_add_fetch(&http->connections, (uint64_t)connects, __ATOMIC_RELAXED);
        if (slot->no_memory || buf_failed(&req->error_body)) {
                req->outcome = HTTP_CANCELED;
                req->failure = HIF_ENOMEM;
        } else if (slot->too_large) {
                req->outcome = HTTP_TOO_LARGE;
        } else if (code == CURLE_OK && req->status > 0 && is_whole(req)) {
                req->outcome = HTTP_ANSWERED;
        } else {
                const char *text = slot->error[0] ? slot->error : curl_easy_strerror(code);

                req->outcome = code == CURLE_OK ? HTTP_BROKEN : outcome_of_failure(slot->easy);
                snprintf(req->trouble, sizeof(req->trouble), "%s",
                         code == CURLE_OK ? "the answer ended early" : text);
        }
        if (req->outcome != HTTP_ANSWERED && req->data)
                buf_free(req->data);
}
