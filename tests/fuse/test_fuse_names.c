/* test_fuse_names.c - names and attributes through a real mount. */
#include "tfuse.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MANY 5000

static int setup(void **state)
{
        struct tfuse *t = tfuse_new();

        tmount_add_text(t->m, "a.txt", "a\n");
        tmount_add_text(t->m, "dir/sub/b.txt", "b\n");
        tmount_add_text(t->m, "dir/c.txt", "c\n");
        tmount_add_dir(t->m, "empty");
        tmount_add_link(t->m, "link", "dir/c.txt");
        for (int i = 0; i < MANY; i++) {
                char name[32];

                snprintf(name, sizeof(name), "many/base-%d", i);
                tmount_add_text(t->m, name, "");
        }
        tfuse_mount(t);
        *state = t;
        return 0;
}

static int teardown(void **state)
{
        tfuse_free(*state);
        return 0;
}

static void make_file(struct tfuse *t, const char *name, const char *text)
{
        int fd = open(tfuse_path(t, name), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        close(fd);
}

static void expect_text(struct tfuse *t, const char *name, const char *text)
{
        int fd = open(tfuse_path(t, name), O_RDONLY | O_CLOEXEC);
        char got[256] = "";

        if (fd < 0)
                fail_msg("%s: %s", name, strerror(errno));
        assert_int_equal(read(fd, got, sizeof(got) - 1), strlen(text));
        assert_string_equal(got, text);
        close(fd);
}

static bool exists(struct tfuse *t, const char *name)
{
        struct stat st;

        return lstat(tfuse_path(t, name), &st) == 0;
}

static struct stat stat_in(struct tfuse *t, const char *name)
{
        struct stat st;

        if (lstat(tfuse_path(t, name), &st) != 0)
                fail_msg("%s: %s", name, strerror(errno));
        return st;
}

/* 0 or an errno value. */
static int rename_in(struct tfuse *t, const char *from, const char *to, unsigned flags)
{
        char old[512];

        snprintf(old, sizeof(old), "%s", tfuse_path(t, from));
        return renameat2(AT_FDCWD, old, AT_FDCWD, tfuse_path(t, to), flags) == 0 ? 0 : errno;
}

static int link_in(struct tfuse *t, const char *from, const char *to)
{
        char old[512];

        snprintf(old, sizeof(old), "%s", tfuse_path(t, from));
        return link(old, tfuse_path(t, to)) == 0 ? 0 : errno;
}

static int code(int result)
{
        return result == 0 ? 0 : errno;
}

/* O_EXCL makes a file once; a name that was looked for in vain before is found once made. */
static void exclusive_create_makes_a_file_once(void **state)
{
        struct tfuse *t = *state;
        int fd;

        assert_false(exists(t, "new"));
        fd = open(tfuse_path(t, "new"), O_CREAT | O_EXCL | O_RDWR, 0600);
        assert_true(fd >= 0);
        close(fd);
        assert_true(exists(t, "new"));
        assert_int_equal(stat_in(t, "new").st_mode, S_IFREG | 0600);
        fd = open(tfuse_path(t, "new"), O_CREAT | O_EXCL | O_RDWR, 0600);
        assert_int_equal(fd, -1);
        assert_int_equal(errno, EEXIST);
        assert_int_equal(open(tfuse_path(t, "a.txt"), O_CREAT | O_EXCL | O_RDWR, 0600), -1);
        assert_int_equal(errno, EEXIST);
}

/* Names of the base and of the overlay go alike, and stay gone. */
static void removed_names_are_gone(void **state)
{
        struct tfuse *t = *state;

        make_file(t, "dir/new", "new");
        assert_int_equal(unlink(tfuse_path(t, "dir/new")), 0);
        assert_int_equal(unlink(tfuse_path(t, "dir/c.txt")), 0);
        assert_false(exists(t, "dir/new"));
        assert_false(exists(t, "dir/c.txt"));
        assert_int_equal(code(unlink(tfuse_path(t, "dir/c.txt"))), ENOENT);
        make_file(t, "dir/c.txt", "again");
        expect_text(t, "dir/c.txt", "again");
}

/* rmdir(2) takes empty directories only, and says why not. */
static void only_empty_directories_are_removed(void **state)
{
        struct tfuse *t = *state;

        assert_int_equal(code(rmdir(tfuse_path(t, "dir"))), ENOTEMPTY);
        assert_int_equal(code(rmdir(tfuse_path(t, "a.txt"))), ENOTDIR);
        assert_int_equal(code(unlink(tfuse_path(t, "dir"))), EISDIR);
        assert_int_equal(code(rmdir(tfuse_path(t, "empty"))), 0);
        assert_int_equal(code(mkdir(tfuse_path(t, "made"), 0700)), 0);
        assert_int_equal(code(mkdir(tfuse_path(t, "made"), 0700)), EEXIST);
        assert_int_equal(stat_in(t, "made").st_mode, S_IFDIR | 0700);
        make_file(t, "made/x", "x");
        assert_int_equal(code(rmdir(tfuse_path(t, "made"))), ENOTEMPTY);
        assert_int_equal(unlink(tfuse_path(t, "made/x")), 0);
        assert_int_equal(code(rmdir(tfuse_path(t, "made"))), 0);
        /* A base directory whose entries are all gone is empty. */
        assert_int_equal(unlink(tfuse_path(t, "dir/sub/b.txt")), 0);
        assert_int_equal(code(rmdir(tfuse_path(t, "dir/sub"))), 0);
        assert_false(exists(t, "dir/sub"));
}

/* rename(2): a file, over a file, a directory with all that is in it, and back. */
static void renames_move_and_replace(void **state)
{
        struct tfuse *t = *state;
        ino_t ino = stat_in(t, "dir").st_ino;

        assert_int_equal(rename_in(t, "a.txt", "dir/a2.txt", 0), 0);
        expect_text(t, "dir/a2.txt", "a\n");
        assert_false(exists(t, "a.txt"));
        assert_int_equal(rename_in(t, "dir/a2.txt", "dir/c.txt", 0), 0);
        expect_text(t, "dir/c.txt", "a\n");
        assert_int_equal(rename_in(t, "dir", "moved", 0), 0);
        assert_int_equal(stat_in(t, "moved").st_ino, ino);
        expect_text(t, "moved/sub/b.txt", "b\n");
        expect_text(t, "moved/c.txt", "a\n");
        assert_false(exists(t, "dir"));
        assert_int_equal(rename_in(t, "moved", "empty", 0), 0);
        expect_text(t, "empty/sub/b.txt", "b\n");
        assert_int_equal(rename_in(t, "empty", "dir", 0), 0);
        expect_text(t, "dir/sub/b.txt", "b\n");
}

/* What rename(2) must refuse. */
static void impossible_renames_are_refused(void **state)
{
        struct tfuse *t = *state;

        assert_int_equal(rename_in(t, "dir", "dir/sub/x", 0), EINVAL);
        assert_int_equal(rename_in(t, "empty", "dir", 0), ENOTEMPTY);
        assert_int_equal(rename_in(t, "a.txt", "dir", 0), EISDIR);
        assert_int_equal(rename_in(t, "dir", "a.txt", 0), ENOTDIR);
        assert_int_equal(rename_in(t, "none", "some", 0), ENOENT);
        assert_int_equal(rename_in(t, "a.txt", "link", RENAME_NOREPLACE), EEXIST);
        assert_int_equal(rename_in(t, "a.txt", "dir/c.txt", RENAME_EXCHANGE), EINVAL);
        assert_int_equal(rename_in(t, "a.txt", "free", RENAME_NOREPLACE), 0);
        expect_text(t, "free", "a\n");
}

/* Symbolic links of the base and new ones say where they lead, and lead there. */
static void symbolic_links_lead_where_they_say(void **state)
{
        struct tfuse *t = *state;
        char target[64];
        ssize_t size;

        size = readlink(tfuse_path(t, "link"), target, sizeof(target));
        assert_int_equal(size, 9);
        assert_memory_equal(target, "dir/c.txt", 9);
        expect_text(t, "link", "c\n");
        assert_int_equal(symlink("../a.txt", tfuse_path(t, "dir/up")), 0);
        expect_text(t, "dir/up", "a\n");
        assert_int_equal(stat_in(t, "dir/up").st_mode, S_IFLNK | 0777);
        assert_int_equal(stat_in(t, "dir/up").st_size, 8);
        assert_int_equal(rename_in(t, "link", "dir/link2", 0), 0);
        assert_int_equal(readlink(tfuse_path(t, "dir/link2"), target, sizeof(target)), 9);
}

/* Two names of one file: one number, one content, counted; the file lives until the last goes. */
static void hard_links_are_one_file(void **state)
{
        struct tfuse *t = *state;

        assert_int_equal(link_in(t, "a.txt", "dir/a3"), 0);
        assert_int_equal(stat_in(t, "a.txt").st_nlink, 2);
        assert_int_equal(stat_in(t, "a.txt").st_ino, stat_in(t, "dir/a3").st_ino);
        make_file(t, "dir/a3", "changed");
        expect_text(t, "a.txt", "changed");
        assert_int_equal(unlink(tfuse_path(t, "a.txt")), 0);
        assert_int_equal(stat_in(t, "dir/a3").st_nlink, 1);
        expect_text(t, "dir/a3", "changed");
        assert_int_equal(link_in(t, "dir", "hard"), EPERM);
        assert_int_equal(link_in(t, "dir/a3", "link"), EEXIST);
}

/* FIFOs, sockets and devices can be made (the mount is nodev: no one can open the latter). */
static void special_files(void **state)
{
        struct tfuse *t = *state;

        assert_int_equal(mkfifo(tfuse_path(t, "fifo"), 0600), 0);
        assert_int_equal(stat_in(t, "fifo").st_mode, S_IFIFO | 0600);
        assert_int_equal(mknod(tfuse_path(t, "sock"), S_IFSOCK | 0600, 0), 0);
        assert_true(S_ISSOCK(stat_in(t, "sock").st_mode));
        assert_int_equal(mknod(tfuse_path(t, "plain"), S_IFREG | 0640, 0), 0);
        assert_int_equal(stat_in(t, "plain").st_mode, S_IFREG | 0640);
        assert_int_equal(mknod(tfuse_path(t, "char"), S_IFCHR | 0600, makedev(300, 70000)), 0);
        assert_int_equal(stat_in(t, "char").st_mode, S_IFCHR | 0600);
        assert_int_equal(stat_in(t, "char").st_rdev, makedev(300, 70000));
        assert_int_equal(mknod(tfuse_path(t, "block"), S_IFBLK | 0640, makedev(7, 1)), 0);
        assert_int_equal(stat_in(t, "block").st_mode, S_IFBLK | 0640);
        assert_int_equal(stat_in(t, "block").st_rdev, makedev(7, 1));
        assert_int_equal(code(open(tfuse_path(t, "char"), O_RDONLY)), EACCES);
}

/* Lists the directory; counts each "base-N" and "new-N". */
static void list(struct tfuse *t, const char *name, uint8_t *base, uint8_t *new, bool unlink_base)
{
        DIR *dir = opendir(tfuse_path(t, name));
        const struct dirent *entry;
        char path[512];
        int i;

        assert_non_null(dir);
        while ((entry = readdir(dir)) != NULL) {
                if (sscanf(entry->d_name, "base-%d", &i) == 1) {
                        base[i]++;
                        assert_int_equal(entry->d_type, DT_REG);
                        snprintf(path, sizeof(path), "many/base-%d", i);
                        if (unlink_base)
                                assert_int_equal(unlink(tfuse_path(t, path)), 0);
                } else if (sscanf(entry->d_name, "new-%d", &i) == 1) {
                        new[i]++;
                } else {
                        assert_true(entry->d_name[0] == '.');
                }
        }
        closedir(dir);
}

/* A large directory with names of the base and new ones lists each exactly once. */
static void large_directories_list_each_name_once(void **state)
{
        struct tfuse *t = *state;
        uint8_t base[MANY] = {0}, new[MANY] = {0};

        list(t, "many", base, new, false);
        for (int i = 0; i < MANY; i++)
                assert_int_equal(base[i], 1);
        for (int i = 0; i < MANY; i += 5) {
                char name[64];

                snprintf(name, sizeof(name), "many/new-%d", i);
                make_file(t, name, "");
                snprintf(name, sizeof(name), "many/base-%d", i + 1);
                assert_int_equal(unlink(tfuse_path(t, name)), 0);
        }
        memset(base, 0, sizeof(base));
        list(t, "many", base, new, false);
        for (int i = 0; i < MANY; i++) {
                assert_int_equal(base[i], i % 5 != 1);
                assert_int_equal(new[i], i % 5 == 0);
        }
}

/* `rm -r` removes what it reads: nothing is left out, and the directory ends empty. */
static void removing_while_listing_finds_all(void **state)
{
        struct tfuse *t = *state;
        uint8_t base[MANY] = {0}, new[MANY] = {0};

        list(t, "many", base, new, true);
        for (int i = 0; i < MANY; i++)
                assert_int_equal(base[i], 1);
        assert_int_equal(code(rmdir(tfuse_path(t, "many"))), 0);
}

/* chmod, chown, utimensat: what was set is shown, and the content stays. */
static void attributes_are_set(void **state)
{
        struct tfuse *t = *state;
        const struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 7},
                                          {.tv_sec = -5, .tv_nsec = 999999999}};
        const struct timespec now[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
        struct stat before = stat_in(t, "a.txt"), st;

        assert_int_equal(chmod(tfuse_path(t, "a.txt"), 0751), 0);
        assert_int_equal(stat_in(t, "a.txt").st_mode, S_IFREG | 0751);
        assert_int_equal(chown(tfuse_path(t, "a.txt"), 12, 34), 0);
        st = stat_in(t, "a.txt");
        assert_int_equal(st.st_uid, 12);
        assert_int_equal(st.st_gid, 34);
        assert_true(st.st_ctim.tv_sec > before.st_ctim.tv_sec);
        assert_int_equal(st.st_mtim.tv_sec, before.st_mtim.tv_sec);
        assert_int_equal(utimensat(AT_FDCWD, tfuse_path(t, "a.txt"), times, 0), 0);
        st = stat_in(t, "a.txt");
        assert_int_equal(st.st_atim.tv_sec, 1000);
        assert_int_equal(st.st_atim.tv_nsec, 7);
        assert_int_equal(st.st_mtim.tv_sec, -5);
        assert_int_equal(st.st_mtim.tv_nsec, 999999999);
        assert_int_equal(utimensat(AT_FDCWD, tfuse_path(t, "a.txt"), now, 0), 0);
        st = stat_in(t, "a.txt");
        assert_int_equal(st.st_atim.tv_sec, 1000);
        assert_true(st.st_mtim.tv_sec > 1700000000);
        assert_int_equal(st.st_mtim.tv_sec, st.st_ctim.tv_sec);
        expect_text(t, "a.txt", "a\n");
        assert_int_equal(chmod(tfuse_path(t, "dir"), 0700), 0);
        assert_int_equal(stat_in(t, "dir").st_mode, S_IFDIR | 0700);
        expect_text(t, "dir/c.txt", "c\n");
}

