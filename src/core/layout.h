/* layout.h - the keys under which a project's objects lie in a store.
 *
 *      projects/{org}/{name}/format
 *                            head
 *                            landing-log/{position:012}
 *                            sessions/{id}/{hash}.bin
 *                            open-sessions/{id}
 *                            trees/{hh}/{hash}.bin
 *                            blobs/{hh}/{hash}
 *                            packs/{hh}/{hash}
 *                            lists/{hh}/{hash}
 *                            proposals/{landing id}
 *                            segments/{start:012}  bloom-index/level-{1,2,3}/{start:012}
 *                            hash-index/{start:012}
 */
#ifndef HIF_CORE_LAYOUT_H
#define HIF_CORE_LAYOUT_H

#include "base/buf.h"
#include "base/err.h"
#include "core/hash.h"
#include "core/session.h"
#include "core/window.h"

#define LAYOUT_KEY_MAX    512 /* with the terminating NUL */
#define LAYOUT_PREFIX_MAX 256

struct layout {
        char prefix[LAYOUT_PREFIX_MAX]; /* "projects/org/name/" */
};

struct layout_key {
        char text[LAYOUT_KEY_MAX];
};

/* "org/name": both 1 to 64 of [a-z A-Z 0-9 . _ -], not starting with '.' or '-'. HIF_EINVAL. */
HIF_MUST_USE enum hif_err layout_init(struct layout *layout, const char *project,
                                      struct hif_why *why);
/* The "org/name" of a layout, appended as text. */
void layout_project(const struct layout *layout, struct buf *out);

struct layout_key layout_format(const struct layout *layout);
struct layout_key layout_head(const struct layout *layout);
struct layout_key layout_slot(const struct layout *layout, uint64_t position);
struct layout_key layout_session(const struct layout *layout, const struct session_id *id,
                                 const struct hif_hash *hash);
struct layout_key layout_open_session(const struct layout *layout, const struct session_id *id);
struct layout_key layout_node(const struct layout *layout, const struct hif_hash *hash);
struct layout_key layout_blob(const struct layout *layout, const struct hif_hash *hash);
struct layout_key layout_pack(const struct layout *layout, const struct hif_hash *hash);
struct layout_key layout_list(const struct layout *layout, const struct hif_hash *hash);
/* landing_id: 16 bytes. And the prefix of all of them. */
struct layout_key layout_proposal(const struct layout *layout, const uint8_t *landing_id);
struct layout_key layout_proposals(const struct layout *layout);
/* A derived record, and what the keys of all of its kind start with. */
struct layout_key layout_window(const struct layout *layout, enum window_kind kind, uint64_t start);
struct layout_key layout_windows(const struct layout *layout, enum window_kind kind);

#endif
