/* blake3_rows.h - ROWS inputs at a time, each with the four rows of its state in 128 bits of four
 * vectors. Included once for each vector width, so it has no include guard. The includer defines
 *
 *   ROWS                  1, 2 or 4
 *   ROWS_NAME             1: the chain function to define; else the kernel
 *   vec                   ROWS times four words
 *   R_ADD R_XOR, R_ROR16 R_ROR12 R_ROR8 R_ROR7
 *   R_ORDER(v, order)     _MM_SHUFFLE within 128 bits
 *   R_PICK(v, w, order)   the same, two words of v, then two of w
 *   R_WORD2 R_WORD3(v, w) v, with word 2 or 3 of w
 *   R_HIGH32 R_LOW64      unpack, within 128 bits
 *   R_SET(low, high)      two 64-bit halves, the same for each input
 *   R_ALL(words)          four words in memory, the same for each input
 *   R_LOADU(words)        the whole vector
 *   R_GATHER(lane, offset)    16 bytes each at lane[0] + offset, lane[1] + offset, ...
 *   R_SCATTER(v, out)         16 bytes each to out, out + 32, ...
 *
 * and all of these are undefined at the end.
 *
 * What bounds this is latency: the adds, xors and rotations of a round wait for each other. So two
 * or four inputs take hardly longer than one; and the rest is kept off that path: row b, the last
 * to be ready, never moves (rows a, c and d turn instead), and the message words of the next round
 * are arranged while this one runs. */

#define ROWS_JOIN_(a, b) a##_##b
#define ROWS_JOIN(a, b)  ROWS_JOIN_(a, b)
#define LOCAL(name)      ROWS_JOIN(ROWS_NAME, name)
#define INLINE           static inline __attribute__((always_inline))

/* The message as a round takes it: w[0] and w[1] are x and y of its columns, w[2] and w[3] those of
 * its diagonals, turned by one because row b stays:
 *
 *      w[0]  0  2  4  6      w[1]  1  3  5  7      w[2] 14  8 10 12      w[3] 15  9 11 13 */
INLINE void LOCAL(load_words)(vec w[4], const uintptr_t *lane, size_t offset)
{
        vec a = R_GATHER(lane, offset), b = R_GATHER(lane, offset + 16);
        vec c = R_GATHER(lane, offset + 32), d = R_GATHER(lane, offset + 48);

        w[0] = R_PICK(a, b, _MM_SHUFFLE(2, 0, 2, 0));
        w[1] = R_PICK(a, b, _MM_SHUFFLE(3, 1, 3, 1));
        w[2] = R_PICK(d, c, _MM_SHUFFLE(2, 0, 0, 2)); /* 14 12 8 10 */
        w[3] = R_PICK(d, c, _MM_SHUFFLE(3, 1, 1, 3));
        w[2] = R_ORDER(w[2], _MM_SHUFFLE(1, 3, 2, 0));
        w[3] = R_ORDER(w[3], _MM_SHUFFLE(1, 3, 2, 0));
}

/* §2.3 in that order:
 *
 *      w[0]  2  3  7  4      w[1]  6 10  0 13      w[2] 15  1 12  9      w[3]  8 11  5 14 */
INLINE void LOCAL(permute)(vec w[4])
{
        vec w0 = R_PICK(w[0], w[1], _MM_SHUFFLE(3, 1, 2, 1)); /* 2 4 3 7 */
        vec w1 = R_WORD2(w[3], w[2]);                         /* . . 10 13 */
        vec w2 = R_WORD3(w[1], w[2]);                         /* 1 . . 12 */
        vec w3 = R_HIGH32(w[3], w[1]);                        /* 11 5 . . */

        w1 = R_PICK(w[0], w1, _MM_SHUFFLE(3, 2, 0, 3)); /* 6 0 10 13 */
        w2 = R_PICK(w[3], w2, _MM_SHUFFLE(3, 0, 1, 0)); /* 15 9 1 12 */
        w3 = R_PICK(w[2], w3, _MM_SHUFFLE(1, 0, 0, 1)); /* 8 14 11 5 */
        w[0] = R_ORDER(w0, _MM_SHUFFLE(1, 3, 2, 0));
        w[1] = R_ORDER(w1, _MM_SHUFFLE(3, 1, 2, 0));
        w[2] = R_ORDER(w2, _MM_SHUFFLE(1, 3, 2, 0));
        w[3] = R_ORDER(w3, _MM_SHUFFLE(1, 3, 2, 0));
}

/* §3.2, for the four columns or diagonals of each input */
INLINE void LOCAL(mix4)(vec v[4], vec x, vec y)
{
        v[0] = R_ADD(R_ADD(v[0], x), v[1]);
        v[3] = R_ROR16(R_XOR(v[3], v[0]));
        v[2] = R_ADD(v[2], v[3]);
        v[1] = R_ROR12(R_XOR(v[1], v[2]));
        v[0] = R_ADD(R_ADD(v[0], y), v[1]);
        v[3] = R_ROR8(R_XOR(v[3], v[0]));
        v[2] = R_ADD(v[2], v[3]);
        v[1] = R_ROR7(R_XOR(v[1], v[2]));
}

INLINE void LOCAL(mix_round)(vec v[4], const vec w[4])
{
        LOCAL(mix4)(v, w[0], w[1]);
        v[0] = R_ORDER(v[0], _MM_SHUFFLE(2, 1, 0, 3));
        v[3] = R_ORDER(v[3], _MM_SHUFFLE(1, 0, 3, 2));
        v[2] = R_ORDER(v[2], _MM_SHUFFLE(0, 3, 2, 1));
        LOCAL(mix4)(v, w[2], w[3]);
        v[0] = R_ORDER(v[0], _MM_SHUFFLE(0, 3, 2, 1));
        v[3] = R_ORDER(v[3], _MM_SHUFFLE(1, 0, 3, 2));
        v[2] = R_ORDER(v[2], _MM_SHUFFLE(2, 1, 0, 3));
}

