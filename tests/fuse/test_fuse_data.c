/* test_fuse_data.c - content through a real mount: read, write, truncate, map, unlink while open.
 */
#include "tfuse.h"

#include "core/body.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BIG_SIZE    (6u * 1024 * 1024 + 123) /* chunked */
#define MIDDLE_SIZE (3u * 1024 * 1024)       /* one blob */
#define PAGE        4096u

static int setup(void **state)
{
        struct tfuse *t = tfuse_new();
        AUTO_FREE uint8_t *big = tmount_bytes(1, BIG_SIZE);
        AUTO_FREE uint8_t *middle = tmount_bytes(2, MIDDLE_SIZE);

        tmount_add_text(t->m, "a.txt", "hello, world\n");
        tmount_add_text(t->m, "dir/b.txt", "b\n");
        tmount_add_file(t->m, "big", big, BIG_SIZE, false);
        tmount_add_file(t->m, "middle", middle, MIDDLE_SIZE, true);
        tfuse_mount(t);
        *state = t;
        return 0;
}

static int teardown(void **state)
{
        tfuse_free(*state);
        return 0;
}

static int open_in(struct tfuse *t, const char *name, int flags)
{
        int fd = open(tfuse_path(t, name), flags | O_CLOEXEC, 0644);

        if (fd < 0)
                fail_msg("open %s: %s", name, strerror(errno));
        return fd;
}

/* The whole file, in reads of `step` bytes, is `content`. */
static void expect_in_steps(struct tfuse *t, const char *name, const uint8_t *content, size_t size,
                            size_t step)
{
        int fd = open_in(t, name, O_RDONLY);
        AUTO_FREE uint8_t *got = malloc(size + step);
        size_t at = 0;
        ssize_t count;

        assert_non_null(got);
        while ((count = read(fd, got + at, step)) > 0 && at <= size)
                at += (size_t)count;
        assert_int_equal(count, 0);
        assert_int_equal(at, size);
        assert_memory_equal(got, content, size);
        close(fd);
}

static void expect_text(struct tfuse *t, const char *name, const char *text)
{
        expect_in_steps(t, name, (const uint8_t *)text, strlen(text), 4096);
}

/* Content of the base is read as it was landed, in one blob or in chunks, by any step. */
static void base_content_reads(void **state)
{
        struct tfuse *t = *state;
        AUTO_FREE uint8_t *big = tmount_bytes(1, BIG_SIZE);
        AUTO_FREE uint8_t *middle = tmount_bytes(2, MIDDLE_SIZE);

        expect_text(t, "a.txt", "hello, world\n");
        expect_in_steps(t, "big", big, BIG_SIZE, 1 << 20);
        expect_in_steps(t, "middle", middle, MIDDLE_SIZE, 10007);
}

/* Direct reads pass the page cache by, and give the same. */
static void direct_reads_agree(void **state)
{
        struct tfuse *t = *state;
        AUTO_FREE uint8_t *big = tmount_bytes(1, BIG_SIZE);
        AUTO_FREE uint8_t *got = malloc(BIG_SIZE);
        int fd = open_in(t, "big", O_RDONLY | O_DIRECT);

        assert_non_null(got);
        assert_int_equal(pread(fd, got, BIG_SIZE, 0), BIG_SIZE);
        assert_memory_equal(got, big, BIG_SIZE);
        close(fd);
}

/* What is written is read back; bytes around it stay the base's. */
static void writes_change_only_their_range(void **state)
{
        struct tfuse *t = *state;
        int fd = open_in(t, "a.txt", O_RDWR);

        assert_int_equal(pwrite(fd, "HIF", 3, 7), 3);
        expect_text(t, "a.txt", "hello, HIFld\n");
        assert_int_equal(pwrite(fd, "tail", 4, 13), 4);
        close(fd);
        expect_text(t, "a.txt", "hello, HIFld\ntail");
}

/* A file in hundreds of pieces is read in full, not cut short at a request's limit of pieces. */
static void files_of_many_pieces_read_whole(void **state)
{
        struct tfuse *t = *state;
        AUTO_FREE uint8_t *content = tmount_bytes(2, MIDDLE_SIZE);
        uint8_t page[PAGE];
        int fd = open_in(t, "middle", O_RDWR);

        for (size_t at = PAGE; at + PAGE < MIDDLE_SIZE; at += 2 * PAGE) {
                memset(page, (int)(at >> 13 & 0xff), sizeof(page));
                memcpy(content + at, page, sizeof(page));
                assert_int_equal(pwrite(fd, page, sizeof(page), (off_t)at), sizeof(page));
        }
        close(fd);
        tfuse_unmount(t); /* and with it the pages that the kernel has */
        tfuse_mount(t);
        expect_in_steps(t, "middle", content, MIDDLE_SIZE, 1 << 20);
        fd = open_in(t, "middle", O_RDONLY | O_DIRECT);
        memset(content, 0, MIDDLE_SIZE / 2);
        assert_int_equal(pread(fd, content, MIDDLE_SIZE / 2, 0), MIDDLE_SIZE / 2);
        close(fd);
        expect_in_steps(t, "middle", content, MIDDLE_SIZE, 65536);
}

