/* access.c - modes, owners, groups; what the file system says of itself. */
#include "check.h"

#include <limits.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#define OWNER    12345u
#define OTHER    23456u
#define GROUP    34567u
#define GROUPS_A 16u /* that NFS can tell of */
#define GROUPS_B 40u

static void modes_are_kept(const struct check_limits *limits)
{
        (void)limits;
        put_file("file", "x");
        MUST(mkdir("dir", 0755) == 0);
        for (mode_t mode = 0; mode <= 07777; mode += 0123) {
                MUST(chmod("file", mode) == 0 && chmod("dir", mode | 0700) == 0);
                MUST((stat_of("file").st_mode & 07777) == mode);
                MUST((stat_of("dir").st_mode & 07777) == (mode | 0700));
        }
        MUST(close(open("made", O_CREAT | O_WRONLY, 0641)) == 0);
        MUST((stat_of("made").st_mode & 07777) == 0641);
        umask(027);
        MUST(close(open("masked", O_CREAT | O_WRONLY, 0666)) == 0 && mkdir("maskdir", 0777) == 0);
        MUST((stat_of("masked").st_mode & 07777) == 0640);
        MUST((stat_of("maskdir").st_mode & 07777) == 0750);
        umask(0);
}

static void read_it(void *arg)
{
        (void)arg;
        expect_file("secret", "x");
        MUST_FAIL(open("secret", O_WRONLY), EACCES);
}

static void may_not_open_it(void *arg)
{
        (void)arg;
        MUST_FAIL(open("secret", O_RDONLY), EACCES);
}

static void may_not_read_it(void *arg)
{
        (void)arg;
        MUST_FAIL(open("secret", O_RDONLY), EACCES);
        MUST_FAIL(access("secret", R_OK), EACCES);
        MUST_FAIL(unlink("closed/x"), EACCES);
        MUST_FAIL(open("closed/y", O_CREAT | O_WRONLY, 0644), EACCES);
        MUST_FAIL(chmod("secret", 0777), EPERM);
        MUST_FAIL(chown("secret", OTHER, (gid_t)-1), EPERM);
}

/* In a directory that its group may write. */
static void change_names_in_ours(void *arg)
{
        (void)arg;
        put_file("ours/file", "x");
        MUST(mkdir("ours/dir", 0755) == 0 && rename("ours/file", "ours/dir/moved") == 0);
        MUST(symlink("x", "ours/link") == 0 && unlink("ours/link") == 0);
        MUST(unlink("ours/dir/moved") == 0 && rmdir("ours/dir") == 0);
        MUST(truncate("ours/shared", 1) == 0);
        MUST(utimensat(AT_FDCWD, "ours/shared", NULL, 0) == 0);
}

static void may_not_change_ours(void *arg)
{
        (void)arg;
        MUST_FAIL(mkdir("ours/dir", 0755), EACCES);
        MUST_FAIL(rename("ours/shared", "ours/moved"), EACCES);
        MUST_FAIL(unlink("ours/shared"), EACCES);
        MUST_FAIL(truncate("ours/shared", 1), EACCES);
        MUST_FAIL(utimensat(AT_FDCWD, "ours/shared", NULL, 0), EACCES);
}

/* A file of one group is read by who is in it, in whatever place of the list the group is; and what the
 * group may change, they change. */
