/* workspace_session.c - goal, notes and decisions of a mounted session. */
#include "cli/daemon/workspace_session.h"

#include "base/cleanup.h"
#include "cli/base64.h"
#include "cli/daemon/call.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/daemon/workspace_records.h"

static enum hif_err no_reading_only(const struct workspace *workspace, struct hif_why *why)
{
        if (!workspace->read_only)
                return HIF_OK;
        return why_set(why, HIF_EROFS, "'%s' is mounted read-only: nothing is noted there",
                       workspace->mount_point);
}

/* --- out of the overlay --- */

static void count_notes(const struct overlay *overlay, struct session *out)
{
        size_t count = overlay_note_count(overlay);

        for (size_t i = 0; i < count; i++)
                if (overlay_note(overlay, i).kind == ONOTE_DECISION)
                        out->decision_count++;
                else
                        out->message_count++;
}

static enum hif_err copy(struct arena *arena, struct span from, struct span *out)
{
        *out = arena_span(arena, from);
        return from.size > 0 && out->data == NULL ? HIF_ENOMEM : HIF_OK;
}

enum hif_err session_load_notes(const struct overlay *overlay, struct arena *arena,
                                struct session *out)
{
        size_t count = overlay_note_count(overlay), decisions = 0, messages = 0;
        enum hif_err err = copy(arena, overlay_value(overlay, VALUE_GOAL), &out->goal);

        out->decision_count = out->message_count = 0;
        count_notes(overlay, out);
        out->decisions = arena_zalloc(arena, (out->decision_count + 1) * sizeof(*out->decisions));
        out->messages = arena_zalloc(arena, (out->message_count + 1) * sizeof(*out->messages));
        if (out->decisions == NULL || out->messages == NULL)
                return HIF_ENOMEM;
        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                struct onote note = overlay_note(overlay, i);

                if (note.kind == ONOTE_DECISION) {
                        err = copy(arena, note.text, &out->decisions[decisions++]);
                        continue;
                }
                err = copy(arena, note.role, &out->messages[messages].role);
                if (err == HIF_OK)
                        err = copy(arena, note.text, &out->messages[messages++].text);
        }
        return err;
}

struct loading_ops {
        struct arena *arena;
        uint64_t through;
        struct buf list; /* of struct session_op */
};

static enum hif_err load_op(void *arg, uint64_t seq, const struct session_op *op)
{
        struct loading_ops *loading = arg;
        struct session_op copied = *op;
        enum hif_err err;

        if (seq > loading->through)
                return HIF_OK;
        err = copy(loading->arena, op->path, &copied.path);
        if (err == HIF_OK)
                err = copy(loading->arena, op->path2, &copied.path2);
        buf_put(&loading->list, &copied, sizeof(copied));
        return err == HIF_OK && buf_failed(&loading->list) ? HIF_ENOMEM : err;
}

enum hif_err session_load_ops(struct overlay *overlay, const struct overlay_ops *ops,
                              uint64_t through, struct arena *arena, struct session *out,
                              struct hif_why *why)
{
        struct loading_ops loading = {.arena = arena, .through = through};
        enum hif_err err = overlay_ops_each(overlay, ops, load_op, &loading, why);
        size_t count = loading.list.size / sizeof(struct session_op);
        struct span kept = {0};

        if (err == HIF_OK && count > UINT32_MAX)
                err = HIF_ELIMIT;
        if (err == HIF_OK)
                err = copy(arena, buf_span(&loading.list), &kept);
        buf_free(&loading.list);
        if (err != HIF_OK)
                return err;
        out->ops = (struct session_op *)(uintptr_t)kept.data;
        out->op_count = (uint32_t)count;
        return HIF_OK;
}

enum hif_err session_load(const struct overlay *overlay, struct arena *arena, struct session *out,
                          struct overlay_ops *ops)
{
        struct span id = overlay_value(overlay, VALUE_SESSION_ID);
        struct span origin = overlay_value(overlay, VALUE_ORIGIN);
        struct span created = overlay_value(overlay, VALUE_CREATED);
        struct vfs_base base;
        enum hif_err err;

        if (id.size != SESSION_ID_SIZE || origin.size != 8 || created.size != 8 ||
            vfs_base_stored(overlay, &base) != HIF_OK)
                return HIF_ECORRUPT;
        *out = (struct session){.state = SESSION_OPEN,
                                .origin = be64_get(origin.data),
                                .base_position = base.position,
                                .base_slot = base.slot,
                                .created = be64_get(created.data),
                                .updated = be64_get(created.data)};
        memcpy(out->id.bytes, id.data, id.size);
        err = session_load_notes(overlay, arena, out);
        return err == HIF_OK ? overlay_ops_take(overlay, ops) : err;
}

/* --- start --- */

enum hif_err workspace_session_start(struct workspace *workspace, struct span goal, json_t **result,
                                     struct hif_why *why)
{
        struct vfs_value value = {VALUE_GOAL, goal};
        enum hif_err err = no_reading_only(workspace, why);

