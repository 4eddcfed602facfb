/* loop_overlay.c - an overlay is opened with a log to replay, changed, folded into SQLite and
 * closed, while something fails once.
 *
 * Opening may fail with a sentence, and works the next time. A transaction that was committed is
 * there in the end with its content; one that failed has left nothing. */
#include "loop.h"
#include "quiet_env.h"

#include "core/key.h"
#include "overlay/overlay.h"
#include "tests/overlay/count_ops.h"

#include <fcntl.h>
#include <stdio.h>

#define DIR       "/home/agent/overlay"
#define BEFORE    120 /* transactions that are there before anything fails */
#define DURING    60
#define TRIES_MAX 40
#define NAME_SIZE 24

struct edit {
        char name[NAME_SIZE];
        uint64_t id;
        bool there;
};

struct rig {
        struct loop_run *run;
        struct simenv *sim;
        struct env *env;
        struct pool *pool;
        struct overlay *overlay;
        struct edit edits[BEFORE + DURING * TRIES_MAX];
        size_t count;
};

static const struct overlay_config config = {
    .serial = true, .log_segment_bytes = 4096, .data_segment_bytes = 16384};

static void boot(struct env *env)
{
        uint64_t id = env_random_u64(env);
        int fd;

        loop_check(env_mkdirs(env, "/proc/sys/kernel/random", 0755) == HIF_OK);
        loop_check(env->ops->open(env, "/proc/sys/kernel/random/boot_id", O_RDWR | O_CREAT, 0644,
                                  &fd) == HIF_OK);
        loop_check(env_write_all(env, fd, &id, sizeof(id), 0) == HIF_OK);
        env->ops->close(env, fd);
}

/* What a file that is called so holds: all sizes that matter, in segments and files of their own.
 */
static size_t content_of(const char *name, uint8_t *out)
{
        uint64_t hash = name_hash60(span_str(name));
        size_t size = hash % 7 == 0 ? 70000 : (size_t)(hash % 500);

        memset(out, (int)(hash & 0xff), size);
        return size;
}

static enum hif_err try_edit(struct rig *rig, const char *name, uint64_t id)
{
        static uint8_t content[70000];
        struct otx *tx = otx_begin(rig->overlay);
        struct onode *node = otx_node(tx, id);
        size_t size = content_of(name, content);
        struct odirent dirent = {.dir = NODEID_ROOT,
                                 .hash60 = name_hash60(span_str(name)),
                                 .name = span_str(name),
                                 .child = id};
        enum hif_err err = HIF_OK;
        uint64_t seq;

        node->kind = ONODE_FILE;
        node->flags = ONODE_PLACED | ONODE_ATTRS | ONODE_CONTENT;
        node->mode = 0644;
        node->nlink = 1;
        node->parent = NODEID_ROOT;
        node->name = span_str(name);
        otx_dirent_put(tx, &dirent);
        otx_op(tx, &(struct session_op){.kind = SESSION_CREATE, .path = span_str(name)});
        otx_value(tx, "last", span_str(name));
        if (id % 5 == 0)
                otx_note(tx, &(struct onote){.kind = ONOTE_DECISION, .text = span_str(name)});
        if (size > 0)
                err = overlay_write(tx, id, 0, span_of(content, size));
        if (err == HIF_OK)
                return otx_commit(tx, &seq);
        otx_abort(tx);
        return err;
}

static void edit(struct rig *rig, size_t number)
{
        for (int tries = 0; tries < TRIES_MAX; tries++) {
                struct edit *edit = &rig->edits[rig->count++];
                enum hif_err err;

                snprintf(edit->name, sizeof(edit->name), "f%zu.%d", number, tries);
                edit->id = overlay_new_id(rig->overlay);
                fault_resume();
                err = try_edit(rig, edit->name, edit->id);
                overlay_kick(rig->overlay);
                pool_drain(rig->pool);
                fault_pause();
                edit->there = err == HIF_OK;
                if (edit->there)
                        return;
                loop_check(err == HIF_ENOMEM || err == HIF_ENOSPC || err == HIF_EIO ||
                           err == HIF_EROFS);
                rig->run->errors++;
                simenv_advance(rig->sim, 1000000000);
                /* Read-only until the log was written anew: its owner has to look. */
                (void)!overlay_sync_wait(rig->overlay, overlay_seq(rig->overlay));
        }
        loop_wrong(__FILE__, __LINE__, "an edit fails for ever");
}

