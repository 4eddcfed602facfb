/* ahead.c - what is fetched before it is asked for, by what was asked for.
 *
 * A store that is far away answers late, not slowly: so what is likely to be wanted next is brought
 * together with what is wanted now, and more of it as long as it gets used. Who reads or lists a
 * little is brought a little. */
#include "vfs/internal.h"

#include "base/log.h"

#define NEAR_MAX     512u /* entries of a directory that is brought whole */
#define ENTRIES_MIN  64u  /* around a file */
#define ENTRIES_MAX  4096u
#define LISTED_MIN   512u /* around a listing: of these only nodes are brought */
#define LISTED_MAX   16384u
#define BEGUN_CHECK  32u /* files that are read until it is looked whether more is to be brought */
#define SEQUENCE_MIN (8ull << 20) /* behind the place where a large file is read */
#define SEQUENCE_MAX (32ull << 20)

/* False when this workspace has had its share: what crawls through everything must not bring the
 * world. */
static bool may_look_ahead(struct vfs *vfs, struct fetch_hinted *hinted)
{
        uint64_t bytes;

        *hinted = fetch_hints_total(vfs->directory_hints);
        bytes = hinted->bytes + fetch_hints_total(vfs->chunk_hints).bytes;
        if (bytes < vfs->config.hydrate_bytes_max)
                return true;
        if (!vfs->ahead.used_up)
                log_line(vfs->config.env->log, LOG_INFO, "vfs",
                         "%llu MiB were fetched ahead for '%s', as many as may be: from now on, "
                         "only what is read is fetched",
                         (unsigned long long)(bytes >> 20), vfs->dir);
        vfs->ahead.used_up = true;
        return false;
}

/* --- what lies around a place in the tree --- */

struct around {
        struct buf near_from, near_to, from, to; /* what range borrows from */
        struct prefetch_range range;
        uint64_t first, end;             /* its ranks, about */
        uint64_t outer_first, outer_end; /* of the subtree in which it lies */
};

static void around_free(struct around *around)
{
        buf_free(&around->near_from);
        buf_free(&around->near_to);
        buf_free(&around->from);
        buf_free(&around->to);
}

static bool around_failed(const struct around *around)
{
        return buf_failed(&around->near_from) || buf_failed(&around->near_to) ||
               buf_failed(&around->from) || buf_failed(&around->to);
}

/* Ranks of the keys [from, to), about; to empty: to the end. */
static bool ranks_of(struct vfs *vfs, struct span from, struct span to, uint64_t *first,
                     uint64_t *end)
{
        const struct hif_hash *tree = &vfs->epochs[vfs->epoch].tree;
        struct tree_source *source = &vfs->nodes.source;
        enum hif_err err = tree_rank_about(source, tree, from, first);

        if (err == HIF_OK)
                err = to.size > 0 ? tree_rank_about(source, tree, to, end)
                                  : tree_count(source, tree, end);
        return err == HIF_OK;
}

/* Of the directory above. */
static struct span prefix_above(struct span prefix)
{
        do
                prefix.size--;
        while (prefix.size > 0 && prefix.data[prefix.size - 1] != 0);
        return prefix;
}

/* The largest subtree around the directory that holds at most `entries`; and of the next larger
 * one what follows, up to as many. */
static void widen(struct vfs *vfs, struct span prefix, uint64_t entries, struct around *around)
{
        struct prefetch_range *range = &around->range;
        struct span inner = prefix;
        uint64_t first, end;

        for (struct span outer = prefix;; outer = prefix_above(outer)) {
                buf_reset(&around->to);
                key_prefix_end(&around->to, outer);
                if (!ranks_of(vfs, outer, buf_span(&around->to), &first, &end))
                        break;
                around->outer_first = first;
                around->outer_end = end;
                range->wide = true;
                if (end - first > entries) {
                        range->entries_max = (uint32_t)entries;
                        break;
                }
                inner = outer;
                around->first = first;
                around->end = end;
                if (outer.size == 0)
                        break;
        }
        buf_put_span(&around->from, inner);
        range->from = buf_span(&around->from);
        range->to = buf_span(&around->to);
        if (range->entries_max > 0 && around->end < around->first + entries)
                around->end = around->first + entries;
}

/* What to ask for around a directory: all of it, or, if it is large, from `key` on; and what lies
 * around it. */
static void look_around(struct vfs *vfs, struct span prefix, struct span key, uint64_t entries,
                        struct around *around)
{
        struct prefetch_range *range = &around->range;

        buf_put_span(&around->near_from, prefix);
        buf_put_u8(&around->near_from, 0);
        buf_put_span(&around->near_to, prefix);
        buf_put_u8(&around->near_to, 1);
        range->near_from = buf_span(&around->near_from);
        range->near_to = buf_span(&around->near_to);
        if (buf_failed(&around->near_from) || buf_failed(&around->near_to) ||
            !ranks_of(vfs, range->near_from, range->near_to, &around->first, &around->end))
                return;
        if (around->end - around->first <= NEAR_MAX || around->end - around->first <= entries)
                widen(vfs, prefix, entries, around);
        else if (key.size > 0)
                range->near_from = key;
}

static void ask(struct vfs *vfs, const struct around *around, uint64_t bytes_max)
{
        vfs->nodes.want_count = 0; /* what was missing here, the prefetch fetches */
        if (!around_failed(around))
                prefetch_range(vfs->directory_hints, &vfs->epochs[vfs->epoch].tree, &around->range,
                               bytes_max);
}

/* --- small files --- */

static uint64_t limit(uint64_t value, uint64_t min, uint64_t max)
{
        return value < min ? min : value > max ? max : value;
}

/* Who reads all that is brought, as what searches or copies a tree does, gets twice as much the
 * next time. */
