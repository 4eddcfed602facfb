/* oplog_salvage.c - the records that can be read out of a log that may be damaged. What cannot be is
 * told, and what comes after it is taken without it. */
#include "overlay/oplog_files.h"

#include "overlay/record.h"

#include <stdlib.h>

struct salvage {
        struct oplog *log;
        struct oplog_scan *scan;
        struct damage *damage;
        oplog_each each;
        void *arg;
        const struct found *seg;
        bool seen; /* a record: a log without a database may begin anywhere */
        bool cut;
        uint64_t next;
};

/* Records (from, to) are not there. */
static void tell_gap(struct salvage *salvage, uint64_t to)
{
        const struct found *seg = salvage->seg;
        unsigned long long from = salvage->next;

        if (to <= salvage->next)
                return;
        damage_add(
            salvage->damage,
            "log/%08x-%08llx.log: records %llu to %llu before it cannot be read: the changes "
            "of that moment are lost, and what came later is taken without them",
            seg->generation, (unsigned long long)seg->number, from, (unsigned long long)to - 1);
}

static enum hif_err salvage_record(void *arg, uint64_t seq, struct span body)
{
        struct salvage *salvage = arg;
        enum hif_err err;

        /* As in any recovery: content that was not synced when the machine stopped. */
        if (!salvage->seg->same_boot && seq > salvage->scan->marked && record_has_extents(body)) {
                salvage->cut = true;
                return HIF_ECANCELED;
        }
        if (salvage->seen)
                tell_gap(salvage, seq);
        salvage->seen = true;
        salvage->next = seq + 1;
        salvage->scan->rebooted = !salvage->seg->same_boot;
        err = salvage->each(salvage->arg, seq, body);
        if (err == HIF_ECORRUPT || err == HIF_EUNSUPPORTED) {
                damage_add(salvage->damage,
                           "log/%08x-%08llx.log: record %llu says something that is not understood",
                           salvage->seg->generation, (unsigned long long)salvage->seg->number,
                           (unsigned long long)seq);
                err = HIF_OK;
        }
        return err;
}

/* Stretch by stretch of valid records. */
static enum hif_err salvage_segment(struct salvage *salvage, const struct buf *bytes)
{
        const struct found *seg = salvage->seg;
        struct span all = buf_span(bytes);
        size_t at = OPLOG_HEADER_SIZE, pos = at;
        enum hif_err err = HIF_OK;

        while (err == HIF_OK && !salvage->cut) {
                /* From a record's place on, a segment looks like one that begins there. */
                size_t skip = at - OPLOG_HEADER_SIZE;
                struct span rest = span_of(all.data + skip, all.size - skip);
                uint64_t first;

                if (rest.size < OPLOG_HEADER_SIZE + OPLOG_RECORD_HEADER)
                        return HIF_OK;
                first = be64_get(rest.data + OPLOG_HEADER_SIZE + 8);
                err = oplog_records(rest, first, seg->salt, &salvage->next, &pos, salvage_record,
                                    salvage);
                at = oplog_seek(all, skip + pos, all.size, seg->salt, salvage->next - 1);
                if (at >= all.size)
                        return err;
        }
        return err;
}

static enum hif_err salvage_file(struct salvage *salvage, const struct found *seg)
{
        struct buf bytes = {0};
        enum hif_err err =
            oplog_seg_read(salvage->log, seg->generation, seg->number, SEGMENT_FILE_MAX, &bytes);

        salvage->seg = seg;
        if (err == HIF_OK && bytes.size > OPLOG_HEADER_SIZE)
                err = salvage_segment(salvage, &bytes);
        else if (err != HIF_OK && err != HIF_ENOMEM) {
                damage_add(salvage->damage, "log/%08x-%08llx.log cannot be read: %s",
                           seg->generation, (unsigned long long)seg->number, hif_strerror(err));
                err = HIF_OK;
        }
        buf_free(&bytes);
        return err;
}

/* A header that is damaged may still tell the salt, without which no record can be checked. One
 * without any record was being made. */
static enum hif_err try_header(struct salvage *salvage, struct found *seg)
{
        struct buf bytes = {0};
        enum hif_err err =
            oplog_seg_read(salvage->log, seg->generation, seg->number, SEGMENT_FILE_MAX, &bytes);
        size_t first;

        if (err == HIF_OK && bytes.size >= OPLOG_HEADER_SIZE) {
                seg->salt = be64_get(bytes.data + 32);
                first = oplog_seek(buf_span(&bytes), OPLOG_HEADER_SIZE, bytes.size, seg->salt, 0);
                if (first < bytes.size) {
                        seg->valid = true;
                        seg->same_boot = true; /* what was synced is not known: all of it counts */
                        seg->first_seq = be64_get(bytes.data + first + 8);
                        damage_add(salvage->damage, "log/%08x-%08llx.log: its header is damaged",
                                   seg->generation, (unsigned long long)seg->number);
                }
        }
        buf_free(&bytes);
        return err == HIF_ENOMEM ? err : HIF_OK;
}

/* Without a database there is no generation to start from: the highest one that has a whole header,
 * or any. */
static void choose_any(struct oplog *log, struct found_list *found)
{
        uint32_t chosen = found->count > 0 ? found->list[found->count - 1].generation : 0;

        for (size_t i = 0; i < found->count; i++)
                if (found->list[i].valid)
                        chosen = found->list[i].generation;
        oplog_choose(log, found, chosen);
}

enum hif_err oplog_salvage(struct oplog *log, bool folded, uint32_t generation, uint64_t after,
                           oplog_each each, void *arg, struct oplog_scan *out,
                           struct damage *damage)
{
        struct salvage salvage = {.log = log,
                                  .scan = out,
                                  .damage = damage,
                                  .each = each,
                                  .arg = arg,
                                  .seen = folded,
                                  .next = after + 1};
        struct found_list found = {0};
        enum hif_err err = oplog_find(log, &found);

        if (err == HIF_ENOMEM) {
                free(found.list);
                return err;
        }
        if (err != HIF_OK)
                damage_add(damage, "log: the directory cannot be read: %s", hif_strerror(err));
        for (size_t i = 0; i < found.count; i++) {
                enum hif_err tried = found.list[i].read == HIF_EUNSUPPORTED ? HIF_EUNSUPPORTED
                                     : found.list[i].valid                  ? HIF_OK
                                                           : try_header(&salvage, &found.list[i]);

                if (tried == HIF_ENOMEM || tried == HIF_EUNSUPPORTED) {
                        free(found.list);
                        return tried;
                }
        }
        if (folded)
                oplog_choose(log, &found, generation);
        else
                choose_any(log, &found);
        oplog_marks(&found, after, out);
        if (oplog_misses(log, &found))
                damage_add(damage,
                           "log/%08x-%08llx.log, the newest segment, is missing or has no header: "
                           "the last changes are lost",
                           log->witness->generation, (unsigned long long)log->witness->number);
        if (found.kept > 0 && folded && log->generation > generation &&
            after + 1 < found.list[0].first_seq)
                salvage.next = found.list[0].first_seq;
        err = HIF_OK;
        for (size_t i = 0; i < found.kept && err == HIF_OK && !salvage.cut; i++)
                err = salvage_file(&salvage, &found.list[i]);
        free(found.list);
        out->last_seq = salvage.next - 1;
        out->cut = salvage.cut;
        if (err == HIF_OK && salvage.next <= out->durable)
                damage_add(damage,
                           "log: records %llu to %llu, which were on the disk, cannot be read: the "
                           "last changes are lost",
                           (unsigned long long)salvage.next, (unsigned long long)out->durable);
        return err;
}
