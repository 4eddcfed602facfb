/* percent.h - what URLs write as %XX (RFC 3986, section 2.1). */
#ifndef HIF_STORE_PERCENT_H
#define HIF_STORE_PERCENT_H

#include <stdbool.h>

/* Decode in place; false for anything else behind a '%', and for %00. */
bool percent_decode(char *text);

#endif
