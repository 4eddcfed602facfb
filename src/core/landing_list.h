/* landing_list.h - the elements of path, object and member lists, as slots and LIST objects share
 * them. Private to landing. */
#ifndef HIF_CORE_LANDING_LIST_H
#define HIF_CORE_LANDING_LIST_H

#include "core/landing.h"

/* The elements alone, without a count; drawn in landing_list.c, members in landing_member.c. */
void slot_path_elements_put(struct buf *out, const struct slot_path *paths, uint32_t count);
void slot_object_elements_put(struct buf *out, const struct slot_object *objects, uint32_t count);
void slot_member_elements_put(struct buf *out, const struct slot_member *members, uint32_t count);
void slot_refused_elements_put(struct buf *out, const struct slot_refused *refused, uint32_t count);

/* All of bytes, which must be exactly `count` elements. The arrays stay NULL for none. */
HIF_MUST_USE enum hif_err slot_path_elements_get(struct span bytes, uint32_t count,
                                                 struct arena *arena, struct slot_path **paths);
HIF_MUST_USE enum hif_err slot_object_elements_get(struct span bytes, uint32_t count,
                                                   struct arena *arena,
                                                   struct slot_object **objects);
HIF_MUST_USE enum hif_err slot_member_elements_get(struct span bytes, uint32_t count,
                                                   struct arena *arena,
                                                   struct slot_member **members);
HIF_MUST_USE enum hif_err slot_refused_elements_get(struct span bytes, struct arena *arena,
                                                    struct slot_refused **refused, uint32_t *count);

/* The header of a LIST object; its elements follow, to the end. HIF_ECORRUPT, HIF_EUNSUPPORTED. */
enum list_kind { LIST_PATHS = 1, LIST_OBJECTS = 2, LIST_MEMBERS = 3, LIST_CHANGES = 4 };
void landing_list_header_put(struct buf *out, enum list_kind kind, uint32_t count);
HIF_MUST_USE enum hif_err landing_list_header_get(struct reader *rd, enum list_kind kind,
                                                  uint32_t *count);

/* The first SLOT_GOAL_MAX bytes, not ending within a UTF-8 sequence. */
struct span slot_goal_cut(struct span goal);

#endif
