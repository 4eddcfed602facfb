/* test_vfs_names.c - the base's names and the overlay's as one tree. */
#include "vfs/changes.h"
#include "vfs/tvfs.h"

#include "tests/overlay/count_ops.h"

#include <stdio.h>

#define MANY 1500

static int setup(void **state)
{
        static const struct tmount_options options = {.seed = 1};
        struct tmount *m = tmount_new(&options);

        tmount_add_text(m, "a.txt", "a");
        tmount_add_text(m, "dir/b.txt", "b");
        tmount_add_text(m, "dir/sub/c.txt", "c");
        tmount_add_text(m, "dir/sub/deep/d.txt", "d");
        tmount_add_link(m, "link", "dir/b.txt");
        tmount_add_dir(m, "empty");
        for (int i = 0; i < MANY; i++) {
                char name[32];

                snprintf(name, sizeof(name), "many/base-%d", i);
                tmount_add_text(m, name, "");
        }
        tmount_open(m);
        *state = m;
        return 0;
}

static int teardown(void **state)
{
        tmount_free(*state);
        return 0;
}

static bool exists(struct tmount *m, const char *path)
{
        return tmount_id(m, path) != NODEID_NONE;
}

/* --- making and removing --- */

/* A name can be made once, of a kind; it is there after a restart. */
static void made_names_are_there(void **state)
{
        struct tmount *m = *state;
        uint64_t id;

        assert_int_equal(tmount_create(m, "dir/new", &id), HIF_OK);
        assert_int_equal(tmount_create(m, "dir/new", NULL), HIF_EEXIST);
        assert_int_equal(tmount_create(m, "a.txt", NULL), HIF_EEXIST);
        assert_int_equal(tmount_mkdir(m, "dir/d"), HIF_OK);
        assert_int_equal(tmount_mkdir(m, "dir"), HIF_EEXIST);
        assert_int_equal(tmount_create(m, "dir/d/x", NULL), HIF_OK);
        assert_int_equal(tmount_create(m, "a.txt/x", NULL), HIF_ENOTDIR);
        assert_int_equal(tvfs_symlink(m, "dir/d/l", "../x"), HIF_OK);
        tmount_restart(m);
        assert_int_equal(tmount_id(m, "dir/new"), id);
        assert_true(exists(m, "dir/d/x"));
        assert_true(tvfs_leads_to(m, "dir/d/l", "../x"));
        assert_true(tvfs_leads_to(m, "link", "dir/b.txt"));
}

/* A removed name of the base stays removed, and can be made anew with another number. */
static void whiteouts_hold(void **state)
{
        struct tmount *m = *state;
        uint64_t before = tmount_id(m, "dir/b.txt"), after;
        struct tvfs_list list;

        assert_int_equal(tmount_remove(m, "dir/b.txt"), HIF_OK);
        assert_int_equal(tmount_remove(m, "dir/b.txt"), HIF_ENOENT);
        tmount_restart(m);
        assert_false(exists(m, "dir/b.txt"));
        tvfs_list(m, "dir", 10, NULL, NULL, &list);
        assert_int_equal(tvfs_listed(&list, "b.txt"), 0);
        assert_int_equal(tvfs_listed(&list, "sub"), 1);
        tvfs_list_free(&list);
        assert_int_equal(tmount_create(m, "dir/b.txt", &after), HIF_OK);
        assert_int_not_equal(before, after);
        tvfs_expect(m, "dir/b.txt", "");
        assert_int_equal(tmount_remove(m, "dir/b.txt"), HIF_OK);
        assert_false(exists(m, "dir/b.txt"));
        tmount_restart(m);
        assert_false(exists(m, "dir/b.txt"));
}

/* What was made and removed again leaves no row behind. */
static void undone_names_leave_nothing(void **state)
{
        struct tmount *m = *state;
        uint64_t dir = tmount_id(m, "dir");

        assert_int_equal(tmount_create(m, "dir/new", NULL), HIF_OK);
        assert_int_equal(overlay_dirent_count(m->overlay, dir), 1);
        assert_int_equal(tmount_remove(m, "dir/new"), HIF_OK);
        assert_int_equal(overlay_dirent_count(m->overlay, dir), 0);
        assert_int_equal(tmount_rename(m, "dir/b.txt", "moved"), HIF_OK);
        assert_int_equal(tmount_rename(m, "moved", "dir/b.txt"), HIF_OK);
        assert_int_equal(overlay_dirent_count(m->overlay, dir), 0);
        assert_int_equal(overlay_dirent_count(m->overlay, NODEID_ROOT), 0);
        tvfs_expect(m, "dir/b.txt", "b");
}

