/* A worker: landings one after the other, going on where an earlier life stopped. */
#include "s3/many.h"

#include "core/key.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIES_MAX 500 /* of one landing, before the worker gives up and the test fails */

struct worker {
        struct land_reader reader;
        struct land_hooks hooks;
        const struct many_options *options;
        struct many_tally *tally;
        unsigned number;
        uint64_t random;
        struct env env;
        struct store *store;
        struct project project;
        struct many_saved saved;
        struct many_change changes[MANY_CHANGES_MAX];
        size_t change_count;
        char journal[512];
};

static void count(uint64_t *counter, uint64_t by)
{
        __atomic_add_fetch(counter, by, __ATOMIC_RELAXED);
}

/* Between two steps is where a process likes to die. */
static void perhaps_die(struct worker *w)
{
        w->random ^= w->random << 13;
        w->random ^= w->random >> 7;
        w->random ^= w->random << 17;
        if (w->random % 1000 >= w->options->die_permille)
                return;
        count(&w->tally->deaths, 1);
        raise(SIGKILL);
}

static bool save(struct worker *w)
{
        perhaps_die(w);
        if (!many_save(w->options, w->number, &w->saved)) {
                perror("saving a worker's state");
                return false;
        }
        perhaps_die(w);
        return true;
}

static enum hif_err save_intent(struct land_hooks *hooks, const struct land_intent *intent)
{
        struct worker *w = (struct worker *)((char *)hooks - offsetof(struct worker, hooks));

        buf_free(&w->saved.intent.slot);
        w->saved.intent = *intent;
        w->saved.intent.slot = (struct buf){0};
        buf_put_span(&w->saved.intent.slot, buf_span(&intent->slot));
        w->saved.intended = true;
        return save(w) ? HIF_OK : HIF_EIO;
}

static enum hif_err read_content(struct land_reader *reader, uint64_t content, uint64_t offset,
                                 void *out, size_t size)
{
        struct worker *w = (struct worker *)reader;

        memcpy(out, w->changes[content].content + offset, size);
        return HIF_OK;
}

/* --- one landing --- */

static bool begin_session(struct worker *w, struct hif_why *why)
{
        struct slot_read tail;

        if (project_tail(&w->project, 0, &tail, why) != HIF_OK)
                return false;
        w->saved.begun = true;
        w->saved.origin = tail.slot.position;
        w->saved.base_slot = tail.hash;
        env_random(&w->env, w->saved.session.bytes, SESSION_ID_SIZE);
        slot_read_free(&tail);
        return save(w);
}

static int by_key(const void *a, const void *b)
{
        struct buf key_a = {0}, key_b = {0};
        int order;

        key_from_path(&key_a, ((const struct land_change *)a)->path);
        key_from_path(&key_b, ((const struct land_change *)b)->path);
        order = span_cmp(buf_span(&key_a), buf_span(&key_b));
        buf_free(&key_a);
        buf_free(&key_b);
        return order;
}

static void add_directory(struct land_change *out, const char *path)
{
        *out = (struct land_change){.kind = LAND_PUT,
                                    .path = span_str(path),
                                    .entry_kind = ENTRY_DIR,
                                    .mtime = {.sec = 1000}};
}

/* own: this worker's directory. A first landing brings the directories along, in case it is the
 * first of all. */
static size_t fill_changes(struct worker *w, struct land_change *out, const char *own)
{
        size_t used = 0;

        for (size_t i = 0; i < w->change_count; i++) {
                const struct many_change *change = &w->changes[i];

                out[used++] = (struct land_change){.kind = change->content ? LAND_PUT : LAND_REMOVE,
                                                   .path = span_str(change->path),
                                                   .entry_kind = ENTRY_FILE,
                                                   .mtime = {.sec = 1000},
                                                   .size = change->size,
                                                   .content = i};
        }
        if (w->saved.landings == 0) {
                add_directory(&out[used++], "all");
                add_directory(&out[used++], "own");
                add_directory(&out[used++], own);
        }
        qsort(out, used, sizeof(out[0]), by_key);
        return used;
}

static enum hif_err stage_and_commit(struct worker *w, struct land *land,
                                     struct land_result *result, struct hif_why *why)
{
        struct land_change changes[MANY_CHANGES_MAX + 3];
        const struct land_intent *intent = w->saved.intended ? &w->saved.intent : NULL;
        char own[64];
        enum hif_err err = HIF_ENOENT;
        size_t used;

