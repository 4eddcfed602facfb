/* Hints and prefetch: few requests, behind all demand, bounded, and gone when cancelled. */
#include "tfetch.h"

#include <stdlib.h>

#define FILES 200

static int setup(void **state)
{
        struct tfetch *t = malloc(sizeof(*t));

        assert_non_null(t);
        tfetch_start(t, &(struct tfetch_options){
                            .simulated = true, .config = {.ram_max = 64 << 20, .no_timer = true}});
        *state = t;
        return 0;
}

static int teardown(void **state)
{
        tfetch_stop(*state);
        free(*state);
        return 0;
}

static size_t resident_count(struct tfetch *t, const struct fetch_want *wants, size_t count)
{
        size_t resident = 0;

        for (size_t i = 0; i < count; i++)
                resident += tresident(t, &wants[i]);
        return resident;
}

static struct buf prefix_of(const char *dir)
{
        struct buf prefix = {0};

        key_prefix(&prefix, span_str(dir));
        return prefix;
}

/* Opening a directory of 200 small files costs a few requests, most of them for nodes. */
static void opening_a_directory_brings_its_files(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[FILES];
        struct hif_hash root = tput_tree(t, "src/lib", FILES, 2000, wants);
        AUTO_BUF struct buf prefix = prefix_of("src/lib");
        struct fetch_stats stats;

        prefetch_directory(t->hints, &root, buf_span(&prefix), 8 << 20);
        fetch_quiesce(t->fetch);
        assert_int_equal(resident_count(t, wants, FILES), FILES);
        stats = fetch_stats(t->fetch);
        assert_in_range(stats.store_requests - stats.store_nodes, 1, 2);
        assert_in_range(stats.store_requests, 2, 12);
        assert_int_equal(stats.hints, FILES);
        assert_int_equal(stats.hints_useful, FILES);
        assert_int_equal(stats.pinned_bytes, 0);
}

/* A second look at the same directory asks for nothing. */
static void what_is_there_is_not_asked_for_again(void **state)
{
        struct tfetch *t = *state;
        struct hif_hash root = tput_tree(t, "", FILES, 2000, NULL);
        AUTO_BUF struct buf prefix = prefix_of("");
        uint64_t before;

        prefetch_directory(t->hints, &root, buf_span(&prefix), 8 << 20);
        fetch_quiesce(t->fetch);
        before = tgets(t);
        prefetch_directory(t->hints, &root, buf_span(&prefix), 8 << 20);
        fetch_quiesce(t->fetch);
        assert_int_equal(tgets(t), before);
}

/* It stays within the bytes that it was given, and source comes before pictures. */
static void prefetch_is_bounded_and_takes_source_first(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[FILES];
        struct hif_hash root = tput_tree(t, "", FILES, 2000, wants);
        AUTO_BUF struct buf prefix = prefix_of("");
        struct fetch_nodes_blocking nodes;
        struct tree_cursor cursor;
        size_t source = 0, binary = 0;
        enum hif_err err;

        /* Of 200 files, every tenth is a picture: room for all the source and 5 pictures. */
        prefetch_directory(t->hints, &root, buf_span(&prefix), 185 * 2000);
        fetch_quiesce(t->fetch);
        assert_int_equal(resident_count(t, wants, FILES), 185);
        fetch_nodes_blocking_init(&nodes, t->origin);
        tree_cursor_init(&cursor, &nodes.source);
        for (err = tree_seek_rank(&cursor, &root, 1); !err; err = tree_next(&cursor)) {
                struct span name = key_name(tree_cursor_key(&cursor));
                struct fetch_want want = {.kind = FETCH_BLOB};
                struct entry entry;

                tree_cursor_entry(&cursor, &entry);
                want.hash = entry.hash;
                *(name.data[name.size - 1] == 'c' ? &source : &binary) += tresident(t, &want);
        }
        tree_cursor_close(&cursor);
        assert_int_equal(source, 180);
        assert_int_equal(binary, 5);
}

/* The key of the file at `index` in the order of the tree, behind the root and a directory. */
static struct buf key_at(struct tfetch *t, const struct hif_hash *root, size_t index)
{
        struct fetch_nodes_blocking nodes;
        struct tree_cursor cursor;
        struct buf key = {0};

        fetch_nodes_blocking_init(&nodes, t->origin);
        tree_cursor_init(&cursor, &nodes.source);
        assert_int_equal(tree_seek_rank(&cursor, root, 2 + index), HIF_OK);
        buf_put_span(&key, tree_cursor_key(&cursor));
        tree_cursor_close(&cursor);
        return key;
}

