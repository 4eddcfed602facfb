/* Content: what was written is read back, without the base; where it lies may change and shrink. */
#include "fixture.h"

#include "core/nodeid.h"

#include <stdlib.h>
#include <string.h>

/* Over a base of 10 bytes only the written range is ours; a truncation hides the base for good. */
static void written_ranges_lie_over_the_base(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "f");
        struct otx *tx = otx_begin(t->overlay);
        struct onode *node = otx_node(tx, id);

        node->size = node->base_limit = 10;
        node->base.kind = ENTRY_FILE;
        t_commit(tx);
        t_expect(t, id, "??????????");
        t_write(t, id, 3, "abc");
        t_expect(t, id, "???abc????");
        t_write(t, id, 12, "z");
        assert_int_equal(overlay_node(t->overlay, id)->base_limit, 10);
        t_truncate(t, id, 5);
        t_expect(t, id, "???ab");
        assert_int_equal(overlay_node(t->overlay, id)->base_limit, 5);
        t_truncate(t, id, 8);
        t_write(t, id, 7, "q");
        assert_int_equal(overlay_node(t->overlay, id)->base_limit, 5);
        toverlay_kill(t);
        uint8_t bytes[8];

        t_read(t, id, bytes, 8);
        assert_memory_equal(bytes, "???ab\0\0q", 8);
}

/* Appending in small pieces makes one extent, not many. */
static void appends_merge_into_one_extent(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "log");

        for (uint64_t i = 0; i < 100; i++)
                t_write(t, id, i * 5, "line\n");
        assert_int_equal(overlay_node(t->overlay, id)->extent_count, 1);
        assert_int_equal(overlay_node(t->overlay, id)->size, 500);
}

/* Rewriting what no sync has seen takes no new space; once synced, the old bytes stay until the new
 * ones are. */
static void only_unsynced_content_is_rewritten_in_place(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "f"), at;

        t_write(t, id, 0, "one");
        at = overlay_node(t->overlay, id)->extents[0].at;
        t_write(t, id, 0, "two");
        assert_int_equal(overlay_node(t->overlay, id)->extents[0].at, at);
        t_sync(t);
        t_write(t, id, 0, "six");
        assert_int_not_equal(overlay_node(t->overlay, id)->extents[0].at, at);
        t_expect(t, id, "six");
        toverlay_power_cut(t);
        t_expect(t, id, "two");
}

/* A large file has one of its own, and random writes to it merge. */
static void large_files_are_sparse(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "big");

        t_fill(t, id, 10ull << 30, 'x', 4096);
        assert_true(overlay_stats(t->overlay).data_bytes == 4096);
        for (uint64_t i = 64; i > 0; i--)
                t_fill(t, id, (10ull << 30) + i * 4096, 'y', 4096);
        assert_int_equal(overlay_node(t->overlay, id)->extent_count, 1);
        assert_true(overlay_stats(t->overlay).data_bytes == 65 * 4096);
}

/* What was named before a freeze keeps its bytes until the thaw, in small and in large files. */
static void frozen_content_does_not_change(void **state)
{
        struct toverlay *t = *state;
        uint64_t small = t_create(t, NODEID_ROOT, "small"), big = t_create(t, NODEID_ROOT, "big");
        struct opiece pieces[2];
        uint8_t bytes[4];

        t_write(t, small, 0, "old1");
        t_fill(t, big, 1 << 20, 'o', 4);
        overlay_freeze(t->overlay);
        overlay_pieces(overlay_node(t->overlay, small), 0, 4, &pieces[0], 1);
        overlay_pieces(overlay_node(t->overlay, big), 1 << 20, 4, &pieces[1], 1);
        t_write(t, small, 0, "new1");
        t_fill(t, big, 1 << 20, 'n', 4);
        t_sync(t);
        assert_int_equal(overlay_read(t->overlay, &pieces[0], true, bytes), HIF_OK);
        assert_memory_equal(bytes, "old1", 4);
        assert_int_equal(overlay_read(t->overlay, &pieces[1], true, bytes), HIF_OK);
        assert_memory_equal(bytes, "oooo", 4);
        t_expect(t, small, "new1");
        overlay_thaw(t->overlay);
}

static bool count_name(void *arg, const char *name)
{
        (void)name;
        ++*(int *)arg;
        return true;
}

static int data_files(struct toverlay *t)
{
        int count = 0;

        assert_int_equal(t->env->ops->list(t->env, "/home/agent/overlay/data", count_name, &count),
                         HIF_OK);
        return count;
}

/* A file of data goes when nothing in it lives and that is durable, but not while frozen. */
static void dead_data_files_are_removed(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "big");

        t_fill(t, id, 1 << 20, 'x', 4096);
        t_sync(t);
        assert_int_equal(data_files(t), 1);
        overlay_freeze(t->overlay);
        t_remove(t, NODEID_ROOT, "big", id);
        t_sync(t);
        assert_int_equal(data_files(t), 1);
        overlay_thaw(t->overlay);
        t_create(t, NODEID_ROOT, "other");
        t_sync(t);
        assert_int_equal(data_files(t), 0);
        assert_true(overlay_stats(t->overlay).data_bytes == 0);
}

