/* proposal.h - what a session would land, for whoever wins the next slot to land it.
 *
 * An immutable object, `proposals/{landing id}`, created after everything that it names was stored.
 * Slots alone decide it (docs/landing.md, "Proposals"): it is landed when a slot has its session,
 * and dead when a slot refuses that. Ends in a checksum, as nothing names it by its hash. */
#ifndef HIF_CORE_PROPOSAL_H
#define HIF_CORE_PROPOSAL_H

#include "core/entry.h"
#include "core/landing.h"

#define PROPOSAL_SIZE_MAX (64u << 10) /* longer lists become objects that the proposal names */

/* One path that the session changed against its base. */
struct proposal_change {
        bool remove;
        struct span path;      /* not the root */
        struct span path_from; /* renamed from, for records only; empty: not a rename */
        struct entry entry;    /* unless removed; without tag and ext */
};

struct proposal {
        uint8_t landing_id[LANDING_ID_SIZE];
        struct landing_tag tag; /* what the entries carry; its position: the first it may land at */
        struct session_id session;
        struct hif_hash session_object;
        uint64_t origin;
        uint64_t base_position;
        struct hif_hash base_slot;
        hlc_t hlc; /* the session's last change */
        uint64_t wall_ns;
        struct span author;
        struct span goal; /* proposal_put cuts it to SLOT_GOAL_MAX */
        /* Sorted by key, each path once. Inline, or in a LIST object when the list is not zero. */
        uint32_t change_count;
        struct proposal_change *changes; /* NULL when in the list */
        struct hif_hash changes_list;
        /* What the contents are stored as, in the same way. */
        uint32_t object_count;
        struct slot_object *objects;
        struct hif_hash objects_list;
};

/* Append the stored bytes (drawn in proposal.c). HIF_ELIMIT when over PROPOSAL_SIZE_MAX: move lists
 * out and try again. HIF_EINVAL: the author is over SESSION_AUTHOR_MAX. Asserted: changes are there
 * and valid. */
HIF_MUST_USE enum hif_err proposal_put(struct buf *out, const struct proposal *proposal);
/* Spans borrow from `stored`; arrays live in the arena. HIF_ECORRUPT; HIF_EUNSUPPORTED: a newer
 * version, or a field that must be understood. */
HIF_MUST_USE enum hif_err proposal_get(struct span stored, struct arena *arena,
                                       struct proposal *out);

/* The LIST object of changes, stored as it is under HASH_LIST; that of objects is a slot's. */
void proposal_changes_put(struct buf *out, const struct proposal_change *changes, uint32_t count);
HIF_MUST_USE enum hif_err proposal_changes_get(struct span stored, struct arena *arena,
                                               struct proposal_change **changes, uint32_t *count);

#endif
