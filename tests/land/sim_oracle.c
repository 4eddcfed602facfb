/* The oracle: the rules of landing over whole maps, with nothing of the real code in it. */
#include "tests/land/sim.h"

#include "core/key.h"

#include <stdlib.h>

/* Three directories of equal shape, every path of which may be anything at all. */
static const struct {
        const char *text;
        int above;
} universe[PATHS] = {
    {"a", -1},    {"b", -1},    {"c", -1},    {"a/x", 0},   {"a/y", 0},    {"a/d", 0},
    {"b/x", 1},   {"b/y", 1},   {"b/d", 1},   {"c/x", 2},   {"c/y", 2},    {"c/d", 2},
    {"a/d/x", 5}, {"a/d/y", 5}, {"b/d/x", 8}, {"b/d/y", 8}, {"c/d/x", 11}, {"c/d/y", 11},
};

const char *path_text(int path)
{
        return universe[path].text;
}

int path_above(int path)
{
        return universe[path].above;
}

bool path_below(int path, int dir)
{
        for (path = path_above(path); path >= 0; path = path_above(path))
                if (path == dir)
                        return true;
        return false;
}

const char *value_text(uint8_t value)
{
        static const char *const texts[CONTENTS] = {"one", "two, longer", "three\n",
                                                    "four four four four four four four", "5"};

        return value < VALUE_FILE ? "" : texts[(value - VALUE_FILE) % CONTENTS];
}

static int compare_keys(const void *a, const void *b)
{
        struct buf key_a = {0}, key_b = {0};
        int order;

        key_from_path(&key_a, span_str(path_text(*(const int *)a)));
        key_from_path(&key_b, span_str(path_text(*(const int *)b)));
        order = span_cmp(buf_span(&key_a), buf_span(&key_b));
        buf_free(&key_a);
        buf_free(&key_b);
        return order;
}

void paths_by_key(int order[PATHS])
{
        for (int i = 0; i < PATHS; i++)
                order[i] = i;
        qsort(order, PATHS, sizeof(order[0]), compare_keys);
}

/* Ours is written: it differs from base, and N is still as base was. */
static bool written(const struct state *base, const struct state *ours, const struct state *theirs,
                    int path)
{
        return ours->at[path] != base->at[path] && theirs->at[path] == base->at[path];
}

static bool ancestors_are_directories(const struct state *base, const struct state *ours,
                                      const struct state *theirs, int path)
{
        for (path = path_above(path); path >= 0; path = path_above(path)) {
                const struct state *side = written(base, ours, theirs, path) ? ours : theirs;

                if (side->at[path] != VALUE_DIR)
                        return false;
        }
        return true;
}

struct verdict oracle_decide(const struct state *base, const struct state *ours,
                             const struct state *theirs)
{
        struct verdict verdict = {.merged = *theirs};

        for (int p = 0; p < PATHS; p++) {
                uint8_t b = base->at[p], o = ours->at[p], n = theirs->at[p];

                if (o == b)
                        continue;
                if (n != b && n != o)
                        verdict.conflict[p] = true;
                if (o != VALUE_ABSENT && n == b &&
                    !ancestors_are_directories(base, ours, theirs, p))
                        verdict.conflict[p] = true;
                for (int q = 0; q < PATHS && b == VALUE_DIR && o != VALUE_DIR; q++)
                        if (path_below(q, p) && theirs->at[q] != VALUE_ABSENT &&
                            base->at[q] == VALUE_ABSENT)
                                verdict.conflict[q] = true;
                if (n == b) {
                        verdict.merged.at[p] = o;
                        verdict.edits++;
                }
        }
        for (int p = 0; p < PATHS; p++)
                verdict.conflicts += verdict.conflict[p];
        return verdict;
}
