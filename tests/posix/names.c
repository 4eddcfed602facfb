/* names.c - names, directories, links, renames. */
#include "check.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t count_names(const char *path)
{
        DIR *dir = opendir(path);
        size_t count = 0;

        MUST(dir != NULL);
        for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        count++;
        closedir(dir);
        return count;
}

/* How often a listing has the name. */
static int listed(const char *name)
{
        DIR *dir = opendir(".");
        int count = 0;

        MUST(dir != NULL);
        for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
                if (strcmp(entry->d_name, name) == 0)
                        count++;
        closedir(dir);
        return count;
}

static void names_have_up_to_255_bytes(const struct check_limits *limits)
{
        char name[300];

        (void)limits;
        memset(name, 'n', sizeof(name));
        name[255] = '\0';
        put_file(name, "long");
        expect_file(name, "long");
        MUST(listed(name) == 1);
        MUST(mkdir("d", 0755) == 0 && chdir("d") == 0);
        MUST(symlink("target", name) == 0);
        MUST(chdir("..") == 0);
        name[255] = 'n';
        name[256] = '\0';
        MUST_FAIL(open(name, O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
        MUST_FAIL(mkdir(name, 0755), ENAMETOOLONG);
        MUST_FAIL(symlink("x", name), ENAMETOOLONG);
        MUST_FAIL(rename("d", name), ENAMETOOLONG);
        MUST_FAIL(unlink(name), ENAMETOOLONG);
        MUST_FAIL(access(name, F_OK), ENAMETOOLONG);
}

/* All but NUL and the slash: control characters, invalid UTF-8, blanks at either end. */
static void names_hold_any_bytes(const struct check_limits *limits)
{
        static const char *const others[] = {
            " ",    "  x  ",           "-", "--", "*", "a\nb", "\xff\xfe", "...", "a\\b",
            "\xc3", "\xf0\x9f\x98\x80"};

        (void)limits;
        for (int byte = 1; byte < 256; byte++) {
                char name[] = {'b', (char)byte, '\0'};

                if (byte == '/')
                        continue;
                put_file(name, "b");
                MUST(listed(name) == 1);
        }
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
                put_file(others[i], others[i]);
                expect_file(others[i], others[i]);
                MUST(listed(others[i]) == 1);
        }
        MUST(count_names(".") == 254 + sizeof(others) / sizeof(others[0]));
}

static void case_and_unicode_are_kept(const struct check_limits *limits)
{
        static const char *const names[] = {"name",
                                            "Name",
                                            "NAME",
                                            "\xc3\xa9t\xc3\xa9",
                                            "e\xcc\x81te\xcc\x81",
                                            "\xc3\x89t\xc3\xa9",
                                            "gr\xc3\xbc\xc3\x9f",
                                            "gruss"};

        (void)limits;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                put_file(names[i], names[i]);
                MUST(listed(names[i]) == 1);
        }
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                expect_file(names[i], names[i]);
}

