#include "nfs/out.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define AREA_MIN   ((size_t)64 << 10)
#define PIECES_MIN 64
#define SEND_IOVS  256

void out_free(struct out *out)
{
        for (size_t i = out->pin_first; i < out->pin_count; i++)
                fetch_unref(out->pins[i].ref);
        free(out->area);
        free(out->pieces);
        free(out->pins);
        *out = (struct out){0};
}

/* Bytes of the area before `floor` are sent: move the rest down over them, if that is worth it. */
static void compact(struct out *out)
{
        size_t floor = out->used;

        for (size_t i = out->piece_first; i < out->piece_count; i++)
                if (out->pieces[i].data == NULL) {
                        floor = out->pieces[i].at;
                        break;
                }
        if (floor < out->used - floor)
                return;
        memmove(out->area, out->area + floor, out->used - floor);
        out->used -= floor;
        for (size_t i = out->piece_first; i < out->piece_count; i++)
                if (out->pieces[i].data == NULL)
                        out->pieces[i].at -= floor;
}

/* One free place in an array that is used up from the front. */
static bool make_place(void **items, size_t item_size, size_t *first, size_t *count,
                       size_t *capacity, size_t wanted)
{
        size_t grown = *capacity > 0 ? *capacity : PIECES_MIN;
        void *moved;

        if (*count + wanted <= *capacity)
                return true;
        if (*first >= *capacity / 2 && *first > 0) {
                memmove(*items, (uint8_t *)*items + *first * item_size,
                        (*count - *first) * item_size);
                *count -= *first;
                *first = 0;
                if (*count + wanted <= *capacity)
                        return true;
        }
        while (grown < *count + wanted)
                grown *= 2;
        moved = reallocarray(*items, grown, item_size);
        if (moved == NULL)
                return false;
        *items = moved;
        *capacity = grown;
        return true;
}

static bool piece_places(struct out *out, size_t wanted)
{
        void *items = out->pieces;
        bool made = make_place(&items, sizeof(*out->pieces), &out->piece_first, &out->piece_count,
                               &out->piece_capacity, wanted);

        out->pieces = items;
        return made;
}

static bool pin_places(struct out *out, size_t wanted)
{
        void *items = out->pins;
        bool made = make_place(&items, sizeof(*out->pins), &out->pin_first, &out->pin_count,
                               &out->pin_capacity, wanted);

        out->pins = items;
        return made;
}

uint8_t *out_reserve(struct out *out, size_t size)
{
        size_t grown = out->capacity > 0 ? out->capacity : AREA_MIN;
        uint8_t *area;

        if (out->used + size > out->capacity && out->used > 0)
                compact(out);
        if (out->used + size > out->capacity) {
                while (grown < out->used + size)
                        grown *= 2;
                area = realloc(out->area, grown);
                if (area == NULL)
                        return NULL;
                out->area = area;
                out->capacity = grown;
        }
        /* So that committing plain bytes cannot fail. */
        if (out->piece_count == out->piece_capacity && !piece_places(out, 1))
                return NULL;
        return out->area + out->used;
}

static void add_area(struct out *out, size_t size)
{
        struct out_piece *last =
            out->piece_count > out->piece_first ? &out->pieces[out->piece_count - 1] : NULL;

        if (last != NULL && last->data == NULL && last->at + last->size == out->used)
                last->size += size;
        else
                out->pieces[out->piece_count++] = (struct out_piece){.at = out->used, .size = size};
        out->used += size;
        out->queued += size;
}

void out_commit(struct out *out, const uint8_t *end)
{
        size_t size = (size_t)(end - (out->area + out->used));

        assert(size <= out->capacity - out->used);
        add_area(out, size);
}

static bool in_scratch(const struct out_data *data, const struct iovec *iov)
{
        const uint8_t *at = iov->iov_base;

        return at >= data->scratch && at < data->scratch + data->scratch_size;
}

enum hif_err out_commit_data(struct out *out, const uint8_t *head_end, const struct out_data *data)
{
        static const uint8_t zeros[4];
        struct vfs_call *call = data->call;
        size_t pad = -data->size & 3;

        if (!piece_places(out, data->count + 2) || !pin_places(out, call->pin_count))
                return HIF_ENOMEM;
        out_commit(out, head_end);
        for (size_t i = 0; i < data->count; i++) {
                const struct iovec *iov = &data->iov[i];
                struct out_piece piece = {.data = iov->iov_base, .size = iov->iov_len};

                if (in_scratch(data, iov)) {
                        piece.at = (size_t)(piece.data - out->area);
                        piece.data = NULL;
                        out->used = piece.at + piece.size;
                }
                out->pieces[out->piece_count++] = piece;
        }
        if (pad > 0)
                out->pieces[out->piece_count++] = (struct out_piece){.data = zeros, .size = pad};
        out->queued += data->size + pad;
        while (call->pin_count > 0)
                out->pins[out->pin_count++] =
                    (struct out_pin){.ref = call->pins[--call->pin_count], .until = out->queued};
        return HIF_OK;
}

/* The kernel has taken `size` bytes more. */
static void advance(struct out *out, size_t size)
{
        out->sent += size;
        out->taken += size;
        while (size > 0) {
                struct out_piece *piece = &out->pieces[out->piece_first];
                size_t part = piece->size < size ? piece->size : size;

                if (piece->data != NULL)
                        piece->data += part;
                else
                        piece->at += part;
                piece->size -= part;
                size -= part;
                if (piece->size == 0)
                        out->piece_first++;
        }
        while (out->pin_first < out->pin_count && out->pins[out->pin_first].until <= out->sent)
                fetch_unref(out->pins[out->pin_first++].ref);
        if (out->piece_first == out->piece_count)
                out->piece_first = out->piece_count = 0;
        if (out->pin_first == out->pin_count)
                out->pin_first = out->pin_count = 0;
}

void out_trim(struct out *out)
{
        if (out->queued != out->sent)
                return;
        free(out->area);
        out->area = NULL;
        out->capacity = 0;
}

enum hif_err out_send(struct out *out, int fd)
{
        struct iovec iov[SEND_IOVS];

        while (out->sent < out->queued) {
                struct msghdr message = {.msg_iov = iov};
                ssize_t taken;

                for (size_t i = out->piece_first;
                     i < out->piece_count && message.msg_iovlen < SEND_IOVS; i++) {
                        const struct out_piece *piece = &out->pieces[i];
                        const uint8_t *from =
                            piece->data != NULL ? piece->data : out->area + piece->at;

                        iov[message.msg_iovlen++] = (struct iovec){
                            .iov_base = (void *)(uintptr_t)from, .iov_len = piece->size};
                }
                taken = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (taken < 0 && errno == EINTR)
                        continue;
                if (taken < 0)
                        return errno == EAGAIN || errno == EWOULDBLOCK ? HIF_EAGAIN : HIF_EIO;
                advance(out, (size_t)taken);
        }
        out->used = 0;
        return HIF_OK;
}
