/* requests.h - what the files with the daemon's requests share. */
#ifndef HIF_CLI_DAEMON_REQUESTS_H
#define HIF_CLI_DAEMON_REQUESTS_H

#include "cli/daemon/daemon.h"
#include "land/land.h"

/* --- request.c --- */

/* HIF_EINVAL, and the sentence: the request has no such argument. */
enum hif_err request_missing(struct hif_why *why, const char *name);
/* The workspace that the request names by a path in it, entered. HIF_ENOENT. */
HIF_MUST_USE enum hif_err request_enter(struct request *request, struct workspace **out,
                                        struct hif_why *why);

/* A sentence that the command prints beside the result. */
HIF_MUST_USE enum hif_err request_warn(json_t *result, const char *warning);
/* Pass on how far a landing is; arg: the request. */
void request_progress(void *arg, const struct land_progress *progress);

/* --- requests_session.c --- */

typedef enum hif_err request_fn(struct request *request, json_t **result, struct hif_why *why);
request_fn do_session_start;
request_fn do_session_note;
request_fn do_session_show;
request_fn do_session_publish;
request_fn do_session_export;

#endif