/* On a full disk a write is refused before anything has changed, and reading goes on. */
static void full_disk_refuses_writes_and_changes_nothing(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "f");
        struct otx *tx;
        uint8_t *bytes = calloc(1, 1 << 20);

        t_write(t, id, 0, "kept");
        simenv_set_capacity(t->sim, 0);
        tx = otx_begin(t->overlay);
        assert_int_equal(overlay_write(tx, id, 0, span_of(bytes, 1 << 20)), HIF_ENOSPC);
        otx_abort(tx);
        t_expect(t, id, "kept");
        simenv_set_capacity(t->sim, 1ull << 30);
        t_write(t, id, 4, " on");
        t_expect(t, id, "kept on");
        free(bytes);
}

/* --- which pages have room --- */

#define FILES_MAX 8
#define PAGES_MAX 1024

struct watched {
        const struct env_ops *real;
        struct env_ops ops;
        int fds[FILES_MAX];
        size_t file_count, written;
        bool taken[FILES_MAX][PAGES_MAX];
};

static struct watched watched;

static enum hif_err watch_open(struct env *env, const char *path, int flags, mode_t mode, int *fd)
{
        enum hif_err err = watched.real->open(env, path, flags, mode, fd);

        if (err == HIF_OK && strstr(path, "/data/") != NULL) {
                assert_true(watched.file_count < FILES_MAX);
                watched.fds[watched.file_count++] = *fd;
        }
        return err;
}

static bool *pages_of(int fd)
{
        for (size_t i = 0; i < watched.file_count; i++)
                if (watched.fds[i] == fd)
                        return watched.taken[i];
        return NULL;
}

static enum hif_err watch_fallocate(struct env *env, int fd, uint64_t offset, uint64_t size)
{
        enum hif_err err = watched.real->fallocate(env, fd, offset, size);
        bool *pages = pages_of(fd);

        assert_true((offset + size) / 4096 <= PAGES_MAX);
        for (uint64_t i = offset / 4096; err == HIF_OK && pages != NULL && i * 4096 < offset + size;
             i++)
                pages[i] = true;
        return err;
}

static enum hif_err watch_pwrite(struct env *env, int fd, const void *data, size_t size,
                                 uint64_t offset, size_t *count)
{
        const bool *pages = pages_of(fd);

        for (uint64_t i = offset / 4096; pages != NULL && i * 4096 < offset + size; i++)
                assert_true(pages[i]);
        watched.written += pages != NULL;
        return watched.real->pwrite(env, fd, data, size, offset, count);
}

/* A file system may find out that it is full when it writes back what was written: room is taken before
 * that, in small files and large ones, at their ends and in their holes. */
static void room_is_taken_before_anything_is_written(void **state)
{
        static const uint64_t offsets[] = {0, 5000, 60000, 900000, 300000, 299000};
        struct toverlay *t = *state;

        watched = (struct watched){.real = t->env->ops, .ops = *t->env->ops};
        watched.ops.open = watch_open;
        watched.ops.fallocate = watch_fallocate;
        watched.ops.pwrite = watch_pwrite;
        t->env->ops = &watched.ops;
        for (unsigned file = 0; file < 3; file++) {
                uint64_t id = t_create(t, NODEID_ROOT, "f");

                for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
                        t_fill(t, id, offsets[i], (uint8_t)i, 10000);
                for (unsigned i = 0; i < 50; i++)
                        t_write(t, id, i * 7, "small");
        }
        assert_true(watched.written > 100);
        t->env->ops = watched.real;
}

/* The reserve is left free for landing: content is refused before the disk is full, rows are not.
 */
static void reserve_is_kept_from_writes(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "f");
        struct otx *tx;
        uint8_t *bytes = calloc(1, 1 << 20);

        overlay_close(t->overlay);
        t->config.reserve_bytes = 1ull << 39;
        toverlay_open(t);
        simenv_set_capacity(t->sim, 1ull << 38);
        tx = otx_begin(t->overlay);
        assert_int_equal(overlay_write(tx, id, 0, span_of(bytes, 1 << 20)), HIF_ENOSPC);
        otx_abort(tx);
        t_remove(t, NODEID_ROOT, "f", id);
        simenv_set_capacity(t->sim, 1ull << 40);
        free(bytes);
}

static enum hif_err set_value(struct toverlay *t, enum overlay_need need)
{
        uint8_t value[1000] = {1};
        struct otx *tx = otx_begin(t->overlay);
        uint64_t seq;

        otx_need(tx, need);
        otx_value(tx, "value", span_of(value, sizeof(value)));
        return otx_commit(tx, &seq);
}

static size_t set_until_full(struct toverlay *t, enum overlay_need need)
{
        size_t count = 0;
        enum hif_err err;

        while ((err = set_value(t, need)) == HIF_OK)
                count++;
        assert_int_equal(err, HIF_ENOSPC);
        return count;
}

/* On a disk that is full to the last byte changes are refused once the log is full; those that make
 * room go on in half of the spare, and landing in the rest of it; also after the process died. With
 * room everything goes on, and there is a spare again. */
