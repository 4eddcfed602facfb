#include "tnfs.h"

/* --- GETATTR, LOOKUP, ACCESS, READLINK --- */

/* Each kind of node shows its type, mode, owner and size, and its number. */
static void getattr_shows_every_kind(void **state)
{
        static const struct {
                const char *path;
                uint32_t type, mode;
                uint64_t size;
        } nodes[] = {{"", NF3DIR, 0755, 4096},
                     {"file", NF3REG, 0644, 8},
                     {"run.sh", NF3REG, 0755, 10},
                     {"link", NF3LNK, 0777, 5},
                     {"dir", NF3DIR, 0755, 4096}};
        struct tnfs *t = *state;

        for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
                uint64_t id = tmount_id(t->m, nodes[i].path);
                struct tattr attr = tnfs_getattr(t, id);

                assert_int_equal(attr.type, nodes[i].type);
                assert_int_equal(attr.mode, nodes[i].mode);
                assert_int_equal(attr.size, nodes[i].size);
                assert_int_equal(attr.uid, TMOUNT_UID);
                assert_int_equal(attr.gid, TMOUNT_GID);
                assert_int_equal(attr.fileid, id);
                assert_int_equal(attr.fsid, TMOUNT_WORKSPACE);
        }
}

/* A handle that is not ours is BADHANDLE; one of ours whose node never was, or is gone, too or
 * STALE. */
static void bad_and_stale_handles_are_told_apart(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf garbled = {0}, gone = {0};
        uint64_t id;

        put_opaque(&garbled, span_str("0123456789012345678901234567"));
        tnfs_call(t, NFS_GETATTR, &garbled, NFS3ERR_BADHANDLE);
        assert_true(rd_done(&t->reply.rd));
        assert_int_equal(tmount_create(t->m, "short-lived", &id), HIF_OK);
        assert_int_equal(tmount_remove(t->m, "short-lived"), HIF_OK);
        tmount_restart(t->m);
        tnfs_reconnect(t);
        put_handle(&gone, id + 1000);
        tnfs_call(t, NFS_GETATTR, &gone, NFS3ERR_STALE);
}

/* LOOKUP gives handle and attributes of the name, and attributes of its directory. */
static void lookup_finds_names(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf args = {0}, dot = {0}, dots = {0};
        uint64_t dir = tmount_id(t->m, "dir");
        struct tattr attr, dir_attr;

        put_place(&args, dir, "a");
        tnfs_call(t, NFS_LOOKUP, &args, NFS3_OK);
        assert_int_equal(get_handle(&t->reply.rd), tmount_id(t->m, "dir/a"));
        attr = get_post_op(&t->reply.rd);
        assert_int_equal(attr.size, 1);
        dir_attr = get_post_op(&t->reply.rd);
        assert_int_equal(dir_attr.fileid, dir);
        assert_true(rd_done(&t->reply.rd));
        put_place(&dot, dir, ".");
        tnfs_call(t, NFS_LOOKUP, &dot, NFS3_OK);
        assert_int_equal(get_handle(&t->reply.rd), dir);
        put_place(&dots, dir, "..");
        tnfs_call(t, NFS_LOOKUP, &dots, NFS3_OK);
        assert_int_equal(get_handle(&t->reply.rd), NODEID_ROOT);
}

static void expect_lookup(struct tnfs *t, uint64_t dir, const char *name, enum nfsstat3 status)
{
        AUTO_BUF struct buf args = {0};

        put_place(&args, dir, name);
        tnfs_call(t, NFS_LOOKUP, &args, status);
        get_post_op(&t->reply.rd);
        assert_true(rd_done(&t->reply.rd));
}

/* Names that are not there, cannot be, or may not be seen. */
static void lookup_refuses_names(void **state)
{
        struct tnfs *t = *state;
        char longest[257];

        memset(longest, 'x', 256);
        longest[256] = '\0';
        expect_lookup(t, NODEID_ROOT, "missing", NFS3ERR_NOENT);
        expect_lookup(t, tmount_id(t->m, "file"), "x", NFS3ERR_NOTDIR);
        expect_lookup(t, NODEID_ROOT, longest, NFS3ERR_NAMETOOLONG);
        longest[255] = '\0';
        expect_lookup(t, NODEID_ROOT, longest, NFS3ERR_NOENT);
        expect_lookup(t, NODEID_ROOT, "", NFS3ERR_INVAL);
        expect_lookup(t, NODEID_ROOT, "a/b", NFS3ERR_INVAL);
        t->c.uid = 4242;
        expect_lookup(t, NODEID_ROOT, "file", NFS3ERR_ACCES);
}

