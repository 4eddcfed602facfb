/* Inodes, names, and which name changes are durable. */
#include "base/simdisk.h"

#include "base/siphash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* See must() in simfile.c: a power cut cannot fail. */
static void must(enum hif_err err)
{
        if (err)
                abort();
}

/* --- inodes --- */

/* Call each for every inode. Some may go meanwhile, but not the one that the walk holds. */
static void walk_inodes(struct sim_disk *disk,
                        void (*each)(struct sim_disk *disk, struct sim_inode *inode))
{
        struct sim_inode *inode = disk->inodes.next, *next;

        inode->refs++;
        while (inode != &disk->inodes) {
                each(disk, inode);
                next = inode->next;
                next->refs++;
                inode_unref(disk, inode);
                inode = next;
        }
}

static void inode_forget_names(struct sim_disk *disk, struct sim_inode *dir)
{
        names_clear(disk, &dir->names);
        names_clear(disk, &dir->synced_names);
}

/* --- names --- */

/* 64 bits of SipHash stand for the name: no test meets a collision, and one is asserted. */
static uint64_t name_hash(const char *name, size_t size)
{
        return siphash((struct sipkey){1, 2}, name, size);
}

struct sim_inode *dir_find(const struct sim_inode *dir, const char *name, size_t size)
{
        const struct sim_name *found = map_get(&dir->names, name_hash(name, size));

        if (!found)
                return NULL;
        assert(strlen(found->text) == size && memcmp(found->text, name, size) == 0);
        return found->inode;
}

/* Let text name inode (NULL: nothing) in one of a directory's two sets. */
static enum hif_err names_set(struct sim_disk *disk, struct map *names, const char *text,
                              struct sim_inode *inode)
{
        uint64_t hash = name_hash(text, strlen(text));
        struct sim_name *before = map_get(names, hash);

        if (inode) {
                size_t size = strlen(text) + 1;
                struct sim_name *name = malloc(sizeof(*name) + size);

                if (!name || map_put(names, hash, name)) {
                        free(name);
                        return HIF_ENOMEM;
                }
                memcpy(name->text, text, size);
                name->inode = inode;
                inode->refs++;
        } else {
                map_del(names, hash);
        }
        if (before)
                inode_unref(disk, before->inode);
        free(before);
        return HIF_OK;
}

/* --- pending transactions --- */

static void transaction_fini(struct sim_disk *disk, struct sim_transaction *transaction)
{
        for (size_t i = 0; i < transaction->count; i++) {
                struct sim_change *change = &transaction->changes[i];

                inode_unref(disk, change->dir);
                inode_unref(disk, change->before);
                inode_unref(disk, change->after);
                free(change->name);
        }
}

static enum hif_err pending_reserve(struct sim_disk *disk)
{
        size_t capacity = disk->pending_capacity ? disk->pending_capacity * 2 : 64;
        struct sim_transaction *pending;

        if (disk->pending_count < disk->pending_capacity)
                return HIF_OK;
        pending = realloc(disk->pending, capacity * sizeof(*pending));
        if (!pending)
                return HIF_ENOMEM;
        disk->pending = pending;
        disk->pending_capacity = capacity;
        return HIF_OK;
}

static struct sim_inode *inode_ref(struct sim_inode *inode)
{
        if (inode)
                inode->refs++;
        return inode;
}

enum hif_err disk_change(struct sim_disk *disk, const struct sim_change *changes, size_t count)
{
        struct sim_transaction transaction = {.count = count};
        enum hif_err err = pending_reserve(disk);

