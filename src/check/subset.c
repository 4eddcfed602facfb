/* Which contents a check reads. Names are hashes, and so already as good as random: the first bytes
 * decide, and the same subset is the same objects every time. */
#include "check/internal.h"

#include <errno.h>
#include <math.h>

static enum hif_err bad(const char *text, struct hif_why *why)
{
        return why_set(why, HIF_EINVAL,
                       "\"%.40s\" is no part of the data: write N/M (the N-th of M parts), P%%, a "
                       "size like 500M, all, or none",
                       text);
}

static enum hif_err parse_part(const char *text, const char *slash, struct check_subset *out,
                               struct hif_why *why)
{
        char *end;
        unsigned long n, m;

        errno = 0;
        n = strtoul(text, &end, 10);
        if (errno != 0 || end != slash)
                return bad(text, why);
        m = strtoul(slash + 1, &end, 10);
        if (errno != 0 || *end || slash[1] < '0' || slash[1] > '9' || n < 1 || n > m ||
            m > CHECK_PARTS_MAX)
                return bad(text, why);
        *out = (struct check_subset){.kind = CHECK_SUBSET_PART, .n = (uint32_t)n, .m = (uint32_t)m};
        return HIF_OK;
}

static enum hif_err parse_number(const char *text, struct check_subset *out, struct hif_why *why)
{
        static const char units[] = "KMGT";
        char *end;
        double number;
        const char *unit;

        errno = 0;
        number = strtod(text, &end);
        if (errno != 0 || end == text || !isfinite(number) || number < 0)
                return bad(text, why);
        if (strcmp(end, "%") == 0 && number <= 100) {
                *out = (struct check_subset){.kind = CHECK_SUBSET_SHARE, .share = number / 100};
                return HIF_OK;
        }
        unit = *end ? strchr(units, *end) : NULL;
        if (*end && (!unit || end[1]))
                return bad(text, why);
        for (const char *u = units; unit && u <= unit; u++)
                number *= 1024;
        if (number >= 0x1p62)
                return bad(text, why);
        *out = (struct check_subset){.kind = CHECK_SUBSET_BYTES, .bytes = (uint64_t)number};
        return HIF_OK;
}

enum hif_err check_subset_parse(const char *text, struct check_subset *out, struct hif_why *why)
{
        const char *slash = strchr(text, '/');

        if (strcmp(text, "all") == 0 || strcmp(text, "none") == 0) {
                *out = (struct check_subset){.kind = text[0] == 'a' ? CHECK_SUBSET_ALL
                                                                    : CHECK_SUBSET_NONE};
                return HIF_OK;
        }
        if (text[0] < '0' || text[0] > '9')
                return bad(text, why);
        return slash ? parse_part(text, slash, out, why) : parse_number(text, out, why);
}

void subset_settle(struct check *c, uint64_t bytes_total)
{
        struct check_subset *subset = &c->subset;

        if (subset->kind != CHECK_SUBSET_BYTES)
                return;
        subset->kind = CHECK_SUBSET_SHARE;
        subset->share =
            bytes_total > subset->bytes ? (double)subset->bytes / (double)bytes_total : 1;
}

bool subset_has(const struct check_subset *subset, const struct hif_hash *hash)
{
        switch (subset->kind) {
        case CHECK_SUBSET_NONE:
        case CHECK_SUBSET_BYTES:
                return false;
        case CHECK_SUBSET_ALL:
                return true;
        case CHECK_SUBSET_PART:
                return hash_prefix(hash) % subset->m == subset->n - 1;
        case CHECK_SUBSET_SHARE:
                return subset->share >= 1 || (double)hash_prefix(hash) < subset->share * 0x1p64;
        }
        return false;
}
