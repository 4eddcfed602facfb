/* view.h - a project at a position, opened for reading. Private to log, ls and cat. */
#ifndef HIF_CLI_VIEW_H
#define HIF_CLI_VIEW_H

#include "cli/cli.h"
#include "land/project.h"

struct view {
        struct project_arg arg;
        struct store *store;
        struct project project;
        struct slot_read slot; /* of the position, or the tail */
        struct node_reader *reader;
};

/* text: ORG/NAME[@N][:PATH], or NULL: the project of the mount that we stand in. HIF_EINVAL: the
 * text is wrong. HIF_ENOENT: no such project or position. Zero-initialise; view_close after any
 * result. */
HIF_MUST_USE enum hif_err view_open(struct cli *cli, const char *text, struct view *out,
                                    struct hif_why *why);
void view_close(struct view *view);

/* The entry of a path. HIF_ENOENT names both. Spans are borrowed from the cursor, which the caller
 * initialised and closes. */
HIF_MUST_USE enum hif_err view_find(struct view *view, struct tree_cursor *cursor, struct span path,
                                    struct entry *out, struct hif_why *why);

const char *entry_kind_name(enum entry_kind kind);
/* {"path", "kind", "size", "mtime", "hash" (files), "target" (symlinks)}; NULL: out of memory. */
json_t *entry_to_json(struct span path, const struct entry *entry);
/* An error of the command line's own is EXIT_USAGE, others as cli_fail says. */
int view_fail(const struct cli *cli, enum hif_err err, const struct hif_why *why);

#endif
