#include "tfetch.h"

#include <stdlib.h>

void tfetch_open(struct tfetch *t)
{
        struct hif_why why = {""};
        enum hif_err err = fetch_new(t->env, t->pool, &t->config, &t->fetch, &why);

        if (err)
                fail_msg("fetch_new: %s: %s", hif_err_name(err), why.text);
        assert_int_equal(fetch_origin_new(t->fetch, t->store, &t->layout, &t->origin), HIF_OK);
        assert_int_equal(fetch_hints_new(t->origin, &t->hints), HIF_OK);
}

void tfetch_close(struct tfetch *t)
{
        /* After a failed assertion, too, or the end would wait for ever. */
        store_fault_clear(t->store);
        while (store_fault_waiting(t->store))
                store_fault_deliver(t->store);
        fetch_hints_free(t->hints);
        fetch_origin_free(t->origin);
        fetch_free(t->fetch);
}

void tfetch_restart(struct tfetch *t)
{
        tfetch_close(t);
        tfetch_open(t);
}

void tfetch_start(struct tfetch *t, const struct tfetch_options *options)
{
        setlinebuf(stdout); /* what failed is said before an assertion aborts */
        *t = (struct tfetch){.config = options->config};
        t->real = env_system(NULL);
        t->env = &t->real;
        if (options->simulated) {
                t->sim = simenv_new(1);
                assert_non_null(t->sim);
                t->env = simenv_env(t->sim);
        }
        assert_int_equal(pool_new(options->threads, "test", &t->pool), HIF_OK);
        assert_int_equal(store_mem_new(t->env, &t->mem), HIF_OK);
        assert_int_equal(store_fault_new(t->env, t->mem, &t->store), HIF_OK);
        assert_int_equal(layout_init(&t->layout, "acme/app", NULL), HIF_OK);
        t->codec = body_codec_new(1);
        assert_non_null(t->codec);
        tfetch_open(t);
}

void tfetch_stop(struct tfetch *t)
{
        tfetch_close(t);
        body_codec_free(t->codec);
        store_close(t->store);
        store_close(t->mem);
        pool_free(t->pool);
        simenv_free(t->sim);
}

/* --- content --- */

