#include "tnfs.h"

/* --- SETATTR --- */

static void setattr(struct tnfs *t, uint64_t id, int mode, int64_t size, const uint64_t *guard,
                    enum nfsstat3 status)
{
        AUTO_BUF struct buf args = {0};

        put_handle(&args, id);
        put_sattr(&args, mode, size);
        buf_put_u32(&args, guard != NULL);
        if (guard != NULL)
                buf_put_u64(&args, *guard);
        tnfs_call(t, NFS_SETATTR, &args, status);
}

/* Mode and size change, and wcc_data is exactly what was and what is. */
static void setattr_changes_what_it_names(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file");
        struct tattr before = tnfs_getattr(t, id), after;

        setattr(t, id, 0600, -1, NULL, NFS3_OK);
        tnfs_expect_wcc(t, &before, id);
        after = tnfs_getattr(t, id);
        assert_int_equal(after.mode, 0600);
        assert_int_equal(after.size, before.size);
        assert_int_equal(after.mtime, before.mtime);
        assert_true(after.ctime > before.ctime);
        before = after;
        setattr(t, id, -1, 3, NULL, NFS3_OK);
        tnfs_expect_wcc(t, &before, id);
        assert_int_equal(tnfs_getattr(t, id).size, 3);
        assert_true(tmount_holds(t->m, "file", "con"));
}

/* A guard that does not match stops the change: NOT_SYNC. */
static void setattr_obeys_its_guard(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file");
        struct tattr before = tnfs_getattr(t, id);
        uint64_t guard = before.ctime + 1;

        setattr(t, id, 0600, -1, &guard, NFS3ERR_NOT_SYNC);
        tnfs_expect_wcc(t, &before, id);
        assert_int_equal(tnfs_getattr(t, id).mode, 0644);
        setattr(t, id, 0600, -1, &before.ctime, NFS3_OK);
        assert_int_equal(tnfs_getattr(t, id).mode, 0600);
}

/* Times are the client's, or the server's; one with 10^9 nanoseconds is refused. */
static void setattr_sets_times(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file");
        const uint64_t time = 1234567890ull << 32 | 999999999;
        AUTO_BUF struct buf args = {0}, bad = {0};
        struct tattr attr;

        put_handle(&args, id);
        buf_put_zero(&args, 4 * 4);
        buf_put_u32(&args, 1); /* atime: the server's */
        buf_put_u32(&args, 2); /* mtime: this */
        buf_put_u64(&args, time);
        buf_put_u32(&args, 0);
        tnfs_call(t, NFS_SETATTR, &args, NFS3_OK);
        attr = tnfs_getattr(t, id);
        assert_int_equal(attr.mtime, time);
        assert_true(attr.atime >> 32 == attr.ctime >> 32);
        put_handle(&bad, id);
        buf_put_zero(&bad, 4 * 5);
        buf_put_u32(&bad, 2);
        buf_put_u64(&bad, time + 1);
        buf_put_u32(&bad, 0);
        tnfs_call(t, NFS_SETATTR, &bad, NFS3ERR_INVAL);
        assert_int_equal(tnfs_getattr(t, id).mtime, time);
}

/* Another user may change nothing, even where others are let in. */
static void setattr_is_for_the_owner(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file");

        t->c.uid = 4242;
        setattr(t, id, 0777, -1, NULL, NFS3ERR_ACCES);
        t->c.uid = TMOUNT_UID;
        assert_int_equal(tnfs_getattr(t, id).mode, 0644);
}

/* --- WRITE and COMMIT --- */

