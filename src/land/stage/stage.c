/* Contents into the store: small ones in packs, in key order, others as blobs, large ones as chunks
 * and a list of them. Jobs hash and compress ahead on the pool; their results are taken in order,
 * so that a pack holds neighbours and its bytes depend on the content alone. In memory at a time:
 * STAGE_JOBS jobs, one pack, one batch of uploads. */
#include "core/layout.h"
#include "land/stage/stage_impl.h"

#include <assert.h>
#include <stdlib.h>

#define PIECE_SIZE (1u << 20) /* of a large file, read at once */
#define LOOK_AHEAD 1024u      /* changes looked up in base together */
#define AHEAD_PUTS 16u        /* objects in flight ahead of a landing: reads share the way */

static enum hif_err no_memory(struct stage *stage)
{
        return why_set(stage->why, HIF_ENOMEM, "out of memory");
}

/* --- known contents; the mutex is the jobs' --- */

static struct known *find_locked(struct stage *stage, enum known_kind kind,
                                 const struct hif_hash *hash)
{
        struct known *known;

        pthread_mutex_lock(&stage->shared.mutex);
        known = known_find(&stage->land->known, kind, hash);
        pthread_mutex_unlock(&stage->shared.mutex);
        return known;
}

static struct known *add_locked(struct stage *stage, enum known_kind kind,
                                const struct hif_hash *hash)
{
        struct known *known;

        pthread_mutex_lock(&stage->shared.mutex);
        known = known_add(&stage->land->known, kind, hash);
        pthread_mutex_unlock(&stage->shared.mutex);
        return known;
}

static enum hif_err upload(struct stage *stage, const struct layout_key *key,
                           const struct hif_hash *hash, struct buf *body, struct known *known)
{
        enum hif_err err = puts_add(stage->puts, key, hash, body, known, stage->why);

        stage_count_puts(stage);
        return err;
}

/* --- taking results, in order --- */

static void done_with(struct stage *stage, size_t change, const struct known *known)
{
        stage->shared.changes[change].loc =
            known->kind == KNOWN_PACKED ? known->loc : (struct pack_loc){0};
        stage->shared.changes[change].have_hash = true;
}

static enum hif_err take_small(struct stage *stage, const struct stage_job *job,
                               const struct stage_file *file)
{
        struct known *known = find_locked(stage, KNOWN_PACKED, &file->hash);
        struct span frame;
        uint32_t offset;
        enum hif_err err;

        stage->shared.changes[file->change].hash = file->hash;
        if (!known)
                known = find_locked(stage, KNOWN_BLOB, &file->hash);
        if (known && known->pending)
                return stage_pack_wait(stage, file->change, known);
        if (known) {
                done_with(stage, file->change, known);
                return HIF_OK;
        }
        assert(file->frame_size > 0);
        frame = span_of(job->output.data + file->frame_offset, file->frame_size);
        err = stage_pack_add(stage, file, frame, &offset);
        if (err != HIF_OK)
                return err;
        known = add_locked(stage, KNOWN_PACKED, &file->hash);
        if (!known)
                return no_memory(stage);
        known->pending = true;
        known->loc.offset = offset;
        known->loc.size = file->frame_size;
        known->then = stage->packed;
        stage->packed = known;
        return stage_pack_wait(stage, file->change, known);
}

/* A blob of its own; `known` is its record, new or not. */
static enum hif_err take_blob(struct stage *stage, struct stage_job *job, struct known **out)
{
        const struct hif_hash *hash = &job->files[0].hash;
        struct known *known = find_locked(stage, KNOWN_BLOB, hash);
        struct layout_key key;

        *out = known;
        if (known)
                return HIF_OK;
        assert(job->output.size > 0);
        *out = known = add_locked(stage, KNOWN_BLOB, hash);
        if (!known)
                return no_memory(stage);
        key = layout_blob(&stage->land->project->layout, hash);
        return upload(stage, &key, hash, &job->output, known);
}

static enum hif_err take_chunk(struct stage *stage, struct stage_job *job)
{
        struct known *known;

