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
};

/* Append the stored bytes (drawn in landing_slot.c). HIF_ELIMIT when over SLOT_SIZE_MAX: move lists
 * out and try again. HIF_EINVAL: the author is over SESSION_AUTHOR_MAX. Asserted: previous is zero
 * at position 0 only, base_position < position (0 at 0), the tree is not zero and has entries, a
 * list that is not empty is inline or in an object, a void has no lists and no session object. */
HIF_MUST_USE enum hif_err slot_put(struct buf *out, const struct slot *slot);
/* Spans borrow from `stored`; arrays and bits live in the arena. The position must be the one asked
 * for: HIF_ECORRUPT. HIF_EUNSUPPORTED: a newer version, kind, or field that must be understood. */
HIF_MUST_USE enum hif_err slot_get(struct span stored, uint64_t position, struct arena *arena,
                                   struct slot *out);

/* The LIST objects (drawn in landing_list.c), stored as they are under HASH_LIST. */
void slot_paths_put(struct buf *out, const struct slot_path *paths, uint32_t count);
HIF_MUST_USE enum hif_err slot_paths_get(struct span stored, struct arena *arena,
                                         struct slot_path **paths, uint32_t *count);
void slot_objects_put(struct buf *out, const struct slot_object *objects, uint32_t count);
HIF_MUST_USE enum hif_err slot_objects_get(struct span stored, struct arena *arena,
                                           struct slot_object **objects, uint32_t *count);

#endif
