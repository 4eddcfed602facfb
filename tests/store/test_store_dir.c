/* What is particular to a directory: processes, file systems that lie, lack or fill up, and what
 * else lies there. Crashes are in test_store_dir_crash.c. */
#include "tstore.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 8

struct fixture {
        struct env env;
        struct env_ops ops; /* to put something in place of a call */
        char *dir;
        struct store *store;
        unsigned calls;
};

static void reopen(struct fixture *f, size_t io_threads)
{
        store_close(f->store);
        f->store = NULL;
        assert_int_equal(store_dir_open(&f->env, f->dir, true, io_threads, &f->store, NULL),
                         HIF_OK);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        f->env = env_system(NULL);
        f->ops = *f->env.ops;
        f->env.ops = &f->ops;
        f->env.state = f; /* the real environment has none of its own */
        f->dir = t_temp_dir();
        reopen(f, 0);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        store_close(f->store);
        t_remove_tree(f->dir);
        free(f);
        return 0;
}

static char *path_in(const struct fixture *f, const char *name)
{
        char *path;

        assert_true(asprintf(&path, "%s/%s", f->dir, name) > 0);
        return path;
}

static size_t count_names(const struct fixture *f, const char *name)
{
        char *path = path_in(f, name);
        DIR *dir = opendir(path);
        size_t count = 0;

        assert_non_null(dir);
        while (readdir(dir))
                count++;
        closedir(dir);
        free(path);
        return count - 2;
}

/* --- processes --- */

/* A child must not return into cmocka: it ends here, with a line that says where. */
#define CHILD_CHECK(condition)                                                                     \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "child: line %d: %s\n", __LINE__, #condition);             \
                        _exit(1);                                                                  \
                }                                                                                  \
        } while (0)

#define CREATE_ROUNDS 200
#define COUNT_ROUNDS  40

struct shared {
        pthread_barrier_t barrier;
        unsigned wins[CREATE_ROUNDS];
        unsigned winner[CREATE_ROUNDS];
};

static void child_create(struct store *store, struct shared *shared, unsigned id)
{
        for (unsigned round = 0; round < CREATE_ROUNDS; round++) {
                char key[32], text[16];
                enum hif_err err;

                snprintf(key, sizeof(key), "race/%u/slot", round);
                snprintf(text, sizeof(text), "by %u", id);
                pthread_barrier_wait(&shared->barrier);
                err = t_put(store, STORE_PUT_NEW, key, text);
                CHILD_CHECK(err == HIF_OK || err == HIF_ELOST);
                if (err == HIF_OK) {
                        __atomic_add_fetch(&shared->wins[round], 1, __ATOMIC_RELAXED);
                        shared->winner[round] = id;
                }
        }
}

static void child_count(struct store *store, struct shared *shared, unsigned id)
{
        (void)id;
        pthread_barrier_wait(&shared->barrier);
        for (unsigned done = 0; done < COUNT_ROUNDS;) {
                struct store_req get = {.op = STORE_GET, .key = "counter"};
                char text[16] = {0};
                enum hif_err err;

                store_run(store, &get, 1);
                CHILD_CHECK(get.result == HIF_OK && get.data.size < sizeof(text));
                memcpy(text, get.data.data, get.data.size);
                snprintf(text, sizeof(text), "%u", (unsigned)atoi(text) + 1);
                err = t_put_match(store, "counter", text, &get.tag);
                CHILD_CHECK(err == HIF_OK || err == HIF_ELOST);
                done += err == HIF_OK;
                store_req_free(&get);
        }
}

static struct shared *run_processes(struct fixture *f,
                                    void (*run)(struct store *store, struct shared *shared,
                                                unsigned id))
{
        struct shared *shared =
            mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pthread_barrierattr_t attr;
        pid_t pids[PROCESSES];

        assert_true(shared != MAP_FAILED);
        pthread_barrierattr_init(&attr);
        pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        pthread_barrier_init(&shared->barrier, &attr, PROCESSES);
        fflush(NULL);
        for (unsigned i = 0; i < PROCESSES; i++) {
                pids[i] = fork();
                assert_true(pids[i] >= 0);
                if (pids[i] == 0) {
                        struct store *store;

                        CHILD_CHECK(!store_dir_open(&f->env, f->dir, false, i % 3, &store, NULL));
                        run(store, shared, i);
                        store_close(store);
                        _exit(0);
                }
        }
        for (unsigned i = 0; i < PROCESSES; i++) {
                int status;

                assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                assert_int_equal(status, 0);
        }
        return shared;
}

