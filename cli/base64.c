#include "cli/base64.h"

#include "cli/control_wire.h"

#include <openssl/evp.h>
#include <stdlib.h>

json_t *base64_to_json(struct span bytes)
{
        size_t size = (bytes.size + 2) / 3 * 4 + 1;
        json_t *value = NULL;
        char *text;

        if (bytes.size > CONTROL_SIZE_MAX / 2)
                return NULL;
        text = malloc(size);
        if (text != NULL) {
                EVP_EncodeBlock((unsigned char *)text,
                                bytes.size > 0 ? bytes.data : (const void *)"", (int)bytes.size);
                value = json_string(text);
        }
        free(text);
        return value;
}

enum hif_err base64_from_json(const json_t *value, struct buf *out)
{
        const char *text = json_string_value(value);
        size_t size = json_string_length(value), padding = 0;
        uint8_t *at;

        if (text == NULL || size % 4 != 0 || size > CONTROL_SIZE_MAX)
                return HIF_ECORRUPT;
        if (size == 0)
                return HIF_OK;
        at = buf_reserve(out, size / 4 * 3);
        if (at == NULL)
                return HIF_ENOMEM;
        if (EVP_DecodeBlock(at, (const unsigned char *)text, (int)size) < 0)
                return HIF_ECORRUPT;
        while (padding < 2 && text[size - 1 - padding] == '=')
                padding++;
        buf_extend(out, size / 4 * 3 - padding);
        return HIF_OK;
}