/* Only an empty merged directory can be removed. */
static void only_empty_directories_go(void **state)
{
        struct tmount *m = *state;

        assert_int_equal(tmount_remove(m, "empty"), HIF_OK);
        assert_int_equal(tmount_remove(m, "dir"), HIF_ENOTEMPTY);
        assert_int_equal(tmount_remove(m, "dir/sub"), HIF_ENOTEMPTY);
        assert_int_equal(tmount_remove(m, "dir/sub/deep/d.txt"), HIF_OK);
        assert_int_equal(tmount_remove(m, "dir/sub/deep"), HIF_OK);
        assert_int_equal(tmount_remove(m, "dir/sub/c.txt"), HIF_OK);
        assert_int_equal(tmount_create(m, "dir/sub/new", NULL), HIF_OK);
        assert_int_equal(tmount_remove(m, "dir/sub"), HIF_ENOTEMPTY);
        assert_int_equal(tmount_remove(m, "dir/sub/new"), HIF_OK);
        assert_int_equal(tmount_remove(m, "dir/sub"), HIF_OK);
        assert_false(exists(m, "dir/sub"));
        /* A new one under the old name shows nothing of what was below. */
        assert_int_equal(tmount_mkdir(m, "dir/sub"), HIF_OK);
        assert_false(exists(m, "dir/sub/c.txt"));
        assert_int_equal(tmount_remove(m, "dir/sub"), HIF_OK);
}

/* Names that can not be are refused, with the right word. */
static void impossible_names_are_refused(void **state)
{
        struct tmount *m = *state;
        char name[300];
        uint64_t id;

        memset(name, 'n', sizeof(name));
        name[256] = '\0';
        assert_int_equal(tmount_create(m, name, NULL), HIF_ENAMETOOLONG);
        assert_int_equal(tmount_lookup(m, NODEID_ROOT, name, &id), HIF_ENAMETOOLONG);
        name[255] = '\0';
        assert_int_equal(tmount_create(m, name, NULL), HIF_OK);
        assert_int_equal(tmount_create(m, "dir/..", NULL), HIF_EEXIST);
        assert_int_equal(tmount_create(m, "dir/.", NULL), HIF_EEXIST);
        assert_int_equal(tmount_lookup(m, NODEID_ROOT, "", &id), HIF_EINVAL);
        assert_int_equal(tmount_lookup(m, NODEID_ROOT, "a/b", &id), HIF_EINVAL);
}

/* --- renames --- */

/* A directory of the base moves with all that is in it, numbers kept, for a few rows. */
static void directories_of_the_base_move_as_one(void **state)
{
        struct tmount *m = *state;
        uint64_t dir = tmount_id(m, "dir"), deep = tmount_id(m, "dir/sub/deep/d.txt");
        struct overlay_stats before, after;

        before = overlay_stats(m->overlay);
        assert_int_equal(tmount_rename(m, "dir", "empty/moved"), HIF_OK);
        after = overlay_stats(m->overlay);
        assert_true(after.dirents - before.dirents <= 2);
        assert_true(after.nodes - before.nodes <= 3);
        for (int round = 0; round < 2; round++) {
                assert_int_equal(tmount_id(m, "empty/moved"), dir);
                assert_int_equal(tmount_id(m, "empty/moved/sub/deep/d.txt"), deep);
                tvfs_expect(m, "empty/moved/sub/c.txt", "c");
                assert_false(exists(m, "dir"));
                tmount_restart(m);
        }
        assert_int_equal(tmount_create(m, "empty/moved/sub/new", NULL), HIF_OK);
        assert_int_equal(tmount_remove(m, "empty/moved/b.txt"), HIF_OK);
        assert_int_equal(tmount_rename(m, "empty/moved", "dir"), HIF_OK);
        tmount_restart(m);
        assert_int_equal(tmount_id(m, "dir"), dir);
        assert_true(exists(m, "dir/sub/new"));
        assert_false(exists(m, "dir/b.txt"));
        assert_false(exists(m, "empty/moved"));
}

