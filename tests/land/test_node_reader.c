/* Reading ranges of a tree ahead: what it costs in round trips. */
#include "tests/land/tland.h"
#include "tests/land/trips.h"

#include <stdlib.h>

#define FILES 500

struct far {
        struct tproject tp;
        struct trips trips;
        struct project project; /* the same, with every trip counted */
        struct hif_hash root;
        char names[FILES][16];
};

/* Nodes of few entries, so that a few hundred files make a tree of several levels. target: of
 * symbolic links, instead of the files. */
static int make(void **state, const char *target)
{
        struct far *far = calloc(1, sizeof(*far));
        struct tsession *ts = calloc(1, sizeof(*ts));
        struct slot_read slot;
        struct hif_why why;

        assert_true(far && ts);
        tproject_open(&far->tp, NULL, 0);
        far->tp.project.format.tree = (struct tree_params){.leaf_min = 2,
                                                           .leaf_mean = 4,
                                                           .leaf_max = 8,
                                                           .inner_min = 2,
                                                           .inner_mean = 4,
                                                           .inner_max = 8,
                                                           .seed = 1};
        tsession_open(ts, &far->tp, 0);
        for (int i = 0; i < FILES; i++) {
                snprintf(far->names[i], sizeof(far->names[i]), "%c%d", 'a' + i % 20, i);
                if (target)
                        tsession_link(ts, far->names[i], target);
                else
                        tsession_put(ts, far->names[i], "x");
        }
        assert_int_equal(tsession_land(ts), HIF_OK);
        tsession_close(ts);
        free(ts);
        assert_int_equal(project_slot(&far->tp.project, 1, false, &slot, &why), HIF_OK);
        far->root = slot.slot.tree;
        slot_read_free(&slot);
        trips_init(&far->trips, &far->tp.env, far->tp.store);
        far->project = far->tp.project;
        far->project.store = &far->trips.store;
        *state = far;
        return 0;
}

static int setup(void **state)
{
        return make(state, NULL);
}

/* Entries, and so nodes, of many bytes. */
static int setup_large(void **state)
{
        static char target[4001];

        memset(target, 'x', sizeof(target) - 1);
        return make(state, target);
}

static int teardown(void **state)
{
        struct far *far = *state;

        tproject_close(&far->tp);
        free(far);
        return 0;
}

static struct node_reader *new_reader(struct far *far, size_t cache_bytes)
{
        struct node_reader *reader;

        assert_int_equal(node_reader_new(&far->project, cache_bytes, &reader), HIF_OK);
        far->trips.trips = far->trips.requests = 0;
        return reader;
}

static uint64_t count_levels(struct far *far)
{
        struct node_reader *reader = new_reader(far, 1 << 20);
        struct tree_source *source = node_reader_source(reader);
        struct tree_node node;
        uint64_t levels;

        assert_int_equal(source->get(source, &far->root, &node), HIF_OK);
        levels = node.level + 1u;
        source->put(source, &node);
        node_reader_free(reader);
        return levels;
}

/* How many entries a walk over all keys from `from` on gives. */
static size_t walk(struct far *far, struct node_reader *reader, struct span from)
{
        struct tree_cursor cursor;
        size_t count = 0;
        enum hif_err err;

        tree_cursor_init(&cursor, node_reader_source(reader));
        err = tree_seek(&cursor, &far->root, from);
        for (; err == HIF_OK; count++)
                err = tree_next(&cursor);
        assert_int_equal(err, HIF_ENOENT);
        tree_cursor_close(&cursor);
        return count;
}

static void touch(struct far *far, struct node_reader *reader, struct span from, struct span to)
{
        assert_int_equal(node_reader_touch_range(reader, &far->root, from, to), HIF_OK);
}

/* A walk alone costs a trip a node; after the range was asked for, none, and that cost a trip a
 * level for every 64 nodes. */
static void a_range_costs_a_trip_a_level(void **state)
{
        struct far *far = *state;
        uint64_t levels = count_levels(far);
        struct node_reader *reader = new_reader(far, 64 << 20);
        uint64_t nodes;

        assert_int_equal(walk(far, reader, span_str("")), FILES + 1);
        nodes = far->trips.trips;
        assert_int_equal(far->trips.requests, nodes);
        assert_true(nodes > 128 && levels > 3);
        node_reader_free(reader);

        reader = new_reader(far, 64 << 20);
        touch(far, reader, span_str(""), span_str(""));
        assert_int_equal(far->trips.requests, nodes);
        assert_true(far->trips.trips <= levels + nodes / 64);
        far->trips.requests = 0;
        assert_int_equal(walk(far, reader, span_str("")), FILES + 1);
        assert_int_equal(far->trips.requests, 0);
        node_reader_free(reader);
}