/* Around the near part, no more entries are brought than were asked for. */
static void a_wide_range_ends_where_it_was_told_to(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[FILES];
        struct hif_hash root = tput_tree(t, "src/lib", FILES, 2000, wants);
        AUTO_BUF struct buf near = key_at(t, &root, 100), near_end = key_at(t, &root, 150);
        AUTO_BUF struct buf from = prefix_of("src");
        struct prefetch_range range = {.near_from = buf_span(&near),
                                       .near_to = buf_span(&near_end),
                                       .wide = true,
                                       .from = buf_span(&from),
                                       .entries_max = 80};

        prefetch_range(t->hints, &root, &range, 1000 * 2000);
        fetch_quiesce(t->fetch);
        assert_int_equal(resident_count(t, wants + 100, 50), 50);
        assert_in_range(resident_count(t, wants, FILES), 50 + 70, 50 + 80);
}

/* Of a wide range the near part comes first; what is counted is what was asked for, and what is
 * there already leaves its room to others. */
static void wide_range_brings_the_near_part_first(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[FILES];
        struct hif_hash root = tput_tree(t, "src/lib", FILES, 2000, wants);
        AUTO_BUF struct buf near = key_at(t, &root, 100), near_end = key_at(t, &root, 150);
        AUTO_BUF struct buf from = prefix_of("src"), to = {0};
        struct prefetch_range range = {.near_from = buf_span(&near),
                                       .near_to = buf_span(&near_end),
                                       .wide = true,
                                       .from = buf_span(&from)};
        struct fetch_hinted hinted;

        key_prefix_end(&to, range.from);
        range.to = buf_span(&to);
        prefetch_range(t->hints, &root, &range, 60 * 2000);
        fetch_quiesce(t->fetch);
        assert_int_equal(resident_count(t, wants + 100, 50), 50);
        assert_int_equal(resident_count(t, wants, 10), 10);
        assert_int_equal(resident_count(t, wants, FILES), 60);
        prefetch_range(t->hints, &root, &range, 60 * 2000);
        fetch_quiesce(t->fetch);
        assert_int_equal(resident_count(t, wants, FILES), 120);
        hinted = fetch_hints_total(t->hints);
        assert_int_equal(hinted.objects, 120);
        assert_int_equal(hinted.bytes, 120 * 2000);
        assert_false(hinted.searching);
}

struct early {
        struct fetch_waiter waiter; /* first */
        struct tfetch *t;
        const struct fetch_want *hinted;
        size_t resident;
};

static void count_resident(struct fetch_waiter *waiter, enum hif_err err)
{
        struct early *early = (struct early *)waiter;

        assert_int_equal(err, HIF_OK);
        early->resident = resident_count(early->t, early->hinted, 60);
}

/* Of many hints that travel in one request, the one that somebody waits for is handed out first. */
static void wanted_hint_is_decoded_first(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want hinted[60];
        struct early early = {
            .waiter.done = count_resident, .t = t, .hinted = hinted, .resident = 60};

        tput_pack(t, 1, 1000, 60, hinted);
        tfault(t, NULL, 0, UINT64_MAX, STORE_FAULT_HOLD, HIF_OK);
        fetch_hint(t->hints, hinted, 60);
        assert_int_equal(store_fault_waiting(t->store), 1);
        assert_true(fetch_is_coming(t->fetch, FETCH_BLOB, &hinted[59].hash));
        fetch_want(t->origin, &hinted[59], 1, &early.waiter);
        assert_int_equal(store_fault_waiting(t->store), 1);
        store_fault_clear(t->store);
        store_fault_deliver(t->store);
        fetch_quiesce(t->fetch);
        assert_int_equal(early.resident, 1);
        assert_int_equal(resident_count(t, hinted, 60), 60);
        assert_false(fetch_is_coming(t->fetch, FETCH_BLOB, &hinted[59].hash));
        fetch_waiter_release(&early.waiter);
}

/* A directory whose nodes cannot be had leaves no trace. */
static void missing_nodes_end_the_prefetch(void **state)
{
        struct tfetch *t = *state;
        struct hif_hash root = {{1}};
        AUTO_BUF struct buf prefix = prefix_of("src");

        prefetch_directory(t->hints, &root, buf_span(&prefix), 8 << 20);
        fetch_quiesce(t->fetch);
        texpect(t, ram_objects, 0);
}

