#include "cli/session/session_claim.h"

#include "base/cleanup.h"
#include "cli/daemon/workspace_holder.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/json_encode.h"
#include "cli/known.h"
#include "vfs/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODE_CACHE_BYTES (64u << 20)
#define NOTES_BATCH      200
#define LOCK_TRIES_MAX   100

/* What it becomes here. */
struct making {
        const struct session_claim *claim;
        char *dir;  /* state_dir/claims/{id} */
        int dir_fd; /* its lock */
        struct overlay *overlay;
        struct arena arena;
        struct buf stored;
        struct session session;
        struct hif_hash base_tree;
        uint8_t holder[OPEN_HOLDER_SIZE];
        uint8_t key[40];
        uint64_t seq; /* of the last row */
        struct open_session record;
};

/* --- the directory --- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
        (void)st;
        (void)kind;
        return ftw->level == 0 ? 0 : remove(path);
}

static enum hif_err remove_content(const char *path, struct hif_why *why)
{
        if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0)
                return HIF_OK;
        return why_set(why, hif_err_from_errno(errno), "what is in '%s' cannot be removed: %s",
                       path, strerror(errno));
}

/* HIF_ENOENT: who had it before has moved it, or removed it. */
static enum hif_err lock_dir_once(struct making *making)
{
        struct env *env = &making->claim->cli->env;
        enum hif_err err = env_mkdirs(env, making->dir, 0700);

        if (err == HIF_OK)
                err = env->ops->open(env, making->dir, O_RDONLY | O_DIRECTORY, 0, &making->dir_fd);
        if (err != HIF_OK)
                return err;
        err = env_lock(env, making->dir_fd, making->dir, ENV_LOCK_WAIT_MS);
        if (err != HIF_OK) {
                env->ops->close(env, making->dir_fd);
                making->dir_fd = -1;
        }
        return err;
}

/* Nobody else claims this session here until dir_fd is closed. */
static enum hif_err lock_dir(struct making *making, struct hif_why *why)
{
        enum hif_err err = HIF_ENOENT;

        for (int tries = 0; err == HIF_ENOENT && tries < LOCK_TRIES_MAX; tries++)
                err = lock_dir_once(making);
        if (err == HIF_EBUSY)
                return why_set(why, err,
                               "another command is just claiming this session: wait for it, or "
                               "stop it");
        return err == HIF_OK
                   ? HIF_OK
                   : why_set(why, err, "'%s' cannot be used: %s", making->dir, hif_strerror(err));
}

/* An earlier claim may have got so far that the record names its holder. *done: it did. What it left is
 * made again from the store where it cannot be opened: nobody has worked in it. */
static enum hif_err look_for_earlier(struct making *making, bool *done, struct hif_why *why)
{
        struct overlay_config config = {0};
        struct overlay *overlay;
        struct span holder;
        enum hif_err err;

        *done = false;
        err = overlay_open(&making->claim->cli->env, NULL, making->dir, &config, &overlay, why);
        if (err == HIF_EBUSY)
                return err;
        if (err == HIF_OK) {
                holder = overlay_value(overlay, VALUE_HOLDER);
                *done =
                    holder.size == OPEN_HOLDER_SIZE &&
                    memcmp(holder.data, making->claim->read->record.holder, OPEN_HOLDER_SIZE) == 0;
                overlay_close(overlay);
        }
        why->text[0] = '\0';
        return *done ? HIF_OK : remove_content(making->dir, why);
}

/* --- what it holds --- */

static enum hif_err read_session(struct making *making, struct hif_why *why)
{
        const struct open_session *record = &making->claim->read->record;
        const struct project *project = making->claim->opened;
        struct slot_read base = {0};
        enum hif_err err = project_slot(project, record->base_position, false, &base, why);

        if (err == HIF_OK && !hash_eq(&base.hash, &record->base_slot))
                err = why_set(why, HIF_ECORRUPT,
                              "%s holds something else at @%llu than this session started from: it "
                              "is another store, or an older copy of it",
                              store_url(project->store), (unsigned long long)record->base_position);
        if (err == HIF_OK)
                making->base_tree = base.slot.tree;
        slot_read_free(&base);
        if (err == HIF_OK && !hash_is_zero(&record->object))
                err = project_get_session(project, &record->id, &record->object, &making->stored,
                                          &making->arena, &making->session, why);
        return err;
}

