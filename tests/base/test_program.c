/* Programs are found as execvp(3) finds them. */
#include "base/program.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

/* bin/tool may be run, bin/text not; lib/tool is a directory. */
static int setup(void **state)
{
        (void)state;
        strcpy(dir, "/tmp/hif-program-XXXXXX");
        assert_non_null(mkdtemp(dir));
        assert_int_equal(chdir(dir), 0);
        assert_int_equal(mkdir("bin", 0700) | mkdir("lib", 0700) | mkdir("lib/tool", 0700), 0);
        close(open("bin/tool", O_CREAT | O_WRONLY, 0700));
        close(open("bin/text", O_CREAT | O_WRONLY, 0600));
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        assert_int_equal(unlink("bin/tool") | unlink("bin/text"), 0);
        assert_int_equal(rmdir("lib/tool") | rmdir("lib") | rmdir("bin"), 0);
        assert_int_equal(chdir("/"), 0);
        return rmdir(dir);
}

/* before, then dir with `below`, then after */
static void set_path(const char *before, const char *below, const char *after)
{
        char path[256];

        snprintf(path, sizeof(path), "%s%s%s%s", before, dir, below, after);
        assert_int_equal(setenv("PATH", path, 1), 0);
}

static void a_program_is_found_along_the_path(void **state)
{
        (void)state;
        set_path("/none:", "/bin", ":/nowhere");
        assert_true(program_is_there("tool"));
        assert_false(program_is_there("tools"));
        assert_false(program_is_there(""));
        set_path("", "/bin", "");
        assert_true(program_is_there("tool"));
}

static void what_cannot_be_run_is_no_program(void **state)
{
        (void)state;
        set_path("", "/bin", "");
        assert_false(program_is_there("text"));
        set_path("", "/lib", "");
        assert_false(program_is_there("tool")); /* a directory */
}

static void an_empty_entry_is_the_current_directory(void **state)
{
        (void)state;
        assert_int_equal(chdir("bin"), 0);
        assert_int_equal(setenv("PATH", "/none:", 1), 0);
        assert_true(program_is_there("tool"));
        assert_int_equal(setenv("PATH", ":/none", 1), 0);
        assert_true(program_is_there("tool"));
        assert_int_equal(setenv("PATH", "/none", 1), 0);
        assert_false(program_is_there("tool"));
        assert_true(program_is_there("./tool"));
        assert_int_equal(chdir(dir), 0);
}

static void without_a_path_the_usual_places_are_looked_at(void **state)
{
        (void)state;
        assert_int_equal(unsetenv("PATH"), 0);
        assert_true(program_is_there("sh"));
        assert_false(program_is_there("tool"));
}

static void an_overlong_entry_is_passed_over(void **state)
{
        char path[8192];

        (void)state;
        memset(path, 'p', sizeof(path));
        path[0] = '/';
        snprintf(path + 6000, sizeof(path) - 6000, ":%s/bin", dir);
        assert_int_equal(setenv("PATH", path, 1), 0);
        assert_true(program_is_there("tool"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_program_is_found_along_the_path),
            cmocka_unit_test(what_cannot_be_run_is_no_program),
            cmocka_unit_test(an_empty_entry_is_the_current_directory),
            cmocka_unit_test(without_a_path_the_usual_places_are_looked_at),
            cmocka_unit_test(an_overlong_entry_is_passed_over),
        };

        return cmocka_run_group_tests_name("program", tests, setup, teardown);
}
