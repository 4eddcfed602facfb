/* nfs3_dir.c - READDIR and READDIRPLUS (RFC 1813 §3.3.16, §3.3.17).
 *
 * A page is filled until the next entry would pass one of the client's limits. `count` of READDIR
 * and `maxcount` of READDIRPLUS bound the whole READDIR3resok; `dircount` bounds the bytes of
 * names, fileids and cookies alone, and is a hint: one entry is always given if maxcount has room
 * for it, so that a listing makes progress whatever the limits. */
#include "nfs/nfs3.h"

#define RESOK_SIZE    (POST_OP_ATTR_MAX + 8u) /* dir_attributes, cookieverf */
#define LIST_END_SIZE 8u                      /* no more entries, eof */
#define ENTRY_SIZE    (4u + 8u + 4u + 8u)     /* follows, fileid, name's size, cookie */
#define PLUS_SIZE     (POST_OP_ATTR_MAX + POST_OP_FH3_SIZE)
#define PAGE_MIN      (RESOK_SIZE + LIST_END_SIZE) /* of an empty page */
#define DIR_COOKIE    "cookieverf"

struct page {
        const struct nfs3_context *context;
        uint8_t *at;
        size_t left;     /* of count or maxcount, the list's end already taken off */
        size_t dir_left; /* of dircount */
        size_t entries;
        bool plus;
        bool full;
};

static bool add_entry(void *arg, const struct vfs_dirent *entry)
{
        struct page *page = arg;
        size_t name = xdr_padded(entry->name.size);
        size_t size = ENTRY_SIZE + name + (page->plus ? PLUS_SIZE : 0);
        size_t dir_size = 8 + 4 + name + 8;

        if (size > page->left || (dir_size > page->dir_left && page->entries > 0)) {
                page->full = true;
                return false;
        }
        page->left -= size;
        page->dir_left -= dir_size < page->dir_left ? dir_size : page->dir_left;
        page->entries++;
        page->at = xdr_put_u32(page->at, 1);
        page->at = xdr_put_u64(page->at, entry->id);
        page->at = xdr_put_opaque(page->at, entry->name);
        page->at = xdr_put_u64(page->at, entry->cookie);
        if (page->plus) {
                page->at = nfs3_put_post_op(page->context, page->at, entry->attr);
                page->at = nfs3_put_post_op_fh(page->context, page->at, entry->id);
        }
        return true;
}

/* Constant as long as the directory exists: cookies are positions in the order of names, which no
 * change invalidates. So what a client sends back need not be looked at. */
static uint64_t cookie_verifier(const struct nfs3_context *context, uint64_t dir)
{
        uint8_t input[sizeof(DIR_COOKIE) + 8];

        memcpy(input, DIR_COOKIE, sizeof(DIR_COOKIE));
        be64_put(input + sizeof(DIR_COOKIE), dir);
        return siphash(context->seal.key, input, sizeof(input));
}

static enum hif_err list(struct nfs3_op *op, uint64_t dir, uint64_t cookie, struct page *page,
                         struct vfs_attr *attr, bool *eof)
{
        enum hif_err err =
            vfs_readdir(op->vfs, op->call, dir, cookie, page->plus, add_entry, page, eof, attr);

        /* Not even one fits: only a larger page helps. */
        if (err == HIF_OK && page->full && page->entries == 0)
                return HIF_ELIMIT;
        return err;
}

/* What one READDIR or READDIRPLUS asks for. */
struct question {
        uint64_t dir, cookie;
        size_t dir_max, max;
        bool plus;
};

static enum nfs3_done answer(struct nfs3_op *op, const struct question *question, enum hif_err err)
{
        size_t max = question->max < NFS_READDIR_MAX ? question->max : NFS_READDIR_MAX;
        struct vfs_attr attr = {.id = NODEID_NONE};
        struct page page = {
            .context = op->context, .dir_left = question->dir_max, .plus = question->plus};
        enum nfs3_done done;
        bool eof = false;
        uint8_t *list_at;

        if (!nfs3_room(op, NFS3_STATUS_SIZE + (max > PAGE_MIN ? max : PAGE_MIN)))
                return NFS3_NOMEM;
        list_at = op->at + NFS3_STATUS_SIZE + RESOK_SIZE;
        page.at = list_at;
        page.left = max > PAGE_MIN ? max - PAGE_MIN : 0;
        if (err == HIF_OK)
                err = list(op, question->dir, question->cookie, &page, &attr, &eof);
        if (err == HIF_ELIMIT && page.full) {
                op->status = NFS3ERR_TOOSMALL;
                op->at = xdr_put_u32(op->at, NFS3ERR_TOOSMALL);
                op->at = nfs3_put_post_op(op->context, op->at, &attr);
                return NFS3_ANSWER;
        }
        done = nfs3_begin(op, err);
        if (done != NFS3_ANSWER)
                return done;
        op->at = nfs3_put_post_op(op->context, op->at, &attr);
        if (err != HIF_OK)
                return done;
        op->at = xdr_put_u64(op->at, cookie_verifier(op->context, question->dir));
        op->at = xdr_put_u32(page.at, 0);
        op->at = xdr_put_u32(op->at, eof);
        return done;
}

enum nfs3_done nfs3_readdir(struct nfs3_op *op)
{
        struct question question = {.dir_max = SIZE_MAX};
        enum hif_err err = nfs3_get_handle(op, &question.dir);

        question.cookie = xdr_u64(&op->args);
        xdr_u64(&op->args); /* cookieverf */
        question.max = xdr_u32(&op->args);
        return op->args.bad ? NFS3_GARBAGE : answer(op, &question, err);
}

enum nfs3_done nfs3_readdirplus(struct nfs3_op *op)
{
        struct question question = {.plus = true};
        enum hif_err err = nfs3_get_handle(op, &question.dir);

        question.cookie = xdr_u64(&op->args);
        xdr_u64(&op->args); /* cookieverf */
        question.dir_max = xdr_u32(&op->args);
        question.max = xdr_u32(&op->args);
        return op->args.bad ? NFS3_GARBAGE : answer(op, &question, err);
}