/* What is not in flight when the client turns elsewhere is dropped. */
static void cancelled_hints_are_dropped(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[60];

        t->config.requests_max = 8; /* and so 4 for hints */
        tfetch_restart(t);
        for (size_t i = 0; i < 60; i++)
                wants[i] = tput_blob(t, i, 1000);
        tfault(t, NULL, 0, UINT64_MAX, STORE_FAULT_HOLD, HIF_OK);
        fetch_hint(t->hints, wants, 60);
        assert_int_equal(store_fault_waiting(t->store), 4);
        fetch_hints_cancel(t->hints);
        store_fault_clear(t->store);
        store_fault_deliver(t->store);
        fetch_quiesce(t->fetch);
        assert_int_equal(tgets(t), 4);
        assert_int_equal(resident_count(t, wants, 60), 4);
        texpect(t, hints_dropped, 56);
}

/* Opening another directory cancels what the first had not got yet. */
static void next_directory_cancels_the_last(void **state)
{
        struct tfetch *t = *state;
        struct hif_hash root = tput_tree(t, "", FILES, 2000, NULL);
        AUTO_BUF struct buf prefix = prefix_of("");
        AUTO_BUF struct buf other = prefix_of("other");

        tfault(t, NULL, 0, UINT64_MAX, STORE_FAULT_HOLD, HIF_OK);
        prefetch_directory(t->hints, &root, buf_span(&prefix), 8 << 20);
        pool_drain(t->pool);
        prefetch_directory(t->hints, &root, buf_span(&other), 8 << 20);
        store_fault_clear(t->store);
        store_fault_deliver(t->store);
        fetch_quiesce(t->fetch);
        texpect(t, store_blobs, 0);
}

/* The order in which the store is asked, from a store that answers later. */
static void demand_overtakes_hints(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want hinted[60], wanted = tput_blob(t, 100, 1000);
        struct twait wait;

        t->config.requests_max = 4;
        tfetch_restart(t);
        for (size_t i = 0; i < 60; i++)
                hinted[i] = tput_blob(t, i, 1000);
        tfault(t, NULL, 0, UINT64_MAX, STORE_FAULT_HOLD, HIF_OK);
        fetch_hint(t->hints, hinted, 60);
        assert_int_equal(store_fault_waiting(t->store), 2);
        twant(t, &wait, &wanted, 1);
        assert_int_equal(store_fault_waiting(t->store), 3);
        assert_int_equal(wait.done, 0);
        store_fault_deliver(t->store);
        pool_drain(t->pool);
        assert_int_equal(wait.done, 1);
        assert_int_equal(resident_count(t, hinted, 60), 2);
        store_fault_clear(t->store);
        store_fault_deliver(t->store);
        fetch_quiesce(t->fetch);
        fetch_waiter_release(&wait.waiter);
        assert_int_equal(resident_count(t, hinted, 60), 60);
}

/* While demand is queued, no hint is sent. */
static void hints_wait_for_queued_demand(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want hinted[60], wanted[10];
        struct twait wait;

        t->config.requests_max = 4;
        tfetch_restart(t);
        for (size_t i = 0; i < 60; i++)
                hinted[i] = tput_blob(t, i, 1000);
        for (size_t i = 0; i < 10; i++)
                wanted[i] = tput_blob(t, 100 + i, 1000);
        tfault(t, NULL, 0, UINT64_MAX, STORE_FAULT_HOLD, HIF_OK);
        fetch_hint(t->hints, hinted, 60);
        twant(t, &wait, wanted, 10);
        assert_int_equal(store_fault_waiting(t->store), 2 + 4);
        store_fault_deliver(t->store);
        pool_drain(t->pool);
        assert_int_equal(store_fault_waiting(t->store), 4);
        store_fault_deliver(t->store);
        pool_drain(t->pool);
        assert_int_equal(store_fault_waiting(t->store), 2 + 2);
        store_fault_clear(t->store);
        store_fault_deliver(t->store);
        fetch_quiesce(t->fetch);
        assert_int_equal(wait.err, HIF_OK);
        fetch_waiter_release(&wait.waiter);
}

