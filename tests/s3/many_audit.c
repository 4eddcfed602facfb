/* The audit: the chain of slots, the tree at each, and what the workers were told, against what
 * must be. */
#include "s3/many.h"

#include "core/key.h"
#include "core/layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_PAGE 1000

struct audit {
        const struct many_options *options;
        struct env env;
        struct store *store;
        struct project project;
        struct node_reader *reader;
        uint64_t tail, landings, batches;
        uint64_t *positions; /* of each landing of each worker; 0: not seen */
        uint64_t findings;
        /* while two trees are compared */
        uint64_t position;
        struct many_change changes[MANY_WORKERS_MAX * MANY_CHANGES_MAX];
        size_t change_count, changes_seen;
};

static void finding(struct audit *a, const char *what, uint64_t position)
{
        a->findings++;
        fprintf(stderr, "audit: @%" PRIu64 ": %s\n", position, what);
}

static uint64_t *position_of(struct audit *a, unsigned worker, unsigned landing)
{
        return &a->positions[(size_t)worker * a->options->landings + landing];
}

/* --- one position --- */

static const struct many_change *expected_change(struct audit *a, struct span path)
{
        for (size_t i = 0; i < a->change_count; i++)
                if (span_eq(span_str(a->changes[i].path), path))
                        return &a->changes[i];
        return NULL;
}

static bool is_content(const struct entry *entry, const struct many_change *change)
{
        struct hif_hash hash = hash_of(HASH_BLOB, span_of(change->content, change->size));

        return entry->kind == ENTRY_FILE && entry->size == change->size &&
               hash_eq(&entry->hash, &hash);
}

/* Directories come and change their time with what is in them. */
static bool is_directory(const struct entry *before, const struct entry *after)
{
        return after && after->kind == ENTRY_DIR && (!before || before->kind == ENTRY_DIR);
}

static enum hif_err check_entry(void *arg, struct span key, const struct entry *before,
                                const struct entry *after, uint64_t rank_before,
                                uint64_t rank_after)
{
        struct audit *a = arg;
        struct buf path = {0};
        const struct many_change *change;

        (void)rank_before;
        (void)rank_after;
        if (is_directory(before, after))
                return HIF_OK;
        key_to_path(&path, key);
        change = expected_change(a, buf_span(&path));
        a->changes_seen++;
        if (!change)
                finding(a, "a path differs that this landing does not change", a->position);
        else if (change->content ? !after || !is_content(after, change) : after != NULL)
                finding(a, "a path is not what this landing made of it", a->position);
        buf_free(&path);
        return HIF_OK;
}

/* Whose landing is it? Its changes are added to those that this position has to show. */
static void check_landing(struct audit *a, const struct slot *slot, uint32_t index)
{
        struct slot_member member;
        unsigned worker = 0, landing = 0;
        char goal[64];

        slot_landing_at(slot, index, &member, NULL);
        snprintf(goal, sizeof(goal), "%.*s", (int)member.goal.size, (const char *)member.goal.data);
        if (sscanf(goal, "worker %u, landing %u", &worker, &landing) != 2 ||
            worker >= a->options->workers || landing >= a->options->landings) {
                finding(a, "a landing of nobody", slot->position);
                return;
        }
        if (*position_of(a, worker, landing) != 0)
                finding(a, "a landing that is there already: duplicated", slot->position);
        *position_of(a, worker, landing) = slot->position;
        a->landings++;
        a->change_count += many_changes(worker, landing, &a->changes[a->change_count]);
}

/* The tree is the one before with the changes of this position's landings, and no others. By
 * induction from the empty tree at @0 each tree is the replay of all landings up to it. */
static void check_tree(struct audit *a, const struct hif_hash *before, const struct hif_hash *after)
{
        if (tree_diff(node_reader_source(a->reader), before, after, span_str(""), span_str(""),
                      check_entry, a) != HIF_OK)
                finding(a, "the trees cannot be compared", a->position);
        if (a->changes_seen != a->change_count)
                finding(a, "not all that these landings change has changed", a->position);
}

static void check_slot(struct audit *a, const struct slot *slot, const struct hif_hash *before)
{
        uint32_t count = slot_landing_count(slot);

        a->change_count = a->changes_seen = 0;
        if (count > a->options->workers) {
                finding(a, "more landings than there are workers", slot->position);
                return;
        }
        a->batches += count > 1;
        for (uint32_t i = 0; i < count; i++)
                check_landing(a, slot, i);
        check_tree(a, before, &slot->tree);
        many_changes_free(a->changes, a->change_count);
}

/* --- the chain --- */

static bool walk(struct audit *a)
{
        struct hif_hash previous = {0}, tree = {0};
        struct hif_why why = {.text = ""};

        for (uint64_t position = 0;; position++) {
                struct slot_read read;
                enum hif_err err = project_slot(&a->project, position, true, &read, &why);

                if (err == HIF_ENOENT && position > 0)
                        return true;
                if (err != HIF_OK) {
                        fprintf(stderr, "audit: @%" PRIu64 ": %s\n", position, why.text);
                        return false;
                }
                a->tail = a->position = position;
                if (!hash_eq(&read.slot.previous, &previous))
                        finding(a, "the slot does not follow the one before", position);
                if (position > 0)
                        check_slot(a, &read.slot, &tree);
                previous = read.hash;
                tree = read.slot.tree;
                slot_read_free(&read);
        }
}

