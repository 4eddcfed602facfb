/* prefetch.c - what is wanted soon, found out by walking tree nodes and chunk lists.
 *
 * A run is a piece of work that is repeated: as long as nodes or lists are missing it waits for
 * them, behind all demand, and starts again; then it hints at the content and ends. */
#include "fetch/internal.h"

#include <stdlib.h>

#define ROUNDS_MAX     32
#define NODES_MAX      256  /* of one directory */
#define CANDIDATES_MAX 4096 /* blobs of one directory */
#define LONE_MAX       64   /* of these, such as need a request each */
#define CHUNKS_MAX     FETCH_WANTS_MAX
#define DEPTH_MAX      3  /* of chunk lists */
#define LEAF_ENTRIES   32 /* at least, as a rule */

struct run {
        struct work work; /* first */
        struct fetch_waiter waiter;
        struct fetch *fetch;
        struct fetch_hints *hints;
        uint64_t generation;
        int rounds;
        bool holding; /* the waiter's pins */
        /* Hint at the content; HIF_EMISS: nodes or lists are missing, which are in `nodes`. */
        enum hif_err (*step)(struct run *run);
        struct fetch_nodes nodes;

        struct hif_hash root; /* of the tree, or the file's chunk list */
        /* A range of a tree: */
        struct buf keys; /* what range borrows from */
        struct prefetch_range range;
        uint64_t bytes_max; /* 0: of a list, or only nodes are wanted */
        /* A file: */
        uint64_t offset, end;
};

/* --- runs --- */

static void run_free(struct run *run)
{
        struct fetch *fetch = run->fetch;
        struct fetch_origin *origin = run->hints->origin;

        if (run->holding)
                fetch_waiter_release(&run->waiter);
        pthread_mutex_lock(&fetch->lock);
        run->hints->runs -= run->bytes_max > 0;
        hints_unuse(run->hints);
        origin->users--;
        pthread_mutex_unlock(&fetch->lock);
        buf_free(&run->keys);
        free(run);
}

static bool is_cancelled(struct run *run)
{
        bool cancelled;

        pthread_mutex_lock(&run->fetch->lock);
        cancelled = run->hints->generation != run->generation || run->hints->origin->closing;
        pthread_mutex_unlock(&run->fetch->lock);
        return cancelled;
}

static void missing_arrived(struct fetch_waiter *waiter, enum hif_err err)
{
        struct run *run = (struct run *)((char *)waiter - offsetof(struct run, waiter));
        struct fetch *fetch = run->fetch;

        if (err) {
                run_free(run); /* whoever needs it will meet the error */
                return;
        }
        run->holding = true;
        pthread_mutex_lock(&fetch->lock);
        work_push(fetch, &run->work, false);
        pthread_mutex_unlock(&fetch->lock);
}

static void run_work(struct fetch *fetch, struct work *work)
{
        struct run *run = (struct run *)work;
        enum hif_err err;

        (void)fetch;
        run->nodes.want_count = 0;
        if (run->rounds++ >= ROUNDS_MAX || is_cancelled(run)) {
                run_free(run);
                return;
        }
        err = run->step(run);
        if (err != HIF_EMISS || run->nodes.want_count == 0) {
                run_free(run);
                return;
        }
        if (run->holding)
                fetch_waiter_release(&run->waiter);
        run->holding = false;
        wait_begin(run->hints->origin, run->nodes.wants, run->nodes.want_count, &run->waiter,
                   false);
        /* The run may be gone by now. */
}

static struct run *run_new(struct fetch_hints *hints, const struct hif_hash *root,
                           enum hif_err (*step)(struct run *run))
{
        struct run *run = calloc(1, sizeof(*run));

        if (!run)
                return NULL;
        run->fetch = hints->origin->fetch;
        run->hints = hints;
        run->step = step;
        run->root = *root;
        run->work.run = run_work;
        run->waiter.done = missing_arrived;
        nodes_init_unused(&run->nodes, run->fetch);
        return run;
}

static void run_start(struct run *run)
{
        struct fetch *fetch = run->fetch;

        pthread_mutex_lock(&fetch->lock);
        run->generation = run->hints->generation;
        run->hints->users++;
        run->hints->runs += run->bytes_max > 0;
        run->hints->origin->users++;
        work_push(fetch, &run->work, false);
        pthread_mutex_unlock(&fetch->lock);
}

/* --- ranges of a tree ---------------------------------------------------------------------------
 */

/* What is listed here is seldom read by what reads source: it comes last. */
static bool looks_binary(struct span name)
{
        static const char *const endings[] = {
            ".png", ".jpg", ".jpeg", ".gif",  ".ico",   ".webp", ".pdf", ".zip", ".gz",
            ".xz",  ".bz2", ".zst",  ".tar",  ".jar",   ".o",    ".a",   ".so",  ".bin",
            ".exe", ".dll", ".wasm", ".woff", ".woff2", ".ttf",  ".mp3", ".mp4", ".mov",
            ".wav", ".pyc", ".db",   ".dat",  ".class", ".syso"};

        for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
                size_t size = strlen(endings[i]);

                if (name.size > size && memcmp(name.data + name.size - size, endings[i], size) == 0)
                        return true;
        }
        return false;
}