static uint64_t nodes_looked_at(struct tmount *m, const char *from, const char *to)
{
        struct fetch_stats before = fetch_stats(m->fetch), after;

        assert_int_equal(tmount_rename(m, from, to), HIF_OK);
        after = fetch_stats(m->fetch);
        return after.hits + after.misses - before.hits - before.misses;
}

/* Nothing that is in it is looked at, and nothing gets a row. */
static void a_large_directory_moves_like_a_small_one(void **state)
{
        struct tmount *m = *state;
        struct overlay_stats before, after;
        uint64_t small = nodes_looked_at(m, "dir", "small"), large;

        before = overlay_stats(m->overlay);
        large = nodes_looked_at(m, "many", "large");
        after = overlay_stats(m->overlay);
        assert_in_range(large, 0, small + 2); /* another path through the tree */
        assert_in_range(after.dirents - before.dirents, 1, 2);
        assert_in_range(after.nodes - before.nodes, 1, 2);
        assert_true(exists(m, "large/base-7"));
}

/* Also of the base each name is what its bytes are, and another one beside it. */
static void names_are_their_bytes(void **state)
{
        static const char *const others[] = {"A.txt",  "a.TXT",        "a.txt ",        "a.txt.",
                                             " a.txt", "\xc3\xa1.txt", "a\xcc\x81.txt", "DIR"};
        static const char *const below[] = {"dir/B.txt", "dir/SUB", "Dir/b.txt"};
        struct tmount *m = *state;

        for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++)
                assert_false(exists(m, below[i]));
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
                assert_false(exists(m, others[i]));
                assert_int_equal(tmount_remove(m, others[i]), HIF_ENOENT);
                assert_int_equal(tmount_create(m, others[i], NULL), HIF_OK);
        }
        tmount_restart(m);
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
                assert_int_equal(tmount_remove(m, others[i]), HIF_OK);
        tvfs_expect(m, "a.txt", "a");
        tvfs_expect(m, "dir/b.txt", "b");
}

/* What was moved out of a directory does not go with it. */
static void moved_out_is_kept(void **state)
{
        struct tmount *m = *state;

        assert_int_equal(tmount_rename(m, "dir/sub/deep", "deep"), HIF_OK);
        assert_int_equal(tmount_rename(m, "dir/sub/c.txt", "deep/c.txt"), HIF_OK);
        assert_int_equal(tmount_remove(m, "dir/sub"), HIF_OK);
        assert_int_equal(tmount_remove(m, "dir/b.txt"), HIF_OK);
        assert_int_equal(tmount_remove(m, "dir"), HIF_OK);
        tmount_restart(m);
        tvfs_expect(m, "deep/d.txt", "d");
        tvfs_expect(m, "deep/c.txt", "c");
        assert_false(exists(m, "dir"));
}

/* Over an existing name: files over files, directories over empty ones, and nothing else. */
static void renames_replace_what_they_may(void **state)
{
        struct tmount *m = *state;

        assert_int_equal(tmount_rename(m, "a.txt", "dir"), HIF_EISDIR);
        assert_int_equal(tmount_rename(m, "dir", "a.txt"), HIF_ENOTDIR);
        assert_int_equal(tmount_rename(m, "empty", "dir"), HIF_ENOTEMPTY);
        assert_int_equal(tmount_rename(m, "dir", "dir"), HIF_OK);
        assert_int_equal(tmount_rename(m, "dir", "dir/sub/deep/x"), HIF_EINVAL);
        assert_int_equal(tmount_rename(m, "dir", "dir/x"), HIF_EINVAL);
        assert_int_equal(tmount_rename(m, "none", "a.txt"), HIF_ENOENT);
        assert_int_equal(tmount_rename(m, "a.txt", "dir/b.txt"), HIF_OK);
        tvfs_expect(m, "dir/b.txt", "a");
        assert_int_equal(tmount_rename(m, "dir", "empty"), HIF_OK);
        tvfs_expect(m, "empty/b.txt", "a");
        assert_int_equal(tmount_rename(m, "link", "empty/b.txt"), HIF_OK);
        assert_true(tvfs_leads_to(m, "empty/b.txt", "dir/b.txt"));
        tmount_restart(m);
        assert_true(tvfs_leads_to(m, "empty/b.txt", "dir/b.txt"));
        tvfs_expect(m, "empty/sub/c.txt", "c");
}

