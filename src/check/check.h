/* check.h - is all of a project there, and what it should be? The room behind "hif fsck".
 *
 * In stages: the format; an inventory of every key; the history, slot by slot, each with what its
 * tree changed against the one before; the contents that trees name; what is derived; what nothing
 * names. One thread, many requests in flight, memory within the limits of internal.h. Nothing is
 * written. What is wrong is a *finding*: a stable name, a severity, and what it concerns. What
 * could not be asked is the finding "not-checked": never damage, and never "clean".
 *
 * docs/fsck.md lists all findings, and says what this checks and what it cannot. */
#ifndef HIF_CHECK_CHECK_H
#define HIF_CHECK_CHECK_H

#include "land/project.h"

enum check_severity {
        CHECK_INFO,    /* worth knowing; nothing to do */
        CHECK_WARNING, /* nothing is lost; something works worse, or says something wrong */
        CHECK_ERROR,   /* something cannot be read, or a promise of the design is broken */
        CHECK_FATAL,   /* nothing more can be checked */
};
const char *check_severity_name(enum check_severity severity);

/* What can be found. Names, severities and texts are in findings.c. */
enum check_kind {
        /* format */
        CHECK_FORMAT_MISSING,
        CHECK_FORMAT_DAMAGED,
        CHECK_FORMAT_UNSUPPORTED,
        /* slots */
        CHECK_SLOT_MISSING,
        CHECK_SLOT_DAMAGED,
        CHECK_SLOT_UNSUPPORTED,
        CHECK_CHAIN_BROKEN,
        CHECK_CLOCK_BACKWARDS,
        CHECK_LANDING_TWICE,
        CHECK_SESSION_TWICE,
        CHECK_SESSION_REFUSED,
        CHECK_LIST_MISSING,
        CHECK_LIST_DAMAGED,
        CHECK_BLOOM_WRONG,
        CHECK_HEAD_MISSING,
        CHECK_HEAD_BEHIND,
        CHECK_HEAD_AHEAD,
        CHECK_HEAD_WRONG,
        CHECK_SESSION_MISSING,
        CHECK_SESSION_DAMAGED,
        CHECK_OPEN_SESSION_DAMAGED,
        /* trees */
        CHECK_NODE_MISSING,
        CHECK_NODE_DAMAGED,
        CHECK_TREE_WRONG,
        CHECK_ENTRIES_WRONG,
        CHECK_PATH_UNLISTED,
        CHECK_TAG_WRONG,
        CHECK_OBJECT_UNLISTED,
        CHECK_OBJECT_SURPLUS,
        /* contents */
        CHECK_PACK_MISSING,
        CHECK_PACK_DAMAGED,
        CHECK_PACK_REPLACED,
        CHECK_LOCATION_WRONG,
        CHECK_BLOB_MISSING,
        CHECK_BLOB_DAMAGED,
        CHECK_CHUNKS_MISSING,
        CHECK_CHUNKS_DAMAGED,
        CHECK_CHUNKS_WRONG,
        /* derived data */
        CHECK_DERIVED_WRONG,
        /* what nothing names */
        CHECK_UNREFERENCED,
        CHECK_UNKNOWN_KEY,
        /* what could not be asked */
        CHECK_NOT_CHECKED,
        CHECK_KIND_COUNT
};

struct check_kind_info {
        const char *name; /* "slot-missing" */
        enum check_severity severity;
        const char *meaning; /* what it is, and what does not work because of it */
        const char *next;    /* what to do */
};
const struct check_kind_info *check_kind_info(enum check_kind kind);

#define CHECK_PATHS_NAMED 5u

/* Everything is borrowed for the call. */
struct check_finding {
        enum check_kind kind;
        enum check_severity severity; /* of its kind, as a rule */
        const char *key;              /* in the store; "" where it is about no single object */
        const char *detail;           /* what was seen; "" */
        bool at;                      /* first and last say which positions are affected */
        uint64_t first, last;
        uint64_t count; /* how many objects, keys or paths; 0: does not apply */
        uint64_t bytes;
        const struct span *paths; /* some of the paths affected */
        uint32_t path_count;
        uint64_t path_total; /* how many there are */
};

