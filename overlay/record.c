/* record.c - items to bytes and back. Room is asked for once an item; the rest is stores. */
#include "overlay/record.h"

#include "core/key.h"

#include <assert.h>

#define ITEM_HEADER    8
#define ATTRS_SIZE     20
#define TIME_SIZE      12
#define ENTRY_SIZE     (1 + 8 + 32 + TIME_SIZE + 16 + 32 + 4 + 4)
#define DIRENT_BASE    1 /* flag: the base's entry follows */
#define EXTENT_CARRIED 1 /* flag: the bytes follow */

/* --- writing --- */

static uint8_t *w8(uint8_t *p, uint8_t value)
{
        *p = value;
        return p + 1;
}

static uint8_t *w16(uint8_t *p, uint16_t value)
{
        be16_put(p, value);
        return p + 2;
}

static uint8_t *w32(uint8_t *p, uint32_t value)
{
        be32_put(p, value);
        return p + 4;
}

static uint8_t *w64(uint8_t *p, uint64_t value)
{
        be64_put(p, value);
        return p + 8;
}

static uint8_t *wbytes(uint8_t *p, const void *data, size_t size)
{
        if (size > 0)
                memcpy(p, data, size);
        return p + size;
}

static uint8_t *wname(uint8_t *p, struct span name)
{
        assert(name.size <= RECORD_NAME_MAX);
        return wbytes(w16(p, (uint16_t)name.size), name.data, name.size);
}

static uint8_t *wtime(uint8_t *p, const struct hif_time *time)
{
        return w32(w64(p, (uint64_t)time->sec), time->nsec);
}

static uint8_t *wentry(uint8_t *p, const struct entry *entry)
{
        p = w64(w8(p, (uint8_t)entry->kind), entry->size);
        p = wbytes(p, entry->hash.bytes, HIF_HASH_SIZE);
        p = wtime(p, &entry->mtime);
        p = w64(w64(p, entry->tag.position), entry->tag.id);
        p = wbytes(p, entry->loc.pack.bytes, HIF_HASH_SIZE);
        return w32(w32(p, entry->loc.offset), entry->loc.size);
}

/* Where the payload starts, or NULL when out of memory. */
static uint8_t *item_begin(struct buf *out, size_t payload_max)
{
        uint8_t *p = buf_reserve(out, ITEM_HEADER + payload_max);

        return p == NULL ? NULL : p + ITEM_HEADER;
}

static void item_end(struct buf *out, enum item_kind kind, uint8_t flags, uint16_t fields,
                     const uint8_t *end)
{
        uint8_t *start = out->data + out->size;
        size_t size = (size_t)(end - start);

        w32(w16(w8(w8(start, (uint8_t)kind), flags), fields), (uint32_t)(size - ITEM_HEADER));
        buf_extend(out, size);
}

void put_node(struct buf *out, const struct onode *node, uint16_t fields)
{
        size_t extents = (fields & NODE_STATE) ? node->extent_count : 0;
        uint8_t *p = item_begin(out, 8 + ATTRS_SIZE + 16 + 3 * TIME_SIZE + 10 + node->name.size +
                                         2 + node->target.size + 8 + ENTRY_SIZE + 20 +
                                         extents * RECORD_EXTENT_SIZE);

        if (p == NULL)
                return;
        p = w64(p, node->id);
        if (fields & NODE_ATTRS) {
                p = w16(w8(w8(p, (uint8_t)node->kind), 0), node->mode);
                p = w32(w32(w32(w32(p, node->flags), node->uid), node->gid), node->nlink);
        }
        if (fields & NODE_SIZE)
                p = w64(w64(p, node->size), node->base_limit);
        if (fields & NODE_TIMES)
                p = wtime(wtime(wtime(p, &node->atime), &node->mtime), &node->ctime);
        if (fields & NODE_PLACE)
                p = wname(w64(p, node->parent), node->name);
        if (fields & NODE_TARGET)
                p = wname(p, node->target);
        if (fields & NODE_VERIFIER)
                p = w64(p, node->verifier);
        if (fields & NODE_BASE)
                p = wentry(p, &node->base);
        if (fields & NODE_STATE) {
                p = w32(w64(w64(p, node->seq), node->data_seq), node->extent_count);
                for (size_t i = 0; i < extents; i++) {
                        const struct oextent *extent = &node->extents[i];

                        p = w64(w64(w64(p, extent->offset), extent->size), extent->at);
                        p = w32(p, extent->file);
                }
        }
        item_end(out, ITEM_PUT_NODE, 0, fields, p);
}