/* ".." of a moved directory is where it is now. */
static void dotdot_follows_a_move(void **state)
{
        struct tmount *m = *state;
        uint64_t id;

        assert_int_equal(tmount_rename(m, "dir/sub", "empty/sub"), HIF_OK);
        assert_int_equal(tmount_lookup(m, tmount_id(m, "empty/sub"), "..", &id), HIF_OK);
        assert_int_equal(id, tmount_id(m, "empty"));
        assert_int_equal(tmount_lookup(m, tmount_id(m, "empty/sub/deep"), "..", &id), HIF_OK);
        assert_int_equal(id, tmount_id(m, "empty/sub"));
        assert_int_equal(tmount_lookup(m, NODEID_ROOT, "..", &id), HIF_OK);
        assert_int_equal(id, NODEID_ROOT);
}

/* --- hard links --- */

/* A file with several names is one, whichever goes or moves first, and after a restart. */
static void hard_links_name_one_file(void **state)
{
        struct tmount *m = *state;
        uint64_t id = tmount_id(m, "a.txt");

        assert_int_equal(tvfs_link(m, "a.txt", "dir/two"), HIF_OK);
        assert_int_equal(tvfs_link(m, "dir/two", "three"), HIF_OK);
        assert_int_equal(tvfs_link(m, "dir", "four"), HIF_ENOTSUP);
        assert_int_equal(tvfs_link(m, "a.txt", "dir/b.txt"), HIF_EEXIST);
        assert_int_equal(tmount_attr(m, "a.txt").nlink, 3);
        assert_int_equal(tmount_write(m, "three", 0, "new", 3, false), HIF_OK);
        tvfs_expect(m, "a.txt", "new");
        assert_int_equal(tmount_remove(m, "a.txt"), HIF_OK);
        assert_int_equal(tmount_rename(m, "dir/two", "dir/moved"), HIF_OK);
        tmount_restart(m);
        assert_int_equal(tmount_id(m, "dir/moved"), id);
        assert_int_equal(tmount_id(m, "three"), id);
        assert_int_equal(tmount_attr(m, "three").nlink, 2);
        /* A rename of one of its names over another does nothing (POSIX). */
        assert_int_equal(tmount_rename(m, "three", "dir/moved"), HIF_OK);
        assert_true(exists(m, "three"));
        assert_int_equal(tmount_remove(m, "three"), HIF_OK);
        tvfs_expect(m, "dir/moved", "new");
        assert_int_equal(tmount_attr(m, "dir/moved").nlink, 1);
}

/* However many names files have, and whichever go first: a file is placed at one that is left. */
static void files_of_many_names_are_placed_at_one_of_them(void **state)
{
        struct tmount *m = *state;
        char from[32], to[32];

        for (int i = 0; i < 40; i++) {
                snprintf(from, sizeof(from), "f%d", i);
                assert_int_equal(tmount_create(m, from, NULL), HIF_OK);
                for (int j = 0; j < 5; j++) {
                        snprintf(to, sizeof(to), "dir/f%d-%d", i, j);
                        assert_int_equal(tvfs_link(m, from, to), HIF_OK);
                }
        }
        for (int j = 0; j < 5; j++)
                for (int i = 0; i < 40; i++) {
                        const struct onode *row;
                        const struct odirent *name;

                        snprintf(from, sizeof(from), j == 0 ? "f%d" : "dir/f%d-%d", i, j - 1);
                        if (i % 3 == 0) {
                                snprintf(to, sizeof(to), "f%d-moved-%d", i, j);
                                assert_int_equal(tmount_rename(m, from, to), HIF_OK);
                                snprintf(from, sizeof(from), "%s", to);
                        }
                        assert_int_equal(tmount_remove(m, from), HIF_OK);
                        snprintf(to, sizeof(to), "dir/f%d-4", i);
                        row = overlay_node(m->overlay, tmount_id(m, to));
                        assert_non_null(row);
                        assert_true((row->flags & ONODE_PLACED) != 0);
                        name = overlay_dirent(m->overlay, row->parent, name_hash60(row->name),
                                              row->name);
                        assert_non_null(name);
                        assert_int_equal(name->child, row->id);
                }
}

