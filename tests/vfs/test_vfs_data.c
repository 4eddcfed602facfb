/* test_vfs_data.c - content: the base's under what was written, range by range. */
#include "vfs/tvfs.h"

#include "core/body.h"

#include <stdio.h>

#define BLOB_SIZE 100000u
#define BIG_SIZE  (9u * 1024 * 1024 + 17) /* chunked */

static int setup(void **state)
{
        static const struct tmount_options options = {.seed = 1, .vfs = {.allow_other = true}};
        struct tmount *m = tmount_new(&options);
        AUTO_FREE uint8_t *blob = tmount_bytes(1, BLOB_SIZE);
        AUTO_FREE uint8_t *big = tmount_bytes(2, BIG_SIZE);

        tmount_add_text(m, "a.txt", "hello, world\n");
        tmount_add_text(m, "void", "");
        tmount_add_file(m, "dir/blob", blob, BLOB_SIZE, true);
        tmount_add_file(m, "dir/big", big, BIG_SIZE, false);
        tmount_open(m);
        *state = m;
        return 0;
}

static int teardown(void **state)
{
        tmount_free(*state);
        return 0;
}

/* From now on no content can be fetched; nodes still can. */
static void cut_off_content(struct tmount *m)
{
        struct store_fault_rule rule = {.op = STORE_GET,
                                        .key_contains = "/blobs/",
                                        .count = UINT64_MAX,
                                        .fault = STORE_FAULT_FAIL,
                                        .err = HIF_EIO};

        assert_int_equal(store_fault_add(m->store, &rule), HIF_OK);
}

/* --- the base is not needed to change it (I8) --- */

/* Writing and truncating fetch no content, whatever the size of the file. */
static void writes_never_fetch_content(void **state)
{
        struct tmount *m = *state;

        cut_off_content(m);
        assert_int_equal(tmount_write(m, "a.txt", 7, "HIF", 3, false), HIF_OK);
        assert_int_equal(tmount_write(m, "dir/blob", 50000, "x", 1, false), HIF_OK);
        assert_int_equal(tmount_write(m, "dir/big", 5 << 20, "x", 1, false), HIF_OK);
        assert_int_equal(tmount_write(m, "dir/big", BIG_SIZE, "end", 3, false), HIF_OK);
        assert_int_equal(tvfs_truncate(m, "dir/blob", 60000), HIF_OK);
        assert_int_equal(tvfs_truncate(m, "dir/big", BIG_SIZE - 1), HIF_OK);
        assert_int_equal(tmount_attr(m, "dir/blob").size, 60000);
        assert_int_equal(tmount_attr(m, "dir/big").size, BIG_SIZE - 1);
        assert_int_equal(tmount_rename(m, "dir", "moved"), HIF_OK);
        assert_int_equal(tmount_remove(m, "moved/blob"), HIF_OK);
        assert_int_equal(fetch_stats(m->fetch).store_blobs, 0);
        assert_int_equal(fetch_stats(m->fetch).store_chunk_lists, 0);
}

/* What is wholly written is read without the base; what is not, shows its error there only. */
static void only_reads_of_base_bytes_need_the_base(void **state)
{
        struct tmount *m = *state;
        char got[16];
        size_t count;
        uint64_t id;

        cut_off_content(m);
        assert_int_equal(tmount_write(m, "a.txt", 0, "HELLO", 5, false), HIF_OK);
        id = tmount_id(m, "a.txt");
        assert_int_equal(tvfs_read_id(m, id, 0, got, 5, &count), HIF_OK);
        assert_int_equal(count, 5);
        assert_memory_equal(got, "HELLO", 5);
        assert_int_equal(tvfs_read_id(m, id, 0, got, 6, &count), HIF_EIO);
        assert_int_equal(tvfs_truncate(m, "a.txt", 5), HIF_OK);
        tvfs_expect(m, "a.txt", "HELLO");
        store_fault_clear(m->store);
}

/* A byte written to a large file costs about a block, not the file. */
static void a_byte_costs_a_block(void **state)
{
        struct tmount *m = *state;
        uint64_t before = overlay_stats(m->overlay).data_bytes;

        assert_int_equal(tmount_write(m, "dir/big", 3 << 20, "x", 1, false), HIF_OK);
        assert_true(overlay_stats(m->overlay).data_bytes - before <= 65536);
}

