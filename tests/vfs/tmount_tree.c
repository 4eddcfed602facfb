/* tmount_tree.c - the base: objects and nodes, straight into the memory store. */
#include "tmount_impl.h"

#include <stdio.h>

#define EPOCH_SEC 1000000000

static void put_object(struct tmount *m, const char *key, struct span body)
{
        struct store_req req = {.op = STORE_PUT, .key = key, .body = body};

        store_run(m->mem, &req, 1);
        check_ok(req.result);
        store_req_free(&req);
}

static struct hif_hash put_blob(struct tmount *m, struct span content)
{
        struct hif_hash hash = hash_of(HASH_BLOB, content);
        struct layout_key key = layout_blob(&m->layout, &hash);
        AUTO_BUF struct buf stored = {0};

        check_ok(body_put(m->codec, BODY_BLOB, content, &stored));
        put_object(m, key.text, buf_span(&stored));
        return hash;
}

/* A file over BODY_BLOB_MAX, cut evenly: readers do not care where. */
static struct hif_hash put_chunks(struct tmount *m, struct span content)
{
        struct chunk *chunks = calloc(content.size / BODY_CHUNK_MEAN + 1, sizeof(*chunks));
        AUTO_BUF struct buf list = {0};
        struct layout_key key;
        struct hif_hash hash;
        uint32_t count = 0;

        tmount_check(chunks != NULL);
        for (size_t at = 0; at < content.size; at += chunks[count++].size) {
                size_t left = content.size - at;

                chunks[count].size = left < BODY_CHUNK_MEAN ? left : BODY_CHUNK_MEAN;
                chunks[count].hash = put_blob(m, span_of(content.data + at, chunks[count].size));
        }
        chunk_list_put(&list, 0, chunks, count);
        hash = hash_of(HASH_CHUNKS, buf_span(&list));
        key = layout_blob(&m->layout, &hash);
        put_object(m, key.text, buf_span(&list));
        free(chunks);
        return hash;
}

static struct tmount_entry *add(struct tmount *m, const char *path, enum entry_kind kind)
{
        struct tmount_entry *entry;

        if (m->entry_count == m->entry_capacity) {
                m->entry_capacity = m->entry_capacity * 2 + 64;
                m->entries = reallocarray(m->entries, m->entry_capacity, sizeof(*m->entries));
                tmount_check(m->entries != NULL);
        }
        entry = &m->entries[m->entry_count];
        *entry = (struct tmount_entry){.path = strdup(path)};
        tmount_check(entry->path != NULL);
        entry->entry.kind = kind;
        entry->entry.mtime.sec = EPOCH_SEC + (int64_t)m->entry_count++;
        key_from_path(&entry->key, span_str(path));
        return entry;
}

void tmount_add_dir(struct tmount *m, const char *path)
{
        add(m, path, ENTRY_DIR);
}

void tmount_add_file(struct tmount *m, const char *path, const void *data, size_t size, bool exec)
{
        struct tmount_entry *entry = add(m, path, exec ? ENTRY_EXEC : ENTRY_FILE);
        struct span content = span_of(data, size);

        entry->entry.size = size;
        entry->entry.hash = size <= BODY_BLOB_MAX ? put_blob(m, content) : put_chunks(m, content);
}

void tmount_add_text(struct tmount *m, const char *path, const char *text)
{
        tmount_add_file(m, path, text, strlen(text), false);
}

void tmount_add_link(struct tmount *m, const char *path, const char *target)
{
        struct tmount_entry *entry = add(m, path, ENTRY_SYMLINK);
        char *copy = strdup(target);

        tmount_check(copy != NULL);
        entry->entry.target = span_str(copy);
        entry->entry.size = strlen(target);
        entry->entry.hash = hash_of(HASH_BLOB, entry->entry.target);
}

void tmount_add_samples(struct tmount *m)
{
        AUTO_FREE uint8_t *big = tmount_bytes(3, 2u << 20);

        tmount_add_text(m, "file", "content\n");
        tmount_add_link(m, "link", "dir/a");
        tmount_add_text(m, "dir/a", "a");
        tmount_add_text(m, "dir/sub/b", "b");
        tmount_add_file(m, "run.sh", "#!/bin/sh\n", 10, true);
        tmount_add_file(m, "big", big, 2u << 20, false);
}

