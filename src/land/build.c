/* From those who land to the bytes of a slot, with everything that it names on its way to the
 * store. */
#include "core/layout.h"
#include "land/batch.h"

#include <assert.h>
#include <stdlib.h>

#define BLOOM_BYTES_MAX (16u << 10) /* in a slot of 64 KiB */
#define OTHERS_AHEAD_MS 300000u

void batch_built_free(struct batch_built *built)
{
        if (built->puts)
                puts_free(built->puts);
        free(built->puts);
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

/* What is being built. */
struct build {
        struct commit *c;
        struct batch_built *out;
        struct objects objects;
        struct hif_why *why;
};

/* --- nodes --- */

static enum hif_err put_node(struct build *build, const struct made_node *node)
{
        struct land_line *line = build->c->line;
        struct slot_object object = {.kind = SLOT_NODE, .hash = node->hash};
        struct layout_key key = layout_node(&line->project->layout, &node->hash);
        struct buf body = {0};
        enum hif_err err = objects_add(&build->objects, &object);

        /* "Is it there already" is not asked: only what this run stored itself is skipped, and
         * what N's tree reaches was not made. */
        if (err != HIF_OK || known_find(&build->c->known, KNOWN_OBJECT, &node->hash))
                return err;
        node_reader_keep(line->reader, &node->hash, node->bytes);
        if (line->keep && line->keep->put(line->keep, &node->hash, node->bytes) != HIF_OK)
                line->keep = NULL; /* it is of no use, and does no harm */
        err = body_put(line->codec, BODY_NODE, node->bytes, &body);
        if (err != HIF_OK) {
                buf_free(&body);
                return err;
        }
        return puts_add(build->out->puts, &key, &node->hash, &body, NULL, build->why);
}

/* Those of the last tree that were made here, children first; trees in between are passed over. */
static enum hif_err put_nodes(struct build *build, const struct hif_hash *hash)
{
        struct made_node *made = made_find(build->c->made, hash);
        struct tree_node node;
        enum hif_err err = HIF_OK;

        if (!made || made->listed == build->c->made->round + 1)
                return HIF_OK;
        made->listed = build->c->made->round + 1;
        tree_node_open(made->bytes, &node);
        for (uint32_t i = 0; node.level > 0 && i < node.count && err == HIF_OK; i++) {
                struct hif_hash child;
                uint64_t entries;

                tree_node_child(&node, i, &child, &entries);
                err = put_nodes(build, &child);
        }
        return err == HIF_OK ? put_node(build, made) : err;
}

/* --- contents --- */

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

static enum hif_err content_of_changes(struct build *build, const struct entrant *entrant)
{
        struct land *land = entrant->land;
        enum hif_err err = HIF_OK;

        if (entrant->proposal) {
                for (uint32_t i = 0; i < entrant->proposal->object_count && err == HIF_OK; i++)
                        err = objects_add(&build->objects, &entrant->proposal->objects[i]);
                return err;
        }

        for (size_t i = 0; i < land->merge.count && err == HIF_OK; i++) {
                const struct touched *item = land->merge.items[i];

                if ((item->act == TOUCH_ADD || item->act == TOUCH_CHANGE) &&
                    !moved_only(&land->merge, item))
                        err = content_objects(land->project, &land->known, item->entry, objects_add,
                                              &build->objects, build->why);
        }
        return err;
}

/* --- lists --- */

static enum hif_err put_list(struct build *build, struct buf *body, struct hif_hash *hash)
{
        struct layout_key key;

        if (buf_failed(body)) {
                buf_free(body);
                return HIF_ENOMEM;
        }
        *hash = hash_of(HASH_LIST, buf_span(body));
        key = layout_list(&build->c->line->project->layout, hash);
        return puts_add(build->out->puts, &key, hash, body, NULL, build->why);
}

static enum hif_err objects_out(struct build *build)
{
        struct slot *slot = &build->out->slot;
        struct buf body = {0};

        slot_objects_put(&body, slot->objects, slot->object_count);
        slot->objects = NULL;
        return put_list(build, &body, &slot->objects_list);
}

static enum hif_err paths_out(struct build *build)
{
        struct slot *slot = &build->out->slot;
        struct buf body = {0};

        slot_paths_put(&body, slot->paths, slot->path_count);
        slot->paths = NULL;
        return put_list(build, &body, &slot->paths_list);
}

static enum hif_err members_out(struct build *build)
{
        struct slot *slot = &build->out->slot;
        struct buf body = {0};

        slot_members_put(&body, slot->members, slot->member_count);
        slot->members = NULL;
        return put_list(build, &body, &slot->members_list);
}

/* Bytes of each list that is inline, about; 0: it is not. */
static size_t objects_size(const struct slot *slot)
{
        return slot->objects ? slot->object_count * (HIF_HASH_SIZE + 1ull) : 0;
}

static size_t paths_size(const struct slot *slot)
{
        size_t size = 0;

        for (uint32_t i = 0; slot->paths && i < slot->path_count; i++)
                size += 8 + slot->paths[i].path.size + slot->paths[i].path_from.size;
        return size;
}

static size_t members_size(const struct slot *slot)
{
        size_t size = 0;

        for (uint32_t i = 0; slot->members && i < slot->member_count; i++)
                size += 96 + slot->members[i].author.size + slot->members[i].goal.size;
        return size;
}

static enum hif_err longest_out(struct build *build)
{
        struct slot *slot = &build->out->slot;
        size_t objects = objects_size(slot), paths = paths_size(slot), members = members_size(slot);

        if (objects > 0 && objects >= paths && objects >= members)
                return objects_out(build);
        if (paths > 0 && paths >= members)
                return paths_out(build);
        if (members > 0)
                return members_out(build);
        if (slot->bloom_absent)
                return why_set(build->why, HIF_ELIMIT, "the landing's record is too large");
        bloom_free(&slot->bloom);
        slot->bloom_absent = true;
        return HIF_OK;
}

/* Encode; what does not fit goes out into objects of its own, the longest first. */
static enum hif_err encode(struct build *build)
{
        struct buf *bytes = &build->out->bytes;
        enum hif_err err;

        while ((err = slot_put(bytes, &build->out->slot)) == HIF_ELIMIT) {
                buf_reset(bytes);
                err = longest_out(build);
                if (err != HIF_OK)
                        return err;
        }
        return err == HIF_OK && buf_failed(bytes) ? HIF_ENOMEM : err;
}

/* --- the slot --- */

static enum hif_err fill_bloom(struct build *build)
{
        struct slot *slot = &build->out->slot;
        size_t items = 0;
        enum hif_err err;

        /* Every path that was looked at, ancestors included, is more than will be put in. */
        for (size_t i = 0; i < build->c->landing_count; i++)
                items += build->c->landing[i]->land->merge.count;
        if (items == 0)
                return HIF_OK;
        if (items * BLOOM_BITS_PER_ITEM / 8 > BLOOM_BYTES_MAX) {
                slot->bloom_absent = true;
                return HIF_OK;
        }
        err = bloom_init(&slot->bloom, (uint32_t)items);
        for (uint32_t i = 0; i < slot->path_count && err == HIF_OK; i++) {
                bloom_add_path(&slot->bloom, slot->paths[i].path);
                if (slot->paths[i].path_from.size > 0)
                        bloom_add_path(&slot->bloom, slot->paths[i].path_from);
        }
        return err;
}

static enum hif_err fill_paths(struct build *build)
{
        struct commit *c = build->c;
        struct slot *slot = &build->out->slot;
        struct slot_path *paths;

        for (size_t i = 0; i < c->landing_count; i++)
                slot->path_count += c->landing[i]->path_count;
        paths = arena_alloc(&build->out->arena, (slot->path_count + 1) * sizeof(*paths));
        if (!paths)
                return HIF_ENOMEM;
        slot->paths = paths;
        for (size_t i = 0; i < c->landing_count; i++) {
                memcpy(paths, c->landing[i]->paths, c->landing[i]->path_count * sizeof(*paths));
                paths += c->landing[i]->path_count;
        }
        return fill_bloom(build);
}

/* For who lands next: is it crowded here? */
static uint32_t rivals_of(const struct commit *c)
{
        uint32_t races = c->batch->races_lost + c->races_lost, proposals = 0;

        for (size_t i = 0; i < c->landing_count; i++)
                proposals += c->landing[i]->proposal != NULL;
        return races + (proposals > 1 ? proposals - 1 : 0);
}

static enum hif_err put_records(struct build *build)
{
        struct commit *c = build->c;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < c->landing_count && err == HIF_OK; i++) {
                struct entrant *entrant = c->landing[i];

                if (entrant->proposal) {
                        entrant->session_object = entrant->proposal->session_object;
                        continue;
                }
                err = record_put(entrant->land, entrant->member->changes, entrant->member->count,
                                 build->out->puts, &entrant->session_object, build->why);
        }
        return err;
}

