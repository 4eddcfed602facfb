/* ignore.h - which paths never land: .gitignore and .hifignore, with the meaning that gitignore(5)
 * gives the former, at every level of a tree. .hifignore has the same form and, in a directory that
 * has both, the last word.
 *
 * Below all of them lie rules of our own, which a "!" rule can take back: version control's own
 * directory, and what file managers and NFS clients leave behind (ignore.c lists them).
 *
 * Calling sequence: ignore_new; ignore_add for each rule file, in any order of directories but a
 * directory's .gitignore before its .hifignore; ignore_match; ignore_free. A walker that goes down
 * anyway asks an ignore_scope instead, which needs no look-up and may be shared by threads. */
#ifndef HIF_CLI_IGNORE_H
#define HIF_CLI_IGNORE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

/* A longer rule file is refused: matching costs its length for every name. */
#define IGNORE_FILE_SIZE_MAX (1u << 20)

struct ignore;

/* HIF_ENOMEM. */
HIF_MUST_USE enum hif_err ignore_new(struct ignore **out);
void ignore_free(struct ignore *ignore);
/* Rules for what is below `dir` ("": the root), after those that it has. The text is copied.
 * HIF_ELIMIT: too long. */
HIF_MUST_USE enum hif_err ignore_add(struct ignore *ignore, struct span dir, struct span text);
/* Is the path, or a directory above it, ignored? HIF_ENOMEM. */
HIF_MUST_USE enum hif_err ignore_match(const struct ignore *ignore, struct span path, bool is_dir,
                                       bool *ignored);

/* The rules that hold in one directory and below: its own, before those of its parent's scope. */
struct ignore_scope;
/* The parent of the root directory's: the rules that hold everywhere. */
const struct ignore_scope *ignore_root(const struct ignore *ignore);
/* A scope for `dir`, at or below `parent`'s; owned by `ignore`, and found by ignore_match too.
 * Thread-safe against other ignore_scope_new and ignore_scope_match, not against the functions
 * above. Text as in ignore_add, of both files. */
HIF_MUST_USE enum hif_err ignore_scope_new(struct ignore *ignore, const struct ignore_scope *parent,
                                           struct span dir, struct span gitignore,
                                           struct span hifignore, const struct ignore_scope **out);
/* Is the path ignored, given that no directory above it is? */
bool ignore_scope_match(const struct ignore_scope *scope, struct span path, bool is_dir);

#endif
