/* windows.c - making derived records: which, when, and of what. */
#include "base/log.h"
#include "core/layout.h"
#include "land/derived/parts.h"

#include <inttypes.h>

#define PUT_TRIES 2u /* of a record that was made */

/* A landing looks after the windows that ended just before it, in case whoever completed one died;
 * not every landing, as a look costs a request. */
#define LOOK_EVERY ((WINDOW_FANOUT + 3) / 4)

/* --- one record --- */

enum hif_err derived_build(const struct project *project, enum window_kind kind, uint64_t start,
                           struct buf *out, struct hif_why *why)
{
        enum hif_err err = HIF_EINVAL;

        switch (kind) {
        case WINDOW_SEGMENT:
                err = segment_make(project, start, out, why);
                break;
        case WINDOW_LEVEL_1:
                err = rollup_make(project, start, out, why);
                break;
        case WINDOW_LEVEL_2:
                err = rollup_merge(project, 2, start, out, why);
                break;
        case WINDOW_LEVEL_3:
                err = rollup_merge(project, 3, start, out, why);
                break;
        case WINDOW_HASHES:
                err = hashes_make(project, start, out, why);
                break;
        case WINDOW_KINDS:
                break;
        }
        return err == HIF_ENOMEM ? why_set(why, err, "out of memory") : err;
}

enum hif_err derived_make(const struct project *project, enum window_kind kind, uint64_t start,
                          uint64_t *size, struct hif_why *why)
{
        struct layout_key key = layout_window(&project->layout, kind, start);
        AUTO_BUF struct buf bytes = {0};
        enum hif_err err = derived_build(project, kind, start, &bytes, why);

        /* No pause: a store that is far away has its own, and what is not made now is made later. */
        for (uint32_t i = 0; err == HIF_OK && i < PUT_TRIES; i++) {
                struct store_req req = {.op = STORE_PUT, .key = key.text, .body = buf_span(&bytes)};

                store_run(project->store, &req, 1);
                store_req_free(&req);
                if (req.result == HIF_OK) {
                        if (size)
                                *size += bytes.size;
                        return HIF_OK;
                }
                /* A repeat writes the same: whether it took effect already does not matter. */
                if ((req.result != HIF_EUNKNOWN && req.result != HIF_EUNREACHABLE) ||
                    i + 1 == PUT_TRIES)
                        err = object_why(project, req.result, "write", key.text, why);
        }
        return err;
}

bool derived_same(enum window_kind kind, uint64_t start, struct span stored, struct span made)
{
        AUTO_BUF struct buf ours = {0}, theirs = {0};
        struct body_codec *codec;
        bool same = span_eq(stored, made);

        if (same || kind != WINDOW_SEGMENT)
                return same;
        codec = body_codec_new(3);
        same = codec && segment_content(codec, stored, start, &theirs) == HIF_OK &&
               segment_content(codec, made, start, &ours) == HIF_OK &&
               span_eq(buf_span(&ours), buf_span(&theirs));
        body_codec_free(codec);
        return same;
}

/* --- after a landing --- */

static bool is_there(const struct project *project, enum window_kind kind, uint64_t start)
{
        struct layout_key key = layout_window(&project->layout, kind, start);
        struct store_req req = {.op = STORE_HEAD, .key = key.text};

        store_run(project->store, &req, 1);
        store_req_free(&req);
        return req.result != HIF_ENOENT; /* no answer: another time */
}

static void look_after(const struct project *project, enum window_kind kind, uint64_t position)
{
        uint64_t size = window_size(kind), start;
        struct hif_why why = {.text = ""};
        enum hif_err err;

        if (position + 1 < size)
                return;
        start = window_start(kind, position + 1) - size;
        if (position != window_last(kind, start) &&
            ((position + 1) % LOOK_EVERY != 0 || is_there(project, kind, start)))
                return;
        err = derived_make(project, kind, start, NULL, &why);
        if (err != HIF_OK)
                log_line(project->env->log, LOG_WARN, "land", "cannot make a derived record: %s",
                         why.text[0] ? why.text : hif_strerror(err));
}

void derived_after_landing(const struct project *project, uint64_t position)
{
        look_after(project, WINDOW_LEVEL_1, position);
        look_after(project, WINDOW_SEGMENT, position);
}
