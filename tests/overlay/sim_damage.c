/* sim_damage - files of an overlay are damaged at random: bits flipped, ranges overwritten, files cut
 * and removed. Opening then either shows everything that was synced or says what is damaged; what is
 * damaged can be opened for reading, listed and read, and nothing crashes.
 *
 *      sim_damage [--seeds FROM:TO] [-v]
 *
 * Without the lock file, which says what has to be there, a file that has gone may not be missed.
 * Bytes of content have no checksum: a flipped bit in a data file shows, as on any file system. */
#include "base/simenv.h"
#include "core/nodeid.h"
#include "tests/overlay/count_ops.h"
#include "vfs/export.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIR       "/home/agent/overlay"
#define FILES_MAX 64
#define NAMES_MAX 400

struct run {
        unsigned long long seed;
        struct simenv *sim;
        struct env *env;
        struct pool *pool;
        struct overlay *overlay;
        unsigned names; /* made, and on disk */
        char files[FILES_MAX][64];
        size_t file_count;
        const char *damaged; /* the file */
        bool blind; /* the lock file, which says what has to be there, is damaged as well */
};

static void bad(const struct run *run, const char *what)
{
        fprintf(stderr, "sim_damage: seed %llu: %s (damage in %s)\n", run->seed, what,
                run->damaged != NULL ? run->damaged : "nothing");
        exit(1);
}

static uint64_t pick(struct run *run, uint64_t n)
{
        return simenv_rand(run->sim) % n;
}

/* --- an overlay with something in every file --- */

static void boot(struct run *run)
{
        int fd;

        if (env_mkdirs(run->env, "/proc/sys/kernel/random", 0755) != HIF_OK ||
            run->env->ops->open(run->env, "/proc/sys/kernel/random/boot_id", O_RDWR | O_CREAT, 0644,
                                &fd) != HIF_OK ||
            env_write_all(run->env, fd, &run->seed, sizeof(run->seed), 0) != HIF_OK)
                abort();
        run->env->ops->close(run->env, fd);
}

static void make(struct run *run, unsigned n)
{
        struct otx *tx = otx_begin(run->overlay);
        uint64_t id = overlay_new_id(run->overlay), seq;
        struct onode *node = otx_node(tx, id);
        static uint8_t bytes[80000];
        size_t size = n % 50 == 7 ? sizeof(bytes) : 1 + pick(run, 300);
        char name[16];

        snprintf(name, sizeof(name), "n%u", n);
        memset(bytes, (int)n, size);
        node->kind = ONODE_FILE;
        node->flags = ONODE_PLACED | ONODE_ATTRS | ONODE_CONTENT;
        node->mode = 0644;
        node->nlink = 1;
        node->parent = NODEID_ROOT;
        node->name = span_str(name);
        otx_dirent_put(tx,
                       &(struct odirent){
                           .dir = NODEID_ROOT, .hash60 = n, .name = span_str(name), .child = id});
        otx_op(tx, &(struct session_op){.kind = SESSION_CREATE, .path = span_str(name)});
        otx_value(tx, name, span_str("value"));
        if (overlay_write(tx, id, 0, span_of(bytes, size)) != HIF_OK ||
            otx_commit(tx, &seq) != HIF_OK)
                abort();
}

static void sync_now(struct run *run)
{
        if (overlay_sync_wait(run->overlay, overlay_seq(run->overlay)) != HIF_OK)
                abort();
}

static enum hif_err open_it(struct run *run, struct hif_why *why)
{
        struct overlay_config config = {
            .serial = true, .log_segment_bytes = 16384, .data_segment_bytes = 65536};

        return overlay_open(run->env, run->pool, DIR, &config, &run->overlay, why);
}

