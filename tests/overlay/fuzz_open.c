/* fuzz_open.c - an overlay whose files were damaged, at random or with sums that match: it opens,
 * or says that it is damaged, and then what stands before the damage can be opened.
 *
 * The input is a list of patches: file u8 | offset u16 | size u8 | bytes. File: one of those that
 * a good overlay has; with the top bit set, its sums are made right again in the end. */
#include "base/simenv.h"
#include "overlay/oplog.h"
#include "overlay/overlay.h"
#include "tests/core/fuzz_target.h"
#include "tests/overlay/count_ops.h"

#include "core/key.h"

#include <fcntl.h>

#define DIR       "/home/agent/overlay"
#define FILES_MAX 16
#define EDITS     60
#define SEAL      0x80u

struct file {
        char path[160];
        struct buf bytes;
};

static const struct overlay_config config = {
    .serial = true, .log_segment_bytes = 8192, .data_segment_bytes = 8192};

static struct file files[FILES_MAX]; /* of the good one; made once */
static size_t file_count;
static uint8_t boot_id[16];

static void write_file(struct env *env, const char *path, struct span bytes)
{
        int fd;

        FUZZ_CHECK(env->ops->open(env, path, O_RDWR | O_CREAT | O_TRUNC, 0600, &fd) == HIF_OK);
        FUZZ_CHECK(env_write_all(env, fd, bytes.data, bytes.size, 0) == HIF_OK);
        env->ops->close(env, fd);
}

static void boot(struct env *env)
{
        FUZZ_CHECK(env_mkdirs(env, "/proc/sys/kernel/random", 0755) == HIF_OK);
        write_file(env, "/proc/sys/kernel/random/boot_id", span_of(boot_id, sizeof(boot_id)));
}

static void edit(struct overlay *overlay, unsigned number)
{
        struct otx *tx = otx_begin(overlay);
        uint64_t id = overlay_new_id(overlay), seq;
        struct onode *node = otx_node(tx, id);
        char name[32];
        struct odirent dirent = {.dir = NODEID_ROOT, .child = id};

        snprintf(name, sizeof(name), "file-%u", number);
        dirent.name = span_str(name);
        dirent.hash60 = name_hash60(dirent.name);
        node->kind = ONODE_FILE;
        node->flags = ONODE_PLACED | ONODE_ATTRS | ONODE_CONTENT;
        node->mode = 0644;
        node->nlink = 1;
        node->parent = NODEID_ROOT;
        node->name = dirent.name;
        otx_dirent_put(tx, &dirent);
        otx_op(tx, &(struct session_op){.kind = SESSION_CREATE, .path = dirent.name});
        otx_value(tx, name, dirent.name);
        otx_note(tx, &(struct onote){.kind = ONOTE_DECISION, .text = dirent.name});
        otx_reply(tx, &(struct overlay_reply){.key = number, .xid = number, .proc = 8, .node = id});
        FUZZ_CHECK(overlay_write(tx, id, number % 3, dirent.name) == HIF_OK);
        FUZZ_CHECK(otx_commit(tx, &seq) == HIF_OK);
}

static bool keep_name(void *arg, const char *name)
{
        const char *dir = arg;
        struct file *file = &files[file_count];

        FUZZ_CHECK(file_count < FILES_MAX);
        snprintf(file->path, sizeof(file->path), "%s/%s", dir, name);
        file_count++;
        return true;
}

static void keep_files(struct env *env)
{
        static char dirs[][64] = {DIR, DIR "/log", DIR "/data"};
        size_t kept = 0;

        for (size_t i = 0; i < 3; i++)
                FUZZ_CHECK(env->ops->list(env, dirs[i], keep_name, dirs[i]) == HIF_OK);
        for (size_t i = 0; i < file_count; i++) {
                struct file file = files[i];
                struct stat st;

                FUZZ_CHECK(env->ops->stat(env, file.path, &st) == HIF_OK);
                if (S_ISDIR(st.st_mode))
                        continue;
                FUZZ_CHECK(env_read_file(env, file.path, 1u << 20, &file.bytes) == HIF_OK);
                files[kept++] = file;
        }
        file_count = kept;
}

/* Half folded, half in the log, as a process leaves it that dies. */
static void make_good_one(void)
{
        struct simenv *sim = simenv_new(1);
        struct env *env = simenv_env(sim);
        struct overlay *overlay;
        struct pool *pool;

        memset(boot_id, 7, sizeof(boot_id));
        boot(env);
        FUZZ_CHECK(pool_new(0, "test", &pool) == HIF_OK);
        for (unsigned part = 0; part < 2; part++) {
                FUZZ_CHECK(overlay_open(env, pool, DIR, &config, &overlay, NULL) == HIF_OK);
                for (unsigned i = 0; i < EDITS; i++)
                        edit(overlay, part * EDITS + i);
                FUZZ_CHECK(overlay_sync_wait(overlay, overlay_seq(overlay)) == HIF_OK);
                if (part == 1)
                        simenv_crash_at(sim, 1);
                overlay_close(overlay);
        }
        pool_free(pool);
        simenv_process_kill(sim);
        keep_files(env);
        simenv_free(sim);
}