struct picks {
        struct fetch_want *wants; /* CANDIDATES_MAX */
        size_t count, max;
        size_t lone;
        uint64_t bytes;
};

static void pick(struct run *run, struct picks *picks, const struct entry *entry)
{
        bool lone = entry->loc.size == 0;

        if (!entry_is_file(entry) || entry->size == 0 || entry->size > BODY_PACK_BLOB_MAX ||
            picks->count == picks->max || entry->size > run->bytes_max - picks->bytes ||
            (lone && picks->lone == LONE_MAX) ||
            cache_has(run->fetch->cache, FETCH_BLOB, &entry->hash))
                return;
        picks->wants[picks->count++] = (struct fetch_want){
            .kind = FETCH_BLOB, .hash = entry->hash, .size = entry->size, .loc = entry->loc};
        picks->bytes += entry->size;
        picks->lone += lone;
}

/* Source-like names of the near keys, or the others. */
static enum hif_err pick_near(struct run *run, struct tree_cursor *cursor, bool binary,
                              struct picks *picks)
{
        enum hif_err err = tree_seek(cursor, &run->root, run->range.near_from);

        while (!err) {
                struct span key = tree_cursor_key(cursor);
                struct entry entry;

                if (span_cmp(key, run->range.near_to) >= 0)
                        break;
                if (looks_binary(key_name(key)) == binary) {
                        tree_cursor_entry(cursor, &entry);
                        pick(run, picks, &entry);
                }
                err = tree_next(cursor);
        }
        tree_cursor_close(cursor);
        return err == HIF_ENOENT ? HIF_OK : err;
}

/* The rest of a wide range. */
static enum hif_err pick_around(struct run *run, struct tree_cursor *cursor, struct picks *picks)
{
        const struct prefetch_range *range = &run->range;
        enum hif_err err = tree_seek(cursor, &run->root, range->from);
        size_t left = range->entries_max > 0 ? range->entries_max : SIZE_MAX;

        while (!err && picks->count < picks->max && left-- > 0) {
                struct span key = tree_cursor_key(cursor);
                struct entry entry;

                if (range->to.size > 0 && span_cmp(key, range->to) >= 0)
                        break;
                if (span_cmp(key, range->near_from) >= 0 && span_cmp(key, range->near_to) < 0) {
                        err = tree_seek(cursor, &run->root, range->near_to);
                        continue;
                }
                tree_cursor_entry(cursor, &entry);
                pick(run, picks, &entry);
                err = tree_next(cursor);
        }
        tree_cursor_close(cursor);
        return err == HIF_ENOENT ? HIF_OK : err;
}

/* All misses of both ranges at once. */
static enum hif_err touch(struct run *run)
{
        const struct prefetch_range *range = &run->range;
        struct tree_source *source = &run->nodes.source;
        enum hif_err near =
            tree_touch(source, &run->root, range->near_from, range->near_to, NODES_MAX);
        size_t nodes = range->entries_max / LEAF_ENTRIES + 8;
        enum hif_err around =
            range->wide
                ? tree_touch(source, &run->root, range->from, range->to,
                             range->entries_max > 0 && nodes < NODES_MAX ? nodes : NODES_MAX)
                : HIF_OK;

        return near ? near : around;
}

static enum hif_err range_step(struct run *run)
{
        struct tree_cursor cursor;
        struct picks picks = {.max = CANDIDATES_MAX};
        enum hif_err err = touch(run);

        if (err || run->bytes_max == 0)
                return err;
        picks.wants = malloc(CANDIDATES_MAX * sizeof(*picks.wants));
        if (!picks.wants)
                return HIF_ENOMEM;
        tree_cursor_init(&cursor, &run->nodes.source);
        err = pick_near(run, &cursor, false, &picks);
        if (!err)
                err = pick_near(run, &cursor, true, &picks);
        if (!err && run->range.wide)
                err = pick_around(run, &cursor, &picks);
        /* A miss in a range of more than NODES_MAX: what was found by then is enough. */
        hints_push(run->hints, run->generation, picks.wants, picks.count);
        free(picks.wants);
        return err == HIF_EMISS ? HIF_OK : err;
}

/* Copy the keys; false: out of memory. */
static bool set_range(struct run *run, const struct prefetch_range *range)
{
        struct span *keys[] = {&run->range.near_from, &run->range.near_to, &run->range.from,
                               &run->range.to};
        size_t at = 0;

        run->range = *range;
        for (size_t i = 0; i < 4; i++)
                buf_put_span(&run->keys, *keys[i]);
        if (buf_failed(&run->keys))
                return false;
        for (size_t i = 0; i < 4; i++) {
                *keys[i] = span_of(run->keys.data + at, keys[i]->size);
                at += keys[i]->size;
        }
        return true;
}

