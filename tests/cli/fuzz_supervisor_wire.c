/* Messages between supervisor, server and commands: whatever comes, a decoded one lies within its
 * bytes. */
#include "cli/supervisor/wire.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct wire_msg msg;

        if (wire_decode(span_of(data, size), &msg) != HIF_OK)
                return 0;
        assert(msg.fd == -1);
        assert(msg.name.size <= WIRE_NAME_MAX && msg.note.size <= WIRE_NOTE_MAX);
        assert(WIRE_HEAD + msg.name.size + msg.note.size == size);
        assert(msg.name.size == 0 || msg.name.data == data + WIRE_HEAD);
        assert(msg.note.size == 0 || msg.note.data == data + WIRE_HEAD + msg.name.size);
        return 0;
}
