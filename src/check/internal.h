/* internal.h - what the files of this room share. See docs/fsck.md for what is checked and why. */
#ifndef HIF_CHECK_INTERNAL_H
#define HIF_CHECK_INTERNAL_H

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "check/check.h"
#include "core/body.h"

#include <stdio.h>
#include <stdlib.h>

/* Bounds on what is in flight or in memory at once. */
#define WINDOW_SLOTS    256u         /* slots read together */
#define BATCH           256u         /* other objects read together */
#define LISTS_AHEAD     32u          /* pages of keys asked for together */
#define OBJECTS_MAX     (1u << 25)   /* remembered by name, 48 bytes each and room to grow */
#define SESSIONS_MAX    (1u << 24)   /* landings whose ids are compared */
#define FILE_LISTS_MAX  100000u      /* chunk lists of one file that are walked */
#define OPEN_MAX        (1u << 20)   /* open sessions, or proposals */
#define RANGES_MAX      1000u        /* of positions without a gap */
#define BROKEN_MAX      100000u      /* objects that are missing or damaged */
#define OTHERS_MAX      10000u       /* slots, lists, sessions that are, kept for a repair */
#define EDITS_MAX       1000000u     /* entries that one repair changes */
#define NODES_BYTES     (128u << 20) /* tree nodes kept */
#define READ_AHEAD      64u          /* contents read together, */
#define READ_BYTES      (96u << 20)  /* or as many bytes */
#define NOT_CHECKED_MAX 100u         /* told one by one */
#define UNKNOWN_MAX     20u          /* keys that are named */
#define WRONG_MAX       20u          /* broken rules of one tree, told one by one */
#define LIST_BYTES_MAX  (1ull << 30) /* a path or object list that a slot names */
#define CHUNK_DEPTH_MAX 3
#define CHECK_PARTS_MAX 1000000u
#define TRIES           4u                   /* of a request that gets no answer */
#define PATIENCE_NS     UINT64_C(8000000000) /* after so long, no further try */
#define GIVE_UP_AFTER   8u /* requests in a row without an answer, tries counted as one */

/* --- inventory.c: what the store has, and what of it is named --- */

enum object_kind { OBJECT_NODE, OBJECT_BLOB, OBJECT_PACK, OBJECT_LIST, OBJECT_SESSION };
#define OBJECT_KINDS 5

struct object {
        struct hif_hash hash; /* a session's is mixed with its id: session_name */
        uint64_t size : 48;
        uint64_t kind : 3;
        uint64_t used : 1;
        uint64_t present : 1; /* its key was listed */
        uint64_t listed : 1;  /* by a slot so far */
        uint64_t reached : 1; /* by a tree so far */
        uint64_t read : 1;    /* and found good, or bad: */
        uint64_t bad : 1;     /* in the list of what is broken */
};

struct inventory {
        struct object *items; /* open addressing */
        size_t count, capacity;
        bool full;     /* OBJECTS_MAX: some are not in it */
        bool complete; /* every key was listed: what is not in it is not there */
        uint64_t key_count, key_bytes;
};

/* A run of positions without a gap. */
struct range {
        uint64_t first, last;
};

struct object *inventory_find(struct inventory *inventory, enum object_kind kind,
                              const struct hif_hash *hash);
/* The object, new (absent, unlisted) or as it is. *out NULL: the inventory is full. */
HIF_MUST_USE enum hif_err inventory_add(struct inventory *inventory, enum object_kind kind,
                                        const struct hif_hash *hash, struct object **out);
struct hif_hash session_name(const struct session_id *id, const struct hif_hash *hash);

/* --- the check --- */

struct broken;
struct nodes;
struct repair_state;
struct due_sessions;

/* Ids of 16 bytes: of sessions, of landings. */
struct id_list {
        struct session_id *items;
        size_t count, capacity;
};

struct check {
        struct project project;
        struct env *env;
        const struct check_options *options;
        struct check_hooks *hooks;
        struct check_report *report;
        struct hif_why *why;
        struct check_subset subset;

