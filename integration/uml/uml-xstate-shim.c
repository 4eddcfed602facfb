/* uml-xstate-shim.c - a preload that lets User-Mode Linux up to 6.12 run on CPUs with AMX.
 *
 * Linux accepts PTRACE_SETREGSET(NT_X86_XSTATE) only for the full XSAVE area of the CPU, and
 * User-Mode Linux passes the shorter one that it knows. linux.uml is dynamically linked, so its
 * calls can be widened here: its bytes go to the front of a zeroed area of the full size. What lies
 * beyond (AMX tiles) stays in its initial state, which is right: no guest process ever asks for
 * AMX.
 *
 *      cc -O2 -shared -fPIC -o uml-xstate-shim.so uml-xstate-shim.c */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define XSTATE_MAX (64 * 1024)

/* The guest is one process that traces from one thread. */
static size_t full_size;
static unsigned char area[XSTATE_MAX] __attribute__((aligned(64)));

static long raw(long request, pid_t pid, void *addr, void *data)
{
        return syscall(SYS_ptrace, request, pid, addr, data);
}

static long set_xstate(pid_t pid, void *addr, struct iovec *given)
{
        struct iovec wide = {.iov_base = area, .iov_len = sizeof(area)};

        if (full_size == 0) {
                if (raw(PTRACE_GETREGSET, pid, addr, &wide) < 0)
                        return -1;
                full_size = wide.iov_len;
        }
        if (given->iov_len >= full_size)
                return raw(PTRACE_SETREGSET, pid, addr, given);
        memcpy(area, given->iov_base, given->iov_len);
        memset(area + given->iov_len, 0, full_size - given->iov_len);
        wide.iov_len = full_size;
        return raw(PTRACE_SETREGSET, pid, addr, &wide);
}

/* As glibc's ptrace: PEEK requests return the word itself. */
long ptrace(enum __ptrace_request request, ...)
{
        va_list args;
        void *addr, *data;
        pid_t pid;
        long word, result;

        va_start(args, request);
        pid = va_arg(args, pid_t);
        addr = va_arg(args, void *);
        data = va_arg(args, void *);
        va_end(args);

        if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA ||
            request == PTRACE_PEEKUSER) {
                result = raw(request, pid, addr, &word);
                if (result < 0)
                        return result;
                errno = 0;
                return word;
        }
        if ((int)request == PTRACE_SETREGSET && (long)addr == NT_X86_XSTATE)
                return set_xstate(pid, addr, data);
        return raw(request, pid, addr, data);
}
