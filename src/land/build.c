/* From a decided merge to the bytes of a slot, with everything that it names in the store. */
#include "core/layout.h"
#include "land/internal.h"

#include <assert.h>
#include <stdlib.h>

#define BLOOM_BYTES_MAX (16u << 10) /* in a slot of 64 KiB */

void slot_built_free(struct slot_built *built)
{
        buf_free(&built->bytes);
        arena_free(&built->arena);
        bloom_free(&built->slot.bloom);
        memset(built, 0, sizeof(*built));
}

/* --- the objects that this tree has and the one before has not --- */

struct objects {
        struct slot_object *items;
        uint32_t count, capacity;
        struct map seen; /* index + 1, as a pointer */
};

static void objects_free(struct objects *objects)
{
        free(objects->items);
        map_free(&objects->seen);
}

static enum hif_err objects_add(void *arg, const struct slot_object *object)
{
        struct objects *objects = arg;
        uint64_t key = hash_prefix(&object->hash) ^ ((uint64_t)object->kind << 60);
        uintptr_t at = (uintptr_t)map_get(&objects->seen, key);

        if (at > 0 && hash_eq(&objects->items[at - 1].hash, &object->hash) &&
            objects->items[at - 1].kind == object->kind)
                return HIF_OK;
        if (objects->count == objects->capacity) {
                uint32_t capacity = objects->capacity ? objects->capacity * 2 : 64;
                struct slot_object *grown = realloc(objects->items, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                objects->items = grown;
                objects->capacity = capacity;
        }
        objects->items[objects->count++] = *object;
        return map_put(&objects->seen, key, (void *)(uintptr_t)objects->count);
}

/* --- nodes --- */

struct node_sink {
        struct tree_sink sink;
        struct land *land;
        struct puts *puts;
        struct objects *objects;
        struct hif_why *why;
};

static enum hif_err node_sink_put(struct tree_sink *base, const struct hif_hash *hash,
                                  struct span bytes)
{
        struct node_sink *sink = (struct node_sink *)base;
        struct slot_object object = {.kind = SLOT_NODE, .hash = *hash};
        struct layout_key key;
        struct buf body = {0};
        enum hif_err err = objects_add(sink->objects, &object);

        if (err != HIF_OK)
                return err;
        /* "Is it there already" is not asked: only what this run stored itself is skipped, and
         * what N's tree reaches does not get here. */
        if (known_find(&sink->land->known, KNOWN_OBJECT, hash))
                return HIF_OK;
        node_reader_keep(sink->land->reader, hash, bytes);
        err = body_put(sink->land->codec, BODY_NODE, bytes, &body);
        if (err != HIF_OK) {
                buf_free(&body);
                return err;
        }
        key = layout_node(&sink->land->project->layout, hash);
        return puts_add(sink->puts, &key, hash, &body, NULL, sink->why);
}

/* N reaches this content already: only the bit changed, or it was called something else. */
static bool moved_only(const struct merge *merge, const struct touched *item)
{
        const struct touched *from = NULL;

        if (item->theirs && entry_is_file(item->theirs) &&
            hash_eq(&item->theirs->hash, &item->entry->hash))
                return true;
        if (item->change && item->change->path_from.size > 0)
                from = merge_find(merge, item->change->path_from);
        return from && from->theirs && entry_is_file(from->theirs) &&
               hash_eq(&from->theirs->hash, &item->entry->hash);
}

static enum hif_err content_of_changes(struct land *land, struct objects *objects,
                                       struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < land->merge.count && err == HIF_OK; i++) {
                const struct touched *item = land->merge.items[i];

                if ((item->act == TOUCH_ADD || item->act == TOUCH_CHANGE) &&
                    !moved_only(&land->merge, item))
                        err = content_objects(land->project, &land->known, item->entry, objects_add,
                                              objects, why);
        }
        return err;
}

