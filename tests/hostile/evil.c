#include "tests/hostile/evil.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_SIZE 4096

void evil_check(bool fine, const char *what)
{
        if (fine)
                return;
        fprintf(stderr, "make_hostile: %s: %s\n", what, strerror(errno));
        exit(1);
}

struct span evil_text(struct evil *evil)
{
        return buf_span(&evil->texts[0]);
}

struct span other_text(struct evil *evil)
{
        return buf_span(&evil->texts[1]);
}

struct span good_text(struct evil *evil)
{
        return buf_span(&evil->texts[2]);
}

void evil_touched(struct evil *evil, struct span path)
{
        struct slot_path touched = {.kind = SLOT_ADDED,
                                    .path = {evil->names.data + evil->names.size, path.size}};

        evil_check(evil->names.size + path.size <= NAMES_SIZE, "names");
        buf_put_span(&evil->names, path);
        buf_put(&evil->paths, &touched, sizeof(touched));
}

/* --- objects --- */

char *evil_path(const struct evil *evil, struct layout_key key)
{
        char *path;

        evil_check(asprintf(&path, "%s/%s", evil->store, key.text) > 0, "asprintf");
        for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                evil_check(mkdir(path, 0755) == 0 || errno == EEXIST, path);
                *slash = '/';
        }
        return path;
}

void evil_put(const struct evil *evil, struct layout_key key, struct span bytes)
{
        AUTO_FREE char *path = evil_path(evil, key);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        evil_check(fd >= 0, path);
        evil_check(bytes.size == 0 || write(fd, bytes.data, bytes.size) == (ssize_t)bytes.size,
                   path);
        close(fd);
}

void evil_remove(const struct evil *evil, struct layout_key key)
{
        AUTO_FREE char *path = evil_path(evil, key);

        evil_check(unlink(path) == 0, path);
}

void put_object_header(struct buf *out, uint8_t version, uint8_t kind, uint16_t key_id,
                       uint32_t size)
{
        buf_put(out, "HIFB", 4);
        buf_put_u8(out, version);
        buf_put_u8(out, kind);
        buf_put_u16(out, key_id);
        buf_put_u32(out, size);
}

static void listed(struct evil *evil, enum slot_object_kind kind, const struct hif_hash *hash)
{
        const struct slot_object object = {.kind = kind, .hash = *hash};

        buf_put(&evil->objects, &object, sizeof(object));
}

void evil_node_stored(struct evil *evil, const struct hif_hash *hash, struct span stored)
{
        listed(evil, SLOT_NODE, hash);
        evil_put(evil, layout_node(&evil->layout, hash), stored);
}

void evil_blob_stored(struct evil *evil, const struct hif_hash *hash, struct span stored)
{
        listed(evil, SLOT_BLOB, hash);
        evil_put(evil, layout_blob(&evil->layout, hash), stored);
}

struct hif_hash evil_node(struct evil *evil, struct span bytes)
{
        AUTO_BUF struct buf stored = {0};
        struct hif_hash hash = hash_of(HASH_NODE, bytes);

        /* By hand: body_put would not take one that is too large. */
        put_object_header(&stored, 1, 2, 0, (uint32_t)bytes.size);
        evil_check(body_frame_put(evil->codec, bytes, &stored) == HIF_OK, "a frame");
        evil_node_stored(evil, &hash, buf_span(&stored));
        return hash;
}

struct hif_hash evil_blob(struct evil *evil, struct span content)
{
        AUTO_BUF struct buf stored = {0};
        struct hif_hash hash = hash_of(HASH_BLOB, content);

        evil_check(body_put(evil->codec, BODY_BLOB, content, &stored) == HIF_OK, "a blob");
        evil_blob_stored(evil, &hash, buf_span(&stored));
        return hash;
}

struct hif_hash evil_chunks(struct evil *evil, struct span list)
{
        struct hif_hash hash = hash_of(HASH_CHUNKS, list);

        listed(evil, SLOT_CHUNKS, &hash);
        evil_put(evil, layout_blob(&evil->layout, &hash), list);
        return hash;
}

void evil_pack_stored(struct evil *evil, const struct hif_hash *hash, struct span stored)
{
        listed(evil, SLOT_PACK, hash);
        evil_put(evil, layout_pack(&evil->layout, hash), stored);
}