/* Ends as a killed process does, or closed; a mark says of all names that they were synced. */
static void build(struct run *run)
{
        struct hif_why why = {""};
        unsigned count = 20 + (unsigned)pick(run, NAMES_MAX - 20);
        bool fold = pick(run, 2) == 0;

        boot(run);
        if (open_it(run, &why) != HIF_OK)
                bad(run, why.text);
        for (unsigned i = 0; i < count; i++) {
                make(run, i);
                if (i % 40 == 39) {
                        sync_now(run);
                        if (fold)
                                pool_drain(run->pool);
                }
        }
        run->names = count;
        sync_now(run);
        make(run, count);
        sync_now(run);
        make(run, count + 1);
        if (pick(run, 3) == 0) {
                overlay_close(run->overlay);
        } else {
                simenv_crash_at(run->sim, 1);
                overlay_close(run->overlay);
        }
        run->overlay = NULL;
        simenv_process_kill(run->sim);
}

/* --- damage --- */

static const char *folder;

static bool note_file(void *arg, const char *name)
{
        struct run *run = arg;

        if (run->file_count < FILES_MAX)
                snprintf(run->files[run->file_count++], sizeof(run->files[0]), "%s%s", folder,
                         name);
        return true;
}

static void list_files(struct run *run)
{
        run->file_count = 0;
        folder = DIR "/log/";
        (void)!run->env->ops->list(run->env, DIR "/log", note_file, run);
        folder = DIR "/data/";
        (void)!run->env->ops->list(run->env, DIR "/data", note_file, run);
        folder = DIR "/";
        (void)!run->env->ops->list(run->env, DIR, note_file, run);
}

static void damage_bytes(struct run *run, const char *path, uint64_t size)
{
        uint8_t bytes[512];
        uint64_t at = pick(run, size);
        size_t count = pick(run, 2) == 0 ? 1 : 1 + pick(run, sizeof(bytes)), got = 0;
        int fd;

        if (run->env->ops->open(run->env, path, O_RDWR, 0, &fd) != HIF_OK)
                abort();
        if (count > size - at)
                count = (size_t)(size - at);
        if (run->env->ops->pread(run->env, fd, bytes, count, at, &got) != HIF_OK || got == 0)
                abort();
        if (got == 1)
                bytes[0] ^= (uint8_t)(1u << pick(run, 8));
        else
                for (size_t i = 0; i < got; i++)
                        bytes[i] = (uint8_t)simenv_rand(run->sim);
        if (env_write_all(run->env, fd, bytes, got, at) != HIF_OK)
                abort();
        run->env->ops->close(run->env, fd);
}

static void damage_one(struct run *run)
{
        const char *path = run->files[pick(run, run->file_count)];
        struct stat st;
        int fd;

        if (run->env->ops->stat(run->env, path, &st) != HIF_OK || !S_ISREG(st.st_mode))
                return;
        run->damaged = path;
        run->blind |= strcmp(path, DIR "/lock") == 0;
        switch (st.st_size == 0 ? 0 : pick(run, 4)) {
        case 0:
                if (run->env->ops->unlink(run->env, path) != HIF_OK)
                        abort();
                return;
        case 1:
                if (run->env->ops->open(run->env, path, O_RDWR, 0, &fd) != HIF_OK ||
                    run->env->ops->ftruncate(run->env, fd, pick(run, (uint64_t)st.st_size)) !=
                        HIF_OK)
                        abort();
                run->env->ops->close(run->env, fd);
                return;
        default:
                damage_bytes(run, path, (uint64_t)st.st_size);
        }
}

/* --- what is seen of it --- */

static bool lookup(struct run *run, unsigned n)
{
        const struct odirent *row;
        const struct onode *node;
        char name[16];

        snprintf(name, sizeof(name), "n%u", n);
        row = overlay_dirent(run->overlay, NODEID_ROOT, n, span_str(name));
        node = row != NULL ? overlay_node(run->overlay, row->child) : NULL;
        return node != NULL && node->kind == ONODE_FILE && span_eq(node->name, span_str(name)) &&
               overlay_value(run->overlay, name).size == 5;
}

