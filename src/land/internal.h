/* internal.h - what the files of this room share. See docs/landing.md for the protocol. */
#ifndef HIF_LAND_INTERNAL_H
#define HIF_LAND_INTERNAL_H

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "base/siphash.h"
#include "core/body.h"
#include "core/layout.h"
#include "core/window.h"
#include "land/land.h"

#include <pthread.h>

/* The simulation must be able to fail: tests build this room again with one of these mistakes in
 * it, and expect the simulation to notice. Always MUTATE_NOTHING in the library. */
#ifndef LAND_MUTATION
#define LAND_MUTATION 0
#endif
enum land_mutation {
        MUTATE_NOTHING,
        MUTATE_HEAD_FIRST,     /* head moves before the slot is there */
        MUTATE_LOST_IS_LOST,   /* "the key exists" is believed without comparing ids */
        MUTATE_NO_ORIGIN_SCAN, /* nobody looks whether the session landed before */
        MUTATE_SKIP_EXISTING,  /* no PUT of an object that a HEAD finds */
        MUTATE_TRUST_HEAD,     /* head counts without its slot */
        MUTATE_DECIDE_AT_TAIL, /* a member of a batch is not decided against its predecessors */
        MUTATE_NO_REFUSALS,    /* nobody looks whether a slot has refused the session */
        MUTATE_SLOT_FIRST,     /* the slot is sent while what it names is still on its way */
        MUTATE_INTENT_FIRST,   /* so is the intent saved, which sends the slot after a crash */
        MUTATE_AHEAD_ANYWAY,   /* a slot is sent though the one before it is not there */
        /* Of derived records. */
        MUTATE_INCOMPLETE_WINDOW = 16, /* a record is made of the slots that are there yet */
        MUTATE_MISSING_IS_NONE = 17,   /* where a rollup is missing, nothing happened */
        MUTATE_UNREAD_IS_NONE = 18,    /* where slots cannot be read, nothing happened */
};

/* Bounds on what is in flight or in memory at once. */
#define SLOTS_BATCH 32u                 /* slots read together by a scan */
#define SCAN_NEAR   (WINDOW_FANOUT / 2) /* a scan of so many slots asks no rollups */
#define PUTS_BATCH  64u                 /* objects written together */
#define PUTS_BYTES  (8u << 20)          /* ... or as many bytes */
#define PUTS_FLYING 4u                  /* such batches in flight */
/* Of one object or slot, before the outcome is "unknown". How long it is waited for an answer is the
 * store's affair alone: one that is far away has tried for 15 s before it says that it was not
 * reached, and is not asked again after so much time; a near one says so at once. */
#define PUT_REPEATS       6u
#define STORE_PATIENCE_NS 10000000000u
#define LIST_SIZE_MAX     (1ull << 30) /* a path or object list that a slot names */
#define NODE_CACHE_BYTES  (64u << 20)  /* nodes kept by one landing */
#define NODES_BATCH       64u          /* nodes read together */

/* --- objects.c: requests in batches --- */

/* GET one object whole. HIF_ENOENT is left to the caller to explain. */
HIF_MUST_USE enum hif_err object_get(const struct project *project, const char *key,
                                     uint64_t size_max, struct buf *out, struct hif_why *why);
/* The same of one that is named by the hash of its bytes; fetched once more when it is not what its
 * name says (I3). */
HIF_MUST_USE enum hif_err object_get_named(const struct project *project, const char *key,
                                           uint64_t size_max, enum hash_kind kind,
                                           const struct hif_hash *hash, struct buf *out,
                                           struct hif_why *why);

/* What the user can do about it, as the end of a sentence; "" when nothing can be said. */
const char *next_step(enum hif_err err);
/* HIF_ECORRUPT, and the sentence: a slot is not there that was. */
enum hif_err slot_lost(const struct project *project, uint64_t position, struct hif_why *why);
/* The sentence for a request that failed. */
enum hif_err object_why(const struct project *project, enum hif_err err, const char *verb,
                        const char *key, struct hif_why *why);

