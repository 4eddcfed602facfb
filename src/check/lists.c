/* The lists of a slot that are objects of their own: paths, objects, a batch's members. */
#include "check/internal.h"

/* A list object that the slot names. *ok: its bytes are what the name says. */
static enum hif_err read_list(struct check *c, const struct slot *slot, const struct hif_hash *hash,
                              struct arena *arena, struct span *bytes, bool *ok)
{
        struct layout_key key = layout_list(&c->project.layout, hash);
        struct object *object;
        struct store_req req;
        struct hif_hash actual;
        enum hif_err err = inventory_add(&c->inventory, OBJECT_LIST, hash, &object);

        *ok = false;
        if (err != HIF_OK)
                return err;
        if (object)
                object->reached = object->listed = 1;
        err = get_one(c, key.text, LIST_BYTES_MAX, &req);
        if (err == HIF_OK && answer_of(&req) == ANSWER_ABSENT) {
                found_at(c, CHECK_LIST_MISSING, slot->position, key.text, "");
                other_add(c, key.text, HASH_LIST, hash, slot->position);
        }
        if (err == HIF_OK && answer_of(&req) == ANSWER_NONE)
                not_checked(c, req.result, key.text, "cannot be read");
        if (err == HIF_OK && answer_of(&req) == ANSWER_HERE) {
                actual = hash_of(HASH_LIST, buf_span(&req.data));
                *ok = hash_eq(&actual, hash);
                if (*ok) {
                        *bytes = arena_span(arena, buf_span(&req.data));
                        err = bytes->data ? HIF_OK : HIF_ENOMEM;
                } else {
                        found_at(c, CHECK_LIST_DAMAGED, slot->position, key.text,
                                 "its bytes are not what its name says");
                        other_add(c, key.text, HASH_LIST, hash, slot->position);
                }
        }
        store_req_free(&req);
        return err;
}

static void list_wrong(struct check *c, const struct slot *slot, const struct hif_hash *hash)
{
        struct layout_key key = layout_list(&c->project.layout, hash);

        found_at(c, CHECK_LIST_DAMAGED, slot->position, key.text,
                 "it cannot be decoded, or is not the list that the slot speaks of");
}

static enum hif_err load_paths(struct check *c, struct slot_view *view)
{
        struct slot *slot = &view->read.slot;
        struct span bytes = {0};
        uint32_t count = 0;
        enum hif_err err;
        bool ok;

        view->have_paths = slot->path_count == 0 || slot->paths;
        if (view->have_paths)
                return HIF_OK;
        err = read_list(c, slot, &slot->paths_list, &view->read.arena, &bytes, &ok);
        if (err != HIF_OK || !ok)
                return err;
        err = slot_paths_get(bytes, &view->read.arena, &slot->paths, &count);
        view->have_paths = err == HIF_OK && count == slot->path_count;
        if (!view->have_paths)
                list_wrong(c, slot, &slot->paths_list);
        return err == HIF_ENOMEM ? err : HIF_OK;
}

static enum hif_err load_objects(struct check *c, struct slot_view *view)
{
        struct slot *slot = &view->read.slot;
        struct span bytes = {0};
        uint32_t count = 0;
        enum hif_err err;
        bool ok;

        view->have_objects = slot->object_count == 0 || slot->objects;
        if (view->have_objects)
                return HIF_OK;
        err = read_list(c, slot, &slot->objects_list, &view->read.arena, &bytes, &ok);
        if (err != HIF_OK || !ok)
                return err;
        err = slot_objects_get(bytes, &view->read.arena, &slot->objects, &count);
        view->have_objects = err == HIF_OK && count == slot->object_count;
        if (!view->have_objects)
                list_wrong(c, slot, &slot->objects_list);
        return err == HIF_ENOMEM ? err : HIF_OK;
}

static enum hif_err load_members(struct check *c, struct slot_view *view)
{
        struct slot *slot = &view->read.slot;
        struct span bytes = {0};
        uint32_t count = 0;
        enum hif_err err;
        bool ok;

        view->have_members = slot->member_count == 0 || slot->members;
        if (view->have_members)
                return HIF_OK;
        err = read_list(c, slot, &slot->members_list, &view->read.arena, &bytes, &ok);
        if (err != HIF_OK || !ok)
                return err;
        err = slot_members_get(bytes, &view->read.arena, &slot->members, &count);
        view->have_members = err == HIF_OK && count == slot->member_count && slot_members_fit(slot);
        if (!view->have_members)
                list_wrong(c, slot, &slot->members_list);
        return err == HIF_ENOMEM ? err : HIF_OK;
}

enum hif_err lists_load(struct check *c, struct slot_view *view)
{
        enum hif_err err = load_members(c, view);

        if (err == HIF_OK)
                err = load_paths(c, view);
        return err == HIF_OK ? load_objects(c, view) : err;
}