/* A directory's mtime tells that a name was made or removed in it; nothing else does. */
static void directory_times_follow_their_names(void **state)
{
        struct tfuse *t = *state;
        struct stat before = stat_in(t, "dir"), after;

        make_file(t, "dir/c.txt", "changed");
        after = stat_in(t, "dir");
        assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
        make_file(t, "dir/new", "");
        after = stat_in(t, "dir");
        assert_true(after.st_mtim.tv_sec > before.st_mtim.tv_sec);
}

static void file_system_limits(void **state)
{
        struct tfuse *t = *state;
        struct statvfs vfs;
        char name[300];

        assert_int_equal(statvfs(tfuse_path(t, ""), &vfs), 0);
        assert_int_equal(vfs.f_namemax, 255);
        assert_true(vfs.f_blocks > 0 && vfs.f_bavail <= vfs.f_blocks);
        memset(name, 'n', sizeof(name));
        name[255] = '\0';
        assert_int_equal(code(mkdir(tfuse_path(t, name), 0700)), 0);
        assert_true(exists(t, name));
        name[255] = 'n';
        name[256] = '\0';
        assert_int_equal(code(mkdir(tfuse_path(t, name), 0700)), ENAMETOOLONG);
        assert_int_equal(code(setxattr(tfuse_path(t, "a.txt"), "user.x", "1", 1, 0)), EOPNOTSUPP);
}