static struct slot_member describe(const struct commit *c, const struct entrant *entrant)
{
        const struct session *session = entrant->land->session;
        struct slot_member member = {.tag = entrant->tag.id,
                                     .session = session->id,
                                     .session_object = entrant->session_object,
                                     .base_position = session->base_position,
                                     .wall_ns = (uint64_t)c->now.sec * 1000000000 + c->now.nsec,
                                     .author = session->author,
                                     .goal = session->goal,
                                     .path_count = entrant->path_count};

        memcpy(member.landing_id, entrant->landing_id, LANDING_ID_SIZE);
        return member;
}

/* One landing is told in the slot itself, several in their members. So is one proposal: who has
 * read it finds it by its landing id, while the slot's own says who has written the slot. */
static enum hif_err fill_landings(struct build *build)
{
        struct commit *c = build->c;
        struct slot *slot = &build->out->slot;
        struct slot_member only;

        if (c->landing_count == 0) {
                slot->kind = SLOT_VOID;
                slot->base_position = c->tail->slot.position;
                return HIF_OK;
        }
        if (c->landing_count == 1 && !c->landing[0]->proposal) {
                only = describe(c, c->landing[0]);
                slot->kind = SLOT_LANDING;
                slot->tag = only.tag;
                slot->session = only.session;
                slot->session_object = only.session_object;
                slot->base_position = only.base_position;
                slot->author = only.author;
                slot->goal = only.goal;
                return HIF_OK;
        }
        slot->kind = SLOT_BATCH;
        slot->member_count = (uint32_t)c->landing_count;
        slot->members = arena_zalloc(&build->out->arena, c->landing_count * sizeof(only));
        for (size_t i = 0; slot->members && i < c->landing_count; i++)
                slot->members[i] = describe(c, c->landing[i]);
        return slot->members ? HIF_OK : HIF_ENOMEM;
}

