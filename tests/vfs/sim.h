/* sim.h - one workspace, its store, and a plain model of what it must show.
 *
 * The model is a tree of inodes with identity, told nothing of bases, overlays or caches. All
 * chance comes from one seed; everything runs in one thread on a simulated machine. */
#ifndef TESTS_VFS_SIM_H
#define TESTS_VFS_SIM_H

#include "base/arena.h"
#include "base/map.h"
#include "base/simenv.h"
#include "land/land.h"
#include "vfs/move.h"
#include "vfs/vfs.h"

#include <stdio.h>

#define NAMES        14
#define NAMES_COMMON 9  /* of these others land too */
#define NAME_IGNORED 9  /* as if .gitignore named it */
#define NAMES_LANDED 10 /* the rest is the tools' own */
#define NODES_MAX    4096
#define LIVE_MAX     56
#define DEPTH_MAX    4
#define PATH_MAX_SIM 64
#define TREE_MAX     128
#define GHOSTS_MAX   32
#define LISTINGS     2
#define UID          1000u
#define NODE_ROOT    1

/* --- the model ----------------------------------------------------------------------------------
 */

struct mnode {
        enum onode_kind kind;
        uint64_t id; /* 0: not seen yet */
        uint16_t mode;
        uint32_t nlink;
        struct buf data; /* content, or a link's target */
        struct hif_time mtime, ctime;
        bool mtime_known;
        unsigned writes;  /* how often its content was changed here */
        int parent;       /* of a directory */
        int child[NAMES]; /* of a directory; 0: none */
};

/* A state of the project: what others see of a tree. */
struct ment {
        char path[PATH_MAX_SIM];
        enum entry_kind kind;
        struct span data; /* in the arena */
        int node;         /* 0: of another's tree */
        unsigned writes;  /* of the node, then */
        uint64_t stamp;   /* of the edit by others that made it; 0: ours */
};

struct mtree {
        struct ment at[TREE_MAX];
        size_t count;
};

const char *name_text(int name);
bool name_lands(int name);
const struct ment *tree_get(const struct mtree *tree, const char *path);
void tree_put(struct mtree *tree, const struct ment *entry);
void tree_remove(struct mtree *tree, const char *path); /* and all below */
void tree_sort(struct mtree *tree);                     /* by key */
bool ment_same(const struct ment *a, const struct ment *b);
bool path_below(const char *path, const char *dir);
/* What docs/landing.md says of landing ours (from base) onto theirs. False: they conflict. */
bool oracle_merge(const struct mtree *base, const struct mtree *ours, const struct mtree *theirs,
                  struct mtree *merged);

/* --- the world ----------------------------------------------------------------------------------
 */

/* A landing that the workspace has not followed yet. */
struct pending {
        bool on;
        struct mtree then;   /* the snapshot */
        struct mtree landed; /* what is at that position */
        struct mtree shown;  /* ... and what was left out */
        struct vfs_base at;
};

/* READDIR in small pages while names change. */
struct listing {
        int dir; /* 0: not open */
        uint64_t cookie;
        bool stable[NAMES];
        unsigned seen[NAMES];
};

struct sim {
        uint64_t seed;
        bool trace;
        const char *doing;
        struct simenv *machine;
        struct env *env;
        struct store *store;
        struct project project;
        struct pool *pool;
        struct loop *loop;
        uint64_t ram_max;
        struct fetch *fetch;
        struct fetch_origin *origin;
        struct overlay *overlay;
        struct vfs *vfs;
        struct vfs_caller caller;
        struct session_id session;
        uint64_t session_origin;

        struct arena arena;
        struct mnode *nodes;
        int node_count;
        struct map ids; /* id -> the model's node, for ever */
        struct mtree base, tail;
        struct vfs_base base_at, tail_at;
        struct pending pending;
        bool frozen; /* within a landing: a new directory may ask for another plan, which then knows
                      * as little as after the death of its process */
        bool kept; /* what others had removed: it lands again, and the time of what is above with it
                    */
        struct listing listings[LISTINGS];
        struct {
                uint64_t id, since_ns;
                struct span data;
                bool lasting;
        } ghosts[GHOSTS_MAX]; /* files that others changed: the old number reads the old bytes */
        size_t ghost_count;
        uint64_t stamps;
        unsigned steps, faults, landings, conflicts, syncs, kills;
};