/* The nodes outside of a range are left alone. */
static void a_part_costs_its_part(void **state)
{
        struct far *far = *state;
        uint64_t levels = count_levels(far);
        struct node_reader *reader = new_reader(far, 64 << 20);
        struct buf from = {0}, to = {0};

        key_from_path(&from, span_str(far->names[7]));
        key_from_path(&to, span_str(far->names[7]));
        buf_put_u8(&to, 0);
        touch(far, reader, buf_span(&from), buf_span(&to));
        assert_int_equal(far->trips.trips, levels);
        assert_int_equal(far->trips.requests, levels);
        buf_free(&from);
        buf_free(&to);
        node_reader_free(reader);
}

/* More than the cache holds is read in pieces, each when the walk gets there: every entry is given,
 * no node is read twice, and still many come with a trip. */
static void expect_pieces(struct far *far, size_t cache_bytes)
{
        struct node_reader *reader = new_reader(far, 64 << 20);
        uint64_t nodes;

        assert_int_equal(walk(far, reader, span_str("")), FILES + 1);
        nodes = far->trips.requests;
        node_reader_free(reader);
        reader = new_reader(far, cache_bytes);
        touch(far, reader, span_str(""), span_str(""));
        assert_true(far->trips.requests < nodes * 2 / 3);
        assert_int_equal(walk(far, reader, span_str("")), FILES + 1);
        assert_int_equal(far->trips.requests, nodes);
        assert_true(far->trips.trips < nodes / 4);
        node_reader_free(reader);
}

static void a_range_of_many_nodes_is_read_in_pieces(void **state)
{
        expect_pieces(*state, 64 * 16384);
}

static void a_range_of_many_bytes_is_read_in_pieces(void **state)
{
        expect_pieces(*state, 1500000);
}

/* A walk that is elsewhere, or that has left the range, reads what it needs and no more. */
static void other_walks_read_nothing_ahead(void **state)
{
        struct far *far = *state;
        uint64_t levels = count_levels(far);
        struct node_reader *reader = new_reader(far, 16 * 16384);
        struct tree_cursor cursor;
        struct buf middle = {0};

        assert_int_equal(node_reader_prefetch(reader, &far->root, 1), HIF_OK);
        tree_cursor_init(&cursor, node_reader_source(reader));
        assert_int_equal(tree_seek_rank(&cursor, &far->root, FILES / 2), HIF_OK);
        buf_put_span(&middle, tree_cursor_key(&cursor));
        tree_cursor_close(&cursor);
        touch(far, reader, span_str(""), buf_span(&middle)); /* more than its 16 nodes */
        far->trips.requests = 0;
        tree_cursor_init(&cursor, node_reader_source(reader));
        assert_int_equal(tree_seek_rank(&cursor, &far->root, FILES - 1), HIF_OK);
        tree_cursor_close(&cursor);
        assert_true(far->trips.requests <= levels);
        buf_free(&middle);
        node_reader_free(reader);
}

/* A node that is missing is an error of the range, too. */
static void a_missing_node_is_an_error(void **state)
{
        struct far *far = *state;
        struct layout_key key = layout_node(&far->project.layout, &far->root);
        struct node_reader *reader = new_reader(far, 1 << 20);

        tproject_drop(&far->tp, key.text);
        assert_int_equal(node_reader_touch_range(reader, &far->root, span_str(""), span_str("")),
                         HIF_ECORRUPT);
        node_reader_free(reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(a_range_costs_a_trip_a_level),
            TEST(a_part_costs_its_part),
            TEST(a_range_of_many_nodes_is_read_in_pieces),
            cmocka_unit_test_setup_teardown(a_range_of_many_bytes_is_read_in_pieces, setup_large,
                                            teardown),
            TEST(other_walks_read_nothing_ahead),
            TEST(a_missing_node_is_an_error),
        };

        return cmocka_run_group_tests_name("node reader", tests, NULL, NULL);
}
