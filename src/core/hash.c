/* hash.c - the hashes that name things. */
#include "core/blake3_impl.h"

#include <assert.h>

/* The key that derive-key mode makes of each kind's context string, so that hashing a small object
 * does not begin with hashing its context. A kind without a key is hashed plainly. */
static const struct {
        const char *context;
        uint32_t key[8];
} kinds[HASH_KIND_COUNT] = {
    [HASH_CHUNKS] = {"hif 2026 chunk list v1",
                     {0xfc1a921aU, 0x982f6f6aU, 0xfc76b330U, 0x3ac4b2e3U, 0xa318f76aU, 0xd372c5c4U,
                      0x79b9cca1U, 0x03d6cbf5U}},
    [HASH_NODE] = {"hif 2026 tree node v1",
                   {0xbe073f7fU, 0x2055988bU, 0xea61c666U, 0xb4d08ad9U, 0xbfed1831U, 0x5093337cU,
                    0x28a840b8U, 0x756bb81aU}},
    [HASH_SESSION] = {"hif 2026 session v1",
                      {0xc488bd30U, 0x9bc032e5U, 0xa377d45eU, 0x987d3be9U, 0x155110a3U, 0x72183306U,
                       0x47d05284U, 0x49c46da2U}},
    [HASH_SLOT] = {"hif 2026 slot v1",
                   {0xfa4857afU, 0x31e7ead1U, 0x8da7653bU, 0x85fd3ee5U, 0x36b5471eU, 0xd8ac0afeU,
                    0xad0a94a9U, 0xefdd3dafU}},
    [HASH_LIST] = {"hif 2026 list v1",
                   {0x2095a4b5U, 0xac5e4230U, 0xe129b77fU, 0x8fafc935U, 0x6305f25aU, 0xe9fd6534U,
                    0xcdbe4bffU, 0xa1186ae6U}},
};

static void kind_mode(enum hash_kind kind, const uint32_t **key, uint8_t *flags)
{
        assert((unsigned)kind < HASH_KIND_COUNT);
        *key = kinds[kind].context != NULL ? kinds[kind].key : blake3_iv;
        *flags = kinds[kind].context != NULL ? BLAKE3_DERIVE_KEY_MATERIAL : 0;
}

void blake3_init_kind(struct blake3 *state, enum hash_kind kind)
{
        const uint32_t *key;
        uint8_t flags;

        kind_mode(kind, &key, &flags);
        blake3_init_mode(state, key, flags);
}

struct hif_hash hash_of(enum hash_kind kind, struct span data)
{
        struct hif_hash hash;
        const uint32_t *key;
        uint8_t flags;

        kind_mode(kind, &key, &flags);
        blake3_oneshot(key, flags, data, &hash);
        return hash;
}

void hash_to_hex(const struct hif_hash *hash, char out[HIF_HASH_HEX_SIZE])
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < HIF_HASH_SIZE; i++) {
                out[2 * i] = digits[hash->bytes[i] >> 4];
                out[2 * i + 1] = digits[hash->bytes[i] & 15];
        }
        out[2 * HIF_HASH_SIZE] = '\0';
}

static int digit_value(uint8_t digit)
{
        if (digit >= '0' && digit <= '9')
                return digit - '0';
        if (digit >= 'a' && digit <= 'f')
                return digit - 'a' + 10;
        return -1;
}

bool hash_from_hex(struct span text, struct hif_hash *out)
{
        struct hif_hash hash;

        if (text.size != (size_t)2 * HIF_HASH_SIZE)
                return false;
        for (size_t i = 0; i < HIF_HASH_SIZE; i++) {
                int high = digit_value(text.data[2 * i]);
                int low = digit_value(text.data[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                hash.bytes[i] = (uint8_t)(high << 4 | low);
        }
        *out = hash;
        return true;
}
