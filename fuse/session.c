/* session.c - libfuse's side of a mount: its session, and the first words with the kernel. */
#include "fuse/internal.h"
#include "fuse/request.h"

#include "base/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define BACKGROUND_MAX   64   /* read-ahead and asynchronous requests in flight */
#define HELLO_TIMEOUT_MS 5000 /* the kernel speaks at once */

/* A successor agrees to just what was agreed on. */
static void agree_again(const struct handshake *handshake, struct fuse_conn_info *conn)
{
        struct fuse_init_out out = {0};
        struct span words = buf_span(&handshake->reply);

        words.data += sizeof(struct fuse_out_header);
        words.size -= sizeof(struct fuse_out_header);
        memcpy(&out, words.data, words.size < sizeof(out) ? words.size : sizeof(out));
        conn->want = handshake->want;
        conn->max_readahead = out.max_readahead;
        conn->max_write = out.max_write;
        conn->max_background = out.max_background;
        conn->congestion_threshold = out.congestion_threshold;
        conn->time_gran = out.time_gran;
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
        struct fuse_server *server = userdata;

        conn->max_read = IO_SIZE_MAX;
        if (server->resumed) {
                agree_again(&server->handshake, conn);
                return;
        }
        /* Not: AUTO_INVAL_DATA, which would drop the pages at each of our own changes of mtime;
         * splice, which costs a pipe a request and saves nothing from memory; WRITEBACK_CACHE. */
        conn->want = conn->capable &
                     (FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
                      FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_DIO |
                      FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA);
        conn->max_write = IO_SIZE_MAX;
        conn->max_background = BACKGROUND_MAX;
        conn->congestion_threshold = BACKGROUND_MAX / 4 * 3;
        conn->time_gran = 1;
        server->handshake.want = conn->want;
}

/* What is not here gets ENOSYS, and the kernel asks no more: ACCESS (default_permissions),
 * the attributes by name, FALLOCATE, COPY_FILE_RANGE, locks (which it then keeps itself). */
static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = on_lookup,
    .forget = on_forget,
    .forget_multi = on_forget_multi,
    .getattr = on_getattr,
    .setattr = on_setattr,
    .readlink = on_readlink,
    .statfs = on_statfs,
    .mknod = on_mknod,
    .mkdir = on_mkdir,
    .symlink = on_symlink,
    .link = on_link,
    .unlink = on_unlink,
    .rmdir = on_rmdir,
    .rename = on_rename,
    .create = on_create,
    .open = on_open,
    .read = on_read,
    .write = on_write,
    .lseek = on_lseek,
    .flush = on_flush,
    .release = on_release,
    .fsync = on_fsync,
    .opendir = on_opendir,
    .readdir = on_readdir,
    .readdirplus = on_readdirplus,
    .fsyncdir = on_fsync,
};

/* --- what goes out --- */

static ssize_t send_words(int fd, struct iovec *iov, int count, void *userdata)
{
        struct fuse_server *server = userdata;
        size_t size = 0;

        if (server->hello == HELLO_OVER)
                return writev(fd, iov, count);
        for (int i = 0; i < count; i++) {
                buf_put(&server->words, iov[i].iov_base, iov[i].iov_len);
                size += iov[i].iov_len;
        }
        return server->hello == HELLO_SAID ? (ssize_t)size : writev(fd, iov, count);
}

static ssize_t receive_words(int fd, void *to, size_t size, void *userdata)
{
        (void)userdata;
        return read(fd, to, size);
}

/* --- the first words --- */

static enum hif_err make_session(struct fuse_server *server,
                                 const struct fuse_server_config *config, int fd,
                                 struct hif_why *why)
{
        static const struct fuse_custom_io io = {.writev = send_words, .read = receive_words};
        AUTO_FREE char *options = mount_options(config);
        char *argv[] = {(char *)"hif", (char *)"-o", options, NULL};
        struct fuse_args args = FUSE_ARGS_INIT(3, argv);

