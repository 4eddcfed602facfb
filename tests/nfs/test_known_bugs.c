/* test_known_bugs.c - what has broken other user-space NFS and RPC servers, one by one: memory that
 * a length from the wire reaches, work that it starts, and bytes that were never written. */
#include "tnfs.h"

#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LAST 0x80000000u

/* --- verbs --- */

/* A record of these bytes; what comes back. */
static void send_record(struct tnfs *t, const struct buf *record)
{
        treply_free(&t->reply);
        tclient_send(&t->c, buf_span(record));
        tclient_receive(&t->c, &t->reply);
}

static void put_call(struct buf *out, enum nfs_proc proc)
{
        const uint32_t words[] = {77, 0, 2, NFS_PROGRAM, NFS_VERSION, (uint32_t)proc};

        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
                buf_put_u32(out, words[i]);
}

/* Credentials that claim so many groups, with so many behind them; then no verifier. */
static void put_groups(struct buf *out, uint32_t claimed, uint32_t there)
{
        buf_put_u32(out, RPC_AUTH_SYS);
        buf_put_u32(out, 20 + there * 4);
        buf_put_u32(out, 0);
        buf_put_u32(out, 0); /* machine name */
        buf_put_u32(out, TMOUNT_UID);
        buf_put_u32(out, TMOUNT_GID);
        buf_put_u32(out, claimed);
        for (uint32_t i = 0; i < there; i++)
                buf_put_u32(out, i);
        buf_put_u64(out, 0);
}

static void expect_alive(struct tnfs *t)
{
        tnfs_reconnect(t);
        assert_true(tnfs_getattr(t, NODEID_ROOT).have);
}

/* Nothing was answered, and the connection is closed. */
static void expect_closed(struct tnfs *t, const void *bytes, size_t size)
{
        treply_free(&t->reply);
        tclient_send_raw(&t->c, bytes, size);
        tclient_receive(&t->c, &t->reply);
        assert_true(t->reply.closed);
        expect_alive(t);
}

/* Bytes that this process has set aside, whether it has touched them or not. */
static size_t memory_in_use(void)
{
        FILE *file = fopen("/proc/self/statm", "r");
        unsigned long size;

        assert_non_null(file);
        assert_int_equal(fscanf(file, "%lu", &size), 1);
        fclose(file);
        return size * (size_t)sysconf(_SC_PAGESIZE);
}

/* --- lengths from the wire --- */

/* A count of groups that the credentials do not hold: a heap overflow before anyone is known, in
 * others. */
static void gids_count_is_checked(void **state)
{
        static const uint32_t counts[] = {17, 100, 0x40000000, 0x40000001, 0x7fffffff, 0xffffffff};
        struct tnfs *t = *state;

        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
                AUTO_BUF struct buf call = {0};

                put_call(&call, NFS_NULL);
                put_groups(&call, counts[i], 2);
                send_record(t, &call);
                assert_int_equal(t->reply.reply_stat, 1);
                assert_int_equal(rd_u32(&t->reply.rd), RPC_AUTH_BADCRED);
        }
        for (uint32_t there = 16; there < 18; there++) { /* 16 are allowed */
                AUTO_BUF struct buf call = {0};

                put_call(&call, NFS_NULL);
                put_groups(&call, there, there);
                send_record(t, &call);
                assert_int_equal(t->reply.reply_stat, there == 16 ? 0 : 1);
        }
        expect_alive(t);
}

/* A record that ends within the header: the error that stands for its size is no offset. */
static void truncated_header_is_no_offset(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf call = {0};

        put_call(&call, NFS_NULL);
        put_groups(&call, 0, 0);
        for (size_t size = 0; size < call.size; size += 4) {
                AUTO_BUF struct buf record = {0};

                buf_put_u32(&record, LAST | (uint32_t)size);
                buf_put(&record, call.data, size);
                treply_free(&t->reply);
                tclient_send_raw(&t->c, record.data, record.size);
                tclient_receive(&t->c, &t->reply);
                assert_true(t->reply.closed || t->reply.reply_stat == 1);
                tnfs_reconnect(t);
        }
        expect_alive(t);
}

/* The limit of a record holds where it comes in one piece, too, and before its bytes come. */
static void record_cap_holds_for_one_fragment(void **state)
{
        static const uint32_t sizes[] = {RPC_RECORD_MAX + 1, 16u << 20, 0x7fffffff};
        struct tnfs *t = *state;

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
                for (unsigned last = 0; last < 2; last++) {
                        uint8_t mark[4];

                        be32_put(mark, sizes[i] | (last ? LAST : 0));
                        expect_closed(t, mark, sizeof(mark));
                }
}

/* 2 GiB in a fragment are asked for on many connections: nothing is set aside for any. Nor is much
 * for records within the limit that never become whole. */