uint64_t trandom(uint64_t *state)
{
        uint64_t z = *state += 0x9e3779b97f4a7c15u;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

struct buf tbytes(uint64_t seed, size_t size)
{
        struct buf out = {0};
        uint64_t state = seed * 7919 + 1;

        while (out.size < size) {
                uint64_t value = trandom(&state);
                size_t take = size - out.size < 8 ? size - out.size : 8;

                buf_put(&out, &value, take);
        }
        assert_false(buf_failed(&out));
        return out;
}

static void put(struct tfetch *t, const char *key, struct span body)
{
        struct store_req req = {.op = STORE_PUT, .key = key, .body = body};

        store_run(t->mem, &req, 1);
        assert_int_equal(req.result, HIF_OK);
        store_req_free(&req);
}

static struct fetch_want put_object(struct tfetch *t, enum fetch_kind kind, struct span content)
{
        static const enum hash_kind kinds[] = {
            [FETCH_NODE] = HASH_NODE, [FETCH_BLOB] = HASH_BLOB, [FETCH_CHUNKS] = HASH_CHUNKS};
        struct fetch_want want = {
            .kind = kind, .hash = hash_of(kinds[kind], content), .size = content.size};
        struct layout_key key = tkey(t, &want);
        AUTO_BUF struct buf stored = {0};

        if (kind == FETCH_CHUNKS)
                buf_put_span(&stored, content);
        else
                assert_int_equal(body_put(t->codec, kind == FETCH_NODE ? BODY_NODE : BODY_BLOB,
                                          content, &stored),
                                 HIF_OK);
        put(t, key.text, buf_span(&stored));
        return want;
}

struct fetch_want tput_blob(struct tfetch *t, uint64_t seed, size_t size)
{
        AUTO_BUF struct buf content = tbytes(seed, size);

        return put_object(t, FETCH_BLOB, buf_span(&content));
}

struct fetch_want tput_list(struct tfetch *t, uint8_t depth, const struct chunk *chunks,
                            uint32_t count)
{
        AUTO_BUF struct buf content = {0};

        chunk_list_put(&content, depth, chunks, count);
        return put_object(t, FETCH_CHUNKS, buf_span(&content));
}

void tput_pack(struct tfetch *t, uint64_t seed, size_t size, size_t count, struct fetch_want *out)
{
        struct pack_writer pack;
        struct hif_hash name;
        struct layout_key key;

        pack_begin(&pack);
        for (size_t i = 0; i < count; i++) {
                AUTO_BUF struct buf content = tbytes(seed + i, size);
                AUTO_BUF struct buf frame = {0};

                assert_int_equal(body_frame_put(t->codec, buf_span(&content), &frame), HIF_OK);
                out[i] = (struct fetch_want){.kind = FETCH_BLOB,
                                             .hash = hash_of(HASH_BLOB, buf_span(&content)),
                                             .size = size};
                out[i].loc.size = (uint32_t)frame.size;
                assert_int_equal(pack_add(&pack, &out[i].hash, buf_span(&frame), (uint32_t)size,
                                          &out[i].loc.offset),
                                 HIF_OK);
        }
        assert_int_equal(pack_finish(&pack, &name), HIF_OK);
        for (size_t i = 0; i < count; i++)
                out[i].loc.pack = name;
        key = layout_pack(&t->layout, &name);
        put(t, key.text, buf_span(&pack.bytes));
        pack_free(&pack);
}

struct layout_key tkey(struct tfetch *t, const struct fetch_want *want)
{
        return want->kind == FETCH_NODE ? layout_node(&t->layout, &want->hash)
                                        : layout_blob(&t->layout, &want->hash);
}

struct layout_key tpack_key(struct tfetch *t, const struct fetch_want *want)
{
        return layout_pack(&t->layout, &want->loc.pack);
}

uint64_t tgets(struct tfetch *t)
{
        return store_stats_get(t->mem).requests[STORE_GET];
}

void tfault(struct tfetch *t, const char *key_contains, uint64_t skip, uint64_t count,
            enum store_fault fault, enum hif_err err)
{
        struct store_fault_rule rule = {.op = STORE_GET,
                                        .key_contains = key_contains,
                                        .skip = skip,
                                        .count = count,
                                        .fault = fault,
                                        .err = err};

        assert_int_equal(store_fault_add(t->store, &rule), HIF_OK);
}

/* --- trees --- */

struct file {
        struct buf key;
        struct fetch_want want;
        char name[32];
};

struct tree_maker {
        struct tree_edits edits; /* first */
        struct tree_sink sink;
        struct tfetch *t;
        const char *dir;
        struct file *files;
        size_t count, next;
        struct entry entry;
        struct buf key;
};

static int by_key(const void *a, const void *b)
{
        const struct file *x = a, *y = b;

        return span_cmp(buf_span(&x->key), buf_span(&y->key));
}

static bool next_edit(struct tree_edits *edits, struct tree_edit *out)
{
        struct tree_maker *maker = (struct tree_maker *)edits;
        size_t dirs = *maker->dir ? 2 : 1;
        size_t at = maker->next++;

        buf_reset(&maker->key);
        maker->entry = (struct entry){.kind = ENTRY_DIR};
        if (at < dirs) {
                key_from_path(&maker->key, span_str(at == 0 ? "" : maker->dir));
        } else if (at - dirs < maker->count) {
                const struct file *file = &maker->files[at - dirs];

                buf_put_span(&maker->key, buf_span(&file->key));
                maker->entry.kind = ENTRY_FILE;
                maker->entry.size = file->want.size;
                maker->entry.hash = file->want.hash;
                maker->entry.loc = file->want.loc;
        } else {
                return false;
        }
        *out = (struct tree_edit){.key = buf_span(&maker->key), .entry = &maker->entry};
        return true;
}

static enum hif_err put_node(struct tree_sink *sink, const struct hif_hash *hash, struct span bytes)
{
        struct tree_maker *maker =
            (struct tree_maker *)((char *)sink - offsetof(struct tree_maker, sink));
        struct fetch_want want = put_object(maker->t, FETCH_NODE, bytes);

        assert_true(hash_eq(&want.hash, hash));
        return HIF_OK;
}

static enum hif_err no_node(struct tree_source *source, const struct hif_hash *hash,
                            struct tree_node *out)
{
        (void)source, (void)hash, (void)out;
        return HIF_ENOENT;
}

struct hif_hash tput_tree(struct tfetch *t, const char *dir, size_t count, size_t size,
                          struct fetch_want *wants)
{
        struct tree_maker maker = {
            .edits.next = next_edit, .sink.put = put_node, .t = t, .dir = dir, .count = count};
        struct tree_source source = {.get = no_node};
        struct tree_params params = tree_params_default(7);
        struct tree_stats stats = {0};
        struct hif_hash root;
        struct fetch_want *packed = calloc(count, sizeof(*packed));

        buf_put_u8(&maker.key, 0); /* the root's key is empty, not absent */
        maker.files = calloc(count, sizeof(*maker.files));
        assert_non_null(packed);
        assert_non_null(maker.files);
        tput_pack(t, 5000, size, count, packed);
        for (size_t i = 0; i < count; i++) {
                char path[80];

                snprintf(path, sizeof(path), "%s%sfile-%zu.%s", dir, *dir ? "/" : "", i,
                         i % 10 == 9 ? "png" : "c");
                key_from_path(&maker.files[i].key, span_str(path));
        }
        qsort(maker.files, count, sizeof(*maker.files), by_key);
        for (size_t i = 0; i < count; i++) {
                maker.files[i].want = packed[i]; /* in the order of the tree */
                if (wants)
                        wants[i] = packed[i];
        }
        assert_int_equal(
            tree_apply(&source, &maker.sink, &params, NULL, &maker.edits, &root, &stats), HIF_OK);
        for (size_t i = 0; i < count; i++)
                buf_free(&maker.files[i].key);
        buf_free(&maker.key);
        free(maker.files);
        free(packed);
        return root;
}

/* --- wanting --- */

static void remember(struct fetch_waiter *waiter, enum hif_err err)
{
        struct twait *wait = (struct twait *)waiter;

        wait->err = err;
        wait->done++;
}

void twant(struct tfetch *t, struct twait *wait, const struct fetch_want *wants, size_t count)
{
        *wait = (struct twait){.waiter.done = remember};
        fetch_want(t->origin, wants, count, &wait->waiter);
}

enum hif_err tget(struct tfetch *t, const struct fetch_want *want)
{
        struct fetch_ref *ref;
        enum hif_err err = fetch_get_blocking(t->origin, want, &ref);

        if (!err)
                fetch_unref(ref);
        return err;
}

void texpect_content(struct tfetch *t, const struct fetch_want *want, uint64_t seed, size_t size)
{
        AUTO_BUF struct buf content = tbytes(seed, size);
        struct fetch_ref *ref;

        assert_int_equal(fetch_peek(t->fetch, want->kind, &want->hash, &ref), HIF_OK);
        assert_true(span_eq(fetch_ref_bytes(ref), buf_span(&content)));
        fetch_unref(ref);
}

bool tresident(struct tfetch *t, const struct fetch_want *want)
{
        struct fetch_ref *ref;

        if (fetch_peek(t->fetch, want->kind, &want->hash, &ref) != HIF_OK)
                return false;
        fetch_unref(ref);
        return true;
}
