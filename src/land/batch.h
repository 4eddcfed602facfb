/* batch.h - landing several sessions at one position: what commit.c, decide.c, build.c and line.c
 * share. A landing alone is a batch of one; there is no other machine.
 *
 * One turn of the machine: find the tail; look for every entrant in the slots since its origin;
 * decide each against the tree after the one before it, in memory; store the nodes of the last
 * tree, and create the slot. Entrants leave as soon as something definite is known of them; the
 * others go into the next turn. */
#ifndef HIF_LAND_BATCH_H
#define HIF_LAND_BATCH_H

#include "core/proposal.h"
#include "land/internal.h"

/* --- line.c: what landings of one process have in common --- */

#define RECENT_SLOTS 64u /* the last slots, kept: most scans and bases need no others */
#define USELESS_MAX  64u

/* Nodes that were made and are in no store yet: the trees between two members of a batch never get
 * there. A source in front of another one. */
struct made {
        struct tree_source source;
        struct tree_source *upstream; /* may be NULL */
        struct arena arena;
        struct map map;
        uint64_t round; /* of deciding: what an earlier one listed says nothing of this one */
        bool taken;     /* by a batch */
};

/* Batches at work over one line: one whose slot is on its way, and one that is prepared. */
#define LINE_BATCHES 2u

struct made_node {
        struct hif_hash hash;
        struct span bytes;
        uint64_t listed; /* round + 1 */
};

struct made_sink {
        struct tree_sink sink;
        struct made *made;
};
struct made_sink made_sink_of(struct made *made);

struct made_node *made_find(const struct made *made, const struct hif_hash *hash);
HIF_MUST_USE enum hif_err made_add(struct made *made, const struct hif_hash *hash,
                                   struct span bytes);
void made_reset(struct made *made);

struct land_line {
        const struct project *project;
        struct made made[LINE_BATCHES];
        struct node_reader *reader; /* over all made */
        struct body_codec *codec;
        struct tree_sink *keep; /* NULL: nobody else wants new nodes */
        /* By position modulo RECENT_SLOTS; the newest is the highest that was seen. */
        struct slot_read recent[RECENT_SLOTS];
        uint64_t newest;
        bool any;  /* there is one */
        bool ours; /* this line has won it: most likely nobody has followed yet */
        uint8_t useless[USELESS_MAX][LANDING_ID_SIZE]; /* proposals that nobody can land: a ring */
        size_t useless_count;
};

/* NULL: not kept. Borrowed until RECENT_SLOTS later ones were learned. */
const struct slot_read *line_slot(const struct land_line *line, uint64_t position);
/* Takes the slot. */
void line_learn(struct land_line *line, struct slot_read *read);
/* Base's tree for this landing, from a slot that is kept or read; held against the session. */
HIF_MUST_USE enum hif_err line_base(struct land_line *line, struct land *land, struct hif_why *why);

/* --- who wants to land --- */

enum entrant_state {
        ENTRANT_WAITS,
        ENTRANT_LANDS,     /* in this turn's slot, if it is won */
        ENTRANT_CONFLICTS, /* against this turn's last tree */
        ENTRANT_NOTHING,   /* the same, and nothing to change */
        ENTRANT_DONE,      /* member->err says how */
};

struct entrant {
        struct land_member *member;
        struct land *land;
        enum entrant_state state;
        bool pending;                    /* the slot of its intent may still arrive */
        const struct proposal *proposal; /* NULL: it lands of its own */
        uint32_t tries, tries_max;
        struct landing_tag tag;
        uint8_t landing_id[LANDING_ID_SIZE];
        /* Of this turn. */
        struct slot_path *paths;
        uint32_t path_count;
        struct hif_hash session_object;
        struct land_intent intent; /* to be saved: borrows the slot's bytes */
        enum hif_err saved;
};

enum commit_mode {
        COMMIT_LAND,
        COMMIT_CHECK,   /* decide, write nothing */
        COMMIT_RESOLVE, /* look, and send what an intent holds; no landing of ours is HIF_ENOENT */
        COMMIT_LOOK,    /* look only: the same */
        COMMIT_ONCE,    /* one slot: whoever is not decided by then gets HIF_ELOST */
};

struct batch_built {
        struct buf bytes;
        struct slot slot; /* spans borrow from arena and sessions */
        struct arena arena;
        struct puts *puts;
};

