/* test_xdr_tirpc.c - every procedure, good and bad, through the codec of another hand: libtirpc and
 * rpcgen encode the calls and decode the answers. */
#include "tirpc_peer.h"
#include "tnfs.h"

static uint8_t root[HANDLE_SIZE];

static void seal_handle(uint64_t id, uint8_t out[HANDLE_SIZE])
{
        AUTO_BUF struct buf args = {0};

        put_handle(&args, id);
        memcpy(out, args.data + 4, HANDLE_SIZE);
}

static struct tirpc_question ask(const uint8_t *handle)
{
        return (struct tirpc_question){
            .handle = handle, .handle2 = root, .handle_size = HANDLE_SIZE, .mode = -1, .size = -1};
}

static struct tirpc_answer call(struct tnfs *t, enum nfs_proc proc, const struct tirpc_question *q,
                                uint32_t status)
{
        AUTO_BUF struct buf args = {0};
        struct tirpc_answer answer;
        uint8_t *room = buf_reserve(&args, 2 << 20);
        size_t used = tirpc_nfs_args((uint32_t)proc, q, room, 2 << 20), at;

        assert_true(used > 0);
        buf_extend(&args, used);
        tclient_nfs(&t->c, proc, &args, &t->reply);
        assert_int_equal(t->reply.stat, RPC_SUCCESS);
        at = (size_t)(t->reply.rd.next - t->reply.bytes.data) - 4;
        assert_true(tirpc_nfs_result((uint32_t)proc, t->reply.bytes.data + at,
                                     t->reply.bytes.size - at, &answer));
        assert_int_equal(answer.status, status);
        return answer;
}

static uint64_t sum_of(const void *data, size_t size)
{
        const uint8_t *bytes = data;
        uint64_t sum = size;

        for (size_t i = 0; i < size; i++)
                sum = sum * 31 + bytes[i];
        return sum;
}

/* Handle of a name in the root, by LOOKUP. */
static void look_up(struct tnfs *t, const char *name, uint8_t out[HANDLE_SIZE])
{
        struct tirpc_question q = ask(root);
        struct tirpc_answer a;

        q.name = name;
        a = call(t, NFS_LOOKUP, &q, NFS3_OK);
        assert_int_equal(a.handle_size, HANDLE_SIZE);
        memcpy(out, a.handle, HANDLE_SIZE);
}

static void reading_procedures_decode(void **state)
{
        struct tnfs *t = *state;
        uint8_t file[HANDLE_SIZE], link[HANDLE_SIZE], big[HANDLE_SIZE];
        struct tirpc_question q;
        struct tirpc_answer a;

        seal_handle(NODEID_ROOT, root);
        look_up(t, "file", file);
        look_up(t, "link", link);
        look_up(t, "big", big);
        q = ask(file);
        a = call(t, NFS_GETATTR, &q, NFS3_OK);
        assert_int_equal(a.attr_size, 8);
        q.access = 0x3f;
        assert_int_equal(call(t, NFS_ACCESS, &q, NFS3_OK).access, 0x0d);
        q.count = 100;
        a = call(t, NFS_READ, &q, NFS3_OK);
        assert_true(a.eof);
        assert_int_equal(a.data_sum, sum_of("content\n", 8));
        q = ask(big);
        q.offset = 1048000;
        q.count = 1 << 20;
        a = call(t, NFS_READ, &q, NFS3_OK);
        assert_int_equal(a.count, 1 << 20);
        assert_int_equal(a.data_sum, sum_of(t->big + 1048000, 1 << 20));
        q = ask(link);
        assert_int_equal(call(t, NFS_READLINK, &q, NFS3_OK).data_sum, sum_of("dir/a", 5));
        q = ask(root);
        assert_true(call(t, NFS_FSSTAT, &q, NFS3_OK).attributes);
        assert_true(call(t, NFS_FSINFO, &q, NFS3_OK).attributes);
        assert_true(call(t, NFS_PATHCONF, &q, NFS3_OK).attributes);
        q.count = 65536;
        a = call(t, NFS_READDIR, &q, NFS3_OK);
        assert_int_equal(a.entries, 7);
        assert_true(a.eof);
        a = call(t, NFS_READDIRPLUS, &q, NFS3_OK);
        assert_int_equal(a.entries, 7);
        for (q.count = 300; q.count < 1500; q.count += 100) {
                call(t, NFS_READDIR, &q, NFS3_OK);
                call(t, NFS_READDIRPLUS, &q, NFS3_OK);
        }
}

