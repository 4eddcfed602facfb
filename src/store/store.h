/* store.h - named objects and two conditional writes: everything hif needs of a place to keep
 * projects in.
 *
 * A store maps keys to immutable-or-replaced byte strings. Two operations are conditional, and all
 * coordination rests on them: STORE_PUT_NEW (succeeds for exactly one of any number of concurrent
 * writers of a key) and STORE_PUT_MATCH (succeeds only while the object still has the given tag).
 * What a successful PUT wrote is durable, and visible to every later GET, HEAD and LIST.
 *
 * Calling sequence: store_open (or a back end's own constructor); then fill a store_req and
 * store_submit it, any number at a time from any thread; its done() is called exactly once, on a
 * thread of the store's choosing, possibly before store_submit returns. store_run does both for a
 * batch and waits. store_close when nothing is in flight (asserted).
 *
 * Results of a request:
 *      HIF_OK
 *      HIF_ENOENT        GET, HEAD: no such object. PUT_MATCH: it vanished (or HIF_ELOST, where a
 *                        store does not tell the two apart)
 *      HIF_ELOST         PUT_NEW: the key exists. PUT_MATCH: another tag
 *      HIF_EUNKNOWN      a PUT that may or may not have taken effect, now or later: repeat the same
 *                        bytes under the same key until there is a definite answer
 *      HIF_EUNREACHABLE  no answer, and certainly no effect      HIF_EDENIED  credentials
 *      HIF_ENOSPC, HIF_EROFS, HIF_EIO, HIF_ENOMEM                HIF_ECANCELED  store_close
 *      HIF_EINVAL        a malformed key or prefix. GET: range_start > 0 is not inside the object
 *      HIF_ELIMIT        GET: the answer would be larger than size_max
 *                        PUT_MATCH: the body is over STORE_MATCH_MAX, or the object there is,
 *                        where the back end notices
 *
 * A key is 1 to STORE_KEY_MAX bytes: components joined by '/', each 1 to 255 bytes, none starting
 * with '.', no control characters; S3 takes UTF-8 only (HIF_EINVAL). No key may be a directory of
 * another ("a" beside "a/b"): such a PUT is HIF_EINVAL where the back end notices. The requests of
 * one batch run in no order. */
#ifndef HIF_STORE_STORE_H
#define HIF_STORE_STORE_H

#include "base/buf.h"
#include "base/env.h"
#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define STORE_KEY_MAX          1024
#define STORE_TAG_MAX          64
#define STORE_MATCH_MAX        4096
#define STORE_LIST_DEFAULT     1000
#define STORE_SIZE_MAX_DEFAULT (UINT64_C(64) << 20)
#define STORE_RANGE_END        UINT64_MAX

enum store_op {
        STORE_GET,
        STORE_HEAD,
        STORE_PUT,       /* unconditional: for content-named objects, where any winner is equal */
        STORE_PUT_NEW,   /* create-only */
        STORE_PUT_MATCH, /* replace what has this tag; for small objects, see STORE_MATCH_MAX */
        STORE_DELETE,    /* absent already: fine */
        STORE_LIST,      /* up to list_max keys > key (as start-after) with the prefix, sorted */
};

/* An opaque version tag (S3: ETag without quotes). Compare only for equality. */
struct store_tag {
        char text[STORE_TAG_MAX]; /* NUL-terminated; "" = none */
};

struct store_listed {
        char *key; /* owned by the list */
        uint64_t size;
};

struct store_list {
        struct store_listed *items;
        size_t count;
        bool more;
};
void store_list_free(struct store_list *list); /* leaves it empty and valid */

/* One request. Zero-initialise, set the inputs, submit; it must stay in place until done(). Strings
 * and the body are borrowed until then. */
struct store_req {
        /* in */
        enum store_op op;
        const char *key;
        const char *prefix;     /* LIST */
        size_t list_max;        /* LIST; 0 = 1000 */
        uint64_t range_start;   /* GET: bytes [range_start, range_start + range_size), */
        uint64_t range_size;    /*   cut at the object's end; 0 (and start 0) = all of it */
        uint64_t size_max;      /* GET: at most so many bytes; 0 = 64 MiB */
        struct span body;       /* PUT* */
        struct store_tag match; /* PUT_MATCH */
        /* GET, HEAD: answer HIF_OK only once the object's name is durable, too. Another process may
         * have made it visible an instant ago, and not have synced it yet. */
        bool settled;
        void (*done)(struct store_req *req); /* NULL with store_run */
        void *arg;                           /* the submitter's */

