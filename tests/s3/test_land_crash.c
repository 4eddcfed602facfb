/* A landing whose process dies at its k-th request, for every k: landing again makes it one
 * landing, of the same content. The deaths are real (SIGKILL), right before the request is sent or
 * right after its answer; what the next process has is the store, the intent that was saved, and
 * the journal. */
#include "tests/land/tland.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/wait.h>

#define REQUESTS_MAX 400 /* of one landing; more is a loop that does not end */
#define MANY_FILES   1500
#define LARGE_BYTES  (9u << 20)

/* --- a store that kills its process --- */

enum moment { BEFORE, AFTER };

struct deadly {
        struct store store; /* hand this one out */
        struct store *inner;
        uint64_t requests, die_at;
        enum moment moment;
};

/* One after the other, so that the k-th request is the same one each time. */
static void deadly_submit(struct store *store, struct store_req *req)
{
        struct deadly *deadly = (struct deadly *)store;
        struct store_req inner = {.op = req->op,
                                  .key = req->key,
                                  .prefix = req->prefix,
                                  .list_max = req->list_max,
                                  .range_start = req->range_start,
                                  .range_size = req->range_size,
                                  .size_max = req->size_max,
                                  .body = req->body,
                                  .match = req->match,
                                  .settled = req->settled};
        bool dies = ++deadly->requests == deadly->die_at;

        if (dies && deadly->moment == BEFORE)
                raise(SIGKILL);
        store_run(deadly->inner, &inner, 1);
        if (dies)
                raise(SIGKILL);
        req->data = inner.data;
        req->size = inner.size;
        req->tag = inner.tag;
        req->list = inner.list;
        store_done(store, req, inner.result);
}

static const char *deadly_url(struct store *store)
{
        return store_url(((struct deadly *)store)->inner);
}

static void deadly_close(struct store *store)
{
        (void)store;
}

/* --- what outlives a process --- */

struct shared {
        bool begun;
        struct session session; /* without its texts */
        bool intended;
        struct land_intent intent; /* without its buffer */
        size_t slot_size;
        uint8_t slot[SLOT_SIZE_MAX];
};

struct landing_kind {
        const char *name;
        void (*change)(struct tsession *ts);
        void (*expect)(struct tproject *tp);
};

struct fixture {
        struct shared *shared;
        char url[512], journal[96], directory[64];
        const struct landing_kind *kind;
};

struct life { /* of one process */
        struct fixture *f;
        struct tproject tp;
        struct tsession ts;
};

static enum hif_err save_intent(struct land_hooks *hooks, const struct land_intent *intent)
{
        struct tsession *ts = (struct tsession *)((char *)hooks - offsetof(struct tsession, hooks));
        struct shared *shared =
            ((struct life *)((char *)ts - offsetof(struct life, ts)))->f->shared;

        shared->intended = false;
        shared->intent = *intent;
        shared->intent.slot = (struct buf){0};
        shared->slot_size = intent->slot.size;
        memcpy(shared->slot, intent->slot.data, intent->slot.size);
        shared->intended = true;
        return HIF_OK;
}

/* The session is the same in every life; its base is @0, or where it began. */
static void begin_life(struct life *life, struct fixture *f)
{
        struct shared *shared = f->shared;

        life->f = f;
        tproject_open(&life->tp, f->url, 0);
        if (!shared->begun) {
                tproject_land_put(&life->tp, "old", "old");
                tproject_land_put(&life->tp, "gone", "gone");
        }
        tsession_open(&life->ts, &life->tp, 2);
        if (shared->begun) {
                life->ts.session.id = shared->session.id;
        } else {
                shared->session = life->ts.session;
                shared->begun = true;
        }
        life->ts.hooks.save_intent = save_intent;
        life->ts.journal = f->journal;
        f->kind->change(&life->ts);
}

static enum hif_err land_in_life(struct life *life)
{
        struct shared *shared = life->f->shared;
        struct land_intent intent = shared->intent;
        enum hif_err err;

        if (!shared->intended)
                return tsession_land(&life->ts);
        intent.slot = (struct buf){0};
        buf_put_span(&intent.slot, span_of(shared->slot, shared->slot_size));
        err = tsession_land_with(&life->ts, &intent, false);
        buf_free(&intent.slot);
        return err;
}

