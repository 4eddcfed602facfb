/* Every key of the project, once. A list of a thousand keys is one request, where asking for each
 * would be a thousand; so what is there is known before anything is read. Slots are listed first:
 * what a slot names was stored before it, and so is in the lists that follow.
 *
 * Known folders and the gaps between them are ranges that are paged through side by side; a folder
 * of hashes with many keys is cut into more of them. */
#include "check/internal.h"

#include <assert.h>

#define SHARDS           64u
#define SCANS_MAX        ((SHARDS * OBJECT_KINDS) + 64u)
#define OBJECTS_MIN      1024u
#define GAP_PAGE         16u
#define LOG              "landing-log."
#define LOG_FOLDER       "landing-log/"
#define OPEN_FOLDER      "open-sessions/"
#define PROPOSALS_FOLDER "proposals/"
#define LOG_END          "landing-log/~"

/* --- the table --- */

static size_t home_of(const struct inventory *inventory, enum object_kind kind,
                      const struct hif_hash *hash)
{
        return (size_t)(hash_prefix(hash) * 8 + kind) & (inventory->capacity - 1);
}

static struct object *slot_of(const struct inventory *inventory, enum object_kind kind,
                              const struct hif_hash *hash)
{
        size_t i = home_of(inventory, kind, hash);

        while (inventory->items[i].used && !(inventory->items[i].kind == (unsigned)kind &&
                                             hash_eq(&inventory->items[i].hash, hash)))
                i = (i + 1) & (inventory->capacity - 1);
        return &inventory->items[i];
}

struct object *inventory_find(struct inventory *inventory, enum object_kind kind,
                              const struct hif_hash *hash)
{
        struct object *object;

        if (inventory->capacity == 0)
                return NULL;
        object = slot_of(inventory, kind, hash);
        return object->used ? object : NULL;
}

static enum hif_err grow(struct inventory *inventory)
{
        struct inventory grown = {.capacity =
                                      inventory->capacity ? inventory->capacity * 2 : OBJECTS_MIN};

        grown.items = calloc(grown.capacity, sizeof(*grown.items));
        if (!grown.items)
                return HIF_ENOMEM;
        for (size_t i = 0; i < inventory->capacity; i++) {
                const struct object *object = &inventory->items[i];

                if (object->used)
                        *slot_of(&grown, (enum object_kind)object->kind, &object->hash) = *object;
        }
        free(inventory->items);
        inventory->items = grown.items;
        inventory->capacity = grown.capacity;
        return HIF_OK;
}

enum hif_err inventory_add(struct inventory *inventory, enum object_kind kind,
                           const struct hif_hash *hash, struct object **out)
{
        struct object *object = inventory_find(inventory, kind, hash);

        *out = object;
        if (object)
                return HIF_OK;
        if (inventory->count >= OBJECTS_MAX) {
                inventory->full = true;
                return HIF_OK;
        }
        if (inventory->count >= inventory->capacity / 4 * 3 && grow(inventory) != HIF_OK)
                return HIF_ENOMEM;
        object = slot_of(inventory, kind, hash);
        *object = (struct object){.hash = *hash, .kind = (unsigned)kind & 7u, .used = 1};
        inventory->count++;
        *out = object;
        return HIF_OK;
}

struct hif_hash session_name(const struct session_id *id, const struct hif_hash *hash)
{
        struct hif_hash name = *hash;

        for (size_t i = 0; i < SESSION_ID_SIZE; i++)
                name.bytes[i] ^= id->bytes[i];
        return name;
}

/* --- what a key is --- */

static const struct {
        const char *folder;
        enum object_kind kind;
        const char *suffix;
} hash_folders[] = {{"blobs/", OBJECT_BLOB, ""},
                    {"lists/", OBJECT_LIST, ""},
                    {"packs/", OBJECT_PACK, ""},
                    {"trees/", OBJECT_NODE, ".bin"}};

/* Mutable or derived: looked into by their own stages, if at all. */
static const char *const other_folders[] = {"bloom-index/", "hash-index/", PROPOSALS_FOLDER,
                                            "segments/"};

