#include "aws/sign.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define SHA256_SIZE 32

static void to_hex(const uint8_t *bytes, size_t size, char *out)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < size; i++) {
                out[2 * i] = digits[bytes[i] >> 4];
                out[2 * i + 1] = digits[bytes[i] & 15];
        }
        out[2 * size] = '\0';
}

/* A library that cannot hash is no library to go on with: nothing that was asked for is possible.
 */
static void digest(const EVP_MD *kind, struct span bytes, uint8_t *out)
{
        unsigned size = 0;

        if (EVP_Digest(bytes.data, bytes.size, out, &size, kind, NULL) != 1)
                abort();
}

void s3_sha256_hex(struct span bytes, char out[S3_HASH_SIZE])
{
        uint8_t hash[SHA256_SIZE];

        digest(EVP_sha256(), bytes, hash);
        to_hex(hash, sizeof(hash), out);
}

void s3_md5_base64(struct span bytes, char out[25])
{
        uint8_t hash[16];

        digest(EVP_md5(), bytes, hash);
        EVP_EncodeBlock((unsigned char *)out, hash, sizeof(hash));
}

void s3_time(uint64_t wall_ns, char out[S3_TIME_SIZE])
{
        time_t seconds = (time_t)(wall_ns / 1000000000);
        struct tm tm;

        gmtime_r(&seconds, &tm);
        if (strftime(out, S3_TIME_SIZE, "%Y%m%dT%H%M%SZ", &tm) == 0)
                snprintf(out, S3_TIME_SIZE, "19700101T000000Z");
}

static void hmac(const void *key, size_t key_size, struct span text, uint8_t out[SHA256_SIZE])
{
        unsigned size = SHA256_SIZE;

        if (!HMAC(EVP_sha256(), key, (int)key_size, text.data, text.size, out, &size))
                abort();
}

/* --- the signing key --- */

void s3_signer_wipe(struct s3_signer *signer)
{
        OPENSSL_cleanse(signer, sizeof(*signer));
}

static enum hif_err prepare_key(struct s3_signer *signer, const struct s3_secret *secret,
                                const struct s3_to_sign *what)
{
        uint8_t step[SHA256_SIZE];
        AUTO_FREE char *start = NULL;
        size_t start_size = strlen(secret->secret_access_key) + 5;

        assert(secret->generation != 0);
        if (signer->generation == secret->generation &&
            strncmp(signer->day, what->time, sizeof(signer->day) - 1) == 0 &&
            strcmp(signer->region, what->region) == 0)
                return HIF_OK;
        start = malloc(start_size);
        if (!start)
                return HIF_ENOMEM;
        snprintf(start, start_size, "AWS4%s", secret->secret_access_key);
        snprintf(signer->day, sizeof(signer->day), "%.8s", what->time);
        snprintf(signer->region, sizeof(signer->region), "%s", what->region);
        hmac(start, start_size - 1, span_str(signer->day), step);
        hmac(step, sizeof(step), span_str(what->region), step);
        hmac(step, sizeof(step), span_str(what->service), step);
        hmac(step, sizeof(step), span_str("aws4_request"), signer->key);
        signer->generation = secret->generation;
        OPENSSL_cleanse(start, start_size);
        OPENSSL_cleanse(step, sizeof(step));
        return HIF_OK;
}

/* --- the canonical request --- */

static int compare_headers(const void *a, const void *b)
{
        const struct s3_header *left = a, *right = b;

        return strcmp(left->name, right->name);
}

/* Blanks around the value go, and runs of them inside become one. */
static void put_value(struct buf *out, const char *value)
{
        bool blank = false;
        size_t start = out->size;

        for (; *value; value++) {
                if (*value == ' ' || *value == '\t') {
                        blank = true;
                        continue;
                }
                if (blank && out->size > start)
                        buf_put_u8(out, ' ');
                blank = false;
                buf_put_u8(out, (uint8_t)*value);
        }
}

static void put_names(struct buf *out, const struct s3_header *headers, size_t count)
{
        for (size_t i = 0; i < count; i++)
                buf_printf(out, "%s%s", i ? ";" : "", headers[i].name);
}

static void put_canonical(struct buf *out, const struct s3_to_sign *what,
                          const struct s3_header *headers)
{
        buf_printf(out, "%s\n", what->method);
        buf_put_span(out, what->path);
        buf_put_u8(out, '\n');
        buf_put_span(out, what->query);
        buf_put_u8(out, '\n');
        for (size_t i = 0; i < what->header_count; i++) {
                buf_printf(out, "%s:", headers[i].name);
                put_value(out, headers[i].value);
                buf_put_u8(out, '\n');
        }
        buf_put_u8(out, '\n');
        put_names(out, headers, what->header_count);
        buf_printf(out, "\n%s", what->payload_hash);
}

enum hif_err s3_sign(struct s3_signer *signer, const struct s3_secret *secret,
                     const struct s3_to_sign *what, struct buf *out)
{
        struct s3_header headers[S3_SIGNED_MAX];
        AUTO_BUF struct buf text = {0};
        char hash[S3_HASH_SIZE];
        uint8_t signature[SHA256_SIZE];
        enum hif_err err;

        assert(what->header_count <= S3_SIGNED_MAX && strlen(what->time) == S3_TIME_SIZE - 1);
        assert(strlen(what->region) < S3_REGION_SIZE);
        err = prepare_key(signer, secret, what);
        if (err)
                return err;
        memcpy(headers, what->headers, what->header_count * sizeof(headers[0]));
        qsort(headers, what->header_count, sizeof(headers[0]), compare_headers);
        put_canonical(&text, what, headers);
        if (buf_failed(&text))
                return HIF_ENOMEM;
        s3_sha256_hex(buf_span(&text), hash);
        OPENSSL_cleanse(text.data, text.size); /* a session token is in it */
        buf_reset(&text);
        buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", what->time,
                   signer->day, what->region, what->service, hash);
        if (buf_failed(&text))
                return HIF_ENOMEM;
        hmac(signer->key, sizeof(signer->key), buf_span(&text), signature);
        to_hex(signature, sizeof(signature), hash);
        buf_printf(out, "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request,SignedHeaders=",
                   secret->access_key_id, signer->day, what->region, what->service);
        put_names(out, headers, what->header_count);
        buf_printf(out, ",Signature=%s", hash);
        return buf_failed(out) ? HIF_ENOMEM : HIF_OK;
}
