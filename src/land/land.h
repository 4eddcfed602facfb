/* land.h - publish a session: upload its content, decide conflicts, claim a slot.
 *
 * The success of one create-only PUT, of slot N+1, is the landing (I6): whatever it names is stored
 * before, nothing has to happen after. An unknown outcome is repeated until it is known (I7). The
 * protocol is told in docs/landing.md; this header is how to call it.
 *
 * Calling sequence: land_begin; land_stage for the changes (content is hashed, packed and uploaded;
 * may be called again after a restart: what the store has is found by hash in the stage's journal);
 * land_commit; land_free. With an intent of an earlier run: land_resolve first, as an error of
 * land_stage would say nothing about what that run sent. Everything blocks: use a job thread. */
#ifndef HIF_LAND_LAND_H
#define HIF_LAND_LAND_H

#include "base/pool.h"
#include "core/session.h"
#include "land/project.h"

/* One path that the session changed against its base. */
enum land_change_kind {
        LAND_PUT,    /* the path is, after the session, what the fields say */
        LAND_REMOVE, /* the path is gone, and with a directory all that base has below it; the same
                      * where a PUT makes something else of a directory. Removals below may be
                      * listed, they need not be */
};

struct land_change {
        enum land_change_kind kind;
        struct span path; /* not the root; unique in a list, which is sorted by key (asserted) */
        /* LAND_PUT: */
        enum entry_kind entry_kind;
        struct hif_time mtime;
        struct span target; /* symlink */
        uint64_t size;
        bool have_hash; /* content known (renamed, or staged before): hash (and loc) are set, */
        struct hif_hash hash; /* nothing is read or uploaded. Content stored by no landing yet must
                               * be in the journal of this one, and readable, as it may have to be
                               * stored again */
        struct pack_loc loc;
        uint64_t content;      /* otherwise: the reader's name for the content */
        struct span path_from; /* for records only: renamed from; empty: not a rename */
};

/* Where contents come from. read() is called from pool threads, for several contents at once. */
struct land_reader {
        /* Bytes [offset, offset + size) of a content, whole: a short count is HIF_EIO (the file
         * changed while it was read). */
        enum hif_err (*read)(struct land_reader *reader, uint64_t content, uint64_t offset,
                             void *out, size_t size);
};

struct land_progress {
        uint64_t files_total, files_done; /* done: read and hashed; stored soon after */
        uint64_t bytes_total, bytes_done;
        uint64_t objects_put, bytes_put; /* as stored */
};

struct land_conflict {
        struct span path;
        const char *ours; /* "changed", "added", "removed" ... */
        const char *theirs;
        uint64_t position; /* the landing that changed it on the other side */
        uint32_t member;   /* as in land_result */
        struct session_id session;
        struct span author;
        struct span goal;
};

struct land_result {
        uint64_t position; /* where it landed; with HIF_ECONFLICT the position compared with */
        uint32_t member;   /* which of the position's landings, from 1; 0: it landed alone */
        uint8_t landing_id[LANDING_ID_SIZE]; /* of that landing, as its slot has it */
        struct hif_hash slot_hash;
        struct hif_hash tree;
        uint32_t attempts; /* slots tried */
        uint32_t paths;
        bool refused; /* a slot has refused the session: it never lands under that id. What is left
                       * of it goes on under another, from where `position` is */
        bool already_landed; /* a slot of an earlier run did it: not these changes, but those that
                              * were given to it (the same, unless the caller lost count) */
        struct land_conflict *conflicts; /* HIF_ECONFLICT only; live until land_free */
        uint32_t conflict_count;
};

/* What survives a crash between the slot's PUT and the caller's own record of it. The caller stores
 * it durably in save_intent, before the slot is tried, and gives it back at the next land_begin. */
struct land_intent {
        uint8_t landing_id[LANDING_ID_SIZE];
        uint64_t tag;
        struct session_id session;
        uint64_t position; /* the slot that was about to be tried; 0: none, but a proposal was */
        struct buf slot;   /* its exact bytes, or the proposal's: replayed as they are */
};
void land_intent_free(struct land_intent *intent);

