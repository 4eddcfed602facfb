/* tvfs.h - more verbs over tests/vfs/tmount.h, for the tests of vfs itself. */
#ifndef HIF_TESTS_VFS_TVFS_H
#define HIF_TESTS_VFS_TVFS_H

#include "vfs/tmount.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Run `expression` (which uses &run.call) through its faults into err; then vfs_call_end. */
#define TVFS_RUN(m, run, err, expression)                                                          \
        for (tmount_begin(m, &(run)); tmount_again(&(run), &(err));)                               \
        (err) = (expression)

enum hif_err tvfs_link(struct tmount *m, const char *from, const char *to);
enum hif_err tvfs_symlink(struct tmount *m, const char *path, const char *target);
bool tvfs_leads_to(struct tmount *m, const char *path, const char *target);
enum hif_err tvfs_setattr(struct tmount *m, const char *path, const struct vfs_setattr *set);
enum hif_err tvfs_truncate(struct tmount *m, const char *path, uint64_t size);
enum hif_err tvfs_write_id(struct tmount *m, uint64_t id, uint64_t offset, const void *data,
                           size_t size);
/* Up to `size` bytes at offset; what came. */
enum hif_err tvfs_read_id(struct tmount *m, uint64_t id, uint64_t offset, void *out, size_t size,
                          size_t *count);
void tvfs_expect(struct tmount *m, const char *path, const char *text);
void tvfs_expect_bytes(struct tmount *m, const char *path, const uint8_t *content, size_t size);
/* What has changed since the base, a line each: kind, path (a '/' after directories that go as a whole);
 * "R from > to" for what was renamed. */
void tvfs_expect_changes(struct tmount *m, const char *expected);

/* A listing, read in pages of so many names; `between` (may be NULL) runs after each page. */
struct tvfs_name {
        char text[NAME_SIZE_MAX + 1];
        uint64_t id, cookie;
};
struct tvfs_list {
        struct tvfs_name *names;
        size_t count, capacity;
};
void tvfs_list(struct tmount *m, const char *path, size_t page,
               void (*between)(struct tmount *m, void *arg), void *arg, struct tvfs_list *out);
void tvfs_list_free(struct tvfs_list *list);
size_t tvfs_listed(const struct tvfs_list *list, const char *name); /* how often */

#endif
