/* fsck_source.h - where a repair may find intact bytes: another copy of the store, files, the cache
 * of this machine. Private to fsck. */
#ifndef HIF_CLI_FSCK_SOURCE_H
#define HIF_CLI_FSCK_SOURCE_H

#include "check/check.h"
#include "cli/cli.h"

/* text: a store (a URL, or a directory that has projects/), or a directory of files. Prepended to
 * the list. HIF_ENOENT, HIF_ENOTDIR and others, with a sentence. */
HIF_MUST_USE enum hif_err fsck_source_add(struct cli *cli, const char *text,
                                          struct check_source **list, struct hif_why *why);
/* The cache of this machine, where there is one and no daemon uses it. */
HIF_MUST_USE enum hif_err fsck_source_cache(struct cli *cli, struct check_source **list);
void fsck_sources_free(struct check_source *list);

#endif
