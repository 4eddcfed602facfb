/* bad_server - a program that `hif daemon upgrade` should not stay with. Its name says how it is bad:
 *
 *      exits      it ends at once
 *      silent     it does nothing
 *      dies       it sets itself up, and dies when it is to serve
 *      hangs      it sets itself up, and does nothing when it is to serve
 *      refuses    it says that it cannot start, and why */
#include "cli/supervisor/supervisor.h"
#include "cli/supervisor/wire.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(uint16_t kind, const char *name, const char *note)
{
        const struct wire_msg msg = {
            .kind = kind, .value = 5, .name = span_str(name), .note = span_str(note), .fd = -1};

        if (wire_send(SERVE_EVENTS_FD, &msg) != HIF_OK)
                exit(3);
}

int main(void)
{
        static uint8_t buffer[WIRE_SIZE_MAX];
        char path[4096] = "";
        const char *name;
        struct wire_msg msg;

        /* argv[0] is what the supervisor says. */
        if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
                return 3;
        name = strrchr(path, '/') + 1;
        if (strcmp(name, "exits") == 0)
                return 4;
        if (strcmp(name, "silent") == 0)
                pause();
        if (strcmp(name, "refuses") == 0) {
                say(WIRE_FAILED, "", "it is Sunday");
                return 1;
        }
        say(WIRE_WARM, "9.9.9", "");
        if (wire_receive(SERVE_EVENTS_FD, buffer, &msg) != HIF_OK || msg.kind != WIRE_GO)
                return 3;
        if (strcmp(name, "dies") == 0)
                abort();
        pause();
        return 0;
}
