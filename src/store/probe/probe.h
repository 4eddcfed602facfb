/* probe.h - does a store keep its promises?
 *
 * All coordination rests on conditional writes. A store that answers them with success and ignores
 * the condition loses landings without a sign, so each store that is not known is asked first: by
 * simultaneous create-only writes of one key, by writes with tags that are stale or made up, and by
 * reading back. It writes small objects under PROBE_PREFIX and deletes them again. */
#ifndef HIF_STORE_PROBE_PROBE_H
#define HIF_STORE_PROBE_PROBE_H

#include "store/store.h"

#define PROBE_PREFIX  "probe/"
#define PROBE_VERSION 1 /* what is remembered of a probe counts for this version of it only */
#define PROBE_WRITERS 8 /* at a time */
#define PROBE_ROUNDS  3 /* of each race */

enum probe_check {
        PROBE_CREATE_RACE,     /* of simultaneous create-only writes exactly one succeeds */
        PROBE_CREATE_EXISTING, /* a create-only write of what is there fails, and changes nothing */
        PROBE_MATCH_RIGHT,     /* a replacement with the current tag succeeds */
        PROBE_MATCH_STALE,     /* with the tag before, it fails, and changes nothing */
        PROBE_MATCH_FOREIGN,   /* so it does with one that nothing ever had */
        PROBE_MATCH_ABSENT,    /* and where there is no object; none is made */
        PROBE_MATCH_RACE,      /* of simultaneous replacements of one tag exactly one succeeds */
        PROBE_READ,            /* what was written is read, and its size and tag are told */
        PROBE_RANGE,           /* a part of an object is that part */
        PROBE_LIST,            /* what was written is listed, sorted, with sizes */
        PROBE_DELETE,          /* what was deleted is gone */
        PROBE_CHECKS
};

enum probe_state {
        PROBE_NOT_RUN,
        PROBE_GOOD,
        PROBE_BROKEN, /* the promise was not kept */
        PROBE_FAILED, /* no answer, or none that tells */
};

struct probe_finding {
        enum probe_state state;
        enum hif_err err; /* PROBE_FAILED */
        char text[200];   /* BROKEN, FAILED: what was seen */
};

struct probe_report {
        struct probe_finding findings[PROBE_CHECKS];
        /* How long one request took, of those that ran alone: medians. 0: none did. */
        uint64_t put_ns, get_ns, list_ns, delete_ns;
        uint64_t requests;
};

const char *probe_check_name(enum probe_check check);  /* "create-race" */
const char *probe_check_title(enum probe_check check); /* a sentence's half, for people */
/* Without it nothing can be landed. The others (listing, deleting) cost convenience only. */
bool probe_check_essential(enum probe_check check);
const char *probe_state_name(enum probe_state state); /* "good" */

/* Probe it; report is filled in any case.
 *   HIF_OK       every essential promise was kept
 *   HIF_ENOTSUP  one was not: the sentence says what would be lost
 *   HIF_EDENIED  the credentials may not write there
 *   any error of a request, after some attempts: it cannot be told */
HIF_MUST_USE enum hif_err store_probe(struct store *store, struct probe_report *report,
                                      struct hif_why *why);

#endif