/* --- what is read --- */

/* The base's content: empty, small, one blob, chunks. */
static void base_content_is_read(void **state)
{
        struct tmount *m = *state;
        AUTO_FREE uint8_t *blob = tmount_bytes(1, BLOB_SIZE);
        AUTO_FREE uint8_t *big = tmount_bytes(2, BIG_SIZE);

        tvfs_expect(m, "void", "");
        tvfs_expect(m, "a.txt", "hello, world\n");
        tvfs_expect_bytes(m, "dir/blob", blob, BLOB_SIZE);
        tvfs_expect_bytes(m, "dir/big", big, BIG_SIZE);
        assert_int_equal(tmount_attr(m, "dir/blob").mode, 0755);
}

/* Reads at and past the end, and of directories. */
static void reads_end_at_the_end(void **state)
{
        struct tmount *m = *state;
        uint64_t id = tmount_id(m, "a.txt");
        char got[32];
        size_t count;

        assert_int_equal(tvfs_read_id(m, id, 12, got, 10, &count), HIF_OK);
        assert_int_equal(count, 1);
        assert_int_equal(tvfs_read_id(m, id, 13, got, 10, &count), HIF_OK);
        assert_int_equal(count, 0);
        assert_int_equal(tvfs_read_id(m, id, 1u << 30, got, 10, &count), HIF_OK);
        assert_int_equal(count, 0);
        assert_int_equal(tvfs_read_id(m, id, 0, got, 0, &count), HIF_OK);
        assert_int_equal(tvfs_read_id(m, tmount_id(m, "dir"), 0, got, 1, &count), HIF_EISDIR);
        assert_int_equal(tvfs_write_id(m, tmount_id(m, "dir"), 0, "x", 1), HIF_EISDIR);
}

/* Cut and grown again, a file reads as zeros there, not as the base's old bytes. */
static void what_was_cut_stays_cut(void **state)
{
        struct tmount *m = *state;

        assert_int_equal(tvfs_truncate(m, "a.txt", 5), HIF_OK);
        assert_int_equal(tvfs_truncate(m, "a.txt", 10), HIF_OK);
        tvfs_expect_bytes(m, "a.txt", (const uint8_t *)"hello\0\0\0\0\0", 10);
        assert_int_equal(tmount_write(m, "a.txt", 12, "!", 1, false), HIF_OK);
        tmount_restart(m);
        tvfs_expect_bytes(m, "a.txt", (const uint8_t *)"hello\0\0\0\0\0\0\0!", 13);
        assert_int_equal(tvfs_truncate(m, "a.txt", 0), HIF_OK);
        assert_int_equal(tvfs_truncate(m, "a.txt", 3), HIF_OK);
        tvfs_expect_bytes(m, "a.txt", (const uint8_t *)"\0\0\0", 3);
}

/* A hole of terabytes is an attribute. */
static void holes_cost_nothing(void **state)
{
        struct tmount *m = *state;
        const uint64_t at = 1ull << 42;
        uint8_t got[16];
        size_t count;
        uint64_t id;

        assert_int_equal(tmount_write(m, "sparse", at, "end", 3, false), HIF_OK);
        id = tmount_id(m, "sparse");
        assert_int_equal(tmount_attr(m, "sparse").size, at + 3);
        assert_int_equal(tvfs_read_id(m, id, at - 3, got, sizeof(got), &count), HIF_OK);
        assert_int_equal(count, 6);
        assert_memory_equal(got, "\0\0\0end", 6);
        assert_int_equal(tvfs_read_id(m, id, at / 2, got, sizeof(got), &count), HIF_OK);
        assert_int_equal(count, sizeof(got));
        assert_int_equal(got[7], 0);
}

/* Where the first byte of data or of a hole is; UINT64_MAX: nowhere. */
static uint64_t seek(struct tmount *m, const char *path, uint64_t offset, bool hole)
{
        uint64_t id = tmount_id(m, path), found = UINT64_MAX;
        enum hif_err err = HIF_OK;
        struct tmount_run run;

        TVFS_RUN(m, run, err, vfs_seek(m->vfs, &run.call, id, offset, hole, &found));
        assert_true(err == HIF_OK || err == HIF_ENOENT);
        return err == HIF_OK ? found : UINT64_MAX;
}

