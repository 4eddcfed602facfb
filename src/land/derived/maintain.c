#include "land/derived/maintain.h"

#include "core/layout.h"
#include "land/derived/parts.h"

#include <inttypes.h>
#include <stdio.h>

#define LIST_AT_ONCE 1000u

/* Lower levels first: the others are made of them. */
static const enum window_kind order[] = {WINDOW_SEGMENT, WINDOW_LEVEL_1, WINDOW_LEVEL_2,
                                         WINDOW_LEVEL_3, WINDOW_HASHES};
#define ORDER_COUNT (sizeof(order) / sizeof(order[0]))

struct run {
        const struct project *project;
        enum maintain_mode mode;
        struct maintain_hooks *hooks;
        struct maintain_report *report;
        struct hif_why *why;
        struct map present; /* start + 1, of the kind that is being worked at */
        uint64_t done, total, bytes;
};

const char *window_kind_name(enum window_kind kind)
{
        switch (kind) {
        case WINDOW_SEGMENT:
                return "segments";
        case WINDOW_LEVEL_1:
                return "level-1";
        case WINDOW_LEVEL_2:
                return "level-2";
        case WINDOW_LEVEL_3:
                return "level-3";
        case WINDOW_HASHES:
                return "hash-index";
        case WINDOW_KINDS:
                break;
        }
        return "unknown";
}

/* --- what is there --- */

/* A key of this kind, as it would be written. */
static bool start_of(const struct run *run, enum window_kind kind, const char *key, uint64_t *start)
{
        struct layout_key again;

        *start = strtoull(strrchr(key, '/') + 1, NULL, 10);
        again = layout_window(&run->project->layout, kind, *start);
        return strcmp(again.text, key) == 0;
}

static void differs(struct run *run, enum window_kind kind, const char *key, const char *reason)
{
        run->report->kinds[kind].different++;
        if (run->hooks && run->hooks->differs)
                run->hooks->differs(run->hooks, kind, key, reason);
}

static enum hif_err remove_object(struct run *run, const char *key)
{
        struct store_req req = {.op = STORE_DELETE, .key = key};

        store_run(run->project->store, &req, 1);
        store_req_free(&req);
        return req.result == HIF_OK ? HIF_OK
                                    : object_why(run->project, req.result, "remove", key, run->why);
}

static enum hif_err found(struct run *run, enum window_kind kind, const char *key)
{
        uint64_t start;
        bool ours = start_of(run, kind, key, &start);

        if (run->mode == MAINTAIN_REBUILD)
                return remove_object(run, key);
        if (!ours || start % window_size(kind) != 0 ||
            window_last(kind, start) > run->report->tail) {
                if (run->mode == MAINTAIN_VERIFY)
                        differs(run, kind, key, "it is of no complete window");
                return HIF_OK;
        }
        run->report->kinds[kind].present++;
        return map_put(&run->present, start + 1, run);
}

static enum hif_err list_kind(struct run *run, enum window_kind kind)
{
        struct layout_key prefix = layout_windows(&run->project->layout, kind);
        char after[LAYOUT_KEY_MAX] = "";
        bool more = true;
        enum hif_err err = HIF_OK;

        map_free(&run->present);
        while (more && err == HIF_OK) {
                struct store_req req = {.op = STORE_LIST,
                                        .prefix = prefix.text,
                                        .key = after[0] ? after : NULL,
                                        .list_max = LIST_AT_ONCE};

                store_run(run->project->store, &req, 1);
                err = req.result;
                if (err != HIF_OK)
                        (void)object_why(run->project, err, "list", prefix.text, run->why);
                for (size_t i = 0; i < req.list.count && err == HIF_OK; i++)
                        err = found(run, kind, req.list.items[i].key);
                more = err == HIF_OK && req.list.more && req.list.count > 0;
                if (more)
                        snprintf(after, sizeof(after), "%s",
                                 req.list.items[req.list.count - 1].key);
                store_req_free(&req);
        }
        return err;
}

/* --- one record --- */

static enum hif_err make(struct run *run, enum window_kind kind, uint64_t start)
{
        struct maintain_kind *counts = &run->report->kinds[kind];
        uint64_t size = 0;
        enum hif_err err = derived_make(run->project, kind, start, &size, run->why);

