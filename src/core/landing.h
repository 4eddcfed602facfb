/* landing.h - the records that landing writes: format, head, slots, lists. Pure encoding.
 *
 * Every record has magic, version and kind; slots end in a tail of typed fields, so that later
 * versions can add some. A reader refuses required features that it does not know. Slots and the
 * format end in a checksum, as nothing names the format or the newest slot by its hash. */
#ifndef HIF_CORE_LANDING_H
#define HIF_CORE_LANDING_H

#include "base/arena.h"
#include "core/bloom.h"
#include "core/hash.h"
#include "core/hlc.h"
#include "core/session.h"
#include "core/tree.h"

/* --- format --- */

struct project_format {
        uint8_t project_id[16]; /* random */
        struct tree_params tree;
        uint64_t features_required; /* bits; none defined yet */
        uint64_t features_optional;
};

/* Drawn in landing.c. HIF_EUNSUPPORTED: a newer version, a required feature that is not known,
 * other chunk sizes than ours. HIF_ECORRUPT: of our version, with a changed bit. */
void format_put(struct buf *out, const struct project_format *format);
HIF_MUST_USE enum hif_err format_get(struct span stored, struct project_format *out);

/* --- head: exactly 48 bytes --- */

#define HEAD_SIZE 48

struct head {
        uint64_t position;
        struct hif_hash tree;
        hlc_t hlc;
};

void head_put(struct buf *out, const struct head *head);
HIF_MUST_USE enum hif_err head_get(struct span stored, struct head *out);

/* --- slots --- */

#define SLOT_SIZE_MAX   (64u << 10) /* longer lists become objects that the slot names */
#define SLOT_GOAL_MAX   1024
#define LANDING_ID_SIZE 16
/* Of one slot. A batch of so many short members still fits SLOT_SIZE_MAX with its lists outside. */
#define SLOT_MEMBERS_MAX 1024u
#define SLOT_REFUSED_MAX 256u

enum slot_kind {
        SLOT_LANDING = 1,
        SLOT_BATCH = 2,
        SLOT_VOID = 3, /* occupies a position so that an attempt given up cannot arrive later */
        SLOT_REPAIR = 4,
        SLOT_GC = 5,
};

/* What a landing did to a path. */
enum slot_path_kind { SLOT_ADDED = 1, SLOT_CHANGED = 2, SLOT_REMOVED = 3, SLOT_RENAMED = 4 };

struct slot_path {
        enum slot_path_kind kind;
        struct span path;
        struct span path_from; /* RENAMED only */
};

/* An object that this tree references and the previous one did not. */
enum slot_object_kind { SLOT_NODE = 1, SLOT_BLOB = 2, SLOT_PACK = 3, SLOT_CHUNKS = 4 };

struct slot_object {
        enum slot_object_kind kind;
        struct hif_hash hash;
};

/* One landing of a batch. The members are ordered: each was checked against the tree after the one
 * before it, and the slot's tree is that after the last. */
struct slot_member {
        uint8_t landing_id[LANDING_ID_SIZE];
        uint64_t tag; /* what the entries that it wrote carry */
        struct session_id session;
        struct hif_hash session_object;
        uint64_t base_position;
        uint64_t wall_ns;
        struct span author;
        struct span goal;    /* written cut to SLOT_GOAL_MAX */
        uint32_t path_count; /* of the slot's paths, the next so many, in the order of members */
};

/* A proposal that was decided: not this one. Its session never lands under that id. */
struct slot_refused {
        uint8_t landing_id[LANDING_ID_SIZE];
        struct session_id session;
};

/* In a batch tag, session, session_object, base_position, author and goal are empty: its members
 * have them. */
