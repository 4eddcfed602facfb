/* rollup_make.c - a rollup of the first level, from its slots. */
#include "core/key.h"
#include "land/derived/parts.h"

#include <assert.h>

/* A fingerprint and the slot that has it, in one number to sort by. */
#define PART_BITS 8

static_assert(ROLLUP_FINGERPRINT_BITS + PART_BITS <= 64 && ROLLUP_PARTS <= 1 << PART_BITS,
              "both fit");

struct making {
        const struct project *project;
        uint64_t *items;
        size_t count, capacity;
        uint32_t part;
        struct rollup_set wide;
};

static enum hif_err add(struct making *making, uint64_t fingerprint)
{
        if (making->count == making->capacity) {
                size_t capacity = making->capacity ? making->capacity * 2 : 4096;
                uint64_t *grown = realloc(making->items, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                making->items = grown;
                making->capacity = capacity;
        }
        making->items[making->count++] = fingerprint << PART_BITS | making->part;
        return HIF_OK;
}

/* How much of `path`, from its start, is a directory above `last`, too: those are in already. */
static size_t shared_size(struct span path, struct span last)
{
        size_t shared = 0;

        for (size_t i = 0; i < path.size && i < last.size && path.data[i] == last.data[i]; i++)
                if (path.data[i] == '/')
                        shared = i;
        return shared;
}

/* The path and the directories above it. Lists of paths are sorted, so that neighbours share most
 * of those. */
static enum hif_err add_path(struct making *making, struct span path, struct span last)
{
        size_t shared = shared_size(path, last);
        enum hif_err err = HIF_OK;

        for (size_t size = path.size; size > shared && err == HIF_OK; size--)
                if (size == path.size || path.data[size] == '/')
                        err = add(making, rollup_of_path(span_of(path.data, size)));
        return err;
}

static enum hif_err add_paths(struct making *making, const struct slot *slot)
{
        struct span last = {0}, last_from = {0};
        enum hif_err err = HIF_OK;

        for (uint32_t i = 0; slot->paths && i < slot->path_count && err == HIF_OK; i++) {
                const struct slot_path *path = &slot->paths[i];

                err = add_path(making, path->path, last);
                last = path->path;
                if (err == HIF_OK && path->path_from.size > 0) {
                        err = add_path(making, path->path_from, last_from);
                        last_from = path->path_from;
                }
        }
        return err;
}

static enum hif_err add_sessions(struct making *making, const struct slot *slot)
{
        uint32_t count = slot_landing_count(slot);
        enum hif_err err = HIF_OK;

        for (uint32_t i = 0; i < count && err == HIF_OK; i++) {
                struct slot_member member;

                slot_landing_at(slot, i, &member, NULL);
                err = add(making, rollup_of_session(&member.session));
        }
        for (uint32_t i = 0; i < slot->refused_count && err == HIF_OK; i++)
                err = add(making, rollup_of_session(&slot->refused[i].session));
        return err;
}

static enum hif_err add_slot(void *arg, struct slot_read *read, struct hif_why *why)
{
        struct making *making = arg;
        enum hif_err err = add_sessions(making, &read->slot);

        if (err == HIF_OK && read->slot.path_count > ROLLUP_PATHS_MAX) {
                rollup_set_add(&making->wide, making->part);
        } else if (err == HIF_OK) {
                err = slot_load_lists(making->project, read, why);
                if (err == HIF_OK)
                        err = add_paths(making, &read->slot);
        }
        making->part++;
        return err;
}

static int by_number(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

/* Sorted: equal fingerprints stand together. */
static void write_items(struct rollup_writer *writer, const struct making *making)
{
        for (size_t i = 0; i < making->count;) {
                uint64_t fingerprint = making->items[i] >> PART_BITS;
                struct rollup_set set = {0};

                for (; i < making->count && making->items[i] >> PART_BITS == fingerprint; i++)
                        rollup_set_add(&set,
                                       (uint32_t)(making->items[i] & ((1u << PART_BITS) - 1)));
                rollup_add(writer, fingerprint, &set);
        }
}

enum hif_err rollup_make(const struct project *project, uint64_t start, struct buf *out,
                         struct hif_why *why)
{
        struct making making = {.project = project};
        struct rollup_writer writer;
        struct window window;
        enum hif_err err =
            window_slots(project, WINDOW_LEVEL_1, start, add_slot, &making, &window, why);

        if (err == HIF_OK && making.count > 0)
                qsort(making.items, making.count, sizeof(*making.items), by_number);
        if (err == HIF_OK && making.count > ROLLUP_ITEMS_MAX)
                err = why_set(why, HIF_ELIMIT,
                              "the landings from @%llu on changed too many paths for a rollup",
                              (unsigned long long)start);
        if (err == HIF_OK) {
                rollup_begin(&writer, &window, &making.wide);
                write_items(&writer, &making);
                err = rollup_finish(&writer, out);
                rollup_writer_free(&writer);
        }
        free(making.items);
        return err;
}
