/* Inodes of a simulated disk: made, and gone with the last who holds them. */
#include "base/simdisk.h"

#include <stdlib.h>

struct sim_inode *inode_new(struct sim_disk *disk, mode_t mode, uint64_t now_ns)
{
        struct sim_inode *inode = calloc(1, sizeof(*inode));

        if (!inode)
                return NULL;
        inode->number = ++disk->number_last;
        inode->mode = mode;
        inode->mtime_ns = inode->ctime_ns = now_ns;
        inode->refs = 1;
        inode->next = &disk->inodes;
        inode->prev = disk->inodes.prev;
        inode->prev->next = inode->next->prev = inode;
        return inode;
}

void names_clear(struct sim_disk *disk, struct map *names)
{
        uint64_t hash;
        void *value;

        for (size_t i = 0; map_next(names, &i, &hash, &value);) {
                struct sim_name *name = value;

                inode_unref(disk, name->inode);
                free(name);
        }
        map_free(names);
}

void inode_unref(struct sim_disk *disk, struct sim_inode *inode)
{
        if (!inode || --inode->refs > 0)
                return;
        inode->prev->next = inode->next;
        inode->next->prev = inode->prev;
        disk->used -= inode->current.pages.count * SIM_PAGE_SIZE;
        content_clear(&inode->current);
        content_clear(&inode->synced);
        content_clear(&inode->lost);
        names_clear(disk, &inode->names);
        names_clear(disk, &inode->synced_names);
        free(inode);
}
