#include "tnfs.h"

#include "nfs/drc.h"

#include <stdio.h>

/* --- the cache --- */

static struct rpc_call call_of(uint32_t xid, uint32_t proc, uint32_t uid, const char *args)
{
        return (struct rpc_call){
            .xid = xid, .proc = proc, .caller = {.uid = uid, .gid = 7}, .args = span_str(args)};
}

static const struct sipkey sip = {.k0 = 1, .k1 = 2};

/* The key tells callers, xids, procedures and arguments apart, and nothing else. */
static void key_depends_on_the_request_alone(void **state)
{
        struct rpc_call call = call_of(1, NFS_REMOVE, 1000, "args");
        struct rpc_call same = call_of(1, NFS_REMOVE, 1000, "args");
        struct rpc_call others[] = {
            call_of(2, NFS_REMOVE, 1000, "args"), call_of(1, NFS_RMDIR, 1000, "args"),
            call_of(1, NFS_REMOVE, 1001, "args"), call_of(1, NFS_REMOVE, 1000, "argt")};
        uint64_t key = drc_key(sip, &call);

        (void)state;
        same.prog = 5;
        same.caller.group_count = 3;
        assert_true(drc_key(sip, &same) == key);
        for (size_t i = 0; i < 4; i++)
                assert_true(drc_key(sip, &others[i]) != key);
}

/* What was begun is RUNNING, what was finished gives its reply back, what was forgotten is gone. */
static void entries_go_through_their_states(void **state)
{
        struct drc *drc = drc_new();
        struct rpc_call call = call_of(1, NFS_REMOVE, 1000, "args");
        uint64_t key = drc_key(sip, &call);
        struct drc_entry *entry;

        (void)state;
        assert_non_null(drc);
        assert_null(drc_find(drc, key, &call));
        entry = drc_begin(drc, key, &call);
        assert_ptr_equal(drc_find(drc, key, &call), entry);
        assert_int_equal(entry->state, DRC_RUNNING);
        drc_finish(entry, span_str("reply"), 9);
        drc_leave(drc, entry);
        entry = drc_find(drc, key, &call);
        assert_int_equal(entry->state, DRC_DONE);
        assert_int_equal(entry->stable_seq, 9);
        assert_true(span_eq(span_of(entry->reply, entry->size), span_str("reply")));
        drc_free(drc);
}

/* As long as one of those who wait is left, the entry is; if none of them ran it, it goes with the
 * last. */
static void entry_stays_while_someone_waits(void **state)
{
        struct drc *drc = drc_new();
        struct rpc_call call = call_of(1, NFS_REMOVE, 1000, "args");
        uint64_t key = drc_key(sip, &call);
        struct drc_entry *entry;

        (void)state;
        assert_non_null(drc);
        entry = drc_begin(drc, key, &call);
        drc_join(entry);
        drc_leave(drc, entry);
        assert_ptr_equal(drc_find(drc, key, &call), entry);
        drc_leave(drc, entry);
        assert_null(drc_find(drc, key, &call));

        entry = drc_begin(drc, key, &call);
        drc_join(entry);
        drc_finish(entry, span_str("reply"), 0);
        drc_leave(drc, entry);
        for (uint32_t xid = 2; xid < 2 + 2 * DRC_ENTRIES; xid++) {
                struct rpc_call other = call_of(xid, NFS_REMOVE, 1, "x");

                drc_leave(drc, drc_begin(drc, drc_key(sip, &other), &other));
        }
        assert_ptr_equal(drc_find(drc, key, &call), entry);
        assert_int_equal(entry->state, DRC_DONE);
        drc_free(drc);
}

