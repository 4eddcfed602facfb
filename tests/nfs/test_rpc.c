#include "tclient.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
        struct tmount_options options = {.nfs = true, .seed = 1};
        struct tmount *m = tmount_new(&options);

        tmount_add_text(m, "file", "content\n");
        tmount_open(m);
        *state = m;
        return 0;
}

static int teardown(void **state)
{
        tmount_free(*state);
        return 0;
}

/* A call with these words, then `rest`. */
static void put_words(struct buf *out, const uint32_t *words, size_t count)
{
        for (size_t i = 0; i < count; i++)
                buf_put_u32(out, words[i]);
}
#define PUT_WORDS(out, ...)                                                                        \
        put_words(out, (const uint32_t[]){__VA_ARGS__},                                            \
                  sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void exchange(struct tmount *m, const struct buf *record, struct treply *reply)
{
        struct tclient c;

        tclient_open(&c, m);
        tclient_send(&c, buf_span(record));
        tclient_receive(&c, reply);
        tclient_close(&c);
        tmount_settle(m);
}

static void expect_denied(struct tmount *m, const struct buf *record, uint32_t reject,
                          uint32_t word)
{
        AUTO_REPLY struct treply reply = {0};

        exchange(m, record, &reply);
        assert_false(reply.closed);
        assert_false(reply.none);
        assert_int_equal(reply.xid, 77);
        assert_int_equal(reply.reply_stat, 1);
        assert_int_equal(reply.stat, reject);
        assert_int_equal(rd_u32(&reply.rd), word);
}

static void expect_accepted(struct tmount *m, const struct buf *record, enum rpc_accept stat)
{
        AUTO_REPLY struct treply reply = {0};

        exchange(m, record, &reply);
        assert_false(reply.closed);
        assert_false(reply.none);
        assert_int_equal(reply.xid, 77);
        assert_int_equal(reply.reply_stat, 0);
        assert_int_equal(reply.stat, stat);
        if (stat == RPC_PROG_MISMATCH) {
                assert_int_equal(rd_u32(&reply.rd), 3);
                assert_int_equal(rd_u32(&reply.rd), 3);
        }
        assert_true(rd_done(&reply.rd));
}

static void expect_closed(struct tmount *m, const void *bytes, size_t size)
{
        AUTO_REPLY struct treply reply = {0};
        struct tclient c;

        tclient_open(&c, m);
        tclient_send_raw(&c, bytes, size);
        tclient_receive(&c, &reply);
        assert_true(reply.closed);
        tclient_close(&c);
}

/* NULL of both programs needs no credentials. */
static void null_answers_without_credentials(void **state)
{
        AUTO_BUF struct buf nfs = {0}, mount = {0};

        PUT_WORDS(&nfs, 77, 0, 2, NFS_PROGRAM, 3, 0, 0, 0, 0, 0);
        expect_accepted(*state, &nfs, RPC_SUCCESS);
        PUT_WORDS(&mount, 77, 0, 2, MOUNT_PROGRAM, 3, 0, 0, 0, 0, 0);
        expect_accepted(*state, &mount, RPC_SUCCESS);
}

/* Other programs, versions and procedures are refused in the words of RFC 5531 §9. */
static void unknown_numbers_are_refused(void **state)
{
        AUTO_BUF struct buf prog = {0}, low = {0}, high = {0}, proc = {0}, mount = {0}, umnt = {0};

        PUT_WORDS(&prog, 77, 0, 2, 100000, 2, 0, 0, 0, 0, 0);
        expect_accepted(*state, &prog, RPC_PROG_UNAVAIL);
        PUT_WORDS(&low, 77, 0, 2, NFS_PROGRAM, 2, 0, 0, 0, 0, 0);
        expect_accepted(*state, &low, RPC_PROG_MISMATCH);
        PUT_WORDS(&high, 77, 0, 2, NFS_PROGRAM, 4, 1, 0, 0, 0, 0);
        expect_accepted(*state, &high, RPC_PROG_MISMATCH);
        PUT_WORDS(&mount, 77, 0, 2, MOUNT_PROGRAM, 1, 0, 0, 0, 0, 0);
        expect_accepted(*state, &mount, RPC_PROG_MISMATCH);
        PUT_WORDS(&proc, 77, 0, 2, NFS_PROGRAM, 3, 22, 0, 0, 0, 0);
        expect_accepted(*state, &proc, RPC_PROC_UNAVAIL);
        PUT_WORDS(&umnt, 77, 0, 2, MOUNT_PROGRAM, 3, 6, 0, 0, 0, 0);
        expect_accepted(*state, &umnt, RPC_PROC_UNAVAIL);
}

/* RPC version 3 does not exist: we say that we speak 2 to 2. */
static void other_rpc_versions_are_denied(void **state)
{
        AUTO_BUF struct buf call = {0};

        PUT_WORDS(&call, 77, 0, 3, NFS_PROGRAM, 3, 0, 0, 0, 0, 0);
        expect_denied(*state, &call, 0, 2);
}

/* Credentials that are garbled, too long, or of a kind that is not served. */
static void bad_credentials_are_denied(void **state)
{
        struct tmount *m = *state;
        AUTO_BUF struct buf none = {0}, gss = {0}, full = {0}, groups = {0}, names = {0}, cut = {0},
                            longer = {0};

        PUT_WORDS(&none, 77, 0, 2, NFS_PROGRAM, 3, NFS_GETATTR, 0, 0, 0, 0);
        expect_denied(m, &none, 1, RPC_AUTH_TOOWEAK);
        PUT_WORDS(&gss, 77, 0, 2, NFS_PROGRAM, 3, NFS_NULL, 6, 4, 1, 0, 0);
        expect_denied(m, &gss, 1, RPC_AUTH_REJECTEDCRED);
        PUT_WORDS(&full, 77, 0, 2, NFS_PROGRAM, 3, NFS_NULL, 0, 4, 1, 0, 0);
        expect_denied(m, &full, 1, RPC_AUTH_BADCRED);
        /* 17 groups: the count that once overran a server's array */
        PUT_WORDS(&groups, 77, 0, 2, NFS_PROGRAM, 3, NFS_NULL, 1, (5 + 17) * 4, 0, 0, 0, 0, 17);
        buf_put_zero(&groups, 17 * 4 + 8);
        expect_denied(m, &groups, 1, RPC_AUTH_BADCRED);
        /* a machine name of 2^32 - 1 bytes */
        PUT_WORDS(&names, 77, 0, 2, NFS_PROGRAM, 3, NFS_NULL, 1, 20, 0, 0xffffffff, 0, 0, 0, 0, 0);
        expect_denied(m, &names, 1, RPC_AUTH_BADCRED);
        /* a credential that says it is longer than the record */
        PUT_WORDS(&cut, 77, 0, 2, NFS_PROGRAM, 3, NFS_NULL, 1, 400, 0, 0, 0);
        expect_denied(m, &cut, 1, RPC_AUTH_BADCRED);
        PUT_WORDS(&longer, 77, 0, 2, NFS_PROGRAM, 3, NFS_NULL, 1, 404, 0, 0, 0);
        buf_put_zero(&longer, 404);
        expect_denied(m, &longer, 1, RPC_AUTH_BADCRED);
}

/* Arguments that end early are GARBAGE_ARGS for every procedure, at every length. */
static void short_arguments_are_garbage(void **state)
{
        struct tmount *m = *state;
        struct tclient c;

        tclient_open(&c, m);
        for (uint32_t proc = 1; proc < NFS_PROC_COUNT; proc++)
                for (size_t size = 0; size < 36; size += 4) {
                        AUTO_REPLY struct treply reply = {0};
                        AUTO_BUF struct buf args = {0};

                        put_handle(&args, NODEID_ROOT);
                        if (size == 32 && proc != NFS_WRITE && proc != NFS_RENAME)
                                continue; /* that may be all that the procedure needs */
                        args.size = size;
                        tclient_nfs(&c, (enum nfs_proc)proc, &args, &reply);
                        assert_int_equal(reply.stat, RPC_GARBAGE_ARGS);
                        assert_true(rd_done(&reply.rd));
                }
        tclient_close(&c);
}

/* Lengths and discriminants that lie never lead out of the record. */
static void lying_lengths_are_garbage(void **state)
{
        struct tmount *m = *state;
        struct tclient c;

        tclient_open(&c, m);
        for (int i = 0; i < 6; i++) {
                static const enum nfs_proc procs[] = {NFS_GETATTR, NFS_LOOKUP, NFS_WRITE,
                                                      NFS_SETATTR, NFS_CREATE, NFS_SYMLINK};
                AUTO_REPLY struct treply reply = {0};
                AUTO_BUF struct buf args = {0};

                if (i > 0)
                        put_handle(&args, NODEID_ROOT);
                switch (i) {
                case 0: /* a handle over 64 bytes */
                        buf_put_u32(&args, 68);
                        buf_put_zero(&args, 68);
                        break;
                case 1: /* a name of 2^32 - 4 bytes */
                        buf_put_u32(&args, 0xfffffffc);
                        buf_put_zero(&args, 64);
                        break;
                case 2: /* count over data */
                        buf_put_u64(&args, 0);
                        buf_put_u32(&args, 4096);
                        buf_put_u32(&args, 0);
                        put_string(&args, "short");
                        break;
                case 3: /* a boolean of 2 */
                        buf_put_u32(&args, 2);
                        buf_put_zero(&args, 64);
                        break;
                case 4: /* createmode3 of 3 */
                        put_string(&args, "name");
                        buf_put_u32(&args, 3);
                        buf_put_zero(&args, 64);
                        break;
                default: /* a target that is not there */
                        put_string(&args, "name");
                        put_sattr(&args, -1, -1);
                        buf_put_u32(&args, 100);
                        break;
                }
                tclient_nfs(&c, procs[i], &args, &reply);
                assert_int_equal(reply.stat, RPC_GARBAGE_ARGS);
        }
        tclient_close(&c);
}

/* Other protocols show by their first bytes, and are closed without an answer. */
static void other_protocols_are_closed(void **state)
{
        static const char get[] = "GET / HTTP/1.1\r\n\r\n", post[] = "POST";
        static const uint8_t tls[] = {0x16, 0x03, 0x01, 0x02, 0x00};
        static const uint8_t ssh[] = "SSH-2.0-x\r\n";

        expect_closed(*state, get, sizeof(get) - 1);
        expect_closed(*state, post, 4);
        expect_closed(*state, tls, sizeof(tls));
        expect_closed(*state, ssh, sizeof(ssh) - 1);
}

/* Record marks that no client sends: too long, too short, too many. */
static void impossible_records_are_closed(void **state)
{
        struct tmount *m = *state;
        static const uint8_t longest[] = {0xff, 0xff, 0xff, 0xff};
        static const uint8_t over[] = {0x80, 0x10, 0x10, 0x01};
        static const uint8_t empty[] = {0x80, 0, 0, 0};
        static const uint8_t tiny[] = {0x80, 0, 0, 36};
        AUTO_BUF struct buf fragments = {0}, sum = {0}, answer = {0};

        expect_closed(m, longest, 4);
        expect_closed(m, over, 4);
        expect_closed(m, empty, 4);
        expect_closed(m, tiny, 4);
        buf_put_zero(&fragments, 4 * (RPC_FRAGMENTS_MAX + 1));
        expect_closed(m, fragments.data, fragments.size);
        /* two fragments that are too long together */
        buf_put_u32(&sum, RPC_RECORD_MAX - 100);
        buf_put_zero(&sum, RPC_RECORD_MAX - 100);
        buf_put_u32(&sum, 0x80000000u | 101);
        expect_closed(m, sum.data, sum.size);
        /* a reply is not a call */
        PUT_WORDS(&answer, 0x80000000u | 40, 77, 1, 0, 0, 0, 0, 0, 0, 0, 0);
        expect_closed(m, answer.data, answer.size);
        assert_int_equal(nfs_server_stats(m->server).bad_records, 7);
}

/* However a call is cut into fragments and packets, it is the same call. */
static void fragments_are_put_together(void **state)
{
        struct tmount *m = *state;
        AUTO_BUF struct buf call = {0};
        struct tclient c;

        tclient_open(&c, m);
        tclient_header(&c, &call, NFS_PROGRAM, NFS_LOOKUP);
        put_place(&call, NODEID_ROOT, "file");
        for (size_t size = 1; size <= call.size; size += 3) {
                AUTO_REPLY struct treply reply = {0};
                AUTO_BUF struct buf stream = {0};

                if (call.size / size + 3 > RPC_FRAGMENTS_MAX)
                        continue;
                buf_put_u32(&stream, 0); /* an empty fragment is allowed */
                for (size_t at = 0; at < call.size; at += size) {
                        size_t take = call.size - at < size ? call.size - at : size;

                        buf_put_u32(&stream,
                                    (at + take == call.size ? 0x80000000u : 0) | (uint32_t)take);
                        buf_put(&stream, call.data + at, take);
                }
                for (size_t at = 0; at < stream.size; at++) { /* byte by byte */
                        tclient_send_raw(&c, stream.data + at, 1);
                        tmount_turn(m);
                }
                tclient_receive(&c, &reply);
                assert_int_equal(reply.stat, RPC_SUCCESS);
                assert_int_equal(rd_u32(&reply.rd), NFS3_OK);
        }
        tclient_close(&c);
}

/* Many calls in one packet are all answered, each once, a batch a turn. */
static void many_calls_at_once_are_all_answered(void **state)
{
        struct tmount *m = *state;
        AUTO_BUF struct buf stream = {0};
        bool seen[1000] = {false};
        struct tclient c;
        uint32_t first;

        tclient_open(&c, m);
        first = c.xid + 1;
        for (int i = 0; i < 1000; i++) {
                AUTO_BUF struct buf call = {0};

                tclient_header(&c, &call, NFS_PROGRAM, NFS_GETATTR);
                put_handle(&call, NODEID_ROOT);
                buf_put_u32(&stream, 0x80000000u | (uint32_t)call.size);
                buf_put_span(&stream, buf_span(&call));
        }
        tclient_send_raw(&c, stream.data, stream.size);
        for (int i = 0; i < 1000; i++) {
                AUTO_REPLY struct treply reply = {0};

                tclient_receive(&c, &reply);
                assert_false(reply.none);
                assert_int_equal(rd_u32(&reply.rd), NFS3_OK);
                assert_in_range(reply.xid, first, first + 999);
                assert_false(seen[reply.xid - first]);
                seen[reply.xid - first] = true;
        }
        tclient_close(&c);
}

/* A connection that never makes a call, and one that stops in the middle of one, are closed. */
static void silent_connections_are_closed(void **state)
{
        struct tmount *m = *state;
        AUTO_REPLY struct treply silent = {0}, partial = {0}, idle = {0};
        AUTO_BUF struct buf call = {0};
        struct tclient a, b, used;

        tclient_open(&a, m);
        tclient_open(&b, m);
        tclient_open(&used, m);
        PUT_WORDS(&call, 0x80000000u | 40, 77, 0, 2, NFS_PROGRAM, 3, 0, 0, 0, 0, 0);
        tclient_send_raw(&used, call.data, call.size);
        tclient_receive(&used, &idle);
        assert_int_equal(idle.stat, RPC_SUCCESS);
        treply_free(&idle);
        tclient_send_raw(&b, call.data, call.size);
        tclient_receive(&b, &partial);
        treply_free(&partial);
        tclient_send_raw(&b, call.data, 20);
        tmount_settle(m);
        for (int i = 0; i < 5; i++)
                tmount_advance(m, 10000000000ull);
        tclient_receive(&a, &silent);
        assert_true(silent.closed);
        tclient_receive(&b, &partial);
        assert_true(partial.closed);
        tclient_receive(&used, &idle);
        assert_true(idle.none);
        tclient_close(&a);
        tclient_close(&b);
        tclient_close(&used);
}

/* The number of connections is bounded, and room is made by those that are gone. */
static void connections_are_bounded(void **state)
{
        struct tmount *m = *state;
        struct tclient clients[NFS_CONNECTIONS_MAX];
        int fds[2];

        for (int i = 0; i < NFS_CONNECTIONS_MAX; i++)
                tclient_open(&clients[i], m);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        assert_int_equal(nfs_server_attach(m->server, fds[1]), HIF_ELIMIT);
        close(fds[0]);
        for (int i = 0; i < NFS_CONNECTIONS_MAX; i++)
                tclient_close(&clients[i]);
        tmount_settle(m);
        tclient_open(&clients[0], m);
        tclient_close(&clients[0]);
}

static int dial(uint16_t port)
{
        struct sockaddr_in addr = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        return fd;
}

static void say_null(struct tclient *c, struct treply *reply)
{
        AUTO_BUF struct buf call = {0};

        PUT_WORDS(&call, 77, 0, 2, NFS_PROGRAM, 3, 0, 0, 0, 0, 0);
        tclient_send(c, buf_span(&call));
        tclient_receive(c, reply);
        buf_free(&reply->bytes);
}

/* At the limit a new connection is refused, until one has been idle for long: that one goes. */
static void new_connections_displace_idle_ones(void **state)
{
        struct tmount_options options = {.nfs = true, .listen = true, .seed = 1};
        struct tmount *m = tmount_new(&options);
        struct tclient clients[NFS_CONNECTIONS_MAX], fresh = {.m = m};
        struct treply reply;

        (void)state;
        tmount_open(m);
        for (int i = 0; i < NFS_CONNECTIONS_MAX; i++) {
                tclient_open(&clients[i], m);
                say_null(&clients[i], &reply);
                assert_false(reply.none || reply.closed);
        }
        fresh.fd = dial(m->port);
        say_null(&fresh, &reply);
        assert_true(reply.closed);
        tclient_close(&fresh);
        for (int i = 0; i < 7; i++)
                tmount_advance(m, 10000000000ull);
        say_null(&clients[0], &reply);
        assert_false(reply.closed);
        fresh = (struct tclient){.m = m, .fd = dial(m->port)};
        say_null(&fresh, &reply);
        assert_false(reply.none || reply.closed);
        say_null(&clients[0], &reply);
        assert_false(reply.closed);
        assert_int_equal(nfs_server_stats(m->server).refused, 1);
        tclient_close(&fresh);
        for (int i = 0; i < NFS_CONNECTIONS_MAX; i++)
                tclient_close(&clients[i]);
        tmount_free(m);
}

static bool admit_none(void *arg, int fd)
{
        ++*(int *)arg;
        assert_true(fd >= 0);
        return false;
}

/* Who is not admitted is closed before a byte is read. */
static void peers_that_are_not_admitted_are_closed(void **state)
{
        int asked = 0;
        struct tmount_options options = {
            .nfs = true, .listen = true, .seed = 1, .admit = admit_none, .admit_arg = &asked};
        struct tmount *m = tmount_new(&options);
        struct tclient c = {.m = m};
        struct treply reply;

        (void)state;
        tmount_open(m);
        c.fd = dial(m->port);
        say_null(&c, &reply);
        assert_true(reply.closed);
        assert_int_equal(asked, 1);
        assert_int_equal(nfs_server_stats(m->server).requests, 0);
        tclient_close(&c);
        tmount_free(m);
}

/* A client that does not take its answers stops being read; then nothing is lost. */
static void unread_answers_are_bounded(void **state)
{
        struct tmount *m = *state;
        AUTO_BUF struct buf args = {0};
        AUTO_FREE uint8_t *big = tmount_bytes(1, 1 << 20);
        struct tclient c;
        uint64_t in;
        int answered = 0;

        assert_int_equal(tmount_write(m, "big", 0, big, 1 << 20, false), HIF_OK);
        tclient_open(&c, m);
        put_handle(&args, tmount_id(m, "big"));
        buf_put_u64(&args, 0);
        buf_put_u32(&args, 1 << 20);
        for (int i = 0; i < 64; i++) {
                tclient_start(&c, NFS_READ, &args);
                tmount_turn(m);
        }
        for (int i = 0; i < 200; i++)
                tmount_turn(m);
        in = nfs_server_stats(m->server).calls[NFS_READ];
        assert_in_range(in, 4, 12);
        for (int i = 0; i < 64; i++) {
                AUTO_REPLY struct treply reply = {0};

                tclient_receive(&c, &reply);
                assert_int_equal(rd_u32(&reply.rd), NFS3_OK);
                get_post_op(&reply.rd);
                assert_int_equal(rd_u32(&reply.rd), 1 << 20);
                rd_u32(&reply.rd);
                assert_true(span_eq(get_opaque(&reply.rd), span_of(big, 1 << 20)));
                answered++;
        }
        assert_int_equal(answered, 64);
        tclient_close(&c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(null_answers_without_credentials, setup, teardown),
            cmocka_unit_test_setup_teardown(unknown_numbers_are_refused, setup, teardown),
            cmocka_unit_test_setup_teardown(other_rpc_versions_are_denied, setup, teardown),
            cmocka_unit_test_setup_teardown(bad_credentials_are_denied, setup, teardown),
            cmocka_unit_test_setup_teardown(short_arguments_are_garbage, setup, teardown),
            cmocka_unit_test_setup_teardown(lying_lengths_are_garbage, setup, teardown),
            cmocka_unit_test_setup_teardown(other_protocols_are_closed, setup, teardown),
            cmocka_unit_test_setup_teardown(impossible_records_are_closed, setup, teardown),
            cmocka_unit_test_setup_teardown(fragments_are_put_together, setup, teardown),
            cmocka_unit_test_setup_teardown(many_calls_at_once_are_all_answered, setup, teardown),
            cmocka_unit_test_setup_teardown(silent_connections_are_closed, setup, teardown),
            cmocka_unit_test_setup_teardown(connections_are_bounded, setup, teardown),
            cmocka_unit_test_setup_teardown(unread_answers_are_bounded, setup, teardown),
            cmocka_unit_test(new_connections_displace_idle_ones),
            cmocka_unit_test(peers_that_are_not_admitted_are_closed),
        };

        return cmocka_run_group_tests_name("rpc", tests, NULL, NULL);
}
