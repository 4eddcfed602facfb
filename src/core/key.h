/* key.h - names, paths, and the order in which a tree holds them.
 *
 * A path is components joined by '/', without a leading or trailing one; the empty path is the
 * root. Bytes are kept as given: no case folding, no normalisation.
 *
 * A key is what the tree is sorted by, in memcmp order:
 *
 *      root             (empty)
 *      other            parent component 00 ... parent component 00   00 hash60 name
 *
 * where hash60 is 8 bytes: the first 60 bits of BLAKE3(name), then 4 zero bits. A component never
 * starts with 00, so with prefix(d) = the components of d, each followed by 00:
 *
 *      the children of d are the range  [prefix(d) 00, prefix(d) 01)
 *      what is below d is the range     [prefix(d), prefix(d) with its last 00 made 01)
 *
 * and a directory's children come in the order of their hashes, which is the order of READDIR. */
#ifndef HIF_CORE_KEY_H
#define HIF_CORE_KEY_H

#include "base/buf.h"
#include "base/err.h"

#define NAME_SIZE_MAX  255
#define PATH_SIZE_MAX  4095
#define PATH_DEPTH_MAX 2048
#define KEY_HASH_SIZE  8
#define KEY_SIZE_MAX   (PATH_SIZE_MAX + 1 + KEY_HASH_SIZE + 1)

/* 1 to 255 bytes, no '/', no NUL, not "." or "..". Checked on everything from wire, disk, store. */
bool name_valid(struct span name);
/* Every component valid, at most PATH_SIZE_MAX; the empty path is valid. */
bool path_valid(struct span path);

/* The parent of a non-empty path ("" for a top-level name), and its last component. */
struct span path_parent(struct span path);
struct span path_name(struct span path);
/* True when `path` is `dir` or below it. Every path is below "". */
bool path_within(struct span path, struct span dir);

/* The first 60 bits of BLAKE3(name) in the high bits, 4 zero bits below. */
uint64_t name_hash60(struct span name);

/* Each appends to out. Arguments are valid paths and names (asserted). */
void key_from_path(struct buf *out, struct span path);
void key_prefix(struct buf *out, struct span dir_path);       /* prefix(d) */
void key_prefix_of_key(struct buf *out, struct span dir_key); /* the same, from d's key */
void key_child(struct buf *out, struct span dir_prefix, uint64_t hash60, struct span name);

/* The end of the range of everything below a directory: prefix(d) with its last byte raised. Empty
 * for the root, where it means "to the end". */
void key_prefix_end(struct buf *out, struct span dir_prefix);

/* A key from a tree node is hostile: a well-formed one has valid components and the right hash. */
bool key_valid(struct span key);
/* Of a valid key: appends its path; its name; its parent's prefix (both borrowed from the key). */
void key_to_path(struct buf *out, struct span key);
struct span key_name(struct span key);
struct span key_parent_prefix(struct span key);
uint64_t key_hash60(struct span key); /* 0 for the root */

#endif
