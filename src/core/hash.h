/* hash.h - BLAKE3-256 (from its specification, "BLAKE3: one function, fast everywhere"), and the
 * hashes that name things.
 *
 * Of a file up to BODY_BLOB_MAX bytes the hash is the plain BLAKE3 of its content, as b3sum prints
 * it. Everything else is hashed in derive-key mode with a context of its own, so that no kind of
 * object can pass for another. */
#ifndef HIF_CORE_HASH_H
#define HIF_CORE_HASH_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define HIF_HASH_SIZE     32
#define HIF_HASH_HEX_SIZE 65 /* with the terminating NUL */

struct hif_hash {
        uint8_t bytes[HIF_HASH_SIZE];
};

static inline bool hash_eq(const struct hif_hash *a, const struct hif_hash *b)
{
        return memcmp(a->bytes, b->bytes, HIF_HASH_SIZE) == 0;
}

static inline bool hash_is_zero(const struct hif_hash *hash)
{
        static const struct hif_hash zero;

        return hash_eq(hash, &zero);
}

/* The first 8 bytes, for hash tables: the bytes are uniform already. */
static inline uint64_t hash_prefix(const struct hif_hash *hash)
{
        return be64_get(hash->bytes);
}

void hash_to_hex(const struct hif_hash *hash, char out[HIF_HASH_HEX_SIZE]);
/* Exactly 64 lower-case digits; false otherwise. */
bool hash_from_hex(struct span text, struct hif_hash *out);

/* What is hashed. The numbers are part of the format. */
enum hash_kind {
        HASH_BLOB = 0,    /* plain: content of a file up to BODY_BLOB_MAX, a chunk, a link target */
        HASH_CHUNKS = 1,  /* a chunk list's encoded bytes, before compression */
        HASH_NODE = 2,    /* a tree node's encoded bytes, before compression */
        HASH_SESSION = 3, /* a session object's stored bytes */
        HASH_SLOT = 4,    /* a slot's stored bytes */
        HASH_LIST = 5,    /* a path list or object list that a slot names: its stored bytes */
        HASH_PACK = 6,    /* plain: a pack's stored bytes */
        HASH_KIND_COUNT
};

struct hif_hash hash_of(enum hash_kind kind, struct span data);

/* --- streaming --- */

#define BLAKE3_BLOCK_SIZE 64
#define BLAKE3_CHUNK_SIZE 1024
#define BLAKE3_DEPTH_MAX  54 /* 2^64 bytes of input */

/* Plain value, no heap: copy it to fork a hash. Fields are private. */
struct blake3 {
        uint32_t key[8];
        uint32_t chunk_cv[8];
        uint64_t chunk_counter;
        uint8_t block[BLAKE3_BLOCK_SIZE];
        uint8_t block_size;
        uint8_t blocks_done;
        uint8_t flags;
        uint8_t stack_size;
        uint8_t stack[(BLAKE3_DEPTH_MAX + 1) * HIF_HASH_SIZE];
};

void blake3_init(struct blake3 *state);
void blake3_init_keyed(struct blake3 *state, const uint8_t key[32]);
void blake3_init_derive(struct blake3 *state, struct span context);
void blake3_init_kind(struct blake3 *state, enum hash_kind kind);
void blake3_update(struct blake3 *state, struct span data);
/* May be called more than once, and update may go on after it. */
void blake3_final(const struct blake3 *state, struct hif_hash *out);
/* Extendable output from byte `seek` on. */
void blake3_final_xof(const struct blake3 *state, uint64_t seek, uint8_t *out, size_t size);

/* Which implementation runs here ("portable", "sse41", "avx2", "avx512"), and forcing one for tests
 * and benchmarks; false when this CPU lacks it. Not thread-safe. */
const char *blake3_backend(void);
bool blake3_use_backend(const char *name);

#endif
