/* tree_verify.c - what single nodes cannot show. */
#include "core/tree_impl.h"

#include <assert.h>

struct verify {
        struct tree_source *source;
        const struct tree_params *params;
        const struct hif_hash *root;
        struct hif_why *why;
        struct node_builder builder;
        struct tree_cursor parents; /* looks up parent directories */
        struct buf parent;          /* prefix of the last parent seen to be a directory */
        struct buf path, key, last; /* last: the last key of the leaf before */
        bool any;
};

static enum hif_err corrupt(struct verify *v, const struct hif_hash *hash, const char *reason)
{
        char hex[HIF_HASH_HEX_SIZE];

        hash_to_hex(hash, hex);
        return why_set(v->why, HIF_ECORRUPT, "tree node %s: %s", hex, reason);
}

/* Nodes end where the rule says, and only there; the last one of a level may end anywhere. */
static enum hif_err check_boundaries(struct verify *v, const struct hif_hash *hash,
                                     const struct tree_node *node, bool last)
{
        for (uint32_t i = 0; i < node->count; i++) {
                uint8_t key[KEY_SIZE_MAX];
                size_t size = node_key_copy(node, i, key);
                bool ends = tree_boundary(v->params, node->level, i + 1, span_of(key, size));

                if (i + 1 < node->count && ends)
                        return corrupt(v, hash, "goes on after a key that ends a node");
                if (i + 1 == node->count && !ends && !last)
                        return corrupt(v, hash, "ends after a key that does not end a node");
        }
        return HIF_OK;
}

/* There is one encoding of the same items. */
static enum hif_err check_encoding(struct verify *v, const struct hif_hash *hash,
                                   const struct tree_node *node)
{
        enum hif_err err = HIF_OK;
        struct hif_hash encoded;

        builder_reset(&v->builder);
        v->builder.level = node->level;
        for (uint32_t i = 0; !err && i < node->count; i++) {
                uint8_t key[KEY_SIZE_MAX];
                struct span span = span_of(key, node_key_copy(node, i, key));

                if (node->level == 0) {
                        struct entry entry;

                        tree_node_entry(node, i, &entry);
                        err = builder_add_entry(&v->builder, span, &entry);
                } else {
                        struct hif_hash child;
                        uint64_t entries;

                        tree_node_child(node, i, &child, &entries);
                        err = builder_add_child(&v->builder, span, &child, entries);
                }
        }
        if (!err)
                err = builder_encode(&v->builder, &encoded);
        if (!err && !hash_eq(&encoded, hash))
                return corrupt(v, hash, "its bytes are not the encoding of its entries");
        return err;
}

static enum hif_err check_entries(struct verify *v, const struct hif_hash *hash,
                                  const struct tree_node *leaf)
{
        for (uint32_t i = 0; leaf->level == 0 && i < leaf->count; i++) {
                struct entry entry;
                struct hif_hash target;
                uint8_t key[KEY_SIZE_MAX];

                tree_node_entry(leaf, i, &entry);
                if (i == 0 && entry.kind != ENTRY_DIR && node_key_copy(leaf, 0, key) == 0)
                        return corrupt(v, hash, "the root is no directory");
                if (entry.kind != ENTRY_SYMLINK)
                        continue;
                target = hash_of(HASH_BLOB, entry.target);
                if (!hash_eq(&target, &entry.hash))
                        return corrupt(v, hash, "a symlink's hash is not that of its target");
        }
        return HIF_OK;
}

static enum hif_err check_alone(struct verify *v, const struct hif_hash *hash,
                                const struct tree_node *node, bool last)
{
        enum hif_err err = check_boundaries(v, hash, node, last);

        if (!err)
                err = check_encoding(v, hash, node);
        return err ? err : check_entries(v, hash, node);
}

enum hif_err tree_verify_node(const struct tree_params *params, const struct hif_hash *hash,
                              const struct tree_node *node, bool last, struct hif_why *why)
{
        struct verify v = {.params = params, .why = why};
        enum hif_err err;

        assert(tree_params_valid(params));
        err = check_alone(&v, hash, node, last);
        builder_free(&v.builder);
        return err;
}

