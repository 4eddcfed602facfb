/* blake3_lanes.h - the kernel that compresses LANES inputs side by side, word by word. Included
 * once for each vector width, so it has no include guard. The includer defines
 *
 *   LANES, KERNEL         4, 8 or 16, and the name of the function to define
 *   vec                   LANES words
 *   V_ADD V_XOR V_SET V_LOADU, V_ROR16 V_ROR12 V_ROR8 V_ROR7
 *   V_LOW32 V_HIGH32 V_LOW64 V_HIGH64      unpack, within 128 bits
 *   V_GATHER(lane, offset)                 16 bytes each at lane[0] + offset, lane[4] + offset, ...
 *   V_SCATTER(vector, out, stride)         the inverse, to out, out + 4 * stride, ...
 *
 * and all of these are undefined at the end. Lane i is element i of each vector. */

#define LANES_JOIN_(a, b) a##_##b
#define LANES_JOIN(a, b)  LANES_JOIN_(a, b)
#define LOCAL(name)       LANES_JOIN(KERNEL, name)
#define INLINE            static inline __attribute__((always_inline))

INLINE void LOCAL(transpose4)(vec *a, vec *b, vec *c, vec *d)
{
        vec ab_low = V_LOW32(*a, *b), ab_high = V_HIGH32(*a, *b);
        vec cd_low = V_LOW32(*c, *d), cd_high = V_HIGH32(*c, *d);

        *a = V_LOW64(ab_low, cd_low);
        *b = V_HIGH64(ab_low, cd_low);
        *c = V_LOW64(ab_high, cd_high);
        *d = V_HIGH64(ab_high, cd_high);
}

INLINE void LOCAL(load_words)(vec m[16], const uintptr_t lane[LANES], size_t offset)
{
        _Pragma("GCC unroll 4") for (int word = 0; word < 16; word += 4, offset += 16)
        {
                m[word] = V_GATHER(lane, offset);
                m[word + 1] = V_GATHER(lane + 1, offset);
                m[word + 2] = V_GATHER(lane + 2, offset);
                m[word + 3] = V_GATHER(lane + 3, offset);
                LOCAL(transpose4)(&m[word], &m[word + 1], &m[word + 2], &m[word + 3]);
        }
}

/* As much as one step takes, of what the next pass will read: the lanes' steps of 1 KiB are not a
 * pattern that the hardware follows. */
INLINE void LOCAL(prefetch)(const uint8_t *next)
{
        for (size_t i = 0; i < LANES; i++)
                __builtin_prefetch(next + i * BLAKE3_BLOCK_SIZE);
}

INLINE void LOCAL(store_words)(const vec h[8], uint8_t *out)
{
        _Pragma("GCC unroll 2") for (int word = 0; word < 8; word += 4)
        {
                vec a = h[word], b = h[word + 1], c = h[word + 2], d = h[word + 3];
                uint8_t *at = out + word * 4;

                LOCAL(transpose4)(&a, &b, &c, &d);
                V_SCATTER(a, at, HIF_HASH_SIZE);
                V_SCATTER(b, at + HIF_HASH_SIZE, HIF_HASH_SIZE);
                V_SCATTER(c, at + 2 * HIF_HASH_SIZE, HIF_HASH_SIZE);
                V_SCATTER(d, at + 3 * HIF_HASH_SIZE, HIF_HASH_SIZE);
        }
}

/* §3.2. One after the other needs fewer registers than in step, and the processor overlaps them. */
INLINE void LOCAL(mix)(vec v[16], int a, int b, int c, int d, vec x, vec y)
{
        v[a] = V_ADD(V_ADD(v[a], x), v[b]);
        v[d] = V_ROR16(V_XOR(v[d], v[a]));
        v[c] = V_ADD(v[c], v[d]);
        v[b] = V_ROR12(V_XOR(v[b], v[c]));
        v[a] = V_ADD(V_ADD(v[a], y), v[b]);
        v[d] = V_ROR8(V_XOR(v[d], v[a]));
        v[c] = V_ADD(v[c], v[d]);
        v[b] = V_ROR7(V_XOR(v[b], v[c]));
}

