/* make_project - a project of many entries in a directory store, as one landing.
 *
 *      make_project STORE-DIRECTORY ORG/NAME ENTRIES
 *
 * FILES_PER_DIR files a directory and as many directories in each as give DEPTH levels. Names are
 * such as source trees have; contents are few and small, so that what is measured is the tree. The
 * same count gives the same paths and contents. */
#include "land/land.h"

#include "core/key.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FILES_PER_DIR 10
#define DEPTH         5
#define CONTENTS      256
#define CONTENT_MAX   4096
#define THREADS       2
#define MTIME         1700000000

static const char *const dir_words[] = {
    "core", "net",  "util",   "api",    "server", "client", "storage", "parser", "auth", "cache",
    "cmd",  "test", "vendor", "config", "metric", "schema", "render",  "worker", "i18n", "audit"};
static const char *const file_words[] = {"handler", "index",  "types",   "reader", "writer",
                                         "options", "errors", "service", "model",  "encode"};
static const char *const endings[] = {".c", ".h", ".go", ".ts", ".py", ".md", ".json", "_test.go"};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct item {
        struct land_change change;
        struct span key;
};

struct plan {
        struct arena arena;
        struct item *items;
        size_t count, limit;
        size_t branch;
        bool failed;
};

static int by_key(const void *a, const void *b)
{
        return span_cmp(((const struct item *)a)->key, ((const struct item *)b)->key);
}

static uint64_t content_size(uint64_t content)
{
        return 64 + content * (CONTENT_MAX - 64) / CONTENTS;
}

/* Text that compresses as source does, about. */
static enum hif_err read_content(struct land_reader *reader, uint64_t content, uint64_t offset,
                                 void *out, size_t size)
{
        uint8_t *bytes = out;

        (void)reader;
        for (size_t i = 0; i < size; i++) {
                uint64_t at = offset + i;
                uint64_t word = (at / 8 + 1) * (content + 3) % 97;

                bytes[i] = at % 48 == 47 ? '\n' : (uint8_t)('a' + (word * (at % 8 + 1)) % 26);
        }
        return HIF_OK;
}

static void add(struct plan *plan, const char *path, bool is_dir)
{
        struct item *item = &plan->items[plan->count];
        struct buf key = {0};
        uint64_t content = plan->count * 2654435761 % CONTENTS;

        item->change =
            (struct land_change){.kind = LAND_PUT,
                                 .path = arena_span(&plan->arena, span_str(path)),
                                 .entry_kind = is_dir ? ENTRY_DIR : ENTRY_FILE,
                                 .mtime = {.sec = MTIME + (int64_t)(plan->count % 1000000)},
                                 .size = is_dir ? 0 : content_size(content),
                                 .content = content};
        key_from_path(&key, item->change.path);
        item->key = arena_span(&plan->arena, buf_span(&key));
        plan->failed = plan->failed || item->key.size != key.size;
        buf_free(&key);
        plan->count++;
}

/* Directory number `dir` (0: the root), and what is in it. Numbers go level by level. */
static void add_dir(struct plan *plan, size_t dir, char *path, size_t size)
{
        size_t numbers[DEPTH + 1], depth = 0, used = 0;

        for (size_t at = dir; at > 0; at = (at - 1) / plan->branch)
                numbers[depth++] = at;
        path[0] = '\0';
        while (depth-- > 0) {
                size_t child = (numbers[depth] - 1) % plan->branch;

                used += (size_t)snprintf(path + used, size - used, "%s%s", used > 0 ? "/" : "",
                                         dir_words[child % COUNT_OF(dir_words)]);
                if (child >= COUNT_OF(dir_words))
                        used += (size_t)snprintf(path + used, size - used, "%zu",
                                                 child / COUNT_OF(dir_words));
        }
        if (dir > 0)
                add(plan, path, true);
        for (size_t i = 0; i < FILES_PER_DIR && plan->count < plan->limit; i++) {
                snprintf(path + used, size - used, "%s%s%s", used > 0 ? "/" : "", file_words[i],
                         endings[(dir + i) % COUNT_OF(endings)]);
                add(plan, path, false);
        }
}

