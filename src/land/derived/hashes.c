/* hashes.c - the hash index from the packs that slots list, and asking it. */
#include "core/layout.h"
#include "land/derived/parts.h"

#include <assert.h>
#include <inttypes.h>

#define PACKS_AT_ONCE   16u
#define PACK_TAIL_GUESS (64u << 10) /* holds the index of some 1,400 contents */
#define WINDOWS_AT_ONCE 32u
#define HEAD_GUESS      (16u << 10)

/* --- making one --- */

struct making {
        const struct project *project;
        struct hif_hash *packs;
        uint32_t pack_count, pack_capacity;
        struct map seen; /* prefix of a pack's name */
        struct hash_item *items;
        size_t count, capacity;
};

static enum hif_err add_pack(struct making *making, const struct hif_hash *pack)
{
        if (map_get(&making->seen, hash_prefix(pack)))
                return HIF_OK;
        if (making->pack_count == making->pack_capacity) {
                uint32_t capacity = making->pack_capacity ? making->pack_capacity * 2 : 256;
                struct hif_hash *grown = realloc(making->packs, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                making->packs = grown;
                making->pack_capacity = capacity;
        }
        making->packs[making->pack_count++] = *pack;
        return map_put(&making->seen, hash_prefix(pack), making);
}

static enum hif_err add_slot(void *arg, struct slot_read *read, struct hif_why *why)
{
        struct making *making = arg;
        enum hif_err err = slot_load_lists(making->project, read, why);

