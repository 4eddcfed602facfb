/* landing.c - a project's format and its head. */
#include "core/landing.h"

#include "core/body.h"
#include "core/landing_check.h"

#include <assert.h>

/* --- the checksum of slots and the format --- */

/*      0   n   the record
 *      n   8   check: the first bytes of BLAKE3 in derive-key mode of those n
 *      n+8
 *
 * Other objects are named by their hash, and every slot names the one before. Nothing names the
 * newest slot or the format, so that they must tell of a changed bit themselves (I3).
 */
#define CHECK_CONTEXT "hif 2026 record check v1"

static struct hif_hash record_hash(struct span record)
{
        struct blake3 state;
        struct hif_hash hash;

        blake3_init_derive(&state, span_str(CHECK_CONTEXT));
        blake3_update(&state, record);
        blake3_final(&state, &hash);
        return hash;
}

void landing_check_put(struct buf *out, size_t start)
{
        struct hif_hash hash;

        if (buf_failed(out))
                return;
        assert(out->size > start);
        hash = record_hash(span_of(out->data + start, out->size - start));
        buf_put(out, hash.bytes, LANDING_CHECK_SIZE);
}

enum hif_err landing_check_get(struct span stored, struct span *record)
{
        struct hif_hash hash;
        struct span rest;

        if (stored.size < LANDING_CHECK_SIZE)
                return HIF_ECORRUPT;
        rest = span_of(stored.data, stored.size - LANDING_CHECK_SIZE);
        hash = record_hash(rest);
        if (memcmp(hash.bytes, rest.data + rest.size, LANDING_CHECK_SIZE) != 0)
                return HIF_ECORRUPT;
        *record = rest;
        return HIF_OK;
}

enum hif_err landing_record_open(struct span stored, const char magic[4], uint8_t version,
                                 struct reader *rd)
{
        struct reader start = rd_open(stored);
        struct span found = rd_span(&start, 4), record;
        uint8_t found_version = rd_u8(&start);

        if (rd_bad(&start) || !span_eq(found, span_of(magic, 4)))
                return HIF_ECORRUPT;
        if (found_version != version)
                return HIF_EUNSUPPORTED;
        if (landing_check_get(stored, &record) != HIF_OK)
                return HIF_ECORRUPT;
        *rd = rd_open(record);
        (void)rd_span(rd, 4 + sizeof(version));
        return HIF_OK;
}

/* --- format --- */

/*      0   4   "HIFF"
 *      4   2   version, 1
 *      6   2   zero
 *      8   16  project id
 *     24   8   required features
 *     32   8   optional features
 *     40   8   tree: seed
 *     48   6   tree: leaf min, mean, max, 2 each
 *     54   6   tree: inner min, mean, max, 2 each
 *     60   12  chunker: min, mean, max, 4 each
 *     72  8   check of all before
 *     80
 *
 * Chunks are cut alike in every project so far; a project that was made with other sizes is refused
 * rather than cut in two ways.
 */
#define FORMAT_VERSION        1
#define FORMAT_FEATURES_KNOWN 0ull

static const char format_magic[4] = "HIFF";

void format_put(struct buf *out, const struct project_format *format)
{
        const struct tree_params *tree = &format->tree;
        size_t start = out->size;

        assert(tree_params_valid(tree) && !(format->features_required & ~FORMAT_FEATURES_KNOWN));
        buf_put(out, format_magic, sizeof(format_magic));
        buf_put_u16(out, FORMAT_VERSION);
        buf_put_u16(out, 0);
        buf_put(out, format->project_id, sizeof(format->project_id));
        buf_put_u64(out, format->features_required);
        buf_put_u64(out, format->features_optional);
        buf_put_u64(out, tree->seed);
        buf_put_u16(out, tree->leaf_min);
        buf_put_u16(out, tree->leaf_mean);
        buf_put_u16(out, tree->leaf_max);
        buf_put_u16(out, tree->inner_min);
        buf_put_u16(out, tree->inner_mean);
        buf_put_u16(out, tree->inner_max);
        buf_put_u32(out, BODY_CHUNK_MIN);
        buf_put_u32(out, BODY_CHUNK_MEAN);
        buf_put_u32(out, BODY_CHUNK_MAX);
        landing_check_put(out, start);
}

static void get_tree_params(struct reader *rd, struct tree_params *tree)
{
        tree->seed = rd_u64(rd);
        tree->leaf_min = rd_u16(rd);
        tree->leaf_mean = rd_u16(rd);
        tree->leaf_max = rd_u16(rd);
        tree->inner_min = rd_u16(rd);
        tree->inner_mean = rd_u16(rd);
        tree->inner_max = rd_u16(rd);
}

enum hif_err format_get(struct span stored, struct project_format *out)
{
        struct reader rd = rd_open(stored);
        struct span magic = rd_span(&rd, sizeof(format_magic));
        uint16_t version = rd_u16(&rd), zero;
        struct project_format format = {0};
        struct span record;
        bool chunks_known;

        if (rd_bad(&rd) || !span_eq(magic, span_of(format_magic, sizeof(format_magic))))
                return HIF_ECORRUPT;
        if (version != FORMAT_VERSION)
                return HIF_EUNSUPPORTED;
        if (landing_check_get(stored, &record) != HIF_OK)
                return HIF_ECORRUPT;
        rd = rd_open(record);
        (void)rd_span(&rd, sizeof(format_magic) + sizeof(version));
        zero = rd_u16(&rd);
        rd_copy(&rd, format.project_id, sizeof(format.project_id));
        format.features_required = rd_u64(&rd);
        format.features_optional = rd_u64(&rd);
        if (!rd_bad(&rd) && format.features_required & ~FORMAT_FEATURES_KNOWN)
                return HIF_EUNSUPPORTED; /* whatever follows may mean something else */
        get_tree_params(&rd, &format.tree);
        chunks_known = rd_u32(&rd) == BODY_CHUNK_MIN;
        chunks_known = rd_u32(&rd) == BODY_CHUNK_MEAN && chunks_known;
        chunks_known = rd_u32(&rd) == BODY_CHUNK_MAX && chunks_known;
        if (!rd_done(&rd) || zero != 0 || !tree_params_valid(&format.tree))
                return HIF_ECORRUPT;
        if (!chunks_known)
                return HIF_EUNSUPPORTED;
        *out = format;
        return HIF_OK;
}

/* --- head --- */

/*      0   8   position
 *      8   32  tree
 *     40   8   hlc
 *     48
 *
 * The one record without magic and version: its size is part of the layout's contract.
 */
void head_put(struct buf *out, const struct head *head)
{
        assert(head->position <= POSITION_MAX);
        buf_put_u64(out, head->position);
        buf_put(out, head->tree.bytes, HIF_HASH_SIZE);
        buf_put_u64(out, head->hlc);
}

enum hif_err head_get(struct span stored, struct head *out)
{
        struct reader rd = rd_open(stored);
        struct head head;

        head.position = rd_u64(&rd);
        rd_copy(&rd, head.tree.bytes, HIF_HASH_SIZE);
        head.hlc = rd_u64(&rd);
        if (!rd_done(&rd) || head.position > POSITION_MAX)
                return HIF_ECORRUPT;
        *out = head;
        return HIF_OK;
}
