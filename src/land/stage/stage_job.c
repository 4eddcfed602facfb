/* Hashing and compressing, on the pool. A job that no thread has taken when its result is wanted
 * runs on the thread that wants it: so a pool of no threads, a busy one, none at all, and one whose
 * own thread is landing are the same code. What stays in the queue then is an empty shell. */
#include "land/internal.h"

#include <assert.h>
#include <stdlib.h>

enum { QUEUED, RUNNING, DONE };

void stage_shared_init(struct stage_shared *shared)
{
        pthread_mutex_init(&shared->mutex, NULL);
        pthread_cond_init(&shared->done, NULL);
}

void stage_shared_free(struct stage_shared *shared)
{
        for (size_t i = 0; i < shared->codec_count; i++)
                body_codec_free(shared->codecs[i]);
        pthread_cond_destroy(&shared->done);
        pthread_mutex_destroy(&shared->mutex);
}

static struct body_codec *codec_take(struct stage_shared *shared)
{
        struct body_codec *codec = NULL;

        pthread_mutex_lock(&shared->mutex);
        if (shared->codec_count > 0)
                codec = shared->codecs[--shared->codec_count];
        pthread_mutex_unlock(&shared->mutex);
        return codec ? codec : body_codec_new(3);
}

static void codec_give(struct stage_shared *shared, struct body_codec *codec)
{
        pthread_mutex_lock(&shared->mutex);
        if (shared->codec_count < STAGE_JOBS + 1) {
                shared->codecs[shared->codec_count++] = codec;
                codec = NULL;
        }
        pthread_mutex_unlock(&shared->mutex);
        body_codec_free(codec);
}

static bool is_known(struct stage_shared *shared, enum known_kind kind, const struct hif_hash *hash)
{
        bool known;

        pthread_mutex_lock(&shared->mutex);
        known = known_find(shared->known, kind, hash) != NULL;
        pthread_mutex_unlock(&shared->mutex);
        return known;
}

static enum hif_err read_content(struct stage_shared *shared, const struct land_change *change,
                                 struct buf *out)
{
        uint8_t *at;
        enum hif_err err;

        buf_reset(out);
        at = buf_reserve(out, (size_t)change->size);
        if (!at)
                return HIF_ENOMEM;
        err = shared->reader->read(shared->reader, change->content, 0, at, (size_t)change->size);
        if (err == HIF_OK)
                buf_extend(out, (size_t)change->size);
        return err;
}

static enum hif_err run_small(struct stage_job *job, struct body_codec *codec)
{
        struct stage_shared *shared = job->shared;
        AUTO_BUF struct buf content = {0};
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < job->file_count && err == HIF_OK; i++) {
                struct stage_file *file = &job->files[i];
                size_t start = job->output.size;

                job->err_change = file->change;
                err = read_content(shared, &shared->changes[file->change], &content);
                if (err != HIF_OK)
                        break;
                file->hash = hash_of(HASH_BLOB, buf_span(&content));
                if (is_known(shared, KNOWN_PACKED, &file->hash) ||
                    is_known(shared, KNOWN_BLOB, &file->hash))
                        continue;
                err = body_frame_put(codec, buf_span(&content), &job->output);
                file->frame_offset = (uint32_t)start;
                file->frame_size = (uint32_t)(job->output.size - start);
        }
        return err;
}

static enum hif_err run_blob(struct stage_job *job, struct body_codec *codec)
{
        struct stage_file *file = &job->files[0];
        enum hif_err err = HIF_OK;

        job->err_change = file->change;
        if (job->kind == STAGE_BLOB)
                err = read_content(job->shared, &job->shared->changes[file->change], &job->input);
        if (err != HIF_OK)
                return err;
        file->hash = hash_of(HASH_BLOB, buf_span(&job->input));
        if (!is_known(job->shared, KNOWN_BLOB, &file->hash))
                err = body_put(codec, BODY_BLOB, buf_span(&job->input), &job->output);
        buf_free(&job->input);
        return err;
}

static void job_run(struct stage_job *job)
{
        struct body_codec *codec;

        if (job->kind == STAGE_END)
                return;
        codec = codec_take(job->shared);
        if (!codec) {
                job->err = HIF_ENOMEM;
                return;
        }
        job->err = job->kind == STAGE_SMALL ? run_small(job, codec) : run_blob(job, codec);
        if (job->err == HIF_OK && buf_failed(&job->output))
                job->err = HIF_ENOMEM;
        codec_give(job->shared, codec);
}

static bool claim(struct stage_job *job)
{
        int expected = QUEUED;

        return __atomic_compare_exchange_n(&job->state, &expected, RUNNING, false, __ATOMIC_ACQ_REL,
                                           __ATOMIC_ACQUIRE);
}

static void unref(struct stage_job *job)
{
        if (__atomic_sub_fetch(&job->refs, 1, __ATOMIC_ACQ_REL) == 0)
                free(job);
}

static void finish(struct stage_job *job)
{
        pthread_mutex_lock(&job->shared->mutex);
        __atomic_store_n(&job->state, DONE, __ATOMIC_RELEASE);
        pthread_cond_broadcast(&job->shared->done);
        pthread_mutex_unlock(&job->shared->mutex);
}

static void on_pool(struct pool_job *pool_job)
{
        struct stage_job *job =
            (struct stage_job *)((char *)pool_job - offsetof(struct stage_job, pool_job));

        if (claim(job)) {
                job_run(job);
                finish(job);
        }
        unref(job);
}

struct stage_job *stage_job_new(struct stage_shared *shared, enum stage_job_kind kind)
{
        struct stage_job *job = calloc(1, sizeof(*job));
        size_t files = kind == STAGE_SMALL ? STAGE_JOB_FILES : 1;

        if (!job)
                return NULL;
        job->files = calloc(files, sizeof(*job->files));
        if (!job->files) {
                free(job);
                return NULL;
        }
        job->shared = shared;
        job->kind = kind;
        job->refs = 1;
        job->pool_job.run = on_pool;
        return job;
}

void stage_job_submit(struct stage_job *job)
{
        if (!job->shared->pool || job->kind == STAGE_END)
                return;
        job->refs++;
        pool_submit(job->shared->pool, &job->pool_job);
}

void stage_job_wait(struct stage_job *job)
{
        if (claim(job)) {
                job_run(job);
                __atomic_store_n(&job->state, DONE, __ATOMIC_RELEASE);
                return;
        }
        pthread_mutex_lock(&job->shared->mutex);
        while (__atomic_load_n(&job->state, __ATOMIC_ACQUIRE) != DONE)
                pthread_cond_wait(&job->shared->done, &job->shared->mutex);
        pthread_mutex_unlock(&job->shared->mutex);
}

void stage_job_release(struct stage_job *job)
{
        if (!claim(job))
                stage_job_wait(job);
        /* The job itself may stay in the pool's queue for long. */
        buf_free(&job->input);
        buf_free(&job->output);
        free(job->files);
        job->files = NULL;
        unref(job);
}
