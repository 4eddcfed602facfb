/* sandbox_calls.c - the system calls that the server may make: these, and no others.
 *
 * A filter is inherited by whatever the server starts, and that is one thing: programs that give
 * credentials (credential_process), which may be written in any language. So the list is of what
 * ordinary programs do with their own files, memory, threads, children and sockets, and not only of
 * what this one does. Nothing on it changes the machine, mounts, enters a namespace, or looks into
 * another process. What is not on it is refused, and named in the log; a program that gave
 * credentials dies of it, unless it is of those that programs try and do without. */
#include "cli/daemon/sandbox_impl.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h> /* numbers of calls, for each architecture */
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "which architecture is this? See seccomp(2)"
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Calls beyond this list's time: to be refused as by a kernel that has never heard of them. */
#define FIRST_NEW 451

/* What a server does all the time, which is looked for first. */
static const int often[] = {
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(read),     SCMP_SYS(write),
    SCMP_SYS(readv),      SCMP_SYS(writev),      SCMP_SYS(recvmsg),  SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom),   SCMP_SYS(sendto),      SCMP_SYS(futex),    SCMP_SYS(pread64),
    SCMP_SYS(preadv2),    SCMP_SYS(pwrite64),    SCMP_SYS(pwritev2), SCMP_SYS(fdatasync),
};

static const int files[] = {
    SCMP_SYS(access),
    SCMP_SYS(chdir),
    SCMP_SYS(chmod),
    SCMP_SYS(chown),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(copy_file_range),
    SCMP_SYS(creat),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(fadvise64),
    SCMP_SYS(fallocate),
    SCMP_SYS(fchdir),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(fchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(fcntl),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fgetxattr),
    SCMP_SYS(flistxattr),
    SCMP_SYS(flock),
    SCMP_SYS(fremovexattr),
    SCMP_SYS(fsetxattr),
    SCMP_SYS(fstat),
    SCMP_SYS(fstatfs),
    SCMP_SYS(fsync),
    SCMP_SYS(ftruncate),
    SCMP_SYS(futimesat),
    SCMP_SYS(getcwd),
    SCMP_SYS(getdents),
    SCMP_SYS(getdents64),
    SCMP_SYS(getxattr),
    SCMP_SYS(inotify_add_watch),
    SCMP_SYS(inotify_init),
    SCMP_SYS(inotify_init1),
    SCMP_SYS(inotify_rm_watch),
    SCMP_SYS(lchown),
    SCMP_SYS(lgetxattr),
    SCMP_SYS(link),
    SCMP_SYS(linkat),
    SCMP_SYS(listxattr),
    SCMP_SYS(llistxattr),
    SCMP_SYS(lremovexattr),
    SCMP_SYS(lseek),
    SCMP_SYS(lsetxattr),
    SCMP_SYS(lstat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(newfstatat),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(openat2),
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    SCMP_SYS(pread64),
    SCMP_SYS(preadv),
    SCMP_SYS(preadv2),
    SCMP_SYS(pwrite64),
    SCMP_SYS(pwritev),
    SCMP_SYS(pwritev2),
    SCMP_SYS(read),
    SCMP_SYS(readahead),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(readv),
    SCMP_SYS(removexattr),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(rmdir),
    SCMP_SYS(sendfile),
    SCMP_SYS(setxattr),
    SCMP_SYS(splice),
    SCMP_SYS(stat),
    SCMP_SYS(statfs),
    SCMP_SYS(statx),
    SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),
    SCMP_SYS(sync),
    SCMP_SYS(sync_file_range),
    SCMP_SYS(syncfs),
    SCMP_SYS(tee),
    SCMP_SYS(truncate),
    SCMP_SYS(umask),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(utime),
    SCMP_SYS(utimensat),
    SCMP_SYS(utimes),
    SCMP_SYS(vmsplice),
    SCMP_SYS(write),
    SCMP_SYS(writev),
};

static const int memory[] = {
    SCMP_SYS(brk),           SCMP_SYS(get_mempolicy), SCMP_SYS(madvise),   SCMP_SYS(mbind),
    SCMP_SYS(membarrier),    SCMP_SYS(memfd_create),  SCMP_SYS(mincore),   SCMP_SYS(mlock),
    SCMP_SYS(mlock2),        SCMP_SYS(mlockall),      SCMP_SYS(mmap),      SCMP_SYS(mprotect),
    SCMP_SYS(mremap),        SCMP_SYS(msync),         SCMP_SYS(munlock),   SCMP_SYS(munlockall),
    SCMP_SYS(munmap),        SCMP_SYS(pkey_alloc),    SCMP_SYS(pkey_free), SCMP_SYS(pkey_mprotect),
    SCMP_SYS(set_mempolicy),
};