static void memory_is_bounded_whatever_is_announced(void **state)
{
        enum { CONNECTIONS = 64 };
        struct tnfs *t = *state;
        struct tclient clients[CONNECTIONS];
        size_t before = memory_in_use();

        for (size_t i = 0; i < CONNECTIONS; i++) {
                uint8_t mark[4];

                tclient_open(&clients[i], t->m);
                be32_put(mark, i % 2 ? 0xffffffff : LAST | (RPC_RECORD_MAX - 4));
                tclient_send_raw(&clients[i], mark, sizeof(mark));
                for (int turn = 0; turn < 4; turn++)
                        tmount_turn(t->m);
        }
        assert_true(memory_in_use() < before + (size_t)CONNECTIONS * (1u << 20) + (8u << 20));
        for (size_t i = 0; i < CONNECTIONS; i++)
                tclient_close(&clients[i]);
        expect_alive(t);
}

/* Fragments without bytes do not keep a server busy for ever. */
static void empty_fragments_end(void **state)
{
        static const uint8_t zeros[4 * 4096];
        struct tnfs *t = *state;

        expect_closed(t, zeros, sizeof(zeros));
}

/* A handle of more bytes than any is, of as many as a record holds, and of more than there are. */
static void handles_longer_than_the_buffer_are_refused(void **state)
{
        static const uint32_t sizes[] = {29, 32, 64, 65, 128, 4096, 1u << 20};
        struct tnfs *t = *state;
        AUTO_FREE uint8_t *bytes = calloc(1, 1u << 20);

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                AUTO_BUF struct buf args = {0};

                put_opaque(&args, span_of(bytes, sizes[i]));
                tclient_nfs(&t->c, NFS_GETATTR, &args, &t->reply);
                if (t->reply.stat == RPC_SUCCESS)
                        assert_int_equal(t->reply.status, NFS3ERR_BADHANDLE);
                else
                        assert_int_equal(t->reply.stat, RPC_GARBAGE_ARGS);
                be32_put(args.data, 0xffffffff);
                tclient_nfs(&t->c, NFS_GETATTR, &args, &t->reply);
                assert_int_equal(t->reply.stat, RPC_GARBAGE_ARGS);
        }
        expect_alive(t);
}

/* WRITE says how much it is twice: where the two differ, nothing is written. */
static void write_count_beyond_its_data_is_garbage(void **state)
{
        static const uint32_t counts[] = {5, 1u << 20, 0x7fffffff, 0xffffffff, 3};
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "file");

        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
                AUTO_BUF struct buf args = {0};

                put_handle(&args, id);
                buf_put_u64(&args, 0);
                buf_put_u32(&args, counts[i]);
                buf_put_u32(&args, NFS_FILE_SYNC);
                put_string(&args, "four");
                tclient_nfs(&t->c, NFS_WRITE, &args, &t->reply);
                assert_int_equal(t->reply.stat, RPC_GARBAGE_ARGS);
        }
        assert_true(tmount_holds(t->m, "file", "content\n"));
}

/* READ of 4 GiB gives rtmax at most, from any offset. */
static void read_count_is_clamped(void **state)
{
        static const uint64_t offsets[] = {0, 1, TNFS_BIG - 10, TNFS_BIG, INT64_MAX, UINT64_MAX};
        struct tnfs *t = *state;
        uint64_t id = tmount_id(t->m, "big");

        for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
                AUTO_BUF struct buf args = {0};
                uint32_t count;

                put_handle(&args, id);
                buf_put_u64(&args, offsets[i]);
                buf_put_u32(&args, 0xffffffff);
                tclient_nfs(&t->c, NFS_READ, &args, &t->reply);
                assert_int_equal(t->reply.stat, RPC_SUCCESS);
                if (t->reply.status != NFS3_OK)
                        continue;
                (void)get_post_op(&t->reply.rd);
                count = rd_u32(&t->reply.rd);
                assert_true(count <= NFS_READ_MAX);
                (void)rd_u32(&t->reply.rd);
                assert_int_equal(get_opaque(&t->reply.rd).size, count);
                assert_true(rd_done(&t->reply.rd));
        }
        expect_alive(t);
}

/* The longest target that is taken comes back whole; longer ones are not taken. */
static void readlink_holds_the_longest_target(void **state)
{
        struct tnfs *t = *state;
        size_t longest = 0;

        for (size_t size = 1; size <= 65536; size *= 2)
                for (size_t more = 0; more < 2; more++) {
                        AUTO_BUF struct buf args = {0}, at = {0};
                        AUTO_FREE char *target = calloc(1, size + 1);
                        char name[32];
                        uint64_t id;

                        memset(target, 'x', size - more);
                        snprintf(name, sizeof(name), "link-%zu-%zu", size, more);
                        put_place(&args, NODEID_ROOT, name);
                        put_sattr(&args, 0777, -1);
                        put_string(&args, target);
                        tclient_nfs(&t->c, NFS_SYMLINK, &args, &t->reply);
                        if (t->reply.stat != RPC_SUCCESS || t->reply.status != NFS3_OK)
                                continue;
                        longest = size - more;
                        id = tmount_id(t->m, name);
                        put_handle(&at, id);
                        tnfs_call(t, NFS_READLINK, &at, NFS3_OK);
                        (void)get_post_op(&t->reply.rd);
                        assert_true(span_eq(get_opaque(&t->reply.rd), span_str(target)));
                        assert_true(rd_done(&t->reply.rd));
                }
        assert_true(longest >= 1023 && longest < 65536);
}