/* Each way to write says what it did; all carry one verifier, and so does COMMIT. */
static void write_tells_how_stable_it_is(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file"), verifier = 0;
        AUTO_BUF struct buf commit = {0};

        for (uint32_t stable = NFS_UNSTABLE; stable <= NFS_FILE_SYNC; stable++) {
                struct tattr before = tnfs_getattr(t, id);

                assert_int_equal(tnfs_write(t, id, stable, "xyz", stable), NFS3_OK);
                tnfs_expect_wcc(t, &before, id);
                assert_int_equal(rd_u32(&t->reply.rd), 3);
                assert_int_equal(rd_u32(&t->reply.rd),
                                 stable == NFS_UNSTABLE ? NFS_UNSTABLE : NFS_FILE_SYNC);
                if (stable == NFS_UNSTABLE)
                        verifier = rd_u64(&t->reply.rd);
                else
                        assert_int_equal(rd_u64(&t->reply.rd), verifier);
                assert_true(rd_done(&t->reply.rd));
                if (stable != NFS_UNSTABLE)
                        assert_true(overlay_durable(t->m->overlay) >= overlay_seq(t->m->overlay));
        }
        put_handle(&commit, id);
        buf_put_u64(&commit, 0);
        buf_put_u32(&commit, 0);
        tnfs_call(t, NFS_COMMIT, &commit, NFS3_OK);
        get_wcc(&t->reply.rd);
        assert_int_equal(rd_u64(&t->reply.rd), verifier);
        assert_true(rd_done(&t->reply.rd));
        assert_true(tmount_holds(t->m, "file", "xxxyznt\n"));
}

/* What COMMIT answered survives a power cut; the verifier tells of the restart. */
static void committed_writes_survive_a_power_cut(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file"), verifier;
        AUTO_BUF struct buf commit = {0};

        assert_int_equal(tnfs_write(t, id, 0, "kept", NFS_UNSTABLE), NFS3_OK);
        put_handle(&commit, id);
        buf_put_u64(&commit, 0);
        buf_put_u32(&commit, 0);
        tnfs_call(t, NFS_COMMIT, &commit, NFS3_OK);
        get_wcc(&t->reply.rd);
        verifier = rd_u64(&t->reply.rd);
        tmount_power_cut(t->m);
        tnfs_reconnect(t);
        assert_true(tmount_holds(t->m, "file", "keptent\n"));
        tnfs_call(t, NFS_COMMIT, &commit, NFS3_OK);
        get_wcc(&t->reply.rd);
        assert_int_not_equal(rd_u64(&t->reply.rd), verifier);
}

/* A sync that fails is an error to whoever waits for it, and then the verifier changes, so that
 * clients send again what was not committed. Whichever file call it is that fails. */
static void failed_sync_is_told(void **state)
{
        size_t failed = 0;

        tnfs_teardown(state);
        for (uint64_t nth = 1; nth <= 12; nth++) {
                AUTO_BUF struct buf commit = {0};
                uint64_t id, verifier;
                struct tnfs *t;

                tnfs_setup(state);
                t = *state;
                id = tmount_id(t->m, "file");
                put_handle(&commit, id);
                buf_put_u64(&commit, 0);
                buf_put_u32(&commit, 0);
                assert_int_equal(tnfs_write(t, id, 0, "kept", NFS_FILE_SYNC), NFS3_OK);
                assert_int_equal(tnfs_write(t, id, 0, "lost", NFS_UNSTABLE), NFS3_OK);
                get_wcc(&t->reply.rd);
                rd_u64(&t->reply.rd);
                verifier = rd_u64(&t->reply.rd);
                simenv_fail_at(t->m->sim, nth, HIF_EIO);
                tclient_nfs(&t->c, NFS_COMMIT, &commit, &t->reply);
                get_wcc(&t->reply.rd);
                if (t->reply.status == NFS3_OK) {
                        assert_int_equal(rd_u64(&t->reply.rd), verifier);
                } else {
                        assert_int_equal(t->reply.status, NFS3ERR_IO);
                        assert_int_not_equal(overlay_verifier(t->m->overlay), verifier);
                        failed++;
                }
                assert_true(rd_done(&t->reply.rd));
                simenv_fail_at(t->m->sim, 0, HIF_OK);
                tnfs_teardown(state);
        }
        assert_true(failed > 0);
        tnfs_setup(state);
}

/* Writes past what a file may be, and to what is no file. */
static void write_refuses_the_impossible(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file");

        assert_int_equal(tnfs_write(t, id, UINT64_MAX, "x", NFS_UNSTABLE), NFS3ERR_FBIG);
        assert_int_equal(tnfs_write(t, id, INT64_MAX, "x", NFS_UNSTABLE), NFS3ERR_FBIG);
        assert_int_equal(tnfs_write(t, NODEID_ROOT, 0, "x", NFS_UNSTABLE), NFS3ERR_ISDIR);
        assert_int_equal(tnfs_getattr(t, id).size, 8);
        assert_int_equal(tnfs_write(t, id, 0, "", NFS_FILE_SYNC), NFS3_OK);
        assert_int_equal(tnfs_getattr(t, id).size, 8);
}

