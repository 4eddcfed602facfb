/* test_key.c - names, paths, and the keys that put them in order. */
#include "core/key.h"

#include "core/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct span key_of(struct buf *out, const char *path)
{
        buf_reset(out);
        key_from_path(out, span_str(path));
        assert_false(buf_failed(out));
        return buf_span(out);
}

static void expect_span(struct span span, const char *text)
{
        assert_int_equal(span.size, strlen(text));
        assert_memory_equal(span.data, text, span.size);
}

/* A name is 1 to 255 bytes without '/' and NUL, and neither "." nor "..". */
static void names_that_a_directory_cannot_hold_are_refused(void **state)
{
        char name[NAME_SIZE_MAX + 2];

        (void)state;
        memset(name, 'x', sizeof(name));
        assert_true(name_valid(span_of(name, 1)));
        assert_true(name_valid(span_of(name, NAME_SIZE_MAX)));
        assert_false(name_valid(span_of(name, NAME_SIZE_MAX + 1)));
        assert_false(name_valid(span_of(name, 0)));
        assert_false(name_valid(span_str(".")));
        assert_false(name_valid(span_str("..")));
        assert_false(name_valid(span_str("a/b")));
        assert_false(name_valid(span_of("a\0b", 3)));
        assert_true(name_valid(span_str("...")));
        assert_true(name_valid(span_str(".a")));
        assert_true(name_valid(span_str("\xff\x01")));
}

/* A path is valid names joined by single slashes, up to PATH_SIZE_MAX. */
static void paths_are_valid_names_joined_by_slashes(void **state)
{
        static const char *const bad[] = {"/",    "/a",   "a/",  "a//b", "a/./b",
                                          "a/..", "../a", "./a", "a/.",  "//"};
        char path[PATH_SIZE_MAX + 2];

        (void)state;
        assert_true(path_valid(span_str("")));
        assert_true(path_valid(span_str("a")));
        assert_true(path_valid(span_str("a/b/...")));
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_false(path_valid(span_str(bad[i])));
        for (size_t i = 0; i < sizeof(path); i++)
                path[i] = i % 2 ? '/' : 'x';
        assert_true(path_valid(span_of(path, PATH_SIZE_MAX)));
        assert_false(path_valid(span_of(path, PATH_SIZE_MAX + 2)));
}

/* A path splits into its parent and its last component. */
static void paths_split(void **state)
{
        (void)state;
        expect_span(path_parent(span_str("a/b/c")), "a/b");
        expect_span(path_name(span_str("a/b/c")), "c");
        expect_span(path_parent(span_str("a")), "");
        expect_span(path_name(span_str("a")), "a");
        assert_true(path_within(span_str("a/b"), span_str("a")));
        assert_true(path_within(span_str("a"), span_str("a")));
        assert_true(path_within(span_str("a"), span_str("")));
        assert_false(path_within(span_str("ab"), span_str("a")));
        assert_false(path_within(span_str("a"), span_str("a/b")));
}

/* The bytes of a key are part of the format. */
static void keys_have_their_drawn_bytes(void **state)
{
        struct buf buf = {0};
        struct hif_hash hash = hash_of(HASH_BLOB, span_str("lib"));
        struct span key = key_of(&buf, "usr/src/lib");

        (void)state;
        assert_int_equal(key.size, 4 + 4 + 1 + 8 + 3);
        assert_memory_equal(key.data, "usr\0src\0\0", 9);
        assert_memory_equal(key.data + 9, hash.bytes, 7);
        assert_int_equal(key.data[16], hash.bytes[7] & 0xf0);
        assert_memory_equal(key.data + 17, "lib", 3);
        assert_int_equal(key_of(&buf, "").size, 0);
        buf_free(&buf);
}

/* Every way to make a key gives the same one, and it leads back to its path. */
static void keys_lead_back_to_their_paths(void **state)
{
        static const char *const paths[] = {"", "a", "a/b", "dir/sub dir/\xc3\xa9", "x/y/z/w"};
        struct buf key = {0}, other = {0}, prefix = {0};

        (void)state;
        for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
                struct span path = span_str(paths[i]);

                key_of(&key, paths[i]);
                assert_true(key_valid(buf_span(&key)));
                buf_reset(&other);
                key_to_path(&other, buf_span(&key));
                assert_true(span_eq(buf_span(&other), path));
                buf_reset(&other);
                buf_reset(&prefix);
                key_prefix(&prefix, path);
                key_prefix_of_key(&other, buf_span(&key));
                assert_true(span_eq(buf_span(&other), buf_span(&prefix)));
                if (path.size == 0) {
                        assert_int_equal(key_hash60(buf_span(&key)), 0);
                        continue;
                }
                buf_reset(&prefix);
                key_prefix(&prefix, path_parent(path));
                assert_true(span_eq(key_parent_prefix(buf_span(&key)), buf_span(&prefix)));
                assert_true(span_eq(key_name(buf_span(&key)), path_name(path)));
                assert_int_equal(key_hash60(buf_span(&key)), name_hash60(path_name(path)));
                buf_reset(&other);
                key_child(&other, buf_span(&prefix), name_hash60(path_name(path)), path_name(path));
                assert_true(span_eq(buf_span(&other), buf_span(&key)));
        }
        buf_free(&key);
        buf_free(&other);
        buf_free(&prefix);
}

