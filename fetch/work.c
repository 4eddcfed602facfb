/* work.c - a queue of our own in front of the pool. */
#include "fetch/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#define RUN_MAX 64 /* by one pool job: others want the pool too */

static void unlink_work(struct fetch *fetch, struct work *work)
{
        struct work_queue *queue = &fetch->work[work->demand];

        *(work->prev ? &work->prev->next : &queue->first) = work->next;
        *(work->next ? &work->next->prev : &queue->last) = work->prev;
        work->queued = false;
}

static void link_work(struct fetch *fetch, struct work *work, bool demand)
{
        struct work_queue *queue = &fetch->work[demand];

        work->demand = demand;
        work->queued = true;
        work->next = NULL;
        work->prev = queue->last;
        *(queue->last ? &queue->last->next : &queue->first) = work;
        queue->last = work;
}

void work_push(struct fetch *fetch, struct work *work, bool demand)
{
        link_work(fetch, work, demand);
        if (fetch->helpers)
                pthread_cond_broadcast(&fetch->changed);
        for (size_t i = 0; i < RUNNERS; i++) {
                struct runner *runner = &fetch->runners[i];

                if (runner->idle) {
                        runner->idle = false;
                        pool_submit(fetch->pool, &runner->job);
                        return;
                }
        }
}

void work_raise(struct fetch *fetch, struct work *work)
{
        if (!work->queued || work->demand)
                return;
        unlink_work(fetch, work);
        link_work(fetch, work, true);
}

/* With the lock held, dropped meanwhile; false: there was none. */
static bool run_one(struct fetch *fetch)
{
        struct work *work = fetch->work[1].first ? fetch->work[1].first : fetch->work[0].first;

        if (!work)
                return false;
        unlink_work(fetch, work);
        fetch->work_running++;
        pthread_mutex_unlock(&fetch->lock);
        work->run(fetch, work);
        pthread_mutex_lock(&fetch->lock);
        fetch->work_running--;
        if (fetch->helpers)
                pthread_cond_broadcast(&fetch->changed);
        return true;
}

static void runner_run(struct pool_job *job)
{
        struct runner *runner = (struct runner *)job;
        struct fetch *fetch = runner->fetch;
        int count = 0;
        bool more;

        pthread_mutex_lock(&fetch->lock);
        while (count < RUN_MAX && run_one(fetch))
                count++;
        more = fetch->work[0].first || fetch->work[1].first;
        if (more)
                pool_submit(fetch->pool, job);
        else
                runner->idle = true;
        pthread_mutex_unlock(&fetch->lock);
}

void runners_init(struct fetch *fetch)
{
        for (size_t i = 0; i < RUNNERS; i++)
                fetch->runners[i] =
                    (struct runner){.job.run = runner_run, .fetch = fetch, .idle = true};
}

void help_until(struct fetch *fetch, bool (*over)(void *arg), void *arg)
{
        pthread_mutex_lock(&fetch->lock);
        fetch->helpers++;
        while (!over(arg)) {
                if (!run_one(fetch))
                        pthread_cond_wait(&fetch->changed, &fetch->lock);
        }
        fetch->helpers--;
        pthread_mutex_unlock(&fetch->lock);
}

/* --- codecs --- */

struct codec *codec_take(struct fetch *fetch)
{
        struct codec *codec;

        pthread_mutex_lock(&fetch->lock);
        codec = fetch->codecs;
        if (codec)
                fetch->codecs = codec->next;
        pthread_mutex_unlock(&fetch->lock);
        if (codec)
                return codec;
        codec = calloc(1, sizeof(*codec));
        if (codec)
                codec->codec = body_codec_new(3);
        if (codec && !codec->codec) {
                free(codec);
                return NULL;
        }
        return codec;
}

void codec_give(struct fetch *fetch, struct codec *codec)
{
        pthread_mutex_lock(&fetch->lock);
        codec->next = fetch->codecs;
        fetch->codecs = codec;
        pthread_mutex_unlock(&fetch->lock);
}

void codecs_free(struct fetch *fetch)
{
        while (fetch->codecs) {
                struct codec *codec = fetch->codecs;

                fetch->codecs = codec->next;
                body_codec_free(codec->codec);
                free(codec);
        }
}
