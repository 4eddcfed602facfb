/* Packs: filling them, and which of those that were put ahead of the landing it may name.
 *
 * A pack that was put ahead holds what had settled then. Some of that may be gone by now: a file
 * that was removed, a version that was written over, a secret that was there for a minute. A slot
 * never names a pack with anything in it that its landing does not have: what else lies there is
 * put into a pack of its own, out of the overlay, and the stale pack is deleted once the slot is
 * there (land_tidy). The same for many small packs, which would make many requests of every
 * reader's one.
 *
 * Objects are named by what they hold, so someone else may have stored, and may refer to, the same
 * one; what may be deleted must be known to be ours alone. So a pack that is put ahead begins with
 * a frame of random bytes that no entry names: no one else can come to its name. */
#include "base/log.h"
#include "core/layout.h"
#include "land/stage/stage_impl.h"

#include <assert.h>
#include <stdlib.h>

#define SALT_SIZE       32u
#define SMALL_PACK      (256u << 10) /* of frames */
#define SMALL_PACKS_MAX 8u           /* that one landing names */
#define TIDY_BATCH      32u          /* packs deleted together */

void stage_count_puts(struct stage *stage)
{
        stage->land->progress.objects_put += stage->puts->objects_put;
        stage->land->progress.bytes_put += stage->puts->bytes_put;
        stage->puts->objects_put = stage->puts->bytes_put = 0;
}

/* --- filling --- */

static enum hif_err add_salt(struct stage *stage)
{
        AUTO_BUF struct buf frame = {0};
        uint8_t salt[SALT_SIZE];
        struct hif_hash hash;
        uint32_t offset;
        enum hif_err err;

        env_random(stage->land->env, salt, sizeof(salt));
        hash = hash_of(HASH_BLOB, span_of(salt, sizeof(salt)));
        err = body_frame_put(stage->land->codec, span_of(salt, sizeof(salt)), &frame);
        if (err != HIF_OK || buf_failed(&frame))
                return HIF_ENOMEM;
        return pack_add(&stage->pack, &hash, buf_span(&frame), sizeof(salt), &offset);
}

/* The journal knows of the pack before the store does. */
static enum hif_err note_pack(struct stage *stage, const struct hif_hash *name)
{
        struct known_pack pack = {.hash = *name, .count = stage->packed_count, .own = stage->ahead};
        enum hif_err err;

        journal_add_pack(&stage->land->journal, &pack);
        err = journal_flush(&stage->land->journal);
        if (err != HIF_OK)
                return why_set(stage->why, err, "cannot write the journal of this landing: %s",
                               hif_strerror(err));
        return HIF_OK;
}

static void tell_members(struct stage *stage, const struct hif_hash *name)
{
        pthread_mutex_lock(&stage->shared.mutex);
        for (struct known *known = stage->packed; known; known = known->then) {
                known->loc.pack = *name;
                known->pending = false;
        }
        pthread_mutex_unlock(&stage->shared.mutex);
        for (size_t i = 0; i < stage->waiting_count; i++) {
                struct land_change *change = &stage->shared.changes[stage->waiting[i].change];

                change->loc = stage->waiting[i].known->loc;
                change->have_hash = true;
        }
        stage->waiting_count = 0;
}

enum hif_err stage_pack_close(struct stage *stage)
{
        struct hif_hash name;
        struct layout_key key;
        struct known *members;
        enum hif_err err;

        if (!stage->pack_open)
                return HIF_OK;
        err = pack_finish(&stage->pack, &name);
        if (err == HIF_OK)
                err = note_pack(stage, &name);
        if (err != HIF_OK)
                return err;
        tell_members(stage, &name);
        members = STEAL(stage->packed);
        stage->packed_count = 0;
        stage->pack_open = false;
        key = layout_pack(&stage->land->project->layout, &name);
        err = puts_add(stage->puts, &key, &name, &stage->pack.bytes, members, stage->why);
        pack_free(&stage->pack);
        stage_count_puts(stage);
        return err;
}