        if (options == NULL)
                return why_set(why, HIF_ENOMEM, "out of memory");
        server->session = fuse_session_new(&args, &operations, sizeof(operations), server);
        fuse_opt_free_args(&args);
        if (server->session == NULL)
                return why_set(why, HIF_EIO, "libfuse refused the mount options '%s'", options);
        if (fuse_session_custom_io(server->session, &io, fd) != 0)
                return why_set(why, HIF_ENOMEM, "out of memory");
        return HIF_OK;
}

/* FUSE_INIT, read and remembered. */
static enum hif_err hear(struct fuse_server *server, int fd)
{
        struct pollfd kernel = {.fd = fd, .events = POLLIN};
        uint8_t *words = ledger_request(server->ledger, ledger_inbox(server->ledger));
        ssize_t size;
        int ready;

        do
                ready = poll(&kernel, 1, HELLO_TIMEOUT_MS);
        while (ready < 0 && errno == EINTR);
        if (ready <= 0)
                return HIF_ETIMEDOUT;
        do
                size = read(fd, words, LEDGER_REQUEST_MAX);
        while (size < 0 && errno == EINTR);
        if (size < 0)
                return hif_err_from_errno(errno);
        if (size > (ssize_t)HANDSHAKE_WORDS_MAX)
                return HIF_ECORRUPT;
        buf_put(&server->handshake.request, words, (size_t)size);
        return buf_failed(&server->handshake.request) ? HIF_ENOMEM : HIF_OK;
}

/* libfuse hears FUSE_INIT, and answers. */
static enum hif_err answer(struct fuse_server *server)
{
        struct fuse_buf words = {.size = server->handshake.request.size,
                                 .mem = server->handshake.request.data};
        struct fuse_out_header out;
        struct fuse_in_header in;

        if (!request_is_whole(buf_span(&server->handshake.request)))
                return HIF_ECORRUPT;
        memcpy(&in, words.mem, sizeof(in));
        if (in.opcode != FUSE_INIT)
                return HIF_ECORRUPT;
        fuse_session_process_buf(server->session, &words);
        server->hello = HELLO_OVER;
        if (buf_failed(&server->words))
                return HIF_ENOMEM;
        if (fuse_session_exited(server->session) || server->words.size < sizeof(out))
                return HIF_EIO;
        /* After an error the kernel refuses whatever is asked of the mount. */
        memcpy(&out, server->words.data, sizeof(out));
        return hif_err_from_errno(-out.error);
}

enum hif_err session_new(struct fuse_server *server, const struct fuse_server_config *config,
                         int fd, struct hif_why *why)
{
        enum hif_err err = make_session(server, config, fd, why);

        if (err != HIF_OK)
                return err;
        server->hello = HELLO_SAYING;
        env_random(loop_env(server->loop), &server->handshake.key, sizeof(server->handshake.key));
        err = hear(server, fd);
        if (err == HIF_OK)
                err = answer(server);
        ledger_clear(server->ledger);
        if (err != HIF_OK)
                return why_set(why, err,
                               "the kernel and libfuse did not agree on how to serve '%s': %s; the "
                               "log has the words of libfuse",
                               server->mount_point, hif_strerror(err));
        server->handshake.reply = server->words;
        server->words = (struct buf){0};
        return HIF_OK;
}

enum hif_err session_resume(struct fuse_server *server, const struct fuse_server_config *config,
                            int fd, struct hif_why *why)
{
        enum hif_err err = make_session(server, config, fd, why);

        if (err != HIF_OK)
                return err;
        server->resumed = true;
        server->hello = HELLO_SAID;
        err = answer(server);
        if (err == HIF_OK && !span_eq(buf_span(&server->words), buf_span(&server->handshake.reply)))
                err = HIF_EUNSUPPORTED;
        if (err != HIF_OK)
                return why_set(why, err,
                               "this version of hif can not go on where the one before was with "
                               "the kernel at '%s': %s",
                               server->mount_point, hif_strerror(err));
        return HIF_OK;
}
