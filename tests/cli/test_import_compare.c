/* Holding a directory against a project: what it costs in round trips, and that the answer does not
 * depend on how much of the tree fits in memory. */
#include "cli/import/import.h"
#include "tests/land/tland.h"
#include "tests/land/trips.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 500

static void write_file(int dir, const char *name)
{
        int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, "x", 1), 1);
        close(fd);
}

/* A project of FILES files, and a directory that has all of them but every tenth. */
static void make(struct tproject *tp, const char *dir)
{
        struct tsession *ts = calloc(1, sizeof(*ts));
        static char names[FILES][16];
        int fd = open(dir, O_RDONLY | O_DIRECTORY);

        assert_true(ts && fd >= 0);
        tp->project.format.tree = (struct tree_params){.leaf_min = 2,
                                                       .leaf_mean = 4,
                                                       .leaf_max = 8,
                                                       .inner_min = 2,
                                                       .inner_mean = 4,
                                                       .inner_max = 8,
                                                       .seed = 1};
        tsession_open(ts, tp, 0);
        for (int i = 0; i < FILES; i++) {
                snprintf(names[i], sizeof(names[i]), "f%d", i);
                tsession_put(ts, names[i], "x");
                if (i % 10 != 0)
                        write_file(fd, names[i]);
        }
        assert_int_equal(tsession_land(ts), HIF_OK);
        tsession_close(ts);
        free(ts);
        close(fd);
}

/* Compare with a cache of this size; how many trips that took. */
static uint64_t compare(struct tproject *tp, const char *dir, size_t cache_bytes)
{
        struct cli cli = {.env = tp->env};
        struct trips trips;
        struct project project = tp->project;
        struct node_reader *reader;
        struct import_changes changes;
        struct slot_read slot;
        struct walk walk;
        struct hif_why why = {.text = ""};
        size_t removed = 0;

        assert_int_equal(project_slot(&project, 1, false, &slot, &why), HIF_OK);
        trips_init(&trips, &tp->env, tp->store);
        project.store = &trips.store;
        assert_int_equal(node_reader_new(&project, cache_bytes, &reader), HIF_OK);
        assert_int_equal(import_walk(&walk, &cli, tp->pool, dir, open(dir, O_RDONLY | O_DIRECTORY),
                                     true, NULL, NULL, &why),
                         HIF_OK);
        assert_int_equal(import_compare(&walk, reader, &slot.slot.tree, &changes, &why), HIF_OK);
        assert_int_equal(changes.count, FILES); /* what is there has the same size: perhaps */
        for (size_t i = 0; i < changes.count; i++)
                removed += changes.items[i].kind == LAND_REMOVE;
        assert_int_equal(removed, FILES / 10);
        import_changes_free(&changes);
        walk_free(&walk);
        node_reader_free(reader);
        slot_read_free(&slot);
        return trips.trips;
}

/* A trip a level and not one a node; a small cache costs more trips, and no other answer. */
static void comparing_costs_few_trips(void **state)
{
        char dir[] = "/tmp/hif-compare-XXXXXX";
        char command[64];
        struct tproject tp;

        (void)state;
        assert_non_null(mkdtemp(dir));
        tproject_open(&tp, NULL, 1);
        make(&tp, dir);
        assert_in_range(compare(&tp, dir, 64 << 20), 4, 16);
        assert_in_range(compare(&tp, dir, 64 * 16384), 8, 60);
        tproject_close(&tp);
        snprintf(command, sizeof(command), "rm -r %s", dir);
        assert_int_equal(system(command), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(comparing_costs_few_trips)};

        return cmocka_run_group_tests_name("import compare", tests, NULL, NULL);
}