        if (stage->chunk_count == stage->chunk_capacity) {
                size_t capacity = stage->chunk_capacity ? stage->chunk_capacity * 2 : 256;
                struct chunk *grown = realloc(stage->chunks, capacity * sizeof(*grown));

                if (!grown)
                        return no_memory(stage);
                stage->chunks = grown;
                stage->chunk_capacity = capacity;
        }
        stage->chunks[stage->chunk_count++] =
            (struct chunk){.hash = job->files[0].hash, .size = job->bytes};
        return take_blob(stage, job, &known);
}

static enum hif_err take_end(struct stage *stage, const struct stage_job *job)
{
        struct land_change *change = &stage->shared.changes[job->files[0].change];
        enum hif_err err;

        pthread_mutex_lock(&stage->shared.mutex);
        err = content_list_put(stage->land->project, stage->puts, &stage->land->known,
                               stage->chunks, stage->chunk_count, &change->hash, stage->why);
        pthread_mutex_unlock(&stage->shared.mutex);
        stage->chunk_count = 0;
        if (err != HIF_OK)
                return err;
        change->loc = (struct pack_loc){0};
        change->have_hash = true;
        stage_count_puts(stage);
        return HIF_OK;
}

/* The job's contents are read and hashed: they count now, as a pack may fill for long. */
static void count_done(struct stage *stage, const struct stage_job *job)
{
        struct land_progress *progress = &stage->land->progress;

        progress->bytes_done += job->bytes;
        if (job->kind == STAGE_SMALL)
                progress->files_done += job->file_count;
        else if (job->kind != STAGE_CHUNK) /* of a large file, its end counts */
                progress->files_done++;
        land_report(stage->land);
}

static enum hif_err take(struct stage *stage, struct stage_job *job)
{
        struct known *known;
        enum hif_err err = HIF_OK;

        if (job->err != HIF_OK) {
                struct span path = stage->shared.changes[job->err_change].path;

                return why_set(stage->why, job->err, "cannot read %.*s: %s%s", (int)path.size,
                               (const char *)path.data, hif_strerror(job->err),
                               job->err == HIF_EIO ? "; did it change meanwhile? Try again" : "");
        }
        count_done(stage, job);
        switch (job->kind) {
        case STAGE_SMALL:
                for (size_t i = 0; i < job->file_count && err == HIF_OK; i++)
                        err = take_small(stage, job, &job->files[i]);
                break;
        case STAGE_BLOB:
                err = take_blob(stage, job, &known);
                if (err == HIF_OK) {
                        stage->shared.changes[job->files[0].change].hash = job->files[0].hash;
                        done_with(stage, job->files[0].change, known);
                }
                break;
        case STAGE_CHUNK:
                err = take_chunk(stage, job);
                break;
        case STAGE_END:
                err = take_end(stage, job);
                break;
        }
        return err;
}

static enum hif_err take_first(struct stage *stage)
{
        struct stage_job *job = stage->jobs[stage->first];
        enum hif_err err;

        stage_job_wait(job);
        err = take(stage, job);
        stage->first = (stage->first + 1) % STAGE_JOBS;
        stage->count--;
        stage_job_release(job);
        return err;
}

static enum hif_err submit(struct stage *stage, struct stage_job *job)
{
        enum hif_err err = HIF_OK;

        if (stage->count == STAGE_JOBS)
                err = take_first(stage);
        if (err != HIF_OK) {
                stage_job_release(job);
                return err;
        }
        stage->jobs[(stage->first + stage->count) % STAGE_JOBS] = job;
        stage->count++;
        stage_job_submit(job);
        return HIF_OK;
}

static enum hif_err submit_small(struct stage *stage)
{
        struct stage_job *job = STEAL(stage->filling);

        return job ? submit(stage, job) : HIF_OK;
}

/* --- giving work out --- */

static enum hif_err give_small(struct stage *stage, size_t index)
{
        struct land_change *change = &stage->shared.changes[index];
        struct stage_job *job = stage->filling;
        enum hif_err err = HIF_OK;

        if (job &&
            (job->file_count == STAGE_JOB_FILES || job->bytes + change->size > STAGE_JOB_BYTES)) {
                err = submit_small(stage);
                job = NULL;
        }
        if (err == HIF_OK && !job) {
                job = stage->filling = stage_job_new(&stage->shared, STAGE_SMALL);
                if (!job)
                        return no_memory(stage);
        }
        if (err != HIF_OK)
                return err;
        job->files[job->file_count++].change = index;
        job->bytes += change->size;
        return HIF_OK;
}