/* Of eight processes that create one key at the same time, exactly one succeeds, and the object is
 * its. */
static void one_process_creates(void **state)
{
        struct fixture *f = *state;
        struct shared *shared = run_processes(f, child_create);

        for (unsigned round = 0; round < CREATE_ROUNDS; round++) {
                char key[32], text[16];

                assert_int_equal(shared->wins[round], 1);
                snprintf(key, sizeof(key), "race/%u/slot", round);
                snprintf(text, sizeof(text), "by %u", shared->winner[round]);
                t_expect(f->store, key, text);
        }
        assert_int_equal(count_names(f, ".hif/tmp"), 0);
        munmap(shared, sizeof(*shared));
}

/* Eight processes that count up by conditional replacement lose no update. */
static void processes_lose_no_update(void **state)
{
        struct fixture *f = *state;
        char total[16];

        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "counter", "0"), HIF_OK);
        munmap(run_processes(f, child_count), sizeof(struct shared));
        snprintf(total, sizeof(total), "%d", PROCESSES * COUNT_ROUNDS);
        t_expect(f->store, "counter", total);
        assert_int_equal(count_names(f, ".hif/tmp"), 0);
}

/* --- file systems that lie or lack --- */

static enum hif_err link_repeated(struct env *env, const char *from, const char *to)
{
        struct env real = env_system(NULL);
        enum hif_err err = real.ops->link(&real, from, to);

        (void)env;
        return err ? err : HIF_EEXIST;
}

static enum hif_err link_refused(struct env *env, const char *from, const char *to)
{
        (void)env;
        (void)from;
        (void)to;
        return HIF_EPERM;
}

static enum hif_err rename_repeated(struct env *env, const char *from, const char *to)
{
        struct env real = env_system(NULL);
        enum hif_err err = real.ops->rename_noreplace(&real, from, to);

        (void)env;
        return err ? err : HIF_EEXIST;
}

static enum hif_err rename_lacking(struct env *env, const char *from, const char *to)
{
        (void)env;
        (void)from;
        (void)to;
        return HIF_ENOTSUP;
}

/* A link that was made, and whose answer says that the name exists, is our own success; one that
 * another made is not. */
static void repeated_link_is_our_own(void **state)
{
        struct fixture *f = *state;

        f->ops.link = link_repeated;
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "slot", "ours"), HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "slot", "other"), HIF_ELOST);
        t_expect(f->store, "slot", "ours");
        assert_int_equal(count_names(f, ".hif/tmp"), 0);
}

static enum hif_err link_too_late(struct env *env, const char *from, const char *to)
{
        struct env real = env_system(NULL);

        (void)env;
        (void)real.ops->rename(&real, from, to); /* another's object, made between look and link */
        assert_int_equal(env_write_file(&real, from, "mine", 4, 0444), HIF_OK);
        return real.ops->link(&real, from, to);
}

/* Who loses between the look and the link is told so. */
static void late_loser_is_told(void **state)
{
        struct fixture *f = *state;

        f->ops.link = link_too_late;
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "slot", "first"), HIF_ELOST);
        t_expect(f->store, "slot", "first");
        assert_int_equal(count_names(f, ".hif/tmp"), 0);
}

/* Where links are refused, a rename that does not replace serves; a repeated one is our own, too.
 */
static void rename_serves_where_links_are_refused(void **state)
{
        struct fixture *f = *state;

        f->ops.link = link_refused;
        reopen(f, 0);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "slot", "first"), HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "slot", "second"), HIF_ELOST);
        t_expect(f->store, "slot", "first");
        f->ops.rename_noreplace = rename_repeated;
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "next", "ours"), HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "next", "other"), HIF_ELOST);
        t_expect(f->store, "next", "ours");
        assert_int_equal(count_names(f, ".hif/tmp"), 0);
}

/* With neither, two landings could overwrite each other: such a directory is refused. */
static void directory_without_both_is_refused(void **state)
{
        struct fixture *f = *state;
        struct hif_why why;
        struct store *store;

        f->ops.link = link_refused;
        f->ops.rename_noreplace = rename_lacking;
        assert_int_equal(store_dir_open(&f->env, f->dir, true, 0, &store, &why), HIF_ENOTSUP);
        assert_non_null(strstr(why.text, f->dir));
        assert_non_null(strstr(why.text, "another file system"));
        assert_int_equal(count_names(f, ".hif/tmp"), 0);
}

static enum hif_err lock_lacking(struct env *env, int fd)
{
        (void)env;
        (void)fd;
        return HIF_ENOTSUP;
}

