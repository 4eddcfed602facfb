/* kernel.h - the kernel's side of /dev/fuse, for fuzzing: sends a FUSE server any bytes, and looks
 * at what it answers with the eyes of the kernel (fuse_dev_do_write, and those who asked).
 *
 * Calling sequence: kernel_start with an open workspace, kernel_mount; kernel_send and kernel_turn;
 * kernel_settle, after which nothing waits; kernel_unmount. Whatever an answer has that the kernel
 * would refuse aborts, and so do an answer too many and one that does not come. */
#ifndef HIF_TESTS_FUSE_KERNEL_H
#define HIF_TESTS_FUSE_KERNEL_H

#include "fuse/fuse_server.h"
#include "vfs/tmount.h"

#include <linux/fuse.h>

#define KERNEL_OPCODES  53u /* of linux/fuse.h: below */
#define KERNEL_WAIT_MAX 4096
#define KERNEL_DATA_MAX (96u << 10)

struct kernel {
        struct tmount *m;
        struct fuse_server *server;
        struct fuse_mounter mounter;
        int fd, server_fd;      /* the two ends; server_fd: only while it is being mounted */
        size_t reply_max;       /* what a socket takes as one message */
        char dir[96];           /* the mount point */
        uint64_t unique, first; /* the newest number; that of the first words */
        bool gone;              /* the server has ended the mount */
        bool loose; /* what was agreed on is not what this file knows, or a request was lost */
        struct kernel_request {
                uint64_t unique;
                uint32_t opcode, size; /* size: of what was asked for */
        } waiting[KERNEL_WAIT_MAX];
        size_t waiting_count;
        uint64_t answered[KERNEL_OPCODES]; /* without an error */
};

/* What happens to what a server leaves, before the next one takes it. */
struct kernel_damage {
        bool on, note; /* note: to the handshake, else to the ledger */
        size_t at, size;
        uint8_t bytes[64];
};

void kernel_start(struct kernel *k, struct tmount *m);
void kernel_mount(struct kernel *k);
/* With other first words: what follows the header of FUSE_INIT. False: they did not agree. */
bool kernel_mount_with(struct kernel *k, struct span init);
void kernel_unmount(struct kernel *k);
/* Unmounts, and frees the workspace. */
void kernel_end(struct kernel *k);

/* A number that no request had yet. */
uint64_t kernel_unique(struct kernel *k);
/* The number of one that waits, or of none. */
uint64_t kernel_waiting(const struct kernel *k, size_t which);
/* The header's length is that of the request, where there is one. */
void kernel_set_size(struct buf *request);
void kernel_send(struct kernel *k, struct span request);
/* One turn of the server; answers are looked at. */
void kernel_turn(struct kernel *k);
/* Until everything is answered. */
void kernel_settle(struct kernel *k);
/* The server leaves; the workspace is opened anew; the next server follows, or if it can not,
 * mounts. */
void kernel_hand_over(struct kernel *k, const struct kernel_damage *damage);

#endif
