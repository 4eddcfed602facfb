/* A slot by itself and against the one before it; and head. */
#include "check/internal.h"

#include <inttypes.h>

/* --- ids --- */

static uint64_t mixed_id(const uint8_t id[16])
{
        return be64_get(id) ^ (be64_get(id + 8) * 0x9e3779b97f4a7c15u);
}

static bool is_zero(const uint8_t id[16])
{
        return be64_get(id) == 0 && be64_get(id + 8) == 0;
}

/* Note an id; *other: a position that had one with the same mix before, or this one. */
static enum hif_err note_id(struct check *c, struct map *ids, const uint8_t id[16],
                            uint64_t position, uint64_t *other)
{
        uint64_t mixed = mixed_id(id);
        uintptr_t at = (uintptr_t)map_get(ids, mixed);

        *other = at > 0 ? at - 1 : position;
        if (at > 0)
                return HIF_OK;
        if (ids->count >= SESSIONS_MAX) {
                if (!c->sessions_full)
                        not_checked(c, HIF_ELIMIT, "",
                                    "there are more landings than ids are compared of");
                c->sessions_full = true;
                return HIF_OK;
        }
        return map_put(ids, mixed, (void *)(uintptr_t)(position + 1));
}

/* Mixes meet by chance, or because someone wants them to: only the slot itself tells. */
static bool really_there(struct check *c, uint64_t position, const struct slot_member *landing,
                         enum check_kind kind)
{
        struct slot_read read;
        bool there = false;

        if (project_slot(&c->project, position, false, &read, NULL) != HIF_OK)
                return false;
        if (kind == CHECK_SESSION_REFUSED)
                there = slot_refuses(&read.slot, &landing->session);
        else if (kind == CHECK_SESSION_TWICE)
                there = slot_lands(&read.slot, &landing->session, NULL);
        for (uint32_t i = 0; kind == CHECK_LANDING_TWICE && i < slot_landing_count(&read.slot);
             i++) {
                struct slot_member other;

                slot_landing_at(&read.slot, i, &other, NULL);
                there |= memcmp(other.landing_id, landing->landing_id, LANDING_ID_SIZE) == 0;
        }
        slot_read_free(&read);
        return there;
}

static void tell_twice(struct check *c, enum check_kind kind, const struct slot *slot,
                       const struct slot_member *landing, uint64_t other)
{
        struct layout_key key = layout_slot(&c->project.layout, slot->position);
        char detail[128], hex[SESSION_ID_HEX_SIZE];

        if (!really_there(c, other, landing, kind))
                return;
        session_id_to_hex(&landing->session, hex);
        (void)snprintf(detail, sizeof(detail), "session %s, and @%" PRIu64, hex, other);
        found_at(c, kind, slot->position, key.text, detail);
}

static enum hif_err check_landing(struct check *c, const struct slot *slot,
                                  const struct slot_member *landing)
{
        uint64_t other;
        uintptr_t refused;
        enum hif_err err = HIF_OK;

        if (!is_zero(landing->landing_id)) {
                err = note_id(c, &c->landings, landing->landing_id, slot->position, &other);
                if (err == HIF_OK && other != slot->position)
                        tell_twice(c, CHECK_LANDING_TWICE, slot, landing, other);
        }
        if (err != HIF_OK || is_zero(landing->session.bytes))
                return err;
        err = note_id(c, &c->sessions, landing->session.bytes, slot->position, &other);
        if (err == HIF_OK && other != slot->position)
                tell_twice(c, CHECK_SESSION_TWICE, slot, landing, other);
        refused = (uintptr_t)map_get(&c->refused, mixed_id(landing->session.bytes));
        if (refused > 0)
                tell_twice(c, CHECK_SESSION_REFUSED, slot, landing, refused - 1);
        return err;
}

/* One batch may not have a session twice either. */
static bool is_twice_here(const struct slot *slot, uint32_t index)
{
        struct slot_member landing;
        uint32_t first;

        slot_landing_at(slot, index, &landing, NULL);
        return slot_lands(slot, &landing.session, &first) && first < index;
}

static enum hif_err check_ids(struct check *c, const struct slot *slot, const char *key)
{
        enum hif_err err = HIF_OK;

        for (uint32_t i = 0; i < slot_landing_count(slot) && err == HIF_OK; i++) {
                struct slot_member landing;

                slot_landing_at(slot, i, &landing, NULL);
                err = check_landing(c, slot, &landing);
                if (!is_zero(landing.session.bytes) && is_twice_here(slot, i))
                        found_at(c, CHECK_SESSION_TWICE, slot->position, key, "in one batch");
        }
        for (uint32_t i = 0; i < slot->refused_count && err == HIF_OK; i++) {
                uint64_t other;

                err =
                    note_id(c, &c->refused, slot->refused[i].session.bytes, slot->position, &other);
        }
        return err;
}