/* Threads, children and other programs; limits that only get narrower without CAP_SYS_RESOURCE. */
static const int processes[] = {
    SCMP_SYS(arch_prctl),
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fork),
    SCMP_SYS(futex),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(get_thread_area),
    SCMP_SYS(getcpu),
    SCMP_SYS(getpgid),
    SCMP_SYS(getpgrp),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getpriority),
    SCMP_SYS(getrlimit),
    SCMP_SYS(getrusage),
    SCMP_SYS(getsid),
    SCMP_SYS(gettid),
    SCMP_SYS(ioprio_get),
    SCMP_SYS(ioprio_set),
    SCMP_SYS(landlock_add_rule),
    SCMP_SYS(landlock_create_ruleset),
    SCMP_SYS(landlock_restrict_self),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(prctl),
    SCMP_SYS(prlimit64),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_get_priority_max),
    SCMP_SYS(sched_get_priority_min),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_getattr),
    SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler),
    SCMP_SYS(sched_rr_get_interval),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(sched_setattr),
    SCMP_SYS(sched_setparam),
    SCMP_SYS(sched_setscheduler),
    SCMP_SYS(sched_yield),
    SCMP_SYS(seccomp),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(set_thread_area),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(setpgid),
    SCMP_SYS(setpriority),
    SCMP_SYS(setrlimit),
    SCMP_SYS(setsid),
    SCMP_SYS(vfork),
    SCMP_SYS(wait4),
    SCMP_SYS(waitid),
};

/* Who one is; without CAP_SETUID nobody becomes another. */
static const int users[] = {
    SCMP_SYS(capget),    SCMP_SYS(capset),    SCMP_SYS(getegid),   SCMP_SYS(geteuid),
    SCMP_SYS(getgid),    SCMP_SYS(getgroups), SCMP_SYS(getresgid), SCMP_SYS(getresuid),
    SCMP_SYS(getuid),    SCMP_SYS(setfsgid),  SCMP_SYS(setfsuid),  SCMP_SYS(setgid),
    SCMP_SYS(setgroups), SCMP_SYS(setregid),  SCMP_SYS(setresgid), SCMP_SYS(setresuid),
    SCMP_SYS(setreuid),  SCMP_SYS(setuid),
};

static const int signals[] = {
    SCMP_SYS(kill),
    SCMP_SYS(pause),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(signalfd),
    SCMP_SYS(signalfd4),
    SCMP_SYS(tgkill),
    SCMP_SYS(tkill),
};

/* All but socket(2) itself, which is looked at. */
static const int sockets[] = {
    SCMP_SYS(accept),      SCMP_SYS(accept4),     SCMP_SYS(bind),       SCMP_SYS(connect),
    SCMP_SYS(getpeername), SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(listen),
    SCMP_SYS(recvfrom),    SCMP_SYS(recvmmsg),    SCMP_SYS(recvmsg),    SCMP_SYS(sendmmsg),
    SCMP_SYS(sendmsg),     SCMP_SYS(sendto),      SCMP_SYS(setsockopt), SCMP_SYS(shutdown),
    SCMP_SYS(socketpair),
};

static const int waiting[] = {
    SCMP_SYS(alarm),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(eventfd),
    SCMP_SYS(eventfd2),
    SCMP_SYS(getitimer),
    SCMP_SYS(getrandom),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(nanosleep),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(pselect6),
    SCMP_SYS(select),
    SCMP_SYS(setitimer),
    SCMP_SYS(sysinfo),
    SCMP_SYS(time),
    SCMP_SYS(timer_create),
    SCMP_SYS(timer_delete),
    SCMP_SYS(timer_getoverrun),
    SCMP_SYS(timer_gettime),
    SCMP_SYS(timer_settime),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_gettime),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(times),
    SCMP_SYS(uname),
};

#ifdef OWN_DEBUGGER
/* LeakSanitizer stops its process with ptrace; ThreadSanitizer looks at its address space. */
static const int debugging[] = {SCMP_SYS(ptrace), SCMP_SYS(personality)};
#endif

/* What programs try and do without: refused without a word, as by a kernel that lacks it. clone3
 * hides its flags in memory; where it is not there, the C library takes clone. */
static const int missing[] = {
    SCMP_SYS(clone3),
    SCMP_SYS(futex_waitv),
    SCMP_SYS(io_cancel),
    SCMP_SYS(io_destroy),
    SCMP_SYS(io_getevents),
    SCMP_SYS(io_pgetevents),
    SCMP_SYS(io_setup),
    SCMP_SYS(io_submit),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(memfd_secret),
    SCMP_SYS(set_mempolicy_home_node),
    SCMP_SYS(userfaultfd),
};

/* The same, as by one that does not let them. */
static const int denied[] = {
    SCMP_SYS(add_key),     SCMP_SYS(keyctl), SCMP_SYS(perf_event_open),
    SCMP_SYS(request_key), SCMP_SYS(syslog), SCMP_SYS(migrate_pages),
};

static const struct list {
        const int *calls;
        size_t count;
} lists[] = {
    {files, COUNT(files)},         {memory, COUNT(memory)},   {processes, COUNT(processes)},
    {users, COUNT(users)},         {signals, COUNT(signals)}, {sockets, COUNT(sockets)},
    {waiting, COUNT(waiting)},
#ifdef OWN_DEBUGGER
    {debugging, COUNT(debugging)},
#endif
};

