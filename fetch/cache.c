#include "fetch/cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>

#define SHARDS      16
#define BUCKETS_MIN 64
#define USES_MAX    3
#define GHOSTS      1024 /* what was evicted unused, remembered by 32 bits of its hash */
#define SMALL_SHARE 8    /* the short queue's part of a shard */
#define RECENT_MAX  4    /* a use within so many arrivals of the last one does not count */

struct queue {
        struct fetch_ref *newest, *oldest;
        uint64_t bytes;
        size_t count;
};

/* The first 64 bytes are all that a hit touches. */
struct shard {
        alignas(128) pthread_mutex_t mutex;
        struct fetch_ref **buckets;
        uint64_t hits;
        uint32_t bucket_mask; /* their count, a power of two, less 1 */
        uint32_t arrivals;
        struct queue small, main;
        uint64_t misses, evicted, hints_useful;
        uint32_t ghosts[GHOSTS];
};

struct cache {
        uint64_t bytes_max;
        alignas(64) _Atomic uint64_t bytes;
        _Atomic unsigned hand; /* the shard that evicts next */
        struct shard shards[SHARDS];
};

enum hif_err cache_new(uint64_t bytes_max, struct cache **out)
{
        struct cache *cache = aligned_alloc(alignof(struct cache), sizeof(*cache));

        if (!cache)
                return HIF_ENOMEM;
        memset(cache, 0, sizeof(*cache));
        cache->bytes_max = bytes_max;
        for (size_t i = 0; i < SHARDS; i++) {
                struct shard *shard = &cache->shards[i];

                pthread_mutex_init(&shard->mutex, NULL);
                shard->buckets = calloc(BUCKETS_MIN, sizeof(*shard->buckets));
                shard->bucket_mask = BUCKETS_MIN - 1;
                if (!shard->buckets) {
                        cache_free(cache);
                        return HIF_ENOMEM;
                }
        }
        *out = cache;
        return HIF_OK;
}

static void ref_free(struct fetch_ref *ref)
{
        free(ref->data);
        free(ref);
}

static void queue_free(struct queue *queue)
{
        for (struct fetch_ref *ref = queue->oldest; ref;) {
                struct fetch_ref *newer = ref->newer;

                assert(atomic_load(&ref->pins) == 0);
                ref_free(ref);
                ref = newer;
        }
}

void cache_free(struct cache *cache)
{
        if (!cache)
                return;
        for (size_t i = 0; i < SHARDS; i++) {
                struct shard *shard = &cache->shards[i];

                if (!shard->bucket_mask)
                        continue;
                queue_free(&shard->small);
                queue_free(&shard->main);
                free(shard->buckets);
                pthread_mutex_destroy(&shard->mutex);
        }
        free(cache);
}

/* --- a shard: all with its mutex held --- */

static unsigned shard_of(const struct hif_hash *hash)
{
        return hash->bytes[0] % SHARDS;
}

static struct fetch_ref **bucket_of(struct shard *shard, const struct hif_hash *hash)
{
        uint64_t bits;

        memcpy(&bits, hash->bytes + 8, sizeof(bits));
        return &shard->buckets[bits & shard->bucket_mask];
}

static struct fetch_ref *shard_find(struct shard *shard, enum fetch_kind kind,
                                    const struct hif_hash *hash)
{
        struct fetch_ref *ref = *bucket_of(shard, hash);

        while (ref && !(hash_eq(&ref->hash, hash) && ref->kind == kind))
                ref = ref->chain;
        return ref;
}

static struct queue *queue_of(struct shard *shard, const struct fetch_ref *ref)
{
        return ref->main ? &shard->main : &shard->small;
}

static void queue_push(struct queue *queue, struct fetch_ref *ref)
{
        ref->newer = NULL;
        ref->older = queue->newest;
        if (queue->newest)
                queue->newest->newer = ref;
        else
                queue->oldest = ref;
        queue->newest = ref;
        queue->bytes += ref->charge;
        queue->count++;
}

