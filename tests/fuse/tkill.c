#include "tkill.h"

#include "fuse/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_MS 20000

/* In a server: what to do at a reply, and which descriptor they go to. */
static struct tkill_shared *serving;
static _Atomic int serving_fd = -1; /* the loop reads it */

/* In place of the C library's: every reply of the server passes here. */
ssize_t writev(int fd, const struct iovec *iov, int count)
{
        bool reply = serving != NULL && fd == serving_fd;
        bool last = reply && serving->replies_left > 0 && --serving->replies_left == 0;
        ssize_t size;

        if (last && !serving->after)
                kill(getpid(), SIGKILL);
        size = syscall(SYS_writev, fd, iov, count);
        if (last)
                kill(getpid(), SIGKILL);
        return size;
}

/* --- the server --- */

struct server {
        struct tkill *t;
        struct fuse_kept kept; /* -1: nothing yet */
        pid_t pid;
        int socket;
};

static void send_fds(int socket, enum hif_err err, const int fds[2])
{
        struct iovec iov = {.iov_base = &err, .iov_len = sizeof(err)};
        union {
                struct cmsghdr head;
                char bytes[CMSG_SPACE(2 * sizeof(int))];
        } control = {0};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

        if (err == HIF_OK) {
                msg.msg_control = control.bytes;
                msg.msg_controllen = sizeof(control.bytes);
                control.head.cmsg_level = SOL_SOCKET;
                control.head.cmsg_type = SCM_RIGHTS;
                control.head.cmsg_len = CMSG_LEN(2 * sizeof(int));
                memcpy(CMSG_DATA(&control.head), fds, 2 * sizeof(int));
        }
        tmount_check(sendmsg(socket, &msg, MSG_NOSIGNAL) == (ssize_t)sizeof(err));
}

static void leave(struct tfuse *t, void *arg)
{
        (void)arg;
        fuse_server_leave(t->server);
        t->server = NULL;
}

static void tell_held(struct tfuse *t, void *arg)
{
        struct tkill_shared *shared = arg;

        shared->held = vfs_stats(t->m->vfs).held;
}

static struct tfuse *make_tree(const struct tkill *k)
{
        struct tmount_options options = {.real = true, .dir = k->dir};
        struct tfuse *t = calloc(1, sizeof(*t));

        tmount_check(t != NULL);
        options.vfs.fault_deadline_ms = 30000;
        t->m = tmount_new(&options);
        snprintf(t->root, sizeof(t->root), "%s", k->root);
        tmount_add_text(t->m, "a.txt", "a\n");
        tmount_add_text(t->m, "cold.txt", "cold\n");
        tmount_add_text(t->m, "dir/b.txt", "b\n");
        return t;
}

_Noreturn static void serve(const struct server *server, int socket)
{
        struct tkill_shared *shared = server->t->shared;
        struct tfuse *t = make_tree(server->t);
        struct store_fault_rule rule = {.op = STORE_GET,
                                        .key_contains = shared->cold,
                                        .count = UINT64_MAX,
                                        .fault = STORE_FAULT_HOLD};
        struct fuse_kept kept = {0};
        struct hif_why why = {""};
        enum hif_err err = HIF_OK;
        char order;

        serving = shared;
        serving_fd = server->kept.fd;
        if (shared->cold[0] != '\0')
                tmount_check(store_fault_add(t->m->store, &rule) == HIF_OK);
        if (server->kept.fd >= 0)
                err = tfuse_resume(t, &server->kept, &why);
        else
                tfuse_mount(t);
        if (err == HIF_OK)
                tmount_check(fuse_server_kept(t->server, &kept) == HIF_OK);
        serving_fd = kept.fd;
        if (err == HIF_OK)
                tfuse_on_loop(t, tell_held, shared);
        if (server->kept.fd < 0) {
                tmount_check(kept.note.size <= sizeof(shared->note));
                memcpy(shared->note, kept.note.data, kept.note.size);
                shared->note_size = (uint32_t)kept.note.size;
        }
        send_fds(socket, err, (int[]){kept.fd, kept.ledger_fd});
        if (err != HIF_OK)
                _exit(0);
        while (read(socket, &order, 1) < 0 && errno == EINTR)
                ;
        tfuse_on_loop(t, leave, NULL);
        _exit(0);
}

/* --- the supervisor --- */

static enum hif_err receive_fds(struct server *server)
{
        enum hif_err err;
        struct iovec iov = {.iov_base = &err, .iov_len = sizeof(err)};
        union {
                struct cmsghdr head;
                char bytes[CMSG_SPACE(2 * sizeof(int))];
        } control;
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
        int fds[2];

        if (recvmsg(server->socket, &msg, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(err))
                return HIF_EIO; /* it died */
        if (err != HIF_OK)
                return err;
        memcpy(fds, CMSG_DATA(&control.head), sizeof(fds));
        if (server->kept.fd >= 0) {
                close(fds[0]);
                close(fds[1]);
                return HIF_OK;
        }
        server->kept.fd = fds[0];
        server->kept.ledger_fd = fds[1];
        server->t->shared->ledger_fd = fds[1];
        return HIF_OK;
}

static enum hif_err start(struct server *server)
{
        struct tkill_shared *shared = server->t->shared;
        int ends[2];

