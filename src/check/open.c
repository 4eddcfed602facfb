/* Sessions that are open and lie in the store: what their records name is there, and so nobody's
 * leftovers. Their trees differ from that of a position in what the session changed, and only that is
 * read. */
#include "check/internal.h"
#include "core/open_session.h"

static void damaged(struct check *c, const char *key, const char *detail)
{
        struct check_finding finding = {
            .kind = CHECK_OPEN_SESSION_DAMAGED, .key = key, .detail = detail};

        found(c, &finding);
}

/* What it has changed since its base. */
static enum hif_err check_tree(struct check *c, const struct open_session *record, const char *key)
{
        char detail[64], hex[SESSION_ID_HEX_SIZE];
        struct slot_read base;
        struct hif_why why;
        enum hif_err err;

        if (!record->changed || hash_is_zero(&record->tree))
                return HIF_OK;
        err = project_slot(&c->project, record->base_position, false, &base, &why);
        if (err == HIF_ENOENT)
                damaged(c, key, "its base is a position that is not there");
        if (err != HIF_OK) /* the slot's own finding tells */
                return err == HIF_ENOMEM ? err : HIF_OK;
        session_id_to_hex(&record->id, hex);
        (void)snprintf(detail, sizeof(detail), "needed by the open session %s", hex);
        err = tree_reach(c, &record->tree, &base.slot, detail);
        slot_read_free(&base);
        return err;
}

static enum hif_err check_record(struct check *c, const struct store_req *req,
                                 const struct session_id *id)
{
        struct open_session record;
        struct layout_key key;
        enum hif_err err;

        if (answer_of(req) == ANSWER_ABSENT)
                return HIF_OK; /* it has landed meanwhile, or was abandoned */
        if (answer_of(req) == ANSWER_NONE) {
                not_checked(c, req->result, req->key, "cannot be read");
                return HIF_OK;
        }
        err = open_session_get(buf_span(&req->data), &record);
        if (err == HIF_EUNSUPPORTED) {
                not_checked(c, err, req->key, "cannot be read");
                return HIF_OK;
        }
        if (err != HIF_OK || !session_id_eq(&record.id, id)) {
                damaged(c, req->key,
                        err != HIF_OK ? "its bytes are no record of an open session"
                                      : "it is the record of another session");
                return HIF_OK;
        }
        key = layout_open_session(&c->project.layout, id);
        err = session_check(c, record.base_position, id, &record.object);
        return err == HIF_OK ? check_tree(c, &record, key.text) : err;
}

enum hif_err open_sessions_check(struct check *c)
{
        static const struct visitor visitor = {.key_of = layout_open_session, .take = check_record};
        enum hif_err err = get_each(c, &c->open_sessions, &visitor);

        if (err == HIF_OK)
                err = sessions_flush(c);
        return err == HIF_OK ? broken_report(c) : err;
}