/* Create-only PUT of bytes that no one else could write (they hold a random id), repeated until the
 * outcome is known. HIF_ELOST: the key holds something else. */
HIF_MUST_USE enum hif_err object_put_own(const struct project *project, const char *key,
                                         struct span body, struct hif_why *why);

/* Has the store had its patience since then (env_mono_ns)? */
bool store_was_patient(struct env *env, uint64_t since_ns);
void land_sleep(struct land_hooks *hooks, uint64_t ns);
void land_pause(struct env *env, struct land_hooks *hooks, bool local, uint32_t attempt);

/* --- puts.c: content-named objects on their way to the store ---
 *
 * A batch is filled, sent off, and waited for only when PUTS_FLYING others are on their way:
 * hashing and compressing go on meanwhile, and one slow answer holds up no one but the batch after
 * next. What was not stored for certain is sent again, with pauses that grow: here and nowhere
 * else. */

struct known;
struct known_set;
struct journal;

struct puts_item {
        struct layout_key key;
        struct buf body;
        struct hif_hash hash;
        struct known *stored; /* what the journal says once it is there: a chain by `then` */
};

struct puts_batch {
        struct puts_item items[PUTS_BATCH];
        struct store_req reqs[PUTS_BATCH];
        struct store_batch flight;
        size_t count, bytes;
        uint64_t sent_ns;
};

struct puts {
        const struct project *project;
        struct land_hooks *hooks;
        struct journal *journal; /* may be NULL */
        struct known_set *known; /* takes every name that is stored for certain; may be NULL */
        uint32_t flying_max;     /* 0: PUTS_FLYING */
        uint32_t batch_max;      /* 0: PUTS_BATCH */
        struct puts_batch
            *batches[PUTS_FLYING + 1]; /* a ring: those in flight, then the open one */
        uint32_t first, flying;
        uint64_t objects_put, bytes_put;
};

/* Takes the body, whatever the result; sends a batch off when it is full. */
HIF_MUST_USE enum hif_err puts_add(struct puts *puts, const struct layout_key *key,
                                   const struct hif_hash *hash, struct buf *body,
                                   struct known *stored, struct hif_why *why);
/* Send off what is left, and do not wait for it. */
HIF_MUST_USE enum hif_err puts_send(struct puts *puts, struct hif_why *why);
/* Send what is left, and wait until all of it is stored, and the journal says so. */
HIF_MUST_USE enum hif_err puts_flush(struct puts *puts, struct hif_why *why);
/* Waits for what is in flight, and notes what of it is stored; drops the rest. */
void puts_free(struct puts *puts);

/* --- slots.c --- */

/* Decode a slot that was read, with its members; takes `stored` on success. */
HIF_MUST_USE enum hif_err slot_accept(const struct project *project, uint64_t position,
                                      struct buf *stored, struct slot_read *out,
                                      struct hif_why *why);
/* The bytes of a list, verified, in the arena. */
HIF_MUST_USE enum hif_err list_get(const struct project *project, const struct hif_hash *hash,
                                   struct arena *arena, struct span *out, struct hif_why *why);
HIF_MUST_USE enum hif_err slot_load_lists(const struct project *project, struct slot_read *read,
                                          struct hif_why *why);
/* Read slots [from, from + count), count <= SLOTS_BATCH, all of which must exist. */
HIF_MUST_USE enum hif_err slots_get(const struct project *project, uint64_t from, size_t count,
                                    struct slot_read *out, struct hif_why *why);
/* The same of any positions. */
HIF_MUST_USE enum hif_err slots_get_at(const struct project *project, const uint64_t *positions,
                                       size_t count, struct slot_read *out, struct hif_why *why);

/* --- tail.c --- */

/* The tail as project_tail finds it; `base`, where given, is the slot at `known` as it was read on
 * the way. */