/* The newest are kept, the oldest go, and what is running stays. */
static void ring_forgets_the_oldest(void **state)
{
        struct drc *drc = drc_new();
        struct rpc_call running = call_of(0xffffffff, NFS_MKDIR, 1, "");
        uint64_t running_key = drc_key(sip, &running);

        (void)state;
        assert_non_null(drc);
        assert_non_null(drc_begin(drc, running_key, &running));
        for (uint32_t xid = 0; xid < 3 * DRC_ENTRIES; xid++) {
                struct rpc_call call = call_of(xid, NFS_REMOVE, 1, "x");
                struct drc_entry *entry = drc_begin(drc, drc_key(sip, &call), &call);

                assert_non_null(entry);
                drc_finish(entry, span_of(&xid, sizeof(xid)), 0);
                drc_leave(drc, entry);
        }
        for (uint32_t xid = 0; xid < 3 * DRC_ENTRIES; xid++) {
                struct rpc_call call = call_of(xid, NFS_REMOVE, 1, "x");
                struct drc_entry *entry = drc_find(drc, drc_key(sip, &call), &call);

                if (xid < 2 * DRC_ENTRIES)
                        assert_null(entry);
                if (xid > 2 * DRC_ENTRIES) {
                        assert_non_null(entry);
                        assert_memory_equal(entry->reply, &xid, sizeof(xid));
                }
        }
        assert_int_equal(drc_find(drc, running_key, &running)->state, DRC_RUNNING);
        drc_free(drc);
}

/* With everything running nothing can be begun, and nothing breaks. */
static void ring_of_running_requests_is_full(void **state)
{
        struct drc *drc = drc_new();

        (void)state;
        assert_non_null(drc);
        for (uint32_t xid = 0; xid <= DRC_ENTRIES; xid++) {
                struct rpc_call call = call_of(xid, NFS_REMOVE, 1, "x");
                struct drc_entry *entry = drc_begin(drc, drc_key(sip, &call), &call);

                if (xid < DRC_ENTRIES)
                        assert_non_null(entry);
                else
                        assert_null(entry);
        }
        drc_free(drc);
}

/* --- the server --- */

/* Send the same bytes again. */
static void resend(struct tnfs *t, struct span record, uint32_t status)
{
        treply_free(&t->reply);
        tclient_send(&t->c, record);
        tclient_receive(&t->c, &t->reply);
        assert_false(t->reply.none || t->reply.closed);
        assert_int_equal(t->reply.stat, RPC_SUCCESS);
        assert_int_equal(rd_u32(&t->reply.rd), status);
}

static void record_of(struct tnfs *t, enum nfs_proc proc, const char *name, struct buf *out)
{
        tclient_header(&t->c, out, NFS_PROGRAM, proc);
        switch (proc) {
        case NFS_SETATTR: /* guarded: a second run would be NOT_SYNC */
                put_handle(out, tmount_id(t->m, name));
                put_sattr(out, 0600, -1);
                buf_put_u32(out, 1);
                buf_put_u64(out, tnfs_getattr(t, tmount_id(t->m, name)).ctime);
                break;
        case NFS_CREATE:
                put_place(out, NODEID_ROOT, name);
                buf_put_u32(out, 1);
                put_sattr(out, 0600, -1);
                break;
        case NFS_MKDIR:
                put_place(out, NODEID_ROOT, name);
                put_sattr(out, 0700, -1);
                break;
        case NFS_SYMLINK:
                put_place(out, NODEID_ROOT, name);
                put_sattr(out, 0777, -1);
                put_string(out, "target");
                break;
        case NFS_MKNOD:
                put_place(out, NODEID_ROOT, name);
                buf_put_u32(out, NF3FIFO);
                put_sattr(out, 0600, -1);
                break;
        case NFS_RENAME:
                put_place(out, NODEID_ROOT, name);
                put_place(out, NODEID_ROOT, "renamed");
                break;
        case NFS_LINK:
                put_handle(out, tmount_id(t->m, name));
                put_place(out, NODEID_ROOT, "linked");
                break;
        default:
                put_place(out, NODEID_ROOT, name);
                break;
        }
}

static const struct {
        enum nfs_proc proc;
        const char *name;
} changes[] = {
    {NFS_SETATTR, "file"},  {NFS_CREATE, "created"}, {NFS_MKDIR, "made"},
    {NFS_SYMLINK, "sym"},   {NFS_MKNOD, "fifo"},     {NFS_LINK, "file"},
    {NFS_RENAME, "run.sh"}, {NFS_REMOVE, "file"},    {NFS_RMDIR, "made"},
};
#define CHANGES (sizeof(changes) / sizeof(changes[0]))

