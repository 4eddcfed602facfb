/* test_env.c - the contract of env, kept by the real machine (in a temporary directory) and by the
 * simulated one alike. */
#include "base/buf.h"
#include "base/env.h"
#include "base/simenv.h"
#include "tests/base/check.h"
#include "tests/base/lock_holder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tenv {
        struct env *env;
        struct simenv *sim; /* NULL: the real machine */
        struct env system;
        char root[64];
        char paths[4][128];
        unsigned path_next;
};

static int setup_real(void **state)
{
        struct tenv *t = calloc(1, sizeof(*t));

        assert_non_null(t);
        t->system = env_system(NULL);
        t->env = &t->system;
        snprintf(t->root, sizeof(t->root), "/tmp/hif-test-env-XXXXXX");
        assert_non_null(mkdtemp(t->root));
        *state = t;
        return 0;
}

static int setup_simulated(void **state)
{
        struct tenv *t = calloc(1, sizeof(*t));

        assert_non_null(t);
        t->sim = simenv_new(1);
        assert_non_null(t->sim);
        t->env = simenv_env(t->sim);
        snprintf(t->root, sizeof(t->root), "/root");
        assert_ok(t->env->ops->mkdir(t->env, t->root, 0700));
        *state = t;
        return 0;
}

static int teardown(void **state)
{
        struct tenv *t = *state;
        char command[128];

        if (t->sim) {
                simenv_free(t->sim);
        } else {
                snprintf(command, sizeof(command), "rm -rf '%s'", t->root);
                assert_int_equal(system(command), 0);
        }
        free(t);
        return 0;
}

/* The path of name in the test's directory; good for three more calls. */
static const char *at(struct tenv *t, const char *name)
{
        char *path = t->paths[t->path_next++ % 4];

        snprintf(path, sizeof(t->paths[0]), "%s/%s", t->root, name);
        return path;
}

static int open_new(struct tenv *t, const char *name)
{
        int fd;

        assert_ok(t->env->ops->open(t->env, at(t, name), O_RDWR | O_CREAT | O_EXCL, 0600, &fd));
        return fd;
}

static void put(struct tenv *t, const char *name, const char *text)
{
        assert_ok(env_write_file(t->env, at(t, name), text, strlen(text), 0600));
}

static void expect_content(struct tenv *t, const char *name, const char *text)
{
        AUTO_BUF struct buf content = {0};

        assert_ok(env_read_file(t->env, at(t, name), 1 << 20, &content));
        buf_put_u8(&content, 0);
        assert_string_equal((char *)content.data, text);
}

static void expect_absent(struct tenv *t, const char *name)
{
        struct stat st;

        assert_err(t->env->ops->stat(t->env, at(t, name), &st), HIF_ENOENT);
}

/* --- clocks and randomness --- */

/* The monotonic clock never goes back, and the wall clock knows the century. */
static void clocks_make_sense(void **state)
{
        struct tenv *t = *state;
        uint64_t first = env_mono_ns(t->env);

        assert_true(first > 0);
        assert_true(env_mono_ns(t->env) >= first);
        assert_true(env_wall_ns(t->env) > (uint64_t)1700000000 * 1000000000);
}

/* Random bytes fill what was asked for, to the last byte and no further, and differ. */
static void random_fills_exactly(void **state)
{
        struct tenv *t = *state;
        uint8_t bytes[1003] = {0}, seen = 0;

        for (int i = 0; i < 20; i++) {
                env_random(t->env, bytes, 1001);
                seen |= bytes[1000];
        }
        assert_int_not_equal(seen, 0);
        assert_int_equal(bytes[1001], 0);
        assert_int_not_equal(env_random_u64(t->env), env_random_u64(t->env));
}

/* --- bytes --- */

