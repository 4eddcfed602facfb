/* Ignore rules: what gitignore(5) says, and what git itself says of random rules and paths. */
#include "cli/ignore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static bool ignored_by(const char *rules, const char *path, bool is_dir)
{
        struct ignore *ignore;
        bool ignored;

        assert_int_equal(ignore_new(&ignore), HIF_OK);
        assert_int_equal(ignore_add(ignore, span_str(""), span_str(rules)), HIF_OK);
        assert_int_equal(ignore_match(ignore, span_str(path), is_dir, &ignored), HIF_OK);
        ignore_free(ignore);
        return ignored;
}

/* A pattern without a slash is of a name at any level; one with a slash is of a path. */
static void slashes_anchor(void **state)
{
        (void)state;
        assert_true(ignored_by("foo\n", "foo", false));
        assert_true(ignored_by("foo", "a/b/foo", false));
        assert_true(ignored_by("/foo\n", "foo", false));
        assert_false(ignored_by("/foo\n", "a/foo", false));
        assert_true(ignored_by("a/foo\n", "a/foo", false));
        assert_false(ignored_by("a/foo\n", "b/a/foo", false));
}

/* A pattern that ends in a slash is of directories, and so of all that is in them. */
static void trailing_slash_is_a_directory(void **state)
{
        (void)state;
        assert_false(ignored_by("build/\n", "build", false));
        assert_true(ignored_by("build/\n", "build", true));
        assert_true(ignored_by("build/\n", "x/build/y/z.c", false));
}

/* The last rule that matches decides; nothing brings a file back out of an ignored directory. */
static void last_match_decides(void **state)
{
        (void)state;
        assert_false(ignored_by("*.o\n!keep.o\n", "keep.o", false));
        assert_true(ignored_by("!keep.o\n*.o\n", "keep.o", false));
        assert_true(ignored_by("dir/\n!dir/keep.o\n", "dir/keep.o", false));
        assert_false(ignored_by("dir/*\n!dir/keep.o\n", "dir/keep.o", false));
}

/* Two stars as a component stand for any number of directories. */
static void globstar_crosses_directories(void **state)
{
        (void)state;
        assert_true(ignored_by("**/foo/bar\n", "foo/bar", false));
        assert_true(ignored_by("**/foo/bar\n", "a/b/foo/bar", false));
        assert_true(ignored_by("a/**/b\n", "a/b", false));
        assert_true(ignored_by("a/**/b\n", "a/x/y/b", false));
        assert_true(ignored_by("abc/**\n", "abc/x/y", false));
        assert_false(ignored_by("abc/**\n", "abc", true));
        assert_false(ignored_by("a/*/b\n", "a/x/y/b", false));
        assert_true(ignored_by("a**b\n", "axxb", false));
}

/* Comments, quoting and blanks are as gitignore(5) says. */
static void lines_are_read_as_git_reads_them(void **state)
{
        (void)state;
        assert_false(ignored_by("#foo\n", "#foo", false));
        assert_true(ignored_by("\\#foo\n", "#foo", false));
        assert_true(ignored_by("\\!foo\n", "!foo", false));
        assert_true(ignored_by("foo  \n", "foo", false));
        assert_true(ignored_by("foo\\ \n", "foo ", false));
        assert_true(ignored_by("foo\r\n", "foo", false));
        assert_true(ignored_by("\xef\xbb\xbf"
                               "foo\n",
                               "foo", false));
        assert_true(ignored_by("[[:digit:]]x\n", "7x", false));
        assert_true(ignored_by("[!a-c]x\n", "dx", false));
        assert_false(ignored_by("[!a-c]x\n", "bx", false));
        assert_false(ignored_by("[a\n", "a", false));
}

