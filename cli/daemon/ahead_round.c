/* ahead_round.c - one round: what has settled, without what is ignored, into the store. */
#include "base/cleanup.h"
#include "cli/daemon/ahead_impl.h"
#include "cli/daemon/call.h"
#include "cli/daemon/workspace_changes.h"
#include "core/key.h"
#include "vfs/settled.h"

#include <stdio.h>
#include <stdlib.h>

struct round {
        struct ahead *ahead;
        struct land_reader reader; /* back to this by container */
        struct vfs_settled settled;
        struct vfs_snapshot view; /* as much of one as rules and contents need */
        struct land_change *changes;
        size_t count;
        uint64_t bytes;
        uint64_t seq, torn;            /* the overlay's, before anything was looked at */
        uint64_t seq_small, seq_large; /* what has settled is no newer */
        bool unsettled, looked;
        enum hif_err err;
};

#define FROM_READER(ptr) ((struct round *)((char *)(ptr)-offsetof(struct round, reader)))

/* --- time --- */

uint64_t ahead_now_ns(const struct ahead *ahead)
{
        return env_mono_ns(&ahead->workspace->daemon->cli->env);
}

void ahead_make_mark(struct ahead *ahead)
{
        uint64_t apart = ahead->after_ns * AHEAD_LARGE_AFTER / (AHEAD_MARKS - 8);
        const struct ahead_mark *last = &ahead->marks[(ahead->mark_count - 1) % AHEAD_MARKS];
        uint64_t now = ahead_now_ns(ahead);

        if (ahead->mark_count > 0 && now - last->ns < apart)
                return;
        ahead->marks[ahead->mark_count++ % AHEAD_MARKS] =
            (struct ahead_mark){now, overlay_seq(ahead->workspace->overlay)};
}

/* The overlay's record number so long ago; 0: that was before the first mark. */
static uint64_t seq_before(const struct ahead *ahead, uint64_t ago_ns)
{
        uint64_t now = ahead_now_ns(ahead);

        for (uint32_t i = 0; i < AHEAD_MARKS && i < ahead->mark_count; i++) {
                const struct ahead_mark *mark =
                    &ahead->marks[(ahead->mark_count - 1 - i) % AHEAD_MARKS];

                if (now - mark->ns >= ago_ns)
                        return mark->seq;
        }
        return 0;
}

static void due_in(struct ahead *ahead, uint64_t ns)
{
        ahead->due_ns = ahead_now_ns(ahead) + ns;
}

/* --- what has settled --- */

/* On the loop, while this thread waits for it. */
static bool wants(void *arg, const struct onode *node)
{
        struct round *round = arg;
        const struct ahead_item *item;

        if (node->size == 0)
                return false;
        item = ahead_memory_find(&round->ahead->memory, node->id);
        if (item != NULL && item->data_seq == node->data_seq && item->size == node->size &&
            (item->what == AHEAD_STORED || item->rules == round->ahead->rules))
                return false;
        if (node->data_seq > (node->size < AHEAD_LARGE ? round->seq_small : round->seq_large)) {
                round->unsettled = true;
                return false;
        }
        return true;
}

static void look_step(void *arg)
{
        struct round *round = arg;

        round->err =
            vfs_settled_step(round->ahead->workspace->vfs, &round->settled, &round->looked);
}

static enum hif_err look(struct round *round)
{
        static const struct span rule_files[] = {{(const uint8_t *)".gitignore", 10},
                                                 {(const uint8_t *)".hifignore", 10}};
        struct workspace *workspace = round->ahead->workspace;

        round->settled = (struct vfs_settled){.wants = wants,
                                              .arg = round,
                                              .always = rule_files,
                                              .always_count = 2,
                                              .files_max = AHEAD_FILES_MAX};
        while (!round->looked && round->err == HIF_OK) {
                if (atomic_load(&round->ahead->cancel))
                        return HIF_ECANCELED;
                loop_call(workspace->loop, look_step, round);
        }
        return round->err;
}

/* --- ignore rules --- */

/* Another mark, other rules. */
static uint64_t rules_mark(const struct round *round)
{
        const struct buf *list = &round->settled.always_list;
        CLEANUP(buf_free) struct buf text = {0};
        struct hif_hash hash;

        for (size_t i = 0; i < vfs_settled_count(list); i++) {
                const struct vfs_settled_file *file = vfs_settled_at(list, i);

                buf_put_u64(&text, file->node);
                buf_put_u64(&text, file->content.data_seq);
                buf_put_span(&text, file->path);
        }
        hash = hash_of(HASH_BLOB, buf_span(&text));
        return hash_prefix(&hash);
}

/* What the rules need of a snapshot: base, and the rule files that the session has changed. One of
 * the base that was removed counts still: here it is better to ignore too much than too little. */
static enum hif_err make_view(struct round *round)
{
        struct workspace *workspace = round->ahead->workspace;
        const struct buf *list = &round->settled.always_list;
        size_t count = vfs_settled_count(list);
        struct vfs_change *changes =
            arena_zalloc(&round->settled.arena, (count + 1) * sizeof(*changes));

