/* tstore.h - verbs for the tests of stores: one request each, waited for. */
#ifndef HIF_TESTS_STORE_TSTORE_H
#define HIF_TESTS_STORE_TSTORE_H

#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Answers; the tag, if wanted, goes to *tag. */
enum hif_err t_put(struct store *store, enum store_op op, const char *key, const char *text);
enum hif_err t_put_tag(struct store *store, enum store_op op, const char *key, const char *text,
                       struct store_tag *tag);
enum hif_err t_put_match(struct store *store, const char *key, const char *text,
                         struct store_tag *tag); /* in: the condition; out, on success: the new */
enum hif_err t_delete(struct store *store, const char *key);
enum hif_err t_head(struct store *store, const char *key, uint64_t *size, struct store_tag *tag);

/* The object is there and is exactly this; NULL: it is absent. */
void t_expect(struct store *store, const char *key, const char *text);
struct store_tag t_tag(struct store *store, const char *key);

/* Keys joined by a space, with " ..." behind when there are more. For the caller to free. */
char *t_list(struct store *store, const char *prefix, const char *after, size_t max);
void t_expect_list(struct store *store, const char *prefix, const char *after, size_t max,
                   const char *expected);

/* A fresh directory on disk (TMPDIR, else /tmp), and its removal with all that is in it. */
char *t_temp_dir(void);
void t_remove_tree(char *path); /* frees path */

#endif
