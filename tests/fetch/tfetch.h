/* tfetch.h - a fetch over a memory store behind faults, with verbs instead of plumbing. */
#ifndef HIF_TESTS_FETCH_TFETCH_H
#define HIF_TESTS_FETCH_TFETCH_H

#include "base/simenv.h"
#include "fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

struct tfetch {
        struct env real;
        struct simenv *sim; /* NULL: the real machine */
        struct env *env;
        struct pool *pool;
        struct store *mem, *store; /* store: faults before mem */
        struct layout layout;
        struct fetch_config config;
        struct fetch *fetch;
        struct fetch_origin *origin;
        struct fetch_hints *hints;
        struct body_codec *codec;
};

struct tfetch_options {
        size_t threads; /* of the pool; 0: deterministic */
        bool simulated; /* the machine */
        struct fetch_config config;
};

void tfetch_start(struct tfetch *t, const struct tfetch_options *options);
void tfetch_stop(struct tfetch *t);
/* Drop the fetch, keep the store and the machine, and start over. */
void tfetch_restart(struct tfetch *t);
void tfetch_close(struct tfetch *t); /* the first half of that */
void tfetch_open(struct tfetch *t);

/* size bytes that depend on seed and compress badly. */
struct buf tbytes(uint64_t seed, size_t size);
uint64_t trandom(uint64_t *state);

/* Put into the store; the want that names it. */
struct fetch_want tput_blob(struct tfetch *t, uint64_t seed, size_t size);
struct fetch_want tput_list(struct tfetch *t, uint8_t depth, const struct chunk *chunks,
                            uint32_t count);
/* count blobs of that size in one pack, with no objects of their own. */
void tput_pack(struct tfetch *t, uint64_t seed, size_t size, size_t count, struct fetch_want *out);
struct layout_key tkey(struct tfetch *t, const struct fetch_want *want);
struct layout_key tpack_key(struct tfetch *t, const struct fetch_want *want);
uint64_t tgets(struct tfetch *t); /* GETs that the memory store saw */
void tfault(struct tfetch *t, const char *key_contains, uint64_t skip, uint64_t count,
            enum store_fault fault, enum hif_err err);

/* A tree of the root and count files, all in `dir` (""; else it is made), whose content lies in one
 * pack. wants: their blobs, or NULL. */
struct hif_hash tput_tree(struct tfetch *t, const char *dir, size_t count, size_t size,
                          struct fetch_want *wants);

/* A waiter that remembers. */
struct twait {
        struct fetch_waiter waiter; /* first */
        int done;
        enum hif_err err;
};
void twant(struct tfetch *t, struct twait *wait, const struct fetch_want *wants, size_t count);
/* The blocking call; releases again. */
enum hif_err tget(struct tfetch *t, const struct fetch_want *want);
/* In RAM, and the content is that of tbytes(seed, size). */
void texpect_content(struct tfetch *t, const struct fetch_want *want, uint64_t seed, size_t size);
bool tresident(struct tfetch *t, const struct fetch_want *want);
#define texpect(t, field, value) assert_int_equal(fetch_stats((t)->fetch).field, (value))

#endif