HIF_MUST_USE enum hif_err tail_read(const struct project *project, uint64_t known,
                                    struct slot_read *base, struct slot_read *tail,
                                    struct hif_why *why);
/* The same, in one request as a rule, from a slot on that was read (settled) an instant ago: `tail`
 * holds it, and then the tail. Freed on errors. */
HIF_MUST_USE enum hif_err tail_follow(const struct project *project, struct slot_read *tail,
                                      struct hif_why *why);

/* --- scan.c: at most once; scan_names.c: who did what --- */

/* What has been read of the slots: all of (origin, position], none of them ours. */
struct scan {
        const struct project *project;
        struct session_id session;
        uint64_t origin;
        uint64_t position;
        struct hif_hash hash; /* of the slot at position; zeros: not known */
        /* Held against the chain when the scan passes there; zeros: not. */
        uint64_t base_position;
        struct hif_hash base_slot;
        const struct land_line *line; /* slots that need not be read; NULL: all are */
        struct derived_index *index;  /* what was read of the rollups; NULL: nothing yet */
        uint64_t segment_refused;     /* start + 1 of one that is not there */
};
void scan_free(struct scan *scan);

/* Where landing `index` of a slot went, as told to whom it belongs: already_landed. */
void land_result_of(const struct slot_read *read, uint32_t index, struct land_result *out);

/* Go on to the tail, checking that every slot names the one before. found: the session is in
 * there, and where; or it is refused there (out->refused). */
HIF_MUST_USE enum hif_err scan_to(struct scan *scan, const struct slot_read *tail, bool *found,
                                  struct land_result *out, struct hif_why *why);

/* Fill position, session, author and goal of conflicts from the slots in (from, to]. */
struct conflict_name {
        struct land_conflict *conflict;
        struct landing_tag tag; /* of their entry; id 0 with position 0: they removed it */
};
HIF_MUST_USE enum hif_err scan_name(const struct project *project, uint64_t from, uint64_t to,
                                    struct conflict_name *names, size_t count, struct arena *arena,
                                    struct hif_why *why);

/* --- node_reader.c --- */

/* Nodes are asked of `upstream` first (may be NULL, may answer HIF_EMISS). */
HIF_MUST_USE enum hif_err node_reader_over(const struct project *project, size_t cache_bytes,
                                           struct tree_source *upstream, struct node_reader **out);
/* Make the paths to all these keys resident, with one batch of requests a level. */
HIF_MUST_USE enum hif_err node_reader_touch(struct node_reader *reader, const struct hif_hash *root,
                                            const struct span *keys, size_t count);
/* Keep a node that was just written, so that nobody reads it back. Failing is fine. */
void node_reader_keep(struct node_reader *reader, const struct hif_hash *hash, struct span bytes);

/* --- known.c: contents by hash --- */

enum known_kind {
        KNOWN_PACKED = 1, /* a file's content, in a pack at loc */
        KNOWN_BLOB = 2,   /* a file's content or a chunk, as a blob of its own */
        KNOWN_CHUNKS = 3, /* a chunk list */
        KNOWN_OBJECT = 4, /* anything else that this run stored: node, session, list */
};

struct known {
        struct hif_hash hash;
        enum known_kind kind;
        bool reached;        /* by base's tree: not new, not listed in the slot */
        bool pending;        /* its pack is still being filled: loc.pack is not known yet */
        bool dropped;        /* its pack is not to be used any more: as if it were not known */
        struct pack_loc loc; /* PACKED */
        /* CHUNKS that this run cut: everything new below. */
        const struct slot_object *parts;
        uint32_t part_count;
        struct known *then; /* the next of those that are stored with the same object */
};

