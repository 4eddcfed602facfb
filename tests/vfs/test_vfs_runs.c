/* test_vfs_runs.c - which number each rank goes by, through many moves of the base. */
#include "core/memtree.h"
#include "vfs/move_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS  300 /* names that there can be */
#define MOVES 12
#define SEEDS 150

/* What a name is now: absent, or content that is told by a number. */
struct state {
        unsigned value[KEYS];  /* 0: absent */
        uint64_t number[KEYS]; /* what the entry goes by */
        struct hif_hash root;
};

struct world {
        struct memtree tree;
        struct tree_params params;
        struct buf keys[KEYS]; /* [i]: of the i-th name by key */
        struct state now;
        struct runs runs;
        uint64_t random, fresh;
        unsigned changed; /* keys that each_changed told of */
};

static uint64_t pick(struct world *world, uint64_t below)
{
        uint64_t z = world->random += 0x9e3779b97f4a7c15u;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return (z ^ (z >> 31)) % below;
}

static int by_key(const void *a, const void *b)
{
        return span_cmp(buf_span(a), buf_span(b));
}

static struct entry entry_of(unsigned value)
{
        return (struct entry){.kind = ENTRY_FILE,
                              .size = value,
                              .hash = hash_of(HASH_BLOB, span_of(&value, sizeof(value)))};
}

static void build(struct world *world, struct state *state)
{
        static const struct entry root = {.kind = ENTRY_DIR};
        struct entry entries[KEYS];
        struct tree_edit edits[KEYS + 1] = {{.key = span_str(""), .entry = &root}};
        struct tree_stats stats = {0};
        size_t count = 1;

        for (int i = 0; i < KEYS; i++) {
                if (state->value[i] == 0)
                        continue;
                entries[i] = entry_of(state->value[i]);
                edits[count++] =
                    (struct tree_edit){.key = buf_span(&world->keys[i]), .entry = &entries[i]};
        }
        assert_int_equal(
            memtree_apply(&world->tree, &world->params, NULL, edits, count, &state->root, &stats),
            HIF_OK);
}

static uint64_t rank_of(const struct state *state, int key)
{
        uint64_t rank = 1; /* the root directory is 0 */

        for (int i = 0; i < key; i++)
                rank += state->value[i] != 0;
        return rank;
}

static void world_start(struct world *world, uint64_t seed)
{
        *world = (struct world){.random = seed, .fresh = NODEID_FIRST};
        memtree_init(&world->tree);
        world->params = tree_params_default(seed);
        for (int i = 0; i < KEYS; i++) {
                char name[16];

                snprintf(name, sizeof(name), "name-%d", i);
                key_from_path(&world->keys[i], span_str(name));
        }
        qsort(world->keys, KEYS, sizeof(world->keys[0]), by_key);
        for (int i = 0; i < KEYS; i++)
                world->now.value[i] = pick(world, 2) == 0 ? 0 : 1 + (unsigned)pick(world, 9);
        for (int i = 0; i < KEYS; i++)
                if (world->now.value[i] != 0)
                        world->now.number[i] = nodeid_base(0, rank_of(&world->now, i));
        build(world, &world->now);
        runs_init(&world->runs, 0);
}

static void world_stop(struct world *world)
{
        runs_free(&world->runs);
        for (int i = 0; i < KEYS; i++)
                buf_free(&world->keys[i]);
        memtree_free(&world->tree);
}

static enum hif_err count_changed(void *arg, struct span key, const struct entry *a,
                                  const struct entry *b, uint64_t rank_b)
{
        (void)key, (void)a, (void)b, (void)rank_b;
        ((struct world *)arg)->changed++;
        return HIF_OK;
}

/* Names come, go and change, singly and in stretches. */
static void mutate(struct world *world, struct state *next)
{
        *next = world->now;
        for (uint64_t edits = pick(world, 30); edits > 0; edits--) {
                int at = (int)pick(world, KEYS);
                int count = pick(world, 5) == 0 ? (int)pick(world, 40) : 1;
                unsigned value = pick(world, 3) == 0 ? 0 : 1 + (unsigned)pick(world, 9);

                for (int i = at; i < at + count && i < KEYS; i++)
                        next->value[i] = value;
        }
}

/* Some names get numbers of their own: of new nodes, or those of other names (renames, swaps). */
static size_t assign(struct world *world, struct state *next, struct assigned *out)
{
        size_t count = 0;

        for (int i = 0; i < KEYS; i++) {
                uint64_t id = world->now.number[pick(world, KEYS)];
                bool taken = false;

                next->number[i] = 0;
                if (next->value[i] == 0 || pick(world, 12) != 0)
                        continue;
                if (id == 0 || pick(world, 3) == 0)
                        id = world->fresh++;
                for (size_t j = 0; j < count; j++)
                        taken |= out[j].id == id;
                if (taken)
                        continue;
                next->number[i] = id;
                out[count++] = (struct assigned){.rank = rank_of(next, i), .id = id};
        }
        return count;
}

/* Unchanged entries keep their number, unless it is given to another; all others are new. */
static void expect_numbers(struct world *world, struct state *next, uint32_t epoch,
                           const struct assigned *assigned, size_t count)
{
        for (int i = 0; i < KEYS; i++) {
                bool elsewhere = false;

                if (next->value[i] == 0 || next->number[i] != 0)
                        continue;
                for (size_t j = 0; j < count; j++)
                        elsewhere |= assigned[j].id == world->now.number[i];
                next->number[i] = world->now.value[i] == next->value[i] && !elsewhere
                                      ? world->now.number[i]
                                      : nodeid_base(epoch, rank_of(next, i));
        }
}