static void paths_have_up_to_path_max(const struct check_limits *limits)
{
        char path[PATH_MAX + 300];
        size_t size;

        (void)limits;
        MUST(getcwd(path, PATH_MAX) != NULL);
        size = strlen(path);
        while (size + 201 < PATH_MAX - 1) {
                path[size++] = '/';
                memset(path + size, 'p', 199);
                size += 199;
                path[size] = '\0';
                MUST(mkdir(path, 0755) == 0);
        }
        path[size++] = '/';
        memset(path + size, 'f', PATH_MAX - 1 - size);
        path[PATH_MAX - 1] = '\0';
        put_file(path, "deep");
        expect_file(path, "deep");
        MUST(unlink(path) == 0);
        path[PATH_MAX - 1] = 'f';
        path[PATH_MAX] = '\0';
        MUST_FAIL(open(path, O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
}

/* --- rename --- */

static void rename_replaces_what_it_may(const struct check_limits *limits)
{
        (void)limits;
        put_file("a", "a");
        put_file("b", "b");
        MUST(rename("a", "b") == 0);
        expect_file("b", "a");
        MUST(!exists("a"));
        MUST(mkdir("d", 0755) == 0 && mkdir("e", 0755) == 0 && mkdir("full", 0755) == 0);
        put_file("full/x", "x");
        MUST_FAIL(rename("b", "d"), EISDIR);
        MUST_FAIL(rename("d", "b"), ENOTDIR);
        MUST(rename("d", "full") < 0 && (errno == ENOTEMPTY || errno == EEXIST));
        MUST(rename("full", "e") == 0);
        expect_file("e/x", "x");
        MUST_FAIL(rename("e", "e/inner"), EINVAL);
        MUST(mkdir("e/inner", 0755) == 0);
        MUST_FAIL(rename("e", "e/inner/e"), EINVAL);
        MUST(symlink("b", "link") == 0);
        MUST(rename("b", "link") == 0);
        MUST(S_ISREG(stat_of("link").st_mode));
        MUST_FAIL(rename("none", "link"), ENOENT);
        MUST_FAIL(rename("link", "none/x"), ENOENT);
        MUST(link("link", "other") == 0);
        MUST(rename("link", "other") == 0);
        MUST(exists("link") && exists("other"));
}

static void rename_keeps_what_is_open(const struct check_limits *limits)
{
        struct stat before;
        char byte;
        int moved, replaced;

        (void)limits;
        put_file("from", "F");
        put_file("to", "T");
        before = stat_of("from");
        moved = open("from", O_RDWR);
        replaced = open("to", O_RDWR);
        MUST(moved >= 0 && replaced >= 0);
        MUST(rename("from", "to") == 0);
        read_at(moved, &byte, 1, 0);
        MUST(byte == 'F');
        read_at(replaced, &byte, 1, 0);
        MUST(byte == 'T');
        write_at(replaced, "t", 1, 0);
        read_at(replaced, &byte, 1, 0);
        MUST(byte == 't');
        expect_file("to", "F");
        MUST(stat_of("to").st_ino == before.st_ino);
        MUST(!later(stat_of("to").st_mtim, before.st_mtim));
        MUST(later(stat_of("to").st_ctim, before.st_ctim));
}

/* A directory that moves takes what is in it, and who stands in it, along. */
static void moved_directories_stay_themselves(const struct check_limits *limits)
{
        char path[PATH_MAX];
        int dir;

        (void)limits;
        MUST(mkdir("a", 0755) == 0 && mkdir("a/sub", 0755) == 0 && mkdir("b", 0755) == 0);
        put_file("a/sub/file", "content");
        dir = open("a/sub", O_RDONLY | O_DIRECTORY);
        MUST(dir >= 0);
        MUST(rename("a/sub", "b/moved") == 0);
        MUST(fchdir(dir) == 0);
        expect_file("file", "content");
        put_file("../beside", "beside");
        MUST(chdir("../..") == 0);
        expect_file("b/beside", "beside");
        expect_file("b/moved/file", "content");
        MUST(getcwd(path, sizeof(path)) != NULL);
        MUST(strstr(path, "moved_directories") != NULL);
        MUST(!exists("a/sub"));
}

/* --- links --- */

static void hard_links_are_one_file(const struct check_limits *limits)
{
        struct stat one, two;

        (void)limits;
        put_file("one", "content");
        one = stat_of("one");
        pass_time();
        MUST(link("one", "two") == 0);
        two = stat_of("two");
        MUST(two.st_nlink == 2 && two.st_ino == one.st_ino);
        MUST(later(two.st_ctim, one.st_ctim) && !later(two.st_mtim, one.st_mtim));
        put_file("two", "changed");
        expect_file("one", "changed");
        MUST_FAIL(link("one", "two"), EEXIST);
        MUST(mkdir("d", 0755) == 0);
        MUST_FAIL(link("d", "e"), EPERM);
        MUST(rename("two", "d/two") == 0);
        MUST(unlink("one") == 0);
        MUST(stat_of("d/two").st_nlink == 1);
        expect_file("d/two", "changed");
        MUST(symlink("nowhere", "sym") == 0 && link("sym", "sym2") == 0);
        MUST(S_ISLNK(stat_of("sym2").st_mode) && stat_of("sym").st_nlink == 2);
}

static void symlinks_lead_where_they_say(const struct check_limits *limits)
{
        char target[4096], got[4096];

        (void)limits;
        memset(target, 't', sizeof(target));
        target[4000] = '\0';
        MUST(symlink(target, "long") == 0);
        MUST(readlink("long", got, sizeof(got)) == 4000 && memcmp(got, target, 4000) == 0);
        MUST(stat_of("long").st_size == 4000);
        put_file("file", "content");
        MUST(symlink("file", "link") == 0);
        expect_file("link", "content");
        MUST(symlink("loop", "loop") == 0);
        MUST_FAIL(open("loop", O_RDONLY), ELOOP);
        MUST(symlink("../none/at/all", "dangling") == 0);
        MUST_FAIL(open("dangling", O_RDONLY), ENOENT);
        MUST_FAIL(symlink("x", "link"), EEXIST);
        MUST_FAIL(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
}

/* --- directories --- */

static void directories_change_with_their_names_only(const struct check_limits *limits)
{
        struct stat before, after;

        (void)limits;
        MUST(mkdir("d", 0755) == 0 && mkdir("e", 0755) == 0);
        before = stat_of("d");
        pass_time();
        put_file("d/x", "x");
        after = stat_of("d");
        MUST(later(after.st_mtim, before.st_mtim) && later(after.st_ctim, before.st_ctim));
        pass_time();
        put_file("d/x", "more");
        MUST(chmod("d/x", 0600) == 0);
        before = stat_of("d");
        MUST(!later(before.st_mtim, after.st_mtim));
        pass_time();
        after = stat_of("e");
        MUST(rename("d/x", "e/x") == 0);
        MUST(later(stat_of("d").st_mtim, before.st_mtim) &&
             later(stat_of("e").st_mtim, after.st_mtim));
        before = stat_of("e");
        pass_time();
        MUST(unlink("e/x") == 0);
        MUST(later(stat_of("e").st_mtim, before.st_mtim));
}

static void only_empty_directories_go(const struct check_limits *limits)
{
        (void)limits;
        MUST(mkdir("d", 0755) == 0 && mkdir("d/sub", 0755) == 0);
        MUST(rmdir("d") < 0 && (errno == ENOTEMPTY || errno == EEXIST));
        MUST_FAIL(unlink("d"), EISDIR);
        put_file("f", "f");
        MUST_FAIL(rmdir("f"), ENOTDIR);
        MUST_FAIL(mkdir("d", 0755), EEXIST);
        MUST_FAIL(mkdir("f/x", 0755), ENOTDIR);
        MUST_FAIL(rmdir("d/."), EINVAL);
        MUST(rmdir("d/sub") == 0 && rmdir("d") == 0);
        MUST_FAIL(rmdir("d"), ENOENT);
        MUST(mkdir("g", 0755) == 0 && chdir("g") == 0 && rmdir("../g") == 0);
        MUST_FAIL(open("x", O_CREAT | O_WRONLY, 0644), ENOENT);
        MUST(chdir("..") == 0);
}

/* As rm -r does: each page is removed before the next is read, and nothing is left. */
static void names_can_be_removed_while_they_are_listed(const struct check_limits *limits)
{
        DIR *dir;

        (void)limits;
        MUST(mkdir("d", 0755) == 0 && chdir("d") == 0);
        for (int i = 0; i < 800; i++) {
                char name[32];

                snprintf(name, sizeof(name), "name-%d", i);
                MUST(close(open(name, O_CREAT | O_WRONLY, 0644)) == 0);
        }
        dir = opendir(".");
        MUST(dir != NULL);
        for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
                if (entry->d_name[0] != '.')
                        MUST(unlink(entry->d_name) == 0);
        closedir(dir);
        MUST(count_names(".") == 0);
        MUST(chdir("..") == 0 && rmdir("d") == 0);
}

static void listings_can_be_continued_anywhere(const struct check_limits *limits)
{
        long places[400];
        char names[400][256];
        DIR *dir;
        int count = 0;

        (void)limits;
        MUST(mkdir("d", 0755) == 0);
        for (int i = 0; i < 400; i++) {
                char name[32];

                snprintf(name, sizeof(name), "d/%d", i);
                MUST(close(open(name, O_CREAT | O_WRONLY, 0644)) == 0);
        }
        dir = opendir("d");
        MUST(dir != NULL);
        for (;;) {
                long place = telldir(dir);
                const struct dirent *entry = readdir(dir);

                if (entry == NULL)
                        break;
                if (entry->d_name[0] == '.')
                        continue;
                MUST(count < 400);
                places[count] = place;
                snprintf(names[count++], 256, "%s", entry->d_name);
        }
        MUST(count == 400);
        for (int i = 399; i >= 0; i -= 7) {
                const struct dirent *entry;

                seekdir(dir, places[i]);
                entry = readdir(dir);
                MUST(entry != NULL && strcmp(entry->d_name, names[i]) == 0);
        }
        rewinddir(dir);
        put_file("d/new", "new");
        rewinddir(dir);
        count = 0;
        while (readdir(dir) != NULL)
                count++;
        MUST(count == 403);
        closedir(dir);
}

const struct check check_names[] = {
    CHECK(names_have_up_to_255_bytes),         CHECK(names_hold_any_bytes),
    CHECK(case_and_unicode_are_kept),          CHECK(paths_have_up_to_path_max),
    CHECK(rename_replaces_what_it_may),        CHECK(rename_keeps_what_is_open),
    CHECK(moved_directories_stay_themselves),  CHECK(hard_links_are_one_file),
    CHECK(symlinks_lead_where_they_say),       CHECK(directories_change_with_their_names_only),
    CHECK(only_empty_directories_go),          CHECK(names_can_be_removed_while_they_are_listed),
    CHECK(listings_can_be_continued_anywhere), CHECK_END};
