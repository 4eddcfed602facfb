/* oplog_read.c - what of the log counts after its process or its machine died. */
#include "overlay/oplog_files.h"

#include "overlay/record.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/* --- recovery --- */

struct recovery {
        struct oplog *log;
        oplog_each each;
        void *arg;
        struct oplog_scan *scan;
        const struct found *seg;
        bool cut; /* a record that must not count was met */
};

static enum hif_err recover_record(void *arg, uint64_t seq, struct span body)
{
        struct recovery *recovery = arg;

        if (!recovery->seg->same_boot && seq > recovery->scan->marked && record_has_extents(body)) {
                recovery->cut = true;
                return HIF_ECANCELED;
        }
        recovery->scan->rebooted = !recovery->seg->same_boot;
        return recovery->each(recovery->arg, seq, body);
}

static enum hif_err list_segment(struct oplog *log, const struct found *seg, uint64_t last_seq,
                                 size_t size)
{
        struct oseg *oseg = calloc(1, sizeof(*oseg)), **link = &log->oldest;

        if (oseg == NULL)
                return HIF_ENOMEM;
        oseg->number = seg->number;
        oseg->generation = seg->generation;
        oseg->first_seq = seg->first_seq;
        oseg->last_seq = last_seq;
        oseg->salt = seg->salt;
        oseg->size = size;
        oseg->pos = seg->end;
        oseg->fd = -1;
        oseg->sealed = true;
        oseg->unsynced = seg->settle;
        log->bytes += size;
        while (*link != NULL)
                link = &(*link)->next;
        *link = oseg;
        return HIF_OK;
}

/* Within one boot nothing that was stored before can be missing: a record that is not valid is the
 * end only if none follows. (Where nothing was stored at all, and nothing is missing of what was
 * synced, what follows was not read.) */
static bool is_damaged(const struct found *seg, const struct seg_bytes *bytes, uint64_t next)
{
        struct span all = seg_bytes_span(bytes);

        return seg->same_boot && oplog_seek(all, seg->end, bytes->used, seg->salt, next) < all.size;
}

/* The record that is known to be in segment i, if all is well. */
static uint64_t last_of(const struct found_list *found, size_t i, uint64_t durable)
{
        return i + 1 < found->kept ? found->list[i + 1].first_seq - 1 : durable;
}

/* A segment was allocated at once and may have been used but a little: zeros are not read, unless
 * what comes before them is not what has to be there. */
static enum hif_err recover_segment(struct recovery *recovery, struct found *seg, uint64_t last,
                                    uint64_t *next, struct seg_bytes *bytes)
{
        bool whole = false;
        enum hif_err err;

        do {
                err = oplog_seg_load(recovery->log, seg->generation, seg->number, whole, bytes);
                if (err == HIF_OK)
                        err = oplog_records(seg_bytes_span(bytes), seg->first_seq, seg->salt, next,
                                            &seg->end, recover_record, recovery);
                whole = bytes->loaded < bytes->size && !recovery->cut &&
                        (*next <= last || seg_is_open(bytes, seg->end));
        } while (err == HIF_OK && whole);
        return err;
}

static enum hif_err recover_segments(struct recovery *recovery, struct found_list *found,
                                     uint64_t after, struct hif_why *why)
{
        struct oplog *log = recovery->log;
        struct oplog_scan *scan = recovery->scan;
        struct seg_bytes bytes = {0};
        uint64_t next = after + 1;
        enum hif_err err = HIF_OK;
        size_t i = 0;

        for (; i < found->kept && err == HIF_OK; i++) {
                struct found *seg = &found->list[i];

                if (i + 1 < found->kept && seg[1].first_seq <= next && seg[1].first_seq > 0) {
                        seg->drop = true;
                        continue;
                }
                if (seg->first_seq > next)
                        break;
                recovery->seg = seg;
                err =
                    recover_segment(recovery, seg, last_of(found, i, scan->durable), &next, &bytes);
                if (err == HIF_OK && !recovery->cut && is_damaged(seg, &bytes, next))
                        scan->durable = next; /* at least: what follows it is there */
                seg->cut = recovery->cut;
                seg->settle = recovery->cut || next - 1 > scan->durable;
                if (err == HIF_OK)
                        err = list_segment(log, seg, next - 1, bytes.size);
                if (recovery->cut) {
                        i++;
                        break;
                }
        }
        seg_bytes_free(&bytes);
        scan->last_seq = next - 1;
        scan->cut = recovery->cut || i < found->kept;
        if (hif_err_is_full(err))
                return why_set(why, err,
                               "there is no room for what %s holds in its log since the machine "
                               "stopped: %s; free some space and try again",
                               log->dir, hif_strerror(err));
        if (err != HIF_OK)
                return why_set(why, err, "cannot read the log in %s at record %llu: %s", log->dir,
                               (unsigned long long)next, hif_strerror(err));
        if (next <= scan->durable)
                return why_set(why, HIF_ECORRUPT,
                               "the log in %s is damaged: record %llu of at least %llu cannot be "
                               "read",
                               log->dir, (unsigned long long)next,
                               (unsigned long long)scan->durable);
        for (; i < found->count; i++)
                found->list[i].drop = true;
        return HIF_OK;
}

/* --- what recovery changes: only after all of it was read, so that damage is left as it is --- */

