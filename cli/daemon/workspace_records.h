/* workspace_records.h - what a workspace records of itself, and says of itself. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_RECORDS_H
#define HIF_CLI_DAEMON_WORKSPACE_RECORDS_H

#include "cli/daemon/frame.h"
#include "overlay/overlay.h"

/* What a session that was mounted before says of itself. HIF_ECORRUPT with a sentence. */
HIF_MUST_USE enum hif_err records_load(struct workspace *workspace, struct hif_why *why);
/* How a daemon before this one had mounted it: the options that opening depends on, and then where
 * its server was. HIF_ECORRUPT. */
HIF_MUST_USE enum hif_err records_options(const struct overlay *overlay,
                                          struct workspace_options *out);
HIF_MUST_USE enum hif_err records_resume(struct workspace *workspace, struct hif_why *why);
/* Is a mount that came back served elsewhere, or in another way, than the records say? */
bool records_moved(struct workspace *workspace);
/* Store what this mount is; first: and what the session is, with its goal (NULL: none yet). */
HIF_MUST_USE enum hif_err records_store(struct workspace *workspace, bool first, const char *goal);
/* A value as text; NULL: not set, or out of memory. The caller's to free. */
char *records_text(const struct overlay *overlay, const char *name);
/* What is damaged: an array of sentences. */
json_t *damage_to_json(const struct overlay *overlay);
/* The file that makes the next daemon bring the mount back. */
HIF_MUST_USE enum hif_err records_mark_mounted(struct workspace *workspace, bool mounted);
/* Write session.json. */
HIF_MUST_USE enum hif_err workspace_summary(struct workspace *workspace, const char *state);

/* JSON shapes: docs/cli.md. */
HIF_MUST_USE enum hif_err workspace_describe(struct workspace *workspace, json_t **out);
/* With daemon->lock held. */
HIF_MUST_USE enum hif_err workspace_describe_locked(struct workspace *workspace, json_t **out);

#endif
