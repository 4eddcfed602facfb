/* chunker.c - cutting a file where its content says so. */
#include "core/body.h"
#include "core/chunker_gear.h"

/* The fingerprint is a sum of table values, each shifted left once for every byte since: the high
 * bits depend on the last 64 bytes. A chunk ends behind a byte that leaves them all zero: more of
 * them before the mean size, fewer after it, so that sizes gather around it (normalised chunking,
 * level 2). */
#define MASK_SMALL (~0ull << (64 - 22)) /* below the mean: once in 4 MiB */
#define MASK_LARGE (~0ull << (64 - 18)) /* above it: once in 256 KiB */

_Static_assert(BODY_CHUNK_MEAN == 1u << 20, "the masks are for this mean");

/* Runs to the first cut in data, or through all of it; how many bytes that was. */
static size_t scan(uint64_t *fingerprint, const uint8_t *data, size_t size, uint64_t mask,
                   bool *cut)
{
        uint64_t sum = *fingerprint;

        for (size_t i = 0; i < size; i++) {
                sum = (sum << 1) + chunker_gear[data[i]];
                if (!(sum & mask)) {
                        *cut = true;
                        return i + 1;
                }
        }
        *fingerprint = sum;
        return size;
}

/* How many of `left` bytes lie before the chunk reaches `size_max`. */
static size_t up_to(const struct chunker *chunker, uint64_t size_max, size_t left)
{
        uint64_t room = chunker->size < size_max ? size_max - chunker->size : 0;

        return room < left ? (size_t)room : left;
}

size_t chunker_next(struct chunker *chunker, struct span data, bool *cut)
{
        size_t done = 0, step;

        *cut = false;
        /* No cut is allowed before the minimum, so these bytes need not be looked at. */
        step = up_to(chunker, BODY_CHUNK_MIN, data.size);
        chunker->size += step;
        done += step;

        step = up_to(chunker, BODY_CHUNK_MEAN, data.size - done);
        step = scan(&chunker->fingerprint, data.data + done, step, MASK_SMALL, cut);
        chunker->size += step;
        done += step;
        if (!*cut) {
                step = up_to(chunker, BODY_CHUNK_MAX, data.size - done);
                step = scan(&chunker->fingerprint, data.data + done, step, MASK_LARGE, cut);
                chunker->size += step;
                done += step;
        }
        if (*cut || chunker->size == BODY_CHUNK_MAX) {
                *cut = true;
                *chunker = (struct chunker){0};
        }
        return done;
}
