/* Tree nodes out of the store, verified, in a bounded cache. Three ways to ask: one node, which
 * blocks; a list of nodes, in one batch; or "what do these keys need", which walks all of them down
 * together and costs one batch a level. A range that is larger than the cache is read in pieces:
 * the next one when a walk arrives at its first leaf. */
#include "core/layout.h"
#include "land/internal.h"
#include "land/node_cache.h"

#include <assert.h>
#include <stdlib.h>

struct node_reader {
        struct tree_source source;
        const struct project *project;
        struct tree_source *upstream;
        struct body_codec *codec;
        struct node_cache cache;
        bool gathering; /* get() remembers what is missing instead of reading it */
        size_t gathered;
        struct hif_hash *missing;
        size_t missing_count, missing_capacity;
        /* Of the range that was last asked for, what is still to be read. */
        bool ahead;
        struct hif_hash ahead_root;
        struct buf ahead_from, ahead_to;
};

/* Read up to NODES_BATCH nodes in one trip. What arrives damaged is fetched once more. */
static enum hif_err read_batch(struct node_reader *reader, const struct hif_hash *hashes,
                               size_t count, bool again)
{
        struct store_req reqs[NODES_BATCH] = {0};
        struct layout_key keys[NODES_BATCH];
        struct hif_hash damaged[NODES_BATCH];
        size_t damaged_count = 0;
        enum hif_err err = HIF_OK;

        assert(count <= NODES_BATCH);
        for (size_t i = 0; i < count; i++) {
                keys[i] = layout_node(&reader->project->layout, &hashes[i]);
                reqs[i].op = STORE_GET;
                reqs[i].key = keys[i].text;
        }
        store_run(reader->project->store, reqs, count);
        for (size_t i = 0; i < count; i++) {
                enum hif_err one = reqs[i].result;

                if (one == HIF_OK)
                        one = node_cache_accept(&reader->cache, reader->codec, &hashes[i],
                                                buf_span(&reqs[i].data));
                if (one == HIF_ECORRUPT && again)
                        damaged[damaged_count++] = hashes[i];
                else if (one != HIF_OK && err == HIF_OK)
                        /* A node that a slot's tree names must be there. */
                        err = one == HIF_ENOENT ? HIF_ECORRUPT : one;
                store_req_free(&reqs[i]);
        }
        if (err == HIF_OK && damaged_count > 0)
                err = read_batch(reader, damaged, damaged_count, false);
        return err;
}

enum hif_err node_reader_prefetch(struct node_reader *reader, const struct hif_hash *hashes,
                                  size_t count)
{
        struct hif_hash wanted[NODES_BATCH];
        size_t n = 0;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                if (!node_cache_find(&reader->cache, &hashes[i]))
                        wanted[n++] = hashes[i];
                if (n == NODES_BATCH || (i + 1 == count && n > 0)) {
                        err = read_batch(reader, wanted, n, true);
                        n = 0;
                }
        }
        /* Room is made when nodes are pinned, so that a level read together stays together. */
        return err;
}

static enum hif_err miss(struct node_reader *reader, const struct hif_hash *hash)
{
        for (size_t i = reader->missing_count; i-- > 0 && reader->missing_count - i <= 8;)
                if (hash_eq(&reader->missing[i], hash))
                        return HIF_EMISS;
        if (reader->missing_count == reader->missing_capacity) {
                size_t capacity = reader->missing_capacity ? reader->missing_capacity * 2 : 64;
                struct hif_hash *grown = realloc(reader->missing, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                reader->missing = grown;
                reader->missing_capacity = capacity;
        }
        reader->missing[reader->missing_count++] = *hash;
        return HIF_EMISS;
}

static void put(struct tree_source *source, struct tree_node *view)
{
        (void)source;
        node_cache_close(view);
}

/* Read what a gathering walk missed; *any: there was something, walk again. */
static enum hif_err read_missing(struct node_reader *reader, bool *any)
{
        enum hif_err err;

        *any = reader->missing_count > 0;
        err = node_reader_prefetch(reader, reader->missing, reader->missing_count);
        reader->missing_count = 0;
        return err;
}

/* The same, but of so many bytes at most that they do not push each other out. *full: there is
 * more. */
static enum hif_err read_missing_piece(struct node_reader *reader, uint64_t arrived_max, bool *any,
                                       bool *full)
{
        enum hif_err err = HIF_OK;

        *any = reader->missing_count > 0;
        for (size_t at = 0; at < reader->missing_count && err == HIF_OK && !*full;) {
                size_t left = reader->missing_count - at;
                size_t count = left < NODES_BATCH ? left : NODES_BATCH;

                *full = reader->cache.bytes_arrived >= arrived_max;
                if (!*full)
                        err = node_reader_prefetch(reader, reader->missing + at, count);
                at += count;
        }
        reader->missing_count = 0;
        return err;
}

/* Read [from, ahead_to), a level a turn, as much of it as fits half the cache. */
static enum hif_err read_piece(struct node_reader *reader, struct span from)
{
        uint64_t arrived_max = reader->cache.bytes_arrived + reader->cache.bytes_max / 2;
        size_t nodes_max = reader->cache.bytes_max / 16384;
        bool any = true, full = false;
        enum hif_err err = HIF_OK;

        for (int level = 0; any && !full && err == HIF_OK && level < TREE_LEVEL_MAX; level++) {
                reader->gathering = true;
                reader->gathered = 0;
                err = tree_touch(&reader->source, &reader->ahead_root, from,
                                 buf_span(&reader->ahead_to), nodes_max);
                reader->gathering = false;
                if (err == HIF_OK || err == HIF_EMISS)
                        err = read_missing_piece(reader, arrived_max, &any, &full);
        }
        /* A walk that was cut short did not see the rest. */
        reader->ahead = full || reader->gathered == nodes_max;
        return err;
}

/* A walk arrived at a leaf that was not there, in the part of a range that is still to be read. */
static enum hif_err read_on(struct node_reader *reader, struct tree_node *leaf)
{
        AUTO_BUF struct buf key = {0};
        enum hif_err err;