/* What is written at an offset is read there; a hole before it reads as zeros. */
static void bytes_are_where_they_were_written(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");
        char text[16] = {0};
        uint8_t hole[10000];
        struct stat st;

        assert_ok(env_write_all(t->env, fd, "hello", 5, 10000));
        assert_ok(env_write_all(t->env, fd, "J", 1, 10000));
        assert_ok(env_read_all(t->env, fd, text, 5, 10000));
        assert_string_equal(text, "Jello");
        assert_ok(env_read_all(t->env, fd, hole, sizeof(hole), 0));
        for (size_t i = 0; i < sizeof(hole); i++)
                assert_int_equal(hole[i], 0);
        assert_ok(t->env->ops->fstat(t->env, fd, &st));
        assert_int_equal(st.st_size, 10005);
        assert_true(S_ISREG(st.st_mode));
        t->env->ops->close(t->env, fd);
}

/* Reading stops at the end of the file: a short count for pread, an error for env_read_all. */
static void reading_ends_at_the_end(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");
        char text[8];
        size_t count = 99;

        assert_ok(env_write_all(t->env, fd, "hello", 5, 0));
        assert_ok(t->env->ops->pread(t->env, fd, text, 8, 3, &count));
        assert_int_equal(count, 2);
        assert_ok(t->env->ops->pread(t->env, fd, text, 8, 5, &count));
        assert_int_equal(count, 0);
        assert_ok(t->env->ops->pread(t->env, fd, text, 8, 500, &count));
        assert_int_equal(count, 0);
        assert_err(env_read_all(t->env, fd, text, 8, 0), HIF_EIO);
        t->env->ops->close(t->env, fd);
}

/* What was just written is in memory, so that pread_nowait gives it (or says EAGAIN, never wrong
 * bytes). */
static void nowait_reads_what_is_in_memory(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");
        char text[8] = {0};
        size_t count = 0;
        enum hif_err err;

        assert_ok(env_write_all(t->env, fd, "hello", 5, 0));
        err = t->env->ops->pread_nowait(t->env, fd, text, 8, 0, &count);
        if (err != HIF_EAGAIN) {
                assert_ok(err);
                assert_int_equal(count, 5);
                assert_string_equal(text, "hello");
        }
        t->env->ops->close(t->env, fd);
}

/* Offsets that no file has are refused, not wrapped around. */
static void impossible_offsets_are_refused(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");
        const struct env_ops *ops = t->env->ops;
        char byte = 0;
        size_t count;

        assert_err(ops->pread(t->env, fd, &byte, 1, UINT64_MAX, &count), HIF_EINVAL);
        assert_err(ops->pread_nowait(t->env, fd, &byte, 1, INT64_MAX, &count), HIF_EINVAL);
        assert_err(ops->pwrite(t->env, fd, &byte, 1, UINT64_MAX, &count), HIF_EFBIG);
        assert_err(ops->ftruncate(t->env, fd, UINT64_MAX), HIF_EFBIG);
        assert_err(ops->fallocate(t->env, fd, UINT64_MAX, 1), HIF_EFBIG);
        assert_err(ops->punch(t->env, fd, UINT64_MAX, 1), HIF_EFBIG);
        ops->close(t->env, fd);
}

/* Truncation cuts, and what grows again is zeros, not the old bytes. */
static void truncation_forgets_bytes(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");
        char text[6] = {0};

        assert_ok(env_write_all(t->env, fd, "hello", 5, 0));
        assert_ok(t->env->ops->ftruncate(t->env, fd, 2));
        assert_ok(t->env->ops->ftruncate(t->env, fd, 5));
        assert_ok(env_read_all(t->env, fd, text, 5, 0));
        assert_memory_equal(text, "he\0\0\0", 5);
        t->env->ops->close(t->env, fd);
}

/* fallocate extends the file with zeros, and leaves what is there. */
static void fallocate_extends(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");
        char text[6] = {0};
        struct stat st;

        assert_ok(env_write_all(t->env, fd, "hello", 5, 0));
        assert_ok(t->env->ops->fallocate(t->env, fd, 0, 10000));
        assert_ok(t->env->ops->fstat(t->env, fd, &st));
        assert_int_equal(st.st_size, 10000);
        assert_true(st.st_blocks * 512 >= 10000);
        assert_ok(env_read_all(t->env, fd, text, 5, 0));
        assert_string_equal(text, "hello");
        t->env->ops->close(t->env, fd);
}