static void supplementary_groups_count(const struct check_limits *limits)
{
        size_t count = limits->nfs ? GROUPS_A : GROUPS_B;
        gid_t groups[GROUPS_B];

        if (!limits->root)
                return;
        put_file("secret", "x");
        MUST(mkdir("closed", 0755) == 0);
        put_file("closed/x", "x");
        MUST(chown("secret", OWNER, GROUP) == 0 && chmod("secret", 0640) == 0);
        MUST(mkdir("ours", 0755) == 0);
        put_file("ours/shared", "xx");
        MUST(chown("ours", OWNER, GROUP) == 0 && chmod("ours", 0770) == 0);
        MUST(chown("ours/shared", OWNER, GROUP) == 0 && chmod("ours/shared", 0660) == 0);
        for (size_t before = 0; before <= count; before += count / 4) {
                /* The kernel keeps them in the order of their numbers. */
                for (size_t i = 0; i < count; i++)
                        groups[i] = (gid_t)(i < before ? GROUP - count + i : GROUP + 1 + i);
                as_user(OTHER, OTHER, count, groups, may_not_read_it, NULL);
                as_user(OTHER, OTHER, count, groups, may_not_change_ours, NULL);
                groups[before < count ? before : count - 1] = GROUP;
                as_user(OTHER, OTHER, count, groups, read_it, NULL);
                as_user(OTHER, OTHER, count, groups, change_names_in_ours, NULL);
        }
        as_user(OTHER, GROUP, 0, NULL, read_it, NULL);
        /* Who owns it is not asked for groups. */
        MUST(chmod("secret", 0040) == 0);
        as_user(OWNER, GROUP, 0, NULL, may_not_open_it, NULL);
}

static void move_between(void *arg)
{
        (void)arg;
        MUST(rename("from/file", "to/file") == 0);
        MUST(rename("to/file", "from/file") == 0);
}

static void may_not_move_between(void *arg)
{
        (void)arg;
        MUST_FAIL(rename("from/file", "to/file"), EACCES);
}

/* One call may need two of them: the first of the list and the last. */
static void two_groups_count_at_once(const struct check_limits *limits)
{
        size_t count = limits->nfs ? GROUPS_A : GROUPS_B;
        gid_t groups[GROUPS_B];

        if (!limits->root)
                return;
        for (size_t i = 0; i < count; i++)
                groups[i] = (gid_t)(GROUP + i);
        MUST(mkdir("from", 0755) == 0 && mkdir("to", 0755) == 0);
        put_file("from/file", "x");
        MUST(chown("from", OWNER, groups[0]) == 0 && chmod("from", 0770) == 0);
        MUST(chown("to", OWNER, groups[count - 1]) == 0 && chmod("to", 0770) == 0);
        as_user(OTHER, OTHER, count - 1, groups, may_not_move_between, NULL);
        as_user(OTHER, OTHER, count - 1, groups + 1, may_not_move_between, NULL);
        as_user(OTHER, OTHER, count, groups, move_between, NULL);
}

static void set_group_id(void *mode)
{
        MUST(chmod("tool", 02755) == 0);
        MUST((stat_of("tool").st_mode & 07777) == *(const mode_t *)mode);
}

/* Who owns a file and is in its group, in one of many, too, may have it run as that group; others not. */
static void set_group_id_is_for_members(const struct check_limits *limits)
{
        size_t count = limits->nfs ? GROUPS_A : GROUPS_B;
        const mode_t set = 02755, plain = 0755;
        gid_t groups[GROUPS_B];

        if (!limits->root)
                return;
        put_file("tool", "x");
        MUST(chown("tool", OWNER, GROUP) == 0 && chmod("tool", 0755) == 0);
        for (size_t i = 0; i < count; i++)
                groups[i] = (gid_t)(GROUP - count + i);
        as_user(OWNER, OWNER, count, groups, set_group_id, (void *)(uintptr_t)&plain);
        groups[0] = GROUP;
        as_user(OWNER, OWNER, count, groups, set_group_id, (void *)(uintptr_t)&set);
}

static void make_in_shared(void *arg)
{
        (void)arg;
        put_file("shared/file", "x");
        MUST(mkdir("shared/dir", 0755) == 0);
        MUST_FAIL(unlink("sticky/file"), EPERM);
        MUST_FAIL(rename("sticky/file", "sticky/mine"), EPERM);
}

