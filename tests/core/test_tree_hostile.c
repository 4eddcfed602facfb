/* test_tree_hostile.c - trees of valid nodes that do not fit together. */
#include "core/tree_impl.h"
#include "tests/core/memtree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Cuts after every second item, so that small trees are high. */
static const struct tree_params params = {2, 1, 2, 2, 1, 2, 7};

struct fixture {
        struct memtree tree;
        struct buf keys[8]; /* of the root and seven names, in key order */
};

static int key_order(const void *a, const void *b)
{
        return span_cmp(buf_span(a), buf_span(b));
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        memtree_init(&f->tree);
        for (int i = 1; i < 8; i++) {
                char name[2] = {(char)('a' + i), 0};

                key_from_path(&f->keys[i], span_str(name));
        }
        qsort(f->keys, 8, sizeof(f->keys[0]), key_order);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        for (int i = 0; i < 8; i++)
                buf_free(&f->keys[i]);
        memtree_free(&f->tree);
        free(f);
        return 0;
}

static struct hif_hash finish(struct fixture *f, struct node_builder *builder)
{
        struct hif_hash hash;

        assert_int_equal(builder_encode(builder, &hash), HIF_OK);
        assert_int_equal(tree_node_check(buf_span(&builder->bytes)), HIF_OK);
        memtree_add(&f->tree, buf_span(&builder->bytes));
        builder_free(builder);
        return hash;
}

static struct hif_hash leaf(struct fixture *f, int first, int second)
{
        const struct entry dir = {.kind = ENTRY_DIR};
        struct node_builder builder = {0};

        assert_int_equal(builder_add_entry(&builder, buf_span(&f->keys[first]), &dir), HIF_OK);
        if (second >= 0)
                assert_int_equal(builder_add_entry(&builder, buf_span(&f->keys[second]), &dir),
                                 HIF_OK);
        return finish(f, &builder);
}

struct claim {
        int first; /* index of the key */
        struct hif_hash hash;
        uint64_t entries;
};

static struct hif_hash inner(struct fixture *f, uint8_t level, struct claim a, struct claim b)
{
        struct node_builder builder = {.level = level};

        assert_int_equal(
            builder_add_child(&builder, buf_span(&f->keys[a.first]), &a.hash, a.entries), HIF_OK);
        if (b.entries > 0)
                assert_int_equal(
                    builder_add_child(&builder, buf_span(&f->keys[b.first]), &b.hash, b.entries),
                    HIF_OK);
        return finish(f, &builder);
}

static enum hif_err count_each(void *arg, struct span key, const struct entry *a,
                               const struct entry *b, uint64_t rank_a, uint64_t rank_b)
{
        (void)arg;
        (void)key;
        (void)a;
        (void)b;
        (void)rank_a;
        (void)rank_b;
        return HIF_OK;
}

static enum hif_err diff_with(struct fixture *f, const struct hif_hash *root,
                              const struct hif_hash *other)
{
        return tree_diff(&f->tree.source, root, other, (struct span){0}, (struct span){0},
                         count_each, NULL);
}

static enum hif_err change_last(struct fixture *f, const struct hif_hash *root)
{
        const struct entry dir = {.kind = ENTRY_DIR, .mtime = {.sec = 9}};
        const struct tree_edit edit = {.key = buf_span(&f->keys[3]), .entry = &dir};
        struct hif_hash out;

        return memtree_apply(&f->tree, &params, root, &edit, 1, &out, NULL);
}

static enum hif_err find(struct fixture *f, const struct hif_hash *root, int key)
{
        struct tree_cursor cursor;
        struct entry entry;
        enum hif_err err;

        tree_cursor_init(&cursor, &f->tree.source);
        err = tree_find(&cursor, root, buf_span(&f->keys[key]), &entry, NULL);
        tree_cursor_close(&cursor);
        return err;
}

static enum hif_err walk(struct fixture *f, const struct hif_hash *root)
{
        struct tree_cursor cursor;
        enum hif_err err;

        tree_cursor_init(&cursor, &f->tree.source);
        err = tree_seek(&cursor, root, (struct span){0});
        for (int i = 0; !err && i < 100; i++)
                err = tree_next(&cursor);
        tree_cursor_close(&cursor);
        return err;
}

static enum hif_err verify(struct fixture *f, const struct hif_hash *root)
{
        struct hif_why why;

        return tree_verify(&f->tree.source, &params, root, &why);
}

static enum hif_err touch(struct fixture *f, const struct hif_hash *root)
{
        return tree_touch(&f->tree.source, root, (struct span){0}, (struct span){0}, 100);
}

/* Everything that passes the broken place says that the tree is corrupt. */
static void expect_corrupt(struct fixture *f, struct hif_hash root)
{
        struct hif_hash good = leaf(f, 0, 1);

        assert_int_equal(find(f, &root, 3), HIF_ECORRUPT);
        assert_int_equal(walk(f, &root), HIF_ECORRUPT);
        assert_int_equal(touch(f, &root), HIF_ECORRUPT);
        assert_int_equal(diff_with(f, &root, &good), HIF_ECORRUPT);
        assert_int_equal(diff_with(f, &good, &root), HIF_ECORRUPT);
        assert_int_equal(change_last(f, &root), HIF_ECORRUPT);
        assert_int_equal(verify(f, &root), HIF_ECORRUPT);
        assert_int_equal(f->tree.held, 0);
}

