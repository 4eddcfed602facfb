/* bench_history - what a long history costs: looking for a session, deciding and naming conflicts,
 * the history of a path; with derived records and without; and the records themselves.
 *
 *      bench_history LANDINGS [STORE-DIRECTORY]
 *
 * Landings are made up (tests/land/synth.c) and written straight into the store, memory unless a
 * directory is named, which is kept then, for `hif log`. The same count gives the same landings. */
#include "core/key.h"
#include "land/derived/history.h"
#include "land/derived/maintain.h"
#include "land/land.h"
#include "tests/land/synth.h"
#include "tests/land/trips.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define NAME       "bench/history"
#define TREE_FILES 2000u
#define ABSENT     20000u /* paths asked for that no landing has touched */
#define SCANS      5

struct bench {
        struct env env;
        struct store *inner;
        struct trips trips;
        struct project project;
        uint64_t landings;
        struct hif_why why;
        struct session session; /* of the landing that goes on */
        /* since begin() */
        uint64_t start_ns, trips_before, requests_before, bytes_before;
};

static void must(struct bench *bench, enum hif_err err, const char *what)
{
        if (err == HIF_OK)
                return;
        fprintf(stderr, "bench_history: %s: %s (%s)\n", what, bench->why.text, hif_strerror(err));
        exit(1);
}

static void begin(struct bench *bench)
{
        bench->start_ns = env_mono_ns(&bench->env);
        bench->trips_before = bench->trips.trips;
        bench->requests_before = bench->trips.requests;
        bench->bytes_before = store_stats_get(&bench->trips.store).bytes_got;
}

static void say(struct bench *bench, const char *what)
{
        double ms = (double)(env_mono_ns(&bench->env) - bench->start_ns) / 1e6;
        uint64_t trips = bench->trips.trips - bench->trips_before;

        printf("%-58s | %8.1f ms | %7" PRIu64 " requests | %6" PRIu64
               " trips | %8.1f KiB | %8.1f s at 50 ms a trip\n",
               what, ms, bench->trips.requests - bench->requests_before, trips,
               (double)(store_stats_get(&bench->trips.store).bytes_got - bench->bytes_before) /
                   1024,
               (double)trips * 0.05 + ms / 1e3);
        fflush(stdout);
}

/* --- the project --- */

struct content {
        struct land_reader reader;
};

static enum hif_err read_content(struct land_reader *reader, uint64_t content, uint64_t offset,
                                 void *out, size_t size)
{
        (void)reader;
        for (size_t i = 0; i < size; i++)
                ((uint8_t *)out)[i] = (uint8_t)('a' + (content + offset + i) % 26);
        return HIF_OK;
}

static int by_key(const void *a, const void *b)
{
        struct buf x = {0}, y = {0};
        int order;

        key_from_path(&x, ((const struct land_change *)a)->path);
        key_from_path(&y, ((const struct land_change *)b)->path);
        order = span_cmp(buf_span(&x), buf_span(&y));
        buf_free(&x);
        buf_free(&y);
        return order;
}

/* Sort, and leave out what is there twice. */
static size_t settle(struct land_change *changes, size_t count)
{
        size_t kept = 0;

        qsort(changes, count, sizeof(*changes), by_key);
        for (size_t i = 0; i < count; i++)
                if (kept == 0 || !span_eq(changes[i].path, changes[kept - 1].path))
                        changes[kept++] = changes[i];
        return kept;
}

/* A session on `base`; the error is the landing's. */
static enum hif_err land_changes(struct bench *bench, uint64_t base, struct land_change *changes,
                                 size_t count, bool check_only, struct land_result *result,
                                 struct land **land)
{
        struct content content = {.reader.read = read_content};
        struct slot_read slot;
        enum hif_err err = project_slot(&bench->project, base, false, &slot, &bench->why);