/* A WRITE of the largest size, in one record, and read back. */
static void largest_write_arrives_whole(void **state)
{
        struct tnfs *t = *state;
        AUTO_FREE uint8_t *bytes = tmount_bytes(9, NFS_READ_MAX);
        AUTO_FREE uint8_t *back = NULL;
        AUTO_BUF struct buf args = {0};
        size_t size;
        uint64_t id;

        assert_int_equal(tmount_create(t->m, "large", &id), HIF_OK);
        for (uint64_t i = 0; i < 3; i++) {
                buf_reset(&args);
                put_handle(&args, id);
                buf_put_u64(&args, i * NFS_READ_MAX);
                buf_put_u32(&args, NFS_READ_MAX);
                buf_put_u32(&args, NFS_UNSTABLE);
                put_opaque(&args, span_of(bytes, NFS_READ_MAX));
                tnfs_call(t, NFS_WRITE, &args, NFS3_OK);
                get_wcc(&t->reply.rd);
                assert_int_equal(rd_u32(&t->reply.rd), NFS_READ_MAX);
        }
        back = tmount_read(t->m, "large", &size);
        assert_int_equal(size, 3 * NFS_READ_MAX);
        for (size_t i = 0; i < 3; i++)
                assert_memory_equal(back + i * NFS_READ_MAX, bytes, NFS_READ_MAX);
}

/* --- new nodes --- */

static void put_create(struct buf *args, uint64_t dir, const char *name, uint32_t how,
                       uint64_t verifier)
{
        put_place(args, dir, name);
        buf_put_u32(args, how);
        if (how == 2)
                buf_put_u64(args, verifier);
        else
                put_sattr(args, 0640, -1);
}

static void expect_new(struct tnfs *t, const struct tattr *dir_before, uint64_t dir,
                       const char *path, uint32_t type, uint32_t mode)
{
        uint64_t id;
        struct tattr attr;

        assert_int_equal(rd_u32(&t->reply.rd), 1);
        id = get_handle(&t->reply.rd);
        assert_int_equal(id, tmount_id(t->m, path));
        attr = get_post_op(&t->reply.rd);
        assert_int_equal(attr.fileid, id);
        assert_int_equal(attr.type, type);
        assert_int_equal(attr.mode, mode);
        tnfs_expect_wcc(t, dir_before, dir);
        assert_true(rd_done(&t->reply.rd));
}

/* UNCHECKED takes what is there, GUARDED does not, EXCLUSIVE knows its own. */
static void create_has_three_ways(void **state)
{
        /* wholly another verifier, and others in one half */
        static const uint64_t others[] = {1, 0x1122334455667789, 0x1122334555667788};
        struct tnfs *t = *state;
        uint64_t dir = tmount_id(t->m, "dir");
        AUTO_BUF struct buf unchecked = {0}, guarded = {0}, exclusive = {0}, other = {0},
                            base = {0};
        struct tattr before = tnfs_getattr(t, dir);

        put_create(&unchecked, dir, "u", 0, 0);
        tnfs_call(t, NFS_CREATE, &unchecked, NFS3_OK);
        expect_new(t, &before, dir, "dir/u", NF3REG, 0640);
        tnfs_call(t, NFS_CREATE, &unchecked, NFS3_OK);
        before = tnfs_getattr(t, dir);
        put_create(&guarded, dir, "g", 1, 0);
        tnfs_call(t, NFS_CREATE, &guarded, NFS3_OK);
        expect_new(t, &before, dir, "dir/g", NF3REG, 0640);
        tnfs_call(t, NFS_CREATE, &guarded, NFS3ERR_EXIST);
        get_wcc(&t->reply.rd);
        assert_true(rd_done(&t->reply.rd));
        put_create(&exclusive, dir, "e", 2, 0x1122334455667788);
        tnfs_call(t, NFS_CREATE, &exclusive, NFS3_OK);
        tmount_restart(t->m);
        tnfs_reconnect(t);
        tnfs_call(t, NFS_CREATE, &exclusive, NFS3_OK);
        rd_u32(&t->reply.rd);
        assert_int_equal(get_handle(&t->reply.rd), tmount_id(t->m, "dir/e"));
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
                buf_reset(&other);
                put_create(&other, dir, "e", 2, others[i]);
                tnfs_call(t, NFS_CREATE, &other, NFS3ERR_EXIST);
        }
        put_create(&base, dir, "a", 1, 0);
        tnfs_call(t, NFS_CREATE, &base, NFS3ERR_EXIST);
}