static enum hif_err give_blob(struct stage *stage, size_t index)
{
        struct stage_job *job = stage_job_new(&stage->shared, STAGE_BLOB);

        if (!job)
                return no_memory(stage);
        job->files[0].change = index;
        job->bytes = stage->shared.changes[index].size;
        return submit(stage, job);
}

static enum hif_err give_chunk(struct stage *stage, size_t index, struct buf *bytes)
{
        struct stage_job *job;

        if (bytes->size == 0)
                return HIF_OK;
        job = stage_job_new(&stage->shared, STAGE_CHUNK);
        if (!job)
                return no_memory(stage);
        job->files[0].change = index;
        job->bytes = bytes->size;
        job->input = *bytes;
        *bytes = (struct buf){0};
        return submit(stage, job);
}

/* Cut what was read; whole chunks go out, the rest stays in `chunk`. */
static enum hif_err cut(struct stage *stage, size_t index, struct chunker *chunker,
                        struct span piece, struct buf *chunk)
{
        enum hif_err err = HIF_OK;

        while (piece.size > 0 && err == HIF_OK) {
                bool end;
                size_t n = chunker_next(chunker, piece, &end);

                buf_put(chunk, piece.data, n);
                if (buf_failed(chunk))
                        return no_memory(stage);
                piece = span_of(piece.data + n, piece.size - n);
                if (end)
                        err = give_chunk(stage, index, chunk);
        }
        return err;
}

static enum hif_err give_large(struct stage *stage, size_t index)
{
        struct land_change *change = &stage->shared.changes[index];
        struct land_reader *reader = stage->shared.reader;
        AUTO_FREE uint8_t *piece = malloc(PIECE_SIZE);
        AUTO_BUF struct buf chunk = {0};
        struct chunker chunker = {0};
        struct stage_job *end;
        enum hif_err err = HIF_OK;

        if (!piece)
                return no_memory(stage);
        for (uint64_t at = 0; at < change->size && err == HIF_OK;) {
                uint64_t left = change->size - at;
                size_t n = left < PIECE_SIZE ? (size_t)left : PIECE_SIZE;

                err = reader->read(reader, change->content, at, piece, n);
                if (err != HIF_OK)
                        return why_set(stage->why, err, "cannot read %.*s: %s",
                                       (int)change->path.size, (const char *)change->path.data,
                                       hif_strerror(err));
                err = cut(stage, index, &chunker, span_of(piece, n), &chunk);
                at += n;
        }
        if (err == HIF_OK)
                err = give_chunk(stage, index, &chunk);
        if (err != HIF_OK)
                return err;
        end = stage_job_new(&stage->shared, STAGE_END);
        if (!end)
                return no_memory(stage);
        end->files[0].change = index;
        return submit(stage, end);
}

static enum hif_err give(struct stage *stage, size_t index)
{
        struct land_change *change = &stage->shared.changes[index];
        enum hif_err err;

        if (!stage_needs_content(change))
                return HIF_OK;
        if (change->size == 0) {
                change->hash = hash_of(HASH_BLOB, (struct span){0});
                change->loc = (struct pack_loc){0};
                change->have_hash = true;
                stage->land->progress.files_done++;
                return HIF_OK;
        }
        if (change->size <= BODY_PACK_BLOB_MAX)
                return give_small(stage, index);
        err = submit_small(stage);
        if (err != HIF_OK)
                return err;
        return change->size <= BODY_BLOB_MAX ? give_blob(stage, index) : give_large(stage, index);
}

/* --- the whole --- */

static bool cancelled(const struct stage *stage)
{
        struct land_hooks *hooks = stage->land->hooks;

        return hooks && hooks->cancelled && hooks->cancelled(hooks);
}

static enum hif_err run(struct stage *stage)
{
        size_t count = stage->shared.change_count;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                size_t ahead = count - i < LOOK_AHEAD ? count - i : LOOK_AHEAD;

                if (i % LOOK_AHEAD == 0)
                        err = stage_reach_base(stage->land, &stage->shared, i, ahead, stage->why);
                if (err == HIF_OK)
                        err = cancelled(stage) ? HIF_ECANCELED : give(stage, i);
        }
        if (err == HIF_OK)
                err = submit_small(stage);
        while (err == HIF_OK && stage->count > 0)
                err = cancelled(stage) ? HIF_ECANCELED : take_first(stage);
        if (err == HIF_OK)
                err = stage_pack_close(stage);
        return err;
}

