/* What an interrupted import leaves behind, and the lock that lets one run at a time.
 *
 *      state_dir/imports/{hash}            "HIFI" u32 version (1)  session id [16]  u64 origin
 *                                          u64 SipHash of the bytes before; locked while it runs
 *      state_dir/imports/{hash}.journal    what is stored already (src/land/stage/journal.c)
 *
 * The hash is of the project's id and the directory. */
#include "base/siphash.h"
#include "cli/import/import.h"

#include <fcntl.h>

#define STATE_VERSION 1u
#define STATE_SIZE    40u

#define LOCK_TRIES_MAX 100

static const char state_magic[4] = {'H', 'I', 'F', 'I'};

static uint64_t check(const uint8_t *bytes)
{
        return siphash((struct sipkey){0x686966, 0x696d70}, bytes, STATE_SIZE - 8);
}

static enum hif_err save(struct import_state *state)
{
        struct env *env = &state->cli->env;
        AUTO_BUF struct buf bytes = {0};
        enum hif_err err;

        buf_put(&bytes, state_magic, sizeof(state_magic));
        buf_put_u32(&bytes, STATE_VERSION);
        buf_put(&bytes, state->session.bytes, SESSION_ID_SIZE);
        buf_put_u64(&bytes, state->origin);
        if (!buf_failed(&bytes))
                buf_put_u64(&bytes, check(bytes.data));
        if (buf_failed(&bytes))
                return HIF_ENOMEM;
        err = env_write_all(env, state->fd, bytes.data, bytes.size, 0);
        return err == HIF_OK ? env->ops->fdatasync(env, state->fd) : err;
}

/* An earlier run's, or nothing. */
static void load(struct import_state *state)
{
        struct env *env = &state->cli->env;
        uint8_t bytes[STATE_SIZE];
        struct reader rd = rd_open(span_of(bytes, sizeof(bytes)));

        if (env_read_all(env, state->fd, bytes, sizeof(bytes), 0) != HIF_OK)
                return;
        if (!span_eq(rd_span(&rd, 4), span_of(state_magic, 4)) || rd_u32(&rd) != STATE_VERSION)
                return;
        rd_copy(&rd, state->session.bytes, SESSION_ID_SIZE);
        state->origin = rd_u64(&rd);
        state->resumed = rd_u64(&rd) == check(bytes);
}

static enum hif_err name_files(struct import_state *state, const struct project *project,
                               const char *dir)
{
        AUTO_BUF struct buf name = {0};
        char hex[HIF_HASH_HEX_SIZE];
        struct hif_hash hash;

        buf_put(&name, project->format.project_id, sizeof(project->format.project_id));
        buf_put(&name, dir, strlen(dir));
        if (buf_failed(&name))
                return HIF_ENOMEM;
        hash = hash_of(HASH_BLOB, buf_span(&name));
        hash_to_hex(&hash, hex);
        if (asprintf(&state->path, "%s/imports/%.32s", state->cli->paths.state_dir, hex) < 0) {
                state->path = NULL;
                return HIF_ENOMEM;
        }
        if (asprintf(&state->journal, "%s.journal", state->path) < 0) {
                state->journal = NULL;
                return HIF_ENOMEM;
        }
        return HIF_OK;
}

/* An import that has just ended has removed the file. */
static enum hif_err open_locked(struct import_state *state)
{
        struct env *env = &state->cli->env;
        enum hif_err err = HIF_ENOENT;

        for (int tries = 0; err == HIF_ENOENT && tries < LOCK_TRIES_MAX; tries++) {
                if (state->fd >= 0)
                        env->ops->close(env, state->fd);
                state->fd = -1;
                err = env->ops->open(env, state->path, O_RDWR | O_CREAT, 0600, &state->fd);
                if (err == HIF_OK)
                        err = env_lock(env, state->fd, state->path, ENV_LOCK_WAIT_MS);
        }
        return err;
}

enum hif_err import_state_open(struct cli *cli, const struct project *project, const char *dir,
                               struct import_state *out, struct hif_why *why)
{
        struct import_state state = {.cli = cli, .fd = -1};
        AUTO_FREE char *parent = NULL;
        enum hif_err err = name_files(&state, project, dir);

        if (err == HIF_OK && asprintf(&parent, "%s/imports", cli->paths.state_dir) < 0) {
                parent = NULL;
                err = HIF_ENOMEM;
        }
        if (err == HIF_OK)
                err = cli_mkdir(cli, parent, why);
        if (err == HIF_OK) {
                err = open_locked(&state);
                if (err == HIF_EBUSY)
                        (void)why_set(why, err,
                                      "another import of %s into this project is running: wait for "
                                      "it, or stop it",
                                      dir);
                else if (err != HIF_OK)
                        (void)why_set(why, err, "cannot write %s: %s", state.path,
                                      hif_strerror(err));
        }
        if (err != HIF_OK) {
                import_state_close(&state, false);
                return err;
        }
        load(&state);
        *out = state;
        return HIF_OK;
}

enum hif_err import_state_renew(struct import_state *state, uint64_t origin, struct hif_why *why)
{
        enum hif_err err;

        env_random(&state->cli->env, state->session.bytes, SESSION_ID_SIZE);
        state->origin = origin;
        state->resumed = false;
        err = save(state);
        return err == HIF_OK ? HIF_OK
                             : why_set(why, err, "cannot write %s: %s; free some space there",
                                       state->path, hif_strerror(err));
}

void import_state_close(struct import_state *state, bool done)
{
        struct env *env = &state->cli->env;

        /* What cannot be removed is found by the next run, which sees that it has landed. */
        if (done && env->ops->unlink(env, state->journal) == HIF_OK)
                (void)!env->ops->unlink(env, state->path);
        if (state->fd >= 0)
                env->ops->close(env, state->fd);
        free(state->path);
        free(state->journal);
}