/* A pack that an earlier run of this session has put, or was about to. */
struct known_pack {
        struct hif_hash hash;
        uint32_t count, seen; /* contents in it; those that the journal names */
        uint64_t bytes;       /* of their frames */
        bool own;             /* no one else can have made a pack of this name, or refer to it */
        bool used, stale;     /* by the landing; not what is landed: see stage_packs.c */
        struct known_member *members;
        struct known_pack *next;
};

struct known_member {
        struct hif_hash hash;
        struct known_member *next;
};

struct known_set {
        struct arena arena;
        struct map map;
        struct map packs_map;
        struct known_pack *packs; /* the newest first */
};

struct known *known_find(const struct known_set *set, enum known_kind kind,
                         const struct hif_hash *hash);
/* The record, new (zeroed but for hash and kind) or as it was; NULL: out of memory. */
struct known *known_add(struct known_set *set, enum known_kind kind, const struct hif_hash *hash);
struct known_pack *known_pack_find(const struct known_set *set, const struct hif_hash *hash);
struct known_pack *known_pack_add(struct known_set *set, const struct hif_hash *hash);
HIF_MUST_USE enum hif_err known_pack_member(struct known_set *set, struct known_pack *pack,
                                            const struct hif_hash *hash, uint32_t size);
void known_free(struct known_set *set);

/* --- journal.c --- */

/* What a landing has stored, one record a content, appended after the store has it. Belongs to one
 * session of one project: another one's is emptied. A torn tail is cut off. */
struct journal {
        struct env *env;
        int fd; /* -1: none */
        uint64_t size;
        struct sipkey check;
        struct buf pending;
};

HIF_MUST_USE enum hif_err journal_open(struct env *env, const char *path,
                                       const struct project *project,
                                       const struct session_id *session, struct known_set *set,
                                       struct journal *out);
void journal_add(struct journal *journal, const struct known *known);
/* Before a pack is put: so that its contents count only when all of them are known, and that it is
 * found again when the process dies meanwhile. */
void journal_add_pack(struct journal *journal, const struct known_pack *pack);
/* What was stored so far is named from elsewhere: none of it is this session's own any more. */
void journal_add_shared(struct journal *journal);
HIF_MUST_USE enum hif_err journal_flush(struct journal *journal);
void journal_close(struct journal *journal);

/* --- stage_job.c: what runs on the pool --- */

#define STAGE_JOBS      16u        /* in flight */
#define STAGE_JOB_FILES 256u       /* small files of one job */
#define STAGE_JOB_BYTES (1u << 20) /* of their content, about */

struct stage_file {
        size_t change; /* index in the list */
        struct hif_hash hash;
        uint32_t frame_offset, frame_size; /* in the job's output; size 0: content is known */
};

enum stage_job_kind {
        STAGE_SMALL, /* files that go into packs */
        STAGE_BLOB,  /* a file that is one blob */
        STAGE_CHUNK, /* a piece of a large file, in `input` */
        STAGE_END,   /* the large file is complete: nothing to run */
};

struct stage_shared;

struct stage_job {
        struct pool_job pool_job;
        struct stage_shared *shared;
        int state; /* atomic: queued, running, done */
        int refs;  /* atomic: the stage's, the pool's */
        enum stage_job_kind kind;
        struct buf input;
        uint64_t bytes; /* of content */
        struct stage_file *files;
        size_t file_count;
        struct buf output; /* frames, or a stored blob (empty: known) */
        enum hif_err err;
        size_t err_change;
};

/* What jobs may touch; the mutex guards known and the codecs. */
struct stage_shared {
        struct pool *pool;
        struct land_change *changes;
        size_t change_count;
        struct land_reader *reader;
        struct known_set *known;
        pthread_mutex_t mutex;
        pthread_cond_t done;
        struct body_codec *codecs[STAGE_JOBS + 1]; /* idle ones */
        size_t codec_count;
};