        must(bench, err, "the base");
        bench->session = (struct session){.state = SESSION_OPEN,
                                          .origin = base,
                                          .base_position = base,
                                          .base_slot = slot.hash,
                                          .author = span_str("Ada <ada@example.org>"),
                                          .goal = span_str("bench")};
        slot_read_free(&slot);
        env_random(&bench->env, bench->session.id.bytes, SESSION_ID_SIZE);
        must(bench, land_begin(&bench->project, &bench->session, NULL, NULL, NULL, NULL, land),
             "begin");
        err = land_stage(*land, changes, count, &content.reader, &bench->why);
        if (err == HIF_OK)
                err = land_commit(*land, changes, count, NULL, check_only, result, &bench->why);
        return err;
}

static struct land_change put(const char *path, uint64_t content)
{
        return (struct land_change){.kind = LAND_PUT,
                                    .path = span_str(path),
                                    .entry_kind = ENTRY_FILE,
                                    .mtime = {.sec = 1700000000},
                                    .size = 100,
                                    .content = content};
}

/* One landing of files with directories, such as the later ones change. */
static void import(struct bench *bench)
{
        static char paths[TREE_FILES][SYNTH_PATH_SIZE];
        struct land_change *changes = calloc(TREE_FILES * 4, sizeof(*changes));
        struct land_result result;
        struct land *land = NULL;
        size_t count = 0;

        for (uint32_t i = 0; changes && i < TREE_FILES; i++) {
                size_t size;

                synth_path(i * 157ull, paths[i]);
                size = strlen(paths[i]);
                changes[count++] = put(paths[i], i);
                for (size_t at = size; at-- > 0;) {
                        if (paths[i][at] != '/')
                                continue;
                        changes[count] = put("", 0);
                        changes[count].path = span_of(paths[i], at);
                        changes[count].entry_kind = ENTRY_DIR;
                        changes[count++].size = 0;
                }
        }
        must(bench, changes ? HIF_OK : HIF_ENOMEM, "memory");
        count = settle(changes, count);
        must(bench, land_changes(bench, 0, changes, count, false, &result, &land), "import");
        land_free(land);
        free(changes);
}

static void make(struct bench *bench)
{
        struct slot_read tail;
        uint64_t start = env_mono_ns(&bench->env);

        must(bench,
             project_create(&bench->env, bench->inner, NAME, "bench", &bench->project, &bench->why),
             "create");
        bench->project.store = &bench->trips.store;
        import(bench);
        must(bench, project_tail(&bench->project, 0, &tail, &bench->why), "tail");
        must(bench, synth_append(&bench->project, &tail, bench->landings, true, &bench->why),
             "landings");
        printf("%" PRIu64 " landings made in %.1f s, %.1f MB\n", bench->landings,
               (double)(env_mono_ns(&bench->env) - start) / 1e9,
               (double)store_stats_get(&bench->trips.store).bytes_put / 1e6);
        fflush(stdout);
}

/* --- what is measured --- */

static void scan(struct bench *bench, const char *what)
{
        struct session_id nobody = {{0x0b}};
        struct hif_hash hash, tree;
        uint64_t position;

        begin(bench);
        if (land_find(&bench->project, &nobody, 0, &position, &hash, &tree, &bench->why) !=
            HIF_ENOENT)
                must(bench, HIF_EINVAL, bench->why.text);
        say(bench, what);
}

/* The scan of a session that landed somewhere in the middle. */
static void scan_landed(struct bench *bench)
{
        struct synth_landing landing;
        struct hif_hash hash, tree;
        uint64_t position;

        synth_landing_at(bench->landings / 2 + 1, &landing);
        begin(bench);
        must(bench,
             land_find(&bench->project, &landing.session, 0, &position, &hash, &tree, &bench->why),
             "find");
        say(bench, "where did this session land, of 0 to the tail");
}