INLINE void LOCAL(mix_round)(vec v[16], const vec m[16], int round)
{
        const uint8_t *s = blake3_schedule[round];

        LOCAL(mix)(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        LOCAL(mix)(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        LOCAL(mix)(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        LOCAL(mix)(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        LOCAL(mix)(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        LOCAL(mix)(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        LOCAL(mix)(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        LOCAL(mix)(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
}

INLINE void LOCAL(compress)(vec h[8], const uintptr_t lane[LANES], size_t offset, vec counter_low,
                            vec counter_high, vec size, vec flags)
{
        vec m[16];
        vec v[16] = {h[0],
                     h[1],
                     h[2],
                     h[3],
                     h[4],
                     h[5],
                     h[6],
                     h[7],
                     V_SET(BLAKE3_IV0),
                     V_SET(BLAKE3_IV1),
                     V_SET(BLAKE3_IV2),
                     V_SET(BLAKE3_IV3),
                     counter_low,
                     counter_high,
                     size,
                     flags};

        LOCAL(load_words)(m, lane, offset);
        LOCAL(mix_round)(v, m, 0);
        LOCAL(mix_round)(v, m, 1);
        LOCAL(mix_round)(v, m, 2);
        LOCAL(mix_round)(v, m, 3);
        LOCAL(mix_round)(v, m, 4);
        LOCAL(mix_round)(v, m, 5);
        LOCAL(mix_round)(v, m, 6);
        h[0] = V_XOR(v[0], v[8]);
        h[1] = V_XOR(v[1], v[9]);
        h[2] = V_XOR(v[2], v[10]);
        h[3] = V_XOR(v[3], v[11]);
        h[4] = V_XOR(v[4], v[12]);
        h[5] = V_XOR(v[5], v[13]);
        h[6] = V_XOR(v[6], v[14]);
        h[7] = V_XOR(v[7], v[15]);
}

void KERNEL(const struct blake3_job *job, size_t first, size_t count, uint8_t *out)
{
        const bool ragged = job->tail != NULL && first + count == job->lanes;
        const size_t tail_index = ragged ? (job->last_size - 1) / BLAKE3_BLOCK_SIZE : SIZE_MAX;
        uintptr_t lane[LANES]; /* addresses; where block 0 is, or would be */
        uint32_t low[LANES], high[LANES];
        uint8_t cvs[LANES * HIF_HASH_SIZE], tail_cvs[LANES * HIF_HASH_SIZE];
        vec counter_low, counter_high;
        vec h[8] = {V_SET(job->key[0]), V_SET(job->key[1]), V_SET(job->key[2]), V_SET(job->key[3]),
                    V_SET(job->key[4]), V_SET(job->key[5]), V_SET(job->key[6]), V_SET(job->key[7])};

        /* Lanes that are not needed repeat the last one. */
        for (size_t i = 0; i < LANES; i++) {
                size_t index = first + (i < count ? i : count - 1);
                uint64_t counter = job->counter + index * job->counter_step;

                lane[i] = (uintptr_t)job->input + index * job->blocks * BLAKE3_BLOCK_SIZE;
                low[i] = (uint32_t)counter;
                high[i] = (uint32_t)(counter >> 32);
        }
        counter_low = V_LOADU(low);
        counter_high = V_LOADU(high);

        for (size_t block = 0; block < job->blocks; block++) {
                size_t offset = block * BLAKE3_BLOCK_SIZE;
                uint32_t every = job->flags | (block == 0 ? job->first_flags : 0U);
                uint32_t flag = every | (block + 1 == job->blocks ? job->last_flags : 0U);
                vec size = V_SET(BLAKE3_BLOCK_SIZE);
                vec flags = V_SET(flag);

                for (size_t i = count - 1; i < LANES && block >= tail_index; i++)
                        lane[i] = (uintptr_t)job->tail - offset;
                if (block == tail_index) {
                        uint32_t sizes[LANES], lane_flags[LANES];

                        for (size_t i = 0; i < LANES; i++) {
                                bool whole = i < count - 1;

                                sizes[i] =
                                    whole ? BLAKE3_BLOCK_SIZE : (uint32_t)(job->last_size - offset);
                                lane_flags[i] = whole ? flag : every | job->last_flags;
                        }
                        size = V_LOADU(sizes);
                        flags = V_LOADU(lane_flags);
                }
                if ((first + 2 * LANES) * BLAKE3_CHUNK_SIZE <= job->readable) {
                        size_t next = (first + LANES) * BLAKE3_CHUNK_SIZE + offset * LANES;

                        LOCAL(prefetch)(job->input + next);
                }
                LOCAL(compress)(h, lane, offset, counter_low, counter_high, size, flags);
                if (block == tail_index)
                        LOCAL(store_words)(h, tail_cvs);
        }

        if (count == LANES && !ragged) {
                LOCAL(store_words)(h, out);
                return;
        }
        LOCAL(store_words)(h, cvs);
        if (ragged)
                memcpy(cvs + (count - 1) * HIF_HASH_SIZE, tail_cvs + (count - 1) * HIF_HASH_SIZE,
                       HIF_HASH_SIZE);
        memcpy(out, cvs, count * HIF_HASH_SIZE);
}

#undef LANES_JOIN_
#undef LANES_JOIN
#undef LOCAL
#undef INLINE
#undef LANES
#undef KERNEL
#undef vec
#undef V_ADD
#undef V_XOR
#undef V_SET
#undef V_LOADU
#undef V_ROR16
#undef V_ROR12
#undef V_ROR8
#undef V_ROR7
#undef V_LOW32
#undef V_HIGH32
#undef V_LOW64
#undef V_HIGH64
#undef V_GATHER
#undef V_SCATTER
