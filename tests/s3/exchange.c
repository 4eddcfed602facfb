#include "exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD_BODY_MAX (UINT64_C(64) << 20)

struct request {
        char method[16];
        char target[4096];
        uint64_t body_size;
        bool expects_continue, closes, conditional;
        struct fault fault;
        struct trip
            trip;   /* for counts_answered, before an answer is sent: what follows it is later */
        char *held; /* the body, when the request had to be taken in before it is forwarded */
};

enum body_end { BODY_NONE, BODY_SIZED, BODY_CHUNKED, BODY_TO_CLOSE };

struct answer {
        int status;
        enum body_end end;
        uint64_t body_size;
        bool closes;
};

bool dialect_parse(const char *flags, unsigned *out)
{
        unsigned dialect = 0;

        for (; *flags; flags++)
                switch (*flags) {
                case 'q':
                        dialect |= DIALECT_STRIP_QUOTES;
                        break;
                case 'c':
                        dialect |= DIALECT_CONFLICT;
                        break;
                case 'e':
                        dialect |= DIALECT_BARE_TAGS;
                        break;
                case '-':
                        break;
                default:
                        return false;
                }
        *out = dialect;
        return true;
}

static bool has_dialect(struct exchange *exchange, unsigned flag)
{
        return __atomic_load_n(&exchange->relay->dialect, __ATOMIC_RELAXED) & flag;
}

/* --- taking a request in --- */

static bool read_request(struct exchange *exchange, struct request *out)
{
        struct http_head *head = &exchange->request;

        *out = (struct request){0};
        if (!wire_read_head(&exchange->client, head) ||
            sscanf(head->text, "%15s %4095s", out->method, out->target) != 2)
                return false;
        (void)http_length(head, &out->body_size);
        out->expects_continue = http_field_has(head, "expect", "100-continue");
        out->closes = http_field_has(head, "connection", "close");
        out->conditional = strcmp(out->method, "PUT") == 0 &&
                           (http_field(head, "if-match") || http_field(head, "if-none-match"));
        out->fault = faults_match(exchange->relay->faults, out->method, out->target);
        if (out->fault.action != FAULT_NONE)
                counts_fault(&exchange->relay->counts);
        return true;
}

static bool tell_continue(struct exchange *exchange, struct request *request)
{
        static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

        if (!request->expects_continue)
                return true;
        request->expects_continue = false;
        return wire_send(&exchange->client, text, sizeof(text) - 1);
}

/* A request that waits here has left its client, whatever that does meanwhile. */
static bool take_in_body(struct exchange *exchange, struct request *request)
{
        if (request->body_size > HELD_BODY_MAX || !tell_continue(exchange, request))
                return false;
        request->held = malloc((size_t)request->body_size + 1);
        return request->held &&
               wire_read(&exchange->client, request->held, (size_t)request->body_size);
}

static bool add_latency(struct exchange *exchange)
{
        uint64_t ms = __atomic_load_n(&exchange->relay->latency_ms, __ATOMIC_RELAXED);

        if (!exchange->warm)
                ms *= 2; /* as if the connection had taken a round trip to make */
        exchange->warm = true;
        return ms == 0 || faults_sleep(exchange->relay->faults, ms);
}

/* --- answers of our own --- */

static bool answer_status(struct exchange *exchange, const struct request *request, uint64_t status)
{
        static const struct {
                uint64_t status;
                const char *reason, *code;
        } known[] = {
            {403, "Forbidden", "RequestTimeTooSkewed"},
            {404, "Not Found", "NoSuchKey"},
            {409, "Conflict", "ConditionalRequestConflict"},
            {412, "Precondition Failed", "PreconditionFailed"},
            {500, "Internal Server Error", "InternalError"},
            {503, "Slow Down", "SlowDown"},
        };
        const char *reason = "Injected", *code = "Injected";
        char body[256], head[256];
        int body_size, head_size;

        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
                if (known[i].status == status) {
                        reason = known[i].reason;
                        code = known[i].code;
                }
        body_size = snprintf(body, sizeof(body),
                             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code>"
                             "<Message>injected by s3fault</Message></Error>",
                             code);
        head_size = snprintf(head, sizeof(head),
                             "HTTP/1.1 %lu %s\r\nContent-Type: application/xml\r\n"
                             "Content-Length: %d\r\nx-s3fault: 1\r\n\r\n",
                             (unsigned long)status, reason, body_size);
        counts_answered(&exchange->relay->counts, request->trip);
        return wire_send(&exchange->client, head, (size_t)head_size) &&
               (strcmp(request->method, "HEAD") == 0 ||
                wire_send(&exchange->client, body, (size_t)body_size));
}

