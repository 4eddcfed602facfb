/* Proposals that no slot has decided yet: what they name is nobody's leftovers. Nothing else of them
 * is checked: slots alone decide, and one that cannot be read is left out by whoever lands. */
#include "check/internal.h"
#include "core/landing.h"
#include "core/proposal.h"

/* What is not there is not missed: the proposal was decided meanwhile, or is of no use. */
static void needs(struct check *c, enum object_kind kind, const struct hif_hash *hash)
{
        struct object *object = inventory_find(&c->inventory, kind, hash);

        if (object)
                object->reached = object->listed = 1;
}

static enum object_kind kind_of(enum slot_object_kind kind)
{
        return kind == SLOT_NODE ? OBJECT_NODE : kind == SLOT_PACK ? OBJECT_PACK : OBJECT_BLOB;
}

/* Its objects, where they are in a list of their own. */
static enum hif_err load_objects(struct check *c, struct arena *arena, struct proposal *proposal)
{
        struct layout_key key = layout_list(&c->project.layout, &proposal->objects_list);
        struct store_req req;
        enum hif_err err;

        if (proposal->objects || hash_is_zero(&proposal->objects_list))
                return HIF_OK;
        err = get_one(c, key.text, LIST_BYTES_MAX, &req);
        if (err == HIF_OK && answer_of(&req) == ANSWER_HERE &&
            slot_objects_get(buf_span(&req.data), arena, &proposal->objects,
                             &proposal->object_count) != HIF_OK)
                proposal->objects = NULL;
        store_req_free(&req);
        return err;
}

static enum hif_err take(struct check *c, const struct store_req *req, const struct session_id *id)
{
        AUTO_ARENA struct arena arena = {0};
        struct proposal proposal;
        struct hif_hash session;
        enum hif_err err;

        (void)id; /* what it names counts, not by whom it was left */
        if (answer_of(req) != ANSWER_HERE) {
                if (answer_of(req) == ANSWER_NONE)
                        not_checked(c, req->result, req->key, "cannot be read");
                return HIF_OK; /* absent: decided meanwhile */
        }
        err = proposal_get(buf_span(&req->data), &arena, &proposal);
        if (err != HIF_OK)
                return err == HIF_ENOMEM ? err : HIF_OK;
        session = session_name(&proposal.session, &proposal.session_object);
        err = load_objects(c, &arena, &proposal);
        needs(c, OBJECT_SESSION, &session);
        needs(c, OBJECT_LIST, &proposal.changes_list);
        needs(c, OBJECT_LIST, &proposal.objects_list);
        for (uint32_t i = 0; proposal.objects && i < proposal.object_count; i++)
                needs(c, kind_of(proposal.objects[i].kind), &proposal.objects[i].hash);
        return err;
}

static struct layout_key key_of(const struct layout *layout, const struct session_id *id)
{
        return layout_proposal(layout, id->bytes);
}

enum hif_err proposals_check(struct check *c)
{
        static const struct visitor visitor = {.key_of = key_of, .take = take};

        return get_each(c, &c->proposals, &visitor);
}
