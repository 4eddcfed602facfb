#include "tests/base/tcut.h"

#include "base/buf.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

uint64_t seed_first = 1, seed_last = 300;

void cut_seeds(int argc, char **argv)
{
        if (argc > 1)
                seed_first = seed_last = strtoull(argv[1], NULL, 0);
}

static uint64_t seed_running; /* of the machine that is there; 0: none */

struct tcut cut_new(uint64_t seed)
{
        struct tcut t = {.sim = simenv_new(seed)};

        assert_non_null(t.sim);
        t.env = simenv_env(t.sim);
        seed_running = seed;
        return t;
}

void cut_free(struct tcut *t)
{
        simenv_free(t->sim);
        t->sim = NULL;
        seed_running = 0;
}

int cut_teardown(void **state)
{
        (void)state;
        if (seed_running)
                print_error("to repeat: this program %ju\n", (uintmax_t)seed_running);
        seed_running = 0;
        return 0;
}

int open_at(struct tcut *t, const char *path)
{
        int fd;

        assert_ok(t->env->ops->open(t->env, path, O_RDWR | O_CREAT, 0600, &fd));
        return fd;
}

void put(struct tcut *t, const char *path, const char *text, bool sync)
{
        int fd = open_at(t, path);

        assert_ok(t->env->ops->ftruncate(t->env, fd, 0));
        assert_ok(env_write_all(t->env, fd, text, strlen(text), 0));
        if (sync)
                assert_ok(t->env->ops->fsync(t->env, fd));
        t->env->ops->close(t->env, fd);
}

void make_dir(struct tcut *t, const char *path)
{
        assert_ok(t->env->ops->mkdir(t->env, path, 0700));
}

bool exists(struct tcut *t, const char *path)
{
        struct stat st;
        enum hif_err err = t->env->ops->stat(t->env, path, &st);

        if (err != HIF_ENOENT && err != HIF_ENOTDIR)
                assert_ok(err);
        return !err;
}

const char *content(struct tcut *t, const char *path)
{
        static char text[256]; /* the newest result only */
        AUTO_BUF struct buf buf = {0};

        if (!exists(t, path))
                return "(none)";
        assert_ok(env_read_file(t->env, path, sizeof(text) - 1, &buf));
        memcpy(text, buf.data, buf.size);
        text[buf.size] = '\0';
        return text;
}

void count(struct outcomes *outcomes, bool yes)
{
        *(yes ? &outcomes->yes : &outcomes->no) += 1;
}

void expect_both(struct outcomes outcomes)
{
        if (seed_first == seed_last)
                return; /* one seed shows one of them */
        assert_true(outcomes.yes > 20);
        assert_true(outcomes.no > 20);
}
