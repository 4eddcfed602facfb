/* tree_node.c - an encoded tree node, read in place.
 *
 *      at    size
 *       0       4   "HIFT"
 *       4       1   version, 1
 *       5       1   level; 0 = leaf
 *       6       2   count of entries, or of children
 *       8       2   P, the size of the longest prefix that all keys share
 *      10       2   K, the count of pack hashes; 0 in an inner node
 *      12       4   zero
 *      16       P   the prefix
 *       .    32 K   hashes of the packs that entries lie in, in order of first use
 *       .    8 N    N = count heads: the first 8 bytes of each key after the prefix, zero-padded
 *       .    4 N    where each record starts, from the start of the node
 *       .    8 N    inner node only: entries below this child and all before it
 *       .           records, one after the other
 *
 * A record starts with what is left of its key:
 *
 *       0       2   S, the size of the key after the prefix (its head included)
 *       2   S - 8   its bytes after the head; nothing when S <= 8
 *
 * Then, of a child, its hash:
 *
 *       .      32   hash of the node
 *
 * and of an entry:
 *
 *       .       1   kind
 *       .       1   flags: 1 = located, 2 = extended; any other belongs to a newer version
 *       .       8   mtime, seconds, signed
 *       .       4   mtime, nanoseconds
 *       .       8   landing tag, position
 *       .       8   landing tag, id
 *       .       8   size                         not a directory
 *       .      32   hash                         not a directory
 *       .       2   index of the pack            located
 *       .       4   offset of the frame          located
 *       .       4   size of the frame, not 0     located
 *       .    size   target                       symlink
 *       .       2   X, not 0                     extended
 *       .       X   fields of a newer version    extended
 *
 * A search goes over the heads, which lie side by side: in one directory they are hash bits, so
 * that one or two records are looked at. */
#include "core/tree_impl.h"

#include <assert.h>

const uint8_t tree_node_magic[4] = {'H', 'I', 'F', 'T'};

/* --- layout --- */

static bool layout(struct span bytes, struct tree_node *out)
{
        const uint8_t *p = bytes.data;
        uint64_t at;

        *out = (struct tree_node){.bytes = bytes, .level = p[5], .count = be16_get(p + 6)};
        out->prefix_size = be16_get(p + 8);
        out->pack_count = be16_get(p + 10);
        at = TREE_NODE_HEADER_SIZE + (uint64_t)out->prefix_size;
        out->packs_at = (uint32_t)at;
        at += (uint64_t)HIF_HASH_SIZE * out->pack_count;
        out->heads_at = (uint32_t)at;
        at += TREE_KEY_HEAD_SIZE * (uint64_t)out->count;
        out->offsets_at = (uint32_t)at;
        at += 4 * (uint64_t)out->count;
        out->sums_at = (uint32_t)at;
        if (out->level > 0)
                at += 8 * (uint64_t)out->count;
        return at <= bytes.size;
}

static uint32_t records_at(const struct tree_node *node)
{
        return node->sums_at + (node->level > 0 ? 8 * node->count : 0);
}

static const uint8_t *head_bytes(const struct tree_node *node, uint32_t index)
{
        return node->bytes.data + node->heads_at + TREE_KEY_HEAD_SIZE * (size_t)index;
}

static uint64_t head_at(const struct tree_node *node, uint32_t index)
{
        return be64_get(head_bytes(node, index));
}

static const uint8_t *record_at(const struct tree_node *node, uint32_t index)
{
        return node->bytes.data + be32_get(node->bytes.data + node->offsets_at + 4 * (size_t)index);
}

static size_t rest_size(size_t suffix_size)
{
        return suffix_size > TREE_KEY_HEAD_SIZE ? suffix_size - TREE_KEY_HEAD_SIZE : 0;
}

static const uint8_t *value_at(const struct tree_node *node, uint32_t index)
{
        const uint8_t *record = record_at(node, index);

        return record + 2 + rest_size(be16_get(record));
}

void tree_node_open(struct span bytes, struct tree_node *out)
{
        bool fits = layout(bytes, out);

        assert(fits && out->count > 0);
        (void)fits;
}

/* --- keys --- */

size_t node_key_copy(const struct tree_node *node, uint32_t index, uint8_t *out)
{
        const uint8_t *record = record_at(node, index);
        size_t suffix = be16_get(record), rest = rest_size(suffix);

        assert(index < node->count);
        memcpy(out, node->bytes.data + TREE_NODE_HEADER_SIZE, node->prefix_size);
        out += node->prefix_size;
        memcpy(out, head_bytes(node, index), suffix - rest);
        memcpy(out + suffix - rest, record + 2, rest);
        return node->prefix_size + suffix;
}