struct pack_loc evil_pack(struct evil *evil, struct span content)
{
        AUTO_BUF struct buf frame = {0};
        struct hif_hash hash = hash_of(HASH_BLOB, content);
        struct pack_writer pack;
        struct pack_loc loc;

        pack_begin(&pack);
        evil_check(body_frame_put(evil->codec, content, &frame) == HIF_OK &&
                       pack_add(&pack, &hash, buf_span(&frame), (uint32_t)content.size,
                                &loc.offset) == HIF_OK &&
                       pack_finish(&pack, &loc.pack) == HIF_OK,
                   "a pack");
        loc.size = (uint32_t)frame.size;
        evil_pack_stored(evil, &loc.pack, buf_span(&pack.bytes));
        pack_free(&pack);
        return loc;
}

/* --- entries and nodes --- */

struct entry a_dir(void)
{
        return (struct entry){.kind = ENTRY_DIR, .mtime = {.sec = 1000000000}};
}

struct entry a_file(struct span content)
{
        return (struct entry){.kind = ENTRY_FILE,
                              .mtime = {.sec = 1000000000},
                              .tag = {.position = 1, .id = 7},
                              .size = content.size,
                              .hash = hash_of(HASH_BLOB, content)};
}

struct entry a_link(struct span target)
{
        struct entry entry = a_file(target);

        entry.kind = ENTRY_SYMLINK;
        entry.target = target;
        return entry;
}

struct entry a_stored_file(struct evil *evil, struct span content)
{
        evil_blob(evil, content);
        return a_file(content);
}

void put_key(struct buf *out, struct span above, struct span name)
{
        buf_put_span(out, above);
        buf_put_u8(out, 0);
        buf_put_u64(out, name_hash60(name));
        buf_put_span(out, name);
}

struct leaf leaf_begin(struct evil *evil)
{
        struct leaf leaf = {.evil = evil};

        leaf_add_key(&leaf, span_str(""), a_dir());
        return leaf;
}

void leaf_add_key(struct leaf *leaf, struct span key, struct entry entry)
{
        evil_check(builder_add_entry(&leaf->builder, key, &entry) == HIF_OK, "an entry");
}

void leaf_add(struct leaf *leaf, const char *path, struct entry entry)
{
        AUTO_BUF struct buf key = {0};

        key_from_path(&key, span_str(path));
        leaf_add_key(leaf, buf_span(&key), entry);
        evil_touched(leaf->evil, span_str(path));
}

void leaf_set_value(struct leaf *leaf, struct span value)
{
        struct node_builder *builder = &leaf->builder;
        size_t at = sizeof(struct tree_item) * (builder->count - 1);
        struct tree_item item;

        memcpy(&item, builder->items.data + at, sizeof(item));
        item.value_at = (uint32_t)builder->values.size;
        item.value_size = (uint32_t)value.size;
        memcpy(builder->items.data + at, &item, sizeof(item));
        buf_put_span(&builder->values, value);
}

struct span leaf_bytes(struct leaf *leaf)
{
        struct hif_hash hash;

        evil_check(builder_encode(&leaf->builder, &hash) == HIF_OK, "a leaf");
        return buf_span(&leaf->builder.bytes);
}

struct hif_hash leaf_end(struct leaf *leaf)
{
        struct hif_hash hash = evil_node(leaf->evil, leaf_bytes(leaf));

        leaf_free(leaf);
        return hash;
}

void leaf_free(struct leaf *leaf)
{
        builder_free(&leaf->builder);
}

/* --- landing --- */

struct slot a_slot(struct evil *evil, uint64_t position, struct hif_hash tree, uint64_t entries)
{
        struct slot slot = {.kind = SLOT_LANDING,
                            .position = position,
                            .tag = 7,
                            .tree = tree,
                            .tree_entries = entries,
                            .hlc = hlc_next(0, 1000000000000ull + position),
                            .wall_ns = 1000000000000000000ull + position,
                            .author = span_str("Eve <eve@example.org>"),
                            .goal = span_str("evil"),
                            .bloom_absent = true};

