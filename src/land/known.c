#include "land/internal.h"

/* The map takes the first 64 bits; a record of another hash with the same ones (someone's work,
 * never chance) just counts as unknown. */
static uint64_t known_key(enum known_kind kind, const struct hif_hash *hash)
{
        return hash_prefix(hash) ^ ((uint64_t)kind << 60);
}

struct known *known_find(const struct known_set *set, enum known_kind kind,
                         const struct hif_hash *hash)
{
        struct known *known = map_get(&set->map, known_key(kind, hash));

        return known && known->kind == kind && hash_eq(&known->hash, hash) ? known : NULL;
}

struct known *known_add(struct known_set *set, enum known_kind kind, const struct hif_hash *hash)
{
        struct known *known = known_find(set, kind, hash);

        if (known)
                return known;
        known = arena_zalloc(&set->arena, sizeof(*known));
        if (!known)
                return NULL;
        known->hash = *hash;
        known->kind = kind;
        return map_put(&set->map, known_key(kind, hash), known) == HIF_OK ? known : NULL;
}

void known_await(struct known_set *set, struct known *known)
{
        known->awaiting = set->awaiting;
        set->awaiting = known;
}

void known_free(struct known_set *set)
{
        map_free(&set->map);
        arena_free(&set->arena);
}
