/* hold_still PID - a process that does nothing any more, and is not stopped: as in a debugger, or a
 * deadlock. Says "held" when that is so, and lets it go on when it ends itself. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int hold(pid_t thread)
{
        int status;

        if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) != 0)
                return errno == EPERM ? 1 : 0; /* or it has ended */
        if (ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) != 0)
                return 1;
        return waitpid(thread, &status, __WALL) == thread ? 0 : 1;
}

int main(int argc, char **argv)
{
        const struct dirent *entry;
        char path[64];
        int failed = 0;
        DIR *tasks;

        if (argc != 2)
                return 2;
        snprintf(path, sizeof(path), "/proc/%d/task", atoi(argv[1]));
        tasks = opendir(path);
        if (tasks == NULL) {
                perror(path);
                return 1;
        }
        while ((entry = readdir(tasks)) != NULL)
                if (entry->d_name[0] != '.')
                        failed |= hold(atoi(entry->d_name));
        closedir(tasks);
        if (failed) {
                fprintf(stderr, "hold_still: %s\n", strerror(errno));
                return 1;
        }
        puts("held");
        fflush(stdout);
        for (;;)
                pause();
}