struct land_hooks {
        /* HIF_OK only once the intent is durable. NULL: not kept (an import starts over). */
        enum hif_err (*save_intent)(struct land_hooks *hooks, const struct land_intent *intent);
        void (*progress)(struct land_hooks *hooks, const struct land_progress *progress);
        /* Wait before trying again. NULL: the calling thread sleeps. A simulation moves its own
         * clock here. */
        void (*sleep)(struct land_hooks *hooks, uint64_t ns);
        /* The store's idea of the time, where it gives one (an HTTP Date): a clock that is further
         * off refuses to land. NULL, or false: not checked. */
        bool (*store_time)(struct land_hooks *hooks, uint64_t *wall_ns);
        /* Stop staging: HIF_ECANCELED. What was stored so far is in the journal. NULL: never. */
        bool (*cancelled)(struct land_hooks *hooks);
        uint64_t skew_max_ms;  /* 0: 5 minutes */
        uint32_t attempts_max; /* slots to try; 0: 64 */
};

struct land;

/* session: its id, origin, base, author, goal and records; borrowed until land_free, as are the
 * others. nodes: a cache of tree nodes that is asked first and may answer HIF_EMISS; what it lacks
 * is read from the store, many at a time; NULL: none. pool: NULL runs everything on this thread.
 * hooks may be NULL. journal_path: a file that remembers what was staged, so that a repeated land
 * or import goes on where it stopped; NULL: none. */
HIF_MUST_USE enum hif_err land_begin(const struct project *project, const struct session *session,
                                     struct tree_source *nodes, struct pool *pool,
                                     struct land_hooks *hooks, const char *journal_path,
                                     struct land **out);
void land_free(struct land *land);
/* Base's tree, from a caller that has read base's slot before: saves reading it once more. It is
 * held against the slots when the session lands. */
void land_know_base(struct land *land, const struct hif_hash *tree);

/* Hash and upload the contents of the changes; fills hash, loc and have_hash in place. The last of
 * them are still on their way when it returns: whatever names them waits for them first, and tells
 * what went wrong. Contents are
 * read by offset, each byte once, in the order of the list. What base already has at the path (or
 * at path_from), and what the journal knows, is not uploaded again. An empty file has no object and
 * no location. */
HIF_MUST_USE enum hif_err land_stage(struct land *land, struct land_change *changes, size_t count,
                                     struct land_reader *reader, struct hif_why *why);

/* The same ahead of the landing, while the session goes on: the changes are those that have
 * settled, in the order in which they shall lie in packs. Few requests at a time. Whoever lands
 * then begins anew with the same journal: what is there is found by its hash, or given with
 * have_hash. Not everything that was stored ahead is still in the session when it lands: a pack
 * that holds anything else is not named by the slot; what is left of it is read once more and
 * stored again. */
HIF_MUST_USE enum hif_err land_stage_ahead(struct land *land, struct land_change *changes,
                                           size_t count, struct land_reader *reader,
                                           struct hif_why *why);
/* After land_stage and a land_commit that has landed those changes: delete the packs that were put
 * ahead and that the slot does not name. Best effort; the log tells of what stays. */
void land_tidy(struct land *land);
/* Before anything outside of this session names what was stored ahead: none of it is deleted any
 * more. */
HIF_MUST_USE enum hif_err land_share(struct land *land);

/* Decide conflicts against the tail and land. `intent` is what an earlier run saved, or NULL.
 *      HIF_OK         landed: out says where
 *      HIF_ECONFLICT  out->conflicts name both sides; nothing was landed
 *      HIF_ENOTHING   after the merge nothing differs from the tail
 *      HIF_EUNKNOWN   the outcome is not known: "run hif land again", with the saved intent
 *      HIF_EAGAIN, and out->refused
 *                     as of land_propose: where others are in the way, that is how it goes on
 *      HIF_ELIMIT     attempts used up, races lost every time
 *      others         with a reason; nothing was landed
 * check_only: decide conflicts, write nothing (--dry-run). */
HIF_MUST_USE enum hif_err land_commit(struct land *land, const struct land_change *changes,
                                      size_t count, const struct land_intent *intent,
                                      bool check_only, struct land_result *out,
                                      struct hif_why *why);

/* --- several at once --- */

#define LAND_BATCH_MAX 256u

/* What the landings of one process in one project have in common: the newest slot that it knows,
 * and tree nodes. One thread at a time. nodes as in land_begin; project and nodes are borrowed. */
struct land_line;
HIF_MUST_USE enum hif_err land_line_new(const struct project *project, struct tree_source *nodes,
                                        struct land_line **out);
void land_line_free(struct land_line *line); /* NULL is fine */
/* Nodes that it makes go there as well, as soon as they are on their way to the store. Before
 * anything lands. */
