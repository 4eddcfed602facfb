#include "cli/daemon/workspace_work.h"

#include "cli/daemon/ahead_use.h"
#include "cli/daemon/call.h"
#include "cli/daemon/kernel.h"
#include "cli/daemon/workspace_ahead.h"
#include "cli/daemon/workspace_changes.h"
#include "cli/daemon/workspace_place.h"
#include "cli/daemon/workspace_session.h"

#include <stdlib.h>

#define FLUSH_TIMEOUT_MS 120000

#define FROM_READER(ptr) ((struct work *)((char *)(ptr)-offsetof(struct work, reader)))

enum hif_err work_flush(struct workspace *workspace, const char *verb, struct hif_why *why)
{
        enum hif_err err;

        if (!workspace_is_mounted(workspace) || workspace->front != FRONT_NFS)
                return HIF_OK;
        err = kernel_sync(workspace->mount_point, FLUSH_TIMEOUT_MS);
        if (err == HIF_OK)
                return HIF_OK;
        return why_set(why, err,
                       "some of what programs have written to '%s' did not arrive: %s; nothing was "
                       "%s. Look at what was written last, and try again",
                       workspace->mount_point, hif_strerror(err), verb);
}

static enum hif_err read_content(struct land_reader *reader, uint64_t content, uint64_t offset,
                                 void *out, size_t size)
{
        struct work *work = FROM_READER(reader);

        return vfs_content_read(&work->snapshot, work->expanded[content].content, offset, out,
                                size);
}

static void describe(struct work *work)
{
        struct workspace *workspace = work->workspace;
        uint64_t now_ms = env_wall_ns(&workspace->daemon->cli->env) / 1000000;
        struct span created = overlay_value(workspace->overlay, VALUE_CREATED);
        struct session *session = &work->session;

        session->id = workspace->session;
        session->state = SESSION_OPEN;
        session->origin = workspace->origin_position;
        session->base_position = work->snapshot.base.position;
        session->base_slot = work->snapshot.base.slot;
        session->author = span_str(workspace->daemon->cli->config.author);
        session->created = created.size == 8 ? be64_get(created.data) : hlc_next(0, now_ms);
        session->updated = hlc_next(0, now_ms);
}

static void take(void *arg)
{
        struct work *work = arg;

        work->err = vfs_snapshot_take(work->workspace->vfs, true, &work->snapshot);
        work->taken = work->err == HIF_OK;
        if (work->err == HIF_OK)
                work->err = session_load_notes(work->workspace->overlay, &work->snapshot.arena,
                                               &work->session);
        if (work->err == HIF_OK)
                describe(work);
}

enum hif_err work_take(struct work *work, struct workspace *workspace)
{
        *work = (struct work){.workspace = workspace, .reader = {.read = read_content}};
        ahead_pause(workspace->ahead);
        fetch_nodes_blocking_init(&work->nodes, workspace->origin);
        loop_call(workspace->loop, take, work);
        return work->err;
}

/* What was stored ahead needs no reading. */
static void use_stored(const struct work *work, const struct vfs_expanded *item,
                       struct land_change *change)
{
        if (item->content != NULL)
                change->have_hash =
                    ahead_stored(work->workspace->ahead, &work->snapshot.base, item->node,
                                 item->content, &change->hash, &change->loc);
}

static enum hif_err load_ops(struct work *work, struct hif_why *why)
{
        struct vfs_snapshot *snapshot = &work->snapshot;
        enum hif_err err = vfs_snapshot_ops(snapshot, why);

        if (err == HIF_OK && snapshot->op_count > UINT32_MAX)
                err = HIF_ELIMIT;
        if (err != HIF_OK)
                return err;
        work->session.ops = snapshot->ops;
        work->session.op_count = (uint32_t)snapshot->op_count;
        work->session.bloom = snapshot->bloom;
        return HIF_OK;
}

enum hif_err work_list(struct work *work, struct hif_why *why)
{
        enum hif_err err = load_ops(work, why);

        if (err == HIF_OK)
                err = vfs_changes_expand(&work->snapshot, &work->nodes.source, &work->expanded,
                                         &work->expanded_count);
        if (err == HIF_OK)
                err = changes_skip_ignored(work->workspace, &work->snapshot, work->expanded,
                                           work->expanded_count, why);
        if (err != HIF_OK)
                return err;
        work->changes = calloc(work->expanded_count + 1, sizeof(*work->changes));
        if (work->changes == NULL)
                return HIF_ENOMEM;
        for (size_t i = 0; i < work->expanded_count; i++) {
                const struct vfs_expanded *item = &work->expanded[i];

                if (item->skip)
                        continue;
                work->changes[work->change_count++] =
                    (struct land_change){.kind = item->remove ? LAND_REMOVE : LAND_PUT,
                                         .path = item->path,
                                         .entry_kind = item->entry_kind,
                                         .mtime = item->mtime,
                                         .target = item->target,
                                         .size = item->size,
                                         .have_hash = item->have_hash,
                                         .hash = item->hash,
                                         .loc = item->loc,
                                         .content = i,
                                         .path_from = item->path_from};
                use_stored(work, item, &work->changes[work->change_count - 1]);
        }
        return HIF_OK;
}

void work_staged(struct work *work)
{
        for (size_t i = 0; i < work->change_count; i++) {
                const struct land_change *change = &work->changes[i];
                struct vfs_expanded *item = &work->expanded[change->content];

                if (!change->have_hash)
                        continue;
                item->have_hash = true;
                item->hash = change->hash;
                item->loc = change->loc;
        }
}

static void free_snapshot(void *arg)
{
        struct work *work = arg;

        vfs_snapshot_free(&work->snapshot);
}

void work_free(struct work *work)
{
        free(work->changes);
        if (work->taken)
                loop_call(work->workspace->loop, free_snapshot, work);
        if (work->workspace != NULL)
                ahead_resume(work->workspace->ahead);
        *work = (struct work){0};
}
