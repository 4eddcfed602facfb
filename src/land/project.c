#include "land/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PROJECTS_PREFIX "projects/"

/* --- opening --- */

/* The format object; HIF_ENOENT is left to the caller to explain. */
static enum hif_err read_format(struct project *project, struct hif_why *why)
{
        AUTO_BUF struct buf stored = {0};
        struct layout_key key = layout_format(&project->layout);
        enum hif_err err = object_get(project, key.text, 0, &stored, why);

        if (err != HIF_OK)
                return err;
        err = format_get(buf_span(&stored), &project->format);
        if (err == HIF_EUNSUPPORTED)
                return why_set(why, err,
                               "%s was written by a newer hif, in a way that this one cannot read: "
                               "update hif",
                               key.text);
        if (err != HIF_OK)
                return object_why(project, err, "use", key.text, why);
        return HIF_OK;
}

static enum hif_err project_init(struct env *env, struct store *store, const char *name,
                                 struct project *out, struct hif_why *why)
{
        *out = (struct project){.env = env, .store = store};
        return layout_init(&out->layout, name, why);
}

enum hif_err project_open(struct env *env, struct store *store, const char *name,
                          struct project *out, struct hif_why *why)
{
        struct project project;
        enum hif_err err = project_init(env, store, name, &project, why);

        if (err == HIF_OK)
                err = read_format(&project, why);
        if (err == HIF_ENOENT)
                return why_set(why, err,
                               "there is no project %s in %s; create it with: "
                               "hif project create %s",
                               name, store_url(store), name);
        if (err == HIF_OK)
                *out = project;
        return err;
}

enum hif_err project_open_known(struct env *env, struct store *store, const char *name,
                                struct span format, struct project *out, struct hif_why *why)
{
        struct project project;
        enum hif_err err = project_init(env, store, name, &project, why);

        if (err == HIF_OK)
                err = format_get(format, &project.format);
        if (err == HIF_OK)
                *out = project;
        return err;
}

/* --- creating --- */

static enum hif_err create_format(struct project *project, bool *created, struct hif_why *why)
{
        AUTO_BUF struct buf body = {0};
        struct layout_key key = layout_format(&project->layout);
        struct project_format *format = &project->format;
        enum hif_err err;

        *created = false;
        err = read_format(project, why);
        if (err != HIF_ENOENT)
                return err;
        *format =
            (struct project_format){.tree = tree_params_default(env_random_u64(project->env))};
        env_random(project->env, format->project_id, sizeof(format->project_id));
        format_put(&body, format);
        if (buf_failed(&body))
                return why_set(why, HIF_ENOMEM, "out of memory");
        err = object_put_own(project, key.text, buf_span(&body), why);
        if (err == HIF_ELOST) /* someone creates it too: go on with theirs */
                return read_format(project, why);
        *created = err == HIF_OK;
        return err;
}

/* Collects the one node of an empty tree. */
struct root_sink {
        struct tree_sink sink;
        struct buf bytes;
};

static enum hif_err root_sink_put(struct tree_sink *base, const struct hif_hash *hash,
                                  struct span bytes)
{
        struct root_sink *sink = (struct root_sink *)base;

        (void)hash;
        buf_reset(&sink->bytes);
        buf_put_span(&sink->bytes, bytes);
        return buf_failed(&sink->bytes) ? HIF_ENOMEM : HIF_OK;
}

struct root_edits {
        struct tree_edits edits;
        const struct entry *entry;
};

static bool root_edits_next(struct tree_edits *base, struct tree_edit *out)
{
        struct root_edits *edits = (struct root_edits *)base;

        if (!edits->entry)
                return false;
        *out = (struct tree_edit){.key = span_str(""), .entry = STEAL(edits->entry)};
        return true;
}

/* Build and store the tree that holds the root directory alone. */
static enum hif_err create_tree(const struct project *project, struct hif_hash *tree,
                                struct hif_why *why)
{
        uint64_t now = env_wall_ns(project->env);
        struct entry root = {
            .kind = ENTRY_DIR,
            .mtime = {.sec = (int64_t)(now / 1000000000), .nsec = (uint32_t)(now % 1000000000)}};
        struct root_edits edits = {.edits.next = root_edits_next, .entry = &root};
        struct root_sink sink = {.sink.put = root_sink_put};
        struct body_codec *codec = body_codec_new(3);
        struct buf stored = {0};
        struct tree_stats stats = {0};
        struct layout_key key;
        enum hif_err err = HIF_ENOMEM;

        if (codec)
                err = tree_apply(NULL, &sink.sink, &project->format.tree, NULL, &edits.edits, tree,
                                 &stats);
        if (err == HIF_OK)
                err = body_put(codec, BODY_NODE, buf_span(&sink.bytes), &stored);
        if (err == HIF_OK) {
                struct puts *puts = calloc(1, sizeof(*puts));

                key = layout_node(&project->layout, tree);
                err = puts ? HIF_OK : HIF_ENOMEM;
                if (puts) {
                        puts->project = project;
                        err = puts_add(puts, &key, tree, &stored, NULL, why);
                        if (err == HIF_OK)
                                err = puts_flush(puts, why);
                        puts_free(puts);
                        free(puts);
                }
        }
        if (err == HIF_ENOMEM)
                (void)why_set(why, err, "out of memory");
        buf_free(&stored);
        buf_free(&sink.bytes);
        body_codec_free(codec);
        return err;
}