static void queue_remove(struct queue *queue, struct fetch_ref *ref)
{
        *(ref->newer ? &ref->newer->older : &queue->newest) = ref->older;
        *(ref->older ? &ref->older->newer : &queue->oldest) = ref->newer;
        queue->bytes -= ref->charge;
        queue->count--;
}

static uint32_t *ghost_of(struct shard *shard, const struct hif_hash *hash, uint32_t *mark)
{
        *mark = be32_get(hash->bytes + 16) | 1;
        return &shard->ghosts[be32_get(hash->bytes + 20) % GHOSTS];
}

static void shard_grow(struct shard *shard)
{
        size_t count = (size_t)shard->bucket_mask + 1;
        struct fetch_ref **old = shard->buckets;
        struct fetch_ref **buckets;

        if (shard->small.count + shard->main.count < count || count > UINT32_MAX / 2)
                return;
        buckets = calloc(count * 2, sizeof(*buckets));
        if (!buckets)
                return; /* longer chains, no more */
        shard->buckets = buckets;
        shard->bucket_mask = (uint32_t)(count * 2 - 1);
        for (size_t i = 0; i < count; i++) {
                for (struct fetch_ref *ref = old[i]; ref;) {
                        struct fetch_ref *next = ref->chain;
                        struct fetch_ref **bucket = bucket_of(shard, &ref->hash);

                        ref->chain = *bucket;
                        *bucket = ref;
                        ref = next;
                }
        }
        free(old);
}

static void shard_unlink(struct shard *shard, struct fetch_ref *ref)
{
        struct fetch_ref **at = bucket_of(shard, &ref->hash);

        while (*at != ref)
                at = &(*at)->chain;
        *at = ref->chain;
        queue_remove(queue_of(shard, ref), ref);
}

static bool is_pinned(const struct fetch_ref *ref)
{
        return atomic_load_explicit(&ref->pins, memory_order_acquire) > 0;
}

/* Sweep one queue once; the victim, unlinked, or NULL. */
static struct fetch_ref *sweep_small(struct shard *shard)
{
        for (size_t i = shard->small.count; i > 0; i--) {
                struct fetch_ref *ref = shard->small.oldest;
                uint32_t mark;

                if (!is_pinned(ref) && ref->uses == 0) {
                        shard_unlink(shard, ref);
                        *ghost_of(shard, &ref->hash, &mark) = be32_get(ref->hash.bytes + 16) | 1;
                        return ref;
                }
                queue_remove(&shard->small, ref);
                if (ref->uses > 0) {
                        ref->main = true;
                        ref->uses = 0;
                }
                queue_push(queue_of(shard, ref), ref);
        }
        return NULL;
}

static struct fetch_ref *sweep_main(struct shard *shard)
{
        for (size_t i = shard->main.count * (USES_MAX + 1); i > 0; i--) {
                struct fetch_ref *ref = shard->main.oldest;

                if (!is_pinned(ref) && ref->uses == 0) {
                        shard_unlink(shard, ref);
                        return ref;
                }
                queue_remove(&shard->main, ref);
                if (ref->uses > 0)
                        ref->uses--;
                queue_push(&shard->main, ref);
        }
        return NULL;
}

static struct fetch_ref *shard_evict(struct shard *shard)
{
        uint64_t total = shard->small.bytes + shard->main.bytes;
        struct fetch_ref *victim = NULL;

        if (shard->small.bytes > total / SMALL_SHARE)
                victim = sweep_small(shard);
        if (!victim)
                victim = sweep_main(shard);
        if (!victim)
                victim = sweep_small(shard);
        if (victim)
                shard->evicted++;
        return victim;
}

/* --- the limit --- */

