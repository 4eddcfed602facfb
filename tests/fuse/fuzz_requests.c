/* fuzz_requests.c - what a kernel may send to a FUSE server, and what none would: requests of every
 * operation with arguments by chance, damaged here and there, bytes as they are, first words of any
 * kind, and servers that leave the mount, with what waits there, to the next one.
 *
 * /dev/fuse is one end of a socket pair that keeps messages apart; the kernel is this file. Each
 * request is answered once, in the shape that the kernel would accept (fuse_dev_do_write), whatever
 * came. The input is a program, byte by byte. With HIF_FUZZ_REACH set, the end tells how many
 * operations were answered without an error. */
#include "kernel.h"

#include <stdio.h>
#include <stdlib.h>

#define INPUTS_PER_MOUNT 200
#define STEPS_MAX        32 /* of one input */
#define NAMES_MAX        4096
#define HAND_OVERS_MAX   2 /* they take a hundred times as long as a request */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t reached[KERNEL_OPCODES];

struct program {
        struct kernel *k;
        struct reader in;
        uint64_t ids[8];
        int hand_overs;
};

__attribute__((destructor)) static void tell_reach(void)
{
        unsigned count = 0;

        for (size_t i = 0; i < KERNEL_OPCODES; i++)
                count += reached[i] > 0;
        if (getenv("HIF_FUZZ_REACH") != NULL)
                fprintf(stderr, "reached: %u operations\n", count);
}

static void count_answers(const struct kernel *k)
{
        for (size_t i = 0; i < KERNEL_OPCODES; i++)
                reached[i] += k->answered[i];
}

static struct tmount *start(void)
{
        struct tmount_options options = {.seed = 1,
                                         .fetch.ram_max = 8u << 20,
                                         .overlay.log_segment_bytes = 65536,
                                         .overlay.data_segment_bytes = 65536};
        struct tmount *m = tmount_new(&options);

        tmount_add_samples(m);
        tmount_open(m);
        return m;
}

/* --- arguments --- */

