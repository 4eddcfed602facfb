/* Credentials from programs: credential_process. */
#include "remote.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_process(struct remote *r, const char *command)
{
        char text[2000];

        snprintf(text, sizeof(text), "[default]\ncredential_process = %s\n", command);
        taws_config(r->aws, text);
}

/* A program's output, with words as a shell takes them apart, and no shell. */
static void process_output_is_a_key(void **state)
{
        struct remote *r = *state;
        char command[500];

        taws_write(r->aws, "with blank",
                   "#!/bin/sh\n[ \"$1\" = 'one two' ] || exit 3\n[ \"$2\" = '$HOME' ] || exit 4\n"
                   "[ \"$3\" = 'a\"b' ] || exit 5\n[ \"$4\" = 'a b' ] || exit 6\n"
                   "[ $# = 5 ] || exit 7\n[ -z \"$(cat)\" ] || exit 8\necho noise >&2\n"
                   "echo '{\"Version\": 1, \"AccessKeyId\": \"P\", \"SecretAccessKey\":"
                   " \"" SECRET "\", \"SessionToken\": \"S\"}'\n",
                   0700);
        snprintf(command, sizeof(command), "\"%s/with blank\" 'one two' $HOME \"a\\\"b\" a\\ b ''",
                 r->aws->home);
        set_process(r, command);
        gives(r, "P", "S");
}

/* What can go wrong with it is told by the program's name, and never by what it printed. */
static void process_failures_are_told(void **state)
{
        struct remote *r = *state;

        set_process(r, "sh -c 'echo " SECRET "; echo " SECRET " >&2; exit 3'");
        refuses(r, "\"sh\" ended with exit code 3");
        set_process(r, "sh -c 'echo " SECRET "; kill -9 $$'");
        refuses(r, "\"sh\" ended with signal 9");
        set_process(r, "sh -c 'echo " SECRET "; kill -SYS $$'");
        refuses(r, "\"sh\" made a system call that the sandbox of the daemon's server refuses");
        set_process(r, "echo " SECRET);
        refuses(r, "gave no JSON object");
        set_process(r, "echo '{\"Version\": 2, \"AccessKeyId\": \"" SECRET "\"}'");
        refuses(r, "\"Version\": 1");
        set_process(r, "echo '{\"Version\": 1, \"AccessKeyId\": \"" SECRET "\"}'");
        refuses(r, "without AccessKeyId and SecretAccessKey");
        set_process(r, "echo '{\"Version\": 1, \"AccessKeyId\": \"A\", \"SecretAccessKey\":"
                       " \"" SECRET "\", \"Expiration\": \"" SECRET "\"}'");
        refuses(r, "Expiration is no time");
        set_process(r, "echo '{\"Version\": 1, \"AccessKeyId\": \"A\", \"SecretAccessKey\":"
                       " \"" SECRET "\", \"Expiration\": \"2020-01-01T00:00:00Z\"}'");
        refuses(r, "have expired");
        set_process(r, "/no/such/program " SECRET);
        refuses(r, "cannot run \"/no/such/program\"");
        set_process(r, "echo 'open " SECRET);
        refuses(r, "ends inside quotes");
        set_process(r, "''");
        refuses(r, "cannot run \"\"");
        set_process(r, "yes " SECRET);
        refuses(r, "printed more than");
}

/* As the daemon's server is, but for one call only. */
static void confine(void)
{
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

        assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* The child below starts threads although it was forked from a process with some; the daemon does not. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
        return "die_after_fork=0";
}

/* In the daemon a program may fail that works by hand: that is said. */
static void confined_process_failures_say_so(void **state)
{
        struct remote *r = *state;
        pid_t pid;
        int status;

        set_process(r, "sh -c 'exit 3'");
        refuses(r, "run it by hand to see what it says");
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                confine();
                refuses(r, "In the daemon it can gain no privileges");
                set_process(r, "unshare --uts true");
                refuses(r, "made a system call that the sandbox");
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

/* One that hangs does not keep the store from closing, and is not left behind. */
static void hanging_process_is_killed_at_the_end(void **state)
{
        struct remote *r = *state;
        struct aws_creds *creds;
        struct aws_key key = {0};
        uint64_t start;
        char command[300];
        char *pid_file = taws_path(r->aws, "pid");
        struct buf pid = {0};
        char proc[100];

        snprintf(command, sizeof(command), "sh -c 'echo $$ >%s; exec sleep 1000'", pid_file);
        set_process(r, command);
        creds = open_creds(r);
        assert_int_equal(aws_creds_peek(creds, &key, NULL), HIF_EAGAIN);
        for (int i = 0; i < 500 && access(pid_file, F_OK) != 0; i++)
                usleep(10000);
        usleep(50000);
        assert_int_equal(aws_creds_peek(creds, &key, NULL), HIF_EAGAIN);
        start = env_mono_ns(&r->aws->env);
        aws_creds_free(creds);
        assert_true(env_mono_ns(&r->aws->env) - start < UINT64_C(5000000000));
        assert_int_equal(env_read_file(&r->aws->env, pid_file, 100, &pid), HIF_OK);
        snprintf(proc, sizeof(proc), "/proc/%.*s", (int)pid.size - 1, (char *)pid.data);
        assert_int_not_equal(access(proc, F_OK), 0);
        buf_free(&pid);
        free(pid_file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, remote_setup, remote_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(process_output_is_a_key),
            TEST(process_failures_are_told),
            TEST(confined_process_failures_say_so),
            TEST(hanging_process_is_killed_at_the_end),
        };

        return cmocka_run_group_tests_name("aws_process", tests, NULL, NULL);
}