        if (err)
                return err;
        for (size_t i = 0; i < count; i++) {
                const struct sim_change *change = &changes[i];
                size_t size = strlen(change->name);

                transaction.changes[i] = (struct sim_change){
                    .dir = inode_ref(change->dir),
                    .name = strdup(change->name),
                    .before = inode_ref(dir_find(change->dir, change->name, size)),
                    .after = inode_ref(change->after),
                };
                if (!transaction.changes[i].name)
                        err = HIF_ENOMEM;
        }
        for (size_t i = 0; !err && i < count; i++) {
                struct sim_change *change = &transaction.changes[i];

                err = names_set(disk, &change->dir->names, change->name, change->after);
                if (err)
                        break;
                if (change->before)
                        change->before->nlink--;
                if (change->after)
                        change->after->nlink++;
        }
        if (err) {
                transaction_fini(disk, &transaction);
                return err;
        }
        disk->pending[disk->pending_count++] = transaction;
        return HIF_OK;
}

static bool names_inode(const struct sim_change *change, const struct sim_inode *inode)
{
        return inode && (change->before == inode || change->after == inode);
}

/* Whether `later` means nothing without `earlier`: they are about one name, or later removes the
 * directory that earlier changed. */
static bool needs_change(const struct sim_change *later, const struct sim_change *earlier)
{
        return (later->dir == earlier->dir && strcmp(later->name, earlier->name) == 0) ||
               later->before == earlier->dir;
}

/* Whether a journal would never keep `later` without `earlier`: also what is about one inode, or
 * happens in a directory that earlier made or moved. */
static bool follows_change(const struct sim_change *later, const struct sim_change *earlier)
{
        return needs_change(later, earlier) || names_inode(earlier, later->before) ||
               names_inode(earlier, later->after) || names_inode(earlier, later->dir) ||
               later->after == earlier->dir;
}

static bool any_change(const struct sim_transaction *later, const struct sim_transaction *earlier,
                       bool (*holds)(const struct sim_change *, const struct sim_change *))
{
        for (size_t i = 0; i < later->count; i++) {
                for (size_t j = 0; j < earlier->count; j++) {
                        if (holds(&later->changes[i], &earlier->changes[j]))
                                return true;
                }
        }
        return false;
}

/* Make the marked transactions durable, in order, and keep the others pending. */
static void commit_marked(struct sim_disk *disk)
{
        size_t kept = 0;

        for (size_t i = 0; i < disk->pending_count; i++) {
                struct sim_transaction *transaction = &disk->pending[i];

                if (!transaction->marked) {
                        disk->pending[kept++] = *transaction;
                        continue;
                }
                for (size_t j = 0; j < transaction->count; j++) {
                        struct sim_change *change = &transaction->changes[j];

                        must(names_set(disk, &change->dir->synced_names, change->name,
                                       change->after));
                }
                transaction_fini(disk, transaction);
        }
        disk->pending_count = kept;
}

static bool touches_only(const struct sim_transaction *transaction, const struct sim_inode *dir)
{
        for (size_t i = 0; i < transaction->count; i++) {
                if (transaction->changes[i].dir != dir)
                        return false;
        }
        return true;
}

static bool touches(const struct sim_transaction *transaction, const struct sim_inode *dir)
{
        for (size_t i = 0; i < transaction->count; i++) {
                if (transaction->changes[i].dir == dir)
                        return true;
        }
        return false;
}

/* What touches dir becomes durable, and what that needs. */
static void dir_sync(struct sim_disk *disk, const struct sim_inode *dir)
{
        for (size_t i = 0; i < disk->pending_count; i++)
                disk->pending[i].marked = touches(&disk->pending[i], dir);
        for (size_t i = disk->pending_count; i-- > 0;) {
                struct sim_transaction *later = &disk->pending[i];
                bool removes_dir = false;

                for (size_t k = 0; k < later->count; k++) {
                        const struct sim_inode *before = later->changes[k].before;

                        removes_dir |= before && inode_is_dir(before);
                }
                if (!later->marked || (touches_only(later, dir) && !removes_dir))
                        continue; /* all that it needs touches dir too */
                for (size_t j = 0; j < i; j++) {
                        if (any_change(later, &disk->pending[j], needs_change))
                                disk->pending[j].marked = true;
                }
        }
        commit_marked(disk);
}

