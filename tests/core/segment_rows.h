/* segment_rows.h - a segment to test with: a landing in most places, a batch, a void. */
#ifndef HIF_TESTS_CORE_SEGMENT_ROWS_H
#define HIF_TESTS_CORE_SEGMENT_ROWS_H

#include "core/segment.h"

#include <stdio.h>

static inline void fill_hash(struct hif_hash *hash, uint8_t what, uint64_t number)
{
        memset(hash->bytes, what, sizeof(hash->bytes));
        be64_put(hash->bytes, number);
}

#define ROW_BATCH 3 /* positions in the segment */
#define ROW_VOID  4

struct rows {
        struct segment_row rows[SEGMENT_SLOTS];
        struct slot_member members[2];
        struct slot_refused refused[1];
        char goals[SEGMENT_SLOTS][24];
};

static inline struct segment rows_segment(struct rows *rows, uint64_t start)
{
        struct segment segment = {.window = {.kind = WINDOW_SEGMENT, .start = start},
                                  .rows = rows->rows};

        if (start > 0)
                fill_hash(&segment.window.before, 0x51, start - 1);
        for (uint32_t i = 0; i < SEGMENT_SLOTS; i++) {
                struct segment_row *row = &rows->rows[i];
                struct slot *slot = &row->slot;

                fill_hash(&row->hash, 0x51, start + i);
                *slot = (struct slot){.kind = SLOT_LANDING,
                                      .position = start + i,
                                      .tag = 0x7a00 + i,
                                      .base_position = start + i > 0 ? start + i - 1 : 0,
                                      .tree_entries = 10 + i,
                                      .hlc = (1700000000000ull + i) << 16,
                                      .wall_ns = (1700000000000ull + i) * 1000000,
                                      .author = span_str("Ann"),
                                      .path_count = i % 5};
                fill_hash(&slot->tree, 0x33, i);
                memset(slot->session.bytes, (int)(i & 0xff), SESSION_ID_SIZE);
                snprintf(rows->goals[i], sizeof(rows->goals[i]), "goal %u", i);
                slot->goal = span_str(rows->goals[i]);
        }
        for (uint32_t i = 0; i < 2; i++) {
                rows->members[i] = (struct slot_member){.tag = 0x77 + i,
                                                        .wall_ns = 5 + i,
                                                        .author = span_str("Ben"),
                                                        .goal = span_str("together"),
                                                        .path_count = 1 + i};
                memset(rows->members[i].session.bytes, 0xe0 + (int)i, SESSION_ID_SIZE);
        }
        memset(rows->refused[0].session.bytes, 0xfe, SESSION_ID_SIZE);
        struct slot *batch = &rows->rows[ROW_BATCH].slot;
        batch->kind = SLOT_BATCH;
        batch->members = rows->members;
        batch->member_count = 2;
        batch->refused = rows->refused;
        batch->refused_count = 1;
        batch->path_count = 3;
        rows->rows[ROW_VOID].slot.kind = SLOT_VOID;
        rows->rows[ROW_VOID].slot.path_count = 0;
        segment.window.end = rows->rows[SEGMENT_SLOTS - 1].hash;
        return segment;
}

#endif