static void check_whole(struct run *run)
{
        for (unsigned i = 0; i < run->names && !run->blind; i++)
                if (!lookup(run, i))
                        bad(run, "opened, and something that was synced is not there");
        if (count_ops(run->overlay) < run->names && !run->blind)
                bad(run, "opened, and operations are missing");
}

/* Everything that can be asked of one that was opened for reading. */
static size_t look_through(struct run *run)
{
        struct vfs_export export;
        uint8_t bytes[4096];
        size_t readable = 0;

        if (vfs_export_take(run->overlay, &export) != HIF_OK)
                bad(run, "cannot be listed");
        for (size_t i = 0; i < export.count; i++) {
                const struct vfs_export_item *item = &export.items[i];
                size_t size =
                    item->content.size < sizeof(bytes) ? (size_t)item->content.size : sizeof(bytes);

                if (item->kind == VFS_EXPORT_FILE &&
                    vfs_export_read(&export, NULL, item, 0, bytes, size) == HIF_OK)
                        readable++;
        }
        vfs_export_free(&export);
        return readable;
}

static size_t salvage(struct run *run)
{
        struct hif_why why = {""};
        struct otx *tx;
        uint64_t seq;
        size_t damage, readable;

        if (overlay_open_salvage(run->env, run->pool, DIR, &run->overlay, &why) != HIF_OK)
                bad(run, why.text);
        damage = overlay_damage_count(run->overlay);
        if (damage == 0)
                bad(run, "is refused, and then not damaged");
        readable = look_through(run);
        tx = otx_begin(run->overlay);
        otx_value(tx, "written", span_str("x"));
        if (otx_commit(tx, &seq) != HIF_EROFS)
                bad(run, "can be written to, though it is damaged");
        overlay_kick(run->overlay);
        overlay_close(run->overlay);
        /* Nothing has changed: it is found once more as it was. */
        if (overlay_open_salvage(run->env, run->pool, DIR, &run->overlay, &why) != HIF_OK ||
            overlay_damage_count(run->overlay) != damage || look_through(run) != readable)
                bad(run, "is found otherwise the second time");
        overlay_close(run->overlay);
        return readable;
}

static void run_seed(unsigned long long seed, bool verbose)
{
        struct run run = {.seed = seed, .sim = simenv_new(seed)};
        struct hif_why why = {""};
        size_t readable = 0;
        enum hif_err err;

        if (run.sim == NULL || pool_new(0, "test", &run.pool) != HIF_OK)
                abort();
        run.env = simenv_env(run.sim);
        build(&run);
        list_files(&run);
        for (uint64_t i = pick(&run, 4) == 0 ? 3 : 1; i > 0; i--)
                damage_one(&run);
        err = open_it(&run, &why);
        if (err == HIF_OK) {
                check_whole(&run);
                look_through(&run);
                overlay_close(run.overlay);
        } else if (err == HIF_ECORRUPT) { /* nothing fails here: all that is wrong is damage */
                readable = salvage(&run);
        } else {
                bad(&run, why.text);
        }
        if (verbose)
                printf("seed %llu: %s: %s, %zu of %u files readable\n", seed,
                       run.damaged != NULL ? run.damaged : "-", err == HIF_OK ? "whole" : why.text,
                       readable, run.names + 2);
        pool_free(run.pool);
        simenv_free(run.sim);
}

int main(int argc, char **argv)
{
        unsigned long long from = 1, to = 20;
        bool verbose = false;

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc &&
                    sscanf(argv[i + 1], "%llu:%llu", &from, &to) == 2) {
                        i++;
                } else if (strcmp(argv[i], "-v") == 0) {
                        verbose = true;
                } else {
                        fprintf(stderr, "usage: sim_damage [--seeds FROM:TO] [-v]\n");
                        return 2;
                }
        }
        for (unsigned long long seed = from; seed <= to; seed++)
                run_seed(seed, verbose);
        printf("sim_damage: seeds %llu:%llu passed\n", from, to);
        return 0;
}
