/* The tail is a slot that was read and verified, and whose successor is not there. Positions are
 * dense, so "is there" falls from true to false once: gallop, then bisect, several probes a trip.
 */
#include "core/layout.h"
#include "land/internal.h"

#include <assert.h>
#include <inttypes.h>

#define PROBES 4u

/* What was found under the key "head". */
struct head_read {
        bool known;  /* the read gave a definite answer */
        bool absent; /* ... which is that there is none */
        bool valid;  /* 48 bytes of ours */
        struct head head;
        struct store_tag tag;
};

static void head_accept(const struct store_req *req, struct head_read *out)
{
        *out = (struct head_read){.known = req->result == HIF_OK || req->result == HIF_ENOENT,
                                  .absent = req->result == HIF_ENOENT,
                                  .tag = req->tag};
        if (req->result == HIF_OK)
                out->valid = head_get(buf_span(&req->data), &out->head) == HIF_OK;
}

static void head_write(const struct project *project, const struct slot *slot,
                       const struct head_read *seen)
{
        struct layout_key key = layout_head(&project->layout);
        struct head head = {.position = slot->position, .tree = slot->tree, .hlc = slot->hlc};
        AUTO_BUF struct buf body = {0};

        head_put(&body, &head);
        if (buf_failed(&body))
                return;
        struct store_req req = {.op = seen->absent ? STORE_PUT_NEW : STORE_PUT_MATCH,
                                .key = key.text,
                                .body = buf_span(&body),
                                .match = seen->tag};
        store_run(project->store, &req, 1);
        store_req_free(&req);
}

enum hif_err project_advance_head(const struct project *project, const struct slot *slot)
{
        /* Losing means that someone wrote it meanwhile: most often further than we would. */
        for (int i = 0; i < 2; i++) {
                struct layout_key key = layout_head(&project->layout);
                struct store_req req = {.op = STORE_GET, .key = key.text};
                struct head_read seen;

                store_run(project->store, &req, 1);
                head_accept(&req, &seen);
                store_req_free(&req);
                if (!seen.known)
                        return req.result;
                if (seen.valid && seen.head.position >= slot->position)
                        return HIF_OK;
                head_write(project, slot, &seen);
        }
        return HIF_OK;
}

/* Two neighbouring slots in one trip; the second only as "is it there". */
static enum hif_err pair_read(const struct project *project, uint64_t position,
                              struct slot_read *out, bool *there, bool *next_there,
                              struct head_read *head, struct hif_why *why)
{
        struct layout_key slot = layout_slot(&project->layout, position);
        struct layout_key next = layout_slot(&project->layout, position + 1);
        struct layout_key head_key = layout_head(&project->layout);
        /* A base must not vanish in a power cut: its name has to be on disk, whoever wrote it. */
        struct store_req reqs[3] = {{.op = STORE_GET, .key = slot.text, .settled = true},
                                    {.op = STORE_HEAD, .key = next.text},
                                    {.op = STORE_GET, .key = head_key.text}};
        enum hif_err err = HIF_OK;

        memset(out, 0, sizeof(*out));
        store_run(project->store, reqs, head ? 3 : 2);
        *there = reqs[0].result == HIF_OK;
        *next_there = reqs[1].result == HIF_OK;
        if (reqs[0].result == HIF_OK)
                err = slot_accept(project, position, &reqs[0].data, out, why);
        else if (reqs[0].result != HIF_ENOENT)
                err = object_why(project, reqs[0].result, "read", slot.text, why);
        if (err == HIF_OK && reqs[1].result != HIF_OK && reqs[1].result != HIF_ENOENT)
                err = object_why(project, reqs[1].result, "read", next.text, why);
        if (head)
                head_accept(&reqs[2], head);
        for (int i = 0; i < (head ? 3 : 2); i++)
                store_req_free(&reqs[i]);
        if (err != HIF_OK)
                slot_read_free(out);
        return err;
}

/* Narrow (low, high) - low exists, high does not - by what is at `count` positions between. */
static enum hif_err probe(const struct project *project, const uint64_t at[], size_t count,
                          uint64_t *low, uint64_t *high, struct hif_why *why)
{
        struct store_req reqs[PROBES] = {0};
        struct layout_key keys[PROBES];
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < count; i++) {
                keys[i] = layout_slot(&project->layout, at[i]);
                reqs[i].op = STORE_HEAD;
                reqs[i].key = keys[i].text;
        }
        store_run(project->store, reqs, count);
        for (size_t i = 0; i < count; i++) {
                /* A landing may arrive between two probes, so believe what is there over what was
                 * not, and read on from the highest. */
                if (reqs[i].result == HIF_OK && at[i] > *low)
                        *low = at[i];
                else if (reqs[i].result != HIF_OK && reqs[i].result != HIF_ENOENT)
                        err = object_why(project, reqs[i].result, "read", keys[i].text, why);
        }
        for (size_t i = 0; i < count; i++)
                if (reqs[i].result == HIF_ENOENT && at[i] > *low && at[i] < *high)
                        *high = at[i];
        for (size_t i = 0; i < count; i++)
                store_req_free(&reqs[i]);
        return err;
}

/* The highest position, from `low` on, that exists. */
static enum hif_err gallop(const struct project *project, uint64_t low, uint64_t *out,
                           struct hif_why *why)
{
        uint64_t high = UINT64_MAX;
        uint64_t step = 1;
        enum hif_err err = HIF_OK;

