#include "cli/daemon/refresh.h"
#include "cli/daemon/workspace_impl.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define MAGIC         0x48494652u /* "HIFR" */
#define VERSION       1u
#define LIST_SIZE_MAX (1u << 30)

static void put_item(struct buf *out, uint64_t id, struct span text)
{
        buf_put_u64(out, id);
        buf_put_u32(out, (uint32_t)text.size);
        buf_put_span(out, text);
}

void refresh_encode(const struct vfs_move *move, struct buf *out)
{
        size_t count, names = 0;
        const struct vfs_touched *touched = vfs_move_touched(move, &count);
        struct span name;
        uint64_t dir;

        while (vfs_move_name(move, names, &dir, &name))
                names++;
        buf_put_u32(out, MAGIC);
        buf_put_u32(out, VERSION << 24);
        buf_put_u32(out, (uint32_t)count);
        for (size_t i = 0; i < count; i++)
                put_item(out, touched[i].id, touched[i].path);
        buf_put_u32(out, (uint32_t)names);
        for (size_t i = 0; i < names; i++)
                if (vfs_move_name(move, i, &dir, &name))
                        put_item(out, dir, name);
        buf_put_u32(out, MAGIC);
}

static void each_item(struct reader *rd, refresh_fn *each, void *arg)
{
        uint32_t count = rd_u32(rd);

        for (uint32_t i = 0; i < count && !rd_bad(rd); i++) {
                uint64_t id = rd_u64(rd);
                struct span text = rd_span(rd, rd_u32(rd));

                if (!rd_bad(rd) && each != NULL)
                        each(arg, id, text);
        }
}

enum hif_err refresh_each(struct span list, refresh_fn *node, refresh_fn *name, void *arg)
{
        struct reader rd = rd_open(list);

        if (rd_u32(&rd) != MAGIC || rd_u32(&rd) != VERSION << 24 || rd_bad(&rd))
                return HIF_ECORRUPT;
        each_item(&rd, node, arg);
        each_item(&rd, name, arg);
        return rd_u32(&rd) == MAGIC && rd_done(&rd) ? HIF_OK : HIF_ECORRUPT;
}

static char *path_of(const struct workspace *workspace)
{
        char *path;

        return asprintf(&path, "%s/refresh", workspace->dir) < 0 ? NULL : path;
}

/* Not synced: after a power cut the kernel knows nothing old, either. */
enum hif_err refresh_store(const struct workspace *workspace, struct span list)
{
        struct env *env = &workspace->daemon->cli->env;
        AUTO_FREE char *path = path_of(workspace);
        enum hif_err err;
        int fd;

        if (path == NULL)
                return HIF_ENOMEM;
        err = env->ops->open(env, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600, &fd);
        if (err != HIF_OK)
                return err;
        err = env_write_all(env, fd, list.data, list.size, 0);
        env->ops->close(env, fd);
        return err;
}

void refresh_done(const struct workspace *workspace)
{
        struct env *env = &workspace->daemon->cli->env;
        AUTO_FREE char *path = path_of(workspace);

        if (path != NULL)
                (void)!env->ops->unlink(env, path); /* told twice is no harm */
}

enum hif_err refresh_load(const struct workspace *workspace, struct buf *out)
{
        AUTO_FREE char *path = path_of(workspace);

        return path != NULL ? env_read_file(&workspace->daemon->cli->env, path, LIST_SIZE_MAX, out)
                            : HIF_ENOMEM;
}
