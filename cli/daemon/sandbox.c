#include "cli/daemon/sandbox.h"

#include "base/cleanup.h"
#include "cli/daemon/sandbox_impl.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* --- capabilities --- */

/* Files of users for whom root mounts, and of root's that it has made read-only: a store, credentials. */
static const int kept[] = {
    CAP_DAC_OVERRIDE,
    CAP_DAC_READ_SEARCH,
    CAP_FOWNER,
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
        if (info->si_syscall != SYS_write) /* else it would come back here for ever */
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
        return sandbox_filter(out, why);
}
