/* What must hold whenever something has reached the store, and at the end. */
#include "tests/land/sim.h"

#include "base/cleanup.h"
#include "core/layout.h"
#include "land/internal.h"

#include <inttypes.h>

/* --- trees --- */

static int path_number(struct span text)
{
        for (int p = 0; p < PATHS; p++)
                if (span_eq(text, span_str(path_text(p))))
                        return p;
        return -1;
}

static bool entry_is_value(const struct entry *entry, uint8_t value)
{
        struct span text = span_str(value_text(value));
        struct hif_hash hash;

        if (value == VALUE_DIR)
                return entry->kind == ENTRY_DIR;
        if (value == VALUE_ABSENT || entry->size != text.size)
                return false;
        hash = hash_of(HASH_BLOB, text);
        if (!hash_eq(&hash, &entry->hash))
                return false;
        if (value >= VALUE_LINK)
                return entry->kind == ENTRY_SYMLINK && span_eq(entry->target, text);
        return entry->kind == (value >= VALUE_EXEC ? ENTRY_EXEC : ENTRY_FILE);
}

/* The content of a file is where its entry says. */
static bool content_stored(struct world *world, const struct entry *entry)
{
        struct layout_key key;

        if (!entry_is_file(entry))
                return true;
        key = entry->loc.size > 0 ? layout_pack(&world->project.layout, &entry->loc.pack)
                                  : layout_blob(&world->project.layout, &entry->hash);
        return store_mem_peek(world->inner, key.text).data != NULL;
}

static void check_entry(struct world *world, uint64_t position, const struct state *state,
                        struct span key, const struct entry *entry, int *seen)
{
        AUTO_BUF struct buf path = {0};
        int number;

        key_to_path(&path, key);
        number = path_number(buf_span(&path));
        if (path.size == 0)
                return;
        ++*seen;
        if (number < 0 || !entry_is_value(entry, state->at[number]))
                world_fail(world, "@%" PRIu64 ": %.*s is not what the replay says", position,
                           (int)path.size, (char *)path.data);
        else if (!content_stored(world, entry))
                world_fail(world, "@%" PRIu64 ": the content of %s is not in the store", position,
                           path_text(number));
        else if (entry->tag.position > position)
                world_fail(world, "@%" PRIu64 ": %s says that it landed at @%" PRIu64 " or later",
                           position, path_text(number), entry->tag.position);
}

/* The tree equals the oracle's map, and everything that it names is in the store. */
static void check_tree(struct world *world, uint64_t position, const struct hif_hash *tree,
                       struct node_reader *reader)
{
        const struct state *state = &world->states[position];
        struct tree_cursor cursor;
        int seen = 0, expected = 0;
        enum hif_err err;

        tree_cursor_init(&cursor, node_reader_source(reader));
        err = tree_seek(&cursor, tree, (struct span){0});
        while (err == HIF_OK) {
                struct entry entry;

                tree_cursor_entry(&cursor, &entry);
                check_entry(world, position, state, tree_cursor_key(&cursor), &entry, &seen);
                err = tree_next(&cursor);
        }
        tree_cursor_close(&cursor);
        if (err != HIF_ENOENT)
                world_fail(world, "@%" PRIu64 ": the tree cannot be read: %s", position,
                           hif_strerror(err));
        for (int p = 0; p < PATHS; p++)
                expected += state->at[p] != VALUE_ABSENT;
        if (seen != expected)
                world_fail(world, "@%" PRIu64 ": %d entries, the replay has %d", position, seen,
                           expected);
}

/* --- slots --- */

static struct sim_session *session_by_id(struct world *world, const struct session_id *id)
{
        for (int i = 0; i < world->session_count; i++)
                if (session_id_eq(&world->sessions[i].id, id))
                        return &world->sessions[i];
        return NULL;
}

static void check_told(struct world *world, struct sim_session *session, uint64_t position)
{
        /* Without its intent nobody knows what else it had proposed. */
        if (session->shared || (session->proposed && session->intent_lost))
                session->report = REPORT_NONE;
        if (session->report == REPORT_CONFLICT || session->report == REPORT_NOTHING ||
            session->report == REPORT_GIVEN_UP)
                world_fail(world, "session %d was reported as not landed, and arrives at @%" PRIu64,
                           session->number, position);
        if (session->refused_at)
                world_fail(world,
                           "session %d was refused at @%" PRIu64 ", and arrives at @%" PRIu64,
                           session->number, session->refused_at, position);
}