static enum hif_err create_slot(const struct project *project, const char *author,
                                const struct hif_hash *tree, struct hif_why *why)
{
        AUTO_BUF struct buf body = {0};
        struct layout_key key = layout_slot(&project->layout, 0);
        struct slot_object root = {.kind = SLOT_NODE, .hash = *tree};
        struct slot slot = {
            .kind = SLOT_LANDING,
            .tree = *tree,
            .tree_entries = 1,
            .tag = env_random_u64(project->env),
            .wall_ns = env_wall_ns(project->env),
            .author = span_str(author),
            .goal = span_str("create the project"),
            .object_count = 1,
            .objects = &root,
        };
        enum hif_err err;

        slot.hlc = hlc_next(0, slot.wall_ns / 1000000);
        env_random(project->env, slot.landing_id, sizeof(slot.landing_id));
        err = slot_put(&body, &slot);
        if (err != HIF_OK)
                return why_set(why, err, "the first record cannot be encoded: %s",
                               hif_strerror(err));
        err = object_put_own(project, key.text, buf_span(&body), why);
        return err == HIF_ELOST ? HIF_OK : err; /* someone else's is as good */
}

static bool object_exists(const struct project *project, const char *key, enum hif_err *err)
{
        struct store_req req = {.op = STORE_HEAD, .key = key};

        store_run(project->store, &req, 1);
        store_req_free(&req);
        *err = req.result == HIF_ENOENT ? HIF_OK : req.result;
        return req.result == HIF_OK;
}

enum hif_err project_create(struct env *env, struct store *store, const char *name,
                            const char *author, struct project *out, struct hif_why *why)
{
        struct project project;
        struct slot_read first = {0};
        struct layout_key slot_key, head_key;
        struct hif_hash tree;
        bool created = false, had_slot, had_head;
        enum hif_err err = project_init(env, store, name, &project, why);

        if (err == HIF_OK)
                err = create_format(&project, &created, why);
        if (err != HIF_OK)
                return err;
        slot_key = layout_slot(&project.layout, 0);
        head_key = layout_head(&project.layout);
        had_slot = !created && object_exists(&project, slot_key.text, &err);
        had_head = err == HIF_OK && had_slot && object_exists(&project, head_key.text, &err);
        if (err != HIF_OK)
                return object_why(&project, err, "read", slot_key.text, why);
        if (had_head)
                return why_set(why, HIF_EEXIST, "the project %s exists already in %s", name,
                               store_url(store));
        if (!had_slot)
                err = create_tree(&project, &tree, why);
        if (err == HIF_OK && !had_slot)
                err = create_slot(&project, author, &tree, why);
        if (err == HIF_OK)
                err = project_slot(&project, 0, false, &first, why);
        if (err == HIF_OK)
                err = project_advance_head(&project, &first.slot);
        slot_read_free(&first);
        if (err == HIF_OK)
                *out = project;
        return err;
}

/* --- listing --- */

/* The first key after `after` below projects/; HIF_ENOENT: none. */
static enum hif_err next_key(struct store *store, const char *after, char out[STORE_KEY_MAX + 1])
{
        struct store_req req = {
            .op = STORE_LIST, .prefix = PROJECTS_PREFIX, .key = after, .list_max = 1};
        enum hif_err err;

        store_run(store, &req, 1);
        err = req.result;
        if (err == HIF_OK && req.list.count == 0)
                err = HIF_ENOENT;
        if (err == HIF_OK)
                snprintf(out, STORE_KEY_MAX + 1, "%s", req.list.items[0].key);
        store_req_free(&req);
        return err;
}

/* Cut "projects/org/name/..." after the name; false: it is no such key. */
static bool cut_to_project(char *key)
{
        char *slash = strchr(key + strlen(PROJECTS_PREFIX), '/');

        slash = slash ? strchr(slash + 1, '/') : NULL;
        if (!slash)
                return false;
        *slash = '\0';
        return true;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum hif_err add_name(struct arena *arena, char ***names, size_t *count, const char *name)
{
        char **grown = realloc(*names, (*count + 1) * sizeof(*grown));

        if (!grown)
                return HIF_ENOMEM;
        *names = grown;
        grown[*count] = arena_str(arena, name);
        if (!grown[*count])
                return HIF_ENOMEM;
        ++*count;
        return HIF_OK;
}

/* One project found by key: count it if it has a format, as others may keep things here too. */
static enum hif_err consider(struct env *env, struct store *store, const char *name,
                             struct arena *arena, char ***names, size_t *count)
{
        struct project project;
        struct layout_key key;
        enum hif_err err;

        if (project_init(env, store, name, &project, NULL) != HIF_OK)
                return HIF_OK;
        key = layout_format(&project.layout);
        if (!object_exists(&project, key.text, &err))
                return err;
        return add_name(arena, names, count, name);
}

enum hif_err project_list(struct env *env, struct store *store,
                          enum hif_err (*each)(void *arg, const char *name), void *arg,
                          struct hif_why *why)
{
        struct arena arena = {0};
        char **names = NULL;
        size_t count = 0;
        char key[STORE_KEY_MAX + 2] = PROJECTS_PREFIX;
        struct hif_why said;
        enum hif_err err;

        /* One key a project: from any of its keys, go on behind all of them ('0' follows '/'). */
        while ((err = next_key(store, key, key)) == HIF_OK) {
                if (!cut_to_project(key))
                        continue;
                err = consider(env, store, key + strlen(PROJECTS_PREFIX), &arena, &names, &count);
                if (err != HIF_OK)
                        break;
                strcat(key, "0");
        }
        if (err == HIF_ENOENT)
                err = HIF_OK;
        if (err != HIF_OK)
                (void)why_set(why, err, "cannot list %s: %s", store_url(store),
                              store_reason(store, err, &said));
        if (count > 0)
                qsort(names, count, sizeof(*names), compare_names);
        for (size_t i = 0; i < count && err == HIF_OK; i++)
                err = each(arg, names[i]);
        free(names);
        arena_free(&arena);
        return err;
}
