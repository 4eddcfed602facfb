/* test_tree_model.c - a sorted array that trees are held against. */
#include "tests/core/test_tree_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PATH_TEXT_MAX 256

uint64_t model_random(struct model *model)
{
        model->random ^= model->random << 13;
        model->random ^= model->random >> 7;
        model->random ^= model->random << 17;
        return model->random;
}

/* --- the universe --- */

struct draft {
        char path[PATH_TEXT_MAX];
        char parent[PATH_TEXT_MAX];
        struct buf key;
        bool dir;
};

static int draft_order(const void *a, const void *b)
{
        const struct draft *x = a, *y = b;

        return span_cmp(buf_span(&x->key), buf_span(&y->key));
}

static void draft_add(struct draft *draft, const char *parent, const char *name, bool dir)
{
        int size = snprintf(draft->path, sizeof(draft->path), "%s%s%s", parent,
                            parent[0] ? "/" : "", name);

        assert_in_range(size, 0, PATH_TEXT_MAX - 1);
        snprintf(draft->parent, sizeof(draft->parent), "%s", parent);
        draft->dir = dir;
        key_from_path(&draft->key, span_str(draft->path));
}

/* Names share long prefixes, so that heads are often alike. */
static void draft_all(struct model *model, struct draft *drafts, size_t count)
{
        size_t dirs = 1;
        char name[64];

        draft_add(&drafts[0], "", "", true);
        for (size_t i = 1; i < count; i++) {
                uint64_t random = model_random(model);
                size_t parent = 0;
                bool dir = random % 10 == 0;

                /* Directories come first in drafts[], so that a parent is a directory. */
                if (dirs > 1 && random % 7 != 0)
                        parent = (random >> 8) % dirs;
                if (strlen(drafts[parent].path) > PATH_TEXT_MAX - 64)
                        parent = 0;
                snprintf(name, sizeof(name), "%s%zu",
                         random % 3 == 0   ? "a"
                         : random % 3 == 1 ? "component-"
                                           : "f",
                         i);
                if (dir) {
                        drafts[i] = drafts[dirs];
                        drafts[dirs] = (struct draft){0};
                        draft_add(&drafts[dirs++], drafts[parent].path, name, true);
                } else {
                        draft_add(&drafts[i], drafts[parent].path, name, false);
                }
        }
        qsort(drafts, count, sizeof(*drafts), draft_order);
}

static size_t find_path(const struct draft *drafts, size_t count, const char *path)
{
        for (size_t i = 0; i < count; i++)
                if (strcmp(drafts[i].path, path) == 0)
                        return i;
        fail_msg("no draft of %s", path);
        return 0;
}

void model_init(struct model *model, uint64_t seed, size_t files, bool small)
{
        struct draft *drafts = calloc(files, sizeof(*drafts));
        size_t at = 0;

        assert_non_null(drafts);
        *model = (struct model){.random = seed * 0x9e3779b97f4a7c15 | 1, .count = files};
        model->params = tree_params_default(seed);
        if (small)
                model->params = (struct tree_params){2, 3, 7, 2, 3, 6, seed};
        memtree_init(&model->tree);
        draft_all(model, drafts, files);
        model->paths = calloc(files, sizeof(*model->paths));
        assert_non_null(model->paths);
        for (size_t i = 0; i < files; i++)
                buf_put_span(&model->keys, buf_span(&drafts[i].key));
        assert_false(buf_failed(&model->keys));
        for (size_t i = 0; i < files; i++) {
                size_t same = i > 0 && strcmp(drafts[i].parent, drafts[i - 1].parent) == 0;

                model->paths[i] = (struct model_path){
                    .key = span_of(model->keys.data + at, drafts[i].key.size),
                    .dir = drafts[i].dir,
                    .parent = i <= 1 ? 0
                              : same ? model->paths[i - 1].parent
                                     : find_path(drafts, files, drafts[i].parent)};
                at += drafts[i].key.size;
        }
        for (size_t i = 0; i < files; i++)
                buf_free(&drafts[i].key);
        free(drafts);
}

void model_free(struct model *model)
{
        memtree_free(&model->tree);
        buf_free(&model->keys);
        free(model->paths);
}

/* --- states --- */

void state_init(struct model *model, struct model_state *state)
{
        *state = (struct model_state){.versions = calloc(model->count, sizeof(uint32_t))};
        assert_non_null(state->versions);
        state->versions[0] = 1;
}

void state_copy(struct model *model, struct model_state *to, const struct model_state *from)
{
        memcpy(to->versions, from->versions, model->count * sizeof(uint32_t));
        to->root = from->root;
}