/* A punched range reads as zeros, to the byte, and gives its blocks back; the size stays. */
static void punch_makes_a_hole(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");
        static uint8_t bytes[100000];
        struct stat before, after;

        memset(bytes, 7, sizeof(bytes));
        assert_ok(env_write_all(t->env, fd, bytes, sizeof(bytes), 0));
        assert_ok(t->env->ops->fsync(t->env, fd));
        assert_ok(t->env->ops->fstat(t->env, fd, &before));
        assert_ok(t->env->ops->punch(t->env, fd, 5000, 80000));
        assert_ok(t->env->ops->punch(t->env, fd, 10, 20));
        assert_ok(t->env->ops->fstat(t->env, fd, &after));
        assert_int_equal(after.st_size, sizeof(bytes));
        assert_true(after.st_blocks < before.st_blocks);
        assert_ok(env_read_all(t->env, fd, bytes, sizeof(bytes), 0));
        for (size_t i = 0; i < sizeof(bytes); i++) {
                bool hole = (i >= 5000 && i < 85000) || (i >= 10 && i < 30);

                assert_int_equal(bytes[i], hole ? 0 : 7);
        }
        t->env->ops->close(t->env, fd);
}

/* Stores into a mapping are read with pread, and writes with pwrite are seen in the mapping. */
static void mapping_is_the_file(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");
        char text[6] = {0};
        char *bytes;
        void *mapped;

        assert_ok(t->env->ops->fallocate(t->env, fd, 0, 16384));
        assert_ok(t->env->ops->map(t->env, fd, 4096, 8192, &mapped));
        bytes = mapped;
        memcpy(bytes + 100, "hello", 5);
        assert_ok(env_read_all(t->env, fd, text, 5, 4196));
        assert_string_equal(text, "hello");
        assert_ok(env_write_all(t->env, fd, "world", 5, 4196));
        assert_memory_equal(bytes + 100, "world", 5);
        assert_ok(t->env->ops->fdatasync(t->env, fd));
        memcpy(bytes + 100, "again", 5);
        t->env->ops->unmap(t->env, mapped, 8192);
        assert_ok(env_read_all(t->env, fd, text, 5, 4196));
        assert_string_equal(text, "again");
        t->env->ops->close(t->env, fd);
}

/* What is punched or truncated away is zeros in the mapping too, once the file has its size again.
 */
static void mapping_sees_punch_and_truncation(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");
        uint8_t *bytes;
        void *mapped;

        assert_ok(t->env->ops->fallocate(t->env, fd, 0, 16384));
        assert_ok(t->env->ops->map(t->env, fd, 0, 16384, &mapped));
        bytes = mapped;
        memset(bytes, 7, 16384);
        assert_ok(t->env->ops->punch(t->env, fd, 4096, 4096));
        assert_ok(t->env->ops->ftruncate(t->env, fd, 12000));
        assert_ok(t->env->ops->ftruncate(t->env, fd, 16384));
        for (size_t i = 0; i < 16384; i++)
                assert_int_equal(bytes[i], i < 4096 || (i >= 8192 && i < 12000) ? 7 : 0);
        t->env->ops->unmap(t->env, mapped, 16384);
        t->env->ops->close(t->env, fd);
}

/* Growing a mapped file moves nothing, and a mapping outlives the descriptor. */
static void mapping_survives_growth_and_close(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");
        char text[6] = {0};
        void *first, *second;

        assert_ok(t->env->ops->fallocate(t->env, fd, 0, 4096));
        assert_ok(t->env->ops->map(t->env, fd, 0, 4096, &first));
        memcpy(first, "hello", 5);
        assert_ok(t->env->ops->ftruncate(t->env, fd, 1 << 20));
        assert_ok(t->env->ops->fallocate(t->env, fd, 0, 1 << 20));
        assert_ok(t->env->ops->map(t->env, fd, 0, 1 << 20, &second));
        assert_memory_equal(first, "hello", 5);
        assert_memory_equal(second, "hello", 5);
        t->env->ops->close(t->env, fd);
        memcpy(first, "world", 5);
        assert_memory_equal(second, "world", 5);
        t->env->ops->unmap(t->env, first, 4096);
        t->env->ops->unmap(t->env, second, 1 << 20);
        assert_ok(t->env->ops->open(t->env, at(t, "f"), O_RDONLY, 0, &fd));
        assert_ok(env_read_all(t->env, fd, text, 5, 0));
        assert_string_equal(text, "world");
        t->env->ops->close(t->env, fd);
}