/* Sent again, on the same connection or on another, a change gets the same bytes as answer. */
static void retransmission_gets_the_same_answer(void **state)
{
        struct tnfs *t = *state;

        for (size_t i = 0; i < CHANGES; i++) {
                AUTO_BUF struct buf record = {0}, first = {0};

                record_of(t, changes[i].proc, changes[i].name, &record);
                resend(t, buf_span(&record), NFS3_OK);
                buf_put_span(&first, buf_span(&t->reply.bytes));
                resend(t, buf_span(&record), NFS3_OK);
                assert_true(span_eq(buf_span(&first), buf_span(&t->reply.bytes)));
                tnfs_reconnect(t);
                resend(t, buf_span(&record), NFS3_OK);
                assert_true(span_eq(buf_span(&first), buf_span(&t->reply.bytes)));
        }
        assert_int_equal(nfs_server_stats(t->m->server).replies_cached, 2 * CHANGES);
}

/* Also after a restart, and after kill -9: then from the state as it is. */
static void retransmission_after_a_restart_is_not_run(void **state)
{
        struct tnfs *t = *state;

        for (size_t i = 0; i < CHANGES; i++) {
                AUTO_BUF struct buf record = {0};
                uint64_t made = 0, seq;

                record_of(t, changes[i].proc, changes[i].name, &record);
                resend(t, buf_span(&record), NFS3_OK);
                if (changes[i].proc >= NFS_CREATE && changes[i].proc <= NFS_MKNOD) {
                        rd_u32(&t->reply.rd);
                        made = get_handle(&t->reply.rd);
                }
                if (i % 2 == 0)
                        tmount_restart(t->m);
                else
                        tmount_kill(t->m);
                tnfs_reconnect(t);
                seq = overlay_seq(t->m->overlay);
                resend(t, buf_span(&record), NFS3_OK);
                if (made != 0) {
                        rd_u32(&t->reply.rd);
                        assert_int_equal(get_handle(&t->reply.rd), made);
                        assert_int_equal(get_post_op(&t->reply.rd).fileid, made);
                        assert_false(get_wcc(&t->reply.rd).have_before);
                } else {
                        if (changes[i].proc == NFS_LINK)
                                get_post_op(&t->reply.rd);
                        assert_false(get_wcc(&t->reply.rd).have_before);
                        if (changes[i].proc == NFS_RENAME)
                                get_wcc(&t->reply.rd);
                }
                assert_true(rd_done(&t->reply.rd));
                assert_int_equal(overlay_seq(t->m->overlay), seq);
        }
}

/* The same xid with other arguments, or from another user, is another request. */
static void other_requests_are_not_mistaken(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf first = {0}, second = {0}, other = {0};

        record_of(t, NFS_CREATE, "one", &first);
        t->c.xid--;
        record_of(t, NFS_CREATE, "two", &second);
        resend(t, buf_span(&first), NFS3_OK);
        resend(t, buf_span(&second), NFS3_OK);
        assert_int_not_equal(tmount_id(t->m, "two"), NODEID_NONE);
        t->c.xid--;
        t->c.uid = 0;
        record_of(t, NFS_CREATE, "one", &other);
        resend(t, buf_span(&other), NFS3ERR_EXIST);
        assert_int_equal(nfs_server_stats(t->m->server).replies_cached, 0);
}

/* A failure is remembered too: the state may have changed since. */
static void failures_are_remembered(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf record = {0};

        record_of(t, NFS_REMOVE, "later", &record);
        resend(t, buf_span(&record), NFS3ERR_NOENT);
        assert_int_equal(tmount_create(t->m, "later", NULL), HIF_OK);
        resend(t, buf_span(&record), NFS3ERR_NOENT);
        assert_int_not_equal(tmount_id(t->m, "later"), NODEID_NONE);
}

static void hold_nodes(struct tnfs *t)
{
        struct store_fault_rule rule = {
            .op = STORE_GET, .key_contains = "/trees/", .count = 1000, .fault = STORE_FAULT_HOLD};

        tmount_cool(t->m);
        tnfs_reconnect(t);
        assert_int_equal(store_fault_add(t->m->store, &rule), HIF_OK);
}

static void let_nodes_go(struct tnfs *t)
{
        store_fault_clear(t->m->store);
        while (store_fault_waiting(t->m->store) > 0) {
                store_fault_deliver(t->m->store);
                tmount_settle(t->m);
        }
}

