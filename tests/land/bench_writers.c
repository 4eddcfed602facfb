/* bench_writers - landings a second in one project: alone, through one daemon's queue, or through
 * proposals. Each writer lands one small file of its own, again and again.
 *
 *      bench_writers --store URL [--writers 1,8,32] [--mode solo|daemon|proposals] [--seconds N]
 *
 * In solo and proposals each writer is a machine of its own: its own connections, and in proposals
 * what it knows of the slots; in daemon all share a queue. A round trip's length is the store's (put
 * a proxy with a delay before it). */
#include "base/env.h"
#include "land/queue.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WRITERS_MAX 64

enum mode { SOLO, DAEMON, PROPOSALS };
static const char *const mode_names[] = {"solo", "daemon", "proposals"};

struct bench {
        struct env env;
        const char *url;
        enum mode mode;
        int writers;
        uint64_t seconds, stop_ns;
        struct store *store; /* the daemon's */
        struct project project;
        struct land_queue *queue;
};

struct writer {
        struct land_reader reader; /* first */
        struct bench *bench;
        int number;
        pthread_t thread;
        struct store *store;
        struct project project;
        struct land_line *line;
        uint64_t position;
        struct hif_hash slot, tree;
        char content[64];
        uint64_t landed, attempts, failed, took_ns;
        struct hif_why why;
};

static enum hif_err read_content(struct land_reader *reader, uint64_t content, uint64_t offset,
                                 void *out, size_t size)
{
        (void)content;
        memcpy(out, ((struct writer *)reader)->content + offset, size);
        return HIF_OK;
}

static enum hif_err commit(struct writer *writer, struct land *land, struct land_change *change,
                           struct land_result *result)
{
        switch (writer->bench->mode) {
        case SOLO:
                return land_commit(land, change, 1, NULL, false, result, &writer->why);
        case DAEMON:
                return land_queue_commit(writer->bench->queue, land, change, 1, result,
                                         &writer->why);
        case PROPOSALS:
                return land_propose(land, writer->line, change, 1, result, &writer->why);
        }
        return HIF_EINVAL;
}

static enum hif_err land_once(struct writer *writer)
{
        struct bench *bench = writer->bench;
        char path[32];
        struct session session = {.state = SESSION_OPEN,
                                  .origin = writer->position,
                                  .base_position = writer->position,
                                  .base_slot = writer->slot,
                                  .author = span_str("Bench <b@example.org>"),
                                  .goal = span_str("one more")};
        struct land_change change = {.kind = LAND_PUT, .entry_kind = ENTRY_FILE};
        struct land_result result;
        struct land *land;
        enum hif_err err;

        snprintf(path, sizeof(path), "writer-%d", writer->number);
        snprintf(writer->content, sizeof(writer->content), "%" PRIx64, env_random_u64(&bench->env));
        change.path = span_str(path);
        change.size = strlen(writer->content);
        change.mtime.sec = (int64_t)(env_wall_ns(&bench->env) / 1000000000);
        env_random(&bench->env, session.id.bytes, SESSION_ID_SIZE);
        err = land_begin(&writer->project, &session, NULL, NULL, NULL, NULL, &land);
        if (err != HIF_OK)
                return err;
        land_know_base(land, &writer->tree);
        err = land_stage(land, &change, 1, &writer->reader, &writer->why);
        if (err == HIF_OK)
                err = commit(writer, land, &change, &result);
        if (err == HIF_OK) {
                writer->position = result.position;
                writer->slot = result.slot_hash;
                writer->tree = result.tree;
                writer->attempts += result.attempts;
        }
        land_free(land);
        return err;
}

static void *write_on(void *arg)
{
        struct writer *writer = arg;
        struct env *env = &writer->bench->env;

        while (env_mono_ns(env) < writer->bench->stop_ns) {
                uint64_t start = env_mono_ns(env);
                enum hif_err err = land_once(writer);

                writer->took_ns += env_mono_ns(env) - start;
                writer->landed += err == HIF_OK;
                if (err != HIF_OK && writer->failed++ == 0)
                        fprintf(stderr, "writer %d: %s (%s)\n", writer->number, writer->why.text,
                                hif_err_name(err));
        }
        return NULL;
}

static void add_stats(struct store *store, uint64_t *requests)
{
        struct store_stats stats = store_stats_get(store);

        for (int op = 0; op <= STORE_LIST; op++)
                *requests += stats.requests[op];
}

static bool open_project(struct bench *bench, struct store **store, struct project *project,
                         const char *name)
{
        struct hif_why why = {.text = ""};
        enum hif_err err = store_open(&bench->env, bench->url, true, store, &why);

        if (err == HIF_OK)
                err = project_create(&bench->env, *store, name, "Bench <b@example.org>", project,
                                     &why);
        if (err == HIF_EEXIST)
                err = project_open(&bench->env, *store, name, project, &why);
        if (err != HIF_OK)
                fprintf(stderr, "%s\n", why.text);
        return err == HIF_OK;
}