static bool evict_one(struct cache *cache)
{
        for (size_t i = 0; i < SHARDS; i++) {
                unsigned hand = atomic_fetch_add_explicit(&cache->hand, 1, memory_order_relaxed);
                struct shard *shard = &cache->shards[hand % SHARDS];
                struct fetch_ref *victim;

                pthread_mutex_lock(&shard->mutex);
                victim = shard_evict(shard);
                pthread_mutex_unlock(&shard->mutex);
                if (victim) {
                        atomic_fetch_sub(&cache->bytes, victim->charge);
                        ref_free(victim);
                        return true;
                }
        }
        return false;
}

/* Take `charge` of the limit, before the object becomes visible. */
static bool reserve(struct cache *cache, size_t charge, bool needed)
{
        do {
                uint64_t have = atomic_load(&cache->bytes);

                while (have + charge <= cache->bytes_max) {
                        if (atomic_compare_exchange_weak(&cache->bytes, &have, have + charge))
                                return true;
                }
        } while (evict_one(cache));
        if (needed)
                atomic_fetch_add(&cache->bytes, charge);
        return needed;
}

void cache_make_room(struct cache *cache, size_t size)
{
        size_t charge = size + sizeof(struct fetch_ref);

        while (atomic_load(&cache->bytes) + charge > cache->bytes_max && evict_one(cache))
                ;
}

/* --- pins --- */

/* Under the shard's mutex, or with a pin already. */
static void pin(struct fetch_ref *ref)
{
        atomic_fetch_add_explicit(&ref->pins, 1, memory_order_relaxed);
}

static void count_use(struct shard *shard, struct fetch_ref *ref)
{
        shard->hits++;
        if (ref->hinted) {
                ref->hinted = false;
                shard->hints_useful++;
                ref->seen = shard->arrivals;
        }
        if (shard->arrivals - ref->seen > RECENT_MAX) {
                ref->seen = shard->arrivals;
                if (ref->uses < USES_MAX)
                        ref->uses++;
        }
}

struct fetch_ref *cache_peek(struct cache *cache, enum fetch_kind kind, const struct hif_hash *hash)
{
        struct shard *shard = &cache->shards[shard_of(hash)];
        struct fetch_ref *ref;

        pthread_mutex_lock(&shard->mutex);
        ref = shard_find(shard, kind, hash);
        if (ref) {
                pin(ref);
                count_use(shard, ref);
        } else {
                shard->misses++;
        }
        pthread_mutex_unlock(&shard->mutex);
        return ref;
}

struct fetch_ref *cache_pin(struct cache *cache, enum fetch_kind kind, const struct hif_hash *hash)
{
        struct shard *shard = &cache->shards[shard_of(hash)];
        struct fetch_ref *ref;

        pthread_mutex_lock(&shard->mutex);
        ref = shard_find(shard, kind, hash);
        if (ref)
                pin(ref);
        pthread_mutex_unlock(&shard->mutex);
        return ref;
}

bool cache_has(struct cache *cache, enum fetch_kind kind, const struct hif_hash *hash)
{
        struct shard *shard = &cache->shards[shard_of(hash)];
        bool found;

        pthread_mutex_lock(&shard->mutex);
        found = shard_find(shard, kind, hash) != NULL;
        pthread_mutex_unlock(&shard->mutex);
        return found;
}

struct span fetch_ref_bytes(const struct fetch_ref *ref)
{
        return span_of(ref->data, ref->size);
}

struct fetch_ref *fetch_ref_get(struct fetch_ref *ref)
{
        uint32_t before = atomic_fetch_add_explicit(&ref->pins, 1, memory_order_relaxed);

        assert(before > 0);
        return ref;
}

void fetch_unref(struct fetch_ref *ref)
{
        struct cache *cache;
        uint32_t before;

        if (!ref)
                return;
        cache = ref->cache; /* the ref may be gone right after its last pin */
        before = atomic_fetch_sub_explicit(&ref->pins, 1, memory_order_release);
        assert(before > 0);
        if (before > 1)
                return;
        if (atomic_load_explicit(&cache->bytes, memory_order_relaxed) > cache->bytes_max)
                cache_make_room(cache, 0);
}