static void directories_pass_their_group_on(const struct check_limits *limits)
{
        if (!limits->root)
                return;
        MUST(mkdir("shared", 0777) == 0 && mkdir("sticky", 0777) == 0);
        MUST(chown("shared", OWNER, GROUP) == 0);
        MUST(chmod("shared", 02777) == 0 && chmod("sticky", 01777) == 0);
        put_file("sticky/file", "x");
        as_user(OTHER, OTHER, 0, NULL, make_in_shared, NULL);
        MUST(stat_of("shared/file").st_gid == GROUP && stat_of("shared/file").st_uid == OTHER);
        MUST(stat_of("shared/dir").st_gid == GROUP);
        MUST((stat_of("shared/dir").st_mode & 07777) == 02755);
}

static void write_a_byte(void *arg)
{
        int fd = open("program", O_WRONLY);

        (void)arg;
        MUST(fd >= 0);
        write_at(fd, "y", 1, 0);
        MUST(close(fd) == 0);
}

static void give_to_group(void *arg)
{
        (void)arg;
        MUST(chown("program", (uid_t)-1, OTHER) == 0);
}

/* Whoever writes to a program that runs as someone else makes it an ordinary one, and so does whoever
 * gives it away. */
static void writing_drops_set_id_bits(const struct check_limits *limits)
{
        if (!limits->root)
                return;
        put_file("program", "x");
        MUST(mkfifo("fifo", 0644) == 0);
        MUST(chown("program", OWNER, GROUP) == 0 && chmod("program", 06777) == 0);
        as_user(OTHER, OTHER, 0, NULL, write_a_byte, NULL);
        MUST((stat_of("program").st_mode & 07777) == 0777);
        MUST(chmod("program", 06777) == 0);
        as_user(OWNER, OTHER, 1, (gid_t[]){GROUP}, give_to_group, NULL);
        MUST((stat_of("program").st_mode & 07777) == 0777);
        MUST(chmod("fifo", 06775) == 0);
        MUST(chown("fifo", OTHER, GROUP) == 0);
        MUST((stat_of("fifo").st_mode & 07777) == 0775);
}

static void other_kinds_of_nodes_work(const struct check_limits *limits)
{
        (void)limits;
        MUST(mkfifo("fifo", 0640) == 0);
        MUST(S_ISFIFO(stat_of("fifo").st_mode) && (stat_of("fifo").st_mode & 07777) == 0640);
        MUST(mknod("socket", S_IFSOCK | 0600, 0) == 0 && S_ISSOCK(stat_of("socket").st_mode));
        if (limits->root) {
                int made = mknod("char", S_IFCHR | 0600, makedev(1, 300));

                MUST(made == 0 || errno == EPERM); /* in some containers */
                MUST(made != 0 || stat_of("char").st_rdev == makedev(1, 300));
        }
        MUST_FAIL(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
}

static void limits_are_told(const struct check_limits *limits)
{
        struct statvfs fs;

        (void)limits;
        MUST(pathconf(".", _PC_NAME_MAX) == 255);
        MUST(pathconf(".", _PC_PATH_MAX) == PATH_MAX);
        MUST(pathconf(".", _PC_LINK_MAX) >= 127);
        MUST(pathconf(".", _PC_NO_TRUNC) == 1);
        MUST(pathconf(".", _PC_CHOWN_RESTRICTED) == 1);
        MUST(statvfs(".", &fs) == 0);
        MUST(fs.f_namemax == 255 && fs.f_frsize >= 512);
        MUST(fs.f_blocks > 0 && fs.f_bfree <= fs.f_blocks && fs.f_bavail <= fs.f_bfree);
        MUST(fs.f_ffree <= fs.f_files);
}

const struct check check_access[] = {CHECK(modes_are_kept),
                                     CHECK(supplementary_groups_count),
                                     CHECK(two_groups_count_at_once),
                                     CHECK(set_group_id_is_for_members),
                                     CHECK(directories_pass_their_group_on),
                                     CHECK(writing_drops_set_id_bits),
                                     CHECK(other_kinds_of_nodes_work),
                                     CHECK(limits_are_told),
                                     CHECK_END};