void state_free(struct model_state *state)
{
        free(state->versions);
}

uint64_t state_count(const struct model *model, const struct model_state *state)
{
        uint64_t count = 0;

        for (size_t i = 0; i < model->count; i++)
                count += state->versions[i] > 0;
        return count;
}

/* A parent has a lower key than its children, so one pass is enough. */
static void remove_orphans(struct model *model, struct model_state *state)
{
        for (size_t i = 1; i < model->count; i++)
                if (state->versions[model->paths[i].parent] == 0)
                        state->versions[i] = 0;
}

void state_change(struct model *model, struct model_state *state, size_t changes)
{
        bool near = model_random(model) % 2;
        size_t from = model_random(model) % model->count;

        for (size_t c = 0; c < changes; c++) {
                size_t i = (near ? from + c : model_random(model)) % model->count;
                bool remove = i > 0 && model_random(model) % 3 == 0;

                state->versions[i] = remove ? 0 : 1 + (uint32_t)(model_random(model) % 40);
                for (size_t p = i; !remove && p > 0; p = model->paths[p].parent)
                        if (state->versions[p] == 0)
                                state->versions[p] = 1;
        }
        remove_orphans(model, state);
}

void state_fill(struct model *model, struct model_state *state)
{
        for (size_t i = 0; i < model->count; i++)
                if (state->versions[i] == 0)
                        state->versions[i] = 1;
}

void state_clear(struct model *model, struct model_state *state)
{
        memset(state->versions + 1, 0, (model->count - 1) * sizeof(uint32_t));
}

void model_entry(const struct model *model, size_t index, uint32_t version, struct entry *out)
{
        static const uint8_t text[] = "target and extension bytes of forty and more";
        uint32_t kind = (version + (uint32_t)index) % 5;

        *out = (struct entry){.kind = ENTRY_DIR,
                              .mtime = {.sec = (int64_t)version - 3, .nsec = version},
                              .tag = {.position = version, .id = index}};
        if (version % 7 == 0)
                out->ext = span_of(text, version % 40 + 1);
        if (model->paths[index].dir)
                return;
        out->size = 1000 + version;
        out->hash.bytes[0] = (uint8_t)version;
        if (kind == 0) {
                out->kind = ENTRY_SYMLINK;
                out->size = version % 40 + 1;
                out->target = span_of(text, (size_t)out->size);
                out->hash = hash_of(HASH_BLOB, out->target);
                return;
        }
        out->kind = kind == 1 ? ENTRY_EXEC : ENTRY_FILE;
        if (kind > 2)
                out->loc = (struct pack_loc){
                    .pack = {{(uint8_t)(version % 3)}}, .offset = version, .size = 5};
}

/* --- edits --- */

void edits_between(struct model *model, const struct model_state *from,
                   const struct model_state *to, bool idle, struct model_edits *out)
{
        out->array = calloc(model->count, sizeof(*out->array));
        out->entries = calloc(model->count, sizeof(*out->entries));
        out->count = 0;
        assert_non_null(out->array);
        assert_non_null(out->entries);
        for (size_t i = 0; i < model->count; i++) {
                struct tree_edit *edit = &out->array[out->count];
                uint32_t version = to->versions[i];

                if ((from ? from->versions[i] : 0) == version &&
                    !(idle && model_random(model) % 50 == 0))
                        continue;
                if (!from && version == 0)
                        continue;
                edit->key = model->paths[i].key;
                if (version > 0) {
                        model_entry(model, i, version, &out->entries[i]);
                        edit->entry = &out->entries[i];
                }
                out->count++;
        }
}

void edits_free(struct model_edits *edits)
{
        free(edits->array);
        free(edits->entries);
}

struct hif_hash state_bulk_root(struct model *model, const struct model_state *state)
{
        struct memtree tree;
        struct model_edits edits;
        struct hif_hash root;

        memtree_init(&tree);
        edits_between(model, NULL, state, false, &edits);
        assert_int_equal(
            memtree_apply(&tree, &model->params, NULL, edits.array, edits.count, &root, NULL),
            HIF_OK);
        edits_free(&edits);
        memtree_free(&tree);
        return root;
}

void state_apply(struct model *model, const struct model_state *from, struct model_state *to,
                 struct tree_stats *stats)
{
        struct model_edits edits;

        edits_between(model, from, to, from != NULL, &edits);
        assert_int_equal(memtree_apply(&model->tree, &model->params, from ? &from->root : NULL,
                                       edits.array, edits.count, &to->root, stats),
                         HIF_OK);
        edits_free(&edits);
}