/* Holes can be found, and are not counted as used; the base's content is data, and counted. */
static void holes_are_told(void **state)
{
        struct tmount *m = *state;

        assert_int_equal(seek(m, "dir/blob", 10, false), 10);
        assert_int_equal(seek(m, "dir/blob", 10, true), BLOB_SIZE);
        assert_int_equal(seek(m, "dir/blob", BLOB_SIZE, true), UINT64_MAX);
        assert_int_equal(seek(m, "void", 0, false), UINT64_MAX);
        assert_int_equal(tmount_write(m, "dir/blob", 1 << 20, "end", 3, false), HIF_OK);
        assert_int_equal(seek(m, "dir/blob", 10, true), BLOB_SIZE);
        assert_int_equal(seek(m, "dir/blob", BLOB_SIZE, false), 1 << 20);
        assert_int_equal(seek(m, "dir/blob", 1 << 20, true), (1 << 20) + 3);
        assert_int_equal(tmount_attr(m, "dir/blob").used, (BLOB_SIZE + 3 + 4095) / 4096 * 4096);
        assert_int_equal(tmount_write(m, "dir/blob", 50, "middle", 6, false), HIF_OK);
        assert_int_equal(tmount_attr(m, "dir/blob").used, (BLOB_SIZE + 3 + 4095) / 4096 * 4096);
        assert_int_equal(tvfs_truncate(m, "a.txt", 1 << 30), HIF_OK);
        assert_int_equal(tmount_attr(m, "a.txt").used, 4096);
        assert_int_equal(seek(m, "a.txt", 0, true), 13);
        assert_int_equal(seek(m, "a.txt", 13, false), UINT64_MAX);
        assert_int_equal(tvfs_truncate(m, "void", 100), HIF_OK);
        assert_int_equal(tmount_attr(m, "void").used, 0);
        assert_int_equal(seek(m, "void", 0, true), 0);
}

struct model {
        uint8_t *content;
        size_t size, capacity;
        uint64_t random;
};

static uint64_t next(struct model *model)
{
        model->random = model->random * 6364136223846793005u + 1442695040888963407u;
        return model->random >> 33;
}

static void model_resize(struct model *model, size_t size)
{
        assert_true(size <= model->capacity);
        if (size > model->size)
                memset(model->content + model->size, 0, size - model->size);
        model->size = size;
}

/* One random write, truncation or read of part of the file. */
static void step(struct tmount *m, const char *path, uint64_t id, struct model *model)
{
        size_t offset = next(model) % (model->capacity - 1), size = next(model) % 40000 + 1, count;
        AUTO_FREE uint8_t *bytes = tmount_bytes(next(model), size);

        if (size > model->capacity - offset)
                size = model->capacity - offset;
        switch (next(model) % 8) {
        case 0:
                assert_int_equal(tvfs_truncate(m, path, offset), HIF_OK);
                model_resize(model, offset);
                break;
        case 1:
        case 2:
        case 3:
                assert_int_equal(tvfs_read_id(m, id, offset, bytes, size, &count), HIF_OK);
                assert_true(offset >= model->size ? count == 0 : count <= model->size - offset);
                assert_true(count > 0 || offset >= model->size);
                if (count > 0)
                        assert_memory_equal(bytes, model->content + offset, count);
                break;
        default:
                assert_int_equal(tvfs_write_id(m, id, offset, bytes, size), HIF_OK);
                if (offset + size > model->size)
                        model_resize(model, offset + size);
                memcpy(model->content + offset, bytes, size);
                break;
        }
}

static void random_work(struct tmount *m, const char *path, uint64_t content_seed, size_t base_size,
                        uint64_t seed, int steps)
{
        struct model model = {.size = base_size, .capacity = base_size + 300000, .random = seed};
        AUTO_FREE uint8_t *base = tmount_bytes(content_seed, base_size);
        uint64_t id = tmount_id(m, path);

        print_message("%s, seed %ju\n", path, (uintmax_t)seed);
        model.content = calloc(1, model.capacity);
        assert_non_null(model.content);
        memcpy(model.content, base, base_size);
        for (int i = 0; i < steps; i++) {
                step(m, path, id, &model);
                if (i % 97 == 96)
                        tmount_restart(m);
        }
        tvfs_expect_bytes(m, path, model.content, model.size);
        free(model.content);
}