/* --- names --- */

/* open keeps the promises of its flags. */
static void open_respects_flags(void **state)
{
        struct tenv *t = *state;
        const struct env_ops *ops = t->env->ops;
        size_t count;
        int fd = -7;

        assert_err(ops->open(t->env, at(t, "f"), O_RDONLY, 0, &fd), HIF_ENOENT);
        put(t, "f", "hello");
        assert_err(ops->open(t->env, at(t, "f"), O_RDWR | O_CREAT | O_EXCL, 0600, &fd), HIF_EEXIST);
        assert_err(ops->open(t->env, at(t, "f"), O_RDONLY | O_DIRECTORY, 0, &fd), HIF_ENOTDIR);
        assert_err(ops->open(t->env, at(t, "f/x"), O_RDONLY, 0, &fd), HIF_ENOTDIR);
        assert_err(ops->open(t->env, t->root, O_RDWR, 0, &fd), HIF_EISDIR);
        assert_int_equal(fd, -7);
        assert_ok(ops->open(t->env, at(t, "f"), O_RDONLY, 0, &fd));
        assert_err(ops->pwrite(t->env, fd, "x", 1, 0, &count), HIF_EIO); /* EBADF */
        ops->close(t->env, fd);
        assert_ok(ops->open(t->env, at(t, "f"), O_WRONLY | O_TRUNC, 0, &fd));
        ops->close(t->env, fd);
        expect_content(t, "f", "");
}

/* A descriptor goes on after its name is gone. */
static void unlinked_file_stays_open(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");
        char text[6] = {0};
        struct stat st;

        assert_ok(env_write_all(t->env, fd, "hello", 5, 0));
        assert_ok(t->env->ops->unlink(t->env, at(t, "f")));
        assert_err(t->env->ops->unlink(t->env, at(t, "f")), HIF_ENOENT);
        assert_ok(env_read_all(t->env, fd, text, 5, 0));
        assert_string_equal(text, "hello");
        assert_ok(t->env->ops->fstat(t->env, fd, &st));
        assert_int_equal(st.st_nlink, 0);
        t->env->ops->close(t->env, fd);
}

/* A hard link is the same file; the name to be must be free. */
static void link_makes_a_second_name(void **state)
{
        struct tenv *t = *state;
        const struct env_ops *ops = t->env->ops;
        struct stat a, b;

        put(t, "a", "hello");
        put(t, "c", "other");
        assert_ok(ops->link(t->env, at(t, "a"), at(t, "b")));
        assert_err(ops->link(t->env, at(t, "a"), at(t, "c")), HIF_EEXIST);
        assert_err(ops->link(t->env, at(t, "x"), at(t, "y")), HIF_ENOENT);
        assert_ok(ops->stat(t->env, at(t, "a"), &a));
        assert_ok(ops->stat(t->env, at(t, "b"), &b));
        assert_int_equal(a.st_ino, b.st_ino);
        assert_int_equal(a.st_nlink, 2);
        assert_ok(ops->unlink(t->env, at(t, "a")));
        expect_content(t, "b", "hello");
}