/* h[0] and h[1] are the chaining values, last the fourth row: counter, size and flags. */
INLINE void LOCAL(compress)(vec h[2], const uintptr_t *lane, size_t offset, vec last)
{
        vec v[4] = {h[0], h[1], R_ALL(blake3_iv), last};
        vec w[4];

        LOCAL(load_words)(w, lane, offset);
        for (int round = 0; round < BLAKE3_ROUNDS - 1; round++) {
                LOCAL(mix_round)(v, w);
                LOCAL(permute)(w);
        }
        LOCAL(mix_round)(v, w);
        h[0] = R_XOR(v[0], v[2]);
        h[1] = R_XOR(v[1], v[3]);
}

INLINE int64_t LOCAL(size_and_flags)(size_t size, unsigned flags)
{
        return (int64_t)((uint64_t)flags << 32 | size);
}

#if ROWS == 1

static void ROWS_NAME(uint32_t cv[8], const uint8_t *blocks, size_t count, unsigned last_size,
                      uint64_t counter, uint8_t flags, uint8_t first_flags, uint8_t last_flags)
{
        const uintptr_t lane[1] = {(uintptr_t)blocks};
        unsigned block_flags = (unsigned)flags | first_flags;
        vec h[2] = {R_LOADU(cv), R_LOADU(cv + 4)};

        for (size_t i = 0; i < count; i++, block_flags = flags) {
                bool last = i + 1 == count;
                int64_t high = LOCAL(size_and_flags)(last ? last_size : BLAKE3_BLOCK_SIZE,
                                                     block_flags | (last ? last_flags : 0U));

                LOCAL(compress)(h, lane, i * BLAKE3_BLOCK_SIZE, R_SET((int64_t)counter, high));
        }
        R_SCATTER(h[0], (uint8_t *)cv);
        R_SCATTER(h[1], (uint8_t *)cv + 16);
}

#else

static void ROWS_NAME(const struct blake3_job *job, size_t first, size_t count, uint8_t *out)
{
        const bool ragged = job->tail != NULL && first + count == job->lanes;
        const size_t tail_index = ragged ? (job->last_size - 1) / BLAKE3_BLOCK_SIZE : SIZE_MAX;
        uintptr_t lane[ROWS]; /* addresses; where block 0 is, or would be */
        uint64_t counters[ROWS * 2];
        uint8_t cvs[ROWS * HIF_HASH_SIZE], tail_cvs[ROWS * HIF_HASH_SIZE];
        vec h[2] = {R_ALL(job->key), R_ALL(job->key + 4)};
        vec counter;

        /* Places that are not needed repeat the last input. */
        for (size_t i = 0; i < ROWS; i++) {
                size_t index = first + (i < count ? i : count - 1);

                lane[i] = (uintptr_t)job->input + index * job->blocks * BLAKE3_BLOCK_SIZE;
                counters[2 * i] = job->counter + index * job->counter_step;
                counters[2 * i + 1] = 0;
        }
        counter = R_LOADU(counters);

        for (size_t block = 0; block < job->blocks; block++) {
                size_t offset = block * BLAKE3_BLOCK_SIZE;
                unsigned every = job->flags | (block == 0 ? job->first_flags : 0U);
                unsigned flags = every | (block + 1 == job->blocks ? job->last_flags : 0U);
                int64_t high = LOCAL(size_and_flags)(BLAKE3_BLOCK_SIZE, flags);
                vec last = R_LOW64(counter, R_SET(high, high));

                for (size_t i = count - 1; i < ROWS && block >= tail_index; i++)
                        lane[i] = (uintptr_t)job->tail - offset;
                if (block == tail_index) {
                        int64_t highs[ROWS * 2] = {0};

                        for (size_t i = 0; i < ROWS; i++)
                                highs[2 * i] = i < count - 1
                                                   ? high
                                                   : LOCAL(size_and_flags)(job->last_size - offset,
                                                                           every | job->last_flags);
                        last = R_LOW64(counter, R_LOADU(highs));
                }
                LOCAL(compress)(h, lane, offset, last);
                if (block == tail_index) {
                        R_SCATTER(h[0], tail_cvs);
                        R_SCATTER(h[1], tail_cvs + 16);
                }
        }

        R_SCATTER(h[0], cvs);
        R_SCATTER(h[1], cvs + 16);
        if (ragged)
                memcpy(cvs + (count - 1) * HIF_HASH_SIZE, tail_cvs + (count - 1) * HIF_HASH_SIZE,
                       HIF_HASH_SIZE);
        memcpy(out, cvs, count * HIF_HASH_SIZE);
}

#endif

#undef ROWS_JOIN_
#undef ROWS_JOIN
#undef LOCAL
#undef INLINE
#undef ROWS
#undef ROWS_NAME
#undef vec
#undef R_ADD
#undef R_XOR
#undef R_ROR16
#undef R_ROR12
#undef R_ROR8
#undef R_ROR7
#undef R_ORDER
#undef R_PICK
#undef R_WORD2
#undef R_WORD3
#undef R_HIGH32
#undef R_LOW64
#undef R_SET
#undef R_ALL
#undef R_LOADU
#undef R_GATHER
#undef R_SCATTER
