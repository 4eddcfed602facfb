/* test_vfs_faults.c - run to completion, or fault: a call that misses has changed nothing (I1). */
#include "vfs/tvfs.h"

#include <stdio.h>

#define MANY 2500 /* a tree of several levels */

static struct tmount *new_mount(void)
{
        /* Little is fetched ahead, so that more faults come. */
        static const struct tmount_options options = {.seed = 1, .vfs.hydrate_bytes_max = 1};
        struct tmount *m = tmount_new(&options);
        AUTO_FREE uint8_t *big = tmount_bytes(2, 5u << 20);

        for (int i = 0; i < MANY; i++) {
                char name[64], text[32];

                snprintf(name, sizeof(name), "d%d/sub/file-%d", i % 13, i);
                snprintf(text, sizeof(text), "content %d", i);
                tmount_add_text(m, name, text);
        }
        tmount_add_file(m, "d1/sub/big", big, 5u << 20, false);
        tmount_add_link(m, "d1/sub/link", "target");
        tmount_add_dir(m, "d1/sub/empty");
        tmount_open(m);
        return m;
}

/* Where an operation is done; found once, while warm: numbers last. */
struct ids {
        uint64_t d1, sub, sub2, file, file2, big, link;
        bool known;
};

struct attempt {
        struct tmount *m;
        struct vfs_call *call;
        const struct ids *ids;
        uint8_t *scratch;
};

static const struct vfs_setattr no_set = {0};

static enum hif_err op_getattr(struct attempt *a)
{
        struct vfs_attr attr;

        return vfs_getattr(a->m->vfs, a->call, a->ids->file, &attr);
}

static enum hif_err op_lookup(struct attempt *a)
{
        struct vfs_attr attr, dir;

        return vfs_lookup(a->m->vfs, a->call, a->ids->sub, span_str("file-1"), &attr, &dir);
}

static enum hif_err op_dotdot(struct attempt *a)
{
        struct vfs_attr attr;

        return vfs_lookup(a->m->vfs, a->call, a->ids->sub, span_str(".."), &attr, NULL);
}

static enum hif_err op_access(struct attempt *a)
{
        struct vfs_attr attr;
        uint32_t granted;

        return vfs_access(a->m->vfs, a->call, a->ids->file, VFS_READ, &granted, &attr);
}

static enum hif_err op_readlink(struct attempt *a)
{
        struct vfs_attr attr;
        struct span target;

        return vfs_readlink(a->m->vfs, a->call, a->ids->link, &target, &attr);
}

static enum hif_err op_setattr(struct attempt *a)
{
        struct vfs_setattr set = {.set = VFS_SET_MODE | VFS_SET_SIZE, .mode = 0700, .size = 3};
        struct vfs_wcc wcc;

        return vfs_setattr(a->m->vfs, a->call, a->ids->file, &set, NULL, &wcc);
}

static enum hif_err op_read(struct attempt *a)
{
        struct vfs_attr attr;
        struct vfs_data data;

        return vfs_read(a->m->vfs, a->call, a->ids->file, 0, 100, a->scratch, &data, &attr);
}

static enum hif_err op_read_big(struct attempt *a)
{
        struct vfs_attr attr;
        struct vfs_data data;

        return vfs_read(a->m->vfs, a->call, a->ids->big, 1u << 20, 2u << 20, a->scratch, &data,
                        &attr);
}

static enum hif_err op_write(struct attempt *a)
{
        struct vfs_wcc wcc;

        return vfs_write(a->m->vfs, a->call, a->ids->file, 3, span_str("written"), false, &wcc);
}

static enum hif_err op_commit(struct attempt *a)
{
        struct vfs_wcc wcc;

        return vfs_commit(a->m->vfs, a->call, a->ids->file, &wcc);
}

static enum hif_err op_create(struct attempt *a)
{
        struct vfs_attr attr;
        struct vfs_wcc wcc;

        return vfs_create(a->m->vfs, a->call, a->ids->sub, span_str("new"), VFS_GUARDED, 0, &no_set,
                          &attr, &wcc);
}

static enum hif_err op_create_over(struct attempt *a)
{
        struct vfs_setattr set = {.set = VFS_SET_SIZE};
        struct vfs_attr attr;
        struct vfs_wcc wcc;

        return vfs_create(a->m->vfs, a->call, a->ids->sub, span_str("file-1"), VFS_UNCHECKED, 0,
                          &set, &attr, &wcc);
}

static enum hif_err op_mkdir(struct attempt *a)
{
        struct vfs_attr attr;
        struct vfs_wcc wcc;

        return vfs_mkdir(a->m->vfs, a->call, a->ids->sub, span_str("new"), &no_set, &attr, &wcc);
}

static enum hif_err op_symlink(struct attempt *a)
{
        struct vfs_attr attr;
        struct vfs_wcc wcc;

        return vfs_symlink(a->m->vfs, a->call, a->ids->sub, span_str("new"), span_str("to"),
                           &no_set, &attr, &wcc);
}

static enum hif_err op_mknod(struct attempt *a)
{
        struct vfs_attr attr;
        struct vfs_wcc wcc;