/* ACCESS grants what the mode grants, and no bit that was not asked for. */
static void access_follows_the_mode(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf file = {0}, dir = {0}, exec = {0};

        put_handle(&file, tmount_id(t->m, "file"));
        buf_put_u32(&file, 0x3f);
        tnfs_call(t, NFS_ACCESS, &file, NFS3_OK);
        get_post_op(&t->reply.rd);
        assert_int_equal(rd_u32(&t->reply.rd), 0x01 | 0x04 | 0x08);
        put_handle(&dir, NODEID_ROOT);
        buf_put_u32(&dir, 0x3f);
        tnfs_call(t, NFS_ACCESS, &dir, NFS3_OK);
        get_post_op(&t->reply.rd);
        assert_int_equal(rd_u32(&t->reply.rd), 0x01 | 0x02 | 0x04 | 0x08 | 0x10);
        put_handle(&exec, tmount_id(t->m, "run.sh"));
        buf_put_u32(&exec, 0x20);
        tnfs_call(t, NFS_ACCESS, &exec, NFS3_OK);
        get_post_op(&t->reply.rd);
        assert_int_equal(rd_u32(&t->reply.rd), 0x20);
        assert_true(rd_done(&t->reply.rd));
}

/* READLINK gives the target; what is no link is INVAL. */
static void readlink_reads_links_only(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf link = {0}, file = {0};

        put_handle(&link, tmount_id(t->m, "link"));
        tnfs_call(t, NFS_READLINK, &link, NFS3_OK);
        get_post_op(&t->reply.rd);
        assert_true(span_eq(get_opaque(&t->reply.rd), span_str("dir/a")));
        assert_true(rd_done(&t->reply.rd));
        put_handle(&file, tmount_id(t->m, "file"));
        tnfs_call(t, NFS_READLINK, &file, NFS3ERR_INVAL);
        assert_int_equal(get_post_op(&t->reply.rd).have, false);
        assert_true(rd_done(&t->reply.rd));
}

/* --- READ --- */

static void expect_read(struct tnfs *t, uint64_t id, uint64_t offset, uint32_t count,
                        struct span want, bool eof)
{
        AUTO_BUF struct buf args = {0};

        put_handle(&args, id);
        buf_put_u64(&args, offset);
        buf_put_u32(&args, count);
        tnfs_call(t, NFS_READ, &args, NFS3_OK);
        assert_true(get_post_op(&t->reply.rd).have);
        assert_int_equal(rd_u32(&t->reply.rd), want.size);
        assert_int_equal(rd_u32(&t->reply.rd), eof);
        assert_true(span_eq(get_opaque(&t->reply.rd), want));
        assert_true(rd_done(&t->reply.rd));
}

/* Whole, in part, at the end, past the end, and of every length modulo 4. */
static void read_gives_what_the_file_holds(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file");

        expect_read(t, id, 0, 4096, span_str("content\n"), true);
        for (uint32_t size = 0; size <= 8; size++)
                expect_read(t, id, 0, size, span_of("content\n", size), size == 8);
        expect_read(t, id, 3, 2, span_str("te"), false);
        expect_read(t, id, 8, 10, span_str(""), true);
        expect_read(t, id, UINT64_MAX, 10, span_str(""), true);
}

/* Content of the base goes out by pointer, across chunks, and the largest count is 1 MiB. */
static void read_crosses_chunks(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "big");

        for (uint64_t at = 0; at < TNFS_BIG; at += 700001) {
                uint64_t left = TNFS_BIG - at;
                size_t size = left < NFS_READ_MAX ? left : NFS_READ_MAX;

                expect_read(t, id, at, 0xffffffff, span_of(t->big + at, size), size == left);
                expect_read(t, id, at, 1, span_of(t->big + at, 1), at + 1 == TNFS_BIG);
                size = left < 4099 ? left : 4099;
                expect_read(t, id, at, 4099, span_of(t->big + at, size), size == left);
        }
}

