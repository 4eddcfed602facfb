/* What the landings of one process have in common: the newest slot that it knows and some before
 * it, and tree nodes, also of trees that are in no store yet. */
#include "land/batch.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- nodes that were made --- */

struct made_node *made_find(const struct made *made, const struct hif_hash *hash)
{
        struct made_node *node = map_get(&made->map, hash_prefix(hash));

        return node && hash_eq(&node->hash, hash) ? node : NULL;
}

enum hif_err made_add(struct made *made, const struct hif_hash *hash, struct span bytes)
{
        struct made_node *node;

        if (made_find(made, hash))
                return HIF_OK;
        node = arena_zalloc(&made->arena, sizeof(*node));
        if (!node)
                return HIF_ENOMEM;
        node->hash = *hash;
        node->bytes = arena_span(&made->arena, bytes);
        if (!node->bytes.data)
                return HIF_ENOMEM;
        return map_put(&made->map, hash_prefix(hash), node);
}

static enum hif_err made_sink_put(struct tree_sink *base, const struct hif_hash *hash,
                                  struct span bytes)
{
        return made_add(((struct made_sink *)base)->made, hash, bytes);
}

struct made_sink made_sink_of(struct made *made)
{
        return (struct made_sink){.sink.put = made_sink_put, .made = made};
}

void made_reset(struct made *made)
{
        map_free(&made->map);
        arena_free(&made->arena);
}

static enum hif_err made_get(struct tree_source *source, const struct hif_hash *hash,
                             struct tree_node *out)
{
        struct made *made = (struct made *)source;
        struct made_node *node = made_find(made, hash);

        if (node) {
                tree_node_open(node->bytes, out);
                out->pin = made;
                return HIF_OK;
        }
        return made->upstream ? made->upstream->get(made->upstream, hash, out) : HIF_EMISS;
}

static void made_put(struct tree_source *source, struct tree_node *node)
{
        struct made *made = (struct made *)source;

        if (node->pin != made)
                made->upstream->put(made->upstream, node);
}

/* --- the line --- */

enum hif_err land_line_new(const struct project *project, struct tree_source *nodes,
                           struct land_line **out)
{
        struct land_line *line = calloc(1, sizeof(*line));
        enum hif_err err = HIF_ENOMEM;

        if (!line)
                return HIF_ENOMEM;
        line->project = project;
        for (size_t i = LINE_BATCHES; i-- > 0; nodes = &line->made[i].source)
                line->made[i] =
                    (struct made){.source = {.get = made_get, .put = made_put}, .upstream = nodes};
        line->codec = body_codec_new(3);
        if (line->codec)
                err = node_reader_over(project, NODE_CACHE_BYTES, nodes, &line->reader);
        if (err != HIF_OK) {
                land_line_free(line);
                return err;
        }
        *out = line;
        return HIF_OK;
}

void land_line_keep(struct land_line *line, struct tree_sink *sink)
{
        line->keep = sink;
}

void land_line_free(struct land_line *line)
{
        if (!line)
                return;
        for (size_t i = 0; i < RECENT_SLOTS; i++)
                slot_read_free(&line->recent[i]);
        node_reader_free(line->reader);
        body_codec_free(line->codec);
        for (size_t i = 0; i < LINE_BATCHES; i++)
                made_reset(&line->made[i]);
        free(line);
}

const struct slot_read *line_slot(const struct land_line *line, uint64_t position)
{
        const struct slot_read *read = &line->recent[position % RECENT_SLOTS];

        return read->stored.size > 0 && read->slot.position == position ? read : NULL;
}

void line_learn(struct land_line *line, struct slot_read *read)
{
        uint64_t position = read->slot.position;
        struct slot_read *kept = &line->recent[position % RECENT_SLOTS];

        /* An older one does not push a newer one out: the tail may be among them. */
        if (kept->stored.size > 0 && kept->slot.position >= position) {
                slot_read_free(read);
        } else {
                slot_read_free(kept);
                *kept = *read;
                *read = (struct slot_read){0};
        }
        if (!line->any || position > line->newest) {
                line->any = true;
                line->newest = position;
                line->ours = false;
        }
}

bool land_line_tail(const struct land_line *line, struct slot *out)
{
        const struct slot_read *read = line->any ? line_slot(line, line->newest) : NULL;

        if (!read)
                return false;
        *out = (struct slot){
            .position = read->slot.position, .tree = read->slot.tree, .hlc = read->slot.hlc};
        return true;
}

void land_report(struct land *land)
{
        if (land->hooks && land->hooks->progress)
                land->hooks->progress(land->hooks, &land->progress);
}

enum hif_err land_accept_base(struct land *land, const struct slot_read *base, struct hif_why *why)
{
        if (!hash_eq(&base->hash, &land->session->base_slot))
                return why_set(why, HIF_ECORRUPT,
                               "%s holds something else at @%" PRIu64
                               " than this session started from: it is another store, or an older "
                               "copy of it",
                               store_url(land->project->store), land->session->base_position);
        land->base_tree = base->slot.tree;
        return HIF_OK;
}

enum hif_err land_load_base(struct land *land, struct hif_why *why)
{
        struct slot_read base;
        enum hif_err err;

        if (!hash_is_zero(&land->base_tree))
                return HIF_OK;
        err = project_slot(land->project, land->session->base_position, false, &base, why);
        if (err == HIF_ENOENT)
                err = slot_lost(land->project, land->session->base_position, why);
        if (err != HIF_OK)
                return err;
        err = land_accept_base(land, &base, why);
        slot_read_free(&base);
        return err;
}

enum hif_err line_base(struct land_line *line, struct land *land, struct hif_why *why)
{
        uint64_t position = land->session->base_position;
        const struct slot_read *kept = line_slot(line, position);
        /* The scan has held the slot after base against base's hash. */
        bool chained = land->session->origin == position && line->newest > position &&
                       line->newest - position < RECENT_SLOTS / 2;

        if (land->base_told && !chained)
                land->base_tree = (struct hif_hash){0};
        land->base_told = false;
        if (hash_is_zero(&land->base_tree) && kept)
                return land_accept_base(land, kept, why);
        return land_load_base(land, why);
}
