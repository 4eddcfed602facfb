/* sim.h - a world of landers over one simulated store.
 *
 * Every lander is a fiber that runs the real landing code and blocks only in store_run (the
 * store's wait) and in back-off (land_hooks.sleep): both yield to one scheduler, which plays events
 * in the order of a virtual clock. All chance comes from one seed. What a request meets - delay,
 * lost reply, late arrival, duplication, a false "exists" - is drawn when it is sent. */
#ifndef TESTS_LAND_SIM_H
#define TESTS_LAND_SIM_H

#include "land/land.h"

#include <stdio.h>

#define LANDERS_MAX   5
#define MEMBERS_MAX   3 /* sessions that one lander lands together */
#define HELPERS_MAX   2 /* sim_derive.h */
#define SESSIONS_MAX  64
#define POSITIONS_MAX 256
#define PATHS         18 /* the universe of paths; see sim_oracle.c */
#define CONTENTS      5

/* --- the oracle: a project as a map from path to value --- */

/* 0: absent. */
enum {
        VALUE_ABSENT,
        VALUE_DIR,
        VALUE_FILE,
        VALUE_EXEC = VALUE_FILE + CONTENTS,
        VALUE_LINK = VALUE_EXEC + CONTENTS,
        VALUES = VALUE_LINK + CONTENTS
};

struct state {
        uint8_t at[PATHS];
};

const char *path_text(int path);
int path_above(int path); /* -1: the root */
bool path_below(int path, int dir);
const char *value_text(uint8_t value); /* content or target */
/* The numbers of all paths, in the order of their keys. */
void paths_by_key(int order[PATHS]);

/* What the rules of docs/landing.md say of landing `ours` (from `base`) onto `theirs`. */
struct verdict {
        bool conflict[PATHS];
        int conflicts;
        int edits;
        struct state merged;
};
struct verdict oracle_decide(const struct state *base, const struct state *ours,
                             const struct state *theirs);

/* --- sessions and landers --- */

enum report {
        REPORT_NONE,
        REPORT_LANDED,
        REPORT_CONFLICT,
        REPORT_NOTHING,
        REPORT_REFUSED,
        REPORT_GIVEN_UP
};

struct sim_session {
        struct session_id id;
        int number;
        uint64_t origin, base_position;
        struct state base, ours;
        uint64_t landed_at; /* 0: not in a slot */
        uint32_t landed_member;
        uint64_t refused_at; /* by a slot; 0: not */
        enum report report;  /* the last one */
        uint64_t reported_at;
        bool proposed;    /* others may land it */
        bool giving_up;   /* somebody may have had it refused, whatever it holds */
        bool intent_lost; /* a run died and nobody remembers what it tried */
        bool ran_before;  /* a run of it may have sent a slot */
        bool ended;       /* nothing of it can be on its way any more */
        bool shared;      /* continued on another machine: "not landed" is said of one run only */
};

struct world;

/* One session that a lander lands, and what is on its disk of it. */
struct sim_member {
        struct land_hooks hooks; /* first: the hooks' self */
        struct lander *lander;
        struct sim_session *session;
        struct session value;
        struct land_change changes[PATHS];
        size_t count;
        bool have_intent;
        struct land_intent intent;
        bool answered; /* for good */
        /* Of one run. */
        struct land_change staged[PATHS];
        struct land *land;
        struct land_result result;
        struct hif_why why;
        bool said; /* err is its answer */
        enum hif_err err;
};

struct lander {
        struct world *world;
        int number;
        struct store *store;
        struct env env;
        int64_t skew_ns;
        struct project project;
        struct land_line *line; /* of this run */
        bool epoch;             /* lands through proposals */
        struct sim_member members[MEMBERS_MAX];
        int member_count;
        uint64_t uploading; /* sessions that it stores objects for, as bits */
        uint32_t attempts_max;
        /* Requests until this run dies; 0: it does not. */
        uint32_t crash_in;
        bool crashed;
        uint64_t
            cut_off_until_ns; /* its network is gone: nothing is answered, some of it arrives */
        bool honest;          /* none of its requests meets anything */
        bool done;
        struct fiber *fiber;
};

/* --- the world --- */

struct world {
        uint64_t seed, random;
        uint64_t now_ns;
        struct env env;      /* of the inner store and the checks */
        struct store *inner; /* what is really stored */
        bool trace;
        bool failed;
        char failure[1024];
        struct project project;
        int by_key[PATHS];
        struct sim_session sessions[SESSIONS_MAX];
        int session_count;
        struct state states[POSITIONS_MAX]; /* after each position */
        struct hif_hash slot_hashes[POSITIONS_MAX];
        uint64_t hlcs[POSITIONS_MAX];
        uint64_t positions; /* how many slots exist */
        struct lander landers[LANDERS_MAX + 1];
        struct lander helpers[HELPERS_MAX];
        bool damaged; /* a derived record was */
        int lander_count;
        uint32_t fault_percent, epoch_percent;
        struct event *events; /* a heap */
        size_t event_count, event_capacity;
        uint64_t event_order;
        struct flight *flights; /* all that are not forgotten */
        struct uploads *uploads;
        struct node_reader *reader; /* for checks */
        uint64_t requests, faults, crashes, landings, batches, refusals, conflicts;
};

uint64_t world_rand(struct world *world);
static inline uint64_t world_below(struct world *world, uint64_t n)
{
        return world_rand(world) % n;
}
static inline bool world_chance(struct world *world, uint32_t percent)
{
        return world_below(world, 100) < percent;
}

void world_fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_trace(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

bool world_init(struct world *world, uint64_t seed, bool trace);
void world_free(struct world *world);
/* A store of this lander's, over the inner one. */
struct store *world_store(struct lander *lander);
struct env world_env(struct lander *lander);
/* Start a fiber that runs main(lander). */
bool lander_start(struct lander *lander, void (*main)(struct lander *lander), uint64_t delay_ns);
void lander_sleep(struct lander *lander, uint64_t ns);
void lander_yield(struct lander *lander);  /* from its fiber */
void lander_resume(struct lander *lander); /* from the scheduler */
void lander_free(struct lander *lander);
/* Count one thing that this run does; true: it dies here. */
bool lander_dies(struct lander *lander);
void lander_crash(struct lander *lander);
/* Play events until none is left (or something failed). */
void world_run(struct world *world);
/* Ask for `run` after a time. */
void world_after(struct world *world, uint64_t delay_ns, void (*run)(struct world *, void *),
                 void *arg);

/* sim_lander.c: a lander's life. */
void lander_main(struct lander *lander);

/* sim_check.c: called when something has reached the store. */
void check_slot(struct world *world, uint64_t position, struct span stored);
void check_head(struct world *world, struct span stored);
void check_report(struct world *world, struct sim_session *session, enum hif_err err,
                  const struct land_result *result, const char *why);
void check_end(struct world *world);
/* Sweep away what no slot names and no session that is still open has stored. */
void sweep(struct world *world);
/* An object was stored for these sessions. */
void note_upload(struct world *world, const char *key, uint64_t sessions);

#endif