void tree_node_key(const struct tree_node *node, uint32_t index, struct buf *out)
{
        uint8_t *at = buf_reserve(out, KEY_SIZE_MAX);

        if (at)
                buf_extend(out, node_key_copy(node, index, at));
}

/* What a search compares with: a key after the node's prefix. */
struct target {
        uint64_t head;
        const uint8_t *rest;
        size_t size, rest_size;
};

/* Below (-1), above (1) or within (0) the range of keys that start with the node's prefix. */
static int target_set(const struct tree_node *node, struct span key, struct target *out)
{
        const uint8_t *prefix = node->bytes.data + TREE_NODE_HEADER_SIZE;
        size_t shared = key.size < node->prefix_size ? key.size : node->prefix_size;
        int order = shared > 0 ? memcmp(key.data, prefix, shared) : 0;
        uint8_t head[TREE_KEY_HEAD_SIZE] = {0};

        if (order != 0)
                return order < 0 ? -1 : 1;
        if (key.size < node->prefix_size)
                return -1;
        out->size = key.size - node->prefix_size;
        out->rest_size = rest_size(out->size);
        out->rest = NULL;
        if (out->size > 0) {
                memcpy(head, key.data + node->prefix_size, out->size - out->rest_size);
                out->rest = key.data + key.size - out->rest_size;
        }
        out->head = be64_get(head);
        return 0;
}

/* Of a key whose head equals the target's. Where one ends within its head, its zeros are padding,
 * and it is a prefix of the other or the same. */
static int rest_cmp(const struct tree_node *node, uint32_t index, const struct target *target)
{
        const uint8_t *record = record_at(node, index);
        size_t size = be16_get(record), rest = rest_size(size);
        size_t shared = rest < target->rest_size ? rest : target->rest_size;
        int order = shared > 0 ? memcmp(record + 2, target->rest, shared) : 0;

        if (order != 0)
                return order;
        return size < target->size ? -1 : size > target->size;
}

int node_key_cmp(const struct tree_node *node, uint32_t index, struct span key)
{
        struct target target;
        int side = target_set(node, key, &target);
        uint64_t head;

        assert(index < node->count);
        if (side != 0)
                return -side;
        head = head_at(node, index);
        if (head != target.head)
                return head < target.head ? -1 : 1;
        return rest_cmp(node, index, &target);
}

bool node_key_eq(const struct tree_node *a, uint32_t index_a, const struct tree_node *b,
                 uint32_t index_b)
{
        uint8_t key[KEY_SIZE_MAX];
        size_t size = node_key_copy(a, index_a, key);

        return node_key_cmp(b, index_b, span_of(key, size)) == 0;
}

bool node_key_below(const struct tree_node *a, uint32_t index_a, const struct tree_node *b,
                    uint32_t index_b)
{
        uint8_t key[KEY_SIZE_MAX];
        size_t size = node_key_copy(b, index_b, key);

        return node_key_cmp(a, index_a, span_of(key, size)) < 0;
}

/* The first index in [low, count) whose key is not below the target's. */
static uint32_t lower_bound(const struct tree_node *node, const struct target *target, bool *exact)
{
        uint32_t low = 0, size = node->count;

        while (size > 1) {
                uint32_t half = size / 2;

                low += head_at(node, low + half - 1) < target->head ? half : 0;
                size -= half;
        }
        low += head_at(node, low) < target->head;
        /* Equal heads: a short run in a directory, a long one where long components share more than
         * a head. */
        size = low < node->count && head_at(node, low) == target->head ? node->count - low : 0;
        while (size > 0) {
                uint32_t half = size / 2;
                uint64_t head = head_at(node, low + half);
                int order = head > target->head ? 1 : rest_cmp(node, low + half, target);

                if (order == 0) {
                        *exact = true;
                        return low + half;
                }
                if (order < 0) {
                        low += half + 1;
                        size -= half + 1;
                } else {
                        size = half;
                }
        }
        return low;
}

uint32_t tree_node_search(const struct tree_node *node, struct span key, bool *exact)
{
        struct target target;
        int side = target_set(node, key, &target);
        uint32_t index;

        *exact = false;
        if (side == 0)
                index = lower_bound(node, &target, exact);
        else
                index = side < 0 ? 0 : node->count;
        if (node->level > 0 && !*exact && index > 0)
                index--;
        return index;
}