/* New files take large and small writes, and appends. */
static void new_files_are_written(void **state)
{
        struct tfuse *t = *state;
        AUTO_FREE uint8_t *content = tmount_bytes(3, BIG_SIZE);
        int fd = open_in(t, "dir/new", O_CREAT | O_EXCL | O_WRONLY);

        for (size_t at = 0; at < BIG_SIZE;) {
                size_t size = at % 3 == 0 ? 1u << 20 : 7777;

                if (size > BIG_SIZE - at)
                        size = BIG_SIZE - at;
                assert_int_equal(write(fd, content + at, size), size);
                at += size;
        }
        close(fd);
        expect_in_steps(t, "dir/new", content, BIG_SIZE, 1 << 20);
        fd = open_in(t, "dir/b.txt", O_WRONLY | O_APPEND);
        assert_int_equal(write(fd, "more\n", 5), 5);
        close(fd);
        expect_text(t, "dir/b.txt", "b\nmore\n");
}

/* truncate(2), ftruncate(2) and O_TRUNC cut; what grows again reads as zeros. */
static void truncation_cuts_and_zeros_follow(void **state)
{
        struct tfuse *t = *state;
        struct stat st;
        int fd;

        assert_int_equal(truncate(tfuse_path(t, "a.txt"), 5), 0);
        expect_text(t, "a.txt", "hello");
        assert_int_equal(truncate(tfuse_path(t, "a.txt"), 8), 0);
        expect_in_steps(t, "a.txt", (const uint8_t *)"hello\0\0\0", 8, 100);
        fd = open_in(t, "a.txt", O_RDWR);
        assert_int_equal(ftruncate(fd, 2), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 2);
        close(fd);
        expect_text(t, "a.txt", "he");
        close(open_in(t, "a.txt", O_WRONLY | O_TRUNC));
        expect_text(t, "a.txt", "");
        assert_int_equal(truncate(tfuse_path(t, "big"), 100), 0);
        assert_int_equal(stat(tfuse_path(t, "big"), &st), 0);
        assert_int_equal(st.st_size, 100);
}

/* A hole of a gigabyte costs nothing and reads as zeros. */
static void sparse_files_work(void **state)
{
        struct tfuse *t = *state;
        int fd = open_in(t, "sparse", O_CREAT | O_RDWR);
        uint8_t got[8] = {1, 1, 1, 1, 1, 1, 1, 1};

        assert_int_equal(pwrite(fd, "end", 3, 1 << 30), 3);
        assert_int_equal(pread(fd, got, 8, 1 << 29), 8);
        assert_memory_equal(got, "\0\0\0\0\0\0\0\0", 8);
        assert_int_equal(pread(fd, got, 8, (1 << 30) - 2), 5);
        assert_memory_equal(got, "\0\0end", 5);
        assert_int_equal(lseek(fd, 0, SEEK_END), (1 << 30) + 3);
        close(fd);
}

/* A shared mapping shows what is written, and what is stored in it is written. */
static void shared_mappings_read_and_write(void **state)
{
        struct tfuse *t = *state;
        int fd = open_in(t, "a.txt", O_RDWR);
        char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        assert_ptr_not_equal(map, MAP_FAILED);
        assert_memory_equal(map, "hello", 5);
        assert_int_equal(pwrite(fd, "J", 1, 0), 1);
        assert_int_equal(map[0], 'J');
        memcpy(map + 7, "earth", 5);
        assert_int_equal(msync(map, PAGE, MS_SYNC), 0);
        assert_int_equal(munmap(map, PAGE), 0);
        close(fd);
        tfuse_unmount(t);
        tfuse_mount(t);
        expect_text(t, "a.txt", "Jello, earth\n");
}

/* What was stored in a mapping and never synced reaches the overlay before the mount goes. */
static void unmount_writes_mappings_back(void **state)
{
        struct tfuse *t = *state;
        int fd = open_in(t, "a.txt", O_RDWR);
        char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        assert_ptr_not_equal(map, MAP_FAILED);
        close(fd);
        memcpy(map, "HELLO", 5);
        tfuse_unmount(t); /* busy: the mapping holds the file open */
        munmap(map, PAGE);
        tfuse_mount(t);
        expect_text(t, "a.txt", "HELLO, world\n");
}

static void held_of(struct tfuse *t, void *arg)
{
        *(uint64_t *)arg = vfs_stats(t->m->vfs).held;
}

/* That many files are held open; a close is told of when it has returned. */
static void expect_held(struct tfuse *t, uint64_t count)
{
        uint64_t held = UINT64_MAX;

        for (int i = 0; i < 60000 && held != count; i++) {
                if (i > 0)
                        usleep(1000);
                tfuse_on_loop(t, held_of, &held);
        }
        assert_int_equal(held, count);
}

/* A file that was removed, or replaced by a rename, stays readable and writable while open, for as long
 * as that may be. */
