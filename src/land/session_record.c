/* open-sessions/{id}: read, moved forward under a condition, listed. */
#include "core/layout.h"
#include "land/internal.h"
#include "land/session_store.h"

#include <stdio.h>
#include <stdlib.h>

#define RECORDS_BATCH 32u /* read together */

void open_read_free(struct open_read *read)
{
        buf_free(&read->stored);
        *read = (struct open_read){0};
}

static enum hif_err accept(const struct project *project, const char *key, struct store_req *req,
                           struct open_read *out, struct hif_why *why)
{
        enum hif_err err = req->result;

        if (err == HIF_ENOENT)
                return err;
        if (err == HIF_OK)
                err = open_session_get(buf_span(&req->data), &out->record);
        if (err != HIF_OK)
                return object_why(project, err, "read", key, why);
        out->tag = req->tag;
        out->stored = req->data;
        req->data = (struct buf){0};
        return HIF_OK;
}

enum hif_err open_record_read(const struct project *project, const struct session_id *id,
                              struct open_read *out, struct hif_why *why)
{
        struct layout_key key = layout_open_session(&project->layout, id);
        struct store_req req = {
            .op = STORE_GET, .key = key.text, .size_max = OPEN_SESSION_SIZE_MAX, .settled = true};
        struct open_read read = {0};
        enum hif_err err;

        store_run(project->store, &req, 1);
        err = accept(project, key.text, &req, &read, why);
        store_req_free(&req);
        if (err == HIF_OK && !session_id_eq(&read.record.id, id)) {
                open_read_free(&read);
                err = object_why(project, HIF_ECORRUPT, "read", key.text, why);
        }
        if (err == HIF_OK)
                *out = read;
        return err;
}

/* What is there after a write that was not simply a success. HIF_OK: ours; HIF_ELOST: another one,
 * or none; HIF_EUNKNOWN: what was there before, or nobody can tell. */
static enum hif_err look_back(const struct project *project, const char *key, struct span body,
                              const struct store_tag *match)
{
        struct store_req req = {
            .op = STORE_GET, .key = key, .size_max = OPEN_SESSION_SIZE_MAX, .settled = true};
        enum hif_err err = HIF_EUNKNOWN;

        store_run(project->store, &req, 1);
        if (req.result == HIF_OK && span_eq(buf_span(&req.data), body))
                err = HIF_OK;
        else if (req.result == HIF_OK && (match == NULL || strcmp(req.tag.text, match->text) != 0))
                err = HIF_ELOST;
        else if (req.result == HIF_ENOENT && match != NULL)
                err = HIF_ELOST;
        store_req_free(&req);
        return err;
}

static enum hif_err write_once(const struct project *project, const char *key, struct span body,
                               const struct store_tag *match)
{
        struct store_req req = {
            .op = match != NULL ? STORE_PUT_MATCH : STORE_PUT_NEW, .key = key, .body = body};
        enum hif_err err;

        if (match != NULL)
                req.match = *match;
        store_run(project->store, &req, 1);
        err = req.result;
        store_req_free(&req);
        if (err == HIF_ENOENT)
                err = HIF_ELOST;
        /* "Lost" may be the second answer to a request that was sent twice below us. */
        if (err == HIF_ELOST || err == HIF_EUNKNOWN)
                return look_back(project, key, body, match);
        return err;
}

enum hif_err open_record_write(const struct project *project, struct open_session *record,
                               const struct store_tag *match, struct hif_why *why)
{
        struct layout_key key = layout_open_session(&project->layout, &record->id);
        AUTO_BUF struct buf body = {0};
        enum hif_err err;

        env_random(project->env, record->token, OPEN_HOLDER_SIZE);
        err = open_session_put(&body, record);
        if (err != HIF_OK)
                return why_set(why, err, "the session's record cannot be encoded: %s",
                               hif_strerror(err));
        for (uint32_t i = 0; i < PUT_REPEATS; i++) {
                if (i > 0)
                        land_pause(project->env, NULL, project->store->local, i);
                err = write_once(project, key.text, buf_span(&body), match);
                if (err != HIF_EUNKNOWN && err != HIF_EUNREACHABLE)
                        break;
        }
        return err == HIF_OK || err == HIF_ELOST ? err
                                                 : object_why(project, err, "write", key.text, why);
}