static bool reset_client(struct exchange *exchange)
{
        wire_reset(&exchange->client);
        return false;
}

static bool never_answer(struct exchange *exchange)
{
        wire_wait_for_leave(&exchange->client);
        return false;
}

/* --- forwarding --- */

/* A kept connection that the server has closed meanwhile is no fault of ours to inject. */
static bool connect_server(struct exchange *exchange)
{
        int fd;

        if (exchange->server.fd >= 0 && wire_idle(&exchange->server))
                return true;
        wire_close(&exchange->server);
        fd = address_connect(&exchange->relay->upstream);
        return fd >= 0 && wire_open(&exchange->server, fd);
}

static bool forward_body(struct exchange *exchange, struct request *request)
{
        uint64_t size = request->body_size;

        if (request->held)
                return wire_send(&exchange->server, request->held, (size_t)size);
        if (request->fault.action == FAULT_CUT_REQUEST && request->fault.argument < size) {
                if (wire_pass(&exchange->client, &exchange->server, request->fault.argument))
                        wire_reset(&exchange->server);
                return reset_client(exchange);
        }
        return wire_pass(&exchange->client, &exchange->server, size);
}

static bool forward(struct exchange *exchange, struct request *request)
{
        struct http_head *head = &exchange->request;

        if (has_dialect(exchange, DIALECT_STRIP_QUOTES))
                http_unquote_field(head, "if-match");
        if (http_field(head, "expect"))
                http_drop_field(head, "expect");
        return tell_continue(exchange, request) &&
               wire_send(&exchange->server, head->text, head->size) &&
               forward_body(exchange, request);
}

static bool read_answer(struct exchange *exchange, const struct request *request,
                        struct answer *out)
{
        struct http_head *head = &exchange->answer;

        *out = (struct answer){.end = BODY_TO_CLOSE};
        if (!wire_read_head(&exchange->server, head) ||
            sscanf(head->text, "HTTP/1.%*d %d", &out->status) != 1)
                return false;
        if (http_length(head, &out->body_size))
                out->end = BODY_SIZED;
        if (http_field_has(head, "transfer-encoding", "chunked"))
                out->end = BODY_CHUNKED;
        if (strcmp(request->method, "HEAD") == 0 || out->status == 204 || out->status == 304)
                out->end = BODY_NONE;
        out->closes = out->end == BODY_TO_CLOSE || http_field_has(head, "connection", "close");
        return true;
}

static bool pass_answer_body(struct exchange *exchange, const struct answer *answer,
                             struct wire *to)
{
        switch (answer->end) {
        case BODY_NONE:
                return true;
        case BODY_SIZED:
                return wire_pass(&exchange->server, to, answer->body_size);
        case BODY_CHUNKED:
                return wire_pass_chunked(&exchange->server, to);
        case BODY_TO_CLOSE:
                return wire_pass_rest(&exchange->server, to);
        }
        return false;
}

/* Less than the whole body, then RST: what was sent has time to arrive first. */
static bool cut_answer(struct exchange *exchange, uint64_t bytes)
{
        if (wire_send(&exchange->client, exchange->answer.text, exchange->answer.size) &&
            wire_pass(&exchange->server, &exchange->client, bytes))
                (void)faults_sleep(exchange->relay->faults, 20);
        return reset_client(exchange);
}

