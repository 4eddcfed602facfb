#include "nfs/handle.h"

#define VERSION      1u
#define WORKSPACE_AT 4
#define FILEID_AT    12
#define MAC_AT       20

struct handle_seal handle_seal_make(const uint8_t key[16], uint64_t workspace)
{
        return (struct handle_seal){.key = {.k0 = be64_get(key), .k1 = be64_get(key + 8)},
                                    .workspace = workspace};
}

void handle_put(const struct handle_seal *seal, uint64_t fileid, uint8_t out[HANDLE_SIZE])
{
        be32_put(out, VERSION << 24);
        be64_put(out + WORKSPACE_AT, seal->workspace);
        be64_put(out + FILEID_AT, fileid);
        be64_put(out + MAC_AT, siphash(seal->key, out, MAC_AT));
}

/* Every field is compared, in the same time whatever differs. */
enum hif_err handle_get(const struct handle_seal *seal, struct span handle, uint64_t *fileid)
{
        uint64_t wrong;

        if (handle.size != HANDLE_SIZE)
                return HIF_EBADHANDLE;
        wrong = be32_get(handle.data) ^ VERSION << 24;
        wrong |= be64_get(handle.data + WORKSPACE_AT) ^ seal->workspace;
        wrong |= be64_get(handle.data + MAC_AT) ^ siphash(seal->key, handle.data, MAC_AT);
        if (wrong != 0)
                return HIF_EBADHANDLE;
        *fileid = be64_get(handle.data + FILEID_AT);
        return HIF_OK;
}