uint8_t *tmount_bytes(uint64_t seed, size_t size)
{
        uint8_t *bytes = malloc(size + 8);

        tmount_check(bytes != NULL);
        for (size_t at = 0; at < size; at += 8) {
                uint64_t z = (seed + at) * 0x9e3779b97f4a7c15u;

                z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
                z ^= z >> 27;
                memcpy(bytes + at, &z, 8);
        }
        return bytes;
}

/* --- the tree --- */

static int by_key(const void *a, const void *b)
{
        const struct tmount_entry *x = a, *y = b;

        return span_cmp(buf_span(&x->key), buf_span(&y->key));
}

struct landing {
        struct tree_edits edits; /* first */
        struct tree_sink sink;
        struct tmount *m;
        size_t next;
};

static bool next_edit(struct tree_edits *edits, struct tree_edit *out)
{
        struct landing *landing = (struct landing *)edits;
        struct tmount_entry *entry;

        if (landing->next == landing->m->entry_count)
                return false;
        entry = &landing->m->entries[landing->next++];
        *out = (struct tree_edit){.key = buf_span(&entry->key), .entry = &entry->entry};
        return true;
}

static enum hif_err put_node(struct tree_sink *sink, const struct hif_hash *hash, struct span bytes)
{
        struct landing *landing = (struct landing *)((char *)sink - offsetof(struct landing, sink));
        struct layout_key key = layout_node(&landing->m->layout, hash);
        AUTO_BUF struct buf stored = {0};

        check_ok(body_put(landing->m->codec, BODY_NODE, bytes, &stored));
        put_object(landing->m, key.text, buf_span(&stored));
        return HIF_OK;
}

static enum hif_err no_node(struct tree_source *source, const struct hif_hash *hash,
                            struct tree_node *out)
{
        (void)source, (void)hash, (void)out;
        return HIF_ENOENT;
}

static bool has_dir(const struct tmount *m, struct span path, size_t count)
{
        AUTO_BUF struct buf key = {0};
        size_t low = 0, high = count;

        key_from_path(&key, path);
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                int order = span_cmp(buf_span(&m->entries[mid].key), buf_span(&key));

                if (order == 0)
                        return true;
                if (order < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return false;
}

/* Directories that only show in the paths of what is in them. */
static void add_parents(struct tmount *m)
{
        bool added = true;

        while (added) {
                size_t count = m->entry_count;

                added = false;
                qsort(m->entries, count, sizeof(*m->entries), by_key);
                for (size_t i = 0; i < count; i++) {
                        struct span path = span_str(m->entries[i].path), parent;
                        char *text;

                        if (path.size == 0)
                                continue;
                        parent = path_parent(path);
                        if (has_dir(m, parent, count) ||
                            (m->entry_count > count &&
                             span_eq(span_str(m->entries[m->entry_count - 1].path), parent)))
                                continue;
                        text = strndup((const char *)parent.data, parent.size);
                        tmount_check(text != NULL);
                        add(m, text, ENTRY_DIR);
                        free(text);
                        added = true;
                }
                /* The same parent may have been added more than once, by far siblings. */
                qsort(m->entries, m->entry_count, sizeof(*m->entries), by_key);
                for (size_t i = 1; i < m->entry_count; i++) {
                        struct tmount_entry *entry = &m->entries[i];

                        if (by_key(entry - 1, entry) != 0)
                                continue;
                        free(entry->path);
                        buf_free(&entry->key);
                        memmove(entry, entry + 1, (--m->entry_count - i) * sizeof(*m->entries));
                        i--;
                }
        }
}

void tmount_land(struct tmount *m)
{
        struct landing landing = {.edits.next = next_edit, .sink.put = put_node, .m = m};
        struct tree_source source = {.get = no_node};
        struct tree_params params = tree_params_default(7);
        struct tree_stats stats = {0};

        if (m->entry_count == 0 || m->entries[0].path[0] != '\0')
                tmount_add_dir(m, "");
        add_parents(m);
        check_ok(tree_apply(&source, &landing.sink, &params, NULL, &landing.edits, &m->base.tree,
                            &stats));
        m->base.position++;
        m->base.slot = hash_of(HASH_SLOT, span_of(&m->base.position, sizeof(m->base.position)));
}

void tmount_forget_entries(struct tmount *m)
{
        for (size_t i = 0; i < m->entry_count; i++) {
                free(m->entries[i].path);
                free((void *)(uintptr_t)m->entries[i].entry.target.data);
                buf_free(&m->entries[i].key);
        }
        free(m->entries);
        m->entries = NULL;
        m->entry_count = m->entry_capacity = 0;
}
