/* fuzz_control.c - the control socket, both sides. The first byte chooses: what a daemon answers to
 * a command, or what a command asks of a daemon.
 *
 * The daemon has no workspace, and one mount that did not come back; requests that reach out of
 * the process (mount, stop) are left out. */
#include "cli/control.h"
#include "cli/daemon/daemon.h"
#include "cli/supervisor/hold.h"
#include "tests/core/fuzz_target.h"

#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX  65536u /* what a socket takes before anyone reads */
#define TIMEOUT_MS 50

/* Our end and the peer's, in which the bytes wait, and nothing follows. */
static int peer_that_says(const uint8_t *data, size_t size, int *peer)
{
        int ends[2];

        FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        FUZZ_CHECK(send(ends[1], data, size, MSG_NOSIGNAL) == (ssize_t)size);
        FUZZ_CHECK(shutdown(ends[1], SHUT_WR) == 0);
        *peer = ends[1];
        return ends[0];
}

static struct daemon *make_daemon(void)
{
        static struct cli cli;
        static struct daemon daemon;
        static char nowhere[] = "/nonexistent";
        static const struct fetch_config config = {.ram_max = 1u << 20, .no_timer = true};

        if (daemon.cli != NULL)
                return &daemon;
        cli.env = env_system(NULL);
        cli.paths = (struct cli_paths){nowhere, nowhere, nowhere, nowhere, nowhere,
                                       nowhere, nowhere, nowhere, nowhere};
        daemon.cli = &cli;
        FUZZ_CHECK(pool_new(0, "fuzz", &daemon.pool) == HIF_OK);
        FUZZ_CHECK(fetch_new(&cli.env, daemon.pool, &config, &daemon.fetch, NULL) == HIF_OK);
        pthread_mutex_init(&daemon.resuming, NULL);
        pthread_mutex_init(&daemon.lock, NULL);
        pthread_mutex_init(&daemon.landing, NULL);
        FUZZ_CHECK(hold_new(-1, &daemon.hold) == HIF_OK);
        daemon.unresumed = json_pack("{s:s}", "/home/agent/app", "the store is away");
        return &daemon;
}

static void see_progress(void *arg, const json_t *progress)
{
        (void)arg;
        (void)json_integer_value(json_object_get(progress, "files_done"));
}

static void fuzz_command(const uint8_t *data, size_t size)
{
        struct hif_why why = {""};
        json_t *result = NULL;
        int peer, fd = peer_that_says(data, size, &peer);
        enum hif_err err = control_call(make_daemon()->cli, fd, json_pack("{s:s}", "op", "ping"),
                                        TIMEOUT_MS, see_progress, NULL, &result, &why);

        FUZZ_CHECK((err == HIF_OK) == (why.text[0] == '\0'));
        FUZZ_CHECK(err != HIF_OK || result != NULL);
        json_decref(result);
        close(fd);
        close(peer);
}

static void stop(void *arg)
{
        (void)arg;
}

static void fuzz_daemon(const uint8_t *data, size_t size)
{
        struct request request = {.daemon = make_daemon(), .stop = stop};
        int peer, fd = peer_that_says(data, size, &peer);

        request.fd = fd;
        while (control_receive(fd, TIMEOUT_MS, &request.args) == HIF_OK) {
                const char *op = json_string_value(json_object_get(request.args, "op"));
                json_t *answer = NULL;

                if (op == NULL || (strcmp(op, "mount") != 0 && strcmp(op, "stop") != 0)) {
                        request_serve(&request);
                        free(request.path);
                        request.path = NULL;
                        FUZZ_CHECK(control_receive(peer, TIMEOUT_MS, &answer) == HIF_OK);
                        FUZZ_CHECK(json_object_get(answer, "result") != NULL ||
                                   json_object_get(answer, "error") != NULL);
                }
                json_decref(answer);
                json_decref(request.args);
        }
        close(fd);
        close(peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0 || size > INPUT_MAX)
                return 0;
        if (data[0] & 1)
                fuzz_command(data + 1, size - 1);
        else
                fuzz_daemon(data + 1, size - 1);
        return 0;
}