/* --- arrivals --- */

/* The content without the slack that a growing buffer leaves. */
static uint8_t *steal_content(struct buf *content, size_t *size)
{
        uint8_t *data = content->data;

        *size = content->size;
        if (content->capacity - content->size > content->size / 16 + 64) {
                uint8_t *smaller = realloc(data, content->size ? content->size : 1);

                if (smaller)
                        data = smaller;
        }
        *content = (struct buf){0};
        return data;
}

/* A new ref, or the one that is there already; one pin either way. */
static struct fetch_ref *shard_insert(struct shard *shard, struct fetch_ref *ref)
{
        struct fetch_ref *there = shard_find(shard, ref->kind, &ref->hash);
        struct fetch_ref **bucket;
        uint32_t mark, *ghost;

        if (there) {
                pin(there);
                return there;
        }
        shard_grow(shard);
        ghost = ghost_of(shard, &ref->hash, &mark);
        ref->main = *ghost == mark;
        if (ref->main)
                *ghost = 0;
        ref->seen = ++shard->arrivals;
        bucket = bucket_of(shard, &ref->hash);
        ref->chain = *bucket;
        *bucket = ref;
        queue_push(queue_of(shard, ref), ref);
        pin(ref);
        return ref;
}

enum hif_err cache_insert(struct cache *cache, enum fetch_kind kind, const struct hif_hash *hash,
                          struct buf *content, bool needed, bool hinted, struct fetch_ref **out)
{
        struct shard *shard = &cache->shards[shard_of(hash)];
        struct fetch_ref *ref, *kept;

        if (!reserve(cache, content->size + sizeof(*ref), needed)) {
                buf_free(content);
                *out = NULL;
                return HIF_OK;
        }
        ref = aligned_alloc(64, (sizeof(*ref) + 63) / 64 * 64);
        if (!ref) {
                atomic_fetch_sub(&cache->bytes, content->size + sizeof(*ref));
                return HIF_ENOMEM;
        }
        *ref = (struct fetch_ref){.cache = cache};
        ref->kind = (uint8_t)kind;
        ref->hash = *hash;
        ref->hinted = hinted;
        ref->shard = (uint8_t)shard_of(hash);
        ref->charge = content->size + sizeof(*ref);
        ref->data = steal_content(content, &ref->size);
        pthread_mutex_lock(&shard->mutex);
        kept = shard_insert(shard, ref);
        pthread_mutex_unlock(&shard->mutex);
        if (kept != ref) {
                atomic_fetch_sub(&cache->bytes, ref->charge);
                ref_free(ref);
        }
        *out = kept;
        return HIF_OK;
}

static uint64_t pinned_bytes(const struct queue *queue)
{
        uint64_t bytes = 0;

        for (const struct fetch_ref *ref = queue->oldest; ref; ref = ref->newer)
                bytes += is_pinned(ref) ? ref->charge : 0;
        return bytes;
}

/* Walks all objects: counting pins as they come and go would cost every hit. */
void cache_stats(struct cache *cache, struct fetch_stats *stats)
{
        stats->ram_bytes = atomic_load(&cache->bytes);
        for (size_t i = 0; i < SHARDS; i++) {
                struct shard *shard = &cache->shards[i];

                pthread_mutex_lock(&shard->mutex);
                stats->ram_objects += shard->small.count + shard->main.count;
                stats->pinned_bytes += pinned_bytes(&shard->small) + pinned_bytes(&shard->main);
                stats->hits += shard->hits;
                stats->misses += shard->misses;
                stats->evicted += shard->evicted;
                stats->hints_useful += shard->hints_useful;
                pthread_mutex_unlock(&shard->mutex);
        }
}