static bool key_in(struct buf *scratch, const char *path, struct span from, struct span to)
{
        struct span key = key_of(scratch, path);

        return span_cmp(key, from) >= 0 && (to.size == 0 || span_cmp(key, to) < 0);
}

/* What is below a directory is one range, and holds nothing else; its children are one range. */
static void a_directory_is_a_range(void **state)
{
        struct buf prefix = {0}, end = {0}, children = {0}, children_end = {0}, scratch = {0};

        (void)state;
        key_prefix(&prefix, span_str("a/b"));
        key_prefix_end(&end, buf_span(&prefix));
        assert_true(key_in(&scratch, "a/b/c", buf_span(&prefix), buf_span(&end)));
        assert_true(key_in(&scratch, "a/b/c/d/e", buf_span(&prefix), buf_span(&end)));
        assert_false(key_in(&scratch, "a/b", buf_span(&prefix), buf_span(&end)));
        assert_false(key_in(&scratch, "a/b\x01", buf_span(&prefix), buf_span(&end)));
        assert_false(key_in(&scratch, "a/b\x01/c", buf_span(&prefix), buf_span(&end)));
        assert_false(key_in(&scratch, "a/bb/c", buf_span(&prefix), buf_span(&end)));
        assert_false(key_in(&scratch, "a/a/c", buf_span(&prefix), buf_span(&end)));

        buf_put_span(&children, buf_span(&prefix));
        buf_put_u8(&children, 0);
        buf_put_span(&children_end, buf_span(&prefix));
        buf_put_u8(&children_end, 1);
        assert_true(key_in(&scratch, "a/b/c", buf_span(&children), buf_span(&children_end)));
        assert_false(key_in(&scratch, "a/b/c/d", buf_span(&children), buf_span(&children_end)));
        assert_false(key_in(&scratch, "a/b/\x01/d", buf_span(&children), buf_span(&children_end)));

        buf_reset(&end);
        key_prefix_end(&end, (struct span){0});
        assert_int_equal(end.size, 0);
        buf_free(&prefix);
        buf_free(&end);
        buf_free(&children);
        buf_free(&children_end);
        buf_free(&scratch);
}

/* A key with one wrong part is no key. */
static void malformed_keys_are_refused(void **state)
{
        struct buf key = {0};
        size_t size;

        (void)state;
        key_of(&key, "dir/name");
        size = key.size;
        for (size_t cut = 1; cut < size; cut++)
                assert_false(key_valid(span_of(key.data, cut)));
        for (size_t at = 5; at < size; at++) {
                key.data[at] ^= 1; /* the hash's bits and the name's */
                assert_false(key_valid(buf_span(&key)));
                key.data[at] ^= 1;
        }
        assert_true(key_valid(buf_span(&key)));
        memcpy(key.data, "..", 2);
        assert_true(key_valid(buf_span(&key))); /* "..r" */
        key.data[2] = 0;
        assert_false(key_valid(buf_span(&key)));
        key_of(&key, "dir/name");
        key.data[1] = '/';
        assert_false(key_valid(buf_span(&key)));
        buf_free(&key);
}

/* The longest path has the longest key. */
static void the_longest_path_fits_a_key(void **state)
{
        char path[PATH_SIZE_MAX + 1];
        struct buf key = {0}, back = {0};

        (void)state;
        for (size_t i = 0; i < PATH_SIZE_MAX; i++)
                path[i] = i % 2 ? '/' : 'x';
        path[PATH_SIZE_MAX] = 0;
        key_of(&key, path);
        assert_in_range(key.size, 1, KEY_SIZE_MAX);
        assert_true(key_valid(buf_span(&key)));
        key_to_path(&back, buf_span(&key));
        assert_true(span_eq(buf_span(&back), span_str(path)));
        buf_free(&key);
        buf_free(&back);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(names_that_a_directory_cannot_hold_are_refused),
            cmocka_unit_test(paths_are_valid_names_joined_by_slashes),
            cmocka_unit_test(paths_split),
            cmocka_unit_test(keys_have_their_drawn_bytes),
            cmocka_unit_test(keys_lead_back_to_their_paths),
            cmocka_unit_test(a_directory_is_a_range),
            cmocka_unit_test(malformed_keys_are_refused),
            cmocka_unit_test(the_longest_path_fits_a_key),
        };

        return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