/* Proposals that this slot decides, and does not land. */
static enum hif_err fill_refused(struct build *build)
{
        struct commit *c = build->c;
        struct slot *slot = &build->out->slot;
        struct slot_refused *list =
            arena_zalloc(&build->out->arena, (c->count + 1) * sizeof(*list));

        if (!list)
                return HIF_ENOMEM;
        for (size_t i = 0; i < c->count; i++) {
                const struct entrant *entrant = &c->entrants[i];
                struct slot_refused *refused = &list[slot->refused_count];

                if (!entrant_is_refused(entrant))
                        continue;
                refused->session = entrant->land->session->id;
                memcpy(refused->landing_id, entrant->landing_id, LANDING_ID_SIZE);
                slot->refused_count++;
        }
        slot->refused = slot->refused_count > 0 ? list : NULL;
        return HIF_OK;
}

static enum hif_err build(struct build *build)
{
        struct commit *c = build->c;
        struct slot *slot = &build->out->slot;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < c->landing_count && err == HIF_OK; i++)
                err = content_of_changes(build, c->landing[i]);
        if (err == HIF_OK)
                err = put_nodes(build, &c->tree);
        if (err == HIF_OK)
                err = fill_paths(build);
        if (err == HIF_OK)
                err = put_records(build);
        if (err == HIF_OK)
                err = fill_landings(build);
        if (err == HIF_OK)
                err = fill_refused(build);
        if (err != HIF_OK)
                return err;
        slot->objects = build->objects.items;
        slot->object_count = build->objects.count;
        err = encode(build);
        slot->objects = NULL;
        return err == HIF_OK ? puts_send(build->out->puts, build->why) : err;
}

/* Later than the slot before, and than the sessions in it; those of others only as far as their
 * clocks can be right. */
static hlc_t clock_of(const struct commit *c, uint64_t now_ns)
{
        hlc_t limit = hlc_next(0, now_ns / 1000000 + OTHERS_AHEAD_MS), latest = 0;

        for (size_t i = 0; i < c->landing_count; i++) {
                hlc_t updated = c->landing[i]->land->session->updated;

                if (updated > latest && (!c->landing[i]->member->others || updated < limit))
                        latest = updated;
        }
        return hlc_merge(latest, c->tail->slot.hlc, now_ns / 1000000);
}

enum hif_err batch_build(struct commit *c, struct hif_why *why)
{
        struct batch_built *out = &c->built;
        uint64_t now = env_wall_ns(c->env);
        struct build state = {.c = c, .out = out, .why = why};
        enum hif_err err = HIF_ENOMEM;

        _Static_assert(LAND_BATCH_MAX <= SLOT_REFUSED_MAX, "a batch fits a slot");
        *out = (struct batch_built){.slot = {.position = c->tail->slot.position + 1,
                                             .previous = c->tail->hash,
                                             .tree = c->tree,
                                             .tree_entries = c->tree_entries,
                                             .hlc = clock_of(c, now),
                                             .wall_ns = now,
                                             .rivals = rivals_of(c)},
                                    .puts = calloc(1, sizeof(*out->puts))};
        env_random(c->env, out->slot.landing_id, LANDING_ID_SIZE);
        if (out->puts) {
                out->puts->project = c->line->project;
                out->puts->hooks = c->hooks;
                out->puts->known = &c->known;
                err = build(&state);
        }
        objects_free(&state.objects);
        return err;
}

enum hif_err batch_stored(struct commit *c, struct hif_why *why)
{
        const struct batch_built *built = &c->built;
        enum hif_err err = puts_flush(built->puts, why);
        struct land *first = c->entrants[0].land;

        first->progress.objects_put += built->puts->objects_put;
        first->progress.bytes_put += built->puts->bytes_put;
        if (c->count == 1) /* a hook may take its time: not on others' account */
                land_report(first);
        return err;
}
