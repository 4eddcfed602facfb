/* bench_tree.c - what the tree's operations cost: build, find, scan, seek, apply, diff.
 *
 *      bench_tree [ENTRIES]                    default 1,000,000 */
#include "tests/core/memtree.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FILES_PER_DIR 20

struct bench {
        struct memtree tree;
        struct tree_params params;
        struct buf keys;
        struct tree_edit *edits; /* sorted */
        size_t count;
        struct entry dir, file, changed;
        struct hif_hash root;
        uint64_t random;
};

static double now_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static uint64_t next_random(struct bench *b)
{
        b->random ^= b->random << 13;
        b->random ^= b->random >> 7;
        b->random ^= b->random << 17;
        return b->random;
}

static void report(const char *what, double ns, double operations)
{
        printf("%-44s %12.1f ns an operation\n", what, ns / operations);
}

static void must(enum hif_err err)
{
        if (err) {
                fprintf(stderr, "failed: %s\n", hif_strerror(err));
                exit(1);
        }
}

static void add_path(struct bench *b, const char *path, const struct entry *entry)
{
        size_t at = b->keys.size;

        key_from_path(&b->keys, span_str(path));
        /* An offset until the buffer has stopped moving. */
        b->edits[b->count++] = (struct tree_edit){
            .key = {.data = (const uint8_t *)at, .size = b->keys.size - at}, .entry = entry};
}

static int edit_order(const void *a, const void *b)
{
        return span_cmp(((const struct tree_edit *)a)->key, ((const struct tree_edit *)b)->key);
}

/* FILES_PER_DIR files a directory, 50 directories a module. */
static void generate(struct bench *b, size_t count)
{
        char path[128];

        b->edits = calloc(count, sizeof(*b->edits));
        assert(b->edits);
        add_path(b, "", &b->dir);
        for (unsigned dir = 0; b->count < count; dir++) {
                if (dir % 50 == 0) {
                        snprintf(path, sizeof(path), "module%u", dir / 50);
                        add_path(b, path, &b->dir);
                }
                snprintf(path, sizeof(path), "module%u/part%02u", dir / 50, dir % 50);
                if (b->count < count)
                        add_path(b, path, &b->dir);
                for (int i = 0; i < FILES_PER_DIR && b->count < count; i++) {
                        snprintf(path, sizeof(path), "module%u/part%02u/source_%d.c", dir / 50,
                                 dir % 50, i);
                        add_path(b, path, &b->file);
                }
        }
        assert(!buf_failed(&b->keys));
        for (size_t i = 0; i < b->count; i++)
                b->edits[i].key.data = b->keys.data + (size_t)b->edits[i].key.data;
        qsort(b->edits, b->count, sizeof(*b->edits), edit_order);
}

static void bench_build(struct bench *b)
{
        struct tree_stats stats;
        struct tree_node root;
        double start = now_ns();

        must(memtree_apply(&b->tree, &b->params, NULL, b->edits, b->count, &b->root, &stats));
        report("build, an entry", now_ns() - start, (double)b->count);
        must(b->tree.source.get(&b->tree.source, &b->root, &root));
        printf("  %llu nodes, %.1f KiB each, %u levels, %.1f bytes an entry\n",
               (unsigned long long)stats.nodes_written,
               (double)stats.bytes_written / 1024 / (double)stats.nodes_written, root.level + 1u,
               (double)stats.bytes_written / (double)b->count);
        b->tree.source.put(&b->tree.source, &root);
}

static void bench_check(struct bench *b)
{
        uint64_t count = 0;
        struct span bytes;
        double start = now_ns();

        for (size_t i = 0; memtree_next(&b->tree, &i, &bytes); count++)
                must(tree_node_check(bytes));
        report("check, a node", now_ns() - start, (double)count);
}

/* Keys are drawn before: in a server they come from a request, not from all over memory. */
static void bench_find(struct bench *b, bool keep_cursor)
{
        size_t finds = 1000000, at = 0;
        struct tree_cursor cursor;
        struct entry entry;
        struct buf drawn = {0};
        double start;

        for (size_t i = 0; i < finds; i++) {
                const struct tree_edit *edit = &b->edits[next_random(b) % b->count];

                buf_put_u16(&drawn, (uint16_t)edit->key.size);
                buf_put_span(&drawn, edit->key);
        }
        assert(!buf_failed(&drawn));
        start = now_ns();
        tree_cursor_init(&cursor, &b->tree.source);
        for (size_t i = 0; i < finds; i++) {
                struct span key = span_of(drawn.data + at + 2, be16_get(drawn.data + at));

                at += 2 + key.size;
                must(tree_find(&cursor, &b->root, key, &entry, NULL));
                if (!keep_cursor)
                        tree_cursor_close(&cursor);
        }
        tree_cursor_close(&cursor);
        report(keep_cursor ? "find, random, one cursor" : "find, random, a new cursor each",
               now_ns() - start, (double)finds);
        buf_free(&drawn);
}