/* Random writes, truncations, reads and restarts agree with an array of bytes. */
static void random_work_agrees_with_a_model(void **state)
{
        struct tmount *m = *state;

        random_work(m, "dir/blob", 1, BLOB_SIZE, 11, 600);
        random_work(m, "dir/big", 2, BIG_SIZE, 12, 300);
        assert_int_equal(tmount_create(m, "new", NULL), HIF_OK);
        random_work(m, "new", 3, 0, 13, 400);
}

/* --- stability and removal --- */

/* A stable write, a commit and a rename over a name say up to where the log must be on disk. */
static void stable_replies_say_what_they_wait_for(void **state)
{
        struct tmount *m = *state;
        enum hif_err err = HIF_OK;
        struct tmount_run run;
        struct vfs_wcc wcc, to;

        TVFS_RUN(m, run, err,
                 vfs_write(m->vfs, &run.call, tmount_id(m, "a.txt"), 0, span_str("x"), true, &wcc));
        assert_int_equal(err, HIF_OK);
        assert_int_equal(run.call.stable_seq, overlay_seq(m->overlay));
        vfs_call_end(&run.call);
        TVFS_RUN(m, run, err, vfs_commit(m->vfs, &run.call, tmount_id(m, "void"), &wcc));
        assert_int_equal(err, HIF_OK);
        assert_int_equal(run.call.stable_seq, overlay_seq(m->overlay));
        vfs_call_end(&run.call);
        TVFS_RUN(m, run, err,
                 vfs_rename(m->vfs, &run.call, NODEID_ROOT, span_str("a.txt"), NODEID_ROOT,
                            span_str("void"), &wcc, &to));
        assert_int_equal(err, HIF_OK);
        assert_int_equal(run.call.stable_seq, overlay_seq(m->overlay));
        vfs_call_end(&run.call);
        TVFS_RUN(m, run, err,
                 vfs_rename(m->vfs, &run.call, NODEID_ROOT, span_str("void"), NODEID_ROOT,
                            span_str("free"), &wcc, &to));
        assert_int_equal(err, HIF_OK);
        assert_int_equal(run.call.stable_seq, 0);
        vfs_call_end(&run.call);
}

/* A removed file reads on for a minute, and for as long as it is held. */
static void removed_content_goes_when_nobody_has_it(void **state)
{
        struct tmount *m = *state;
        uint64_t base = tmount_id(m, "a.txt"), made, held;
        char got[16];
        size_t count;

        assert_int_equal(tmount_write(m, "made", 0, "made", 4, false), HIF_OK);
        assert_int_equal(tmount_write(m, "held", 0, "held", 4, false), HIF_OK);
        made = tmount_id(m, "made");
        held = tmount_id(m, "held");
        assert_int_equal(vfs_hold(m->vfs, held), HIF_OK);
        assert_int_equal(vfs_hold(m->vfs, held), HIF_OK);
        assert_int_equal(tmount_remove(m, "a.txt"), HIF_OK);
        assert_int_equal(tmount_remove(m, "made"), HIF_OK);
        assert_int_equal(tmount_remove(m, "held"), HIF_OK);
        assert_int_equal(tvfs_read_id(m, made, 0, got, 4, &count), HIF_OK);
        assert_memory_equal(got, "made", 4);
        vfs_release(m->vfs, held);
        for (int i = 0; i < 20; i++)
                tmount_advance(m, (VFS_REMOVED_GRACE_MS / 10) * 1000000ull);
        assert_int_equal(tvfs_read_id(m, made, 0, got, 4, &count), HIF_ESTALE);
        assert_int_equal(tvfs_read_id(m, held, 0, got, 4, &count), HIF_OK);
        assert_memory_equal(got, "held", 4);
        assert_int_equal(tvfs_write_id(m, held, 0, "more", 4), HIF_OK);
        assert_int_equal(tvfs_read_id(m, base, 0, got, 5, &count), HIF_OK);
        assert_memory_equal(got, "hello", 5);
        vfs_release(m->vfs, held);
        for (int i = 0; i < 20; i++)
                tmount_advance(m, (VFS_REMOVED_GRACE_MS / 10) * 1000000ull);
        assert_int_equal(tvfs_read_id(m, held, 0, got, 4, &count), HIF_ESTALE);
}

