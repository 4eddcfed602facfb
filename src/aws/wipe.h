/* wipe.h - freeing text that may be a secret. */
#ifndef HIF_AWS_WIPE_H
#define HIF_AWS_WIPE_H

#include "base/buf.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static inline void wipe_text(char *text)
{
        if (text)
                OPENSSL_cleanse(text, strlen(text));
        free(text);
}

static inline void wipe_buf(struct buf *buf)
{
        if (buf->data)
                OPENSSL_cleanse(buf->data, buf->capacity);
        buf_free(buf);
}

static inline void cleanup_wipe_text(char **text)
{
        wipe_text(*text);
}

#define AUTO_WIPE     CLEANUP(cleanup_wipe_text)
#define AUTO_WIPE_BUF CLEANUP(wipe_buf)

#endif