        if (changes == NULL)
                return HIF_ENOMEM;
        for (size_t i = 0; i < count; i++) {
                const struct vfs_settled_file *file = vfs_settled_at(list, i);

                changes[i] = (struct vfs_change){.kind = VFS_MODIFIED,
                                                 .path = file->path,
                                                 .entry_kind = ENTRY_FILE,
                                                 .base = file->content.base,
                                                 .size = file->content.size,
                                                 .content_changed = file->changed,
                                                 .content = file->content};
        }
        round->view = (struct vfs_snapshot){.base = round->settled.base,
                                            .changes = changes,
                                            .change_count = count,
                                            .overlay = workspace->overlay,
                                            .origin = workspace->origin};
        return HIF_OK;
}

static enum hif_err remember(struct ahead *ahead, uint64_t node, const struct ahead_item *item)
{
        enum hif_err err;

        pthread_mutex_lock(&ahead->lock);
        err = ahead_memory_put(&ahead->memory, node, item);
        pthread_mutex_unlock(&ahead->lock);
        return err;
}

static int compare_keys(const void *a, const void *b)
{
        const struct land_change *change_a = a, *change_b = b;

        return span_cmp(change_a->target, change_b->target);
}

/* In the order of the tree, by keys that `target` holds meanwhile: neighbours share a pack. */
static enum hif_err sort(struct round *round)
{
        CLEANUP(buf_free) struct buf key = {0};

        for (size_t i = 0; i < round->count; i++) {
                struct land_change *change = &round->changes[i];

                buf_reset(&key);
                key_from_path(&key, change->path);
                change->target = arena_span(&round->settled.arena, buf_span(&key));
                if (buf_failed(&key) || change->target.data == NULL)
                        return HIF_ENOMEM;
        }
        qsort(round->changes, round->count, sizeof(*round->changes), compare_keys);
        for (size_t i = 0; i < round->count; i++)
                round->changes[i].target = (struct span){0};
        return HIF_OK;
}

static enum hif_err choose_one(struct round *round, struct change_rules *rules, size_t index)
{
        struct ahead *ahead = round->ahead;
        const struct vfs_settled_file *file = vfs_settled_at(&round->settled.list, index);
        bool ignored = false;
        enum hif_err err = change_rules_match(rules, file->path, false, &ignored);

        if (err == HIF_OK && ignored)
                return remember(ahead, file->node,
                                &(struct ahead_item){.what = AHEAD_IGNORED,
                                                     .data_seq = file->content.data_seq,
                                                     .size = file->content.size,
                                                     .rules = ahead->rules});
        if (err != HIF_OK)
                return err;
        round->changes[round->count++] = (struct land_change){.kind = LAND_PUT,
                                                              .path = file->path,
                                                              .entry_kind = ENTRY_FILE,
                                                              .size = file->content.size,
                                                              .content = index};
        round->bytes += file->content.size;
        return HIF_OK;
}

/* Make changes of what is not ignored. */
static enum hif_err choose(struct round *round, struct hif_why *why)
{
        struct workspace *workspace = round->ahead->workspace;
        size_t count = vfs_settled_count(&round->settled.list);
        struct change_rules *rules = NULL;
        enum hif_err err = make_view(round);

        round->changes = calloc(count + 1, sizeof(*round->changes));
        if (err == HIF_OK && round->changes == NULL)
                err = HIF_ENOMEM;
        if (err == HIF_OK)
                err = change_rules_new(workspace, &round->view, &rules);
        for (size_t i = 0; i < count && err == HIF_OK; i++)
                err = choose_one(round, rules, i);
        change_rules_free(rules);
        if (err != HIF_OK)
                return changes_why(workspace, err, "told from what is ignored", why);
        return sort(round);
}

/* --- storing --- */

static enum hif_err read_content(struct land_reader *reader, uint64_t content, uint64_t offset,
                                 void *out, size_t size)
{
        const struct round *round = FROM_READER(reader);
        const struct vfs_settled_file *file = vfs_settled_at(&round->settled.list, content);

        return vfs_content_read(&round->view, &file->content, offset, out, size);
}

static enum hif_err begin(struct ahead *ahead)
{
        struct workspace *workspace = ahead->workspace;
        AUTO_FREE char *journal = NULL;

        if (ahead->land != NULL)
                return HIF_OK;
        if (asprintf(&journal, "%s/land.journal", workspace->dir) < 0) {
                journal = NULL;
                return HIF_ENOMEM;
        }
        ahead->session = (struct session){.id = workspace->session,
                                          .state = SESSION_OPEN,
                                          .origin = workspace->origin_position,
                                          .base_position = ahead->base.position,
                                          .base_slot = ahead->base.slot};
        fetch_nodes_blocking_init(&ahead->nodes, workspace->origin);
        return land_begin(&workspace->project, &ahead->session, &ahead->nodes.source, NULL,
                          &ahead->hooks, journal, &ahead->land);
}

