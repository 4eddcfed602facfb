/* content.c - sorted pieces. */
#include "content.h"
#include "op.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void content_free(struct content *content)
{
        free(content->pieces);
        *content = (struct content){0};
}

static void insert(struct content *content, size_t at, struct piece piece)
{
        if (content->count == content->room) {
                content->room = content->room == 0 ? 16 : 2 * content->room;
                content->pieces =
                    realloc(content->pieces, content->room * sizeof(*content->pieces));
                assert(content->pieces != NULL);
        }
        memmove(content->pieces + at + 1, content->pieces + at,
                (content->count - at) * sizeof(*content->pieces));
        content->pieces[at] = piece;
        content->count++;
}

static struct piece cut(struct piece piece, uint64_t start, uint64_t end)
{
        piece.from += start - piece.start;
        piece.start = start;
        piece.end = end;
        return piece;
}

/* No piece is left in [start, end). Returns where one that starts there belongs. */
static size_t make_room(struct content *content, uint64_t start, uint64_t end)
{
        size_t i = 0;

        while (i < content->count && content->pieces[i].end <= start)
                i++;
        if (i < content->count && content->pieces[i].start < start) {
                struct piece whole = content->pieces[i];

                content->pieces[i++] = cut(whole, whole.start, start);
                if (whole.end > end)
                        insert(content, i, cut(whole, end, whole.end));
        }
        while (i < content->count && content->pieces[i].start < end) {
                struct piece *piece = &content->pieces[i];

                if (piece->end > end) {
                        *piece = cut(*piece, end, piece->end);
                        break;
                }
                memmove(piece, piece + 1, (content->count - i - 1) * sizeof(*piece));
                content->count--;
        }
        return i;
}

static void put(struct content *content, struct piece piece)
{
        size_t at = make_room(content, piece.start, piece.end);

        if (piece.tag != 0 && piece.start < piece.end)
                insert(content, at, piece);
        if (piece.end > content->size)
                content->size = piece.end;
}

void content_write(struct content *content, uint64_t offset, uint64_t size, uint32_t tag)
{
        if (size > 0)
                put(content, (struct piece){offset, offset + size, offset, tag});
}

void content_zero(struct content *content, uint64_t offset, uint64_t size)
{
        uint64_t end = offset + size < content->size ? offset + size : content->size;

        if (offset < end)
                make_room(content, offset, end);
}

void content_resize(struct content *content, uint64_t size)
{
        make_room(content, size, UINT64_MAX);
        content->size = size;
}

void content_copy(struct content *to, uint64_t to_offset, const struct content *from,
                  uint64_t from_offset, uint64_t size)
{
        struct content source = *from;

        if (size == 0)
                return;
        source.pieces = malloc((from->count + 1) * sizeof(*source.pieces));
        assert(source.pieces != NULL);
        if (from->count > 0)
                memcpy(source.pieces, from->pieces, from->count * sizeof(*source.pieces));
        put(to, (struct piece){to_offset, to_offset + size, 0, 0});
        for (size_t i = 0; i < source.count; i++) {
                struct piece piece = source.pieces[i];
                uint64_t start = piece.start > from_offset ? piece.start : from_offset;
                uint64_t end = piece.end < from_offset + size ? piece.end : from_offset + size;

                if (start >= end)
                        continue;
                piece = cut(piece, start, end);
                piece.start = piece.start - from_offset + to_offset;
                piece.end = piece.end - from_offset + to_offset;
                put(to, piece);
        }
        free(source.pieces);
}

void content_pattern(uint32_t tag, uint64_t offset, size_t size, uint8_t *out)
{
        size_t done = 0;

        if (tag == 0) {
                memset(out, 0, size);
                return;
        }
        while (done < size) {
                uint64_t at = offset + done, word = op_mix(tag, at / 8);
                size_t skip = at % 8, part = 8 - skip < size - done ? 8 - skip : size - done;

                memcpy(out + done, (const uint8_t *)&word + skip, part);
                done += part;
        }
}

void content_expect(const struct content *content, uint64_t offset, size_t size, uint8_t *out)
{
        assert(offset + size <= content->size);
        memset(out, 0, size);
        for (size_t i = 0; i < content->count; i++) {
                struct piece piece = content->pieces[i];
                uint64_t start = piece.start > offset ? piece.start : offset;
                uint64_t end = piece.end < offset + size ? piece.end : offset + size;

                if (start < end)
                        content_pattern(piece.tag, piece.from + (start - piece.start), end - start,
                                        out + (start - offset));
        }
}

uint32_t content_tag_at(const struct content *content, uint64_t offset)
{
        for (size_t i = 0; i < content->count; i++)
                if (content->pieces[i].start <= offset && offset < content->pieces[i].end)
                        return content->pieces[i].tag;
        return 0;
}
