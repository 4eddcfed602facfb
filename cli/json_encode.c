#include "cli/json_encode.h"

#include "base/buf.h"

static int keep(const char *text, size_t size, void *arg)
{
        struct buf *out = arg;

        buf_put(out, text, size);
        return buf_failed(out) ? -1 : 0;
}

char *json_encode(const json_t *value, size_t flags)
{
        struct buf out = {0};

        if (value == NULL || json_dump_callback(value, keep, &out, flags) != 0)
                out.failed = true;
        buf_put_u8(&out, 0);
        if (!buf_failed(&out))
                return (char *)out.data;
        buf_free(&out);
        return NULL;
}