static void conflict(struct bench *bench)
{
        struct land_result result = {0};
        struct land *land = NULL;
        char changed[SYNTH_PATH_SIZE], removed[SYNTH_PATH_SIZE];
        struct land_change changes[2];
        uint64_t tail;
        struct slot_read read;

        synth_path(157 * 3, changed);
        synth_path(157 * 5, removed);
        begin(bench);
        changes[0] = put(changed, 77);
        must(bench, land_changes(bench, 1, changes, 1, true, &result, &land), "check");
        land_free(land);
        say(bench, "conflict check of a session based on @1: none");
        must(bench, project_tail(&bench->project, bench->landings, &read, &bench->why), "tail");
        tail = read.slot.position;
        slot_read_free(&read);
        changes[0] = put(changed, 78);
        changes[1] = (struct land_change){.kind = LAND_REMOVE, .path = span_str(removed)};
        must(bench, land_changes(bench, tail, changes, settle(changes, 2), false, &result, &land),
             "land");
        land_free(land);
        begin(bench);
        changes[0] = put(changed, 79);
        changes[1] = put(removed, 79);
        if (land_changes(bench, 1, changes, settle(changes, 2), true, &result, &land) !=
                HIF_ECONFLICT ||
            result.conflict_count != 2 || result.conflicts[0].position != tail + 1 ||
            result.conflicts[1].position != tail + 1)
                must(bench, HIF_EINVAL, "two conflicts, named");
        land_free(land);
        say(bench, "the same: two conflicts, one changed, one removed, named");
}

static void history(struct bench *bench, const char *path, uint64_t most, const char *what)
{
        struct history_wish wish = {.path = span_str(path), .expected = most};
        struct history *it;
        struct history_item item;
        struct slot_read tail;
        uint64_t shown = 0;
        char text[96];
        enum hif_err err = HIF_OK;

        begin(bench);
        must(bench, project_tail(&bench->project, 0, &tail, &bench->why), "tail");
        wish.tail = wish.from = tail.slot.position;
        slot_read_free(&tail);
        must(bench, history_new(&bench->project, &wish, &it), "history");
        for (; err == HIF_OK && (most == 0 || shown < most); shown += err == HIF_OK)
                err = history_next(it, &item, &bench->why);
        if (err != HIF_OK && err != HIF_ENOENT)
                must(bench, err, "history");
        history_free(it);
        snprintf(text, sizeof(text), "%s (%" PRIu64 ")", what, shown);
        say(bench, text);
}

/* A path that exactly so many landings have touched, about. */
static void find_paths(struct bench *bench, char rare[SYNTH_PATH_SIZE], char hot[SYNTH_PATH_SIZE])
{
        struct synth_landing landing;

        synth_landing_at(bench->landings / 7, &landing);
        memcpy(rare, landing.paths[landing.path_count - 1], SYNTH_PATH_SIZE);
        synth_path(7 * 997, hot);
}

/* --- the records --- */

static void wrong_maybes(struct bench *bench, enum window_kind kind)
{
        uint64_t windows = (bench->landings + 1) / window_size(kind), asked = 0, wrong = 0;
        uint64_t items = 0, bytes = 0, each = windows ? ABSENT / windows : 0;

        if (windows == 0)
                return;
        if (each < 20)
                each = 20;
        for (uint64_t n = 0; n < windows; n++) {
                struct layout_key key =
                    layout_window(&bench->project.layout, kind, n * window_size(kind));
                struct store_req req = {.op = STORE_GET, .key = key.text, .size_max = UINT32_MAX};
                struct rollup rollup;

                store_run(bench->inner, &req, 1);
                must(bench, req.result, key.text);
                must(bench, rollup_open(buf_span(&req.data), kind, n * window_size(kind), &rollup),
                     key.text);
                items += rollup.item_count;
                bytes += req.data.size;
                for (uint64_t i = 0; i < each && n % (windows / 1000 + 1) == 0; i++) {
                        struct rollup_set set;
                        char path[64];
                        uint32_t block, size;
                        uint64_t offset, fingerprint;

                        snprintf(path, sizeof(path), "never/there%" PRIu64 ".c", n * 1000003 + i);
                        fingerprint = rollup_of_path(span_str(path));
                        asked++;
                        if (!rollup_block_of(&rollup, fingerprint, &block))
                                continue;
                        rollup_block_at(&rollup, block, &offset, &size);
                        must(bench,
                             rollup_find(&rollup, block, span_of(req.data.data + offset, size),
                                         fingerprint, &set),
                             key.text);
                        wrong += set.bits[0] || set.bits[1];
                }
                store_req_free(&req);
        }
        printf("%-10s %7" PRIu64 " windows, %9.0f items each, %6.2f bytes an item, %9.1f KiB each; "
               "wrong maybes: %" PRIu64 " of %" PRIu64 " (by the count of items: 1 in %.0f)\n",
               window_kind_name(kind), windows, (double)items / (double)windows,
               (double)bytes / (double)items, (double)bytes / 1024 / (double)windows, wrong, asked,
               1099511627776.0 * (double)windows / (double)items);
        fflush(stdout);
}

