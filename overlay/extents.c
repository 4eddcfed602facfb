/* extents.c - the written ranges of a file: sorted, disjoint, and merged where both the file and
 * the data go on. */
#include "overlay/rows.h"

#include <assert.h>

static void account(struct rows *rows, uint32_t file, uint64_t at, uint64_t added, uint64_t removed)
{
        if (rows->account != NULL)
                rows->account(rows->account_arg, file, at, added, removed);
}

uint32_t extents_find(const struct onode *node, uint64_t offset)
{
        uint32_t low = 0, high = node->extent_count;

        while (low < high) {
                uint32_t middle = low + (high - low) / 2;

                if (node->extents[middle].offset + node->extents[middle].size <= offset)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static uint32_t capacity_for(uint32_t count)
{
        uint32_t capacity = 2;

        while (capacity < count)
                capacity *= 2;
        return capacity;
}

size_t rows_extents_cost(uint32_t count)
{
        return 2 * slab_cost(capacity_for(count) * sizeof(struct oextent));
}

enum hif_err rows_reserve_extents(struct rows *rows, struct node_row *row, uint32_t more)
{
        struct onode *node = &row->node;
        uint32_t capacity;
        struct oextent *extents;

        if (node->extent_count + more <= node->extent_capacity)
                return HIF_OK;
        capacity = capacity_for(node->extent_count + more);
        extents = slab_alloc(&rows->slab, capacity * sizeof(*extents));
        if (extents == NULL)
                return HIF_ENOMEM;
        if (node->extent_count > 0)
                memcpy(extents, node->extents, node->extent_count * sizeof(*extents));
        slab_free(&rows->slab, node->extents, node->extent_capacity * sizeof(*extents));
        node->extents = extents;
        node->extent_capacity = capacity;
        return HIF_OK;
}

static void remove_at(struct onode *node, uint32_t at, uint32_t count)
{
        memmove(&node->extents[at], &node->extents[at + count],
                (node->extent_count - at - count) * sizeof(node->extents[0]));
        node->extent_count -= count;
}

static void insert_at(struct onode *node, uint32_t at, const struct oextent *extent)
{
        assert(node->extent_count < node->extent_capacity);
        memmove(&node->extents[at + 1], &node->extents[at],
                (node->extent_count - at) * sizeof(node->extents[0]));
        node->extents[at] = *extent;
        node->extent_count++;
}

/* Make [offset, end) free of extents; returns where an extent of that range belongs. Splits at most
 * one extent: room for that was reserved. */
static uint32_t clear_range(struct rows *rows, struct onode *node, uint64_t offset, uint64_t end)
{
        uint32_t at = extents_find(node, offset), last;

        if (at < node->extent_count && node->extents[at].offset < offset) {
                struct oextent *left = &node->extents[at];
                uint64_t keep = offset - left->offset;
                struct oextent right = {.offset = offset,
                                        .size = left->size - keep,
                                        .at = left->at + keep,
                                        .file = left->file};

                left->size = keep;
                at++;
                if (right.offset + right.size > end) {
                        uint64_t cut = end - offset;

                        account(rows, right.file, right.at, 0, cut);
                        right.offset += cut;
                        right.at += cut;
                        right.size -= cut;
                        insert_at(node, at, &right);
                        return at;
                }
                account(rows, right.file, right.at, 0, right.size);
        }
        for (last = at; last < node->extent_count; last++) {
                struct oextent *extent = &node->extents[last];
                uint64_t cut = end - extent->offset;

                if (extent->offset >= end)
                        break;
                if (extent->size > cut) {
                        account(rows, extent->file, extent->at, 0, cut);
                        extent->offset += cut;
                        extent->at += cut;
                        extent->size -= cut;
                        break;
                }
                account(rows, extent->file, extent->at, 0, extent->size);
        }
        remove_at(node, at, last - at);
        return at;
}

static bool goes_on(const struct oextent *a, const struct oextent *b)
{
        return a->file == b->file && a->offset + a->size == b->offset && a->at + a->size == b->at;
}

enum hif_err extents_put(struct rows *rows, struct node_row *row, const struct oextent *extent)
{
        struct onode *node = &row->node;
        uint32_t at;

        if (rows_reserve_extents(rows, row, 2) != HIF_OK)
                return HIF_ENOMEM;
        account(rows, extent->file, extent->at, extent->size, 0);
        at = clear_range(rows, node, extent->offset, extent->offset + extent->size);
        if (at > 0 && goes_on(&node->extents[at - 1], extent)) {
                at--;
                node->extents[at].size += extent->size;
        } else {
                insert_at(node, at, extent);
        }
        if (at + 1 < node->extent_count && goes_on(&node->extents[at], &node->extents[at + 1])) {
                node->extents[at].size += node->extents[at + 1].size;
                remove_at(node, at + 1, 1);
        }
        return HIF_OK;
}

void extents_cut(struct rows *rows, struct node_row *row, uint64_t size)
{
        if (row->node.extent_count > 0)
                clear_range(rows, &row->node, size, UINT64_MAX);
}

enum hif_err extents_load(struct rows *rows, struct node_row *row, struct span bytes)
{
        size_t count = bytes.size / RECORD_EXTENT_SIZE;
        uint64_t end = 0;

        extents_cut(rows, row, 0);
        if (count > UINT32_MAX / 4)
                return HIF_ECORRUPT;
        if (count > 0 && rows_reserve_extents(rows, row, (uint32_t)count) != HIF_OK)
                return HIF_ENOMEM;
        for (size_t i = 0; i < count; i++) {
                struct oextent extent = item_extent(bytes, i);

                if (extent.size == 0 || extent.offset < end ||
                    extent.offset > UINT64_MAX - extent.size ||
                    extent.at > UINT64_MAX - extent.size)
                        return HIF_ECORRUPT;
                end = extent.offset + extent.size;
                account(rows, extent.file, extent.at, extent.size, 0);
                row->node.extents[row->node.extent_count++] = extent;
        }
        return HIF_OK;
}

void extents_free(struct rows *rows, struct node_row *row)
{
        extents_cut(rows, row, 0);
        slab_free(&rows->slab, row->node.extents,
                  row->node.extent_capacity * sizeof(row->node.extents[0]));
        row->node.extents = NULL;
        row->node.extent_capacity = 0;
}

size_t overlay_pieces(const struct onode *node, uint64_t offset, uint64_t size, struct opiece *out,
                      size_t max)
{
        uint64_t end = offset > UINT64_MAX - size ? UINT64_MAX : offset + size;
        uint32_t at = extents_find(node, offset);
        size_t count = 0;

        if (end > node->size)
                end = node->size;
        while (offset < end && count < max) {
                const struct oextent *extent = at < node->extent_count ? &node->extents[at] : NULL;
                struct opiece *piece = &out[count++];
                uint64_t until = end;

                *piece = (struct opiece){.kind = OPIECE_ZERO, .offset = offset};
                if (extent != NULL && extent->offset <= offset) {
                        piece->kind = OPIECE_DATA;
                        piece->at = extent->at + (offset - extent->offset);
                        piece->file = extent->file;
                        if (extent->offset + extent->size < until)
                                until = extent->offset + extent->size;
                        at++;
                } else {
                        if (extent != NULL && extent->offset < until)
                                until = extent->offset;
                        if (offset < node->base_limit) {
                                piece->kind = OPIECE_BASE;
                                if (node->base_limit < until)
                                        until = node->base_limit;
                        }
                }
                piece->size = until - offset;
                offset = until;
        }
        return count;
}