static void calls_of(struct tfuse *t, void *arg)
{
        *(uint64_t *)arg = vfs_stats(t->m->vfs).calls;
}

/* What it costs the server to list the directory once more. */
static uint64_t listing_costs(struct tfuse *t, const char *name)
{
        uint64_t before = 0, after = 0;

        for (int i = 0; i < 2; i++) {
                DIR *dir = opendir(tfuse_path(t, name));

                assert_non_null(dir);
                tfuse_on_loop(t, calls_of, &before);
                while (readdir(dir) != NULL)
                        ;
                tfuse_on_loop(t, calls_of, &after);
                closedir(dir);
        }
        return after - before;
}

/* The kernel keeps the listing of a directory, but not of one that has just changed: others who are in
 * the middle of theirs would be shown what was there before. */
static void fresh_listings_are_not_kept(void **state)
{
        struct tfuse *t = *state;

        assert_int_equal(mkdir(tfuse_path(t, "fresh"), 0700), 0);
        assert_int_equal(mkdir(tfuse_path(t, "fresh/a"), 0700), 0);
        assert_true(listing_costs(t, "fresh") > 0);
        usleep(2100000); /* SETTLED_NS */
        assert_int_equal(listing_costs(t, "fresh"), 0);
        assert_int_equal(mkdir(tfuse_path(t, "fresh/b"), 0700), 0);
        assert_true(listing_costs(t, "fresh") > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
            TEST(exclusive_create_makes_a_file_once),
            TEST(removed_names_are_gone),
            TEST(only_empty_directories_are_removed),
            TEST(renames_move_and_replace),
            TEST(impossible_renames_are_refused),
            TEST(symbolic_links_lead_where_they_say),
            TEST(hard_links_are_one_file),
            TEST(special_files),
            TEST(large_directories_list_each_name_once),
            TEST(removing_while_listing_finds_all),
            TEST(attributes_are_set),
            TEST(directory_times_follow_their_names),
            TEST(file_system_limits),
            TEST(fresh_listings_are_not_kept),
        };

        return cmocka_run_group_tests_name("fuse: names", tests, NULL, NULL);
}
