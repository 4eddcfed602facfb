/* serve_tree.c - serve a synthetic tree over NFS, to measure and to try clients by hand.
 *
 *      nfs_serve_tree [-p PORT] [-o OVERLAY-DIR] [-t TOP] [-d DIRS] [-f FILES] [-s SIZE] [-b BIG]
 *
 * The base, in a memory store, holds TOP/dNNNNN/fNNNNNN: DIRS directories of FILES files of SIZE
 * bytes, and TOP/bigBIG of BIG bytes. Edits go to the overlay. The export is "/x", for everyone;
 * it ends on SIGINT or SIGTERM. */
#include "vfs/tmount.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define PATTERN_PERIOD 1048573u
#define PATTERN_SIZE   (PATTERN_PERIOD + (1u << 20))
#define BIG_KEY        (1u << 30)

struct shape {
        const char *top;
        unsigned dirs, files;
        size_t size, big;
};

/* Content is a window on one long random string, so that a misplaced block never matches. */
static uint8_t *make_pattern(void)
{
        uint8_t *pattern = malloc(PATTERN_SIZE);
        uint64_t state = 42;

        tmount_check(pattern != NULL);
        for (size_t i = 0; i < PATTERN_SIZE; i++) {
                uint64_t z = state;

                if (i >= PATTERN_PERIOD) {
                        pattern[i] = pattern[i - PATTERN_PERIOD];
                        continue;
                }
                z = state += 0x9e3779b97f4a7c15u;
                z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
                z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
                pattern[i] = (uint8_t)(z ^ (z >> 31));
        }
        return pattern;
}

static void add_file(struct tmount *m, const uint8_t *pattern, const char *path, uint64_t key,
                     size_t size)
{
        uint8_t *content = malloc(size + 1);

        tmount_check(content != NULL);
        for (size_t at = 0; at < size;) {
                size_t from = (size_t)((key * 7919 + at) % PATTERN_PERIOD);
                size_t take = size - at < (1u << 20) ? size - at : 1u << 20;

                memcpy(content + at, pattern + from, take);
                at += take;
        }
        tmount_add_file(m, path, content, size, false);
        free(content);
}

static void add_tree(struct tmount *m, const struct shape *shape)
{
        uint8_t *pattern = make_pattern();
        char path[160];

        for (unsigned dir = 0; dir < shape->dirs; dir++)
                for (unsigned file = 0; file < shape->files; file++) {
                        snprintf(path, sizeof(path), "%s/d%05u/f%06u", shape->top, dir, file);
                        add_file(m, pattern, path, dir * shape->files + file, shape->size);
                }
        if (shape->big > 0) {
                snprintf(path, sizeof(path), "%s/big%zu", shape->top, shape->big);
                add_file(m, pattern, path, BIG_KEY, shape->big);
        }
        free(pattern);
}

static size_t number(const char *text)
{
        char *end;
        unsigned long long value = strtoull(text, &end, 10);

        if (end == text || *end != '\0') {
                fprintf(stderr, "nfs_serve_tree: \"%s\" is not a number\n", text);
                exit(2);
        }
        return (size_t)value;
}

int main(int argc, char **argv)
{
        struct tmount_options options = {.real = true,
                                         .nfs = true,
                                         .listen = true,
                                         .export_path = "/x",
                                         .vfs.allow_other = true,
                                         .fetch.ram_max = 1ull << 30};
        struct shape shape = {.top = "tree", .dirs = 20, .files = 100, .size = 4096};
        struct tmount *m;
        sigset_t stop;
        int option, number_caught;

        while ((option = getopt(argc, argv, "p:o:t:d:f:s:b:")) != -1) {
                switch (option) {
                case 'p':
                        options.port = (uint16_t)number(optarg);
                        break;
                case 'o':
                        options.dir = optarg;
                        break;
                case 't':
                        shape.top = optarg;
                        break;
                case 'd':
                        shape.dirs = (unsigned)number(optarg);
                        break;
                case 'f':
                        shape.files = (unsigned)number(optarg);
                        break;
                case 's':
                        shape.size = number(optarg);
                        break;
                case 'b':
                        shape.big = number(optarg);
                        break;
                default:
                        return 2;
                }
        }
        sigemptyset(&stop);
        sigaddset(&stop, SIGINT);
        sigaddset(&stop, SIGTERM);
        sigprocmask(SIG_BLOCK, &stop, NULL);
        m = tmount_new(&options);
        add_tree(m, &shape);
        tmount_open(m);
        tmount_thread(m);
        printf("port %u export /x\n", m->port);
        fflush(stdout);
        sigwait(&stop, &number_caught);
        tmount_free(m);
        return 0;
}