enum hif_err disk_sync(struct sim_disk *disk, struct sim_inode *inode)
{
        if (!inode_is_dir(inode))
                return file_sync(inode);
        dir_sync(disk, inode);
        return HIF_OK;
}

/* --- a power cut --- */

/* A seeded choice among pending transactions, closed under follows_change(). */
static void choose_pending(struct sim_disk *disk, struct sim_rng *rng, unsigned keep)
{
        for (size_t i = 0; i < disk->pending_count; i++) {
                struct sim_transaction *later = &disk->pending[i];

                later->marked = sim_rng_next(rng) % 4 < keep;
                for (size_t j = 0; later->marked && j < i; j++) {
                        const struct sim_transaction *earlier = &disk->pending[j];

                        if (!earlier->marked && any_change(later, earlier, follows_change))
                                later->marked = false;
                }
        }
}

/* The current names of dir become its durable ones. */
static void names_restore(struct sim_disk *disk, struct sim_inode *dir)
{
        struct map names = {0};
        uint64_t hash;
        void *value;

        for (size_t i = 0; map_next(&dir->synced_names, &i, &hash, &value);) {
                const struct sim_name *name = value;

                must(names_set(disk, &names, name->text, name->inode));
        }
        names_clear(disk, &dir->names);
        dir->names = names;
}

static void count_links(struct sim_disk *disk)
{
        for (struct sim_inode *i = disk->inodes.next; i != &disk->inodes; i = i->next)
                i->nlink = 0;
        for (struct sim_inode *i = disk->inodes.next; i != &disk->inodes; i = i->next) {
                uint64_t hash;
                void *value;

                for (size_t k = 0; map_next(&i->names, &k, &hash, &value);)
                        ((struct sim_name *)value)->inode->nlink++;
        }
}

void disk_write_back(struct sim_disk *disk, struct sim_rng *rng)
{
        for (struct sim_inode *inode = disk->inodes.next; inode != &disk->inodes;
             inode = inode->next)
                if (inode->map_count == 0)
                        must(content_write_back(&inode->current, &inode->synced, rng));
}

void disk_power_cut(struct sim_disk *disk, struct sim_rng *rng)
{
        /* Some cuts keep all, some nothing, the others choose. */
        unsigned keep = (unsigned)(sim_rng_next(rng) % 5);
        struct sim_inode *inode;

        choose_pending(disk, rng, keep);
        commit_marked(disk);
        for (size_t i = 0; i < disk->pending_count; i++)
                transaction_fini(disk, &disk->pending[i]);
        disk->pending_count = 0;

        walk_inodes(disk, names_restore);
        disk->used = 0;
        for (inode = disk->inodes.next; inode != &disk->inodes; inode = inode->next) {
                must(content_settle(&inode->current, &inode->synced, rng, keep));
                content_clear(&inode->lost);
                disk->used += inode->current.pages.count * SIM_PAGE_SIZE;
        }
        count_links(disk);
}

/* --- life --- */

enum hif_err disk_init(struct sim_disk *disk)
{
        *disk = (struct sim_disk){.capacity = (uint64_t)1 << 40, .full = HIF_ENOSPC};
        disk->inodes.prev = disk->inodes.next = &disk->inodes;
        disk->zero = calloc(1, sizeof(*disk->zero));
        disk->root = inode_new(disk, S_IFDIR | 0755, 0);
        if (!disk->zero || !disk->root) {
                disk_fini(disk);
                return HIF_ENOMEM;
        }
        disk->zero->refs = 1;
        return HIF_OK;
}

void disk_fini(struct sim_disk *disk)
{
        disk_drop_mappings(disk);
        for (size_t i = 0; i < disk->pending_count; i++)
                transaction_fini(disk, &disk->pending[i]);
        free(disk->pending);
        walk_inodes(disk,
                    inode_forget_names); /* current and synced names together may form cycles */
        inode_unref(disk, disk->root);
        assert(disk->inodes.next == &disk->inodes); /* else something holds a reference too many */
        free(disk->zero);
}
