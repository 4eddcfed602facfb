/* model.h - what a worker's directory should be: a tree of nodes, and who is to blame when it is not. */
#ifndef HIF_TESTS_MOUNT_MODEL_H
#define HIF_TESTS_MOUNT_MODEL_H

#include "content.h"
#include "op.h"

#include <sys/stat.h>
#include <time.h>

#define WORKER_LAST 40 /* operations that are told at a finding */
#define BUFFER_SIZE (1u << 20)
#define BASE_FILES  9           /* in the tree that --make writes */
#define BASE_TAG    4000000000u /* and on: the writes that made it */

enum node_kind { NODE_FILE, NODE_DIRECTORY, NODE_SYMLINK };

/* A modification time as far as it is known: this one, or one since then, or either. */
struct moment {
        bool is_any; /* not known at all */
        bool is_exact, is_since;
        bool pending; /* pages were written through a mapping: it may still change */
        struct timespec exact, since;
};

struct node {
        enum node_kind kind;
        unsigned links;   /* names; the worker's directory has one, too */
        unsigned holders; /* slots */
        unsigned mode;
        uint32_t target; /* of a symbolic link */
        struct content content;
        struct node *child[OP_NAMES];
        struct moment mtime;
        struct timespec ctime; /* the last that was seen; it never goes back */
        ino_t ino;             /* the first that was seen; it never changes */
        unsigned
            ghosts; /* names .nfsXXXX that NFS' client gives to what is removed while open: of a file,
                                  or in a directory */
};

struct slot {
        int fd;
        struct node *node; /* NULL: empty */
        unsigned how;
};

struct worker {
        unsigned number;
        uint64_t run_seed, seed; /* of all workers, and this one's */
        uint32_t run_every;
        const char *dir; /* absolute */
        bool nfs, direct, is_root;
        bool corrupt; /* the model is wrong on purpose, to see that this is found */
        struct node *root;
        struct slot slots[OP_FDS];
        struct op last[WORKER_LAST];
        uint32_t done;           /* operations, those that had nothing to do too */
        uint64_t effective;      /* those that asked the kernel something */
        uint8_t *got, *expected; /* BUFFER_SIZE each, aligned for O_DIRECT */
        void *context;
        void (*run)(struct worker *worker, unsigned command); /* OP_RUN, with all files closed */
};

struct node *node_new(enum node_kind kind, unsigned mode);
/* One name, or one slot, less. */
void node_unlink(struct node *node);
void node_release(struct node *node);
bool node_is_empty(const struct node *directory);
bool node_is_below(const struct node *node, const struct node *directory); /* or is it */

/* From a path to the directory that has or would have its last name, and what is there (or NULL). Returns 0 or the
 * errno that any operation on it has. depth 0: *parent is NULL. */
int model_walk(const struct worker *worker, const struct op_path *path, struct node **parent,
               struct node **node);

/* The tree that --make writes on a disk, to be imported: the model of it, and writing it. */
struct node *model_base(void);
void model_write_base(const char *dir);

void moment_changed(struct moment *moment, struct timespec since);
void moment_maybe_changed(struct moment *moment, struct timespec since);
void moment_set(struct moment *moment, struct timespec exact);
struct timespec moment_now(void);

/* The path as the kernel gets it, in a buffer of PATH_MAX. */
void worker_path(const struct worker *worker, const struct op_path *path, char *out);

/* Something is not as it should be: say what, with the last operations and how to repeat them. Ends the process. */
_Noreturn void finding(const struct worker *worker, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- check.c --- */

/* `seen` is what the kernel says of `node`, known as `name`. */
void check_stat(struct worker *worker, struct node *node, const struct stat *seen,
                const char *name);
/* worker->got has `size` bytes that were read at `offset`. */
void check_bytes(struct worker *worker, const struct node *node, uint64_t offset, size_t size,
                 const char *name);
/* The directory has exactly these names. */
void check_list(struct worker *worker, struct node *node, const char *path);
/* Everything below the worker's directory. `landed`: as another mount shows it after landing, where only the
 * executable bit of modes is kept, hard links are files of their own, and identities are new. */
void check_all(struct worker *worker, bool landed);

/* --- apply.c, apply_names.c --- */

/* Carry out one operation, and compare what happens with what should. */
void apply(struct worker *worker, const struct op *op);
void apply_close_all(struct worker *worker);
/* Those that concern names. Returns whether it was one of them. */
bool apply_names(struct worker *worker, const struct op *op);
/* What an operation returned: finding, unless it is `expected` (an errno, or 0). */
void expect_errno(const struct worker *worker, int got, int expected);

#endif