void prefetch_range(struct fetch_hints *hints, const struct hif_hash *root,
                    const struct prefetch_range *range, uint64_t bytes_max)
{
        struct run *run;

        if (bytes_max > 0)
                fetch_hints_cancel(hints);
        run = run_new(hints, root, range_step);
        if (!run)
                return;
        run->bytes_max = bytes_max;
        if (!set_range(run, range)) {
                buf_free(&run->keys);
                free(run);
                return;
        }
        run_start(run);
}

void prefetch_directory(struct fetch_hints *hints, const struct hif_hash *root,
                        struct span dir_prefix, uint64_t bytes_max)
{
        AUTO_BUF struct buf from = {0}, to = {0};
        struct prefetch_range range = {0};

        buf_put_span(&from, dir_prefix);
        buf_put_u8(&from, 0);
        buf_put_span(&to, dir_prefix);
        buf_put_u8(&to, 1);
        if (buf_failed(&from) || buf_failed(&to))
                return;
        range.near_from = buf_span(&from);
        range.near_to = buf_span(&to);
        prefetch_range(hints, root, &range, bytes_max);
}

/* --- chunks --- */

struct chunk_walk {
        struct fetch *fetch;
        uint64_t offset, end;                       /* of the file */
        struct fetch_want missing[FETCH_WANTS_MAX]; /* lists */
        size_t missing_count;
        struct fetch_want chunks[CHUNKS_MAX];
        size_t chunk_count;
};

static void walk_list(struct chunk_walk *walk, const struct hif_hash *hash, uint64_t start,
                      int depth_max);

static void walk_entries(struct chunk_walk *walk, const struct chunk_list *list, uint64_t start,
                         int depth_max)
{
        uint64_t from = walk->offset > start ? walk->offset - start : 0;
        uint64_t entry_start;
        uint32_t index;

        if (from >= list->size)
                return;
        index = chunk_list_search(list, from, &entry_start);
        while (index < list->count && start + entry_start < walk->end &&
               walk->chunk_count < CHUNKS_MAX) {
                struct chunk chunk;

                chunk_list_at(list, index++, &chunk);
                if (list->depth == 0)
                        walk->chunks[walk->chunk_count++] = (struct fetch_want){
                            .kind = FETCH_BLOB, .hash = chunk.hash, .size = chunk.size};
                else
                        walk_list(walk, &chunk.hash, start + entry_start, depth_max - 1);
                entry_start += chunk.size;
        }
}

static void walk_list(struct chunk_walk *walk, const struct hif_hash *hash, uint64_t start,
                      int depth_max)
{
        struct fetch_ref *ref = cache_pin(walk->fetch->cache, FETCH_CHUNKS, hash);
        struct chunk_list list;

        if (!ref) {
                if (walk->missing_count < FETCH_WANTS_MAX)
                        walk->missing[walk->missing_count++] =
                            (struct fetch_want){.kind = FETCH_CHUNKS, .hash = *hash};
                return;
        }
        if (chunk_list_open(fetch_ref_bytes(ref), &list) == HIF_OK && list.depth <= depth_max)
                walk_entries(walk, &list, start, depth_max);
        fetch_unref(ref);
}

static enum hif_err chunks_step(struct run *run)
{
        struct chunk_walk *walk = calloc(1, sizeof(*walk));

        if (!walk)
                return HIF_ENOMEM;
        walk->fetch = run->fetch;
        walk->offset = run->offset;
        walk->end = run->end;
        walk_list(walk, &run->root, 0, DEPTH_MAX);
        hints_push(run->hints, run->generation, walk->chunks, walk->chunk_count);
        memcpy(run->nodes.wants, walk->missing, sizeof(walk->missing));
        run->nodes.want_count = walk->missing_count;
        free(walk);
        return run->nodes.want_count ? HIF_EMISS : HIF_OK;
}

void prefetch_chunks(struct fetch_hints *hints, const struct entry *entry, uint64_t offset,
                     uint64_t size)
{
        struct run *run;

        if (!entry_is_file(entry) || offset >= entry->size || size == 0)
                return;
        if (entry->size <= BODY_BLOB_MAX) {
                struct fetch_want want = {.kind = FETCH_BLOB,
                                          .hash = entry->hash,
                                          .size = entry->size,
                                          .loc = entry->loc};

                fetch_hint(hints, &want, 1);
                return;
        }
        run = run_new(hints, &entry->hash, chunks_step);
        if (!run)
                return;
        run->offset = offset;
        run->end = size < entry->size - offset ? offset + size : entry->size;
        run_start(run);
}