static bool open_writer(struct writer *writer, const char *name)
{
        struct bench *bench = writer->bench;
        struct slot_read first;

        writer->reader.read = read_content;
        if (bench->mode == DAEMON) {
                writer->store = bench->store;
                writer->project = bench->project;
        } else if (!open_project(bench, &writer->store, &writer->project, name)) {
                return false;
        }
        if (land_line_new(&writer->project, NULL, &writer->line) != HIF_OK ||
            project_slot(&writer->project, 0, false, &first, NULL) != HIF_OK)
                return false;
        writer->slot = first.hash;
        writer->tree = first.slot.tree;
        slot_read_free(&first);
        return true;
}

static bool run(struct bench *bench)
{
        struct writer *writers = calloc((size_t)bench->writers, sizeof(*writers));
        uint64_t landed = 0, failed = 0, took = 0, requests = 0, before = 0, start;
        struct slot_read tail;
        char name[64];

        snprintf(name, sizeof(name), "bench/%s-%d-%" PRIx64, mode_names[bench->mode],
                 bench->writers, env_random_u64(&bench->env));
        if (!writers || !open_project(bench, &bench->store, &bench->project, name) ||
            land_queue_new(&bench->project, NULL, &bench->queue) != HIF_OK)
                return false;
        for (int i = 0; i < bench->writers; i++) {
                writers[i].bench = bench;
                writers[i].number = i;
                if (!open_writer(&writers[i], name))
                        return false;
        }
        add_stats(bench->store, &before);
        for (int i = 0; i < bench->writers && bench->mode != DAEMON; i++)
                add_stats(writers[i].store, &before);
        start = env_mono_ns(&bench->env);
        bench->stop_ns = start + bench->seconds * 1000000000;
        for (int i = 0; i < bench->writers; i++)
                if (pthread_create(&writers[i].thread, NULL, write_on, &writers[i]) != 0)
                        return false;
        for (int i = 0; i < bench->writers; i++)
                pthread_join(writers[i].thread, NULL);
        start = env_mono_ns(&bench->env) - start;
        add_stats(bench->store, &requests);
        for (int i = 0; i < bench->writers; i++) {
                landed += writers[i].landed;
                failed += writers[i].failed;
                took += writers[i].took_ns;
                land_line_free(writers[i].line);
                if (bench->mode != DAEMON) {
                        add_stats(writers[i].store, &requests);
                        store_close(writers[i].store);
                }
        }
        land_queue_free(bench->queue);
        if (project_tail(&bench->project, 0, &tail, NULL) != HIF_OK)
                return false;
        printf("%-9s %2d writers: %6.1f landings/s, %5" PRIu64 " landings at %5" PRIu64
               " positions, %5.1f requests and %6.1f ms a landing, %" PRIu64 " failed\n",
               mode_names[bench->mode], bench->writers, (double)landed * 1e9 / (double)start,
               landed, tail.slot.position,
               landed ? (double)(requests - before) / (double)landed : 0,
               landed ? (double)took / 1e6 / (double)landed : 0, failed);
        slot_read_free(&tail);
        store_close(bench->store);
        free(writers);
        return failed == 0;
}

static bool run_all(struct bench *bench, const char *writers)
{
        while (*writers) {
                char *end;
                long count = strtol(writers, &end, 10);

                if (count < 1 || count > WRITERS_MAX || (*end && *end != ','))
                        return false;
                bench->writers = (int)count;
                if (!run(bench))
                        return false;
                fflush(stdout);
                writers = *end ? end + 1 : end;
        }
        return true;
}

int main(int argc, char **argv)
{
        struct bench bench = {.env = env_system(NULL), .seconds = 10};
        const char *writers = "1,8,32", *mode = NULL;
        bool good = true;

        for (int i = 1; i + 1 < argc; i += 2) {
                if (strcmp(argv[i], "--store") == 0)
                        bench.url = argv[i + 1];
                else if (strcmp(argv[i], "--writers") == 0)
                        writers = argv[i + 1];
                else if (strcmp(argv[i], "--mode") == 0)
                        mode = argv[i + 1];
                else if (strcmp(argv[i], "--seconds") == 0)
                        bench.seconds = strtoull(argv[i + 1], NULL, 10);
                else
                        good = false;
        }
        if (!good || argc % 2 == 0 || !bench.url || bench.seconds == 0) {
                fprintf(stderr,
                        "usage: %s --store URL [--writers 1,8,32] [--mode solo|daemon|proposals] "
                        "[--seconds N]\n",
                        argv[0]);
                return 2;
        }
        for (int m = SOLO; m <= PROPOSALS; m++) {
                bench.mode = (enum mode)m;
                if (!mode || strcmp(mode, mode_names[m]) == 0)
                        good = run_all(&bench, writers) && good;
        }
        return good ? 0 : 1;
}