/* A hint that somebody waits for now goes before the other hints. */
static void wanted_hint_goes_first(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want hinted[60];
        struct twait wait;

        t->config.requests_max = 4;
        tfetch_restart(t);
        for (size_t i = 0; i < 60; i++)
                hinted[i] = tput_blob(t, i, 1000);
        tfault(t, NULL, 0, UINT64_MAX, STORE_FAULT_HOLD, HIF_OK);
        fetch_hint(t->hints, hinted, 60);
        twant(t, &wait, &hinted[59], 1);
        store_fault_deliver(t->store);
        pool_drain(t->pool);
        assert_int_equal(wait.done, 1);
        assert_int_equal(resident_count(t, hinted, 60), 3);
        store_fault_clear(t->store);
        store_fault_deliver(t->store);
        fetch_quiesce(t->fetch);
        assert_int_equal(tgets(t), 60);
        fetch_waiter_release(&wait.waiter);
}

/* Hints are bounded in number and bytes; beyond, they are dropped and counted. */
static void hints_are_bounded(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want *wants = calloc(10000, sizeof(*wants));
        uint64_t random = 1;

        assert_non_null(wants);
        for (size_t i = 0; i < 10000; i++) {
                uint64_t value = trandom(&random);

                wants[i].kind = FETCH_BLOB;
                memcpy(wants[i].hash.bytes, &value, sizeof(value));
        }
        tfault(t, NULL, 0, UINT64_MAX, STORE_FAULT_HOLD, HIF_OK);
        fetch_hint(t->hints, wants, 10000);
        texpect(t, hints, 4096);
        texpect(t, hints_dropped, 10000 - 4096);
        fetch_hints_cancel(t->hints);
        for (size_t i = 0; i < 10000; i++)
                wants[i].size = 1 << 20;
        fetch_hint(t->hints, wants + 5000, 100);
        texpect(t, hints, 4096 + 16);
        fetch_hints_cancel(t->hints);
        store_fault_clear(t->store);
        store_fault_deliver(t->store);
        fetch_quiesce(t->fetch);
        free(wants);
}

/* A sequential reader gets the chunks of its range, through lists of lists, and no others. */
static void reader_gets_its_chunks(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want blobs[12], lists[3], top;
        struct chunk chunks[4], subs[3];
        struct entry entry = {.kind = ENTRY_FILE};

        for (size_t i = 0; i < 3; i++) {
                for (size_t j = 0; j < 4; j++) {
                        blobs[i * 4 + j] = tput_blob(t, i * 4 + j, 1 << 20);
                        chunks[j] = (struct chunk){blobs[i * 4 + j].hash, 1 << 20};
                }
                lists[i] = tput_list(t, 0, chunks, 4);
                subs[i] = (struct chunk){lists[i].hash, 4 << 20};
        }
        top = tput_list(t, 1, subs, 3);
        entry.hash = top.hash;
        entry.size = 12 << 20;
        prefetch_chunks(t->hints, &entry, (3 << 20) + 5, 2 << 20);
        fetch_quiesce(t->fetch);
        assert_int_equal(resident_count(t, blobs, 12), 3);
        assert_int_equal(resident_count(t, blobs + 3, 3), 3);
        assert_false(tresident(t, &lists[2]));
        /* To the end, and past it. */
        prefetch_chunks(t->hints, &entry, 11 << 20, UINT64_MAX);
        prefetch_chunks(t->hints, &entry, 12 << 20, 1);
        fetch_quiesce(t->fetch);
        assert_int_equal(resident_count(t, blobs, 12), 4);
        assert_true(tresident(t, &blobs[11]));
}

/* A file of one blob is hinted at as it is, by its location. */
static void small_file_is_its_own_chunk(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want want;
        struct entry entry = {.kind = ENTRY_FILE};

        tput_pack(t, 1, 3000, 1, &want);
        entry.hash = want.hash;
        entry.size = want.size;
        entry.loc = want.loc;
        prefetch_chunks(t->hints, &entry, 0, 100);
        fetch_quiesce(t->fetch);
        texpect_content(t, &want, 1, 3000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(opening_a_directory_brings_its_files),
            TEST(what_is_there_is_not_asked_for_again),
            TEST(prefetch_is_bounded_and_takes_source_first),
            TEST(a_wide_range_ends_where_it_was_told_to),
            TEST(wide_range_brings_the_near_part_first),
            TEST(wanted_hint_is_decoded_first),
            TEST(missing_nodes_end_the_prefetch),
            TEST(cancelled_hints_are_dropped),
            TEST(next_directory_cancels_the_last),
            TEST(demand_overtakes_hints),
            TEST(hints_wait_for_queued_demand),
            TEST(wanted_hint_goes_first),
            TEST(hints_are_bounded),
            TEST(reader_gets_its_chunks),
            TEST(small_file_is_its_own_chunk),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