static void check(struct world *world, const struct state *before, const char *what, int move)
{
        uint64_t rank;

        for (int i = 0; i < KEYS; i++) {
                uint64_t id = world->now.number[i];

                if (world->now.value[i] == 0)
                        continue;
                if (runs_id(&world->runs, rank_of(&world->now, i)) != id)
                        fail_msg("%s, move %d: rank %d goes by %llx instead of %llx", what, move,
                                 (int)rank_of(&world->now, i),
                                 (unsigned long long)runs_id(&world->runs, rank_of(&world->now, i)),
                                 (unsigned long long)id);
                assert_true(runs_rank(&world->runs, id, &rank));
                assert_int_equal(rank, rank_of(&world->now, i));
        }
        for (int i = 0; before != NULL && i < KEYS; i++) {
                bool lives = false;

                for (int j = 0; j < KEYS; j++)
                        lives |=
                            world->now.value[j] != 0 && world->now.number[j] == before->number[i];
                if (before->value[i] != 0 && !lives)
                        assert_false(runs_rank(&world->runs, before->number[i], &rank));
        }
        assert_int_equal(runs_id(&world->runs, 0), NODEID_ROOT);
        assert_true(runs_rank(&world->runs, NODEID_ROOT, &rank));
        assert_int_equal(rank, 0);
}

static void move(struct world *world, const char *what, int number)
{
        struct state next, before = world->now;
        struct assigned assigned[KEYS];
        CLEANUP(buf_free) struct buf stored = {0};
        struct runs runs;
        size_t count;

        mutate(world, &next);
        count = assign(world, &next, assigned);
        expect_numbers(world, &next, world->runs.epoch + 1, assigned, count);
        build(world, &next);
        world->changed = 0;
        assert_int_equal(runs_plan(&world->tree.source, &before.root, &next.root, &world->runs,
                                   assigned, count, &runs, count_changed, world),
                         HIF_OK);
        for (int i = 0; i < KEYS; i++)
                world->changed -= before.value[i] != next.value[i];
        assert_int_equal(world->changed, 0);
        runs_free(&world->runs);
        /* As it is stored and read again. */
        runs_put(&stored, runs.epoch, runs.by_rank, runs.count);
        runs_free(&runs);
        assert_int_equal(runs_get(buf_span(&stored), &world->runs), HIF_OK);
        world->now = next;
        check(world, &before, what, number);
}

/* --- the tests --- */

/* Through any moves, every entry that stays one keeps its number, and none has two. */
static void numbers_stay_through_moves(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                struct world world;
                char what[32];

                snprintf(what, sizeof(what), "seed %llu", (unsigned long long)seed);
                world_start(&world, seed);
                check(&world, NULL, what, 0);
                for (int i = 1; i <= MOVES; i++)
                        move(&world, what, i);
                world_stop(&world);
        }
}

/* A rank in the middle of a run that has a number of its own ends the run for whoever counts. */
static void a_stretch_ends_where_its_run_ends(void **state)
{
        const struct run table[] = {{1, 3, 100}, {4, 1, 7}, {5, 4, 104}, {20, 2, 300}};
        CLEANUP(buf_free) struct buf stored = {0};
        struct runs runs;

        (void)state;
        runs_put(&stored, 1, table, 4);
        assert_int_equal(runs_get(buf_span(&stored), &runs), HIF_OK);
        assert_int_equal(runs_stretch(&runs, 0), 1);
        assert_int_equal(runs_stretch(&runs, 1), 3);
        assert_int_equal(runs_stretch(&runs, 2), 2);
        assert_int_equal(runs_stretch(&runs, 4), 1);
        assert_int_equal(runs_stretch(&runs, 5), 4);
        assert_int_equal(runs_stretch(&runs, 9), 11);
        assert_int_equal(runs_id(&runs, 10), nodeid_base(1, 10));
        assert_int_equal(runs_stretch(&runs, 22), UINT64_MAX);
        runs_free(&runs);
}

/* A damaged table is refused: overlapping ranks or numbers, empty runs, a cut. */
static void damaged_tables_are_refused(void **state)
{
        const struct run ranks[] = {{1, 3, 100}, {4, 2, 101}};
        CLEANUP(buf_free) struct buf stored = {0}, cut = {0};
        struct runs runs;

        (void)state;
        runs_put(&stored, 1, ranks, 2);
        assert_int_equal(runs_get(buf_span(&stored), &runs), HIF_ECORRUPT);
        runs_put(&cut, 1, ranks, 1);
        assert_int_equal(runs_get(span_of(cut.data, cut.size - 1), &runs), HIF_ECORRUPT);
        memset(cut.data + 12, 0, 8); /* the count */
        assert_int_equal(runs_get(buf_span(&cut), &runs), HIF_ECORRUPT);
        assert_int_equal(runs_get((struct span){0}, &runs), HIF_ECORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(numbers_stay_through_moves),
            cmocka_unit_test(a_stretch_ends_where_its_run_ends),
            cmocka_unit_test(damaged_tables_are_refused),
        };

        return cmocka_run_group_tests_name("vfs_runs", tests, NULL, NULL);
}
