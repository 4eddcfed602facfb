#include "fuse/handshake.h"

#include <linux/fuse.h>

#define MAGIC   0x48464853u /* "HFHS" */
#define VERSION 1u

void handshake_free(struct handshake *handshake)
{
        buf_free(&handshake->request);
        buf_free(&handshake->reply);
}

void handshake_encode(const struct handshake *handshake, struct buf *out)
{
        buf_put_u32(out, MAGIC);
        buf_put_u8(out, VERSION);
        buf_put_u8(out, 0);
        buf_put_u16(out, 0);
        buf_put_u64(out, handshake->key.k0);
        buf_put_u64(out, handshake->key.k1);
        buf_put_u32(out, handshake->want);
        buf_put_u32(out, (uint32_t)handshake->request.size);
        buf_put_span(out, buf_span(&handshake->request));
        buf_put_u32(out, (uint32_t)handshake->reply.size);
        buf_put_span(out, buf_span(&handshake->reply));
}

/* Words of one side, with the header that FUSE gives them: its first word is their size. */
static void get_words(struct reader *rd, size_t header, struct buf *out)
{
        uint32_t size = rd_u32(rd), told = 0;
        struct span words = rd_span(rd, size <= HANDSHAKE_WORDS_MAX ? size : SIZE_MAX);

        if (!rd_bad(rd) && words.size >= header)
                memcpy(&told, words.data, sizeof(told));
        if (told == size && size > 0)
                buf_put_span(out, words);
}

enum hif_err handshake_decode(struct span bytes, struct handshake *out)
{
        struct reader rd = rd_open(bytes);
        struct handshake got = {0};
        uint32_t magic = rd_u32(&rd);
        uint8_t version = rd_u8(&rd);
        enum hif_err err = HIF_OK;

        (void)rd_u8(&rd), (void)rd_u16(&rd);
        got.key.k0 = rd_u64(&rd);
        got.key.k1 = rd_u64(&rd);
        got.want = rd_u32(&rd);
        if (rd_bad(&rd) || magic != MAGIC)
                return HIF_ECORRUPT;
        if (version != VERSION)
                return HIF_EUNSUPPORTED;
        get_words(&rd, sizeof(struct fuse_in_header), &got.request);
        get_words(&rd, sizeof(struct fuse_out_header), &got.reply);
        if (buf_failed(&got.request) || buf_failed(&got.reply))
                err = HIF_ENOMEM;
        else if (!rd_done(&rd) || got.request.size == 0 || got.reply.size == 0)
                err = HIF_ECORRUPT;
        if (err != HIF_OK) {
                handshake_free(&got);
                return err;
        }
        *out = got;
        return HIF_OK;
}