/* Landing `index` of a slot, onto the state after the one before it. */
static void check_landing(struct world *world, const struct slot *slot, uint32_t index)
{
        struct state *state = &world->states[slot->position];
        struct slot_member member;
        struct sim_session *session;
        struct verdict verdict;

        slot_landing_at(slot, index, &member, NULL);
        session = session_by_id(world, &member.session);
        if (!session) {
                world_fail(world, "@%" PRIu64 " carries a session that nobody has", slot->position);
                return;
        }
        if (session->landed_at) {
                world_fail(world, "session %d landed twice, at @%" PRIu64 " and @%" PRIu64,
                           session->number, session->landed_at, slot->position);
                return;
        }
        session->landed_at = slot->position;
        session->landed_member = slot->kind == SLOT_BATCH ? index + 1 : 0;
        world->landings++;
        verdict = oracle_decide(&session->base, &session->ours, state);
        if (verdict.conflicts > 0)
                world_fail(world,
                           "session %d landed at @%" PRIu64 " over a change that it had not "
                           "seen",
                           session->number, slot->position);
        if (verdict.edits == 0)
                world_fail(world, "session %d landed at @%" PRIu64 " and changed nothing",
                           session->number, slot->position);
        check_told(world, session, slot->position);
        *state = verdict.merged;
}

/* Whoever is refused conflicts with the slot's own tree, or changes nothing there; or wanted it. */
static void check_refused(struct world *world, const struct slot *slot, uint32_t index)
{
        struct sim_session *session = session_by_id(world, &slot->refused[index].session);
        struct verdict verdict;

        world->refusals++;
        if (!session || session->landed_at) {
                world_fail(world, "@%" PRIu64 " refuses a session that %s", slot->position,
                           session ? "has landed" : "nobody has");
                return;
        }
        if (session->refused_at == 0)
                session->refused_at = slot->position;
        verdict = oracle_decide(&session->base, &session->ours, &world->states[slot->position]);
        if (verdict.conflicts == 0 && verdict.edits > 0 && !session->giving_up)
                world_fail(world, "@%" PRIu64 " refuses session %d, which could land",
                           slot->position, session->number);
}

static void check_landings(struct world *world, const struct slot *slot)
{
        world->batches += slot_landing_count(slot) > 1;
        for (uint32_t i = 0; i < slot_landing_count(slot); i++)
                check_landing(world, slot, i);
        for (uint32_t i = 0; i < slot->refused_count; i++)
                check_refused(world, slot, i);
}

static void check_chain(struct world *world, const struct slot_read *read)
{
        uint64_t position = read->slot.position;

        if (!hash_eq(&read->slot.previous, &world->slot_hashes[position - 1]))
                world_fail(world, "@%" PRIu64 " does not name the slot before it", position);
        if (read->slot.hlc <= world->hlcs[position - 1])
                world_fail(world, "@%" PRIu64 " is not later than the slot before it", position);
        world->slot_hashes[position] = read->hash;
        world->hlcs[position] = read->slot.hlc;
}

void check_slot(struct world *world, uint64_t position, struct span stored)
{
        struct slot_read read = {0};
        struct buf bytes = {0};

        if (position != world->positions || position >= POSITIONS_MAX) {
                world_fail(world,
                           "@%" PRIu64 " was written when there were %" PRIu64
                           " positions: not dense",
                           position, world->positions);
                return;
        }
        buf_put_span(&bytes, stored);
        if (slot_accept(&world->project, position, &bytes, &read, NULL) != HIF_OK) {
                world_fail(world, "@%" PRIu64 " cannot be read", position);
                buf_free(&bytes);
                return;
        }
        check_chain(world, &read);
        world->states[position] = world->states[position - 1];
        check_landings(world, &read.slot);
        check_tree(world, position, &read.slot.tree, world->reader);
        world->positions++;
        slot_read_free(&read);
}

void check_head(struct world *world, struct span stored)
{
        struct slot_read read;
        struct head head;

        if (head_get(stored, &head) != HIF_OK) {
                world_fail(world, "a lander wrote a head that cannot be read");
                return;
        }
        if (head.position >= world->positions ||
            project_slot(&world->project, head.position, false, &read, NULL) != HIF_OK) {
                world_fail(world, "head names @%" PRIu64 ", which is not there", head.position);
                return;
        }
        if (!hash_eq(&read.slot.tree, &head.tree))
                world_fail(world, "head names another tree than @%" PRIu64, head.position);
        slot_read_free(&read);
}

/* --- what landers were told --- */

/* The other side is a landing that is there. */
static void check_named(struct world *world, const struct sim_session *session,
                        const struct land_conflict *conflict, uint64_t position)
{
        const struct sim_session *other = session_by_id(world, &conflict->session);

        if (conflict->position <= session->base_position || conflict->position > position)
                world_fail(world, "session %d: a conflict names @%" PRIu64, session->number,
                           conflict->position);
        else if (!other || other->landed_at != conflict->position ||
                 other->landed_member != conflict->member)
                world_fail(world, "session %d: a conflict names the wrong landing at @%" PRIu64,
                           session->number, conflict->position);
}

