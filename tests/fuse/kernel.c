#define FUSE_USE_VERSION 314
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_log.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET_BYTES (64 << 20)
#define MESSAGE_MAX  (4u << 20)
#define SETTLE_TURNS 20000
#define ERRNO_MAX    511 /* the kernel takes no larger one */
#define DIRENT_ALIGN 8u
#define HEADER_IN    sizeof(struct fuse_in_header)
#define HEADER_OUT   sizeof(struct fuse_out_header)

/* --- /dev/fuse --- */

/* As root messages may be as long as those of the kernel; else what a user's socket takes. */
static void enlarge(struct kernel *k, int fd)
{
        int bytes = SOCKET_BYTES;
        socklen_t size = sizeof(bytes);

        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0)
                tmount_check(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) == 0);
        tmount_check(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size) == 0);
        k->reply_max = (size_t)bytes / 16;
}

static void make_device(struct kernel *k)
{
        int ends[2];

        tmount_check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        enlarge(k, ends[0]);
        enlarge(k, ends[1]);
        k->fd = ends[0];
        k->server_fd = ends[1];
}

static enum hif_err give_device(void *arg, const struct fuse_server_config *config, int *fd,
                                struct hif_why *why)
{
        struct kernel *k = arg;

        (void)config, (void)why;
        *fd = k->server_fd;
        k->server_fd = -1;
        return HIF_OK;
}

/* From the notifier's thread, too. */
static bool is_unmounted(void *arg, const char *mount_point, bool detach)
{
        (void)arg, (void)mount_point, (void)detach;
        return true;
}

static void gone(void *arg)
{
        struct kernel *k = arg;

        k->gone = true;
}

static void be_quiet(enum fuse_log_level level, const char *format, va_list list)
{
        (void)level, (void)format, (void)list;
}

void kernel_start(struct kernel *k, struct tmount *m)
{
        const char *tmp = getenv("TMPDIR");

        fuse_set_log_func(be_quiet);
        *k = (struct kernel){.m = m, .fd = -1, .server_fd = -1};
        k->mounter = (struct fuse_mounter){give_device, is_unmounted, k};
        snprintf(k->dir, sizeof(k->dir), "%s/hif-kernel-XXXXXX", tmp ? tmp : "/tmp");
        tmount_check(mkdtemp(k->dir) != NULL);
}

static struct fuse_server_config config_of(const struct kernel *k)
{
        return (struct fuse_server_config){
            .mounter = &k->mounter, .mount_point = k->dir, .name = "hif:acme/app"};
}

static bool mount_with(struct kernel *k, struct span init)
{
        struct fuse_server_config config = config_of(k);
        struct fuse_in_header in = {.len = (uint32_t)(sizeof(in) + init.size),
                                    .opcode = FUSE_INIT,
                                    .unique = kernel_unique(k)};
        AUTO_BUF struct buf words = {0};
        struct hif_why why = {""};
        enum hif_err err;

        make_device(k);
        k->first = in.unique;
        k->gone = k->loose = false;
        k->waiting_count = 0;
        buf_put(&words, &in, sizeof(in));
        buf_put_span(&words, init);
        tmount_check(send(k->fd, words.data, words.size, 0) == (ssize_t)words.size);
        err = fuse_server_new(k->m->vfs, &config, &k->server, &why);
        tmount_check((err == HIF_OK) == (why.text[0] == '\0'));
        if (err != HIF_OK) {
                close(k->fd);
                k->fd = -1;
                return false;
        }
        fuse_server_on_unmount(k->server, gone, k);
        return true;
}

void kernel_mount(struct kernel *k)
{
        struct fuse_init_in init = {.major = FUSE_KERNEL_VERSION,
                                    .minor = FUSE_KERNEL_MINOR_VERSION,
                                    .max_readahead = 1u << 20,
                                    .flags = UINT32_MAX,
                                    .flags2 = UINT32_MAX};

        tmount_check(mount_with(k, span_of(&init, sizeof(init))));
        kernel_turn(k);
}

bool kernel_mount_with(struct kernel *k, struct span init)
{
        if (!mount_with(k, init))
                return false;
        k->loose = true;
        kernel_turn(k);
        return true;
}

void kernel_unmount(struct kernel *k)
{
        fuse_server_free(k->server);
        k->server = NULL;
        if (k->fd >= 0)
                close(k->fd);
        k->fd = -1;
}

void kernel_end(struct kernel *k)
{
        kernel_unmount(k);
        tmount_free(k->m);
        rmdir(k->dir);
        k->m = NULL;
}

/* --- asking --- */

uint64_t kernel_unique(struct kernel *k)
{
        return k->unique += 2;
}

uint64_t kernel_waiting(const struct kernel *k, size_t which)
{
        return k->waiting_count > 0 ? k->waiting[which % k->waiting_count].unique : 1;
}

void kernel_set_size(struct buf *request)
{
        uint32_t size = (uint32_t)request->size;

        if (request->size >= sizeof(size))
                memcpy(request->data, &size, sizeof(size));
}

static bool wants_answer(uint32_t opcode)
{
        return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT &&
               opcode != FUSE_NOTIFY_REPLY;
}