static void spare_is_for_landing_on_a_full_disk(void **state)
{
        struct toverlay *t = *state;

        overlay_close(t->overlay);
        t->config.spare_bytes = 1 << 20;
        t->config.log_segment_bytes = 64 << 10;
        toverlay_open(t);
        simenv_set_capacity(t->sim, 1 << 20); /* less than what is in use */
        set_until_full(t, OVERLAY_ORDINARY);
        assert_in_range(set_until_full(t, OVERLAY_FREEING), 450, 550);
        assert_int_equal(set_value(t, OVERLAY_ORDINARY), HIF_ENOSPC);
        assert_int_equal(set_value(t, OVERLAY_LANDING), HIF_OK);
        t_sync(t);
        toverlay_kill(t);
        assert_int_equal(set_value(t, OVERLAY_LANDING), HIF_OK);
        t_sync(t);
        toverlay_power_cut(t);
        assert_int_equal(set_value(t, OVERLAY_LANDING), HIF_OK);
        simenv_set_capacity(t->sim, 1ull << 30);
        assert_int_equal(set_value(t, OVERLAY_ORDINARY), HIF_OK);
        simenv_advance(t->sim, 2000000000);
        t_sync(t);
        simenv_set_capacity(t->sim, 1 << 20);
        set_until_full(t, OVERLAY_ORDINARY);
        assert_in_range(set_until_full(t, OVERLAY_LANDING), 900, 1100);
        simenv_set_capacity(t->sim, 1ull << 30);
}

/* A quota says that it is one; all else is as on a full disk. */
static void quota_is_a_full_disk(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "f");
        struct otx *tx;
        uint8_t *bytes = calloc(1, 1 << 20);

        overlay_close(t->overlay);
        t->config.spare_bytes = 1 << 20;
        t->config.log_segment_bytes = 64 << 10;
        toverlay_open(t);
        simenv_set_quota(t->sim, 1 << 20);
        tx = otx_begin(t->overlay);
        assert_int_equal(overlay_write(tx, id, 0, span_of(bytes, 1 << 20)), HIF_EDQUOT);
        otx_abort(tx);
        while (set_value(t, OVERLAY_ORDINARY) != HIF_EDQUOT)
                ;
        assert_int_equal(set_value(t, OVERLAY_LANDING), HIF_OK);
        toverlay_kill(t);
        assert_int_equal(set_value(t, OVERLAY_LANDING), HIF_OK);
        simenv_set_capacity(t->sim, 1ull << 30);
        assert_int_equal(set_value(t, OVERLAY_ORDINARY), HIF_OK);
        free(bytes);
}

/* A write that does not end in a record may have changed bytes all the same, and says so. */
static void an_aborted_write_is_torn(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "f"), torn = overlay_torn(t->overlay);
        struct otx *tx;

        t_write(t, id, 0, "aaaa");
        t_truncate(t, id, 2);
        assert_int_equal(overlay_torn(t->overlay), torn);
        tx = otx_begin(t->overlay);
        assert_int_equal(overlay_write(tx, id, 0, span_str("bb")), HIF_OK);
        otx_abort(tx);
        assert_true(overlay_torn(t->overlay) > torn);
}

/* A read that would wait for the disk says so, and succeeds after overlay_load. */
static void load_done(struct overlay_load *load, enum hif_err err)
{
        *(enum hif_err *)load->arg = err;
}

static void uncached_read_is_a_miss(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "f");
        enum hif_err loaded = HIF_EMISS;
        struct overlay_load load = {.done = load_done, .arg = &loaded};
        uint8_t bytes[4];

        t_write(t, id, 0, "data");
        overlay_pieces(overlay_node(t->overlay, id), 0, 4, &load.piece, 1);
        simenv_set_nowait_misses(t->sim, 100);
        assert_int_equal(overlay_read(t->overlay, &load.piece, false, bytes), HIF_EMISS);
        simenv_set_nowait_misses(t->sim, 0);
        overlay_load(t->overlay, &load);
        pool_drain(t->pool);
        assert_int_equal(loaded, HIF_OK);
        assert_int_equal(overlay_read(t->overlay, &load.piece, false, bytes), HIF_OK);
        assert_memory_equal(bytes, "data", 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, toverlay_setup, toverlay_teardown)
        const struct CMUnitTest tests[] = {
            TEST(written_ranges_lie_over_the_base),
            TEST(appends_merge_into_one_extent),
            TEST(only_unsynced_content_is_rewritten_in_place),
            TEST(large_files_are_sparse),
            TEST(frozen_content_does_not_change),
            TEST(dead_data_files_are_removed),
            TEST(full_disk_refuses_writes_and_changes_nothing),
            TEST(room_is_taken_before_anything_is_written),
            TEST(reserve_is_kept_from_writes),
            TEST(spare_is_for_landing_on_a_full_disk),
            TEST(quota_is_a_full_disk),
            TEST(an_aborted_write_is_torn),
            TEST(uncached_read_is_a_miss),
        };

        return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
