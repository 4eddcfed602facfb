/* Which files of the newest position need what was found damaged when contents were read: one walk
 * over its tree, only when there is something to look for. */
#include "check/internal.h"

/* The frame that an entry names in a damaged pack may be whole. */
static bool frame_is_good(struct check *c, const struct entry *entry)
{
        struct layout_key key = layout_pack(&c->project.layout, &entry->loc.pack);
        struct store_req req = {.op = STORE_GET,
                                .key = key.text,
                                .range_start = entry->loc.offset,
                                .range_size = entry->loc.size};
        AUTO_BUF struct buf content = {0};
        struct hif_hash actual;
        bool good;

        good =
            run_requests(c, &req, 1) == HIF_OK && req.result == HIF_OK &&
            body_frame_get(c->codec, buf_span(&req.data), (size_t)entry->size, &content) == HIF_OK;
        if (good) {
                actual = hash_of(HASH_BLOB, buf_span(&content));
                good = hash_eq(&actual, &entry->hash);
        }
        store_req_free(&req);
        return good;
}

static void place(struct check *c, struct broken *broken, struct span path)
{
        broken->needed = true;
        broken_path(c, broken, path);
}

static void place_packed(struct check *c, const struct entry *entry, struct span path)
{
        struct broken *broken = broken_find(c, OBJECT_PACK, &entry->loc.pack);
        const struct object *own = inventory_find(&c->inventory, OBJECT_BLOB, &entry->hash);
        const struct object *pack = inventory_find(&c->inventory, OBJECT_PACK, &entry->loc.pack);

        if (broken && broken->unplaced && own && own->present && !own->bad) {
                broken->needed = true;
                broken->covered++;
        } else if (broken && broken->unplaced && !frame_is_good(c, entry)) {
                place(c, broken, path);
        }
        if (pack && pack->read &&
            map_get(&c->locations, location_digest(&entry->loc.pack, &entry->hash,
                                                   entry->loc.offset, entry->loc.size)))
                location_wrong(c, c->report->tail, entry, path,
                               "the pack's index has nothing like it there");
}

/* Recursion is at most CHUNK_DEPTH_MAX + 1 deep. */
static enum hif_err place_large(struct check *c, const struct hif_hash *hash, struct span path,
                                int depth)
{
        struct layout_key key = layout_blob(&c->project.layout, hash);
        struct broken *broken = broken_find(c, OBJECT_BLOB, hash);
        struct chunk_list list;
        struct store_req req;
        enum hif_err err;

        if (broken && broken->unplaced)
                place(c, broken, path);
        if (broken || depth > CHUNK_DEPTH_MAX)
                return HIF_OK;
        err = get_one(c, key.text, 0, &req);
        if (err == HIF_OK && req.result == HIF_OK &&
            chunk_list_open(buf_span(&req.data), &list) == HIF_OK) {
                for (uint32_t i = 0; i < list.count && err == HIF_OK; i++) {
                        struct chunk chunk;

                        chunk_list_at(&list, i, &chunk);
                        broken = broken_find(c, OBJECT_BLOB, &chunk.hash);
                        if (list.depth > 0)
                                err = place_large(c, &chunk.hash, path, depth + 1);
                        else if (broken && broken->unplaced)
                                place(c, broken, path);
                }
        }
        store_req_free(&req);
        return err;
}

static enum hif_err place_entry(struct check *c, const struct entry *entry, struct span key)
{
        AUTO_BUF struct buf path = {0};
        struct broken *broken;

        if (!entry_is_file(entry) || entry->size == 0)
                return HIF_OK;
        key_to_path(&path, key);
        if (buf_failed(&path))
                return HIF_ENOMEM;
        if (entry->size > BODY_BLOB_MAX)
                return place_large(c, &entry->hash, buf_span(&path), 0);
        if (entry->loc.size > 0) {
                place_packed(c, entry, buf_span(&path));
                return HIF_OK;
        }
        broken = broken_find(c, OBJECT_BLOB, &entry->hash);
        if (broken && broken->unplaced)
                place(c, broken, buf_span(&path));
        return HIF_OK;
}

static enum hif_err walk(struct check *c, const struct hif_hash *hash, int level)
{
        struct tree_source *source = nodes_source(c->nodes);
        struct refs children = {0};
        struct tree_node node;
        enum hif_err err = source->get(source, hash, &node);

        if (err != HIF_OK)
                return node_is_bad(err) ? HIF_OK : err; /* told before */
        if (level >= 0 && node.level != level) {
                source->put(source, &node);
                return HIF_OK;
        }
        if (node.level > 0)
                err = refs_of(&node, true, &children);
        for (uint32_t i = 0; node.level == 0 && i < node.count && err == HIF_OK; i++) {
                AUTO_BUF struct buf key = {0};
                struct entry entry;

                tree_node_key(&node, i, &key);
                tree_node_entry(&node, i, &entry);
                err = buf_failed(&key) ? HIF_ENOMEM : place_entry(c, &entry, buf_span(&key));
        }
        for (size_t i = 0; i < children.count && err == HIF_OK; i++) {
                struct hif_hash wanted[BATCH];
                size_t n = 0;

                for (; i % BATCH == 0 && n < BATCH && i + n < children.count; n++)
                        wanted[n] = children.items[i + n].hash;
                err = nodes_prefetch(c->nodes, wanted, n);
                if (err == HIF_OK)
                        err = walk(c, &children.items[i].hash, node.level - 1);
        }
        refs_free(&children);
        source->put(source, &node);
        return err;
}

enum hif_err locate(struct check *c)
{
        enum hif_err err = c->have_tree ? walk(c, &c->tree, -1) : HIF_OK;

        for (size_t i = 0; i < c->broken_count; i++)
                if (c->broken[i].unplaced && !c->broken[i].needed)
                        c->broken[i].detail = "only older positions need it";
        return err;
}
