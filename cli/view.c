#include "cli/view.h"

#include <inttypes.h>

#define NODE_CACHE_BYTES (64u << 20)

static enum hif_err find_position(struct view *view, struct hif_why *why)
{
        enum hif_err err;

        if (!view->arg.at)
                return project_tail(&view->project, 0, &view->slot, why);
        err = project_slot(&view->project, view->arg.position, false, &view->slot, why);
        if (err == HIF_ENOENT)
                return why_set(why, err,
                               "%s has no position @%" PRIu64 " yet; \"hif log %s\" lists them",
                               view->arg.project, view->arg.position, view->arg.project);
        return err;
}

enum hif_err view_open(struct cli *cli, const char *text, struct view *out, struct hif_why *why)
{
        struct layout layout;
        enum hif_err err = text ? project_arg_parse(text, &out->arg, why)
                                : cli_project_of(cli, NULL, &out->arg.project, why);

        if (err == HIF_OK)
                err = layout_init(&layout, out->arg.project, why);
        if (err == HIF_OK)
                err = cli_store(cli, false, &out->store, why);
        if (err == HIF_OK)
                err = project_open(&cli->env, out->store, out->arg.project, &out->project, why);
        if (err == HIF_OK)
                err = find_position(out, why);
        if (err != HIF_OK)
                return err;
        err = node_reader_new(&out->project, NODE_CACHE_BYTES, &out->reader);
        return err == HIF_OK ? HIF_OK : why_set(why, err, "out of memory");
}

void view_close(struct view *view)
{
        node_reader_free(view->reader);
        slot_read_free(&view->slot);
        store_close(view->store);
        project_arg_free(&view->arg);
}

enum hif_err view_find(struct view *view, struct tree_cursor *cursor, struct span path,
                       struct entry *out, struct hif_why *why)
{
        AUTO_BUF struct buf key = {0};
        enum hif_err err;

        key_from_path(&key, path);
        if (buf_failed(&key))
                return why_set(why, HIF_ENOMEM, "out of memory");
        err = tree_find(cursor, &view->slot.slot.tree, buf_span(&key), out, NULL);
        if (err == HIF_ENOENT)
                return why_set(why, err,
                               "there is no %.*s in %s@%" PRIu64 "; \"hif ls %s@%" PRIu64
                               "\" lists what there is",
                               (int)path.size, (const char *)path.data, view->arg.project,
                               view->slot.slot.position, view->arg.project,
                               view->slot.slot.position);
        if (err != HIF_OK)
                return why_set(why, err, "cannot read the tree of %s@%" PRIu64 ": %s",
                               view->arg.project, view->slot.slot.position, hif_strerror(err));
        return HIF_OK;
}

const char *entry_kind_name(enum entry_kind kind)
{
        switch (kind) {
        case ENTRY_FILE:
                return "file";
        case ENTRY_EXEC:
                return "executable";
        case ENTRY_SYMLINK:
                return "symlink";
        case ENTRY_DIR:
                return "directory";
        }
        return "unknown";
}

json_t *entry_to_json(struct span path, const struct entry *entry)
{
        char mtime[TIME_TEXT_SIZE], hash[HIF_HASH_HEX_SIZE];
        json_t *object;

        time_text(entry->mtime.sec, entry->mtime.nsec, mtime);
        object = json_pack("{s:s, s:I, s:s}", "kind", entry_kind_name(entry->kind), "size",
                           (json_int_t)entry->size, "mtime", mtime);
        if (!object)
                return NULL;
        json_set_path(object, "path", path);
        if (entry->kind == ENTRY_SYMLINK)
                json_set_path(object, "target", entry->target);
        if (entry_is_file(entry)) {
                hash_to_hex(&entry->hash, hash);
                (void)json_object_set_new(object, "hash", json_string(hash));
        }
        return object;
}

int view_fail(const struct cli *cli, enum hif_err err, const struct hif_why *why)
{
        return err == HIF_EINVAL ? cli_usage(cli, "%s", why->text) : cli_fail(cli, err, why);
}