/* What was written shows among what the base has, and holes are zeros. */
static void read_merges_overlay_and_base(void **state)
{
        struct tnfs *t = *state;
        AUTO_FREE uint8_t *expected = malloc(NFS_READ_MAX);
        uint64_t id = tmount_id(t->m, "big");

        assert_non_null(expected);
        memcpy(expected, t->big, NFS_READ_MAX);
        for (uint64_t at = 1000; at < 900000; at += 300007) {
                assert_int_equal(tmount_write(t->m, "big", at, "written here", 12, false), HIF_OK);
                memcpy(expected + at, "written here", 12);
        }
        expect_read(t, id, 0, NFS_READ_MAX, span_of(expected, NFS_READ_MAX), false);
        expect_read(t, id, 990, 40, span_of(expected + 990, 40), false);
        assert_int_equal(tmount_write(t->m, "new", 10, "end", 3, false), HIF_OK);
        expect_read(t, tmount_id(t->m, "new"), 0, 100, span_of("\0\0\0\0\0\0\0\0\0\0end", 13),
                    true);
}

static void read_refuses_what_is_no_file(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf dir = {0}, link = {0};

        put_handle(&dir, NODEID_ROOT);
        buf_put_u64(&dir, 0);
        buf_put_u32(&dir, 10);
        tnfs_call(t, NFS_READ, &dir, NFS3ERR_ISDIR);
        get_post_op(&t->reply.rd);
        assert_true(rd_done(&t->reply.rd));
        put_handle(&link, tmount_id(t->m, "link"));
        buf_put_u64(&link, 0);
        buf_put_u32(&link, 10);
        tnfs_call(t, NFS_READ, &link, NFS3ERR_INVAL);
}

/* --- FSSTAT, FSINFO, PATHCONF --- */

static void file_system_facts_are_told(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf root = {0};
        uint64_t total, left;

        put_handle(&root, NODEID_ROOT);
        tnfs_call(t, NFS_FSSTAT, &root, NFS3_OK);
        assert_true(get_post_op(&t->reply.rd).have);
        total = rd_u64(&t->reply.rd);
        left = rd_u64(&t->reply.rd);
        assert_true(left <= total && total > 0);
        assert_int_equal(rd_u64(&t->reply.rd), left);
        assert_true(rd_u64(&t->reply.rd) > rd_u64(&t->reply.rd));
        rd_u64(&t->reply.rd);
        rd_u32(&t->reply.rd);
        assert_true(rd_done(&t->reply.rd));

        tnfs_call(t, NFS_FSINFO, &root, NFS3_OK);
        get_post_op(&t->reply.rd);
        assert_int_equal(rd_u32(&t->reply.rd), 1 << 20); /* rtmax */
        assert_int_equal(rd_u32(&t->reply.rd), 1 << 20);
        rd_u32(&t->reply.rd);
        assert_int_equal(rd_u32(&t->reply.rd), 1 << 20); /* wtmax */
        assert_int_equal(rd_u32(&t->reply.rd), 1 << 20);
        rd_u32(&t->reply.rd);
        assert_int_equal(rd_u32(&t->reply.rd), 64 << 10); /* dtpref */
        assert_int_equal(rd_u64(&t->reply.rd), VFS_SIZE_MAX);
        assert_int_equal(rd_u64(&t->reply.rd), 1); /* time_delta */
        assert_int_equal(rd_u32(&t->reply.rd), 0x1b);
        assert_true(rd_done(&t->reply.rd));

        tnfs_call(t, NFS_PATHCONF, &root, NFS3_OK);
        get_post_op(&t->reply.rd);
        assert_int_equal(rd_u32(&t->reply.rd), 65000);
        assert_int_equal(rd_u32(&t->reply.rd), 255);
        assert_int_equal(rd_u32(&t->reply.rd), 1);
        assert_int_equal(rd_u32(&t->reply.rd), 1);
        assert_int_equal(rd_u32(&t->reply.rd), 0);
        assert_int_equal(rd_u32(&t->reply.rd), 1);
        assert_true(rd_done(&t->reply.rd));
}

/* --- MOUNT --- */

static void mount_call(struct tnfs *t, uint32_t proc, const char *path)
{
        AUTO_BUF struct buf call = {0};

        treply_free(&t->reply);
        tclient_header(&t->c, &call, MOUNT_PROGRAM, proc);
        if (path != NULL)
                put_string(&call, path);
        tclient_send(&t->c, buf_span(&call));
        tclient_receive(&t->c, &t->reply);
        assert_int_equal(t->reply.stat, RPC_SUCCESS);
}