        struct inventory inventory;
        struct range *ranges; /* of positions that are there */
        size_t range_count;
        struct id_list open_sessions, proposals; /* that lie in the store */
        uint64_t unknown_count, unknown_bytes;
        char unknown[UNKNOWN_MAX][STORE_KEY_MAX + 1];

        struct broken *broken; /* in the order in which they were found */
        size_t broken_count, broken_capacity, broken_more;
        bool broken_more_told;
        struct map broken_map; /* kind and hash -> index + 1 */
        struct arena broken_arena;
        struct hif_hash damaged_pack; /* the one whose bytes are kept: */
        struct buf damaged_bytes;
        uint32_t lists_left; /* chunk lists that a walk over one file may still read */

        struct other *others;
        size_t other_count;
        bool head_wrong;
        bool derived_removed;
        bool unsure; /* something could not be stored, or not be read again: nothing is left out */
        uint64_t derived_count;      /* of keys */
        struct repair_state *repair; /* while one runs */

        struct nodes *nodes;
        struct body_codec *codec;
        struct due_sessions *due;
        struct map sessions; /* mixed id -> position + 1 */
        struct map landings, refused;
        bool sessions_full;
        uint64_t surplus_count, surplus_first, surplus_last;
        struct map wrong_locations; /* digests of those that lie beyond the end of their pack */
        struct map locations;       /* of entries, in packs that are to be read: digest -> any */
        bool locations_full;
        bool unplaced;  /* some of what is broken is, and no path is known for it yet */
        bool have_tree; /* the newest one that a slot names: */
        struct hif_hash tree;
        bool slots_unread; /* some: what they name is not known */
        uint64_t not_checked_count;
        uint32_t silent; /* requests in a row without an answer */
};

/* --- findings.c --- */

void found(struct check *c, const struct check_finding *finding);
void found_at(struct check *c, enum check_kind kind, uint64_t position, const char *key,
              const char *detail);
void not_checked(struct check *c, enum hif_err err, const char *key, const char *what);
void report_progress(struct check *c, enum check_stage stage, uint64_t done, uint64_t total);

/* --- requests.c: reading with patience --- */

/* Run a batch; what gets no answer is tried again. HIF_EUNREACHABLE: nothing answers any more. */
HIF_MUST_USE enum hif_err run_requests(struct check *c, struct store_req *reqs, size_t count);
/* What a result says of the object. */
enum answer {
        ANSWER_HERE,
        ANSWER_ABSENT,
        ANSWER_NONE, /* nothing is known: not_checked */
};
enum answer answer_of(const struct store_req *req);
/* One GET, with lists' limit. */
HIF_MUST_USE enum hif_err get_one(struct check *c, const char *key, uint64_t size_max,
                                  struct store_req *req);
/* What is to be fetched of an id, and what is to be done with the answer, whatever it is. */
struct visitor {
        struct layout_key (*key_of)(const struct layout *layout, const struct session_id *id);
        enum hif_err (*take)(struct check *c, const struct store_req *req,
                             const struct session_id *id);
};
/* Fetch what each id names, BATCH at a time. The first error of a request or of take ends it. */
HIF_MUST_USE enum hif_err get_each(struct check *c, const struct id_list *ids,
                                   const struct visitor *visitor);

/* --- subset.c --- */

void subset_settle(struct check *c, uint64_t bytes_total); /* BYTES becomes SHARE */
bool subset_has(const struct check_subset *subset, const struct hif_hash *hash);

/* --- broken.c: objects that are missing or damaged, and what that affects --- */

enum broken_state { BROKEN_MISSING, BROKEN_DAMAGED, BROKEN_UNREAD };

