#include "tests/check/tcheck.h"

#include "core/key.h"

#include <stdlib.h>

#define MANY 511u

/* --- running --- */

static void keep(struct check_hooks *hooks, const struct check_finding *finding)
{
        struct tcheck *tc = (struct tcheck *)hooks;
        struct tfinding *kept = &tc->findings[tc->count];

        assert_true(tc->count < TCHECK_FINDINGS);
        *kept = (struct tfinding){.kind = finding->kind,
                                  .severity = finding->severity,
                                  .at = finding->at,
                                  .first = finding->first,
                                  .last = finding->last,
                                  .count = finding->count,
                                  .path_total = finding->path_total};
        (void)snprintf(kept->key, sizeof(kept->key), "%s", finding->key);
        (void)snprintf(kept->detail, sizeof(kept->detail), "%s", finding->detail);
        if (finding->path_count > 0)
                (void)snprintf(kept->path, sizeof(kept->path), "%.*s", (int)finding->paths[0].size,
                               (const char *)finding->paths[0].data);
        tc->count++;
}

enum hif_err tcheck_run(struct tcheck *tc)
{
        tc->count = 0;
        tc->why.text[0] = '\0';
        return check_run(&tc->tp.env, tc->store, "org/name", &tc->options, &tc->hooks, &tc->report,
                         &tc->why);
}

/* --- repairing --- */

static enum hif_err give(struct check_source *source, const struct check_wanted *wanted,
                         struct buf *out)
{
        struct tcheck *tc = (struct tcheck *)((char *)source - offsetof(struct tcheck, source));
        struct span bytes = {0};

        if (wanted->want == CHECK_WANT_STORED && tc->copy)
                bytes = store_mem_peek(tc->copy, wanted->key);
        for (size_t i = 0; wanted->want == CHECK_WANT_CONTENT && i < tc->offer_count; i++) {
                struct hif_hash hash = hash_of(HASH_BLOB, tc->offers[i]);

                if (hash_eq(&hash, wanted->hash))
                        bytes = tc->offers[i];
        }
        if (!bytes.data)
                return HIF_ENOENT;
        buf_put_span(out, bytes);
        return HIF_OK;
}

enum hif_err tcheck_repair(struct tcheck *tc, bool drop_unreadable)
{
        enum hif_err err;

        tc->source.get = give;
        tc->repair = (struct check_repair_options){
            .sources = &tc->source, .drop_unreadable = drop_unreadable, .author = "R <r@s>"};
        tc->options.repair = &tc->repair;
        err = tcheck_run(tc);
        tc->options.repair = NULL;
        return err;
}

void tcheck_copy(struct tcheck *tc)
{
        struct store_req req = {.op = STORE_LIST, .prefix = "projects/", .list_max = 100000};

        assert_int_equal(store_mem_new(&tc->tp.env, &tc->copy), HIF_OK);
        store_run(tc->tp.store, &req, 1);
        assert_int_equal(req.result, HIF_OK);
        for (size_t i = 0; i < req.list.count; i++) {
                struct store_req get = {.op = STORE_GET, .key = req.list.items[i].key};
                struct store_req put = {.op = STORE_PUT, .key = req.list.items[i].key};

                store_run(tc->tp.store, &get, 1);
                put.body = buf_span(&get.data);
                store_run(tc->copy, &put, 1);
                assert_int_equal(put.result, HIF_OK);
                store_req_free(&get);
                store_req_free(&put);
        }
        store_req_free(&req);
}

void tcheck_offer(struct tcheck *tc, struct span content)
{
        assert_true(tc->offer_count < TCHECK_OFFERS);
        tc->offers[tc->offer_count++] = content;
}

static void print_all(const struct tcheck *tc)
{
        for (size_t i = 0; i < tc->count; i++)
                print_error("found: %s %s %s (%s)\n", check_kind_info(tc->findings[i].kind)->name,
                            tc->findings[i].key, tc->findings[i].detail, tc->findings[i].path);
}

void tcheck_expect_clean(struct tcheck *tc)
{
        enum hif_err err = tcheck_run(tc);

        print_all(tc);
        if (err != HIF_OK)
                fail_msg("%s", tc->why.text);
        assert_int_equal(tc->count, 0);
        assert_int_equal(tc->report.not_checked, 0);
}

const struct tfinding *tcheck_found(const struct tcheck *tc, enum check_kind kind, size_t n)
{
        for (size_t i = 0; i < tc->count; i++)
                if (tc->findings[i].kind == kind && n-- == 0)
                        return &tc->findings[i];
        print_all(tc);
        fail_msg("there is no finding %s", check_kind_info(kind)->name);
        return NULL;
}

size_t tcheck_count(const struct tcheck *tc, enum check_kind kind)
{
        size_t count = 0;

        for (size_t i = 0; i < tc->count; i++)
                count += tc->findings[i].kind == kind;
        return count;
}