/* End the segment here for good, and make sure of what stands before. */
static enum hif_err seg_settle(struct oplog *log, const struct found *seg)
{
        static const uint8_t zeros[OPLOG_RECORD_HEADER];
        int fd = -1;
        enum hif_err err = oplog_seg_open(log, seg->generation, seg->number, O_RDWR, &fd);

        if (err != HIF_OK)
                return err;
        if (seg->cut)
                err = env_write_all(log->env, fd, zeros, sizeof(zeros), seg->end);
        if (err == HIF_OK)
                err = log->env->ops->fdatasync(log->env, fd);
        log->env->ops->close(log->env, fd);
        return err;
}

/* The witness is told first: what it names is missed when it is gone. */
static enum hif_err drop_segments(struct oplog *log, const struct found_list *found,
                                  uint64_t folded)
{
        enum hif_err err = HIF_OK;
        uint64_t highest = 0;
        bool any = false;

        for (size_t i = 0; i < found->count; i++) {
                any |= found->list[i].drop;
                if (found->list[i].drop && found->list[i].number > highest)
                        highest = found->list[i].number;
        }
        if (any)
                err = witness_removing(log->witness, highest, folded);
        for (size_t i = 0; i < found->count && err == HIF_OK; i++) {
                const struct found *seg = &found->list[i];
                char path[OPLOG_PATH_MAX];

                if (!seg->drop)
                        continue;
                err = oplog_path(log, seg->generation, seg->number, path);
                if (err == HIF_OK)
                        err = log->env->ops->unlink(log->env, path);
                log->dir_dirty = true;
        }
        return err;
}

/* Where nothing is cut off or removed, nothing has to be on disk yet: the first sync sees to it. */
static enum hif_err tidy(struct oplog *log, const struct found_list *found, uint64_t folded,
                         struct hif_why *why)
{
        char path[OPLOG_PATH_MAX];
        enum hif_err err = HIF_OK;
        bool changes = false;

        for (size_t i = 0; i < found->count; i++)
                changes |= found->list[i].drop || found->list[i].cut;

        for (size_t i = 0; i < found->kept && err == HIF_OK; i++)
                if (found->list[i].settle && changes)
                        err = seg_settle(log, &found->list[i]);
        if (err == HIF_OK && changes && log->secure != NULL)
                err = log->secure(log->secure_arg);
        if (err == HIF_OK)
                err = drop_segments(log, found, folded);
        if (err == HIF_OK && log->dir_dirty) {
                err = oplog_dir(log, path);
                if (err == HIF_OK)
                        err = env_sync_dir(log->env, path);
                log->dir_dirty = false;
        }
        return err == HIF_OK ? err
                             : why_set(why, err, "cannot write to the log in %s: %s", log->dir,
                                       hif_strerror(err));
}

enum hif_err oplog_recover(struct oplog *log, uint32_t generation, uint64_t after, oplog_each each,
                           void *arg, struct oplog_scan *out, struct hif_why *why)
{
        struct recovery recovery = {.log = log, .each = each, .arg = arg, .scan = out};
        struct found_list found = {0};
        uint64_t folded = after;
        enum hif_err err = oplog_find(log, &found);

        for (size_t i = 0; i < found.count && err == HIF_OK; i++)
                err = found.list[i].read;
        if (err == HIF_OK)
                oplog_choose(log, &found, generation);
        if (err != HIF_OK) {
                free(found.list);
                return why_set(why, err, "cannot read the log in %s: %s", log->dir,
                               hif_strerror(err));
        }
        oplog_marks(&found, after, out);
        /* A log written from memory starts anew, wherever the one before it was folded to. */
        if (found.kept > 0 && log->generation > generation && after + 1 < found.list[0].first_seq)
                after = found.list[0].first_seq - 1;
        if (oplog_misses(log, &found))
                err = why_set(why, HIF_ECORRUPT,
                              "the log in %s is damaged: its newest segment, log/%08x-%08llx.log, "
                              "is missing or cannot be read",
                              log->dir, log->witness->generation,
                              (unsigned long long)log->witness->number);
        if (err == HIF_OK)
                err = recover_segments(&recovery, &found, after, why);
        if (err == HIF_OK)
                err = tidy(log, &found, folded, why);
        free(found.list);
        return err;
}

/* --- folding --- */

struct window {
        uint64_t upto;
        oplog_each each;
        void *arg;
};

static enum hif_err window_record(void *arg, uint64_t seq, struct span body)
{
        struct window *window = arg;

        return seq > window->upto ? HIF_ECANCELED : window->each(window->arg, seq, body);
}

enum hif_err oplog_read(struct oplog *log, const struct oseg *seg, uint64_t after, uint64_t upto,
                        oplog_each each, void *arg)
{
        struct window window = {.upto = upto, .each = each, .arg = arg};
        struct seg_bytes bytes = {0};
        uint64_t next = after + 1;
        size_t pos;
        enum hif_err err = oplog_seg_load(log, seg->generation, seg->number, true, &bytes);

        if (err == HIF_OK)
                err = oplog_records(seg_bytes_span(&bytes), seg->first_seq, seg->salt, &next, &pos,
                                    window_record, &window);
        seg_bytes_free(&bytes);
        if (err == HIF_OK && next <= seg->last_seq && next <= upto)
                return HIF_ECORRUPT;
        return err;
}
