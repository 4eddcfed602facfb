/* bench_land - landings a second of one project, with many writers, on any store.
 *
 *      bench_land [--store URL] [--latency MS] [--writers 8] [--seconds 10] [--epochs | --proposals]
 *                 [--large FILES]
 *
 * Each writer lands one small file after the other, on top of what it landed before, with a cache
 * of tree nodes as a daemon has. Alone with the store; or with --epochs through one queue, as the sessions of one daemon do; or through
 * --proposals, as writers on many machines do. --store: default
 * $HIF_TEST_S3, else a new directory. --latency: S3 through a proxy that adds it to each request.
 * --large: once the writers are at work, one more landing of so many files; ends when it is in. */
#include "core/key.h"
#include "fetch/fetch.h"
#include "land/queue.h"
#include "s3/impatient.h"
#include "s3/s3fault.h"

#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITERS_MAX  256
#define LANDINGS_MAX 1000000
#define FILES_A_DIR  100
#define TEXT_MAX     64

/* Nodes that a machine has: a daemon with all its sessions, else each writer. */
struct cache {
        struct fetch *fetch;
        struct fetch_origin *origin;
};

struct bench {
        struct env env;
        struct store *store;
        struct project project;
        struct land_queue *queue; /* NULL: without epochs */
        struct cache shared;      /* the daemon's, with epochs */
        struct fetch_nodes queue_nodes;
        struct fetch_nodes_made queue_made;
        struct pool *pool;
        struct s3fault *proxy;
        const char *url;
        char directory[32];
        unsigned latency_ms, writers, seconds;
        size_t large;
        bool epochs, proposals;
        bool stop;                   /* atomic */
        uint64_t landings, attempts; /* atomic */
        uint64_t *took_us;           /* of each landing, LANDINGS_MAX */
};

struct writer {
        struct bench *bench;
        unsigned number;
        pthread_t thread;
        struct cache cache; /* the bench's shared one, or its own */
        struct fetch_nodes_blocking nodes;
        uint64_t position; /* where it stands */
        struct hif_hash slot;
        struct hif_hash tree; /* of what it landed last; zeros: nothing yet */
        bool failed;
};

static void fail(const char *what, enum hif_err err, const struct hif_why *why)
{
        fprintf(stderr, "bench_land: %s: %s: %s\n", what, hif_err_name(err), why ? why->text : "");
        _exit(1); /* the other writers are at work */
}

static uint64_t now_us(struct bench *b)
{
        return env_mono_ns(&b->env) / 1000;
}

/* Content number n is its number as text. */
static enum hif_err read_content(struct land_reader *reader, uint64_t content, uint64_t offset,
                                 void *out, size_t size)
{
        char text[TEXT_MAX];

        (void)reader;
        snprintf(text, sizeof(text), "content %020" PRIu64 "\n", content);
        memcpy(out, text + offset, size);
        return HIF_OK;
}

static struct land_change file_change(const char *path, uint64_t content)
{
        char text[TEXT_MAX];

        return (struct land_change){
            .kind = LAND_PUT,
            .path = span_str(path),
            .entry_kind = ENTRY_FILE,
            .mtime = {.sec = 1000},
            .size = (uint64_t)snprintf(text, sizeof(text), "content %020" PRIu64 "\n", content),
            .content = content};
}

/* --- one session from its base to its landing --- */

/* As a daemon does: what the line makes goes into the machine's cache. */
static enum hif_err propose(struct writer *w, struct land *land, const struct land_change *changes,
                            size_t count, struct land_result *result, struct hif_why *why)
{
        struct fetch_nodes nodes;
        struct fetch_nodes_made made;
        struct land_line *line;
        enum hif_err err;

        fetch_nodes_init(&nodes, w->cache.fetch);
        fetch_nodes_made_init(&made, w->cache.origin);
        err = land_line_new(&w->bench->project, &nodes.source, &line);
        if (err != HIF_OK)
                return err;
        land_line_keep(line, &made.sink);
        err = land_propose(land, line, changes, count, result, why);
        land_line_free(line);
        return err;
}

static enum hif_err commit_or_propose(struct writer *w, struct land *land,
                                      const struct land_change *changes, size_t count,
                                      struct land_result *result, struct hif_why *why)
{
        enum hif_err err = land_queue_commit(w->bench->queue, land, changes, count, result, why);

