/* bench_scale - what the size of a tree costs: nodes read by a lookup, read and written by a landing
 * of ten files, read by a diff; and what that gives for a billion entries.
 *
 *      bench_scale ENTRIES
 *
 * The tree is built straight into a store in memory, about as many entries as asked for: files and
 * directories of equal shape, DEPTH deep. Contents are not there; nothing here reads any. */
#include "core/body.h"
#include "land/land.h"
#include "tests/land/trips.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define DEPTH     5
#define FILES     11 /* a directory, about */
#define LOOKUPS   1000
#define CACHE     (256u << 20)
#define MTIME     1700000000
#define CHILD_MAX 512

struct bench {
        struct env env;
        struct store *inner;
        struct trips trips;
        struct project project;
        struct hif_why why;
        uint32_t branch, files;
        uint64_t entries;
        /* of the tree as it was built */
        uint64_t nodes[TREE_LEVEL_MAX], children[TREE_LEVEL_MAX], bytes[TREE_LEVEL_MAX];
        uint64_t stored;
        struct hif_hash tree, tree_after;
        uint64_t start_ns, read_before, put_before, bytes_before, trips_before;
};

static void must(struct bench *bench, enum hif_err err, const char *what)
{
        if (err == HIF_OK)
                return;
        fprintf(stderr, "bench_scale: %s: %s (%s)\n", what, bench->why.text, hif_strerror(err));
        exit(1);
}

/* --- the entries, in the order of their keys: a directory's children, then what is below each --- */

struct child {
        char name[24];
        uint64_t hash60;
        bool is_dir;
};

struct level {
        struct child children[CHILD_MAX];
        uint32_t count, next;         /* children given */
        struct child dirs[CHILD_MAX]; /* of these, in the order of their names */
        uint32_t dir_count, below;    /* directories entered */
        size_t prefix_size;
};

struct walk {
        struct tree_edits edits;
        struct bench *bench;
        struct level levels[DEPTH + 1];
        int depth;
        struct buf prefix, key;
        struct entry entry;
        bool root_given;
        uint64_t given;
};

static int by_hash(const void *a, const void *b)
{
        const struct child *x = a, *y = b;

        if (x->hash60 != y->hash60)
                return x->hash60 < y->hash60 ? -1 : 1;
        return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct child *)a)->name, ((const struct child *)b)->name);
}

static void add_child(struct level *level, const char *name, uint32_t number, bool is_dir)
{
        struct child *child = &level->children[level->count++];

        assert(level->count <= CHILD_MAX);
        snprintf(child->name, sizeof(child->name), is_dir ? "%s%u" : "%s%u.c", name, number);
        child->hash60 = name_hash60(span_str(child->name));
        child->is_dir = is_dir;
}

/* Begin with the directory that the prefix names. */
static void enter(struct walk *walk)
{
        struct level *level = &walk->levels[walk->depth];

        level->count = level->next = level->below = level->dir_count = 0;
        level->prefix_size = walk->prefix.size;
        for (uint32_t i = 0; i < walk->bench->files; i++)
                add_child(level, "file", i, false);
        for (uint32_t i = 0; walk->depth < DEPTH && i < walk->bench->branch; i++)
                add_child(level, "dir", i, true);
        qsort(level->children, level->count, sizeof(level->children[0]), by_hash);
        for (uint32_t i = 0; i < level->count; i++)
                if (level->children[i].is_dir)
                        level->dirs[level->dir_count++] = level->children[i];
        qsort(level->dirs, level->dir_count, sizeof(level->dirs[0]), by_name);
}

static void give(struct walk *walk, const struct child *child, struct tree_edit *out)
{
        walk->entry = (struct entry){.kind = child->is_dir ? ENTRY_DIR : ENTRY_FILE,
                                     .mtime = {.sec = MTIME + (int64_t)(walk->given % 1000000)},
                                     .tag = {.position = 1, .id = 7}};
        if (!child->is_dir) {
                uint64_t number = walk->given % 65536;

                walk->entry.size = 100 + number;
                walk->entry.hash = hash_of(HASH_BLOB, span_of(&number, sizeof(number)));
                walk->entry.loc = (struct pack_loc){.offset = (uint32_t)(8 + number * 300),
                                                    .size = 90 + (uint32_t)number % 200};
                walk->entry.loc.pack.bytes[0] = (uint8_t)(walk->given >> 20);
                walk->entry.loc.pack.bytes[1] = 1;
        }
        buf_reset(&walk->key);
        key_child(&walk->key, buf_span(&walk->prefix), child->hash60, span_str(child->name));
        *out = (struct tree_edit){.key = buf_span(&walk->key), .entry = &walk->entry};
        walk->given++;
}

