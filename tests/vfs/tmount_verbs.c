/* tmount_verbs.c - vfs calls by path, run through their faults. */
#include "tmount_impl.h"

#include <stdio.h>

#define TURNS_MAX 100000

static void resumed(struct vfs_parked *parked, enum hif_err err)
{
        struct tmount_run *run =
            (struct tmount_run *)((char *)parked - offsetof(struct tmount_run, parked));

        run->resumed = err;
        run->state = 2;
}

void tmount_begin(struct tmount *m, struct tmount_run *run)
{
        run->m = m;
        run->state = 0;
        vfs_call_begin(&run->call, &m->caller);
}

bool tmount_again(struct tmount_run *run, enum hif_err *err)
{
        struct tmount *m = run->m;

        if (run->state == 0) {
                run->state = 1;
                return true;
        }
        if (*err == HIF_EMISS) {
                run->parked = (struct vfs_parked){.resume = resumed};
                vfs_park(m->vfs, &run->call, &run->parked);
                for (int turns = 0; run->state != 2 && turns < TURNS_MAX; turns++)
                        tmount_turn(m);
                tmount_check(run->state == 2);
                run->state = 1;
                if (run->resumed == HIF_OK)
                        return true;
                *err = run->resumed;
        }
        return false;
}

/* Run `expression` to its end; the call's pins last until FINISH. */
#define RUN(m, run, err, expression)                                                               \
        for (tmount_begin(m, &(run)); tmount_again(&(run), &(err));)                               \
        (err) = (expression)

enum hif_err tmount_lookup(struct tmount *m, uint64_t dir, const char *name, uint64_t *id)
{
        struct tmount_run run;
        struct vfs_attr attr;
        enum hif_err err = HIF_OK;

        RUN(m, run, err, vfs_lookup(m->vfs, &run.call, dir, span_str(name), &attr, NULL));
        vfs_call_end(&run.call);
        if (err == HIF_OK)
                *id = attr.id;
        return err;
}

/* The directory of a path, and its last name. */
static uint64_t parent_of_path(struct tmount *m, const char *path, const char **name)
{
        const char *slash = strrchr(path, '/');
        char *dir;
        uint64_t id;

        *name = slash != NULL ? slash + 1 : path;
        if (slash == NULL)
                return NODEID_ROOT;
        dir = strndup(path, (size_t)(slash - path));
        tmount_check(dir != NULL);
        id = tmount_id(m, dir);
        free(dir);
        return id;
}

uint64_t tmount_id(struct tmount *m, const char *path)
{
        const char *name;
        uint64_t dir, id;

        if (path[0] == '\0')
                return NODEID_ROOT;
        dir = parent_of_path(m, path, &name);
        if (dir == NODEID_NONE || tmount_lookup(m, dir, name, &id) != HIF_OK)
                return NODEID_NONE;
        return id;
}

struct vfs_attr tmount_attr(struct tmount *m, const char *path)
{
        uint64_t id = tmount_id(m, path);
        struct tmount_run run;
        struct vfs_attr attr = {.id = NODEID_NONE};
        enum hif_err err = HIF_OK;

        if (id == NODEID_NONE)
                return attr;
        RUN(m, run, err, vfs_getattr(m->vfs, &run.call, id, &attr));
        vfs_call_end(&run.call);
        if (err != HIF_OK)
                attr.id = NODEID_NONE;
        return attr;
}

enum hif_err tmount_create(struct tmount *m, const char *path, uint64_t *id)
{
        struct vfs_setattr set = {.set = VFS_SET_MODE, .mode = 0644};
        const char *name;
        uint64_t dir = parent_of_path(m, path, &name);
        struct tmount_run run;
        struct vfs_attr attr;
        struct vfs_wcc wcc;
        enum hif_err err = HIF_OK;

        RUN(m, run, err,
            vfs_create(m->vfs, &run.call, dir, span_str(name), VFS_GUARDED, 0, &set, &attr, &wcc));
        vfs_call_end(&run.call);
        if (err == HIF_OK && id != NULL)
                *id = attr.id;
        return err;
}