/* So is one without locks. */
static void directory_without_locks_is_refused(void **state)
{
        struct fixture *f = *state;
        struct hif_why why;
        struct store *store;

        f->ops.lock = lock_lacking;
        assert_int_equal(store_dir_open(&f->env, f->dir, true, 0, &store, &why), HIF_ENOTSUP);
        assert_non_null(strstr(why.text, "locks"));
}

static enum hif_err count_fsync(struct env *env, int fd)
{
        struct fixture *f = env->state;
        struct env real = env_system(NULL);

        f->calls++;
        return real.ops->fsync(&real, fd);
}

/* A batch syncs each object once, and each directory once. */
static void batch_syncs_each_directory_once(void **state)
{
        struct fixture *f = *state;
        struct store_req reqs[100] = {0};
        char keys[100][32];

        f->ops.fsync = count_fsync;
        for (unsigned round = 0; round < 2; round++) {
                f->calls = 0;
                for (size_t i = 0; i < 100; i++) {
                        snprintf(keys[i], sizeof(keys[i]), "t/%zu/%u-%zu", i % 10, round, i);
                        reqs[i] = (struct store_req){
                            .op = STORE_PUT, .key = keys[i], .body = span_str(keys[i])};
                }
                store_run(f->store, reqs, 100);
                for (size_t i = 0; i < 100; i++)
                        assert_int_equal(reqs[i].result, HIF_OK);
                /* The first time also "t" and the root: they got new names. */
                assert_int_equal(f->calls, 100 + 10 + (round == 0 ? 2 : 0));
        }
}

/* --- full, read-only --- */

/* Run in a child that has a mount namespace of its own; skips where that is not allowed. */
static void run_with_mounts(struct fixture *f, void (*run)(struct fixture *f))
{
        pid_t pid;
        int status;

        fflush(NULL);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
                        _exit(77);
                if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
                        _exit(77);
                run(f);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(status, 0);
}

static void child_full(struct fixture *f)
{
        static uint8_t body[20000];
        struct store *store;
        char key[16];
        unsigned count = 0;
        enum hif_err err = HIF_OK;

        CHILD_CHECK(!mount("none", f->dir, "tmpfs", 0, "size=256k"));
        CHILD_CHECK(!store_dir_open(&f->env, f->dir, true, 2, &store, NULL));
        while (!err && count < 100) {
                struct store_req put = {.op = STORE_PUT_NEW, .key = key, .body = {body, 20000}};

                memset(body, (int)count, sizeof(body));
                snprintf(key, sizeof(key), "k/%u", count);
                store_run(store, &put, 1);
                err = put.result;
                count += !err;
        }
        CHILD_CHECK(err == HIF_ENOSPC && count > 5);
        CHILD_CHECK(count_names(f, ".hif/tmp") == 0);
        CHILD_CHECK(t_head(store, key, NULL, NULL) == HIF_ENOENT);
        store_close(store);
        CHILD_CHECK(!store_dir_open(&f->env, f->dir, false, 2, &store, NULL));
        for (unsigned i = 0; i < count; i++) {
                struct store_req get = {.op = STORE_GET, .key = key};

                snprintf(key, sizeof(key), "k/%u", i);
                store_run(store, &get, 1);
                CHILD_CHECK(get.result == HIF_OK && get.data.size == 20000);
                CHILD_CHECK(get.data.data[0] == i && get.data.data[19999] == i);
                store_req_free(&get);
        }
        CHILD_CHECK(t_delete(store, "k/0") == HIF_OK);
        CHILD_CHECK(t_put(store, STORE_PUT_NEW, "k/0", "again") == HIF_OK);
        store_close(store);
}

/* A full disk is reported, leaves no litter, harms no object, and recovers. */
static void full_disk_is_reported(void **state)
{
        run_with_mounts(*state, child_full);
}