static void count_work(struct land *land, const struct land_change *changes, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                if (!stage_needs_content(&changes[i]))
                        continue;
                land->progress.files_total++;
                land->progress.bytes_total += changes[i].size;
        }
}

static void stage_end(struct stage *stage)
{
        for (; stage->count > 0; stage->count--) {
                stage_job_release(stage->jobs[stage->first]);
                stage->first = (stage->first + 1) % STAGE_JOBS;
        }
        if (stage->filling)
                stage_job_release(stage->filling);
        pack_free(&stage->pack);
        free(stage->waiting);
        free(stage->chunks);
        stage_shared_free(&stage->shared);
}

/* For a landing: once all hashes are known, what lies in packs with other things in them goes into
 * packs of its own. */
static enum hif_err run_again(struct stage *stage)
{
        size_t again = 0;
        enum hif_err err = stage_packs_judge(stage, &again);

        if (err != HIF_OK || again == 0)
                return err;
        count_work(stage->land, stage->shared.changes, stage->shared.change_count);
        land_report(stage->land);
        return run(stage);
}

static enum hif_err new_puts(struct stage *stage)
{
        struct land *land = stage->land;
        /* What was staged before is waited for. */
        enum hif_err err = land_settle(land, stage->why);

        if (err != HIF_OK)
                return err;
        stage->puts = land->staged = calloc(1, sizeof(*land->staged));
        if (!stage->puts)
                return no_memory(stage);
        *stage->puts = (struct puts){.project = land->project,
                                     .hooks = land->hooks,
                                     .journal = &land->journal,
                                     .flying_max = stage->ahead ? 1 : 0,
                                     .batch_max = stage->ahead ? AHEAD_PUTS : 0};
        return HIF_OK;
}

void land_drop_staged(struct land *land)
{
        if (land->staged)
                puts_free(land->staged);
        free(land->staged);
        land->staged = NULL;
}

static enum hif_err run_all(struct stage *stage)
{
        enum hif_err err = run(stage);

        if (err == HIF_OK && !stage->ahead)
                err = run_again(stage);
        if (err == HIF_OK && !stage->ahead)
                err = puts_send(stage->puts, stage->why);
        else if (err == HIF_OK)
                err = puts_flush(stage->puts, stage->why);
        if (err == HIF_ENOMEM)
                (void)no_memory(stage);
        return err;
}

static enum hif_err stage_changes(struct land *land, struct land_change *changes, size_t count,
                                  struct land_reader *reader, bool ahead, struct hif_why *why)
{
        struct stage *stage;
        enum hif_err err = land_load_base(land, why);

        if (err != HIF_OK)
                return err;
        stage = calloc(1, sizeof(*stage));
        if (!stage)
                return why_set(why, HIF_ENOMEM, "out of memory");
        stage->land = land;
        stage->why = why;
        stage->ahead = ahead;
        stage->shared.pool = land->pool;
        stage->shared.changes = changes;
        stage->shared.change_count = count;
        stage->shared.reader = reader;
        stage->shared.known = &land->known;
        stage_shared_init(&stage->shared);
        count_work(land, changes, count);
        land_report(land);
        err = new_puts(stage);
        if (err == HIF_OK)
                err = run_all(stage);
        if (stage->puts)
                stage_count_puts(stage);
        land_report(land);
        if (err != HIF_OK)
                land_drop_staged(land);
        stage_end(stage);
        free(stage);
        return err;
}

enum hif_err land_settle(struct land *land, struct hif_why *why)
{
        enum hif_err err;

        if (!land->staged)
                return HIF_OK;
        err = puts_flush(land->staged, why);
        land->progress.objects_put += land->staged->objects_put;
        land->progress.bytes_put += land->staged->bytes_put;
        land_drop_staged(land);
        return err;
}

enum hif_err land_stage(struct land *land, struct land_change *changes, size_t count,
                        struct land_reader *reader, struct hif_why *why)
{
        return stage_changes(land, changes, count, reader, false, why);
}

enum hif_err land_stage_ahead(struct land *land, struct land_change *changes, size_t count,
                              struct land_reader *reader, struct hif_why *why)
{
        return stage_changes(land, changes, count, reader, true, why);
}
