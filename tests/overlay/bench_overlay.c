/* bench_overlay DIR - what the overlay costs on the real machine: CPU time of the calling thread
 * and wall time an operation. DIR is created and left behind. */
#include "base/cleanup.h"
#include "core/nodeid.h"
#include "overlay/overlay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bench {
        struct env env;
        struct pool *pool;
        struct overlay *overlay;
        char dir[256];
        double cpu, wall;
};

static double now(clockid_t clock)
{
        struct timespec t;

        clock_gettime(clock, &t);
        return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void must(enum hif_err err, const char *what)
{
        if (err == HIF_OK)
                return;
        fprintf(stderr, "bench_overlay: %s: %s\n", what, hif_strerror(err));
        exit(1);
}

static void start(struct bench *b)
{
        b->cpu = now(CLOCK_THREAD_CPUTIME_ID);
        b->wall = now(CLOCK_MONOTONIC);
}

static void stop(struct bench *b, const char *what, size_t count)
{
        double cpu = (now(CLOCK_THREAD_CPUTIME_ID) - b->cpu) / (double)count;
        double wall = (now(CLOCK_MONOTONIC) - b->wall) / (double)count;

        printf("%-42s %9zu  %8.3f us CPU  %8.3f us wall  %9.0f /s\n", what, count, cpu, wall,
               1e6 / wall);
}

static double open_overlay(struct bench *b)
{
        struct overlay_config config = {0};
        struct hif_why why;
        double from = now(CLOCK_MONOTONIC);

        must(overlay_open(&b->env, b->pool, b->dir, &config, &b->overlay, &why), "open");
        return (now(CLOCK_MONOTONIC) - from) / 1e3;
}

static uint64_t spread(uint64_t i)
{
        i *= 0x9e3779b97f4a7c15ull;
        return (i ^ i >> 31) >> 4;
}

/* What CREATE does: one node, its directory, one entry, one operation, one reply. */
static uint64_t create(struct bench *b, uint64_t dir, size_t i)
{
        struct otx *tx = otx_begin(b->overlay);
        uint64_t id = overlay_new_id(b->overlay), seq;
        struct hif_time time = {1700000000, (uint32_t)i % 1000000000};
        struct onode *node = otx_node(tx, id);
        struct onode *parent;
        struct odirent row = {.dir = dir, .hash60 = spread(i), .child = id};
        struct overlay_reply reply = {.key = spread(i) * 31, .xid = (uint32_t)i, .proc = 8};
        char path[64];
        int size =
            snprintf(path, sizeof(path), "src/module/d%llu/file-%zu.c", (unsigned long long)dir, i);

        row.name =
            span_of(strrchr(path, '/') + 1, (size_t)size - (size_t)(strrchr(path, '/') + 1 - path));
        reply.node = id;
        node->kind = ONODE_FILE;
        node->flags = ONODE_PLACED | ONODE_ATTRS | ONODE_CONTENT;
        node->mode = 0644;
        node->uid = node->gid = 1000;
        node->nlink = 1;
        node->atime = node->mtime = node->ctime = time;
        node->parent = dir;
        node->name = row.name;
        parent = otx_node(tx, dir);
        parent->kind = ONODE_DIR;
        parent->mtime = parent->ctime = time;
        otx_dirent_put(tx, &row);
        otx_op(tx,
               &(struct session_op){.kind = SESSION_CREATE, .path = span_of(path, (size_t)size)});
        otx_reply(tx, &reply);
        must(otx_commit(tx, &seq), "create");
        if (i % 32 == 0)
                overlay_kick(b->overlay);
        return id;
}

/* Remove what create made: one entry, one node, its directory, one operation, one reply. */
static void remove_one(struct bench *b, uint64_t dir, uint64_t id, size_t i)
{
        struct otx *tx = otx_begin(b->overlay);
        struct onode *parent = otx_node(tx, dir);
        struct overlay_reply reply = {.key = spread(i) * 37, .xid = (uint32_t)i, .proc = 12};
        const struct onode *node = overlay_node(b->overlay, id);
        uint64_t seq;

        parent->mtime.nsec = parent->ctime.nsec = (uint32_t)i % 1000000000;
        otx_dirent_del(tx, dir, spread(i), node->name);
        otx_node_del(tx, id);
        otx_op(tx, &(struct session_op){.kind = SESSION_DELETE, .path = node->name});
        otx_reply(tx, &reply);
        must(otx_commit(tx, &seq), "remove");
        if (i % 32 == 0)
                overlay_kick(b->overlay);
}

/* Once more what was done before, in memory that the process has by now. */
static void bench_warm(struct bench *b, uint64_t first)
{
        uint64_t seq = overlay_seq(b->overlay);
        struct otx *tx;

        start(b);
        for (size_t i = 0; i < 100000; i++)
                remove_one(b, 1 + i / 1000, first + i, i);
        stop(b, "remove", 100000);
        tx = otx_begin(b->overlay);
        otx_ops_drop(tx, overlay_seq(b->overlay));
        must(otx_commit(tx, &seq), "drop");
        start(b);
        for (size_t i = 0; i < 100000; i++)
                create(b, 1 + i / 1000, i);
        stop(b, "create, in memory used before", 100000);
}

static void bench_setattr(struct bench *b, uint64_t first, size_t count)
{
        uint64_t seq;

        start(b);
        for (size_t i = 0; i < count; i++) {
                struct otx *tx = otx_begin(b->overlay);
                struct onode *node = otx_node(tx, first + i % 10000);

                node->mtime.nsec = node->ctime.nsec = (uint32_t)i;
                must(otx_commit(tx, &seq), "setattr");
        }
        stop(b, "setattr (times)", count);
}

static void bench_write(struct bench *b, const char *what, uint64_t first, size_t files,
                        size_t writes, size_t size)
{
        AUTO_FREE uint8_t *data = malloc(size);
        uint64_t seq;

        memset(data, 'x', size);
        start(b);
        for (size_t i = 0; i < files; i++)
                for (size_t j = 0; j < writes; j++) {
                        struct otx *tx = otx_begin(b->overlay);
                        struct onode *node = otx_node(tx, first + i);

                        node->mtime.nsec = node->ctime.nsec = (uint32_t)(i + j);
                        must(overlay_write(tx, first + i, j * size, span_of(data, size)), "write");
                        must(otx_commit(tx, &seq), "write");
                        if (j % 32 == 0)
                                overlay_kick(b->overlay);
                }
        stop(b, what, files * writes);
}

static void bench_read(struct bench *b, uint64_t first, size_t count)
{
        uint8_t data[4096];
        struct opiece piece;

        start(b);
        for (size_t i = 0; i < count; i++) {
                const struct onode *node = overlay_node(b->overlay, first + i);

                if (overlay_pieces(node, 0, sizeof(data), &piece, 1) == 1)
                        must(overlay_read(b->overlay, &piece, true, data), "read");
        }
        stop(b, "read 4 KiB", count);
}

static void bench_dirents(struct bench *b, size_t dirs, size_t count)
{
        size_t found = 0, listed = 0;

        start(b);
        for (size_t i = 0; i < 1000000; i++) {
                size_t k = (i * 7919) % count;

                found += overlay_dirent_seek(b->overlay, 100 + k % dirs, spread(k),
                                             (struct span){0}) != NULL;
        }
        stop(b, "dirent seek", 1000000);
        start(b);
        for (size_t dir = 0; dir < dirs; dir++) {
                const struct odirent *row =
                    overlay_dirent_seek(b->overlay, 100 + dir, 0, (struct span){0});

                for (; row != NULL; row = overlay_dirent_next(b->overlay, row))
                        listed++;
        }
        stop(b, "dirent next", listed);
        if (found != 1000000 || listed != count)
                printf("found %zu, listed %zu\n", found, listed);
}

/* Insert and delete in a directory of 100,000. */
static void bench_churn(struct bench *b, size_t count)
{
        uint64_t seq;

        for (size_t i = 0; i < 100000; i++)
                create(b, 50, i);
        start(b);
        for (size_t i = 0; i < count; i++) {
                struct otx *tx = otx_begin(b->overlay);
                struct odirent row = {.dir = 50, .hash60 = spread(i + 5000000), .child = 9};

                row.name = span_str("churn");
                otx_dirent_put(tx, &row);
                must(otx_commit(tx, &seq), "put");
                tx = otx_begin(b->overlay);
                otx_dirent_del(tx, 50, row.hash60, row.name);
                must(otx_commit(tx, &seq), "del");
                if (i % 32 == 0)
                        overlay_kick(b->overlay);
        }
        stop(b, "dirent put + del among 100,000", count);
}

int main(int argc, char **argv)
{
        struct bench b = {.env = env_system(NULL)};
        uint64_t first = 0, seq;
        double ms;

        if (argc != 2 || argv[1][0] != '/' || strlen(argv[1]) > 200) {
                fprintf(stderr, "usage: bench_overlay /DIR\n");
                return 2;
        }
        must(pool_new(1, "bench", &b.pool), "pool");
        snprintf(b.dir, sizeof(b.dir), "%s/creates", argv[1]);
        printf("open empty: %.1f ms\n", open_overlay(&b));
        start(&b);
        for (size_t i = 0; i < 100000; i++) {
                uint64_t id = create(&b, 1 + i / 1000, i);

                if (i == 0)
                        first = id;
        }
        stop(&b, "create", 100000);
        printf("open, 100,000 creates not folded: ");
        fflush(stdout);
        {
                /* As after a kill: the old one keeps its lock, so the copy is opened. */
                char command[1024];

                must(overlay_sync_wait(b.overlay, overlay_seq(b.overlay)), "sync");
                snprintf(command, sizeof(command), "rm -rf %s2; cp -r %s %s2", b.dir, b.dir, b.dir);
                if (system(command) != 0)
                        return 1;
                struct bench copy = b;

                memcpy(copy.dir + strlen(copy.dir), "2", 2);
                ms = open_overlay(&copy);
                printf("%.1f ms\n", ms);
                overlay_close(copy.overlay);
        }
        bench_warm(&b, first);
        first += 100000;
        bench_setattr(&b, first, 200000);
        bench_write(&b, "write 4 KiB, one a file", first, 50000, 1, 4096);
        bench_read(&b, first, 50000);
        bench_write(&b, "write 4 KiB, rewriting", first, 50000, 1, 4096);
        bench_write(&b, "write 4 KiB, sequential, 16 MiB files", first, 8, 4096, 4096);
        bench_write(&b, "write 64 KiB, sequential, 16 MiB files", first + 100, 8, 256, 65536);
        bench_write(&b, "write 200 bytes, appending", first + 200, 1000, 20, 200);
        bench_churn(&b, 100000);
        start(&b);
        must(overlay_sync_wait(b.overlay, overlay_seq(b.overlay)), "sync");
        stop(&b, "sync of what was left", 1);
        start(&b);
        for (size_t i = 0; i < 1000; i++) {
                create(&b, 7, 10000000 + i);
                must(overlay_sync_wait(b.overlay, overlay_seq(b.overlay)), "sync");
        }
        stop(&b, "create and sync, one by one", 1000);
        start(&b);
        overlay_close(b.overlay);
        stop(&b, "close (folds)", 1);
        ms = open_overlay(&b);
        printf("open, all folded: %.1f ms, %llu nodes, %llu entries\n", ms,
               (unsigned long long)overlay_stats(b.overlay).nodes,
               (unsigned long long)overlay_stats(b.overlay).dirents);
        overlay_close(b.overlay);

        snprintf(b.dir, sizeof(b.dir), "%s/million", argv[1]);
        open_overlay(&b);
        start(&b);
        for (size_t i = 0; i < 1000000; i++) {
                struct otx *tx = otx_begin(b.overlay);
                struct odirent row = {.dir = 100 + i % 1000, .hash60 = spread(i), .child = i + 2};
                char name[32];

                row.name = span_of(name, (size_t)snprintf(name, sizeof(name), "file-%zu.c", i));
                otx_dirent_put(tx, &row);
                must(otx_commit(tx, &seq), "dirent");
                if (i % 32 == 0)
                        overlay_kick(b.overlay);
        }
        stop(&b, "dirent put, 1,000 directories", 1000000);
        bench_dirents(&b, 1000, 1000000);
        start(&b);
        overlay_close(b.overlay);
        stop(&b, "close (folds)", 1);
        printf("open, 1,000,000 entries folded: %.1f ms\n", open_overlay(&b));
        overlay_close(b.overlay);
        pool_free(b.pool);
        return 0;
}