        counts->bytes += size;
        run->bytes += size;
        if (err == HIF_OK)
                counts->made++;
        return err;
}

/* Made anew with all that it is made of: something below is damaged, or was left out. */
static enum hif_err make_below(struct run *run, enum window_kind kind, uint64_t start)
{
        enum window_kind below = (enum window_kind)(kind - 1);
        uint64_t last = window_last(kind, start);
        enum hif_err err = HIF_OK;

        for (uint64_t at = start; at <= last && err == HIF_OK; at += window_size(below)) {
                err = make(run, below, at);
                if (err == HIF_ENOENT && below > WINDOW_LEVEL_1)
                        err = make_below(run, below, at);
        }
        return err == HIF_OK ? make(run, kind, start) : err;
}

static enum hif_err compare(struct run *run, enum window_kind kind, uint64_t start)
{
        struct maintain_kind *counts = &run->report->kinds[kind];
        struct layout_key key = layout_window(&run->project->layout, kind, start);
        struct store_req req = {.op = STORE_GET, .key = key.text, .size_max = UINT32_MAX};
        AUTO_BUF struct buf made = {0};
        enum hif_err err;

        if (!map_get(&run->present, start + 1)) {
                counts->missing++;
                return HIF_OK;
        }
        err = derived_build(run->project, kind, start, &made, run->why);
        if (err == HIF_ENOENT) {
                differs(run, kind, key.text, "what it is made of is missing or damaged");
                return HIF_OK;
        }
        if (err != HIF_OK)
                return err;
        store_run(run->project->store, &req, 1);
        err = req.result;
        if (err != HIF_OK)
                (void)object_why(run->project, err, "read", key.text, run->why);
        else if (derived_same(kind, start, buf_span(&req.data), buf_span(&made)))
                counts->same++;
        else
                differs(run, kind, key.text, "its bytes are not what is made of its window");
        counts->bytes += made.size;
        run->bytes += made.size;
        store_req_free(&req);
        return err;
}

static enum hif_err work_at(struct run *run, enum window_kind kind, uint64_t start)
{
        struct maintain_kind *counts = &run->report->kinds[kind];
        enum hif_err err;

        if (run->mode == MAINTAIN_VERIFY) {
                err = compare(run, kind, start);
        } else if (map_get(&run->present, start + 1)) {
                err = HIF_OK;
        } else {
                err = make(run, kind, start);
                if (err == HIF_ENOENT && (kind == WINDOW_LEVEL_2 || kind == WINDOW_LEVEL_3))
                        err = make_below(run, kind, start);
        }
        if (err == HIF_ELIMIT) {
                counts->left_out++;
                err = HIF_OK;
        }
        run->done++;
        if (run->hooks && run->hooks->progress)
                run->hooks->progress(run->hooks, kind, run->done, run->total, run->bytes);
        return err;
}

enum hif_err derived_maintain(const struct project *project, enum maintain_mode mode,
                              struct maintain_hooks *hooks, struct maintain_report *out,
                              struct hif_why *why)
{
        struct run run = {
            .project = project, .mode = mode, .hooks = hooks, .report = out, .why = why};
        struct slot_read tail;
        enum hif_err err = project_tail(project, 0, &tail, why);

        if (err != HIF_OK)
                return err;
        *out = (struct maintain_report){.tail = tail.slot.position};
        slot_read_free(&tail);
        for (size_t i = 0; i < ORDER_COUNT; i++) {
                out->kinds[order[i]].windows = (out->tail + 1) / window_size(order[i]);
                run.total += out->kinds[order[i]].windows;
        }
        /* Removed from the top, so that no level is ever of records that are gone. */
        for (size_t i = ORDER_COUNT; i-- > 0 && mode == MAINTAIN_REBUILD && err == HIF_OK;)
                err = list_kind(&run, order[i]);
        for (size_t i = 0; i < ORDER_COUNT && err == HIF_OK; i++) {
                enum window_kind kind = order[i];

                if (mode != MAINTAIN_REBUILD)
                        err = list_kind(&run, kind);
                for (uint64_t n = 0; n < out->kinds[kind].windows && err == HIF_OK; n++)
                        err = work_at(&run, kind, n * window_size(kind));
        }
        map_free(&run.present);
        if (err == HIF_ENOMEM)
                (void)why_set(why, err, "out of memory");
        return err;
}
