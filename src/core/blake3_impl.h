/* blake3_impl.h - what the tree logic (blake3.c) asks of a back end. Private to BLAKE3.
 *
 * Section numbers are those of "The BLAKE3 Hashing Framework" (C2SP, also draft-aumasson-blake3).
 */
#ifndef HIF_CORE_BLAKE3_IMPL_H
#define HIF_CORE_BLAKE3_IMPL_H

#include "core/hash.h"

/* Words are little-endian in the specification and are moved with plain loads and stores here. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian machines only");

#define BLAKE3_CHUNK_BLOCKS (BLAKE3_CHUNK_SIZE / BLAKE3_BLOCK_SIZE)

/* §2.4 */
enum blake3_flag {
        BLAKE3_CHUNK_START = 1 << 0,
        BLAKE3_CHUNK_END = 1 << 1,
        BLAKE3_PARENT = 1 << 2,
        BLAKE3_ROOT = 1 << 3,
        BLAKE3_KEYED_HASH = 1 << 4,
        BLAKE3_DERIVE_KEY_CONTEXT = 1 << 5,
        BLAKE3_DERIVE_KEY_MATERIAL = 1 << 6
};

/* §2.2 */
#define BLAKE3_IV0 0x6a09e667U
#define BLAKE3_IV1 0xbb67ae85U
#define BLAKE3_IV2 0x3c6ef372U
#define BLAKE3_IV3 0xa54ff53aU
#define BLAKE3_IV4 0x510e527fU
#define BLAKE3_IV5 0x9b05688cU
#define BLAKE3_IV6 0x1f83d9abU
#define BLAKE3_IV7 0x5be0cd19U

/* §2.3: which message word each round uses where; row r is the permutation applied r times. */
#define BLAKE3_ROUNDS 7
static const uint8_t blake3_schedule[BLAKE3_ROUNDS][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
    {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
    {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

/* Equal work on adjacent inputs, one a lane: chunks of a file, or pairs of chaining values. The
 * last lane alone may be shorter: that is how the ragged end of a file shares a pass with its whole
 * chunks instead of following them. */
struct blake3_job {
        const uint8_t *input;
        size_t lanes;
        size_t blocks;    /* of each lane: lane i's input starts at i * blocks * 64 */
        size_t last_size; /* bytes of the last lane: blocks * 64, or fewer but not 0 */
        /* When last_size is less than blocks * 64: the last lane's last block, padded with zeros.
         */
        const uint8_t *tail;
        size_t
            readable; /* bytes from input on that are worth prefetching: input of later jobs too */
        const uint32_t *key;
        uint64_t counter;
        unsigned counter_step; /* from lane to lane: 1 for chunks, 0 for parents */
        uint8_t flags;         /* on every block */
        uint8_t first_flags;   /* on each lane's first block as well */
        uint8_t last_flags;    /* on each lane's last block as well */
};

/* Lanes [first, first + count) of a job, count <= the kernel's width; 32 bytes of chaining value
 * for each go to out. `out` may be the job's own input, from its start: lane i's input is read
 * before any output at or behind it is written. */
typedef void blake3_kernel(const struct blake3_job *job, size_t first, size_t count, uint8_t *out);

#define BLAKE3_KERNELS_MAX 3

struct blake3_ops {
        const char *name;
        bool (*supported)(void);
        /* `count` blocks, each on the chaining value of the one before. flags go with all of them,
         * first_flags with the first, last_flags with the last, which counts as last_size bytes
         * (and is padded with zeros to 64). */
        void (*chain)(uint32_t cv[8], const uint8_t *blocks, size_t count, unsigned last_size,
                      uint64_t counter, uint8_t flags, uint8_t first_flags, uint8_t last_flags);
        /* Narrowest first; the unused have a width of 0. */
        struct {
                size_t width;
                blake3_kernel *run;
        } kernels[BLAKE3_KERNELS_MAX];
};

extern const struct blake3_ops blake3_portable;
#if defined(__x86_64__)
extern const struct blake3_ops blake3_sse41;
extern const struct blake3_ops blake3_avx2;
extern const struct blake3_ops blake3_avx512;
blake3_kernel blake3_sse41_kernel4;
#endif

/* §3 with all 64 bytes of output: extendable output (§4.4). */
void blake3_compress_wide(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK_SIZE],
                          unsigned size, uint64_t counter, uint8_t flags,
                          uint8_t out[BLAKE3_BLOCK_SIZE]);

/* A mode is a key and a flag (§4.1). */
void blake3_init_mode(struct blake3 *state, const uint32_t key[8], uint8_t flags);

/* A message that is there as a whole: no streaming state is set up for up to 256 KiB. */
void blake3_oneshot(const uint32_t key[8], uint8_t flags, struct span data, struct hif_hash *out);

extern const uint32_t blake3_iv[8];

#endif