static void child_read_only(struct fixture *f)
{
        struct store *store;
        struct hif_why why = {0};

        CHILD_CHECK(!mount("none", f->dir, "tmpfs", 0, NULL));
        CHILD_CHECK(!store_dir_open(&f->env, f->dir, true, 0, &store, NULL));
        CHILD_CHECK(t_put(store, STORE_PUT, "projects/x", "x") == HIF_OK);
        CHILD_CHECK(!mount("none", f->dir, NULL, MS_REMOUNT | MS_RDONLY, NULL));
        CHILD_CHECK(t_put(store, STORE_PUT, "projects/x", "y") == HIF_EROFS);
        CHILD_CHECK(t_put(store, STORE_PUT_NEW, "projects/y", "y") == HIF_EROFS);
        CHILD_CHECK(t_delete(store, "projects/x") == HIF_EROFS);
        CHILD_CHECK(t_head(store, "projects/x", NULL, NULL) == HIF_OK);
        store_close(store);
        CHILD_CHECK(!store_dir_open(&f->env, f->dir, false, 0, &store, &why));
        CHILD_CHECK(t_head(store, "projects/x", NULL, NULL) == HIF_OK);
        CHILD_CHECK(t_put(store, STORE_PUT_NEW, "projects/y", "y") == HIF_EROFS);
        store_close(store);
}

/* A store that is read-only, or turns so, answers; it cannot be written to. */
static void read_only_directory_is_reported(void **state)
{
        run_with_mounts(*state, child_read_only);
}

static enum hif_err mkdir_denied(struct env *env, const char *path, mode_t mode)
{
        (void)env;
        (void)path;
        (void)mode;
        return HIF_EACCES;
}

/* A directory of somebody else is refused, with a sentence that names it. */
static void unwritable_directory_is_refused(void **state)
{
        struct fixture *f = *state;
        struct hif_why why;
        struct store *store;

        f->ops.mkdir = mkdir_denied;
        assert_int_equal(store_dir_open(&f->env, f->dir, true, 0, &store, &why), HIF_EACCES);
        assert_non_null(strstr(why.text, f->dir));
        assert_non_null(strstr(why.text, "permission"));
}

/* --- what else lies there --- */

static void touch(const struct fixture *f, const char *name)
{
        char *path = path_in(f, name);
        int fd = open(path, O_WRONLY | O_CREAT, 0644);

        assert_true(fd >= 0);
        close(fd);
        free(path);
}

/* Hidden files, pipes, links and names that are no keys are not objects, and stop nobody. */
static void foreign_files_are_no_objects(void **state)
{
        struct fixture *f = *state;
        char *fifo = path_in(f, "a/fifo");
        char *loop = path_in(f, "a/loop");

        assert_int_equal(t_put(f->store, STORE_PUT, "a/object", "x"), HIF_OK);
        touch(f, "a/.nfs0001");
        touch(f, ".hidden");
        touch(f, "a/new\nline");
        assert_int_equal(mkfifo(fifo, 0644), 0);
        assert_int_equal(symlink("..", loop), 0);
        t_expect_list(f->store, "", NULL, 0, "a/object");
        t_expect(f->store, "a/fifo", NULL);
        t_expect(f->store, "a/loop", NULL);
        free(fifo);
        free(loop);
}

/* A file cannot be a directory, too. */
static void key_below_an_object_is_refused(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(t_put(f->store, STORE_PUT, "a/b", "x"), HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT, "a/b/c", "x"), HIF_EINVAL);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "a/b/c/d", "x"), HIF_EINVAL);
        assert_int_equal(t_put(f->store, STORE_PUT, "a", "x"), HIF_EINVAL);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "a", "x"), HIF_EINVAL);
        assert_int_equal(t_delete(f->store, "a"), HIF_OK);
        assert_int_equal(t_delete(f->store, "a/b/c"), HIF_OK);
        t_expect(f->store, "a/b", "x");
        assert_int_equal(count_names(f, ".hif/tmp"), 0);
}

/* Directories that somebody removes under an open store are made again. */
static void removed_directories_are_made_again(void **state)
{
        struct fixture *f = *state;

        for (unsigned round = 0; round < 2; round++) {
                assert_int_equal(t_put(f->store, STORE_PUT, "a/b/c", "x"), HIF_OK);
                assert_int_equal(t_put(f->store, STORE_PUT_NEW, "a/d/c", "x"), HIF_OK);
                t_remove_tree(path_in(f, "a"));
        }
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "a/d/c", "x"), HIF_OK);
        t_expect(f->store, "a/d/c", "x");
}

/* --- opening --- */

static enum hif_err open_url(struct fixture *f, const char *url, bool create, char *said)
{
        struct hif_why why = {0};
        struct store *store;
        enum hif_err err = store_open(&f->env, url, create, &store, &why);

        if (!err)
                store_close(store);
        snprintf(said, sizeof(why.text), "%s", why.text);
        return err;
}

