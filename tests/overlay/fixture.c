/* fixture.c - see fixture.h. */
#include "fixture.h"

#include "core/nodeid.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* The stack of serial calls is the whole program: nothing here needs a thread. */

void toverlay_boot(struct simenv *sim)
{
        struct env *env = simenv_env(sim);
        uint64_t id = env_random_u64(env);
        int fd;

        assert_int_equal(env_mkdirs(env, "/proc/sys/kernel/random", 0755), HIF_OK);
        assert_int_equal(env->ops->open(env, "/proc/sys/kernel/random/boot_id",
                                        O_RDWR | O_CREAT | O_TRUNC, 0644, &fd),
                         HIF_OK);
        assert_int_equal(env_write_all(env, fd, &id, sizeof(id), 0), HIF_OK);
        env->ops->close(env, fd);
}

void toverlay_open(struct toverlay *t)
{
        struct hif_why why = {""};
        enum hif_err err;

        if (t->pool == NULL)
                assert_int_equal(pool_new(0, "test", &t->pool), HIF_OK);
        err = overlay_open(t->env, t->pool, TOVERLAY_DIR, &t->config, &t->overlay, &why);
        if (err != HIF_OK)
                fail_msg("open: %s: %s", hif_err_name(err), why.text);
}

int toverlay_setup(void **state)
{
        struct toverlay *t = calloc(1, sizeof(*t));

        assert_non_null(t);
        t->sim = simenv_new(1);
        assert_non_null(t->sim);
        t->env = simenv_env(t->sim);
        t->config = (struct overlay_config){.serial = true};
        toverlay_boot(t->sim);
        toverlay_open(t);
        *state = t;
        return 0;
}

int toverlay_teardown(void **state)
{
        struct toverlay *t = *state;

        overlay_close(t->overlay);
        pool_free(t->pool);
        simenv_free(t->sim);
        free(t);
        return 0;
}

void toverlay_drop(struct toverlay *t)
{
        /* Every call fails from here on: closing frees memory and changes nothing. */
        if (!simenv_crashed(t->sim))
                simenv_crash_at(t->sim, 1);
        overlay_close(t->overlay);
        t->overlay = NULL;
        pool_free(t->pool);
        t->pool = NULL;
}

void toverlay_kill(struct toverlay *t)
{
        toverlay_drop(t);
        simenv_process_kill(t->sim);
        toverlay_open(t);
}

void toverlay_power_cut(struct toverlay *t)
{
        toverlay_drop(t);
        simenv_power_cut(t->sim);
        toverlay_boot(t->sim);
        toverlay_open(t);
}

uint64_t t_commit(struct otx *tx)
{
        uint64_t seq = 0;

        assert_int_equal(otx_commit(tx, &seq), HIF_OK);
        return seq;
}

uint64_t t_hash(const char *name)
{
        uint64_t hash = 14695981039346656037ull;

        for (; *name != '\0'; name++)
                hash = (hash ^ (uint8_t)*name) * 1099511628211ull;
        return hash >> 4;
}

uint64_t t_create(struct toverlay *t, uint64_t dir, const char *name)
{
        struct otx *tx = otx_begin(t->overlay);
        uint64_t id = overlay_new_id(t->overlay);
        struct onode *node = otx_node(tx, id);

        node->kind = ONODE_FILE;
        node->flags = ONODE_PLACED | ONODE_ATTRS | ONODE_CONTENT;
        node->mode = 0644;
        node->nlink = 1;
        node->parent = dir;
        node->name = span_str(name);
        otx_dirent_put(
            tx, &(struct odirent){
                    .dir = dir, .hash60 = t_hash(name), .name = span_str(name), .child = id});
        otx_op(tx, &(struct session_op){.kind = SESSION_CREATE, .path = span_str(name)});
        t_commit(tx);
        return id;
}

void t_remove(struct toverlay *t, uint64_t dir, const char *name, uint64_t id)
{
        struct otx *tx = otx_begin(t->overlay);

        otx_dirent_del(tx, dir, t_hash(name), span_str(name));
        otx_node_del(tx, id);
        t_commit(tx);
}

void t_write(struct toverlay *t, uint64_t id, uint64_t offset, const char *text)
{
        struct otx *tx = otx_begin(t->overlay);

        assert_int_equal(overlay_write(tx, id, offset, span_str(text)), HIF_OK);
        t_commit(tx);
}

void t_fill(struct toverlay *t, uint64_t id, uint64_t offset, uint8_t byte, size_t size)
{
        struct otx *tx = otx_begin(t->overlay);
        uint8_t *bytes = malloc(size);

        assert_non_null(bytes);
        memset(bytes, byte, size);
        assert_int_equal(overlay_write(tx, id, offset, span_of(bytes, size)), HIF_OK);
        t_commit(tx);
        free(bytes);
}

void t_truncate(struct toverlay *t, uint64_t id, uint64_t size)
{
        struct otx *tx = otx_begin(t->overlay);

        otx_truncate(tx, id, size);
        t_commit(tx);
}

void t_sync(struct toverlay *t)
{
        assert_int_equal(overlay_sync_wait(t->overlay, overlay_seq(t->overlay)), HIF_OK);
}

void t_read(struct toverlay *t, uint64_t id, uint8_t *out, size_t size)
{
        const struct onode *node = overlay_node(t->overlay, id);
        uint64_t offset = 0;
        struct opiece piece;

        assert_non_null(node);
        assert_int_equal(node->size, size);
        while (overlay_pieces(node, offset, size - offset, &piece, 1) > 0) {
                assert_int_equal(piece.offset, offset);
                if (piece.kind == OPIECE_DATA)
                        assert_int_equal(overlay_read(t->overlay, &piece, true, out + offset),
                                         HIF_OK);
                else
                        memset(out + offset, piece.kind == OPIECE_BASE ? '?' : 0, piece.size);
                offset += piece.size;
        }
        assert_int_equal(offset, size);
}

void t_expect(struct toverlay *t, uint64_t id, const char *text)
{
        size_t size = strlen(text);
        uint8_t *bytes = malloc(size + 1);

        assert_non_null(bytes);
        t_read(t, id, bytes, size);
        bytes[size] = 0;
        assert_string_equal((char *)bytes, text);
        free(bytes);
}

uint64_t t_lookup(struct toverlay *t, uint64_t dir, const char *name)
{
        const struct odirent *row = overlay_dirent(t->overlay, dir, t_hash(name), span_str(name));

        return row == NULL ? NODEID_NONE : row->child;
}