/* --- kinds of landings --- */

static void change_one(struct tsession *ts)
{
        tsession_put(ts, "new", "content");
}

static void expect_one(struct tproject *tp)
{
        tproject_expect(tp, "new", "content");
}

static void change_each_way(struct tsession *ts)
{
        tsession_put(ts, "old", "other");
        tsession_exec(ts, "dir/tool", "#!/bin/sh\n");
        tsession_link(ts, "dir/link", "tool");
        tsession_mkdir(ts, "dir", 1000);
        tsession_remove(ts, "gone");
        tsession_put(ts, "empty", "");
}

static void expect_each_way(struct tproject *tp)
{
        tproject_expect(tp, "old", "other");
        tproject_expect(tp, "dir/tool", "#!/bin/sh\n");
        assert_int_equal(tproject_entry(tp, 3, "dir/link").kind, ENTRY_SYMLINK);
        tproject_expect(tp, "empty", "");
        assert_false(tproject_has(tp, 3, "gone"));
}

/* Bytes that neither compress nor repeat. */
static struct span large_content(void)
{
        static uint8_t *bytes;
        uint64_t x = 1;

        if (!bytes) {
                bytes = malloc(LARGE_BYTES);
                assert_non_null(bytes);
                for (size_t i = 0; i < LARGE_BYTES; i++) {
                        x = x * UINT64_C(6364136223846793005) + 1;
                        bytes[i] = (uint8_t)(x >> 56);
                }
        }
        return span_of(bytes, LARGE_BYTES);
}

/* In chunks, as a blob, and in a pack. */
static void change_large(struct tsession *ts)
{
        tsession_put_bytes(ts, "large", large_content());
        tsession_put_bytes(ts, "medium", span_of(large_content().data, 1 << 20));
        tsession_put(ts, "small", "small");
}

static void expect_large(struct tproject *tp)
{
        tproject_expect_bytes(tp, "large", large_content());
        tproject_expect_bytes(tp, "medium", span_of(large_content().data, 1 << 20));
        tproject_expect(tp, "small", "small");
}

static const char *many_path(size_t i)
{
        static char paths[MANY_FILES][64];

        snprintf(paths[i], sizeof(paths[i]), "a-directory/with-a-file-of-a-long-name-%04zu", i);
        return paths[i];
}

/* So many paths that the slot names a list of them. */
static void change_many(struct tsession *ts)
{
        tsession_mkdir(ts, "a-directory", 1000);
        for (size_t i = 0; i < MANY_FILES; i++)
                tsession_put(ts, many_path(i), many_path(i));
}

static void expect_many(struct tproject *tp)
{
        struct slot_read slot;

        for (size_t i = 0; i < MANY_FILES; i += 250)
                tproject_expect(tp, many_path(i), many_path(i));
        assert_int_equal(project_slot(&tp->project, 3, false, &slot, NULL), HIF_OK);
        assert_int_equal(slot.slot.path_count, MANY_FILES + 1);
        assert_null(slot.slot.paths);
        slot_read_free(&slot);
}

static const struct landing_kind kinds[] = {
    {"one file", change_one, expect_one},
    {"one of each kind", change_each_way, expect_each_way},
    {"chunks, a blob and a pack", change_large, expect_large},
    {"lists outside of the slot", change_many, expect_many},
};

/* --- deaths --- */

static int first_life(struct fixture *f, uint64_t die_at, enum moment moment)
{
        static const struct store_ops ops = {
            .submit = deadly_submit, .close = deadly_close, .url = deadly_url};
        struct life *life = calloc(1, sizeof(*life));
        struct deadly deadly = {.die_at = die_at, .moment = moment};

        begin_life(life, f);
        deadly.inner = life->tp.store;
        store_init(&deadly.store, &ops, &life->tp.env);
        deadly.store.local = deadly.inner->local;
        life->tp.project.store = &deadly.store;
        return land_in_life(life) == HIF_OK ? 0 : 1;
}

