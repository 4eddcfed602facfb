/* walk_mount DIR... - look at everything below each directory, as a program would that trusts no
 * one: nothing outside is entered, no link is followed, at most 16 MiB of a file are read and 10,000
 * names of a directory. Prints a line for each thing:
 *
 *      DIR <tab> dir|file|link <tab> PATH <tab> what it holds: bytes of content, or where it leads
 *      DIR <tab> error <tab> PATH <tab> what failed, and why
 *
 * Unprintable bytes come as \ooo. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX  (16 << 20)
#define SHOWN_MAX 60
#define NAMES_MAX 10000
#define DEPTH_MAX 64

static void show(const char *bytes, size_t size)
{
        for (size_t i = 0; i < size; i++) {
                unsigned char byte = (unsigned char)bytes[i];

                if (byte < 33 || byte > 126 || byte == '\\')
                        printf("\\%03o", byte);
                else
                        putchar(byte);
        }
}

static void line(const char *top, const char *what, const char *path, const char *bytes,
                 size_t size)
{
        printf("%s\t%s\t", top, what);
        show(path, strlen(path));
        putchar('\t');
        show(bytes, size);
        putchar('\n');
}

static void failed(const char *top, const char *path, const char *call)
{
        char text[256];

        snprintf(text, sizeof(text), "%s: %s", call, strerror(errno));
        line(top, "error", path, text, strlen(text));
}

static void read_file(const char *top, int dir, const char *name, const char *path)
{
        static char bytes[READ_MAX];
        int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        size_t size = 0;
        ssize_t count = 1;

        if (fd < 0) {
                failed(top, path, "open");
                return;
        }
        while (size < READ_MAX && count > 0) {
                count = read(fd, bytes + size, READ_MAX - size);
                if (count > 0)
                        size += (size_t)count;
        }
        if (count < 0)
                failed(top, path, "read");
        if (count == 0 || size > 0)
                line(top, "file", path, bytes, size < SHOWN_MAX ? size : SHOWN_MAX);
        close(fd);
}

static void read_link(const char *top, int dir, const char *name, const char *path)
{
        char target[8192];
        ssize_t size = readlinkat(dir, name, target, sizeof(target));

        if (size < 0)
                failed(top, path, "readlink");
        else
                line(top, "link", path, target, (size_t)size);
}

static void walk(const char *top, int dir, const char *above, int depth);

static void look(const char *top, int dir, const char *name, const char *path, int depth)
{
        struct stat st;

        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
                failed(top, path, "stat");
                return;
        }
        if (S_ISLNK(st.st_mode)) {
                read_link(top, dir, name, path);
        } else if (S_ISDIR(st.st_mode)) {
                int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

                line(top, "dir", path, "", 0);
                if (fd < 0)
                        failed(top, path, "open");
                else
                        walk(top, fd, path, depth + 1);
        } else if (S_ISREG(st.st_mode)) {
                if ((st.st_mode & 07000) != 0)
                        line(top, "error", path, "EVIL mode", 9);
                read_file(top, dir, name, path);
        } else {
                line(top, "error", path, "EVIL kind of file", 17);
        }
}

/* Owns dir. */
static void walk(const char *top, int dir, const char *above, int depth)
{
        DIR *list = depth < DEPTH_MAX ? fdopendir(dir) : NULL;
        const struct dirent *entry;
        int names = 0;

        if (list == NULL) {
                failed(top, above, "opendir");
                close(dir);
                return;
        }
        while (names++ < NAMES_MAX) {
                char path[8192];

                errno = 0;
                entry = readdir(list);
                if (entry == NULL)
                        break;
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                snprintf(path, sizeof(path), "%s%s%s", above, *above ? "/" : "", entry->d_name);
                look(top, dirfd(list), entry->d_name, path, depth);
        }
        if (errno != 0)
                failed(top, above, "readdir");
        closedir(list);
}

int main(int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                int fd = open(argv[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

                if (fd < 0)
                        failed(argv[i], "", "open");
                else
                        walk(argv[i], fd, "", 0);
        }
        return fflush(stdout) == 0 ? 0 : 1;
}
