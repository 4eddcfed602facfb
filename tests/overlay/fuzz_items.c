/* fuzz_items.c - any bytes, as the body of a log record: what item_next takes can be written and
 * read again, and rows made of them are sound. */
#include "overlay/rows.h"
#include "tests/core/fuzz_target.h"

static void check_node(const struct onode *node)
{
        AUTO_BUF struct buf bytes = {0};
        struct reader rd;
        struct item again = {0};
        uint64_t end = 0;

        for (uint32_t i = 0; i < node->extent_count; i++) {
                const struct oextent *extent = &node->extents[i];

                FUZZ_CHECK(extent->size > 0 && extent->offset >= end);
                end = extent->offset + extent->size;
                FUZZ_CHECK(end > extent->offset);
        }
        put_node(&bytes, node, NODE_FIELDS_ALL);
        rd = rd_open(buf_span(&bytes));
        FUZZ_CHECK(item_next(&rd, &again) == HIF_OK && rd_done(&rd));
        FUZZ_CHECK(again.node.id == node->id && again.node.size == node->size);
        FUZZ_CHECK(again.extent_bytes.size == (size_t)node->extent_count * RECORD_EXTENT_SIZE);
}

static void check_rows(struct rows *rows)
{
        struct idmap_at at = {0};
        uint64_t id;
        void *value;

        while (idmap_next(&rows->nodes, &at, &id, &value)) {
                const struct node_row *row = value;

                FUZZ_CHECK(row->node.id == id);
                check_node(&row->node);
        }
}

static void fuzz_body(struct span body)
{
        struct reader rd = rd_open(body);
        struct item item = {0};
        struct rows rows;

        while (rd_left(&rd) > 0 && item_next(&rd, &item) == HIF_OK)
                ;
        (void)record_has_extents(body);
        rows_init(&rows);
        (void)!rows_apply(&rows, 1, body);
        check_rows(&rows);
        (void)!rows_apply(&rows, 2, body);
        check_rows(&rows);
        rows_free(&rows);
}

/* Stored one by one, as in SQLite: whole rows, which may hold extents. */
static void fuzz_rows(struct span bytes)
{
        struct reader rd = rd_open(bytes);
        struct item item = {0};
        struct rows rows;

        rows_init(&rows);
        while (rd_left(&rd) > 0 && item_next(&rd, &item) == HIF_OK)
                (void)!rows_apply_item(&rows, 0, &item);
        check_rows(&rows);
        rows_free(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_body(span_of(data, size));
        fuzz_rows(span_of(data, size));
        return 0;
}
