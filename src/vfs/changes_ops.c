/* changes_ops.c - the operations of a snapshot, and the filter of their paths. */
#include "vfs/changes.h"

#define BLOOM_ITEMS_MIN 1024u
#define BLOOM_ITEMS_MAX (BLOOM_BIT_COUNT_MAX / BLOOM_BITS_PER_ITEM)

struct gathering {
        struct arena *arena;
        struct buf ops;    /* of struct session_op */
        size_t components; /* of all their paths: what they add to a filter at most */
};

static size_t count_components(struct span path)
{
        size_t count = path.size > 0;

        for (size_t i = 0; i < path.size; i++)
                count += path.data[i] == '/';
        return count;
}

static enum hif_err gather(void *arg, uint64_t seq, const struct session_op *op)
{
        struct gathering *gathering = arg;
        struct session_op copy = *op;

        (void)seq;
        copy.path = arena_span(gathering->arena, op->path);
        copy.path2 = arena_span(gathering->arena, op->path2);
        if ((op->path.size > 0 && copy.path.data == NULL) ||
            (op->path2.size > 0 && copy.path2.data == NULL))
                return HIF_ENOMEM;
        gathering->components += count_components(op->path) + count_components(op->path2);
        buf_put(&gathering->ops, &copy, sizeof(copy));
        return buf_failed(&gathering->ops) ? HIF_ENOMEM : HIF_OK;
}

static struct span parent_of(struct span path)
{
        size_t size = path.size;

        while (size > 0 && path.data[size - 1] != '/')
                size--;
        return span_of(path.data, size > 0 ? size - 1 : 0);
}

/* Add a path and its ancestors; those of the path before are there already, and are usually the
 * same. */
static void note_path(struct bloom *bloom, struct span path, struct span before)
{
        struct span parent = parent_of(path);

        if (path.size == 0)
                return;
        bloom_add(bloom, path);
        if (parent.size > 0 && (before.size == 0 || !span_eq(parent, parent_of(before))))
                bloom_add_path(bloom, parent);
}

/* At its largest a filter takes the rest, too, and says maybe more often. */
static enum hif_err make_bloom(struct vfs_snapshot *snapshot, size_t components)
{
        CLEANUP(bloom_free) struct bloom bloom = {0};
        size_t items = components < BLOOM_ITEMS_MIN   ? BLOOM_ITEMS_MIN
                       : components > BLOOM_ITEMS_MAX ? BLOOM_ITEMS_MAX
                                                      : components;
        struct span before = {0};
        enum hif_err err;

        if (snapshot->op_count == 0)
                return HIF_OK;
        err = bloom_init(&bloom, (uint32_t)items);
        if (err != HIF_OK)
                return err;
        for (size_t i = 0; i < snapshot->op_count; i++) {
                note_path(&bloom, snapshot->ops[i].path, before);
                note_path(&bloom, snapshot->ops[i].path2, snapshot->ops[i].path);
                before = snapshot->ops[i].path;
        }
        snapshot->bloom = bloom;
        snapshot->bloom.bits = (uint8_t *)(uintptr_t)arena_span(
                                   &snapshot->arena, span_of(bloom.bits, bloom.bit_count / 8))
                                   .data;
        return snapshot->bloom.bits != NULL ? HIF_OK : HIF_ENOMEM;
}

enum hif_err vfs_snapshot_ops(struct vfs_snapshot *snapshot, struct hif_why *why)
{
        struct gathering gathering = {.arena = &snapshot->arena};
        struct span kept;
        enum hif_err err =
            overlay_ops_each(snapshot->overlay, &snapshot->recorded, gather, &gathering, why);

        snapshot->op_count = gathering.ops.size / sizeof(struct session_op);
        kept = err == HIF_OK ? arena_span(&snapshot->arena, buf_span(&gathering.ops))
                             : (struct span){0};
        buf_free(&gathering.ops);
        if (err != HIF_OK)
                return err;
        if (snapshot->op_count > 0 && kept.data == NULL)
                return HIF_ENOMEM;
        snapshot->ops = (struct session_op *)(uintptr_t)kept.data;
        return make_bloom(snapshot, gathering.components);
}