/* The frame of the other tests is a good tree itself. */
static void a_tree_that_fits_is_fine(void **state)
{
        struct fixture *f = *state;
        struct hif_hash root =
            inner(f, 1, (struct claim){0, leaf(f, 0, 1), 2}, (struct claim){2, leaf(f, 2, 3), 2});
        struct hif_hash good = leaf(f, 0, 1);

        assert_int_equal(find(f, &root, 3), HIF_OK);
        assert_int_equal(walk(f, &root), HIF_ENOENT);
        assert_int_equal(touch(f, &root), HIF_OK);
        assert_int_equal(diff_with(f, &root, &good), HIF_OK);
        assert_int_equal(change_last(f, &root), HIF_OK);
        assert_int_equal(verify(f, &root), HIF_OK);
}

/* A child with more or fewer entries than its parent says. */
static void a_wrong_count_is_corrupt(void **state)
{
        struct fixture *f = *state;

        expect_corrupt(f, inner(f, 1, (struct claim){0, leaf(f, 0, 1), 2},
                                (struct claim){2, leaf(f, 2, 3), 3}));
        expect_corrupt(f, inner(f, 1, (struct claim){0, leaf(f, 0, 1), 2},
                                (struct claim){2, leaf(f, 2, 3), 1}));
}

/* A child that begins with another key than its parent says. */
static void a_wrong_first_key_is_corrupt(void **state)
{
        struct fixture *f = *state;

        expect_corrupt(f, inner(f, 1, (struct claim){0, leaf(f, 0, 1), 2},
                                (struct claim){3, leaf(f, 2, 3), 2}));
        expect_corrupt(f, inner(f, 1, (struct claim){0, leaf(f, 0, 1), 2},
                                (struct claim){2, leaf(f, 3, 4), 2}));
}

/* A child that is not one level below: so that no path is longer than its root's level. */
static void a_skipped_level_is_corrupt(void **state)
{
        struct fixture *f = *state;

        expect_corrupt(f, inner(f, 2, (struct claim){0, leaf(f, 0, 1), 2},
                                (struct claim){2, leaf(f, 2, 3), 2}));
        expect_corrupt(f, inner(f, TREE_LEVEL_MAX - 1, (struct claim){0, leaf(f, 0, 1), 2},
                                (struct claim){2, leaf(f, 2, 3), 2}));
}

/* A root that begins with anything but the root directory. */
static void a_root_without_the_root_directory_is_corrupt(void **state)
{
        struct fixture *f = *state;

        expect_corrupt(f, leaf(f, 2, 3));
        expect_corrupt(f, inner(f, 1, (struct claim){1, leaf(f, 1, 2), 2},
                                (struct claim){3, leaf(f, 3, 4), 2}));
}

/* A leaf that reaches into the next one. It is refused alone, too: who looks for a name in it, or begins
 * to list there, may never come to the other. */
static void expect_overlap(struct fixture *f, struct hif_hash root)
{
        struct hif_hash good = leaf(f, 0, 1);

        assert_int_equal(find(f, &root, 1), HIF_ECORRUPT);
        assert_int_equal(walk(f, &root), HIF_ECORRUPT);
        assert_int_equal(verify(f, &root), HIF_ECORRUPT);
        assert_int_equal(diff_with(f, &root, &good), HIF_ECORRUPT);
        assert_int_equal(diff_with(f, &good, &root), HIF_ECORRUPT);
        assert_int_equal(f->tree.held, 0);
}

static void leaves_that_overlap_are_corrupt(void **state)
{
        struct fixture *f = *state;

        expect_overlap(f, inner(f, 1, (struct claim){0, leaf(f, 0, 5), 2},
                                (struct claim){2, leaf(f, 2, 3), 2}));
        expect_overlap(f, inner(f, 1, (struct claim){0, leaf(f, 0, 2), 2},
                                (struct claim){2, leaf(f, 2, 3), 2}));
}

/* The next leaf may be another node's child: then the bound stands higher up. */
static void leaves_of_neighbours_that_overlap_are_corrupt(void **state)
{
        struct fixture *f = *state;
        struct hif_hash left =
            inner(f, 1, (struct claim){0, leaf(f, 0, -1), 1}, (struct claim){1, leaf(f, 1, 5), 2});
        struct hif_hash right =
            inner(f, 1, (struct claim){2, leaf(f, 2, 3), 2}, (struct claim){6, leaf(f, 6, 7), 2});

        expect_overlap(f, inner(f, 2, (struct claim){0, left, 3}, (struct claim){2, right, 4}));
}

/* --- what only tree_verify sees --- */

