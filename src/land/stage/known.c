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

        return known && known->kind == kind && !known->dropped && hash_eq(&known->hash, hash)
                   ? known
                   : NULL;
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

struct known_pack *known_pack_find(const struct known_set *set, const struct hif_hash *hash)
{
        struct known_pack *pack = map_get(&set->packs_map, hash_prefix(hash));

        return pack && hash_eq(&pack->hash, hash) ? pack : NULL;
}

struct known_pack *known_pack_add(struct known_set *set, const struct hif_hash *hash)
{
        struct known_pack *pack = known_pack_find(set, hash);

        if (pack)
                return pack;
        pack = arena_zalloc(&set->arena, sizeof(*pack));
        if (!pack)
                return NULL;
        pack->hash = *hash;
        pack->next = set->packs;
        set->packs = pack;
        return map_put(&set->packs_map, hash_prefix(hash), pack) == HIF_OK ? pack : NULL;
}

enum hif_err known_pack_member(struct known_set *set, struct known_pack *pack,
                               const struct hif_hash *hash, uint32_t size)
{
        struct known_member *member = arena_zalloc(&set->arena, sizeof(*member));

        if (!member)
                return HIF_ENOMEM;
        member->hash = *hash;
        member->next = pack->members;
        pack->members = member;
        pack->seen++;
        pack->bytes += size;
        return HIF_OK;
}

void known_free(struct known_set *set)
{
        map_free(&set->map);
        map_free(&set->packs_map);
        arena_free(&set->arena);
}