static uint64_t pick_id(struct program *p)
{
        uint8_t which = rd_u8(&p->in);

        if (which < 0xe0)
                return p->ids[which % 8];
        if (which < 0xfc)
                return NODEID_FIRST + which % 16; /* what was made, perhaps */
        return rd_u64(&p->in);
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

static void put_name(struct program *p, struct buf *args)
{
        static const char *const names[] = {"file", "dir", "link", "new",  "a",  "sub", "run.sh",
                                            "big",  ".",   "..",   ".nfs", "x/", "",    "b"};
        uint8_t which = rd_u8(&p->in);

        if (which < 0xe8) {
                buf_put_span(args, span_str(names[which % (sizeof(names) / sizeof(names[0]))]));
        } else if (which < 0xf8) {
                buf_put_span(args, rd_span(&p->in, which & 0xf));
        } else {
                size_t size = rd_u16(&p->in) % NAMES_MAX;
                uint8_t *name = buf_reserve(args, size);

                memset(name, 'n', size);
                buf_extend(args, size);
        }
        buf_put_u8(args, 0);
}

static void put(struct buf *args, const void *what, size_t size)
{
        buf_put(args, what, size);
}

#define PUT(args, type, ...) put(args, &(struct type){__VA_ARGS__}, sizeof(struct type))

/* Sizes: what the kernel would ask for, and more. */
static uint32_t pick_size(struct program *p)
{
        uint64_t size = pick_number(p);

        return size > p->k->reply_max && size <= (2u << 20) ? (uint32_t)p->k->reply_max
                                                            : (uint32_t)size;
}

static void put_write(struct program *p, struct buf *args)
{
        static const uint8_t bytes[KERNEL_DATA_MAX];
        uint64_t offset = pick_number(p);
        uint32_t size = (uint32_t)pick_number(p) % KERNEL_DATA_MAX;
        uint32_t told = rd_u8(&p->in) < 0xf0 ? size : (uint32_t)pick_number(p);

        PUT(args, fuse_write_in, .offset = offset, .size = told, .flags = rd_u8(&p->in));
        buf_put(args, bytes, size);
}

static void put_setattr(struct program *p, struct buf *args)
{
        struct fuse_setattr_in in = {.valid = rd_u16(&p->in)};

        in.size = pick_number(p);
        in.mode = rd_u16(&p->in);
        in.uid = rd_u16(&p->in);
        in.mtime = in.atime = pick_number(p);
        in.mtimensec = in.atimensec = (uint32_t)pick_number(p);
        put(args, &in, sizeof(in));
}

static void put_forgets(struct program *p, struct buf *args)
{
        uint32_t count = rd_u8(&p->in) % 4;

        PUT(args, fuse_batch_forget_in, .count = rd_u8(&p->in) < 0xf0 ? count : rd_u16(&p->in));
        for (uint32_t i = 0; i < count; i++)
                PUT(args, fuse_forget_one, .nodeid = pick_id(p), .nlookup = 1);
}

static void put_arguments(struct program *p, uint32_t opcode, struct buf *args)
{
        switch (opcode) {
        case FUSE_LOOKUP:
        case FUSE_UNLINK:
        case FUSE_RMDIR:
        case FUSE_REMOVEXATTR:
                put_name(p, args);
                break;
        case FUSE_FORGET:
                PUT(args, fuse_forget_in, .nlookup = 1);
                break;
        case FUSE_BATCH_FORGET:
                put_forgets(p, args);
                break;
        case FUSE_GETATTR:
                PUT(args, fuse_getattr_in, .getattr_flags = rd_u8(&p->in));
                break;
        case FUSE_SETATTR:
                put_setattr(p, args);
                break;
        case FUSE_SYMLINK:
                put_name(p, args);
                put_name(p, args);
                break;
        case FUSE_MKNOD:
                PUT(args, fuse_mknod_in, .mode = rd_u16(&p->in), .rdev = rd_u8(&p->in));
                put_name(p, args);
                break;
        case FUSE_MKDIR:
                PUT(args, fuse_mkdir_in, .mode = rd_u16(&p->in));
                put_name(p, args);
                break;
        case FUSE_RENAME:
                PUT(args, fuse_rename_in, .newdir = pick_id(p));
                put_name(p, args);
                put_name(p, args);
                break;
        case FUSE_RENAME2:
                PUT(args, fuse_rename2_in, .newdir = pick_id(p), .flags = rd_u8(&p->in) % 6);
                put_name(p, args);
                put_name(p, args);
                break;
        case FUSE_LINK:
                PUT(args, fuse_link_in, .oldnodeid = pick_id(p));
                put_name(p, args);
                break;
        case FUSE_OPEN:
        case FUSE_OPENDIR:
                PUT(args, fuse_open_in, .flags = rd_u16(&p->in));
                break;
        case FUSE_CREATE:
                PUT(args, fuse_create_in, .flags = rd_u16(&p->in), .mode = rd_u16(&p->in));
                put_name(p, args);
                break;
        case FUSE_READ:
        case FUSE_READDIR:
        case FUSE_READDIRPLUS:
                PUT(args, fuse_read_in, .offset = pick_number(p), .size = pick_size(p));
                break;
        case FUSE_WRITE:
                put_write(p, args);
                break;
        case FUSE_LSEEK:
                PUT(args, fuse_lseek_in, .offset = pick_number(p), .whence = rd_u8(&p->in) % 6);
                break;
        case FUSE_SETXATTR:
        case FUSE_GETXATTR:
                buf_put_u64(args, pick_number(p));
                put_name(p, args);
                break;
        case FUSE_INTERRUPT:
                PUT(args, fuse_interrupt_in, .unique = kernel_waiting(p->k, rd_u8(&p->in)));
                break;
        default: /* the largest there are, zeroed: what is not served, and RELEASE, FSYNC, ... */
                PUT(args, fuse_copy_file_range_in, .fh_in = 0);
                break;
        }
}

/* --- steps --- */

/* Overwrite, cut, or lengthen. */
static void damage(struct program *p, struct buf *request)
{
        uint8_t how = rd_u8(&p->in);
        size_t at = rd_u16(&p->in) % request->size;

        if (how < 0xc0)
                return;
        if (how < 0xe8)
                request->data[at] = rd_u8(&p->in);
        else if (how < 0xf4 && at >= 4)
                be32_put(request->data + (at & ~(size_t)3) - 4, rd_u32(&p->in));
        else if (how < 0xf8)
                buf_put_u64(request, 0);
        else
                request->size = at;
        if ((how & 1) != 0)
                kernel_set_size(request);
}

static void header(struct program *p, uint32_t opcode, struct buf *request)
{
        static const uint32_t uids[] = {TMOUNT_UID, 0, 4242, UINT32_MAX};
        uint8_t who = rd_u8(&p->in);

        PUT(request, fuse_in_header, .opcode = opcode, .unique = kernel_unique(p->k),
            .nodeid = pick_id(p), .uid = uids[who % 4], .gid = uids[who / 4 % 4],
            .pid = who >= 0xf0 ? 1u << 30 : 0);
}

static void make_request(struct program *p, struct buf *request)
{
        uint32_t opcode = rd_u8(&p->in) % (KERNEL_OPCODES + 4);

        /* They end what was agreed on: seldom. */
        if ((opcode == FUSE_INIT || opcode == FUSE_DESTROY) && rd_u8(&p->in) < 0xf0)
                opcode = FUSE_LOOKUP;
        header(p, opcode, request);
        put_arguments(p, opcode, request);
        kernel_set_size(request);
        damage(p, request);
}

static void raw_request(struct program *p, struct buf *request)
{
        uint8_t how = rd_u8(&p->in);
        size_t size = rd_u16(&p->in) % 512;

        if (how < 0xc0)
                header(p, rd_u8(&p->in), request);
        buf_put_span(request, rd_span(&p->in, size < rd_left(&p->in) ? size : rd_left(&p->in)));
        if (how < 0xe0)
                kernel_set_size(request);
}

/* The next server; sometimes it finds something else than what was left. */
static void hand_over(struct program *p, bool damaged)
{
        struct kernel_damage what = {.on = damaged};

        if (damaged) {
                what.note = rd_u8(&p->in) & 1;
                what.at = rd_u32(&p->in);
                what.size = 1 + rd_u8(&p->in) % 64;
                memset(what.bytes, rd_u8(&p->in), sizeof(what.bytes));
        }
        kernel_hand_over(p->k, &what);
}

static void step(struct program *p)
{
        AUTO_BUF struct buf request = {0};
        uint8_t control = rd_u8(&p->in);

        if (control >= 0xfe && p->hand_overs++ < HAND_OVERS_MAX) {
                hand_over(p, control == 0xff);
                return;
        }
        if (control >= 0xfc) {
                tmount_advance(p->k->m, 200000000);
                return;
        }
        if (control >= 0xe0)
                raw_request(p, &request);
        else
                make_request(p, &request);
        kernel_send(p->k, buf_span(&request));
        if ((control & 1) == 0) /* else the next one follows at once */
                kernel_turn(p->k);
}

static void run_program(struct program *p)
{
        static const char *const paths[] = {"",      "file",    "link", "dir",
                                            "dir/a", "dir/sub", "big",  "run.sh"};

        for (size_t i = 0; i < 8; i++)
                p->ids[i] = tmount_id(p->k->m, paths[i]); /* 0 where it was removed */
        for (int i = 0; i < STEPS_MAX && rd_left(&p->in) > 0; i++)
                step(p);
        kernel_settle(p->k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct kernel k;
        static unsigned inputs;
        struct program program = {.k = &k, .in = rd_open(span_of(data, size))};

        if (size == 0)
                return 0;
        if (k.m == NULL || inputs++ % INPUTS_PER_MOUNT == 0) {
                if (k.m != NULL) {
                        count_answers(&k);
                        kernel_end(&k);
                }
                kernel_start(&k, start());
                kernel_mount(&k);
        }
        if (rd_u8(&program.in) == 0xff) { /* the first words */
                kernel_unmount(&k);
                if (!kernel_mount_with(&k, span_of(data + 1, size - 1)))
                        kernel_mount(&k);
                program.in = rd_open(span_of(data, size));
        }
        run_program(&program);
        return 0;
}
