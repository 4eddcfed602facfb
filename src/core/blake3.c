/* blake3.c - the tree of BLAKE3 (§4) above a back end's compression function.
 *
 * Chaining values of chunks are made in batches, as wide as the back end's lanes, and a batch is
 * reduced level by level: neighbours pair up, an odd one at the end moves up unchanged. This gives
 * the tree of §4.3.2, whose left subtrees are full, with parents side by side in lanes too. */
#include "core/blake3_impl.h"

#include <assert.h>
#include <stdatomic.h>

#define CV_SIZE      HIF_HASH_SIZE
#define BATCH_CHUNKS 256

/* --- back ends --- */

static const struct blake3_ops *const backends[] = {
#if defined(__x86_64__)
    &blake3_avx512,
    &blake3_avx2,
    &blake3_sse41,
#endif
    &blake3_portable,
};

#define BACKEND_COUNT (sizeof(backends) / sizeof(backends[0]))

/* Set at first use, to the same value by whichever thread comes first. */
static _Atomic(const struct blake3_ops *) active;

static const struct blake3_ops *detect(void)
{
        size_t index = 0;

        while (!backends[index]->supported())
                index++;
        atomic_store_explicit(&active, backends[index], memory_order_relaxed);
        return backends[index];
}

static inline const struct blake3_ops *backend(void)
{
        const struct blake3_ops *ops = atomic_load_explicit(&active, memory_order_relaxed);

        return __builtin_expect(ops != NULL, 1) ? ops : detect();
}

const char *blake3_backend(void)
{
        return backend()->name;
}

bool blake3_use_backend(const char *name)
{
        for (size_t i = 0; i < BACKEND_COUNT; i++) {
                if (strcmp(backends[i]->name, name) == 0 && backends[i]->supported()) {
                        atomic_store_explicit(&active, backends[i], memory_order_relaxed);
                        return true;
                }
        }
        return false;
}

/* --- chains and lanes --- */

/* Compress `size` bytes (0 only for the empty message) from the chaining value cv on. */
static void chain_bytes(const struct blake3_ops *ops, uint32_t cv[8], const uint8_t *data,
                        size_t size, uint64_t counter, uint8_t flags, uint8_t first_flags,
                        uint8_t last_flags)
{
        size_t whole = size / BLAKE3_BLOCK_SIZE;
        size_t rest = size % BLAKE3_BLOCK_SIZE;
        uint8_t padded[BLAKE3_BLOCK_SIZE] = {0};

        if (rest == 0 && whole > 0) {
                ops->chain(cv, data, whole, BLAKE3_BLOCK_SIZE, counter, flags, first_flags,
                           last_flags);
                return;
        }
        if (whole > 0)
                ops->chain(cv, data, whole, BLAKE3_BLOCK_SIZE, counter, flags, first_flags, 0);
        if (rest > 0)
                memcpy(padded, data + whole * BLAKE3_BLOCK_SIZE, rest);
        ops->chain(cv, padded, 1, (unsigned)rest, counter, flags, whole > 0 ? 0 : first_flags,
                   last_flags);
}

static void run_lane(const struct blake3_ops *ops, const struct blake3_job *job, size_t lane,
                     uint8_t *out)
{
        size_t size = job->blocks * BLAKE3_BLOCK_SIZE;
        uint32_t cv[8];

        memcpy(cv, job->key, sizeof(cv));
        chain_bytes(
            ops, cv, job->input + lane * size, lane + 1 == job->lanes ? job->last_size : size,
            job->counter + lane * job->counter_step, job->flags, job->first_flags, job->last_flags);
        memcpy(out, cv, sizeof(cv));
}

/* The narrowest kernel that takes all of `lanes`, else the widest; -1 if there is none. */
static int pick_kernel(const struct blake3_ops *ops, size_t lanes)
{
        int best = -1;

        for (int i = 0; i < BLAKE3_KERNELS_MAX && ops->kernels[i].width > 0; i++) {
                best = i;
                if (ops->kernels[i].width >= lanes)
                        break;
        }
        return best;
}

static void run_job(const struct blake3_ops *ops, const struct blake3_job *job, uint8_t *out)
{
        for (size_t lane = 0; lane < job->lanes;) {
                size_t count = job->lanes - lane;
                int kernel = count > 1 ? pick_kernel(ops, count) : -1;

                if (kernel >= 0) {
                        if (count > ops->kernels[kernel].width)
                                count = ops->kernels[kernel].width;
                        ops->kernels[kernel].run(job, lane, count, out + lane * CV_SIZE);
                } else {
                        count = 1;
                        run_lane(ops, job, lane, out + lane * CV_SIZE);
                }
                lane += count;
        }
}

