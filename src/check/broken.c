/* What is missing or damaged, collected while trees are walked: an object is one finding, however
 * many positions and paths need it. */
#include "check/internal.h"

static struct layout_key key_of(const struct check *c, enum object_kind kind,
                                const struct hif_hash *hash)
{
        static const struct layout_key none = {.text = ""};

        switch (kind) {
        case OBJECT_NODE:
                return layout_node(&c->project.layout, hash);
        case OBJECT_BLOB:
                return layout_blob(&c->project.layout, hash);
        case OBJECT_PACK:
                return layout_pack(&c->project.layout, hash);
        case OBJECT_LIST:
                return layout_list(&c->project.layout, hash);
        case OBJECT_SESSION:
                break; /* its key has the id, too: its own stage tells */
        }
        return none;
}

static uint64_t map_key(enum object_kind kind, const struct hif_hash *hash)
{
        return hash_prefix(hash) * 8 + kind;
}

struct broken *broken_find(struct check *c, enum object_kind kind, const struct hif_hash *hash)
{
        const struct object *object = inventory_find(&c->inventory, kind, hash);
        uintptr_t at;

        if (!object || !object->bad)
                return NULL;
        at = (uintptr_t)map_get(&c->broken_map, map_key(kind, hash));
        if (at > 0 && c->broken[at - 1].kind == kind && hash_eq(&c->broken[at - 1].hash, hash))
                return &c->broken[at - 1];
        for (size_t i = c->broken_count; i-- > 0;) /* two with one key: someone means harm */
                if (c->broken[i].kind == kind && hash_eq(&c->broken[i].hash, hash))
                        return &c->broken[i];
        return NULL;
}

struct broken *broken_add(struct check *c, enum object_kind kind, const struct hif_hash *hash,
                          enum check_kind finding, enum broken_state state, uint64_t position)
{
        struct broken *broken = broken_find(c, kind, hash);
        struct object *object;

        if (broken) {
                broken->last = position;
                return broken;
        }
        if (c->broken_count == BROKEN_MAX ||
            inventory_add(&c->inventory, kind, hash, &object) != HIF_OK || !object) {
                c->broken_more++;
                return NULL;
        }
        if (c->broken_count == c->broken_capacity) {
                size_t capacity = c->broken_capacity ? c->broken_capacity * 2 : 16;
                struct broken *grown = realloc(c->broken, capacity * sizeof(*grown));

                if (!grown) {
                        c->broken_more++;
                        return NULL;
                }
                c->broken = grown;
                c->broken_capacity = capacity;
        }
        if (map_put(&c->broken_map, map_key(kind, hash),
                    (void *)(uintptr_t)(c->broken_count + 1)) != HIF_OK) {
                c->broken_more++;
                return NULL;
        }
        object->bad = 1;
        broken = &c->broken[c->broken_count++];
        *broken = (struct broken){.kind = kind,
                                  .hash = *hash,
                                  .finding = finding,
                                  .state = state,
                                  .first = position,
                                  .last = position,
                                  .open = true,
                                  .key = key_of(c, kind, hash)};
        return broken;
}

void broken_path(struct check *c, struct broken *broken, struct span path)
{
        broken->path_total++;
        if (broken->path_count == CHECK_PATHS_NAMED)
                return;
        for (uint32_t i = 0; i < broken->path_count; i++) {
                if (span_eq(broken->paths[i], path)) {
                        broken->path_total--; /* the same path at another position */
                        return;
                }
        }
        broken->paths[broken->path_count] = arena_span(&c->broken_arena, path);
        if (broken->paths[broken->path_count].data)
                broken->path_count++;
}

void broken_close(struct check *c, enum object_kind kind, const struct hif_hash *hash,
                  uint64_t position)
{
        struct broken *broken = broken_find(c, kind, hash);

        if (!broken || !broken->open)
                return;
        broken->open = false;
        broken->last = position - 1;
}

enum hif_err located_add(struct check *c, struct broken *broken, const struct hif_hash *hash,
                         uint32_t offset, uint32_t size, uint32_t content_size)
{
        struct located *located;

        if (!c->options->repair)
                return HIF_OK;
        located = arena_zalloc(&c->broken_arena, sizeof(*located));
        if (!located)
                return HIF_ENOMEM;
        *located = (struct located){.next = broken->located,
                                    .hash = *hash,
                                    .offset = offset,
                                    .size = size,
                                    .content_size = content_size};
        broken->located = located;
        return HIF_OK;
}

