/* bloom.c - see bloom.h. */
#include "core/bloom.h"

#include "core/hash.h"

#include <assert.h>
#include <stdlib.h>

/* In a smaller filter, two items that agree in both words modulo the bit count are too likely: of n
 * items some n / bit_count^2, which has to stay well below p. */
#define BLOOM_BIT_COUNT_MIN 1024u

static size_t bits_size(uint32_t bit_count)
{
        return bit_count / 8;
}

static bool shape_valid(uint32_t bit_count, uint32_t item_count)
{
        return bit_count % 64 == 0 && (bit_count > 0 || item_count == 0);
}

enum hif_err bloom_init(struct bloom *bloom, uint32_t items_expected)
{
        uint64_t bit_count = ((uint64_t)items_expected * BLOOM_BITS_PER_ITEM + 63) / 64 * 64;
        struct bloom made = {0};

        if (bit_count > BLOOM_BIT_COUNT_MAX)
                return HIF_ELIMIT;
        if (items_expected > 0) {
                if (bit_count < BLOOM_BIT_COUNT_MIN)
                        bit_count = BLOOM_BIT_COUNT_MIN;
                made.bit_count = (uint32_t)bit_count;
                made.bits = calloc(1, bits_size(made.bit_count));
                if (!made.bits)
                        return HIF_ENOMEM;
        }
        *bloom = made;
        return HIF_OK;
}

void bloom_free(struct bloom *bloom)
{
        free(bloom->bits);
        *bloom = (struct bloom){0};
}

/* The walk over an item's bits. */
struct probe {
        uint64_t at, step;
};

static struct probe probe_start(struct span item)
{
        struct hif_hash hash = hash_of(HASH_BLOB, item);

        return (struct probe){.at = be64_get(hash.bytes), .step = be64_get(hash.bytes + 8)};
}

static uint32_t probe_next(struct probe *probe, uint32_t i, uint32_t bit_count)
{
        uint32_t bit = (uint32_t)(probe->at % bit_count);

        probe->at += probe->step;
        probe->step += i + 1;
        return bit;
}

void bloom_add(struct bloom *bloom, struct span item)
{
        struct probe probe = probe_start(item);
        bool added = false;

        assert(bloom->bit_count > 0);
        for (uint32_t i = 0; i < BLOOM_HASHES; i++) {
                uint32_t bit = probe_next(&probe, i, bloom->bit_count);
                uint8_t mask = (uint8_t)(1u << (bit & 7));

                added = added || !(bloom->bits[bit / 8] & mask);
                bloom->bits[bit / 8] |= mask;
        }
        if (added && bloom->item_count < UINT32_MAX)
                bloom->item_count++;
}

void bloom_add_path(struct bloom *bloom, struct span path)
{
        for (size_t size = path.size; size > 0; size--) {
                if (size == path.size || path.data[size] == '/')
                        bloom_add(bloom, span_of(path.data, size));
        }
}

bool bloom_maybe(const struct bloom *bloom, struct span item)
{
        struct probe probe;

        if (bloom->bit_count == 0)
                return false;
        probe = probe_start(item);
        for (uint32_t i = 0; i < BLOOM_HASHES; i++) {
                uint32_t bit = probe_next(&probe, i, bloom->bit_count);

                if (!(bloom->bits[bit / 8] & 1u << (bit & 7)))
                        return false;
        }
        return true;
}

enum hif_err bloom_merge(struct bloom *bloom, const struct bloom *other)
{
        if (bloom->bit_count != other->bit_count)
                return HIF_EINVAL;
        for (size_t i = 0; i < bits_size(bloom->bit_count); i++)
                bloom->bits[i] |= other->bits[i];
        if (__builtin_add_overflow(bloom->item_count, other->item_count, &bloom->item_count))
                bloom->item_count = UINT32_MAX;
        return HIF_OK;
}

void bloom_put(struct buf *out, const struct bloom *bloom)
{
        assert(shape_valid(bloom->bit_count, bloom->item_count));
        buf_put_u32(out, bloom->bit_count);
        buf_put_u32(out, bloom->item_count);
        buf_put(out, bloom->bits, bits_size(bloom->bit_count));
}

/* The fields, and the bits as they lie in the reader's bytes. */
static enum hif_err get_view(struct reader *rd, struct bloom *out, struct span *bits)
{
        out->bit_count = rd_u32(rd);
        out->item_count = rd_u32(rd);
        *bits = rd_span(rd, bits_size(out->bit_count));
        if (rd_bad(rd) || !shape_valid(out->bit_count, out->item_count))
                return HIF_ECORRUPT;
        return HIF_OK;
}

enum hif_err bloom_get(struct reader *rd, struct bloom *out)
{
        struct bloom got = {0};
        struct span bits;
        enum hif_err err = get_view(rd, &got, &bits);

        if (err)
                return err;
        if (bits.size > 0) {
                got.bits = malloc(bits.size);
                if (!got.bits)
                        return HIF_ENOMEM;
                memcpy(got.bits, bits.data, bits.size);
        }
        *out = got;
        return HIF_OK;
}

enum hif_err bloom_get_arena(struct reader *rd, struct arena *arena, struct bloom *out)
{
        struct bloom got = {0};
        struct span bits;
        enum hif_err err = get_view(rd, &got, &bits);

        if (err)
                return err;
        if (bits.size > 0) {
                got.bits = arena_alloc(arena, bits.size);
                if (!got.bits)
                        return HIF_ENOMEM;
                memcpy(got.bits, bits.data, bits.size);
        }
        *out = got;
        return HIF_OK;
}