/* --- damage --- */

static bool is_log(const struct file *file)
{
        return strstr(file->path, "/log/") != NULL && file->bytes.size >= OPLOG_HEADER_SIZE;
}

static void seal_log(uint8_t *bytes, size_t size)
{
        static const uint32_t marks[] = {OPLOG_MARK_A, OPLOG_MARK_B, OPLOG_MARK_COMPLETE};
        uint64_t salt = be64_get(bytes + 32);
        size_t at = OPLOG_HEADER_SIZE;

        be64_put(bytes + 56, sum64(0, bytes, 56));
        for (size_t i = 0; i < 3; i++)
                if (be64_get(bytes + marks[i]) != 0)
                        be64_put(bytes + marks[i] + 16, sum64(salt, bytes + marks[i], 16));
        while (size - at >= OPLOG_RECORD_HEADER) {
                size_t body = be32_get(bytes + at);

                if (body == 0 || body > size - at - OPLOG_RECORD_HEADER)
                        return;
                be64_put(bytes + at + 16, oplog_record_sum(salt, bytes + at));
                at += (OPLOG_RECORD_HEADER + body + 7) & ~(size_t)7;
                if (at > size)
                        return;
        }
}

static void write_damaged(struct env *env, struct span input)
{
        bool seal[FILES_MAX] = {false};
        struct buf copies[FILES_MAX] = {{0}};
        struct reader rd = rd_open(input);

        for (size_t i = 0; i < file_count; i++)
                buf_put_span(&copies[i], buf_span(&files[i].bytes));
        while (rd_left(&rd) > 0) {
                uint8_t which = rd_u8(&rd);
                size_t number = (which & ~SEAL) % file_count, at = rd_u16(&rd), size = rd_u8(&rd);
                struct span bytes = rd_span(&rd, size < rd_left(&rd) ? size : rd_left(&rd));
                struct buf *copy = &copies[number];

                seal[number] |= (which & SEAL) != 0;
                if (bytes.size == 0 && at < copy->size)
                        copy->size = at; /* the file ends here */
                else if (bytes.size > 0 && at + bytes.size <= copy->size)
                        memcpy(copy->data + at, bytes.data, bytes.size);
        }
        for (size_t i = 0; i < file_count; i++) {
                if (seal[i] && is_log(&files[i]) && copies[i].size >= OPLOG_HEADER_SIZE)
                        seal_log(copies[i].data, copies[i].size);
                write_file(env, files[i].path, buf_span(&copies[i]));
                buf_free(&copies[i]);
        }
}

/* --- looking at it --- */

static bool read_node(void *arg, const struct onode *node)
{
        struct overlay *overlay = arg;
        uint8_t bytes[512];
        struct opiece pieces[8];
        size_t count = overlay_pieces(node, 0, sizeof(bytes), pieces, 8);

        for (size_t i = 0; i < count; i++)
                if (pieces[i].kind == OPIECE_DATA && pieces[i].size <= sizeof(bytes))
                        (void)!overlay_read(overlay, &pieces[i], true, bytes);
        return true;
}

static bool see_dirent(void *arg, const struct odirent *row)
{
        FUZZ_CHECK(row->name.size > 0 && row->name.size <= NAME_SIZE_MAX);
        (void)arg;
        return true;
}

static void look(struct overlay *overlay)
{
        overlay_each_node(overlay, read_node, overlay);
        overlay_each_dirent(overlay, see_dirent, NULL);
        (void)count_ops(overlay);
        (void)overlay_op_last(overlay);
        for (size_t i = 0; i < overlay_note_count(overlay); i++)
                (void)overlay_note(overlay, i);
        (void)overlay_value(overlay, "file-3");
}

static void try_open(struct env *env)
{
        struct overlay *overlay;
        struct hif_why why = {""};
        struct pool *pool;
        enum hif_err err;

        FUZZ_CHECK(pool_new(0, "test", &pool) == HIF_OK);
        err = overlay_open(env, pool, DIR, &config, &overlay, &why);
        FUZZ_CHECK(err == HIF_OK || why.text[0] != '\0');
        if (err != HIF_OK) {
                why.text[0] = '\0';
                err = overlay_open_salvage(env, pool, DIR, &overlay, &why);
                FUZZ_CHECK(err == HIF_OK || why.text[0] != '\0');
        }
        if (err == HIF_OK) {
                look(overlay);
                overlay_close(overlay);
        }
        pool_free(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct simenv *sim;
        struct env *env;

        if (file_count == 0)
                make_good_one();
        sim = simenv_new(1);
        env = simenv_env(sim);
        boot(env);
        FUZZ_CHECK(env_mkdirs(env, DIR "/log", 0700) == HIF_OK);
        FUZZ_CHECK(env_mkdirs(env, DIR "/data", 0700) == HIF_OK);
        write_damaged(env, span_of(data, size));
        try_open(env);
        simenv_free(sim);
        return 0;
}