static bool starts(const char *text, const char *with)
{
        return strncmp(text, with, strlen(with)) == 0;
}

/* "hh/{hash}SUFFIX" */
static bool parse_hash(const char *rest, const char *suffix, struct hif_hash *out)
{
        return strlen(rest) == 3 + 64 + strlen(suffix) && rest[2] == '/' &&
               strcmp(rest + 3 + 64, suffix) == 0 && strncmp(rest, rest + 3, 2) == 0 &&
               hash_from_hex(span_of(rest + 3, 64), out);
}

/* "{id}/{hash}.bin" */
static bool parse_session(const char *rest, struct hif_hash *out)
{
        struct session_id id;
        struct hif_hash hash;

        if (strlen(rest) != 32 + 1 + 64 + 4 || rest[32] != '/' ||
            strcmp(rest + 32 + 1 + 64, ".bin") != 0 ||
            !session_id_from_hex(span_of(rest, 32), &id) ||
            !hash_from_hex(span_of(rest + 33, 64), &hash))
                return false;
        *out = session_name(&id, &hash);
        return true;
}

/* HIF_EINVAL: none of ours. */
static enum hif_err take_object(struct check *c, const char *key, uint64_t size)
{
        struct hif_hash hash;
        enum object_kind kind = OBJECT_SESSION;
        bool ours = starts(key, "sessions/") && parse_session(key + strlen("sessions/"), &hash);
        struct object *object;
        enum hif_err err;

        for (size_t i = 0; !ours && i < sizeof(hash_folders) / sizeof(hash_folders[0]); i++) {
                const char *folder = hash_folders[i].folder;

                ours = starts(key, folder) &&
                       parse_hash(key + strlen(folder), hash_folders[i].suffix, &hash);
                kind = hash_folders[i].kind;
        }
        if (!ours)
                return HIF_EINVAL;
        err = inventory_add(&c->inventory, kind, &hash, &object);
        if (err == HIF_OK && object) {
                object->present = 1;
                object->size = size & ((UINT64_C(1) << 48) - 1);
        }
        return err;
}

