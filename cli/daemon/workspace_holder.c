#include "cli/daemon/workspace_holder.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/daemon/call.h"
#include "cli/daemon/workspace_records.h"
#include "cli/session/session_open.h"

#include <stdlib.h>
#include <string.h>

#define PUBLISHED_SIZE (8 + 8 + 2 * HIF_HASH_SIZE + 8 + 1)

/* --- what is kept of it here --- */

static void note_seq(uint64_t *newest, uint64_t seq)
{
        if (seq > *newest)
                *newest = seq;
}

static bool note_node(void *arg, const struct onode *node)
{
        note_seq(arg, node->seq);
        return true;
}

static bool note_dirent(void *arg, const struct odirent *row)
{
        note_seq(arg, row->seq);
        return true;
}

void load_published(void *arg)
{
        struct loading *loading = arg;
        const struct overlay *overlay = loading->workspace->overlay;
        struct span value = overlay_value(overlay, VALUE_PUBLISHED);
        struct span holder = overlay_value(overlay, VALUE_HOLDER);
        struct overlay_stats stats = overlay_stats(overlay);
        struct published *published = &loading->published;
        struct reader rd = rd_open(value);

        loading->landing = overlay_value(overlay, VALUE_INTENT).size > 0;
        overlay_each_node(overlay, note_node, &loading->newest);
        overlay_each_dirent(overlay, note_dirent, &loading->newest);
        note_seq(&loading->newest, overlay_op_last(overlay)); /* of what is gone, it tells */
        loading->have_holder = holder.size == OPEN_HOLDER_SIZE;
        if (loading->have_holder)
                memcpy(published->holder, holder.data, holder.size);
        loading->empty = stats.dirents == 0 && stats.nodes == 0 && overlay_op_last(overlay) == 0 &&
                         overlay_note_count(overlay) == 0 &&
                         overlay_value(overlay, VALUE_GOAL).size == 0;
        if (value.size != PUBLISHED_SIZE)
                return;
        published->have = true;
        published->revision = rd_u64(&rd);
        published->seq = rd_u64(&rd);
        rd_copy(&rd, published->tree.bytes, HIF_HASH_SIZE);
        rd_copy(&rd, published->object.bytes, HIF_HASH_SIZE);
        published->published_ns = rd_u64(&rd);
        published->changed = rd_u8(&rd) != 0;
}

enum hif_err published_put(struct buf *out, uint64_t revision, uint64_t seq,
                           const struct open_session *record)
{
        buf_put_u64(out, revision);
        buf_put_u64(out, seq);
        buf_put(out, record->tree.bytes, HIF_HASH_SIZE);
        buf_put(out, record->object.bytes, HIF_HASH_SIZE);
        buf_put_u64(out, record->published_ns);
        buf_put_u8(out, record->changed);
        return buf_failed(out) ? HIF_ENOMEM : HIF_OK;
}

enum hif_err save_published(struct workspace *workspace, uint64_t seq,
                            const struct open_session *record, struct hif_why *why)
{
        AUTO_BUF struct buf value = {0};
        struct vfs_value stored;
        enum hif_err err = published_put(&value, record->revision, seq, record);

        stored = (struct vfs_value){VALUE_PUBLISHED, buf_span(&value)};
        if (err == HIF_OK)
                err = workspace_set(workspace, &stored, 1);
        return err == HIF_OK ? HIF_OK
                             : why_set(why, err, "what was published could not be noted: %s",
                                       hif_strerror(err));
}

enum hif_err make_holder(struct workspace *workspace, struct loading *loading)
{
        struct vfs_value value = {VALUE_HOLDER,
                                  span_of(loading->published.holder, OPEN_HOLDER_SIZE)};

        if (loading->have_holder)
                return HIF_OK;
        env_random(&workspace->daemon->cli->env, loading->published.holder, OPEN_HOLDER_SIZE);
        return workspace_set(workspace, &value, 1);
}

/* --- someone else has it --- */

enum hif_err holder_split(struct workspace *workspace, const struct open_session *record,
                          const char *verb, struct hif_why *why)
{
        char old_hex[SESSION_ID_HEX_SIZE], new_hex[SESSION_ID_HEX_SIZE], when[TIME_TEXT_SIZE];
        struct slot_read tail = {0};
        struct session_id id;
        uint8_t origin[8];
        struct vfs_value values[] = {
            {VALUE_SESSION_ID, span_of(id.bytes, SESSION_ID_SIZE)},
            {VALUE_ORIGIN, span_of(origin, sizeof(origin))},
            {VALUE_HOLDER, {0}},
            {VALUE_PUBLISHED, {0}},
            {VALUE_INTENT, {0}},
        };
        enum hif_err err = project_tail(&workspace->project, 0, &tail, why);

        if (err != HIF_OK)
                return err;
        env_random(&workspace->daemon->cli->env, id.bytes, SESSION_ID_SIZE);
        be64_put(origin, tail.slot.position);
        err = workspace_set(workspace, values, sizeof(values) / sizeof(values[0]));
        if (err == HIF_OK) {
                session_id_to_hex(&workspace->session, old_hex);
                workspace->session = id;
                workspace->origin_position = tail.slot.position;
                err = workspace_summary(workspace, "open");
        }
        slot_read_free(&tail);
        if (err != HIF_OK)
                return err;
        session_id_to_hex(&id, new_hex);
        session_when(record->held_ns, when);
        log_line(workspace->daemon->cli->env.log, LOG_WARN, "daemon",
                 "session %s was taken over; what '%s' holds is session %s now", old_hex,
                 workspace->mount_point, new_hex);
        return why_set(
            why, HIF_EBUSY,
            "session %.8s was taken over by %.*s on %.*s at %s: nothing was %s. All that "
            "is here is kept, as session %.8s; `hif land` lands it beside what is done "
            "there",
            old_hex, (int)record->author.size, (const char *)record->author.data,
            (int)record->holder_name.size, (const char *)record->holder_name.data, when, verb,
            new_hex);
}

enum hif_err holder_find_slot(struct workspace *workspace, uint64_t *position, struct hif_why *why)
{
        struct hif_hash slot, tree;

        return land_find(&workspace->project, &workspace->session, workspace->origin_position,
                         position, &slot, &tree, why);
}