const struct tfinding *tcheck_expect(struct tcheck *tc, enum check_kind kind)
{
        enum hif_err err = tcheck_run(tc);

        if (err != HIF_OK)
                fail_msg("%s", tc->why.text);
        if (tc->count != 1)
                print_all(tc);
        assert_int_equal(tc->count, 1);
        return tcheck_found(tc, kind, 0);
}

/* --- the project --- */

static void land(struct tsession *ts)
{
        if (tsession_land(ts) != HIF_OK)
                fail_msg("%s", ts->why.text);
        tsession_close(ts);
        free(ts);
}

static struct tsession *begin(struct tproject *tp)
{
        struct tsession *ts = calloc(1, sizeof(*ts));

        assert_non_null(ts);
        tsession_open(ts, tp, tproject_tail(tp));
        return ts;
}

static void land_first(struct tproject *tp, uint8_t *big)
{
        struct tsession *ts = begin(tp);
        uint64_t state = 1;

        for (size_t i = 0; i < TCHECK_BIG_SIZE; i++) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                big[i] = (uint8_t)(state >> 56);
        }
        tsession_mkdir(ts, "dir", 500);
        tsession_put(ts, "dir/one", "1");
        tsession_put(ts, "dir/two", "2");
        tsession_exec(ts, "run", "#!/bin/sh\n");
        tsession_link(ts, "link", "run");
        tsession_put_bytes(ts, "big", span_of(big, TCHECK_BIG_SIZE));
        land(ts);
}

static void land_many(struct tproject *tp)
{
        static char names[MANY][24];
        struct tsession *ts = begin(tp);

        tsession_mkdir(ts, "many", 500);
        for (unsigned i = 0; i < MANY; i++) {
                (void)snprintf(names[i], sizeof(names[i]), "many/file-%04u", i);
                tsession_put(ts, names[i], names[i] + 5);
        }
        land(ts);
}

int tcheck_setup(void **state)
{
        struct tcheck *tc = calloc(1, sizeof(*tc));
        struct tsession *ts;

        assert_non_null(tc);
        tc->big = malloc(TCHECK_BIG_SIZE);
        assert_non_null(tc->big);
        tc->hooks.found = keep;
        tproject_open(&tc->tp, NULL, 0);
        tc->store = tc->tp.store;
        land_first(&tc->tp, tc->big);
        land_many(&tc->tp);
        tproject_land_put(&tc->tp, "dir/one", "11");
        ts = begin(&tc->tp);
        tsession_remove(ts, "dir/two");
        tsession_put(ts, "dir/three", "3");
        land(ts);
        *state = tc;
        return 0;
}

int tcheck_teardown(void **state)
{
        struct tcheck *tc = *state;

        if (tc->store != tc->tp.store)
                store_close(tc->store);
        store_close(tc->copy);
        tproject_close(&tc->tp);
        free(tc->big);
        free(tc);
        return 0;
}

/* --- damage --- */

struct layout_key tcheck_slot_key(struct tcheck *tc, uint64_t position)
{
        return layout_slot(&tc->tp.project.layout, position);
}

static void read_slot(struct tcheck *tc, uint64_t position, struct slot_read *out)
{
        struct hif_why why = {.text = ""};

        if (project_slot(&tc->tp.project, position, true, out, &why) != HIF_OK)
                fail_msg("%s", why.text);
}

struct hif_hash tcheck_root(struct tcheck *tc, uint64_t position)
{
        struct slot_read read;
        struct hif_hash tree;

        read_slot(tc, position, &read);
        tree = read.slot.tree;
        slot_read_free(&read);
        return tree;
}

struct hif_hash tcheck_leaf(struct tcheck *tc, uint64_t position, const char *path)
{
        struct hif_hash hash = tcheck_root(tc, position);
        struct node_reader *reader;
        struct tree_source *source;
        struct tree_node node;
        struct buf key = {0};
        bool leaf = false;

        assert_int_equal(node_reader_new(&tc->tp.project, 1 << 20, &reader), HIF_OK);
        source = node_reader_source(reader);
        key_from_path(&key, span_str(path));
        while (!leaf) {
                bool exact;
                uint64_t entries;

                assert_int_equal(source->get(source, &hash, &node), HIF_OK);
                leaf = node.level == 0;
                if (!leaf)
                        tree_node_child(&node, tree_node_search(&node, buf_span(&key), &exact),
                                        &hash, &entries);
                source->put(source, &node);
        }
        buf_free(&key);
        node_reader_free(reader);
        return hash;
}

void tcheck_drop(struct tcheck *tc, const char *key)
{
        tproject_drop(&tc->tp, key);
}

void tcheck_flip(struct tcheck *tc, const char *key, size_t byte)
{
        tproject_flip(&tc->tp, key, byte * 8);
}

void tcheck_write(struct tcheck *tc, const char *key, struct span body)
{
        struct store_req req = {.op = STORE_PUT, .key = key, .body = body};

        store_run(tc->tp.store, &req, 1);
        assert_int_equal(req.result, HIF_OK);
        store_req_free(&req);
}