struct broken {
        enum check_kind finding;
        enum object_kind kind;
        enum broken_state state;
        struct hif_hash hash;
        struct layout_key key;
        enum hif_err err; /* UNREAD: why */
        bool here;        /* it came since the keys were listed */
        bool told;
        uint64_t first, last;
        bool open; /* still so at the position that is being checked */
        struct span paths[CHECK_PATHS_NAMED];
        uint32_t path_count;
        uint64_t path_total;
        uint64_t covered; /* PACK: entries whose content has a blob of its own */
        uint64_t live;    /* entries of the tree that is being checked that need it */
        bool unplaced;    /* found by reading contents: which paths need it is looked for later */
        bool needed;      /* ... and some of the newest tree does */
        bool lost_more;   /* PACK: contents without a path here are lost, too, or may be */
        bool repaired;
        uint64_t size, file_size; /* BLOB: of the content, and of the file it is a part of; or 0 */
        struct located *located;  /* PACK: what trees say is in it */
        const char *detail;
};

/* A content in a pack that is broken. */
struct located {
        struct located *next;
        struct hif_hash hash;
        uint32_t offset, size, content_size;
        bool saved; /* it has a blob of its own */
};
HIF_MUST_USE enum hif_err located_add(struct check *c, struct broken *broken,
                                      const struct hif_hash *hash, uint32_t offset, uint32_t size,
                                      uint32_t content_size);

/* Other objects that are missing or damaged, kept for a repair: slots, lists, records of sessions.
 */
struct other {
        char key[LAYOUT_KEY_MAX];
        enum hash_kind kind;  /* HASH_KIND_COUNT: a derived record */
        struct hif_hash hash; /* zeros for a slot: */
        uint64_t position;
};
void other_add(struct check *c, const char *key, enum hash_kind kind, const struct hif_hash *hash,
               uint64_t position);

/* A place of a content in a pack, and the one that an entry gives, in 64 bits. */
uint64_t place_digest(const struct hif_hash *pack, const struct hif_hash *content, uint32_t offset,
                      uint32_t size);
uint64_t location_digest(const struct entry *entry);
#define LOCATION_LOST "its location in a pack is wrong, and it has no blob of its own"

/* The record of a broken object, new or as it was; NULL: BROKEN_MAX, or out of memory. */
struct broken *broken_add(struct check *c, enum object_kind kind, const struct hif_hash *hash,
                          enum check_kind finding, enum broken_state state, uint64_t position);
struct broken *broken_find(struct check *c, enum object_kind kind, const struct hif_hash *hash);
void broken_path(struct check *c, struct broken *broken, struct span path);
/* From this position on, trees have it no more. */
void broken_close(struct check *c, enum object_kind kind, const struct hif_hash *hash,
                  uint64_t position);
/* Look again for what seemed missing (it may have come since the keys were listed), and tell. */
HIF_MUST_USE enum hif_err broken_report(struct check *c);

/* --- nodes.c: tree nodes, verified, in a bounded cache --- */

enum node_state { NODE_GOOD, NODE_MISSING, NODE_DAMAGED, NODE_UNREAD };

HIF_MUST_USE enum hif_err nodes_new(struct check *c, struct nodes **out);
void nodes_free(struct nodes *nodes);
/* get() fails with HIF_ECORRUPT for a node that is missing or damaged, and HIF_EIO for one that the
 * store did not give; nodes_state tells more. */
struct tree_source *nodes_source(struct nodes *nodes);
HIF_MUST_USE enum hif_err nodes_prefetch(struct nodes *nodes, const struct hif_hash *hashes,
                                         size_t count);
/* err: why it was not given (UNREAD), or what is wrong with it. */
enum node_state nodes_state(struct nodes *nodes, const struct hif_hash *hash, enum hif_err *err);
static inline bool node_is_bad(enum hif_err err)
{
        return err == HIF_ECORRUPT || err == HIF_EIO || err == HIF_EUNSUPPORTED;
}

/* --- refs.c: the nodes of one level of a tree --- */

struct ref {
        struct hif_hash hash;
        uint64_t entries;
        size_t key_at, key_size; /* in refs->keys */
        bool last;               /* of its level */
        bool used;               /* both trees have it */
        size_t partner;          /* which it is in the other's list */
};
struct refs {
        struct ref *items;
        size_t count, capacity;
        struct buf keys;
        bool unknown; /* some of them are below a node that cannot be read */
};
void refs_free(struct refs *refs);
struct span ref_key(const struct refs *refs, size_t index);
/* Those of `level` that overlap [from, to) (to empty: to the end). Nodes on the way that cannot be
 * read go to `bad`. */