static uint32_t asked_size(const struct fuse_in_header *in, struct span request)
{
        struct fuse_read_in read = {0};
        struct fuse_write_in write = {0};

        if (request.size < HEADER_IN + sizeof(read))
                return 0;
        memcpy(&read, request.data + HEADER_IN, sizeof(read));
        memcpy(&write, request.data + HEADER_IN, sizeof(write));
        return in->opcode == FUSE_WRITE ? write.size : read.size;
}

/* A kernel gives no number twice: of two requests with one, nobody could say which has its answer. */
static bool is_given(const struct kernel *k, uint64_t unique)
{
        for (size_t i = 0; i < k->waiting_count; i++)
                if (k->waiting[i].unique == unique)
                        return true;
        return unique == k->first;
}

void kernel_send(struct kernel *k, struct span request)
{
        struct fuse_in_header in;
        struct kernel_request *waits = &k->waiting[k->waiting_count];

        if (k->gone || k->waiting_count == KERNEL_WAIT_MAX)
                return;
        if (send(k->fd, request.data, request.size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                tmount_check(errno == EPIPE || errno == EAGAIN);
                return;
        }
        if (request.size < HEADER_IN)
                return; /* that ends it */
        memcpy(&in, request.data, sizeof(in));
        if (in.opcode == FUSE_INIT || in.opcode == FUSE_DESTROY)
                k->loose = true;
        if (is_given(k, in.unique))
                k->loose = true;
        if (!wants_answer(in.opcode))
                return;
        k->waiting_count++;
        *waits = (struct kernel_request){
            .unique = in.unique, .opcode = in.opcode, .size = asked_size(&in, request)};
}

/* --- looking at answers --- */

static void check_attr(const struct fuse_attr *attr)
{
        tmount_check(attr->size <= INT64_MAX);
        tmount_check(S_ISREG(attr->mode) || S_ISDIR(attr->mode) || S_ISLNK(attr->mode) ||
                     S_ISCHR(attr->mode) || S_ISBLK(attr->mode) || S_ISFIFO(attr->mode) ||
                     S_ISSOCK(attr->mode));
        tmount_check(attr->nlink < UINT32_MAX && attr->mtimensec < 1000000000 &&
                     attr->atimensec < 1000000000 && attr->ctimensec < 1000000000);
}

static void check_entry(struct span answer, bool may_lack)
{
        struct fuse_entry_out entry;

        tmount_check(answer.size >= sizeof(entry));
        memcpy(&entry, answer.data, sizeof(entry));
        tmount_check(entry.nodeid != 0 || may_lack);
        if (entry.nodeid != 0)
                check_attr(&entry.attr);
}

static void check_names(struct span page, bool plus)
{
        size_t before = plus ? sizeof(struct fuse_entry_out) : 0;

        while (page.size > 0) {
                struct fuse_dirent dirent;
                size_t size;

                tmount_check(page.size >= before + FUSE_NAME_OFFSET);
                memcpy(&dirent, page.data + before, FUSE_NAME_OFFSET);
                size = before + FUSE_NAME_OFFSET + dirent.namelen;
                size = (size + DIRENT_ALIGN - 1) / DIRENT_ALIGN * DIRENT_ALIGN;
                tmount_check(dirent.namelen > 0 && dirent.namelen <= NAME_MAX);
                tmount_check(size <= page.size);
                tmount_check(memchr(page.data + before + FUSE_NAME_OFFSET, '/', dirent.namelen) ==
                             NULL);
                tmount_check(dirent.ino != 0 && dirent.off <= INT64_MAX);
                page = span_of(page.data + size, page.size - size);
        }
}

static void check_attr_out(struct span answer)
{
        struct fuse_attr_out out;

        tmount_check(answer.size == sizeof(out));
        memcpy(&out, answer.data, sizeof(out));
        check_attr(&out.attr);
}

static void check_write_out(struct span answer, uint32_t asked)
{
        struct fuse_write_out out;

        tmount_check(answer.size == sizeof(out));
        memcpy(&out, answer.data, sizeof(out));
        tmount_check(out.size <= asked);
}

static void check_answer(const struct kernel_request *request, struct span answer)
{
        switch (request->opcode) {
        case FUSE_LOOKUP:
        case FUSE_SYMLINK:
        case FUSE_MKNOD:
        case FUSE_MKDIR:
        case FUSE_LINK:
                tmount_check(answer.size == sizeof(struct fuse_entry_out));
                check_entry(answer, request->opcode == FUSE_LOOKUP);
                break;
        case FUSE_CREATE:
                tmount_check(answer.size ==
                             sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out));
                check_entry(answer, false);
                break;
        case FUSE_GETATTR:
        case FUSE_SETATTR:
                check_attr_out(answer);
                break;
        case FUSE_READLINK:
                tmount_check(answer.size > 0 && answer.size < PATH_MAX);
                break;
        case FUSE_OPEN:
        case FUSE_OPENDIR:
                tmount_check(answer.size == sizeof(struct fuse_open_out));
                break;
        case FUSE_READ:
                tmount_check(answer.size <= request->size);
                break;
        case FUSE_READDIR:
        case FUSE_READDIRPLUS:
                tmount_check(answer.size <= request->size);
                check_names(answer, request->opcode == FUSE_READDIRPLUS);
                break;
        case FUSE_WRITE:
                check_write_out(answer, request->size);
                break;
        case FUSE_STATFS:
                tmount_check(answer.size == sizeof(struct fuse_statfs_out));
                break;
        case FUSE_LSEEK:
                tmount_check(answer.size == sizeof(struct fuse_lseek_out));
                break;
        default:
                tmount_check(answer.size == 0);
                break;
        }
}