/* mtime and ctime tell of content; ctime never repeats, even when the clock stands. */
static void times_tell_of_changes(void **state)
{
        struct tmount *m = *state;
        struct vfs_attr last = tmount_attr(m, "a.txt");
        struct vfs_setattr set = {.set = VFS_SET_MTIME, .mtime = {.sec = 5, .nsec = 6}};

        for (int i = 0; i < 10; i++) {
                struct vfs_attr attr;

                assert_int_equal(tmount_write(m, "a.txt", 0, "x", 1, false), HIF_OK);
                attr = tmount_attr(m, "a.txt");
                assert_true(attr.ctime.sec > last.ctime.sec || (attr.ctime.sec == last.ctime.sec &&
                                                                attr.ctime.nsec > last.ctime.nsec));
                last = attr;
        }
        assert_true(last.mtime.sec > 1000000100);
        assert_int_equal(tvfs_setattr(m, "a.txt", &set), HIF_OK);
        tmount_restart(m);
        assert_int_equal(tmount_attr(m, "a.txt").mtime.sec, 5);
        assert_int_equal(tmount_attr(m, "a.txt").mtime.nsec, 6);
        assert_int_equal(tmount_attr(m, "dir/blob").mtime.sec,
                         tmount_attr(m, "dir/blob").ctime.sec);
}

/* Who may write to a file may take its set-id bits away, and nothing else of its mode: a kernel
 * does that on a writer's behalf. */
static void a_writer_drops_set_id_bits(void **state)
{
        struct tmount *m = *state;
        struct vfs_setattr set = {.set = VFS_SET_MODE, .mode = 06766};

        assert_int_equal(tvfs_setattr(m, "a.txt", &set), HIF_OK);
        m->caller.uid = m->caller.gid = TMOUNT_UID + 1;
        set.mode = 0744;
        assert_int_equal(tvfs_setattr(m, "a.txt", &set), HIF_EPERM);
        set.mode = 0777;
        assert_int_equal(tvfs_setattr(m, "a.txt", &set), HIF_EPERM);
        set.mode = 0766;
        assert_int_equal(tvfs_setattr(m, "a.txt", &set), HIF_OK);
        set.mode = 06766;
        assert_int_equal(tvfs_setattr(m, "a.txt", &set), HIF_EPERM);
        assert_int_equal(tmount_attr(m, "a.txt").mode, 0766);
}

/* Another owner gets no program that runs as someone else; nor a fifo or device with such bits. */
static void a_new_owner_drops_set_id_bits(void **state)
{
        struct tmount *m = *state;
        struct vfs_setattr mode = {.set = VFS_SET_MODE, .mode = 06775};
        struct vfs_setattr owner = {.set = VFS_SET_UID, .uid = 7};

        m->caller.uid = 0;
        assert_int_equal(tvfs_setattr(m, "a.txt", &mode), HIF_OK);
        assert_int_equal(tvfs_setattr(m, "a.txt", &owner), HIF_OK);
        assert_int_equal(tmount_attr(m, "a.txt").mode, 0775);
        mode.mode = 06765; /* set-group-id without the group's bit is not about programs */
        assert_int_equal(tvfs_setattr(m, "a.txt", &mode), HIF_OK);
        assert_int_equal(tvfs_setattr(m, "a.txt", &owner), HIF_OK);
        assert_int_equal(tmount_attr(m, "a.txt").mode, 02765);
        assert_int_equal(tvfs_setattr(m, "dir", &mode), HIF_OK);
        assert_int_equal(tvfs_setattr(m, "dir", &owner), HIF_OK);
        assert_int_equal(tmount_attr(m, "dir").mode, 06765);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
            TEST(writes_never_fetch_content),
            TEST(only_reads_of_base_bytes_need_the_base),
            TEST(a_byte_costs_a_block),
            TEST(base_content_is_read),
            TEST(reads_end_at_the_end),
            TEST(what_was_cut_stays_cut),
            TEST(holes_cost_nothing),
            TEST(holes_are_told),
            TEST(random_work_agrees_with_a_model),
            TEST(stable_replies_say_what_they_wait_for),
            TEST(removed_content_goes_when_nobody_has_it),
            TEST(times_tell_of_changes),
            TEST(a_writer_drops_set_id_bits),
            TEST(a_new_owner_drops_set_id_bits),
        };

        return cmocka_run_group_tests_name("vfs: content", tests, NULL, NULL);
}
