/* The process that mounts FUSE for a server that may not: what it does, and what it does not. */
#include "cli/daemon/helper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
        static struct helper *helper;

        assert_int_equal(helper_start(&helper), HIF_OK);
        *state = helper;
        return 0;
}

/* It ends with whom it helps. */
static int teardown(void **state)
{
        int status;

        helper_free(*state);
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        return 0;
}

static enum hif_err ask_to_mount(struct helper *helper, const char *mount_point, const char *name,
                                 int *fd)
{
        const struct fuse_mounter *mounter = helper_mounter(helper);
        const struct fuse_server_config config = {.mount_point = mount_point, .name = name};
        struct hif_why why = {0};

        return mounter->mount(mounter->arg, &config, fd, &why);
}

static void it_mounts_and_unmounts(void **state)
{
        char dir[] = "/tmp/hif-helper-XXXXXX";
        struct stat st;
        int fd = -1;

        assert_non_null(mkdtemp(dir));
        assert_int_equal(ask_to_mount(*state, dir, "hif:acme/app", &fd), HIF_OK);
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(S_ISCHR(st.st_mode)); /* /dev/fuse */
        assert_int_equal(helper_unmount(*state, dir, true), HIF_OK);
        assert_int_equal(helper_unmount(*state, dir, false), HIF_EBUSY); /* there is none */
        close(fd);
        rmdir(dir);
}

static void it_does_nothing_else(void **state)
{
        char long_path[5000];
        int fd = -1;

        for (size_t i = 0; i < sizeof(long_path); i++)
                long_path[i] = i % 2 == 0 ? '/' : 'p';
        long_path[sizeof(long_path) - 1] = '\0';
        assert_int_equal(ask_to_mount(*state, "relative", "hif:a", &fd), HIF_EINVAL);
        assert_int_equal(ask_to_mount(*state, "/tmp/../etc", "hif:a", &fd), HIF_EINVAL);
        assert_int_equal(ask_to_mount(*state, "/tmp", "other", &fd), HIF_EINVAL);
        assert_int_equal(ask_to_mount(*state, long_path, "hif:a", &fd), HIF_EINVAL);
        assert_int_equal(helper_unmount(*state, "relative", false), HIF_EINVAL);
        assert_int_equal(fd, -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(it_mounts_and_unmounts, setup, teardown),
            cmocka_unit_test_setup_teardown(it_does_nothing_else, setup, teardown),
        };

        return cmocka_run_group_tests_name("helper", tests, NULL, NULL);
}
