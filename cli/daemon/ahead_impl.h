/* ahead_impl.h - what the files of uploads ahead share. */
#ifndef HIF_CLI_DAEMON_AHEAD_IMPL_H
#define HIF_CLI_DAEMON_AHEAD_IMPL_H

#include "base/map.h"
#include "cli/daemon/workspace_ahead.h"

#define AHEAD_LARGE          (64ull << 20) /* files from here on have to rest for longer: */
#define AHEAD_LARGE_AFTER    12u           /* times the configured seconds */
#define AHEAD_FILES_MAX      2048u         /* of one round */
#define AHEAD_LITTLE_BYTES   (1ull << 20)  /* less than this waits for more of it to settle, */
#define AHEAD_LITTLE_WAIT    2u            /* for so many times the configured seconds */
#define AHEAD_PUBLISH_AFTER  12u           /* times those seconds without any change */
#define AHEAD_PUBLISH_MAX    (8ull << 20)  /* bytes of content that are read for it */
#define AHEAD_BACKOFF_MIN_S  5u            /* after an error, doubling up to */
#define AHEAD_BACKOFF_MAX_S  300u
#define AHEAD_REMEMBERED_MAX (1u << 20) /* files whose hash is kept */
#define AHEAD_MARKS          64u        /* of the past: as far back as any file has to rest */

/* --- ahead_memory.c: what was stored, by node --- */

enum ahead_what { AHEAD_STORED, AHEAD_IGNORED };

struct ahead_item {
        enum ahead_what what;
        uint64_t data_seq, size;
        uint64_t rules; /* IGNORED: by which rules */
        struct hif_hash hash;
        struct pack_loc loc;
};

/* Not thread-safe. Zero-initialised is empty and valid. */
struct ahead_memory {
        struct map items;
};

void ahead_memory_clear(struct ahead_memory *memory);
const struct ahead_item *ahead_memory_find(const struct ahead_memory *memory, uint64_t node);
HIF_MUST_USE enum hif_err ahead_memory_put(struct ahead_memory *memory, uint64_t node,
                                           const struct ahead_item *item);

/* --- the whole --- */

enum ahead_state {
        AHEAD_RESTING, /* everything that has settled is stored */
        AHEAD_STORING,
        AHEAD_WAITING, /* after an error: tries again later */
};

/* The overlay's record number at a time. */
struct ahead_mark {
        uint64_t ns, seq;
};

struct ahead {
        struct workspace *workspace;
        pthread_t thread;
        uint64_t after_ns;

        pthread_mutex_t lock;
        pthread_cond_t wake, idle;
        int paused;
        bool stop, running;
        enum ahead_state state;
        struct hif_why why; /* WAITING */
        atomic_bool cancel;
        struct ahead_memory memory; /* changed by the thread, under the lock */
        struct vfs_base base;       /* that the memory is of, */
        struct session_id of;       /* ... and the session, whose journal knows what it names */

        /* The thread's, and everyone's while it is paused. */
        uint64_t torn; /* the overlay's, when the memory was begun */
        struct ahead_mark marks[AHEAD_MARKS];
        uint32_t mark_count;          /* ever made */
        uint64_t done_seq;            /* the overlay's, when it was last looked through, */
        bool left;                    /* ... and whether something was left to do */
        bool little;                  /* waits for more to settle */
        uint64_t due_ns;              /* no round before */
        uint32_t failures;            /* in a row */
        uint64_t quiet_seq, quiet_ns; /* the overlay's, and since when */
        uint64_t published_seq;       /* the overlay's, after it was published last */
        uint64_t rules;               /* a mark of the rule files that the session has changed */
        struct session session;       /* of the landing that is to come */
        struct land *land;            /* NULL: to be begun */
        struct land_hooks hooks;
        struct fetch_nodes_blocking nodes;
};

/* --- ahead_round.c --- */

/* Look for what has settled, and store it. Sets left, and due_ns.
 *      HIF_OK         done, or nothing to do yet
 *      HIF_ECANCELED  paused
 *      others         with a reason, to be tried again */
HIF_MUST_USE enum hif_err ahead_round(struct ahead *ahead, struct hif_why *why);
uint64_t ahead_now_ns(const struct ahead *ahead);
/* Note the overlay's record number, if the last mark is old enough. */
void ahead_make_mark(struct ahead *ahead);
void ahead_forget(struct ahead *ahead); /* all that is remembered */

#endif
