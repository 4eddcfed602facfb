/* tree_build.c - where nodes end, and their encoding (drawn in tree_node.c). */
#include "base/siphash.h"
#include "core/tree_impl.h"

#include <assert.h>

/* --- the rule --- */

/* A record is at most its key with its sizes, head and offset, and ENTRY_SIZE_MAX; a child has a
 * hash and a sum instead. So that no node can grow past TREE_NODE_SIZE_MAX. */
#define LEAF_MAX                                                                                   \
        ((TREE_NODE_SIZE_MAX - TREE_NODE_HEADER_SIZE - KEY_SIZE_MAX) /                             \
         (KEY_SIZE_MAX + 14 + HIF_HASH_SIZE + ENTRY_SIZE_MAX))
#define INNER_MAX                                                                                  \
        ((TREE_NODE_SIZE_MAX - TREE_NODE_HEADER_SIZE - KEY_SIZE_MAX) /                             \
         (KEY_SIZE_MAX + 22 + HIF_HASH_SIZE))

struct tree_params tree_params_default(uint64_t seed)
{
        return (struct tree_params){.leaf_min = 32,
                                    .leaf_mean = 112,
                                    .leaf_max = 336,
                                    .inner_min = 32,
                                    .inner_mean = 144,
                                    .inner_max = 576,
                                    .seed = seed};
}

/* Two children at least: or a level would be as long as the one below it. */
bool tree_params_valid(const struct tree_params *params)
{
        return params->leaf_min >= 1 && params->leaf_mean >= 1 &&
               params->leaf_max >= params->leaf_min && params->leaf_max <= LEAF_MAX &&
               params->inner_min >= 2 && params->inner_mean >= 1 &&
               params->inner_max >= params->inner_min && params->inner_max <= INNER_MAX;
}

bool tree_boundary(const struct tree_params *params, uint8_t level, uint32_t count, struct span key)
{
        uint32_t min = level > 0 ? params->inner_min : params->leaf_min;
        uint32_t max = level > 0 ? params->inner_max : params->leaf_max;
        uint32_t mean = level > 0 ? params->inner_mean : params->leaf_mean;
        struct sipkey sipkey = {.k0 = params->seed, .k1 = level};

        if (count < min)
                return false;
        if (count >= max)
                return true;
        return siphash(sipkey, key.data, key.size) >> 32 < ((uint64_t)1 << 32) / mean;
}

/* --- collecting --- */

void builder_free(struct node_builder *builder)
{
        buf_free(&builder->items);
        buf_free(&builder->keys);
        buf_free(&builder->values);
        buf_free(&builder->packs);
        buf_free(&builder->bytes);
        builder->count = 0;
}

void builder_reset(struct node_builder *builder)
{
        buf_reset(&builder->items);
        buf_reset(&builder->keys);
        buf_reset(&builder->values);
        buf_reset(&builder->packs);
        builder->count = 0;
        builder->entries = 0;
}

static struct tree_item item_at(const struct node_builder *builder, uint32_t index)
{
        struct tree_item item;

        assert(index < builder->count);
        memcpy(&item, builder->items.data + sizeof(item) * (size_t)index, sizeof(item));
        return item;
}

struct span builder_key(const struct node_builder *builder, uint32_t index)
{
        struct tree_item item = item_at(builder, index);

        if (item.key_size == 0) /* the root's: there may be no bytes at all */
                return span_str("");
        return span_of(builder->keys.data + item.key_at, item.key_size);
}

struct hif_hash builder_child(const struct node_builder *builder, uint32_t index)
{
        struct tree_item item = item_at(builder, index);
        struct hif_hash hash;

        assert(builder->level > 0 && item.value_size == HIF_HASH_SIZE);
        memcpy(hash.bytes, builder->values.data + item.value_at, HIF_HASH_SIZE);
        return hash;
}

/* The item whose value was put from value_at on. */
static enum hif_err add_item(struct node_builder *builder, struct span key, size_t value_at,
                             uint64_t entries)
{
        struct tree_item item = {.key_at = (uint32_t)builder->keys.size,
                                 .key_size = (uint32_t)key.size,
                                 .value_at = (uint32_t)value_at,
                                 .value_size = (uint32_t)(builder->values.size - value_at),
                                 .entries = entries};

        if (builder->count > 0 && span_cmp(builder_key(builder, builder->count - 1), key) >= 0)
                return HIF_ECORRUPT;
        buf_put_span(&builder->keys, key);
        buf_put(&builder->items, &item, sizeof(item));
        if (buf_failed(&builder->keys) || buf_failed(&builder->items) ||
            buf_failed(&builder->values) || buf_failed(&builder->packs))
                return HIF_ENOMEM;
        builder->count++;
        builder->entries += entries;
        return HIF_OK;
}

/* The pack's index in this node; entries of one pack mostly stand together. */
static uint16_t pack_index(struct node_builder *builder, const struct hif_hash *pack)
{
        size_t count = builder->packs.size / HIF_HASH_SIZE;

        for (size_t i = count; i > 0; i--)
                if (memcmp(builder->packs.data + HIF_HASH_SIZE * (i - 1), pack->bytes,
                           HIF_HASH_SIZE) == 0)
                        return (uint16_t)(i - 1);
        buf_put(&builder->packs, pack->bytes, HIF_HASH_SIZE);
        return (uint16_t)count;
}

