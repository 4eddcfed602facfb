/* power_load - random work in a directory, each operation noted in the trace before and after.
 *
 *      power_load work TRACE DIR SEED COUNT LEVEL [COMMAND]   COMMAND runs between the thirds of it
 *      power_load landed TRACE POSITION                       note that a landing was acknowledged
 *
 * LEVEL: process or power, which says what an answer promises. */
#include "pmodel.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static struct pmodel model;
static uint64_t state;
static int trace;
static const char *dir;

static uint64_t pick(uint64_t n)
{
        uint64_t x = state += 0x9e3779b97f4a7c15u;

        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
        x = (x ^ x >> 27) * 0x94d049bb133111ebu;
        return (x ^ x >> 31) % n;
}

static void note(struct trace_event event, const void *payload, size_t size)
{
        struct timespec now;
        struct iovec parts[2] = {{&event, sizeof(event)}, {(void *)(uintptr_t)payload, size}};

        clock_gettime(CLOCK_MONOTONIC, &now);
        event.ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        event.size = (uint32_t)size;
        if (writev(trace, parts, 2) != (ssize_t)(sizeof(event) + size))
                abort();
}

static void random_path(char out[PMODEL_PATH])
{
        unsigned at = (unsigned)pick(5);
        char parent[16];

        snprintf(parent, sizeof(parent), "d%u", at);
        if (at > 0 && pmodel_find(&model, parent) != NULL)
                snprintf(out, PMODEL_PATH, "%s/f%u", parent, (unsigned)pick(25));
        else
                snprintf(out, PMODEL_PATH, "f%u", (unsigned)pick(25));
}

/* Of a file that is there; NULL: there is none. */
static const struct pentry *random_file(void)
{
        for (size_t i = 0, from = model.count > 0 ? pick(model.count) : 0; i < model.count; i++)
                if (model.entries[(from + i) % model.count].kind == 'f')
                        return &model.entries[(from + i) % model.count];
        return NULL;
}

static bool choose(struct pop *op)
{
        const struct pentry *file = random_file();
        static uint32_t last_file;

        *op = (struct pop){.kind = POP_WRITE, .seed = pick(UINT64_MAX)};
        switch (pick(20)) {
        case 0:
        case 1:
        case 2:
        case 3:
                op->kind = POP_CREATE;
                op->file = ++last_file;
                random_path(op->path);
                return pmodel_find(&model, op->path) == NULL;
        case 4:
                op->kind = POP_MKDIR;
                snprintf(op->path, sizeof(op->path), "d%u", (unsigned)pick(5));
                return pmodel_find(&model, op->path) == NULL;
        case 5:
                op->kind = POP_SYMLINK;
                random_path(op->path);
                snprintf(op->path2, sizeof(op->path2), "target-%u", (unsigned)pick(1000));
                return pmodel_find(&model, op->path) == NULL;
        default:
                break;
        }
        if (file == NULL)
                return false;
        snprintf(op->path, sizeof(op->path), "%s", file->path);
        op->file = file->file;
        switch (pick(16)) {
        case 0:
                op->kind = POP_UNLINK;
                return true;
        case 1:
        case 2:
                op->kind = POP_RENAME;
                random_path(op->path2);
                file = pmodel_find(&model, op->path2);
                return strcmp(op->path, op->path2) != 0 && (file == NULL || file->kind == 'f');
        case 3:
                op->kind = POP_TRUNCATE;
                op->size = pick(file->size + 100);
                return true;
        case 4:
                op->kind = POP_CHMOD;
                op->size = pick(2) == 0 ? 0755 : 0600;
                return true;
        case 5:
        case 6:
                op->kind = POP_FSYNC;
                return true;
        case 7:
                op->offset = pick(150000);
                op->size = 1 + pick(20000);
                return true;
        default:
                op->offset = pick(file->size + 1);
                op->size = 1 + pick(pick(4) == 0 ? 9000 : 300);
                return true;
        }
}

static int write_file(const char *path, const struct pop *op)
{
        uint8_t bytes[32768];
        int fd = open(path, O_WRONLY), rc;

        for (uint64_t i = 0; i < op->size; i++)
                bytes[i] = pop_byte(op, i);
        rc =
            fd >= 0 && pwrite(fd, bytes, op->size, (off_t)op->offset) == (ssize_t)op->size ? 0 : -1;
        if (fd >= 0)
                close(fd);
        return rc;
}

static int run(const struct pop *op)
{
        char path[512], path2[512];
        int fd, rc;

        snprintf(path, sizeof(path), "%s/%s", dir, op->path);
        snprintf(path2, sizeof(path2), "%s/%s", dir, op->path2);
        switch ((enum pop_kind)op->kind) {
        case POP_CREATE:
                fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
                return fd < 0 ? -1 : close(fd);
        case POP_WRITE:
                return write_file(path, op);
        case POP_TRUNCATE:
                return truncate(path, (off_t)op->size);
        case POP_RENAME:
                return rename(path, path2);
        case POP_UNLINK:
                return unlink(path);
        case POP_MKDIR:
                return mkdir(path, 0755);
        case POP_SYMLINK:
                return symlink(op->path2, path);
        case POP_CHMOD:
                return chmod(path, (mode_t)op->size);
        case POP_FSYNC:
                fd = open(path, O_RDWR);
                rc = fd < 0 ? -1 : fsync(fd);
                if (fd >= 0)
                        close(fd);
                return rc;
        }
        return -1;
}

static void work(uint64_t number, bool power)
{
        struct pop op;
        bool stable;

        while (!choose(&op))
                ;
        stable = power || op.kind == POP_FSYNC ||
                 (op.kind == POP_RENAME && pmodel_find(&model, op.path2) != NULL);
        note((struct trace_event){.kind = TRACE_OP_BEGIN, .a = number}, &op, sizeof(op));
        if (run(&op) != 0) {
                fprintf(stderr, "power_load: operation %llu (kind %u) on %s: %s\n",
                        (unsigned long long)number, op.kind, op.path, strerror(errno));
                exit(1);
        }
        note((struct trace_event){.kind = TRACE_OP_END, .a = number, .b = 1, .c = stable}, NULL, 0);
        pmodel_apply(&model, &op);
        if (pick(3) == 0)
                usleep((useconds_t)pick(4000));
}

int main(int argc, char **argv)
{
        uint64_t count;

        if (argc < 4 || (trace = open(argv[2], O_WRONLY | O_APPEND)) < 0) {
                fprintf(stderr, "usage: power_load work|landed TRACE ...\n");
                return 2;
        }
        if (strcmp(argv[1], "landed") == 0) {
                note((struct trace_event){.kind = TRACE_LANDED, .a = strtoull(argv[3], NULL, 10)},
                     NULL, 0);
                return 0;
        }
        if (argc < 7)
                return 2;
        dir = argv[3];
        state = strtoull(argv[4], NULL, 10);
        count = strtoull(argv[5], NULL, 10);
        for (uint64_t i = 0; i < count; i++) {
                if (argc > 7 && i > 0 && i % (count / 3) == 0 && system(argv[7]) != 0) {
                        fprintf(stderr, "power_load: '%s' failed\n", argv[7]);
                        return 1;
                }
                work(i, strcmp(argv[6], "power") == 0);
        }
        pmodel_free(&model);
        return 0;
}
