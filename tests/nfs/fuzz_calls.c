/* fuzz_calls.c - well-formed calls of every NFS and MOUNT procedure, with arguments by chance, and
 * damaged here and there, over several connections, some from cold.
 *
 * The input is a program, byte by byte: a procedure, a connection, and then whatever its arguments
 * are made of. fuzz_rpc.c takes bytes as they are; this one gets behind the decoders. With
 * HIF_FUZZ_REACH set, the end tells which procedures were reached. */
#include "tclient.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUTS_PER_SERVER 200
#define CONNECTIONS       3
#define CALLS_MAX         24 /* of one input */
#define TURNS             4
#define DATA_MAX          4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t reached[NFS_PROC_COUNT], mounts[MOUNT_PROC_COUNT];

struct program {
        struct tmount *m;
        struct tclient *clients; /* of the server: they go on from input to input */
        struct reader in;
        uint64_t ids[8];
};

static struct tmount *start(void)
{
        struct tmount_options options = {.nfs = true,
                                         .seed = 1,
                                         .fetch.ram_max = 8u << 20,
                                         .overlay.log_segment_bytes = 65536,
                                         .overlay.data_segment_bytes = 65536};
        struct tmount *m = tmount_new(&options);

        tmount_add_samples(m);
        tmount_open(m);
        return m;
}

static void count_calls(struct tmount *m)
{
        struct nfs_stats stats = nfs_server_stats(m->server);

        for (size_t i = 0; i < NFS_PROC_COUNT; i++)
                reached[i] += stats.calls[i];
}

__attribute__((destructor)) static void tell_reach(void)
{
        unsigned nfs = 0, mount = 0;

        for (size_t i = 0; i < NFS_PROC_COUNT; i++)
                nfs += reached[i] > 0;
        for (size_t i = 0; i < MOUNT_PROC_COUNT; i++)
                mount += mounts[i] > 0;
        if (getenv("HIF_FUZZ_REACH") != NULL)
                fprintf(stderr, "reached: %u of %u NFS procedures, %u of %u of MOUNT\n", nfs,
                        NFS_PROC_COUNT, mount, MOUNT_PROC_COUNT);
}

/* --- arguments --- */

static uint64_t pick_id(struct program *p)
{
        uint8_t which = rd_u8(&p->in);

        if (which < 0xe0)
                return p->ids[which % 8];
        if (which < 0xff)
                return NODEID_FIRST + which % 16; /* what was made, perhaps */
        return rd_u64(&p->in);
}

static void put_name(struct program *p, struct buf *args)
{
        static const char *const names[] = {"file", "dir", "link", "new",  "a",  "sub", "run.sh",
                                            "big",  ".",   "..",   ".nfs", "x/", "",    "b"};
        uint8_t which = rd_u8(&p->in);

        if (which < 0xf0)
                put_string(args, names[which % (sizeof(names) / sizeof(names[0]))]);
        else
                put_opaque(args, rd_span(&p->in, which & 0xf));
}

/* A number that tells something, or any. */
static uint64_t pick_number(struct program *p)
{
        static const uint64_t telling[] = {0,        1,          7,          4096,
                                           65536,    1u << 20,   UINT32_MAX, INT64_MAX,
                                           1u << 31, UINT64_MAX, 1ull << 40, (1u << 20) + 1};
        uint8_t which = rd_u8(&p->in);

        if (which < 0xc0)
                return telling[which % (sizeof(telling) / sizeof(telling[0]))];
        return which < 0xf0 ? rd_u16(&p->in) : rd_u64(&p->in);
}

static void put_times(struct program *p, struct buf *args, uint8_t set)
{
        for (unsigned i = 0; i < 2; i++) {
                uint32_t how = (uint32_t)(set >> (4 + i * 2)) % 3;

                buf_put_u32(args, how);
                if (how == 2)
                        buf_put_u64(args, pick_number(p));
        }
}

static void put_attributes(struct program *p, struct buf *args)
{
        uint8_t set = rd_u8(&p->in);

        for (unsigned i = 0; i < 3; i++) {
                buf_put_u32(args, set >> i & 1);
                if (set >> i & 1)
                        buf_put_u32(args, i == 0 ? rd_u16(&p->in) & 07777 : 1000);
        }
        buf_put_u32(args, set >> 3 & 1);
        if (set >> 3 & 1)
                buf_put_u64(args, pick_number(p));
        put_times(p, args, set);
}