/* The server has done it; what does the client hear? */
static bool deliver(struct exchange *exchange, const struct request *request,
                    const struct answer *answer)
{
        const struct fault *fault = &request->fault;
        bool conflict = request->conditional && answer->status == 500 &&
                        has_dialect(exchange, DIALECT_CONFLICT);

        if (fault->action == FAULT_CUT_ANSWER && answer->end == BODY_SIZED &&
            fault->argument < answer->body_size)
                return cut_answer(exchange, fault->argument);
        if (fault->action == FAULT_LATE && !faults_sleep(exchange->relay->faults, fault->argument))
                return false;
        if (fault->action == FAULT_LOST || fault->action == FAULT_RESET_LATE ||
            fault->action == FAULT_CLOSE_LATE || fault->action == FAULT_HANG_LATE || conflict) {
                if (!pass_answer_body(exchange, answer, NULL))
                        return false;
                switch (fault->action) {
                case FAULT_RESET_LATE:
                        return reset_client(exchange);
                case FAULT_CLOSE_LATE:
                        return false;
                case FAULT_HANG_LATE:
                        return never_answer(exchange);
                default:
                        return answer_status(exchange, request,
                                             fault->action == FAULT_LOST ? fault->argument : 409);
                }
        }
        if (has_dialect(exchange, DIALECT_BARE_TAGS))
                http_unquote_field(&exchange->answer, "etag");
        counts_answered(&exchange->relay->counts, request->trip);
        return wire_send(&exchange->client, exchange->answer.text, exchange->answer.size) &&
               pass_answer_body(exchange, answer, &exchange->client);
}

static bool forward_and_answer(struct exchange *exchange, struct request *request)
{
        struct answer answer;

        if (!connect_server(exchange))
                return wire_pass(&exchange->client, NULL, request->held ? 0 : request->body_size) &&
                       answer_status(exchange, request, 503);
        if (!forward(exchange, request))
                return false;
        if (!read_answer(exchange, request, &answer))
                return reset_client(exchange);
        if (!deliver(exchange, request, &answer))
                return false;
        if (answer.closes)
                wire_close(&exchange->server);
        return !request->closes && answer.end != BODY_TO_CLOSE;
}

static bool meet_fault(struct exchange *exchange, struct request *request)
{
        struct faults *faults = exchange->relay->faults;
        const struct fault *fault = &request->fault;

        switch (fault->action) {
        case FAULT_RESET:
                return reset_client(exchange);
        case FAULT_CLOSE:
                return false;
        case FAULT_HANG:
                return never_answer(exchange);
        case FAULT_STATUS:
                return tell_continue(exchange, request) &&
                       wire_pass(&exchange->client, NULL, request->body_size) &&
                       answer_status(exchange, request, fault->argument);
        case FAULT_DELAY:
                return take_in_body(exchange, request) && faults_sleep(faults, fault->argument) &&
                       forward_and_answer(exchange, request);
        case FAULT_HOLD:
                return take_in_body(exchange, request) && faults_hold(faults, fault->rule) &&
                       forward_and_answer(exchange, request);
        default:
                return forward_and_answer(exchange, request);
        }
}

static void trace(const struct exchange *exchange, const struct request *request)
{
        if (__atomic_load_n(&exchange->relay->trace, __ATOMIC_RELAXED))
                fprintf(stderr, "%4lu %s %s\n", (unsigned long)request->trip.number,
                        request->method, request->target);
}

bool exchange_run(struct exchange *exchange)
{
        struct counts *counts = &exchange->relay->counts;
        struct request request;
        uint64_t in = exchange->client.received, out = exchange->client.sent;
        bool goes_on;

        if (!read_request(exchange, &request))
                return false;
        request.trip = counts_request(counts, request.method);
        trace(exchange, &request);
        goes_on = add_latency(exchange) && meet_fault(exchange, &request);
        free(request.held);
        counts_bytes(counts, exchange->client.received - in, exchange->client.sent - out);
        return goes_on;
}