static void check_conflicts(struct world *world, const struct sim_session *session,
                            const struct land_result *result)
{
        struct verdict verdict =
            oracle_decide(&session->base, &session->ours, &world->states[result->position]);

        for (uint32_t i = 0; i < result->conflict_count; i++) {
                const struct land_conflict *conflict = &result->conflicts[i];
                int p = path_number(conflict->path);

                if (p < 0 || !verdict.conflict[p]) {
                        world_fail(world, "session %d: false conflict at %.*s", session->number,
                                   (int)conflict->path.size, (const char *)conflict->path.data);
                        return;
                }
                verdict.conflict[p] = false;
                verdict.conflicts--;
                check_named(world, session, conflict, result->position);
        }
        if (verdict.conflicts > 0)
                world_fail(world, "session %d: a conflict was not reported", session->number);
}

void check_report(struct world *world, struct sim_session *session, enum hif_err err,
                  const struct land_result *result, const char *why)
{
        struct verdict verdict;

        if (err == HIF_OK) {
                if (session->landed_at != result->position ||
                    session->landed_member != result->member ||
                    !hash_eq(&result->slot_hash, &world->slot_hashes[result->position]))
                        world_fail(world,
                                   "session %d was reported at @%" PRIu64
                                   ", but landed at @%" PRIu64,
                                   session->number, result->position, session->landed_at);
                if (result->already_landed && !session->ran_before)
                        world_fail(world, "session %d was reported as landed before it ran",
                                   session->number);
                return;
        }
        if (result->refused && (!session->refused_at || session->landed_at))
                world_fail(world, "session %d was told that it is refused", session->number);
        /* Without its intent a run that got nowhere can speak only for itself. */
        if (err == HIF_EUNKNOWN ||
            (err == HIF_EUNREACHABLE && (session->intent_lost || session->shared)))
                return;
        if (session->landed_at &&
            !(session->shared && !result->refused && session->landed_at > result->position)) {
                world_fail(world, "session %d landed at @%" PRIu64 ", and was told: %s (%s)",
                           session->number, session->landed_at, hif_err_name(err), why);
                return;
        }
        switch (err) {
        case HIF_ECONFLICT:
                check_conflicts(world, session, result);
                return;
        case HIF_ENOTHING:
                verdict =
                    oracle_decide(&session->base, &session->ours, &world->states[result->position]);
                if (verdict.edits > 0 || verdict.conflicts > 0)
                        world_fail(world, "session %d was told that it changes nothing",
                                   session->number);
                return;
        case HIF_EUNREACHABLE:
        case HIF_ELIMIT:
                return;
        case HIF_EAGAIN: /* refused because somebody wanted it */
                if (result->refused && session->giving_up)
                        return;
                world_fail(world, "session %d was refused, and could land", session->number);
                return;
        default:
                world_fail(world, "session %d: %s (%s)", session->number, hif_err_name(err), why);
        }
}

/* --- the end --- */

static enum hif_err ignore(void *arg, struct span piece)
{
        (void)arg;
        (void)piece;
        return HIF_OK;
}

static void check_contents(struct world *world, const struct hif_hash *tree,
                           struct node_reader *reader)
{
        struct tree_cursor cursor;
        enum hif_err err;

        tree_cursor_init(&cursor, node_reader_source(reader));
        err = tree_seek(&cursor, tree, (struct span){0});
        while (err == HIF_OK) {
                struct entry entry;
                struct hif_why why = {.text = ""};

                tree_cursor_entry(&cursor, &entry);
                if (entry_is_file(&entry) &&
                    project_read_file(&world->project, &entry, 0, UINT64_MAX, ignore, NULL, &why) !=
                        HIF_OK)
                        world_fail(world, "a file of the last tree cannot be read: %s", why.text);
                err = tree_next(&cursor);
        }
        tree_cursor_close(&cursor);
}

static void check_sessions(struct world *world)
{
        for (int i = 0; i < world->session_count; i++) {
                const struct sim_session *session = &world->sessions[i];
                bool refused =
                    session->report == REPORT_REFUSED && !session->intent_lost && !session->shared;

                if (session->report == REPORT_LANDED &&
                    (session->landed_at == 0 || session->landed_at != session->reported_at))
                        world_fail(world, "session %d was reported as landed, and is not there", i);
                if (session->landed_at && refused)
                        world_fail(world,
                                   "session %d was told that nothing landed, and is at "
                                   "@%" PRIu64,
                                   i, session->landed_at);
        }
}