static void maintain(struct bench *bench)
{
        struct maintain_report report;
        uint64_t start = env_mono_ns(&bench->env);

        must(bench, derived_maintain(&bench->project, MAINTAIN_MAKE, NULL, &report, &bench->why),
             "maintain");
        printf("all records made in %.1f s:\n", (double)(env_mono_ns(&bench->env) - start) / 1e9);
        for (int kind = WINDOW_SEGMENT; kind < WINDOW_KINDS; kind++)
                printf("  %-10s %7" PRIu64 " made, %9.2f MB, %8.1f KiB each\n",
                       window_kind_name((enum window_kind)kind), report.kinds[kind].made,
                       (double)report.kinds[kind].bytes / 1e6,
                       report.kinds[kind].made ? (double)report.kinds[kind].bytes / 1024 /
                                                     (double)report.kinds[kind].made
                                               : 0);
        fflush(stdout);
}

static void measure_history(struct bench *bench)
{
        char rare[SYNTH_PATH_SIZE], hot[SYNTH_PATH_SIZE];

        find_paths(bench, rare, hot);
        history(bench, hot, 1, "log --path, a file changed often: the last change");
        history(bench, hot, 20, "log --path, a file changed often: 20");
        history(bench, rare, 0, "log --path, a file changed rarely: all");
        history(bench, "src", 20, "log --path, a directory at the top: 20");
        history(bench, "never/there.c", 0, "log --path, a path that never was");
        history(bench, "", 1000, "log, 1,000 landings");
}

int main(int argc, char **argv)
{
        struct bench bench = {.env = env_system(NULL)};
        struct rusage usage;

        bench.landings = argc >= 2 ? strtoull(argv[1], NULL, 10) : 0;
        if (bench.landings < 1000 || argc > 3) {
                fprintf(stderr, "usage: bench_history LANDINGS [STORE-DIRECTORY]\n"
                                "at least 1000 landings\n");
                return 2;
        }
        if (argc == 3)
                must(&bench, store_dir_open(&bench.env, argv[2], true, 2, &bench.inner, &bench.why),
                     "store");
        else
                must(&bench, store_mem_new(&bench.env, &bench.inner), "store");
        trips_init(&bench.trips, &bench.env, bench.inner);
        make(&bench);
        if (argc == 2)
                scan(&bench, "origin scan from 0, without derived records");
        maintain(&bench);
        for (int level = 1; level <= ROLLUP_LEVELS; level++)
                wrong_maybes(&bench, rollup_kind(level));
        scan(&bench, "origin scan from 0");
        scan_landed(&bench);
        measure_history(&bench);
        conflict(&bench);
        store_close(bench.inner);
        if (getrusage(RUSAGE_SELF, &usage) == 0)
                printf("largest memory: %ld MiB (the store among it, unless it is a directory)\n",
                       usage.ru_maxrss / 1024);
        return 0;
}
