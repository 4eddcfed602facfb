/* lock_holder.h - another process has the lock of a file, and dies a little later. */
#ifndef HIF_TESTS_BASE_LOCK_HOLDER_H
#define HIF_TESTS_BASE_LOCK_HOLDER_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* It has the lock by now. removes: the file goes just before it dies. */
static inline pid_t lock_holder_start(const char *path, bool removes)
{
        int ready[2];
        char byte;
        pid_t pid;

        assert_int_equal(pipe(ready), 0);
        pid = fork();
        if (pid == 0) {
                int fd = open(path, O_RDWR);
                bool holds = fd >= 0 && flock(fd, LOCK_EX) == 0 && write(ready[1], "h", 1) == 1;

                usleep(200000);
                if (removes)
                        (void)!unlink(path);
                _exit(holds ? 0 : 1);
        }
        assert_true(pid > 0);
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return pid;
}

static inline void lock_holder_end(pid_t pid)
{
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

#endif