        if (!reader->ahead || leaf->level > 0)
                return HIF_OK;
        tree_node_key(leaf, 0, &key);
        if (buf_failed(&key))
                err = HIF_ENOMEM;
        else if (span_cmp(buf_span(&key), buf_span(&reader->ahead_from)) < 0 ||
                 (reader->ahead_to.size > 0 &&
                  span_cmp(buf_span(&key), buf_span(&reader->ahead_to)) >= 0))
                return HIF_OK;
        else
                err = read_piece(reader, buf_span(&key));
        if (err != HIF_OK)
                put(&reader->source, leaf);
        return err;
}

static enum hif_err get(struct tree_source *source, const struct hif_hash *hash,
                        struct tree_node *out)
{
        struct node_reader *reader = (struct node_reader *)source;
        struct cached_node *node = node_cache_find(&reader->cache, hash);
        bool missed = false;

        reader->gathered += reader->gathering;
        if (!node && reader->upstream) {
                struct tree_node theirs;
                enum hif_err err = reader->upstream->get(reader->upstream, hash, &theirs);

                if (err == HIF_OK) {
                        /* A copy: whose pin a view holds must not depend on where it came from. */
                        AUTO_BUF struct buf bytes = {0};

                        buf_put_span(&bytes, theirs.bytes);
                        reader->upstream->put(reader->upstream, &theirs);
                        err = buf_failed(&bytes) ? HIF_ENOMEM
                                                 : node_cache_insert(&reader->cache, hash, &bytes);
                        node = node_cache_find(&reader->cache, hash);
                }
                if (err != HIF_OK && err != HIF_EMISS)
                        return err;
        }
        if (!node && reader->gathering)
                return miss(reader, hash);
        if (!node) {
                enum hif_err err = read_batch(reader, hash, 1, true);

                if (err != HIF_OK)
                        return err;
                node = node_cache_find(&reader->cache, hash);
                assert(node);
                missed = true;
        }
        node_cache_open(&reader->cache, node, out);
        return missed ? read_on(reader, out) : HIF_OK;
}

enum hif_err node_reader_over(const struct project *project, size_t cache_bytes,
                              struct tree_source *upstream, struct node_reader **out)
{
        struct node_reader *reader = calloc(1, sizeof(*reader));

        if (!reader)
                return HIF_ENOMEM;
        reader->codec = body_codec_new(3);
        if (!reader->codec) {
                free(reader);
                return HIF_ENOMEM;
        }
        reader->source = (struct tree_source){.get = get, .put = put};
        reader->project = project;
        reader->upstream = upstream;
        node_cache_init(&reader->cache, cache_bytes);
        *out = reader;
        return HIF_OK;
}

enum hif_err node_reader_new(const struct project *project, size_t cache_bytes,
                             struct node_reader **out)
{
        return node_reader_over(project, cache_bytes, NULL, out);
}

void node_reader_free(struct node_reader *reader)
{
        if (!reader)
                return;
        node_cache_free(&reader->cache);
        free(reader->missing);
        buf_free(&reader->ahead_from);
        buf_free(&reader->ahead_to);
        body_codec_free(reader->codec);
        free(reader);
}

struct tree_source *node_reader_source(struct node_reader *reader)
{
        return &reader->source;
}

enum hif_err node_reader_touch(struct node_reader *reader, const struct hif_hash *root,
                               const struct span *keys, size_t count)
{
        AUTO_BUF struct buf end = {0};
        enum hif_err err = HIF_OK;
        bool any = count > 0;

        /* A level a turn. What the cache is too small to hold is read one by one later. */
        for (int level = 0; any && err == HIF_OK && level < TREE_LEVEL_MAX; level++) {
                reader->gathering = true;
                for (size_t i = 0; i < count && (err == HIF_OK || err == HIF_EMISS); i++) {
                        buf_reset(&end);
                        buf_put_span(&end, keys[i]);
                        buf_put_u8(&end, 0);
                        err = buf_failed(&end) ? HIF_ENOMEM
                                               : tree_touch(&reader->source, root, keys[i],
                                                            buf_span(&end), SIZE_MAX);
                }
                reader->gathering = false;
                if (err == HIF_OK || err == HIF_EMISS)
                        err = read_missing(reader, &any);
        }
        return err;
}

enum hif_err node_reader_touch_range(struct node_reader *reader, const struct hif_hash *root,
                                     struct span from, struct span to)
{
        buf_reset(&reader->ahead_from);
        buf_reset(&reader->ahead_to);
        buf_put_span(&reader->ahead_from, from);
        buf_put_span(&reader->ahead_to, to);
        reader->ahead = false;
        reader->ahead_root = *root;
        if (buf_failed(&reader->ahead_from) || buf_failed(&reader->ahead_to))
                return HIF_ENOMEM;
        return read_piece(reader, buf_span(&reader->ahead_from));
}

void node_reader_keep(struct node_reader *reader, const struct hif_hash *hash, struct span bytes)
{
        AUTO_BUF struct buf copy = {0};

        if (node_cache_find(&reader->cache, hash))
                return;
        buf_put_span(&copy, bytes);
        if (!buf_failed(&copy) && node_cache_insert(&reader->cache, hash, &copy) == HIF_OK)
                node_cache_make_room(&reader->cache);
}