/* A root with a single child should have been that child. */
static void verify_sees_a_root_too_many(void **state)
{
        struct fixture *f = *state;
        struct hif_hash root = inner(f, 1, (struct claim){0, leaf(f, 0, 1), 2}, (struct claim){0});

        assert_int_equal(walk(f, &root), HIF_ENOENT);
        assert_int_equal(verify(f, &root), HIF_ECORRUPT);
}

/* Nodes that end too early, or go on too long. */
static void verify_sees_wrong_boundaries(void **state)
{
        struct fixture *f = *state;
        struct hif_hash early =
            inner(f, 1, (struct claim){0, leaf(f, 0, -1), 1}, (struct claim){1, leaf(f, 1, 2), 2});
        const struct entry dir = {.kind = ENTRY_DIR};
        struct node_builder builder = {0};
        struct hif_hash late;

        for (int i = 0; i < 3; i++)
                assert_int_equal(builder_add_entry(&builder, buf_span(&f->keys[i]), &dir), HIF_OK);
        late = finish(f, &builder);
        assert_int_equal(walk(f, &early), HIF_ENOENT);
        assert_int_equal(verify(f, &early), HIF_ECORRUPT);
        assert_int_equal(walk(f, &late), HIF_ENOENT);
        assert_int_equal(verify(f, &late), HIF_ECORRUPT);
}

static struct hif_hash leaf_with(struct fixture *f, const char *path, const struct entry *entry)
{
        const struct entry dir = {.kind = ENTRY_DIR};
        struct node_builder builder = {0};
        struct buf key = {0};

        key_from_path(&key, span_str(path));
        assert_int_equal(builder_add_entry(&builder, (struct span){0}, &dir), HIF_OK);
        assert_int_equal(builder_add_entry(&builder, buf_span(&key), entry), HIF_OK);
        buf_free(&key);
        return finish(f, &builder);
}

/* An entry below nothing, and a symlink whose hash is not that of its target. */
static void verify_sees_entries_that_cannot_be(void **state)
{
        struct fixture *f = *state;
        struct entry file = {.kind = ENTRY_FILE};
        struct entry link = {.kind = ENTRY_SYMLINK, .size = 1, .target = {(const uint8_t *)"t", 1}};
        struct hif_hash orphan = leaf_with(f, "nowhere/file", &file);
        struct hif_hash fake = leaf_with(f, "link", &link);
        struct hif_hash real;

        assert_int_equal(verify(f, &orphan), HIF_ECORRUPT);
        assert_int_equal(verify(f, &fake), HIF_ECORRUPT);
        link.hash = hash_of(HASH_BLOB, link.target);
        real = leaf_with(f, "link", &link);
        assert_int_equal(verify(f, &real), HIF_OK);
}

/* Names the same pack twice: a second encoding of the same entries. */
static void verify_sees_a_second_encoding(void **state)
{
        struct fixture *f = *state;
        const struct entry dir = {.kind = ENTRY_DIR};
        struct entry file = {.kind = ENTRY_FILE, .size = 1, .loc = {.pack = {{1}}, .size = 1}};
        struct node_builder builder = {0};
        const struct tree_params wide = tree_params_default(7);
        struct hif_why why;
        struct hif_hash root;
        enum hif_err err = builder_add_entry(&builder, buf_span(&f->keys[0]), &dir);

        if (!err)
                err = builder_add_entry(&builder, buf_span(&f->keys[1]), &file);
        file.loc.pack.bytes[0] = 2;
        if (!err)
                err = builder_add_entry(&builder, buf_span(&f->keys[2]), &file);
        assert_int_equal(err, HIF_OK);
        builder.packs.data[HIF_HASH_SIZE] = 1;
        root = finish(f, &builder);
        assert_int_equal(walk(f, &root), HIF_ENOENT);
        assert_int_equal(tree_verify(&f->tree.source, &wide, &root, &why), HIF_ECORRUPT);
        assert_non_null(strstr(why.text, "encoding"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(a_tree_that_fits_is_fine, setup, teardown),
            cmocka_unit_test_setup_teardown(a_wrong_count_is_corrupt, setup, teardown),
            cmocka_unit_test_setup_teardown(a_wrong_first_key_is_corrupt, setup, teardown),
            cmocka_unit_test_setup_teardown(a_skipped_level_is_corrupt, setup, teardown),
            cmocka_unit_test_setup_teardown(a_root_without_the_root_directory_is_corrupt, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(leaves_that_overlap_are_corrupt, setup, teardown),
            cmocka_unit_test_setup_teardown(leaves_of_neighbours_that_overlap_are_corrupt, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(verify_sees_a_root_too_many, setup, teardown),
            cmocka_unit_test_setup_teardown(verify_sees_wrong_boundaries, setup, teardown),
            cmocka_unit_test_setup_teardown(verify_sees_entries_that_cannot_be, setup, teardown),
            cmocka_unit_test_setup_teardown(verify_sees_a_second_encoding, setup, teardown),
        };

        return cmocka_run_group_tests_name("tree_hostile", tests, NULL, NULL);
}