/* Lands again, and looks: one slot, ours, with what we changed. */
static int second_life(struct fixture *f)
{
        struct life *life = calloc(1, sizeof(*life));
        struct slot_read slot;

        begin_life(life, f);
        if (land_in_life(life) != HIF_OK) {
                fprintf(stderr, "%s: landing again: %s\n", f->kind->name, life->ts.why.text);
                return 1;
        }
        assert_int_equal(life->ts.result.position, 3);
        assert_int_equal(tproject_tail(&life->tp), 3);
        assert_int_equal(project_slot(&life->tp.project, 3, true, &slot, NULL), HIF_OK);
        assert_true(slot_lands(&slot.slot, &f->shared->session.id, NULL));
        f->kind->expect(&life->tp);
        tproject_verify(&life->tp);
        return 0;
}

static int in_process(struct fixture *f, uint64_t die_at, enum moment moment)
{
        pid_t pid = fork();
        int status = 0;

        if (pid == 0) {
                /* What fails here must not go on with the next test, as its parent will. */
                (void)setenv("CMOCKA_TEST_ABORT", "1", 1);
                _exit(die_at ? first_life(f, die_at, moment) : second_life(f));
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static void new_place(struct fixture *f, uint64_t die_at, enum moment moment)
{
        const char *s3 = getenv("HIF_TEST_S3");
        char command[96];

        memset(f->shared, 0, sizeof(*f->shared));
        (void)unlink(f->journal);
        if (s3) {
                snprintf(f->url, sizeof(f->url), "%s/%d-%d-%lu", s3, (int)(f->kind - kinds), moment,
                         (unsigned long)die_at);
                return;
        }
        snprintf(command, sizeof(command), "rm -rf %s/store", f->directory);
        assert_int_equal(system(command), 0);
        snprintf(f->url, sizeof(f->url), "%s/store", f->directory);
}

static uint64_t die_at_every_request(struct fixture *f, enum moment moment)
{
        for (uint64_t k = 1; k < REQUESTS_MAX; k++) {
                int status;

                new_place(f, k, moment);
                status = in_process(f, k, moment);
                if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
                        assert_int_equal(status, 0); /* it landed with fewer requests */
                        return k - 1;
                }
                status = in_process(f, 0, moment);
                if (status != 0)
                        fail_msg("%s, dead %s request %lu: the next life ended with %x",
                                 f->kind->name, moment == BEFORE ? "before" : "after",
                                 (unsigned long)k, (unsigned)status);
        }
        fail_msg("%s takes more than %d requests", f->kind->name, REQUESTS_MAX);
        return 0;
}

static void run_kind(void **state, size_t kind)
{
        struct fixture *f = *state;
        uint64_t before, after;

        f->kind = &kinds[kind];
        before = die_at_every_request(f, BEFORE);
        after = die_at_every_request(f, AFTER);
        /* How many nodes there are differs a little from project to project. */
        assert_true(before >= 8 && after >= 8);
        printf("%s: a death before each of %lu and after each of %lu requests\n", f->kind->name,
               (unsigned long)before, (unsigned long)after);
}

static void one_file(void **state)
{
        run_kind(state, 0);
}

static void one_of_each_kind(void **state)
{
        run_kind(state, 1);
}

static void chunks_a_blob_and_a_pack(void **state)
{
        run_kind(state, 2);
}

static void lists_outside_of_the_slot(void **state)
{
        run_kind(state, 3);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        f->shared = mmap(NULL, sizeof(*f->shared), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(f->shared != MAP_FAILED);
        snprintf(f->directory, sizeof(f->directory),
                 "/dev/shm/hif-crash-XXXXXX"); /* without waiting for a disk */
        assert_non_null(mkdtemp(f->directory));
        snprintf(f->journal, sizeof(f->journal), "%s/journal", f->directory);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        char command[96];

        snprintf(command, sizeof(command), "rm -rf %s", f->directory);
        assert_int_equal(system(command), 0);
        munmap(f->shared, sizeof(*f->shared));
        free(f);
        return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(one_file),
            TEST(one_of_each_kind),
            TEST(chunks_a_blob_and_a_pack),
            TEST(lists_outside_of_the_slot),
        };

        return cmocka_run_group_tests_name("a death at each request", tests, NULL, NULL);
}