/* NFSv3 has no open: who made a file that may not be written writes it all the same, and reads what
 * may not be read. git makes its objects so. */
static void who_made_a_read_only_file_fills_it(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf create = {0}, read = {0};
        uint64_t id;

        put_place(&create, NODEID_ROOT, "object");
        buf_put_u32(&create, 1);
        put_sattr(&create, 0400, -1);
        tnfs_call(t, NFS_CREATE, &create, NFS3_OK);
        id = tmount_id(t->m, "object");
        assert_int_equal(tnfs_write(t, id, 0, "content", NFS_UNSTABLE), NFS3_OK);
        setattr(t, id, 0, -1, NULL, NFS3_OK);
        put_handle(&read, id);
        buf_put_u64(&read, 0);
        buf_put_u32(&read, 100);
        tnfs_call(t, NFS_READ, &read, NFS3_OK);
        assert_true(tmount_holds(t->m, "object", "content"));
}

/* What a client is told in FSINFO holds for writing, cutting and creating: no size is accepted that
 * cannot be written, so that none fails long after the write. */
static void sizes_have_a_limit(void **state)
{
        struct tnfs *t = *state;
        uint64_t dir = tmount_id(t->m, "dir"), id = tmount_id(t->m, "file");

        setattr(t, id, 0644, VFS_SIZE_MAX, NULL, NFS3_OK);
        assert_int_equal(tnfs_getattr(t, id).size, VFS_SIZE_MAX);
        setattr(t, id, 0644, VFS_SIZE_MAX + 1, NULL, NFS3ERR_FBIG);
        assert_int_equal(tnfs_write(t, id, VFS_SIZE_MAX, "x", NFS_UNSTABLE), NFS3ERR_FBIG);
        for (uint32_t how = 0; how < 2; how++) {
                AUTO_BUF struct buf args = {0};

                put_place(&args, dir, how == 0 ? "a" : "n"); /* one that is there, a new one */
                buf_put_u32(&args, how);
                put_sattr(&args, 0640, INT64_MAX);
                tnfs_call(t, NFS_CREATE, &args, NFS3ERR_FBIG);
        }
        assert_int_equal(tmount_id(t->m, "dir/n"), NODEID_NONE);
        assert_int_equal(tmount_attr(t->m, "dir/a").size, 1);
}

static void mkdir_and_symlink_make_their_kind(void **state)
{
        struct tnfs *t = *state;
        uint64_t dir = tmount_id(t->m, "dir");
        AUTO_BUF struct buf args = {0}, link = {0}, empty = {0};
        struct tattr before = tnfs_getattr(t, dir);

        put_place(&args, dir, "d");
        put_sattr(&args, 0750, -1);
        tnfs_call(t, NFS_MKDIR, &args, NFS3_OK);
        expect_new(t, &before, dir, "dir/d", NF3DIR, 0750);
        tnfs_call(t, NFS_MKDIR, &args, NFS3ERR_EXIST);
        before = tnfs_getattr(t, dir);
        put_place(&link, dir, "l");
        put_sattr(&link, 0777, -1);
        put_string(&link, "some/target");
        tnfs_call(t, NFS_SYMLINK, &link, NFS3_OK);
        expect_new(t, &before, dir, "dir/l", NF3LNK, 0777);
        assert_int_equal(tmount_attr(t->m, "dir/l").size, 11);
        put_place(&empty, dir, "l2");
        put_sattr(&empty, 0777, -1);
        put_string(&empty, "");
        tnfs_call(t, NFS_SYMLINK, &empty, NFS3ERR_INVAL);
}

