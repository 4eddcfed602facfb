#include "cli/daemon/call.h"

#include "cli/daemon/workspace_impl.h"

struct call {
        struct loop_msg msg;
        void (*run)(void *arg);
        void *arg;
        pthread_mutex_t lock;
        pthread_cond_t cond;
        bool done;
};

static void run_call(struct loop_msg *msg)
{
        struct call *call = (struct call *)msg;

        call->run(call->arg);
        pthread_mutex_lock(&call->lock);
        call->done = true;
        pthread_cond_signal(&call->cond);
        pthread_mutex_unlock(&call->lock);
}

void loop_call(struct loop *loop, void (*run)(void *arg), void *arg)
{
        struct call call = {.msg.run = run_call,
                            .run = run,
                            .arg = arg,
                            .lock = PTHREAD_MUTEX_INITIALIZER,
                            .cond = PTHREAD_COND_INITIALIZER};

        loop_post(loop, &call.msg);
        pthread_mutex_lock(&call.lock);
        while (!call.done)
                pthread_cond_wait(&call.cond, &call.lock);
        pthread_mutex_unlock(&call.lock);
        pthread_mutex_destroy(&call.lock);
        pthread_cond_destroy(&call.cond);
}

struct setting {
        struct workspace *workspace;
        const struct vfs_value *values;
        size_t count;
        uint64_t seq;
        enum hif_err err;
};

static void set_values(void *arg)
{
        struct setting *setting = arg;
        struct otx *tx = otx_begin(setting->workspace->overlay);

        otx_need(tx, OVERLAY_LANDING);
        for (size_t i = 0; i < setting->count; i++)
                otx_value(tx, setting->values[i].name, setting->values[i].value);
        setting->err = otx_commit(tx, &setting->seq);
}

enum hif_err workspace_set(struct workspace *workspace, const struct vfs_value *values,
                           size_t count)
{
        struct setting setting = {.workspace = workspace, .values = values, .count = count};

        loop_call(workspace->loop, set_values, &setting);
        if (setting.err != HIF_OK)
                return setting.err;
        return overlay_sync_wait(workspace->overlay, setting.seq);
}
