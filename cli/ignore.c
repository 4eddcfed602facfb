#include "cli/ignore.h"

#include "base/map.h"
#include "base/siphash.h"
#include "cli/ignore_pattern.h"

#include <assert.h>
#include <pthread.h>

/* What is of use to one machine or one tool only. */
static const char own_rules[] = ".git\n"
                                ".DS_Store\n"
                                "._*\n"
                                ".nfs*\n";

struct ignore_scope {
        const struct ignore_scope *parent; /* only where a walker made it */
        struct span dir;
        struct pattern *patterns; /* the last that matches decides */
        size_t count, capacity;
        struct rule_text *texts;
        struct ignore_scope *chain; /* the next of the same hash */
        uint8_t dir_bytes[];
};

struct rule_text {
        struct rule_text *next;
        uint8_t bytes[];
};

struct ignore {
        struct ignore_scope *own; /* our own rules */
        struct map by_dir;        /* SipHash of the path -> scopes, by chain */
        pthread_mutex_t mutex;
};

static uint64_t dir_hash(struct span dir)
{
        /* Any key will do: equal hashes are chained, and a slow look-up hurts their maker alone. */
        return siphash((struct sipkey){0x686966, 0x69676e6f7265}, dir.data, dir.size);
}

/* --- scopes --- */

static enum hif_err scope_alloc(const struct ignore_scope *parent, struct span dir,
                                struct ignore_scope **out)
{
        struct ignore_scope *scope = calloc(1, sizeof(*scope) + dir.size);

        if (!scope)
                return HIF_ENOMEM;
        scope->parent = parent;
        if (dir.size > 0)
                memcpy(scope->dir_bytes, dir.data, dir.size);
        scope->dir = span_of(scope->dir_bytes, dir.size);
        *out = scope;
        return HIF_OK;
}

static void scope_free(struct ignore_scope *scope)
{
        if (!scope)
                return;
        while (scope->texts) {
                struct rule_text *text = scope->texts;

                scope->texts = text->next;
                free(text);
        }
        free(scope->patterns);
        free(scope);
}

static enum hif_err add_pattern(struct ignore_scope *scope, const struct pattern *pattern)
{
        if (scope->count == scope->capacity) {
                size_t capacity = scope->capacity ? scope->capacity * 2 : 16;
                struct pattern *grown = realloc(scope->patterns, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                scope->patterns = grown;
                scope->capacity = capacity;
        }
        scope->patterns[scope->count++] = *pattern;
        return HIF_OK;
}

static enum hif_err scope_add(struct ignore_scope *scope, struct span text)
{
        static const uint8_t byte_order_mark[] = {0xef, 0xbb, 0xbf};
        struct rule_text *copy;
        struct reader rd;

        if (text.size > IGNORE_FILE_SIZE_MAX)
                return HIF_ELIMIT;
        if (text.size >= 3 && memcmp(text.data, byte_order_mark, 3) == 0)
                text = span_of(text.data + 3, text.size - 3);
        if (text.size == 0)
                return HIF_OK;
        copy = malloc(sizeof(*copy) + text.size);
        if (!copy)
                return HIF_ENOMEM;
        memcpy(copy->bytes, text.data, text.size);
        copy->next = scope->texts;
        scope->texts = copy;
        rd = rd_open(span_of(copy->bytes, text.size));
        while (rd_left(&rd) > 0) {
                const uint8_t *end = memchr(rd.next, '\n', rd_left(&rd));
                struct span line = rd_span(&rd, end ? (size_t)(end - rd.next) : rd_left(&rd));
                struct pattern pattern;
                enum hif_err err = HIF_OK;

                if (end)
                        rd.next++;
                if (pattern_parse(line, &pattern))
                        err = add_pattern(scope, &pattern);
                if (err != HIF_OK)
                        return err;
        }
        return HIF_OK;
}

static struct ignore_scope *scope_find(const struct ignore *ignore, struct span dir)
{
        struct ignore_scope *scope = map_get(&ignore->by_dir, dir_hash(dir));

        while (scope && !span_eq(scope->dir, dir))
                scope = scope->chain;
        return scope;
}

static enum hif_err scope_insert(struct ignore *ignore, struct ignore_scope *scope)
{
        uint64_t hash = dir_hash(scope->dir);

