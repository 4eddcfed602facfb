#include "tests/land/tland.h"

#include "core/key.h"

#include <stdlib.h>

void tproject_open(struct tproject *tp, const char *url, size_t threads)
{
        struct hif_why why = {.text = ""};
        enum hif_err err = HIF_OK;

        *tp = (struct tproject){.env = env_system(NULL)};
        if (!url) {
                tp->place = place_new(&tp->env, place_asked() ? place_asked() : "memory");
                tp->store = place_store(tp->place);
        } else if (url[0] == '/') {
                err = store_dir_open(&tp->env, url, true, 0, &tp->store, &why);
        } else {
                err = store_open(&tp->env, url, true, &tp->store, &why);
        }
        if (err != HIF_OK)
                fail_msg("%s", why.text);
        tp->far = strncmp(store_url(tp->store), "s3:", 3) == 0;
        assert_int_equal(pool_new(threads, "test", &tp->pool), HIF_OK);
        err = project_create(&tp->env, tp->store, "org/name", "A <a@b>", &tp->project, &why);
        if (err == HIF_EEXIST)
                err = project_open(&tp->env, tp->store, "org/name", &tp->project, &why);
        if (err != HIF_OK)
                fail_msg("%s", why.text);
}

void tproject_close(struct tproject *tp)
{
        pool_free(tp->pool);
        buf_free(&tp->peeked);
        if (tp->place)
                place_free(tp->place);
        else
                store_close(tp->store);
}

int tproject_setup(void **state)
{
        struct tproject *tp = calloc(1, sizeof(*tp));

        assert_non_null(tp);
        tproject_open(tp, NULL, 0);
        *state = tp;
        return 0;
}

int tproject_teardown(void **state)
{
        tproject_close(*state);
        free(*state);
        return 0;
}

static void read_slot(struct tproject *tp, uint64_t position, struct slot_read *out)
{
        struct hif_why why = {.text = ""};

        if (project_slot(&tp->project, position, true, out, &why) != HIF_OK)
                fail_msg("%s", why.text);
}

uint64_t tproject_tail(struct tproject *tp)
{
        struct slot_read tail;
        struct hif_why why;
        uint64_t position;

        assert_int_equal(project_tail(&tp->project, 0, &tail, &why), HIF_OK);
        position = tail.slot.position;
        slot_read_free(&tail);
        return position;
}

/* --- sessions --- */

static enum hif_err read_content(struct land_reader *reader, uint64_t content, uint64_t offset,
                                 void *out, size_t size)
{
        struct tsession *ts = (struct tsession *)reader;

        if (offset + size > ts->contents[content].size)
                return HIF_EIO;
        memcpy(out, ts->contents[content].data + offset, size);
        __atomic_add_fetch(&ts->tp->reads, size, __ATOMIC_RELAXED);
        return HIF_OK;
}

static struct tsession *from_hooks(struct land_hooks *hooks)
{
        return (struct tsession *)((char *)hooks - offsetof(struct tsession, hooks));
}

static void hook_progress(struct land_hooks *hooks, const struct land_progress *progress)
{
        struct tsession *ts = from_hooks(hooks);

        ts->early_steps +=
            progress->files_done > ts->progress.files_done && progress->objects_put == 0;
        ts->progress = *progress;
}

static void hook_sleep(struct land_hooks *hooks, uint64_t ns)
{
        from_hooks(hooks)->slept_ns += ns;
}

static enum hif_err hook_save(struct land_hooks *hooks, const struct land_intent *intent)
{
        struct tsession *ts = from_hooks(hooks);

        land_intent_free(&ts->intent);
        ts->intent = *intent;
        ts->intent.slot = (struct buf){0};
        buf_put_span(&ts->intent.slot, buf_span(&intent->slot));
        return HIF_OK;
}

void tsession_open(struct tsession *ts, struct tproject *tp, uint64_t base)
{
        struct slot_read slot;

        *ts = (struct tsession){
            .tp = tp,
            .reader.read = read_content,
            .hooks = {.progress = hook_progress, .sleep = hook_sleep, .save_intent = hook_save}};
        read_slot(tp, base, &slot);
        ts->session = (struct session){.state = SESSION_OPEN,
                                       .origin = base,
                                       .base_position = base,
                                       .base_slot = slot.hash,
                                       .author = span_str("A <a@b>"),
                                       .goal = span_str("a goal")};
        env_random(&tp->env, ts->session.id.bytes, SESSION_ID_SIZE);
        slot_read_free(&slot);
}

void tsession_close(struct tsession *ts)
{
        land_free(ts->land);
        ts->land = NULL;
        land_intent_free(&ts->intent);
}

