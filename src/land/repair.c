/* A repair slot: the tail's tree without locations that lead nowhere. */
#include "land/repair.h"

#include "core/layout.h"
#include "land/internal.h"

#define ATTEMPTS 64u

/* What becomes of the edits against one tail. */
struct plan {
        struct arena arena;
        struct tree_edit *edits;
        size_t count, next;
        struct slot_path *paths;
        uint32_t path_count;
};

struct plan_edits {
        struct tree_edits edits;
        struct plan *plan;
};

static bool plan_next(struct tree_edits *base, struct tree_edit *out)
{
        struct plan *plan = ((struct plan_edits *)base)->plan;

        if (plan->next == plan->count)
                return false;
        *out = plan->edits[plan->next++];
        return true;
}

static struct entry *without_location(struct arena *arena, const struct entry *entry)
{
        struct entry *copy = arena_alloc(arena, sizeof(*copy));

        if (!copy)
                return NULL;
        *copy = *entry;
        copy->loc = (struct pack_loc){0};
        copy->ext = arena_span(arena, entry->ext);
        return entry->ext.size > 0 && !copy->ext.data ? NULL : copy;
}

static enum hif_err plan_one(struct plan *plan, const struct repair_edit *edit,
                             const struct entry *entry)
{
        struct tree_edit *out = &plan->edits[plan->count];

        if (!entry_is_file(entry) || !hash_eq(&entry->hash, &edit->hash) ||
            (!edit->remove && entry->loc.size == 0))
                return HIF_OK;
        *out = (struct tree_edit){.key = edit->key};
        if (edit->remove) {
                plan->paths[plan->path_count++] =
                    (struct slot_path){.kind = SLOT_REMOVED, .path = edit->path};
        } else {
                out->entry = without_location(&plan->arena, entry);
                if (!out->entry)
                        return HIF_ENOMEM;
        }
        plan->count++;
        return HIF_OK;
}

static enum hif_err make_plan(struct node_reader *reader, const struct repair *repair,
                              const struct hif_hash *tree, struct plan *plan)
{
        struct tree_cursor cursor;
        enum hif_err err = HIF_OK;

        plan->edits = arena_alloc(&plan->arena, (repair->count + 1) * sizeof(*plan->edits));
        plan->paths = arena_alloc(&plan->arena, (repair->count + 1) * sizeof(*plan->paths));
        if (!plan->edits || !plan->paths)
                return HIF_ENOMEM;
        tree_cursor_init(&cursor, node_reader_source(reader));
        for (size_t i = 0; i < repair->count && err == HIF_OK; i++) {
                struct entry entry;

                err = tree_find(&cursor, tree, repair->edits[i].key, &entry, NULL);
                if (err == HIF_OK)
                        err = plan_one(plan, &repair->edits[i], &entry);
                else if (err == HIF_ENOENT) /* it went meanwhile */
                        err = HIF_OK;
        }
        tree_cursor_close(&cursor);
        return err;
}

/* --- objects --- */

struct repair_sink {
        struct tree_sink sink;
        const struct project *project;
        struct body_codec *codec;
        struct puts *puts;
        struct buf objects; /* of struct slot_object */
        struct hif_why *why;
};

static enum hif_err sink_put(struct tree_sink *base, const struct hif_hash *hash, struct span bytes)
{
        struct repair_sink *sink = (struct repair_sink *)base;
        struct slot_object object = {.kind = SLOT_NODE, .hash = *hash};
        struct layout_key key = layout_node(&sink->project->layout, hash);
        struct buf body = {0};
        enum hif_err err = body_put(sink->codec, BODY_NODE, bytes, &body);

        buf_put(&sink->objects, &object, sizeof(object));
        if (err != HIF_OK || buf_failed(&sink->objects)) {
                buf_free(&body);
                return err == HIF_OK ? HIF_ENOMEM : err;
        }
        return puts_add(sink->puts, &key, hash, &body, NULL, sink->why);
}

/* A list of the slot becomes an object of its own. */
static enum hif_err list_out(struct repair_sink *sink, struct buf *body, struct hif_hash *hash)
{
        struct layout_key key;

        if (buf_failed(body)) {
                buf_free(body);
                return HIF_ENOMEM;
        }
        *hash = hash_of(HASH_LIST, buf_span(body));
        key = layout_list(&sink->project->layout, hash);
        return puts_add(sink->puts, &key, hash, body, NULL, sink->why);
}

static enum hif_err encode(struct repair_sink *sink, struct slot *slot, struct buf *out)
{
        enum hif_err err = slot_put(out, slot);
        struct buf list = {0};

        if (err == HIF_ELIMIT && slot->objects) {
                slot_objects_put(&list, slot->objects, slot->object_count);
                slot->objects = NULL;
                err = list_out(sink, &list, &slot->objects_list);
                if (err == HIF_OK)
                        err = slot_put(out, slot);
        }
        if (err == HIF_ELIMIT && slot->paths) {
                list = (struct buf){0};
                slot_paths_put(&list, slot->paths, slot->path_count);
                slot->paths = NULL;
                err = list_out(sink, &list, &slot->paths_list);
                if (err == HIF_OK)
                        err = slot_put(out, slot);
        }
        return err == HIF_OK && buf_failed(out) ? HIF_ENOMEM : err;
}

