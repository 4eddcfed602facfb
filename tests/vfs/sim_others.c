/* sim_others.c - what others land. */
#include "sim.h"

#include <stdlib.h>

/* --- landing what a model's tree says, as somebody else ------------------------------------------
 */

struct foreign {
        struct land_reader reader; /* first */
        const struct ment *entries[TREE_MAX * 2];
};

static enum hif_err read_foreign(struct land_reader *reader, uint64_t content, uint64_t offset,
                                 void *out, size_t size)
{
        const struct ment *entry = ((struct foreign *)reader)->entries[content];

        if (offset + size > entry->data.size)
                return HIF_EIO;
        memcpy(out, entry->data.data + offset, size);
        return HIF_OK;
}

static int by_key(const void *a, const void *b)
{
        CLEANUP(buf_free) struct buf key_a = {0}, key_b = {0};

        key_from_path(&key_a, ((const struct land_change *)a)->path);
        key_from_path(&key_b, ((const struct land_change *)b)->path);
        return span_cmp(buf_span(&key_a), buf_span(&key_b));
}

static size_t list_foreign(struct sim *sim, const struct mtree *from, const struct mtree *to,
                           struct foreign *foreign, struct land_change *changes)
{
        uint64_t now = env_wall_ns(sim->env);
        size_t count = 0;

        for (size_t i = 0; i < from->count; i++)
                if (tree_get(to, from->at[i].path) == NULL)
                        changes[count++] = (struct land_change){.kind = LAND_REMOVE,
                                                                .path = span_str(from->at[i].path)};
        for (size_t i = 0; i < to->count; i++) {
                const struct ment *entry = &to->at[i];

                if (ment_same(tree_get(from, entry->path), entry))
                        continue;
                foreign->entries[count] = entry;
                changes[count] =
                    (struct land_change){.kind = LAND_PUT,
                                         .path = span_str(entry->path),
                                         .entry_kind = entry->kind,
                                         .mtime = {.sec = (int64_t)(now / 1000000000),
                                                   .nsec = (uint32_t)(now % 1000000000)},
                                         .size = entry->kind == ENTRY_DIR ? 0 : entry->data.size,
                                         .content = count};
                if (entry->kind == ENTRY_SYMLINK)
                        changes[count].target = entry->data;
                count++;
        }
        if (count > 0)
                qsort(changes, count, sizeof(*changes), by_key);
        return count;
}

static void no_sleep(struct land_hooks *hooks, uint64_t ns)
{
        (void)hooks, (void)ns;
}

struct vfs_base land_tree(struct sim *sim, const struct mtree *from, const struct vfs_base *at,
                          const struct mtree *to)
{
        struct foreign *foreign = calloc(1, sizeof(*foreign));
        struct land_change *changes = calloc(TREE_MAX * 2, sizeof(*changes));
        struct session session = {.state = SESSION_LANDED,
                                  .origin = at->position,
                                  .base_position = at->position,
                                  .base_slot = at->slot,
                                  .author = span_str("B <b@c>"),
                                  .goal = span_str("another goal")};
        struct land_hooks hooks = {.sleep = no_sleep};
        struct hif_why why = {""};
        struct land_result result;
        struct land *land;
        struct vfs_base out;
        size_t count;

        expect(sim, foreign != NULL && changes != NULL, "out of memory");
        foreign->reader.read = read_foreign;
        count = list_foreign(sim, from, to, foreign, changes);
        env_random(sim->env, session.id.bytes, SESSION_ID_SIZE);
        must(sim, land_begin(&sim->project, &session, NULL, NULL, &hooks, NULL, &land));
        must_why(sim, land_stage(land, changes, count, &foreign->reader, &why), why);
        must_why(sim, land_commit(land, changes, count, NULL, false, &result, &why), why);
        out = (struct vfs_base){result.position, result.slot_hash, result.tree};
        land_free(land);
        free(changes);
        free(foreign);
        return out;
}

/* --- what others do -----------------------------------------------------------------------------
 */

static bool parent_exists(const struct mtree *tree, const char *path)
{
        char above[PATH_MAX_SIM];
        char *slash;
        const struct ment *entry;

        strcpy(above, path);
        slash = strrchr(above, '/');
        if (slash == NULL)
                return true;
        *slash = '\0';
        entry = tree_get(tree, above);
        return entry != NULL && entry->kind == ENTRY_DIR;
}