static struct land_change *add(struct tsession *ts, const char *path)
{
        struct land_change *change = &ts->changes[ts->count];

        assert_true(ts->count < TSESSION_CHANGES);
        *change = (struct land_change){
            .kind = LAND_PUT, .path = span_str(path), .mtime = {.sec = 1000}, .content = ts->count};
        ts->count++;
        return change;
}

void tsession_put_bytes(struct tsession *ts, const char *path, struct span content)
{
        struct land_change *change = add(ts, path);

        change->entry_kind = ENTRY_FILE;
        change->size = content.size;
        ts->contents[change->content] = content;
}

void tsession_put(struct tsession *ts, const char *path, const char *content)
{
        tsession_put_bytes(ts, path, span_str(content));
}

void tsession_exec(struct tsession *ts, const char *path, const char *content)
{
        tsession_put(ts, path, content);
        ts->changes[ts->count - 1].entry_kind = ENTRY_EXEC;
}

void tsession_link(struct tsession *ts, const char *path, const char *target)
{
        struct land_change *change = add(ts, path);

        change->entry_kind = ENTRY_SYMLINK;
        change->target = span_str(target);
}

void tsession_mkdir(struct tsession *ts, const char *path, int64_t mtime_sec)
{
        struct land_change *change = add(ts, path);

        change->entry_kind = ENTRY_DIR;
        change->mtime.sec = mtime_sec;
}

void tsession_remove(struct tsession *ts, const char *path)
{
        add(ts, path)->kind = LAND_REMOVE;
}

void tsession_rename(struct tsession *ts, const char *from, const char *to)
{
        struct entry entry = tproject_entry(ts->tp, ts->session.base_position, from);
        struct land_change *change;

        tsession_remove(ts, from);
        change = add(ts, to);
        change->entry_kind = entry.kind;
        change->size = entry.size;
        change->mtime = entry.mtime;
        change->have_hash = true;
        change->hash = entry.hash;
        change->loc = entry.loc;
        change->path_from = span_str(from);
}

static int by_key(const void *a, const void *b)
{
        struct buf key_a = {0}, key_b = {0};
        int order;

        key_from_path(&key_a, ((const struct land_change *)a)->path);
        key_from_path(&key_b, ((const struct land_change *)b)->path);
        order = span_cmp(buf_span(&key_a), buf_span(&key_b));
        buf_free(&key_a);
        buf_free(&key_b);
        return order;
}

enum hif_err tsession_land_with(struct tsession *ts, const struct land_intent *intent,
                                bool check_only)
{
        enum hif_err err;

        land_free(ts->land);
        ts->land = NULL;
        qsort(ts->changes, ts->count, sizeof(ts->changes[0]), by_key);
        assert_int_equal(land_begin(&ts->tp->project, &ts->session, NULL, ts->tp->pool, &ts->hooks,
                                    ts->journal, &ts->land),
                         HIF_OK);
        err = land_stage(ts->land, ts->changes, ts->count, &ts->reader, &ts->why);
        if (err == HIF_OK)
                err = land_commit(ts->land, ts->changes, ts->count, intent, check_only, &ts->result,
                                  &ts->why);
        return err;
}

enum hif_err tsession_land(struct tsession *ts)
{
        return tsession_land_with(ts, NULL, false);
}

static void land_now(struct tsession *ts)
{
        if (tsession_land(ts) != HIF_OK)
                fail_msg("%s", ts->why.text);
        tsession_close(ts);
        free(ts);
}

static struct tsession *session_at_tail(struct tproject *tp)
{
        struct tsession *ts = calloc(1, sizeof(*ts));

        assert_non_null(ts);
        tsession_open(ts, tp, tproject_tail(tp));
        return ts;
}

void tproject_land_put(struct tproject *tp, const char *path, const char *content)
{
        struct tsession *ts = session_at_tail(tp);

        tsession_put(ts, path, content);
        land_now(ts);
}

void tproject_land_remove(struct tproject *tp, const char *path)
{
        struct tsession *ts = session_at_tail(tp);

        tsession_remove(ts, path);
        land_now(ts);
}

void tproject_land_mkdir(struct tproject *tp, const char *path)
{
        struct tsession *ts = session_at_tail(tp);

        tsession_mkdir(ts, path, 500);
        land_now(ts);
}

/* --- looking --- */

