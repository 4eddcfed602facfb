#include "land/queue.h"

#include "base/log.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* A batch is closed at so many changes: what is large waits for its own nodes, not others' for it.
 */
#define BATCH_CHANGES_MAX 4096u
#define RACES_MAX         3u /* that a batch loses before its members propose */

enum ticket_state {
        TICKET_WAITS,
        TICKET_LEADS, /* its thread runs the batch */
        TICKET_TAKEN, /* another thread does */
        TICKET_SAVES, /* its thread is asked to save the intent */
        TICKET_DONE,
};

struct group;

/* One who lands, on the stack of its thread. */
struct ticket {
        struct land_member asked;   /* as it came */
        struct land_member *member; /* in the batch, while it is taken */
        enum ticket_state state;
        pthread_cond_t changed;
        pthread_cond_t *saved; /* whom to tell that it is saved */
        struct ticket *next;
        struct group *group; /* that it is to lead, where it is prepared; NULL: who waits then */
};

struct land_queue {
        const struct project *project;
        struct land_line *line; /* the leader's */
        pthread_mutex_t lock;   /* of all below */
        struct ticket *first, **end;
        bool led;
        struct land_queue_stats stats;
        /* Head follows on a thread of its own: nobody waits for it. */
        pthread_t mover;
        pthread_cond_t moved;
        struct slot tail; /* position, tree, clock: what head shall be */
        uint64_t head;    /* where it was put last */
        bool stopping;
};

/* A batch that is being landed. */
struct group {
        struct land_batch batch; /* first */
        struct land_queue *queue;
        struct land_member members[LAND_BATCH_MAX];
        struct ticket *tickets[LAND_BATCH_MAX];
        pthread_cond_t saved;
        struct group *following; /* its first ticket leads next */
};

/* --- head --- */

static void *move_head(void *arg)
{
        struct land_queue *queue = arg;

        pthread_mutex_lock(&queue->lock);
        for (;;) {
                struct slot tail = queue->tail;

                if (tail.position <= queue->head && queue->stopping)
                        break;
                if (tail.position <= queue->head) {
                        pthread_cond_wait(&queue->moved, &queue->lock);
                        continue;
                }
                pthread_mutex_unlock(&queue->lock);
                /* A hint: the next reader that finds it behind helps. */
                if (project_advance_head(queue->project, &tail) != HIF_OK)
                        log_line(queue->project->env->log, LOG_INFO, "land",
                                 "head in %s stays behind @%llu", store_url(queue->project->store),
                                 (unsigned long long)tail.position);
                pthread_mutex_lock(&queue->lock);
                queue->head = tail.position;
        }
        pthread_mutex_unlock(&queue->lock);
        return NULL;
}

/* Locked. */
static void head_follows(struct land_queue *queue, const struct land_batch *batch)
{
        struct slot tail;

        if (!land_line_tail(batch->line, &tail) || tail.position <= queue->tail.position)
                return;
        queue->tail = tail;
        pthread_cond_signal(&queue->moved);
}

/* --- begin and end --- */

enum hif_err land_queue_new(const struct project *project, struct tree_source *nodes,
                            struct land_queue **out)
{
        struct land_queue *queue = calloc(1, sizeof(*queue));
        enum hif_err err;

        if (!queue)
                return HIF_ENOMEM;
        queue->project = project;
        queue->end = &queue->first;
        err = land_line_new(project, nodes, &queue->line);
        if (err != HIF_OK) {
                free(queue);
                return err;
        }
        pthread_mutex_init(&queue->lock, NULL);
        pthread_cond_init(&queue->moved, NULL);
        if (pthread_create(&queue->mover, NULL, move_head, queue) != 0) {
                pthread_mutex_destroy(&queue->lock);
                pthread_cond_destroy(&queue->moved);
                land_line_free(queue->line);
                free(queue);
                return HIF_ENOMEM;
        }
        *out = queue;
        return HIF_OK;
}

void land_queue_keep(struct land_queue *queue, struct tree_sink *sink)
{
        land_line_keep(queue->line, sink);
}

void land_queue_free(struct land_queue *queue)
{
        if (!queue)
                return;
        pthread_mutex_lock(&queue->lock);
        assert(!queue->first && !queue->led);
        queue->stopping = true;
        pthread_cond_signal(&queue->moved);
        pthread_mutex_unlock(&queue->lock);
        pthread_join(queue->mover, NULL);
        pthread_mutex_destroy(&queue->lock);
        pthread_cond_destroy(&queue->moved);
        land_line_free(queue->line);
        free(queue);
}

struct land_queue_stats land_queue_stats(struct land_queue *queue)
{
        struct land_queue_stats stats;

        pthread_mutex_lock(&queue->lock);
        stats = queue->stats;
        pthread_mutex_unlock(&queue->lock);
        return stats;
}

/* --- intents: each on the thread whose landing it is, all at once --- */

static void save_start(const struct land_batch *batch)
{
        struct group *group = (struct group *)(uintptr_t)batch;

        pthread_mutex_lock(&group->queue->lock);
        for (size_t i = 0; i < batch->count; i++) {
                if (!batch->members[i].to_save || group->tickets[i]->state != TICKET_TAKEN)
                        continue;
                group->tickets[i]->state = TICKET_SAVES;
                pthread_cond_signal(&group->tickets[i]->changed);
        }
        pthread_mutex_unlock(&group->queue->lock);
}