static void take_answer(struct kernel *k, struct span answer)
{
        struct fuse_out_header out;
        size_t i = 0;

        tmount_check(answer.size >= HEADER_OUT);
        memcpy(&out, answer.data, sizeof(out));
        tmount_check(out.len == answer.size);
        tmount_check(out.error <= 0 && out.error >= -ERRNO_MAX);
        tmount_check(out.error == 0 || out.len == HEADER_OUT);
        if (out.unique == k->first)
                return; /* the first words' */
        while (i < k->waiting_count && k->waiting[i].unique != out.unique)
                i++;
        if (i == k->waiting_count && k->loose)
                return;
        if (i == k->waiting_count)
                fprintf(stderr, "request %llu: error %d, %u bytes, %zu wait\n",
                        (unsigned long long)out.unique, out.error, out.len, k->waiting_count);
        tmount_check(i < k->waiting_count && "an answer that nobody waits for");
        if (out.error == 0 && !k->loose)
                check_answer(&k->waiting[i],
                             span_of(answer.data + HEADER_OUT, answer.size - HEADER_OUT));
        if (out.error == 0 && k->waiting[i].opcode < KERNEL_OPCODES)
                k->answered[k->waiting[i].opcode]++;
        k->waiting[i] = k->waiting[--k->waiting_count];
}

static void take_answers(struct kernel *k)
{
        static uint8_t answer[MESSAGE_MAX];

        for (;;) {
                ssize_t size = recv(k->fd, answer, sizeof(answer), MSG_DONTWAIT);

                if (size <= 0)
                        return;
                take_answer(k, span_of(answer, (size_t)size));
        }
}

void kernel_turn(struct kernel *k)
{
        tmount_turn(k->m);
        take_answers(k);
        if (!k->gone)
                return;
        kernel_unmount(k);
        kernel_mount(k);
}

void kernel_settle(struct kernel *k)
{
        for (int i = 0; i < SETTLE_TURNS && k->waiting_count > 0; i++)
                kernel_turn(k);
        for (size_t i = 0; !k->loose && i < k->waiting_count; i++)
                fprintf(stderr, "request %llu, opcode %u: no answer\n",
                        (unsigned long long)k->waiting[i].unique, k->waiting[i].opcode);
        tmount_check(k->loose || k->waiting_count == 0);
        if (!k->loose)
                return;
        kernel_unmount(k);
        kernel_mount(k);
}

/* --- from server to server --- */

static void damage_what_is_left(struct fuse_kept *kept, const struct kernel_damage *damage)
{
        struct stat about;
        size_t at;

        if (damage->note) {
                for (size_t i = 0; i < damage->size; i++)
                        kept->note.data[(damage->at + i) % kept->note.size] = damage->bytes[i];
                return;
        }
        tmount_check(fstat(kept->ledger_fd, &about) == 0);
        /* As often in its first pages, where the lists are, as anywhere. */
        at = (damage->at & 1) != 0 ? damage->at % (256u << 10) : damage->at % (size_t)about.st_size;
        if (at + damage->size <= (size_t)about.st_size)
                tmount_check(pwrite(kept->ledger_fd, damage->bytes, damage->size, (off_t)at) ==
                             (ssize_t)damage->size);
}

void kernel_hand_over(struct kernel *k, const struct kernel_damage *damage)
{
        struct fuse_server_config config = config_of(k);
        struct hif_why why = {""};
        struct fuse_kept kept;
        enum hif_err err;

        if (k->gone)
                return;
        tmount_check(fuse_server_kept(k->server, &kept) == HIF_OK);
        kept.fd = fcntl(kept.fd, F_DUPFD_CLOEXEC, 3);
        kept.ledger_fd = fcntl(kept.ledger_fd, F_DUPFD_CLOEXEC, 3);
        tmount_check(kept.fd >= 0 && kept.ledger_fd >= 0);
        fuse_server_leave(k->server);
        k->server = NULL;
        take_answers(k);
        tmount_restart(k->m);
        if (damage->on) {
                damage_what_is_left(&kept, damage);
                k->loose = true;
        }
        err = fuse_server_resume(k->m->vfs, &config, &kept, &k->server, &why);
        buf_free(&kept.note);
        tmount_check((err == HIF_OK) == (why.text[0] == '\0'));
        tmount_check(err == HIF_OK || k->loose);
        if (err == HIF_OK) {
                fuse_server_on_unmount(k->server, gone, k);
        } else {
                k->server = NULL;
                kernel_unmount(k);
                kernel_mount(k);
        }
}
