/* dirents.h - all directory entries of an overlay in one ordered B+tree in memory.
 *
 * The order is (dir, hash60, name), so that one directory is one range of neighbouring leaves.
 * Rows stay where they are while the tree changes around them. */
#ifndef HIF_OVERLAY_DIRENTS_H
#define HIF_OVERLAY_DIRENTS_H

#include "overlay/idmap.h"
#include "overlay/overlay.h"
#include "overlay/slab.h"

struct dirent_leaf;

struct dirents {
        struct slab *slab;
        void *root; /* a leaf when height is 0; NULL: empty */
        uint32_t height;
        size_t count;
        struct idmap per_dir;          /* rows of each directory, as a number in the pointer */
        struct dirent_leaf *hint_leaf; /* where the last row handed out lies; NULL: unknown */
        uint32_t hint_index;
};

void dirents_init(struct dirents *dirents, struct slab *slab);
void dirents_free(struct dirents *dirents); /* rows belong to the slab */

/* The most slab memory that `puts` insertions with together `name_bytes` of names can take. */
size_t dirents_cost(const struct dirents *dirents, size_t puts, size_t name_bytes);

struct odirent *dirents_get(const struct dirents *dirents, uint64_t dir, uint64_t hash60,
                            struct span name);
/* Insert or replace, copying the name. HIF_ENOMEM, but not within what was reserved. */
HIF_MUST_USE enum hif_err dirents_put(struct dirents *dirents, const struct odirent *row);
/* False when there was none. */
bool dirents_del(struct dirents *dirents, uint64_t dir, uint64_t hash60, struct span name);

size_t dirents_count_of(const struct dirents *dirents, uint64_t dir);
/* The first row at or after the key in the whole tree, and the one after a row; NULL: none. */
const struct odirent *dirents_seek(struct dirents *dirents, uint64_t dir, uint64_t hash60,
                                   struct span name);
const struct odirent *dirents_next(struct dirents *dirents, const struct odirent *row);

void dirents_each(const struct dirents *dirents, bool (*each)(void *arg, const struct odirent *row),
                  void *arg);

/* Assert the order, the links and the counts of the whole tree; for tests. */
void dirents_check(const struct dirents *dirents);

#endif