static bool look(struct tproject *tp, uint64_t position, const char *path, struct entry *out)
{
        struct slot_read slot;
        struct node_reader *reader;
        struct tree_cursor cursor;
        struct buf key = {0};
        enum hif_err err;

        read_slot(tp, position, &slot);
        assert_int_equal(node_reader_new(&tp->project, 1 << 20, &reader), HIF_OK);
        key_from_path(&key, span_str(path));
        tree_cursor_init(&cursor, node_reader_source(reader));
        err = tree_find(&cursor, &slot.slot.tree, buf_span(&key), out, NULL);
        tree_cursor_close(&cursor);
        buf_free(&key);
        node_reader_free(reader);
        slot_read_free(&slot);
        assert_true(err == HIF_OK || err == HIF_ENOENT);
        out->target = out->ext = (struct span){0};
        return err == HIF_OK;
}

struct entry tproject_entry(struct tproject *tp, uint64_t position, const char *path)
{
        struct entry entry = {0};

        if (!look(tp, position, path, &entry))
                fail_msg("@%lu has no %s", (unsigned long)position, path);
        return entry;
}

bool tproject_has(struct tproject *tp, uint64_t position, const char *path)
{
        struct entry entry = {0};

        return look(tp, position, path, &entry);
}

static enum hif_err collect(void *arg, struct span piece)
{
        buf_put_span(arg, piece);
        return HIF_OK;
}

void tproject_expect_bytes(struct tproject *tp, const char *path, struct span content)
{
        struct entry entry = tproject_entry(tp, tproject_tail(tp), path);
        struct buf actual = {0};
        struct hif_why why = {.text = ""};

        if (project_read_file(&tp->project, &entry, 0, UINT64_MAX, collect, &actual, &why) !=
            HIF_OK)
                fail_msg("%s: %s", path, why.text);
        assert_int_equal(actual.size, content.size);
        if (content.size > 0)
                assert_memory_equal(actual.data, content.data, content.size);
        buf_free(&actual);
}

void tproject_expect(struct tproject *tp, const char *path, const char *content)
{
        tproject_expect_bytes(tp, path, span_str(content));
}

void tproject_verify(struct tproject *tp)
{
        struct slot_read slot;
        struct node_reader *reader;
        struct hif_why why = {.text = ""};
        uint64_t entries = 0;

        read_slot(tp, tproject_tail(tp), &slot);
        assert_int_equal(node_reader_new(&tp->project, 1 << 20, &reader), HIF_OK);
        if (tree_verify(node_reader_source(reader), &tp->project.format.tree, &slot.slot.tree,
                        &why) != HIF_OK)
                fail_msg("%s", why.text);
        assert_int_equal(tree_count(node_reader_source(reader), &slot.slot.tree, &entries), HIF_OK);
        assert_int_equal(entries, slot.slot.tree_entries);
        node_reader_free(reader);
        slot_read_free(&slot);
}

struct span tproject_peek(struct tproject *tp, const char *key)
{
        struct store_req req = {.op = STORE_GET, .key = key};

        store_run(tp->store, &req, 1);
        if (req.result != HIF_OK)
                fail_msg("%s: %s", key, hif_err_name(req.result));
        buf_free(&tp->peeked);
        tp->peeked = req.data;
        return buf_span(&tp->peeked);
}

void tproject_drop(struct tproject *tp, const char *key)
{
        struct store_req req = {.op = STORE_DELETE, .key = key};

        (void)tproject_peek(tp, key); /* it is there */
        store_run(tp->store, &req, 1);
        assert_int_equal(req.result, HIF_OK);
}

void tproject_flip(struct tproject *tp, const char *key, size_t bit)
{
        struct span stored = tproject_peek(tp, key);
        struct store_req req = {.op = STORE_PUT, .key = key, .body = stored};

        assert_true(bit / 8 < stored.size);
        tp->peeked.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        store_run(tp->store, &req, 1);
        assert_int_equal(req.result, HIF_OK);
}

size_t tproject_count(struct tproject *tp, const char *key_contains)
{
        struct store_req req = {.op = STORE_LIST, .prefix = "projects/", .list_max = 1000000};
        size_t count = 0;

        store_run(tp->store, &req, 1);
        assert_int_equal(req.result, HIF_OK);
        for (size_t i = 0; i < req.list.count; i++)
                count += strstr(req.list.items[i].key, key_contains) != NULL;
        store_req_free(&req);
        return count;
}

void tsession_expect_conflict(struct tsession *ts, const char *path, const char *ours,
                              const char *theirs)
{
        const struct land_conflict *conflict = ts->result.conflicts;

        assert_int_equal(ts->result.conflict_count, 1);
        if (!span_eq(conflict->path, span_str(path)))
                fail_msg("the conflict is at %.*s", (int)conflict->path.size,
                         (const char *)conflict->path.data);
        assert_string_equal(conflict->ours, ours);
        assert_string_equal(conflict->theirs, theirs);
}