static enum hif_err put_rows(struct making *making, struct hif_why *why)
{
        const struct session_claim *claim = making->claim;
        const struct open_session *record = &claim->read->record;
        bool published = !hash_is_zero(&record->tree);
        struct node_reader *reader;
        struct vfs_claim rows = {.env = &claim->cli->env,
                                 .overlay = making->overlay,
                                 .base = {.position = record->base_position,
                                          .slot = record->base_slot,
                                          .tree = making->base_tree},
                                 .tree = published ? record->tree : making->base_tree,
                                 .ops = making->session.ops,
                                 .op_count = published ? making->session.op_count : 0,
                                 .uid = geteuid(),
                                 .gid = getegid()};
        enum hif_err err = node_reader_new(claim->opened, NODE_CACHE_BYTES, &reader);

        if (err != HIF_OK)
                return err;
        rows.nodes = node_reader_source(reader);
        err = vfs_claim(&rows);
        node_reader_free(reader);
        return err == HIF_OK ? HIF_OK
                             : why_set(why, err, "the session's edits cannot be read from %s: %s",
                                       store_url(claim->opened->store), hif_strerror(err));
}

static enum hif_err put_notes(struct making *making)
{
        const struct session *session = &making->session;
        size_t count = (size_t)session->decision_count + session->message_count;
        enum hif_err err = HIF_OK;
        uint64_t seq;

        for (size_t i = 0; i < count && err == HIF_OK;) {
                struct otx *tx = otx_begin(making->overlay);

                for (size_t n = 0; n < NOTES_BATCH && i < count; n++, i++) {
                        size_t said = i - session->decision_count;
                        struct onote note = {.kind = ONOTE_DECISION};

                        if (i < session->decision_count)
                                note.text = session->decisions[i];
                        else
                                note = (struct onote){.kind = ONOTE_MESSAGE,
                                                      .role = session->messages[said].role,
                                                      .text = session->messages[said].text};
                        otx_note(tx, &note);
                }
                err = otx_commit(tx, &seq);
        }
        return err;
}

/* What the store will say once it is claimed. */
static void fill_record(struct making *making)
{
        const struct session_claim *claim = making->claim;
        struct env *env = &claim->cli->env;

        making->record = claim->read->record;
        making->record.revision++;
        making->record.state = SESSION_OPEN;
        making->record.held = false; /* mounting it says so */
        making->record.updated_ns = making->record.held_ns = env_wall_ns(env);
        making->record.author = span_str(claim->cli->config.author);
        making->record.holder_name = span_str(claim->cli->config.holder);
        memcpy(making->record.holder, making->holder, OPEN_HOLDER_SIZE);
}

/* The last record of the overlay: with it, it is a session. */
static enum hif_err put_values(struct making *making)
{
        const struct session_claim *claim = making->claim;
        const struct open_session *record = &making->record;
        AUTO_BUF struct buf published = {0};
        struct otx *tx = otx_begin(making->overlay);
        uint8_t origin[8], created[8];
        uint64_t seq;
        enum hif_err err = published_put(&published, record->revision, making->seq, record);

        if (err != HIF_OK) {
                otx_abort(tx);
                return err;
        }
        be64_put(origin, record->origin);
        be64_put(created, !hash_is_zero(&record->object)
                              ? making->session.created
                              : hlc_next(0, record->created_ns / 1000000));
        otx_value(tx, VALUE_SESSION_ID, span_of(record->id.bytes, SESSION_ID_SIZE));
        otx_value(tx, VALUE_ORIGIN, span_of(origin, sizeof(origin)));
        otx_value(tx, VALUE_CREATED, span_of(created, sizeof(created)));
        otx_value(tx, VALUE_PROJECT, span_str(claim->project));
        otx_value(tx, VALUE_STORE, span_str(store_url(claim->opened->store)));
        otx_value(tx, VALUE_KEY, span_of(making->key, sizeof(making->key)));
        otx_value(tx, VALUE_HOLDER, span_of(making->holder, sizeof(making->holder)));
        otx_value(tx, VALUE_PUBLISHED, buf_span(&published));
        otx_value(tx, VALUE_GOAL,
                  !hash_is_zero(&record->object) ? making->session.goal : record->goal);
        return otx_commit(tx, &seq);
}

static enum hif_err make(struct making *making, struct hif_why *why)
{
        struct env *env = &making->claim->cli->env;
        struct overlay_config config = {0};
        enum hif_err err = read_session(making, why);

