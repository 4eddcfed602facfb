/* Which files of the newest position need what was found damaged when contents were read, and which
 * have locations that lead nowhere: one walk over its tree, only when there is something to look
 * for. */
#include "check/internal.h"

/* --- every file of the newest tree --- */

struct files_walk {
        struct check *c;
        enum hif_err (*each)(void *arg, const struct entry *entry, struct span key,
                             struct span path);
        void *arg;
        struct buf key, path;
};

static enum hif_err walk_leaf(struct files_walk *walk, const struct tree_node *node)
{
        enum hif_err err = HIF_OK;

        for (uint32_t i = 0; i < node->count && err == HIF_OK; i++) {
                struct entry entry;

                tree_node_entry(node, i, &entry);
                if (!entry_is_file(&entry) || entry.size == 0)
                        continue;
                buf_reset(&walk->key);
                buf_reset(&walk->path);
                tree_node_key(node, i, &walk->key);
                key_to_path(&walk->path, buf_span(&walk->key));
                if (buf_failed(&walk->key) || buf_failed(&walk->path))
                        return HIF_ENOMEM;
                err = walk->each(walk->arg, &entry, buf_span(&walk->key), buf_span(&walk->path));
        }
        return err;
}

/* Levels descend by one: at most TREE_LEVEL_MAX deep. */
static enum hif_err walk_node(struct files_walk *walk, const struct hif_hash *hash, int level)
{
        struct tree_source *source = nodes_source(walk->c->nodes);
        struct refs children = {0};
        struct tree_node node;
        enum hif_err err = source->get(source, hash, &node);

        if (err != HIF_OK)
                return node_is_bad(err) ? HIF_OK : err; /* told before */
        if (level < 0 || node.level == level)
                err = node.level > 0 ? refs_of(&node, true, &children) : walk_leaf(walk, &node);
        for (size_t i = 0; i < children.count && err == HIF_OK; i++) {
                struct hif_hash wanted[BATCH];
                size_t n = 0;

                for (; i % BATCH == 0 && n < BATCH && i + n < children.count; n++)
                        wanted[n] = children.items[i + n].hash;
                err = nodes_prefetch(walk->c->nodes, wanted, n);
                if (err == HIF_OK)
                        err = walk_node(walk, &children.items[i].hash, node.level - 1);
        }
        refs_free(&children);
        source->put(source, &node);
        return err;
}

enum hif_err files_walk(struct check *c,
                        enum hif_err (*each)(void *arg, const struct entry *entry, struct span key,
                                             struct span path),
                        void *arg)
{
        struct files_walk walk = {.c = c, .each = each, .arg = arg};
        enum hif_err err = c->have_tree ? walk_node(&walk, &c->tree, -1) : HIF_OK;

        buf_free(&walk.key);
        buf_free(&walk.path);
        return err;
}

/* --- what a file needs --- */

/* A damaged pack whole: many entries that lie in it follow one another. */
static bool keep_pack(struct check *c, const struct hif_hash *pack)
{
        struct layout_key key = layout_pack(&c->project.layout, pack);
        struct store_req req;

        if (c->damaged_bytes.size > 0 && hash_eq(&c->damaged_pack, pack))
                return true;
        buf_free(&c->damaged_bytes);
        if (get_one(c, key.text, 0, &req) == HIF_OK && req.result == HIF_OK) {
                c->damaged_bytes = req.data;
                req.data = (struct buf){0};
                c->damaged_pack = *pack;
        } else if (answer_of(&req) == ANSWER_NONE) {
                c->unsure = true;
        }
        store_req_free(&req);
        return c->damaged_bytes.size > 0;
}

bool frame_is_good(struct check *c, const struct entry *entry)
{
        AUTO_BUF struct buf content = {0};
        struct hif_hash actual;

        if (!keep_pack(c, &entry->loc.pack) || c->damaged_bytes.size < entry->loc.size ||
            entry->loc.offset > c->damaged_bytes.size - entry->loc.size ||
            body_frame_get(c->codec,
                           span_of(c->damaged_bytes.data + entry->loc.offset, entry->loc.size),
                           (size_t)entry->size, &content) != HIF_OK)
                return false;
        actual = hash_of(HASH_BLOB, buf_span(&content));
        return hash_eq(&actual, &entry->hash);
}

bool has_own_blob(struct check *c, const struct hif_hash *hash)
{
        const struct object *own = inventory_find(&c->inventory, OBJECT_BLOB, hash);

        return own && own->present && !own->bad;
}

bool location_is_wrong(struct check *c, const struct entry *entry, const char **reason)
{
        const struct object *pack = inventory_find(&c->inventory, OBJECT_PACK, &entry->loc.pack);
        uint64_t digest = location_digest(entry);

        if (map_get(&c->wrong_locations, digest))
                *reason = "it lies beyond the end of the pack";
        else if (pack && pack->read && map_get(&c->locations, digest))
                *reason = "the pack's index has nothing like it there";
        else
                return false;
        return true;
}

