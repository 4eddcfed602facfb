/* The records of sessions that slots name: there, and for the part that is to be read, what they
 * should be. */
#include "check/internal.h"

static void damaged(struct check *c, uint64_t position, const char *key,
                    const struct hif_hash *hash)
{
        found_at(c, CHECK_SESSION_DAMAGED, position, key, "");
        other_add(c, key, HASH_SESSION, hash, position);
}

static enum hif_err read_record(struct check *c, uint64_t position, const struct session_id *id,
                                const struct hif_hash *hash, const char *key)
{
        struct store_req req;
        AUTO_ARENA struct arena arena = {0};
        struct session session;
        struct hif_hash actual;
        enum hif_err err = get_one(c, key, SESSION_SIZE_MAX, &req), how;

        if (err == HIF_OK && answer_of(&req) == ANSWER_NONE)
                not_checked(c, req.result, key, "cannot be read");
        if (err == HIF_OK && answer_of(&req) == ANSWER_HERE) {
                actual = hash_of(HASH_SESSION, buf_span(&req.data));
                how = hash_eq(&actual, hash) ? session_get(buf_span(&req.data), &arena, &session)
                                             : HIF_ECORRUPT;
                if (how == HIF_ENOMEM)
                        err = how;
                else if (how == HIF_EUNSUPPORTED)
                        not_checked(c, how, key, "cannot be read");
                else if (how != HIF_OK)
                        damaged(c, position, key, hash);
                else if (!session_id_eq(&session.id, id))
                        found_at(c, CHECK_SESSION_DAMAGED, position, key,
                                 "it is the record of another session");
        }
        store_req_free(&req);
        return err;
}

enum hif_err session_check(struct check *c, uint64_t position, const struct session_id *id,
                           const struct hif_hash *hash)
{
        struct layout_key key = layout_session(&c->project.layout, id, hash);
        struct hif_hash name = session_name(id, hash);
        struct store_req req = {.op = STORE_HEAD, .key = key.text};
        struct object *object;
        enum hif_err err;

        if (hash_is_zero(hash))
                return HIF_OK;
        err = inventory_add(&c->inventory, OBJECT_SESSION, &name, &object);
        if (err != HIF_OK)
                return err;
        if (object)
                object->reached = object->listed = 1;
        if (object && !object->present && c->inventory.complete) {
                err = run_requests(c, &req, 1); /* the list of keys is a moment old */
                if (err == HIF_OK && answer_of(&req) == ANSWER_ABSENT) {
                        found_at(c, CHECK_SESSION_MISSING, position, key.text, "");
                        other_add(c, key.text, HASH_SESSION, hash, position);
                }
                if (err == HIF_OK && answer_of(&req) == ANSWER_NONE)
                        not_checked(c, req.result, key.text, "cannot be asked for");
                store_req_free(&req);
                return err;
        }
        return subset_has(&c->subset, hash) ? read_record(c, position, id, hash, key.text) : HIF_OK;
}

enum hif_err sessions_check(struct check *c, const struct slot_view *view)
{
        const struct slot *slot = &view->read.slot;
        enum hif_err err = HIF_OK;

        for (uint32_t i = 0; view->have_members && i < slot_landing_count(slot) && err == HIF_OK;
             i++) {
                struct slot_member landing;

                slot_landing_at(slot, i, &landing, NULL);
                err = session_check(c, slot->position, &landing.session, &landing.session_object);
        }
        return err;
}
