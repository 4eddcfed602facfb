/* bench_store DIR|s3://BUCKET/PREFIX [SECONDS]: puts and gets a second of small objects, in batches
 * of 1, 64 and 1,000.
 *
 * In a directory store: by number of threads, beside what the file system gives for one file after
 * the other: create, write, fsync, and fsync of its directory. DIR is made, and removed afterwards
 * with all that is in it.
 *
 * In S3: with this process's CPU time for a request, below a prefix of its own, which stays. */
#include "store/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ftw.h>

#define BATCH_MAX   1000
#define OBJECTS_MAX 20000
#define KEY_SIZE    128

struct bench {
        struct env env;
        const char *dir;
        double seconds;
        uint8_t *body;
        size_t serial; /* of the object put next */
};

static double cpu_s(void)
{
        struct rusage usage;

        getrusage(RUSAGE_SELF, &usage);
        return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static double now_s(struct bench *bench)
{
        return (double)env_mono_ns(&bench->env) * 1e-9;
}

static void fail(const char *what, enum hif_err err)
{
        fprintf(stderr, "bench_store: %s: %s\n", what, hif_strerror(err));
        exit(1);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

/* Spread over 256 directories, as trees and packs are. */
static void key_of(size_t serial, char key[KEY_SIZE])
{
        snprintf(key, KEY_SIZE, "projects/b/b/trees/%02zx/%060zx", serial * 73 % 256, serial);
}

static double put_rate(struct bench *bench, struct store *store, size_t size, size_t batch)
{
        static struct store_req reqs[BATCH_MAX];
        static char keys[BATCH_MAX][KEY_SIZE];
        size_t count = 0;
        double start = now_s(bench);

        while (count < OBJECTS_MAX && now_s(bench) - start < bench->seconds) {
                for (size_t i = 0; i < batch; i++) {
                        key_of(bench->serial++, keys[i]);
                        memcpy(bench->body, &bench->serial, sizeof(bench->serial));
                        reqs[i] = (struct store_req){
                            .op = STORE_PUT, .key = keys[i], .body = span_of(bench->body, size)};
                }
                store_run(store, reqs, batch);
                for (size_t i = 0; i < batch; i++) {
                        if (reqs[i].result)
                                fail("put", reqs[i].result);
                }
                count += batch;
        }
        return (double)count / (now_s(bench) - start);
}

/* Of what was put last, so that it is in memory: this measures the store, not the disk. */
static double get_rate(struct bench *bench, struct store *store, size_t batch, size_t from)
{
        static struct store_req reqs[BATCH_MAX];
        static char keys[BATCH_MAX][KEY_SIZE];
        size_t count = 0, serial = from;
        double start = now_s(bench);

        while (now_s(bench) - start < bench->seconds) {
                for (size_t i = 0; i < batch; i++) {
                        key_of(serial++, keys[i]);
                        if (serial == bench->serial)
                                serial = from;
                        reqs[i] = (struct store_req){.op = STORE_GET, .key = keys[i]};
                }
                store_run(store, reqs, batch);
                for (size_t i = 0; i < batch; i++) {
                        if (reqs[i].result)
                                fail("get", reqs[i].result);
                        store_req_free(&reqs[i]);
                }
                count += batch;
        }
        return (double)count / (now_s(bench) - start);
}

static void bench_store(struct bench *bench, size_t threads)
{
        static const size_t sizes[] = {1024, 65536};
        static const size_t batches[] = {1, 64, BATCH_MAX};
        struct hif_why why = {0};
        struct store *store;

        if (store_dir_open(&bench->env, bench->dir, true, threads, &store, &why)) {
                fprintf(stderr, "bench_store: %s\n", why.text);
                exit(1);
        }
        for (size_t s = 0; s < 2; s++) {
                for (size_t b = 0; b < 3; b++) {
                        size_t from = bench->serial;
                        double puts = put_rate(bench, store, sizes[s], batches[b]);
                        double gets = get_rate(bench, store, batches[b], from);

                        printf("%7zu %6zu %7zu %12.0f %12.0f\n", threads, sizes[s], batches[b],
                               puts, gets);
                        fflush(stdout);
                }
        }
        store_close(store);
}

static void bench_s3(struct bench *bench)
{
        static const size_t sizes[] = {1024, 65536};
        static const size_t batches[] = {1, 16, 64, BATCH_MAX};
        struct hif_why why = {.text = ""};
        struct store *store;
        char url[512];

        snprintf(url, sizeof(url), "%s/bench-%016llx", bench->dir,
                 (unsigned long long)env_random_u64(&bench->env));
        if (store_open(&bench->env, url, true, &store, &why)) {
                fprintf(stderr, "bench_store: %s\n", why.text);
                exit(1);
        }
        printf("%6s %7s %10s %10s %12s %12s\n", "bytes", "batch", "puts/s", "gets/s", "CPU us/put",
               "CPU us/get");
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
                for (size_t b = 0; b < sizeof(batches) / sizeof(batches[0]); b++) {
                        size_t from = bench->serial;
                        double cpu = cpu_s(), put_cpu, puts, gets;

                        puts = put_rate(bench, store, sizes[s], batches[b]);
                        put_cpu = (cpu_s() - cpu) * 1e6 / (double)(bench->serial - from);
                        cpu = cpu_s();
                        gets = get_rate(bench, store, batches[b], from);
                        printf("%6zu %7zu %10.0f %10.0f %12.1f %12.1f\n", sizes[s], batches[b],
                               puts, gets, put_cpu,
                               (cpu_s() - cpu) * 1e6 / (gets * bench->seconds));
                        fflush(stdout);
                }
        }
        store_close(store);
}

static double plain_rate(struct bench *bench, size_t size)
{
        struct env *env = &bench->env;
        size_t count = 0;
        double start = now_s(bench);
        char path[4096];

        while (now_s(bench) - start < bench->seconds) {
                enum hif_err err;
                int fd;

                snprintf(path, sizeof(path), "%s/plain-%zu-%zu", bench->dir, size, count++);
                err = env->ops->open(env, path, O_WRONLY | O_CREAT | O_EXCL, 0644, &fd);
                if (err)
                        fail(path, err);
                err = env_write_all(env, fd, bench->body, size, 0);
                if (!err)
                        err = env->ops->fsync(env, fd);
                env->ops->close(env, fd);
                if (!err)
                        err = env_sync_dir(env, bench->dir);
                if (err)
                        fail(path, err);
        }
        return (double)count / (now_s(bench) - start);
}

int main(int argc, char **argv)
{
        static const size_t threads[] = {0, 4, 8, 16};
        struct bench bench = {.env = env_system(NULL), .seconds = 1};

        if (argc < 2 || argc > 3) {
                fprintf(stderr, "usage: bench_store DIR|s3://BUCKET/PREFIX [SECONDS]\n");
                return 2;
        }
        bench.dir = argv[1];
        if (argc == 3)
                bench.seconds = atof(argv[2]);
        bench.body = calloc(1, 65536);
        if (bench.body && strncmp(bench.dir, "s3://", 5) == 0) {
                bench_s3(&bench);
                free(bench.body);
                return 0;
        }
        if (!bench.body || mkdir(bench.dir, 0755)) {
                fprintf(stderr, "bench_store: cannot make %s: give a path that is not there yet\n",
                        bench.dir);
                return 1;
        }
        printf("plain files, one by one: %.0f/s of 1 KiB, %.0f/s of 64 KiB\n",
               plain_rate(&bench, 1024), plain_rate(&bench, 65536));
        printf("%7s %6s %7s %12s %12s\n", "threads", "bytes", "batch", "puts/s", "gets/s");
        for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++)
                bench_store(&bench, threads[i]);
        free(bench.body);
        return nftw(bench.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) ? 1 : 0;
}
