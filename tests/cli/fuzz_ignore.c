/* fuzz_ignore.c - any rules, any path: both ways of asking give the same answer. The input is the
 * rules, a zero byte, and the path. */
#include "cli/ignore.h"
#include "core/key.h"
#include "tests/core/fuzz_target.h"

#define RULES_MAX 512u /* each costs its length for each name */
#define PATH_MAX_ 300u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
        struct span rules = span_of(data, zero != NULL ? (size_t)(zero - data) : size);
        struct span path = {0};
        const struct ignore_scope *scope;
        struct ignore *ignore;
        bool file, dir;

        if (zero != NULL)
                path = span_of(zero + 1, size - rules.size - 1);
        if (rules.size > RULES_MAX || path.size > PATH_MAX_ || !path_valid(path))
                return 0;
        FUZZ_CHECK(ignore_new(&ignore) == HIF_OK);
        FUZZ_CHECK(ignore_add(ignore, span_str(""), rules) == HIF_OK);
        FUZZ_CHECK(ignore_match(ignore, path, false, &file) == HIF_OK);
        FUZZ_CHECK(ignore_match(ignore, path, true, &dir) == HIF_OK);
        FUZZ_CHECK(dir || !file); /* a rule may be for directories only, none for files only */
        ignore_free(ignore);

        FUZZ_CHECK(ignore_new(&ignore) == HIF_OK);
        FUZZ_CHECK(ignore_scope_new(ignore, ignore_root(ignore), span_str(""), rules, rules,
                                    &scope) == HIF_OK);
        if (path.size > 0 && memchr(path.data, '/', path.size) == NULL)
                FUZZ_CHECK(ignore_scope_match(scope, path, false) == file);
        ignore_free(ignore);
        return 0;
}
