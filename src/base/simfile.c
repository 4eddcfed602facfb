/* Files of the simulated disk. While a file is mapped its bytes are in the region, and its pages
 * say what is allocated; they are brought up to date (pulled) where content is shared or unmapped.
 */
#include "base/simdisk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t page_count(const struct sim_inode *file)
{
        return file->current.pages.count;
}

static bool has_room(const struct sim_disk *disk, uint64_t pages)
{
        return disk->used < disk->capacity &&
               pages <= (disk->capacity - disk->used) / SIM_PAGE_SIZE;
}

/* Add the pages that file gained or lost since it had `before`. */
static void account(struct sim_disk *disk, const struct sim_inode *file, uint64_t before)
{
        disk->used += (page_count(file) - before) * SIM_PAGE_SIZE; /* modulo 2^64 */
}

static enum hif_err check_region(const struct sim_inode *file, uint64_t end)
{
        return file->region && end > SIM_REGION_SIZE ? HIF_EFBIG : HIF_OK;
}

/* Write inside one page. */
static enum hif_err page_write(struct sim_disk *disk, struct sim_inode *file, uint64_t offset,
                               const void *data, size_t size)
{
        uint64_t index = offset / SIM_PAGE_SIZE;
        uint64_t before = page_count(file);
        struct sim_page *page;

        if (!map_get(&file->current.pages, index) && !has_room(disk, 1))
                return disk->full;
        page = content_page(&file->current, index);
        if (!page)
                return HIF_ENOMEM;
        memcpy(page->bytes + offset % SIM_PAGE_SIZE, data, size);
        if (file->region)
                memcpy(file->region + offset, data, size);
        account(disk, file, before);
        if (file->current.size < offset + size)
                file->current.size = offset + size;
        return HIF_OK;
}

enum hif_err file_write(struct sim_disk *disk, struct sim_inode *file, uint64_t offset,
                        const void *data, size_t size, size_t *count)
{
        const uint8_t *next = data;
        size_t done = 0;
        enum hif_err err = check_region(file, offset + size);

        while (!err && done < size) {
                size_t part = SIM_PAGE_SIZE - (offset + done) % SIM_PAGE_SIZE;

                if (part > size - done)
                        part = size - done;
                err = page_write(disk, file, offset + done, next + done, part);
                if (!err)
                        done += part;
        }
        if (err && done == 0)
                return err;
        *count = done;
        return HIF_OK;
}

void file_read(const struct sim_inode *file, uint64_t offset, void *out, size_t size)
{
        if (file->region)
                memcpy(out, file->region + offset, size);
        else
                content_read(&file->current, offset, out, size);
}

