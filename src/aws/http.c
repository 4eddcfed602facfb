/* curl's easy interface, with every wait bounded. */
#include "aws/http.h"

#include "aws/wipe.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <strings.h>

struct call {
        const struct aws_http_req *req;
        struct aws_http_answer *out;
        bool too_large;
};

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
        struct call *call = arg;
        size_t n = size * count;

        if (n > AWS_HTTP_BODY_MAX - call->out->body.size) {
                call->too_large = true;
                return 0;
        }
        buf_put(&call->out->body, data, n);
        return buf_failed(&call->out->body) ? 0 : n;
}

/* curl asks about once a second, and more often while data comes. */
static int look(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
        const struct call *call = arg;

        (void)a, (void)b, (void)c, (void)d;
        return call->req->stopped && call->req->stopped(call->req->arg);
}

static void free_headers(struct curl_slist *list)
{
        for (struct curl_slist *item = list; item; item = item->next)
                OPENSSL_cleanse(item->data, strlen(item->data));
        curl_slist_free_all(list);
}

static enum hif_err make_headers(const struct aws_http_req *req, struct curl_slist **out)
{
        struct curl_slist *list = curl_slist_append(NULL, "Expect:"), *longer;

        if (!list)
                return HIF_ENOMEM;
        for (size_t i = 0; i < AWS_HTTP_HEADERS_MAX && req->headers[i]; i++) {
                longer = curl_slist_append(list, req->headers[i]);
                if (!longer) {
                        free_headers(list);
                        return HIF_ENOMEM;
                }
                list = longer;
        }
        *out = list;
        return HIF_OK;
}

static CURLcode set_up(CURL *easy, struct call *call, struct curl_slist *headers, char *error)
{
        const struct aws_http_req *req = call->req;
        CURLcode code = CURLE_OK;

#define SET(option, value)                                                                         \
        if (code == CURLE_OK)                                                                      \
        code = curl_easy_setopt(easy, option, value)
        SET(CURLOPT_URL, req->url);
        SET(CURLOPT_CUSTOMREQUEST, req->method);
        SET(CURLOPT_HTTPHEADER, headers);
        SET(CURLOPT_PROTOCOLS_STR, "http,https");
        SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_TIMEOUT_MS, req->timeout_ms);
        SET(CURLOPT_CONNECTTIMEOUT_MS, req->connect_ms);
        SET(CURLOPT_WRITEFUNCTION, take_body);
        SET(CURLOPT_WRITEDATA, call);
        SET(CURLOPT_NOPROGRESS, 0L);
        SET(CURLOPT_XFERINFOFUNCTION, look);
        SET(CURLOPT_XFERINFODATA, call);
        SET(CURLOPT_ERRORBUFFER, error);
        if (req->body.size > 0) {
                SET(CURLOPT_POSTFIELDSIZE, (long)req->body.size);
                SET(CURLOPT_POSTFIELDS, req->body.data);
        }
        if (req->direct)
                SET(CURLOPT_PROXY, "");
        if (req->ca_bundle)
                SET(CURLOPT_CAINFO, req->ca_bundle);
#undef SET
        return code;
}

static enum hif_err perform(CURL *easy, struct call *call, struct curl_slist *headers,
                            struct hif_why *why)
{
        char error[CURL_ERROR_SIZE] = "";
        CURLcode code = set_up(easy, call, headers, error);

        if (code == CURLE_OK)
                code = curl_easy_perform(easy);
        if (code == CURLE_OK)
                code = curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &call->out->status);
        if (code == CURLE_OK)
                return HIF_OK;
        if (call->too_large)
                return why_set(why, HIF_ELIMIT, "an answer of more than %u bytes",
                               AWS_HTTP_BODY_MAX);
        if (code == CURLE_ABORTED_BY_CALLBACK)
                return why_set(why, HIF_ECANCELED, "stopped");
        if (code == CURLE_OUT_OF_MEMORY || buf_failed(&call->out->body))
                return why_set(why, HIF_ENOMEM, "out of memory");
        return why_set(why, HIF_EUNREACHABLE, "%s", error[0] ? error : curl_easy_strerror(code));
}

enum hif_err aws_http(const struct aws_http_req *req, struct aws_http_answer *out,
                      struct hif_why *why)
{
        struct call call = {.req = req, .out = out};
        struct curl_slist *headers = NULL;
        enum hif_err err = HIF_ENOMEM;
        CURL *easy;

        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) /* counted, and thread-safe */
                return why_set(why, HIF_ENOMEM, "curl cannot be set up");
        easy = curl_easy_init();
        /* Room for all, so that no copy of a secret is left behind by growing. */
        if (easy && buf_reserve(&out->body, AWS_HTTP_BODY_MAX))
                err = make_headers(req, &headers);
        if (err == HIF_OK)
                err = perform(easy, &call, headers, why);
        else
                (void)why_set(why, err, "out of memory");
        free_headers(headers);
        curl_easy_cleanup(easy);
        curl_global_cleanup();
        return err;
}

/* --- which hosts are near --- */

static bool is_near_host(const char *host)
{
        static const char *const at_link[] = {"169.254.170.2", "169.254.170.23"};
        struct in_addr four;
        struct in6_addr six, eks;
        char text[INET6_ADDRSTRLEN];
        size_t size = strlen(host);

        if (strcasecmp(host, "localhost") == 0)
                return true;
        if (inet_pton(AF_INET, host, &four) == 1) {
                for (size_t i = 0; i < sizeof(at_link) / sizeof(at_link[0]); i++)
                        if (strcmp(host, at_link[i]) == 0)
                                return true;
                return ntohl(four.s_addr) >> 24 == 127;
        }
        if (size < 3 || host[0] != '[' || host[size - 1] != ']' || size - 2 >= sizeof(text))
                return false;
        memcpy(text, host + 1, size - 2);
        text[size - 2] = '\0';
        return inet_pton(AF_INET6, text, &six) == 1 && inet_pton(AF_INET6, "fd00:ec2::23", &eks) &&
               (IN6_IS_ADDR_LOOPBACK(&six) || memcmp(&six, &eks, sizeof(six)) == 0);
}

bool aws_http_is_near(const char *url)
{
        CURLU *parsed = curl_url();
        char *host = NULL;
        bool near = false;

        if (parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
            curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK)
                near = is_near_host(host);
        curl_free(host);
        curl_url_cleanup(parsed);
        return near;
}
