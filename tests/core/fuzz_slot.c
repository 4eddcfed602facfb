/* fuzz_slot.c - what slot_get accepts can be written and read again; LIST objects come back to the
 * same bytes. */
#include "core/landing.h"
#include "core/landing_check.h"
#include "tests/core/fuzz_target.h"

#define POSITION_AT 8

static void fuzz_slot(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf again = {0};
        struct slot slot, second;
        uint64_t position =
            stored.size >= POSITION_AT + 8 ? be64_get(stored.data + POSITION_AT) : 0;

        if (slot_get(stored, position, &arena, &slot) != HIF_OK)
                return;
        FUZZ_CHECK(slot_put(&again, &slot) == HIF_OK);
        FUZZ_CHECK(again.size <= stored.size); /* less by the fields that we do not know */
        FUZZ_CHECK(slot_get(buf_span(&again), position, &arena, &second) == HIF_OK);
        FUZZ_CHECK(second.bloom_absent == slot.bloom_absent);
        for (uint32_t i = 0; slot.paths && i < slot.path_count; i++)
                (void)bloom_maybe(&slot.bloom, slot.paths[i].path);
        if (slot.member_count > 0 && !slot.members)
                return;
        for (uint32_t i = 0; i < slot_landing_count(&slot); i++) {
                struct slot_member member;
                uint32_t first;

                slot_landing_at(&slot, i, &member, &first);
                FUZZ_CHECK((uint64_t)first + member.path_count <= slot.path_count);
        }
}

/* With a checksum that matches: no mutation would get past it otherwise. */
static void fuzz_sealed_slot(struct span stored)
{
        AUTO_BUF struct buf sealed = {0};

        if (stored.size <= LANDING_CHECK_SIZE)
                return;
        buf_put(&sealed, stored.data, stored.size - LANDING_CHECK_SIZE);
        landing_check_put(&sealed, 0);
        fuzz_slot(buf_span(&sealed));
}

static void fuzz_lists(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf again = {0};
        struct slot_path *paths;
        struct slot_object *objects;
        struct slot_member *members;
        uint32_t count;

        if (slot_paths_get(stored, &arena, &paths, &count) == HIF_OK) {
                slot_paths_put(&again, paths, count);
                FUZZ_CHECK(span_eq(buf_span(&again), stored));
        } else if (slot_objects_get(stored, &arena, &objects, &count) == HIF_OK) {
                slot_objects_put(&again, objects, count);
                FUZZ_CHECK(span_eq(buf_span(&again), stored));
        } else if (slot_members_get(stored, &arena, &members, &count) == HIF_OK) {
                slot_members_put(&again, members, count);
                FUZZ_CHECK(span_eq(buf_span(&again), stored));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_slot(span_of(data, size));
        fuzz_sealed_slot(span_of(data, size));
        fuzz_lists(span_of(data, size));
        return 0;
}
