/* tcheck.h - verbs for tests of the check: a project with a history, damage to it, and what the
 * check then finds. */
#ifndef TESTS_CHECK_TCHECK_H
#define TESTS_CHECK_TCHECK_H

#include "check/check.h"
#include "tests/land/tland.h"

#define TCHECK_FINDINGS 64
#define TCHECK_OBJECTS  64
#define TCHECK_OFFERS   8
#define TCHECK_BIG_SIZE (5u << 20)

/* A finding, kept. */
struct tfinding {
        enum check_kind kind;
        enum check_severity severity;
        char key[LAYOUT_KEY_MAX];
        char detail[256];
        bool at;
        uint64_t first, last;
        uint64_t count;
        char path[256]; /* the first that is named */
        uint64_t path_total;
};

struct tcheck {
        struct check_hooks hooks;
        struct tproject tp;
        struct check_options options;
        struct check_report report;
        struct hif_why why;
        struct tfinding findings[TCHECK_FINDINGS];
        size_t count;
        struct store *store; /* what is checked: tp.store, or faults before it */
        struct check_repair_options repair;
        struct check_source source;
        struct store *copy; /* in memory; NULL: none */
        struct span offers[TCHECK_OFFERS];
        size_t offer_count;
        uint8_t *big; /* the content of "big" */
};

/* cmocka: *state is a struct tcheck, with a project in memory:
 *      @0  empty
 *      @1  dir/, dir/one "1", dir/two "2", run (executable), link -> run; big, of 5 MiB
 *      @2  511 small files in many/, enough for a tree of two levels
 *      @3  dir/one "11"
 *      @4  dir/two removed, dir/three "3" */
int tcheck_setup(void **state);
int tcheck_teardown(void **state);

/* Run it; whatever it is that is found is kept. */
enum hif_err tcheck_run(struct tcheck *tc);
/* Run it: there is nothing to find, not even something worth knowing. */
void tcheck_expect_clean(struct tcheck *tc);
/* Run it: exactly this is found, once. */
const struct tfinding *tcheck_expect(struct tcheck *tc, enum check_kind kind);
/* Of the last run: the n-th (from 0) of a kind; fails the test when there is none. */
const struct tfinding *tcheck_found(const struct tcheck *tc, enum check_kind kind, size_t n);
size_t tcheck_count(const struct tcheck *tc, enum check_kind kind);

/* Run it with a repair, from a copy of the store (tcheck_copy) or contents (tcheck_offer). */
enum hif_err tcheck_repair(struct tcheck *tc, bool drop_unreadable);
/* Keep the store as it is now: what a repair may take objects from. */
void tcheck_copy(struct tcheck *tc);
/* A repair may take this content from outside the store. */
void tcheck_offer(struct tcheck *tc, struct span content);

/* --- damage --- */

struct layout_key tcheck_slot_key(struct tcheck *tc, uint64_t position);
/* The hash of the leaf (level 0) or root that holds a path at a position. */
struct hif_hash tcheck_root(struct tcheck *tc, uint64_t position);
struct hif_hash tcheck_leaf(struct tcheck *tc, uint64_t position, const char *path);
void tcheck_drop(struct tcheck *tc, const char *key);
void tcheck_flip(struct tcheck *tc, const char *key, size_t byte);
void tcheck_write(struct tcheck *tc, const char *key, struct span body); /* whatever was there */
/* Keep an object's bytes, to put them back. */
void tcheck_read(struct tcheck *tc, const char *key, struct buf *out);

/* --- positions that no hif would write --- */

/* A slot after the tail, that would be right: a landing which changes nothing. */
struct tslot {
        struct slot slot;
        struct slot_object objects[TCHECK_OBJECTS];
        struct slot_path paths[TCHECK_OBJECTS];
        struct slot_read before;
};
void tslot_begin(struct tcheck *tc, struct tslot *out);
/* Change its tree: entry NULL removes. New nodes are stored and listed; the path is listed, too. */
void tslot_edit(struct tcheck *tc, struct tslot *ts, const char *path, const struct entry *entry);
void tslot_edit_with(struct tcheck *tc, struct tslot *ts, const char *path,
                     const struct entry *entry, const struct tree_params *params);
/* An entry of a directory, or of an empty file, with the slot's tag. */
struct entry tslot_dir(const struct tslot *ts);
struct entry tslot_file(const struct tslot *ts);
void tslot_object(struct tslot *ts, enum slot_object_kind kind, const struct hif_hash *hash);
void tslot_put(struct tcheck *tc, struct tslot *ts); /* and move head */

#endif