void stage_shared_init(struct stage_shared *shared);
void stage_shared_free(struct stage_shared *shared);
struct stage_job *stage_job_new(struct stage_shared *shared, enum stage_job_kind kind);
void stage_job_submit(struct stage_job *job);
/* Until it is done: runs it here when no pool thread has taken it yet. */
void stage_job_wait(struct stage_job *job);
/* The stage is through with it; one that has not begun never will. */
void stage_job_release(struct stage_job *job);

/* --- stage_base.c --- */

bool stage_needs_content(const struct land_change *change);
/* Learn what base has where changes [first, first + count) lie, or came from. */
HIF_MUST_USE enum hif_err stage_reach_base(struct land *land, struct stage_shared *shared,
                                           size_t first, size_t count, struct hif_why *why);

/* --- merge.c, conflict.c --- */

enum touch_act {
        TOUCH_NONE,   /* N's entry stays as it is */
        TOUCH_ADD,    /* N has none */
        TOUCH_CHANGE, /* ours replaces N's */
        TOUCH_REMOVE,
        TOUCH_TIME, /* a directory whose membership changes */
};

/* A path that the decision reads: changed by us, removed with its directory, or an ancestor. */
struct touched {
        struct span path, key;
        const struct land_change *change;         /* NULL: implied, or an ancestor */
        bool implied;                             /* gone with the directory above it */
        const struct entry *base, *ours, *theirs; /* NULL: absent */
        enum touch_act act;
        bool conflict;
        struct entry *entry; /* what is written, for ADD, CHANGE, TIME */
        struct touched *chain;
};

struct merge {
        struct arena arena;
        struct node_reader *reader;
        struct hif_hash base_tree, their_tree;
        struct landing_tag tag; /* for what is written */
        struct hif_time now;    /* for directories that the changes say nothing of */
        struct sipkey mix;
        struct map index;
        struct touched **items; /* in key order once it is gathered */
        size_t count, capacity;
        struct land_conflict *conflicts;
        struct landing_tag *conflict_tags;
        uint32_t conflict_count, conflict_capacity;
        uint64_t added, removed; /* entries */
        uint32_t edit_count;     /* but for directories' times alone */
};

void merge_init(struct merge *merge, struct node_reader *reader, const struct hif_hash *base_tree,
                const struct hif_hash *their_tree, struct sipkey mix);
void merge_free(struct merge *merge);
struct touched *merge_find(const struct merge *merge, struct span path);

/* merge.c: read both trees for everything that the changes touch. HIF_EINVAL: the changes make no
 * tree (a file below something that is no directory). */
HIF_MUST_USE enum hif_err merge_gather(struct merge *merge, const struct land_change *changes,
                                       size_t count, struct hif_why *why);
/* conflict.c: the decision (I5). Conflicts are in merge->conflicts, in key order. */
HIF_MUST_USE enum hif_err merge_decide(struct merge *merge);
HIF_MUST_USE enum hif_err merge_conflict_add(struct merge *merge, struct span path,
                                             const char *ours, const char *theirs,
                                             const struct entry *their_entry);
/* merge.c: the entries to write, without conflicts: tags, directory times. */
HIF_MUST_USE enum hif_err merge_entries(struct merge *merge, struct hif_why *why);
/* A copy in the arena; NULL: out of memory. */
struct entry *merge_keep_entry(struct arena *arena, const struct entry *entry);
/* A directory above ours, which stays one, is another at N now (by its time): what we write for it
 * follows. */
HIF_MUST_USE enum hif_err merge_follow_dir(struct merge *merge, struct touched *dir,
                                           const struct entry *theirs);
/* An iterator over the edits, in key order. */
struct merge_edits {
        struct tree_edits edits;
        const struct merge *merge;
        size_t next;
};
void merge_edits_init(struct merge_edits *it, const struct merge *merge);
/* What the slot says of the paths. */
HIF_MUST_USE enum hif_err merge_paths(const struct merge *merge, struct arena *arena,
                                      struct slot_path **paths, uint32_t *count);

/* --- publish.c: the commit point --- */