void tcheck_read(struct tcheck *tc, const char *key, struct buf *out)
{
        struct span bytes = tproject_peek(&tc->tp, key);

        assert_non_null(bytes.data);
        buf_put_span(out, bytes);
        assert_false(buf_failed(out));
}

/* --- positions that no hif would write --- */

void tslot_begin(struct tcheck *tc, struct tslot *out)
{
        const struct slot *tail;

        *out = (struct tslot){0};
        read_slot(tc, tproject_tail(&tc->tp), &out->before);
        tail = &out->before.slot;
        out->slot = (struct slot){.kind = SLOT_LANDING,
                                  .position = tail->position + 1,
                                  .tag = env_random_u64(&tc->tp.env) | 1,
                                  .base_position = tail->position,
                                  .previous = out->before.hash,
                                  .tree = tail->tree,
                                  .tree_entries = tail->tree_entries,
                                  .hlc = tail->hlc + 1,
                                  .author = span_str("Someone <else@example.org>"),
                                  .bloom_absent = true,
                                  .objects = out->objects,
                                  .paths = out->paths};
        env_random(&tc->tp.env, out->slot.landing_id, LANDING_ID_SIZE);
}

void tslot_object(struct tslot *ts, enum slot_object_kind kind, const struct hif_hash *hash)
{
        assert_true(ts->slot.object_count < TCHECK_OBJECTS);
        ts->objects[ts->slot.object_count++] = (struct slot_object){.kind = kind, .hash = *hash};
}

struct sink {
        struct tree_sink sink;
        struct tcheck *tc;
        struct tslot *ts;
        struct body_codec *codec;
};

static enum hif_err sink_put(struct tree_sink *base, const struct hif_hash *hash, struct span bytes)
{
        struct sink *sink = (struct sink *)base;
        struct layout_key key = layout_node(&sink->tc->tp.project.layout, hash);
        struct buf body = {0};

        assert_int_equal(body_put(sink->codec, BODY_NODE, bytes, &body), HIF_OK);
        tcheck_write(sink->tc, key.text, buf_span(&body));
        buf_free(&body);
        tslot_object(sink->ts, SLOT_NODE, hash);
        return HIF_OK;
}

struct one_edit {
        struct tree_edits edits;
        struct tree_edit edit;
        bool given;
};

static bool one_edit_next(struct tree_edits *base, struct tree_edit *out)
{
        struct one_edit *edits = (struct one_edit *)base;

        if (edits->given)
                return false;
        edits->given = true;
        *out = edits->edit;
        return true;
}

void tslot_edit_with(struct tcheck *tc, struct tslot *ts, const char *path,
                     const struct entry *entry, const struct tree_params *params)
{
        struct buf key = {0};
        struct node_reader *reader;
        struct tree_stats stats = {0};
        struct hif_hash root;
        struct sink sink = {.sink.put = sink_put, .tc = tc, .ts = ts, .codec = body_codec_new(3)};

        key_from_path(&key, span_str(path));
        assert_int_equal(node_reader_new(&tc->tp.project, 1 << 20, &reader), HIF_OK);
        struct one_edit edits = {.edits.next = one_edit_next,
                                 .edit = {.key = buf_span(&key), .entry = entry}};
        assert_int_equal(tree_apply(node_reader_source(reader), &sink.sink, params, &ts->slot.tree,
                                    &edits.edits, &root, &stats),
                         HIF_OK);
        ts->slot.tree = root;
        assert_int_equal(tree_count(node_reader_source(reader), &root, &ts->slot.tree_entries),
                         HIF_OK);
        ts->paths[ts->slot.path_count++] =
            (struct slot_path){.kind = entry ? SLOT_CHANGED : SLOT_REMOVED, .path = span_str(path)};
        node_reader_free(reader);
        body_codec_free(sink.codec);
        buf_free(&key);
}

void tslot_edit(struct tcheck *tc, struct tslot *ts, const char *path, const struct entry *entry)
{
        tslot_edit_with(tc, ts, path, entry, &tc->tp.project.format.tree);
}

struct entry tslot_dir(const struct tslot *ts)
{
        return (struct entry){.kind = ENTRY_DIR,
                              .tag = {.position = ts->slot.position, .id = ts->slot.tag}};
}

struct entry tslot_file(const struct tslot *ts)
{
        struct entry entry = tslot_dir(ts);

        entry.kind = ENTRY_FILE;
        entry.hash = hash_of(HASH_BLOB, span_str(""));
        return entry;
}

void tslot_put(struct tcheck *tc, struct tslot *ts)
{
        struct layout_key key = tcheck_slot_key(tc, ts->slot.position);
        struct buf body = {0};

        if (ts->slot.object_count == 0)
                ts->slot.objects = NULL;
        if (ts->slot.path_count == 0)
                ts->slot.paths = NULL;
        assert_int_equal(slot_put(&body, &ts->slot), HIF_OK);
        tcheck_write(tc, key.text, buf_span(&body));
        buf_free(&body);
        assert_int_equal(project_advance_head(&tc->tp.project, &ts->slot), HIF_OK);
        slot_read_free(&ts->before);
}