static void save_wait(const struct land_batch *batch)
{
        struct group *group = (struct group *)(uintptr_t)batch;

        /* The first is the leader's own. */
        if (batch->members[0].to_save)
                batch->members[0].saved = land_member_save(&batch->members[0]);
        pthread_mutex_lock(&group->queue->lock);
        for (size_t i = 0; i < batch->count; i++)
                while (group->tickets[i]->state == TICKET_SAVES)
                        pthread_cond_wait(&group->saved, &group->queue->lock);
        pthread_mutex_unlock(&group->queue->lock);
}

/* Locked, but for the save itself. */
static void save_own(struct land_queue *queue, struct ticket *ticket)
{
        struct land_member *member = ticket->member;
        enum hif_err err;

        pthread_mutex_unlock(&queue->lock);
        err = land_member_save(member);
        pthread_mutex_lock(&queue->lock);
        member->saved = err;
        ticket->state = TICKET_TAKEN;
        pthread_cond_signal(ticket->saved);
}

/* --- leading --- */

static struct land_batch *next_batch(struct land_batch *batch);

/* Locked: who waits, in order; there is somebody. */
static void take(struct land_queue *queue, struct group *group)
{
        size_t changes = 0;

        while (queue->first && group->batch.count < LAND_BATCH_MAX) {
                struct ticket *ticket = queue->first;
                size_t count = group->batch.count;

                changes += ticket->asked.count;
                if (count > 0 && changes > BATCH_CHANGES_MAX)
                        break;
                group->tickets[count] = ticket;
                group->members[count] = ticket->asked;
                ticket->member = &group->members[count];
                ticket->saved = &group->saved;
                if (ticket->state == TICKET_WAITS)
                        ticket->state = TICKET_TAKEN;
                queue->first = ticket->next;
                group->batch.count++;
        }
        if (!queue->first)
                queue->end = &queue->first;
        queue->stats.batches++;
        queue->stats.landings += group->batch.count;
}

/* Locked. NULL: out of memory, or nobody waits. */
static struct group *group_new(struct land_queue *queue)
{
        struct group *group = queue->first ? calloc(1, sizeof(*group)) : NULL;

        if (!group)
                return NULL;
        group->queue = queue;
        group->batch = (struct land_batch){.line = queue->line,
                                           .members = group->members,
                                           .save_start = save_start,
                                           .save_wait = save_wait,
                                           .head_later = true,
                                           .races_max = RACES_MAX,
                                           .next = next_batch};
        pthread_cond_init(&group->saved, NULL);
        take(queue, group);
        return group;
}

/* The slot of this one is on its way. */
static struct land_batch *next_batch(struct land_batch *batch)
{
        struct group *group = (struct group *)batch;

        pthread_mutex_lock(&group->queue->lock);
        group->following = group_new(group->queue);
        pthread_mutex_unlock(&group->queue->lock);
        return group->following ? &group->following->batch : NULL;
}

static void group_free(struct group *group)
{
        pthread_cond_destroy(&group->saved);
        free(group);
}

/* Locked. */
static void answer(struct ticket *ticket, enum hif_err err)
{
        ticket->asked.err = err;
        ticket->state = TICKET_DONE;
        pthread_cond_signal(&ticket->changed);
}

/* Locked: the next one leads. */
static void hand_over(struct land_queue *queue, struct group *following)
{
        struct ticket *next = following ? following->tickets[0] : queue->first;

        queue->led = next != NULL;
        if (!next)
                return;
        next->group = following;
        next->state = TICKET_LEADS;
        pthread_cond_signal(&next->changed);
}

/* Locked: there is no memory to lead with. */
static void step_down(struct land_queue *queue, struct ticket *ticket)
{
        assert(queue->first == ticket);
        queue->first = ticket->next;
        if (!queue->first)
                queue->end = &queue->first;
        answer(ticket, why_set(ticket->asked.why, HIF_ENOMEM, "out of memory"));
        hand_over(queue, NULL);
}

/* Locked; others come meanwhile. */
static void lead(struct land_queue *queue, struct ticket *ticket)
{
        struct group *group = ticket->group ? ticket->group : group_new(queue);

        if (!group) {
                step_down(queue, ticket);
                return;
        }
        pthread_mutex_unlock(&queue->lock);
        land_commit_batch(&group->batch);
        pthread_mutex_lock(&queue->lock);
        head_follows(queue, &group->batch);
        for (size_t i = 0; i < group->batch.count; i++)
                answer(group->tickets[i], group->members[i].err);
        hand_over(queue, group->following);
        group_free(group);
}

enum hif_err land_queue_commit(struct land_queue *queue, struct land *land,
                               const struct land_change *changes, size_t count,
                               struct land_result *out, struct hif_why *why)
{
        struct ticket ticket = {
            .asked = {.land = land, .changes = changes, .count = count, .out = out, .why = why}};

        pthread_cond_init(&ticket.changed, NULL);
        pthread_mutex_lock(&queue->lock);
        *queue->end = &ticket;
        queue->end = &ticket.next;
        if (!queue->led) {
                queue->led = true;
                ticket.state = TICKET_LEADS;
        }
        while (ticket.state != TICKET_DONE) {
                if (ticket.state == TICKET_LEADS)
                        lead(queue, &ticket);
                else if (ticket.state == TICKET_SAVES)
                        save_own(queue, &ticket);
                else
                        pthread_cond_wait(&ticket.changed, &queue->lock);
        }
        pthread_mutex_unlock(&queue->lock);
        pthread_cond_destroy(&ticket.changed);
        return ticket.asked.err;
}