/* A deeper directory's rules go before those above it; .hifignore after .gitignore. */
static void inner_rules_override(void **state)
{
        struct ignore *ignore;
        bool ignored;

        (void)state;
        assert_int_equal(ignore_new(&ignore), HIF_OK);
        assert_int_equal(ignore_add(ignore, span_str("a/b"), span_str("!x.o\n/y\n")), HIF_OK);
        assert_int_equal(ignore_add(ignore, span_str(""), span_str("*.o\n")), HIF_OK);
        assert_int_equal(ignore_add(ignore, span_str("a"), span_str("!*.o\n")), HIF_OK);
        assert_int_equal(ignore_add(ignore, span_str("a"), span_str("x.o\n")), HIF_OK);
        assert_int_equal(ignore_match(ignore, span_str("x.o"), false, &ignored), HIF_OK);
        assert_true(ignored);
        assert_int_equal(ignore_match(ignore, span_str("a/x.o"), false, &ignored), HIF_OK);
        assert_true(ignored);
        assert_int_equal(ignore_match(ignore, span_str("a/w.o"), false, &ignored), HIF_OK);
        assert_false(ignored);
        assert_int_equal(ignore_match(ignore, span_str("a/b/x.o"), false, &ignored), HIF_OK);
        assert_false(ignored);
        assert_int_equal(ignore_match(ignore, span_str("a/b/y"), false, &ignored), HIF_OK);
        assert_true(ignored);
        assert_int_equal(ignore_match(ignore, span_str("a/y"), false, &ignored), HIF_OK);
        assert_false(ignored);
        ignore_free(ignore);
}

/* Our own rules hold without a file, and a file can take them back. */
static void own_rules_can_be_taken_back(void **state)
{
        (void)state;
        assert_true(ignored_by("", "a/.git/config", false));
        assert_true(ignored_by("", ".DS_Store", false));
        assert_true(ignored_by("", "x/.nfs000123", false));
        assert_false(ignored_by("", ".gitignore", false));
        assert_false(ignored_by("!.DS_Store\n", ".DS_Store", false));
}

/* A pattern full of stars takes no time to speak of. */
static void stars_take_no_exponential_time(void **state)
{
        char pattern[402], path[402];

        (void)state;
        for (size_t i = 0; i < 400; i += 2)
                memcpy(pattern + i, "*a", 2);
        memcpy(pattern + 398, "*b", 3);
        memset(path, 'a', 255);
        path[255] = '\0';
        assert_false(ignored_by(pattern, path, false));
        for (size_t i = 0; i < 400; i += 4)
                memcpy(pattern + i, "**/a", 4);
        for (size_t i = 3; i < 400; i += 4)
                pattern[i] = '/';
        pattern[400] = 'b';
        pattern[401] = '\0';
        for (size_t i = 0; i < 400; i += 2)
                memcpy(path + i, "a/", 2);
        path[399] = '\0';
        assert_false(ignored_by(pattern, path, false));
}

/* --- against git --- */

#define PATHS_PER_ROUND (39 + 40 * 4)

static uint64_t next_random(uint64_t *state)
{
        *state += 0x9e3779b97f4a7c15u;
        uint64_t z = *state;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
}

static void random_text(uint64_t *rng, const char *const *parts, size_t count, size_t most,
                        char *out)
{
        size_t n = 1 + next_random(rng) % most;

        out[0] = '\0';
        for (size_t i = 0; i < n; i++)
                strcat(out, parts[next_random(rng) % count]);
}

/* What gitignore(5) gives a meaning: no empty component, and "**" as a whole one. (Behind other
 * characters git takes it for more than it says.) */
static bool has_meaning(const char *line)
{
        const char *stars = strstr(line, "**");

        if (strstr(line, "//") || line[0] == '\0' || strcmp(line, "/") == 0)
                return false;
        return !stars || ((stars == line || stars[-1] == '/') && strchr("/", stars[2]) &&
                          !strstr(stars + 2, "**"));
}

static void random_rules(uint64_t *rng, char *out)
{
        static const char *const parts[] = {"a",   "b",    "ab",  "*",   "?",  "/",  "[ab]", "[!a]",
                                            "\\a", "/**/", "/**", "**/", "a/", "/b", "b*"};
        size_t lines = 1 + next_random(rng) % 4;

        out[0] = '\0';
        for (size_t i = 0; i < lines; i++) {
                char line[64];

                if (next_random(rng) % 4 == 0)
                        strcat(out, "!");
                do
                        random_text(rng, parts, sizeof(parts) / sizeof(parts[0]), 5, line);
                while (!has_meaning(line));
                strcat(out, line);
                strcat(out, "\n");
        }
}

