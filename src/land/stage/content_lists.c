/* The chunk lists of large files: written, and read for what base has of them. */
#include "core/layout.h"
#include "land/internal.h"

#include <assert.h>
#include <stdlib.h>

#define DEPTH_MAX 3

/* --- writing --- */

struct list_writer {
        const struct project *project;
        struct puts *puts;
        struct known_set *known;
        struct hif_why *why;
        struct slot_object *parts; /* everything new below, the list itself not counted */
        uint32_t part_count;
};

static enum hif_err put_list(struct list_writer *writer, uint8_t depth, const struct chunk *chunks,
                             uint32_t count, struct chunk *out)
{
        struct buf body = {0};
        struct layout_key key;
        struct known *known;

        chunk_list_put(&body, depth, chunks, count);
        if (buf_failed(&body)) {
                buf_free(&body);
                return HIF_ENOMEM;
        }
        *out = (struct chunk){.hash = hash_of(HASH_CHUNKS, buf_span(&body))};
        for (uint32_t i = 0; i < count; i++)
                out->size += chunks[i].size;
        if (known_find(writer->known, KNOWN_CHUNKS, &out->hash)) {
                buf_free(&body); /* stored in an earlier run, or base's */
                return HIF_OK;
        }
        known = known_add(writer->known, KNOWN_CHUNKS, &out->hash);
        if (!known) {
                buf_free(&body);
                return HIF_ENOMEM;
        }
        key = layout_blob(&writer->project->layout, &out->hash);
        return puts_add(writer->puts, &key, &out->hash, &body, known, writer->why);
}

/* One level up: a list for every BODY_LIST_MAX entries, in place. */
static enum hif_err put_level(struct list_writer *writer, uint8_t depth, struct chunk *level,
                              size_t *count)
{
        size_t lists = 0;

        for (size_t i = 0; i < *count; i += BODY_LIST_MAX) {
                size_t left = *count - i;
                uint32_t n = left < BODY_LIST_MAX ? (uint32_t)left : BODY_LIST_MAX;
                struct chunk list;
                enum hif_err err = put_list(writer, depth, level + i, n, &list);

                if (err != HIF_OK)
                        return err;
                level[lists++] = list;
                if (*count > BODY_LIST_MAX) /* not the top */
                        writer->parts[writer->part_count++] =
                            (struct slot_object){.kind = SLOT_CHUNKS, .hash = list.hash};
        }
        *count = lists;
        return HIF_OK;
}

static void collect_chunks(struct list_writer *writer, const struct chunk *chunks, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                const struct known *known = known_find(writer->known, KNOWN_BLOB, &chunks[i].hash);

                if (!known || !known->reached)
                        writer->parts[writer->part_count++] =
                            (struct slot_object){.kind = SLOT_BLOB, .hash = chunks[i].hash};
        }
}

enum hif_err content_list_put(const struct project *project, struct puts *puts,
                              struct known_set *known, const struct chunk *chunks, size_t count,
                              struct hif_hash *top, struct hif_why *why)
{
        struct list_writer writer = {.project = project, .puts = puts, .known = known, .why = why};
        AUTO_FREE struct chunk *level = malloc(count * sizeof(*level));
        struct known *record;
        enum hif_err err = HIF_OK;

        assert(count > 0);
        /* Chunks, and the lists above them but the top: less than twice as many. */
        writer.parts = arena_alloc(&known->arena, 2 * count * sizeof(*writer.parts));
        if (!level || !writer.parts)
                return HIF_ENOMEM;
        memcpy(level, chunks, count * sizeof(*level));
        collect_chunks(&writer, chunks, count);
        for (uint8_t depth = 0; err == HIF_OK && (depth == 0 || count > 1); depth++) {
                if (depth > DEPTH_MAX)
                        return why_set(why, HIF_EFBIG, "the file is too large");
                err = put_level(&writer, depth, level, &count);
        }
        if (err != HIF_OK)
                return err;
        *top = level[0].hash;
        record = known_find(known, KNOWN_CHUNKS, top);
        assert(record);
        record->parts = writer.parts;
        record->part_count = writer.part_count;
        return HIF_OK;
}

/* --- reading --- */

static enum hif_err read_list(const struct project *project, const struct hif_hash *hash,
                              struct buf *bytes, struct chunk_list *out, struct hif_why *why)
{
        struct layout_key key = layout_blob(&project->layout, hash);
        enum hif_err err = object_get_named(project, key.text, 0, HASH_CHUNKS, hash, bytes, why);

