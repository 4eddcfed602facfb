#include "base/simdisk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint64_t sim_rng_next(struct sim_rng *rng)
{
        uint64_t x = rng->state += 0x9e3779b97f4a7c15;

        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
        x = (x ^ x >> 27) * 0x94d049bb133111eb;
        return x ^ x >> 31;
}

static void page_unref(struct sim_page *page)
{
        if (page && --page->refs == 0)
                free(page);
}

void content_clear(struct sim_content *content)
{
        uint64_t index;
        void *page;

        for (size_t i = 0; map_next(&content->pages, &i, &index, &page);)
                page_unref(page);
        map_free(&content->pages);
        content->size = 0;
}

enum hif_err content_share(struct sim_content *dst, const struct sim_content *src)
{
        struct sim_content copy = {.size = src->size};
        uint64_t index;
        void *value;

        for (size_t i = 0; map_next(&src->pages, &i, &index, &value);) {
                struct sim_page *page = value;
                enum hif_err err = map_put(&copy.pages, index, page);

                if (err) {
                        content_clear(&copy);
                        return err;
                }
                page->refs++;
        }
        content_clear(dst);
        *dst = copy;
        return HIF_OK;
}

struct sim_page *content_page(struct sim_content *content, uint64_t index)
{
        struct sim_page *before = map_get(&content->pages, index);
        struct sim_page *page;

        if (before && before->refs == 1)
                return before;
        page = calloc(1, sizeof(*page));
        if (!page)
                return NULL;
        page->refs = 1;
        if (before)
                memcpy(page->bytes, before->bytes, SIM_PAGE_SIZE);
        if (map_put(&content->pages, index, page)) {
                free(page);
                return NULL;
        }
        page_unref(before);
        return page;
}

void content_read(const struct sim_content *content, uint64_t offset, void *out, size_t size)
{
        uint8_t *next = out;

        while (size > 0) {
                size_t from = offset % SIM_PAGE_SIZE;
                size_t part = SIM_PAGE_SIZE - from;
                const struct sim_page *page = map_get(&content->pages, offset / SIM_PAGE_SIZE);

                if (part > size)
                        part = size;
                if (page)
                        memcpy(next, page->bytes + from, part);
                else
                        memset(next, 0, part);
                next += part;
                offset += part;
                size -= part;
        }
}

/* Zero a part of one page. */
static enum hif_err page_zero(struct sim_content *content, uint64_t offset, uint64_t size)
{
        struct sim_page *page;

        if (size == 0 || !map_get(&content->pages, offset / SIM_PAGE_SIZE))
                return HIF_OK;
        page = content_page(content, offset / SIM_PAGE_SIZE);
        if (!page)
                return HIF_ENOMEM;
        memset(page->bytes + offset % SIM_PAGE_SIZE, 0, size);
        return HIF_OK;
}

/* Remove the pages [first, end): by looking at each index, or at each page if those are fewer (a
 * map cannot lose entries while it is walked, so those are sorted into a new one). */
static enum hif_err pages_remove(struct sim_content *content, uint64_t first, uint64_t end)
{
        struct map kept = {0};
        uint64_t index;
        void *page;

        if (end - first <= content->pages.count) {
                for (index = first; index < end; index++)
                        page_unref(map_del(&content->pages, index));
                return HIF_OK;
        }
        for (size_t i = 0; map_next(&content->pages, &i, &index, &page);) {
                if ((index < first || index >= end) && map_put(&kept, index, page)) {
                        map_free(&kept);
                        return HIF_ENOMEM;
                }
        }
        for (size_t i = 0; map_next(&content->pages, &i, &index, &page);) {
                if (index >= first && index < end)
                        page_unref(page);
        }
        map_free(&content->pages);
        content->pages = kept;
        return HIF_OK;
}

enum hif_err content_punch(struct sim_content *content, uint64_t offset, uint64_t size)
{
        uint64_t end = offset + size;
        uint64_t first_whole = (offset + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE;
        uint64_t end_whole = end / SIM_PAGE_SIZE;
        enum hif_err err;

        if (first_whole > end_whole) /* inside one page */
                return page_zero(content, offset, size);
        err = page_zero(content, offset, first_whole * SIM_PAGE_SIZE - offset);
        if (!err)
                err = page_zero(content, end_whole * SIM_PAGE_SIZE, end % SIM_PAGE_SIZE);
        return err ? err : pages_remove(content, first_whole, end_whole);
}

enum hif_err content_truncate(struct sim_content *content, uint64_t size)
{
        if (size < content->size) {
                uint64_t end = (content->size + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE * SIM_PAGE_SIZE;
                enum hif_err err = content_punch(content, size, end - size);

                if (err)
                        return err;
        }
        content->size = size;
        return HIF_OK;
}

/* --- syncs --- */

/* Let the page be there, or none where it is NULL. */
static enum hif_err page_set(struct sim_content *content, uint64_t index, struct sim_page *page)
{
        struct sim_page *before = map_get(&content->pages, index);
        enum hif_err err = HIF_OK;