        server->kept.note.data = shared->note;
        server->kept.note.size = shared->note_size;
        tmount_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        server->pid = fork();
        tmount_check(server->pid >= 0);
        if (server->pid == 0) {
                close(ends[0]);
                close(server->t->socket);
                serve(server, ends[1]);
        }
        close(ends[1]);
        server->socket = ends[0];
        return receive_fds(server);
}

struct answer {
        enum hif_err err;
        pid_t pid;
};

/* 's': start a server; 'l': tell it to leave; 'w': wait for its end. */
_Noreturn static void supervise(struct tkill *t, int socket)
{
        struct server server = {.t = t, .kept = {.fd = -1, .ledger_fd = -1}};
        char order;

        t->socket = socket;
        while (read(socket, &order, 1) == 1) {
                struct answer answer = {HIF_OK, 0};

                if (order == 's')
                        answer.err = start(&server);
                if (order == 'l')
                        tmount_check(write(server.socket, "l", 1) == 1);
                if (order == 'w') {
                        while (waitpid(server.pid, NULL, 0) < 0 && errno == EINTR)
                                ;
                        close(server.socket);
                        server.pid = 0;
                }
                answer.pid = server.pid;
                tmount_check(write(socket, &answer, sizeof(answer)) == sizeof(answer));
        }
        /* The test has ended, or given up. */
        if (server.pid > 0)
                kill(server.pid, SIGKILL);
        umount2(t->root, MNT_FORCE);
        umount2(t->root, MNT_DETACH);
        _exit(0);
}

/* --- the test --- */

static enum hif_err ask(struct tkill *t, char order)
{
        struct pollfd wait = {.fd = t->socket, .events = POLLIN};
        struct answer answer;

        tmount_check(write(t->socket, &order, 1) == 1);
        tmount_check(poll(&wait, 1, TIMEOUT_MS) == 1);
        tmount_check(read(t->socket, &answer, sizeof(answer)) == sizeof(answer));
        t->pid = answer.pid;
        return answer.err;
}

enum hif_err tkill_start(struct tkill *t)
{
        enum hif_err err = ask(t, 's');

        if (err != HIF_OK)
                tmount_check(ask(t, 'w') == HIF_OK);
        return err;
}

void tkill_kill(struct tkill *t)
{
        kill(t->pid, SIGKILL);
        tmount_check(ask(t, 'w') == HIF_OK);
}

bool tkill_dies(struct tkill *t, int timeout_ms)
{
        struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, t->pid, 0), .events = POLLIN};
        bool died;

        tmount_check(end.fd >= 0);
        died = poll(&end, 1, timeout_ms) == 1;
        close(end.fd);
        if (died)
                tmount_check(ask(t, 'w') == HIF_OK);
        return died;
}

void tkill_leave(struct tkill *t)
{
        tmount_check(ask(t, 'l') == HIF_OK && ask(t, 'w') == HIF_OK);
}

void tkill_arm(struct tkill *t, int replies, bool after)
{
        t->shared->after = after;
        t->shared->replies_left = replies;
}

bool tkill_disarm(struct tkill *t)
{
        return atomic_exchange(&t->shared->replies_left, -1) == 0;
}

static struct ledger *look(const struct tkill *t)
{
        struct ledger *ledger;
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)t->supervisor, t->shared->ledger_fd);
        fd = open(path, O_RDWR | O_CLOEXEC);
        tmount_check(fd >= 0 && ledger_open(fd, &ledger) == HIF_OK);
        return ledger;
}

size_t tkill_waiting(const struct tkill *t, uint32_t opcode, uint32_t flags)
{
        struct ledger *ledger = look(t);
        const struct ledger_slot *slot = NULL;
        size_t count = 0;

        while ((slot = ledger_after(ledger, slot != NULL ? slot->order : 0)) != NULL) {
                struct fuse_in_header in;

                memcpy(&in, ledger_request(ledger, slot), sizeof(in));
                count += (opcode == 0 || in.opcode == opcode) && (slot->flags & flags) == flags;
        }
        ledger_free(ledger);
        return count;
}

size_t tkill_open(const struct tkill *t)
{
        struct ledger *ledger = look(t);
        size_t count = 0;
        uint64_t node;

        for (size_t i = 0; ledger_next_open(ledger, &i, &node); count++)
                continue;
        ledger_free(ledger);
        return count;
}

const char *tkill_path(struct tkill *t, const char *name)
{
        snprintf(t->path, sizeof(t->path), "%s/%s", t->root, name);
        return t->path;
}

struct tkill *tkill_new(void)
{
        struct tkill *t = calloc(1, sizeof(*t));
        int ends[2];

        tmount_check(t != NULL);
        t->shared = mmap(NULL, sizeof(*t->shared), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        tmount_check(t->shared != MAP_FAILED);
        snprintf(t->dir, sizeof(t->dir), "/tmp/hif-tkill-XXXXXX");
        tmount_check(mkdtemp(t->dir) != NULL);
        snprintf(t->root, sizeof(t->root), "/tmp/hif-tkill-at-XXXXXX");
        tmount_check(mkdtemp(t->root) != NULL);
        tmount_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        t->supervisor = fork();
        tmount_check(t->supervisor >= 0);
        if (t->supervisor == 0) {
                close(ends[0]);
                supervise(t, ends[1]);
        }
        close(ends[1]);
        t->socket = ends[0];
        tmount_check(tkill_start(t) == HIF_OK);
        return t;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st, (void)type, (void)ftw;
        return remove(path);
}

void tkill_free(struct tkill *t)
{
        close(t->socket);
        while (waitpid(t->supervisor, NULL, 0) < 0 && errno == EINTR)
                ;
        munmap(t->shared, sizeof(*t->shared));
        rmdir(t->root);
        nftw(t->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(t);
}