static enum hif_err store(struct round *round, struct hif_why *why)
{
        struct ahead *ahead = round->ahead;
        enum hif_err err = begin(ahead);

        round->reader.read = read_content;
        if (err == HIF_OK)
                err = land_stage_ahead(ahead->land, round->changes, round->count, &round->reader,
                                       why);
        if (err != HIF_OK) {
                /* What it thinks to have stored is not: the journal knows. */
                land_free(ahead->land);
                ahead->land = NULL;
                return err;
        }
        if (overlay_torn(ahead->workspace->overlay) != round->torn)
                return HIF_OK; /* some of it may have changed unseen: once more */
        for (size_t i = 0; i < round->count && err == HIF_OK; i++) {
                const struct land_change *change = &round->changes[i];
                const struct vfs_settled_file *file =
                    vfs_settled_at(&round->settled.list, change->content);

                err = remember(ahead, file->node,
                               &(struct ahead_item){.what = AHEAD_STORED,
                                                    .data_seq = file->content.data_seq,
                                                    .size = file->content.size,
                                                    .hash = change->hash,
                                                    .loc = change->loc});
        }
        return err;
}

/* --- the round --- */

void ahead_forget(struct ahead *ahead)
{
        pthread_mutex_lock(&ahead->lock);
        ahead_memory_clear(&ahead->memory);
        pthread_mutex_unlock(&ahead->lock);
}

/* Is what is remembered of the same base, and did every write since come to its end? */
static bool follow(struct round *round)
{
        struct ahead *ahead = round->ahead;
        const struct vfs_base *base = &round->settled.base;
        const struct session_id *session = &ahead->workspace->session;
        bool same = hash_eq(&base->slot, &ahead->base.slot) && session_id_eq(session, &ahead->of) &&
                    ahead->torn == round->torn;

        if (same)
                return true;
        ahead_forget(ahead);
        pthread_mutex_lock(&ahead->lock);
        ahead->base = *base;
        ahead->of = *session;
        ahead->torn = round->torn;
        pthread_mutex_unlock(&ahead->lock);
        land_free(ahead->land);
        ahead->land = NULL;
        return false;
}

static enum hif_err store_in_turn(struct round *round, struct hif_why *why)
{
        struct ahead *ahead = round->ahead;
        struct daemon *daemon = ahead->workspace->daemon;
        enum hif_err err;

        if (round->bytes < AHEAD_LITTLE_BYTES && !round->settled.full && !ahead->little) {
                ahead->little = true;
                due_in(ahead, ahead->after_ns * AHEAD_LITTLE_WAIT);
                return HIF_OK;
        }
        if (sem_trywait(&daemon->uploads) != 0)
                return HIF_OK; /* others are at it */
        pthread_mutex_lock(&ahead->lock);
        ahead->state = AHEAD_STORING;
        pthread_mutex_unlock(&ahead->lock);
        err = store(round, why);
        sem_post(&daemon->uploads);
        if (err != HIF_OK)
                return err;
        ahead->little = false;
        ahead->left = round->unsettled || round->settled.full ||
                      overlay_torn(ahead->workspace->overlay) != round->torn;
        ahead->done_seq = round->seq;
        return HIF_OK;
}

static enum hif_err run(struct round *round, struct hif_why *why)
{
        struct ahead *ahead = round->ahead;
        uint64_t mark;
        enum hif_err err = look(round);

        if (err == HIF_EAGAIN)
                return HIF_OK; /* the base has moved: next time */
        if (err != HIF_OK || !follow(round))
                return err;
        mark = rules_mark(round);
        if (mark != ahead->rules) {
                ahead->rules = mark; /* what was ignored may not be any more: look again */
                return HIF_OK;
        }
        if (vfs_settled_count(&round->settled.list) > 0)
                err = choose(round, why);
        if (err == HIF_OK && round->count > 0)
                return store_in_turn(round, why);
        if (err == HIF_OK) {
                ahead->left = round->unsettled || round->settled.full;
                ahead->done_seq = round->seq;
        }
        return err;
}

enum hif_err ahead_round(struct ahead *ahead, struct hif_why *why)
{
        struct overlay *overlay = ahead->workspace->overlay;
        struct round round = {.ahead = ahead,
                              .seq = overlay_seq(overlay),
                              .torn = overlay_torn(overlay),
                              .seq_small = seq_before(ahead, ahead->after_ns),
                              .seq_large = seq_before(ahead, ahead->after_ns * AHEAD_LARGE_AFTER)};
        enum hif_err err;

        ahead->left = true;
        due_in(ahead, ahead->after_ns / 2);
        err = run(&round, why);
        free(round.changes);
        vfs_settled_free(&round.settled);
        /* A file that was written, or removed, while it was read. */
        if (err == HIF_EIO && overlay_seq(overlay) != round.seq)
                return HIF_OK;
        return err;
}
