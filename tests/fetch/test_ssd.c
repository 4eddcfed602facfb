/* The SSD tier: it survives, it stays within its limit, and nothing wrong comes out of it. */
#include "tests/base/lock_holder.h"
#include "tfetch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DIR_PATH "/cache/ssd"
#define MIB      (1u << 20)

static int setup(void **state)
{
        struct tfetch *t = malloc(sizeof(*t));

        assert_non_null(t);
        tfetch_start(t, &(struct tfetch_options){.simulated = true,
                                                 .config = {.ram_max = 4 << 20,
                                                            .ssd_max = 64 << 20,
                                                            .ssd_dir = DIR_PATH,
                                                            .no_timer = true}});
        *state = t;
        return 0;
}

static int teardown(void **state)
{
        tfetch_stop(*state);
        free(*state);
        return 0;
}

static void get_all(struct tfetch *t, const struct fetch_want *wants, size_t count)
{
        for (size_t i = 0; i < count; i++)
                assert_int_equal(tget(t, &wants[i]), HIF_OK);
        fetch_quiesce(t->fetch);
}

/* Open the first segment of a class ('d', 'n'). */
static int open_segment(struct tfetch *t, char class)
{
        char path[64];
        int fd;

        snprintf(path, sizeof(path), DIR_PATH "/%c-00000001", class);
        assert_int_equal(t->env->ops->open(t->env, path, O_RDWR, 0, &fd), HIF_OK);
        return fd;
}

static uint64_t size_of(struct tfetch *t, int fd)
{
        struct stat st;

        assert_int_equal(t->env->ops->fstat(t->env, fd, &st), HIF_OK);
        return (uint64_t)st.st_size;
}

struct sizes {
        struct tfetch *t;
        uint64_t total;
        size_t files;
};

static bool add_size(void *arg, const char *name)
{
        struct sizes *sizes = arg;
        struct stat st;
        char path[300];

        snprintf(path, sizeof(path), DIR_PATH "/%s", name);
        if (sizes->t->env->ops->stat(sizes->t->env, path, &st) == HIF_OK) {
                sizes->total += (uint64_t)st.st_size;
                sizes->files++;
        }
        return true;
}

static struct sizes on_disk(struct tfetch *t)
{
        struct sizes sizes = {.t = t};

        assert_int_equal(t->env->ops->list(t->env, DIR_PATH, add_size, &sizes), HIF_OK);
        return sizes;
}

/* What was fetched once is there after a restart, without the store: an unsealed segment is
 * walked. */
static void objects_survive_a_restart(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[30];

        for (size_t i = 0; i < 30; i++)
                wants[i] = tput_blob(t, i, 1000 + i);
        get_all(t, wants, 30);
        for (int round = 0; round < 3; round++) {
                tfetch_restart(t);
                get_all(t, wants, 30);
                for (size_t i = 0; i < 30; i++)
                        texpect_content(t, &wants[i], i, 1000 + i);
                texpect(t, ssd_hits, 30);
        }
        assert_int_equal(tgets(t), 30);
}

/* Sealed segments are found again by their footers, and there are as many as it takes. */
static void sealed_segments_survive_a_restart(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[40];

        for (size_t i = 0; i < 40; i++)
                wants[i] = tput_blob(t, i, 1 << 20);
        get_all(t, wants, 40);
        assert_true(on_disk(t).files >= 5);
        tfetch_restart(t);
        get_all(t, wants, 40);
        assert_int_equal(tgets(t), 40);
        texpect(t, ssd_hits, 40);
        texpect(t, ssd_bytes, fetch_stats(t->fetch).ssd_bytes);
}

/* A store that is as near as the SSD is not copied there. */
static void local_store_skips_the_tier(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want want = tput_blob(t, 1, 1000);

        tfetch_close(t);
        t->store->local = true;
        tfetch_open(t);
        get_all(t, &want, 1);
        texpect(t, ssd_bytes, 0);
        t->config.ssd_for_local = true;
        tfetch_restart(t);
        get_all(t, &want, 1);
        assert_true(fetch_stats(t->fetch).ssd_bytes > 1000);
}

/* A bit that flips on the SSD is noticed, and healed from the store, for good. */
static void flipped_bit_is_healed_from_the_store(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[3];
        uint8_t byte;
        int fd;

        for (size_t i = 0; i < 3; i++)
                wants[i] = tput_blob(t, i, 1000);
        get_all(t, wants, 3);
        tfetch_close(t);
        fd = open_segment(t, 'd');
        assert_int_equal(env_read_all(t->env, fd, &byte, 1, 1052 + 500), HIF_OK);
        byte ^= 4;
        assert_int_equal(env_write_all(t->env, fd, &byte, 1, 1052 + 500), HIF_OK);
        t->env->ops->close(t->env, fd);
        tfetch_open(t);
        get_all(t, wants, 3);
        texpect_content(t, &wants[1], 1, 1000);
        texpect(t, corrupt, 1);
        texpect(t, store_blobs, 1);
        tfetch_restart(t);
        get_all(t, wants, 3);
        texpect(t, store_blobs, 0);
}

