#include "death.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One of a process, as the functions that it stands before are. left 0: nobody is to die. */
static struct {
        atomic_long left;
        char died[PATH_MAX];
} death;

/* How many calls may go by; 0: another file. */
static long calls_for(const char *path)
{
        const char *text = getenv("HIF_FAULT_DIE"), *name = strrchr(path, '/');
        const char *colon = text != NULL ? strchr(text, ':') : NULL;

        name = name != NULL ? name + 1 : path;
        if (colon == NULL || strlen(name) != (size_t)(colon - text) ||
            memcmp(name, text, (size_t)(colon - text)) != 0)
                return 0;
        return atol(colon + 1);
}

void death_opening(const char *path, int flags)
{
        long left = (flags & O_CREAT) != 0 ? calls_for(path) : 0;

        if (left <= 0)
                return;
        snprintf(death.died, sizeof(death.died), "%s.died", path);
        if (syscall(SYS_faccessat, AT_FDCWD, death.died, F_OK) != 0)
                death.left = left;
}

void death_removing(const char *path)
{
        if (death.left > 0 && calls_for(path) > 0)
                death.left = 0;
}

void death_point(const char *call)
{
        long fd;

        if (death.left == 0 || atomic_fetch_sub(&death.left, 1) != 1)
                return;
        fd = syscall(SYS_openat, AT_FDCWD, death.died, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        (void)syscall(SYS_write, fd, call, strlen(call));
        (void)syscall(SYS_kill, getpid(), SIGKILL);
        pause();
}
