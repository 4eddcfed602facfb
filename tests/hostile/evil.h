/* evil.h - making a project in a directory store that no hif would make.
 *
 * Every kind of evil is a project of its own, evil/NAME. evil_begin gives it what a good one has: a
 * format, and position 0 with an empty tree. The kind then puts its objects, by our encoders or raw,
 * and mostly ends in evil_land, which makes position 1 and head.
 *
 * What must never be served carries the word EVIL: in a name, or in a content. */
#ifndef HIF_TESTS_HOSTILE_EVIL_H
#define HIF_TESTS_HOSTILE_EVIL_H

#include "core/body.h"
#include "core/landing.h"
#include "core/layout.h"
#include "core/tree_impl.h"

/* What must come of it. */
enum fate {
        REFUSED, /* what asks for it gets an error that names the object, and so does fsck */
        UNSEEN,  /* what asks for it gets an error that names the object; fsck does not compare */
        FOUND,   /* nothing that is served depends on it; fsck names the object */
        IGNORED, /* a hint that lies: the good content is served all the same */
        SERVED,  /* odd but legal: served as it is, and it is the client's business */
};

struct evil {
        const char *store; /* the directory */
        struct layout layout;
        struct project_format format;
        struct body_codec *codec;
        struct hif_hash slot; /* of the newest one that evil_slot put */
        struct buf said; /* what an error must name, one of these words: a text, or a hash in hex */
        struct buf texts[3]; /* evil_text, good_text, other_text */
        struct buf
            objects;      /* of struct slot_object: put since the last slot, which will list them */
        struct buf paths; /* of struct slot_path, likewise */
        struct buf names; /* what those borrow from: never grows past its first memory */
};

/* One kind. make() puts it; `arg` is for kinds that differ in one number or string. */
struct kind {
        const char *name;
        enum fate fate;
        void (*make)(struct evil *evil, const struct kind *kind);
        struct span arg;
        int64_t number;
};

#define BYTES(text)                                                                                \
        {                                                                                          \
                (const uint8_t *)(text), sizeof(text) - 1                                          \
        }

/* Tables end in a kind without a name. */
extern const struct kind kinds_of_names[], kinds_of_nodes[], kinds_of_entries[], kinds_of_trees[],
    kinds_of_frames[], kinds_of_bodies[], kinds_of_slots[], kinds_of_records[], kinds_of_files[],
    kinds_of_oddities[];

/* Out of memory, or a call that cannot fail did: the generator ends. */
void evil_check(bool fine, const char *what);

void evil_begin(struct evil *evil, const char *store, const char *name);
void evil_end(struct evil *evil);

/* An error must name this. */
void evil_says(struct evil *evil, const char *text);
void evil_says_hash(struct evil *evil, const struct hif_hash *hash);
void evil_says_also(struct evil *evil,
                    const struct hif_hash *hash);              /* this one may be named instead */
void evil_says_position(struct evil *evil, uint64_t position); /* "@1" */

/* Contents that no other kind has: the daemon serves what it has verified under any project's name.
 * Borrowed until evil_end. */
struct span evil_text(struct evil *evil);
struct span other_text(struct evil *evil); /* another one that is evil */
struct span good_text(struct evil *evil);

/* The next slot lists this path as added. */
void evil_touched(struct evil *evil, struct span path);

/* --- objects, under any key --- */

/* The path of a key in the store; the caller's to free. Directories above are made. */
char *evil_path(const struct evil *evil, struct layout_key key);
void evil_put(const struct evil *evil, struct layout_key key, struct span bytes);
void evil_remove(const struct evil *evil, struct layout_key key);

/* A node's encoded bytes, stored as a good one is, whatever they are. */
struct hif_hash evil_node(struct evil *evil, struct span bytes);
/* Stored bytes as they are, under the name of that node or blob. */
void evil_node_stored(struct evil *evil, const struct hif_hash *hash, struct span stored);
void evil_blob_stored(struct evil *evil, const struct hif_hash *hash, struct span stored);
struct hif_hash evil_blob(struct evil *evil, struct span content);
struct hif_hash evil_chunks(struct evil *evil, struct span list); /* encoded, good or bad */
void evil_pack_stored(struct evil *evil, const struct hif_hash *hash, struct span stored);
/* A pack of one good frame. */
struct pack_loc evil_pack(struct evil *evil, struct span content);

/* An object's header, as drawn in src/core/body.c. */
void put_object_header(struct buf *out, uint8_t version, uint8_t kind, uint16_t key_id,
                       uint32_t size);

/* --- entries and nodes --- */

struct entry a_dir(void);
struct entry a_file(struct span content); /* its hash and size; stored or not */
struct entry a_link(struct span target);
/* A file whose content is stored as a blob. */
struct entry a_stored_file(struct evil *evil, struct span content);

/* The key of name below the components in `above`, each with its 00, whatever they are. */
void put_key(struct buf *out, struct span above, struct span name);

/* A leaf that begins with the root directory. */
struct leaf {
        struct evil *evil;
        struct node_builder builder;
};
struct leaf leaf_begin(struct evil *evil);
void leaf_add(struct leaf *leaf, const char *path, struct entry entry); /* a good path */
void leaf_add_key(struct leaf *leaf, struct span key, struct entry entry);
/* The encoded value of the entry that was added last becomes this (drawn in tree_node.c). */
void leaf_set_value(struct leaf *leaf, struct span value);
/* Encode; the bytes live until leaf_end. */
struct span leaf_bytes(struct leaf *leaf);
struct hif_hash leaf_end(struct leaf *leaf); /* encode, store, free */
void leaf_free(struct leaf *leaf);

/* --- landing --- */

/* A slot as a good one begins: a landing at `position` of `tree`, with what was put since the last
 * one (borrowed until the next). */
struct slot a_slot(struct evil *evil, uint64_t position, struct hif_hash tree, uint64_t entries);
/* Stored; evil->slot is its hash. */
void evil_slot(struct evil *evil, const struct slot *slot);
void evil_slot_stored(struct evil *evil, uint64_t position, struct span stored);
void evil_head(struct evil *evil, uint64_t position, struct hif_hash tree);
/* Position 1 and head. */
void evil_land(struct evil *evil, struct hif_hash tree, uint64_t entries);
/* The same of a leaf with what it has. */
void evil_land_leaf(struct evil *evil, struct leaf *leaf);

#endif
