/* test_tree_node.c - the bytes of tree nodes, and what passes for one. */
#include "core/tree_impl.h"
#include "tests/core/read_tree_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Of `samples`, and of a node above with that leaf and one more child. */
static const char golden_leaf[] =
    "48494654010000050000000100000000bb00000000000000000000000000000000000000"
    "00000000000000000000000000000000000000006100002b595af1716100006bdf3fe550"
    "6100009428ee7c86610000a7fceeda270000006c0000008c000000e70000013c00000191"
    "00000400ffffffffffffffff3b9ac9ff0000000000000000000000000000000000112f63"
    "e07061636b65640101000000006500000000000005000000000000000711223344556677"
    "880102030405060708aa0000000000000000000000000000000000000000000000000000"
    "00000000000000010203040a0b0c0d0010528310656d7074790102000000000000000000"
    "000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000036e6577000f5370206c696e"
    "6b0300000000000000000000000000000000000000000000000000000000000000000000"
    "00000600000000000000000000000000000000000000000000000000000000000000002e"
    "2e2f622f63000e5f1d7072756e0200000000000000000000000000000000000000000000"
    "000000000000000000000000000001cc0000000000000000000000000000000000000000"
    "0000000000000000000000";
static const char golden_leaf_hash[] =
    "e949888d72ebb92455750a73acaa0d638f18677cf2d9d729b8e243684595a537";
static const char golden_inner[] =
    "4849465401010002000000000000000000000000000000007a00007f454df8a500000038"
    "0000005a000000000000000500000000000001070000e949888d72ebb92455750a73acaa"
    "0d638f18677cf2d9d729b8e243684595a537000f17b7506c617374dd0000000000000000"
    "0000000000000000000000000000000000000000000000";
static const char golden_inner_hash[] =
    "7f532cd9e4392a95442d16173e277654b26437783838c37cadaf3c55d379ed2b";

struct fixture {
        struct node_builder leaf, inner;
        struct hif_hash leaf_hash, inner_hash;
};

static void add(struct node_builder *builder, const char *path, const struct entry *entry)
{
        struct buf key = {0};

        key_from_path(&key, span_str(path));
        assert_int_equal(builder_add_entry(builder, buf_span(&key), entry), HIF_OK);
        buf_free(&key);
}

static const struct {
        const char *path;
        struct entry entry;
} samples[] = {
    {"", {.kind = ENTRY_DIR, .mtime = {.sec = -1, .nsec = 999999999}}},
    {"a/empty", {.kind = ENTRY_FILE, .ext = {(const uint8_t *)"new", 3}}},
    {"a/link", {.kind = ENTRY_SYMLINK, .size = 6, .target = {(const uint8_t *)"../b/c", 6}}},
    {"a/packed",
     {.kind = ENTRY_FILE,
      .size = 0x0102030405060708,
      .hash = {{0xaa}},
      .mtime = {.sec = 0x65000000, .nsec = 5},
      .tag = {.position = 7, .id = 0x1122334455667788},
      .loc = {.pack = {{0xbb}}, .offset = 0x01020304, .size = 0x0a0b0c0d}}},
    {"a/run", {.kind = ENTRY_EXEC, .size = 1, .hash = {{0xcc}}}},
};
#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static int sample_order(const void *a, const void *b)
{
        struct buf key_a = {0}, key_b = {0};
        int order;

        key_from_path(&key_a, span_str(samples[*(const size_t *)a].path));
        key_from_path(&key_b, span_str(samples[*(const size_t *)b].path));
        order = span_cmp(buf_span(&key_a), buf_span(&key_b));
        buf_free(&key_a);
        buf_free(&key_b);
        return order;
}

/* samples in key order. */
static void sorted_samples(size_t order[SAMPLES])
{
        for (size_t i = 0; i < SAMPLES; i++)
                order[i] = i;
        qsort(order, SAMPLES, sizeof(order[0]), sample_order);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        struct buf key = {0};
        struct hif_hash other = {{0xdd}};
        size_t order[SAMPLES];

        assert_non_null(f);
        sorted_samples(order);
        for (size_t i = 0; i < SAMPLES; i++)
                add(&f->leaf, samples[order[i]].path, &samples[order[i]].entry);
        assert_int_equal(builder_encode(&f->leaf, &f->leaf_hash), HIF_OK);
        f->inner.level = 1;
        assert_int_equal(builder_add_child(&f->inner, (struct span){0}, &f->leaf_hash, SAMPLES),
                         HIF_OK);
        key_from_path(&key, span_str("z/last"));
        assert_int_equal(builder_add_child(&f->inner, buf_span(&key), &other, 258), HIF_OK);
        assert_int_equal(builder_encode(&f->inner, &f->inner_hash), HIF_OK);
        buf_free(&key);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        builder_free(&f->leaf);
        builder_free(&f->inner);
        free(f);
        return 0;
}