_Noreturn void sim_fail(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define expect(sim, condition, ...) ((condition) ? (void)0 : sim_fail(sim, __VA_ARGS__))
#define must(sim, call)                                                                            \
        do {                                                                                       \
                enum hif_err must_err = (call);                                                    \
                if (must_err != HIF_OK)                                                            \
                        sim_fail(sim, "%s: %s", #call, hif_err_name(must_err));                    \
        } while (0)
#define must_why(sim, call, why)                                                                   \
        do {                                                                                       \
                enum hif_err must_err = (call);                                                    \
                if (must_err != HIF_OK)                                                            \
                        sim_fail(sim, "%s: %s: %s", #call, hif_err_name(must_err), (why).text);    \
        } while (0)

uint64_t pick(struct sim *sim, uint64_t below);
bool chance(struct sim *sim, unsigned percent);

/* sim_world.c */
void world_start(struct sim *sim);
void world_stop(struct sim *sim);
void world_open(struct sim *sim);
void world_close(struct sim *sim);
void world_kill(struct sim *sim); /* and open again */
void world_turn(struct sim *sim);

struct run {
        struct vfs_call call;
        struct vfs_parked parked;
        enum hif_err resumed;
        int state;
        uint64_t seq;
        struct overlay_stats stats;
};
bool run_again(struct sim *sim, struct run *run, enum hif_err *err);
/* Run a vfs call through its faults. What it gave is borrowed until vfs_call_end(&run.call). */
#define RUN(sim, run, err, expression)                                                             \
        for ((run).state = 0; run_again(sim, &(run), &(err));)                                     \
        (err) = (expression)

/* sim_model.c */
struct mnode *node_at(struct sim *sim, int node);
int node_new(struct sim *sim, enum onode_kind kind, uint16_t mode);
void node_unlink(struct sim *sim, int dir, int name);
void node_link(struct sim *sim, int dir, int name, int node);
int node_depth(struct sim *sim, int dir);
int node_height(struct sim *sim, int node);
bool node_within(struct sim *sim, int node, int dir);
size_t live_nodes(struct sim *sim, int *out); /* reachable ones; the root is the first */
void tree_of_model(struct sim *sim, struct mtree *out);
/* What the base holds becomes the model's tree. */
void model_from_tree(struct sim *sim, const struct mtree *tree);
int model_add(struct sim *sim, int dir, int name, const struct ment *entry);
struct span keep_bytes(struct sim *sim, const void *data, size_t size);
int name_of_text(const char *text, size_t size);

/* sim_ops.c */
void op_random(struct sim *sim);
void op_edit(struct sim *sim); /* a write, a new file or directory */
void listing_step(struct sim *sim, struct listing *listing);
void listing_changed(struct sim *sim, int dir, int name);

/* sim_check.c */
void check_all(struct sim *sim);
void check_status(struct sim *sim);
void check_tree(struct sim *sim, const struct hif_hash *root, const struct mtree *expected);
struct span read_node(struct sim *sim, uint64_t id); /* in the arena */
void check_expanded(struct sim *sim, const struct vfs_snapshot *snapshot,
                    const struct vfs_expanded *list, size_t count, const struct mtree *base,
                    const struct mtree *expected);

/* sim_land.c */
void land_ours(struct sim *sim);
void move_to_tail(struct sim *sim);

/* sim_others.c */
void land_foreign(struct sim *sim);
bool trees_same(const struct mtree *a, const struct mtree *b);
struct vfs_base land_tree(struct sim *sim, const struct mtree *from, const struct vfs_base *at,
                          const struct mtree *to);

#endif