static bool walk_next(struct tree_edits *edits, struct tree_edit *out)
{
        struct walk *walk = (struct walk *)edits;

        if (!walk->root_given) {
                walk->root_given = true;
                walk->given++;
                walk->entry = (struct entry){.kind = ENTRY_DIR, .mtime = {.sec = MTIME}};
                *out = (struct tree_edit){.entry = &walk->entry};
                enter(walk);
                return true;
        }
        for (;;) {
                struct level *level = &walk->levels[walk->depth];

                if (level->next < level->count) {
                        give(walk, &level->children[level->next++], out);
                        return true;
                }
                if (level->below < level->dir_count) {
                        const struct child *dir = &level->dirs[level->below++];

                        buf_put(&walk->prefix, dir->name, strlen(dir->name) + 1);
                        walk->depth++;
                        enter(walk);
                        continue;
                }
                if (walk->depth == 0)
                        return false;
                walk->depth--;
                walk->prefix.size = walk->levels[walk->depth].prefix_size;
        }
}

/* --- the project --- */

struct sink {
        struct tree_sink sink;
        struct bench *bench;
        struct body_codec *codec;
};

static enum hif_err sink_put(struct tree_sink *base, const struct hif_hash *hash, struct span bytes)
{
        struct sink *sink = (struct sink *)base;
        struct bench *bench = sink->bench;
        struct layout_key key = layout_node(&bench->project.layout, hash);
        struct store_req req = {.op = STORE_PUT, .key = key.text};
        AUTO_BUF struct buf body = {0};
        struct tree_node node;
        enum hif_err err = body_put(sink->codec, BODY_NODE, bytes, &body);

        if (err != HIF_OK)
                return err;
        tree_node_open(bytes, &node);
        bench->nodes[node.level]++;
        bench->children[node.level] += node.count;
        bench->bytes[node.level] += bytes.size;
        bench->stored += body.size;
        req.body = buf_span(&body);
        store_run(bench->inner, &req, 1);
        store_req_free(&req);
        return req.result;
}

static void build(struct bench *bench)
{
        struct walk *walk = calloc(1, sizeof(*walk));
        struct sink sink = {.sink.put = sink_put, .bench = bench, .codec = body_codec_new(3)};
        struct tree_stats stats = {0};

        must(bench, walk && sink.codec ? HIF_OK : HIF_ENOMEM, "memory");
        walk->edits.next = walk_next;
        walk->bench = bench;
        must(bench,
             tree_apply(NULL, &sink.sink, &bench->project.format.tree, NULL, &walk->edits,
                        &bench->tree, &stats),
             "build");
        bench->entries = walk->given;
        body_codec_free(sink.codec);
        buf_free(&walk->prefix);
        buf_free(&walk->key);
        free(walk);
}

/* Position 1, which has the tree. */
static void put_slot(struct bench *bench)
{
        struct slot_read first;
        AUTO_BUF struct buf body = {0};
        struct layout_key key = layout_slot(&bench->project.layout, 1);
        struct slot slot = {.kind = SLOT_LANDING,
                            .position = 1,
                            .tag = 7,
                            .tree = bench->tree,
                            .tree_entries = bench->entries,
                            .bloom_absent = true};

        must(bench, project_slot(&bench->project, 0, false, &first, &bench->why), "slot 0");
        slot.previous = first.hash;
        slot.hlc = first.slot.hlc + 1;
        slot.wall_ns = first.slot.wall_ns + 1;
        slot_read_free(&first);
        must(bench, slot_put(&body, &slot), "slot 1");
        struct store_req req = {.op = STORE_PUT_NEW, .key = key.text, .body = buf_span(&body)};
        store_run(bench->inner, &req, 1);
        must(bench, req.result, "slot 1");
        store_req_free(&req);
}

