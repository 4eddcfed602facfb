/* All positions in order, a window of slots at a time: the slots together, then all tree nodes that
 * they list together, so that what follows finds them in memory. */
#include "check/internal.h"

#include <assert.h>
#include <inttypes.h>

#define AHEAD_NODES 4096u /* of one window, read before they are asked for */

struct history {
        struct check *c;
        struct before before;
        struct slot_view *views; /* WINDOW_SLOTS */
        uint64_t done, total;
        struct slot_read last; /* the newest that was read */
        bool have_last;
};

static void view_free(struct slot_view *view)
{
        if (view->have)
                slot_read_free(&view->read);
        *view = (struct slot_view){0};
}

/* --- gaps --- */

/* Positions [first, last] were not listed although later ones were. One look more: the list is a
 * moment old. */
static enum hif_err gap(struct check *c, uint64_t first, uint64_t last)
{
        struct layout_key key = layout_slot(&c->project.layout, first);
        struct store_req req = {.op = STORE_HEAD, .key = key.text};
        struct check_finding finding = {.kind = CHECK_SLOT_MISSING,
                                        .key = key.text,
                                        .at = true,
                                        .first = first,
                                        .last = last,
                                        .count = last - first + 1};
        enum hif_err err = run_requests(c, &req, 1);

        if (err == HIF_OK && answer_of(&req) == ANSWER_NONE)
                not_checked(c, req.result, key.text, "cannot be asked for");
        if (err == HIF_OK && answer_of(&req) == ANSWER_ABSENT) {
                found(c, &finding);
                for (uint64_t at = first; at <= last && at - first < OTHERS_MAX; at++)
                        other_add(c, layout_slot(&c->project.layout, at).text, HASH_SLOT, NULL, at);
        }
        store_req_free(&req);
        return err;
}

/* --- reading --- */

static void slot_bad(struct check *c, uint64_t position, enum hif_err how, const char *key)
{
        if (how == HIF_EUNSUPPORTED)
                found_at(c, CHECK_SLOT_UNSUPPORTED, position, key, "");
        else
                found_at(c, CHECK_SLOT_DAMAGED, position, key,
                         "its bytes are no slot of this position, or its checksum is wrong");
}

static enum hif_err take(struct check *c, uint64_t position, struct store_req *req, bool again,
                         struct slot_view *view, bool *once_more)
{
        struct slot_read read = {0};
        enum hif_err err;

        *once_more = false;
        if (answer_of(req) == ANSWER_NONE) {
                not_checked(c, req->result, req->key, "cannot be read");
                return HIF_OK;
        }
        if (answer_of(req) == ANSWER_ABSENT) { /* since it was listed, or it is a broken symlink */
                found_at(c, CHECK_SLOT_MISSING, position, req->key,
                         "it was listed, and is not there");
                return HIF_OK;
        }
        err = slot_get(buf_span(&req->data), position, &read.arena, &read.slot);
        if (err != HIF_OK) {
                arena_free(&read.arena);
                *once_more = again && err == HIF_ECORRUPT;
                if (err != HIF_ENOMEM && !*once_more)
                        slot_bad(c, position, err, req->key);
                return err == HIF_ENOMEM ? err : HIF_OK;
        }
        read.hash = hash_of(HASH_SLOT, buf_span(&req->data));
        read.stored = req->data;
        req->data = (struct buf){0};
        view->read = read;
        view->have = true;
        return HIF_OK;
}

static enum hif_err read_window(struct history *h, uint64_t first, size_t count)
{
        AUTO_FREE struct store_req *reqs = calloc(WINDOW_SLOTS, sizeof(*reqs));
        AUTO_FREE struct layout_key *keys = calloc(WINDOW_SLOTS, sizeof(*keys));
        enum hif_err err;

        if (!reqs || !keys)
                return HIF_ENOMEM;
        assert(count <= WINDOW_SLOTS);
        for (size_t i = 0; i < count; i++) {
                keys[i] = layout_slot(&h->c->project.layout, first + i);
                reqs[i].op = STORE_GET;
                reqs[i].key = keys[i].text;
        }
        err = run_requests(h->c, reqs, count);
        for (size_t i = 0; i < count; i++) {
                bool once_more = false;

                if (err == HIF_OK)
                        err = take(h->c, first + i, &reqs[i], true, &h->views[i], &once_more);
                if (once_more) { /* damaged on the way, perhaps */
                        store_req_free(&reqs[i]);
                        err = get_one(h->c, keys[i].text, 0, &reqs[i]);
                        if (err == HIF_OK)
                                err = take(h->c, first + i, &reqs[i], false, &h->views[i],
                                           &once_more);
                }
                store_req_free(&reqs[i]);
        }
        return err;
}

/* What the slots of a window list, as much as is worth keeping. */
static enum hif_err read_ahead(struct history *h, size_t count)
{
        AUTO_FREE struct hif_hash *wanted = malloc(AHEAD_NODES * sizeof(*wanted));
        size_t n = 0;

        if (!wanted)
                return HIF_ENOMEM;
        for (size_t i = 0; i < count; i++) {
                const struct slot *slot = &h->views[i].read.slot;

                for (uint32_t k = 0; h->views[i].have && slot->objects && k < slot->object_count;
                     k++)
                        if (slot->objects[k].kind == SLOT_NODE && n < AHEAD_NODES)
                                wanted[n++] = slot->objects[k].hash;
        }
        return nodes_prefetch(h->c->nodes, wanted, n);
}

/* --- checking --- */

