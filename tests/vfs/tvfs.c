#include "vfs/tvfs.h"

#include "vfs/changes.h"

#include <stdio.h>

/* The directory of a path, and its last name. */
static uint64_t dir_of(struct tmount *m, const char *path, struct span *name)
{
        const char *slash = strrchr(path, '/');
        char dir[PATH_SIZE_MAX + 1] = "";

        *name = span_str(slash != NULL ? slash + 1 : path);
        if (slash != NULL)
                snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
        return tmount_id(m, dir);
}

enum hif_err tvfs_link(struct tmount *m, const char *from, const char *to)
{
        uint64_t id = tmount_id(m, from), dir;
        enum hif_err err = HIF_OK;
        struct tmount_run run;
        struct vfs_attr attr;
        struct vfs_wcc wcc;
        struct span name;

        dir = dir_of(m, to, &name);
        TVFS_RUN(m, run, err, vfs_link(m->vfs, &run.call, id, dir, name, &attr, &wcc));
        vfs_call_end(&run.call);
        return err;
}

enum hif_err tvfs_symlink(struct tmount *m, const char *path, const char *target)
{
        struct vfs_setattr set = {0};
        enum hif_err err = HIF_OK;
        struct tmount_run run;
        struct vfs_attr attr;
        struct vfs_wcc wcc;
        struct span name;
        uint64_t dir = dir_of(m, path, &name);

        TVFS_RUN(m, run, err,
                 vfs_symlink(m->vfs, &run.call, dir, name, span_str(target), &set, &attr, &wcc));
        vfs_call_end(&run.call);
        return err;
}

bool tvfs_leads_to(struct tmount *m, const char *path, const char *target)
{
        uint64_t id = tmount_id(m, path);
        enum hif_err err = HIF_OK;
        struct tmount_run run;
        struct vfs_attr attr;
        struct span got = {0};
        bool equal;

        TVFS_RUN(m, run, err, vfs_readlink(m->vfs, &run.call, id, &got, &attr));
        equal = err == HIF_OK && span_eq(got, span_str(target));
        vfs_call_end(&run.call);
        return equal;
}

enum hif_err tvfs_setattr(struct tmount *m, const char *path, const struct vfs_setattr *set)
{
        uint64_t id = tmount_id(m, path);
        enum hif_err err = HIF_OK;
        struct tmount_run run;
        struct vfs_wcc wcc;

        TVFS_RUN(m, run, err, vfs_setattr(m->vfs, &run.call, id, set, NULL, &wcc));
        vfs_call_end(&run.call);
        return err;
}

enum hif_err tvfs_truncate(struct tmount *m, const char *path, uint64_t size)
{
        struct vfs_setattr set = {.set = VFS_SET_SIZE, .size = size};

        return tvfs_setattr(m, path, &set);
}

enum hif_err tvfs_write_id(struct tmount *m, uint64_t id, uint64_t offset, const void *data,
                           size_t size)
{
        enum hif_err err = HIF_OK;
        struct tmount_run run;
        struct vfs_wcc wcc;

        TVFS_RUN(m, run, err,
                 vfs_write(m->vfs, &run.call, id, offset, span_of(data, size), false, &wcc));
        vfs_call_end(&run.call);
        return err;
}

enum hif_err tvfs_read_id(struct tmount *m, uint64_t id, uint64_t offset, void *out, size_t size,
                          size_t *count)
{
        AUTO_FREE uint8_t *scratch = malloc(size + 1);
        enum hif_err err = HIF_OK;
        struct tmount_run run;
        struct vfs_data data;
        struct vfs_attr attr;

        tmount_check(scratch != NULL);
        TVFS_RUN(m, run, err, vfs_read(m->vfs, &run.call, id, offset, size, scratch, &data, &attr));
        if (err == HIF_OK) {
                *count = 0;
                for (size_t i = 0; i < data.iov_count; i++) {
                        memcpy((uint8_t *)out + *count, data.iov[i].iov_base, data.iov[i].iov_len);
                        *count += data.iov[i].iov_len;
                }
                assert_int_equal(*count, data.size);
        }
        vfs_call_end(&run.call);
        return err;
}