        slot.landing_id[0] = slot.session.bytes[0] = (uint8_t)(position + 1);
        if (position > 0) {
                slot.base_position = position - 1;
                slot.previous = evil->slot;
        }
        slot.object_count = (uint32_t)(evil->objects.size / sizeof(struct slot_object));
        slot.objects = slot.object_count > 0 ? (void *)evil->objects.data : NULL;
        slot.path_count = (uint32_t)(evil->paths.size / sizeof(struct slot_path));
        slot.paths = slot.path_count > 0 ? (void *)evil->paths.data : NULL;
        return slot;
}

void evil_slot_stored(struct evil *evil, uint64_t position, struct span stored)
{
        evil->slot = hash_of(HASH_SLOT, stored);
        evil_put(evil, layout_slot(&evil->layout, position), stored);
}

void evil_slot(struct evil *evil, const struct slot *slot)
{
        AUTO_BUF struct buf stored = {0};

        evil_check(slot_put(&stored, slot) == HIF_OK, "a slot");
        evil_slot_stored(evil, slot->position, buf_span(&stored));
        buf_reset(&evil->objects);
        buf_reset(&evil->paths);
        buf_reset(&evil->names);
}

void evil_head(struct evil *evil, uint64_t position, struct hif_hash tree)
{
        AUTO_BUF struct buf stored = {0};
        const struct head head = {.position = position, .tree = tree, .hlc = 1};

        head_put(&stored, &head);
        evil_put(evil, layout_head(&evil->layout), buf_span(&stored));
}

void evil_land(struct evil *evil, struct hif_hash tree, uint64_t entries)
{
        const struct slot slot = a_slot(evil, 1, tree, entries);

        evil_slot(evil, &slot);
        evil_head(evil, 1, tree);
}

void evil_land_leaf(struct evil *evil, struct leaf *leaf)
{
        uint64_t entries = leaf->builder.count;

        evil_land(evil, leaf_end(leaf), entries);
}

/* --- projects --- */

void evil_says(struct evil *evil, const char *text)
{
        buf_reset(&evil->said);
        buf_put(&evil->said, text, strlen(text));
}

void evil_says_hash(struct evil *evil, const struct hif_hash *hash)
{
        char hex[HIF_HASH_HEX_SIZE];

        hash_to_hex(hash, hex);
        evil_says(evil, hex);
}

void evil_says_also(struct evil *evil, const struct hif_hash *hash)
{
        char hex[HIF_HASH_HEX_SIZE];

        hash_to_hex(hash, hex);
        buf_printf(&evil->said, " %s", hex);
}

void evil_says_position(struct evil *evil, uint64_t position)
{
        buf_reset(&evil->said);
        buf_printf(&evil->said, "@%llu", (unsigned long long)position);
}

void evil_begin(struct evil *evil, const char *store, const char *name)
{
        AUTO_BUF struct buf project = {0}, stored = {0};
        struct hif_why why;
        struct slot first;
        struct leaf leaf;

        *evil = (struct evil){.store = store,
                              .codec = body_codec_new(3),
                              .format = {.project_id = {1}, .tree = tree_params_default(7)}};
        evil_check(evil->codec != NULL && buf_reserve(&evil->names, NAMES_SIZE) != NULL, "memory");
        buf_printf(&evil->texts[0], "EVIL content of %s, a little longer than a few bytes\n", name);
        buf_printf(&evil->texts[1], "another EVIL content of %s, which is not the same\n", name);
        buf_printf(&evil->texts[2], "good content of %s\n", name);
        buf_printf(&project, "evil/%s", name);
        buf_put_u8(&project, 0);
        evil_check(layout_init(&evil->layout, (const char *)project.data, &why) == HIF_OK, name);
        format_put(&stored, &evil->format);
        evil_put(evil, layout_format(&evil->layout), buf_span(&stored));
        leaf = leaf_begin(evil);
        first = a_slot(evil, 0, leaf_end(&leaf), 1);
        first.session = (struct session_id){0};
        evil_slot(evil, &first);
        evil_head(evil, 0, first.tree);
}

void evil_end(struct evil *evil)
{
        body_codec_free(evil->codec);
        for (size_t i = 0; i < 3; i++)
                buf_free(&evil->texts[i]);
        buf_free(&evil->said);
        buf_free(&evil->objects);
        buf_free(&evil->paths);
        buf_free(&evil->names);
}