/* While it waits for objects, its repetition on the same connection is dropped: one answer. */
static void running_request_is_not_run_twice(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf record = {0};

        hold_nodes(t);
        record_of(t, NFS_MKDIR, "once", &record);
        tclient_send(&t->c, buf_span(&record));
        tmount_settle(t->m);
        assert_int_equal(vfs_stats(t->m->vfs).parked, 1);
        tclient_send(&t->c, buf_span(&record));
        tmount_settle(t->m);
        assert_int_equal(vfs_stats(t->m->vfs).parked, 1);
        let_nodes_go(t);
        treply_free(&t->reply);
        tclient_receive(&t->c, &t->reply);
        assert_int_equal(rd_u32(&t->reply.rd), NFS3_OK);
        treply_free(&t->reply);
        tclient_receive(&t->c, &t->reply);
        assert_true(t->reply.none);
}

/* The same request, while it waits, on a second connection, which is the client's from then on. Returns
 * the first one. */
static struct tclient send_on_both(struct tnfs *t, struct buf *record)
{
        struct tclient first;

        record_of(t, NFS_MKDIR, "once", record);
        tclient_send(&t->c, buf_span(record));
        tmount_settle(t->m);
        first = t->c;
        tclient_open(&t->c, t->m);
        tclient_send(&t->c, buf_span(record));
        tmount_settle(t->m);
        return first;
}

/* Waiting on two connections, it is run once, and both get the answer: nobody knows on which of them
 * the client still listens. */
static void running_request_is_answered_on_both_connections(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf record = {0}, first = {0};
        struct tclient old;

        hold_nodes(t);
        old = send_on_both(t, &record);
        assert_int_equal(vfs_stats(t->m->vfs).parked, 2);
        let_nodes_go(t);
        treply_free(&t->reply);
        tclient_receive(&t->c, &t->reply);
        assert_int_equal(rd_u32(&t->reply.rd), NFS3_OK);
        buf_put_span(&first, buf_span(&t->reply.bytes));
        treply_free(&t->reply);
        tclient_receive(&old, &t->reply);
        assert_false(t->reply.none);
        assert_true(span_eq(buf_span(&first), buf_span(&t->reply.bytes)));
        tclient_close(&old);
}

/* When one of the two connections goes, the other one's request is run. */
static void running_request_outlives_the_other_connection(void **state)
{
        for (int first_goes = 0; first_goes < 2; first_goes++) {
                struct tnfs *t = *state;
                AUTO_BUF struct buf record = {0};
                struct tclient old;

                hold_nodes(t);
                record_of(t, NFS_MKDIR, "once", &record);
                tclient_send(&t->c, buf_span(&record));
                tmount_settle(t->m);
                old = t->c;
                tclient_open(&t->c, t->m);
                tclient_send(&t->c, buf_span(&record));
                tmount_settle(t->m);
                if (first_goes == 0) {
                        struct tclient newer = t->c;

                        t->c = old;
                        old = newer;
                }
                tclient_close(&old);
                tmount_settle(t->m);
                let_nodes_go(t);
                treply_free(&t->reply);
                tclient_receive(&t->c, &t->reply);
                assert_int_equal(rd_u32(&t->reply.rd), NFS3_OK);
                tnfs_teardown(state);
                tnfs_setup(state);
        }
}

/* With so many waiting that there is no place to note two that are the same, they are run once all the
 * same: what the first has done is known when the second one's turn comes. */
static void requests_beyond_the_ring_are_run_once(void **state)
{
        enum { FILLERS = DRC_ENTRIES / 128, PLENTY = 128 };
        struct tnfs *t = *state;
        AUTO_BUF struct buf record = {0};
        struct tclient fillers[FILLERS], old;

        hold_nodes(t);
        for (size_t i = 0; i < FILLERS; i++) {
                tclient_open(&fillers[i], t->m);
                fillers[i].xid = 100000 * (uint32_t)(i + 1);
                for (size_t j = 0; j < PLENTY; j++) {
                        AUTO_BUF struct buf filler = {0};
                        char name[32];

                        snprintf(name, sizeof(name), "filler-%zu-%zu", i, j);
                        tclient_header(&fillers[i], &filler, NFS_PROGRAM, NFS_MKDIR);
                        put_place(&filler, NODEID_ROOT, name);
                        put_sattr(&filler, 0700, -1);
                        tclient_send(&fillers[i], buf_span(&filler));
                }
                tmount_settle(t->m);
        }
        assert_int_equal(vfs_stats(t->m->vfs).parked, DRC_ENTRIES);
        old = send_on_both(t, &record);
        assert_int_equal(vfs_stats(t->m->vfs).parked, DRC_ENTRIES + 2);
        let_nodes_go(t);
        for (size_t i = 0; i < 2; i++) {
                treply_free(&t->reply);
                tclient_receive(i == 0 ? &t->c : &old, &t->reply);
                assert_false(t->reply.none || t->reply.closed);
                assert_int_equal(rd_u32(&t->reply.rd), NFS3_OK);
        }
        for (size_t i = 0; i < FILLERS; i++)
                tclient_close(&fillers[i]);
        tclient_close(&old);
}