void tvfs_expect_bytes(struct tmount *m, const char *path, const uint8_t *content, size_t size)
{
        size_t count = 0;
        AUTO_FREE uint8_t *got = tmount_read(m, path, &count);

        if (got == NULL)
                fail_msg("%s can not be read", path);
        assert_int_equal(count, size);
        if (size > 0)
                assert_memory_equal(got, content, size);
}

void tvfs_expect(struct tmount *m, const char *path, const char *text)
{
        tvfs_expect_bytes(m, path, (const uint8_t *)text, strlen(text));
}

static void print(struct buf *out, const struct vfs_change *change)
{
        buf_printf(out, "%c ", change->kind);
        if (change->path_from.size > 0) {
                buf_put_span(out, change->path_from);
                buf_printf(out, " > ");
        }
        buf_put_span(out, change->path);
        buf_printf(out, "%s\n", change->subtree ? "/" : "");
}

void tvfs_expect_changes(struct tmount *m, const char *expected)
{
        AUTO_BUF struct buf text = {0};
        struct vfs_snapshot snapshot;

        assert_int_equal(vfs_snapshot_take(m->vfs, false, &snapshot), HIF_OK);
        assert_int_equal(vfs_changes_settle(&snapshot), HIF_OK);
        for (size_t i = 0; i < snapshot.change_count; i++)
                print(&text, &snapshot.changes[i]);
        buf_put_u8(&text, 0);
        assert_string_equal((const char *)text.data, expected);
        vfs_snapshot_free(&snapshot);
}

/* --- listings --- */

struct page {
        struct tvfs_list *list;
        size_t start, left;
};

static bool take(void *arg, const struct vfs_dirent *entry)
{
        struct page *page = arg;
        struct tvfs_list *list = page->list;
        struct tvfs_name *name;

        if (page->left == 0)
                return false;
        page->left--;
        if (list->count == list->capacity) {
                list->capacity = list->capacity * 2 + 64;
                list->names = reallocarray(list->names, list->capacity, sizeof(*list->names));
                tmount_check(list->names != NULL);
        }
        name = &list->names[list->count++];
        *name = (struct tvfs_name){.id = entry->id, .cookie = entry->cookie};
        memcpy(name->text, entry->name.data, entry->name.size);
        tmount_check(entry->attr == NULL || entry->attr->id == entry->id);
        return true;
}

/* A page that faults starts anew. */
static enum hif_err list_page(struct tmount *m, struct tmount_run *run, uint64_t dir,
                              uint64_t cookie, struct page *page, size_t names, bool *eof)
{
        struct vfs_attr attr;

        page->list->count = page->start;
        page->left = names;
        return vfs_readdir(m->vfs, &run->call, dir, cookie, cookie % 2 == 0, take, page, eof,
                           &attr);
}

void tvfs_list(struct tmount *m, const char *path, size_t names,
               void (*between)(struct tmount *m, void *arg), void *arg, struct tvfs_list *out)
{
        uint64_t cookie = 0;
        bool eof = false;

        *out = (struct tvfs_list){0};
        while (!eof) {
                struct page page = {.list = out, .start = out->count};
                uint64_t dir = tmount_id(m, path);
                enum hif_err err = HIF_OK;
                struct tmount_run run;

                TVFS_RUN(m, run, err, list_page(m, &run, dir, cookie, &page, names, &eof));
                vfs_call_end(&run.call);
                assert_int_equal(err, HIF_OK);
                assert_true(eof || out->count > page.start);
                for (size_t i = page.start; i < out->count; i++) {
                        assert_true(out->names[i].cookie > cookie);
                        cookie = out->names[i].cookie;
                }
                if (between != NULL && !eof)
                        between(m, arg);
        }
}

void tvfs_list_free(struct tvfs_list *list)
{
        free(list->names);
        *list = (struct tvfs_list){0};
}

size_t tvfs_listed(const struct tvfs_list *list, const char *name)
{
        size_t count = 0;

        for (size_t i = 0; i < list->count; i++)
                count += strcmp(list->names[i].text, name) == 0;
        return count;
}