static void write_text(const char *path, const char *text)
{
        FILE *file = fopen(path, "w");

        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

/* Every directory up to three levels of three names, with four files in each. */
static void make_tree(const char *dir, size_t depth, FILE *paths)
{
        static const char *const dirs[] = {"a", "b", "ab"};
        static const char *const files[] = {"ba", "aab", "bb", "a.b"};
        char path[128];

        for (size_t i = 0; i < 4; i++) {
                (void)snprintf(path, sizeof(path), "%s%s", dir, files[i]);
                write_text(path, "");
                assert_true(fprintf(paths, "%s\n", path) > 0);
        }
        for (size_t i = 0; i < 3 && depth > 0; i++) {
                (void)snprintf(path, sizeof(path), "%s%s", dir, dirs[i]);
                assert_int_equal(mkdir(path, 0700), 0);
                assert_true(fprintf(paths, "%s\n", path) > 0);
                strcat(path, "/");
                make_tree(path, depth - 1, paths);
        }
}

/* git says of each line of paths.txt whether it is ignored ("::\tpath" where it is not). */
static void compare(struct ignore *ignore, uint64_t seed, const char *rules, const char *inner)
{
        FILE *file = popen("git check-ignore --no-index -v -n --stdin < paths.txt", "r");
        char line[512];
        size_t count = 0;

        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                char *path = strchr(line, '\t');
                const char *pattern;
                bool theirs, ours;
                struct stat stat;

                assert_non_null(path);
                *path++ = '\0';
                path[strcspn(path, "\n")] = '\0';
                /* source:line:pattern */
                pattern = strchr(line, ':');
                assert_non_null(pattern);
                pattern = strchr(pattern + 1, ':');
                assert_non_null(pattern);
                theirs = pattern[1] != '\0' && pattern[1] != '!';
                assert_int_equal(lstat(path, &stat), 0);
                assert_int_equal(ignore_match(ignore, span_str(path), S_ISDIR(stat.st_mode), &ours),
                                 HIF_OK);
                if (ours != theirs)
                        fail_msg("seed %lu: %s: git says %d (%s), we %d; rules:\n%s--- a/\n%s",
                                 (unsigned long)seed, path, theirs, line, ours, rules, inner);
                count++;
        }
        (void)pclose(file);
        assert_int_equal(count, PATHS_PER_ROUND);
}

static void one_round(uint64_t seed)
{
        uint64_t rng = seed;
        char rules[512], inner[512];
        struct ignore *ignore;

        random_rules(&rng, rules);
        random_rules(&rng, inner);
        write_text(".gitignore", rules);
        write_text("a/.gitignore", inner);
        assert_int_equal(ignore_new(&ignore), HIF_OK);
        assert_int_equal(ignore_add(ignore, span_str(""), span_str(rules)), HIF_OK);
        assert_int_equal(ignore_add(ignore, span_str("a"), span_str(inner)), HIF_OK);
        compare(ignore, seed, rules, inner);
        ignore_free(ignore);
}

/* Random rules in two directories say of random paths what git says. */
static void agrees_with_git(void **state)
{
        char dir[] = "/tmp/hif-ignore-XXXXXX", command[64];
        uint64_t rounds =
            getenv("HIF_TEST_ROUNDS") ? strtoull(getenv("HIF_TEST_ROUNDS"), NULL, 10) : 100;

        FILE *paths;

        (void)state;
        if (system("git --version >/dev/null 2>&1") != 0)
                skip();
        assert_non_null(mkdtemp(dir));
        assert_int_equal(chdir(dir), 0);
        assert_int_equal(system("git init -q . 2>/dev/null"), 0);
        paths = fopen("paths.txt", "w");
        assert_non_null(paths);
        make_tree("", 3, paths);
        assert_int_equal(fclose(paths), 0);
        for (uint64_t seed = 1; seed <= rounds; seed++)
                one_round(seed);
        assert_int_equal(chdir("/"), 0);
        (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
        assert_int_equal(system(command), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(slashes_anchor),
            cmocka_unit_test(trailing_slash_is_a_directory),
            cmocka_unit_test(last_match_decides),
            cmocka_unit_test(globstar_crosses_directories),
            cmocka_unit_test(lines_are_read_as_git_reads_them),
            cmocka_unit_test(inner_rules_override),
            cmocka_unit_test(own_rules_can_be_taken_back),
            cmocka_unit_test(stars_take_no_exponential_time),
            cmocka_unit_test(agrees_with_git),
        };

        return cmocka_run_group_tests_name("ignore", tests, NULL, NULL);
}
