/* landing_list.c - what a landing touched and what it brought, and the landings of a batch: in the
 * slot, or in LIST objects. */
#include "core/landing_list.h"

#include "core/key.h"

#include <assert.h>

/* --- elements --- */

/* A path:      0   1   kind
 *              1   2   size, path
 *              .   2   size, path from     (RENAMED only)
 */
#define PATH_SIZE_MIN (1 + 2 + 1)

static bool entry_path_valid(struct span path)
{
        return path.size > 0 && path_valid(path);
}

static bool slot_path_valid(const struct slot_path *path)
{
        if (path->kind < SLOT_ADDED || path->kind > SLOT_RENAMED || !entry_path_valid(path->path))
                return false;
        return path->kind == SLOT_RENAMED ? entry_path_valid(path->path_from)
                                          : path->path_from.size == 0;
}

static void put_path(struct buf *out, struct span path)
{
        buf_put_u16(out, (uint16_t)path.size);
        buf_put_span(out, path);
}

void slot_path_elements_put(struct buf *out, const struct slot_path *paths, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                assert(slot_path_valid(&paths[i]));
                buf_put_u8(out, (uint8_t)paths[i].kind);
                put_path(out, paths[i].path);
                if (paths[i].kind == SLOT_RENAMED)
                        put_path(out, paths[i].path_from);
        }
}

enum hif_err slot_path_elements_get(struct span bytes, uint32_t count, struct arena *arena,
                                    struct slot_path **paths)
{
        struct reader rd = rd_open(bytes);
        struct slot_path *list = NULL;

        if (count > bytes.size / PATH_SIZE_MIN)
                return HIF_ECORRUPT;
        if (count > 0) {
                list = arena_zalloc(arena, count * sizeof(*list));
                if (!list)
                        return HIF_ENOMEM;
        }
        for (uint32_t i = 0; i < count; i++) {
                list[i].kind = (enum slot_path_kind)rd_u8(&rd);
                list[i].path = rd_span(&rd, rd_u16(&rd));
                if (list[i].kind == SLOT_RENAMED)
                        list[i].path_from = rd_span(&rd, rd_u16(&rd));
                if (rd_bad(&rd) || !slot_path_valid(&list[i]))
                        return HIF_ECORRUPT;
        }
        if (!rd_done(&rd))
                return HIF_ECORRUPT;
        *paths = list;
        return HIF_OK;
}

/* An object:   0   1   kind
 *              1   32  hash
 */
#define OBJECT_SIZE (1 + HIF_HASH_SIZE)

static bool slot_object_valid(const struct slot_object *object)
{
        return object->kind >= SLOT_NODE && object->kind <= SLOT_CHUNKS;
}

void slot_object_elements_put(struct buf *out, const struct slot_object *objects, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                assert(slot_object_valid(&objects[i]));
                buf_put_u8(out, (uint8_t)objects[i].kind);
                buf_put(out, objects[i].hash.bytes, HIF_HASH_SIZE);
        }
}

enum hif_err slot_object_elements_get(struct span bytes, uint32_t count, struct arena *arena,
                                      struct slot_object **objects)
{
        struct reader rd = rd_open(bytes);
        struct slot_object *list = NULL;

        if (bytes.size != (size_t)count * OBJECT_SIZE)
                return HIF_ECORRUPT;
        if (count > 0) {
                list = arena_zalloc(arena, count * sizeof(*list));
                if (!list)
                        return HIF_ENOMEM;
        }
        for (uint32_t i = 0; i < count; i++) {
                list[i].kind = (enum slot_object_kind)rd_u8(&rd);
                rd_copy(&rd, list[i].hash.bytes, HIF_HASH_SIZE);
                if (!slot_object_valid(&list[i]))
                        return HIF_ECORRUPT;
        }
        if (!rd_done(&rd))
                return HIF_ECORRUPT;
        *objects = list;
        return HIF_OK;
}

/* --- LIST objects --- */

/*      0   4   "HIFI"
 *      4   1   version, 1
 *      5   1   kind: 1 paths, 2 objects, 3 members, 4 changes (proposal.c)
 *      6   2   zero
 *      8   4   count
 *     12   ..  count elements, to the end
 */
#define LIST_VERSION 1

static const char list_magic[4] = "HIFI";

void landing_list_header_put(struct buf *out, enum list_kind kind, uint32_t count)
{
        buf_put(out, list_magic, sizeof(list_magic));
        buf_put_u8(out, LIST_VERSION);
        buf_put_u8(out, (uint8_t)kind);
        buf_put_u16(out, 0);
        buf_put_u32(out, count);
}

enum hif_err landing_list_header_get(struct reader *rd, enum list_kind kind, uint32_t *count)
{
        struct span magic = rd_span(rd, sizeof(list_magic));
        uint8_t version = rd_u8(rd), got = rd_u8(rd);
        uint16_t zero = rd_u16(rd);
        uint32_t n = rd_u32(rd);

        if (rd_bad(rd) || !span_eq(magic, span_of(list_magic, sizeof(list_magic))))
                return HIF_ECORRUPT;
        if (version != LIST_VERSION)
                return HIF_EUNSUPPORTED;
        if (got != kind || zero != 0)
                return HIF_ECORRUPT;
        *count = n;
        return HIF_OK;
}

void slot_paths_put(struct buf *out, const struct slot_path *paths, uint32_t count)
{
        landing_list_header_put(out, LIST_PATHS, count);
        slot_path_elements_put(out, paths, count);
}

enum hif_err slot_paths_get(struct span stored, struct arena *arena, struct slot_path **paths,
                            uint32_t *count)
{
        struct reader rd = rd_open(stored);
        uint32_t n;
        enum hif_err err = landing_list_header_get(&rd, LIST_PATHS, &n);

        if (!err)
                err = slot_path_elements_get(rd_span(&rd, rd_left(&rd)), n, arena, paths);
        if (!err)
                *count = n;
        return err;
}

void slot_objects_put(struct buf *out, const struct slot_object *objects, uint32_t count)
{
        landing_list_header_put(out, LIST_OBJECTS, count);
        slot_object_elements_put(out, objects, count);
}

enum hif_err slot_objects_get(struct span stored, struct arena *arena, struct slot_object **objects,
                              uint32_t *count)
{
        struct reader rd = rd_open(stored);
        uint32_t n;
        enum hif_err err = landing_list_header_get(&rd, LIST_OBJECTS, &n);

        if (!err)
                err = slot_object_elements_get(rd_span(&rd, rd_left(&rd)), n, arena, objects);
        if (!err)
                *count = n;
        return err;
}

void slot_members_put(struct buf *out, const struct slot_member *members, uint32_t count)
{
        landing_list_header_put(out, LIST_MEMBERS, count);
        slot_member_elements_put(out, members, count);
}

enum hif_err slot_members_get(struct span stored, struct arena *arena, struct slot_member **members,
                              uint32_t *count)
{
        struct reader rd = rd_open(stored);
        uint32_t n;
        enum hif_err err = landing_list_header_get(&rd, LIST_MEMBERS, &n);

        if (!err)
                err = slot_member_elements_get(rd_span(&rd, rd_left(&rd)), n, arena, members);
        if (!err)
                *count = n;
        return err;
}
