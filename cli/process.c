#include "cli/process.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCKS_MAX   (1u << 20)
#define THREADS_MAX 1024

pid_t process_of_socket(int fd)
{
        struct ucred peer = {0};
        socklen_t size = sizeof(peer);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

/* 1: FLOCK  ADVISORY  WRITE 4711 00:1f:1234 0 EOF */
pid_t process_of_lock(struct env *env, const char *path)
{
        AUTO_BUF struct buf text = {0};
        char inode[64], *line, *save = NULL;
        struct stat st;
        int owner = 0;

        if (stat(path, &st) != 0 || env_read_file(env, "/proc/locks", LOCKS_MAX, &text) != HIF_OK)
                return 0;
        buf_put_u8(&text, '\0');
        if (buf_failed(&text))
                return 0;
        snprintf(inode, sizeof(inode), ":%llu 0 EOF", (unsigned long long)st.st_ino);
        for (line = strtok_r((char *)text.data, "\n", &save); line != NULL;
             line = strtok_r(NULL, "\n", &save))
                if (strstr(line, inode) != NULL)
                        (void)sscanf(line, "%*s FLOCK %*s %*s %d", &owner);
        return owner;
}

/* The letter of proc_pid_stat(5); 0: there is no such process. */
static char state_in(const char *path)
{
        char text[512], *end;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t size = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

        if (fd >= 0)
                close(fd);
        if (size <= 0)
                return 0;
        text[size] = '\0';
        end = strrchr(text, ')'); /* a name may hold one, too */
        return end != NULL && end[1] == ' ' ? end[2] : 0;
}

bool process_stopped(pid_t pid)
{
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        return pid > 0 && state_in(path) == 'T';
}

bool process_busy(pid_t pid)
{
        char path[64];
        const struct dirent *entry;
        bool busy = false;
        DIR *tasks;

        snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
        tasks = pid > 0 ? opendir(path) : NULL;
        if (tasks == NULL)
                return false;
        for (int i = 0; i < THREADS_MAX && !busy && (entry = readdir(tasks)) != NULL; i++) {
                char task[sizeof(path) + sizeof(entry->d_name) + 8];

                snprintf(task, sizeof(task), "%s/%s/stat", path, entry->d_name);
                busy = entry->d_name[0] != '.' && state_in(task) == 'R';
        }
        closedir(tasks);
        return busy;
}

bool process_waits(pid_t pid, uint64_t *turns)
{
        char path[64], text[4096];
        const char *state, *own, *forced;
        ssize_t size;
        int fd;

        snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        size = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
        if (fd >= 0)
                close(fd);
        if (size <= 0)
                return false;
        text[size] = '\0';
        state = strstr(text, "\nState:\t");
        own = strstr(text, "\nvoluntary_ctxt_switches:\t");
        forced = strstr(text, "\nnonvoluntary_ctxt_switches:\t");
        if (state == NULL || own == NULL || forced == NULL)
                return false;
        *turns = strtoull(strchr(own, '\t'), NULL, 10) + strtoull(strchr(forced, '\t'), NULL, 10);
        return state[8] != 'R';
}
