#include "tests/land/synth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define AT_ONCE    64
#define FILES      400000u /* of the universe */
#define HOT_FILES  200u
#define DIRS       2000u
#define AUTHORS    40u
#define START_MS   1600000000000ull
#define STEP_MS    15000ull
#define BATCH_EACH 100u

/* splitmix64 (Steele, Lea and Flood, 2014). */
static uint64_t mix(uint64_t z)
{
        z += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
}

void synth_path(uint64_t number, char out[SYNTH_PATH_SIZE])
{
        static const char *const tops[] = {"src", "lib", "test", "docs", "tools", "web", "api"};
        static const char *const parts[] = {"core",  "net",    "store", "render", "auth", "cache",
                                            "parse", "schema", "audit", "worker", "i18n", "client"};
        uint64_t dir = mix(number / (FILES / DIRS)) % DIRS;

        snprintf(out, SYNTH_PATH_SIZE, "%s/%s%u/%s%u/file%u.c", tops[dir % 7], parts[dir / 7 % 12],
                 (unsigned)(dir % 5), parts[dir / 3 % 12], (unsigned)(dir / 84),
                 (unsigned)(number % (FILES / DIRS)));
}

/* One to SYNTH_PATHS_MAX files; a fifth of all changes are to a few hundred files. */
static void draw_paths(uint64_t seed, struct synth_landing *out)
{
        uint64_t files[SYNTH_PATHS_MAX];

        out->path_count = 1 + (uint32_t)(mix(seed) % SYNTH_PATHS_MAX * (mix(seed + 1) % 3) / 2);
        for (uint32_t i = 0; i < out->path_count; i++) {
                uint64_t draw = mix(seed + 2 + i);
                /* Most are neighbours of the first. */
                uint64_t near = files[0] + draw % 30;

                if (i > 0 && draw % 4 > 0)
                        files[i] = near;
                else
                        files[i] = draw % 5 == 0 ? draw / 5 % HOT_FILES * 997 : draw / 5 % FILES;
        }
        for (uint32_t i = 0; i < out->path_count; i++)
                synth_path(files[i] % FILES, out->paths[i]);
}

void synth_landing_at(uint64_t position, struct synth_landing *out)
{
        uint64_t seed = mix(position * 1000003);

        be64_put(out->session.bytes, mix(seed));
        be64_put(out->session.bytes + 8, mix(seed + 0x5e55));
        snprintf(out->author, sizeof(out->author), "Author %u <a%u@example.org>",
                 (unsigned)(seed % AUTHORS), (unsigned)(seed % AUTHORS));
        snprintf(out->goal, sizeof(out->goal), "change %" PRIu64 ": %s", position,
                 seed % 3 ? "make it faster" : "fix what was reported");
        draw_paths(seed + 17, out);
}

/* --- slots --- */

static int by_path(const void *a, const void *b)
{
        return span_cmp(((const struct slot_path *)a)->path, ((const struct slot_path *)b)->path);
}

/* Sorted, each once. */
static uint32_t list_paths(const struct synth_landing *landing, struct slot_path *paths)
{
        uint32_t count = 0;

        for (uint32_t i = 0; i < landing->path_count; i++)
                paths[i] =
                    (struct slot_path){.kind = SLOT_CHANGED, .path = span_str(landing->paths[i])};
        qsort(paths, landing->path_count, sizeof(*paths), by_path);
        for (uint32_t i = 0; i < landing->path_count; i++)
                if (i == 0 || !span_eq(paths[i].path, paths[count - 1].path))
                        paths[count++] = paths[i];
        return count;
}

static enum hif_err put_slot(const struct slot_read *from, uint64_t position, bool batches,
                             const struct hif_hash *previous, struct buf *out)
{
        struct synth_landing landing;
        struct slot_path paths[SYNTH_PATHS_MAX];
        struct slot_member members[2];
        uint64_t wall_ms = START_MS + position * STEP_MS;
        struct slot slot = {.kind = SLOT_LANDING,
                            .position = position,
                            .tag = mix(position + 7) | 1,
                            .base_position = position - 1 - mix(position) % 5 % position,
                            .previous = *previous,
                            .tree = from->slot.tree,
                            .tree_entries = from->slot.tree_entries,
                            .hlc = wall_ms << 16,
                            .wall_ns = wall_ms * 1000000,
                            .paths = paths};
        enum hif_err err;

        synth_landing_at(position, &landing);
        slot.session = landing.session;
        be64_put(slot.landing_id, mix(position + 1));
        slot.author = span_str(landing.author);
        slot.goal = span_str(landing.goal);
        slot.path_count = list_paths(&landing, paths);
        if (batches && position % BATCH_EACH == 0 && slot.path_count > 1) {
                for (uint32_t i = 0; i < 2; i++) {
                        members[i] =
                            (struct slot_member){.tag = slot.tag + i,
                                                 .session = slot.session,
                                                 .base_position = slot.base_position,
                                                 .wall_ns = slot.wall_ns,
                                                 .author = slot.author,
                                                 .goal = slot.goal,
                                                 .path_count = i == 0 ? 1 : slot.path_count - 1};
                        members[i].session.bytes[0] ^= (uint8_t)i;
                }
                slot.kind = SLOT_BATCH;
                slot.members = members;
                slot.member_count = 2;
                slot.tag = slot.base_position = 0;
                slot.session = (struct session_id){{0}};
                slot.author = slot.goal = (struct span){0};
        }
        err = bloom_init(&slot.bloom, slot.path_count * 6);
        for (uint32_t i = 0; err == HIF_OK && i < slot.path_count; i++)
                bloom_add_path(&slot.bloom, paths[i].path);
        if (err == HIF_OK)
                err = slot_put(out, &slot);
        bloom_free(&slot.bloom);
        return err;
}

enum hif_err synth_append(const struct project *project, struct slot_read *from, uint64_t position,
                          bool batches, struct hif_why *why)
{
        struct hif_hash previous = from->hash;
        enum hif_err err = HIF_OK;

        for (uint64_t at = from->slot.position + 1; at <= position && err == HIF_OK;) {
                struct store_req reqs[AT_ONCE] = {0};
                struct layout_key keys[AT_ONCE];
                struct buf bodies[AT_ONCE] = {0};
                size_t count = 0;

                for (; count < AT_ONCE && at <= position && err == HIF_OK; count++, at++) {
                        err = put_slot(from, at, batches, &previous, &bodies[count]);
                        previous = hash_of(HASH_SLOT, buf_span(&bodies[count]));
                        keys[count] = layout_slot(&project->layout, at);
                        reqs[count] = (struct store_req){.op = STORE_PUT_NEW,
                                                         .key = keys[count].text,
                                                         .body = buf_span(&bodies[count])};
                }
                store_run(project->store, reqs, count);
                for (size_t i = 0; i < count; i++) {
                        if (err == HIF_OK && reqs[i].result != HIF_OK)
                                err = why_set(why, reqs[i].result, "cannot write %s", keys[i].text);
                        store_req_free(&reqs[i]);
                        buf_free(&bodies[i]);
                }
        }
        slot_read_free(from);
        return err;
}
