/* ini.h - the INI dialect of AWS's config and credentials files.
 *
 *      [profile ci]                    in the config file; [ci] in the credentials file
 *      region = eu-central-1           keys are lower-cased; blanks around '=' go
 *      s3 =                            nested settings: their key is "s3.addressing_style"
 *          addressing_style = path
 *      # text, ; text                  a comment; behind a value it is part of that
 *
 * Sections of the same name are one, and of keys of the same name the last counts. libinih is not
 * used here: Debian's build of it takes lines of up to 200 bytes, and a session token has ten times
 * as many. The values may be secrets: all memory is wiped before it is freed.
 *
 * Calling sequence: aws_ini_read, aws_ini_get ..., aws_ini_free. */
#ifndef HIF_AWS_INI_H
#define HIF_AWS_INI_H

#include "base/buf.h"
#include "base/env.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define AWS_INI_FILE_MAX    (1u << 20) /* bytes */
#define AWS_INI_LINE_MAX    16384      /* bytes */
#define AWS_INI_ENTRIES_MAX 20000      /* settings of a file */

struct aws_ini; /* opaque; a file in memory */

/* Read a file, which need not be there (*out is then empty). Fails with a sentence that names file
 * and line, and never the line's text: HIF_EINVAL (neither a section nor a setting, too long, a
 * zero byte, too many), HIF_ELIMIT (the file is too large), HIF_ENOMEM, and the errors of
 * reading. A file with secrets in it that others may read is logged as a warning. */
HIF_MUST_USE enum hif_err aws_ini_read(struct env *env, const char *path, struct aws_ini **out,
                                       struct hif_why *why);
/* The same of bytes in memory, which `name` stands for in sentences. */
HIF_MUST_USE enum hif_err aws_ini_parse(const char *name, struct span text, struct aws_ini **out,
                                        struct hif_why *why);
void aws_ini_free(struct aws_ini *ini); /* NULL is fine */

bool aws_ini_found(const struct aws_ini *ini); /* the file is there */
bool aws_ini_has(const struct aws_ini *ini, const char *section);
/* The value, or NULL; valid until aws_ini_free. */
const char *aws_ini_get(const struct aws_ini *ini, const char *section, const char *key);
/* Whether others than the owner may read a file that holds secrets. */
bool aws_ini_exposed(const struct aws_ini *ini);
/* The n-th section's name in the order of the file, or NULL behind the last. */
const char *aws_ini_section(const struct aws_ini *ini, size_t index);

#endif