HIF_MUST_USE enum hif_err refs_gather(struct tree_source *source, const struct hif_hash *root,
                                      uint8_t level, struct span from, struct span to,
                                      struct refs *out,
                                      void (*bad)(void *arg, const struct hif_hash *hash),
                                      void *arg);
/* The children of a node. */
HIF_MUST_USE enum hif_err refs_of(const struct tree_node *node, bool last, struct refs *out);

/* --- history.c, chain.c, trees.c, leaves.c --- */

/* What is known of the slot before the one that is being checked. */
struct before {
        bool known;      /* its record was read */
        bool tree_known; /* of it, or of one further before: */
        uint64_t position;
        struct hif_hash hash;
        struct hif_hash tree;
        hlc_t hlc;
};

struct slot_view {
        struct slot_read read;
        bool have;                                   /* the record */
        bool have_paths, have_objects, have_members; /* and its lists */
};

/* lists.c */
HIF_MUST_USE enum hif_err lists_load(struct check *c, struct slot_view *view);
/* One slot, with its lists, against the one before: hashes, ids, clock, filter. */
HIF_MUST_USE enum hif_err chain_check(struct check *c, const struct before *before,
                                      struct slot_view *view);
/* head, once the tail is known. */
HIF_MUST_USE enum hif_err head_check(struct check *c, const struct slot *tail);

/* A tree against the one before. */
struct walk {
        struct check *c;
        struct tree_source *source;
        const struct slot *slot;
        bool have_paths, have_objects, have_members;
        const struct hif_hash *old_root; /* NULL: none */
        /* Whether what is new in the tree must be listed in this very slot: the one before is known
         * and its tree was read. */
        bool exact;
        bool *object_seen;       /* by index in slot->objects */
        struct span *slot_paths; /* sorted */
        size_t slot_path_count;
        struct tree_cursor parents;
        struct buf parent, path, key; /* scratch */
        uint64_t unlisted_count, path_count, tag_count, wrong_count;
        char unlisted[LAYOUT_KEY_MAX];
        struct buf unlisted_path, wrong_path, tag_path; /* the first of each */
        bool incomplete; /* something of the tree could not be read */
};
HIF_MUST_USE enum hif_err tree_check(struct check *c, const struct slot_view *view,
                                     const struct before *before);
/* The tree of an open session, against that of its base; what is missing is told with `detail`. */
HIF_MUST_USE enum hif_err tree_reach(struct check *c, const struct hif_hash *tree,
                                     const struct slot *base, const char *detail);
/* Is this object, new in the tree, listed? Notes it when not. */
void walk_listed(struct walk *w, enum slot_object_kind kind, const struct hif_hash *hash,
                 const struct object *object, const char *key);
void walk_wrong(struct walk *w, const struct hif_hash *node, const char *reason);
void walk_bad_node(void *arg, const struct hif_hash *hash); /* of the old tree: it is no more */

/* leaves.c: a new leaf against the old entries of its range [its first key, bound). */
HIF_MUST_USE enum hif_err leaf_check(struct walk *w, const struct hif_hash *hash,
                                     const struct tree_node *leaf, struct span from,
                                     struct span bound);

/* contents.c: what an entry's content consists of is there. w->path is the entry's. */
HIF_MUST_USE enum hif_err content_check(struct walk *w, const struct entry *entry);
/* The entry went, or has other content now. */
void content_gone(struct walk *w, const struct entry *entry);

/* --- the stages --- */

HIF_MUST_USE enum hif_err format_check(struct check *c, bool *go_on);
HIF_MUST_USE enum hif_err inventory_take(struct check *c);
HIF_MUST_USE enum hif_err history_check(struct check *c);
HIF_MUST_USE enum hif_err open_sessions_check(struct check *c);
HIF_MUST_USE enum hif_err proposals_check(struct check *c);
HIF_MUST_USE enum hif_err contents_check(struct check *c);
HIF_MUST_USE enum hif_err derived_check(struct check *c);
HIF_MUST_USE enum hif_err leftovers_check(struct check *c);

