/* The first stage: without the format, nothing else can be read. */
#include "check/internal.h"

/* Whether there is anything under the project's name. */
static enum hif_err look_for_any(struct check *c, bool *any)
{
        struct store_req req = {
            .op = STORE_LIST, .prefix = c->project.layout.prefix, .list_max = 1};
        enum hif_err err = run_requests(c, &req, 1);

        *any = req.result == HIF_OK && req.list.count > 0;
        if (err == HIF_OK && req.result != HIF_OK)
                err = why_set(c->why, req.result, "cannot list %s in %s: %s",
                              c->project.layout.prefix, store_url(c->project.store),
                              hif_strerror(req.result));
        store_req_free(&req);
        return err;
}

static enum hif_err absent(struct check *c, const char *key)
{
        AUTO_BUF struct buf name = {0};
        bool any = false;
        enum hif_err err = look_for_any(c, &any);

        if (err != HIF_OK)
                return err;
        if (any) {
                struct check_finding finding = {.kind = CHECK_FORMAT_MISSING, .key = key};

                found(c, &finding);
                return HIF_OK;
        }
        layout_project(&c->project.layout, &name);
        return why_set(c->why, HIF_ENOENT,
                       "there is no project %.*s in %s; \"hif project list\" "
                       "lists those that there are",
                       (int)name.size, (const char *)name.data, store_url(c->project.store));
}

enum hif_err format_check(struct check *c, bool *go_on)
{
        struct layout_key key = layout_format(&c->project.layout);
        struct check_finding finding = {.key = key.text};
        struct store_req req;
        enum hif_err err;

        *go_on = false;
        report_progress(c, CHECK_STAGE_FORMAT, 0, 1);
        err = get_one(c, key.text, 0, &req);
        if (err == HIF_OK && answer_of(&req) == ANSWER_ABSENT) {
                err = absent(c, key.text);
        } else if (err == HIF_OK && answer_of(&req) == ANSWER_NONE) {
                err = why_set(c->why, req.result, "cannot read %s in %s: %s", key.text,
                              store_url(c->project.store), hif_strerror(req.result));
        } else if (err == HIF_OK) {
                enum hif_err how = format_get(buf_span(&req.data), &c->project.format);

                *go_on = how == HIF_OK;
                finding.kind =
                    how == HIF_EUNSUPPORTED ? CHECK_FORMAT_UNSUPPORTED : CHECK_FORMAT_DAMAGED;
                if (!*go_on)
                        found(c, &finding);
        }
        store_req_free(&req);
        return err;
}