/* --- tree --- */

static inline size_t chunk_count(size_t size)
{
        return size / BLAKE3_CHUNK_SIZE + (size % BLAKE3_CHUNK_SIZE != 0);
}

/* Chaining values of the chunks of `size` bytes, of which the last may be short. `readable` bytes
 * are there, for later calls. */
static void hash_chunks(const struct blake3_ops *ops, const uint32_t key[8], uint8_t flags,
                        uint64_t counter, const uint8_t *data, size_t size, size_t readable,
                        uint8_t *cvs)
{
        uint8_t tail[BLAKE3_BLOCK_SIZE] = {0};
        size_t lanes = chunk_count(size);
        size_t last_size = size - (lanes - 1) * BLAKE3_CHUNK_SIZE;
        struct blake3_job job = {
            .input = data,
            .lanes = lanes,
            .blocks = BLAKE3_CHUNK_BLOCKS,
            .last_size = last_size,
            .readable = readable,
            .key = key,
            .counter = counter,
            .counter_step = 1,
            .flags = flags,
            .first_flags = BLAKE3_CHUNK_START,
            .last_flags = BLAKE3_CHUNK_END,
        };

        if (last_size < BLAKE3_CHUNK_SIZE) {
                size_t rest = (last_size - 1) % BLAKE3_BLOCK_SIZE + 1;

                memcpy(tail, data + size - rest, rest);
                job.tail = tail;
        }
        run_job(ops, &job, cvs);
}

/* One level up, in place; returns how many chaining values there are then. */
static size_t reduce_level(const struct blake3_ops *ops, const uint32_t key[8], uint8_t flags,
                           uint8_t *cvs, size_t count)
{
        size_t pairs = count / 2;
        struct blake3_job job = {
            .input = cvs,
            .lanes = pairs,
            .blocks = 1,
            .last_size = BLAKE3_BLOCK_SIZE,
            .key = key,
            .flags = flags | BLAKE3_PARENT,
        };

        run_job(ops, &job, cvs);
        if (count % 2 == 0)
                return pairs;
        memmove(cvs + pairs * CV_SIZE, cvs + (count - 1) * CV_SIZE, CV_SIZE);
        return pairs + 1;
}

static void parent_cv(const struct blake3_ops *ops, const uint32_t key[8], uint8_t flags,
                      const uint8_t *pair, uint8_t *out)
{
        uint32_t cv[8];

        memcpy(cv, key, sizeof(cv));
        ops->chain(cv, pair, 1, BLAKE3_BLOCK_SIZE, 0, flags | BLAKE3_PARENT, 0, 0);
        memcpy(out, cv, sizeof(cv));
}

void blake3_oneshot(const uint32_t key[8], uint8_t flags, struct span data, struct hif_hash *out)
{
        const struct blake3_ops *ops = backend();
        uint32_t cv[8];

        memcpy(cv, key, sizeof(cv));
        if (data.size <= BLAKE3_CHUNK_SIZE) {
                chain_bytes(ops, cv, data.data, data.size, 0, flags, BLAKE3_CHUNK_START,
                            BLAKE3_CHUNK_END | BLAKE3_ROOT);
        } else if (data.size <= BATCH_CHUNKS * BLAKE3_CHUNK_SIZE) {
                uint8_t cvs[BATCH_CHUNKS * CV_SIZE];
                size_t count = chunk_count(data.size);

                hash_chunks(ops, key, flags, 0, data.data, data.size, data.size, cvs);
                while (count > 2)
                        count = reduce_level(ops, key, flags, cvs, count);
                ops->chain(cv, cvs, 1, BLAKE3_BLOCK_SIZE, 0, flags | BLAKE3_PARENT, 0, BLAKE3_ROOT);
        } else {
                struct blake3 state;

                blake3_init_mode(&state, key, flags);
                blake3_update(&state, data);
                blake3_final(&state, out);
                return;
        }
        memcpy(out->bytes, cv, sizeof(cv));
}

/* --- streaming --- */

/* Until more input shows that they are not the root, the two topmost chaining values stay unmerged,
 * and so does a chunk's last block. With chunk_counter chunks behind it, a merged stack has one
 * chaining value for each bit that is set in chunk_counter. */