/* --- the rest --- */

static bool filter_has(const struct bloom *bloom, struct span path)
{
        for (; path.size > 0; path = path_parent(path))
                if (!bloom_maybe(bloom, path))
                        return false;
        return true;
}

static void check_bloom(struct check *c, const struct slot_view *view, const char *key)
{
        const struct slot *slot = &view->read.slot;
        struct check_finding finding = {.kind = CHECK_BLOOM_WRONG,
                                        .key = key,
                                        .at = true,
                                        .first = slot->position,
                                        .last = slot->position,
                                        .path_count = 1};
        struct span first = {0};

        if (slot->bloom_absent || !view->have_paths)
                return;
        for (uint32_t i = 0; i < slot->path_count; i++) {
                const struct slot_path *path = &slot->paths[i];

                if (filter_has(&slot->bloom, path->path) &&
                    (path->kind != SLOT_RENAMED || filter_has(&slot->bloom, path->path_from)))
                        continue;
                if (finding.path_total++ == 0)
                        first = path->path;
        }
        finding.paths = &first;
        if (finding.path_total > 0)
                found(c, &finding);
}

enum hif_err chain_check(struct check *c, const struct before *before, struct slot_view *view)
{
        const struct slot *slot = &view->read.slot;
        struct layout_key key = layout_slot(&c->project.layout, slot->position);

        if (before->known && !hash_eq(&slot->previous, &before->hash)) {
                char detail[128], hex[HIF_HASH_HEX_SIZE];

                hash_to_hex(&slot->previous, hex);
                (void)snprintf(detail, sizeof(detail), "it follows a slot with the hash %.16s…",
                               hex);
                found_at(c, CHECK_CHAIN_BROKEN, slot->position, key.text, detail);
        }
        if (before->known && slot->hlc <= before->hlc)
                found_at(c, CHECK_CLOCK_BACKWARDS, slot->position, key.text, "");
        check_bloom(c, view, key.text);
        return view->have_members ? check_ids(c, slot, key.text) : HIF_OK;
}

/* --- head --- */

/* Head names a position before the tail, or one that was not listed. */
static enum hif_err head_elsewhere(struct check *c, const struct head *head,
                                   const struct slot *tail, const char *key)
{
        struct slot_read read;
        struct hif_why why;
        enum hif_err err = project_slot(&c->project, head->position, false, &read, &why);
        char detail[128];

        (void)snprintf(detail, sizeof(detail), "it names @%" PRIu64 ", the newest is @%" PRIu64,
                       head->position, tail->position);
        if (err == HIF_ENOENT) {
                if (head->position > tail->position)
                        found_at(c, CHECK_HEAD_AHEAD, head->position, key, detail);
                else
                        found_at(c, CHECK_HEAD_WRONG, head->position, key, detail);
                return HIF_OK;
        }
        if (err != HIF_OK) /* the slot's own finding tells */
                return HIF_OK;
        if (!hash_eq(&read.slot.tree, &head->tree))
                found_at(c, CHECK_HEAD_WRONG, head->position, key,
                         "it names another tree than that position has");
        else if (head->position < tail->position)
                found_at(c, CHECK_HEAD_BEHIND, head->position, key, detail);
        slot_read_free(&read);
        return HIF_OK;
}

static bool is_head(const struct head *head, const struct slot *tail)
{
        return head->position == tail->position && hash_eq(&head->tree, &tail->tree);
}

enum hif_err head_check(struct check *c, const struct slot *tail)
{
        struct layout_key key = layout_head(&c->project.layout);
        struct check_finding finding = {.kind = CHECK_HEAD_WRONG, .key = key.text};
        struct store_req req;
        struct head head;
        enum hif_err err = get_one(c, key.text, 0, &req);

        c->head_wrong = true; /* a repair looks, and writes it only where it is */
        if (err == HIF_OK && answer_of(&req) == ANSWER_NONE) {
                not_checked(c, req.result, key.text, "cannot be read");
                c->head_wrong = false;
        } else if (err == HIF_OK && answer_of(&req) == ANSWER_ABSENT) {
                finding.kind = CHECK_HEAD_MISSING;
                found(c, &finding);
        } else if (err == HIF_OK && head_get(buf_span(&req.data), &head) != HIF_OK) {
                finding.detail = "it is not 48 bytes, or names a position that cannot be";
                found(c, &finding);
        } else if (err == HIF_OK && !is_head(&head, tail)) {
                err = head_elsewhere(c, &head, tail, key.text);
        } else {
                c->head_wrong = false;
        }
        store_req_free(&req);
        return err;
}