/* --- values --- */

uint64_t node_sum(const struct tree_node *node, uint32_t index)
{
        assert(index <= node->count);
        if (node->level == 0 || index == 0)
                return index;
        return be64_get(node->bytes.data + node->sums_at + 8 * (size_t)(index - 1));
}

uint64_t tree_node_entries(const struct tree_node *node)
{
        return node_sum(node, node->count);
}

uint32_t node_select(const struct tree_node *node, uint64_t rank)
{
        uint32_t low = 0, size = node->count;

        assert(rank < tree_node_entries(node));
        if (node->level == 0)
                return (uint32_t)rank;
        while (size > 0) {
                uint32_t half = size / 2;

                if (node_sum(node, low + half + 1) <= rank) {
                        low += half + 1;
                        size -= half + 1;
                } else {
                        size = half;
                }
        }
        return low;
}

void tree_node_child(const struct tree_node *node, uint32_t index, struct hif_hash *hash,
                     uint64_t *entries)
{
        assert(node->level > 0 && index < node->count);
        memcpy(hash->bytes, value_at(node, index), HIF_HASH_SIZE);
        *entries = node_sum(node, index + 1) - node_sum(node, index);
}

/* Bounds-checked, for tree_node_check. */
static void read_entry(struct reader *rd, uint8_t *flags, uint16_t *pack, struct entry *out)
{
        *out = (struct entry){.kind = (enum entry_kind)rd_u8(rd)};
        *flags = rd_u8(rd);
        *pack = 0;
        out->mtime.sec = (int64_t)rd_u64(rd);
        out->mtime.nsec = rd_u32(rd);
        out->tag.position = rd_u64(rd);
        out->tag.id = rd_u64(rd);
        if (out->kind != ENTRY_DIR) {
                out->size = rd_u64(rd);
                rd_copy(rd, out->hash.bytes, HIF_HASH_SIZE);
        }
        if (*flags & TREE_RECORD_LOCATED) {
                *pack = rd_u16(rd);
                out->loc.offset = rd_u32(rd);
                out->loc.size = rd_u32(rd);
        }
        if (out->kind == ENTRY_SYMLINK)
                out->target = rd_span(rd, (size_t)out->size);
        if (*flags & TREE_RECORD_EXT)
                out->ext = rd_span(rd, rd_u16(rd));
}

static const uint8_t *record_end(const struct tree_node *node, uint32_t index)
{
        if (index + 1 < node->count)
                return record_at(node, index + 1);
        return node->bytes.data + node->bytes.size;
}

/* Checked bytes: loads need no bounds. */
void tree_node_entry(const struct tree_node *node, uint32_t index, struct entry *out)
{
        const uint8_t *p = value_at(node, index);
        uint8_t flags = p[1];

        assert(node->level == 0 && index < node->count);
        *out = (struct entry){.kind = (enum entry_kind)p[0],
                              .mtime = {.sec = (int64_t)be64_get(p + 2), .nsec = be32_get(p + 10)},
                              .tag = {.position = be64_get(p + 14), .id = be64_get(p + 22)}};
        p += 30;
        if (out->kind != ENTRY_DIR) {
                out->size = be64_get(p);
                memcpy(out->hash.bytes, p + 8, HIF_HASH_SIZE);
                p += 8 + HIF_HASH_SIZE;
        }
        if (flags & TREE_RECORD_LOCATED) {
                memcpy(out->loc.pack.bytes,
                       node->bytes.data + node->packs_at + HIF_HASH_SIZE * (size_t)be16_get(p),
                       HIF_HASH_SIZE);
                out->loc.offset = be32_get(p + 2);
                out->loc.size = be32_get(p + 6);
                p += 10;
        }
        if (out->kind == ENTRY_SYMLINK) {
                out->target = span_of(p, (size_t)out->size);
                p += out->size;
        }
        if (flags & TREE_RECORD_EXT)
                out->ext = span_of(p + 2, be16_get(p));
}

/* --- checking --- */

