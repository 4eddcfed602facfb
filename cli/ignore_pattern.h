/* ignore_pattern.h - one line of a rule file. Private to ignore. */
#ifndef HIF_CLI_IGNORE_PATTERN_H
#define HIF_CLI_IGNORE_PATTERN_H

#include "base/buf.h"

#include <stdbool.h>

struct pattern {
        struct span text; /* without "!", and without slashes at its ends; borrowed */
        bool negated;     /* "!": not ignored after all */
        bool dir_only;    /* it ended in "/" */
        bool anchored;    /* it has a "/" elsewhere: of the path, not of a name anywhere below */
        bool literal;     /* no wildcards, no escapes */
};

/* Parse a line without its newline; false: it says nothing. */
bool pattern_parse(struct span line, struct pattern *out);
/* path: relative to the directory of the rule file. Takes time in the product of the lengths, at
 * worst. */
bool pattern_match(const struct pattern *pattern, struct span path, bool is_dir);

#endif