/* What a client could not remove before it went is removed, and nothing else; no object is needed. */
static void what_a_client_left_is_swept(void **state)
{
        struct tmount *m = *state;
        struct tvfs_list list;
        uint64_t id;

        assert_int_equal(tmount_rename(m, "dir/b.txt", "dir/.nfs0000000000000c0a00000007"), HIF_OK);
        assert_int_equal(tmount_create(m, "dir/.nfs0000000000000c0a00000008", NULL), HIF_OK);
        assert_int_equal(tvfs_link(m, "dir/.nfs0000000000000c0a00000008", "kept"), HIF_OK);
        assert_int_equal(tmount_create(m, "dir/.nfs-notes-of-mine-0123", NULL), HIF_OK);
        assert_int_equal(tmount_mkdir(m, "dir/.nfs0000000000000c0a00000009"), HIF_OK);
        id = tmount_id(m, "dir/.nfs0000000000000c0a00000007");
        assert_int_equal(vfs_sweep_left(m->vfs), HIF_OK);
        tmount_restart(m);
        tvfs_list(m, "dir", 10, NULL, NULL, &list);
        assert_int_equal(list.count, 2 + 3);
        assert_int_equal(tvfs_listed(&list, "sub"), 1);
        assert_int_equal(tvfs_listed(&list, ".nfs-notes-of-mine-0123"), 1);
        assert_int_equal(tvfs_listed(&list, ".nfs0000000000000c0a00000009"), 1);
        tvfs_list_free(&list);
        assert_int_equal(tmount_attr(m, "kept").nlink, 1);
        assert_true((overlay_node(m->overlay, id)->flags & ONODE_REMOVED) != 0);
        assert_false(exists(m, "dir/b.txt"));
}

static uint32_t links_of(struct tmount *m, const char *path)
{
        return tmount_attr(m, path).nlink;
}

/* A directory made here has 2 links and one for each subdirectory, wherever that came from or went;
 * one of the base has 1: not counted. */
static void directories_count_their_subdirectories(void **state)
{
        struct tmount *m = *state;

        assert_int_equal(tmount_mkdir(m, "one"), HIF_OK);
        assert_int_equal(tmount_mkdir(m, "two"), HIF_OK);
        assert_int_equal(links_of(m, "one"), 2);
        assert_int_equal(tmount_create(m, "one/file", NULL), HIF_OK);
        assert_int_equal(links_of(m, "one"), 2);
        assert_int_equal(tmount_mkdir(m, "one/a"), HIF_OK);
        assert_int_equal(tmount_mkdir(m, "one/b"), HIF_OK);
        assert_int_equal(tmount_mkdir(m, "two/b"), HIF_OK);
        assert_int_equal(links_of(m, "one"), 4);
        assert_int_equal(tmount_rename(m, "one/a", "one/c"), HIF_OK);
        assert_int_equal(links_of(m, "one"), 4);
        assert_int_equal(tmount_rename(m, "one/b", "two/b"), HIF_OK);
        assert_int_equal(links_of(m, "one"), 3);
        assert_int_equal(links_of(m, "two"), 3);
        assert_int_equal(tmount_rename(m, "dir/sub", "two/sub"), HIF_OK);
        assert_int_equal(links_of(m, "two"), 4);
        assert_int_equal(links_of(m, "two/sub"), 1);
        assert_int_equal(links_of(m, "dir"), 1);
        tmount_restart(m);
        assert_int_equal(links_of(m, "two"), 4);
        assert_int_equal(tmount_rename(m, "two/sub", "dir/sub"), HIF_OK);
        assert_int_equal(tmount_remove(m, "one/c"), HIF_OK);
        assert_int_equal(links_of(m, "one"), 2);
        assert_int_equal(links_of(m, "two"), 3);
        assert_int_equal(links_of(m, "dir"), 1);
        assert_int_equal(tmount_rename(m, "two", "one/two"), HIF_OK);
        assert_int_equal(links_of(m, "one"), 3);
        assert_int_equal(links_of(m, "one/two"), 3);
}