static void write_record(struct tnfs *t, const char *text, struct buf *out)
{
        tclient_header(&t->c, out, NFS_PROGRAM, NFS_WRITE);
        put_handle(out, tmount_id(t->m, "file"));
        buf_put_u64(out, 0);
        buf_put_u32(out, (uint32_t)strlen(text));
        buf_put_u32(out, NFS_UNSTABLE);
        put_string(out, text);
}

/* A WRITE that comes once more, late, does not undo what was written and cut off since. */
static void late_write_undoes_nothing(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf first = {0}, second = {0}, cut = {0};
        struct tclient other;

        write_record(t, "first content", &first);
        resend(t, buf_span(&first), NFS3_OK);
        write_record(t, "second", &second);
        resend(t, buf_span(&second), NFS3_OK);
        put_handle(&cut, tmount_id(t->m, "file"));
        put_sattr(&cut, -1, 6);
        buf_put_u32(&cut, 0);
        tnfs_call(t, NFS_SETATTR, &cut, NFS3_OK);
        other = t->c;
        tclient_open(&t->c, t->m);
        resend(t, buf_span(&first), NFS3_OK);
        assert_true(tmount_holds(t->m, "file", "second"));
        tclient_close(&other);
}

/* A change whose sync failed was answered with an error, and stays an error when it is sent again.
 */
static void failed_sync_is_remembered_as_failure(void **state)
{
        size_t failed = 0;

        for (uint64_t nth = 1; nth <= 12; nth++) {
                AUTO_BUF struct buf record = {0};
                struct tnfs *t = *state;

                record_of(t, NFS_CREATE, "unsafe", &record);
                simenv_fail_at(t->m->sim, nth, HIF_EIO);
                tclient_send(&t->c, buf_span(&record));
                treply_free(&t->reply);
                tclient_receive(&t->c, &t->reply);
                simenv_fail_at(t->m->sim, 0, HIF_OK);
                if (rd_u32(&t->reply.rd) == NFS3ERR_IO) {
                        assert_false(get_wcc(&t->reply.rd).have_before);
                        assert_true(rd_done(&t->reply.rd));
                        resend(t, buf_span(&record), NFS3ERR_IO);
                        failed++;
                }
                tnfs_teardown(state);
                tnfs_setup_power(state);
        }
        assert_true(failed > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(key_depends_on_the_request_alone),
            cmocka_unit_test(entries_go_through_their_states),
            cmocka_unit_test(entry_stays_while_someone_waits),
            cmocka_unit_test(ring_forgets_the_oldest),
            cmocka_unit_test(ring_of_running_requests_is_full),
            TNFS_TEST(retransmission_gets_the_same_answer),
            TNFS_TEST(retransmission_after_a_restart_is_not_run),
            TNFS_TEST(other_requests_are_not_mistaken),
            TNFS_TEST(failures_are_remembered),
            TNFS_TEST(running_request_is_not_run_twice),
            TNFS_TEST(running_request_is_answered_on_both_connections),
            TNFS_TEST(running_request_outlives_the_other_connection),
            TNFS_TEST(requests_beyond_the_ring_are_run_once),
            TNFS_TEST(late_write_undoes_nothing),
            cmocka_unit_test_setup_teardown(failed_sync_is_remembered_as_failure, tnfs_setup_power,
                                            tnfs_teardown),
        };

        return cmocka_run_group_tests_name("drc", tests, NULL, NULL);
}
