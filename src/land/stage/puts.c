#include "core/layout.h"
#include "land/internal.h"

#include <assert.h>
#include <stdlib.h>

static uint32_t flying_max(const struct puts *puts)
{
        return puts->flying_max > 0 ? puts->flying_max : PUTS_FLYING;
}

static struct puts_batch *batch_at(const struct puts *puts, uint32_t index)
{
        return puts->batches[(puts->first + index) % (PUTS_FLYING + 1)];
}

/* The one that is being filled, after those in flight. */
static struct puts_batch *open_batch(struct puts *puts)
{
        uint32_t index = (puts->first + puts->flying) % (PUTS_FLYING + 1);

        if (!puts->batches[index])
                puts->batches[index] = calloc(1, sizeof(*puts->batches[index]));
        return puts->batches[index];
}

static void batch_drop(struct puts_batch *batch)
{
        for (size_t i = 0; i < batch->count; i++)
                buf_free(&batch->items[i].body);
        batch->count = batch->bytes = 0;
}

static void request(const struct puts_batch *batch, size_t item, struct store_req *req)
{
        *req = (struct store_req){.op = STORE_PUT,
                                  .key = batch->items[item].key.text,
                                  .body = buf_span(&batch->items[item].body)};
}

/* Drop from the list what need not be sent: nothing, but for the mistake that tests make. */
static void drop_existing(const struct puts *puts, struct puts_batch *batch)
{
        size_t kept = 0;

        for (size_t i = 0; LAND_MUTATION == MUTATE_SKIP_EXISTING && i < batch->count; i++) {
                struct store_req req = {.op = STORE_HEAD, .key = batch->items[i].key.text};

                store_run(puts->project->store, &req, 1);
                if (req.result == HIF_OK)
                        buf_free(&batch->items[i].body);
                else
                        batch->items[kept++] = batch->items[i];
                store_req_free(&req);
        }
        if (LAND_MUTATION == MUTATE_SKIP_EXISTING)
                batch->count = kept;
}

/* --- answers --- */

static bool is_doubtful(enum hif_err result)
{
        return result == HIF_EUNKNOWN || result == HIF_EUNREACHABLE;
}

/* Send the doubtful ones again. */
static void repeat(struct puts *puts, struct puts_batch *batch)
{
        AUTO_FREE struct store_req *reqs = calloc(batch->count, sizeof(*reqs));
        size_t n = 0;

        if (!reqs)
                return; /* in doubt still */
        for (size_t i = 0; i < batch->count; i++)
                if (is_doubtful(batch->reqs[i].result))
                        request(batch, i, &reqs[n++]);
        store_run(puts->project->store, reqs, n);
        n = 0;
        for (size_t i = 0; i < batch->count; i++)
                if (is_doubtful(batch->reqs[i].result))
                        batch->reqs[i].result = reqs[n++].result;
        for (size_t i = 0; i < n; i++)
                store_req_free(&reqs[i]);
}

/* HIF_OK; HIF_EUNREACHABLE: some are in doubt, and a repeat may settle them; others: refused. */
static enum hif_err verdict(const struct puts *puts, const struct puts_batch *batch,
                            struct hif_why *why)
{
        const struct store_req *doubtful = NULL;

        for (size_t i = 0; i < batch->count; i++) {
                const struct store_req *req = &batch->reqs[i];

                if (is_doubtful(req->result))
                        doubtful = req;
                else if (req->result != HIF_OK)
                        return object_why(puts->project, req->result, "write",
                                          batch->items[i].key.text, why);
        }
        return doubtful ? object_why(puts->project, HIF_EUNREACHABLE, "write", doubtful->key, why)
                        : HIF_OK;
}

static enum hif_err stored(struct puts *puts, struct puts_batch *batch, struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < batch->count; i++) {
                const struct puts_item *item = &batch->items[i];

                puts->objects_put++;
                puts->bytes_put += item->body.size;
                if (puts->known && !known_add(puts->known, KNOWN_OBJECT, &item->hash))
                        return why_set(why, HIF_ENOMEM, "out of memory");
                for (struct known *known = item->stored; puts->journal && known;
                     known = known->then)
                        journal_add(puts->journal, known);
        }
        if (puts->journal)
                err = journal_flush(puts->journal);
        if (err != HIF_OK)
                return why_set(why, err, "cannot write the journal of this landing: %s",
                               hif_strerror(err));
        return HIF_OK;
}

