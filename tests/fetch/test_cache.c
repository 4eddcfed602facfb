/* The RAM tier by itself: limits, pins, and what survives a scan. */
#include "fetch/cache.h"
#include "tfetch.h"

#include <stdlib.h>

#define MIB (1u << 20)

static struct hif_hash name(uint64_t number)
{
        struct hif_hash hash;
        uint64_t state = number;

        for (size_t i = 0; i < HIF_HASH_SIZE; i += 8)
                be64_put(hash.bytes + i, trandom(&state));
        return hash;
}

static struct cache *make(uint64_t bytes_max)
{
        struct cache *cache;

        assert_int_equal(cache_new(bytes_max, &cache), HIF_OK);
        return cache;
}

/* Insert zeros; NULL: there was no room. */
static struct fetch_ref *insert(struct cache *cache, uint64_t number, size_t size, bool needed)
{
        struct hif_hash hash = name(number);
        struct buf content = {0};
        struct fetch_ref *ref;

        buf_put_zero(&content, size);
        assert_int_equal(cache_insert(cache, FETCH_BLOB, &hash, &content, needed, !needed, &ref),
                         HIF_OK);
        return ref;
}

static bool touch(struct cache *cache, uint64_t number)
{
        struct hif_hash hash = name(number);
        struct fetch_ref *ref = cache_peek(cache, FETCH_BLOB, &hash);

        fetch_unref(ref);
        return ref != NULL;
}

static struct fetch_stats stats_of(struct cache *cache)
{
        struct fetch_stats stats = {0};

        cache_stats(cache, &stats);
        return stats;
}

/* Kinds are apart, even under one hash. */
static void kinds_are_apart(void **state)
{
        struct cache *cache = make(MIB);
        struct hif_hash hash = name(1);

        (void)state;
        fetch_unref(insert(cache, 1, 100, true));
        assert_true(touch(cache, 1));
        assert_false(cache_has(cache, FETCH_NODE, &hash));
        assert_null(cache_peek(cache, FETCH_CHUNKS, &hash));
        cache_free(cache);
}

/* Random sizes and pins: never over the limit but for what is pinned, and nothing pinned is gone.
 */
static void limit_holds_under_random_load(void **state)
{
        static const uint64_t seeds[] = {1, 2, 3};

        (void)state;
        for (size_t s = 0; s < 3; s++) {
                struct cache *cache = make(MIB);
                struct fetch_ref *held[16] = {NULL};
                uint64_t numbers[16] = {0};
                uint64_t random = seeds[s];

                for (uint64_t i = 0; i < 20000; i++) {
                        size_t slot = trandom(&random) % 16;
                        size_t size = trandom(&random) % (trandom(&random) % 8 ? 4000 : 200000);
                        struct fetch_stats stats;

                        fetch_unref(held[slot]);
                        held[slot] = insert(cache, i, size, trandom(&random) % 2);
                        numbers[slot] = i;
                        if (held[slot])
                                assert_int_equal(fetch_ref_bytes(held[slot]).size, size);
                        stats = stats_of(cache);
                        if (stats.ram_bytes > MIB && stats.ram_bytes != stats.pinned_bytes)
                                fail_msg("seed %lu: %lu bytes", (unsigned long)seeds[s],
                                         (unsigned long)stats.ram_bytes);
                }
                for (size_t i = 0; i < 16; i++) {
                        if (held[i])
                                assert_true(touch(cache, numbers[i]));
                        fetch_unref(held[i]);
                }
                assert_true(stats_of(cache).ram_bytes <= MIB);
                assert_int_equal(stats_of(cache).pinned_bytes, 0);
                assert_true(stats_of(cache).ram_objects > 20);
                cache_free(cache);
        }
}

/* What pins made exceed the limit goes when they do. */
static void excess_goes_with_its_pin(void **state)
{
        struct cache *cache = make(MIB);
        struct fetch_ref *refs[4];

        (void)state;
        for (size_t i = 0; i < 4; i++)
                refs[i] = insert(cache, i, MIB / 2, true);
        assert_true(stats_of(cache).ram_bytes > 2 * MIB);
        assert_null(insert(cache, 9, 1000, false));
        for (size_t i = 0; i < 4; i++)
                fetch_unref(refs[i]);
        assert_true(stats_of(cache).ram_bytes <= MIB);
        cache_free(cache);
}

/* A scan of ten times the cache leaves what is used again and again. */
static void scan_does_not_flush(void **state)
{
        struct cache *cache = make(4 * MIB);
        size_t kept = 0;

        (void)state;
        for (uint64_t i = 0; i < 100; i++)
                fetch_unref(insert(cache, i, 10000, true));
        for (uint64_t i = 0; i < 4000; i++) {
                fetch_unref(insert(cache, 1000 + i, 10000, true));
                for (int reads = 0; reads < 3; reads++) /* what it was fetched for */
                        touch(cache, 1000 + i);
                if (i % 3 == 0)
                        touch(cache, i / 3 % 100);
        }
        for (uint64_t i = 0; i < 100; i++)
                kept += touch(cache, i);
        assert_in_range(kept, 95, 100);
        cache_free(cache);
}

/* What comes back soon after it was evicted unused is kept longer the second time. */
static void returning_object_is_kept(void **state)
{
        struct cache *cache = make(MIB);

        (void)state;
        fetch_unref(insert(cache, 1, 10000, true));
        for (uint64_t i = 0; i < 150; i++)
                fetch_unref(insert(cache, 1000 + i, 10000, true));
        assert_false(touch(cache, 1));
        fetch_unref(insert(cache, 1, 10000, true));
        for (uint64_t i = 0; i < 150; i++)
                fetch_unref(insert(cache, 2000 + i, 10000, true));
        assert_true(touch(cache, 1));
        cache_free(cache);
}

/* A hint counts as useful at its first use, once. */
static void useful_hints_are_counted_once(void **state)
{
        struct cache *cache = make(MIB);

        (void)state;
        fetch_unref(insert(cache, 1, 100, false));
        fetch_unref(insert(cache, 2, 100, false));
        touch(cache, 1);
        touch(cache, 1);
        assert_int_equal(stats_of(cache).hints_useful, 1);
        cache_free(cache);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(kinds_are_apart),
            cmocka_unit_test(limit_holds_under_random_load),
            cmocka_unit_test(excess_goes_with_its_pin),
            cmocka_unit_test(scan_does_not_flush),
            cmocka_unit_test(returning_object_is_kept),
            cmocka_unit_test(useful_hints_are_counted_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
