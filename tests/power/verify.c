/* verify.c - is what was promised on the disk? */
#include "replay.h"

#include "check/check.h"
#include "store/store.h"
#include "vfs/export.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LOST_MS_MAX 1000.0 /* of 50: a loaded machine wakes the flusher late */

static void found(struct cut *cut, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void found(struct cut *cut, const char *format, ...)
{
        va_list args;

        if (cut->found[0] != '\0')
                return;
        va_start(args, format);
        vsnprintf(cut->found, sizeof(cut->found), format, args);
        va_end(args);
}

/* --- what was acknowledged --- */

struct promised {
        size_t issued, acknowledged, stable; /* operations: so many were begun, answered, stable */
        uint64_t landed;                     /* position */
        uint64_t cut_ns;
        const uint64_t *answered_ns; /* by operation */
};

static void look_back(const struct replay *replay, const struct cut *cut, struct promised *out,
                      uint64_t *answered_ns)
{
        *out = (struct promised){.answered_ns = answered_ns};
        for (size_t i = 0; i < cut->at; i++) {
                const struct trace_event *event = replay->events[i];

                out->cut_ns = event->ns;
                if (event->kind == TRACE_OP_BEGIN)
                        out->issued = event->a + 1;
                if (event->kind == TRACE_LANDED)
                        out->landed = event->a;
                if (event->kind != TRACE_OP_END)
                        continue;
                out->acknowledged = event->a + 1;
                answered_ns[event->a] = event->ns;
                if (event->c != 0)
                        out->stable = event->a + 1;
        }
}

/* --- the load's directory --- */

struct seen {
        struct vfs_export export;
        uint8_t **bytes; /* [i] of its items: the content */
        size_t count;    /* of files, directories and links */
};

static bool see(struct seen *seen, struct overlay *overlay, struct cut *cut)
{
        if (vfs_export_take(overlay, &seen->export) != HIF_OK)
                abort();
        seen->bytes = calloc(seen->export.count + 1, sizeof(*seen->bytes));
        for (size_t i = 0; i < seen->export.count; i++) {
                const struct vfs_export_item *item = &seen->export.items[i];

                seen->count += item->kind <= VFS_EXPORT_SYMLINK;
                if (item->kind != VFS_EXPORT_FILE)
                        continue;
                seen->bytes[i] = malloc((size_t)item->content.size + 1);
                if (vfs_export_read(&seen->export, NULL, item, 0, seen->bytes[i],
                                    (size_t)item->content.size) != HIF_OK) {
                        found(cut, "'%.*s' cannot be read", (int)item->path.size,
                              (const char *)item->path.data);
                        return false;
                }
        }
        return true;
}

static void unsee(struct seen *seen)
{
        for (size_t i = 0; i < seen->export.count; i++)
                free(seen->bytes[i]);
        free(seen->bytes);
        vfs_export_free(&seen->export);
}

static size_t item_at(const struct seen *seen, const char *path)
{
        size_t low = 0, high = seen->export.count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (span_cmp(seen->export.items[middle].path, span_str(path)) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < seen->export.count && span_eq(seen->export.items[low].path, span_str(path))
                   ? low
                   : SIZE_MAX;
}

/* A byte of a large file may be one that a later, lost write put there. */
static bool later_byte(const struct replay *replay, const struct promised *promised, size_t after,
                       uint32_t file, uint64_t at, uint8_t byte)
{
        for (size_t i = after; i < promised->issued; i++) {
                const struct pop *op = replay->ops[i];

                if (op->kind == POP_WRITE && op->file == file && at >= op->offset &&
                    at < op->offset + op->size && pop_byte(op, at - op->offset) == byte)
                        return true;
        }
        return false;
}

/* The next operation may have happened in part: the kernel cuts a large write into several. */
static bool in_part(const struct pop *next, const struct pentry *entry, uint64_t at, uint8_t byte)
{
        if (next == NULL || next->kind != POP_WRITE || next->file != entry->file)
                return false;
        if (at >= next->offset && at < next->offset + next->size)
                return byte == pop_byte(next, at - next->offset);
        return at >= entry->size && at < next->offset && byte == 0;
}

static bool same_size(const struct pop *next, const struct pentry *entry, uint64_t size)
{
        return size == entry->size ||
               (next != NULL && next->kind == POP_WRITE && next->file == entry->file &&
                size > entry->size && size <= next->offset + next->size);
}

static bool same_content(const struct replay *replay, const struct promised *promised, size_t after,
                         const struct pentry *entry, const uint8_t *bytes, uint64_t size)
{
        const struct pop *next = after < promised->issued ? replay->ops[after] : NULL;

        if (!same_size(next, entry, size))
                return false;
        if (size == entry->size && (size == 0 || memcmp(entry->bytes, bytes, size) == 0))
                return true;
        for (size_t i = 0; i < size; i++)
                if ((i >= entry->size || entry->bytes[i] != bytes[i]) &&
                    !in_part(next, entry, i, bytes[i]) &&
                    (!entry->scattered ||
                     !later_byte(replay, promised, after, entry->file, i, bytes[i])))
                        return false;
        return true;
}

/* The state after the first `after` operations? why: the first difference. */
static bool is_state(const struct replay *replay, const struct promised *promised, size_t after,
                     const struct pmodel *model, const struct seen *seen, char why[128])
{
        if (model->count != seen->count) {
                snprintf(why, 128, "%zu names instead of %zu", seen->count, model->count);
                return false;
        }
        for (size_t i = 0; i < model->count; i++) {
                const struct pentry *entry = &model->entries[i];
                size_t at = item_at(seen, entry->path);
                const struct vfs_export_item *item;

                snprintf(why, 128, "'%s' is missing", entry->path);
                if (at == SIZE_MAX)
                        return false;
                item = &seen->export.items[at];
                snprintf(why, 128, "'%s' has size %llu, mode %o; %zu, %o expected%s", entry->path,
                         (unsigned long long)item->content.size, item->mode, entry->size,
                         entry->mode, entry->scattered ? " (in pieces)" : "");
                if ((entry->kind == 'd') != (item->kind == VFS_EXPORT_DIR) ||
                    (entry->kind == 'l') != (item->kind == VFS_EXPORT_SYMLINK))
                        return false;
                if (entry->kind == 'l' &&
                    !span_eq(item->target, span_of(entry->bytes, entry->size)))
                        return false;
                if (entry->kind == 'f' && (item->mode != entry->mode ||
                                           !same_content(replay, promised, after, entry,
                                                         seen->bytes[at], item->content.size)))
                        return false;
        }
        return true;
}

static void compare(const struct replay *replay, const struct promised *promised,
                    const struct seen *seen, struct cut *cut)
{
        struct pmodel *model = calloc(1, sizeof(*model));
        char why[128] = "", first[128] = "";
        size_t k = 0, best = 0;
        bool same = false;

        if (model == NULL)
                abort();
        for (; k < promised->stable; k++)
                pmodel_apply(model, replay->ops[k]);
        /* Of several that look the same (a mode that was set to what it was) the last. */
        for (;; k++) {
                if (is_state(replay, promised, k, model, seen, why)) {
                        best = k;
                        same = true;
                }
                if (first[0] == '\0')
                        memcpy(first, why, sizeof(first));
                if (k >= promised->issued)
                        break;
                pmodel_apply(model, replay->ops[k]);
        }
        if (!same)
                found(cut,
                      "no state from operation %zu (stable) to %zu (begun): against the first, %s",
                      promised->stable, promised->issued, first);
        pmodel_free(model);
        free(model);
        if (!same || best >= promised->acknowledged)
                return;
        cut->lost_ops = promised->acknowledged - best;
        if (promised->cut_ns > promised->answered_ns[best])
                cut->lost_ms = (double)(promised->cut_ns - promised->answered_ns[best]) / 1e6;
        if (cut->lost_ms > LOST_MS_MAX)
                found(cut, "an operation that was acknowledged %.0f ms before is lost",
                      cut->lost_ms);
}

/* --- overlays --- */

struct opening {
        struct env *env;
        struct pool *pool;
        struct cut *cut;
        const char *parent, *but;
};

static struct overlay *open_overlay(const struct opening *opening, const char *dir)
{
        struct overlay_config config = {.serial = true};
        struct overlay *overlay = NULL;
        struct hif_why why = {""};

        if (overlay_open(opening->env, opening->pool, dir, &config, &overlay, &why) != HIF_OK) {
                found(opening->cut, "%s", why.text);
                return NULL;
        }
        opening->cut->opened++;
        return overlay;
}

static bool open_other(void *arg, const char *name)
{
        struct opening *opening = arg;
        char path[4096];

        if (strcmp(name, opening->but) == 0)
                return true;
        snprintf(path, sizeof(path), "%s/%s", opening->parent, name);
        overlay_close(open_overlay(opening, path));
        return true;
}

static void verify_overlays(const struct replay *replay, const struct promised *promised,
                            struct opening *opening)
{
        struct seen seen = {0};
        struct overlay *overlay;
        char parent[4096];
        char *slash;

        snprintf(parent, sizeof(parent), "%s", replay->overlay);
        slash = strrchr(parent, '/');
        *slash = '\0';
        opening->parent = parent;
        opening->but = slash + 1;
        (void)!opening->env->ops->list(opening->env, parent, open_other, opening);
        overlay = open_overlay(opening, replay->overlay);
        if (overlay == NULL)
                return;
        if (see(&seen, overlay, opening->cut))
                compare(replay, promised, &seen, opening->cut);
        unsee(&seen);
        overlay_close(overlay);
}

/* --- the store --- */

struct checking {
        struct check_hooks hooks;
        struct cut *cut;
};

static void note_finding(struct check_hooks *hooks, const struct check_finding *finding)
{
        struct checking *checking = (struct checking *)hooks;

        if (finding->severity >= CHECK_ERROR)
                found(checking->cut, "the store: %s %s %s", check_kind_info(finding->kind)->name,
                      finding->key, finding->detail);
}

static void verify_store(const struct replay *replay, const struct promised *promised,
                         struct env *env, struct cut *cut)
{
        struct checking checking = {.hooks.found = note_finding, .cut = cut};
        struct check_options options = {.subset.kind = CHECK_SUBSET_ALL};
        struct check_report report = {0};
        struct store *store = NULL;
        struct hif_why why = {""};
        enum hif_err err;

        if (promised->landed == 0)
                return;
        err = store_dir_open(env, replay->store, false, 0, &store, &why);
        if (err == HIF_OK)
                err = check_run(env, store, replay->project, &options, &checking.hooks, &report,
                                &why);
        store_close(store);
        if (err != HIF_OK)
                found(cut, "the store: %s (%s)", hif_strerror(err), why.text);
        else if (!report.have_tail || report.tail < promised->landed)
                found(cut, "landing @%llu was acknowledged, and the store ends at @%llu",
                      (unsigned long long)promised->landed, (unsigned long long)report.tail);
        else
                cut->landings = promised->landed;
}

void verify(const struct replay *replay, struct simenv *sim, struct cut *cut)
{
        uint64_t *answered_ns = calloc(replay->op_count + 1, sizeof(*answered_ns));
        struct opening opening = {.env = simenv_env(sim), .cut = cut};
        struct promised promised;

        if (answered_ns == NULL || pool_new(0, "replay", &opening.pool) != HIF_OK)
                abort();
        look_back(replay, cut, &promised, answered_ns);
        verify_store(replay, &promised, opening.env, cut);
        verify_overlays(replay, &promised, &opening);
        pool_free(opening.pool);
        free(answered_ns);
}