        return vfs_mknod(a->m->vfs, a->call, a->ids->sub, span_str("new"), ONODE_FIFO, 0, &no_set,
                         &attr, &wcc);
}

static enum hif_err op_remove(struct attempt *a)
{
        struct vfs_wcc wcc;

        return vfs_remove(a->m->vfs, a->call, a->ids->sub, span_str("file-1"), &wcc);
}

static enum hif_err op_rmdir(struct attempt *a)
{
        struct vfs_wcc wcc;

        return vfs_rmdir(a->m->vfs, a->call, a->ids->sub, span_str("empty"), &wcc);
}

static enum hif_err op_rename(struct attempt *a)
{
        struct vfs_wcc from, to;

        return vfs_rename(a->m->vfs, a->call, a->ids->sub, span_str("file-1"), a->ids->sub2,
                          span_str("file-2"), &from, &to);
}

static enum hif_err op_rename_dir(struct attempt *a)
{
        struct vfs_wcc from, to;

        return vfs_rename(a->m->vfs, a->call, a->ids->d1, span_str("sub"), a->ids->sub2,
                          span_str("moved"), &from, &to);
}

static enum hif_err op_link(struct attempt *a)
{
        struct vfs_attr attr;
        struct vfs_wcc wcc;

        return vfs_link(a->m->vfs, a->call, a->ids->file, a->ids->sub2, span_str("second"), &attr,
                        &wcc);
}

static bool count_name(void *arg, const struct vfs_dirent *entry)
{
        (void)entry;
        ++*(size_t *)arg;
        return true;
}

static enum hif_err op_readdir(struct attempt *a)
{
        struct vfs_attr attr;
        size_t count = 0;
        bool eof;

        return vfs_readdir(a->m->vfs, a->call, a->ids->sub, 0, true, count_name, &count, &eof,
                           &attr);
}

static enum hif_err op_statfs(struct attempt *a)
{
        struct vfs_statfs out;

        return vfs_statfs(a->m->vfs, a->call, &out);
}

static const struct {
        const char *name;
        enum hif_err (*run)(struct attempt *a);
        bool changes;
} operations[] = {
    {"GETATTR", op_getattr, false},
    {"LOOKUP", op_lookup, false},
    {"LOOKUP ..", op_dotdot, false},
    {"ACCESS", op_access, false},
    {"READLINK", op_readlink, false},
    {"SETATTR", op_setattr, true},
    {"READ", op_read, false},
    {"READ of chunks", op_read_big, false},
    {"WRITE", op_write, true},
    {"COMMIT", op_commit, false},
    {"CREATE", op_create, true},
    {"CREATE over", op_create_over, true},
    {"MKDIR", op_mkdir, true},
    {"SYMLINK", op_symlink, true},
    {"MKNOD", op_mknod, true},
    {"REMOVE", op_remove, true},
    {"RMDIR", op_rmdir, true},
    {"RENAME over", op_rename, true},
    {"RENAME of a directory", op_rename_dir, true},
    {"LINK", op_link, true},
    {"READDIR", op_readdir, false},
    {"STATFS", op_statfs, false},
};
#define OPERATION_COUNT (sizeof(operations) / sizeof(operations[0]))

static void find_ids(struct tmount *m, struct ids *ids)
{
        if (ids->known)
                return;
        ids->d1 = tmount_id(m, "d1");
        ids->sub = tmount_id(m, "d1/sub");
        ids->sub2 = tmount_id(m, "d2/sub");
        ids->file = tmount_id(m, "d1/sub/file-1");
        ids->file2 = tmount_id(m, "d2/sub/file-2");
        ids->big = tmount_id(m, "d1/sub/big");
        ids->link = tmount_id(m, "d1/sub/link");
        assert_true(ids->d1 && ids->sub && ids->sub2 && ids->file && ids->file2 && ids->big &&
                    ids->link);
        ids->known = true;
}

struct overlay_state {
        uint64_t seq, nodes, dirents, last_op;
};

static struct overlay_state state_of(const struct tmount *m)
{
        struct overlay_stats stats = overlay_stats(m->overlay);

        return (struct overlay_state){.seq = overlay_seq(m->overlay),
                                      .nodes = stats.nodes,
                                      .dirents = stats.dirents,
                                      .last_op = overlay_op_last(m->overlay)};
}

static void expect_unchanged(const struct tmount *m, const struct overlay_state *before,
                             const char *name)
{
        struct overlay_state now = state_of(m);

        if (memcmp(&now, before, sizeof(now)) != 0)
                fail_msg("%s changed the overlay, and missed", name);
}