void check_end(struct world *world)
{
        struct node_reader *reader;
        struct layout_key key = layout_head(&world->project.layout);
        struct head head = {0};

        if (node_reader_new(&world->project, 1 << 20, &reader) != HIF_OK)
                return;
        for (uint64_t p = 0; p < world->positions && !world->failed; p++) {
                struct slot_read read;

                if (project_slot(&world->project, p, true, &read, NULL) != HIF_OK) {
                        world_fail(world, "@%" PRIu64 " is gone", p);
                        break;
                }
                check_tree(world, p, &read.slot.tree, reader);
                if (p + 1 == world->positions)
                        check_contents(world, &read.slot.tree, reader);
                slot_read_free(&read);
        }
        node_reader_free(reader);
        check_sessions(world);
        if (head_get(store_mem_peek(world->inner, key.text), &head) != HIF_OK ||
            head.position != world->positions - 1)
                world_fail(world, "head stayed at @%" PRIu64 " of %" PRIu64, head.position,
                           world->positions - 1);
}

/* --- sweeping: what the rule "existence alone is not trusted" is for --- */

#define UPLOADS_MAX 2048

struct uploads {
        struct {
                uint64_t key; /* hash of the key's text */
                uint64_t sessions;
        } items[UPLOADS_MAX];
};

static const struct sipkey upload_sip = {1, 2};

static uint64_t *uploaders(struct world *world, const char *key)
{
        uint64_t mixed = siphash(upload_sip, key, strlen(key)) | 1;
        size_t at = mixed % UPLOADS_MAX;

        if (!world->uploads)
                world->uploads = calloc(1, sizeof(*world->uploads));
        while (world->uploads->items[at].key && world->uploads->items[at].key != mixed)
                at = (at + 1) % UPLOADS_MAX;
        world->uploads->items[at].key = mixed;
        return &world->uploads->items[at].sessions;
}

void note_upload(struct world *world, const char *key, uint64_t sessions)
{
        *uploaders(world, key) |= sessions;
}

static void mark(struct map *marked, const char *key)
{
        if (map_put(marked, siphash(upload_sip, key, strlen(key)), marked) != HIF_OK)
                abort();
}

static struct layout_key object_key(const struct layout *layout, const struct slot_object *object)
{
        switch (object->kind) {
        case SLOT_NODE:
                return layout_node(layout, &object->hash);
        case SLOT_PACK:
                return layout_pack(layout, &object->hash);
        default:
                return layout_blob(layout, &object->hash);
        }
}

/* Everything that slots name: a collector that never forgets an old tree. */
static void mark_slot(struct world *world, const struct slot *slot, struct map *marked)
{
        const struct layout *layout = &world->project.layout;

        for (uint32_t i = 0; slot->objects && i < slot->object_count; i++)
                mark(marked, object_key(layout, &slot->objects[i]).text);
        if (!hash_is_zero(&slot->paths_list))
                mark(marked, layout_list(layout, &slot->paths_list).text);
        if (!hash_is_zero(&slot->objects_list))
                mark(marked, layout_list(layout, &slot->objects_list).text);
        if (!hash_is_zero(&slot->members_list))
                mark(marked, layout_list(layout, &slot->members_list).text);
        for (uint32_t i = 0; i < slot_landing_count(slot); i++) {
                struct slot_member member;

                slot_landing_at(slot, i, &member, NULL);
                mark(marked, layout_session(layout, &member.session, &member.session_object).text);
        }
}

static uint64_t open_sessions(const struct world *world)
{
        uint64_t open = 0;

        for (int i = 0; i < world->session_count; i++)
                if (!world->sessions[i].ended)
                        open |= 1ull << i;
        return open;
}

void sweep(struct world *world)
{
        struct map marked = {0};
        uint64_t open = open_sessions(world);
        struct store_req list = {
            .op = STORE_LIST, .prefix = world->project.layout.prefix, .list_max = 1000000};

        for (uint64_t p = 0; p < world->positions; p++) {
                struct slot_read read;

                if (project_slot(&world->project, p, true, &read, NULL) != HIF_OK)
                        continue;
                mark_slot(world, &read.slot, &marked);
                slot_read_free(&read);
        }
        store_run(world->inner, &list, 1);
        for (size_t i = 0; list.result == HIF_OK && i < list.list.count; i++) {
                const char *key = list.list.items[i].key;
                bool named = strstr(key, "/trees/") || strstr(key, "/packs/") ||
                             strstr(key, "/blobs/") || strstr(key, "/lists/") ||
                             strstr(key, "/sessions/");

                if (!named || map_get(&marked, siphash(upload_sip, key, strlen(key))) ||
                    (*uploaders(world, key) & open))
                        continue;
                world_trace(world, "sweep: %s", key);
                store_mem_drop(world->inner, key);
        }
        store_req_free(&list);
        map_free(&marked);
}