/* --- one attempt --- */

static enum hif_err build(struct repair_sink *sink, struct node_reader *reader,
                          const struct repair *repair, const struct slot_read *tail,
                          const uint8_t landing_id[LANDING_ID_SIZE], struct plan *plan,
                          struct buf *out)
{
        const struct project *project = sink->project;
        uint64_t now = env_wall_ns(project->env);
        struct plan_edits edits = {.edits.next = plan_next, .plan = plan};
        struct tree_stats stats = {0};
        struct slot slot = {.kind = SLOT_REPAIR,
                            .position = tail->slot.position + 1,
                            .tag = env_random_u64(project->env) | 1,
                            .base_position = tail->slot.position,
                            .previous = tail->hash,
                            .tree = tail->slot.tree,
                            .tree_entries = tail->slot.tree_entries - plan->path_count,
                            .hlc = hlc_merge(0, tail->slot.hlc, now / 1000000),
                            .wall_ns = now,
                            .author = repair->author,
                            .goal = repair->goal,
                            .paths = plan->path_count > 0 ? plan->paths : NULL,
                            .path_count = plan->path_count,
                            .bloom_absent = true};
        enum hif_err err = HIF_OK;

        memcpy(slot.landing_id, landing_id, LANDING_ID_SIZE);
        if (plan->count > 0)
                err = tree_apply(node_reader_source(reader), &sink->sink, &project->format.tree,
                                 &tail->slot.tree, &edits.edits, &slot.tree, &stats);
        buf_put(&sink->objects, repair->objects, repair->object_count * sizeof(*repair->objects));
        if (err == HIF_OK && buf_failed(&sink->objects))
                err = HIF_ENOMEM;
        if (err != HIF_OK)
                return err;
        slot.object_count = (uint32_t)(sink->objects.size / sizeof(struct slot_object));
        slot.objects = slot.object_count > 0 ? (struct slot_object *)sink->objects.data : NULL;
        err = encode(sink, &slot, out);
        return err == HIF_OK ? puts_flush(sink->puts, sink->why) : err;
}

static enum hif_err attempt(const struct project *project, struct node_reader *reader,
                            const struct repair *repair, const struct slot_read *tail,
                            struct repair_result *out, bool *won, struct hif_why *why)
{
        struct repair_sink sink = {.sink.put = sink_put, .project = project, .why = why};
        uint8_t landing_id[LANDING_ID_SIZE];
        AUTO_BUF struct buf bytes = {0};
        struct slot_read winner = {0};
        struct plan plan = {0};
        enum hif_err err = HIF_ENOMEM;

        env_random(project->env, landing_id, sizeof(landing_id));
        sink.codec = body_codec_new(3);
        sink.puts = calloc(1, sizeof(*sink.puts));
        if (sink.puts)
                sink.puts->project = project;
        if (sink.codec && sink.puts)
                err = make_plan(reader, repair, &tail->slot.tree, &plan);
        if (err == HIF_OK && plan.count == 0 && repair->object_count == 0)
                err = HIF_ENOTHING;
        if (err == HIF_OK)
                err = build(&sink, reader, repair, tail, landing_id, &plan, &bytes);
        if (err == HIF_OK)
                err = publish_slot(project, NULL, tail->slot.position + 1, buf_span(&bytes),
                                   landing_id, false, &winner, won, why);
        if (err == HIF_OK && *won)
                *out = (struct repair_result){.position = tail->slot.position + 1,
                                              .changed = plan.count};
        slot_read_free(&winner);
        if (sink.puts)
                puts_free(sink.puts);
        free(sink.puts);
        body_codec_free(sink.codec);
        buf_free(&sink.objects);
        arena_free(&plan.arena);
        return err;
}

enum hif_err land_repair(const struct project *project, const struct repair *repair,
                         struct repair_result *out, struct hif_why *why)
{
        struct node_reader *reader;
        struct slot_read tail;
        bool won = false;
        enum hif_err err = node_reader_new(project, NODE_CACHE_BYTES, &reader);

        if (err != HIF_OK)
                return why_set(why, err, "out of memory");
        for (uint32_t i = 0; i < ATTEMPTS && err == HIF_OK && !won; i++) {
                if (i > 0)
                        land_pause(project->env, NULL, project->store->local, i - 1);
                err = project_tail(project, 0, &tail, why);
                if (err != HIF_OK)
                        break;
                err = attempt(project, reader, repair, &tail, out, &won, why);
                slot_read_free(&tail);
        }
        node_reader_free(reader);
        if (err == HIF_OK && !won)
                return why_set(why, HIF_ELIMIT,
                               "others landed first %u times in a row: nothing was repaired in the "
                               "tree, try again",
                               ATTEMPTS);
        /* Finding the tail anew moves head, too; it is a hint. */
        if (err == HIF_OK && project_tail(project, out->position, &tail, NULL) == HIF_OK)
                slot_read_free(&tail);
        if (err == HIF_ENOMEM)
                return why_set(why, err, "out of memory");
        return err;
}
