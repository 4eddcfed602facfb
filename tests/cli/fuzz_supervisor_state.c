/* What a supervisor leaves for the program that takes its place: whatever the bytes, what is decoded
 * lies within them, and is the same again once it is encoded. */
#include "cli/supervisor/state.h"
#include "cli/supervisor/wire.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_span(struct span span, const uint8_t *data, size_t size)
{
        assert(span.size == 0 ||
               (span.data >= data && span.size <= size && span.data + span.size <= data + size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO_FREE struct state *state = malloc(sizeof(*state)), *again = malloc(sizeof(*again));
        AUTO_BUF struct buf bytes = {0};

        if (state == NULL || again == NULL || state_get(span_of(data, size), state) != HIF_OK)
                return 0;
        check_span(state->version, data, size);
        check_span(state->control, data, size);
        check_span(state->own, data, size);
        check_span(state->program, data, size);
        assert(state->item_count <= SHELF_MAX);
        for (size_t i = 0; i < state->item_count; i++) {
                check_span(state->items[i].name, data, size);
                check_span(state->items[i].note, data, size);
                assert(state->items[i].fd >= 0);
        }
        if (state->pidfd < 0 || state->calls < 0 || state->events < 0)
                return 0; /* no server that could be watched was named: it is written as found */
        state_put(&bytes, state);
        assert(state_get(buf_span(&bytes), again) == HIF_OK);
        assert(again->server_pid == state->server_pid && again->item_count == state->item_count);
        assert(span_eq(again->control, state->control) && span_eq(again->version, state->version));
        return 0;
}