/* The right path gives the root's handle and AUTH_SYS; every other is refused alike. */
static void mount_opens_to_the_path_alone(void **state)
{
        static const char *const wrong[] = {
            "", "/", TMOUNT_EXPORT "/", TMOUNT_EXPORT "f", "/s-", "/s-0123456789abcdee"};
        struct tnfs *t = *state;

        mount_call(t, 1, TMOUNT_EXPORT);
        assert_int_equal(rd_u32(&t->reply.rd), 0);
        assert_int_equal(get_handle(&t->reply.rd), NODEID_ROOT);
        assert_int_equal(rd_u32(&t->reply.rd), 1);
        assert_int_equal(rd_u32(&t->reply.rd), RPC_AUTH_SYS);
        assert_true(rd_done(&t->reply.rd));
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                mount_call(t, 1, wrong[i]);
                assert_int_equal(rd_u32(&t->reply.rd), 13);
                assert_true(rd_done(&t->reply.rd));
        }
}

/* DUMP and EXPORT show nothing; UMNT and UMNTALL are void. */
static void mount_lists_nothing(void **state)
{
        struct tnfs *t = *state;

        mount_call(t, 0, NULL);
        assert_true(rd_done(&t->reply.rd));
        mount_call(t, 2, NULL);
        assert_int_equal(rd_u32(&t->reply.rd), 0);
        assert_true(rd_done(&t->reply.rd));
        mount_call(t, 3, "/anything");
        assert_true(rd_done(&t->reply.rd));
        mount_call(t, 4, NULL);
        assert_true(rd_done(&t->reply.rd));
        mount_call(t, 5, NULL);
        assert_int_equal(rd_u32(&t->reply.rd), 0);
        assert_true(rd_done(&t->reply.rd));
}

/* --- faults --- */

static void hold_blobs(struct tnfs *t)
{
        struct store_fault_rule rule = {
            .op = STORE_GET, .key_contains = "/blobs/", .count = 1000, .fault = STORE_FAULT_HOLD};

        assert_int_equal(store_fault_add(t->m->store, &rule), HIF_OK);
}

static void start_read(struct tnfs *t, uint64_t id)
{
        AUTO_BUF struct buf args = {0};

        put_handle(&args, id);
        buf_put_u64(&args, 0);
        buf_put_u32(&args, 4096);
        tclient_start(&t->c, NFS_READ, &args);
}

/* A READ that waits for the store lets everything behind it pass, and is answered in the end. */
static void faults_do_not_hold_up_others(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file");
        uint32_t xid;

        tnfs_cool(t);
        hold_blobs(t);
        start_read(t, id);
        xid = t->c.xid;
        assert_int_equal(tnfs_getattr(t, NODEID_ROOT).type, NF3DIR);
        assert_int_equal(tnfs_write(t, tmount_id(t->m, "dir/a"), 0, "x", NFS_FILE_SYNC), NFS3_OK);
        store_fault_clear(t->m->store);
        store_fault_deliver(t->m->store);
        treply_free(&t->reply);
        tclient_receive(&t->c, &t->reply);
        assert_int_equal(t->reply.xid, xid);
        assert_int_equal(rd_u32(&t->reply.rd), NFS3_OK);
        get_post_op(&t->reply.rd);
        assert_int_equal(rd_u32(&t->reply.rd), 8);
}

/* A full queue of READs: more are told to come back, and WRITE and COMMIT still get in. */
static void full_read_queue_lets_writes_in(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file"), other = tmount_id(t->m, "dir/a");
        AUTO_BUF struct buf commit = {0};

        tnfs_cool(t);
        hold_blobs(t);
        for (int i = 0; i < 512; i++)
                start_read(t, id);
        treply_free(&t->reply);
        tclient_receive(&t->c, &t->reply);
        assert_true(t->reply.none);
        assert_int_equal(vfs_stats(t->m->vfs).parked, 512);
        start_read(t, id);
        treply_free(&t->reply);
        tclient_receive(&t->c, &t->reply);
        assert_int_equal(t->reply.xid, t->c.xid);
        assert_int_equal(rd_u32(&t->reply.rd), NFS3ERR_JUKEBOX);
        assert_int_equal(tnfs_write(t, other, 0, "x", NFS_UNSTABLE), NFS3_OK);
        put_handle(&commit, other);
        buf_put_u64(&commit, 0);
        buf_put_u32(&commit, 0);
        tnfs_call(t, NFS_COMMIT, &commit, NFS3_OK);
        store_fault_clear(t->m->store);
        store_fault_deliver(t->m->store);
        for (int i = 0; i < 512; i++) {
                treply_free(&t->reply);
                tclient_receive(&t->c, &t->reply);
                assert_int_equal(rd_u32(&t->reply.rd), NFS3_OK);
        }
        assert_int_equal(vfs_stats(t->m->vfs).parked, 0);
}