/* An item whose payload is `count` u64. */
static void put_numbers(struct buf *out, enum item_kind kind, const uint64_t *numbers, size_t count)
{
        uint8_t *p = item_begin(out, count * 8);

        if (p == NULL)
                return;
        for (size_t i = 0; i < count; i++)
                p = w64(p, numbers[i]);
        item_end(out, kind, 0, 0, p);
}

void put_del_node(struct buf *out, uint64_t id)
{
        put_numbers(out, ITEM_DEL_NODE, &id, 1);
}

void put_cut(struct buf *out, uint64_t id, uint64_t size)
{
        put_numbers(out, ITEM_CUT, (uint64_t[]){id, size}, 2);
}

void put_drop_extents(struct buf *out, uint64_t id)
{
        put_numbers(out, ITEM_DROP_EXTENTS, &id, 1);
}

void put_ops_drop(struct buf *out, uint64_t through)
{
        put_numbers(out, ITEM_OPS_DROP, &through, 1);
}

void put_notes_drop(struct buf *out, uint64_t through)
{
        put_numbers(out, ITEM_NOTES_DROP, &through, 1);
}

void put_ids(struct buf *out, uint64_t next)
{
        put_numbers(out, ITEM_IDS, &next, 1);
}

void put_reset(struct buf *out)
{
        put_numbers(out, ITEM_RESET, NULL, 0);
}

void put_dirent(struct buf *out, const struct odirent *row, uint64_t seq)
{
        uint8_t *p = item_begin(out, 5 * 8 + 2 + row->name.size + ENTRY_SIZE);
        uint8_t flags = 0;

        if (p == NULL)
                return;
        p = w64(w64(w64(w64(w64(p, row->dir), row->hash60), row->child), row->base_child), seq);
        p = wname(p, row->name);
        if (row->base.kind != 0) {
                flags = DIRENT_BASE;
                p = wentry(p, &row->base);
        }
        item_end(out, ITEM_PUT_DIRENT, flags, 0, p);
}

void put_del_dirent(struct buf *out, uint64_t dir, uint64_t hash60, struct span name)
{
        uint8_t *p = item_begin(out, 2 * 8 + 2 + name.size);

        if (p != NULL)
                item_end(out, ITEM_DEL_DIRENT, 0, 0, wname(w64(w64(p, dir), hash60), name));
}

void put_extent(struct buf *out, uint64_t id, const struct oextent *extent, struct span carried)
{
        uint8_t *p = item_begin(out, 4 * 8 + 4 + carried.size);

        assert(carried.size == 0 || carried.size == extent->size);
        if (p == NULL)
                return;
        p = w32(w64(w64(w64(w64(p, id), extent->offset), extent->size), extent->at), extent->file);
        if (carried.size > 0)
                memcpy(p, carried.data, carried.size);
        item_end(out, ITEM_EXTENT, carried.size > 0 ? EXTENT_CARRIED : 0, 0, p + carried.size);
}

void put_op(struct buf *out, const struct session_op *op, uint64_t seq)
{
        uint8_t *p = item_begin(out, 8 + 1 + HIF_HASH_SIZE + 4 + op->path.size + op->path2.size);

        if (p == NULL)
                return;
        p = w8(w64(p, seq), (uint8_t)op->kind);
        p = wbytes(p, op->hash.bytes, HIF_HASH_SIZE);
        p = wbytes(w32(p, (uint32_t)op->path.size), op->path.data, op->path.size);
        item_end(out, ITEM_OP, 0, 0, wbytes(p, op->path2.data, op->path2.size));
}

void put_note(struct buf *out, const struct onote *note, uint64_t seq)
{
        uint8_t *p = item_begin(out, 8 + 1 + 2 + note->role.size + note->text.size);

        if (p == NULL)
                return;
        p = wname(w8(w64(p, seq), (uint8_t)note->kind), note->role);
        item_end(out, ITEM_NOTE, 0, 0, wbytes(p, note->text.data, note->text.size));
}

void put_value(struct buf *out, struct span name, struct span value)
{
        uint8_t *p = item_begin(out, 2 + name.size + value.size);

        if (p != NULL)
                item_end(out, ITEM_VALUE, 0, 0, wbytes(wname(p, name), value.data, value.size));
}

void put_reply(struct buf *out, const struct overlay_reply *reply)
{
        uint8_t *p = item_begin(out, 24);

        if (p == NULL)
                return;
        p = w64(w64(p, reply->key), reply->node);
        item_end(out, ITEM_REPLY, 0, 0, w32(w32(p, reply->xid), reply->proc));
}

/* --- comparing --- */

static bool time_eq(const struct hif_time *a, const struct hif_time *b)
{
        return a->sec == b->sec && a->nsec == b->nsec;
}