        return err == HIF_ELOST ? propose(w, land, changes, count, result, why) : err;
}

static enum hif_err land_session(struct writer *w, struct land_change *changes, size_t count,
                                 struct land_result *result, struct hif_why *why)
{
        struct bench *b = w->bench;
        struct land_reader reader = {.read = read_content};
        struct session session = {.state = SESSION_OPEN,
                                  .origin = w->position,
                                  .base_position = w->position,
                                  .base_slot = w->slot,
                                  .author = span_str("Bench <b@example.org>"),
                                  .goal = span_str("measure landing")};
        struct land *land;
        enum hif_err err;

        env_random(&b->env, session.id.bytes, SESSION_ID_SIZE);
        err = land_begin(&b->project, &session, &w->nodes.source, b->pool, NULL, NULL, &land);
        if (err != HIF_OK)
                return err;
        if (!hash_is_zero(&w->tree))
                land_know_base(land, &w->tree);
        err = land_stage(land, changes, count, &reader, why);
        do {
                if (err == HIF_OK && b->proposals)
                        err = propose(w, land, changes, count, result, why);
                else if (err == HIF_OK && b->queue)
                        err = commit_or_propose(w, land, changes, count, result, why);
                else if (err == HIF_OK)
                        err = land_commit(land, changes, count, NULL, false, result, why);
                __atomic_add_fetch(&b->attempts, result->attempts, __ATOMIC_RELAXED);
        } while (err == HIF_ELIMIT && !(err = HIF_OK));
        land_free(land);
        if (err == HIF_OK) {
                w->position = result->position;
                w->slot = result->slot_hash;
                w->tree = result->tree;
        }
        return err;
}

static void *write_on(void *arg)
{
        struct writer *w = arg;
        struct bench *b = w->bench;
        char path[64];

        for (uint64_t i = 0; !__atomic_load_n(&b->stop, __ATOMIC_RELAXED); i++) {
                struct land_result result = {0};
                struct hif_why why = {.text = ""};
                uint64_t start = now_us(b), number;
                struct land_change change;
                enum hif_err err;

                snprintf(path, sizeof(path), "w%u-%" PRIu64, w->number, i);
                change = file_change(path, w->number * UINT64_C(1000000000) + i);
                err = land_session(w, &change, 1, &result, &why);
                if (err != HIF_OK)
                        fail("a small landing", err, &why);
                number = __atomic_fetch_add(&b->landings, 1, __ATOMIC_RELAXED);
                if (number < LANDINGS_MAX)
                        b->took_us[number] = now_us(b) - start;
        }
        return NULL;
}

/* --- the large one --- */

struct file {
        char path[TEXT_MAX];
        struct buf key;
        struct land_change change;
};

static int by_key(const void *a, const void *b)
{
        return span_cmp(buf_span(&((const struct file *)a)->key),
                        buf_span(&((const struct file *)b)->key));
}

/* FILES_A_DIR files in each directory, and the directories. */
static struct file *large_files(size_t count, size_t *total)
{
        size_t dirs = (count + FILES_A_DIR - 1) / FILES_A_DIR;
        struct file *files = calloc(count + dirs, sizeof(*files));

        if (!files)
                abort();
        for (size_t i = 0; i < count; i++) {
                snprintf(files[i].path, TEXT_MAX, "large-%zu/file-%zu.c", i / FILES_A_DIR, i);
                files[i].change = file_change(files[i].path, UINT64_C(1) << 50 | i);
        }
        for (size_t i = 0; i < dirs; i++) {
                snprintf(files[count + i].path, TEXT_MAX, "large-%zu", i);
                files[count + i].change = file_change(files[count + i].path, 0);
                files[count + i].change.entry_kind = ENTRY_DIR;
                files[count + i].change.size = 0;
        }
        for (size_t i = 0; i < count + dirs; i++)
                key_from_path(&files[i].key, span_str(files[i].path));
        qsort(files, count + dirs, sizeof(*files), by_key);
        for (size_t i = 0; i < count + dirs; i++)
                files[i].change.path = span_str(files[i].path); /* it has moved */
        *total = count + dirs;
        return files;
}

