/* workspace_publish.c - what lies in the store of a session that is open, and who holds it. */
#include "cli/daemon/workspace_publish.h"

#include "base/cleanup.h"
#include "cli/daemon/call.h"
#include "cli/daemon/workspace_holder.h"
#include "cli/daemon/workspace_session.h"
#include "cli/daemon/workspace_work.h"
#include "cli/store.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_TRIES 5

/* --- the record --- */

static enum hif_err has_landed(const struct workspace *workspace, uint64_t position,
                               struct hif_why *why)
{
        char hex[SESSION_ID_HEX_SIZE];

        session_id_to_hex(&workspace->session, hex);
        return why_set(why, HIF_EEXIST,
                       "session %.8s has landed from elsewhere, at @%llu: `hif land` goes on from "
                       "there, with what is only here",
                       hex, (unsigned long long)position);
}

static void fill(const struct workspace *workspace, const struct publish *publish,
                 const struct session *session, const struct published *published,
                 struct open_session *record)
{
        record->id = workspace->session;
        record->state = publish->state != 0 ? publish->state : SESSION_OPEN;
        record->held = !publish->release;
        record->base_position = session->base_position;
        record->base_slot = session->base_slot;
        record->origin = session->origin;
        record->tree = published->tree;
        record->object = published->object;
        record->changed = published->changed;
        record->published_ns = published->published_ns;
        record->author = session->author;
        record->goal = session->goal;
        record->holder_name = span_str(workspace->daemon->cli->config.holder);
        record->name = span_str(workspace->session_name);
        record->updated_ns = env_wall_ns(&workspace->daemon->cli->env);
        memcpy(record->holder, published->holder, OPEN_HOLDER_SIZE);
}

/* One look and one write. HIF_ELOST: someone came in between. */
static enum hif_err move_once(struct workspace *workspace, const struct publish *publish,
                              const struct session *session, struct published *published,
                              struct open_session *out, struct hif_why *why)
{
        struct open_read read = {0};
        struct open_session record = {0};
        uint64_t position;
        enum hif_err err = open_record_read(&workspace->project, &workspace->session, &read, why);
        bool absent = err == HIF_ENOENT;

        if (err == HIF_OK && memcmp(read.record.holder, published->holder, OPEN_HOLDER_SIZE) != 0) {
                err = holder_find_slot(workspace, &position, why);
                if (err == HIF_OK)
                        err = has_landed(workspace, position, why);
                else if (err == HIF_ENOENT)
                        err = holder_split(workspace, &read.record, "published", why);
                open_read_free(&read);
                return err;
        }
        if (absent && published->have) {
                err = holder_find_slot(workspace, &position, why);
                if (err == HIF_OK)
                        return has_landed(workspace, position, why);
                if (err != HIF_ENOENT)
                        return err;
        }
        if (err != HIF_OK && !absent)
                return err;
        fill(workspace, publish, session, published, &record);
        record.revision = absent ? published->revision + 1 : read.record.revision + 1;
        record.created_ns = absent ? hlc_ms(session->created) * 1000000 : read.record.created_ns;
        record.held_ns = absent ? record.updated_ns : read.record.held_ns;
        err = open_record_write(&workspace->project, &record, absent ? NULL : &read.tag, why);
        open_read_free(&read);
        if (err == HIF_OK)
                *out = record;
        return err;
}

static enum hif_err move_record(struct workspace *workspace, const struct publish *publish,
                                const struct session *session, struct published *published,
                                struct open_session *out, struct hif_why *why)
{
        enum hif_err err = HIF_ELOST;

        for (unsigned i = 0; i < RECORD_TRIES && err == HIF_ELOST; i++)
                err = move_once(workspace, publish, session, published, out, why);
        if (err == HIF_ELOST)
                return why_set(why, HIF_EAGAIN,
                               "others change the session's record all the time; try again");
        return err;
}

/* --- publishing --- */

struct publishing {
        struct land_hooks hooks; /* first use: back to this by container */
        const struct publish *publish;
        struct workspace *workspace;
        struct loading loading;
        struct work work;       /* ALL */
        struct arena arena;     /* of `session`, else */
        struct session session; /* what is said of it */
        struct overlay_ops ops; /* `session` has them later */
        uint64_t seq;           /* whose contents are in the store then */
        enum hif_err err;
};

static void on_progress(struct land_hooks *hooks, const struct land_progress *progress)
{
        struct publishing *p =
            (struct publishing *)((char *)hooks - offsetof(struct publishing, hooks));

        if (p->publish->progress != NULL)
                p->publish->progress(p->publish->arg, progress);
}

static uint64_t content_bytes(const struct work *work)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < work->change_count; i++)
                if (work->changes[i].kind == LAND_PUT && !work->changes[i].have_hash)
                        bytes += work->changes[i].size;
        return bytes;
}

static enum hif_err store_work(struct publishing *p, struct land_stored *out, struct hif_why *why)
{
        struct workspace *workspace = p->workspace;
        struct work *work = &p->work;
        AUTO_FREE char *journal = NULL;
        struct land *land = NULL;
        enum hif_err err;

