/* tcut.h - machines whose power is cut, one for each seed; an argument of the program is the only one. */
#ifndef HIF_TESTS_BASE_TCUT_H
#define HIF_TESTS_BASE_TCUT_H

#include "base/simenv.h"
#include "tests/base/check.h"

extern uint64_t seed_first, seed_last;
void cut_seeds(int argc, char **argv);

/* One machine. It is made anew for each seed. */
struct tcut {
        struct simenv *sim;
        struct env *env;
};

struct tcut cut_new(uint64_t seed);
void cut_free(struct tcut *t);
/* A machine that is still there means that its test failed. */
int cut_teardown(void **state);

/* For each seed: `t` is a machine. */
#define EACH_SEED(t)                                                                               \
        for (uint64_t seed = seed_first; seed <= seed_last; seed++)                                \
                for (struct tcut t = cut_new(seed); t.sim; cut_free(&t))

int open_at(struct tcut *t, const char *path);
/* Write text as the whole content of path; sync it if told to. The name is not synced. */
void put(struct tcut *t, const char *path, const char *text, bool sync);
void make_dir(struct tcut *t, const char *path);
bool exists(struct tcut *t, const char *path);
/* The content of path as a string; "(none)" if it is not there. Good until the next call. */
const char *content(struct tcut *t, const char *path);

/* How often each of two outcomes came; where both are legal both have to come. */
struct outcomes {
        unsigned yes, no;
};
void count(struct outcomes *outcomes, bool yes);
void expect_both(struct outcomes outcomes);

#endif