static enum hif_err check_one(struct history *h, struct slot_view *view)
{
        struct check *c = h->c;
        const struct slot *slot = &view->read.slot;
        enum hif_err err = lists_load(c, view);

        if (err == HIF_OK)
                err = chain_check(c, &h->before, view);
        if (err == HIF_OK)
                err = tree_check(c, view, &h->before);
        if (err == HIF_OK)
                err = sessions_check(c, view);
        if (err != HIF_OK)
                return err;
        c->report->slots++;
        c->have_tree = true;
        c->tree = slot->tree;
        c->report->entries = slot->tree_entries;
        h->before = (struct before){.known = true,
                                    .tree_known = true,
                                    .position = slot->position,
                                    .hash = view->read.hash,
                                    .tree = slot->tree,
                                    .hlc = slot->hlc};
        if (h->have_last)
                slot_read_free(&h->last);
        h->last = view->read;
        h->have_last = true;
        view->have = false;
        return HIF_OK;
}

static enum hif_err check_window(struct history *h, uint64_t first, size_t count)
{
        enum hif_err err = read_window(h, first, count);

        if (err == HIF_OK)
                err = read_ahead(h, count);
        for (size_t i = 0; i < count; i++) {
                if (err == HIF_OK && h->views[i].have)
                        err = check_one(h, &h->views[i]);
                else {
                        h->before.known = false; /* its tree stays the one to compare with */
                        h->c->slots_unread = true;
                }
                view_free(&h->views[i]);
                report_progress(h->c, CHECK_STAGE_HISTORY, ++h->done, h->total);
        }
        return err;
}

/* The tree of the position before the first one that is to be checked, in whole. */
static enum hif_err check_base(struct history *h, uint64_t position)
{
        struct slot_view *view = &h->views[0];
        enum hif_err err = read_window(h, position, 1);

        if (err == HIF_OK && view->have) {
                h->before = (struct before){0};
                err = lists_load(h->c, view);
                if (err == HIF_OK)
                        err = tree_check(h->c, view, &h->before);
                h->before = (struct before){.known = true,
                                            .tree_known = true,
                                            .position = position,
                                            .hash = view->read.hash,
                                            .tree = view->read.slot.tree,
                                            .hlc = view->read.slot.hlc};
        }
        view_free(view);
        return err;
}

static enum hif_err check_ranges(struct history *h)
{
        struct check *c = h->c;
        uint64_t from = c->options->from, next = from;
        enum hif_err err = HIF_OK;

        for (size_t r = 0; r < c->range_count && err == HIF_OK; r++) {
                struct range range = c->ranges[r];

                if (range.last < from)
                        continue;
                if (range.first < next)
                        range.first = next;
                else if (range.first > next)
                        err = gap(c, next, range.first - 1);
                if (range.first > next) {
                        h->before.known = false;
                        c->slots_unread = true;
                }
                for (uint64_t at = range.first; at <= range.last && err == HIF_OK;) {
                        uint64_t left = range.last - at + 1;
                        size_t count = left < WINDOW_SLOTS ? (size_t)left : WINDOW_SLOTS;

                        err = check_window(h, at, count);
                        at += count;
                }
                next = range.last + 1;
        }
        return err;
}

static enum hif_err begin(struct check *c)
{
        uint64_t from = c->options->from;

        if (c->range_count == RANGES_MAX)
                not_checked(c, HIF_ELIMIT, "",
                            "there are more gaps between positions than are "
                            "gone through");
        if (c->range_count == 0)
                return HIF_OK;
        c->report->tail = c->ranges[c->range_count - 1].last;
        c->report->have_tail = true;
        c->report->first = from;
        if (from > c->report->tail)
                return why_set(c->why, HIF_ENOENT,
                               "there is no position @%" PRIu64 " yet: the newest is @%" PRIu64,
                               from, c->report->tail);
        return HIF_OK;
}

static void tell_surplus(struct check *c)
{
        struct check_finding finding = {.kind = CHECK_OBJECT_SURPLUS,
                                        .at = true,
                                        .first = c->surplus_first,
                                        .last = c->surplus_last,
                                        .count = c->surplus_count};

        if (c->surplus_count > 0)
                found(c, &finding);
}

enum hif_err history_check(struct check *c)
{
        struct history h = {.c = c, .views = calloc(WINDOW_SLOTS, sizeof(*h.views))};
        enum hif_err err = h.views ? begin(c) : HIF_ENOMEM;

        for (size_t r = 0; r < c->range_count; r++)
                h.total += c->ranges[r].last - c->ranges[r].first + 1;
        h.total -= h.total > c->options->from ? c->options->from : 0;
        if (err == HIF_OK && c->range_count == 0 && c->inventory.complete)
                found_at(c, CHECK_SLOT_MISSING, 0, layout_slot(&c->project.layout, 0).text,
                         "there is no position at all: the project's creation was interrupted, or "
                         "its log was lost");
        if (err == HIF_OK && c->options->from > 0)
                err = check_base(&h, c->options->from - 1);
        if (err == HIF_OK)
                err = check_ranges(&h);
        /* A stray slot far beyond the others is none of this history's. */
        if (h.have_last)
                c->report->tail = h.last.slot.position;
        if (err == HIF_OK)
                err = sessions_flush(c);
        if (err == HIF_OK && h.have_last)
                err = head_check(c, &h.last.slot);
        if (err == HIF_OK)
                err = broken_report(c);
        if (err == HIF_OK)
                tell_surplus(c);
        if (h.have_last)
                slot_read_free(&h.last);
        for (size_t i = 0; h.views && i < WINDOW_SLOTS; i++)
                view_free(&h.views[i]);
        free(h.views);
        return err;
}