static void land_large(struct bench *b, const struct writer *from)
{
        struct writer w = *from;
        struct land_result result = {0};
        struct hif_why why = {.text = ""};
        size_t count;
        struct file *files = large_files(b->large, &count);
        struct land_change *changes = calloc(count, sizeof(*changes));
        uint64_t start = now_us(b), landed = b->landings;
        enum hif_err err;

        if (!changes)
                abort();
        for (size_t i = 0; i < count; i++)
                changes[i] = files[i].change;
        err = land_session(&w, changes, count, &result, &why);
        if (err != HIF_OK)
                fail("the large landing", err, &why);
        printf("%zu files landed at @%" PRIu64 " in %.1f s, attempts: %u; beside it %" PRIu64
               " small landings\n",
               b->large, result.position, (double)(now_us(b) - start) / 1e6, result.attempts,
               b->landings - landed);
        for (size_t i = 0; i < count; i++)
                buf_free(&files[i].key);
        free(changes);
        free(files);
}

/* --- the run --- */

static void cache_open(struct bench *b, struct cache *cache)
{
        struct fetch_config config = {.ram_max = 64 << 20};
        struct hif_why why = {.text = ""};
        enum hif_err err = fetch_new(&b->env, b->pool, &config, &cache->fetch, &why);

        if (err == HIF_OK)
                err = fetch_origin_new(cache->fetch, b->store, &b->project.layout, &cache->origin);
        if (err != HIF_OK)
                fail("a cache", err, &why);
}

static void cache_close(struct cache *cache)
{
        if (!cache->fetch)
                return;
        fetch_origin_free(cache->origin);
        fetch_free(cache->fetch);
}

static void open_queue(struct bench *b)
{
        cache_open(b, &b->shared);
        fetch_nodes_init(&b->queue_nodes, b->shared.fetch);
        if (land_queue_new(&b->project, &b->queue_nodes.source, &b->queue) != HIF_OK)
                exit(1);
        fetch_nodes_made_init(&b->queue_made, b->shared.origin);
        land_queue_keep(b->queue, &b->queue_made.sink);
}

static void open_store(struct bench *b)
{
        struct hif_why why = {.text = ""};
        char reply[S3FAULT_REPLY_MAX], line[64], url[64];
        const char *endpoint = getenv("AWS_ENDPOINT_URL");
        enum hif_err err;

        if (b->latency_ms > 0) {
                if (!endpoint || strncmp(endpoint, "http://", 7) != 0) {
                        fprintf(stderr, "bench_land: --latency needs integration/s3/with_s3.sh\n");
                        exit(2);
                }
                b->proxy = s3fault_start("0", endpoint + 7, 1);
                snprintf(line, sizeof(line), "latency %u", b->latency_ms);
                if (!b->proxy || !s3fault_say(b->proxy, line, reply))
                        exit(1);
                snprintf(url, sizeof(url), "http://127.0.0.1:%u", s3fault_port(b->proxy));
                setenv("AWS_ENDPOINT_URL", url, 1);
        }
        err = impatient_open(&b->env, b->url, 0, &b->store, &why);
        if (err == HIF_OK)
                err = project_create(&b->env, b->store, "bench/land", "B", &b->project, &why);
        if (err == HIF_EEXIST)
                err = project_open(&b->env, b->store, "bench/land", &b->project, &why);
        if (err != HIF_OK)
                fail(b->url, err, &why);
        if (pool_new(2, "bench", &b->pool) != HIF_OK)
                exit(1);
        if (b->epochs)
                open_queue(b);
}

static void start_writers(struct bench *b, struct writer *writers)
{
        struct slot_read tail;
        struct hif_why why = {.text = ""};
        enum hif_err err = project_tail(&b->project, 0, &tail, &why);

        if (err != HIF_OK)
                fail("the tail", err, &why);
        for (unsigned i = 0; i < b->writers; i++) {
                writers[i] = (struct writer){
                    .bench = b, .number = i, .position = tail.slot.position, .slot = tail.hash};
                writers[i].cache = b->shared;
                if (!b->epochs)
                        cache_open(b, &writers[i].cache);
                fetch_nodes_blocking_init(&writers[i].nodes, writers[i].cache.origin);
                if (pthread_create(&writers[i].thread, NULL, write_on, &writers[i]) != 0)
                        exit(1);
        }
        slot_read_free(&tail);
}