/* --- bytes that were never written --- */

/* Every procedure, twice in a world that is the same but for what fresh memory holds: the answers
 * are the same, byte for byte. */
static void collect_answers(int fill, struct buf *out)
{
        struct tnfs *t;
        void *state = NULL;

        mallopt(M_PERTURB, fill);
        tnfs_setup(&state);
        t = state;
        for (uint32_t proc = 0; proc < NFS_PROC_COUNT; proc++)
                for (int variant = 0; variant < 3; variant++) {
                        AUTO_BUF struct buf args = {0};
                        uint64_t ids[] = {NODEID_ROOT, tmount_id(t->m, "file"),
                                          tmount_id(t->m, "link")};

                        put_handle(&args, ids[variant]);
                        if (proc == NFS_LOOKUP || (proc >= NFS_CREATE && proc <= NFS_LINK))
                                put_string(&args, variant ? "missing" : "file");
                        for (int word = 0; word < 16; word++)
                                buf_put_u32(&args, word == 3 ? 4096 : 0);
                        tclient_nfs(&t->c, (enum nfs_proc)proc, &args, &t->reply);
                        buf_put_span(out, buf_span(&t->reply.bytes));
                }
        tnfs_teardown(&state);
        mallopt(M_PERTURB, 0);
}

static void no_reply_has_uninitialised_bytes(void **state)
{
        AUTO_BUF struct buf first = {0}, second = {0};

        (void)state;
        if (mallopt(M_PERTURB, 0) == 0)
                skip(); /* a sanitizer's malloc, which fills memory with one value of its own */
        collect_answers(0x55, &first);
        collect_answers(0xaa, &second);
        assert_true(first.size > NFS_PROC_COUNT * 24);
        assert_int_equal(first.size, second.size);
        assert_memory_equal(first.data, second.data, first.size);
}

/* --- descriptors --- */

static int connect_to(const struct tmount *m)
{
        struct sockaddr_in addr = {.sin_family = AF_INET,
                                   .sin_port = htons(m->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
        return fd;
}

/* Out of descriptors, with connections waiting: the server does not spin, those it has go on, and
 * when there are some again, it takes the others. */
static void out_of_descriptors_is_no_spin(void **state)
{
        struct tmount_options options = {.nfs = true, .listen = true, .seed = 1};
        struct tmount *m = tmount_new(&options);
        struct rlimit limit, low;
        struct timespec start, end;
        int fds[4];

        (void)state;
        tmount_add_text(m, "file", "content\n");
        tmount_open(m);
        fds[0] = connect_to(m);
        for (int i = 0; i < 8; i++)
                tmount_turn(m);
        assert_int_equal(nfs_server_stats(m->server).connections, 1);
        for (int i = 1; i < 4; i++)
                fds[i] = connect_to(m);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        low = limit;
        low.rlim_cur = (rlim_t)fds[3] + 1; /* the next one is too many */
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        for (int i = 0; i < 8; i++)
                tmount_turn(m);
        assert_int_equal(nfs_server_stats(m->server).connections, 1);
        clock_gettime(CLOCK_MONOTONIC, &start);
        loop_turn(m->loop, 50000000); /* nothing wakes it: nobody looks at the listener */
        clock_gettime(CLOCK_MONOTONIC, &end);
        assert_true((end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000 >=
                    40);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        for (int i = 0; i < 40; i++)
                tmount_advance(m, 50000000);
        assert_int_equal(nfs_server_stats(m->server).connections, 4);
        for (int i = 0; i < 4; i++)
                close(fds[i]);
        tmount_free(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TNFS_TEST(gids_count_is_checked),
            TNFS_TEST(truncated_header_is_no_offset),
            TNFS_TEST(record_cap_holds_for_one_fragment),
            TNFS_TEST(memory_is_bounded_whatever_is_announced),
            TNFS_TEST(empty_fragments_end),
            TNFS_TEST(handles_longer_than_the_buffer_are_refused),
            TNFS_TEST(write_count_beyond_its_data_is_garbage),
            TNFS_TEST(read_count_is_clamped),
            TNFS_TEST(readlink_holds_the_longest_target),
            cmocka_unit_test(no_reply_has_uninitialised_bytes),
            cmocka_unit_test(out_of_descriptors_is_no_spin),
        };

        return cmocka_run_group_tests_name("nfs: what has broken others", tests, NULL, NULL);
}