/* rename replaces, rename_noreplace does not, and a name is never in two places. */
static void renames_replace_or_not(void **state)
{
        struct tenv *t = *state;
        const struct env_ops *ops = t->env->ops;

        put(t, "a", "one");
        put(t, "b", "two");
        assert_err(ops->rename_noreplace(t->env, at(t, "a"), at(t, "b")), HIF_EEXIST);
        expect_content(t, "b", "two");
        assert_ok(ops->rename(t->env, at(t, "a"), at(t, "b")));
        expect_content(t, "b", "one");
        expect_absent(t, "a");
        assert_ok(ops->rename_noreplace(t->env, at(t, "b"), at(t, "c")));
        expect_content(t, "c", "one");
        expect_absent(t, "b");
        assert_err(ops->rename(t->env, at(t, "x"), at(t, "y")), HIF_ENOENT);
        assert_err(ops->rename_noreplace(t->env, at(t, "x"), at(t, "y")), HIF_ENOENT);
        assert_ok(ops->rename(t->env, at(t, "c"), at(t, "c")));
        expect_content(t, "c", "one");
}

/* Directories move with all they hold, but neither into themselves nor over anything that is not an
 * empty directory. */
static void directories_are_renamed_with_care(void **state)
{
        struct tenv *t = *state;
        const struct env_ops *ops = t->env->ops;

        assert_ok(env_mkdirs(t->env, at(t, "d/e"), 0700));
        assert_ok(env_mkdirs(t->env, at(t, "full/x"), 0700));
        assert_ok(env_mkdirs(t->env, at(t, "empty"), 0700));
        put(t, "d/e/f", "deep");
        put(t, "file", "file");
        assert_err(ops->rename(t->env, at(t, "d"), at(t, "d/e/g")), HIF_EINVAL);
        assert_err(ops->rename(t->env, at(t, "d"), at(t, "full")), HIF_ENOTEMPTY);
        assert_err(ops->rename(t->env, at(t, "d"), at(t, "file")), HIF_ENOTDIR);
        assert_err(ops->rename(t->env, at(t, "file"), at(t, "empty")), HIF_EISDIR);
        assert_ok(ops->rename(t->env, at(t, "d"), at(t, "empty")));
        expect_content(t, "empty/e/f", "deep");
        expect_absent(t, "d");
}

/* Directories are made and removed, and each wrong kind or state has its error. */
static void directories_are_made_and_removed(void **state)
{
        struct tenv *t = *state;
        const struct env_ops *ops = t->env->ops;
        char name[400];
        struct stat st;

        assert_ok(ops->mkdir(t->env, at(t, "d"), 0700));
        assert_ok(ops->stat(t->env, at(t, "d"), &st));
        assert_true(S_ISDIR(st.st_mode));
        assert_int_equal(st.st_mode & 0777, 0700);
        assert_err(ops->mkdir(t->env, at(t, "d"), 0700), HIF_EEXIST);
        assert_err(ops->mkdir(t->env, at(t, "x/y"), 0700), HIF_ENOENT);
        put(t, "d/f", "");
        assert_err(ops->rmdir(t->env, at(t, "d")), HIF_ENOTEMPTY);
        assert_err(ops->rmdir(t->env, at(t, "d/f")), HIF_ENOTDIR);
        assert_err(ops->unlink(t->env, at(t, "d")), HIF_EISDIR);
        assert_ok(ops->unlink(t->env, at(t, "d/f")));
        assert_ok(ops->rmdir(t->env, at(t, "d")));
        assert_err(ops->rmdir(t->env, at(t, "d")), HIF_ENOENT);

        snprintf(name, sizeof(name), "%s/%0300d", t->root, 1);
        assert_err(ops->mkdir(t->env, name, 0700), HIF_ENAMETOOLONG);
}

struct names {
        char text[256];
        unsigned left; /* stop after so many */
};

static bool collect(void *arg, const char *name)
{
        struct names *names = arg;

        strcat(names->text, name);
        return --names->left > 0;
}

/* A list has every name once, without "." and "..", and stops when it is told to. */
static void list_has_every_name(void **state)
{
        struct tenv *t = *state;
        const struct env_ops *ops = t->env->ops;
        struct names names = {.left = 100};

        assert_ok(ops->list(t->env, t->root, collect, &names));
        assert_string_equal(names.text, "");
        put(t, "a", "");
        put(t, "b", "");
        put(t, "c", "");
        assert_ok(ops->list(t->env, t->root, collect, &names));
        assert_int_equal(strlen(names.text), 3);
        assert_int_equal(strspn(names.text, "abc"), 3);
        assert_true(names.text[0] != names.text[1] && names.text[1] != names.text[2] &&
                    names.text[0] != names.text[2]);
        names = (struct names){.left = 2};
        assert_ok(ops->list(t->env, t->root, collect, &names));
        assert_int_equal(strlen(names.text), 2);
        assert_err(ops->list(t->env, at(t, "x"), collect, &names), HIF_ENOENT);
        assert_err(ops->list(t->env, at(t, "a"), collect, &names), HIF_ENOTDIR);
}