        /* out, valid in and after done() */
        enum hif_err result;
        struct buf data;        /* GET; the submitter's to free; empty when submitted */
        uint64_t size;          /* GET, HEAD: of the whole object */
        struct store_tag tag;   /* GET, HEAD, PUT* */
        struct store_list list; /* LIST; the submitter's to free; empty when submitted */

        /* the store's own */
        struct store_req *next;
        void *back_end;
        struct store_batch *batch;
        bool submitted;
};

/* Free what a finished request holds; it may be submitted again. */
void store_req_free(struct store_req *req);

struct store_stats {
        uint64_t requests[STORE_LIST + 1];
        uint64_t bytes_got, bytes_put;
        uint64_t failed; /* answered with an error other than HIF_ENOENT and HIF_ELOST */
};

struct store;

/* What a back end gives. Its requests have passed the checks of the arguments, with list_max and
 * size_max filled in; it answers each with store_done. */
struct store_ops {
        void (*submit)(struct store *store, struct store_req *req);
        /* Optional: what store_run submits, all at once, for a back end that gains by it. */
        void (*submit_batch)(struct store *store, struct store_req *reqs, size_t count);
        /* Wait until all n are done, for callers that may block. NULL: the shim's own (a condition
         * variable). A simulation yields to its scheduler here. */
        void (*wait)(struct store *store, struct store_req *reqs, size_t count);
        void (*close)(struct store *store); /* frees it */
        /* "file:///srv/hif" */
        const char *(*url)(struct store *store);
        /* Optional, see store_cancel, store_cancel_silent, store_date and store_why. */
        void (*cancel)(struct store *store);
        void (*cancel_silent)(struct store *store, uint64_t silent_ms);
        bool (*date)(struct store *store, uint64_t *wall_ns);
        bool (*why)(struct store *store, enum hif_err result, struct hif_why *out);
};

/* Embedded first in every back end's own struct, filled by store_init. Callers use the functions
 * below, which assert the contract on both sides (arguments before, results after). */
struct store {
        const struct store_ops *ops;
        struct env *env;
        bool local; /* objects are as near as a cache would be: none is kept on the SSD tier */
        struct store_stats stats; /* updated atomically; read with store_stats_get */
        uint64_t in_flight;
        void (*slow)(void *arg); /* store_tell_slow */
        void *slow_arg;
};

void store_init(struct store *store, const struct store_ops *ops, struct env *env);
/* For back ends: the outputs are set, here is the result. Calls req->done, after which req may be
 * gone. (done() must not close the store: it may run on one of its threads.) */
void store_done(struct store *store, struct store_req *req, enum hif_err result);

bool store_key_valid(const char *key);
/* The start of some valid key; "" is. */
bool store_prefix_valid(const char *prefix);
/* For back ends: the part of an object of `size` bytes that a GET wants, as offset and count.
 * HIF_EINVAL, HIF_ELIMIT. */
HIF_MUST_USE enum hif_err store_range(const struct store_req *req, uint64_t size, uint64_t *offset,
                                      size_t *count);
/* For back ends: append a copy of key to a list. */
HIF_MUST_USE enum hif_err store_list_add(struct store_list *list, const char *key, uint64_t size);

/* Whoever waits for a batch longer than STORE_SLOW_MS calls this, once a store: a person may wonder
 * what happens. Set before the first request. */
#define STORE_SLOW_MS 5000
void store_tell_slow(struct store *store, void (*slow)(void *arg), void *arg);

void store_submit(struct store *store, struct store_req *req);
/* Submit a batch and wait for all of it; results are in the requests. */
void store_run(struct store *store, struct store_req *reqs, size_t count);

/* The two halves of store_run, for callers that have something else to do meanwhile: the batch and
 * its requests stay in place until store_batch_wait returns. */
struct store_batch {
        pthread_mutex_t mutex;
        pthread_cond_t done;
        size_t left;
};
void store_batch_start(struct store *store, struct store_batch *batch, struct store_req *reqs,
                       size_t count);
void store_batch_wait(struct store *store, struct store_batch *batch, struct store_req *reqs,
                      size_t count);
/* Let nobody wait any more: what is in flight is answered soon, where it can be with HIF_ECANCELED
 * (a write may all the same take effect), and so is all that is submitted from now on. For stores
 * whose answers may be long in coming; others do nothing. Thread-safe; NULL is fine. */