/* FOLDER{id} */
static enum hif_err take_id(struct check *c, const char *folder, struct id_list *list,
                            const char *key, bool *taken)
{
        struct session_id id;

        *taken = starts(key, folder) && session_id_from_hex(span_str(key + strlen(folder)), &id);
        if (!*taken)
                return HIF_OK;
        if (list->count == OPEN_MAX) {
                c->inventory.full = true;
                return HIF_OK;
        }
        if (list->count == list->capacity) {
                size_t capacity = list->capacity ? list->capacity * 2 : 64;
                struct session_id *grown = realloc(list->items, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                list->items = grown;
                list->capacity = capacity;
        }
        list->items[list->count++] = id;
        return HIF_OK;
}

static bool is_other(const char *key)
{
        if (strcmp(key, "format") == 0 || strcmp(key, "head") == 0)
                return true;
        for (size_t i = 0; i < sizeof(other_folders) / sizeof(other_folders[0]); i++)
                if (starts(key, other_folders[i]))
                        return true;
        return false;
}

/* --- positions --- */

static bool parse_position(const char *key, uint64_t *out)
{
        const char *digits = key + strlen(LOG_FOLDER);

        if (!starts(key, LOG_FOLDER) || strlen(digits) != 12 || strspn(digits, "0123456789") != 12)
                return false;
        *out = strtoull(digits, NULL, 10);
        return true;
}

/* Keys come in order. */
static enum hif_err take_position(struct check *c, uint64_t position)
{
        struct range *last = c->range_count > 0 ? &c->ranges[c->range_count - 1] : NULL;

        if (last && position == last->last + 1) {
                last->last = position;
                return HIF_OK;
        }
        if (c->range_count == RANGES_MAX)
                return HIF_OK; /* told by the gaps that there are; no end to read in such a log */
        if (!c->ranges)
                c->ranges = calloc(RANGES_MAX, sizeof(*c->ranges));
        if (!c->ranges)
                return HIF_ENOMEM;
        c->ranges[c->range_count++] = (struct range){position, position};
        return HIF_OK;
}

static void take_unknown(struct check *c, const char *key, uint64_t size)
{
        if (c->unknown_count < UNKNOWN_MAX)
                (void)snprintf(c->unknown[c->unknown_count], sizeof(c->unknown[0]), "%s", key);
        c->unknown_count++;
        c->unknown_bytes += size;
}

static enum hif_err take(struct check *c, const struct store_listed *item)
{
        const char *key = item->key + strlen(c->project.layout.prefix);
        uint64_t position;
        bool taken;
        enum hif_err err;

        c->inventory.key_count++;
        c->inventory.key_bytes += item->size;
        if (parse_position(key, &position))
                return take_position(c, position);
        err = take_object(c, key, item->size);
        if (err != HIF_EINVAL)
                return err;
        err = take_id(c, OPEN_FOLDER, &c->open_sessions, key, &taken);
        if (err == HIF_OK && !taken)
                err = take_id(c, PROPOSALS_FOLDER, &c->proposals, key, &taken);
        if (err != HIF_OK || taken)
                return err;
        if (starts(key, "segments/") || starts(key, "bloom-index/") || starts(key, "hash-index/"))
                c->derived_count++;
        else if (!is_other(key))
                take_unknown(c, item->key, item->size);
        return HIF_OK;
}

/* --- paging --- */

/* Keys after `after` and before `until`. */
struct scan_range {
        char after[STORE_KEY_MAX + 1];
        char until[STORE_KEY_MAX + 1]; /* "": to the end of the project */
        bool hashes;                   /* may be cut into shards */
        size_t page;                   /* keys to ask for; 0: as many as one request gives */
        bool done;
};

struct sweep {
        struct check *c;
        struct scan_range *scans;
        size_t count;
        bool failed; /* some keys are not known */
};

static struct scan_range *add_scan(struct sweep *sweep, const char *after, const char *until)
{
        struct scan_range *scan = &sweep->scans[sweep->count];
        const char *prefix = sweep->c->project.layout.prefix;

        assert(sweep->count < SCANS_MAX);
        *scan = (struct scan_range){.done = false};
        if (after[0])
                (void)snprintf(scan->after, sizeof(scan->after), "%s%s", prefix, after);
        if (until[0])
                (void)snprintf(scan->until, sizeof(scan->until), "%s%s", prefix, until);
        sweep->count++;
        return scan;
}

/* The rest of a folder with many keys, in parts that can be read side by side. */
static void cut_up(struct sweep *sweep, size_t index)
{
        struct scan_range whole = sweep->scans[index];
        const char *prefix = sweep->c->project.layout.prefix;
        const char *rest = whole.after + strlen(prefix);
        char folder[16];
        size_t size = strcspn(rest, "/") + 1;

        assert(size < sizeof(folder));
        memcpy(folder, rest, size);
        folder[size] = '\0';
        for (unsigned i = 0; i <= SHARDS; i++) {
                char after[32], until[32];
                struct scan_range part = whole;

                (void)snprintf(after, sizeof(after), "%s%02x", folder, i * (256 / SHARDS));
                (void)snprintf(until, sizeof(until), "%s%02x", folder, (i + 1) * (256 / SHARDS));
                if (i > 0) {
                        (void)snprintf(part.after, sizeof(part.after), "%s%s", prefix, after);
                        if (strcmp(part.after, whole.after) < 0)
                                memcpy(part.after, whole.after, sizeof(part.after));
                }
                if (i + 1 < SHARDS)
                        (void)snprintf(part.until, sizeof(part.until), "%s%s", prefix, until);
                part.hashes = false;
                if (i + 1 < SHARDS && strcmp(part.until, part.after) <= 0)
                        continue; /* seen already */
                if (i == SHARDS)
                        break;
                assert(sweep->count < SCANS_MAX);
                sweep->scans[sweep->count++] = part;
        }
        sweep->scans[index].done = true;
}

static enum hif_err take_page(struct sweep *sweep, size_t index, const struct store_req *req)
{
        struct scan_range *scan = &sweep->scans[index];
        enum hif_err err = HIF_OK;

        if (req->result != HIF_OK) {
                not_checked(sweep->c, req->result, sweep->c->project.layout.prefix,
                            "its keys cannot be listed");
                sweep->failed = true;
                scan->done = true;
                return HIF_OK;
        }
        scan->done = !req->list.more || req->list.count == 0;
        for (size_t i = 0; i < req->list.count && err == HIF_OK; i++) {
                const char *key = req->list.items[i].key;

                if (scan->until[0] && strcmp(key, scan->until) >= 0) {
                        scan->done = true;
                        return HIF_OK;
                }
                if (strlen(key) <= strlen(sweep->c->project.layout.prefix))
                        continue;
                err = take(sweep->c, &req->list.items[i]);
                (void)snprintf(scan->after, sizeof(scan->after), "%s", key);
        }
        if (err == HIF_OK && !scan->done && scan->hashes)
                cut_up(sweep, index);
        return err;
}

static enum hif_err run_pages(struct sweep *sweep)
{
        struct store_req reqs[LISTS_AHEAD];
        size_t index[LISTS_AHEAD];
        enum hif_err err = HIF_OK;

        for (bool any = true; any && err == HIF_OK;) {
                size_t n = 0;

                memset(reqs, 0, sizeof(reqs));
                for (size_t i = 0; i < sweep->count && n < LISTS_AHEAD; i++) {
                        if (sweep->scans[i].done)
                                continue;
                        reqs[n].op = STORE_LIST;
                        reqs[n].prefix = sweep->c->project.layout.prefix;
                        reqs[n].key = sweep->scans[i].after[0] ? sweep->scans[i].after : NULL;
                        reqs[n].list_max = sweep->scans[i].page;
                        index[n++] = i;
                }
                any = n > 0;
                err = run_requests(sweep->c, reqs, n);
                for (size_t i = 0; i < n; i++) {
                        if (err == HIF_OK)
                                err = take_page(sweep, index[i], &reqs[i]);
                        store_req_free(&reqs[i]);
                }
                report_progress(sweep->c, CHECK_STAGE_INVENTORY, sweep->c->inventory.key_count, 0);
        }
        return err;
}

/* Where a folder's keys are, in order; "." sorts before "/", and "~" after all that hif writes. */
static const struct {
        const char *before, *folder, *end;
        bool hashes;
} folders[] = {
    {"blobs.", "blobs/", "blobs/~", true}, {"bloom-index.", "bloom-index/", "bloom-index/~", false},
    {LOG, LOG_FOLDER, LOG_END, false},     {"lists.", "lists/", "lists/~", true},
    {"packs.", "packs/", "packs/~", true}, {"sessions.", "sessions/", "sessions/~", false},
    {"trees.", "trees/", "trees/~", true}};

/* All but the log: folders, and what lies between them. */
static void add_folders(struct sweep *sweep)
{
        const char *gap = "";

        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
                add_scan(sweep, gap, folders[i].folder)->page = GAP_PAGE;
                if (strcmp(folders[i].folder, LOG_FOLDER) != 0)
                        add_scan(sweep, folders[i].before, folders[i].end)->hashes =
                            folders[i].hashes;
                gap = folders[i].end;
        }
        add_scan(sweep, gap, "")->page = GAP_PAGE;
}

enum hif_err inventory_take(struct check *c)
{
        struct sweep sweep = {.c = c, .scans = calloc(SCANS_MAX, sizeof(*sweep.scans))};
        enum hif_err err;

        if (!sweep.scans)
                return HIF_ENOMEM;
        (void)add_scan(&sweep, LOG, LOG_END);
        err = run_pages(&sweep);
        add_folders(&sweep);
        if (err == HIF_OK)
                err = run_pages(&sweep);
        free(sweep.scans);
        if (c->inventory.full)
                not_checked(c, HIF_ELIMIT, c->project.layout.prefix,
                            "there are more objects than are held in memory");
        c->inventory.complete = !sweep.failed && !c->inventory.full;
        c->report->objects = c->inventory.key_count;
        c->report->object_bytes = c->inventory.key_bytes;
        return err;
}