static void put_entry(struct node_builder *builder, const struct entry *entry)
{
        struct buf *out = &builder->values;
        uint8_t flags = (uint8_t)((entry->loc.size > 0 ? TREE_RECORD_LOCATED : 0) |
                                  (entry->ext.size > 0 ? TREE_RECORD_EXT : 0));

        buf_put_u8(out, (uint8_t)entry->kind);
        buf_put_u8(out, flags);
        buf_put_u64(out, (uint64_t)entry->mtime.sec);
        buf_put_u32(out, entry->mtime.nsec);
        buf_put_u64(out, entry->tag.position);
        buf_put_u64(out, entry->tag.id);
        if (entry->kind != ENTRY_DIR) {
                buf_put_u64(out, entry->size);
                buf_put(out, entry->hash.bytes, HIF_HASH_SIZE);
        }
        if (entry->loc.size > 0) {
                buf_put_u16(out, pack_index(builder, &entry->loc.pack));
                buf_put_u32(out, entry->loc.offset);
                buf_put_u32(out, entry->loc.size);
        }
        buf_put_span(out, entry->target);
        if (entry->ext.size > 0) {
                buf_put_u16(out, (uint16_t)entry->ext.size);
                buf_put_span(out, entry->ext);
        }
}

enum hif_err builder_add_entry(struct node_builder *builder, struct span key,
                               const struct entry *entry)
{
        size_t value_at = builder->values.size;

        assert(builder->level == 0 && entry_valid(entry));
        put_entry(builder, entry);
        assert(buf_failed(&builder->values) || builder->values.size - value_at <= ENTRY_SIZE_MAX);
        return add_item(builder, key, value_at, 1);
}

enum hif_err builder_add_child(struct node_builder *builder, struct span key,
                               const struct hif_hash *hash, uint64_t entries)
{
        size_t value_at = builder->values.size;

        assert(builder->level > 0);
        if (entries == 0 || entries > TREE_ENTRIES_MAX ||
            builder->entries > TREE_ENTRIES_MAX - entries)
                return HIF_ECORRUPT;
        buf_put(&builder->values, hash->bytes, HIF_HASH_SIZE);
        return add_item(builder, key, value_at, entries);
}

/* --- encoding --- */

static size_t shared_prefix(struct span a, struct span b)
{
        size_t size = 0;

        while (size < a.size && size < b.size && a.data[size] == b.data[size])
                size++;
        return size;
}

static void put_heads(struct node_builder *builder, size_t prefix)
{
        for (uint32_t i = 0; i < builder->count; i++) {
                struct span key = builder_key(builder, i);
                uint8_t head[TREE_KEY_HEAD_SIZE] = {0};
                size_t size = key.size - prefix;

                memcpy(head, key.data + prefix, size < sizeof(head) ? size : sizeof(head));
                buf_put(&builder->bytes, head, sizeof(head));
        }
}

static size_t rest_at(struct span key, size_t prefix)
{
        size_t at = prefix + TREE_KEY_HEAD_SIZE;

        return at < key.size ? at : key.size;
}

static void put_offsets(struct node_builder *builder, size_t prefix, size_t at)
{
        for (uint32_t i = 0; i < builder->count; i++) {
                struct tree_item item = item_at(builder, i);
                struct span key = builder_key(builder, i);

                buf_put_u32(&builder->bytes, (uint32_t)at);
                at += 2 + key.size - rest_at(key, prefix) + item.value_size;
        }
}

static void put_sums(struct node_builder *builder)
{
        uint64_t sum = 0;

        for (uint32_t i = 0; i < builder->count; i++) {
                sum += item_at(builder, i).entries;
                buf_put_u64(&builder->bytes, sum);
        }
}

static void put_records(struct node_builder *builder, size_t prefix)
{
        for (uint32_t i = 0; i < builder->count; i++) {
                struct tree_item item = item_at(builder, i);
                struct span key = builder_key(builder, i);
                size_t at = rest_at(key, prefix);

                buf_put_u16(&builder->bytes, (uint16_t)(key.size - prefix));
                buf_put(&builder->bytes, key.data + at, key.size - at);
                buf_put(&builder->bytes, builder->values.data + item.value_at, item.value_size);
        }
}

enum hif_err builder_encode(struct node_builder *builder, struct hif_hash *hash)
{
        struct buf *out = &builder->bytes;
        struct span first = builder_key(builder, 0);
        size_t prefix = shared_prefix(first, builder_key(builder, builder->count - 1));

        assert(builder->count <= UINT16_MAX && builder->level < TREE_LEVEL_MAX);
        buf_reset(out);
        buf_put(out, tree_node_magic, sizeof(tree_node_magic));
        buf_put_u8(out, TREE_NODE_VERSION);
        buf_put_u8(out, builder->level);
        buf_put_u16(out, (uint16_t)builder->count);
        buf_put_u16(out, (uint16_t)prefix);
        buf_put_u16(out, (uint16_t)(builder->packs.size / HIF_HASH_SIZE));
        buf_put_u32(out, 0);
        buf_put(out, first.data, prefix);
        buf_put_span(out, buf_span(&builder->packs));
        put_heads(builder, prefix);
        put_offsets(builder, prefix,
                    out->size + (builder->level > 0 ? 12 : 4) * (size_t)builder->count);
        if (builder->level > 0)
                put_sums(builder);
        put_records(builder, prefix);
        if (buf_failed(out))
                return HIF_ENOMEM;
        assert(out->size <= TREE_NODE_SIZE_MAX);
        *hash = hash_of(HASH_NODE, buf_span(out));
        return HIF_OK;
}