/* --- flights --- */

static void take_off(struct puts *puts, struct puts_batch *batch)
{
        for (size_t i = 0; i < batch->count; i++)
                request(batch, i, &batch->reqs[i]);
        batch->sent_ns = env_mono_ns(puts->project->env);
        store_batch_start(puts->project->store, &batch->flight, batch->reqs, batch->count);
        puts->flying++;
}

/* Wait for the oldest. */
static struct puts_batch *come_down(struct puts *puts)
{
        struct puts_batch *batch = batch_at(puts, 0);

        store_batch_wait(puts->project->store, &batch->flight, batch->reqs, batch->count);
        for (size_t i = 0; i < batch->count; i++)
                store_req_free(&batch->reqs[i]);
        puts->first = (puts->first + 1) % (PUTS_FLYING + 1);
        puts->flying--;
        return batch;
}

static bool cancelled(const struct puts *puts)
{
        return puts->hooks && puts->hooks->cancelled && puts->hooks->cancelled(puts->hooks);
}

static enum hif_err settle_oldest(struct puts *puts, struct hif_why *why)
{
        struct puts_batch *batch = come_down(puts);
        enum hif_err err = verdict(puts, batch, why);

        for (uint32_t i = 1; i < PUT_REPEATS && err == HIF_EUNREACHABLE && !cancelled(puts) &&
                             !store_was_patient(puts->project->env, batch->sent_ns);
             i++) {
                land_pause(puts->project->env, puts->hooks, puts->project->store->local, i);
                repeat(puts, batch);
                err = verdict(puts, batch, why);
        }
        if (err == HIF_OK)
                err = stored(puts, batch, why);
        batch_drop(batch);
        return err;
}

/* Send the open batch off, making room for it first. */
static enum hif_err send(struct puts *puts, struct hif_why *why)
{
        struct puts_batch *batch = open_batch(puts);
        enum hif_err err = HIF_OK;

        while (err == HIF_OK && puts->flying >= flying_max(puts))
                err = settle_oldest(puts, why);
        if (err != HIF_OK)
                return err;
        drop_existing(puts, batch);
        if (batch->count > 0)
                take_off(puts, batch);
        return HIF_OK;
}

enum hif_err puts_add(struct puts *puts, const struct layout_key *key, const struct hif_hash *hash,
                      struct buf *body, struct known *stored, struct hif_why *why)
{
        struct puts_batch *batch = open_batch(puts);
        struct puts_item *item;

        if (buf_failed(body) || !batch) {
                buf_free(body);
                return why_set(why, HIF_ENOMEM, "out of memory");
        }
        assert(batch->count < PUTS_BATCH);
        item = &batch->items[batch->count++];
        *item = (struct puts_item){.key = *key, .hash = *hash, .body = *body, .stored = stored};
        *body = (struct buf){0};
        batch->bytes += item->body.size;
        if (batch->count == PUTS_BATCH || batch->count == puts->batch_max ||
            batch->bytes >= PUTS_BYTES)
                return send(puts, why);
        return HIF_OK;
}

enum hif_err puts_send(struct puts *puts, struct hif_why *why)
{
        struct puts_batch *batch = open_batch(puts);

        if (!batch)
                return why_set(why, HIF_ENOMEM, "out of memory");
        return batch->count > 0 ? send(puts, why) : HIF_OK;
}

enum hif_err puts_flush(struct puts *puts, struct hif_why *why)
{
        enum hif_err err = puts_send(puts, why);

        while (err == HIF_OK && puts->flying > 0)
                err = settle_oldest(puts, why);
        return err;
}

void puts_free(struct puts *puts)
{
        while (puts->flying > 0) {
                struct puts_batch *batch = come_down(puts);
                struct hif_why ignored;

                if (verdict(puts, batch, &ignored) == HIF_OK &&
                    stored(puts, batch, &ignored) != HIF_OK)
                        puts->journal = NULL; /* what it lacks is stored again */
                batch_drop(batch);
        }
        for (size_t i = 0; i < PUTS_FLYING + 1; i++) {
                if (puts->batches[i])
                        batch_drop(puts->batches[i]);
                free(puts->batches[i]);
                puts->batches[i] = NULL;
        }
}