        env_random(env, making->holder, sizeof(making->holder));
        env_random(env, making->key, sizeof(making->key));
        fill_record(making);
        if (err == HIF_OK)
                err = overlay_open(env, NULL, making->dir, &config, &making->overlay, why);
        if (err != HIF_OK)
                return err;
        err = put_rows(making, why);
        if (err == HIF_OK)
                err = put_notes(making);
        making->seq = overlay_seq(making->overlay);
        if (err == HIF_OK)
                err = put_values(making);
        if (err == HIF_OK)
                err = overlay_sync_wait(making->overlay, overlay_seq(making->overlay));
        overlay_close(making->overlay);
        making->overlay = NULL;
        return err;
}

/* --- the claim --- */

static enum hif_err check_holder(const struct session_claim *claim, struct hif_why *why)
{
        const struct open_session *record = &claim->read->record;
        char hex[SESSION_ID_HEX_SIZE], since[TIME_TEXT_SIZE];

        if (!record->held || claim->force)
                return HIF_OK;
        session_id_to_hex(&record->id, hex);
        session_when(record->held_ns, since);
        return why_set(
            why, HIF_EBUSY,
            "session %.8s is in use by %.*s on %.*s since %s. `hif unmount` there puts it "
            "down; --force takes it over all the same, without what was not published "
            "there, which stays there under another id",
            hex, (int)record->author.size, (const char *)record->author.data,
            (int)record->holder_name.size, (const char *)record->holder_name.data, since);
}

static enum hif_err move_record(struct making *making, struct hif_why *why)
{
        const struct session_claim *claim = making->claim;
        enum hif_err err =
            open_record_write(claim->opened, &making->record, &claim->read->tag, why);

        return err == HIF_ELOST
                   ? why_set(why, HIF_EBUSY,
                             "someone is just changing this session in the store; try again")
                   : err;
}

/* --- its place --- */

static enum hif_err is_free(struct cli *cli, const char *project, const char *name, bool *is,
                            struct hif_why *why)
{
        AUTO_FREE char *path = NULL;

        if (asprintf(&path, "%s/workspaces/%s/%s", cli->paths.state_dir, project, name) < 0) {
                path = NULL;
                return HIF_ENOMEM;
        }
        *is = access(path, F_OK) != 0;
        if (!*is || errno == ENOENT)
                return HIF_OK;
        return why_set(why, hif_err_from_errno(errno), "cannot look at '%s': %s", path,
                       strerror(errno));
}

static enum hif_err use_name(const struct session_claim *claim, char **out, struct hif_why *why)
{
        bool is;
        enum hif_err err = is_free(claim->cli, claim->project, claim->name, &is, why);

        if (err != HIF_OK)
                return err;
        if (!is)
                return why_set(why, HIF_EEXIST,
                               "%s has a session '%s' here; choose another name with --session",
                               claim->project, claim->name);
        *out = strdup(claim->name);
        return *out != NULL ? HIF_OK : HIF_ENOMEM;
}

/* As it is called there, where that is free here. */
static enum hif_err choose_name(const struct session_claim *claim, char **out, struct hif_why *why)
{
        const struct open_session *record = &claim->read->record;
        char hex[SESSION_ID_HEX_SIZE];
        char *there;
        bool is = false;
        enum hif_err err = HIF_OK;

        if (claim->name != NULL)
                return use_name(claim, out, why);
        there = strndup((const char *)record->name.data, record->name.size);
        if (there == NULL)
                return HIF_ENOMEM;
        if (session_name_valid(there))
                err = is_free(claim->cli, claim->project, there, &is, why);
        if (err == HIF_OK && is) {
                *out = there;
                return HIF_OK;
        }
        free(there);
        session_id_to_hex(&record->id, hex);
        if (err == HIF_OK && asprintf(out, "claimed-%.12s", hex) < 0) {
                *out = NULL;
                return HIF_ENOMEM;
        }
        return err;
}

static enum hif_err write_summary(const struct session_claim *claim, const char *dir,
                                  const char *name)
{
        const struct open_session *record = &claim->read->record;
        struct env *env = &claim->cli->env;
        AUTO_FREE char *path = NULL, *text = NULL;
        char hex[SESSION_ID_HEX_SIZE];
        json_t *summary;

        session_id_to_hex(&record->id, hex);
        summary = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:b, s:s, s:I}", "project",
                            claim->project, "session", name, "id", hex, "base",
                            (json_int_t)record->base_position, "mount_point", "", "store",
                            store_url(claim->opened->store), "read_only", false, "state", "open",
                            "updated", (json_int_t)(env_wall_ns(env) / 1000000000));
        json_set_path(summary, "goal", record->goal);
        text = json_encode(summary, JSON_INDENT(2));
        json_decref(summary);
        if (text == NULL || asprintf(&path, "%s/session.json", dir) < 0) {
                path = NULL;
                return HIF_ENOMEM;
        }
        return env_write_file(env, path, text, strlen(text), 0600);
}

