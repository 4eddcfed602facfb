/* What the server can no longer do, tried in children that have entered the sandbox. The tests run as
 * root, as whom there is one. */
#include "cli/daemon/sandbox_impl.h"

#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* In a child of its own: 0 from attempt() is what holds. The log's bytes go to `said`. */
static int in_sandbox(int (*attempt)(const struct sandbox *sandbox), char *said, size_t size)
{
        int log[2], status;
        size_t have = 0;
        ssize_t count;
        pid_t pid;

        assert_int_equal(geteuid(), 0);
        assert_int_equal(pipe(log), 0);
        pid = fork();
        if (pid == 0) {
                struct sandbox sandbox;
                struct hif_why why;

                close(log[0]);
                _exit(sandbox_enter(log[1], &sandbox, &why) == HIF_OK && sandbox.filtered
                          ? attempt(&sandbox)
                          : 100);
        }
        close(log[1]);
        while ((count = read(log[0], said + have, size - 1 - have)) > 0)
                have += (size_t)count;
        said[have] = '\0';
        close(log[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

#define EXPECT(name, text)                                                                         \
        do {                                                                                       \
                char said[512];                                                                    \
                assert_int_equal(in_sandbox(name, said, sizeof(said)), 0);                         \
                assert_string_equal(said, text);                                                   \
        } while (0)

static bool fails_with(long result, int error)
{
        return result == -1 && errno == error;
}

static int read_another_process(const struct sandbox *sandbox)
{
        (void)sandbox;
        return !fails_with(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0), EPERM);
}

/* The call fails, and the log names it. */
static void other_processes_cannot_be_read(void **state)
{
        char said[512], number[16];

        (void)state;
        assert_int_equal(in_sandbox(read_another_process, said, sizeof(said)), 0);
        snprintf(number, sizeof(number), " %d\n", (int)SYS_process_vm_readv);
        assert_non_null(strstr(said, "sandbox: a system call was refused"));
        assert_non_null(strstr(said, number));
}

static int use_the_kernel(const struct sandbox *sandbox)
{
        (void)sandbox;
        return !fails_with(syscall(SYS_bpf, 0, NULL, 0), EPERM) ||
               !fails_with(syscall(SYS_init_module, NULL, 0, ""), EPERM) ||
               !fails_with(syscall(SYS_kexec_load, 0, 0, NULL, 0), EPERM) ||
               !fails_with(chroot("/"), EPERM) ||
               !fails_with(syscall(SYS_open_by_handle_at, -1, NULL, 0), EPERM) ||
               !fails_with(syscall(SYS_pivot_root, "/", "/"), EPERM) ||
               !fails_with(syscall(SYS_clock_settime, 0, NULL), EPERM);
}

static void the_kernel_cannot_be_changed(void **state)
{
        char said[8192];

        (void)state;
        assert_int_equal(in_sandbox(use_the_kernel, said, sizeof(said)), 0);
}

/* Neither mounts nor namespaces, new ones or others'. */
static int mount_and_enter(const struct sandbox *sandbox)
{
        (void)sandbox;
        return !fails_with(mount("none", "/tmp", "tmpfs", 0, NULL), EPERM) ||
               !fails_with(umount2("/tmp", MNT_DETACH), EPERM) ||
               !fails_with(syscall(SYS_open_tree, -1, "", 0), EPERM) ||
               !fails_with(syscall(SYS_fsopen, "tmpfs", 0), EPERM) ||
               !fails_with(unshare(CLONE_NEWUSER), EPERM) ||
               !fails_with(unshare(CLONE_NEWNET), EPERM) || !fails_with(setns(0, 0), EPERM) ||
               !fails_with(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM);
}

static void nothing_is_mounted_or_entered(void **state)
{
        char said[8192];

        (void)state;
        assert_int_equal(in_sandbox(mount_and_enter, said, sizeof(said)), 0);
}

/* A call that the list has never heard of, or that programs only try, is one that the kernel lacks. */
static int try_what_is_new(const struct sandbox *sandbox)
{
        (void)sandbox;
        return !fails_with(syscall(SYS_io_uring_setup, 1, NULL), ENOSYS) ||
               !fails_with(syscall(460, 0, 0), ENOSYS) || !fails_with(syscall(500, 0, 0), ENOSYS) ||
               !fails_with(syscall(SYS_clone3, NULL, 0), ENOSYS) ||
               !fails_with(syscall(SYS_keyctl, 0, 0), EPERM);
}

static void what_programs_try_is_not_there(void **state)
{
        (void)state;
        EXPECT(try_what_is_new, "");
}

static int other_sockets(const struct sandbox *sandbox)
{
        static const int refused[] = {AF_PACKET, AF_ALG, AF_VSOCK, AF_BLUETOOTH, AF_X25, AF_UNSPEC};
        static const int fine[] = {AF_UNIX, AF_INET, AF_NETLINK};

        (void)sandbox;
        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
                if (!fails_with(socket(refused[i], SOCK_RAW, 0), EAFNOSUPPORT))
                        return 1;
        for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
                if (socket(fine[i], SOCK_DGRAM, 0) < 0)
                        return 2;
        return 0;
}

static void sockets_are_of_few_families(void **state)
{
        (void)state;
        EXPECT(other_sockets, "");
}

/* setuid as a call of this thread: the C library's asks all threads, and ThreadSanitizer's own has no filter. */
static int look_at_privileges(const struct sandbox *sandbox)
{
        return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_SECCOMP) != 2 ||
               syscall(SYS_setuid, 1) == 0 || sandbox->allowed < 200;
}

/* Those that docs/security.md names, and no other, of any kind: neither we nor a program that we start. */
static int look_at_capabilities(const struct sandbox *sandbox)
{
        struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2];
        unsigned count = 0;

        if (syscall(SYS_capget, &head, data) != 0)
                return 1;
        for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
                uint32_t bit = 1u << (cap % 32);
                bool kept =
                    cap == CAP_DAC_OVERRIDE || cap == CAP_DAC_READ_SEARCH || cap == CAP_FOWNER;

#ifdef OWN_DEBUGGER
                kept |= cap == CAP_SYS_PTRACE;
#endif
                count += kept;
                if ((data[cap / 32].permitted & bit) != (kept ? bit : 0) ||
                    (data[cap / 32].effective & bit) != (kept ? bit : 0) ||
                    (data[cap / 32].inheritable & bit) != 0 ||
                    (prctl(PR_CAPBSET_READ, cap) == 1) != kept)
                        return 2 + cap;
        }
        return sandbox->capabilities == count ? 0 : 1;
}