/* The place that a file's row remembers is a name that it still has. */
static void places_are_names_that_exist(void **state)
{
        struct tmount *m = *state;
        uint64_t id = tmount_id(m, "a.txt"), empty = tmount_id(m, "empty");
        const struct onode *row;

        assert_int_equal(tvfs_link(m, "a.txt", "empty/two"), HIF_OK);
        assert_int_equal(tvfs_link(m, "a.txt", "empty/three"), HIF_OK);
        assert_int_equal(tmount_remove(m, "a.txt"), HIF_OK);
        row = overlay_node(m->overlay, id);
        assert_non_null(row);
        assert_true((row->flags & ONODE_PLACED) != 0);
        assert_int_equal(row->parent, empty);
        assert_int_equal(tmount_rename(m, "empty/two", "dir/two"), HIF_OK);
        assert_int_equal(tmount_remove(m, "empty/three"), HIF_OK);
        row = overlay_node(m->overlay, id);
        assert_true((row->flags & ONODE_PLACED) != 0);
        assert_int_equal(row->parent, tmount_id(m, "dir"));
        assert_true(span_eq(row->name, span_str("two")));
}

/* --- listings --- */

/* Each name once, "." and ".." first, in one order whatever the page; numbers as lookup gives. */
static void listings_are_whole(void **state)
{
        static const size_t pages[] = {1000000, 100, 7, 1};
        struct tmount *m = *state;
        struct tvfs_list first, list;

        for (int i = 0; i < MANY; i += 10) {
                char name[32];

                snprintf(name, sizeof(name), "many/new-%d", i);
                assert_int_equal(tmount_create(m, name, NULL), HIF_OK);
                snprintf(name, sizeof(name), "many/base-%d", i);
                assert_int_equal(tmount_remove(m, name), HIF_OK);
        }
        tvfs_list(m, "many", pages[0], NULL, NULL, &first);
        assert_int_equal(first.count, MANY + 2);
        assert_string_equal(first.names[0].text, ".");
        assert_string_equal(first.names[1].text, "..");
        assert_int_equal(first.names[1].id, NODEID_ROOT);
        for (size_t i = 2; i < first.count; i += 97) {
                uint64_t id;

                assert_int_equal(tmount_lookup(m, first.names[0].id, first.names[i].text, &id),
                                 HIF_OK);
                assert_int_equal(id, first.names[i].id);
        }
        for (size_t p = 1; p < sizeof(pages) / sizeof(pages[0]); p++) {
                if (p == 2)
                        tmount_restart(m);
                tvfs_list(m, "many", pages[p], NULL, NULL, &list);
                assert_int_equal(list.count, first.count);
                for (size_t i = 0; i < list.count; i++) {
                        assert_string_equal(list.names[i].text, first.names[i].text);
                        assert_int_equal(list.names[i].cookie, first.names[i].cookie);
                }
                tvfs_list_free(&list);
        }
        tvfs_list_free(&first);
}

struct churn {
        uint64_t random;
        unsigned rounds;
        bool restart;
};

/* Even numbers are stable; odd ones come and go. */
static void churn(struct tmount *m, void *arg)
{
        struct churn *it = arg;

        for (int i = 0; i < 6; i++) {
                unsigned number;
                char name[32];

                it->random = it->random * 6364136223846793005u + 1442695040888963407u;
                number = (unsigned)(it->random >> 33) % MANY | 1;
                snprintf(name, sizeof(name), "many/%s-%u", i % 2 == 0 ? "base" : "new", number);
                if (tmount_remove(m, name) != HIF_OK)
                        assert_int_equal(tmount_create(m, name, NULL), HIF_OK);
        }
        if (it->restart && ++it->rounds % 20 == 0)
                tmount_restart(m);
}

/* Names that nobody touches are listed exactly once, whatever happens to the others meanwhile. */
static void stable_names_are_listed_once_under_churn(void **state)
{
        static const uint64_t seeds[] = {1, 2, 3};
        struct tmount *m = *state;

        for (size_t s = 0; s < sizeof(seeds) / sizeof(seeds[0]); s++) {
                struct churn it = {.random = seeds[s], .restart = s == 2};
                struct tvfs_list list;

                tvfs_list(m, "many", 11, churn, &it, &list);
                for (int i = 0; i < MANY; i += 2) {
                        char name[32];

                        snprintf(name, sizeof(name), "base-%d", i);
                        if (tvfs_listed(&list, name) != 1)
                                fail_msg("seed %ju: %s is listed %zu times", (uintmax_t)seeds[s],
                                         name, tvfs_listed(&list, name));
                }
                tvfs_list_free(&list);
        }
}