enum hif_err tmount_mkdir(struct tmount *m, const char *path)
{
        struct vfs_setattr set = {.set = VFS_SET_MODE, .mode = 0755};
        const char *name;
        uint64_t dir = parent_of_path(m, path, &name);
        struct tmount_run run;
        struct vfs_attr attr;
        struct vfs_wcc wcc;
        enum hif_err err = HIF_OK;

        RUN(m, run, err, vfs_mkdir(m->vfs, &run.call, dir, span_str(name), &set, &attr, &wcc));
        vfs_call_end(&run.call);
        return err;
}

enum hif_err tmount_write(struct tmount *m, const char *path, uint64_t offset, const void *data,
                          size_t size, bool stable)
{
        uint64_t id = tmount_id(m, path);
        struct tmount_run run;
        struct vfs_wcc wcc;
        enum hif_err err = HIF_OK;

        if (id == NODEID_NONE) {
                err = tmount_create(m, path, &id);
                if (err != HIF_OK)
                        return err;
        }
        RUN(m, run, err,
            vfs_write(m->vfs, &run.call, id, offset, span_of(data, size), stable, &wcc));
        if (err == HIF_OK && run.call.stable_seq > 0)
                err = overlay_sync_wait(m->overlay, run.call.stable_seq);
        vfs_call_end(&run.call);
        return err;
}

enum hif_err tmount_remove(struct tmount *m, const char *path)
{
        struct vfs_attr attr = tmount_attr(m, path);
        const char *name;
        uint64_t dir = parent_of_path(m, path, &name);
        struct tmount_run run;
        struct vfs_wcc wcc;
        enum hif_err err = HIF_OK;

        RUN(m, run, err,
            attr.kind == ONODE_DIR ? vfs_rmdir(m->vfs, &run.call, dir, span_str(name), &wcc)
                                   : vfs_remove(m->vfs, &run.call, dir, span_str(name), &wcc));
        vfs_call_end(&run.call);
        return err;
}

enum hif_err tmount_rename(struct tmount *m, const char *from, const char *to)
{
        const char *from_name, *to_name;
        uint64_t from_dir = parent_of_path(m, from, &from_name);
        uint64_t to_dir = parent_of_path(m, to, &to_name);
        struct vfs_wcc from_wcc, to_wcc;
        struct tmount_run run;
        enum hif_err err = HIF_OK;

        RUN(m, run, err,
            vfs_rename(m->vfs, &run.call, from_dir, span_str(from_name), to_dir, span_str(to_name),
                       &from_wcc, &to_wcc));
        vfs_call_end(&run.call);
        return err;
}

uint8_t *tmount_read(struct tmount *m, const char *path, size_t *size)
{
        struct vfs_attr attr = tmount_attr(m, path);
        uint8_t *content, *scratch;
        size_t at = 0;
        bool eof = false;

        if (attr.id == NODEID_NONE || attr.kind != ONODE_FILE)
                return NULL;
        content = malloc(attr.size + 1);
        scratch = malloc(attr.size + 1);
        tmount_check(content != NULL && scratch != NULL);
        while (!eof) {
                struct tmount_run run;
                struct vfs_data data;
                enum hif_err err = HIF_OK;

                RUN(m, run, err,
                    vfs_read(m->vfs, &run.call, attr.id, at, attr.size - at, scratch, &data,
                             &attr));
                if (err != HIF_OK) {
                        vfs_call_end(&run.call);
                        free(content);
                        free(scratch);
                        return NULL;
                }
                for (size_t i = 0; i < data.iov_count; i++) {
                        memcpy(content + at, data.iov[i].iov_base, data.iov[i].iov_len);
                        at += data.iov[i].iov_len;
                }
                eof = data.eof;
                tmount_check(eof || data.size > 0);
                vfs_call_end(&run.call);
        }
        free(scratch);
        *size = at;
        return content;
}

bool tmount_holds(struct tmount *m, const char *path, const char *text)
{
        size_t size;
        AUTO_FREE uint8_t *content = tmount_read(m, path, &size);

        return content != NULL && span_eq(span_of(content, size), span_str(text));
}