enum hif_err open_record_remove(const struct project *project, const struct session_id *id,
                                struct hif_why *why)
{
        struct layout_key key = layout_open_session(&project->layout, id);
        struct store_req req = {.op = STORE_DELETE, .key = key.text};

        store_run(project->store, &req, 1);
        store_req_free(&req);
        return req.result == HIF_OK ? HIF_OK
                                    : object_why(project, req.result, "remove", key.text, why);
}

/* --- listing --- */

struct listing {
        const struct project *project;
        enum hif_err (*each)(void *arg, const char *key, const struct open_session *record);
        void *arg;
        struct hif_why *why;
};

static enum hif_err tell(const struct listing *listing, struct store_req *req)
{
        struct open_read read = {0};
        struct hif_why why = {0};
        enum hif_err err = accept(listing->project, req->key, req, &read, &why);

        if (err == HIF_ENOENT) /* landed just now */
                return HIF_OK;
        if (err != HIF_OK && err != HIF_ECORRUPT && err != HIF_EUNSUPPORTED)
                return object_why(listing->project, err, "read", req->key, listing->why);
        err = listing->each(listing->arg, req->key, err == HIF_OK ? &read.record : NULL);
        open_read_free(&read);
        return err;
}

static enum hif_err tell_some(const struct listing *listing, const struct store_listed *items,
                              size_t count)
{
        struct store_req reqs[RECORDS_BATCH];
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < count; i++)
                reqs[i] = (struct store_req){
                    .op = STORE_GET, .key = items[i].key, .size_max = OPEN_SESSION_SIZE_MAX};
        store_run(listing->project->store, reqs, count);
        for (size_t i = 0; i < count; i++) {
                if (err == HIF_OK)
                        err = tell(listing, &reqs[i]);
                store_req_free(&reqs[i]);
        }
        return err;
}

enum hif_err open_record_list(const struct project *project, const char *prefix, size_t max,
                              enum hif_err (*each)(void *arg, const char *key,
                                                   const struct open_session *record),
                              void *arg, struct hif_why *why)
{
        const struct listing listing = {.project = project, .each = each, .arg = arg, .why = why};
        AUTO_FREE char *start = NULL, *after = NULL;
        enum hif_err err = HIF_OK;
        size_t told = 0;
        bool more = true;

        if (asprintf(&start, "%sopen-sessions/%s", project->layout.prefix, prefix) < 0) {
                start = NULL;
                return why_set(why, HIF_ENOMEM, "out of memory");
        }
        while (err == HIF_OK && more && (max == 0 || told < max)) {
                struct store_req req = {.op = STORE_LIST, .prefix = start, .key = after};

                store_run(project->store, &req, 1);
                if (req.result != HIF_OK)
                        err = object_why(project, req.result, "list", start, why);
                more = req.list.more;
                if (max > 0 && req.list.count > max - told)
                        more = false;
                for (size_t i = 0;
                     err == HIF_OK && i < req.list.count && (max == 0 || told < max);) {
                        size_t n =
                            req.list.count - i < RECORDS_BATCH ? req.list.count - i : RECORDS_BATCH;

                        if (max > 0 && n > max - told)
                                n = max - told;
                        err = tell_some(&listing, req.list.items + i, n);
                        i += n;
                        told += n;
                }
                free(after);
                after = req.list.count > 0 ? strdup(req.list.items[req.list.count - 1].key) : NULL;
                more = more && after != NULL;
                store_req_free(&req);
        }
        return err;
}