        scope->chain = map_get(&ignore->by_dir, hash);
        return map_put(&ignore->by_dir, hash, scope);
}

/* Does one of the scope's patterns match? *ignored: what the last one says. */
static bool scope_decides(const struct ignore_scope *scope, struct span path, bool is_dir,
                          bool *ignored)
{
        size_t skip = scope->dir.size > 0 ? scope->dir.size + 1 : 0;
        struct span below;

        assert(path.size > skip);
        below = span_of(path.data + skip, path.size - skip);
        for (size_t i = scope->count; i-- > 0;) {
                if (!pattern_match(&scope->patterns[i], below, is_dir))
                        continue;
                *ignored = !scope->patterns[i].negated;
                return true;
        }
        return false;
}

bool ignore_scope_match(const struct ignore_scope *scope, struct span path, bool is_dir)
{
        bool ignored = false;

        while (scope && !scope_decides(scope, path, is_dir, &ignored))
                scope = scope->parent;
        return ignored;
}

enum hif_err ignore_scope_new(struct ignore *ignore, const struct ignore_scope *parent,
                              struct span dir, struct span gitignore, struct span hifignore,
                              const struct ignore_scope **out)
{
        struct ignore_scope *scope;
        enum hif_err err = scope_alloc(parent, dir, &scope);

        if (err != HIF_OK)
                return err;
        err = scope_add(scope, gitignore);
        if (err == HIF_OK)
                err = scope_add(scope, hifignore);
        pthread_mutex_lock(&ignore->mutex);
        if (err == HIF_OK)
                err = scope_insert(ignore, scope);
        pthread_mutex_unlock(&ignore->mutex);
        if (err != HIF_OK) {
                scope_free(scope);
                return err;
        }
        *out = scope;
        return HIF_OK;
}

/* --- the whole --- */

enum hif_err ignore_new(struct ignore **out)
{
        struct ignore *ignore = calloc(1, sizeof(*ignore));
        enum hif_err err;

        if (!ignore)
                return HIF_ENOMEM;
        pthread_mutex_init(&ignore->mutex, NULL);
        err = scope_alloc(NULL, (struct span){0}, &ignore->own);
        if (err == HIF_OK)
                err = scope_add(ignore->own, span_str(own_rules));
        if (err != HIF_OK) {
                ignore_free(ignore);
                return err;
        }
        *out = ignore;
        return HIF_OK;
}

void ignore_free(struct ignore *ignore)
{
        void *value;
        uint64_t key;

        if (!ignore)
                return;
        for (size_t i = 0; map_next(&ignore->by_dir, &i, &key, &value);) {
                struct ignore_scope *scope = value;

                while (scope) {
                        struct ignore_scope *next = scope->chain;

                        scope_free(scope);
                        scope = next;
                }
        }
        map_free(&ignore->by_dir);
        scope_free(ignore->own);
        pthread_mutex_destroy(&ignore->mutex);
        free(ignore);
}

const struct ignore_scope *ignore_root(const struct ignore *ignore)
{
        return ignore->own;
}

enum hif_err ignore_add(struct ignore *ignore, struct span dir, struct span text)
{
        struct ignore_scope *scope = scope_find(ignore, dir);
        enum hif_err err;

        if (scope)
                return scope_add(scope, text);
        err = scope_alloc(NULL, dir, &scope);
        if (err == HIF_OK)
                err = scope_insert(ignore, scope);
        if (err == HIF_OK)
                return scope_add(scope, text);
        scope_free(scope);
        return err;
}

/* By the scopes of the directories above the path, the outermost first. */
static bool decide(struct ignore_scope *const *scopes, size_t count, struct span path, bool is_dir)
{
        bool ignored = false;

        while (count > 0 && !scope_decides(scopes[count - 1], path, is_dir, &ignored))
                count--;
        return ignored;
}

enum hif_err ignore_match(const struct ignore *ignore, struct span path, bool is_dir, bool *ignored)
{
        AUTO_FREE struct ignore_scope **scopes = NULL;
        size_t depth = 2, count = 0;

        for (size_t i = 0; i < path.size; i++)
                depth += path.data[i] == '/';
        scopes = calloc(depth, sizeof(struct ignore_scope *));
        if (!scopes)
                return HIF_ENOMEM;
        scopes[count++] = ignore->own;
        *ignored = false;
        for (size_t i = 0; i <= path.size && !*ignored && path.size > 0; i++) {
                if (i > 0 && i < path.size && path.data[i] != '/')
                        continue;
                if (i > 0)
                        *ignored =
                            decide(scopes, count, span_of(path.data, i), i < path.size || is_dir);
                if (i < path.size) {
                        scopes[count] = scope_find(ignore, span_of(path.data, i));
                        count += scopes[count] != NULL;
                }
        }
        return HIF_OK;
}