static enum hif_err check_parent(struct verify *v, const struct hif_hash *hash, struct span key)
{
        struct span prefix = key_parent_prefix(key);
        struct entry parent;
        enum hif_err err;

        if (prefix.size == 0 || (v->parent.size > 0 && span_eq(prefix, buf_span(&v->parent))))
                return HIF_OK;
        buf_reset(&v->path);
        buf_reset(&v->key);
        key_to_path(&v->path, key);
        if (buf_failed(&v->path))
                return HIF_ENOMEM;
        key_from_path(&v->key, path_parent(buf_span(&v->path)));
        if (buf_failed(&v->key))
                return HIF_ENOMEM;
        err = tree_find(&v->parents, v->root, buf_span(&v->key), &parent, NULL);
        if (err == HIF_ENOENT || (!err && parent.kind != ENTRY_DIR))
                return corrupt(v, hash, "an entry's parent is no directory");
        if (err)
                return err;
        buf_reset(&v->parent);
        buf_put_span(&v->parent, prefix);
        return buf_failed(&v->parent) ? HIF_ENOMEM : HIF_OK;
}

static enum hif_err check_leaf(struct verify *v, const struct hif_hash *hash,
                               const struct tree_node *leaf)
{
        if (v->any && node_key_cmp(leaf, 0, buf_span(&v->last)) <= 0)
                return corrupt(v, hash, "its first key is not above the last of the leaf before");
        buf_reset(&v->last);
        tree_node_key(leaf, leaf->count - 1, &v->last);
        if (buf_failed(&v->last))
                return HIF_ENOMEM;
        v->any = true;
        for (uint32_t i = 0; i < leaf->count; i++) {
                uint8_t key[KEY_SIZE_MAX];
                size_t size = node_key_copy(leaf, i, key);
                enum hif_err err = check_parent(v, hash, span_of(key, size));

                if (err)
                        return err;
        }
        return HIF_OK;
}

/* Levels descend by one, so the recursion is at most TREE_LEVEL_MAX deep. */
static enum hif_err check_node(struct verify *v, const struct hif_hash *hash,
                               const struct tree_node *node, bool last)
{
        enum hif_err err = check_alone(v, hash, node, last);

        if (err)
                return err;
        if (node->level == 0)
                return check_leaf(v, hash, node);
        for (uint32_t i = 0; !err && i < node->count; i++) {
                struct tree_node child;
                struct hif_hash child_hash;
                uint64_t entries;

                tree_node_child(node, i, &child_hash, &entries);
                err = tree_get_child(v->source, node, i, &child);
                if (err == HIF_ECORRUPT)
                        return corrupt(v, &child_hash, "is not what its parent says of it");
                if (err)
                        return err;
                err = check_node(v, &child_hash, &child, last && i + 1 == node->count);
                v->source->put(v->source, &child);
        }
        return err;
}

enum hif_err tree_verify(struct tree_source *source, const struct tree_params *params,
                         const struct hif_hash *root, struct hif_why *why)
{
        struct verify v = {.source = source, .params = params, .root = root, .why = why};
        struct tree_node node;
        enum hif_err err;

        assert(tree_params_valid(params));
        err = tree_get_root(source, root, &node);
        if (err == HIF_ECORRUPT)
                return corrupt(&v, root, "is no root: its first key is not empty");
        if (err)
                return err;
        tree_cursor_init(&v.parents, source);
        if (node.level > 0 && node.count == 1)
                err = corrupt(&v, root, "is no root: it has one child");
        else
                err = check_node(&v, root, &node, true);
        source->put(source, &node);
        tree_cursor_close(&v.parents);
        builder_free(&v.builder);
        buf_free(&v.parent);
        buf_free(&v.path);
        buf_free(&v.key);
        buf_free(&v.last);
        return err;
}