/* The file system has a size, and some of it is free. */
static void space_is_known(void **state)
{
        struct tenv *t = *state;
        uint64_t free_bytes = 0, total_bytes = 0;

        assert_ok(t->env->ops->space(t->env, t->root, &free_bytes, &total_bytes));
        assert_true(total_bytes > 0 && free_bytes <= total_bytes);
        assert_err(t->env->ops->space(t->env, at(t, "x"), &free_bytes, &total_bytes), HIF_ENOENT);
}

/* --- conveniences --- */

/* A file is replaced as a whole and with its mode, and no temporary file stays. */
static void write_file_replaces(void **state)
{
        struct tenv *t = *state;
        struct names names = {.left = 100};
        struct stat st;

        put(t, "f", "a longer text");
        put(t, "f", "short");
        expect_content(t, "f", "short");
        assert_ok(t->env->ops->stat(t->env, at(t, "f"), &st));
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_ok(t->env->ops->list(t->env, t->root, collect, &names));
        assert_string_equal(names.text, "f");
}

/* Where the file cannot be replaced the error is told, and no temporary file stays. */
static void failed_write_file_leaves_nothing(void **state)
{
        struct tenv *t = *state;
        struct names names = {.left = 100};

        assert_ok(t->env->ops->mkdir(t->env, at(t, "d"), 0700));
        assert_err(env_write_file(t->env, at(t, "d"), "x", 1, 0600), HIF_EISDIR);
        assert_err(env_write_file(t->env, at(t, "x/y"), "x", 1, 0600), HIF_ENOENT);
        assert_ok(t->env->ops->list(t->env, t->root, collect, &names));
        assert_string_equal(names.text, "d");
}

/* Reading appends the whole file, however large; one that is over the limit is refused, and the
 * buffer is as before. */
static void read_file_appends_up_to_the_limit(void **state)
{
        struct tenv *t = *state;
        AUTO_BUF struct buf buf = {0};
        static uint8_t bytes[200000];

        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i % 251);
        assert_ok(env_write_file(t->env, at(t, "f"), bytes, sizeof(bytes), 0600));
        buf_put(&buf, "ab", 2);
        assert_err(env_read_file(t->env, at(t, "f"), sizeof(bytes) - 1, &buf), HIF_ELIMIT);
        assert_err(env_read_file(t->env, at(t, "f"), 0, &buf), HIF_ELIMIT);
        assert_err(env_read_file(t->env, at(t, "x"), 100, &buf), HIF_ENOENT);
        assert_int_equal(buf.size, 2);
        assert_ok(env_read_file(t->env, at(t, "f"), sizeof(bytes), &buf));
        assert_ok(env_read_file(t->env, at(t, "f"), SIZE_MAX, &buf));
        assert_int_equal(buf.size, 2 + 2 * sizeof(bytes));
        assert_memory_equal(buf.data, "ab", 2);
        assert_memory_equal(buf.data + 2, bytes, sizeof(bytes));
        assert_memory_equal(buf.data + 2 + sizeof(bytes), bytes, sizeof(bytes));
}

/* Missing parents are made, existing directories are fine, a file in the way is not. */
static void mkdirs_makes_parents(void **state)
{
        struct tenv *t = *state;
        struct stat st;

        assert_ok(env_mkdirs(t->env, at(t, "a/b/c"), 0700));
        assert_ok(t->env->ops->stat(t->env, at(t, "a/b/c"), &st));
        assert_true(S_ISDIR(st.st_mode));
        assert_ok(env_mkdirs(t->env, at(t, "a/b/c"), 0700));
        assert_ok(env_mkdirs(t->env, at(t, "a/b/d/"), 0700));
        assert_ok(env_mkdirs(t->env, "/", 0700));
        put(t, "a/f", "");
        assert_err(env_mkdirs(t->env, at(t, "a/f"), 0700), HIF_ENOTDIR);
        assert_err(env_mkdirs(t->env, at(t, "a/f/g"), 0700), HIF_ENOTDIR);
}