        snprintf(own, sizeof(own), "own/%u", w->number);
        used = fill_changes(w, changes, own);
        if (intent)
                err = land_resolve(land, intent, result, why);
        if (err == HIF_ENOENT && result->refused)
                err = HIF_EAGAIN;
        if (err != HIF_ENOENT)
                return err;
        err = land_stage(land, changes, used, &w->reader, why);
        if (err == HIF_OK) {
                perhaps_die(w);
                err = w->options->proposals
                          ? land_propose(land, NULL, changes, used, result, why)
                          : land_commit(land, changes, used, intent, false, result, why);
                count(&w->tally->attempts, result->attempts);
        }
        return err;
}

static enum hif_err try_to_land(struct worker *w, struct land_result *result, struct hif_why *why)
{
        char goal[64];
        struct session session = {.id = w->saved.session,
                                  .state = SESSION_OPEN,
                                  .origin = w->saved.origin,
                                  .base_position = w->saved.origin,
                                  .base_slot = w->saved.base_slot,
                                  .author = span_str("A <a@b>")};
        struct land *land;
        enum hif_err err;

        snprintf(goal, sizeof(goal), "worker %u, landing %u", w->number, w->saved.landings);
        session.goal = span_str(goal);
        err = land_begin(&w->project, &session, NULL, NULL, &w->hooks, w->journal, &land);
        if (err != HIF_OK)
                return why_set(why, err, "land_begin: %s", hif_strerror(err));
        err = stage_and_commit(w, land, result, why);
        land_free(land);
        return err;
}

/* Does trying again help? What the network does, it does; all else ends the test. */
static bool goes_on(struct worker *w, enum hif_err err, const struct hif_why *why)
{
        switch (err) {
        case HIF_EUNKNOWN:
                count(&w->tally->unknown, 1);
                return true;
        case HIF_ELIMIT:
                count(&w->tally->lost_often, 1);
                return true;
        case HIF_EAGAIN: /* a slot has refused the session: another one has to try */
                count(&w->tally->refused, 1);
                w->saved.begun = w->saved.intended = false;
                return save(w);
        case HIF_EUNREACHABLE:
        case HIF_ETIMEDOUT:
                count(&w->tally->unreachable, 1);
                usleep(20000);
                return true;
        case HIF_ECONFLICT:
                count(&w->tally->conflicts, 1);
                break;
        default:
                break;
        }
        fprintf(stderr, "worker %u, landing %u: %s: %s\n", w->number, w->saved.landings,
                hif_err_name(err), why->text);
        return false;
}

static bool close_session(struct worker *w, const struct land_result *result)
{
        if (!many_told(w->options, w->number, w->saved.landings, result->position))
                return false;
        perhaps_die(w);
        w->saved.landings++;
        w->saved.begun = w->saved.intended = false;
        buf_free(&w->saved.intent.slot);
        (void)unlink(w->journal);
        count(&w->tally->landed, 1);
        count(&w->tally->already, result->already_landed);
        return save(w);
}

static bool land_next(struct worker *w)
{
        struct land_result result = {0};
        struct hif_why why = {.text = ""};

        w->change_count = many_changes(w->number, w->saved.landings, w->changes);
        for (int i = 0; i < TRIES_MAX; i++) {
                enum hif_err err = HIF_EUNREACHABLE;

                if (w->saved.begun || begin_session(w, &why))
                        err = try_to_land(w, &result, &why);
                if (err == HIF_OK) {
                        many_changes_free(w->changes, w->change_count);
                        return close_session(w, &result);
                }
                if (!goes_on(w, err, &why))
                        return false;
        }
        fprintf(stderr, "worker %u, landing %u: not landed after %d tries: %s\n", w->number,
                w->saved.landings, TRIES_MAX, why.text);
        return false;
}

int many_work(const struct many_options *options, struct many_tally *tally, unsigned worker,
              unsigned life)
{
        struct worker *w = calloc(1, sizeof(*w));
        bool good = w != NULL;

        if (!w)
                return 1;
        w->reader.read = read_content;
        w->hooks.save_intent = save_intent;
        w->options = options;
        w->tally = tally;
        w->number = worker;
        w->random = (options->seed * 1000 + worker) * 1000 + life + 1;
        w->env = env_system(NULL);
        snprintf(w->journal, sizeof(w->journal), "%s/%u.journal", options->state, worker);
        good = many_load(options, worker, &w->saved) &&
               many_open(options->store, options->timeout_ms, &w->env, &w->store, &w->project);
        while (good && w->saved.landings < options->landings)
                good = land_next(w);
        if (w->store)
                store_close(w->store);
        free(w);
        return good ? 0 : 1;
}