/* A slot's PUT, create-only, with the GET of the same key right behind it, on their way; stays in
 * place, with the bytes, until publish_end. */
struct publish {
        const struct project *project;
        uint64_t position;
        struct span bytes;
        struct layout_key key;
        struct store_req reqs[2];
        struct store_batch flight;
};
void publish_start(struct publish *publish, const struct project *project, uint64_t position,
                   struct span bytes);
/* Until it is known who holds the position; sent again where it takes that.
 *      HIF_OK        *won: we do; otherwise `winner` is the slot that is there
 *      HIF_EUNKNOWN  it may still arrive
 * pending: an earlier PUT of the same bytes may still arrive. */
HIF_MUST_USE enum hif_err publish_end(struct publish *publish, struct land_hooks *hooks,
                                      const uint8_t landing_id[LANDING_ID_SIZE], bool pending,
                                      struct slot_read *winner, bool *won, struct hif_why *why);
/* Both. */
HIF_MUST_USE enum hif_err publish_slot(const struct project *project, struct land_hooks *hooks,
                                       uint64_t position, struct span bytes,
                                       const uint8_t landing_id[LANDING_ID_SIZE], bool pending,
                                       struct slot_read *winner, bool *won, struct hif_why *why);

/* --- the landing itself --- */

struct land {
        const struct project *project;
        const struct session *session;
        struct env *env;
        struct pool *pool;
        struct land_hooks *hooks;
        struct land_line *line;     /* its own, for staging, and for landing alone */
        struct node_reader *reader; /* the line's, as is */
        struct body_codec *codec;
        struct known_set known;
        struct journal journal;
        struct puts *staged; /* contents that are on their way still; NULL: none */
        struct land_progress progress;
        struct hif_hash base_tree; /* zeros: base's slot was not read yet */
        bool base_told;            /* the tree is the caller's word */
        struct scan scan;
        struct merge merge; /* of the last attempt: conflicts borrow from it */
        struct sipkey mix;
};

/* land.c: to land what someone else proposes; borrows the session. Frees as any other. */
HIF_MUST_USE enum hif_err land_of_others(const struct project *project,
                                         const struct session *session, struct land **out);
/* land.c: HIF_EINVAL: the clock is too far from the store's. */
HIF_MUST_USE enum hif_err check_skew(const struct land *land, struct hif_why *why);
/* line.c: take base's slot, or read it, if it was not yet, and hold it against the session. */
HIF_MUST_USE enum hif_err land_accept_base(struct land *land, const struct slot_read *base,
                                           struct hif_why *why);
HIF_MUST_USE enum hif_err land_load_base(struct land *land, struct hif_why *why);
void land_report(struct land *land); /* line.c: calls the progress hook */
/* stage.c: until all contents are stored for certain. Nothing that names them goes out before. */
HIF_MUST_USE enum hif_err land_settle(struct land *land, struct hif_why *why);
void land_drop_staged(struct land *land); /* puts_free */

/* content_lists.c */

/* Call each for the objects of a changed file's content that base's tree does not reach, as far as
 * that is known here: too many does no harm. The lists of a large file that this run has not cut
 * itself are read. */
HIF_MUST_USE enum hif_err content_objects(const struct project *project,
                                          const struct known_set *known, const struct entry *entry,
                                          enum hif_err (*each)(void *arg,
                                                               const struct slot_object *object),
                                          void *arg, struct hif_why *why);
/* Learn which chunks base's version of a large file has. */
HIF_MUST_USE enum hif_err content_reached(const struct project *project, struct known_set *known,
                                          const struct entry *entry);
/* Encode the list (of lists) of a file's chunks, hand the objects to puts. */
HIF_MUST_USE enum hif_err content_list_put(const struct project *project, struct puts *puts,
                                           struct known_set *known, const struct chunk *chunks,
                                           size_t count, struct hif_hash *top, struct hif_why *why);

#endif