struct slot {
        enum slot_kind kind;
        uint64_t position;
        uint8_t landing_id[LANDING_ID_SIZE]; /* random, ours: how an unknown outcome is resolved */
        uint64_t tag;                        /* random: what entries carry */
        struct session_id session;
        struct hif_hash session_object; /* HASH_SESSION; zeros: none (position 0, void) */
        uint64_t base_position;
        struct hif_hash previous; /* HASH_SLOT of the slot before; zeros at position 0 */
        struct hif_hash tree;
        uint64_t tree_entries;
        hlc_t hlc;
        uint64_t wall_ns;
        struct span author;
        struct span goal; /* slot_put cuts it to SLOT_GOAL_MAX; the session has it whole */
        /* Inline, or in a LIST object when paths_list is not zero. The counts hold either way. */
        uint32_t path_count;
        struct slot_path *paths; /* NULL when in the list */
        struct hif_hash paths_list;
        uint32_t object_count;
        struct slot_object *objects; /* NULL when in the list */
        struct hif_hash objects_list;
        /* Of the paths. Absent, it says "maybe" to all: for lists that are too long for one. Where
         * there are paths, it is absent or not empty. */
        struct bloom bloom;
        bool bloom_absent;
        /* Of a batch only, and there at least one. */
        uint32_t member_count;
        struct slot_member *members; /* NULL when in the list */
        struct hif_hash members_list;
        /* Of a landing, a batch or a void. */
        uint32_t refused_count;
        struct slot_refused *refused;
        /* How many others wanted this position, as far as its writer knows: races that it lost
         * before, proposals beside its own. 0 in a project where nobody is in another's way. A hint
         * to who lands next, and nothing else. */
        uint32_t rivals;
};

/* Append the stored bytes (drawn in landing_slot.c). HIF_ELIMIT when over SLOT_SIZE_MAX: move lists
 * out and try again. HIF_EINVAL: an author is over SESSION_AUTHOR_MAX. Asserted: previous is zero
 * at position 0 only, base_position < position (0 at 0), the tree is not zero and has entries, a
 * list that is not empty is inline or in an object, a void has no lists and no session object, a
 * batch has members, whose paths are the slot's. */
HIF_MUST_USE enum hif_err slot_put(struct buf *out, const struct slot *slot);
/* Spans borrow from `stored`; arrays and bits live in the arena. The position must be the one asked
 * for: HIF_ECORRUPT. HIF_EUNSUPPORTED: a newer version, kind, or field that must be understood. */
HIF_MUST_USE enum hif_err slot_get(struct span stored, uint64_t position, struct arena *arena,
                                   struct slot *out);

/* What a slot landed, whatever its kind; what every reader of slots goes by. A landing is one, a
 * batch its members, anything else none. The members must be there: inline, or loaded from their
 * list (asserted). */
uint32_t slot_landing_count(const struct slot *slot);
/* Landing `index`, from 0; its paths begin at *first_path (may be NULL). */
void slot_landing_at(const struct slot *slot, uint32_t index, struct slot_member *out,
                     uint32_t *first_path);
/* Is this session's landing in here: which one (index may be NULL). */
bool slot_lands(const struct slot *slot, const struct session_id *session, uint32_t *index);
bool slot_refuses(const struct slot *slot, const struct session_id *session);

/* Do the members, once loaded, belong to this slot: their count, their bases, their paths. */
bool slot_members_fit(const struct slot *slot);

/* How a landing is named to people: "@12", or "@12.3" for the third of a batch. member: from 1; 0
 * where the position has one landing, or none. */
#define LANDING_NAME_SIZE 36
void landing_name(uint64_t position, uint32_t member, char out[LANDING_NAME_SIZE]);

/* The LIST objects (drawn in landing_list.c), stored as they are under HASH_LIST. */
void slot_paths_put(struct buf *out, const struct slot_path *paths, uint32_t count);
HIF_MUST_USE enum hif_err slot_paths_get(struct span stored, struct arena *arena,
                                         struct slot_path **paths, uint32_t *count);
void slot_objects_put(struct buf *out, const struct slot_object *objects, uint32_t count);
HIF_MUST_USE enum hif_err slot_objects_get(struct span stored, struct arena *arena,
                                           struct slot_object **objects, uint32_t *count);
void slot_members_put(struct buf *out, const struct slot_member *members, uint32_t count);
HIF_MUST_USE enum hif_err slot_members_get(struct span stored, struct arena *arena,
                                           struct slot_member **members, uint32_t *count);

#endif
