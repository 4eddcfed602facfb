/* tland.h - verbs for tests of landing: a project in a store, and sessions that land in it. */
#ifndef TESTS_LAND_TLAND_H
#define TESTS_LAND_TLAND_H

#include "core/body.h"
#include "land/land.h"
#include "s3/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define TSESSION_CHANGES 4608

struct tproject {
        struct env env;
        struct place *place; /* of the store; NULL: opened by URL */
        struct store *store;
        bool far; /* over HTTP: not for a thousand requests more */
        struct buf peeked;
        struct pool *pool;
        struct project project;
        uint64_t reads; /* bytes that land_stage asked for */
};

/* A project in a place of its own (url NULL): memory, unless HIF_TEST_STORE asks for another back
 * end. Or in a store that others open, too: a directory's path, or a URL. */
void tproject_open(struct tproject *tp, const char *url, size_t threads);
void tproject_close(struct tproject *tp);
int tproject_setup(void **state); /* cmocka: *state is a struct tproject in memory */
int tproject_teardown(void **state);
uint64_t tproject_tail(struct tproject *tp);

/* A session and its list of changes. Paths and contents are string literals, or outlive it. */
struct tsession {
        struct land_reader reader;
        struct land_hooks hooks;
        struct tproject *tp;
        struct session session;
        struct land_change changes[TSESSION_CHANGES];
        struct span contents[TSESSION_CHANGES];
        size_t count;
        struct land *land;
        struct land_result result;
        struct hif_why why;
        struct land_intent intent; /* saved */
        struct land_progress progress;
        uint32_t early_steps; /* reports of more files done, before anything was stored */
        const char *journal;
        uint64_t slept_ns;
};

void tsession_open(struct tsession *ts, struct tproject *tp, uint64_t base);
void tsession_close(struct tsession *ts);
void tsession_put(struct tsession *ts, const char *path, const char *content);
void tsession_put_bytes(struct tsession *ts, const char *path, struct span content);
void tsession_exec(struct tsession *ts, const char *path, const char *content);
void tsession_link(struct tsession *ts, const char *path, const char *target);
void tsession_mkdir(struct tsession *ts, const char *path, int64_t mtime_sec);
void tsession_remove(struct tsession *ts, const char *path);
/* As the overlay does it: the entry moves, content unread. */
void tsession_rename(struct tsession *ts, const char *from, const char *to);
/* Stage and commit; the session may be landed again, with more changes. */
enum hif_err tsession_land(struct tsession *ts);
enum hif_err tsession_land_with(struct tsession *ts, const struct land_intent *intent,
                                bool check_only);

/* In one step, for what other people do. */
void tproject_land_put(struct tproject *tp, const char *path, const char *content);
void tproject_land_remove(struct tproject *tp, const char *path);
void tproject_land_mkdir(struct tproject *tp, const char *path);

/* The entry at a position; fails the test when there is none. Borrowed spans are cut off. */
struct entry tproject_entry(struct tproject *tp, uint64_t position, const char *path);
bool tproject_has(struct tproject *tp, uint64_t position, const char *path);
void tproject_expect(struct tproject *tp, const char *path, const char *content); /* at the tail */
void tproject_expect_bytes(struct tproject *tp, const char *path, struct span content);
void tproject_verify(struct tproject *tp); /* the tail's tree is well-formed */
/* An object of the store: its bytes, until the next look; gone; with one bit changed. */
struct span tproject_peek(struct tproject *tp, const char *key);
void tproject_drop(struct tproject *tp, const char *key);
void tproject_flip(struct tproject *tp, const char *key, size_t bit);
size_t tproject_count(struct tproject *tp, const char *key_contains);

/* The one conflict of a list of one. */
void tsession_expect_conflict(struct tsession *ts, const char *path, const char *ours,
                              const char *theirs);

#endif