/* --- the kernel's form of it --- */

/* Written here by hand, two instructions a call, and not by libseccomp: that corrupts memory, or loops,
 * or forgets rules, where an allocation fails. Since Linux 5.11 the kernel remembers which calls pass
 * whatever their arguments are, and the length costs nothing. */
struct program {
        struct sock_filter code[BPF_MAXINSNS];
        unsigned short count;
};

static void put(struct program *program, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
        assert(program->count < BPF_MAXINSNS);
        program->code[program->count++] = (struct sock_filter){code, yes, no, k};
}

static void put_load(struct program *program, size_t at)
{
        put(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)at, 0, 0);
}

static void put_return(struct program *program, uint32_t action)
{
        put(program, BPF_RET | BPF_K, action, 0, 0);
}

/* This, if what was loaded is `value`. */
static void put_when(struct program *program, uint32_t value, uint32_t action)
{
        put(program, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
        put_return(program, action);
}

/* The low half of an argument; what these calls look at has no other. */
static void put_load_argument(struct program *program, unsigned argument)
{
        size_t at = offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t);

        put_load(program, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? at + 4 : at);
}

/* A negative number is that of a call which this architecture has not. */
static unsigned put_all(struct program *program, const int *calls, size_t count, uint32_t action)
{
        unsigned added = 0;

        for (size_t i = 0; i < count; i++) {
                if (calls[i] < 0)
                        continue;
                put_when(program, (uint32_t)calls[i], action);
                added++;
        }
        return added;
}

#define ERRNO(error) (SECCOMP_RET_ERRNO | (error))

/* Sockets of the machine and of the internet alone; netlink is what names are looked up with. */
static void put_socket(struct program *program)
{
        static const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

        put(program, BPF_JMP | BPF_JEQ | BPF_K, SCMP_SYS(socket), 0, 2 + 2 * COUNT(families));
        put_load_argument(program, 0);
        for (size_t i = 0; i < COUNT(families); i++)
                put_when(program, families[i], SECCOMP_RET_ALLOW);
        put_return(program, ERRNO(EAFNOSUPPORT));
}

/* Threads and children, in the namespaces that this process is in. In a user namespace of its own one
 * has all capabilities again. */
static void put_clone(struct program *program)
{
        const uint32_t namespaces = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS |
                                    CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS;

        put(program, BPF_JMP | BPF_JEQ | BPF_K, SCMP_SYS(clone), 0, 4);
        put_load_argument(program, 0);
        put(program, BPF_JMP | BPF_JSET | BPF_K, namespaces, 0, 1);
        put_return(program, SECCOMP_RET_TRAP);
        put_return(program, SECCOMP_RET_ALLOW);
}

/* But for putting words into a terminal's mouth. */
static void put_ioctl(struct program *program)
{
        put(program, BPF_JMP | BPF_JEQ | BPF_K, SCMP_SYS(ioctl), 0, 4);
        put_load_argument(program, 1);
        put_when(program, TIOCSTI, SECCOMP_RET_TRAP);
        put_return(program, SECCOMP_RET_ALLOW);
}

/* Numbers mean other calls to programs of another architecture. */
static void put_architecture(struct program *program)
{
        put_load(program, offsetof(struct seccomp_data, arch));
        put(program, BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCHITECTURE, 1, 0);
        put_return(program, SECCOMP_RET_KILL_PROCESS);
        put_load(program, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
        put(program, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1); /* x32 */
        put_return(program, SECCOMP_RET_KILL_PROCESS);
#endif
}

static unsigned build(struct program *program)
{
        unsigned allowed = 3; /* those that are looked at */

        put_architecture(program);
        (void)put_all(program, often, COUNT(often), SECCOMP_RET_ALLOW); /* counted below */
        put_socket(program);
        put_clone(program);
        put_ioctl(program);
        for (size_t i = 0; i < COUNT(lists); i++)
                allowed += put_all(program, lists[i].calls, lists[i].count, SECCOMP_RET_ALLOW);
        (void)put_all(program, missing, COUNT(missing), ERRNO(ENOSYS));
        (void)put_all(program, denied, COUNT(denied), ERRNO(EPERM));
        put(program, BPF_JMP | BPF_JGE | BPF_K, FIRST_NEW, 0, 1);
        put_return(program, ERRNO(ENOSYS));
        put_return(program, SECCOMP_RET_TRAP);
        return allowed;
}

enum hif_err sandbox_filter(struct sandbox *out, struct hif_why *why)
{
        struct program program = {.count = 0};
        unsigned allowed = build(&program);
        struct sock_fprog load = {.len = program.count, .filter = program.code};

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &load) != 0)
                return why_set(why, hif_err_from_errno(errno), "seccomp does not take it: %s",
                               strerror(errno));
        out->filtered = true;
        out->allowed = allowed;
        return HIF_OK;
}
