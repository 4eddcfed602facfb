/* json_encode.h - JSON as text. */
#ifndef HIF_CLI_JSON_ENCODE_H
#define HIF_CLI_JSON_ENCODE_H

#include <jansson.h>

/* As json_dumps does, for the caller to free; but where json_dumps has no memory for a name it leaves it
 * out and goes on, and this gives NULL. NULL of a value that is NULL, too. */
char *json_encode(const json_t *value, size_t flags);

#endif