/* sessions.c: the records that a slot names, or an open session's; what waits is told by a flush. */
HIF_MUST_USE enum hif_err sessions_flush(struct check *c);
HIF_MUST_USE enum hif_err session_check(struct check *c, uint64_t position,
                                        const struct session_id *id, const struct hif_hash *hash);
HIF_MUST_USE enum hif_err sessions_check(struct check *c, const struct slot_view *view);

/* read.c: where entries say that their contents lie. */
HIF_MUST_USE enum hif_err location_note(struct check *c, const struct entry *entry);
/* locate.c: which paths need what was found damaged. */
HIF_MUST_USE enum hif_err locate(struct check *c);
/* Call each for every file of the newest tree, as far as it can be read. */
HIF_MUST_USE enum hif_err files_walk(struct check *c,
                                     enum hif_err (*each)(void *arg, const struct entry *entry,
                                                          struct span key, struct span path),
                                     void *arg);
/* The frame at an entry's location is what the entry says. */
bool frame_is_good(struct check *c, const struct entry *entry);
bool has_own_blob(struct check *c, const struct hif_hash *hash);
bool location_is_wrong(struct check *c, const struct entry *entry, const char **reason);
/* Call each for the broken objects that a large file needs. */
HIF_MUST_USE enum hif_err large_walk(struct check *c, const struct entry *entry,
                                     void (*each)(void *arg, struct broken *broken,
                                                  const struct chunk *chunk),
                                     void *arg);

/* derived.c: one that is wrong; and then all that is missing. */
HIF_MUST_USE enum hif_err derived_remove(struct check *c, const char *key);
HIF_MUST_USE enum hif_err derived_make_again(struct check *c);

/* --- repairing: repair.c --- */

/* Everything that can be, of what was found. */
HIF_MUST_USE enum hif_err repair_all(struct check *c);

/* repair_find.c: intact bytes. */
struct repair_state {
        struct map places; /* hash prefix -> place in another pack, of contents that are wanted */
        struct map wanted;
        struct arena arena;
        struct buf objects; /* struct slot_object: for the repair slot */
};

/* Read, once, the indexes of all packs for what is wanted. */
HIF_MUST_USE enum hif_err repair_begin(struct check *c);
void repair_forget(struct check *c);
/* Ask the sources. HIF_ENOENT: none has it. */
HIF_MUST_USE enum hif_err source_get(struct check *c, const struct check_wanted *wanted,
                                     bool (*is_right)(struct check *c, struct span bytes,
                                                      const struct check_wanted *wanted),
                                     struct buf *out);
/* An is_right: a content of that hash. */
bool repair_is_content(struct check *c, struct span bytes, const struct check_wanted *wanted);
/* A content by its hash: its own blob, other packs, or sources. HIF_ENOENT. */
HIF_MUST_USE enum hif_err content_get(struct check *c, const struct hif_hash *hash, uint64_t size,
                                      uint64_t file_size, struct buf *out);

/* repair_put.c: writing, and telling. */
void tell_repaired(struct check *c, bool done, const char *what, const char *key,
                   const char *detail);
/* Write bytes that are what the key says; tells. False: they could not be. */
bool object_put(struct check *c, const char *key, struct span body);
/* The same for a content, as a blob of its own; noted for the repair slot. Does not tell. */
HIF_MUST_USE enum hif_err blob_put(struct check *c, const struct hif_hash *hash,
                                   struct span content, bool *done);
/* For the repair slot to list: a blob that the tree names from there on, or that was put for older
 * positions. */
HIF_MUST_USE enum hif_err repair_list(struct check *c, const struct hif_hash *hash);
const struct slot_object *repair_objects(struct check *c, uint32_t *count);

/* repair_packs.c: the pack itself again, to the byte, or all of it that can be had as blobs. */
HIF_MUST_USE enum hif_err pack_repair(struct check *c, struct broken *broken);

/* repair_tree.c: what the newest tree has to change for that, as a position of its own. */
HIF_MUST_USE enum hif_err tree_repair(struct check *c);

#endif