static void privileges_are_given_up(void **state)
{
        (void)state;
        EXPECT(look_at_privileges, "");
        EXPECT(look_at_capabilities, "");
}

static void *run_thread(void *arg)
{
        *(int *)arg = 1;
        return NULL;
}

/* What the server does do: threads, children, and other programs, such as give credentials. */
static int do_the_work(const struct sandbox *sandbox)
{
        pthread_t thread;
        int ran = 0;

        (void)sandbox;
        return pthread_create(&thread, NULL, run_thread, &ran) != 0 ||
               pthread_join(thread, NULL) != 0 || ran != 1 ||
               system("for i in 1 2; do echo $i | cat | grep -q $i || exit 1; done") != 0 ||
               system("python3 -c 'import json, ssl, subprocess, threading; "
                      "subprocess.check_call([\"true\"])'") != 0;
}

static void its_work_goes_on(void **state)
{
        (void)state;
        EXPECT(do_the_work, "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(other_processes_cannot_be_read),
            cmocka_unit_test(the_kernel_cannot_be_changed),
            cmocka_unit_test(nothing_is_mounted_or_entered),
            cmocka_unit_test(what_programs_try_is_not_there),
            cmocka_unit_test(sockets_are_of_few_families),
            cmocka_unit_test(privileges_are_given_up),
            cmocka_unit_test(its_work_goes_on),
        };

        return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
