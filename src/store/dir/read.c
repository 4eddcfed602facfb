/* GET, HEAD and tags of the directory store. */
#include "store/dir/impl.h"

#include "core/hash.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/* Why the content is enough: PUT_MATCH asks whether the object still is what its reader saw, and an
 * object is its bytes and nothing else. If it was replaced twice and holds the same bytes again,
 * the reader's conclusions hold, too. (S3's ETag says no more.) Unlike inode numbers and times it
 * survives copying the store, and needs nothing from the file system. */
struct store_tag dir_tag_small(struct span content)
{
        struct hif_hash hash = hash_of(HASH_BLOB, content);
        char hex[HIF_HASH_HEX_SIZE];
        struct store_tag tag;

        assert(content.size <= STORE_MATCH_MAX);
        hash_to_hex(&hash, hex);
        snprintf(tag.text, sizeof(tag.text), "b3-%.32s", hex);
        return tag;
}

/* Good enough to tell versions apart for a person; no condition is ever judged by it. */
struct store_tag dir_tag_large(const struct stat *st)
{
        struct store_tag tag;

        snprintf(tag.text, sizeof(tag.text), "st-%jx-%jx-%jx.%jx", (uintmax_t)st->st_size,
                 (uintmax_t)st->st_ino, (uintmax_t)st->st_mtim.tv_sec,
                 (uintmax_t)st->st_mtim.tv_nsec);
        return tag;
}

/* O_NONBLOCK: whatever else lies in the directory (a FIFO) must not stop us. O_NOFOLLOW: nor lead us
 * elsewhere. Anything but a regular file is no object. */
static enum hif_err open_object(struct dir_store *dir, const char *path, int *fd, struct stat *st)
{
        struct env *env = dir->store.env;
        enum hif_err err =
            env->ops->open(env, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, 0, fd);

        if (err)
                return err == HIF_ENOTDIR || err == HIF_EISDIR || err == HIF_EINVAL ? HIF_ENOENT
                                                                                    : err;
        err = env->ops->fstat(env, *fd, st);
        if (!err && !S_ISREG(st->st_mode))
                err = HIF_ENOENT;
        if (err)
                env->ops->close(env, *fd);
        return err;
}

static enum hif_err small_tag(struct dir_store *dir, int fd, size_t size, struct store_tag *out)
{
        uint8_t bytes[STORE_MATCH_MAX];
        enum hif_err err = env_read_all(dir->store.env, fd, bytes, size, 0);

        if (!err)
                *out = dir_tag_small(span_of(bytes, size));
        return err;
}

enum hif_err dir_tag_read(struct dir_store *dir, const char *path, struct store_tag *out)
{
        struct env *env = dir->store.env;
        struct stat st;
        enum hif_err err;
        int fd;

        err = open_object(dir, path, &fd, &st);
        if (err)
                return err;
        err =
            st.st_size > STORE_MATCH_MAX ? HIF_ELIMIT : small_tag(dir, fd, (size_t)st.st_size, out);
        env->ops->close(env, fd);
        return err;
}

static enum hif_err read_range(struct dir_store *dir, int fd, struct store_req *req)
{
        uint64_t offset;
        size_t count;
        uint8_t *room;
        enum hif_err err = store_range(req, req->size, &offset, &count);

        if (err || count == 0)
                return err;
        room = buf_reserve(&req->data, count);
        if (!room)
                return HIF_ENOMEM;
        err = env_read_all(dir->store.env, fd, room, count, offset);
        if (err)
                return dir_error(STORE_GET, err);
        buf_extend(&req->data, count);
        return HIF_OK;
}

/* With the object open. A file is never written to once it has a name, so that what is read fits
 * together. */
static enum hif_err read_open(struct dir_store *dir, int fd, const struct stat *st,
                              struct store_req *req)
{
        enum hif_err err = HIF_OK;

        req->size = (uint64_t)st->st_size;
        if (req->op == STORE_GET)
                err = read_range(dir, fd, req);
        if (err)
                return err;
        if (req->size > STORE_MATCH_MAX) {
                req->tag = dir_tag_large(st);
                return HIF_OK;
        }
        if (req->op == STORE_GET && req->data.size == req->size) {
                req->tag = dir_tag_small(buf_span(&req->data));
                return HIF_OK;
        }
        return dir_error(req->op, small_tag(dir, fd, (size_t)req->size, &req->tag));
}

static enum hif_err read_object(struct dir_store *dir, struct store_req *req)
{
        struct env *env = dir->store.env;
        AUTO_FREE char *path = dir_path(dir, req->key);
        struct stat st;
        enum hif_err err;
        int fd;

        if (!path)
                return HIF_ENOMEM;
        err = open_object(dir, path, &fd, &st);
        if (err == HIF_ENOENT) /* the store's word only while there is a store */
                return dir_is_store(dir) ? err : HIF_EUNREACHABLE;
        if (err)
                return dir_error(req->op, err);
        err = read_open(dir, fd, &st, req);
        env->ops->close(env, fd);
        if (!err && req->settled)
                err = dir_error(req->op, dir_settle(dir, dir_parent_of_key(req->key)));
        return err;
}

void dir_read(struct dir_store *dir, struct store_req *req)
{
        enum hif_err err = read_object(dir, req);

        if (err)
                buf_free(&req->data);
        store_done(&dir->store, req, err);
}