/* Every key below landing-log/ is a position of the chain: dense, and none beyond. */
static void check_keys(struct audit *a)
{
        struct layout_key key = layout_slot(&a->project.layout, 0);
        char after[STORE_KEY_MAX + 1] = "";
        uint64_t count = 0;
        bool more = true;

        *(strrchr(key.text, '/') + 1) = '\0';
        while (more) {
                struct store_req req = {.op = STORE_LIST,
                                        .prefix = key.text,
                                        .key = after[0] ? after : NULL,
                                        .list_max = LIST_PAGE};

                store_run(a->store, &req, 1);
                if (req.result != HIF_OK) {
                        finding(a, "the landing log cannot be listed", a->tail);
                        return;
                }
                count += req.list.count;
                more = req.list.more && req.list.count > 0;
                if (more)
                        snprintf(after, sizeof(after), "%s",
                                 req.list.items[req.list.count - 1].key);
                store_req_free(&req);
        }
        if (count != a->tail + 1)
                finding(a, "the landing log holds other keys than the chain's", a->tail);
}

/* --- the tail's tree, content included, and what was said --- */

static enum hif_err collect(void *arg, struct span piece)
{
        buf_put_span(arg, piece);
        return HIF_OK;
}

static void check_content(struct audit *a, const struct hif_hash *tree, unsigned worker,
                          unsigned landing)
{
        struct many_change changes[MANY_CHANGES_MAX];
        size_t count = many_changes(worker, landing, changes);
        struct tree_cursor cursor;

        tree_cursor_init(&cursor, node_reader_source(a->reader));
        for (size_t i = 0; i < count; i++) {
                struct buf key = {0}, content = {0};
                struct entry entry;
                struct hif_why why = {.text = ""};

                if (!changes[i].content)
                        continue;
                key_from_path(&key, span_str(changes[i].path));
                if (tree_find(&cursor, tree, buf_span(&key), &entry, NULL) != HIF_OK ||
                    project_read_file(&a->project, &entry, 0, UINT64_MAX, collect, &content,
                                      &why) != HIF_OK)
                        finding(a, "a file cannot be read", a->tail);
                else if (!span_eq(buf_span(&content), span_of(changes[i].content, changes[i].size)))
                        finding(a, "a file has another content", a->tail);
                buf_free(&key);
                buf_free(&content);
        }
        tree_cursor_close(&cursor);
        many_changes_free(changes, count);
}

static void check_tail(struct audit *a)
{
        struct slot_read read;
        struct hif_why why = {.text = ""};

        if (project_tail(&a->project, 0, &read, &why) != HIF_OK) {
                finding(a, why.text, a->tail);
                return;
        }
        if (read.slot.position != a->tail)
                finding(a, "the tail is found elsewhere", read.slot.position);
        if (tree_verify(node_reader_source(a->reader), &a->project.format.tree, &read.slot.tree,
                        &why) != HIF_OK)
                finding(a, why.text, a->tail);
        for (unsigned worker = 0; worker < a->options->workers; worker++)
                check_content(a, &read.slot.tree, worker, a->options->landings - 1);
        slot_read_free(&read);
}

static void check_told(struct audit *a, unsigned worker)
{
        char path[512];
        FILE *file;
        unsigned landing;
        uint64_t position;

        snprintf(path, sizeof(path), "%s/%u.told", a->options->state, worker);
        file = fopen(path, "r");
        while (file && fscanf(file, "%u %" SCNu64, &landing, &position) == 2)
                if (landing >= a->options->landings || *position_of(a, worker, landing) != position)
                        finding(a, "a worker was told that it landed here, and it has not",
                                position);
        if (file)
                fclose(file);
        for (landing = 0; landing < a->options->landings; landing++)
                if (*position_of(a, worker, landing) == 0)
                        finding(a, "a landing is lost", landing);
}

bool many_audit(const struct many_options *options)
{
        static struct audit a;
        bool good;

        a = (struct audit){.options = options, .env = env_system(NULL)};
        good = many_open(options->store, 0, &a.env, &a.store, &a.project) &&
               node_reader_new(&a.project, 16 << 20, &a.reader) == HIF_OK;
        a.positions = calloc((size_t)options->workers * options->landings, sizeof(uint64_t));
        good = good && a.positions && walk(&a);
        if (good) {
                check_keys(&a);
                check_tail(&a);
                for (unsigned worker = 0; worker < options->workers; worker++)
                        check_told(&a, worker);
                printf("audit: %" PRIu64 " positions, %" PRIu64 " of them shared, %" PRIu64
                       " landings, %" PRIu64 " findings\n",
                       a.tail, a.batches, a.landings, a.findings);
        }
        node_reader_free(a.reader);
        if (a.store)
                store_close(a.store);
        free(a.positions);
        return good && a.findings == 0;
}