enum check_stage {
        CHECK_STAGE_FORMAT,
        CHECK_STAGE_INVENTORY,
        CHECK_STAGE_HISTORY,
        CHECK_STAGE_CONTENTS,
        CHECK_STAGE_DERIVED,
        CHECK_STAGE_LEFTOVERS,
        CHECK_STAGE_COUNT
};
const char *check_stage_name(enum check_stage stage);

/* --- repairing --- */

enum check_want {
        CHECK_WANT_STORED,  /* the stored bytes of a key */
        CHECK_WANT_CONTENT, /* a small file's, or a chunk's */
        CHECK_WANT_NODE,    /* a tree node's encoded bytes */
        CHECK_WANT_CHUNKS,  /* a chunk list's bytes */
};
struct check_wanted {
        enum check_want want;
        const char *key;             /* where it lies in the store; CONTENT may lie elsewhere */
        const struct hif_hash *hash; /* but for STORED */
        uint64_t size;               /* of the content; 0: not known */
        uint64_t file_size;          /* of the file that it is a chunk of; 0: not known */
};

/* Where intact bytes may be: a copy of the store, files, a cache. Nothing of it is trusted: what it
 * gives is held against its name. */
struct check_source {
        struct check_source *next;
        /* Append. HIF_ENOENT: it is not there. */
        enum hif_err (*get)(struct check_source *source, const struct check_wanted *wanted,
                            struct buf *out);
};

struct check_repair_options {
        struct check_source *sources; /* may be NULL */
        bool drop_unreadable;         /* leave lost files out of the newest tree */
        const char *author;           /* of a repair slot */
};

/* What was done about one thing, or could not be. */
struct check_repaired {
        const char *what; /* "restored", "moved", "left out" ... */
        const char *key;  /* in the store, or "" */
        const char *detail;
        struct span path; /* of a file that was left out */
        bool done;
};

struct check_hooks {
        void (*found)(struct check_hooks *hooks, const struct check_finding *finding);
        /* total 0: not known. bytes: read so far, all stages together. May be NULL. */
        void (*progress)(struct check_hooks *hooks, enum check_stage stage, uint64_t done,
                         uint64_t total, uint64_t bytes);
        void (*repaired)(struct check_hooks *hooks, const struct check_repaired *repaired);
};

/* Which contents to read and hash. The same objects every time: which, their names decide. */
enum check_subset_kind {
        CHECK_SUBSET_NONE,
        CHECK_SUBSET_ALL,
        CHECK_SUBSET_PART,  /* the n-th (from 1) of m parts */
        CHECK_SUBSET_SHARE, /* of all objects */
        CHECK_SUBSET_BYTES, /* about so many bytes */
};
struct check_subset {
        enum check_subset_kind kind;
        uint32_t n, m;  /* PART */
        double share;   /* SHARE: 0 to 1 */
        uint64_t bytes; /* BYTES */
};
/* "all", "none", "N/M", "P%", "500M" (K, M, G, T). HIF_EINVAL with a sentence. */
HIF_MUST_USE enum hif_err check_subset_parse(const char *text, struct check_subset *out,
                                             struct hif_why *why);

struct check_options {
        uint64_t from; /* check the history from this position on; its tree in whole. 0: all */
        struct check_subset subset;
        const struct check_repair_options *repair; /* NULL: nothing is written */
};

struct check_report {
        uint64_t counts[CHECK_FATAL + 1]; /* findings by severity, not-checked apart */
        uint64_t not_checked;
        enum hif_err not_checked_err; /* the first reason */
        bool have_tail;
        uint64_t first, tail;            /* the positions that were checked */
        uint64_t slots, nodes, contents; /* that were read and found good */
        uint64_t objects, object_bytes;  /* in the store */
        uint64_t entries;                /* of the newest tree */
        uint64_t requests, bytes_got;
        uint64_t trips; /* waits for a batch of requests */
        uint64_t repaired, unrepaired;
};

/* Check a project, and then repair what was found, if that is asked for: check again to see what is
 * left. HIF_OK: it ran to its end, and the report says with what result. HIF_EINVAL: no
 * project's name. HIF_ENOENT: there is nothing under that name, or no such position. Others: it
 * could not go on (HIF_ENOMEM, or the store does not answer at all); the findings so far hold. */
HIF_MUST_USE enum hif_err check_run(struct env *env, struct store *store, const char *name,
                                    const struct check_options *options, struct check_hooks *hooks,
                                    struct check_report *report, struct hif_why *why);

#endif
