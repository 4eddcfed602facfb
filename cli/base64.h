/* base64.h - bytes of any kind in a JSON message. */
#ifndef HIF_CLI_BASE64_H
#define HIF_CLI_BASE64_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

/* As a string; NULL: out of memory, or more than half of what a message can hold. */
json_t *base64_to_json(struct span bytes);
/* Append what a string holds. HIF_ECORRUPT: it is none, or not one of base64. */
HIF_MUST_USE enum hif_err base64_from_json(const json_t *value, struct buf *out);

#endif