enum hif_err file_allocate(struct sim_disk *disk, struct sim_inode *file, uint64_t offset,
                           uint64_t size)
{
        uint64_t first = offset / SIM_PAGE_SIZE;
        uint64_t end = (offset + size + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE;
        uint64_t before = page_count(file);
        uint64_t missing = 0;
        enum hif_err err = check_region(file, offset + size);

        if (err)
                return err;
        if (end - first > disk->capacity / SIM_PAGE_SIZE)
                return disk->full;
        for (uint64_t i = first; i < end; i++)
                missing += !map_get(&file->current.pages, i);
        if (missing && !has_room(disk, missing))
                return disk->full;
        for (uint64_t i = first; !err && i < end; i++) {
                if (map_get(&file->current.pages, i))
                        continue;
                err = map_put(&file->current.pages, i, disk->zero);
                if (!err)
                        disk->zero->refs++;
        }
        account(disk, file, before);
        if (!err && file->current.size < offset + size)
                file->current.size = offset + size;
        return err;
}

enum hif_err file_punch(struct sim_disk *disk, struct sim_inode *file, uint64_t offset,
                        uint64_t size)
{
        uint64_t before = page_count(file);
        uint64_t end = offset + size;
        enum hif_err err = content_punch(&file->current, offset, size);

        account(disk, file, before);
        if (err)
                return err;
        if (end > SIM_REGION_SIZE)
                end = SIM_REGION_SIZE;
        if (file->region && offset < end)
                memset(file->region + offset, 0, end - offset);
        return HIF_OK;
}

enum hif_err file_truncate(struct sim_disk *disk, struct sim_inode *file, uint64_t size)
{
        uint64_t before = page_count(file);
        uint64_t size_before = file->current.size;
        enum hif_err err = check_region(file, size);

        if (err)
                return err;
        err = content_truncate(&file->current, size);
        account(disk, file, before);
        if (!err && file->region && size < size_before)
                memset(file->region + size, 0, size_before - size);
        return err;
}

/* --- mappings --- */

/* Nothing here has a caller that could go on without memory: this is a test's machine. */
static void must(enum hif_err err)
{
        if (err)
                abort();
}

/* Bring the pages up to date with what was stored in the region. */
static void region_pull(struct sim_inode *file)
{
        uint64_t index;
        void *value;

        for (size_t i = 0; map_next(&file->current.pages, &i, &index, &value);) {
                const uint8_t *bytes = file->region + index * SIM_PAGE_SIZE;
                struct sim_page *page = value;

                if (memcmp(page->bytes, bytes, SIM_PAGE_SIZE) == 0)
                        continue;
                page = content_page(&file->current, index); /* replaces: the map keeps its shape */
                must(page ? HIF_OK : HIF_ENOMEM);
                memcpy(page->bytes, bytes, SIM_PAGE_SIZE);
        }
}

static enum hif_err region_new(struct sim_inode *file)
{
        uint64_t index;
        void *value;
        void *region;

        if (file->current.size > SIM_REGION_SIZE)
                return HIF_EFBIG;
        region = mmap(NULL, SIM_REGION_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (region == MAP_FAILED)
                return HIF_ENOMEM;
        file->region = region;
        for (size_t i = 0; map_next(&file->current.pages, &i, &index, &value);) {
                const struct sim_page *page = value;

                memcpy(file->region + index * SIM_PAGE_SIZE, page->bytes, SIM_PAGE_SIZE);
        }
        return HIF_OK;
}

/* Stores into a range that was not allocated first would be SIGBUS on a full disk. */
static bool is_allocated(const struct sim_inode *file, uint64_t offset, uint64_t size)
{
        uint64_t end = (offset + size + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE;

        for (uint64_t i = offset / SIM_PAGE_SIZE; i < end; i++) {
                if (!map_get(&file->current.pages, i))
                        return false;
        }
        return true;
}

enum hif_err file_map(struct sim_inode *file, uint64_t offset, uint64_t size, void **out)
{
        if (size == 0 || offset % SIM_PAGE_SIZE || offset > SIM_REGION_SIZE ||
            size > SIM_REGION_SIZE - offset)
                return HIF_EINVAL;
        assert(is_allocated(file, offset, size));
        if (!file->region) {
                enum hif_err err = region_new(file);

                if (err)
                        return err;
        }
        file->map_count++;
        file->refs++;
        *out = file->region + offset;
        return HIF_OK;
}

bool disk_unmap(struct sim_disk *disk, void *address)
{
        for (struct sim_inode *file = disk->inodes.next; file != &disk->inodes; file = file->next) {
                uint64_t distance = (uint64_t)((uintptr_t)address - (uintptr_t)file->region);

                if (!file->region || distance >= SIM_REGION_SIZE)
                        continue;
                if (--file->map_count == 0) {
                        region_pull(file);
                        munmap(file->region, SIM_REGION_SIZE);
                        file->region = NULL;
                }
                inode_unref(disk, file);
                return true;
        }
        return false;
}

void disk_freeze_mappings(struct sim_disk *disk)
{
        struct sim_inode *next;

        for (struct sim_inode *file = disk->inodes.next; file != &disk->inodes; file = next) {
                uint64_t refs = file->map_count;

                next = file->next;
                if (!file->region)
                        continue;
                region_pull(file);
                must(map_put(&disk->stale, file->number, file->region));
                file->region = NULL;
                file->map_count = 0;
                while (refs-- > 0)
                        inode_unref(disk, file);
        }
}

void disk_drop_mappings(struct sim_disk *disk)
{
        uint64_t number;
        void *region;

        disk_freeze_mappings(disk);
        for (size_t i = 0; map_next(&disk->stale, &i, &number, &region);)
                munmap(region, SIM_REGION_SIZE);
        map_free(&disk->stale);
}

enum hif_err file_sync(struct sim_inode *file)
{
        if (file->region)
                region_pull(file);
        return content_sync(&file->current, &file->synced, &file->lost);
}

void file_sync_fails(struct sim_inode *file, struct sim_rng *rng)
{
        if (file->region)
                region_pull(file);
        must(content_lose(&file->current, &file->synced, &file->lost, rng));
}