        for (uint32_t i = 0; err == HIF_OK && i < read->slot.object_count; i++)
                if (read->slot.objects[i].kind == SLOT_PACK)
                        err = add_pack(making, &read->slot.objects[i].hash);
        return err;
}

static enum hif_err add_entries(struct making *making, uint32_t pack,
                                const struct pack_entry *entries, uint32_t count)
{
        if (making->count + count > HASH_INDEX_ITEMS_MAX)
                return HIF_ELIMIT;
        if (making->count + count > making->capacity) {
                size_t capacity = (making->count + count) * 2;
                struct hash_item *grown = realloc(making->items, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                making->items = grown;
                making->capacity = capacity;
        }
        for (uint32_t i = 0; i < count; i++)
                making->items[making->count++] =
                    (struct hash_item){.prefix = hash_prefix(&entries[i].hash),
                                       .pack = pack,
                                       .offset = entries[i].offset,
                                       .size = entries[i].size,
                                       .content_size = entries[i].content_size};
        return HIF_OK;
}

/* The index is at the end of a pack: as much of that as it takes. */
static enum hif_err read_tail(const struct project *project, const char *key, uint64_t size,
                              uint64_t want, struct buf *out)
{
        struct store_req req = {.op = STORE_GET, .key = key};

        if (want > size)
                want = size;
        req.range_start = size - want;
        req.range_size = want;
        store_run(project->store, &req, 1);
        if (req.result == HIF_OK) {
                buf_free(out);
                *out = req.data;
                req.data = (struct buf){0};
        }
        store_req_free(&req);
        return req.result;
}

static enum hif_err add_contents(struct making *making, uint32_t pack, const char *key,
                                 uint64_t size, struct buf *tail)
{
        AUTO_ARENA struct arena arena = {0};
        struct pack_entry *entries;
        uint32_t count;
        uint64_t need = pack_index_size(buf_span(tail));
        enum hif_err err = HIF_OK;

        if (need > tail->size)
                err = read_tail(making->project, key, size, need, tail);
        if (err == HIF_OK)
                err = pack_index_of_tail(buf_span(tail), size, &arena, &entries, &count);
        return err == HIF_OK ? add_entries(making, pack, entries, count) : err;
}

/* The contents of packs [at, at + count). */
static enum hif_err read_packs(struct making *making, uint32_t at, uint32_t count,
                               struct hif_why *why)
{
        struct store_req heads[PACKS_AT_ONCE] = {0}, tails[PACKS_AT_ONCE] = {0};
        struct layout_key keys[PACKS_AT_ONCE];
        enum hif_err err = HIF_OK;

        for (uint32_t i = 0; i < count; i++) {
                keys[i] = layout_pack(&making->project->layout, &making->packs[at + i]);
                heads[i].op = STORE_HEAD;
                heads[i].key = keys[i].text;
        }
        store_run(making->project->store, heads, count);
        for (uint32_t i = 0; i < count; i++) {
                uint64_t want = heads[i].size < PACK_TAIL_GUESS ? heads[i].size : PACK_TAIL_GUESS;

                tails[i].op = STORE_GET;
                tails[i].key = keys[i].text;
                tails[i].range_start = heads[i].size - want;
                tails[i].range_size = want;
                if (heads[i].result != HIF_OK && err == HIF_OK)
                        err =
                            object_why(making->project, heads[i].result, "read", keys[i].text, why);
        }
        if (err == HIF_OK)
                store_run(making->project->store, tails, count);
        for (uint32_t i = 0; i < count; i++) {
                if (err == HIF_OK)
                        err = tails[i].result;
                if (err == HIF_OK)
                        err = add_contents(making, at + i, keys[i].text, heads[i].size,
                                           &tails[i].data);
                if (err != HIF_OK && err != HIF_ENOMEM && err != HIF_ELIMIT)
                        (void)object_why(making->project, err, "use", keys[i].text, why);
                store_req_free(&heads[i]);
                store_req_free(&tails[i]);
        }
        /* A record without a pack's contents would not be the same whoever made it. */
        return err == HIF_ENOENT ? HIF_ECORRUPT : err;
}

enum hif_err hashes_make(const struct project *project, uint64_t start, struct buf *out,
                         struct hif_why *why)
{
        struct making making = {.project = project};
        struct window window;
        enum hif_err err =
            window_slots(project, WINDOW_HASHES, start, add_slot, &making, &window, why);

        for (uint32_t at = 0; at < making.pack_count && err == HIF_OK; at += PACKS_AT_ONCE)
                err = read_packs(&making, at,
                                 making.pack_count - at < PACKS_AT_ONCE ? making.pack_count - at
                                                                        : PACKS_AT_ONCE,
                                 why);
        if (err == HIF_OK)
                err = hash_index_put(&window, making.items, (uint32_t)making.count, making.packs,
                                     making.pack_count, out);
        if (err == HIF_ELIMIT)
                (void)why_set(why, err,
                              "the landings from @%" PRIu64
                              " on have too many contents for a hash index",
                              start);
        map_free(&making.seen);
        free(making.packs);
        free(making.items);
        return err;
}

/* --- asking --- */

struct asking {
        const struct project *project;
        const struct hif_hash *hash;
        uint64_t content_size;
        struct pack_loc *locs;
        size_t count, most;
};

/* Names of the packs that have it, for what a block says. */
static void take_items(struct asking *asking, const struct hash_index *index, const char *key,
                       struct span block)
{
        uint64_t prefix = hash_prefix(asking->hash);
        uint32_t items = (uint32_t)(block.size / HASH_INDEX_ITEM_SIZE);

        for (uint32_t i = items; i-- > 0 && asking->count < asking->most;) {
                struct store_req req = {.op = STORE_GET, .key = key, .range_size = HIF_HASH_SIZE};
                struct pack_loc *loc = &asking->locs[asking->count];
                struct hash_item item;

                hash_index_item(block, i, &item);
                if (item.prefix != prefix || item.content_size != asking->content_size)
                        continue;
                req.range_start = hash_index_pack_at(index, item.pack);
                store_run(asking->project->store, &req, 1);
                if (req.result == HIF_OK && req.data.size == HIF_HASH_SIZE) {
                        memcpy(loc->pack.bytes, req.data.data, HIF_HASH_SIZE);
                        loc->offset = item.offset;
                        loc->size = item.size;
                        asking->count++;
                }
                store_req_free(&req);
        }
}

static void ask_blocks(struct asking *asking, const struct hash_index *index, const char *key)
{
        uint32_t block;

        if (!hash_index_block_of(index, hash_prefix(asking->hash), &block))
                return;
        /* A run of equal prefixes may go on in the block after. */
        for (uint32_t i = 0; i < 2 && block < index->block_count; i++, block++) {
                struct store_req req = {.op = STORE_GET, .key = key};
                uint32_t size, items;

                hash_index_block_at(index, block, &req.range_start, &size);
                req.range_size = size;
                store_run(asking->project->store, &req, 1);
                if (req.result == HIF_OK &&
                    hash_index_block(index, block, buf_span(&req.data), &items) == HIF_OK)
                        take_items(asking, index, key, buf_span(&req.data));
                store_req_free(&req);
        }
}

/* A head longer than was guessed is read again, whole. */
static void ask_window(struct asking *asking, const char *key, uint64_t start,
                       const struct store_req *read)
{
        struct store_req again = {.op = STORE_GET, .key = key};
        struct span head = buf_span(&read->data);
        struct hash_index index;
        uint32_t size;

        if (read->result != HIF_OK || hash_index_head_size(head, &size) != HIF_OK)
                return;
        if (size > head.size) {
                again.range_size = size;
                store_run(asking->project->store, &again, 1);
                head = buf_span(&again.data);
        }
        if (hash_index_open(head, start, &index) == HIF_OK)
                ask_blocks(asking, &index, key);
        store_req_free(&again);
}

/* The last windows first: what was packed anew lies there. */
static void ask_windows(struct asking *asking, const struct store_list *list)
{
        for (size_t left = list->count; left > 0 && asking->count < asking->most;) {
                struct store_req reqs[WINDOWS_AT_ONCE] = {0};
                size_t count = left < WINDOWS_AT_ONCE ? left : WINDOWS_AT_ONCE;

                for (size_t i = 0; i < count; i++) {
                        reqs[i].op = STORE_GET;
                        reqs[i].key = list->items[left - 1 - i].key;
                        reqs[i].range_size = HEAD_GUESS;
                }
                store_run(asking->project->store, reqs, count);
                for (size_t i = 0; i < count; i++) {
                        const char *key = list->items[left - 1 - i].key;

                        if (asking->count < asking->most)
                                ask_window(asking, key, strtoull(strrchr(key, '/') + 1, NULL, 10),
                                           &reqs[i]);
                        store_req_free(&reqs[i]);
                }
                left -= count;
        }
}

size_t hash_index_find(const struct project *project, const struct hif_hash *hash,
                       uint64_t content_size, struct pack_loc *locs, size_t most)
{
        struct asking asking = {.project = project,
                                .hash = hash,
                                .content_size = content_size,
                                .locs = locs,
                                .most = most};
        struct layout_key prefix = layout_windows(&project->layout, WINDOW_HASHES);
        /* A window has 10,000 positions: a list of more than these is of no project that there is.
         */
        struct store_req req = {.op = STORE_LIST, .prefix = prefix.text, .list_max = 100000};

        store_run(project->store, &req, 1);
        if (req.result == HIF_OK)
                ask_windows(&asking, &req.list);
        store_req_free(&req);
        return asking.count;
}