enum hif_err stage_pack_wait(struct stage *stage, size_t change, struct known *known)
{
        if (stage->waiting_count == stage->waiting_capacity) {
                size_t capacity = stage->waiting_capacity ? stage->waiting_capacity * 2 : 256;
                struct waiting *grown = realloc(stage->waiting, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                stage->waiting = grown;
                stage->waiting_capacity = capacity;
        }
        stage->waiting[stage->waiting_count++] = (struct waiting){change, known};
        return HIF_OK;
}

enum hif_err stage_pack_add(struct stage *stage, const struct stage_file *file, struct span frame,
                            uint32_t *offset)
{
        uint32_t size = (uint32_t)stage->shared.changes[file->change].size;
        enum hif_err err = HIF_ELIMIT;

        if (stage->pack_open)
                err = pack_add(&stage->pack, &file->hash, frame, size, offset);
        if (err == HIF_ELIMIT) {
                err = stage_pack_close(stage);
                if (err != HIF_OK)
                        return err;
                pack_begin(&stage->pack);
                stage->pack_open = true;
                err = stage->ahead ? add_salt(stage) : HIF_OK;
                if (err == HIF_OK)
                        err = pack_add(&stage->pack, &file->hash, frame, size, offset);
        }
        if (err == HIF_OK)
                stage->packed_count++;
        return err;
}

/* --- judging --- */

struct judging {
        struct stage *stage;
        struct map landed; /* hash of a content -> the change */
};

static bool is_content(const struct land_change *change)
{
        return change->kind == LAND_PUT && change->have_hash && change->size > 0 &&
               (change->entry_kind == ENTRY_FILE || change->entry_kind == ENTRY_EXEC);
}

static bool is_landed(const struct judging *judging, const struct hif_hash *hash)
{
        const struct land_change *change = map_get(&judging->landed, hash_prefix(hash));

        return change && hash_eq(&change->hash, hash);
}

/* Does it hold something that is not landed, or that we do not know? */
static bool is_foreign(const struct judging *judging, const struct known_pack *pack)
{
        if (pack->count == 0 || pack->seen != pack->count)
                return true;
        for (const struct known_member *member = pack->members; member; member = member->next)
                if (!is_landed(judging, &member->hash))
                        return true;
        return false;
}

/* The pack of an earlier run that the change's content lies in. */
static struct known_pack *pack_of(const struct judging *judging, const struct land_change *change)
{
        if (!is_content(change) || change->loc.size == 0)
                return NULL;
        return known_pack_find(&judging->stage->land->known, &change->loc.pack);
}

static enum hif_err gather(struct judging *judging)
{
        struct stage *stage = judging->stage;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < stage->shared.change_count && err == HIF_OK; i++) {
                struct land_change *change = &stage->shared.changes[i];

                if (is_content(change))
                        err = map_put(&judging->landed, hash_prefix(&change->hash), change);
        }
        return err;
}

/* Packs that are fine but for being small, when there are many: all of them. */
static void judge_small(struct judging *judging)
{
        struct stage *stage = judging->stage;
        struct known_pack *last = NULL;
        size_t count = 0;

        for (size_t i = 0; i < stage->shared.change_count; i++) {
                struct known_pack *pack = pack_of(judging, &stage->shared.changes[i]);

                count +=
                    pack && pack != last && !pack->stale && !pack->used && pack->bytes < SMALL_PACK;
                if (pack)
                        pack->used = true;
                last = pack;
        }
        for (struct known_pack *pack = stage->land->known.packs; pack; pack = pack->next)
                if (pack->used && count > SMALL_PACKS_MAX && pack->bytes < SMALL_PACK)
                        pack->stale = true;
}

/* Whatever lies in a stale pack is to be staged again. */
static size_t drop(struct judging *judging)
{
        struct stage *stage = judging->stage;
        size_t dropped = 0;

        for (size_t i = 0; i < stage->shared.change_count; i++) {
                struct land_change *change = &stage->shared.changes[i];
                const struct known_pack *pack = pack_of(judging, change);
                struct known *known;

                if (!pack || !pack->stale)
                        continue;
                known = known_find(&stage->land->known, KNOWN_PACKED, &change->hash);
                if (known)
                        known->dropped = true;
                change->have_hash = false;
                change->loc = (struct pack_loc){0};
                dropped++;
        }
        return dropped;
}

enum hif_err stage_packs_judge(struct stage *stage, size_t *again)
{
        struct judging judging = {.stage = stage};
        enum hif_err err;

        *again = 0;
        if (!stage->land->known.packs)
                return HIF_OK;
        err = gather(&judging);
        for (struct known_pack *pack = stage->land->known.packs; pack && err == HIF_OK;
             pack = pack->next) {
                pack->used = false;
                pack->stale = is_foreign(&judging, pack);
        }
        if (err == HIF_OK) {
                judge_small(&judging);
                *again = drop(&judging);
        }
        map_free(&judging.landed);
        return err;
}

static void delete_all(struct land *land, struct layout_key *keys, size_t count)
{
        struct store *store = land->project->store;
        struct store_req reqs[TIDY_BATCH] = {0};

        for (size_t i = 0; i < count; i++)
                reqs[i] = (struct store_req){.op = STORE_DELETE, .key = keys[i].text};
        store_run(store, reqs, count);
        for (size_t i = 0; i < count; i++) {
                struct hif_why said;

                if (reqs[i].result != HIF_OK)
                        log_line(land->env->log, LOG_WARN, "land",
                                 "%s in %s is named by no landing, but could not be deleted: %s",
                                 keys[i].text, store_url(store),
                                 store_reason(store, reqs[i].result, &said));
                store_req_free(&reqs[i]);
        }
}

void land_tidy(struct land *land)
{
        struct layout_key keys[TIDY_BATCH];
        size_t count = 0;

        for (struct known_pack *pack = land->known.packs; pack; pack = pack->next) {
                if (!pack->stale || !pack->own)
                        continue;
                keys[count++] = layout_pack(&land->project->layout, &pack->hash);
                if (count == TIDY_BATCH) {
                        delete_all(land, keys, count);
                        count = 0;
                }
        }
        if (count > 0)
                delete_all(land, keys, count);
}

enum hif_err land_share(struct land *land)
{
        for (struct known_pack *pack = land->known.packs; pack; pack = pack->next)
                pack->own = false;
        journal_add_shared(&land->journal);
        return journal_flush(&land->journal);
}