/* Fifos and sockets are anyone's to make, devices root's, and other types are no nodes. */
static void mknod_makes_special_files(void **state)
{
        static const struct {
                uint32_t type;
                uint32_t uid;
                enum nfsstat3 status;
        } types[] = {{NF3FIFO, TMOUNT_UID, NFS3_OK},
                     {NF3SOCK, TMOUNT_UID, NFS3_OK},
                     {NF3CHR, TMOUNT_UID, NFS3ERR_PERM},
                     {NF3BLK, TMOUNT_UID, NFS3ERR_PERM},
                     {NF3CHR, 0, NFS3_OK},
                     {NF3BLK, 0, NFS3_OK},
                     {NF3REG, TMOUNT_UID, NFS3ERR_BADTYPE},
                     {NF3DIR, TMOUNT_UID, NFS3ERR_BADTYPE},
                     {NF3LNK, TMOUNT_UID, NFS3ERR_BADTYPE},
                     {99, TMOUNT_UID, NFS3ERR_BADTYPE},
                     {UINT32_MAX, TMOUNT_UID, NFS3ERR_BADTYPE}};
        struct tnfs *t = *state;

        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
                AUTO_BUF struct buf args = {0};
                struct tattr before = tnfs_getattr(t, NODEID_ROOT);
                uint32_t type = types[i].type;
                char name[2] = {(char)('A' + i), 0};

                put_place(&args, NODEID_ROOT, name);
                buf_put_u32(&args, type);
                if (type == NF3FIFO || type == NF3SOCK || type == NF3CHR || type == NF3BLK)
                        put_sattr(&args, 0600, -1);
                if (type == NF3CHR || type == NF3BLK)
                        buf_put_u64(&args, 5ull << 32 | 1);
                t->c.uid = types[i].uid;
                tnfs_call(t, NFS_MKNOD, &args, types[i].status);
                t->c.uid = TMOUNT_UID;
                if (types[i].status == NFS3_OK)
                        expect_new(t, &before, NODEID_ROOT, name, type, 0600);
                else
                        assert_int_equal(tmount_id(t->m, name), NODEID_NONE);
                if (types[i].status == NFS3_OK && (type == NF3CHR || type == NF3BLK))
                        assert_int_equal(tnfs_getattr(t, tmount_id(t->m, name)).device,
                                         5ull << 32 | 1);
        }
}

/* --- names --- */

static void remove_and_rmdir_take_names_away(void **state)
{
        struct tnfs *t = *state;
        uint64_t dir = tmount_id(t->m, "dir"), sub = tmount_id(t->m, "dir/sub");
        AUTO_BUF struct buf file = {0}, full = {0}, inner = {0}, as_file = {0}, as_dir = {0};
        struct tattr before = tnfs_getattr(t, dir);

        put_place(&full, dir, "sub");
        tnfs_call(t, NFS_RMDIR, &full, NFS3ERR_NOTEMPTY);
        tnfs_expect_wcc(t, &before, dir);
        put_place(&as_file, dir, "sub");
        tnfs_call(t, NFS_REMOVE, &as_file, NFS3ERR_ISDIR);
        put_place(&as_dir, dir, "a");
        tnfs_call(t, NFS_RMDIR, &as_dir, NFS3ERR_NOTDIR);
        put_place(&file, dir, "a");
        tnfs_call(t, NFS_REMOVE, &file, NFS3_OK);
        tnfs_expect_wcc(t, &before, dir);
        put_place(&inner, sub, "b");
        tnfs_call(t, NFS_REMOVE, &inner, NFS3_OK);
        buf_reset(&full);
        put_place(&full, dir, "sub");
        tnfs_call(t, NFS_RMDIR, &full, NFS3_OK);
        assert_int_equal(tmount_id(t->m, "dir/sub"), NODEID_NONE);
        assert_int_equal(tmount_id(t->m, "dir/a"), NODEID_NONE);
}

/* Both directories' attributes, before and after; the handle stays; what was there is replaced. */
static void rename_moves_and_replaces(void **state)
{
        struct tnfs *t = *state;
        uint64_t dir = tmount_id(t->m, "dir"), id = tmount_id(t->m, "dir/a");
        struct tattr from = tnfs_getattr(t, dir), to = tnfs_getattr(t, NODEID_ROOT);
        AUTO_BUF struct buf args = {0}, gone = {0}, below = {0};

        put_place(&args, dir, "a");
        put_place(&args, NODEID_ROOT, "file");
        tnfs_call(t, NFS_RENAME, &args, NFS3_OK);
        tnfs_expect_wcc(t, &from, dir);
        tnfs_expect_wcc(t, &to, NODEID_ROOT);
        assert_true(rd_done(&t->reply.rd));
        assert_int_equal(tmount_id(t->m, "file"), id);
        assert_true(tmount_holds(t->m, "file", "a"));
        assert_true(overlay_durable(t->m->overlay) >= overlay_seq(t->m->overlay));
        put_place(&gone, dir, "a");
        put_place(&gone, NODEID_ROOT, "x");
        tnfs_call(t, NFS_RENAME, &gone, NFS3ERR_NOENT);
        put_place(&below, NODEID_ROOT, "dir");
        put_place(&below, tmount_id(t->m, "dir/sub"), "x");
        tnfs_call(t, NFS_RENAME, &below, NFS3ERR_INVAL);
        get_wcc(&t->reply.rd);
        get_wcc(&t->reply.rd);
        assert_true(rd_done(&t->reply.rd));
}