void other_add(struct check *c, const char *key, enum hash_kind kind, const struct hif_hash *hash,
               uint64_t position)
{
        struct other *other;

        if (!c->options->repair || c->other_count == OTHERS_MAX)
                return;
        if (!c->others)
                c->others = calloc(OTHERS_MAX, sizeof(*c->others));
        if (!c->others)
                return; /* it is told, and not repaired */
        other = &c->others[c->other_count++];
        *other = (struct other){.kind = kind, .position = position};
        if (hash)
                other->hash = *hash;
        (void)snprintf(other->key, sizeof(other->key), "%s", key);
}

/* --- telling --- */

/* It seemed missing when keys were listed: is it? */
static enum hif_err look_again(struct check *c, struct broken **list, size_t count)
{
        struct store_req reqs[BATCH] = {0};
        enum hif_err err;

        for (size_t i = 0; i < count; i++) {
                reqs[i].op = STORE_HEAD;
                reqs[i].key = list[i]->key.text;
        }
        err = run_requests(c, reqs, count);
        for (size_t i = 0; i < count; i++) {
                if (err == HIF_OK && answer_of(&reqs[i]) == ANSWER_HERE)
                        list[i]->here = true;
                else if (err == HIF_OK && answer_of(&reqs[i]) == ANSWER_NONE) {
                        not_checked(c, reqs[i].result, list[i]->key.text, "cannot be asked for");
                        list[i]->here = true;
                }
                store_req_free(&reqs[i]);
        }
        return err;
}

static enum hif_err look_for_missing(struct check *c)
{
        struct broken *list[BATCH];
        size_t n = 0;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < c->broken_count && err == HIF_OK; i++) {
                struct broken *broken = &c->broken[i];

                if (broken->state == BROKEN_MISSING && !broken->told && !broken->here)
                        list[n++] = broken;
                if (n == BATCH || (n > 0 && i + 1 == c->broken_count)) {
                        err = look_again(c, list, n);
                        n = 0;
                }
        }
        return err;
}

static void tell(struct check *c, struct broken *broken)
{
        struct check_finding finding = {.kind = broken->finding,
                                        .key = broken->key.text,
                                        .detail = broken->detail,
                                        .at = !broken->unplaced || broken->needed,
                                        .first = broken->first,
                                        .last = broken->open ? c->report->tail : broken->last,
                                        .paths = broken->paths,
                                        .path_count = broken->path_count,
                                        .path_total = broken->path_total};

        broken->told = true;
        if (broken->here)
                return;
        if (broken->state == BROKEN_UNREAD) {
                finding.kind = CHECK_NOT_CHECKED;
                c->not_checked_count++;
                if (c->report->not_checked_err == HIF_OK)
                        c->report->not_checked_err = broken->err;
        } else if (broken->kind == OBJECT_PACK && broken->path_total == 0 && broken->covered > 0) {
                finding.kind = CHECK_PACK_REPLACED;
        }
        found(c, &finding);
}

enum hif_err broken_report(struct check *c)
{
        enum hif_err err = look_for_missing(c);

        for (size_t i = 0; i < c->broken_count && err == HIF_OK; i++)
                if (!c->broken[i].told)
                        tell(c, &c->broken[i]);
        if (err == HIF_OK && c->broken_more > 0 && !c->broken_more_told) {
                c->broken_more_told = true;
                not_checked(c, HIF_ELIMIT, "",
                            "more objects are missing or damaged than are listed one by one");
        }
        return err;
}

/* --- places of contents in packs --- */

uint64_t place_digest(const struct hif_hash *pack, const struct hif_hash *content, uint32_t offset,
                      uint32_t size)
{
        uint8_t place[8];
        struct blake3 state;
        struct hif_hash out;

        be32_put(place, offset);
        be32_put(place + 4, size);
        blake3_init(&state);
        blake3_update(&state, span_of(pack->bytes, HIF_HASH_SIZE));
        blake3_update(&state, span_of(content->bytes, HIF_HASH_SIZE));
        blake3_update(&state, span_of(place, sizeof(place)));
        blake3_final(&state, &out);
        return hash_prefix(&out);
}

uint64_t location_digest(const struct entry *entry)
{
        return place_digest(&entry->loc.pack, &entry->hash, entry->loc.offset, entry->loc.size);
}