/* A segment cut anywhere gives what is whole before the cut, never anything wrong. */
static void truncated_segment_gives_what_is_whole(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[10];
        uint64_t random = 5, size;
        int fd;

        for (size_t i = 0; i < 10; i++)
                wants[i] = tput_blob(t, i, 1000);
        get_all(t, wants, 10);
        for (int round = 0; round < 20; round++) {
                uint64_t cut, before, whole = 0;

                tfetch_close(t);
                fd = open_segment(t, 'd');
                size = size_of(t, fd);
                cut = trandom(&random) % size;
                assert_int_equal(t->env->ops->ftruncate(t->env, fd, cut), HIF_OK);
                t->env->ops->close(t->env, fd);
                whole = cut / 1052;
                before = tgets(t);
                tfetch_open(t);
                get_all(t, wants, 10);
                texpect(t, ssd_hits, whole);
                assert_int_equal(tgets(t) - before, 10 - whole);
                for (size_t i = 0; i < 10; i++)
                        texpect_content(t, &wants[i], i, 1000);
        }
}

/* After a power cut the directory may hold any mix of what was written: it opens, and serves
 * nothing wrong. */
static void power_cut_leaves_a_usable_cache(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[60];

        for (size_t i = 0; i < 60; i++)
                wants[i] = tput_blob(t, i, 1000 * (i + 1));
        for (int round = 0; round < 5; round++) {
                get_all(t, wants, 60);
                tfetch_close(t);
                simenv_power_cut(t->sim);
                tfetch_open(t);
        }
        get_all(t, wants, 60);
        for (size_t i = 50; i < 60; i++)
                texpect_content(t, &wants[i], i, 1000 * (i + 1));
}

/* Random load far over the limit: the files never hold more, and go on being useful. */
static void limit_holds_under_random_load(void **state)
{
        struct tfetch *t = *state;
        uint64_t random = 3;

        t->config.ssd_max = 2 * MIB;
        t->config.ram_max = 256 << 10;
        tfetch_restart(t);
        for (uint64_t i = 0; i < 600; i++) {
                size_t size = trandom(&random) % (trandom(&random) % 16 ? 20000 : 900000);
                struct fetch_want want = tput_blob(t, i, size);

                assert_int_equal(tget(t, &want), HIF_OK);
                fetch_quiesce(t->fetch);
                assert_true(on_disk(t).total <= 2 * MIB);
                assert_true(fetch_stats(t->fetch).ssd_bytes <= 2 * MIB);
                if (i % 200 == 199)
                        tfetch_restart(t);
        }
        assert_true(fetch_stats(t->fetch).ssd_bytes > MIB);
        t->config.ssd_max = MIB / 2;
        tfetch_restart(t);
        assert_true(on_disk(t).total <= MIB / 2);
}

/* Blobs push out blobs, while tree nodes stay. */
static void nodes_outlive_blobs(void **state)
{
        struct tfetch *t = *state;
        struct hif_hash root = tput_tree(t, "", 2000, 10, NULL);
        struct fetch_nodes_blocking nodes;
        uint64_t count, read;

        t->config.ssd_max = 4 * MIB;
        tfetch_restart(t);
        fetch_nodes_blocking_init(&nodes, t->origin);
        assert_int_equal(tree_touch(&nodes.source, &root, span_str(""), span_str(""), 10000),
                         HIF_OK);
        fetch_quiesce(t->fetch);
        read = fetch_stats(t->fetch).store_nodes;
        assert_true(read > 5);
        for (size_t i = 0; i < 40; i++) {
                struct fetch_want want = tput_blob(t, i, 400000);

                get_all(t, &want, 1);
        }
        tfetch_restart(t);
        fetch_nodes_blocking_init(&nodes, t->origin);
        assert_int_equal(tree_touch(&nodes.source, &root, span_str(""), span_str(""), 10000),
                         HIF_OK);
        assert_int_equal(tree_count(&nodes.source, &root, &count), HIF_OK);
        texpect(t, store_nodes, 0);
        texpect(t, ssd_hits, read);
}

