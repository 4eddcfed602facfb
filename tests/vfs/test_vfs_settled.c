/* test_vfs_settled.c - files that the session has written, looked through a little at a time. */
#include "vfs/settled.h"

#include "vfs/tvfs.h"

#include <stdio.h>

struct looker {
        struct tmount *m;
        struct vfs_settled settled;
        uint64_t after, through; /* records */
        int steps;
};

static int setup(void **state)
{
        static const struct tmount_options options = {.seed = 1};
        struct tmount *m = tmount_new(&options);

        tmount_add_text(m, "a.txt", "a");
        tmount_add_text(m, "dir/sub/b.txt", "b");
        tmount_add_text(m, "dir/.gitignore", "*.o");
        tmount_open(m);
        *state = m;
        return 0;
}

static int teardown(void **state)
{
        tmount_free(*state);
        return 0;
}

static void put(struct tmount *m, const char *path, const char *text)
{
        assert_int_equal(tmount_write(m, path, 0, text, strlen(text), false), HIF_OK);
}

static bool wants(void *arg, const struct onode *node)
{
        const struct looker *looker = arg;

        return node->data_seq > looker->after && node->data_seq <= looker->through;
}

static struct looker look(struct tmount *m)
{
        static const struct span always[] = {{(const uint8_t *)".gitignore", 10}};
        struct looker looker = {.m = m, .through = UINT64_MAX};

        looker.settled = (struct vfs_settled){
            .wants = wants, .always = always, .always_count = 1, .files_max = 1000};
        return looker;
}

static void go(struct looker *looker)
{
        bool done = false;

        looker->settled.arg = looker;
        for (; !done; looker->steps++)
                assert_int_equal(vfs_settled_step(looker->m->vfs, &looker->settled, &done), HIF_OK);
}

static int by_path(const void *a, const void *b)
{
        return span_cmp(((const struct vfs_settled_file *)a)->path,
                        ((const struct vfs_settled_file *)b)->path);
}

/* The paths in order, each with its content. */
static void expect(const struct looker *looker, const struct buf *list, const char *expected)
{
        CLEANUP(buf_free) struct buf text = {0};
        struct vfs_snapshot view = {.overlay = looker->m->overlay, .origin = looker->m->origin};

        if (list->size > 0)
                qsort(list->data, vfs_settled_count(list), sizeof(struct vfs_settled_file),
                      by_path);
        for (size_t i = 0; i < vfs_settled_count(list); i++) {
                const struct vfs_settled_file *file = vfs_settled_at(list, i);
                char content[100] = "(base)";

                buf_put_span(&text, file->path);
                if (file->changed) {
                        assert_int_equal(vfs_content_read(&view, &file->content, 0, content,
                                                          (size_t)file->content.size),
                                         HIF_OK);
                        content[file->content.size] = '\0';
                }
                buf_printf(&text, "=%s\n", content);
        }
        buf_put_u8(&text, 0);
        assert_string_equal((const char *)text.data, expected);
}

/* New files and changed ones, with their paths as they are now; nothing that only the base has. */
static void what_was_written_is_found(void **state)
{
        struct tmount *m = *state;
        struct looker looker = look(m);

        put(m, "new", "1");
        put(m, "dir/sub/b.txt", "2");
        put(m, "dir/sub/c.txt", "3");
        assert_int_equal(tmount_mkdir(m, "made"), HIF_OK);
        put(m, "made/d.txt", "4");
        assert_int_equal(tmount_rename(m, "made", "dir/moved"), HIF_OK);
        go(&looker);
        expect(&looker, &looker.settled.list,
               "dir/moved/d.txt=4\ndir/sub/b.txt=2\ndir/sub/c.txt=3\nnew=1\n");
        vfs_settled_free(&looker.settled);
}

/* What has no name any more, or one that never lands, is not; nor is what a caller does not want.
 */
static void what_does_not_land_is_not_found(void **state)
{
        struct tmount *m = *state;
        struct looker looker = look(m);

        put(m, "removed", "1");
        put(m, ".DS_Store", "2");
        put(m, ".nfs0001", "3");
        assert_int_equal(tmount_mkdir(m, "._made"), HIF_OK);
        put(m, "._made/file", "4");
        put(m, "old", "5");
        looker.after = overlay_seq(m->overlay);
        put(m, "right", "6");
        looker.through = overlay_seq(m->overlay);
        put(m, "late", "7");
        assert_int_equal(tmount_remove(m, "removed"), HIF_OK);
        go(&looker);
        expect(&looker, &looker.settled.list, "right=6\n");
        vfs_settled_free(&looker.settled);
}

/* Rule files are found always: written, or under another name; and however much else there is. */
static void rule_files_are_found_always(void **state)
{
        struct tmount *m = *state;
        struct looker looker = look(m);

        put(m, ".gitignore", "*.log");
        assert_int_equal(tmount_mkdir(m, "other"), HIF_OK);
        assert_int_equal(tmount_rename(m, "dir/.gitignore", "other/.gitignore"), HIF_OK);
        for (int i = 0; i < 20; i++) {
                char name[16];

                snprintf(name, sizeof(name), "f%d", i);
                put(m, name, name);
        }
        looker.settled.files_max = 3;
        go(&looker);
        assert_true(looker.settled.full);
        assert_int_equal(vfs_settled_count(&looker.settled.list), 3);
        expect(&looker, &looker.settled.always_list, ".gitignore=*.log\nother/.gitignore=(base)\n");
        vfs_settled_free(&looker.settled);
}

/* Many rows are looked through in several steps, and each is seen once though some are written
 * meanwhile. */
static void many_rows_are_several_steps(void **state)
{
        struct tmount *m = *state;
        struct looker looker = look(m);
        bool done = false;
        int late = 0;

        for (int i = 0; i < 6000; i++) {
                char name[16];

                snprintf(name, sizeof(name), "f%d", i);
                put(m, name, "x");
        }
        looker.settled.files_max = 100000;
        looker.through = overlay_seq(m->overlay);
        looker.settled.arg = &looker;
        for (; !done; looker.steps++) {
                char name[16];

                assert_int_equal(vfs_settled_step(m->vfs, &looker.settled, &done), HIF_OK);
                for (int i = 0; i < 500; i++, late++) {
                        snprintf(name, sizeof(name), "l%d", late);
                        put(m, name, "x");
                }
        }
        assert_in_range(looker.steps, 3, 10);
        assert_int_equal(vfs_settled_count(&looker.settled.list), 6000);
        vfs_settled_free(&looker.settled);
}

/* A write that follows changes the number, so that what was read before is not taken for it. */
static void another_write_is_another_number(void **state)
{
        struct tmount *m = *state;
        struct looker first = look(m), second = look(m);

        put(m, "file", "one");
        go(&first);
        put(m, "file", "two");
        go(&second);
        expect(&second, &second.settled.list, "file=two\n");
        assert_true(vfs_settled_at(&first.settled.list, 0)->content.data_seq <
                    vfs_settled_at(&second.settled.list, 0)->content.data_seq);
        vfs_settled_free(&first.settled);
        vfs_settled_free(&second.settled);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(what_was_written_is_found),       TEST(what_does_not_land_is_not_found),
            TEST(rule_files_are_found_always),     TEST(many_rows_are_several_steps),
            TEST(another_write_is_another_number),
        };

        return cmocka_run_group_tests_name("settled", tests, NULL, NULL);
}