static void link_gives_a_second_name(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file");
        struct tattr before = tnfs_getattr(t, NODEID_ROOT), attr;
        AUTO_BUF struct buf args = {0}, dir = {0};

        put_handle(&args, id);
        put_place(&args, NODEID_ROOT, "second");
        tnfs_call(t, NFS_LINK, &args, NFS3_OK);
        attr = get_post_op(&t->reply.rd);
        assert_int_equal(attr.nlink, 2);
        assert_int_equal(attr.fileid, id);
        tnfs_expect_wcc(t, &before, NODEID_ROOT);
        assert_true(rd_done(&t->reply.rd));
        assert_int_equal(tmount_id(t->m, "second"), id);
        tnfs_call(t, NFS_LINK, &args, NFS3ERR_EXIST);
        put_handle(&dir, tmount_id(t->m, "dir"));
        put_place(&dir, NODEID_ROOT, "second-dir");
        tnfs_call(t, NFS_LINK, &dir, NFS3ERR_NOTSUPP);
        get_post_op(&t->reply.rd);
        get_wcc(&t->reply.rd);
        assert_true(rd_done(&t->reply.rd));
}

/* Every change is refused when the mount is for reading only. */
static void read_only_mount_refuses_changes(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf create = {0}, mkdir = {0}, gone = {0};
        uint64_t id = tmount_id(t->m, "file");

        setattr(t, id, 0600, -1, NULL, NFS3ERR_ROFS);
        assert_int_equal(tnfs_write(t, id, 0, "x", NFS_UNSTABLE), NFS3ERR_ROFS);
        put_create(&create, NODEID_ROOT, "n", 1, 0);
        tnfs_call(t, NFS_CREATE, &create, NFS3ERR_ROFS);
        put_place(&mkdir, NODEID_ROOT, "d");
        put_sattr(&mkdir, -1, -1);
        tnfs_call(t, NFS_MKDIR, &mkdir, NFS3ERR_ROFS);
        put_place(&gone, NODEID_ROOT, "file");
        tnfs_call(t, NFS_REMOVE, &gone, NFS3ERR_ROFS);
        assert_int_equal(tnfs_getattr(t, id).size, 8);
}

/* A call of each procedure that names something in the root; RENAME names two. */
static void put_named(struct tnfs *t, enum nfs_proc proc, struct span name, bool second,
                      struct buf *out)
{
        if (proc == NFS_LINK)
                put_handle(out, tmount_id(t->m, "file"));
        if (proc == NFS_RENAME && second)
                put_place(out, NODEID_ROOT, "run.sh");
        put_handle(out, NODEID_ROOT);
        put_opaque(out, name);
        if (proc == NFS_CREATE)
                buf_put_u32(out, 1);
        if (proc == NFS_MKNOD)
                buf_put_u32(out, NF3FIFO);
        if (proc == NFS_CREATE || proc == NFS_MKDIR || proc == NFS_SYMLINK || proc == NFS_MKNOD)
                put_sattr(out, -1, -1);
        if (proc == NFS_SYMLINK)
                put_string(out, "target");
        if (proc == NFS_RENAME && !second)
                put_place(out, NODEID_ROOT, "free");
}

/* Names that lead elsewhere, or that no directory can hold, are none, whatever is to be done with
 * them. Only "." and ".." can be looked up. */