static void bring_files(struct vfs *vfs, const struct vcached *file,
                        const struct fetch_hinted *hinted)
{
        struct span key = span_of(file->key, file->key_size), prefix = key_parent_prefix(key);
        struct look_ahead *ahead = &vfs->ahead;
        uint64_t brought = hinted->objects - ahead->objects;
        struct hif_hash name = hash_of(HASH_BLOB, prefix);
        bool again = hash_prefix(&name) == vfs->prefetched_dir;
        CLEANUP(around_free) struct around around = {0};

        if (ahead->begun >= brought / 2)
                ahead->entries *= 2;
        else if (ahead->begun < brought / 8)
                ahead->entries /= 2;
        ahead->entries = limit(ahead->entries, ENTRIES_MIN, ENTRIES_MAX);
        ahead->begun = 0;
        ahead->objects = hinted->objects;
        vfs->prefetched_dir = hash_prefix(&name);
        /* A large directory that is read in another order than its own: from its beginning. */
        look_around(vfs, prefix, again ? (struct span){0} : key, ahead->entries, &around);
        ahead->first = around.first;
        ahead->end = around.end;
        ask(vfs, &around, vfs->config.prefetch_bytes_max);
}

static bool is_power_of_two(uint32_t value)
{
        return (value & (value - 1)) == 0;
}

static void small_file_missed(struct vfs *vfs, const struct vcached *file,
                              const struct fetch_hinted *hinted)
{
        struct look_ahead *ahead = &vfs->ahead;
        struct hif_hash name =
            hash_of(HASH_BLOB, key_parent_prefix(span_of(file->key, file->key_size)));

        if (hinted->searching && file->rank >= ahead->first && file->rank < ahead->end)
                return;
        if (hash_prefix(&name) != vfs->prefetched_dir)
                ahead->misses = 0;
        else if (!is_power_of_two(++ahead->misses) || ahead->misses < 2)
                return;
        bring_files(vfs, file, hinted);
}

/* The next files are on their way before the last ones are used up. */
void ahead_of_begin(struct vfs *vfs, struct vfs_call *call, uint64_t id)
{
        struct look_ahead *ahead = &vfs->ahead;
        const struct vcached *file;
        struct fetch_hinted hinted;
        uint64_t brought;

        if (++ahead->begun % BEGUN_CHECK != 0 || ahead->used_up || !may_look_ahead(vfs, &hinted))
                return;
        brought = hinted.objects - ahead->objects;
        if (hinted.searching || brought < BEGUN_CHECK || ahead->begun < brought / 2)
                return;
        if (base_of(vfs, call, id, &file) == HIF_OK && !file->ghost)
                bring_files(vfs, file, &hinted);
}

/* --- listings --- */

/* Who lists one directory after the other gets the nodes of twice as many entries each time. */
void ahead_of_listing(struct vfs *vfs, const struct vcached *dir)
{
        struct look_ahead *ahead = &vfs->ahead;
        CLEANUP(around_free) struct around around = {0};
        bool more = dir->rank >= ahead->list_first && dir->rank < ahead->list_end;

        ahead->listed = limit(more ? ahead->listed * 2 : 0, LISTED_MIN, LISTED_MAX);
        look_around(vfs, base_prefix(vfs, dir), (struct span){0}, ahead->listed, &around);
        ahead->list_first = around.outer_first;
        ahead->list_end = around.outer_end;
        ask(vfs, &around, 0);
}

/* --- large files --- */

static void bring_chunks(struct vfs *vfs, const struct entry *entry, uint64_t from)
{
        struct look_ahead *ahead = &vfs->ahead;

        if (from >= entry->size)
                return;
        ahead->next = from + ahead->window;
        prefetch_chunks(vfs->chunk_hints, entry, from,
                        entry->size - from < ahead->window ? entry->size - from : ahead->window);
}

/* A reader that comes to the end of what was brought is faster than the store is near: twice as
 * much. */
static void large_file_missed(struct vfs *vfs, const struct entry *entry, uint64_t offset)
{
        struct look_ahead *ahead = &vfs->ahead;
        bool same = hash_eq(&ahead->file, &entry->hash) && offset + ahead->window >= ahead->next &&
                    offset <= ahead->next + BODY_CHUNK_MAX;

        ahead->file = entry->hash;
        ahead->window = limit(same ? ahead->window * 2 : 0, SEQUENCE_MIN, SEQUENCE_MAX);
        bring_chunks(vfs, entry, offset);
}

void ahead_of_read(struct vfs *vfs, const struct entry *entry, uint64_t offset)
{
        struct look_ahead *ahead = &vfs->ahead;
        struct fetch_hinted hinted;

        if (ahead->window == 0 || offset + ahead->window / 2 < ahead->next ||
            offset > ahead->next || !hash_eq(&ahead->file, &entry->hash) || ahead->used_up ||
            !may_look_ahead(vfs, &hinted))
                return;
        bring_chunks(vfs, entry, ahead->next);
}

/* --- misses --- */

void ahead_of_miss(struct vfs *vfs, struct vfs_call *call, uint64_t id, const struct entry *entry,
                   uint64_t offset)
{
        const struct vcached *file;
        struct fetch_hinted hinted;

        if (!may_look_ahead(vfs, &hinted))
                return;
        if (entry->size > BODY_BLOB_MAX) {
                large_file_missed(vfs, entry, offset);
                return;
        }
        if (entry->size > BODY_PACK_BLOB_MAX ||
            fetch_is_coming(vfs->config.fetch, FETCH_BLOB, &entry->hash))
                return;
        if (base_of(vfs, call, id, &file) == HIF_OK && !file->ghost)
                small_file_missed(vfs, file, &hinted);
}