static bool entry_eq(const struct entry *a, const struct entry *b)
{
        return a->kind == b->kind && a->size == b->size && hash_eq(&a->hash, &b->hash) &&
               time_eq(&a->mtime, &b->mtime) && a->tag.position == b->tag.position &&
               a->tag.id == b->tag.id && hash_eq(&a->loc.pack, &b->loc.pack) &&
               a->loc.offset == b->loc.offset && a->loc.size == b->loc.size;
}

static bool name_eq(struct span a, struct span b)
{
        return a.size == b.size && (a.data == b.data || span_eq(a, b));
}

uint16_t node_diff(const struct onode *a, const struct onode *b)
{
        unsigned fields = 0;

        if (a->kind != b->kind || a->mode != b->mode || a->flags != b->flags || a->uid != b->uid ||
            a->gid != b->gid || a->nlink != b->nlink)
                fields |= NODE_ATTRS;
        if (a->size != b->size || a->base_limit != b->base_limit)
                fields |= NODE_SIZE;
        if (!time_eq(&a->atime, &b->atime) || !time_eq(&a->mtime, &b->mtime) ||
            !time_eq(&a->ctime, &b->ctime))
                fields |= NODE_TIMES;
        if (a->parent != b->parent || !name_eq(a->name, b->name))
                fields |= NODE_PLACE;
        if (!name_eq(a->target, b->target))
                fields |= NODE_TARGET;
        if (a->verifier != b->verifier)
                fields |= NODE_VERIFIER;
        if (!entry_eq(&a->base, &b->base))
                fields |= NODE_BASE;
        return (uint16_t)fields;
}

/* --- reading --- */

static struct span rname(struct reader *rd)
{
        return rd_span(rd, rd_u16(rd));
}

static struct hif_time rtime(struct reader *rd)
{
        struct hif_time time;

        time.sec = (int64_t)rd_u64(rd);
        time.nsec = rd_u32(rd);
        return time;
}

static void rentry(struct reader *rd, struct entry *out)
{
        uint8_t kind = rd_u8(rd);

        if (kind > ENTRY_DIR)
                rd->bad = true;
        *out = (struct entry){.kind = (enum entry_kind)kind};
        out->size = rd_u64(rd);
        rd_copy(rd, out->hash.bytes, HIF_HASH_SIZE);
        out->mtime = rtime(rd);
        out->tag.position = rd_u64(rd);
        out->tag.id = rd_u64(rd);
        rd_copy(rd, out->loc.pack.bytes, HIF_HASH_SIZE);
        out->loc.offset = rd_u32(rd);
        out->loc.size = rd_u32(rd);
}

static void rnode(struct reader *rd, struct item *out)
{
        struct onode *node = &out->node;
        uint16_t fields = out->fields;

        out->id = node->id = rd_u64(rd);
        if (node->id == NODEID_NONE)
                rd->bad = true;
        if (fields & NODE_ATTRS) {
                node->kind = (enum onode_kind)rd_u8(rd);
                rd_u8(rd);
                node->mode = rd_u16(rd);
                node->flags = rd_u32(rd);
                node->uid = rd_u32(rd);
                node->gid = rd_u32(rd);
                node->nlink = rd_u32(rd);
                if (node->kind > ONODE_CHAR)
                        rd->bad = true;
        }
        if (fields & NODE_SIZE) {
                node->size = rd_u64(rd);
                node->base_limit = rd_u64(rd);
        }
        if (fields & NODE_TIMES) {
                node->atime = rtime(rd);
                node->mtime = rtime(rd);
                node->ctime = rtime(rd);
        }
        if (fields & NODE_PLACE) {
                node->parent = rd_u64(rd);
                node->name = rname(rd);
        }
        if (fields & NODE_TARGET)
                node->target = rname(rd);
        if (fields & NODE_VERIFIER)
                node->verifier = rd_u64(rd);
        if (fields & NODE_BASE)
                rentry(rd, &node->base);
        if (fields & NODE_STATE) {
                node->seq = rd_u64(rd);
                node->data_seq = rd_u64(rd);
                out->extent_bytes = rd_span(rd, (size_t)rd_u32(rd) * RECORD_EXTENT_SIZE);
        }
}

static struct oextent rextent(struct reader *rd)
{
        struct oextent extent;

        extent.offset = rd_u64(rd);
        extent.size = rd_u64(rd);
        extent.at = rd_u64(rd);
        extent.file = rd_u32(rd);
        if (extent.size == 0 || extent.offset > UINT64_MAX - extent.size ||
            extent.at > UINT64_MAX - extent.size)
                rd->bad = true;
        return extent;
}

