/* workspace_status.c - `hif status` and `hif diff`. */
#include "cli/daemon/workspace_status.h"

#include "base/cleanup.h"
#include "cli/base64.h"
#include "cli/control_wire.h"
#include "cli/daemon/ahead_use.h"
#include "cli/daemon/workspace_ahead.h"
#include "cli/daemon/workspace_changes.h"
#include "cli/daemon/workspace_records.h"

#include <git2.h>
#include <stdlib.h>

#define DIFF_FILE_MAX (16u << 20)

enum hif_err workspace_status(struct workspace *workspace, json_t **result, struct hif_why *why)
{
        struct vfs_snapshot snapshot;
        json_t *list, *uploads, *value = NULL;
        size_t ignored;
        enum hif_err err = changes_take(workspace, &snapshot, &ignored, why);

        if (err != HIF_OK)
                return err;
        list = json_array();
        for (size_t i = 0; i < snapshot.change_count; i++) {
                const struct vfs_change *change = &snapshot.changes[i];
                char kind[2] = {(char)change->kind, '\0'};
                json_t *item = json_pack("{s:s, s:b}", "status", kind, "directory",
                                         change->entry_kind == ENTRY_DIR);

                json_set_path(item, "path", change->path);
                if (change->path_from.size > 0)
                        json_set_path(item, "from", change->path_from);
                json_array_append_new(list, item);
        }
        uploads = ahead_status(workspace->ahead, &snapshot);
        changes_free(workspace, &snapshot);
        err = workspace_describe(workspace, &value);
        if (err != HIF_OK || json_object_set_new(value, "changes", list) != 0 ||
            json_object_set_new(value, "uploads", uploads) != 0 ||
            json_object_set_new(value, "ignored",
                                ignored == IGNORED_UNKNOWN
                                    ? json_null()
                                    : json_integer((json_int_t)ignored)) != 0) {
                json_decref(value);
                return HIF_ENOMEM;
        }
        *result = value;
        return HIF_OK;
}

/* --- diff --- */

static bool wanted(const struct vfs_change *change, const json_t *paths)
{
        size_t index;
        json_t *path;

        if (paths == NULL || json_array_size(paths) == 0)
                return true;
        json_array_foreach((json_t *)(uintptr_t)paths, index, path)
        {
                AUTO_BUF struct buf dir = {0};

                json_get_path_item(path, &dir);
                if (path_within(change->path, buf_span(&dir)) ||
                    (change->path_from.size > 0 && path_within(change->path_from, buf_span(&dir))))
                        return true;
        }
        return false;
}

static const char *mode_of(enum entry_kind kind)
{
        switch (kind) {
        case ENTRY_FILE:
                return "100644";
        case ENTRY_EXEC:
                return "100755";
        case ENTRY_SYMLINK:
                return "120000";
        case ENTRY_DIR:
                return "040000";
        }
        return "000000";
}

/* As git and libgit2 write names that would not be read back as they are. */
static void put_name(struct buf *out, const char *start, struct span path)
{
        bool quoted = false;

        for (size_t i = 0; i < path.size; i++)
                quoted = quoted || path.data[i] < 0x20 || path.data[i] >= 0x7f ||
                         path.data[i] == '"' || path.data[i] == '\\';
        buf_printf(out, "%s%s", quoted ? "\"" : "", start);
        for (size_t i = 0; i < path.size; i++) {
                static const char special[] = "\a\b\t\n\v\f\r\"\\", letters[] = "abtnvfr\"\\";
                uint8_t c = path.data[i];
                const char *at = c != 0 ? strchr(special, c) : NULL;

                if (at != NULL)
                        buf_printf(out, "\\%c", letters[at - special]);
                else if (c < 0x20 || c >= 0x7f)
                        buf_printf(out, "\\%03o", c);
                else
                        buf_put_u8(out, c);
        }
        if (quoted)
                buf_put_u8(out, '"');
}

/* The extended header, as git's. */
static void put_header(struct buf *out, const struct vfs_change *change)
{
        struct span from = change->path_from.size > 0 ? change->path_from : change->path;

        buf_printf(out, "diff --git ");
        put_name(out, "a/", from);
        buf_put_u8(out, ' ');
        put_name(out, "b/", change->path);
        buf_put_u8(out, '\n');
        if (change->kind == VFS_ADDED)
                buf_printf(out, "new file mode %s\n", mode_of(change->entry_kind));
        else if (change->kind == VFS_DELETED)
                buf_printf(out, "deleted file mode %s\n", mode_of(change->base.kind));
        else if (change->entry_kind != change->base.kind)
                buf_printf(out, "old mode %s\nnew mode %s\n", mode_of(change->base.kind),
                           mode_of(change->entry_kind));
        if (change->kind == VFS_RENAMED) {
                buf_printf(out, "rename from ");
                put_name(out, "", from);
                buf_printf(out, "\nrename to ");
                put_name(out, "", change->path);
                buf_put_u8(out, '\n');
        }
}