static void edit_foreign(struct sim *sim, struct mtree *tree)
{
        struct ment entry = {.kind = ENTRY_FILE};
        const struct ment *old =
            tree->count > 0 && chance(sim, 80) ? &tree->at[pick(sim, tree->count)] : NULL;
        uint64_t what = pick(sim, 100);
        char text[40];

        if (old != NULL && what < 25) {
                char path[PATH_MAX_SIM];

                if (tree->count < 6)
                        return;
                strcpy(path, old->path);
                sim_trace(sim, "  others remove %s", path);
                tree_remove(tree, path);
                return;
        }
        if (old != NULL && what < 35 && old->kind != ENTRY_DIR && old->kind != ENTRY_SYMLINK) {
                entry = *old;
                entry.kind = old->kind == ENTRY_FILE ? ENTRY_EXEC : ENTRY_FILE;
        } else if (old != NULL && what < 65 && old->kind != ENTRY_DIR) {
                entry = *old;
                if (entry.kind == ENTRY_SYMLINK && chance(sim, 50))
                        entry.kind = ENTRY_FILE;
                entry.data = keep_bytes(
                    sim, text,
                    (size_t)snprintf(text, sizeof(text), "others %llu",
                                     (unsigned long long)pick(sim, chance(sim, 30) ? 2 : 1000)));
        } else {
                int name = (int)pick(sim, NAMES_COMMON);
                bool below =
                    old != NULL && old->kind == ENTRY_DIR && strlen(old->path) < PATH_MAX_SIM - 20;

                snprintf(entry.path, sizeof(entry.path), "%.40s%s%s", below ? old->path : "",
                         below ? "/" : "", name_text(name));
                if (tree_get(tree, entry.path) != NULL || tree->count > LIVE_MAX)
                        return;
                entry.kind = what < 75 ? ENTRY_DIR : what < 80 ? ENTRY_SYMLINK : ENTRY_FILE;
                if (entry.kind != ENTRY_DIR)
                        entry.data = keep_bytes(sim, text,
                                                (size_t)snprintf(text, sizeof(text), "new %llu",
                                                                 (unsigned long long)pick(sim, 9)));
        }
        if (!parent_exists(tree, entry.path))
                return;
        for (const char *at = entry.path, *end = at; *end != '\0'; end++)
                if (*end == '/' && ++at - entry.path > DEPTH_MAX)
                        return;
        entry.node = 0;
        entry.stamp = ++sim->stamps;
        sim_trace(sim, "  others put %s (%d)", entry.path, entry.kind);
        tree_put(tree, &entry);
}

bool trees_same(const struct mtree *a, const struct mtree *b)
{
        if (a->count != b->count)
                return false;
        for (size_t i = 0; i < a->count; i++)
                if (!ment_same(&a->at[i], tree_get(b, a->at[i].path)))
                        return false;
        return true;
}

/* Now and then, what others do is what we did. */
static void copy_ours(struct sim *sim, struct mtree *tree)
{
        struct mtree ours;
        struct ment entry;

        tree_of_model(sim, &ours);
        if (ours.count == 0)
                return;
        entry = ours.at[pick(sim, ours.count)];
        entry.node = 0;
        if (!parent_exists(tree, entry.path) || strstr(entry.path, name_text(NAME_IGNORED)) ||
            (entry.kind != ENTRY_DIR && tree_get(tree, entry.path) != NULL &&
             tree_get(tree, entry.path)->kind == ENTRY_DIR))
                return;
        entry.stamp = ++sim->stamps;
        sim_trace(sim, "  others put our %s", entry.path);
        tree_put(tree, &entry);
}

void land_foreign(struct sim *sim)
{
        struct mtree next = sim->tail;
        const char *doing = sim->doing;

        sim->doing = "landing as another";
        for (uint64_t edits = 1 + pick(sim, 3); edits > 0; edits--)
                if (chance(sim, 15))
                        copy_ours(sim, &next);
                else
                        edit_foreign(sim, &next);
        tree_sort(&next);
        if (!trees_same(&next, &sim->tail)) {
                sim->tail_at = land_tree(sim, &sim->tail, &sim->tail_at, &next);
                sim->tail = next;
                sim_trace(sim, "others land @%llu", (unsigned long long)sim->tail_at.position);
        }
        sim->doing = doing;
}
