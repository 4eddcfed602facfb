/* fuzz_s3_url.c - any text as the URL of a store in S3; places, queries and escapes made of it. */
#include "store/percent.h"
#include "store/s3/url.h"
#include "store/s3/xml.h"
#include "tests/core/fuzz_target.h"

static void check_place(const struct s3_url *url)
{
        struct hif_why why = {""};
        struct s3_place place;

        for (int path_style = 0; path_style < 2; path_style++) {
                if (s3_place(url->endpoint, url->region ? url->region : "us-east-1", url->bucket,
                             path_style == 1, &place, &why) != HIF_OK) {
                        FUZZ_CHECK(why.text[0] != '\0');
                        continue;
                }
                FUZZ_CHECK(strncmp(place.base, "http", 4) == 0 && place.host[0] != '\0');
                FUZZ_CHECK(place.path[0] == '/');
                for (const char *at = place.host; *at; at++)
                        FUZZ_CHECK(*at > 0x20 && *at < 0x7f);
        }
}

static void check_escapes(char *text)
{
        AUTO_BUF struct buf encoded = {0};
        struct store_tag tag;

        s3_encode(&encoded, span_str(text), true);
        buf_put_u8(&encoded, 0);
        FUZZ_CHECK(percent_decode((char *)encoded.data));
        FUZZ_CHECK(strcmp((char *)encoded.data, text) == 0);
        (void)s3_is_utf8(text);
        (void)!s3_tag_parse(text, &tag);
        (void)s3_decode_listed(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO_FREE char *text = malloc(size + 1);
        struct hif_why why = {""};
        struct s3_url url;

        FUZZ_CHECK(text != NULL);
        memcpy(text, data, size);
        text[size] = '\0';
        if (s3_url_parse(text, &url, &why) == HIF_OK) {
                FUZZ_CHECK(strlen(url.bucket) <= S3_BUCKET_MAX);
                FUZZ_CHECK(strlen(url.prefix) <= S3_PREFIX_MAX + 1); /* its slash */
                FUZZ_CHECK(url.patience_s <= S3_PATIENCE_S_MAX);
                check_place(&url);
                s3_url_free(&url);
        } else {
                FUZZ_CHECK(why.text[0] != '\0');
        }
        check_escapes(text);
        return 0;
}