static const void *text_in(const struct buf *content)
{
        return content->size > 0 ? content->data : (const void *)"";
}

enum hif_err workspace_diff_prepare(void)
{
        return git_libgit2_init() >= 0 ? HIF_OK : HIF_ENOMEM;
}

/* The hunks, by libgit2; its own header line is cut, ours stands. */
static enum hif_err put_hunks(struct buf *out, const struct vfs_change *change,
                              const struct buf *old, const struct buf *new)
{
        CLEANUP(buf_free) struct buf from = {0}, to = {0};
        struct span from_path = change->path_from.size > 0 ? change->path_from : change->path;
        git_buf text = {0};
        git_patch *patch = NULL;
        const char *hunks;
        enum hif_err err = HIF_OK;

        buf_put_span(&from, from_path);
        buf_put_u8(&from, 0);
        buf_put_span(&to, change->path);
        buf_put_u8(&to, 0);
        if (buf_failed(&from) || buf_failed(&to))
                return HIF_ENOMEM;
        /* NULL is no file, which an empty one is not. */
        if (git_patch_from_buffers(&patch, change->kind == VFS_ADDED ? NULL : text_in(old),
                                   old->size, (const char *)from.data,
                                   change->kind == VFS_DELETED ? NULL : text_in(new), new->size,
                                   (const char *)to.data, NULL) != 0 ||
            git_patch_to_buf(&text, patch) != 0) {
                git_patch_free(patch);
                return HIF_ENOMEM;
        }
        hunks = text.size > 0 ? strstr(text.ptr, "\n--- ") : NULL;
        if (hunks == NULL && text.size > 0)
                hunks = strstr(text.ptr, "\nBinary files ");
        if (hunks != NULL)
                buf_put(out, hunks + 1, text.size - (size_t)(hunks + 1 - text.ptr));
        if (buf_failed(out))
                err = HIF_ENOMEM;
        git_buf_dispose(&text);
        git_patch_free(patch);
        return err;
}

static enum hif_err put_diff(struct workspace *workspace, const struct vfs_snapshot *snapshot,
                             const struct vfs_change *change, struct buf *out)
{
        CLEANUP(buf_free) struct buf old = {0}, new = {0};
        enum hif_err err;

        if (change->entry_kind == ENTRY_DIR && change->kind != VFS_RENAMED)
                return HIF_OK;
        put_header(out, change);
        if (change->kind == VFS_RENAMED && !change->content_changed)
                return HIF_OK;
        err = change_old_content(workspace, change, DIFF_FILE_MAX, &old);
        if (err == HIF_OK)
                err = change_new_content(workspace, snapshot, change, DIFF_FILE_MAX, &new);
        if (err == HIF_ELIMIT) {
                buf_printf(out, "Files differ; larger than %u MiB, not compared\n",
                           DIFF_FILE_MAX >> 20);
                return HIF_OK;
        }
        return err == HIF_OK ? put_hunks(out, change, &old, &new) : err;
}

enum hif_err workspace_diff(struct workspace *workspace, const json_t *paths, json_t **result,
                            struct hif_why *why)
{
        CLEANUP(buf_free) struct buf text = {0};
        struct vfs_snapshot snapshot;
        size_t ignored, files = 0;
        json_t *encoded;
        enum hif_err err = changes_take(workspace, &snapshot, &ignored, why);

        if (err != HIF_OK)
                return err;
        for (size_t i = 0; i < snapshot.change_count && err == HIF_OK; i++) {
                if (!wanted(&snapshot.changes[i], paths))
                        continue;
                files++;
                err = put_diff(workspace, &snapshot, &snapshot.changes[i], &text);
                if (text.size > CONTROL_SIZE_MAX / 2) /* it cannot be sent */
                        break;
        }
        changes_free(workspace, &snapshot);
        if (err == HIF_OK && buf_failed(&text))
                err = HIF_ENOMEM;
        if (err != HIF_OK)
                return changes_why(workspace, err, "compared", why);
        buf_put_u8(&text, 0); /* never a NULL pointer */
        encoded = base64_to_json(span_of(text.data, text.size - 1));
        if (encoded == NULL)
                return why_set(why, HIF_ELIMIT, "the difference is over %u MiB; name fewer paths",
                               CONTROL_SIZE_MAX / 2 >> 20);
        *result = json_pack("{s:I, s:o}", "files", (json_int_t)files, "diff_base64", encoded);
        return *result != NULL ? HIF_OK : HIF_ENOMEM;
}