static void place(struct check *c, struct broken *broken, struct span path, uint64_t size,
                  uint64_t file_size)
{
        if (!broken->unplaced)
                return;
        broken->needed = true;
        broken->size = size;
        broken->file_size = file_size;
        broken_path(c, broken, path);
}

static void tell_location(struct check *c, const struct entry *entry, struct span path,
                          const char *reason)
{
        struct layout_key key = layout_pack(&c->project.layout, &entry->loc.pack);
        struct check_finding finding = {.kind = CHECK_LOCATION_WRONG,
                                        .key = key.text,
                                        .detail = reason,
                                        .at = true,
                                        .first = c->report->tail,
                                        .last = c->report->tail,
                                        .paths = &path,
                                        .path_count = 1,
                                        .path_total = 1};

        found(c, &finding);
}

/* Its location leads nowhere, and it has no blob of its own. */
static void lost_with_location(struct check *c, const struct entry *entry, struct span path)
{
        struct broken *broken = broken_add(c, OBJECT_BLOB, &entry->hash, CHECK_BLOB_MISSING,
                                           BROKEN_MISSING, c->report->tail);

        if (!broken)
                return;
        broken->size = broken->file_size = entry->size;
        broken->detail = LOCATION_LOST;
        broken_path(c, broken, path);
}

static enum hif_err place_packed(struct check *c, const struct entry *entry, struct span path)
{
        struct broken *broken = broken_find(c, OBJECT_PACK, &entry->loc.pack);
        const char *reason;

        if (location_is_wrong(c, entry, &reason)) {
                tell_location(c, entry, path, reason);
                if (!has_own_blob(c, &entry->hash))
                        lost_with_location(c, entry, path);
        }
        if (!broken || !broken->unplaced)
                return HIF_OK;
        if (has_own_blob(c, &entry->hash))
                broken->needed = true;
        else if (!frame_is_good(c, entry))
                place(c, broken, path, 0, 0);
        return located_add(c, broken, &entry->hash, entry->loc.offset, entry->loc.size,
                           (uint32_t)entry->size);
}

/* Recursion is at most CHUNK_DEPTH_MAX + 1 deep. */
static enum hif_err walk_list(struct check *c, const struct chunk *of, int depth,
                              void (*each)(void *arg, struct broken *broken,
                                           const struct chunk *chunk),
                              void *arg)
{
        struct layout_key key = layout_blob(&c->project.layout, &of->hash);
        struct broken *broken = broken_find(c, OBJECT_BLOB, &of->hash);
        struct chunk_list list;
        struct store_req req;
        enum hif_err err;

        if (broken)
                each(arg, broken, of);
        if (broken || depth > CHUNK_DEPTH_MAX || c->lists_left == 0)
                return HIF_OK;
        c->lists_left--;
        err = get_one(c, key.text, 0, &req);
        if (err == HIF_OK && req.result == HIF_OK &&
            chunk_list_open(buf_span(&req.data), &list) == HIF_OK) {
                for (uint32_t i = 0; i < list.count && err == HIF_OK; i++) {
                        struct chunk chunk;

                        chunk_list_at(&list, i, &chunk);
                        if (list.depth > 0) {
                                err = walk_list(c, &chunk, depth + 1, each, arg);
                                continue;
                        }
                        broken = broken_find(c, OBJECT_BLOB, &chunk.hash);
                        if (broken)
                                each(arg, broken, &chunk);
                }
        }
        store_req_free(&req);
        return err;
}

enum hif_err large_walk(struct check *c, const struct entry *entry,
                        void (*each)(void *arg, struct broken *broken, const struct chunk *chunk),
                        void *arg)
{
        struct chunk whole = {.hash = entry->hash, .size = entry->size};

        /* A list can name one list many times: a small store, and a walk without an end. */
        c->lists_left = FILE_LISTS_MAX;
        return walk_list(c, &whole, 0, each, arg);
}

struct large_place {
        struct check *c;
        struct span path;
        uint64_t file_size;
};

static void place_large(void *arg, struct broken *broken, const struct chunk *chunk)
{
        const struct large_place *large = arg;

        place(large->c, broken, large->path, chunk->size, large->file_size);
}

static enum hif_err place_file(void *arg, const struct entry *entry, struct span key,
                               struct span path)
{
        struct check *c = arg;
        struct broken *broken;

        (void)key;
        if (entry->size > BODY_BLOB_MAX) {
                struct large_place large = {.c = c, .path = path, .file_size = entry->size};

                return c->unplaced ? large_walk(c, entry, place_large, &large) : HIF_OK;
        }
        if (entry->loc.size > 0)
                return place_packed(c, entry, path);
        broken = broken_find(c, OBJECT_BLOB, &entry->hash);
        if (broken)
                place(c, broken, path, entry->size, entry->size);
        return HIF_OK;
}

enum hif_err locate(struct check *c)
{
        enum hif_err err = files_walk(c, place_file, c);

        for (size_t i = 0; i < c->broken_count; i++)
                if (c->broken[i].unplaced && !c->broken[i].needed)
                        c->broken[i].detail = "only older positions may need it";
        return err;
}
