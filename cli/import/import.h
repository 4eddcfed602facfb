/* import.h - a directory tree as changes against a project. Private to `hif import`.
 *
 * import_walk reads the tree's names and attributes, several directories at once; import_compare
 * holds it against a tree of the project; the contents are read when land_stage asks for them. */
#ifndef HIF_CLI_IMPORT_IMPORT_H
#define HIF_CLI_IMPORT_IMPORT_H

#include "base/arena.h"
#include "base/map.h"
#include "cli/cli.h"
#include "cli/ignore.h"
#include "cli/mounts.h"
#include "land/land.h"

#include <pthread.h>

/* --- open.c --- */

/* Open a path below a directory, following no symbolic link on the way or at its end, nor leaving
 * the directory. "": the directory itself. */
HIF_MUST_USE enum hif_err open_below(int dir_fd, const char *path, int flags, int *fd);

/* --- import_walk.c --- */

struct walk_dir;

/* What a name in a directory is. */
struct walk_entry {
        uint32_t name_at, name_size;     /* in the directory's bytes */
        uint32_t target_at, target_size; /* a symlink's */
        uint64_t hash60;
        enum entry_kind kind;
        struct hif_time mtime;
        uint64_t size;
        struct walk_dir *dir; /* of a directory, once it is walked */
};

struct walk_dir {
        struct pool_job job;
        struct walk *walk;
        const struct ignore_scope *scope;
        struct buf bytes; /* names and targets */
        struct walk_entry *entries;
        size_t count, capacity;
        struct walk_dir *chain; /* of equal hashes in by_path */
        size_t path_size;
        char path[]; /* NUL-terminated, relative to the top */
};

struct walk_stats {
        uint64_t files, dirs, symlinks, bytes; /* without the top directory itself */
        uint64_t ignored;                      /* names; an ignored directory is one */
        uint64_t special;                      /* sockets, fifos, devices: left out */
};

struct walk {
        const struct cli *cli;
        struct pool *pool;
        const char *top; /* as the user named it, for messages */
        int fd;          /* the top directory; the walk's */
        struct ignore *ignore;
        bool rules;      /* rule files hold */
        dev_t store_dev; /* a directory that must not be met */
        ino_t store_ino;
        struct walk_dir *root;
        struct map by_path;    /* complete after import_walk */
        pthread_mutex_t mutex; /* of what follows, and by_path */
        pthread_cond_t done;
        size_t pending;
        struct walk_stats stats;
        enum hif_err err; /* the first */
        struct hif_why why;
};

/* Walk the tree. fd is taken over. rules: leave out what .gitignore and .hifignore files ignore.
 * store_dir: NULL, or the directory of the store, which must not lie in the tree. Special files are
 * named in warnings. walk_free after any result. */
HIF_MUST_USE enum hif_err import_walk(struct walk *walk, const struct cli *cli, struct pool *pool,
                                      const char *top, int fd, bool rules, const char *store_dir,
                                      struct progress *progress, struct hif_why *why);
void walk_free(struct walk *walk);
/* A directory that was walked, by its path; NULL: none. */
struct walk_dir *walk_find(const struct walk *walk, struct span path);

/* Every entry, in the order of tree keys. Spans are borrowed for the call. */
HIF_MUST_USE enum hif_err walk_each(const struct walk *walk,
                                    enum hif_err (*each)(void *arg, struct span path,
                                                         struct span key,
                                                         const struct walk_entry *entry,
                                                         struct span target),
                                    void *arg);

/* --- import_compare.c --- */

struct import_changes {
        struct arena arena;
        struct land_change *items;
        struct hif_hash *before; /* of each: the content that the project has there; zeros: none */
        size_t count, capacity;
};

/* What makes the tree at `root` like the walk. Files of equal size are among the changes until
 * import_drop_equal, after their contents were staged. Ignored paths of the project stay. */
HIF_MUST_USE enum hif_err import_compare(const struct walk *walk, struct node_reader *reader,
                                         const struct hif_hash *root, struct import_changes *out,
                                         struct hif_why *why);
void import_drop_equal(struct import_changes *changes);
void import_changes_free(struct import_changes *changes);

/* Contents, by index in the changes. A file that is no longer what the walk saw is HIF_EIO. */
struct import_reader {
        struct land_reader reader;
        int fd;
        const struct land_change *changes;
};
void import_reader_init(struct import_reader *reader, int fd, const struct land_change *changes);

/* --- import_state.c --- */

/* What an interrupted import leaves: a session id, so that it cannot land twice, and a journal of
 * what is stored already. One import of a directory into a project at a time. */
struct import_state {
        struct cli *cli;
        int fd;
        char *path;    /* state_dir/imports/{hash} */
        char *journal; /* {path}.journal */
        struct session_id session;
        uint64_t origin;
        bool resumed; /* both are an earlier run's */
};

/* dir: canonical. HIF_EBUSY: another import of it runs. */
HIF_MUST_USE enum hif_err import_state_open(struct cli *cli, const struct project *project,
                                            const char *dir, struct import_state *out,
                                            struct hif_why *why);
/* Start over with a new session. */
HIF_MUST_USE enum hif_err import_state_renew(struct import_state *state, uint64_t origin,
                                             struct hif_why *why);
/* done: nothing is left to resume. */
void import_state_close(struct import_state *state, bool done);

#endif
