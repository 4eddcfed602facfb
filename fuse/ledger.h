/* ledger.h - what the kernel expects of a FUSE server and what must outlive the process: the
 * requests that were read and not answered, and the files that are open.
 *
 * It lies in a memfd, which the supervisor keeps beside the descriptor of /dev/fuse. A request is
 * read(2) straight into it, so it is on the list before it can be lost, and that costs nothing:
 *
 *      read(fd, ledger_request(ledger, ledger_inbox(ledger)), LEDGER_REQUEST_MAX)
 *      run it; if it has to wait: slot = ledger_keep(ledger)         a copy, out of the inbox
 *      ledger_clear(ledger)                                          it is answered, or kept
 *      later, once that was answered: ledger_drop(ledger, slot)
 *
 * A successor opens the same memfd, and runs again what ledger_after gives. All words that tell
 * something are set in an order in which a death at any point leaves a request on the list twice
 * (with one number), or a file open once too often, and never the other way.
 *
 * One machine's memory, shared by processes that never run at the same time: numbers are in this
 * machine's order. The layout has a version; of another one nothing is read.
 *
 *      0       u32 magic "HFLG", u32 version, u64 size of the whole, u64 how many places of open
 *              files were ever used
 *      4096    struct ledger_slot: of the inbox; LEDGER_SMALL_COUNT small ones; LEDGER_LARGE_COUNT
 *      ...     open files, LEDGER_OPENS_MAX times: u64 node, u64 how often it is open (0: free)
 *      ...     requests: the inbox's, the small ones', the large ones'
 *
 * One thread. docs/fuse.md. */
#ifndef HIF_FUSE_LEDGER_H
#define HIF_FUSE_LEDGER_H

#include "base/buf.h"
#include "base/err.h"

/* A WRITE of 1 MiB with its headers; as much as /dev/fuse may give at once. */
#define LEDGER_REQUEST_MAX ((1u << 20) + 8192u)
/* So many requests of up to LEDGER_SMALL_MAX bytes, and so many larger ones, may wait at once. */
#define LEDGER_SMALL_COUNT 4160u
#define LEDGER_LARGE_COUNT 32u
#define LEDGER_SMALL_MAX   8192u
/* Files that are open at once; each counts once, however often it is open. */
#define LEDGER_OPENS_MAX 65536u

enum ledger_flag {
        LEDGER_OPENED = 1,      /* the open file that it makes is counted already */
        LEDGER_CLOSED = 2,      /* the open file that it ends is not counted any more */
        LEDGER_INTERRUPTED = 4, /* the kernel has said that the caller had a signal */
};

struct ledger_slot {
        uint64_t order;  /* the oldest has the least; 0: free. Not used for the inbox */
        uint64_t unique; /* the kernel's number of the request; not used for the inbox */
        uint32_t flags;  /* enum ledger_flag */
        uint32_t size;   /* of the request; for the inbox the request's own first word tells */
        uint64_t reserved;
};

struct ledger;

/* HIF_ENOMEM, HIF_ENOSPC. */
HIF_MUST_USE enum hif_err ledger_new(struct ledger **out);
/* What a predecessor left. The descriptor is the ledger's, if that succeeds. HIF_ECORRUPT: it is
 * no ledger, or one of another version; HIF_ENOMEM. */
HIF_MUST_USE enum hif_err ledger_open(int fd, struct ledger **out);
void ledger_free(struct ledger *ledger);
int ledger_fd(const struct ledger *ledger);

/* --- requests --- */

struct ledger_slot *ledger_inbox(struct ledger *ledger);
uint8_t *ledger_request(const struct ledger *ledger, const struct ledger_slot *slot);
/* The inbox holds nothing any more. */
void ledger_clear(struct ledger *ledger);
/* The inbox's request gets a place where it can wait. NULL: there is none left. */
struct ledger_slot *ledger_keep(struct ledger *ledger);
/* Another request, whatever its size, could be kept. */
bool ledger_has_room(const struct ledger *ledger);
void ledger_drop(struct ledger *ledger, struct ledger_slot *slot); /* NULL is fine */
/* The oldest request whose order is larger than this, or NULL. The inbox's is not among them. */
struct ledger_slot *ledger_after(struct ledger *ledger, uint64_t order);
/* What the inbox holds that no slot has, in bytes; 0: nothing. */
uint32_t ledger_inbox_left(const struct ledger *ledger);

/* --- open files --- */

/* Counted in the ledger; *first: it was not open before. HIF_ELIMIT: too many are open;
 * HIF_ENOMEM. */
HIF_MUST_USE enum hif_err ledger_opened(struct ledger *ledger, uint64_t node, bool *first);
bool ledger_is_open(const struct ledger *ledger, uint64_t node);
/* True: it is open no more. */
bool ledger_closed(struct ledger *ledger, uint64_t node);
/* Iterate: for (size_t i = 0; ledger_next_open(ledger, &i, &node);). */
bool ledger_next_open(const struct ledger *ledger, size_t *index, uint64_t *node);

#endif
