/* Contents into the store: small ones in packs, in key order, others as blobs, large ones as chunks
 * and a list of them. Jobs hash and compress ahead on the pool; their results are taken in order,
 * so that a pack holds neighbours and its bytes depend on the content alone. In memory at a time:
 * STAGE_JOBS jobs, one pack, one batch of uploads. */
#include "core/layout.h"
#include "land/internal.h"

#include <assert.h>
#include <stdlib.h>

#define PIECE_SIZE (1u << 20) /* of a large file, read at once */
#define LOOK_AHEAD 1024u      /* changes looked up in base together */

/* A change whose content waits in the open pack. */
struct waiting {
        size_t change;
        struct known *known;
};

struct stage {
        struct land *land;
        struct hif_why *why;
        struct stage_shared shared;
        struct stage_job *jobs[STAGE_JOBS]; /* a ring, in order */
        size_t first, count;
        struct stage_job *filling; /* small files, not submitted yet */
        struct pack_writer pack;
        bool pack_open;
        struct waiting *waiting;
        size_t waiting_count, waiting_capacity;
        struct chunk *chunks; /* of the large file that is being taken in */
        size_t chunk_count, chunk_capacity;
        struct puts puts;
};

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

/* --- uploads --- */

static enum hif_err settled(struct stage *stage)
{
        enum hif_err err;

        if (stage->puts.count > 0)
                return HIF_OK;
        stage->land->progress.objects_put += stage->puts.objects_put;
        stage->land->progress.bytes_put += stage->puts.bytes_put;
        stage->puts.objects_put = stage->puts.bytes_put = 0;
        err = journal_settle(&stage->land->journal, &stage->land->known);
        if (err != HIF_OK)
                return why_set(stage->why, err, "cannot write the journal of this landing: %s",
                               hif_strerror(err));
        return HIF_OK;
}

static enum hif_err upload(struct stage *stage, const struct layout_key *key,
                           const struct hif_hash *hash, struct buf *body)
{
        enum hif_err err = puts_add(&stage->puts, key, hash, body, stage->why);

        return err == HIF_OK ? settled(stage) : err;
}

/* Name the open pack, and tell everything that lies in it. */
static enum hif_err close_pack(struct stage *stage)
{
        struct hif_hash name;
        struct layout_key key;
        enum hif_err err;

        if (!stage->pack_open)
                return HIF_OK;
        err = pack_finish(&stage->pack, &name);
        if (err != HIF_OK)
                return err;
        for (size_t i = 0; i < stage->waiting_count; i++) {
                struct waiting *waiting = &stage->waiting[i];

                waiting->known->loc.pack = name;
                waiting->known->pending = false;
                stage->shared.changes[waiting->change].loc = waiting->known->loc;
                stage->shared.changes[waiting->change].have_hash = true;
        }
        stage->waiting_count = 0;
        stage->pack_open = false;
        key = layout_pack(&stage->land->project->layout, &name);
        err = upload(stage, &key, &name, &stage->pack.bytes);
        pack_free(&stage->pack);
        return err;
}

static enum hif_err wait_for_pack(struct stage *stage, size_t change, struct known *known)
{
        if (stage->waiting_count == stage->waiting_capacity) {
                size_t capacity = stage->waiting_capacity ? stage->waiting_capacity * 2 : 256;
                struct waiting *grown = realloc(stage->waiting, capacity * sizeof(*grown));

                if (!grown)
                        return no_memory(stage);
                stage->waiting = grown;
                stage->waiting_capacity = capacity;
        }
        stage->waiting[stage->waiting_count++] = (struct waiting){change, known};
        return HIF_OK;
}

static enum hif_err add_frame(struct stage *stage, const struct stage_file *file, struct span frame,
                              uint32_t *offset)
{
        uint32_t size = (uint32_t)stage->shared.changes[file->change].size;
        enum hif_err err = HIF_ELIMIT;

        if (stage->pack_open)
                err = pack_add(&stage->pack, &file->hash, frame, size, offset);
        if (err != HIF_ELIMIT)
                return err;
        err = close_pack(stage);
        if (err != HIF_OK)
                return err;
        pack_begin(&stage->pack);
        stage->pack_open = true;
        return pack_add(&stage->pack, &file->hash, frame, size, offset);
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
                return wait_for_pack(stage, file->change, known);
        if (known) {
                done_with(stage, file->change, known);
                return HIF_OK;
        }
        assert(file->frame_size > 0);
        frame = span_of(job->output.data + file->frame_offset, file->frame_size);
        err = add_frame(stage, file, frame, &offset);
        if (err != HIF_OK)
                return err;
        known = add_locked(stage, KNOWN_PACKED, &file->hash);
        if (!known)
                return no_memory(stage);
        known->pending = true;
        known->loc.offset = offset;
        known->loc.size = file->frame_size;
        known_await(&stage->land->known, known);
        return wait_for_pack(stage, file->change, known);
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
        known_await(&stage->land->known, known);
        key = layout_blob(&stage->land->project->layout, hash);
        return upload(stage, &key, hash, &job->output);
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
        err = content_list_put(stage->land->project, &stage->puts, &stage->land->known,
                               stage->chunks, stage->chunk_count, &change->hash, stage->why);
        pthread_mutex_unlock(&stage->shared.mutex);
        stage->chunk_count = 0;
        if (err != HIF_OK)
                return err;
        change->loc = (struct pack_loc){0};
        change->have_hash = true;
        return settled(stage);
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

static enum hif_err run(struct stage *stage, size_t count)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                size_t ahead = count - i < LOOK_AHEAD ? count - i : LOOK_AHEAD;

                if (i % LOOK_AHEAD == 0)
                        err = stage_reach_base(stage->land, &stage->shared, i, ahead, stage->why);
                if (err == HIF_OK)
                        err = give(stage, i);
        }
        if (err == HIF_OK)
                err = submit_small(stage);
        while (err == HIF_OK && stage->count > 0)
                err = take_first(stage);
        if (err == HIF_OK)
                err = close_pack(stage);
        if (err == HIF_OK)
                err = puts_flush(&stage->puts, stage->why);
        return err == HIF_OK ? settled(stage) : err;
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
        stage->land->known.awaiting = NULL; /* what was not stored is not journaled */
        pack_free(&stage->pack);
        free(stage->waiting);
        free(stage->chunks);
        puts_free(&stage->puts);
        stage_shared_free(&stage->shared);
}

enum hif_err land_stage(struct land *land, struct land_change *changes, size_t count,
                        struct land_reader *reader, struct hif_why *why)
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
        stage->puts.project = land->project;
        stage->puts.hooks = land->hooks;
        stage->shared.pool = land->pool;
        stage->shared.changes = changes;
        stage->shared.reader = reader;
        stage->shared.known = &land->known;
        stage_shared_init(&stage->shared);
        count_work(land, changes, count);
        land_report(land);
        err = run(stage, count);
        if (err == HIF_ENOMEM)
                (void)no_memory(stage);
        land_report(land);
        stage_end(stage);
        free(stage);
        return err;
}