static void removed_files_live_while_open(void **state)
{
        struct tfuse *t = *state;
        int base = open_in(t, "a.txt", O_RDWR), made = open_in(t, "made", O_CREAT | O_RDWR);
        struct stat st;
        char got[32];

        assert_int_equal(write(made, "made", 4), 4);
        assert_int_equal(unlink(tfuse_path(t, "a.txt")), 0);
        assert_int_equal(unlink(tfuse_path(t, "made")), 0);
        assert_int_equal(access(tfuse_path(t, "made"), F_OK), -1);
        assert_int_equal(fstat(base, &st), 0);
        assert_int_equal(st.st_nlink, 0);
        assert_int_equal(pread(base, got, sizeof(got), 0), 13);
        assert_memory_equal(got, "hello, world\n", 13);
        assert_int_equal(pwrite(made, "MORE", 4, 4), 4);
        assert_int_equal(pread(made, got, sizeof(got), 0), 8);
        assert_memory_equal(got, "madeMORE", 8);
        assert_int_equal(pwrite(base, "J", 1, 0), 1);
        assert_int_equal(pread(base, got, sizeof(got), 0), 13);
        assert_memory_equal(got, "Jello", 5);
        expect_held(t, 2);
        close(base);
        close(made);
        expect_held(t, 0);
}

static void seq_of(struct tfuse *t, void *arg)
{
        uint64_t *seqs = arg;

        seqs[0] = overlay_seq(t->m->overlay);
        seqs[1] = overlay_durable(t->m->overlay);
}

/* fsync(2) returns once everything so far is on disk; so does rename(2) over a name. */
static void fsync_waits_for_the_disk(void **state)
{
        struct tfuse *t = *state;
        int fd = open_in(t, "new", O_CREAT | O_WRONLY);
        char from[256];
        uint64_t seqs[2];

        assert_int_equal(write(fd, "x", 1), 1);
        assert_int_equal(fsync(fd), 0);
        tfuse_on_loop(t, seq_of, seqs);
        assert_true(seqs[1] >= seqs[0]);
        close(fd);
        snprintf(from, sizeof(from), "%s", tfuse_path(t, "new"));
        assert_int_equal(rename(from, tfuse_path(t, "a.txt")), 0);
        tfuse_on_loop(t, seq_of, seqs);
        assert_true(seqs[1] >= seqs[0]);
        expect_text(t, "a.txt", "x");
}

/* With durability "power" closing waits for the disk, and so does what makes, moves and removes names. */
static void power_durability_waits(void **state)
{
        struct tfuse *t = *state;
        char from[256];
        uint64_t seqs[2];
        int fd;

        tfuse_unmount(t);
        t->m->options.overlay.durability = OVERLAY_POWER;
        tfuse_mount(t);
        for (int i = 0; i < 5; i++) {
                switch (i) {
                case 0:
                        fd = open_in(t, "new", O_CREAT | O_WRONLY);
                        assert_int_equal(write(fd, "x", 1), 1);
                        close(fd);
                        break;
                case 1:
                        assert_int_equal(mkdir(tfuse_path(t, "made"), 0700), 0);
                        break;
                case 2:
                        snprintf(from, sizeof(from), "%s", tfuse_path(t, "new"));
                        assert_int_equal(rename(from, tfuse_path(t, "made/new")), 0);
                        break;
                case 3:
                        fd = open_in(t, "a.txt", O_WRONLY);
                        assert_int_equal(write(fd, "x", 1), 1);
                        close(fd);
                        break;
                default:
                        assert_int_equal(unlink(tfuse_path(t, "a.txt")), 0);
                        break;
                }
                tfuse_on_loop(t, seq_of, seqs);
                assert_true(seqs[1] >= seqs[0]);
        }
}

/* Edits are there again after the workspace was closed, opened and mounted. */
static void edits_survive_a_remount(void **state)
{
        struct tfuse *t = *state;
        int fd = open_in(t, "dir/kept", O_CREAT | O_WRONLY);
        struct stat before, after;

        assert_int_equal(write(fd, "kept\n", 5), 5);
        close(fd);
        assert_int_equal(stat(tfuse_path(t, "dir/kept"), &before), 0);
        tfuse_unmount(t);
        tfuse_mount(t);
        expect_text(t, "dir/kept", "kept\n");
        assert_int_equal(stat(tfuse_path(t, "dir/kept"), &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
        assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
            TEST(base_content_reads),
            TEST(direct_reads_agree),
            TEST(writes_change_only_their_range),
            TEST(files_of_many_pieces_read_whole),
            TEST(new_files_are_written),
            TEST(truncation_cuts_and_zeros_follow),
            TEST(sparse_files_work),
            TEST(shared_mappings_read_and_write),
            TEST(unmount_writes_mappings_back),
            TEST(removed_files_live_while_open),
            TEST(fsync_waits_for_the_disk),
            TEST(power_durability_waits),
            TEST(edits_survive_a_remount),
        };

        return cmocka_run_group_tests_name("fuse: content", tests, NULL, NULL);
}
