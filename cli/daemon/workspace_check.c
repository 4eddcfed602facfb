/* workspace_check.c - what opening a session does not read is looked through once it is served: of damage
 * there somebody learns while the session is young, and not when it is to be landed. */
#include "cli/daemon/workspace_check.h"

#include "base/log.h"
#include "cli/daemon/call.h"
#include "cli/daemon/workspace_impl.h"

static void take(void *arg)
{
        struct workspace *workspace = arg;

        workspace->check.err = overlay_ops_take(workspace->overlay, &workspace->check.ops);
}

static enum hif_err look_at(void *arg, uint64_t seq, const struct session_op *op)
{
        const struct check *check = arg;

        (void)seq;
        (void)op;
        return atomic_load(&check->stop) ? HIF_ECANCELED : HIF_OK;
}

/* Landing reads them, too, and says what is wrong then. */
static void say_unseen(const struct workspace *workspace)
{
        log_line(workspace->daemon->cli->env.log, LOG_WARN, "daemon",
                 "the operations of session '%s' could not be looked through: %s",
                 workspace->session_name, hif_strerror(workspace->check.err));
}

static void run(struct pool_job *job)
{
        struct workspace *workspace =
            (struct workspace *)(void *)((char *)job - offsetof(struct workspace, check.job));
        struct check *check = &workspace->check;

        check->err = overlay_ops_each(workspace->overlay, &check->ops, look_at, check, &check->why);
        if (check->err == HIF_ECORRUPT) {
                log_line(workspace->daemon->cli->env.log, LOG_ERROR, "daemon",
                         "session '%s' cannot be landed: %s", workspace->session_name,
                         check->why.text);
                atomic_store(&check->found, true);
        } else if (check->err != HIF_OK && check->err != HIF_ECANCELED) {
                say_unseen(workspace);
        }
        overlay_ops_free(&check->ops);
        sem_post(&check->done);
}

void check_start(struct workspace *workspace)
{
        struct check *check = &workspace->check;

        if (workspace->read_only)
                return; /* it is never landed; or what is damaged was told */
        loop_call(workspace->loop, take, workspace);
        if (check->err != HIF_OK)
                say_unseen(workspace);
        if (check->err != HIF_OK || check->ops.folded == 0) {
                overlay_ops_free(&check->ops);
                return;
        }
        sem_init(&check->done, 0, 0);
        check->job.run = run;
        check->running = true;
        pool_submit(workspace->daemon->pool, &check->job);
}

void check_stop(struct workspace *workspace)
{
        struct check *check = &workspace->check;

        if (!check->running)
                return;
        atomic_store(&check->stop, true);
        while (sem_wait(&check->done) != 0)
                continue; /* a signal */
        sem_destroy(&check->done);
        check->running = false;
}

const char *check_found(const struct workspace *workspace)
{
        return atomic_load(&workspace->check.found) ? workspace->check.why.text : NULL;
}
