#include "tfuse.h"

#include <semaphore.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct tfuse *tfuse_new(void)
{
        static const struct tmount_options options = {.real = true};
        struct tfuse *t = calloc(1, sizeof(*t));
        const char *tmp = getenv("TMPDIR");

        tmount_check(t != NULL);
        t->m = tmount_new(&options);
        snprintf(t->root, sizeof(t->root), "%s/hif-tfuse-XXXXXX", tmp ? tmp : "/tmp");
        tmount_check(mkdtemp(t->root) != NULL);
        return t;
}

static void gone(void *arg)
{
        struct tfuse *t = arg;

        __atomic_store_n(&t->gone, true, __ATOMIC_RELEASE);
}

void tfuse_mount(struct tfuse *t)
{
        struct fuse_server_config config = {
            .mount_point = t->root, .name = "hif:acme/app", .read_only = t->read_only};
        struct hif_why why = {""};

        tmount_open(t->m);
        t->gone = false;
        if (fuse_server_new(t->m->vfs, &config, &t->server, &why) != HIF_OK) {
                fprintf(stderr, "%s\n", why.text);
                tmount_fail(__FILE__, __LINE__, "fuse_server_new");
        }
        fuse_server_on_unmount(t->server, gone, t);
        tmount_thread(t->m);
}

enum hif_err tfuse_resume(struct tfuse *t, const struct fuse_kept *kept, struct hif_why *why)
{
        struct fuse_server_config config = {
            .mount_point = t->root, .name = "hif:acme/app", .read_only = t->read_only};
        enum hif_err err;

        tmount_open(t->m);
        t->gone = false;
        err = fuse_server_resume(t->m->vfs, &config, kept, &t->server, why);
        if (err != HIF_OK)
                return err;
        fuse_server_on_unmount(t->server, gone, t);
        tmount_thread(t->m);
        return HIF_OK;
}

void tfuse_unmount(struct tfuse *t)
{
        tmount_join(t->m);
        fuse_server_free(t->server);
        t->server = NULL;
        tmount_close(t->m);
}

void tfuse_close_rest(struct tfuse *t)
{
        struct tmount *m = t->m;

        overlay_close(m->overlay);
        m->overlay = NULL;
        fetch_origin_free(m->origin);
        tmount_join(m);
        fetch_free(m->fetch);
        pool_free(m->pool);
        loop_free(m->loop);
}

void tfuse_free(struct tfuse *t)
{
        tfuse_unmount(t);
        tmount_free(t->m);
        rmdir(t->root);
        free(t);
}

const char *tfuse_path(struct tfuse *t, const char *name)
{
        snprintf(t->path, sizeof(t->path), "%s/%s", t->root, name);
        return t->path;
}

struct visit {
        struct loop_msg msg;
        struct tfuse *t;
        void (*run)(struct tfuse *t, void *arg);
        void *arg;
        sem_t done;
};

static void visit(struct loop_msg *msg)
{
        struct visit *it = (struct visit *)msg;

        it->run(it->t, it->arg);
        sem_post(&it->done);
}

void tfuse_on_loop(struct tfuse *t, void (*run)(struct tfuse *t, void *arg), void *arg)
{
        struct visit it = {.msg.run = visit, .t = t, .run = run, .arg = arg};

        sem_init(&it.done, 0, 0);
        loop_post(t->m->loop, &it.msg);
        while (sem_wait(&it.done) != 0)
                ;
        sem_destroy(&it.done);
}