        if (asprintf(&journal, "%s/land.journal", workspace->dir) < 0) {
                journal = NULL;
                return HIF_ENOMEM;
        }
        err = land_begin(&workspace->project, &work->session, &work->nodes.source,
                         workspace->daemon->pool, &p->hooks, journal, &land);
        if (err != HIF_OK)
                return err;
        err = land_stage(land, work->changes, work->change_count, &work->reader, why);
        if (err == HIF_OK)
                err = land_session_store(land, work->changes, work->change_count, out, why);
        land_free(land);
        return err;
}

/* Contents, tree, object. */
static enum hif_err publish_work(struct publishing *p, struct hif_why *why)
{
        struct published *published = &p->loading.published;
        struct land_stored stored;
        enum hif_err err = work_take(&p->work, p->workspace);

        if (err != HIF_OK)
                return err;
        p->seq = p->work.snapshot.seq;
        err = work_list(&p->work, why);
        if (err != HIF_OK)
                return err;
        p->session = p->work.session;
        if (p->publish->content_max > 0 && content_bytes(&p->work) > p->publish->content_max)
                return HIF_ELIMIT;
        err = store_work(p, &stored, why);
        if (err != HIF_OK)
                return err;
        published->tree = stored.tree;
        published->object = stored.object;
        published->changed = stored.changed;
        published->published_ns = env_wall_ns(&p->workspace->daemon->cli->env);
        return HIF_OK;
}

static void load_words(void *arg)
{
        struct publishing *p = arg;

        p->err = session_load(p->workspace->overlay, &p->arena, &p->session, &p->ops);
}

/* The session with the operations that its published tree shows, and everything that was said. */
static enum hif_err publish_words(struct publishing *p, struct hif_why *why)
{
        struct workspace *workspace = p->workspace;
        enum hif_err err;

        loop_call(workspace->loop, load_words, p);
        err = p->err;
        if (err == HIF_OK && p->publish->what != PUBLISH_HOLDER)
                err = session_load_ops(workspace->overlay, &p->ops, p->loading.published.seq,
                                       &p->arena, &p->session, why);
        overlay_ops_free(&p->ops);
        p->session.author = span_str(workspace->daemon->cli->config.author);
        p->session.updated =
            hlc_next(p->session.created, env_wall_ns(&workspace->daemon->cli->env) / 1000000);
        p->seq = p->loading.published.seq;
        if (err == HIF_OK && p->publish->what != PUBLISH_HOLDER)
                err = project_put_session(&workspace->project, &p->session,
                                          &p->loading.published.object, why);
        return err;
}

/* Are the contents in the store those that are here? */
static bool is_up_to_date(const struct loading *loading)
{
        return loading->published.have && !hash_is_zero(&loading->published.tree) &&
               loading->newest <= loading->published.seq;
}

static enum hif_err run(struct publishing *p, uint64_t *revision, struct hif_why *why)
{
        struct workspace *workspace = p->workspace;
        struct published *published = &p->loading.published;
        struct open_session record;
        enum hif_err err = HIF_OK;

        if (p->publish->flush)
                err = work_flush(workspace, "published", why);
        if (err != HIF_OK)
                return err;
        loop_call(workspace->loop, load_published, &p->loading);
        if (!published->have && (p->loading.empty || p->publish->what == PUBLISH_HOLDER))
                return why_set(why, HIF_ENOTHING,
                               "nothing to publish: '%s' holds no edits, and nothing was said",
                               workspace->mount_point);
        if (p->loading.landing)
                return why_set(why, HIF_EBUSY,
                               "a landing of this session is not settled: run `hif land` again, "
                               "then publish");
        err = cli_store_trusted(workspace->daemon->cli, workspace->store, why);
        if (err == HIF_OK)
                err = make_holder(workspace, &p->loading);
        if (err == HIF_OK && p->publish->what == PUBLISH_ALL && !is_up_to_date(&p->loading))
                err = publish_work(p, why);
        else if (err == HIF_OK)
                err = publish_words(p, why);
        if (err == HIF_OK)
                err = move_record(workspace, p->publish, &p->session, published, &record, why);
        if (err == HIF_OK)
                err = save_published(workspace, p->seq, &record, why);
        if (err == HIF_OK && revision != NULL)
                *revision = record.revision;
        return err;
}

enum hif_err workspace_publish(struct workspace *workspace, const struct publish *publish,
                               uint64_t *revision, struct hif_why *why)
{
        struct publishing p = {.hooks = {.progress = on_progress},
                               .publish = publish,
                               .workspace = workspace,
                               .loading = {.workspace = workspace}};
        enum hif_err err;

        if (workspace->read_only)
                return why_set(why, HIF_EROFS,
                               "'%s' is mounted read-only: there is nothing to publish",
                               workspace->mount_point);
        err = run(&p, revision, why);
        work_free(&p.work);
        arena_free(&p.arena);
        if (err != HIF_OK && why->text[0] == '\0')
                why_set(why, err, "the session could not be published: %s", hif_strerror(err));
        return err;
}