struct oextent item_extent(struct span extent_bytes, size_t index)
{
        struct reader rd =
            rd_open(span_of(extent_bytes.data + index * RECORD_EXTENT_SIZE, RECORD_EXTENT_SIZE));

        return rextent(&rd);
}

static void rdirent(struct reader *rd, uint8_t flags, struct odirent *out)
{
        *out = (struct odirent){0};
        out->dir = rd_u64(rd);
        out->hash60 = rd_u64(rd);
        out->child = rd_u64(rd);
        out->base_child = rd_u64(rd);
        out->seq = rd_u64(rd);
        out->name = rname(rd);
        if (out->name.size == 0 || out->name.size > NAME_SIZE_MAX)
                rd->bad = true;
        if (flags & DIRENT_BASE)
                rentry(rd, &out->base);
}

static void rop(struct reader *rd, struct item *out)
{
        out->number = rd_u64(rd);
        out->op.kind = (enum session_op_kind)rd_u8(rd);
        rd_copy(rd, out->op.hash.bytes, HIF_HASH_SIZE);
        out->op.path = rd_span(rd, rd_u32(rd));
        out->op.path2 = rd_span(rd, rd_left(rd));
        if (out->op.kind < SESSION_CREATE || out->op.kind > SESSION_LINK)
                rd->bad = true;
}

static void rnote(struct reader *rd, struct onote *out)
{
        uint8_t kind;

        out->seq = rd_u64(rd);
        kind = rd_u8(rd);
        if (kind != ONOTE_MESSAGE && kind != ONOTE_DECISION)
                rd->bad = true;
        out->kind = (enum onote_kind)kind;
        out->role = rname(rd);
        out->text = rd_span(rd, rd_left(rd));
}

static enum hif_err item_payload(struct reader *rd, uint8_t kind, uint8_t flags, struct item *out)
{
        out->kind = (enum item_kind)kind;
        switch (out->kind) {
        case ITEM_PUT_NODE:
                memset(&out->node, 0, sizeof(out->node));
                out->extent_bytes = (struct span){0};
                rnode(rd, out);
                break;
        case ITEM_DEL_NODE:
        case ITEM_DROP_EXTENTS:
                out->id = rd_u64(rd);
                break;
        case ITEM_PUT_DIRENT:
                rdirent(rd, flags, &out->dirent);
                break;
        case ITEM_DEL_DIRENT:
                out->dirent.dir = rd_u64(rd);
                out->dirent.hash60 = rd_u64(rd);
                out->dirent.name = rname(rd);
                break;
        case ITEM_EXTENT:
                out->id = rd_u64(rd);
                out->extent = rextent(rd);
                out->carried = (struct span){0};
                if ((flags & EXTENT_CARRIED) != 0 && out->extent.size != rd_left(rd))
                        return HIF_ECORRUPT;
                if ((flags & EXTENT_CARRIED) != 0)
                        out->carried = rd_span(rd, rd_left(rd));
                break;
        case ITEM_CUT:
                out->id = rd_u64(rd);
                out->number = rd_u64(rd);
                break;
        case ITEM_OP:
                rop(rd, out);
                break;
        case ITEM_NOTE:
                rnote(rd, &out->note);
                break;
        case ITEM_OPS_DROP:
        case ITEM_NOTES_DROP:
        case ITEM_IDS:
                out->number = rd_u64(rd);
                break;
        case ITEM_VALUE:
                out->name = rname(rd);
                out->value = rd_span(rd, rd_left(rd));
                break;
        case ITEM_REPLY:
                out->reply.key = rd_u64(rd);
                out->reply.node = rd_u64(rd);
                out->reply.xid = rd_u32(rd);
                out->reply.proc = rd_u32(rd);
                break;
        case ITEM_RESET:
                break;
        default:
                return HIF_EUNSUPPORTED;
        }
        return rd_done(rd) ? HIF_OK : HIF_ECORRUPT;
}

enum hif_err item_next(struct reader *rd, struct item *out)
{
        uint8_t kind = rd_u8(rd), flags = rd_u8(rd);
        struct reader payload;

        out->fields = rd_u16(rd);
        payload = rd_open(rd_span(rd, rd_u32(rd)));
        if (rd_bad(rd))
                return HIF_ECORRUPT;
        return item_payload(&payload, kind, flags, out);
}

bool record_has_extents(struct span body)
{
        struct reader rd = rd_open(body);

        while (rd_left(&rd) > 0) {
                uint8_t kind = rd_u8(&rd), flags = rd_u8(&rd);

                rd_u16(&rd);
                rd_span(&rd, rd_u32(&rd));
                if ((kind == ITEM_EXTENT && (flags & EXTENT_CARRIED) == 0) || rd_bad(&rd))
                        return true;
        }
        return false;
}