static void start_write(struct tnfs *t, uint64_t id)
{
        AUTO_BUF struct buf args = {0};

        put_handle(&args, id);
        buf_put_u64(&args, 0);
        buf_put_u32(&args, 1);
        buf_put_u32(&args, NFS_UNSTABLE);
        put_string(&args, "x");
        tclient_start(&t->c, NFS_WRITE, &args);
}

static void start_remove(struct tnfs *t, uint64_t dir, const char *name)
{
        AUTO_BUF struct buf args = {0};

        put_handle(&args, dir);
        put_string(&args, name);
        tclient_start(&t->c, NFS_REMOVE, &args);
}

/* Changes that have to wait themselves, for the nodes that they change, wait beside a full queue of
 * READs: they are not sent away. */
static void full_read_queue_lets_writes_wait(void **state)
{
        struct tnfs *t = *state;
        struct store_fault_rule all = {
            .op = STORE_GET, .key_contains = "", .count = 1000, .fault = STORE_FAULT_HOLD};
        uint64_t id = tmount_id(t->m, "file"), other = tmount_id(t->m, "dir/a");
        uint64_t dir = tmount_id(t->m, "dir/sub");
        bool waits;

        tmount_cool(t->m);
        tnfs_reconnect(t);
        assert_int_equal(store_fault_add(t->m->store, &all), HIF_OK);
        for (int i = 0; i < 512; i++)
                start_read(t, id);
        start_read(t, id);
        treply_free(&t->reply);
        tclient_receive(&t->c, &t->reply);
        assert_int_equal(t->reply.xid, t->c.xid);
        assert_int_equal(rd_u32(&t->reply.rd), NFS3ERR_JUKEBOX);
        start_write(t, other);
        start_remove(t, dir, "b");
        treply_free(&t->reply);
        tclient_receive(&t->c, &t->reply);
        waits = t->reply.none && vfs_stats(t->m->vfs).parked == 514;
        store_fault_clear(t->m->store);
        store_fault_deliver(t->m->store);
        tmount_settle(t->m);
        assert_true(waits);
        for (int i = 0; i < 514; i++) {
                treply_free(&t->reply);
                tclient_receive(&t->c, &t->reply);
                assert_int_equal(rd_u32(&t->reply.rd), NFS3_OK);
        }
        assert_int_equal(tmount_id(t->m, "dir/sub/b"), NODEID_NONE);
}

/* Past the deadline the client is told to ask again. */
static void slow_store_answers_jukebox(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file");

        tnfs_cool(t);
        hold_blobs(t);
        start_read(t, id);
        tmount_settle(t->m);
        for (int i = 0; i < 21; i++)
                tmount_advance(t->m, 1000000000);
        treply_free(&t->reply);
        tclient_receive(&t->c, &t->reply);
        assert_int_equal(rd_u32(&t->reply.rd), NFS3ERR_JUKEBOX);
        assert_int_equal(rd_u32(&t->reply.rd), 0);
        assert_true(rd_done(&t->reply.rd));
        store_fault_clear(t->m->store);
        store_fault_deliver(t->m->store);
        tmount_settle(t->m);
}

/* Objects that are gone, or wrong, are an error of the file, and of nothing else. */
static void lost_content_is_an_io_error(void **state)
{
        struct tnfs *t = *state;
        struct store_fault_rule rule = {
            .op = STORE_GET, .key_contains = "/blobs/", .count = 1000, .fault = STORE_FAULT_FLIP};
        uint64_t id = tmount_id(t->m, "file");

        tnfs_cool(t);
        assert_int_equal(store_fault_add(t->m->store, &rule), HIF_OK);
        start_read(t, id);
        treply_free(&t->reply);
        tclient_receive(&t->c, &t->reply);
        assert_int_equal(rd_u32(&t->reply.rd), NFS3ERR_IO);
        store_fault_clear(t->m->store);
        assert_int_equal(tnfs_getattr(t, id).size, 8);
}