static enum hif_err build_tree(struct land *land, struct puts *puts, struct objects *objects,
                               const struct hif_hash *from, struct hif_hash *tree,
                               struct hif_why *why)
{
        struct node_sink sink = {
            .sink.put = node_sink_put, .land = land, .puts = puts, .objects = objects, .why = why};
        struct merge_edits edits;
        struct tree_stats stats = {0};
        enum hif_err err = content_of_changes(land, objects, why);

        merge_edits_init(&edits, &land->merge);
        if (err == HIF_OK)
                err = tree_apply(node_reader_source(land->reader), &sink.sink,
                                 &land->project->format.tree, from, &edits.edits, tree, &stats);
        return err;
}

/* --- session and lists --- */

/* The session's record, with the hashes that its operations ended up with. */
static enum hif_err put_session(struct land *land, struct puts *puts, struct hif_hash *hash,
                                struct hif_why *why)
{
        struct session session = *land->session;
        AUTO_FREE struct session_op *ops = malloc((session.op_count + 1) * sizeof(*ops));
        struct layout_key key;
        struct buf body = {0};
        enum hif_err err;

        if (!ops)
                return HIF_ENOMEM;
        for (uint32_t i = 0; i < session.op_count; i++) {
                const struct touched *item = merge_find(&land->merge, session.ops[i].path);

                ops[i] = session.ops[i];
                if (hash_is_zero(&ops[i].hash) && item && item->ours && item->change &&
                    (ops[i].kind == SESSION_CREATE || ops[i].kind == SESSION_WRITE))
                        ops[i].hash = item->ours->hash;
        }
        session.ops = ops;
        session.state = SESSION_LANDED;
        err = session_put(&body, &session);
        if (err == HIF_OK && buf_failed(&body))
                err = HIF_ENOMEM;
        if (err != HIF_OK) {
                buf_free(&body);
                return why_set(why, err, "the session's record cannot be encoded: %s",
                               hif_strerror(err));
        }
        *hash = hash_of(HASH_SESSION, buf_span(&body));
        if (known_find(&land->known, KNOWN_OBJECT, hash)) {
                buf_free(&body);
                return HIF_OK;
        }
        key = layout_session(&land->project->layout, &session.id, hash);
        return puts_add(puts, &key, hash, &body, NULL, why);
}

static enum hif_err put_list(struct land *land, struct puts *puts, struct buf *body,
                             struct hif_hash *hash, struct hif_why *why)
{
        struct layout_key key;

        if (buf_failed(body)) {
                buf_free(body);
                return HIF_ENOMEM;
        }
        *hash = hash_of(HASH_LIST, buf_span(body));
        key = layout_list(&land->project->layout, hash);
        return puts_add(puts, &key, hash, body, NULL, why);
}

static enum hif_err fill_bloom(const struct merge *merge, struct slot *slot)
{
        enum hif_err err;

        /* Every path that was looked at, ancestors included, is more than will be put in. */
        if (merge->count * BLOOM_BITS_PER_ITEM / 8 > BLOOM_BYTES_MAX) {
                slot->bloom_absent = true;
                return HIF_OK;
        }
        err = bloom_init(&slot->bloom, (uint32_t)merge->count);
        for (uint32_t i = 0; i < slot->path_count && err == HIF_OK; i++) {
                bloom_add_path(&slot->bloom, slot->paths[i].path);
                if (slot->paths[i].path_from.size > 0)
                        bloom_add_path(&slot->bloom, slot->paths[i].path_from);
        }
        return err;
}

static enum hif_err objects_out(struct land *land, struct puts *puts, struct slot *slot,
                                struct hif_why *why)
{
        struct buf body = {0};

        slot_objects_put(&body, slot->objects, slot->object_count);
        slot->objects = NULL;
        return put_list(land, puts, &body, &slot->objects_list, why);
}

static enum hif_err paths_out(struct land *land, struct puts *puts, struct slot *slot,
                              struct hif_why *why)
{
        struct buf body = {0};

