/* What S3 requests and answers are made of: signatures, URLs, encodings, XML. */
#include "aws/sign.h"
#include "store/percent.h"
#include "store/s3/url.h"
#include "store/s3/xml.h"
#include "tstore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- signatures --- */

#define EXAMPLE_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define HOST                                                                                       \
        {                                                                                          \
                "host", "examplebucket.s3.amazonaws.com"                                           \
        }
#define DATE                                                                                       \
        {                                                                                          \
                "x-amz-date", "20130524T000000Z"                                                   \
        }
#define NOTHING                                                                                    \
        {                                                                                          \
                "x-amz-content-sha256", S3_HASH_OF_NOTHING                                         \
        }
#define PUT_HASH "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

struct vector {
        const char *method, *path, *query;
        struct s3_header headers[5];
        size_t header_count;
        const char *hash, *names, *signature;
};

/* Source: AWS, "Signature Calculations for the Authorization Header: Transferring Payload in a
 * Single Chunk", examples. */
static const struct vector vectors[] = {
    {"GET",
     "/test.txt",
     "",
     {HOST, {"range", "bytes=0-9"}, NOTHING, DATE},
     4,
     S3_HASH_OF_NOTHING,
     "host;range;x-amz-content-sha256;x-amz-date",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT",
     "/test%24file.text",
     "",
     {DATE,
      HOST,
      {"date", "Fri, 24 May 2013 00:00:00 GMT"},
      {"x-amz-content-sha256", PUT_HASH},
      {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
     5,
     PUT_HASH,
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET",
     "/",
     "lifecycle=",
     {HOST, NOTHING, DATE},
     3,
     S3_HASH_OF_NOTHING,
     "host;x-amz-content-sha256;x-amz-date",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"GET",
     "/",
     "max-keys=2&prefix=J",
     {HOST, NOTHING, DATE},
     3,
     S3_HASH_OF_NOTHING,
     "host;x-amz-content-sha256;x-amz-date",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

static char *sign(struct s3_signer *signer, const struct vector *vector)
{
        struct s3_secret secret = {"AKIAIOSFODNN7EXAMPLE", EXAMPLE_SECRET, 1};
        struct s3_to_sign what = {.method = vector->method,
                                  .path = span_str(vector->path),
                                  .query = span_str(vector->query),
                                  .headers = vector->headers,
                                  .header_count = vector->header_count,
                                  .payload_hash = vector->hash,
                                  .time = "20130524T000000Z",
                                  .region = "us-east-1",
                                  .service = "s3"};
        struct buf out = {0};

        assert_int_equal(s3_sign(signer, &secret, &what, &out), HIF_OK);
        buf_put_u8(&out, 0);
        return (char *)out.data;
}

/* The published examples come out, header by header, also with a key that is kept. */
static void published_signatures_come_out(void **state)
{
        struct s3_signer signer = {.generation = 0};

        (void)state;
        for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
                const struct vector *vector = &vectors[i];
                char *got = sign(&signer, vector);
                char expected[512];

                snprintf(expected, sizeof(expected),
                         "AWS4-HMAC-SHA256 "
                         "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
                         "aws4_request,SignedHeaders=%s,Signature=%s",
                         vector->names, vector->signature);
                assert_string_equal(got, expected);
                free(got);
        }
        s3_signer_wipe(&signer);
}

/* Source: the Signature Version 4 test suite, post-sts-header-before. */
static void session_token_is_signed(void **state)
{
        static const struct s3_header headers[] = {
            {"host", "example.amazonaws.com"},
            {"x-amz-date", "20150830T123600Z"},
            {"x-amz-security-token",
             "AQoDYXdzEPT//////////"
             "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD"
             "8YUuwthAx7mSEI/qkPpKPi/"
             "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6"
             "f"
             "E8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+"
             "scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="}};
        struct s3_secret secret = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", 7};
        struct s3_to_sign what = {.method = "POST",
                                  .path = span_str("/"),
                                  .headers = headers,
                                  .header_count = 3,
                                  .payload_hash = S3_HASH_OF_NOTHING,
                                  .time = "20150830T123600Z",
                                  .region = "us-east-1",
                                  .service = "service"};
        struct s3_signer signer = {.generation = 0};
        struct buf out = {0};

        (void)state;
        assert_int_equal(s3_sign(&signer, &secret, &what, &out), HIF_OK);
        buf_put_u8(&out, 0);
        assert_non_null(strstr((char *)out.data,
                               ",SignedHeaders=host;x-amz-date;x-amz-security-token,Signature="
                               "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"));
        buf_free(&out);
}

/* Blanks around a value go, runs of them become one; the order of headers does not matter. */
static void header_values_are_trimmed(void **state)
{
        struct vector plain = vectors[0], odd = vectors[0];
        struct s3_signer signer = {.generation = 0};
        char *a, *b;

        (void)state;
        plain.headers[1] = (struct s3_header){"x-amz-meta-a", "one two three"};
        odd.headers[1] = odd.headers[3];
        odd.headers[3] = (struct s3_header){"x-amz-meta-a", " \tone  two \t three "};
        a = sign(&signer, &plain);
        b = sign(&signer, &odd);
        assert_string_equal(a, b);
        free(a);
        free(b);
}

/* A kept key is not used for another day, region or secret. */
static void kept_key_is_for_one_scope(void **state)
{
        static const struct {
                const char *time, *region, *secret;
                uint64_t generation;
        } scopes[] = {{"20130524T000000Z", "us-east-1", "one", 1},
                      {"20130525T000000Z", "us-east-1", "one", 1},
                      {"20130524T000000Z", "eu-west-1", "one", 1},
                      {"20130524T000000Z", "us-east-1", "two", 2}};
        struct s3_signer kept = {.generation = 0};

        (void)state;
        for (size_t i = 0; i < 8; i++) {
                struct s3_signer fresh = {.generation = 0};
                struct s3_secret secret = {"id", scopes[i % 4].secret, scopes[i % 4].generation};
                struct s3_header host = {"host", "h"};
                struct s3_to_sign what = {.method = "GET",
                                          .path = span_str("/"),
                                          .headers = &host,
                                          .header_count = 1,
                                          .payload_hash = S3_HASH_OF_NOTHING,
                                          .time = scopes[i % 4].time,
                                          .region = scopes[i % 4].region,
                                          .service = "s3"};
                struct buf a = {0}, b = {0};

                assert_int_equal(s3_sign(&kept, &secret, &what, &a), HIF_OK);
                assert_int_equal(s3_sign(&fresh, &secret, &what, &b), HIF_OK);
                assert_true(span_eq(buf_span(&a), buf_span(&b)));
                buf_free(&a);
                buf_free(&b);
        }
}

static void hashes_and_times(void **state)
{
        char hex[S3_HASH_SIZE], base64[25], time[S3_TIME_SIZE];

        (void)state;
        s3_sha256_hex(span_str(""), hex);
        assert_string_equal(hex, S3_HASH_OF_NOTHING);
        s3_md5_base64(span_str("abc"), base64);
        assert_string_equal(base64, "kAFQmDzST7DWlj99KOF/cg==");
        s3_time(UINT64_C(1369353600) * 1000000000, time);
        assert_string_equal(time, "20130524T000000Z");
}

/* --- URLs --- */

static void good_urls_are_read(void **state)
{
        static const struct {
                const char *url, *bucket, *prefix, *endpoint, *region;
        } good[] = {
            {"s3://bucket", "bucket", "", NULL, NULL},
            {"s3://bucket/", "bucket", "", NULL, NULL},
            {"s3://bucket/a/b", "bucket", "a/b/", NULL, NULL},
            {"s3://my.bucket-1/a//", "my.bucket-1", "a/", NULL, NULL},
            {"s3://bucket/a%20b", "bucket", "a%20b/", NULL, NULL},
            {"s3://bucket/a?endpoint=http://h:1&region=r-1", "bucket", "a/", "http://h:1", "r-1"},
            {"s3://bucket?region=x%2dy", "bucket", "", NULL, "x-y"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
                struct s3_url url;

                assert_int_equal(s3_url_parse(good[i].url, &url, NULL), HIF_OK);
                assert_string_equal(url.bucket, good[i].bucket);
                assert_string_equal(url.prefix, good[i].prefix);
                assert_string_equal(url.endpoint ? url.endpoint : "-",
                                    good[i].endpoint ? good[i].endpoint : "-");
                assert_string_equal(url.region ? url.region : "-",
                                    good[i].region ? good[i].region : "-");
                s3_url_free(&url);
        }
}

/* A profile's name may hold anything. */
static void url_names_a_profile(void **state)
{
        struct s3_url url;

        (void)state;
        assert_int_equal(s3_url_parse("s3://bucket?profile=a%20%26b", &url, NULL), HIF_OK);
        assert_string_equal(url.profile, "a &b");
        s3_url_free(&url);
        assert_null(url.profile);
}

static void bad_urls_say_why(void **state)
{
        static const struct {
                const char *url, *says;
        } bad[] = {
            {"s3:bucket", "s3://bucket/prefix"},
            {"s3://", "names no bucket"},
            {"s3:///a", "names no bucket"},
            {"s3://ab", "names no bucket"},
            {"s3://-abc/x", "names no bucket"},
            {"s3://user@host/x", "names no bucket"},
            {"s3://bucket/a//b", "no usable prefix"},
            {"s3://bucket/../b", "no usable prefix"},
            {"s3://bucket/a?x=y", "option"},
            {"s3://bucket/a?endpoint", "option"},
            {"s3://bucket/a?endpoint=", "option"},
            {"s3://bucket/a?endpoint=%zz", "option"},
            {"s3://bucket/a?region=a&region=b", "option"},
            {"s3://bucket/a?profile=", "profile=name"},
            {"s3://bucket/a?patience=0", "patience=seconds"},
            {"s3://bucket/a?patience=3601", "1 to 3600"},
            {"s3://bucket/a?patience=-1", "option"},
            {"s3://bucket/a?patience=1s", "option"},
            {"s3://bucket/a?patience=1&patience=2", "option"},
            {"s3://bucket/a?quotes=maybe", "option"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                struct s3_url url;
                struct hif_why why = {.text = ""};

                assert_int_equal(s3_url_parse(bad[i].url, &url, &why), HIF_EINVAL);
                if (!strstr(why.text, bad[i].says))
                        fail_msg("%s: %s", bad[i].url, why.text);
        }
}

static void places_follow_the_style(void **state)
{
        static const struct {
                const char *endpoint, *region, *bucket;
                bool path_style;
                const char *base, *host, *path;
        } places[] = {
            {NULL, "eu-central-1", "buck", false, "https://buck.s3.eu-central-1.amazonaws.com",
             "buck.s3.eu-central-1.amazonaws.com", "/"},
            {NULL, "cn-north-1", "buck", true, "https://s3.cn-north-1.amazonaws.com.cn",
             "s3.cn-north-1.amazonaws.com.cn", "/buck/"},
            {NULL, "us-east-1", "with.dots", false, "https://s3.us-east-1.amazonaws.com",
             "s3.us-east-1.amazonaws.com", "/with.dots/"},
            {"http://127.0.0.1:9000", "x", "buck", true, "http://127.0.0.1:9000", "127.0.0.1:9000",
             "/buck/"},
            {"http://h:80/", "x", "buck", true, "http://h", "h", "/buck/"},
            {"https://h:443/s3/", "x", "buck", true, "https://h", "h", "/s3/buck/"},
            {"https://h:80", "x", "buck", false, "https://buck.h:80", "buck.h:80", "/"},
            {"http://[::1]:9000", "x", "buck", true, "http://[::1]:9000", "[::1]:9000", "/buck/"},
        };
        static const char *const bad[] = {"",
                                          "h:9000",
                                          "ftp://h",
                                          "http://",
                                          "http://u@h",
                                          "http://h/?x=y",
                                          "https:///x",
                                          "http://a b",
                                          "http://h\r\nX-Other: 1",
                                          "http://h\x80"};
        struct s3_place place;

        (void)state;
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                assert_int_equal(s3_place(places[i].endpoint, places[i].region, places[i].bucket,
                                          places[i].path_style, &place, NULL),
                                 HIF_OK);
                assert_string_equal(place.base, places[i].base);
                assert_string_equal(place.host, places[i].host);
                assert_string_equal(place.path, places[i].path);
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_int_equal(s3_place(bad[i], "x", "buck", true, &place, NULL), HIF_EINVAL);
}

static void encoding_is_strict(void **state)
{
        struct buf out = {0};
        struct s3_query query = {.count = 0};
        char listed[] = "a+b%2Bc", text[] = "a%2Fb%c3%A9", bad1[] = "%2", bad2[] = "%00",
             bad3[] = "%g0";

        (void)state;
        s3_encode(&out, span_str("aZ09-._~/ +=&%?#*'()!\xc3\xa9\x7f"), true);
        buf_put_u8(&out, 0);
        assert_string_equal((char *)out.data,
                            "aZ09-._~/%20%2B%3D%26%25%3F%23%2A%27%28%29%21%C3%A9%7F");
        buf_reset(&out);
        s3_query_add(&query, "b", "2/1");
        s3_query_add(&query, "a-b", "1");
        s3_query_add(&query, "a", "");
        s3_query_put(&query, &out);
        buf_put_u8(&out, 0);
        assert_string_equal((char *)out.data, "a=&a-b=1&b=2%2F1");
        s3_query_free(&query);
        buf_free(&out);
        assert_true(percent_decode(text));
        assert_string_equal(text, "a/b\xc3\xa9");
        assert_true(s3_decode_listed(listed));
        assert_string_equal(listed, "a b+c");
        assert_false(percent_decode(bad1) || percent_decode(bad2) || percent_decode(bad3));
}

static void utf8_is_told_from_other_bytes(void **state)
{
        static const char *const good[] = {"",
                                           "a",
                                           "\xc2\x80",
                                           "\xdf\xbf",
                                           "\xe0\xa0\x80",
                                           "\xed\x9f\xbf",
                                           "\xf0\x90\x80\x80",
                                           "\xf4\x8f\xbf\xbf"};
        static const char *const bad[] = {"\x80",
                                          "\xc0\x80",
                                          "\xc1\xbf",
                                          "\xc3",
                                          "\xe0\x9f\xbf",
                                          "\xed\xa0\x80",
                                          "\xf0\x8f\xbf\xbf",
                                          "\xf4\x90\x80\x80",
                                          "\xf5\x80\x80\x80",
                                          "\xff",
                                          "\xe2\x82"};

        (void)state;
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
                assert_true(s3_is_utf8(good[i]));
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_false(s3_is_utf8(bad[i]));
}

/* --- XML --- */

static void errors_are_read_or_empty(void **state)
{
        struct s3_error error;

        (void)state;
        s3_error_parse(
            span_str("<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>a&amp;b"
                     "\n\xc3\xa9</Message><Region>eu-west-1</Region></Error>"),
            &error);
        assert_string_equal(error.code, "NoSuchKey");
        assert_string_equal(error.message, "a&b \xc3\xa9");
        assert_string_equal(error.region, "eu-west-1");
        s3_error_parse(span_str("<Error><Code>NoSuchKey</Code><Message>cut"), &error);
        assert_string_equal(error.code, "NoSuchKey");
        assert_string_equal(error.message, "");
        s3_error_parse(span_str("<html>Bad Gateway</html>"), &error);
        assert_string_equal(error.code, "");
        s3_error_parse(span_str(""), &error);
        assert_string_equal(error.code, "");
}

/* Entities that grow, and elements that nest without end, are refused. */
static void hostile_xml_is_refused(void **state)
{
        struct s3_page page;
        struct buf deep = {0};

        (void)state;
        assert_int_equal(
            s3_page_parse(span_str("<!DOCTYPE z [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b "
                                   "\"&a;&a;&a;&a;\">]><ListBucketResult><Contents><Key>&b;</Key>"
                                   "</Contents></ListBucketResult>"),
                          &page),
            HIF_EIO);
        for (int i = 0; i < 10000; i++)
                buf_printf(&deep, "<a>");
        assert_int_equal(s3_page_parse(buf_span(&deep), &page), HIF_EIO);
        buf_reset(&deep);
        buf_printf(&deep, "<ListBucketResult><Contents><Key>");
        for (int i = 0; i < 10000; i++)
                buf_printf(&deep, "k");
        buf_printf(&deep, "</Key></Contents></ListBucketResult>");
        assert_int_equal(s3_page_parse(buf_span(&deep), &page), HIF_EIO);
        buf_free(&deep);
}

static void uploads_are_read(void **state)
{
        char id[S3_UPLOAD_ID_SIZE];
        struct store_tag tag;
        struct s3_error error;

        (void)state;
        assert_int_equal(s3_upload_id_parse(span_str("<InitiateMultipartUploadResult><UploadId>2~x"
                                                     "</UploadId></InitiateMultipartUploadResult>"),
                                            id),
                         HIF_OK);
        assert_string_equal(id, "2~x");
        assert_int_equal(s3_upload_id_parse(span_str("<Error/>"), id), HIF_EIO);
        assert_int_equal(s3_completed_parse(span_str("<CompleteMultipartUploadResult><ETag>&quot;"
                                                     "abc-2&quot;</ETag>"
                                                     "</CompleteMultipartUploadResult>"),
                                            &tag, &error),
                         HIF_OK);
        assert_string_equal(tag.text, "abc-2");
        assert_int_equal(s3_completed_parse(span_str("<CompleteMultipartUploadResult><ETag></ETag>"
                                                     "</CompleteMultipartUploadResult>"),
                                            &tag, &error),
                         HIF_OK);
        assert_string_equal(tag.text, "");
        assert_int_equal(
            s3_completed_parse(span_str("<Error><Code>InternalError</Code></Error>"), &tag, &error),
            HIF_EIO);
        assert_string_equal(error.code, "InternalError");
}

static void tags_are_opaque_and_harmless(void **state)
{
        struct store_tag tag;
        char longest[STORE_TAG_MAX + 1] = {0};

        (void)state;
        assert_int_equal(s3_tag_parse("\"abc\"", &tag), HIF_OK);
        assert_string_equal(tag.text, "abc");
        assert_int_equal(s3_tag_parse("\"\"abc\"\"", &tag), HIF_OK);
        assert_string_equal(tag.text, "\"abc\"");
        assert_int_equal(s3_tag_parse("W/\"abc\"", &tag), HIF_OK);
        assert_int_equal(s3_tag_parse("", &tag), HIF_EIO);
        assert_int_equal(s3_tag_parse("\"\"", &tag), HIF_EIO);
        assert_int_equal(s3_tag_parse("a\r\nX-Evil: 1", &tag), HIF_EIO);
        memset(longest, 'x', STORE_TAG_MAX);
        assert_int_equal(s3_tag_parse(longest, &tag), HIF_EIO);
        longest[STORE_TAG_MAX - 1] = '\0';
        assert_int_equal(s3_tag_parse(longest, &tag), HIF_OK);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(published_signatures_come_out),
            cmocka_unit_test(session_token_is_signed),
            cmocka_unit_test(header_values_are_trimmed),
            cmocka_unit_test(kept_key_is_for_one_scope),
            cmocka_unit_test(hashes_and_times),
            cmocka_unit_test(good_urls_are_read),
            cmocka_unit_test(url_names_a_profile),
            cmocka_unit_test(bad_urls_say_why),
            cmocka_unit_test(places_follow_the_style),
            cmocka_unit_test(encoding_is_strict),
            cmocka_unit_test(utf8_is_told_from_other_bytes),
            cmocka_unit_test(errors_are_read_or_empty),
            cmocka_unit_test(hostile_xml_is_refused),
            cmocka_unit_test(uploads_are_read),
            cmocka_unit_test(tags_are_opaque_and_harmless),
        };

        return cmocka_run_group_tests_name("s3_values", tests, NULL, NULL);
}