/* --- measuring --- */

static void begin(struct bench *bench)
{
        struct store_stats stats = store_stats_get(&bench->trips.store);

        bench->start_ns = env_mono_ns(&bench->env);
        bench->read_before = bench->trips.nodes_read;
        bench->put_before = bench->trips.nodes_put;
        bench->bytes_before = stats.bytes_put;
        bench->trips_before = bench->trips.trips;
}

static void say(const struct bench *bench, const char *what, double times)
{
        struct store_stats stats = store_stats_get((struct store *)&bench->trips.store);
        double ms = (double)(env_mono_ns((struct env *)&bench->env) - bench->start_ns) / 1e6;

        printf("%-52s | %7.2f ms | %6.1f nodes read | %6.1f nodes written | %7.1f KiB written | "
               "%5.1f trips\n",
               what, ms / times, (double)(bench->trips.nodes_read - bench->read_before) / times,
               (double)(bench->trips.nodes_put - bench->put_before) / times,
               (double)(stats.bytes_put - bench->bytes_before) / 1024 / times,
               (double)(bench->trips.trips - bench->trips_before) / times);
        fflush(stdout);
}

static void path_of(const struct bench *bench, uint64_t number, char *out, size_t size)
{
        size_t used = 0;

        for (int i = 0; i < DEPTH; i++, number /= bench->branch)
                used += (size_t)snprintf(out + used, size - used, "dir%u/",
                                         (unsigned)(number % bench->branch));
        snprintf(out + used, size - used, "file%u.c", (unsigned)(number % bench->files));
}

/* Each with nothing in memory. */
static void lookups(struct bench *bench)
{
        begin(bench);
        for (uint64_t i = 0; i < LOOKUPS; i++) {
                struct node_reader *reader;
                struct tree_cursor cursor;
                struct entry entry;
                AUTO_BUF struct buf key = {0};
                char path[256];

                path_of(bench, i * 2654435761u, path, sizeof(path));
                key_from_path(&key, span_str(path));
                must(bench, node_reader_new(&bench->project, CACHE, &reader), "reader");
                tree_cursor_init(&cursor, node_reader_source(reader));
                must(bench, tree_find(&cursor, &bench->tree, buf_span(&key), &entry, NULL), path);
                tree_cursor_close(&cursor);
                node_reader_free(reader);
        }
        say(bench, "lookup of a path, nothing in memory", LOOKUPS);
}