/* A client that goes away while its requests wait leaves nothing behind. */
static void closing_drops_what_waits(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file");

        tnfs_cool(t);
        hold_blobs(t);
        for (int i = 0; i < 10; i++)
                start_read(t, id);
        tmount_settle(t->m);
        assert_int_equal(vfs_stats(t->m->vfs).parked, 10);
        tclient_close(&t->c);
        tmount_settle(t->m);
        /* Closed in one direction, the client may still read its answers: they go when it has. */
        store_fault_clear(t->m->store);
        store_fault_deliver(t->m->store);
        tmount_settle(t->m);
        assert_int_equal(vfs_stats(t->m->vfs).parked, 0);
        tclient_open(&t->c, t->m);
        assert_int_equal(tnfs_getattr(t, id).size, 8);
}

static void start_big_read(struct tclient *c, uint64_t id, uint64_t offset)
{
        AUTO_BUF struct buf args = {0};

        put_handle(&args, id);
        buf_put_u64(&args, offset);
        buf_put_u32(&args, NFS_READ_MAX);
        tclient_start(c, NFS_READ, &args);
}

/* Content that waits to be sent is pinned: reading other files does not take it away, however
 * little memory there is. Once sent, nothing is pinned any more. */
static void unsent_content_stays_in_memory(void **state)
{
        struct tnfs *t = *state;
        uint64_t id, other_id;
        struct tclient other;

        tnfs_teardown(state);
        tnfs_setup_small(state);
        t = *state;
        id = tmount_id(t->m, "big");
        other_id = tmount_id(t->m, "other");
        for (uint64_t i = 0; i < 4; i++)
                start_big_read(&t->c, id, i * NFS_READ_MAX);
        tmount_settle(t->m);
        tclient_open(&other, t->m);
        for (uint64_t i = 0; i < 5; i++) {
                AUTO_REPLY struct treply reply = {0};

                start_big_read(&other, other_id, i * NFS_READ_MAX);
                tclient_receive(&other, &reply);
                assert_int_equal(rd_u32(&reply.rd), NFS3_OK);
        }
        assert_true(fetch_stats(t->m->fetch).pinned_bytes > NFS_READ_MAX);
        for (int i = 0; i < 4; i++) {
                size_t which;

                treply_free(&t->reply);
                tclient_receive(&t->c, &t->reply);
                assert_int_equal(rd_u32(&t->reply.rd), NFS3_OK);
                get_post_op(&t->reply.rd);
                rd_u64(&t->reply.rd);
                which = t->reply.xid - (t->c.xid - 3);
                assert_in_range(which, 0, 3);
                assert_true(span_eq(get_opaque(&t->reply.rd),
                                    span_of(t->big + which * NFS_READ_MAX, NFS_READ_MAX)));
        }
        tclient_close(&other);
        tmount_settle(t->m);
        /* But for the tree nodes that the cursors of vfs stand on. */
        assert_true(fetch_stats(t->m->fetch).pinned_bytes < 65536);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TNFS_TEST(getattr_shows_every_kind),
            TNFS_TEST(bad_and_stale_handles_are_told_apart),
            TNFS_TEST(lookup_finds_names),
            TNFS_TEST(lookup_refuses_names),
            TNFS_TEST(access_follows_the_mode),
            TNFS_TEST(readlink_reads_links_only),
            TNFS_TEST(read_gives_what_the_file_holds),
            TNFS_TEST(read_crosses_chunks),
            TNFS_TEST(read_merges_overlay_and_base),
            TNFS_TEST(read_refuses_what_is_no_file),
            TNFS_TEST(file_system_facts_are_told),
            TNFS_TEST(mount_opens_to_the_path_alone),
            TNFS_TEST(mount_lists_nothing),
            TNFS_TEST(faults_do_not_hold_up_others),
            TNFS_TEST(full_read_queue_lets_writes_in),
            TNFS_TEST(full_read_queue_lets_writes_wait),
            TNFS_TEST(slow_store_answers_jukebox),
            TNFS_TEST(lost_content_is_an_io_error),
            TNFS_TEST(closing_drops_what_waits),
            TNFS_TEST(unsent_content_stays_in_memory),
        };

        return cmocka_run_group_tests_name("nfs3", tests, NULL, NULL);
}
