/* What was derived from many slots, against what would be made of them now. Nothing depends on it,
 * so whatever is wrong with it is a warning, and a repair removes it and makes it again. */
#include "check/internal.h"
#include "land/derived/maintain.h"

struct derived {
        struct maintain_hooks hooks;
        struct check *c;
};

static void on_progress(struct maintain_hooks *hooks, enum window_kind kind, uint64_t done,
                        uint64_t total, uint64_t bytes)
{
        (void)kind;
        (void)bytes;
        report_progress(((struct derived *)hooks)->c, CHECK_STAGE_DERIVED, done, total);
}

static void on_difference(struct maintain_hooks *hooks, enum window_kind kind, const char *key,
                          const char *reason)
{
        struct check *c = ((struct derived *)hooks)->c;
        struct check_finding finding = {.kind = CHECK_DERIVED_WRONG, .key = key, .detail = reason};

        (void)kind;
        found(c, &finding);
        other_add(c, key, HASH_KIND_COUNT, NULL, 0);
}

enum hif_err derived_check(struct check *c)
{
        struct derived derived = {.hooks = {.progress = on_progress, .differs = on_difference},
                                  .c = c};
        struct maintain_report report;
        struct hif_why why = {.text = ""};
        enum hif_err err;

        /* Without every slot nobody knows what should be in there: those findings stand already. */
        if (c->derived_count == 0 || c->options->from > 0 || c->slots_unread || !c->have_tree)
                return HIF_OK;
        err = derived_maintain(&c->project, MAINTAIN_VERIFY, &derived.hooks, &report, &why);
        if (err == HIF_OK || err == HIF_ENOMEM)
                return err;
        not_checked(c, err, "", why.text[0] ? why.text : "what is derived");
        return HIF_OK;
}

enum hif_err derived_remove(struct check *c, const char *key)
{
        struct store_req req = {.op = STORE_DELETE, .key = key};

        store_run(c->project.store, &req, 1);
        store_req_free(&req);
        c->derived_removed |= req.result == HIF_OK;
        tell_repaired(c, req.result == HIF_OK, req.result == HIF_OK ? "removed" : "not removed",
                      key, req.result == HIF_OK ? "" : hif_strerror(req.result));
        return HIF_OK;
}

enum hif_err derived_make_again(struct check *c)
{
        struct maintain_report report;
        struct hif_why why = {.text = ""};
        enum hif_err err;

        if (!c->derived_removed)
                return HIF_OK;
        err = derived_maintain(&c->project, MAINTAIN_MAKE, NULL, &report, &why);
        if (err == HIF_ENOMEM)
                return err;
        tell_repaired(c, err == HIF_OK, err == HIF_OK ? "made again" : "not made again", "",
                      err == HIF_OK ? "what is derived from many landings" : why.text);
        return HIF_OK;
}
