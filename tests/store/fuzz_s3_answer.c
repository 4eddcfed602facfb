/* fuzz_s3_answer.c - what a server says in answer to a request, as the store judges it: the kind,
 * how it ended, and the status (kind u8, outcome u8, status u16), headers line by line, an empty
 * line, the body. */
#include "store/s3/http.h"
#include "store/s3/impl.h"
#include "tests/core/fuzz_target.h"

#define OBJECT_MAX (1u << 20)

/* Header lines up to the empty one; what follows. */
static struct span feed_headers(struct s3_call *call, struct span text)
{
        char line[512];

        s3_on_header(&call->http, NULL, NULL);
        while (text.size > 0) {
                const uint8_t *end = memchr(text.data, '\n', text.size);
                size_t size = end != NULL ? (size_t)(end - text.data) : text.size;
                size_t taken = end != NULL ? size + 1 : size;
                char *value;

                if (size == 0)
                        return span_of(text.data + taken, text.size - taken);
                snprintf(line, sizeof(line), "%.*s", (int)size, (const char *)text.data);
                value = strchr(line, ':');
                if (value != NULL) {
                        *value++ = '\0';
                        s3_on_header(&call->http, line, value + strspn(value, " "));
                }
                text = span_of(text.data + taken, text.size - taken);
        }
        return text;
}

static void judge(struct s3_store *s3, struct reader *rd)
{
        struct store_req req = {.size_max = OBJECT_MAX, .key = "key"};
        struct s3_call call = {.s3 = s3, .req = &req, .key = "key"};
        struct s3_judgement judgement;
        struct span body;

        call.kind = (enum s3_kind)(rd_u8(rd) % S3_KIND_COUNT);
        call.http.outcome = (enum http_outcome)(rd_u8(rd) % (HTTP_CANCELED + 1));
        call.http.failure = HIF_ENOMEM;
        call.http.status = rd_u16(rd) % 700;
        req.range_size = call.http.status % 3 == 2 ? 100 : 0;
        body = feed_headers(&call, rd_span(rd, rd_left(rd)));
        buf_put_span(call.http.status / 100 == 2 ? &call.data : &call.http.error_body, body);
        call.http.has_length = true;
        call.http.length = body.size;
        s3_judge(&call, &judgement);
        FUZZ_CHECK(judgement.verdict <= S3_RANGE);
        FUZZ_CHECK(judgement.verdict != S3_FAILED || judgement.err != HIF_OK);
        FUZZ_CHECK(judgement.verdict != S3_DONE || judgement.err == HIF_OK);
        FUZZ_CHECK(memchr(call.tag.text, 0, sizeof(call.tag.text)) != NULL);
        if (judgement.verdict != S3_DONE)
                s3_note_trouble(&call, &judgement);
        buf_free(&call.data);
        buf_free(&call.http.error_body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static char url[] = "s3://bucket", bucket[] = "bucket", endpoint[] = "http://127.0.0.1:1";
        static struct env env;
        struct s3_store s3 = {.store.env = &env,
                              .url = url,
                              .bucket = bucket,
                              .endpoint = endpoint,
                              .region = "here"};
        struct reader rd = rd_open(span_of(data, size));

        if (env.ops == NULL)
                env = env_system(NULL);
        pthread_mutex_init(&s3.mutex, NULL);
        judge(&s3, &rd);
        pthread_mutex_destroy(&s3.mutex);
        return 0;
}
