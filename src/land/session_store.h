/* session_store.h - sessions that are open, in the store: so that another machine can go on.
 *
 * A session that is open is published by storing its contents (land_stage), then its tree and its
 * record as an object (land_session_store), and then moving its one small record
 * `open-sessions/{id}` forward. No slot is written, and nothing of the project changes. Everything
 * here blocks. docs/sessions.md tells the whole story. */
#ifndef HIF_LAND_SESSION_STORE_H
#define HIF_LAND_SESSION_STORE_H

#include "core/open_session.h"
#include "land/land.h"

/* --- session_publish.c: what the record names --- */

struct land_stored {
        struct hif_hash tree;   /* of base with the changes: base's own where there are none */
        struct hif_hash object; /* sessions/{id}/{object}.bin */
        bool changed;           /* the tree differs from base's */
};

/* Store tree and object of the session that land_begin was given; contents were staged before. The
 * entries of the tree carry a tag that no slot has. */
HIF_MUST_USE enum hif_err land_session_store(struct land *land, const struct land_change *changes,
                                             size_t count, struct land_stored *out,
                                             struct hif_why *why);
/* Only the object of a session: when nothing but its conversation has changed. */
HIF_MUST_USE enum hif_err project_put_session(const struct project *project,
                                              const struct session *session,
                                              struct hif_hash *object, struct hif_why *why);
/* Read one back, checked against its name. HIF_ENOENT. */
HIF_MUST_USE enum hif_err project_get_session(const struct project *project,
                                              const struct session_id *id,
                                              const struct hif_hash *object, struct buf *stored,
                                              struct arena *arena, struct session *out,
                                              struct hif_why *why);

/* --- session_record.c: open-sessions/{id} --- */

struct open_read {
        struct open_session record; /* borrows from `stored` */
        struct store_tag tag;
        struct buf stored;
};
void open_read_free(struct open_read *read);

/* HIF_ENOENT, without a sentence: there is none. */
HIF_MUST_USE enum hif_err open_record_read(const struct project *project,
                                           const struct session_id *id, struct open_read *out,
                                           struct hif_why *why);
/* Create the record (match NULL), or replace the one with that tag. Gives it a new token. Repeated
 * until the outcome is known.
 *      HIF_OK        it is there
 *      HIF_ELOST     another one is there, or none is any more: read it again
 *      HIF_EUNKNOWN  it may be there, or may still arrive */
HIF_MUST_USE enum hif_err open_record_write(const struct project *project,
                                            struct open_session *record,
                                            const struct store_tag *match, struct hif_why *why);
/* The session has landed, and needs no record any more. */
HIF_MUST_USE enum hif_err open_record_remove(const struct project *project,
                                             const struct session_id *id, struct hif_why *why);
/* Call each for every record whose id starts with `prefix` ("": all), in the order of ids. One that
 * cannot be decoded is passed as NULL with its key. At most max (0: no limit). */
HIF_MUST_USE enum hif_err open_record_list(const struct project *project, const char *prefix,
                                           size_t max,
                                           enum hif_err (*each)(void *arg, const char *key,
                                                                const struct open_session *record),
                                           void *arg, struct hif_why *why);

#endif