        if (err != HIF_OK)
                return err;
        if (chunk_list_open(buf_span(bytes), out) != HIF_OK)
                return object_why(project, HIF_ECORRUPT, "use", key.text, why);
        return HIF_OK;
}

static enum hif_err reach(const struct project *project, struct known_set *set,
                          const struct hif_hash *hash, int depth)
{
        AUTO_BUF struct buf bytes = {0};
        struct chunk_list list;
        struct known *known = known_find(set, KNOWN_CHUNKS, hash);
        enum hif_err err;

        if (known || depth > DEPTH_MAX)
                return HIF_OK;
        /* What cannot be read is not reached, as far as we know: its chunks are uploaded again. */
        err = read_list(project, hash, &bytes, &list, NULL);
        if (err != HIF_OK)
                return err == HIF_ENOMEM ? err : HIF_OK;
        for (uint32_t i = 0; i < list.count && err == HIF_OK; i++) {
                struct chunk chunk;

                chunk_list_at(&list, i, &chunk);
                if (list.depth > 0) {
                        err = reach(project, set, &chunk.hash, depth + 1);
                } else if (!known_find(set, KNOWN_BLOB, &chunk.hash)) {
                        known = known_add(set, KNOWN_BLOB, &chunk.hash);
                        if (!known)
                                return HIF_ENOMEM;
                        known->reached = true;
                }
        }
        if (err == HIF_OK) {
                known = known_add(set, KNOWN_CHUNKS, hash);
                if (!known)
                        return HIF_ENOMEM;
                known->reached = true;
        }
        return err;
}

enum hif_err content_reached(const struct project *project, struct known_set *set,
                             const struct entry *entry)
{
        return reach(project, set, &entry->hash, 0);
}

/* --- what a changed file's content consists of --- */

struct walk {
        const struct project *project;
        enum hif_err (*each)(void *arg, const struct slot_object *object);
        void *arg;
        struct hif_why *why;
};

/* Everything below a list, without the list itself. */
static enum hif_err walk_list(struct walk *walk, const struct hif_hash *hash, int depth)
{
        AUTO_BUF struct buf bytes = {0};
        struct chunk_list list;
        enum hif_err err = read_list(walk->project, hash, &bytes, &list, walk->why);

        if (err == HIF_OK && depth > DEPTH_MAX)
                err = HIF_ECORRUPT;
        for (uint32_t i = 0; err == HIF_OK && i < list.count; i++) {
                struct slot_object object = {.kind = list.depth > 0 ? SLOT_CHUNKS : SLOT_BLOB};
                struct chunk chunk;

                chunk_list_at(&list, i, &chunk);
                object.hash = chunk.hash;
                err = walk->each(walk->arg, &object);
                if (err == HIF_OK && list.depth > 0)
                        err = walk_list(walk, &chunk.hash, depth + 1);
        }
        return err;
}

static enum hif_err large_objects(struct walk *walk, const struct known *known,
                                  const struct entry *entry)
{
        enum hif_err err = HIF_OK;

        if (!known || !known->parts)
                return walk_list(walk, &entry->hash, 0);
        for (uint32_t i = 0; i < known->part_count && err == HIF_OK; i++)
                err = walk->each(walk->arg, &known->parts[i]);
        return err;
}

enum hif_err content_objects(const struct project *project, const struct known_set *set,
                             const struct entry *entry,
                             enum hif_err (*each)(void *arg, const struct slot_object *object),
                             void *arg, struct hif_why *why)
{
        struct walk walk = {.project = project, .each = each, .arg = arg, .why = why};
        struct slot_object object = {.kind = SLOT_BLOB, .hash = entry->hash};
        const struct known *known;
        enum hif_err err = HIF_OK;

        if (!entry_is_file(entry) || entry->size == 0)
                return HIF_OK;
        if (entry->size > BODY_BLOB_MAX) {
                object.kind = SLOT_CHUNKS;
                known = known_find(set, KNOWN_CHUNKS, &entry->hash);
        } else if (entry->loc.size > 0) {
                object.kind = SLOT_PACK;
                object.hash = entry->loc.pack;
                known = known_find(set, KNOWN_PACKED, &entry->hash);
        } else {
                known = known_find(set, KNOWN_BLOB, &entry->hash);
        }
        if (known && known->reached)
                return HIF_OK;
        if (entry->size > BODY_BLOB_MAX)
                err = large_objects(&walk, known, entry);
        return err == HIF_OK ? each(arg, &object) : err;
}