static void changing_procedures_decode(void **state)
{
        struct tnfs *t = *state;
        static const struct {
                enum nfs_proc proc;
                uint32_t how;
        } makers[] = {{NFS_CREATE, 0}, {NFS_CREATE, 1},  {NFS_CREATE, 2},
                      {NFS_MKDIR, 0},  {NFS_SYMLINK, 0}, {NFS_MKNOD, 0}};
        char name[] = "made-0";
        uint8_t made[HANDLE_SIZE];
        struct tirpc_question q;
        struct tirpc_answer a;

        seal_handle(NODEID_ROOT, root);
        for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
                name[5] = (char)('0' + i);
                q = ask(root);
                q.name = name;
                q.how = makers[i].how;
                q.type = NF3FIFO;
                q.target = "t";
                q.mode = 0700;
                a = call(t, makers[i].proc, &q, NFS3_OK);
                assert_int_equal(a.handle_size, HANDLE_SIZE);
                assert_true(a.attributes && a.wcc_before);
        }
        look_up(t, "made-0", made);
        q = ask(made);
        q.data = "12345";
        q.count = 5;
        for (q.stable = 0; q.stable <= 2; q.stable++) {
                a = call(t, NFS_WRITE, &q, NFS3_OK);
                assert_int_equal(a.count, 5);
                assert_true(a.committed >= q.stable);
                assert_true(a.wcc_before && a.attributes);
        }
        assert_true(call(t, NFS_COMMIT, &q, NFS3_OK).verifier == a.verifier);
        q.size = 2;
        q.mode = 0600;
        a = call(t, NFS_SETATTR, &q, NFS3_OK);
        assert_int_equal(a.attr_size, 2);
        q.name2 = "linked";
        assert_true(call(t, NFS_LINK, &q, NFS3_OK).attributes);
        q = ask(root);
        q.name = "made-1";
        q.name2 = "renamed";
        assert_true(call(t, NFS_RENAME, &q, NFS3_OK).wcc_before);
        assert_true(call(t, NFS_REMOVE,
                         &(struct tirpc_question){
                             .handle = root, .handle_size = HANDLE_SIZE, .name = "renamed"},
                         NFS3_OK)
                        .wcc_before);
        q.name = "made-3";
        assert_true(call(t, NFS_RMDIR, &q, NFS3_OK).wcc_before);
}

/* Failures of every procedure: on a handle that is no one's, then on one of the wrong kind. */
static void failures_decode(void **state)
{
        struct tnfs *t = *state;
        static const enum nfs_proc on_file[] = {NFS_LOOKUP,  NFS_CREATE,  NFS_MKDIR,
                                                NFS_SYMLINK, NFS_MKNOD,   NFS_REMOVE,
                                                NFS_RMDIR,   NFS_READDIR, NFS_READDIRPLUS};
        uint8_t forged[HANDLE_SIZE], file[HANDLE_SIZE];
        struct tirpc_question q;

        seal_handle(NODEID_ROOT, root);
        seal_handle(tmount_id(t->m, "file"), file);
        memcpy(forged, file, sizeof(forged));
        forged[20] ^= 1;
        q = ask(forged);
        q.name = q.name2 = q.target = "x";
        q.data = "x";
        q.count = 1;
        q.type = NF3FIFO;
        for (uint32_t proc = 1; proc < NFS_PROC_COUNT; proc++)
                call(t, (enum nfs_proc)proc, &q, NFS3ERR_BADHANDLE);
        q.handle = file;
        q.count = 4096;
        for (size_t i = 0; i < sizeof(on_file) / sizeof(on_file[0]); i++)
                call(t, on_file[i], &q, NFS3ERR_NOTDIR);
        call(t, NFS_READLINK, &q, NFS3ERR_INVAL);
        q.guard = true;
        call(t, NFS_SETATTR, &q, NFS3ERR_NOT_SYNC);
        q.handle = root;
        q.count = 1;
        call(t, NFS_READ, &q, NFS3ERR_ISDIR);
        call(t, NFS_WRITE, &q, NFS3ERR_ISDIR);
        call(t, NFS_READDIR, &q, NFS3ERR_TOOSMALL);
        call(t, NFS_READDIRPLUS, &q, NFS3ERR_TOOSMALL);
        q.name = q.name2 = "file";
        call(t, NFS_LINK, &q, NFS3ERR_NOTSUPP);
        q.type = NF3BLK;
        q.name = "dev";
        call(t, NFS_MKNOD, &q, NFS3ERR_PERM);
        q.type = NF3DIR;
        call(t, NFS_MKNOD, &q, NFS3ERR_BADTYPE);
        q.name = "missing";
        call(t, NFS_RENAME, &q, NFS3ERR_NOENT);
}

static struct tirpc_answer mount_call(struct tnfs *t, uint32_t proc, const char *path)
{
        AUTO_BUF struct buf record = {0};
        uint8_t args[1100];
        struct tirpc_answer answer;
        size_t at;

        tclient_header(&t->c, &record, MOUNT_PROGRAM, proc);
        buf_put(&record, args, tirpc_mount_args(proc, path, args, sizeof(args)));
        treply_free(&t->reply);
        tclient_send(&t->c, buf_span(&record));
        tclient_receive(&t->c, &t->reply);
        assert_int_equal(t->reply.stat, RPC_SUCCESS);
        at = (size_t)(t->reply.rd.next - t->reply.bytes.data);
        assert_true(
            tirpc_mount_result(proc, t->reply.bytes.data + at, t->reply.bytes.size - at, &answer));
        return answer;
}

static void mount_procedures_decode(void **state)
{
        struct tnfs *t = *state;
        struct tirpc_answer a = mount_call(t, 1, TMOUNT_EXPORT);

        assert_int_equal(a.status, 0);
        assert_int_equal(a.handle_size, HANDLE_SIZE);
        assert_int_equal(a.entries, 1);
        assert_int_equal(mount_call(t, 1, "/elsewhere").status, 13);
        mount_call(t, 0, NULL);
        assert_int_equal(mount_call(t, 2, NULL).entries, 0);
        mount_call(t, 3, TMOUNT_EXPORT);
        mount_call(t, 4, NULL);
        assert_int_equal(mount_call(t, 5, NULL).entries, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TNFS_TEST(reading_procedures_decode),
            TNFS_TEST(changing_procedures_decode),
            TNFS_TEST(failures_decode),
            TNFS_TEST(mount_procedures_decode),
        };

        return cmocka_run_group_tests_name("xdr_tirpc", tests, NULL, NULL);
}
