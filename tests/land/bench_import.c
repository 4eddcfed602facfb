/* bench_import - stage and land many files: rate, and what it costs in objects and memory.
 *
 *      bench_import FILES SIZE [THREADS [STORE-DIRECTORY]]
 *
 * Contents are made up (text that compresses about three times) in a tree of 100 files a directory.
 * Without a directory the store is in memory. */
#include "land/land.h"

#include "core/key.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static enum hif_err make_up(struct land_reader *reader, uint64_t content, uint64_t offset,
                            void *out, size_t size)
{
        static const char *const words[] = {"static ", "int ", "return ", "struct ", "value", "(",
                                            ");\n",    "if ",  "for ",    "err",     "0x",    "\t"};
        char *at = out;
        uint64_t seed = content * 0x9e3779b97f4a7c15 + offset;

        (void)reader;
        while (size > 0) {
                const char *word;
                size_t n;
                char digits[20];

                seed = seed * 6364136223846793005 + 1442695040888963407;
                word = words[(seed >> 33) % 12];
                if ((seed >> 40) % 4 == 0) {
                        snprintf(digits, sizeof(digits), "%" PRIx64, seed >> 44);
                        word = digits;
                }
                n = strlen(word) < size ? strlen(word) : size;
                memcpy(at, word, n);
                at += n;
                size -= n;
        }
        return HIF_OK;
}

struct item {
        struct land_change change;
        struct span key;
};

static int by_key(const void *a, const void *b)
{
        return span_cmp(((const struct item *)a)->key, ((const struct item *)b)->key);
}

static void add(struct arena *arena, struct item *items, size_t *count, const char *path, bool dir,
                uint64_t size)
{
        struct item *item = &items[*count];
        struct buf key = {0};

        item->change = (struct land_change){.kind = LAND_PUT,
                                            .path = arena_span(arena, span_str(path)),
                                            .entry_kind = dir ? ENTRY_DIR : ENTRY_FILE,
                                            .size = dir ? 0 : size,
                                            .content = *count};
        key_from_path(&key, item->change.path);
        item->key = arena_span(arena, buf_span(&key));
        buf_free(&key);
        ++*count;
}

static struct land_change *tree(struct arena *arena, size_t files, uint64_t size, size_t *count)
{
        struct item *items = calloc(files + files / 100 + 2, sizeof(*items));
        struct land_change *changes = calloc(files + files / 100 + 2, sizeof(*changes));
        char path[64];

        if (!items || !changes)
                exit(1);
        for (size_t i = 0; i < files; i++) {
                if (i % 100 == 0) {
                        snprintf(path, sizeof(path), "dir%zu", i / 100);
                        add(arena, items, count, path, true, 0);
                }
                snprintf(path, sizeof(path), "dir%zu/file%zu.c", i / 100, i);
                add(arena, items, count, path, false, size);
        }
        qsort(items, *count, sizeof(*items), by_key);
        for (size_t i = 0; i < *count; i++)
                changes[i] = items[i].change;
        free(items);
        return changes;
}

static double seconds(struct env *env)
{
        return (double)env_mono_ns(env) / 1e9;
}

int main(int argc, char **argv)
{
        size_t files = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000;
        uint64_t size = argc > 2 ? strtoull(argv[2], NULL, 10) : 4096;
        size_t threads = argc > 3 ? strtoull(argv[3], NULL, 10) : 2;
        struct env env = env_system(NULL);
        struct store *store = NULL;
        struct pool *pool = NULL;
        struct project project;
        struct slot_read base;
        struct land *land = NULL;
        struct land_reader reader = {.read = make_up};
        struct land_result result;
        struct hif_why why = {.text = ""};
        struct arena arena = {0};
        size_t count = 0;
        struct land_change *changes = tree(&arena, files, size, &count);
        enum hif_err err;
        double start, staged, end;

        err = argc > 4 ? store_dir_open(&env, argv[4], true, threads, &store, &why)
                       : store_mem_new(&env, &store);
        if (err == HIF_OK)
                err = pool_new(threads, "bench", &pool);
        if (err == HIF_OK)
                err = project_create(&env, store, "bench/import", "bench", &project, &why);
        if (err == HIF_OK)
                err = project_slot(&project, 0, false, &base, &why);
        if (err != HIF_OK) {
                fprintf(stderr, "%s\n", why.text);
                return 1;
        }
        struct session session = {.state = SESSION_OPEN, .base_slot = base.hash};
        env_random(&env, session.id.bytes, SESSION_ID_SIZE);
        start = seconds(&env);
        err = land_begin(&project, &session, NULL, pool, NULL, NULL, &land);
        if (err == HIF_OK)
                err = land_stage(land, changes, count, &reader, &why);
        staged = seconds(&env);
        if (err == HIF_OK)
                err = land_commit(land, changes, count, NULL, false, &result, &why);
        end = seconds(&env);
        land_free(land);
        if (err == HIF_OK) {
                struct store_stats stats = store_stats_get(store);
                struct rusage usage;

                getrusage(RUSAGE_SELF, &usage);
                printf("%zu files of %" PRIu64 " bytes: staged in %.2f s (%.0f files/s, %.0f "
                       "MB/s), landed in %.2f s; %" PRIu64 " objects, %.1f MB stored; peak RSS "
                       "%ld MB\n",
                       files, size, staged - start, (double)files / (staged - start),
                       (double)files * (double)size / 1e6 / (staged - start), end - staged,
                       stats.requests[STORE_PUT] + stats.requests[STORE_PUT_NEW],
                       (double)stats.bytes_put / 1e6, usage.ru_maxrss / 1024);
        } else {
                fprintf(stderr, "%s\n", why.text);
        }
        slot_read_free(&base);
        pool_free(pool);
        store_close(store);
        free(changes);
        arena_free(&arena);
        return err == HIF_OK ? 0 : 1;
}