/* No name is made whose path no tree could hold: a landing would have no place for it. What a
 * rename of a directory above has taken too deep can be removed, and is refused by a landing. */
static void paths_have_a_longest_length(void **state)
{
        struct tmount *m = *state;
        struct fetch_nodes_blocking nodes;
        struct vfs_expanded *expanded;
        struct vfs_snapshot snapshot;
        size_t count, size;
        char path[2 * PATH_SIZE_MAX] = "top", to[PATH_SIZE_MAX], name[201];

        memset(name, 'x', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        assert_int_equal(tmount_mkdir(m, path), HIF_OK);
        while ((size = strlen(path)) + sizeof(name) <= PATH_SIZE_MAX) {
                snprintf(path + size, sizeof(path) - size, "/%s", name);
                assert_int_equal(tmount_mkdir(m, path), HIF_OK);
        }
        snprintf(path + size, sizeof(path) - size, "/%s", name);
        assert_int_equal(tmount_mkdir(m, path), HIF_ENAMETOOLONG);
        assert_int_equal(tmount_create(m, path, NULL), HIF_ENAMETOOLONG);
        assert_int_equal(tmount_rename(m, "a.txt", path), HIF_ENAMETOOLONG);
        assert_int_equal(tvfs_link(m, "a.txt", path), HIF_ENAMETOOLONG);

        path[size] = '\0';
        snprintf(to, sizeof(to), "%s", name);
        assert_int_equal(tmount_rename(m, "top", to), HIF_OK);
        memmove(path + sizeof(name) - 1, path + 3, size - 2);
        memcpy(path, to, sizeof(name) - 1);
        assert_true(exists(m, path));
        fetch_nodes_blocking_init(&nodes, m->origin);
        assert_int_equal(vfs_snapshot_take(m->vfs, true, &snapshot), HIF_OK);
        assert_int_equal(vfs_changes_expand(&snapshot, &nodes.source, &expanded, &count),
                         HIF_ENAMETOOLONG);
        vfs_snapshot_free(&snapshot);
        assert_int_equal(tmount_rename(m, to, "top"), HIF_OK);

        assert_true(exists(m, "top"));
}

/* What local tools make for themselves works and is never recorded. */
static void local_names_are_not_recorded(void **state)
{
        struct tmount *m = *state;

        assert_int_equal(tmount_create(m, "dir/.DS_Store", NULL), HIF_OK);
        assert_int_equal(tmount_create(m, "dir/._b.txt", NULL), HIF_OK);
        assert_int_equal(tmount_create(m, ".nfs0001", NULL), HIF_OK);
        assert_int_equal(count_ops(m->overlay), 0);
        assert_int_equal(tmount_create(m, "dir/plain", NULL), HIF_OK);
        assert_int_equal(count_ops(m->overlay), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
            TEST(made_names_are_there),
            TEST(whiteouts_hold),
            TEST(undone_names_leave_nothing),
            TEST(only_empty_directories_go),
            TEST(impossible_names_are_refused),
            TEST(directories_of_the_base_move_as_one),
            TEST(a_large_directory_moves_like_a_small_one),
            TEST(names_are_their_bytes),
            TEST(moved_out_is_kept),
            TEST(renames_replace_what_they_may),
            TEST(dotdot_follows_a_move),
            TEST(hard_links_name_one_file),
            TEST(files_of_many_names_are_placed_at_one_of_them),
            TEST(what_a_client_left_is_swept),
            TEST(directories_count_their_subdirectories),
            TEST(places_are_names_that_exist),
            TEST(listings_are_whole),
            TEST(stable_names_are_listed_once_under_churn),
            TEST(paths_have_a_longest_length),
            TEST(local_names_are_not_recorded),
        };

        return cmocka_run_group_tests_name("vfs: names", tests, NULL, NULL);
}
