/* session.h - a piece of work: goal, base, operations, bloom, decisions, conversation.
 *
 * The one value that overlay and land share. Its object is immutable; a slot names its hash. */
#ifndef HIF_CORE_SESSION_H
#define HIF_CORE_SESSION_H

#include "base/arena.h"
#include "core/bloom.h"
#include "core/entry.h"
#include "core/hash.h"
#include "core/hlc.h"

#define SESSION_ID_SIZE    16
#define SESSION_GOAL_MAX   4096
#define SESSION_AUTHOR_MAX 256
#define SESSION_ROLE_MAX   64
#define SESSION_TEXT_MAX   (1u << 20) /* of a decision, of a message */
#define SESSION_SIZE_MAX   (1u << 30) /* of the stored bytes */
/* What one session may say and decide in all, as it is kept in memory while it is open. */
#define SESSION_NOTES_MAX       100000u
#define SESSION_NOTES_BYTES_MAX (32u << 20)

/* The last position that there can be: keys hold 12 digits. */
#define POSITION_MAX 999999999999ull

struct session_id {
        uint8_t bytes[SESSION_ID_SIZE];
};

/* Printed as 32 hexadecimal digits. */
#define SESSION_ID_HEX_SIZE 33
void session_id_to_hex(const struct session_id *id, char out[SESSION_ID_HEX_SIZE]);
bool session_id_from_hex(struct span text, struct session_id *out);

static inline bool session_id_eq(const struct session_id *a, const struct session_id *b)
{
        return memcmp(a->bytes, b->bytes, SESSION_ID_SIZE) == 0;
}

/* Part of the format. */
enum session_state {
        SESSION_OPEN = 1,
        SESSION_LANDED = 2,
        SESSION_ABANDONED = 3,
        SESSION_CONFLICTED = 4,
};

enum session_op_kind {
        SESSION_CREATE = 1, /* a file that was not there */
        SESSION_WRITE = 2,  /* content changed; hash = zero until it is landed */
        SESSION_DELETE = 3,
        SESSION_RENAME = 4, /* path -> path2 */
        SESSION_MKDIR = 5,
        SESSION_RMDIR = 6,
        SESSION_SYMLINK = 7,
        SESSION_CHMOD = 8, /* the executable bit */
        SESSION_LINK = 9,  /* path2 is a new name of path */
};

struct session_op {
        enum session_op_kind kind;
        struct span path;
        struct span path2; /* RENAME, LINK; else empty */
        struct hif_hash hash;
};

struct session_message {
        struct span role; /* "user", "agent" ... */
        struct span text;
};

struct session {
        struct session_id id;
        enum session_state state;
        uint64_t origin; /* the head's position when the id was made */
        uint64_t base_position;
        struct hif_hash base_slot; /* HASH_SLOT of the base's slot */
        struct span author;        /* UTF-8, "Name <mail>" */
        hlc_t created, updated;
        struct span goal; /* UTF-8 */
        struct session_op *ops;
        uint32_t op_count;
        struct bloom bloom;
        struct span *decisions;
        uint32_t decision_count;
        struct session_message *messages;
        uint32_t message_count;
};

/* Append the stored bytes (64-byte header, then the parts; drawn in session.c). Texts are bytes to
 * this format: UTF-8 is the writer's promise, and no reader may print them unescaped. HIF_EINVAL: a
 * text is over its limit. HIF_ELIMIT: the whole is over SESSION_SIZE_MAX. */
HIF_MUST_USE enum hif_err session_put(struct buf *out, const struct session *session);
/* Spans borrow from `stored`, arrays and bits live in the arena. HIF_ECORRUPT, HIF_EUNSUPPORTED. */
HIF_MUST_USE enum hif_err session_get(struct span stored, struct arena *arena, struct session *out);

#endif