/* The fewest directories in each that hold `dirs` of them in DEPTH levels. */
static size_t branch_for(size_t dirs)
{
        for (size_t branch = 1;; branch++) {
                size_t total = 1, level = 1;

                for (int i = 0; i < DEPTH; i++)
                        total += level *= branch;
                if (total >= dirs)
                        return branch;
        }
}

/* ENTRIES counts the root. */
static struct land_change *make_plan(struct plan *plan, size_t entries)
{
        struct land_change *changes = calloc(entries, sizeof(*changes));
        char path[PATH_SIZE_MAX + 1];

        plan->limit = entries - 1;
        plan->items = calloc(entries, sizeof(*plan->items));
        plan->branch = branch_for(entries / (FILES_PER_DIR + 1) + 1);
        if (!changes || !plan->items) {
                free(changes);
                return NULL;
        }
        for (size_t dir = 0; plan->count < plan->limit; dir++)
                add_dir(plan, dir, path, sizeof(path));
        qsort(plan->items, plan->count, sizeof(*plan->items), by_key);
        for (size_t i = 0; i < plan->count; i++)
                changes[i] = plan->items[i].change;
        free(plan->items);
        return changes;
}

static enum hif_err land_all(struct env *env, struct project *project, struct pool *pool,
                             struct land_change *changes, size_t count, struct hif_why *why)
{
        struct land_reader reader = {.read = read_content};
        struct session session = {.state = SESSION_OPEN, .goal = span_str("a synthetic tree")};
        struct slot_read base;
        struct land_result result;
        struct land *land = NULL;
        enum hif_err err = project_slot(project, 0, false, &base, why);

        if (err != HIF_OK)
                return err;
        session.base_slot = base.hash;
        slot_read_free(&base);
        env_random(env, session.id.bytes, SESSION_ID_SIZE);
        err = land_begin(project, &session, NULL, pool, NULL, NULL, &land);
        if (err == HIF_OK)
                err = land_stage(land, changes, count, &reader, why);
        if (err == HIF_OK)
                err = land_commit(land, changes, count, NULL, false, &result, why);
        land_free(land);
        return err;
}

static int usage(void)
{
        fprintf(stderr, "usage: make_project STORE-DIRECTORY ORG/NAME ENTRIES\n");
        return 2;
}

int main(int argc, char **argv)
{
        size_t entries = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
        struct env env = env_system(NULL);
        struct hif_why why = {.text = "out of memory"};
        struct plan plan = {0};
        struct land_change *changes;
        struct store *store = NULL;
        struct pool *pool = NULL;
        struct project project;
        uint64_t start = env_mono_ns(&env);
        enum hif_err err;

        if (entries < 2)
                return usage();
        changes = make_plan(&plan, entries);
        err = !changes || plan.failed ? HIF_ENOMEM : HIF_OK;
        if (err == HIF_OK)
                err = store_dir_open(&env, argv[1], true, THREADS, &store, &why);
        if (err == HIF_OK)
                err = pool_new(THREADS, "make", &pool);
        if (err == HIF_OK)
                err = project_create(&env, store, argv[2], "bench", &project, &why);
        if (err == HIF_OK)
                err = land_all(&env, &project, pool, changes, plan.count, &why);
        if (err != HIF_OK) {
                fprintf(stderr, "make_project: %s\n", why.text);
        } else {
                struct store_stats stats = store_stats_get(store);

                printf("%zu entries in %.1f s: %" PRIu64 " objects, %.1f MB\n", entries,
                       (double)(env_mono_ns(&env) - start) / 1e9,
                       stats.requests[STORE_PUT] + stats.requests[STORE_PUT_NEW],
                       (double)stats.bytes_put / 1e6);
        }
        pool_free(pool);
        store_close(store);
        free(changes);
        arena_free(&plan.arena);
        return err == HIF_OK ? 0 : 1;
}