static void expect_golden(const struct buf *bytes, const struct hif_hash *hash, const char *hex,
                          const char *hash_hex)
{
        char text[HIF_HASH_HEX_SIZE];
        struct buf printed = {0};

        for (size_t i = 0; i < bytes->size; i++)
                buf_printf(&printed, "%02x", bytes->data[i]);
        buf_put_u8(&printed, 0);
        assert_string_equal((const char *)printed.data, hex);
        hash_to_hex(hash, text);
        assert_string_equal(text, hash_hex);
        buf_free(&printed);
}

/* The encoding is fixed to the byte. */
static void nodes_have_their_golden_bytes(void **state)
{
        struct fixture *f = *state;

        expect_golden(&f->leaf.bytes, &f->leaf_hash, golden_leaf, golden_leaf_hash);
        expect_golden(&f->inner.bytes, &f->inner_hash, golden_inner, golden_inner_hash);
}

/* What was put into a leaf is what comes out, ext bytes included. */
static void entries_come_back_as_they_were_put(void **state)
{
        struct fixture *f = *state;
        struct buf key = {0}, expected = {0};
        struct tree_node node;
        size_t order[SAMPLES];

        sorted_samples(order);
        assert_int_equal(tree_node_check(buf_span(&f->leaf.bytes)), HIF_OK);
        tree_node_open(buf_span(&f->leaf.bytes), &node);
        assert_int_equal(node.count, SAMPLES);
        assert_int_equal(tree_node_entries(&node), SAMPLES);
        for (uint32_t i = 0; i < SAMPLES; i++) {
                struct entry entry;
                bool exact;

                buf_reset(&key);
                buf_reset(&expected);
                tree_node_key(&node, i, &key);
                key_from_path(&expected, span_str(samples[order[i]].path));
                assert_true(span_eq(buf_span(&key), buf_span(&expected)));
                assert_int_equal(tree_node_search(&node, buf_span(&key), &exact), i);
                assert_true(exact);
                tree_node_entry(&node, i, &entry);
                assert_true(entry_identical(&entry, &samples[order[i]].entry));
        }
        buf_free(&key);
        buf_free(&expected);
}

/* An inner node gives its children, the counts below them, and the child that covers a key. */
static void children_come_back_as_they_were_put(void **state)
{
        struct fixture *f = *state;
        struct buf key = {0};
        struct tree_node node;
        struct hif_hash hash;
        uint64_t entries;
        bool exact;

        assert_int_equal(tree_node_check(buf_span(&f->inner.bytes)), HIF_OK);
        tree_node_open(buf_span(&f->inner.bytes), &node);
        assert_int_equal(tree_node_entries(&node), SAMPLES + 258);
        tree_node_child(&node, 0, &hash, &entries);
        assert_true(hash_eq(&hash, &f->leaf_hash));
        assert_int_equal(entries, SAMPLES);
        tree_node_child(&node, 1, &hash, &entries);
        assert_int_equal(hash.bytes[0], 0xdd);
        assert_int_equal(entries, 258);
        key_from_path(&key, span_str("m/m"));
        assert_int_equal(tree_node_search(&node, buf_span(&key), &exact), 0);
        assert_false(exact);
        buf_reset(&key);
        key_from_path(&key, span_str("z/last"));
        assert_int_equal(tree_node_search(&node, buf_span(&key), &exact), 1);
        assert_true(exact);
        buf_free(&key);
}

/* A node cut short anywhere, or with a byte more, is refused. */
static void cut_nodes_are_refused(void **state)
{
        struct fixture *f = *state;

        for (size_t size = 0; size < f->leaf.bytes.size; size++) {
                uint8_t *copy = malloc(size + 1); /* exact, so that a sanitizer sees its end */

                assert_non_null(copy);
                memcpy(copy, f->leaf.bytes.data, size);
                assert_int_equal(tree_node_check(span_of(copy, size)), HIF_ECORRUPT);
                free(copy);
        }
        buf_put_u8(&f->leaf.bytes, 0);
        assert_int_equal(tree_node_check(buf_span(&f->leaf.bytes)), HIF_ECORRUPT);
        f->leaf.bytes.size--;
}

/* With any byte changed to anything, a node is refused or can be read all over. */
static void changed_nodes_are_refused_or_readable(void **state)
{
        struct fixture *f = *state;
        struct buf *nodes[] = {&f->leaf.bytes, &f->inner.bytes};
        size_t refused = 0;

        for (size_t n = 0; n < 2; n++)
                for (size_t at = 0; at < nodes[n]->size; at++)
                        for (unsigned change = 1; change < 256; change++) {
                                enum node_read read;

                                nodes[n]->data[at] ^= (uint8_t)change;
                                read = read_all_of_node(buf_span(nodes[n]));
                                assert_int_not_equal(read, NODE_BROKEN);
                                refused += read == NODE_REFUSED;
                                nodes[n]->data[at] ^= (uint8_t)change;
                        }
        assert_true(refused > 0);
        assert_int_equal(read_all_of_node(buf_span(nodes[0])), NODE_READ);
        assert_int_equal(read_all_of_node(buf_span(nodes[1])), NODE_READ);
}