void blake3_init_mode(struct blake3 *state, const uint32_t key[8], uint8_t flags)
{
        memcpy(state->key, key, sizeof(state->key));
        memcpy(state->chunk_cv, key, sizeof(state->chunk_cv));
        state->chunk_counter = 0;
        state->block_size = 0;
        state->blocks_done = 0;
        state->flags = flags;
        state->stack_size = 0;
}

void blake3_init(struct blake3 *state)
{
        blake3_init_mode(state, blake3_iv, 0);
}

void blake3_init_keyed(struct blake3 *state, const uint8_t key[32])
{
        uint32_t words[8];

        memcpy(words, key, sizeof(words));
        blake3_init_mode(state, words, BLAKE3_KEYED_HASH);
}

void blake3_init_derive(struct blake3 *state, struct span context)
{
        struct hif_hash hash;
        uint32_t words[8];

        blake3_oneshot(blake3_iv, BLAKE3_DERIVE_KEY_CONTEXT, context, &hash);
        memcpy(words, hash.bytes, sizeof(words));
        blake3_init_mode(state, words, BLAKE3_DERIVE_KEY_MATERIAL);
}

static inline uint8_t chunk_start_flag(const struct blake3 *state)
{
        return state->blocks_done == 0 ? BLAKE3_CHUNK_START : 0;
}

static inline size_t chunk_size(const struct blake3 *state)
{
        return (size_t)state->blocks_done * BLAKE3_BLOCK_SIZE + state->block_size;
}

static void merge_stack(struct blake3 *state, const struct blake3_ops *ops)
{
        unsigned merged = (unsigned)__builtin_popcountll(state->chunk_counter);

        while (state->stack_size > merged) {
                uint8_t *pair = state->stack + (state->stack_size - 2) * CV_SIZE;

                parent_cv(ops, state->key, state->flags, pair, pair);
                state->stack_size--;
        }
}

/* A full subtree of `chunks` chunks. */
static void push(struct blake3 *state, const struct blake3_ops *ops, const uint8_t *cv,
                 uint64_t chunks)
{
        merge_stack(state, ops);
        assert(state->stack_size <= BLAKE3_DEPTH_MAX);
        memcpy(state->stack + state->stack_size * CV_SIZE, cv, CV_SIZE);
        state->stack_size++;
        state->chunk_counter += chunks;
}

/* Adjacent chunks' chaining values, as the largest full subtrees that chunk_counter allows. */
static void push_chunks(struct blake3 *state, const struct blake3_ops *ops, uint8_t *cvs,
                        size_t count)
{
        while (count > 0) {
                size_t chunks = (size_t)1 << (63 - __builtin_clzll(count));
                size_t left;

                while ((state->chunk_counter & (chunks - 1)) != 0)
                        chunks /= 2;
                left = chunks;
                while (left > 2)
                        left = reduce_level(ops, state->key, state->flags, cvs, left);
                for (size_t i = 0; i < left; i++)
                        push(state, ops, cvs + i * CV_SIZE, chunks / left);
                cvs += chunks * CV_SIZE;
                count -= chunks;
        }
}

static void close_chunk(struct blake3 *state, const struct blake3_ops *ops)
{
        ops->chain(state->chunk_cv, state->block, 1, BLAKE3_BLOCK_SIZE, state->chunk_counter,
                   state->flags, chunk_start_flag(state), BLAKE3_CHUNK_END);
        push(state, ops, (const uint8_t *)state->chunk_cv, 1);
        memcpy(state->chunk_cv, state->key, sizeof(state->chunk_cv));
        state->blocks_done = 0;
        state->block_size = 0;
}

/* Take what fits into the chunk that is being filled, at least a byte. */
static size_t fill_chunk(struct blake3 *state, const struct blake3_ops *ops, const uint8_t *data,
                         size_t size)
{
        size_t take = BLAKE3_CHUNK_SIZE - chunk_size(state);
        size_t used = 0;

        if (take > size)
                take = size;
        while (used < take) {
                size_t part = BLAKE3_BLOCK_SIZE - state->block_size;
                size_t whole = (take - used - 1) / BLAKE3_BLOCK_SIZE;

                if (part == 0) {
                        ops->chain(state->chunk_cv, state->block, 1, BLAKE3_BLOCK_SIZE,
                                   state->chunk_counter, state->flags, chunk_start_flag(state), 0);
                        state->blocks_done++;
                        state->block_size = 0;
                } else if (state->block_size == 0 && whole > 0) {
                        ops->chain(state->chunk_cv, data + used, whole, BLAKE3_BLOCK_SIZE,
                                   state->chunk_counter, state->flags, chunk_start_flag(state), 0);
                        state->blocks_done = (uint8_t)(state->blocks_done + whole);
                        used += whole * BLAKE3_BLOCK_SIZE;
                } else {
                        if (part > take - used)
                                part = take - used;
                        memcpy(state->block + state->block_size, data + used, part);
                        state->block_size = (uint8_t)(state->block_size + part);
                        used += part;
                }
        }
        return take;
}