/* Each refusal names the thing, the reason, and what to write instead. */
static void bad_urls_are_explained(void **state)
{
        static const struct {
                const char *url, *says;
        } cases[] = {
            {"", "not an absolute path"},
            {"some/dir", "not an absolute path"},
            {"file:some/dir", "absolute"},
            {"file://other-host/dir", "this machine"},
            {"s3://b/prefix", "names no bucket"},
            {"s3:bucket", "s3://bucket/prefix"},
            {"https://host/", "unknown scheme https"},
            {"file:///a%2", "hexadecimal"},
            {"file:///a%00b", "hexadecimal"},
            {"/", "below it"},
        };
        char said[1024];

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                assert_int_equal(open_url(*state, cases[i].url, true, said), HIF_EINVAL);
                assert_non_null(strstr(said, cases[i].says));
        }
}

/* Without leave to create, only what is a store is opened, and nothing is made. */
static void only_a_store_is_opened(void **state)
{
        struct fixture *f = *state;
        char *missing = path_in(f, "no/store"), *plain = path_in(f, "plain"),
             *file = path_in(f, "file");
        char said[1024];

        assert_int_equal(open_url(f, missing, false, said), HIF_ENOENT);
        assert_non_null(strstr(said, "no store at"));
        assert_int_equal(mkdir(plain, 0755), 0);
        assert_int_equal(open_url(f, plain, false, said), HIF_ENOENT);
        assert_non_null(strstr(said, "is no store"));
        assert_int_equal(count_names(f, "plain"), 0);
        touch(f, "file");
        assert_int_equal(open_url(f, file, true, said), HIF_ENOTDIR);
        assert_non_null(strstr(said, "not a directory"));
        assert_int_equal(open_url(f, missing, true, said), HIF_OK);
        assert_int_equal(open_url(f, missing, false, said), HIF_OK);
        free(missing);
        free(plain);
        free(file);
}

/* The URL of a store opens it again, whatever its path is made of. */
static void url_opens_the_same_store(void **state)
{
        struct fixture *f = *state;
        char *path = path_in(f, "with space, 100%#?\xc3\xa9/x///");
        struct store *first, *second;

        assert_int_equal(store_open(&f->env, path, true, &first, NULL), HIF_OK);
        assert_true(first->local);
        assert_int_equal(t_put(first, STORE_PUT, "k", "x"), HIF_OK);
        assert_int_equal(store_open(&f->env, store_url(first), false, &second, NULL), HIF_OK);
        assert_string_equal(store_url(second), store_url(first));
        assert_null(strchr(store_url(second), ' '));
        t_expect(second, "k", "x");
        store_close(first);
        store_close(second);
        free(path);
}

/* While the directory is away (a disk that is not mounted) nothing can be said of objects, and nothing
 * is made where it was. It may come back. */
static void store_that_is_away_is_unreachable(void **state)
{
        static const enum store_op writes[] = {STORE_PUT, STORE_PUT_NEW};
        struct fixture *f = *state;
        char *away = NULL;
        uint64_t size;

        assert_int_equal(t_put(f->store, STORE_PUT, "known/k", "x"), HIF_OK);
        assert_true(asprintf(&away, "%s.away", f->dir) > 0);
        assert_int_equal(rename(f->dir, away), 0);
        assert_int_equal(t_head(f->store, "known/k", &size, NULL), HIF_EUNREACHABLE);
        for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
                assert_int_equal(t_put(f->store, writes[i], "known/n", "y"), HIF_EUNREACHABLE);
                assert_int_equal(t_put(f->store, writes[i], "new/n", "y"), HIF_EUNREACHABLE);
        }
        assert_int_equal(access(f->dir, F_OK), -1);
        assert_int_equal(rename(away, f->dir), 0);
        t_expect(f->store, "known/n", NULL);
        t_expect(f->store, "known/k", "x");
        free(away);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            EACH(one_process_creates),
            EACH(processes_lose_no_update),
            EACH(repeated_link_is_our_own),
            EACH(late_loser_is_told),
            EACH(rename_serves_where_links_are_refused),
            EACH(directory_without_both_is_refused),
            EACH(directory_without_locks_is_refused),
            EACH(batch_syncs_each_directory_once),
            EACH(full_disk_is_reported),
            EACH(read_only_directory_is_reported),
            EACH(unwritable_directory_is_refused),
            EACH(foreign_files_are_no_objects),
            EACH(key_below_an_object_is_refused),
            EACH(removed_directories_are_made_again),
            EACH(store_that_is_away_is_unreachable),
            EACH(bad_urls_are_explained),
            EACH(only_a_store_is_opened),
            EACH(url_opens_the_same_store),
        };

        return cmocka_run_group_tests_name("store_dir", tests, NULL, NULL);
}
