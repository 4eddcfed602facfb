/* A walked tree beside a project's: both come in the order of keys, so one pass tells what differs.
 */
#include "cli/import/import.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct compare {
        const struct walk *walk;
        struct import_changes *out;
        struct tree_cursor cursor;
        bool end;     /* of the project's tree */
        bool matched; /* the cursor's entry has had its match */
};

static enum hif_err add(struct compare *c, const struct land_change *change,
                        const struct hif_hash *before)
{
        struct import_changes *out = c->out;
        struct land_change *copy;

        if (out->count == out->capacity) {
                size_t capacity = out->capacity ? out->capacity * 2 : 1024;
                struct land_change *items = realloc(out->items, capacity * sizeof(*items));
                struct hif_hash *hashes;

                if (!items)
                        return HIF_ENOMEM;
                out->items = items;
                hashes = realloc(out->before, capacity * sizeof(*hashes));
                if (!hashes)
                        return HIF_ENOMEM;
                out->before = hashes;
                out->capacity = capacity;
        }
        copy = &out->items[out->count];
        *copy = *change;
        copy->content = out->count;
        copy->path = arena_span(&out->arena, change->path);
        if (change->target.size > 0)
                copy->target = arena_span(&out->arena, change->target);
        if (!copy->path.data || (change->target.size > 0 && !copy->target.data))
                return HIF_ENOMEM;
        out->before[out->count] = before ? *before : (struct hif_hash){0};
        out->count++;
        return HIF_OK;
}

/* A path of the project that the walk does not have. Below a directory that is gone it goes along;
 * below one that is ignored it stays. */
static enum hif_err gone(struct compare *c, struct span key, const struct entry *entry)
{
        AUTO_BUF struct buf path = {0};
        struct land_change change = {.kind = LAND_REMOVE};
        const struct walk_dir *parent;

        key_to_path(&path, key);
        if (buf_failed(&path))
                return HIF_ENOMEM;
        change.path = buf_span(&path);
        if (path.size == 0)
                return HIF_OK;
        parent = walk_find(c->walk, path_parent(change.path));
        if (!parent || ignore_scope_match(parent->scope, change.path, entry->kind == ENTRY_DIR))
                return HIF_OK;
        return add(c, &change, NULL);
}

/* Everything of the project before key (empty: to the end). *found: its entry at key. */
static enum hif_err advance(struct compare *c, struct span key, const struct entry **found,
                            struct entry *entry)
{
        *found = NULL;
        while (!c->end) {
                struct span at = tree_cursor_key(&c->cursor);
                int order = key.size > 0 ? span_cmp(at, key) : -1;
                enum hif_err err = HIF_OK;

                if (order > 0)
                        return HIF_OK;
                tree_cursor_entry(&c->cursor, entry);
                if (order == 0) {
                        c->matched = true;
                        *found = entry;
                        return HIF_OK;
                }
                if (!c->matched)
                        err = gone(c, at, entry);
                c->matched = false;
                if (err == HIF_OK)
                        err = tree_next(&c->cursor);
                if (err == HIF_ENOENT)
                        c->end = true;
                else if (err != HIF_OK)
                        return err;
        }
        return HIF_OK;
}

static enum hif_err compare_one(void *arg, struct span path, struct span key,
                                const struct walk_entry *entry, struct span target)
{
        struct compare *c = arg;
        struct land_change change = {.kind = LAND_PUT,
                                     .path = path,
                                     .entry_kind = entry->kind,
                                     .mtime = entry->mtime,
                                     .size = entry->size,
                                     .target = target};
        const struct entry *found;
        struct hif_hash before = {0};
        struct entry theirs;
        enum hif_err err = advance(c, key, &found, &theirs);

        if (err != HIF_OK)
                return err;
        if (found && found->kind == entry->kind && found->size == entry->size) {
                if (entry->kind == ENTRY_DIR)
                        return HIF_OK;
                if (entry->kind == ENTRY_SYMLINK && span_eq(found->target, target))
                        return HIF_OK;
                before = found->hash;
        }
        return add(c, &change, &before);
}

enum hif_err import_compare(const struct walk *walk, struct node_reader *reader,
                            const struct hif_hash *root, struct import_changes *out,
                            struct hif_why *why)
{
        struct compare c = {.walk = walk, .out = out};
        const struct entry *found;
        struct entry entry;
        enum hif_err err;

        *out = (struct import_changes){0};
        tree_cursor_init(&c.cursor, node_reader_source(reader));
        err = node_reader_touch_range(reader, root, (struct span){0}, (struct span){0});
        if (err == HIF_OK)
                err = tree_seek(&c.cursor, root, (struct span){0});
        if (err == HIF_OK)
                err = walk_each(walk, compare_one, &c);
        if (err == HIF_OK)
                err = advance(&c, (struct span){0}, &found, &entry);
        tree_cursor_close(&c.cursor);
        if (err == HIF_OK)
                return HIF_OK;
        import_changes_free(out);
        return why_set(why, err, "cannot read the project's tree: %s", hif_strerror(err));
}

void import_drop_equal(struct import_changes *changes)
{
        size_t kept = 0;

        for (size_t i = 0; i < changes->count; i++) {
                const struct land_change *change = &changes->items[i];

                if (change->kind == LAND_PUT && change->have_hash &&
                    !hash_is_zero(&changes->before[i]) &&
                    hash_eq(&change->hash, &changes->before[i]))
                        continue;
                changes->items[kept++] = *change;
        }
        changes->count = kept;
}

void import_changes_free(struct import_changes *changes)
{
        free(changes->items);
        free(changes->before);
        arena_free(&changes->arena);
        *changes = (struct import_changes){0};
}

/* --- contents --- */

static bool as_walked(const struct stat *stat, const struct land_change *change)
{
        return S_ISREG(stat->st_mode) && (uint64_t)stat->st_size == change->size &&
               stat->st_mtim.tv_sec == change->mtime.sec &&
               (uint32_t)stat->st_mtim.tv_nsec == change->mtime.nsec;
}

static enum hif_err read_file(int fd, uint64_t offset, void *out, size_t size)
{
        for (size_t done = 0; done < size;) {
                ssize_t n = pread(fd, (char *)out + done, size - done, (off_t)(offset + done));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return hif_err_from_errno(errno);
                if (n == 0)
                        return HIF_EIO;
                done += (size_t)n;
        }
        return HIF_OK;
}

static enum hif_err read_content(struct land_reader *base, uint64_t content, uint64_t offset,
                                 void *out, size_t size)
{
        const struct import_reader *reader = (const struct import_reader *)base;
        const struct land_change *change = &reader->changes[content];
        char path[PATH_SIZE_MAX + 1];
        struct stat stat;
        int fd;
        enum hif_err err;

        memcpy(path, change->path.data, change->path.size);
        path[change->path.size] = '\0';
        err = open_below(reader->fd, path, O_RDONLY | O_NONBLOCK, &fd);
        if (err != HIF_OK)
                return err;
        if (fstat(fd, &stat) != 0)
                err = hif_err_from_errno(errno);
        else if (!as_walked(&stat, change))
                err = HIF_EIO;
        else
                err = read_file(fd, offset, out, size);
        close(fd);
        return err;
}

void import_reader_init(struct import_reader *reader, int fd, const struct land_change *changes)
{
        *reader = (struct import_reader){.reader.read = read_content, .fd = fd, .changes = changes};
}