struct commit {
        struct land_line *line;
        struct land_batch *batch;
        struct made *made;
        struct env *env;
        struct entrant *entrants;
        size_t count;
        enum commit_mode mode;
        struct land_hooks *hooks; /* of one of them, for waiting */
        bool sure;                /* look whether the newest slot that is known is the tail */
        uint32_t races_lost;
        bool lost; /* the last try; the winner is the newest that the line knows */
        struct hif_time now;
        struct known_set known; /* nodes and lists that this run has stored */
        const struct slot_read *tail;
        /* Of this turn: who lands, in order, and the tree after the last of them. */
        struct entrant **landing;
        size_t landing_count;
        struct hif_hash tree;
        uint64_t tree_entries;
        /* follow.c: `tree` holds what was decided against this one. */
        bool followable;
        struct hif_hash followed_tree;
        uint64_t followed_position;
        /* The slot that is tried. */
        struct batch_built built;
        /* ahead.c: it was built onto this slot, of the batch before, which is on its way. */
        bool prepared;
        struct slot_read onto;
        struct land_batch *following; /* to be prepared while ours is on its way */
};

void commit_batch(struct land_batch *batch, enum commit_mode mode);
struct commit *commit_new(struct land_batch *batch, enum commit_mode mode);
/* In every slot since the origin, as far as the tail. DONE: landed already, or it cannot be told.
 */
void commit_look_for(struct commit *c, struct entrant *entrant);
void commit_load_bases(struct commit *c);

/* attempt.c: what becomes of them. */
void commit_finish_with(struct entrant *entrant, enum hif_err err, const struct hif_why *why);
/* What hit all that wait. */
void commit_finish_waiting(struct commit *c, enum hif_err err, const struct hif_why *why);
/* Those who did not land are decided anew. */
void commit_wait_again(struct commit *c);
void commit_landed(struct entrant *entrant, const struct slot_read *slot, uint32_t index,
                   bool already);
/* A hint: the next reader that finds it behind helps. */
void commit_move_head(struct commit *c, const struct slot *slot);
/* Store everything, then claim the slot. */
void commit_attempt(struct commit *c);
/* The same from a slot on that is built; err: of building it. */
void commit_try_built(struct commit *c, enum hif_err err, struct hif_why *why);

/* ahead.c: while our slot is on its way, decide and store for the one behind it. Who follows is
 * asked once. */
void batch_prepare_following(struct commit *c);
/* Go on with what was prepared, if the slot that it was built onto is there now; else forget it. */
void batch_take_up(struct commit *c);

/* decide.c: for all entrants that wait, LANDS, CONFLICTS or NOTHING; or DONE, with an error of its
 * own. Fills `landing`, `tree`, and the made nodes. */
void batch_decide(struct commit *c);
/* follow.c: after a lost race the same at the cost of what the winners changed. False: they meet
 * what was decided, or it could not be read; then decide. */
bool batch_follow(struct commit *c);
/* The decision just made may be followed up. */
void batch_followable(struct commit *c);
/* Those that conflict, or change nothing, are told so, against the tree of `against`; landings of a
 * slot `own` that was just won are named with the others. */
void batch_tell_deferred(struct commit *c, const struct slot_read *against);
/* A slot has refused it before, at out->position: told against that. */
void batch_tell_refused(struct commit *c, struct entrant *entrant);
/* It does not land in this turn's slot, which has to say so. */
bool entrant_is_refused(const struct entrant *entrant);
void entrant_finish(struct entrant *entrant, enum hif_err err);

/* build.c: the slot's bytes for those who land, into c->built; what has to be stored before it is
 * on its way. */
void batch_built_free(struct batch_built *built);
HIF_MUST_USE enum hif_err batch_build(struct commit *c, struct hif_why *why);
/* Until nodes, records and lists are stored. */
HIF_MUST_USE enum hif_err batch_stored(struct commit *c, struct hif_why *why);

/* propose.c: land_propose after so many races that were lost. */
HIF_MUST_USE enum hif_err propose_after(struct land *land, struct land_line *line,
                                        uint32_t races_lost, const struct land_change *changes,
                                        size_t count, struct land_result *out, struct hif_why *why);
/* Carry a proposal of an earlier run through. As land_resolve. */
HIF_MUST_USE enum hif_err propose_again(struct land *land, const struct land_intent *intent,
                                        struct land_result *out, struct hif_why *why);

/* record.c: the session's record, with the hashes that its operations ended up with. */
HIF_MUST_USE enum hif_err record_put(struct land *land, const struct land_change *changes,
                                     size_t count, struct puts *puts, struct hif_hash *hash,
                                     struct hif_why *why);

#endif