static enum hif_err move_into_place(struct making *making, const char *name, struct hif_why *why)
{
        const struct session_claim *claim = making->claim;
        struct env *env = &claim->cli->env;
        AUTO_FREE char *parent = NULL, *to = NULL;
        enum hif_err err = write_summary(claim, making->dir, name);

        if (asprintf(&parent, "%s/workspaces/%s", claim->cli->paths.state_dir, claim->project) <
                0 ||
            asprintf(&to, "%s/%s", parent, name) < 0)
                return HIF_ENOMEM;
        if (err == HIF_OK)
                err = env_mkdirs(env, parent, 0700);
        if (err == HIF_OK)
                err = env->ops->rename(env, making->dir, to);
        if (err == HIF_OK)
                err = env_sync_dir(env, parent);
        return err == HIF_OK ? HIF_OK
                             : why_set(why, err,
                                       "the session was claimed, but '%s' cannot be moved to its "
                                       "place: %s; claim it again",
                                       making->dir, hif_strerror(err));
}

/* --- the whole --- */

static enum hif_err is_here(const struct session_claim *claim, struct hif_why *why)
{
        char hex[SESSION_ID_HEX_SIZE];
        json_t *sessions = NULL, *session;
        size_t index;
        enum hif_err err = sessions_here(claim->cli, &sessions);

        session_id_to_hex(&claim->read->record.id, hex);
        json_array_foreach(sessions, index, session)
        {
                if (err == HIF_OK && strcmp(json_text(session, "id"), hex) == 0 && !claim->force)
                        err = why_set(why, HIF_EEXIST,
                                      "session %.8s is on this machine already, as '%s' of %s: "
                                      "`hif mount %s DIR --session %s`. If it was taken over "
                                      "elsewhere, --force claims it back, beside that",
                                      hex, json_text(session, "session"), claim->project,
                                      claim->project, json_text(session, "session"));
        }
        json_decref(sessions);
        return err;
}

static enum hif_err claim_anew(struct making *making, struct hif_why *why)
{
        enum hif_err err = is_here(making->claim, why);

        if (err == HIF_OK)
                err = check_holder(making->claim, why);
        if (err == HIF_OK)
                err = make(making, why);
        return err == HIF_OK ? move_record(making, why) : err;
}

enum hif_err session_claim(const struct session_claim *claim, char **name, struct hif_why *why)
{
        struct making making = {.claim = claim, .dir_fd = -1};
        struct env *env = &claim->cli->env;
        char hex[SESSION_ID_HEX_SIZE];
        struct hif_why ignored = {0};
        bool done;
        enum hif_err err = HIF_OK;

        session_id_to_hex(&claim->read->record.id, hex);
        if (asprintf(&making.dir, "%s/claims/%s", claim->cli->paths.state_dir, hex) < 0) {
                making.dir = NULL;
                err = HIF_ENOMEM;
        }
        if (err == HIF_OK)
                err = lock_dir(&making, why);
        if (err == HIF_OK)
                err = choose_name(claim, name, why);
        if (err == HIF_OK)
                err = look_for_earlier(&making, &done, why);
        if (err == HIF_OK && !done) {
                err = claim_anew(&making, why);
                /* Whether the record was written may be unknown: then the directory is needed. */
                if (err != HIF_OK && err != HIF_EUNKNOWN && err != HIF_EUNREACHABLE)
                        (void)!remove_content(making.dir, &ignored);
        }
        if (err == HIF_OK)
                err = move_into_place(&making, *name, why);
        if (making.dir_fd >= 0) {
                (void)rmdir(making.dir); /* where nothing is left in it */
                env->ops->close(env, making.dir_fd);
        }
        if (err != HIF_OK && why->text[0] == '\0')
                why_set(why, err, "the session could not be claimed: %s", hif_strerror(err));
        arena_free(&making.arena);
        buf_free(&making.stored);
        free(making.dir);
        return err;
}