static void check_content(struct rig *rig, const struct onode *node, const char *name)
{
        static uint8_t wanted[70000], got[70000];
        size_t size = content_of(name, wanted);
        struct opiece piece;
        uint64_t at = 0;

        loop_check(node->size == size);
        while (at < size && overlay_pieces(node, at, size - at, &piece, 1) == 1) {
                loop_check(piece.kind == OPIECE_DATA && piece.offset == at);
                loop_check(overlay_read(rig->overlay, &piece, true, got + at) == HIF_OK);
                at += piece.size;
        }
        loop_check(at == size && memcmp(got, wanted, size) == 0);
}

static void check_all(struct rig *rig)
{
        size_t there = 0;

        for (size_t i = 0; i < rig->count; i++) {
                const struct edit *edit = &rig->edits[i];
                struct span name = span_str(edit->name);
                const struct odirent *row =
                    overlay_dirent(rig->overlay, NODEID_ROOT, name_hash60(name), name);
                const struct onode *node = overlay_node(rig->overlay, edit->id);

                loop_check(edit->there == (row != NULL) && edit->there == (node != NULL));
                if (!edit->there)
                        continue;
                there++;
                loop_check(row->child == edit->id && span_eq(node->name, name));
                check_content(rig, node, edit->name);
        }
        loop_check(count_ops(rig->overlay) == there);
        loop_check(overlay_dirent_count(rig->overlay, NODEID_ROOT) == there);
}

static void open_overlay(struct rig *rig)
{
        for (uint64_t tries = 0; tries < rig->run->burst + 2; tries++) {
                struct hif_why why = {""};
                enum hif_err err;

                fault_resume();
                err = overlay_open(rig->env, rig->pool, DIR, &config, &rig->overlay, &why);
                fault_pause();
                if (err == HIF_OK)
                        return;
                if (rig->run->trace)
                        fprintf(stderr, "open: %s: %s\n", hif_err_name(err), why.text);
                loop_check(err == HIF_ENOMEM || err == HIF_ENOSPC || err == HIF_EIO);
                loop_check(why.text[0] != '\0');
                rig->run->errors++;
        }
        loop_wrong(__FILE__, __LINE__, "the overlay can not be opened again");
}

static void close_overlay(struct rig *rig)
{
        fault_resume();
        overlay_close(rig->overlay);
        fault_pause();
        rig->overlay = NULL;
}

static void kill_process(struct rig *rig)
{
        simenv_crash_at(rig->sim, 1);
        overlay_close(rig->overlay);
        pool_free(rig->pool);
        simenv_process_kill(rig->sim);
        loop_check(pool_new(0, "test", &rig->pool) == HIF_OK);
}

static void life(struct loop_run *run)
{
        static struct rig rig; /* large */

        rig = (struct rig){.run = run, .sim = simenv_new(1)};
        rig.env = simenv_env(rig.sim);
        quiet_env(rig.env);
        boot(rig.env);
        fault_pause();
        loop_check(pool_new(0, "test", &rig.pool) == HIF_OK);
        open_overlay(&rig);
        for (size_t i = 0; i < BEFORE; i++) {
                edit(&rig, i);
                if (i == BEFORE / 2)
                        loop_check(overlay_sync_wait(rig.overlay, overlay_seq(rig.overlay)) ==
                                   HIF_OK);
        }
        kill_process(&rig);

        loop_arm(run, rig.sim);
        open_overlay(&rig);
        for (size_t i = BEFORE; i < BEFORE + DURING; i++) {
                edit(&rig, i);
                if (i % 20 == 0) {
                        fault_resume();
                        (void)!overlay_sync_wait(rig.overlay, overlay_seq(rig.overlay));
                        overlay_kick(rig.overlay);
                        pool_drain(rig.pool);
                        fault_pause();
                }
        }
        close_overlay(&rig);
        loop_disarm(run);

        fault_pause();
        open_overlay(&rig);
        check_all(&rig);
        kill_process(&rig);
        open_overlay(&rig);
        check_all(&rig);
        close_overlay(&rig);
        pool_free(rig.pool);
        simenv_free(rig.sim);
}

#define KINDS (1u << FAULT_MALLOC | 1u << FAULT_SQLITE | 1u << LOOP_FROM_ENV)

int main(int argc, char **argv)
{
        static const struct loop_scenario scenarios[] = {
            {"overlay", KINDS, life, NULL},
            {NULL, 0, NULL, NULL},
        };

        return loop_main(argc, argv, scenarios);
}