/* packs_used: how many of the pack hashes were named so far; each is first named in its order. */
static enum hif_err check_entry(const struct tree_node *node, struct reader *rd,
                                uint32_t *packs_used)
{
        struct entry entry;
        uint8_t flags;
        uint16_t pack;

        read_entry(rd, &flags, &pack, &entry);
        if (!rd->bad && (flags & ~(TREE_RECORD_LOCATED | TREE_RECORD_EXT)) != 0)
                return HIF_EUNSUPPORTED;
        if (!rd_done(rd) || !entry_valid(&entry))
                return HIF_ECORRUPT;
        if (((flags & TREE_RECORD_EXT) != 0) != (entry.ext.size > 0))
                return HIF_ECORRUPT;
        if (((flags & TREE_RECORD_LOCATED) != 0) != (entry.loc.size > 0))
                return HIF_ECORRUPT;
        if (entry.loc.size > 0) {
                if (pack >= node->pack_count || pack > *packs_used)
                        return HIF_ECORRUPT;
                if (pack == *packs_used)
                        (*packs_used)++;
        }
        return HIF_OK;
}

/* Everything of record `index` but the order of its key; gives the key. */
static enum hif_err check_record(const struct tree_node *node, uint32_t index, uint32_t *packs_used,
                                 uint8_t *key, size_t *key_size)
{
        const uint8_t *head = head_bytes(node, index);
        struct reader rd = {.next = record_at(node, index), .end = record_end(node, index)};
        size_t size = rd_u16(&rd);

        rd_span(&rd, rest_size(size));
        if (rd.bad || node->prefix_size + size > KEY_SIZE_MAX)
                return HIF_ECORRUPT;
        for (size_t i = size; i < TREE_KEY_HEAD_SIZE; i++)
                if (head[i] != 0)
                        return HIF_ECORRUPT;
        *key_size = node_key_copy(node, index, key);
        if (!key_valid(span_of(key, *key_size)))
                return HIF_ECORRUPT;
        if (node->level == 0)
                return check_entry(node, &rd, packs_used);
        rd_span(&rd, HIF_HASH_SIZE);
        return rd_done(&rd) ? HIF_OK : HIF_ECORRUPT;
}

static bool offsets_valid(const struct tree_node *node)
{
        uint32_t least = records_at(node);

        for (uint32_t i = 0; i < node->count; i++) {
                uint32_t at = be32_get(node->bytes.data + node->offsets_at + 4 * (size_t)i);

                if (at > node->bytes.size || (i == 0 ? at != least : at < least))
                        return false;
                least = at;
        }
        return true;
}

static bool sums_valid(const struct tree_node *node)
{
        uint64_t sum = 0;

        for (uint32_t i = 1; node->level > 0 && i <= node->count; i++) {
                uint64_t next = node_sum(node, i);

                if (next <= sum || next > TREE_ENTRIES_MAX)
                        return false;
                sum = next;
        }
        return true;
}

/* With no more to share, the prefix is the longest one. */
static bool prefix_longest(struct span first, struct span last, size_t prefix)
{
        if (first.size == prefix || last.size == prefix)
                return true;
        return first.data[prefix] != last.data[prefix];
}

static enum hif_err check_records(const struct tree_node *node)
{
        uint8_t keys[2][KEY_SIZE_MAX], first[KEY_SIZE_MAX];
        struct span previous = {0}, key = {0};
        uint32_t packs_used = 0;
        size_t first_size = 0;

        for (uint32_t i = 0; i < node->count; i++) {
                size_t size;
                enum hif_err err = check_record(node, i, &packs_used, keys[i % 2], &size);

                if (err)
                        return err;
                key = span_of(keys[i % 2], size);
                if (i == 0) {
                        memcpy(first, key.data, size);
                        first_size = size;
                } else if (span_cmp(previous, key) >= 0) {
                        return HIF_ECORRUPT;
                }
                previous = key;
        }
        if (packs_used != node->pack_count ||
            !prefix_longest(span_of(first, first_size), key, node->prefix_size))
                return HIF_ECORRUPT;
        return HIF_OK;
}

enum hif_err tree_node_check(struct span bytes)
{
        struct tree_node node;

        if (bytes.size < TREE_NODE_HEADER_SIZE || bytes.size > TREE_NODE_SIZE_MAX ||
            memcmp(bytes.data, tree_node_magic, sizeof(tree_node_magic)) != 0)
                return HIF_ECORRUPT;
        if (bytes.data[4] != TREE_NODE_VERSION)
                return bytes.data[4] > TREE_NODE_VERSION ? HIF_EUNSUPPORTED : HIF_ECORRUPT;
        if (!layout(bytes, &node) || node.count == 0 || node.level >= TREE_LEVEL_MAX ||
            be32_get(bytes.data + 12) != 0 || (node.level > 0 && node.pack_count > 0))
                return HIF_ECORRUPT;
        if (!offsets_valid(&node) || !sums_valid(&node))
                return HIF_ECORRUPT;
        return check_records(&node);
}
