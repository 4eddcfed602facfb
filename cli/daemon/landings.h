/* landings.h - the daemon's queues of landings: sessions of one project that land at the same time
 * land together (land/queue.h). */
#ifndef HIF_CLI_DAEMON_LANDINGS_H
#define HIF_CLI_DAEMON_LANDINGS_H

#include "cli/daemon/frame.h"
#include "land/queue.h"

struct landings;

/* The queue of this project in this store, made with its first user. It has a store of its own, and
 * lives as long as somebody uses it. Blocks while the store is opened. */
HIF_MUST_USE enum hif_err landings_enter(struct daemon *daemon, const char *store_url,
                                         const char *project, struct landings **out,
                                         struct hif_why *why);
void landings_leave(struct landings *landings); /* NULL is fine */
struct land_queue *landings_queue(struct landings *landings);

#endif