static void put_create(struct program *p, struct buf *args)
{
        uint32_t how = rd_u8(&p->in) % 4;

        buf_put_u32(args, how);
        if (how < 2)
                put_attributes(p, args);
        else
                buf_put_u64(args, rd_u8(&p->in));
}

static void put_node(struct program *p, struct buf *args)
{
        uint32_t type = rd_u8(&p->in) % 9;

        buf_put_u32(args, type);
        if (type == NF3BLK || type == NF3CHR || type == NF3SOCK || type == NF3FIFO)
                put_attributes(p, args);
        if (type == NF3BLK || type == NF3CHR)
                buf_put_u64(args, pick_number(p));
}

static void put_write(struct program *p, struct buf *args)
{
        static uint8_t bytes[DATA_MAX];
        uint64_t offset = pick_number(p);
        uint32_t size = rd_u16(&p->in) % DATA_MAX, stable = rd_u8(&p->in) % 4;

        buf_put_u64(args, offset);
        buf_put_u32(args, rd_u8(&p->in) < 0xf8 ? size : (uint32_t)pick_number(p));
        buf_put_u32(args, stable);
        put_opaque(args, span_of(bytes, size));
}

static void put_nfs(struct program *p, enum nfs_proc proc, struct buf *args)
{
        if (proc == NFS_NULL)
                return;
        put_handle(args, pick_id(p));
        switch (proc) {
        case NFS_SETATTR:
                put_attributes(p, args);
                buf_put_u32(args, rd_u8(&p->in) & 1);
                buf_put_u64(args, 0);
                break;
        case NFS_LOOKUP:
        case NFS_REMOVE:
        case NFS_RMDIR:
                put_name(p, args);
                break;
        case NFS_ACCESS:
                buf_put_u32(args, rd_u8(&p->in));
                break;
        case NFS_READ:
        case NFS_COMMIT:
                buf_put_u64(args, pick_number(p));
                buf_put_u32(args, (uint32_t)pick_number(p));
                break;
        case NFS_WRITE:
                put_write(p, args);
                break;
        case NFS_CREATE:
                put_name(p, args);
                put_create(p, args);
                break;
        case NFS_MKDIR:
                put_name(p, args);
                put_attributes(p, args);
                break;
        case NFS_SYMLINK:
                put_name(p, args);
                put_attributes(p, args);
                put_name(p, args);
                break;
        case NFS_MKNOD:
                put_name(p, args);
                put_node(p, args);
                break;
        case NFS_RENAME:
                put_name(p, args);
                put_handle(args, pick_id(p));
                put_name(p, args);
                break;
        case NFS_LINK:
                put_handle(args, pick_id(p));
                put_name(p, args);
                break;
        case NFS_READDIR:
        case NFS_READDIRPLUS:
                buf_put_u64(args, pick_number(p));
                buf_put_u64(args, pick_number(p));
                buf_put_u32(args, (uint32_t)pick_number(p));
                if (proc == NFS_READDIRPLUS)
                        buf_put_u32(args, (uint32_t)pick_number(p));
                break;
        default:
                break;
        }
}

/* --- calls --- */

static void make_call(struct program *p, struct tclient *c, struct buf *call)
{
        uint8_t what = rd_u8(&p->in);
        uint32_t proc = what % NFS_PROC_COUNT;

        if (what >= 0xf0) {
                proc = what % MOUNT_PROC_COUNT;
                mounts[proc]++;
                tclient_header(c, call, MOUNT_PROGRAM, proc);
                if (proc == 1 || proc == 3) {
                        if (rd_u8(&p->in) & 1)
                                put_string(call, TMOUNT_EXPORT);
                        else
                                put_name(p, call);
                }
                return;
        }
        tclient_header(c, call, NFS_PROGRAM, proc);
        put_nfs(p, (enum nfs_proc)proc, call);
}