static void expect_changed(struct buf *bytes, size_t at, uint8_t value, enum hif_err err)
{
        uint8_t old = bytes->data[at];

        bytes->data[at] = value;
        assert_int_equal(tree_node_check(buf_span(bytes)), err);
        bytes->data[at] = old;
}

/* A version or a flag that we do not know is unsupported, not corrupt. */
static void newer_nodes_are_unsupported(void **state)
{
        struct fixture *f = *state;
        struct tree_node node;
        uint32_t record;

        tree_node_open(buf_span(&f->leaf.bytes), &node);
        record = be32_get(f->leaf.bytes.data + node.offsets_at);
        expect_changed(&f->leaf.bytes, 4, TREE_NODE_VERSION + 1, HIF_EUNSUPPORTED);
        expect_changed(&f->leaf.bytes, 4, 0, HIF_ECORRUPT);
        expect_changed(&f->leaf.bytes, record + 3, 4, HIF_EUNSUPPORTED);
        expect_changed(&f->leaf.bytes, record + 2, 9, HIF_ECORRUPT);
        expect_changed(&f->leaf.bytes, 5, TREE_LEVEL_MAX, HIF_ECORRUPT);
        expect_changed(&f->leaf.bytes, 15, 1, HIF_ECORRUPT);
}

/* The first heads of keys may be alike: the rest decides. */
static void keys_with_equal_heads_are_found(void **state)
{
        struct node_builder builder = {0};
        struct buf keys[40] = {0};
        struct entry dir = {.kind = ENTRY_DIR};
        struct tree_node node;
        struct hif_hash hash;

        (void)state;
        for (int i = 0; i < 40; i++) {
                char path[64];

                snprintf(path, sizeof(path), "%s/%02d/x", i < 4 ? "c" : "components-alike", i);
                key_from_path(&keys[i], span_str(path));
                assert_int_equal(builder_add_entry(&builder, buf_span(&keys[i]), &dir), HIF_OK);
        }
        assert_int_equal(builder_encode(&builder, &hash), HIF_OK);
        assert_int_equal(tree_node_check(buf_span(&builder.bytes)), HIF_OK);
        tree_node_open(buf_span(&builder.bytes), &node);
        for (uint32_t i = 0; i < 40; i++) {
                bool exact;

                assert_int_equal(tree_node_search(&node, buf_span(&keys[i]), &exact), i);
                assert_true(exact);
                keys[i].size--;
                assert_int_equal(tree_node_search(&node, buf_span(&keys[i]), &exact), i);
                assert_false(exact);
                keys[i].size++;
                buf_put_u8(&keys[i], 0);
                assert_int_equal(tree_node_search(&node, buf_span(&keys[i]), &exact), i + 1);
                assert_false(exact);
                buf_free(&keys[i]);
        }
        builder_free(&builder);
}

/* Entries with fields that contradict each other are none. */
static void contradictory_entries_are_invalid(void **state)
{
        const struct entry file = {.kind = ENTRY_FILE, .size = 3, .hash = {{1}}};
        const struct entry link = {
            .kind = ENTRY_SYMLINK, .size = 1, .target = {(const uint8_t *)"t", 1}};
        struct entry entry = file;

        (void)state;
        assert_true(entry_valid(&file));
        assert_true(entry_valid(&link));
        entry.mtime.nsec = 1000000000;
        assert_false(entry_valid(&entry));
        entry = file;
        entry.target = link.target;
        assert_false(entry_valid(&entry));
        entry = file;
        entry.kind = ENTRY_DIR;
        assert_false(entry_valid(&entry));
        entry = link;
        entry.size = 2;
        assert_false(entry_valid(&entry));
        entry = link;
        entry.loc.size = 1;
        assert_false(entry_valid(&entry));
        entry = link;
        entry.target = span_of("", 1);
        assert_false(entry_valid(&entry));
        entry = (struct entry){.kind = (enum entry_kind)5};
        assert_false(entry_valid(&entry));
}

/* Kind, size and hash make two entries the same; times, tags and locations do not. */
static void sameness_is_kind_size_and_hash(void **state)
{
        struct entry a = samples[3].entry, b = a;

        (void)state;
        b.mtime.sec++;
        b.tag.id++;
        b.loc.offset++;
        assert_true(entry_same(&a, &b));
        assert_false(entry_identical(&a, &b));
        b.kind = ENTRY_EXEC;
        assert_false(entry_same(&a, &b));
        assert_false(entry_same(&a, NULL));
        assert_true(entry_same(NULL, NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(nodes_have_their_golden_bytes),
            cmocka_unit_test(entries_come_back_as_they_were_put),
            cmocka_unit_test(children_come_back_as_they_were_put),
            cmocka_unit_test(cut_nodes_are_refused),
            cmocka_unit_test(changed_nodes_are_refused_or_readable),
            cmocka_unit_test(newer_nodes_are_unsupported),
            cmocka_unit_test(keys_with_equal_heads_are_found),
            cmocka_unit_test(contradictory_entries_are_invalid),
            cmocka_unit_test(sameness_is_kind_size_and_hash),
        };

        return cmocka_run_group_tests_name("tree_node", tests, setup, teardown);
}
