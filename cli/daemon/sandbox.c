#include "cli/daemon/sandbox.h"

#include "base/cleanup.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OWN_DEBUGGER 1 /* LeakSanitizer stops its process with ptrace */
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define OWN_DEBUGGER 1
#endif

/* --- capabilities --- */

/* mount and setns; a new namespace's loopback device; files of users for whom root mounts; locked
 * memory and limits; the kernel's client binds a port below 1024. */
static const int kept[] = {
    CAP_SYS_ADMIN,  CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,
    CAP_FOWNER,     CAP_CHOWN,     CAP_IPC_LOCK,         CAP_SYS_RESOURCE,
#ifdef OWN_DEBUGGER
    CAP_SYS_PTRACE,
#endif
};

static uint64_t kept_mask(void)
{
        uint64_t mask = 0;

        for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
                mask |= (uint64_t)1 << kept[i];
        return mask;
}

static bool drop_capabilities(struct sandbox *out)
{
        struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2];
        uint64_t mask = kept_mask(), left = 0;

        for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
                if ((mask & (uint64_t)1 << cap) == 0 && prctl(PR_CAPBSET_DROP, cap) != 0 &&
                    errno != EINVAL) /* EINVAL: this kernel does not know it */
                        return false;
        if (syscall(SYS_capget, &head, data) != 0)
                return false;
        for (unsigned i = 0; i < 2; i++) {
                data[i].permitted &= (uint32_t)(mask >> 32 * i);
                data[i].effective &= data[i].permitted;
                data[i].inheritable = 0;
                left |= (uint64_t)data[i].permitted << 32 * i;
        }
        if (syscall(SYS_capset, &head, data) != 0)
                return false;
        out->capabilities = (unsigned)__builtin_popcountll(left);
        return true;
}

/* --- system calls --- */

/* Nobody here makes these, nor do programs that give credentials: the log names whoever does. */
static const int trapped[] = {
#ifndef OWN_DEBUGGER
    SCMP_SYS(ptrace),
#endif
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(create_module),
    SCMP_SYS(bpf),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(lookup_dcookie),
    SCMP_SYS(uselib),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(vhangup),
    SCMP_SYS(nfsservctl),
    SCMP_SYS(move_pages),
    SCMP_SYS(migrate_pages),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(vm86),
    SCMP_SYS(vm86old),
    SCMP_SYS(sysfs),
    SCMP_SYS(ustat),
};

/* What programs try and do without. */
static const int denied[] = {
    SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd),       SCMP_SYS(keyctl),
    SCMP_SYS(add_key),         SCMP_SYS(request_key),       SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),  SCMP_SYS(io_uring_register), SCMP_SYS(syslog),
};

static int add_all(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count,
                   unsigned *refused)
{
        for (size_t i = 0; i < count; i++) {
                int error = seccomp_rule_add(filter, action, calls[i], 0);

                /* Not a call of this architecture: there is nothing to refuse. */
                if (error == -EDOM || error == -EFAULT)
                        continue;
                if (error != 0)
                        return error;
                (*refused)++;
        }
        return 0;
}

/* Refuse a call by its first argument. */
static int add_when(scmp_filter_ctx filter, uint32_t action, int call, enum scmp_compare compare,
                    scmp_datum_t a, scmp_datum_t b)
{
        const struct scmp_arg_cmp first = {.arg = 0, .op = compare, .datum_a = a, .datum_b = b};

        return seccomp_rule_add_array(filter, action, call, 1, &first);
}

/* Sockets of the machine and of the internet alone; netlink is what names are looked up with. */
static int add_families(scmp_filter_ctx filter)
{
        const uint32_t action = SCMP_ACT_ERRNO(EAFNOSUPPORT);
        int error = add_when(filter, action, SCMP_SYS(socket), SCMP_CMP_GT, AF_NETLINK, 0);

        for (unsigned family = 0; family < AF_NETLINK && error == 0; family++)
                if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
                        error = add_when(filter, action, SCMP_SYS(socket), SCMP_CMP_EQ, family, 0);
        return error;
}

/* In a user namespace of its own a process has all capabilities again. clone3 hides its flags in
 * memory: where it is not there, the C library takes clone. */
static int add_namespaces(scmp_filter_ctx filter)
{
        int error = add_when(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), SCMP_CMP_MASKED_EQ,
                             CLONE_NEWUSER, CLONE_NEWUSER);

        if (error == 0)
                error = add_when(filter, SCMP_ACT_TRAP, SCMP_SYS(unshare), SCMP_CMP_MASKED_EQ,
                                 CLONE_NEWUSER, CLONE_NEWUSER);
        if (error == 0)
                error = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0,
                                               NULL);
        return error;
}

static enum hif_err filter_calls(struct sandbox *out, struct hif_why *why)
{
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        unsigned refused = 0;
        int error;

        if (filter == NULL)
                return HIF_ENOMEM;
        error =
            add_all(filter, SCMP_ACT_TRAP, trapped, sizeof(trapped) / sizeof(trapped[0]), &refused);
        if (error == 0)
                error = add_all(filter, SCMP_ACT_ERRNO(EPERM), denied,
                                sizeof(denied) / sizeof(denied[0]), &refused);
        if (error == 0)
                error = add_families(filter);
        if (error == 0)
                error = add_namespaces(filter);
        if (error == 0)
                error = seccomp_load(filter); /* sets no_new_privs */
        seccomp_release(filter);
        if (error != 0)
                return why_set(why, hif_err_from_errno(-error), "seccomp does not take it: %s",
                               strerror(-error));
        out->filtered = true;
        out->refused = refused;
        return HIF_OK;
}

/* --- whoever is refused is named --- */

/* The handler has no other way to know it. Written once, before there are threads. */
static volatile sig_atomic_t refusals_fd = -1;

static void put_number(char **at, unsigned number)
{
        if (number >= 10)
                put_number(at, number / 10);
        *(*at)++ = (char)('0' + number % 10);
}

/* Async-signal-safe. The call returns EPERM, and the program goes on. */
static void on_refused(int number, siginfo_t *info, void *context)
{
        static const char text[] = "sandbox: a system call was refused, which this program never "
                                   "makes; please report it: number ";
        ucontext_t *registers = context;
        char line[sizeof(text) + 16], *at = line + sizeof(text) - 1;

        (void)number;
        memcpy(line, text, sizeof(text) - 1);
        put_number(&at, (unsigned)info->si_syscall);
        *at++ = '\n';
        (void)!write(refusals_fd, line, (size_t)(at - line));
#if defined(__x86_64__)
        registers->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
        registers->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#else
        (void)registers;
#endif
}

static bool name_refused(int log_fd)
{
        struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER};

        refusals_fd = log_fd;
        sigemptyset(&action.sa_mask);
        return sigaction(SIGSYS, &action, NULL) == 0;
}

enum hif_err sandbox_enter(int log_fd, struct sandbox *out, struct hif_why *why)
{
        *out = (struct sandbox){0};
        if (geteuid() == 0 && !drop_capabilities(out))
                return why_set(why, hif_err_from_errno(errno),
                               "capabilities could not be given up: %s", strerror(errno));
        if (!name_refused(log_fd))
                return hif_err_from_errno(errno);
        return filter_calls(out, why);
}