static int by_number(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

static void print_rate(struct bench *b, double seconds)
{
        uint64_t count = b->landings < LANDINGS_MAX ? b->landings : LANDINGS_MAX;
        struct store_stats stats = store_stats_get(b->store);
        uint64_t requests = 0;

        qsort(b->took_us, count, sizeof(uint64_t), by_number);
        for (int op = 0; op <= STORE_LIST; op++)
                requests += stats.requests[op];
        printf("%u writers%s%s: %.1f landings a second; ms each: median %.1f, 95 %% %.1f; slots "
               "tried a landing %.2f; requests a landing %.1f\n",
               b->writers,
               b->epochs      ? ", epochs"
               : b->proposals ? ", proposals"
                              : "",
               b->latency_ms ? ", with latency" : "", (double)b->landings / seconds,
               count ? (double)b->took_us[count / 2] / 1000 : 0,
               count ? (double)b->took_us[count * 95 / 100] / 1000 : 0,
               b->landings ? (double)b->attempts / (double)b->landings : 0,
               b->landings ? (double)requests / (double)b->landings : 0);
}

static void run(struct bench *b)
{
        static struct writer writers[WRITERS_MAX];
        uint64_t start;

        start_writers(b, writers);
        start = now_us(b);
        if (b->large > 0) {
                struct writer from = writers[0]; /* its base is the tail at the start */

                usleep(3000000); /* until they are in each other's way */
                land_large(b, &from);
        } else {
                sleep(b->seconds);
        }
        __atomic_store_n(&b->stop, true, __ATOMIC_RELAXED);
        for (unsigned i = 0; i < b->writers; i++)
                pthread_join(writers[i].thread, NULL);
        for (unsigned i = 0; i < b->writers && !b->epochs; i++)
                cache_close(&writers[i].cache);
        print_rate(b, (double)(now_us(b) - start) / 1e6);
}

static bool parse(struct bench *b, int argc, char **argv)
{
        static const struct option options[] = {
            {"store", 1, NULL, 's'},   {"latency", 1, NULL, 'l'},
            {"writers", 1, NULL, 'w'}, {"seconds", 1, NULL, 't'},
            {"epochs", 0, NULL, 'e'},  {"proposals", 0, NULL, 'p'},
            {"large", 1, NULL, 'f'},   {0}};
        int option;

        while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
                unsigned long number = optarg ? strtoul(optarg, NULL, 10) : 0;

                if (option == 's')
                        b->url = optarg;
                else if (option == 'l')
                        b->latency_ms = (unsigned)number;
                else if (option == 'w')
                        b->writers = (unsigned)number;
                else if (option == 't')
                        b->seconds = (unsigned)number;
                else if (option == 'e')
                        b->epochs = true;
                else if (option == 'p')
                        b->proposals = true;
                else if (option == 'f')
                        b->large = number;
                else
                        return false;
        }
        return optind == argc && b->writers > 0 && b->writers <= WRITERS_MAX;
}

int main(int argc, char **argv)
{
        struct bench b = {.env = env_system(NULL), .writers = 8, .seconds = 10};
        char command[64];

        b.url = getenv("HIF_TEST_S3");
        if (!parse(&b, argc, argv)) {
                fprintf(stderr, "bench_land: see the top of tests/bench/bench_land.c\n");
                return 2;
        }
        b.took_us = calloc(LANDINGS_MAX, sizeof(uint64_t));
        if (!b.took_us)
                return 1;
        if (!b.url) {
                snprintf(b.directory, sizeof(b.directory), "/tmp/hif-bench-XXXXXX");
                if (!mkdtemp(b.directory))
                        return 1;
                b.url = b.directory;
        }
        open_store(&b);
        run(&b);
        land_queue_free(b.queue);
        cache_close(&b.shared);
        pool_free(b.pool);
        store_close(b.store);
        s3fault_stop(b.proxy);
        free(b.took_us);
        if (b.directory[0]) {
                snprintf(command, sizeof(command), "rm -rf %s", b.directory);
                return system(command) == 0 ? 0 : 1;
        }
        return 0;
}
