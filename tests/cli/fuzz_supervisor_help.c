/* Requests of a server that may be in anyone's hands: whatever comes, a decoded one's texts lie within
 * its bytes, and it is encoded as the same bytes. */
#include "cli/supervisor/helper.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO_BUF struct buf again = {0};
        struct help_request request;

        if (help_decode(span_of(data, size), &request) != HIF_OK)
                return 0;
        assert(request.op >= HELP_MOUNT_NFS && request.op <= HELP_PEERS);
        assert(request.mount_point == (const char *)data + 20);
        assert(request.name == request.mount_point + strlen(request.mount_point) + 1);
        assert(request.name + strlen(request.name) + 1 == (const char *)data + size);
        assert(help_encode(&again, &request) == HIF_OK);
        assert(span_eq(buf_span(&again), span_of(data, size)));
        return 0;
}