        if (err != HIF_OK)
                return err;
        if (goal.size == 0)
                return why_set(why, HIF_EINVAL,
                               "a goal is a sentence that says what the session is to achieve");
        if (goal.size > SESSION_GOAL_MAX)
                return why_set(why, HIF_EINVAL,
                               "the goal has %zu bytes and at most %u are kept; say the rest with "
                               "`hif session note`",
                               goal.size, SESSION_GOAL_MAX);
        err = workspace_set(workspace, &value, 1);
        if (err == HIF_OK)
                err = workspace_summary(workspace, "open");
        return err == HIF_OK ? workspace_describe(workspace, result) : err;
}

/* --- note, decide --- */

struct noting {
        struct workspace *workspace;
        const struct onote *note;
        size_t count, bytes; /* that there are then */
        uint64_t seq;
        enum hif_err err;
};

static void append_note(void *arg)
{
        struct noting *noting = arg;
        struct overlay *overlay = noting->workspace->overlay;
        struct otx *tx;

        noting->count = overlay_note_count(overlay) + 1;
        noting->bytes =
            overlay_note_bytes(overlay) + noting->note->role.size + noting->note->text.size;
        noting->err = HIF_ELIMIT;
        if (noting->count > SESSION_NOTES_MAX || noting->bytes > SESSION_NOTES_BYTES_MAX)
                return;
        tx = otx_begin(overlay);
        otx_note(tx, noting->note);
        noting->err = otx_commit(tx, &noting->seq);
        overlay_kick(overlay);
}

static enum hif_err check_note(const struct onote *note, struct hif_why *why)
{
        if (note->text.size == 0)
                return why_set(why, HIF_EINVAL, "there is nothing to note: the text is empty");
        if (note->text.size > SESSION_TEXT_MAX)
                return why_set(why, HIF_EINVAL,
                               "the text has %zu bytes and at most %u make one note; split it",
                               note->text.size, SESSION_TEXT_MAX);
        if (note->kind == ONOTE_MESSAGE &&
            (note->role.size == 0 || note->role.size > SESSION_ROLE_MAX))
                return why_set(why, HIF_EINVAL,
                               "a role is a word of 1 to %u bytes, such as \"user\" or \"agent\"",
                               SESSION_ROLE_MAX);
        return HIF_OK;
}

enum hif_err workspace_session_note(struct workspace *workspace, const struct onote *note,
                                    json_t **result, struct hif_why *why)
{
        struct noting noting = {.workspace = workspace, .note = note};
        enum hif_err err = no_reading_only(workspace, why);

        if (err == HIF_OK)
                err = check_note(note, why);
        if (err != HIF_OK)
                return err;
        loop_call(workspace->loop, append_note, &noting);
        if (noting.err == HIF_ELIMIT)
                return why_set(why, HIF_ELIMIT,
                               "a session keeps up to %u notes and %u MiB of them, and this one is "
                               "full; land it, or start another",
                               SESSION_NOTES_MAX, SESSION_NOTES_BYTES_MAX >> 20);
        if (noting.err != HIF_OK)
                return why_set(why, noting.err, "the note could not be kept: %s",
                               hif_strerror(noting.err));
        /* In the log it is already: like any change of the mount, it waits for the disk only where
         * the mount promises that. */
        if (overlay_durability(workspace->overlay) == OVERLAY_POWER) {
                err = overlay_sync_wait(workspace->overlay, noting.seq);
                if (err != HIF_OK)
                        return why_set(why, err, "the note is not on disk: %s", hif_strerror(err));
        }
        *result = json_pack("{s:s, s:I}", "session", workspace->session_name, "notes",
                            (json_int_t)noting.count);
        return *result != NULL ? HIF_OK : HIF_ENOMEM;
}

/* --- show --- */

struct showing {
        struct workspace *workspace;
        struct arena arena;
        struct session session;
        struct overlay_ops ops;
        enum hif_err err;
};

static void load(void *arg)
{
        struct showing *showing = arg;

        showing->err = session_load(showing->workspace->overlay, &showing->arena, &showing->session,
                                    &showing->ops);
}

/* As of one moment: where the session is landed while its operations are read, of the next. */
static enum hif_err load_whole(struct showing *showing, struct hif_why *why)
{
        struct workspace *workspace = showing->workspace;
        enum hif_err err;

        do {
                loop_call(workspace->loop, load, showing);
                err = showing->err;
                if (err == HIF_OK)
                        err = session_load_ops(workspace->overlay, &showing->ops, UINT64_MAX,
                                               &showing->arena, &showing->session, why);
                overlay_ops_free(&showing->ops);
        } while (err == HIF_ECANCELED);
        return err;
}

enum hif_err workspace_session_show(struct workspace *workspace, json_t **result,
                                    struct hif_why *why)
{
        struct showing showing = {.workspace = workspace};
        AUTO_BUF struct buf stored = {0};
        json_t *encoded = NULL;
        enum hif_err err;

        err = load_whole(&showing, why);
        showing.session.author = span_str(workspace->daemon->cli->config.author);
        if (err == HIF_OK)
                err = session_put(&stored, &showing.session);
        if (err == HIF_OK)
                encoded = base64_to_json(buf_span(&stored));
        arena_free(&showing.arena);
        if (err == HIF_OK && encoded == NULL)
                return why_set(why, HIF_ELIMIT, "the session is too long to be shown");
        if (err == HIF_OK)
                err = workspace_describe(workspace, result);
        if (err == HIF_OK && json_object_set_new(*result, "session_base64", encoded) != 0)
                err = HIF_ENOMEM;
        return err;
}
