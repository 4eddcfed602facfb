/* fuzz_rpc.c - any bytes, as the stream of a connection into a whole server.
 *
 * Handles in the corpus are sealed with the fixture's key, so that inputs reach the procedures.
 * What the server sends back must be whole records of RPC replies, whatever came. */
#include "tclient.h"

#include <sys/socket.h>
#include <unistd.h>

#define INPUTS_PER_SERVER 500 /* then a fresh one: what inputs have written piles up */
#define TURNS             6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tmount *start(void)
{
        struct tmount_options options = {.nfs = true,
                                         .seed = 1,
                                         .overlay.log_segment_bytes = 65536,
                                         .overlay.data_segment_bytes = 65536};
        struct tmount *m = tmount_new(&options);

        tmount_add_text(m, "file", "content\n");
        tmount_add_link(m, "link", "dir/a");
        tmount_add_text(m, "dir/a", "a");
        tmount_add_file(m, "run.sh", "#!/bin/sh\n", 10, true);
        tmount_open(m);
        return m;
}

static void check_replies(const struct buf *in)
{
        size_t at = 0;

        while (at < in->size) {
                uint32_t mark;

                tmount_check(in->size - at >= 4);
                mark = be32_get(in->data + at);
                tmount_check((mark & 0x80000000u) != 0);
                mark &= 0x7fffffffu;
                tmount_check(mark >= 20 && mark % 4 == 0 && in->size - at - 4 >= mark);
                tmount_check(be32_get(in->data + at + 8) == 1);
                at += 4 + mark;
        }
}

/* Take what is there; false: the server has closed. */
static bool drain(int fd, struct buf *in)
{
        for (;;) {
                uint8_t *room = buf_reserve(in, 1 << 16);
                ssize_t count = recv(fd, room, 1 << 16, MSG_DONTWAIT);

                if (count <= 0)
                        return count < 0;
                buf_extend(in, (size_t)count);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct tmount *m;
        static unsigned inputs;
        AUTO_BUF struct buf in = {0};
        bool open = true;
        int fd;

        if (m == NULL || inputs++ % INPUTS_PER_SERVER == 0) {
                if (m != NULL)
                        tmount_free(m);
                m = start();
        }
        fd = tmount_connect(m);
        for (size_t at = 0; at < size && open;) {
                ssize_t sent = send(fd, data + at, size - at, MSG_NOSIGNAL | MSG_DONTWAIT);

                tmount_turn(m);
                open = drain(fd, &in) && (sent >= 0);
                if (sent > 0)
                        at += (size_t)sent;
        }
        for (int i = 0; i < TURNS; i++) {
                tmount_turn(m);
                drain(fd, &in);
        }
        close(fd);
        tmount_turn(m);
        check_replies(&in);
        return 0;
}