static enum hif_err read_content(struct land_reader *reader, uint64_t content, uint64_t offset,
                                 void *out, size_t size)
{
        (void)reader;
        memset(out, (int)('a' + (content + offset) % 26), size);
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

/* Ten files that are there already, on the tail. */
static void land_ten(struct bench *bench, uint64_t step, const char *what)
{
        struct land_reader reader = {.read = read_content};
        struct session session = {.state = SESSION_OPEN, .goal = span_str("ten files")};
        struct land_change changes[10];
        char paths[10][256];
        struct land_result result;
        struct slot_read tail;
        struct land *land = NULL;

        must(bench, project_tail(&bench->project, 1, &tail, &bench->why), "tail");
        session.origin = session.base_position = tail.slot.position;
        session.base_slot = tail.hash;
        slot_read_free(&tail);
        env_random(&bench->env, session.id.bytes, SESSION_ID_SIZE);
        for (uint64_t i = 0; i < 10; i++) {
                path_of(bench, 12345 + i * step, paths[i], sizeof(paths[i]));
                if (step == 0)
                        snprintf(strrchr(paths[i], '/'), 32, "/file%u.c", (unsigned)i);
                changes[i] = (struct land_change){.kind = LAND_PUT,
                                                  .path = span_str(paths[i]),
                                                  .entry_kind = ENTRY_FILE,
                                                  .mtime = {.sec = MTIME},
                                                  .size = 120 + step % 7,
                                                  .content = i};
        }
        qsort(changes, 10, sizeof(changes[0]), by_key);
        begin(bench);
        must(bench, land_begin(&bench->project, &session, NULL, NULL, NULL, NULL, &land), "begin");
        must(bench, land_stage(land, changes, 10, &reader, &bench->why), "stage");
        must(bench, land_commit(land, changes, 10, NULL, false, &result, &bench->why), "land");
        land_free(land);
        say(bench, what, 1);
        bench->tree_after = result.tree;
}

static enum hif_err count_one(void *arg, struct span key, const struct entry *a,
                              const struct entry *b, uint64_t rank_a, uint64_t rank_b)
{
        (void)key;
        (void)a;
        (void)b;
        (void)rank_a;
        (void)rank_b;
        ++*(uint64_t *)arg;
        return HIF_OK;
}

static void diff(struct bench *bench)
{
        struct node_reader *reader;
        struct span all = {0};
        uint64_t differences = 0;
        char what[80];

        must(bench, node_reader_new(&bench->project, CACHE, &reader), "reader");
        begin(bench);
        must(bench,
             tree_diff(node_reader_source(reader), &bench->tree, &bench->tree_after, all, all,
                       count_one, &differences),
             "diff");
        snprintf(what, sizeof(what), "diff of @1 and @3: %" PRIu64 " differences", differences);
        say(bench, what, 1);
        node_reader_free(reader);
}

/* Levels that a tree of so many entries would have, with nodes as full as these. */
static void extrapolate(const struct bench *bench, double entries)
{
        double leaf = (double)bench->children[0] / (double)bench->nodes[0];
        double inner_nodes = 0, inner_children = 0, nodes = entries / leaf;
        int levels = 1;

        /* Of the lowest inner level alone: the top ones are not full. */
        inner_nodes = (double)bench->nodes[1];
        inner_children = (double)bench->children[1];
        for (; nodes > 1; levels++)
                nodes /= inner_children / inner_nodes;
        printf("%.0f entries: %d levels, by %.0f entries a leaf and %.0f children an inner node: a "
               "lookup reads %d nodes, ten files in one directory write about %d, ten far apart at "
               "most %d\n",
               entries, levels, leaf, inner_children / inner_nodes, levels, levels,
               10 * (levels - 1) + 1);
}

int main(int argc, char **argv)
{
        struct bench bench = {.env = env_system(NULL)};
        uint64_t wanted = argc == 2 ? strtoull(argv[1], NULL, 10) : 0, dirs = 1, width = 1;
        struct rusage usage;
        uint64_t start = env_mono_ns(&bench.env);

        if (wanted < 1000 || wanted > 1000000000) {
                fprintf(stderr, "usage: bench_scale ENTRIES\n1000 to 1000000000\n");
                return 2;
        }
        bench.branch = (uint32_t)pow((double)wanted / (FILES + 1), 1.0 / DEPTH);
        for (int i = 0; i < DEPTH; i++)
                dirs += width *= bench.branch;
        bench.files = (uint32_t)(wanted / dirs) - 1;
        must(&bench, store_mem_new(&bench.env, &bench.inner), "store");
        must(&bench,
             project_create(&bench.env, bench.inner, "bench/scale", "bench", &bench.project,
                            &bench.why),
             "create");
        build(&bench);
        put_slot(&bench);
        trips_init(&bench.trips, &bench.env, bench.inner);
        bench.project.store = &bench.trips.store;
        printf("%" PRIu64 " entries, %" PRIu64 " directories, built in %.1f s: %.1f MB stored\n",
               bench.entries, dirs, (double)(env_mono_ns(&bench.env) - start) / 1e9,
               (double)bench.stored / 1e6);
        for (int i = 0; i < TREE_LEVEL_MAX && bench.nodes[i] > 0; i++)
                printf("  level %d: %8" PRIu64 " nodes, %6.1f entries or children and %7.0f bytes "
                       "each\n",
                       i, bench.nodes[i], (double)bench.children[i] / (double)bench.nodes[i],
                       (double)bench.bytes[i] / (double)bench.nodes[i]);
        lookups(&bench);
        land_ten(&bench, 0, "landing of 10 files of one directory");
        land_ten(&bench, 7919 * 31, "landing of 10 files far apart");
        diff(&bench);
        extrapolate(&bench, (double)bench.entries);
        extrapolate(&bench, 1e9);
        store_close(bench.inner);
        if (getrusage(RUSAGE_SELF, &usage) == 0)
                printf("largest memory: %ld MiB, the store among it\n", usage.ru_maxrss / 1024);
        return 0;
}