/* Overwrite, cut, or repeat: what a broken client would send. */
static void damage(struct program *p, struct buf *call)
{
        uint8_t how = rd_u8(&p->in);
        size_t at = rd_u16(&p->in) % call->size;

        if (how < 0xc0)
                return;
        if (how < 0xe8)
                call->data[at] = rd_u8(&p->in);
        else if (how < 0xf4 && at >= 4)
                be32_put(call->data + (at & ~(size_t)3) - 4, rd_u32(&p->in));
        else
                call->size = at & ~(size_t)3;
}

/* Take the answers that are whole; the rest of one may follow. */
static void take_replies(struct buf *in)
{
        size_t at = 0;

        while (in->size - at >= 4) {
                uint32_t mark = be32_get(in->data + at), size = mark & 0x7fffffffu;

                tmount_check((mark & 0x80000000u) != 0);
                tmount_check(size >= 20 && size % 4 == 0 && size <= RPC_RECORD_MAX);
                if (in->size - at - 4 < size)
                        break;
                tmount_check(be32_get(in->data + at + 8) == 1);
                at += 4 + size;
        }
        if (at > 0)
                memmove(in->data, in->data + at, in->size - at);
        in->size -= at;
}

/* False: the server has closed. */
static bool drain(struct tclient *c)
{
        for (;;) {
                uint8_t *room = buf_reserve(&c->in, 1 << 16);
                ssize_t count = recv(c->fd, room, 1 << 16, MSG_DONTWAIT);

                if (count <= 0)
                        return count < 0;
                buf_extend(&c->in, (size_t)count);
        }
}

/* Perhaps while requests are parked. */
static void connect_again(struct program *p, struct tclient *c)
{
        uint32_t xid = c->xid;

        take_replies(&c->in);
        tclient_close(c);
        tclient_open(c, p->m);
        c->xid = xid;
}

static void one_call(struct program *p)
{
        uint8_t control = rd_u8(&p->in);
        struct tclient *c = &p->clients[control % CONNECTIONS];
        AUTO_BUF struct buf call = {0};

        if ((control & 0x3c) == 0x3c)
                connect_again(p, c);
        if ((control & 0x40) != 0)
                c->xid -= control % 3; /* perhaps a duplicate */
        make_call(p, c, &call);
        damage(p, &call);
        tclient_send(c, buf_span(&call));
        if ((control & 0x80) != 0)
                return; /* the next one follows at once */
        tmount_turn(p->m);
        for (size_t i = 0; i < CONNECTIONS; i++)
                if (!drain(&p->clients[i]))
                        connect_again(p, &p->clients[i]);
}

static void run_program(struct program *p)
{
        static const char *const paths[] = {"",      "file",    "link", "dir",
                                            "dir/a", "dir/sub", "big",  "run.sh"};

        for (size_t i = 0; i < 8; i++)
                p->ids[i] = tmount_id(p->m, paths[i]); /* 0 where it was removed: no handle */
        for (int i = 0; i < CALLS_MAX && rd_left(&p->in) > 0; i++)
                one_call(p);
        for (int i = 0; i < TURNS; i++) {
                tmount_turn(p->m);
                for (size_t j = 0; j < CONNECTIONS; j++)
                        (void)drain(&p->clients[j]);
        }
        for (size_t i = 0; i < CONNECTIONS; i++)
                take_replies(&p->clients[i].in);
}

static void open_clients(struct tmount *m, struct tclient *clients)
{
        for (size_t i = 0; i < CONNECTIONS; i++) {
                tclient_open(&clients[i], m);
                clients[i].xid = (uint32_t)(i + 1) << 20;
        }
}

static void close_clients(struct tclient *clients)
{
        for (size_t i = 0; i < CONNECTIONS; i++)
                tclient_close(&clients[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct tclient clients[CONNECTIONS];
        static struct tmount *m;
        static unsigned inputs;
        struct program program = {.clients = clients, .in = rd_open(span_of(data, size))};

        if (size == 0)
                return 0;
        if (m == NULL || inputs++ % INPUTS_PER_SERVER == 0) {
                if (m != NULL) {
                        close_clients(clients);
                        tmount_free(m);
                }
                m = start();
                open_clients(m, clients);
        }
        program.m = m;
        if (rd_u8(&program.in) == 0xff) { /* requests will wait */
                close_clients(clients);
                tmount_cool(m);
                open_clients(m, clients);
        }
        run_program(&program);
        count_calls(m);
        return 0;
}