void land_line_keep(struct land_line *line, struct tree_sink *sink);
/* Position, tree and clock of the newest slot that it knows; false: none. */
bool land_line_tail(const struct land_line *line, struct slot *out);

/* One session of a batch: the arguments of land_commit. */
struct land_member {
        struct land *land;
        const struct land_change *changes;
        size_t count;
        const struct land_intent *intent;
        struct land_result *out;
        struct hif_why *why;
        enum hif_err err; /* out: what land_commit would have returned */
        /* While the batch wants it durable; `saved` is what land_member_save said. */
        const struct land_intent *to_save;
        enum hif_err saved;
        /* For land itself: decided by slots alone. others: not the caller's. */
        const struct proposal *proposal;
        bool others;
};

struct land_batch {
        struct land_line *line;
        struct land_member *members; /* 1 to LAND_BATCH_MAX, of different sessions */
        size_t count;
        /* Calls land_member_save for all that have to_save set, from any threads, between start and
         * the return of wait. NULL: one after the other. */
        void (*save_start)(const struct land_batch *batch);
        void (*save_wait)(const struct land_batch *batch);
        bool head_later; /* the caller moves head: project_advance_head */
        /* After so many lost races, and alone behind a slot that had rivals, who still waits is told
         * HIF_ELOST, and goes on with land_propose, where nobody is in another's way. 0: never. */
        uint32_t races_max;
        uint32_t
            races_lost; /* before this batch, for the same position: what the slot says of it */
        /* Asked once, when this batch's slot is on its way: who lands behind it, over the same
         * line; NULL, or no function: nobody. It is decided and stored meanwhile, and goes to
         * land_commit_batch after this one, whatever became of that. */
        struct land_batch *(*next)(struct land_batch *batch);
        struct commit *prepared; /* land's own */
};

/* Land them together: one slot, in the order of the list, each checked against the tree after the
 * one before it. Who cannot land is left out, told why, and harms nobody; a member's intent holds
 * the slot of all. */
void land_commit_batch(struct land_batch *batch);
enum hif_err land_member_save(struct land_member *member);

/* Land a staged session through a proposal in the store, which whoever wins the next slot lands
 * together with all others that it finds there: for many writers on many machines. line: what the
 * process knows, for this thread alone meanwhile; NULL: the land's own. The intent is saved once,
 * before the proposal is stored; an intent of an earlier run goes to land_resolve first.
 *      HIF_OK         landed
 *      HIF_ECONFLICT, HIF_ENOTHING, and out->refused
 *                     as in land_commit, and a slot says so: the session's id is spent
 *      HIF_EAGAIN     a slot has refused it (out->refused), for a reason that is gone by now: land
 *                     again, under another id
 *      HIF_EUNKNOWN   it may land at any time: ask again, with the saved intent
 *      others         with a reason; nothing was proposed */
HIF_MUST_USE enum hif_err land_propose(struct land *land, struct land_line *line,
                                       const struct land_change *changes, size_t count,
                                       struct land_result *out, struct hif_why *why);

/* Settle what an earlier run left open, before anything is staged: its slot is looked for, and sent
 * again when it may still arrive. land_commit does the same with its `intent`; this is for callers
 * that want to know first.
 *      HIF_OK         it has landed: out says where
 *      HIF_ENOENT     it has not, and never will: go on with land_stage, land_commit (with
 *                     out->refused: under another id)
 *      HIF_EUNKNOWN   not known yet, ask again */
HIF_MUST_USE enum hif_err land_resolve(struct land *land, const struct land_intent *intent,
                                       struct land_result *out, struct hif_why *why);

/* Give up an attempt whose outcome is unknown: its slot is occupied, if it still is free, so that
 * the attempt cannot arrive later. A proposal is refused by a slot of its own.
 *      HIF_OK         it has not landed and never will
 *      HIF_EEXIST     it had landed: out says where
 *      HIF_EUNKNOWN   not known yet, ask again */
HIF_MUST_USE enum hif_err land_give_up(const struct project *project,
                                       const struct land_intent *intent, struct land_hooks *hooks,
                                       struct land_result *out, struct hif_why *why);

/* Was this session landed in (origin, tail]? HIF_OK and where; HIF_ENOENT: no. */
HIF_MUST_USE enum hif_err land_find(const struct project *project, const struct session_id *session,
                                    uint64_t origin, uint64_t *position, struct hif_hash *slot_hash,
                                    struct hif_hash *tree, struct hif_why *why);

#endif