/* What is mounted keeps its nodes, also when they are more than half of the limit: blobs give way. */
static void held_nodes_stay_beyond_half(void **state)
{
        struct tfetch *t = *state;
        struct hif_hash root = tput_tree(t, "", 4000, 10, NULL);
        struct fetch_nodes_blocking nodes;
        uint64_t count, read, bytes;

        tfetch_restart(t);
        fetch_nodes_blocking_init(&nodes, t->origin);
        assert_int_equal(tree_touch(&nodes.source, &root, span_str(""), span_str(""), 10000),
                         HIF_OK);
        fetch_quiesce(t->fetch);
        read = fetch_stats(t->fetch).store_nodes;
        bytes = fetch_stats(t->fetch).ssd_bytes;
        t->config.ssd_max = bytes * 5 / 4; /* from now on, nodes are four fifths of it */
        tfetch_restart(t);
        for (size_t i = 0; i < 40; i++) {
                struct fetch_want want = tput_blob(t, i, (size_t)bytes / 16);

                get_all(t, &want, 1);
                assert_true(fetch_stats(t->fetch).ssd_bytes <= t->config.ssd_max);
        }
        tfetch_restart(t);
        fetch_nodes_blocking_init(&nodes, t->origin);
        assert_int_equal(tree_touch(&nodes.source, &root, span_str(""), span_str(""), 10000),
                         HIF_OK);
        assert_int_equal(tree_count(&nodes.source, &root, &count), HIF_OK);
        texpect(t, store_nodes, 0);
        texpect(t, ssd_hits, read);
}

/* A full disk costs the tier, not the answer. */
static void full_disk_is_survived(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[20];

        simenv_set_capacity(t->sim, 20000);
        for (size_t i = 0; i < 20; i++)
                wants[i] = tput_blob(t, i, 5000);
        get_all(t, wants, 20);
        simenv_set_capacity(t->sim, UINT64_MAX);
        simenv_advance(t->sim, 60000000000ull);
        tfetch_restart(t);
        get_all(t, wants, 20);
        assert_true(fetch_stats(t->fetch).ssd_hits > 0);
        for (size_t i = 0; i < 20; i++)
                texpect_content(t, &wants[i], i, 5000);
}

/* Every file call that fails: the answer is right all the same. */
static void failing_file_calls_cost_only_the_tier(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[8];

        for (size_t i = 0; i < 8; i++)
                wants[i] = tput_blob(t, i, 3000);
        for (uint64_t nth = 1; nth < 40; nth++) {
                t->config.ram_max = 10000;
                tfetch_restart(t);
                simenv_fail_at(t->sim, nth, HIF_EIO);
                get_all(t, wants, 8);
                get_all(t, wants, 8);
                texpect_content(t, &wants[7], 7, 3000);
                simenv_fail_at(t->sim, 0, HIF_OK);
                simenv_advance(t->sim, 60000000000ull);
        }
}

/* Two processes do not write one directory: the second is told so, unless the first is dying. */
static void second_user_is_refused(void **state)
{
        char dir[] = "/tmp/hif-ssd-XXXXXX";
        char path[64], lock[80];
        struct env env = env_system(NULL);
        struct fetch_config config = {.ssd_max = MIB, .no_timer = true};
        struct fetch *first, *second;
        pid_t pid;
        struct pool *pool;
        struct hif_why why = {""};

        (void)state;
        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/cache", dir);
        config.ssd_dir = path;
        assert_int_equal(pool_new(0, "test", &pool), HIF_OK);
        assert_int_equal(fetch_new(&env, pool, &config, &first, &why), HIF_OK);
        assert_int_equal(fetch_new(&env, pool, &config, &second, &why), HIF_EBUSY);
        assert_non_null(strstr(why.text, path));
        fetch_free(first);
        snprintf(lock, sizeof(lock), "%s/lock", path);
        pid = lock_holder_start(lock, false);
        assert_int_equal(fetch_new(&env, pool, &config, &second, &why), HIF_OK);
        lock_holder_end(pid);
        fetch_free(second);
        pool_free(pool);
        snprintf(path, sizeof(path), "%s/cache/lock", dir);
        assert_int_equal(unlink(path), 0);
        snprintf(path, sizeof(path), "%s/cache", dir);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(rmdir(dir), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(objects_survive_a_restart),
            TEST(sealed_segments_survive_a_restart),
            TEST(local_store_skips_the_tier),
            TEST(flipped_bit_is_healed_from_the_store),
            TEST(truncated_segment_gives_what_is_whole),
            TEST(power_cut_leaves_a_usable_cache),
            TEST(limit_holds_under_random_load),
            TEST(nodes_outlive_blobs),
            TEST(held_nodes_stay_beyond_half),
            TEST(full_disk_is_survived),
            TEST(failing_file_calls_cost_only_the_tier),
            cmocka_unit_test(second_user_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
