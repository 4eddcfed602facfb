/* key.c - names, paths and tree keys. */
#include "core/key.h"

#include "core/hash.h"

#include <assert.h>

bool name_valid(struct span name)
{
        if (name.size == 0 || name.size > NAME_SIZE_MAX)
                return false;
        if (name.data[0] == '.' && (name.size == 1 || (name.size == 2 && name.data[1] == '.')))
                return false;
        return !memchr(name.data, '/', name.size) && !memchr(name.data, 0, name.size);
}

/* Every component valid, each but the last ended by `mark`. The empty string has none. */
static bool components_valid(struct span text, int mark)
{
        while (text.size > 0) {
                const uint8_t *end = memchr(text.data, mark, text.size);
                size_t size = end ? (size_t)(end - text.data) : text.size;

                if (!name_valid(span_of(text.data, size)))
                        return false;
                if (!end)
                        return true;
                text = span_of(end + 1, text.size - size - 1);
                if (text.size == 0)
                        return false;
        }
        return true;
}

bool path_valid(struct span path)
{
        return path.size <= PATH_SIZE_MAX && components_valid(path, '/');
}

struct span path_parent(struct span path)
{
        const uint8_t *slash;

        assert(path.size > 0);
        slash = memrchr(path.data, '/', path.size);
        return span_of(path.data, slash ? (size_t)(slash - path.data) : 0);
}

struct span path_name(struct span path)
{
        const uint8_t *slash;

        assert(path.size > 0);
        slash = memrchr(path.data, '/', path.size);
        if (!slash)
                return path;
        return span_of(slash + 1, path.size - (size_t)(slash - path.data) - 1);
}

bool path_within(struct span path, struct span dir)
{
        if (dir.size == 0)
                return true;
        if (path.size < dir.size || memcmp(path.data, dir.data, dir.size) != 0)
                return false;
        return path.size == dir.size || path.data[dir.size] == '/';
}

uint64_t name_hash60(struct span name)
{
        struct hif_hash hash = hash_of(HASH_BLOB, name);

        return hash_prefix(&hash) & ~(uint64_t)0xf;
}

/* Append text with every `from` made `to`. */
static void put_translated(struct buf *out, struct span text, uint8_t from, uint8_t to)
{
        uint8_t *at = buf_reserve(out, text.size);

        if (!at)
                return;
        for (size_t i = 0; i < text.size; i++)
                at[i] = text.data[i] == from ? to : text.data[i];
        buf_extend(out, text.size);
}

void key_prefix(struct buf *out, struct span dir_path)
{
        assert(path_valid(dir_path));
        if (dir_path.size == 0)
                return;
        put_translated(out, dir_path, '/', 0);
        buf_put_u8(out, 0);
}

static void put_child(struct buf *out, uint64_t hash60, struct span name)
{
        buf_put_u8(out, 0);
        buf_put_u64(out, hash60);
        buf_put_span(out, name);
}

void key_from_path(struct buf *out, struct span path)
{
        struct span name;

        assert(path_valid(path));
        if (path.size == 0)
                return;
        name = path_name(path);
        key_prefix(out, path_parent(path));
        put_child(out, name_hash60(name), name);
}

void key_child(struct buf *out, struct span dir_prefix, uint64_t hash60, struct span name)
{
        assert(name_valid(name));
        buf_put_span(out, dir_prefix);
        put_child(out, hash60, name);
}

void key_prefix_of_key(struct buf *out, struct span dir_key)
{
        if (dir_key.size == 0)
                return;
        buf_put_span(out, key_parent_prefix(dir_key));
        buf_put_span(out, key_name(dir_key));
        buf_put_u8(out, 0);
}

void key_prefix_end(struct buf *out, struct span dir_prefix)
{
        if (dir_prefix.size == 0)
                return;
        assert(dir_prefix.data[dir_prefix.size - 1] == 0);
        buf_put(out, dir_prefix.data, dir_prefix.size - 1);
        buf_put_u8(out, 1);
}

/* The size of the parent's prefix, found from the front: hash60 may hold zeros. SIZE_MAX where
 * there is no 00 that starts a hash. */
static size_t parent_prefix_size(struct span key)
{
        size_t at = 0;

        while (at < key.size && key.data[at] != 0) {
                const uint8_t *end = memchr(key.data + at, 0, key.size - at);

                if (!end)
                        return SIZE_MAX;
                at = (size_t)(end - key.data) + 1;
        }
        return at < key.size ? at : SIZE_MAX;
}

bool key_valid(struct span key)
{
        struct span name;
        size_t prefix;

        if (key.size == 0)
                return true;
        prefix = parent_prefix_size(key);
        if (prefix == SIZE_MAX || key.size - prefix <= 1 + KEY_HASH_SIZE)
                return false;
        name =
            span_of(key.data + prefix + 1 + KEY_HASH_SIZE, key.size - prefix - 1 - KEY_HASH_SIZE);
        if (prefix + name.size > PATH_SIZE_MAX || !name_valid(name))
                return false;
        if (prefix > 0 && !components_valid(span_of(key.data, prefix - 1), 0))
                return false;
        return be64_get(key.data + prefix + 1) == name_hash60(name);
}

void key_to_path(struct buf *out, struct span key)
{
        if (key.size == 0)
                return;
        put_translated(out, key_parent_prefix(key), 0, '/');
        buf_put_span(out, key_name(key));
}

struct span key_name(struct span key)
{
        size_t skip;

        if (key.size == 0)
                return key;
        skip = parent_prefix_size(key) + 1 + KEY_HASH_SIZE;
        assert(skip < key.size);
        return span_of(key.data + skip, key.size - skip);
}

struct span key_parent_prefix(struct span key)
{
        size_t prefix;

        if (key.size == 0)
                return key;
        prefix = parent_prefix_size(key);
        assert(prefix < key.size);
        return span_of(key.data, prefix);
}

uint64_t key_hash60(struct span key)
{
        size_t prefix;

        if (key.size == 0)
                return 0;
        prefix = parent_prefix_size(key);
        assert(prefix < key.size && key.size - prefix > 1 + KEY_HASH_SIZE);
        return be64_get(key.data + prefix + 1);
}
