/* The records of sessions that slots and open sessions name: there, and for the part that is to be
 * read, what they should be. They wait until there are enough for one trip. */
#include "check/internal.h"

struct due_session {
        uint64_t position;
        struct session_id id;
        struct hif_hash hash;
        struct layout_key key;
        bool read; /* or only: is it there */
};

struct due_sessions {
        struct due_session items[BATCH];
        struct store_req reqs[BATCH];
        size_t count;
        uint64_t bytes;
};

static void damaged(struct check *c, const struct due_session *due, const char *detail)
{
        found_at(c, CHECK_SESSION_DAMAGED, due->position, due->key.text, detail);
        other_add(c, due->key.text, HASH_SESSION, &due->hash, due->position);
}

static enum hif_err check_record(struct check *c, const struct due_session *due, struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        struct hif_hash actual = hash_of(HASH_SESSION, stored);
        struct session session;
        enum hif_err err = HIF_ECORRUPT;

        if (hash_eq(&actual, &due->hash))
                err = session_get(stored, &arena, &session);
        if (err == HIF_ENOMEM)
                return err;
        if (err == HIF_EUNSUPPORTED)
                not_checked(c, err, due->key.text, "cannot be read");
        else if (err != HIF_OK)
                damaged(c, due, "");
        else if (!session_id_eq(&session.id, &due->id))
                damaged(c, due, "it is the record of another session");
        return HIF_OK;
}

static enum hif_err judge(struct check *c, const struct due_session *due, struct store_req *req)
{
        enum hif_err err = HIF_OK;

        switch (answer_of(req)) {
        case ANSWER_ABSENT:
                found_at(c, CHECK_SESSION_MISSING, due->position, due->key.text, "");
                other_add(c, due->key.text, HASH_SESSION, &due->hash, due->position);
                break;
        case ANSWER_NONE:
                not_checked(c, req->result, due->key.text, "cannot be read");
                break;
        case ANSWER_HERE:
                if (!due->read)
                        break;
                struct hif_hash actual = hash_of(HASH_SESSION, buf_span(&req->data));

                if (!hash_eq(&actual, &due->hash)) { /* on the way, perhaps: once more */
                        store_req_free(req);
                        err = get_one(c, due->key.text, SESSION_SIZE_MAX, req);
                }
                if (err == HIF_OK && answer_of(req) == ANSWER_HERE)
                        err = check_record(c, due, buf_span(&req->data));
                else if (err == HIF_OK)
                        not_checked(c, req->result, due->key.text, "cannot be read");
                break;
        }
        return err;
}

enum hif_err sessions_flush(struct check *c)
{
        struct due_sessions *due = c->due;
        enum hif_err err;

        if (!due || due->count == 0)
                return HIF_OK;
        for (size_t i = 0; i < due->count; i++)
                due->reqs[i] = (struct store_req){.op = due->items[i].read ? STORE_GET : STORE_HEAD,
                                                  .key = due->items[i].key.text,
                                                  .size_max = SESSION_SIZE_MAX};
        err = run_requests(c, due->reqs, due->count);
        for (size_t i = 0; i < due->count; i++) {
                if (err == HIF_OK)
                        err = judge(c, &due->items[i], &due->reqs[i]);
                store_req_free(&due->reqs[i]);
        }
        due->count = 0;
        due->bytes = 0;
        return err;
}

enum hif_err session_check(struct check *c, uint64_t position, const struct session_id *id,
                           const struct hif_hash *hash)
{
        struct hif_hash name = session_name(id, hash);
        bool read = subset_has(&c->subset, hash);
        struct object *object;
        enum hif_err err;

        if (hash_is_zero(hash))
                return HIF_OK;
        err = inventory_add(&c->inventory, OBJECT_SESSION, &name, &object);
        if (err != HIF_OK)
                return err;
        if (object)
                object->reached = object->listed = 1;
        /* What was not listed is asked for: the list of keys is a moment old. */
        if (!read && (!object || object->present || !c->inventory.complete))
                return HIF_OK;
        if (!c->due)
                c->due = calloc(1, sizeof(*c->due));
        if (!c->due)
                return HIF_ENOMEM;
        c->due->items[c->due->count++] =
            (struct due_session){.position = position,
                                 .id = *id,
                                 .hash = *hash,
                                 .key = layout_session(&c->project.layout, id, hash),
                                 .read = read};
        c->due->bytes += object ? object->size : 0;
        return c->due->count == BATCH || c->due->bytes >= READ_BYTES ? sessions_flush(c) : HIF_OK;
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