static void names_lead_nowhere_else(void **state)
{
        static const struct {
                const char *text;
                size_t size;
        } names[] = {{"", 0},     {".", 1},    {"..", 2}, {"/", 1},    {"../x", 4},  {"a/b", 3},
                     {"/etc", 4}, {"a\0b", 3}, {"\0", 1}, {"..\0", 3}, {"file\0", 5}};
        static const enum nfs_proc procs[] = {NFS_LOOKUP, NFS_CREATE, NFS_MKDIR, NFS_SYMLINK,
                                              NFS_MKNOD,  NFS_REMOVE, NFS_RMDIR, NFS_RENAME,
                                              NFS_RENAME, NFS_LINK};
        struct tnfs *t = *state;
        uint64_t seq;

        assert_int_not_equal(tmount_id(t->m, "file"), NODEID_NONE);
        seq = overlay_seq(t->m->overlay);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                for (size_t j = 0; j < sizeof(procs) / sizeof(procs[0]); j++) {
                        struct span name = span_of(names[i].text, names[i].size);
                        bool second = j > 0 && procs[j] == procs[j - 1];
                        AUTO_BUF struct buf args = {0};

                        put_named(t, procs[j], name, second, &args);
                        tclient_nfs(&t->c, procs[j], &args, &t->reply);
                        assert_int_equal(t->reply.stat, RPC_SUCCESS);
                        if (procs[j] == NFS_LOOKUP &&
                            (span_eq(name, span_str(".")) || span_eq(name, span_str(".."))))
                                assert_int_equal(t->reply.status, NFS3_OK);
                        else if (t->reply.status != NFS3ERR_EXIST)
                                assert_int_equal(t->reply.status, NFS3ERR_INVAL);
                        assert_int_equal(overlay_seq(t->m->overlay), seq);
                }
}

/* With durability "power" a reply to CREATE means that it is on disk. */
static void power_durability_holds_replies(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf create = {0};

        put_create(&create, NODEID_ROOT, "n", 1, 0);
        tnfs_call(t, NFS_CREATE, &create, NFS3_OK);
        assert_true(overlay_durable(t->m->overlay) >= overlay_seq(t->m->overlay));
        tmount_power_cut(t->m);
        tnfs_reconnect(t);
        assert_int_not_equal(tmount_id(t->m, "n"), NODEID_NONE);
}

/* ctime never stands still, however fast changes come: clients derive their change attribute from
 * it. */
static void ctime_is_strictly_monotonic(void **state)
{
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file"), last = tnfs_getattr(t, id).ctime;

        for (int i = 0; i < 200; i++) {
                struct twcc wcc;

                if (i % 2 == 0)
                        assert_int_equal(tnfs_write(t, id, 0, "x", NFS_UNSTABLE), NFS3_OK);
                else
                        setattr(t, id, 0600 + i % 8, -1, NULL, NFS3_OK);
                wcc = get_wcc(&t->reply.rd);
                assert_int_equal(wcc.ctime, last);
                assert_true(wcc.after.ctime > last);
                last = wcc.after.ctime;
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TNFS_TEST(setattr_changes_what_it_names),
            TNFS_TEST(setattr_obeys_its_guard),
            TNFS_TEST(setattr_sets_times),
            TNFS_TEST(setattr_is_for_the_owner),
            TNFS_TEST(write_tells_how_stable_it_is),
            TNFS_TEST(committed_writes_survive_a_power_cut),
            TNFS_TEST(failed_sync_is_told),
            TNFS_TEST(write_refuses_the_impossible),
            TNFS_TEST(largest_write_arrives_whole),
            TNFS_TEST(create_has_three_ways),
            TNFS_TEST(who_made_a_read_only_file_fills_it),
            TNFS_TEST(sizes_have_a_limit),
            TNFS_TEST(mkdir_and_symlink_make_their_kind),
            TNFS_TEST(mknod_makes_special_files),
            TNFS_TEST(remove_and_rmdir_take_names_away),
            TNFS_TEST(rename_moves_and_replaces),
            TNFS_TEST(link_gives_a_second_name),
            TNFS_TEST(names_lead_nowhere_else),
            cmocka_unit_test_setup_teardown(read_only_mount_refuses_changes, tnfs_setup_read_only,
                                            tnfs_teardown),
            cmocka_unit_test_setup_teardown(power_durability_holds_replies, tnfs_setup_power,
                                            tnfs_teardown),
            TNFS_TEST(ctime_is_strictly_monotonic),
        };

        return cmocka_run_group_tests_name("nfs3_write", tests, NULL, NULL);
}