/* A directory is synced by its path; a file is not one. */
static void sync_dir_wants_a_directory(void **state)
{
        struct tenv *t = *state;

        assert_ok(env_sync_dir(t->env, t->root));
        put(t, "f", "");
        assert_err(env_sync_dir(t->env, at(t, "f")), HIF_ENOTDIR);
        assert_err(env_sync_dir(t->env, at(t, "x")), HIF_ENOENT);
}

/* An open descriptor is not inherited by a program that is started. */
static void descriptors_are_close_on_exec(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");

        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        t->env->ops->close(t->env, fd);
}

/* Whoever has a lock is waited for, as long as was said. */
static void locks_are_waited_for(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f");
        pid_t holder = lock_holder_start(at(t, "f"), false);

        assert_err(env_lock(t->env, fd, at(t, "f"), 0), HIF_EBUSY);
        assert_ok(env_lock(t->env, fd, at(t, "f"), 60000));
        lock_holder_end(holder);
        t->env->ops->close(t->env, fd);
}

/* A lock on a file that has no name any more, or whose name is another's, excludes nobody. */
static void locks_are_of_the_file_that_is_named(void **state)
{
        struct tenv *t = *state;
        int fd = open_new(t, "f"), other;
        pid_t holder = lock_holder_start(at(t, "f"), true);

        assert_err(env_lock(t->env, fd, at(t, "f"), 60000), HIF_ENOENT);
        lock_holder_end(holder);
        other = open_new(t, "f");
        assert_err(env_lock(t->env, fd, at(t, "f"), 0), HIF_ENOENT);
        assert_ok(env_lock(t->env, other, at(t, "f"), 0));
        t->env->ops->close(t->env, other);
        t->env->ops->close(t->env, fd);
}

#define BOTH(test)                                                                                 \
        {"real " #test, test, setup_real, teardown, NULL},                                         \
        {                                                                                          \
                "simulated " #test, test, setup_simulated, teardown, NULL                          \
        }

int main(void)
{
        const struct CMUnitTest tests[] = {
            BOTH(clocks_make_sense),
            BOTH(random_fills_exactly),
            BOTH(bytes_are_where_they_were_written),
            BOTH(reading_ends_at_the_end),
            BOTH(nowait_reads_what_is_in_memory),
            BOTH(impossible_offsets_are_refused),
            BOTH(truncation_forgets_bytes),
            BOTH(fallocate_extends),
            BOTH(punch_makes_a_hole),
            BOTH(mapping_is_the_file),
            BOTH(mapping_sees_punch_and_truncation),
            BOTH(mapping_survives_growth_and_close),
            BOTH(open_respects_flags),
            BOTH(unlinked_file_stays_open),
            BOTH(link_makes_a_second_name),
            BOTH(renames_replace_or_not),
            BOTH(directories_are_renamed_with_care),
            BOTH(directories_are_made_and_removed),
            BOTH(list_has_every_name),
            BOTH(space_is_known),
            BOTH(write_file_replaces),
            BOTH(failed_write_file_leaves_nothing),
            BOTH(read_file_appends_up_to_the_limit),
            BOTH(mkdirs_makes_parents),
            BOTH(sync_dir_wants_a_directory),
            cmocka_unit_test_setup_teardown(descriptors_are_close_on_exec, setup_real, teardown),
            cmocka_unit_test_setup_teardown(locks_are_waited_for, setup_real, teardown),
            cmocka_unit_test_setup_teardown(locks_are_of_the_file_that_is_named, setup_real,
                                            teardown),
        };

        return cmocka_run_group_tests_name("env", tests, NULL, NULL);
}