void store_cancel(struct store *store);
/* The same, but only once the store has said nothing for so long while something is in flight: as
 * long as it answers, everything goes on. */
void store_cancel_silent(struct store *store, uint64_t silent_ms);
void store_close(struct store *store); /* NULL is fine */
const char *store_url(struct store *store);
struct store_stats store_stats_get(struct store *store);
/* The store's own clock: the date of its last answer and the time since then. False: it has none,
 * or has not answered yet. */
bool store_date(struct store *store, uint64_t *wall_ns);
/* What was most recently behind this result, in a sentence: HIF_EDENIED, HIF_EIO, HIF_ENOSPC,
 * HIF_EUNREACHABLE, HIF_EUNKNOWN. False: the store says no more than the result. */
bool store_why(struct store *store, enum hif_err result, struct hif_why *out);
/* For sentences of one's own on a failed request: what store_why says (kept in *room), else
 * hif_strerror's words. */
const char *store_reason(struct store *store, enum hif_err result, struct hif_why *room);

/* --- back ends --- */

/* By URL: "file:///absolute/dir" (created if missing when create is set; percent-decoded), a plain
 * absolute path, or "s3://bucket/prefix" (url.h; with create, the bucket is asked for, but it
 * has to be there). HIF_EINVAL with a reason for anything else; the errors of store_dir_open and
 * store_s3_new. env stays the caller's and outlives the store. */
HIF_MUST_USE enum hif_err store_open(struct env *env, const char *url, bool create,
                                     struct store **out, struct hif_why *why);

/* A directory (store_dir.c says how each promise is kept). io_threads 0: requests run inside
 * store_submit. HIF_ENOENT, HIF_ENOTDIR, HIF_EACCES, HIF_EROFS, HIF_ENOTSUP (the file system can
 * neither link nor rename without replacing, or has no locks), HIF_EINVAL, and HIF_EIO. */
HIF_MUST_USE enum hif_err store_dir_open(struct env *env, const char *path, bool create,
                                         size_t io_threads, struct store **out,
                                         struct hif_why *why);

/* Memory; done() runs inside store_submit. Thread-safe. */
HIF_MUST_USE enum hif_err store_mem_new(struct env *env, struct store **out);
/* For tests: how many objects; the bytes of one (NULL span: absent); flip one bit; drop it. */
size_t store_mem_count(struct store *store);
/* Borrowed until the object is replaced or dropped. */
struct span store_mem_peek(struct store *store, const char *key);
bool store_mem_flip(struct store *store, const char *key, size_t bit);
bool store_mem_drop(struct store *store, const char *key);

/* Faults before another store, which stays the caller's. Rules are tried in order; the first that
 * matches op and key, after `skip` matches and for `count` matches, acts. */
enum store_fault {
        STORE_FAULT_FAIL, /* answer `err`; the inner store sees nothing */
        STORE_FAULT_LOST, /* do it, then answer HIF_EUNKNOWN (writes) or HIF_EUNREACHABLE (reads) */
        STORE_FAULT_LATE, /* answer HIF_EUNKNOWN now; do it at store_fault_deliver(). Reads: as LOST
                           */
        STORE_FAULT_FALSE_LOST, /* do a conditional write, then answer success with HIF_ELOST, as an
                                 * HTTP library that resends on a dead connection does */
        STORE_FAULT_TRUNCATE,   /* GET: drop the last byte */
        STORE_FAULT_FLIP,       /* GET: flip a bit */
        STORE_FAULT_HOLD,       /* do nothing until store_fault_deliver(), then do it and answer */
};

struct store_fault_rule {
        int op;                   /* enum store_op, or -1 for any */
        const char *key_contains; /* NULL: any; borrowed until cleared. LIST: of the prefix */
        uint64_t skip, count;
        enum store_fault fault;
        enum hif_err err; /* FAIL */
};

HIF_MUST_USE enum hif_err store_fault_new(struct env *env, struct store *inner, struct store **out);
HIF_MUST_USE enum hif_err store_fault_add(struct store *store, const struct store_fault_rule *rule);
void store_fault_clear(struct store *store); /* the rules; what is late or held stays so */
/* Carry out everything late or held, in order, and wait for it; not from a done(). What is late
 * when the store closes never arrives. */
void store_fault_deliver(struct store *store);
size_t store_fault_waiting(struct store *store); /* how much is late or held */

#endif