        if (page)
                err = map_put(&content->pages, index, page);
        else
                map_del(&content->pages, index);
        if (err)
                return err;
        if (page)
                page->refs++;
        page_unref(before);
        return HIF_OK;
}

enum hif_err content_lose(const struct sim_content *current, const struct sim_content *synced,
                          struct sim_content *lost, struct sim_rng *rng)
{
        bool all = sim_rng_next(rng) % 2 == 0;
        enum hif_err err = HIF_OK;
        uint64_t index;
        void *page;

        for (size_t i = 0; !err && map_next(&current->pages, &i, &index, &page);) {
                if (page != map_get(&synced->pages, index) && (all || sim_rng_next(rng) % 2 == 0))
                        err = page_set(lost, index, page);
        }
        return err;
}

enum hif_err content_sync(const struct sim_content *current, struct sim_content *synced,
                          struct sim_content *lost)
{
        struct sim_content now = {0}, still = {0};
        enum hif_err err = content_share(&now, current);
        uint64_t index;
        void *page;

        for (size_t i = 0; !err && map_next(&lost->pages, &i, &index, &page);) {
                if (page != map_get(&current->pages, index))
                        continue; /* written again, or gone */
                err = page_set(&still, index, page);
                if (!err)
                        err = page_set(&now, index, map_get(&synced->pages, index));
        }
        content_clear(err ? &now : synced);
        content_clear(err ? &still : lost);
        if (err)
                return err;
        *synced = now;
        *lost = still;
        return HIF_OK;
}

/* --- a power cut --- */

static bool chance(struct sim_rng *rng, unsigned quarters)
{
        return sim_rng_next(rng) % 4 < quarters;
}

/* Sectors of current and synced, mixed, in a new page. Either may be NULL: zeros. */
static struct sim_page *page_torn(const struct sim_page *current, const struct sim_page *synced,
                                  struct sim_rng *rng)
{
        struct sim_page *page = calloc(1, sizeof(*page));

        if (!page)
                return NULL;
        page->refs = 1;
        for (size_t at = 0; at < SIM_PAGE_SIZE; at += SIM_SECTOR_SIZE) {
                const struct sim_page *from = sim_rng_next(rng) % 2 ? current : synced;

                if (from)
                        memcpy(page->bytes + at, from->bytes + at, SIM_SECTOR_SIZE);
        }
        return page;
}

/* Decide over the page that is `current` and `synced`, either NULL where it is not there. */
static enum hif_err page_settle(struct sim_content *out, uint64_t index, struct sim_page *current,
                                struct sim_page *synced, struct sim_rng *rng, unsigned keep)
{
        struct sim_page *page;
        enum hif_err err;

        if (current != synced && keep > 0 && keep < 4 && chance(rng, 1)) {
                page = page_torn(current, synced, rng);
                if (!page)
                        return HIF_ENOMEM;
        } else {
                page = chance(rng, keep) ? current : synced;
                if (!page)
                        return HIF_OK;
                page->refs++;
        }
        err = map_put(&out->pages, index, page);
        if (err)
                page_unref(page);
        return err;
}

static uint64_t size_settle(uint64_t current, uint64_t synced, struct sim_rng *rng, unsigned keep)
{
        if (keep > 0 && keep < 4 && current > synced && chance(rng, 1))
                return synced + sim_rng_next(rng) % (current - synced);
        return chance(rng, keep) ? current : synced;
}

enum hif_err content_settle(struct sim_content *current, struct sim_content *synced,
                            struct sim_rng *rng, unsigned keep)
{
        struct sim_content settled = {0};
        enum hif_err err = HIF_OK;
        uint64_t size = size_settle(current->size, synced->size, rng, keep);
        uint64_t index;
        void *page;

        for (size_t i = 0; !err && map_next(&current->pages, &i, &index, &page);)
                err = page_settle(&settled, index, page, map_get(&synced->pages, index), rng, keep);
        for (size_t i = 0; !err && map_next(&synced->pages, &i, &index, &page);) {
                if (!map_get(&current->pages, index))
                        err = page_settle(&settled, index, NULL, page, rng, keep);
        }
        settled.size = current->size > synced->size ? current->size : synced->size;
        if (!err)
                err = content_truncate(&settled, size);
        if (!err)
                err = content_share(synced, &settled);
        if (err) {
                content_clear(&settled);
                return err;
        }
        content_clear(current);
        *current = settled;
        return HIF_OK;
}

enum hif_err content_write_back(const struct sim_content *current, struct sim_content *synced,
                                struct sim_rng *rng)
{
        uint64_t index;
        void *value;

        for (size_t i = 0; map_next(&current->pages, &i, &index, &value);) {
                struct sim_page *page = value, *before = map_get(&synced->pages, index);
                uint64_t end = (index + 1) * SIM_PAGE_SIZE;

                if (page == before || sim_rng_next(rng) % 4 != 0)
                        continue;
                if (map_put(&synced->pages, index, page) != HIF_OK)
                        return HIF_ENOMEM;
                page->refs++;
                page_unref(before);
                if (end > current->size)
                        end = current->size;
                if (end > synced->size)
                        synced->size = end;
        }
        return HIF_OK;
}
