#include "tnfs.h"

static int start(void **state, const struct tmount_options *options)
{
        struct tnfs *t = calloc(1, sizeof(*t));

        assert_non_null(t);
        t->m = tmount_new(options);
        t->big = tmount_bytes(3, TNFS_BIG);
        tmount_add_text(t->m, "file", "content\n");
        tmount_add_file(t->m, "run.sh", "#!/bin/sh\n", 10, true);
        tmount_add_link(t->m, "link", "dir/a");
        tmount_add_text(t->m, "dir/a", "a");
        tmount_add_text(t->m, "dir/sub/b", "b");
        tmount_add_file(t->m, "big", t->big, TNFS_BIG, false);
        tmount_open(t->m);
        tclient_open(&t->c, t->m);
        *state = t;
        return 0;
}

int tnfs_setup(void **state)
{
        struct tmount_options options = {.nfs = true, .seed = 1};

        return start(state, &options);
}

int tnfs_setup_small(void **state)
{
        struct tmount_options options = {.nfs = true, .seed = 1, .fetch.ram_max = 8u << 20};
        struct tnfs *t = calloc(1, sizeof(*t));
        uint8_t *other = tmount_bytes(4, TNFS_BIG);

        assert_non_null(t);
        t->m = tmount_new(&options);
        t->big = tmount_bytes(3, TNFS_BIG);
        tmount_add_file(t->m, "big", t->big, TNFS_BIG, false);
        tmount_add_file(t->m, "other", other, TNFS_BIG, false);
        free(other);
        tmount_open(t->m);
        tclient_open(&t->c, t->m);
        *state = t;
        return 0;
}

int tnfs_setup_read_only(void **state)
{
        struct tmount_options options = {.nfs = true, .seed = 1, .vfs.read_only = true};

        return start(state, &options);
}

int tnfs_setup_power(void **state)
{
        struct tmount_options options = {
            .nfs = true, .seed = 1, .overlay.durability = OVERLAY_POWER};

        return start(state, &options);
}

int tnfs_teardown(void **state)
{
        struct tnfs *t = *state;

        treply_free(&t->reply);
        tclient_close(&t->c);
        tmount_free(t->m);
        free(t->big);
        free(t);
        return 0;
}

void tnfs_reconnect(struct tnfs *t)
{
        uint32_t xid = t->c.xid;

        tclient_close(&t->c);
        tclient_open(&t->c, t->m);
        t->c.xid = xid;
}

void tnfs_cool(struct tnfs *t)
{
        tmount_cool(t->m);
        tnfs_reconnect(t);
        tmount_id(t->m, "dir/a");
        tmount_id(t->m, "file");
        tmount_settle(t->m);
}

void tnfs_call(struct tnfs *t, enum nfs_proc proc, const struct buf *args, enum nfsstat3 status)
{
        tclient_nfs(&t->c, proc, args, &t->reply);
        assert_int_equal(t->reply.stat, RPC_SUCCESS);
        assert_int_equal(t->reply.status, status);
}

struct tattr tnfs_getattr(struct tnfs *t, uint64_t id)
{
        AUTO_BUF struct buf args = {0};
        struct tattr attr;

        put_handle(&args, id);
        tnfs_call(t, NFS_GETATTR, &args, NFS3_OK);
        attr = get_fattr(&t->reply.rd);
        assert_true(rd_done(&t->reply.rd));
        return attr;
}

uint32_t tnfs_write(struct tnfs *t, uint64_t id, uint64_t offset, const char *text, uint32_t stable)
{
        AUTO_BUF struct buf args = {0};

        put_handle(&args, id);
        buf_put_u64(&args, offset);
        buf_put_u32(&args, (uint32_t)strlen(text));
        buf_put_u32(&args, stable);
        put_string(&args, text);
        tclient_nfs(&t->c, NFS_WRITE, &args, &t->reply);
        assert_int_equal(t->reply.stat, RPC_SUCCESS);
        return t->reply.status;
}

void expect_same_attr(const struct tattr *a, const struct tattr *b)
{
        assert_true(a->have && b->have);
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->mode, b->mode);
        assert_int_equal(a->nlink, b->nlink);
        assert_int_equal(a->uid, b->uid);
        assert_int_equal(a->gid, b->gid);
        assert_int_equal(a->size, b->size);
        assert_int_equal(a->used, b->used);
        assert_int_equal(a->fileid, b->fileid);
        assert_int_equal(a->atime, b->atime);
        assert_int_equal(a->mtime, b->mtime);
        assert_int_equal(a->ctime, b->ctime);
}

/* What it is now is asked for on a second connection, so that t->reply stays. */
static struct tattr getattr_aside(struct tnfs *t, uint64_t id)
{
        struct tnfs aside = {.m = t->m};
        struct tattr attr;

        tclient_open(&aside.c, t->m);
        attr = tnfs_getattr(&aside, id);
        tclient_close(&aside.c);
        treply_free(&aside.reply);
        return attr;
}

void tnfs_expect_wcc(struct tnfs *t, const struct tattr *before, uint64_t id)
{
        struct twcc wcc = get_wcc(&t->reply.rd);
        struct tattr now = getattr_aside(t, id);

        assert_true(wcc.have_before);
        assert_int_equal(wcc.size, before->size);
        assert_int_equal(wcc.mtime, before->mtime);
        assert_int_equal(wcc.ctime, before->ctime);
        expect_same_attr(&wcc.after, &now);
}
