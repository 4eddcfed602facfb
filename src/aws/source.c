/* source.c - what sources of credentials share: reading a token, filling a key, telling what was tried. */
#include "aws/source.h"

#include "aws/wipe.h"

#include <stdarg.h>
#include <stdio.h>

#define TOKEN_FILE_MAX (16u << 10)

void aws_tried(struct aws_chain *chain, const char *format, ...)
{
        char text[512];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        buf_printf(&chain->tried, "%s%s", chain->tried.size > 0 ? "; " : "", text);
}

/* What goes into a header: visible ASCII. */
static bool header_text(const char *text)
{
        for (; *text; text++)
                if (*text <= 0x20 || *text == 0x7f)
                        return false;
        return true;
}

enum hif_err aws_key_set(struct aws_key *key, const char *id, const char *secret, const char *token,
                         const char *source, struct hif_why *why)
{
        const struct {
                const char *text, *name;
                char *to;
                size_t size;
        } parts[] = {{id, "access key id", key->access_key_id, AWS_ID_SIZE},
                     {secret, "secret access key", key->secret_access_key, AWS_SECRET_SIZE},
                     {token ? token : "", "session token", key->session_token, AWS_TOKEN_SIZE}};

        for (size_t i = 0; i < 3; i++) {
                size_t size = strlen(parts[i].text);
                const char *fault = NULL;

                if (size == 0 && i < 2)
                        fault = "is empty";
                else if (size >= parts[i].size)
                        fault = "is too long";
                else if (!header_text(parts[i].text))
                        fault = "holds blanks or control characters";
                if (fault)
                        return why_set(why, HIF_EINVAL, "the %s that %s gives %s", parts[i].name,
                                       source, fault);
                memcpy(parts[i].to, parts[i].text, size + 1);
        }
        return HIF_OK;
}

enum hif_err aws_token_read(struct env *env, const char *path, char **out, struct hif_why *why)
{
        AUTO_WIPE_BUF struct buf bytes = {0};
        enum hif_err err = HIF_ENOMEM;
        size_t start = 0, end;

        if (buf_reserve(&bytes, TOKEN_FILE_MAX))
                err = env_read_file(env, path, TOKEN_FILE_MAX, &bytes);
        if (err != HIF_OK)
                return why_set(why, HIF_EDENIED, "cannot read the token in %.300s: %s", path,
                               hif_strerror(err));
        end = bytes.size;
        while (end > 0 && bytes.data[end - 1] <= 0x20)
                end--;
        while (start < end && bytes.data[start] <= 0x20)
                start++;
        if (start == end || memchr(bytes.data + start, 0, end - start))
                return why_set(why, HIF_EDENIED, "there is no token in %.300s", path);
        *out = strndup((const char *)bytes.data + start, end - start);
        return *out ? HIF_OK : why_set(why, HIF_ENOMEM, "out of memory");
}

void aws_key_wipe(struct aws_key *key)
{
        OPENSSL_cleanse(key, sizeof(*key));
}