static void bench_find_near(struct bench *b)
{
        struct tree_cursor cursor;
        struct entry entry;
        double start = now_ns();

        tree_cursor_init(&cursor, &b->tree.source);
        for (size_t i = 0; i < b->count; i++)
                must(tree_find(&cursor, &b->root, b->edits[i].key, &entry, NULL));
        tree_cursor_close(&cursor);
        report("find, in key order, one cursor", now_ns() - start, (double)b->count);
}

static void bench_scan(struct bench *b)
{
        struct tree_cursor cursor;
        struct entry entry;
        uint64_t count = 0, sizes = 0;
        enum hif_err err;
        double start = now_ns();

        tree_cursor_init(&cursor, &b->tree.source);
        for (err = tree_seek(&cursor, &b->root, (struct span){0}); !err; err = tree_next(&cursor)) {
                tree_cursor_entry(&cursor, &entry);
                sizes += tree_cursor_key(&cursor).size + entry.size;
                count++;
        }
        tree_cursor_close(&cursor);
        assert(err == HIF_ENOENT && count == b->count && sizes > 0);
        report("scan with key and entry, an entry", now_ns() - start, (double)count);
}

static void bench_seek(struct bench *b)
{
        size_t seeks = 200000;
        struct tree_cursor cursor;
        double start = now_ns();

        tree_cursor_init(&cursor, &b->tree.source);
        for (size_t i = 0; i < seeks; i++) {
                must(tree_seek(&cursor, &b->root, b->edits[next_random(b) % (b->count - 20)].key));
                for (int k = 0; k < 19; k++)
                        must(tree_next(&cursor));
        }
        report("seek and 19 steps", now_ns() - start, (double)seeks);
        start = now_ns();
        for (size_t i = 0; i < seeks; i++)
                must(tree_seek_rank(&cursor, &b->root, next_random(b) % b->count));
        tree_cursor_close(&cursor);
        report("seek to a rank", now_ns() - start, (double)seeks);
}

static enum hif_err count_diff(void *arg, struct span key, const struct entry *a,
                               const struct entry *bb, uint64_t rank_a, uint64_t rank_b)
{
        (void)key;
        (void)a;
        (void)bb;
        (void)rank_a;
        (void)rank_b;
        ++*(uint64_t *)arg;
        return HIF_OK;
}

static void bench_apply(struct bench *b, size_t edits)
{
        struct tree_edit *array = calloc(edits, sizeof(*array));
        struct hif_hash changed;
        struct tree_stats stats = {0};
        uint64_t differ = 0;
        double start, apply_ns = 0, diff_ns = 0;
        char what[64];
        int rounds = 100;

        assert(array);
        for (int round = 0; round < rounds; round++) {
                size_t count = 0;

                for (size_t i = 0; i < edits; i++) {
                        array[i] = b->edits[next_random(b) % b->count];
                        array[i].entry = array[i].entry == &b->dir ? &b->dir : &b->changed;
                }
                qsort(array, edits, sizeof(*array), edit_order);
                for (size_t i = 0; i < edits; i++)
                        if (i == 0 || span_cmp(array[count - 1].key, array[i].key) != 0)
                                array[count++] = array[i];
                start = now_ns();
                must(memtree_apply(&b->tree, &b->params, &b->root, array, count, &changed, &stats));
                apply_ns += now_ns() - start;
                start = now_ns();
                must(tree_diff(&b->tree.source, &b->root, &changed, (struct span){0},
                               (struct span){0}, count_diff, &differ));
                diff_ns += now_ns() - start;
        }
        snprintf(what, sizeof(what), "apply %zu edits", edits);
        report(what, apply_ns, rounds);
        printf("  %llu nodes written, %llu read, %.1f KiB written\n",
               (unsigned long long)stats.nodes_written, (unsigned long long)stats.nodes_read,
               (double)stats.bytes_written / 1024);
        snprintf(what, sizeof(what), "diff of %zu edits", edits);
        report(what, diff_ns, rounds);
        free(array);
}

int main(int argc, char **argv)
{
        static struct bench b = {.random = 0x9e3779b97f4a7c15};
        size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;

        if (count < 100) {
                fprintf(stderr, "usage: bench_tree [ENTRIES], at least 100\n");
                return 1;
        }
        memtree_init(&b.tree);
        b.params = tree_params_default(42);
        b.dir = (struct entry){.kind = ENTRY_DIR, .mtime = {.sec = 1700000000}};
        b.file = (struct entry){.kind = ENTRY_FILE,
                                .size = 4321,
                                .hash = hash_of(HASH_BLOB, span_str("content")),
                                .mtime = {.sec = 1700000000, .nsec = 1},
                                .tag = {.position = 1, .id = 2},
                                .loc = {.offset = 100, .size = 1000}};
        b.changed = b.file;
        b.changed.size++;
        generate(&b, count);
        bench_build(&b);
        bench_check(&b);
        bench_find(&b, false);
        bench_find(&b, true);
        bench_find_near(&b);
        bench_scan(&b);
        bench_seek(&b);
        bench_apply(&b, 1);
        bench_apply(&b, 10);
        bench_apply(&b, 1000);
        memtree_free(&b.tree);
        buf_free(&b.keys);
        free(b.edits);
        return 0;
}
