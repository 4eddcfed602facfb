/* session_open.h - the sessions of a project that lie open in the store, as the user names them. */
#ifndef HIF_CLI_SESSION_SESSION_OPEN_H
#define HIF_CLI_SESSION_SESSION_OPEN_H

#include "cli/cli.h"
#include "land/session_store.h"

#define SESSION_PREFIX_MIN 4 /* digits of an id that name it */
/* Is the text the start of an id, long enough to name one? */
bool session_prefix_valid(const char *text);

/* {"project", "session" (its name), "id", "state", "goal", "author", "base", "origin", "held",
 * "holder", "held_since", "updated", "published"}; NULL: out of memory. */
json_t *session_record_to_json(const char *project, const struct open_session *record);

/* name: the start of its id (SESSION_PREFIX_MIN digits or more), or what its holder calls it. One
 * that has a slot has landed, whatever its record says: then the record is removed, and it is
 * HIF_ENOENT, as what is not there, without a sentence. HIF_EINVAL: it may be several. */
HIF_MUST_USE enum hif_err session_open_find(const struct project *project, const char *name,
                                            struct open_read *out, struct hif_why *why);
/* Seconds since 1970 as people read them. */
void session_when(uint64_t ns, char out[TIME_TEXT_SIZE]);

#endif