        while (err == HIF_OK && high == UINT64_MAX && low < UINT64_MAX >> 1) {
                uint64_t at[PROBES];

                for (size_t i = 0; i < PROBES; i++, step *= 2)
                        at[i] = low + step;
                err = probe(project, at, PROBES, &low, &high, why);
        }
        while (err == HIF_OK && high > low + 1) {
                uint64_t at[PROBES];
                uint64_t gap = high - low;
                size_t count = 0;

                for (uint64_t i = 1; i <= PROBES; i++) {
                        uint64_t position = low + (gap <= PROBES ? i : gap / (PROBES + 1) * i);

                        if (position > low && position < high &&
                            (count == 0 || position > at[count - 1]))
                                at[count++] = position;
                }
                err = probe(project, at, count, &low, &high, why);
        }
        *out = low;
        return err;
}

/* Read the slot at *position as the tail; gallop on while something lies beyond. `tail` holds the
 * slot already when have is set. */
static enum hif_err settle(const struct project *project, uint64_t position, bool have,
                           bool next_there, struct slot_read *tail, struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        while (err == HIF_OK && (!have || next_there)) {
                bool there;

                if (have) {
                        err = gallop(project, position + 1, &position, why);
                        slot_read_free(tail);
                        have = false;
                }
                if (err == HIF_OK)
                        err = pair_read(project, position, tail, &there, &next_there, NULL, why);
                if (err == HIF_OK && !there)
                        err = why_set(why, HIF_ECORRUPT, "@%" PRIu64 " vanished from %s", position,
                                      store_url(project->store));
                have = err == HIF_OK;
        }
        return err;
}

/* Try head as a starting point beyond `position`: it counts only if its slot exists with that tree.
 * Then `tail` is that slot. */
static enum hif_err follow_head(const struct project *project, const struct head_read *head,
                                uint64_t *position, bool *next_there, struct slot_read *tail,
                                bool *counts, struct hif_why *why)
{
        struct slot_read read;
        bool there, beyond;
        enum hif_err err;

        *counts = false;
        if (LAND_MUTATION == MUTATE_TRUST_HEAD) {
                *position = tail->slot.position = head->head.position;
                tail->slot.tree = head->head.tree;
                *next_there = false;
                *counts = true;
                return HIF_OK;
        }
        if (head->head.position >= UINT64_MAX >> 1)
                return HIF_OK;
        err = pair_read(project, head->head.position, &read, &there, &beyond, NULL, why);
        if (err != HIF_OK || !there)
                return err;
        if (!hash_eq(&read.slot.tree, &head->head.tree)) {
                slot_read_free(&read);
                return HIF_OK;
        }
        *counts = true;
        *position = head->head.position;
        *next_there = beyond;
        slot_read_free(tail);
        *tail = read;
        return HIF_OK;
}

/* Copy what the caller wants of the slot that it started from. */
static enum hif_err keep_base(const struct project *project, const struct slot_read *read,
                              struct slot_read *base, struct hif_why *why)
{
        AUTO_BUF struct buf stored = {0};

        buf_put_span(&stored, buf_span(&read->stored));
        if (buf_failed(&stored))
                return why_set(why, HIF_ENOMEM, "out of memory");
        return slot_accept(project, read->slot.position, &stored, base, why);
}

enum hif_err tail_read(const struct project *project, uint64_t known, struct slot_read *base,
                       struct slot_read *out, struct hif_why *why)
{
        struct slot_read tail = {0}, first = {0};
        struct head_read head;
        uint64_t position = known;
        bool there, next_there, counts = true;
        enum hif_err err = pair_read(project, known, &tail, &there, &next_there, &head, why);

        if (err != HIF_OK)
                return err;
        if (!there)
                return slot_lost(project, known, why);
        if (base)
                err = keep_base(project, &tail, &first, why);
        if (err == HIF_OK && head.valid && head.head.position > known)
                err = follow_head(project, &head, &position, &next_there, &tail, &counts, why);
        if (err == HIF_OK)
                err = settle(project, position, true, next_there, &tail, why);
        if (err != HIF_OK) {
                slot_read_free(&tail);
                slot_read_free(&first);
                return err;
        }
        /* Whoever finds head behind, or naming what is not there, helps. */
        if (head.known && (!head.valid || !counts || head.head.position < tail.slot.position))
                head_write(project, &tail.slot, &head);
        if (base)
                *base = first;
        *out = tail;
        return HIF_OK;
}

enum hif_err project_tail(const struct project *project, uint64_t known, struct slot_read *out,
                          struct hif_why *why)
{
        return tail_read(project, known, NULL, out, why);
}

enum hif_err tail_follow(const struct project *project, struct slot_read *tail, struct hif_why *why)
{
        uint64_t position = tail->slot.position;
        struct layout_key next = layout_slot(&project->layout, position + 1);
        struct store_req req = {.op = STORE_HEAD, .key = next.text};
        enum hif_err err;

        store_run(project->store, &req, 1);
        store_req_free(&req);
        if (req.result == HIF_OK || req.result == HIF_ENOENT)
                err = settle(project, position, true, req.result == HIF_OK, tail, why);
        else
                err = object_why(project, req.result, "read", next.text, why);
        if (err != HIF_OK)
                slot_read_free(tail);
        return err;
}
