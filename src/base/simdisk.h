/* simdisk.h - the disk of a simulated machine: what is written, and what of it is synced.
 *
 * A file has its current and its synced content. A name change (create, link, unlink, rename,
 * mkdir, rmdir) is a transaction of one or two changes that stays pending until a directory that
 * it touches is synced. A power cut decides over pending transactions and unsynced pages.
 * Private to simenv. Not thread-safe: simenv holds a lock around it. */
#ifndef HIF_BASE_SIMDISK_H
#define HIF_BASE_SIMDISK_H

#include "base/env.h"
#include "base/map.h"

#define SIM_PAGE_SIZE   4096
#define SIM_SECTOR_SIZE 512
#define SIM_NAME_MAX    255
/* Address space that is reserved for a mapped file, so that growing it moves nothing. */
#define SIM_REGION_SIZE ((uint64_t)1 << 34)

/* A seeded stream (splitmix64). */
struct sim_rng {
        uint64_t state;
};

uint64_t sim_rng_next(struct sim_rng *rng);

/* Counted and shared between contents; written to only by a sole owner. */
struct sim_page {
        uint64_t refs;
        uint8_t bytes[SIM_PAGE_SIZE];
};

/* Sparse bytes. A page that is there is allocated; one that is not reads as zeros. */
struct sim_content {
        struct map pages;
        uint64_t size;
};

void content_clear(struct sim_content *content);
HIF_MUST_USE enum hif_err content_share(struct sim_content *dst, const struct sim_content *src);
/* The page for writing, allocated or unshared if need be; NULL when out of memory. */
struct sim_page *content_page(struct sim_content *content, uint64_t index);
void content_read(const struct sim_content *content, uint64_t offset, void *out, size_t size);
/* Pages lying wholly in the range go, the rest of it becomes zeros. Size stays. */
HIF_MUST_USE enum hif_err content_punch(struct sim_content *content, uint64_t offset,
                                        uint64_t size);
HIF_MUST_USE enum hif_err content_truncate(struct sim_content *content, uint64_t size);
/* Pages of `current` that are not `synced` join `lost`, some or all. */
HIF_MUST_USE enum hif_err content_lose(const struct sim_content *current,
                                       const struct sim_content *synced, struct sim_content *lost,
                                       struct sim_rng *rng);
/* synced becomes current, but for what is lost; what is not lost any more leaves there. */
HIF_MUST_USE enum hif_err content_sync(const struct sim_content *current,
                                       struct sim_content *synced, struct sim_content *lost);
/* What a power cut leaves of unsynced changes: both contents become that. keep is in 0..4, the
 * quarters of a page's chance to be kept. */
HIF_MUST_USE enum hif_err content_settle(struct sim_content *current, struct sim_content *synced,
                                         struct sim_rng *rng, unsigned keep);

/* Some pages of `current` become those of `synced`, which grows to hold them. */
HIF_MUST_USE enum hif_err content_write_back(const struct sim_content *current,
                                             struct sim_content *synced, struct sim_rng *rng);

struct sim_inode {
        uint64_t number;
        mode_t mode;
        uint64_t mtime_ns, ctime_ns;
        uint64_t nlink; /* of current names */
        uint64_t refs;  /* by names, current and synced, by pending changes, by descriptors */
        struct sim_inode *prev, *next;

        struct sim_content current, synced; /* of a file */
        struct sim_content lost;            /* pages that no sync writes unless they change again */
        uint8_t *region;                    /* while mapped, the current bytes are here */
        uint64_t map_count;

        struct map names, synced_names; /* of a directory: hash of the name -> struct sim_name */
};

struct sim_name {
        struct sim_inode *inode;
        char text[];
};

/* `name` in `dir` was `before`, is `after`; NULL: absent. */
struct sim_change {
        struct sim_inode *dir;
        char *name;
        struct sim_inode *before, *after;
};

struct sim_transaction {
        struct sim_change changes[2];
        size_t count;
        bool marked;
};

struct sim_disk {
        struct sim_inode *root;
        struct sim_inode inodes; /* the sentinel of the ring of all */
        uint64_t number_last;
        uint64_t used, capacity; /* bytes of current content */
        enum hif_err full;       /* beyond */
        struct sim_page *zero;   /* what fallocate puts everywhere */
        struct sim_transaction *pending;
        size_t pending_count, pending_capacity;
        /* Regions of mappings that a crash took away: memory to scribble on until the test lets go.
         */
        struct map stale;
};

HIF_MUST_USE enum hif_err disk_init(struct sim_disk *disk);
void disk_fini(struct sim_disk *disk);

/* With one reference, for the caller. */
struct sim_inode *inode_new(struct sim_disk *disk, mode_t mode, uint64_t now_ns);
void inode_unref(struct sim_disk *disk, struct sim_inode *inode);
/* Empty it: names of a directory. */
void names_clear(struct sim_disk *disk, struct map *names);

struct sim_inode *dir_find(const struct sim_inode *dir, const char *name, size_t size);
static inline bool inode_is_dir(const struct sim_inode *inode)
{
        return S_ISDIR(inode->mode);
}

/* Make one or two name changes at once; `before` is filled in. */
HIF_MUST_USE enum hif_err disk_change(struct sim_disk *disk, const struct sim_change *changes,
                                      size_t count);

HIF_MUST_USE enum hif_err file_write(struct sim_disk *disk, struct sim_inode *file, uint64_t offset,
                                     const void *data, size_t size, size_t *count);
void file_read(const struct sim_inode *file, uint64_t offset, void *out, size_t size);
HIF_MUST_USE enum hif_err file_allocate(struct sim_disk *disk, struct sim_inode *file,
                                        uint64_t offset, uint64_t size);
HIF_MUST_USE enum hif_err file_punch(struct sim_disk *disk, struct sim_inode *file, uint64_t offset,
                                     uint64_t size);
HIF_MUST_USE enum hif_err file_truncate(struct sim_disk *disk, struct sim_inode *file,
                                        uint64_t size);
HIF_MUST_USE enum hif_err file_map(struct sim_inode *file, uint64_t offset, uint64_t size,
                                   void **out);
HIF_MUST_USE enum hif_err file_sync(struct sim_inode *file);
/* A sync failed: some of what it had to write counts as written from now on. */
void file_sync_fails(struct sim_inode *file, struct sim_rng *rng);
/* False when no mapping is there. */
bool disk_unmap(struct sim_disk *disk, void *address);

/* Make durable: of a file its content, of a directory its names. */
HIF_MUST_USE enum hif_err disk_sync(struct sim_disk *disk, struct sim_inode *inode);
/* From now on stores into mapped memory reach no file. */
void disk_freeze_mappings(struct sim_disk *disk);
/* The memory of such mappings goes. */
void disk_drop_mappings(struct sim_disk *disk);
/* Some unsynced pages of files that are not mapped become synced as they are. */
void disk_write_back(struct sim_disk *disk, struct sim_rng *rng);
/* Mappings are frozen and descriptors closed. */
void disk_power_cut(struct sim_disk *disk, struct sim_rng *rng);

#endif