void blake3_update(struct blake3 *state, struct span data)
{
        const struct blake3_ops *ops = backend();
        const uint8_t *next = data.data;
        size_t size = data.size;

        while (size > 0) {
                size_t whole = size / BLAKE3_CHUNK_SIZE;
                size_t batch, used;

                if (chunk_size(state) == BLAKE3_CHUNK_SIZE)
                        close_chunk(state, ops);
                batch = BATCH_CHUNKS - state->chunk_counter % BATCH_CHUNKS;
                if (whole < batch)
                        batch = whole;
                /* A chunk that is all there is may be the root: it has to stay open. */
                if (chunk_size(state) == 0 &&
                    (batch > 1 || (batch == 1 && state->chunk_counter > 0))) {
                        uint8_t cvs[BATCH_CHUNKS * CV_SIZE];

                        used = batch * BLAKE3_CHUNK_SIZE;
                        hash_chunks(ops, state->key, state->flags, state->chunk_counter, next, used,
                                    size, cvs);
                        push_chunks(state, ops, cvs, batch);
                } else {
                        merge_stack(state, ops);
                        used = fill_chunk(state, ops, next, size);
                }
                next += used;
                size -= used;
        }
}

/* --- output --- */

/* The last compression, not yet done: the root's may be repeated for more output (§4.4). */
struct node {
        uint32_t cv[8];
        uint8_t block[BLAKE3_BLOCK_SIZE];
        uint64_t counter;
        uint8_t size;
        uint8_t flags;
};

static void root_node(const struct blake3 *state, const struct blake3_ops *ops, struct node *node)
{
        size_t left = state->stack_size;

        if (left == 0 || chunk_size(state) > 0) {
                memcpy(node->cv, state->chunk_cv, sizeof(node->cv));
                memset(node->block, 0, sizeof(node->block));
                memcpy(node->block, state->block, state->block_size);
                node->counter = state->chunk_counter;
                node->size = state->block_size;
                node->flags = state->flags | chunk_start_flag(state) | BLAKE3_CHUNK_END;
        } else {
                left -= 2;
                memcpy(node->cv, state->key, sizeof(node->cv));
                memcpy(node->block, state->stack + left * CV_SIZE, sizeof(node->block));
                node->counter = 0;
                node->size = BLAKE3_BLOCK_SIZE;
                node->flags = state->flags | BLAKE3_PARENT;
        }
        while (left > 0) {
                left--;
                ops->chain(node->cv, node->block, 1, node->size, node->counter, node->flags, 0, 0);
                memcpy(node->block, state->stack + left * CV_SIZE, CV_SIZE);
                memcpy(node->block + CV_SIZE, node->cv, CV_SIZE);
                memcpy(node->cv, state->key, sizeof(node->cv));
                node->counter = 0;
                node->size = BLAKE3_BLOCK_SIZE;
                node->flags = state->flags | BLAKE3_PARENT;
        }
        node->flags |= BLAKE3_ROOT;
}

void blake3_final(const struct blake3 *state, struct hif_hash *out)
{
        const struct blake3_ops *ops = backend();
        struct node node;

        root_node(state, ops, &node);
        ops->chain(node.cv, node.block, 1, node.size, 0, node.flags, 0, 0);
        memcpy(out->bytes, node.cv, sizeof(node.cv));
}

void blake3_final_xof(const struct blake3 *state, uint64_t seek, uint8_t *out, size_t size)
{
        struct node node;

        root_node(state, backend(), &node);
        while (size > 0) {
                uint8_t bytes[BLAKE3_BLOCK_SIZE];
                size_t skip = seek % BLAKE3_BLOCK_SIZE;
                size_t part = BLAKE3_BLOCK_SIZE - skip;

                if (part > size)
                        part = size;
                blake3_compress_wide(node.cv, node.block, node.size, seek / BLAKE3_BLOCK_SIZE,
                                     node.flags, bytes);
                memcpy(out, bytes + skip, part);
                out += part;
                size -= part;
                seek += part;
        }
}