        slot_paths_put(&body, slot->paths, slot->path_count);
        slot->paths = NULL;
        return put_list(land, puts, &body, &slot->paths_list, why);
}

/* Bytes of each list, about. */
static bool objects_are_longer(const struct slot *slot)
{
        size_t paths = 0;

        for (uint32_t i = 0; slot->paths && i < slot->path_count; i++)
                paths += 8 + slot->paths[i].path.size + slot->paths[i].path_from.size;
        return slot->objects && slot->object_count > 0 &&
               slot->object_count * (HIF_HASH_SIZE + 1ull) > paths;
}

/* Encode; what does not fit goes out into objects of its own, the longest first. */
static enum hif_err encode(struct land *land, struct puts *puts, struct slot *slot, struct buf *out,
                           struct hif_why *why)
{
        enum hif_err err;

        while ((err = slot_put(out, slot)) == HIF_ELIMIT) {
                buf_reset(out);
                if (objects_are_longer(slot)) {
                        err = objects_out(land, puts, slot, why);
                } else if (slot->paths && slot->path_count > 0) {
                        err = paths_out(land, puts, slot, why);
                } else if (!slot->bloom_absent) {
                        bloom_free(&slot->bloom);
                        slot->bloom_absent = true;
                        err = HIF_OK;
                } else {
                        return why_set(why, err, "the landing's record is too large");
                }
                if (err != HIF_OK)
                        return err;
        }
        return err == HIF_OK && buf_failed(out) ? HIF_ENOMEM : err;
}

static enum hif_err build(struct land *land, const struct slot_read *tail, struct puts *puts,
                          struct objects *objects, struct slot_built *out, struct hif_why *why)
{
        struct slot *slot = &out->slot;
        enum hif_err err = build_tree(land, puts, objects, &tail->slot.tree, &slot->tree, why);

        if (err == HIF_OK)
                err = merge_paths(&land->merge, &out->arena, &slot->paths, &slot->path_count);
        if (err == HIF_OK)
                err = fill_bloom(&land->merge, slot);
        if (err == HIF_OK)
                err = put_session(land, puts, &slot->session_object, why);
        if (err != HIF_OK)
                return err;
        slot->objects = objects->items;
        slot->object_count = objects->count;
        err = encode(land, puts, slot, &out->bytes, why);
        slot->objects = NULL;
        if (err == HIF_OK)
                err = puts_flush(puts, why);
        return err;
}

enum hif_err land_build(struct land *land, const struct slot_read *tail, uint64_t tag,
                        const uint8_t landing_id[LANDING_ID_SIZE], struct slot_built *out,
                        struct hif_why *why)
{
        uint64_t now = env_wall_ns(land->env);
        struct puts *puts = calloc(1, sizeof(*puts));
        struct objects objects = {0};
        enum hif_err err = HIF_ENOMEM;

        *out = (struct slot_built){
            .slot = {.kind = SLOT_LANDING,
                     .position = tail->slot.position + 1,
                     .tag = tag,
                     .session = land->session->id,
                     .base_position = land->session->base_position,
                     .previous = tail->hash,
                     .tree_entries =
                         tail->slot.tree_entries + land->merge.added - land->merge.removed,
                     .hlc = hlc_merge(land->session->updated, tail->slot.hlc, now / 1000000),
                     .wall_ns = now,
                     .author = land->session->author,
                     .goal = land->session->goal}};
        memcpy(out->slot.landing_id, landing_id, LANDING_ID_SIZE);
        if (puts) {
                puts->project = land->project;
                puts->hooks = land->hooks;
                puts->known = &land->known;
                err = build(land, tail, puts, &objects, out, why);
                land->progress.objects_put += puts->objects_put;
                land->progress.bytes_put += puts->bytes_put;
                puts_free(puts);
                free(puts);
        }
        objects_free(&objects);
        land_report(land);
        if (err != HIF_OK) {
                slot_built_free(out);
                if (err == HIF_ENOMEM)
                        (void)why_set(why, err, "out of memory");
        }
        return err;
}