/* Run one operation from cold, through its faults. Returns how many there were. */
static int run_cold(struct tmount *m, size_t op, const struct ids *ids, enum hif_err *err)
{
        struct overlay_state before = state_of(m);
        struct tmount_run run;
        struct attempt attempt = {.m = m, .call = &run.call, .ids = ids};
        int faults = -1;

        attempt.scratch = malloc(4u << 20);
        assert_non_null(attempt.scratch);
        *err = HIF_OK;
        for (tmount_begin(m, &run); tmount_again(&run, err);) {
                *err = operations[op].run(&attempt);
                if (*err == HIF_EMISS) {
                        expect_unchanged(m, &before, operations[op].name);
                        assert_true(run.call.want_count > 0 || run.call.load.size > 0);
                }
                faults++;
        }
        vfs_call_end(&run.call);
        free(attempt.scratch);
        if (*err != HIF_OK || !operations[op].changes)
                expect_unchanged(m, &before, operations[op].name);
        else
                assert_true(overlay_seq(m->overlay) > before.seq);
        return faults;
}

/* Every operation completes from cold, fault by fault; no fault has changed anything. */
static void faults_change_nothing(void **state)
{
        struct ids ids = {0};

        (void)state;
        for (size_t op = 0; op < OPERATION_COUNT; op++) {
                struct tmount *m = new_mount();
                enum hif_err err;
                int faults;

                find_ids(m, &ids);
                tmount_restart(m);
                faults = run_cold(m, op, &ids, &err);
                if (err != HIF_OK || faults < 1)
                        fail_msg("%s: %s after %d faults", operations[op].name, hif_err_name(err),
                                 faults);
                tmount_free(m);
        }
}

/* The same when each object in turn can not be had: the call fails, nothing has changed, and once
 * the store is well again the same call goes through. */
static void failed_fetches_change_nothing(void **state)
{
        struct ids ids = {0};

        (void)state;
        for (size_t op = 0; op < OPERATION_COUNT; op++) {
                struct tmount *m = new_mount();
                int failures = 0;

                find_ids(m, &ids);
                for (uint64_t skip = 0;; skip++) {
                        struct store_fault_rule rule = {.op = STORE_GET,
                                                        .skip = skip,
                                                        .count = UINT64_MAX,
                                                        .fault = STORE_FAULT_FAIL,
                                                        .err = HIF_EIO};
                        enum hif_err err;

                        tmount_restart(m);
                        assert_int_equal(store_fault_add(m->store, &rule), HIF_OK);
                        run_cold(m, op, &ids, &err);
                        store_fault_clear(m->store);
                        if (err == HIF_OK)
                                break;
                        failures++;
                        assert_int_equal(err, HIF_EIO);
                        assert_true(skip < 50);
                }
                assert_true(failures > 0);
                tmount_free(m);
        }
}

/* What a run pinned before it missed is let go of: calls that miss often do not run out of pins. */
static void calls_that_run_again_hold_no_pins(void **state)
{
        struct tmount *m = new_mount();
        AUTO_FREE uint8_t *scratch = malloc(4u << 20);
        enum hif_err err = HIF_OK;
        struct ids ids = {0};
        struct tmount_run run;
        struct attempt attempt = {.m = m, .call = &run.call, .ids = &ids, .scratch = scratch};
        size_t most = 0;

        (void)state;
        find_ids(m, &ids);
        tmount_begin(m, &run);
        assert_int_equal(op_read(&attempt), HIF_EMISS); /* and with it what may be fetched ahead */
        vfs_call_end(&run.call);
        tmount_settle(m);
        for (tmount_begin(m, &run); tmount_again(&run, &err);) {
                assert_int_equal(run.call.pin_count, 0);
                err = op_read_big(&attempt);
                if (err == HIF_EMISS && run.call.pin_count > most)
                        most = run.call.pin_count;
        }
        assert_int_equal(err, HIF_OK);
        assert_true(most > 0); /* else this shows nothing */
        vfs_call_end(&run.call);
        tmount_free(m);
}

/* A call that is given up while it waits is never resumed, and leaves nothing behind. */
static void given_up_calls_are_not_resumed(void **state)
{
        struct tmount *m = new_mount();
        struct ids ids = {0};

        (void)state;
        find_ids(m, &ids);
        for (size_t op = 0; op < OPERATION_COUNT; op++) {
                struct tmount_run run;
                struct attempt attempt = {.m = m, .call = &run.call, .ids = &ids};
                enum hif_err err = HIF_OK;

                tmount_restart(m);
                attempt.scratch = malloc(4u << 20);
                assert_non_null(attempt.scratch);
                tmount_begin(m, &run);
                err = operations[op].run(&attempt);
                assert_int_equal(err, HIF_EMISS);
                run.state = 1;
                run.parked = (struct vfs_parked){0}; /* resume() would crash */
                vfs_park(m->vfs, &run.call, &run.parked);
                assert_int_equal(vfs_stats(m->vfs).parked, 1);
                vfs_unpark(m->vfs, &run.parked);
                vfs_call_end(&run.call);
                assert_int_equal(vfs_stats(m->vfs).parked, 0);
                tmount_settle(m);
                free(attempt.scratch);
        }
        tmount_free(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(faults_change_nothing),
            cmocka_unit_test(failed_fetches_change_nothing),
            cmocka_unit_test(calls_that_run_again_hold_no_pins),
            cmocka_unit_test(given_up_calls_are_not_resumed),
        };

        return cmocka_run_group_tests_name("vfs: faults", tests, NULL, NULL);
}
