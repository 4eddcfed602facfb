/* test_libnfs.c - libnfs, an independent client, over TCP: every procedure, as programs use them.
 */
#include "vfs/tmount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>
/* first: the others use its macros */
#include <nfsc/libnfs.h>

#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-raw.h>

#define NAMES 5000 /* of the large directory; HIF_NAMES: so many */
#define GONE  7    /* each so manieth is removed before it is listed */
#define BIG   ((size_t)5 << 20)

struct fixture {
        struct tmount *m;
        struct nfs_context *nfs;
        uint8_t *big;
        long names;
};

static struct nfs_context *mount_it(const struct tmount *m)
{
        struct nfs_context *nfs = nfs_init_context();
        struct nfs_url *url;
        char text[200];

        assert_non_null(nfs);
        snprintf(text, sizeof(text),
                 "nfs://127.0.0.1" TMOUNT_EXPORT "?version=3&nfsport=%u&mountport=%u&uid=%u&gid=%u",
                 m->port, m->port, TMOUNT_UID, TMOUNT_GID);
        url = nfs_parse_url_dir(nfs, text);
        assert_non_null(url);
        if (nfs_mount(nfs, url->server, url->path) != 0)
                fail_msg("mount: %s", nfs_get_error(nfs));
        nfs_destroy_url(url);
        return nfs;
}

static int setup(void **state)
{
        struct tmount_options options = {.real = true, .nfs = true, .listen = true};
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->names = getenv("HIF_NAMES") != NULL ? strtol(getenv("HIF_NAMES"), NULL, 10) : NAMES;
        f->m = tmount_new(&options);
        f->big = tmount_bytes(3, BIG);
        tmount_add_text(f->m, "file", "content\n");
        tmount_add_link(f->m, "link", "dir/a");
        tmount_add_text(f->m, "dir/a", "a");
        tmount_add_file(f->m, "big", f->big, BIG, true);
        for (long i = 0; i < f->names / 2; i++) {
                char path[64];

                snprintf(path, sizeof(path), "many/base-%06ld", i);
                tmount_add_text(f->m, path, path);
        }
        tmount_open(f->m);
        tmount_thread(f->m);
        f->nfs = mount_it(f->m);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        nfs_umount(f->nfs);
        nfs_destroy_context(f->nfs);
        tmount_free(f->m);
        free(f->big);
        free(f);
        return 0;
}

#define check(f, call)                                                                             \
        do {                                                                                       \
                int rc_ = (call);                                                                  \
                                                                                                   \
                if (rc_ < 0)                                                                       \
                        fail_msg("%s: %d %s", #call, rc_, nfs_get_error((f)->nfs));                \
        } while (0)

/* GETATTR, LOOKUP, ACCESS, READLINK, READ, FSSTAT. */
static void base_is_read(void **state)
{
        struct fixture *f = *state;
        AUTO_FREE char *bytes = malloc(BIG);
        struct nfs_stat_64 st;
        struct nfsfh *file;
        struct statvfs fs;
        char target[64];

        assert_non_null(bytes);
        check(f, nfs_stat64(f->nfs, "/file", &st));
        assert_int_equal(st.nfs_size, 8);
        assert_int_equal(st.nfs_mode, S_IFREG | 0644);
        assert_int_equal(st.nfs_uid, TMOUNT_UID);
        assert_int_equal(nfs_stat64(f->nfs, "/missing", &st), -ENOENT);
        assert_int_equal(nfs_stat64(f->nfs, "/file/x", &st), -ENOTDIR);
        check(f, nfs_lstat64(f->nfs, "/link", &st));
        assert_int_equal(st.nfs_mode, S_IFLNK | 0777);
        check(f, nfs_readlink(f->nfs, "/link", target, sizeof(target)));
        assert_string_equal(target, "dir/a");
        check(f, nfs_access(f->nfs, "/file", R_OK | W_OK));
        assert_int_equal(nfs_access(f->nfs, "/file", X_OK), -EACCES);
        check(f, nfs_statvfs(f->nfs, "/", &fs));
        assert_true(fs.f_blocks > 0);
        assert_int_equal(nfs_get_readmax(f->nfs), NFS_READ_MAX);
        assert_int_equal(nfs_get_writemax(f->nfs), NFS_READ_MAX);

        check(f, nfs_open(f->nfs, "/big", O_RDONLY, &file));
        for (uint64_t at = 0; at < BIG; at += 1000000) {
                uint64_t want = BIG - at < 1000000 ? BIG - at : 1000000;

                assert_int_equal(nfs_pread(f->nfs, file, at, want, bytes), want);
                assert_memory_equal(bytes, f->big + at, want);
        }
        check(f, nfs_close(f->nfs, file));
}

/* CREATE, WRITE, COMMIT, SETATTR, and what was written read back. */
static void files_are_written(void **state)
{
        struct fixture *f = *state;
        struct timeval times[2] = {{1111111111, 5}, {1222222222, 6}};
        struct nfs_stat_64 st;
        struct nfsfh *file;
        char bytes[32];

        check(f, nfs_creat(f->nfs, "/new", 0640, &file));
        check(f, nfs_pwrite(f->nfs, file, 0, 5, "hello"));
        check(f, nfs_pwrite(f->nfs, file, 10, 5, "world"));
        check(f, nfs_fsync(f->nfs, file));
        assert_int_equal(nfs_pread(f->nfs, file, 0, sizeof(bytes), bytes), 15);
        assert_memory_equal(bytes, "hello\0\0\0\0\0world", 15);
        check(f, nfs_ftruncate(f->nfs, file, 3));
        check(f, nfs_close(f->nfs, file));
        check(f, nfs_chmod(f->nfs, "/new", 0755));
        check(f, nfs_utimes(f->nfs, "/new", times));
        check(f, nfs_stat64(f->nfs, "/new", &st));
        assert_int_equal(st.nfs_mode, S_IFREG | 0755);
        assert_int_equal(st.nfs_size, 3);
        assert_int_equal(st.nfs_atime, 1111111111);
        assert_int_equal(st.nfs_mtime, 1222222222);
        check(f, nfs_truncate(f->nfs, "/big", 100));
        check(f, nfs_stat64(f->nfs, "/big", &st));
        assert_int_equal(st.nfs_size, 100);
}

/* MKDIR, SYMLINK, MKNOD, LINK, RENAME, REMOVE, RMDIR. */
static void names_are_made_and_taken_away(void **state)
{
        struct fixture *f = *state;
        struct nfs_stat_64 st, second;
        char target[64];

        check(f, nfs_mkdir2(f->nfs, "/d", 0750));
        assert_int_equal(nfs_mkdir(f->nfs, "/d"), -EEXIST);
        check(f, nfs_symlink(f->nfs, "to/nowhere", "/d/s"));
        check(f, nfs_readlink(f->nfs, "/d/s", target, sizeof(target)));
        assert_string_equal(target, "to/nowhere");
        check(f, nfs_mknod(f->nfs, "/d/fifo", S_IFIFO | 0600, 0));
        check(f, nfs_stat64(f->nfs, "/d/fifo", &st));
        assert_int_equal(st.nfs_mode, S_IFIFO | 0600);
        assert_int_equal(nfs_mknod(f->nfs, "/d/dev", S_IFCHR | 0600, 0x103), -EPERM);
        check(f, nfs_link(f->nfs, "/file", "/d/hard"));
        check(f, nfs_stat64(f->nfs, "/file", &st));
        check(f, nfs_stat64(f->nfs, "/d/hard", &second));
        assert_int_equal(st.nfs_nlink, 2);
        assert_int_equal(st.nfs_ino, second.nfs_ino);
        check(f, nfs_rename(f->nfs, "/d", "/e"));
        check(f, nfs_rename(f->nfs, "/e/hard", "/dir/a"));
        check(f, nfs_stat64(f->nfs, "/dir/a", &second));
        assert_int_equal(st.nfs_ino, second.nfs_ino);
        assert_int_equal(nfs_rmdir(f->nfs, "/e"), -ENOTEMPTY);
        check(f, nfs_unlink(f->nfs, "/e/s"));
        check(f, nfs_unlink(f->nfs, "/e/fifo"));
        check(f, nfs_rmdir(f->nfs, "/e"));
        assert_int_equal(nfs_stat64(f->nfs, "/e", &st), -ENOENT);
}

/* --- under churn --- */

struct churn {
        struct tmount *m;
        atomic_bool stop;
        unsigned rounds;
};

/* Names come and go, with a client of their own. */
static void *churn(void *arg)
{
        struct churn *churn = arg;
        struct nfs_context *nfs = mount_it(churn->m);
        char path[64], other[64];

        for (unsigned i = 0; !churn->stop; i++) {
                struct nfsfh *file;

                snprintf(path, sizeof(path), "/many/churn-%u", i % 97);
                snprintf(other, sizeof(other), "/many/moved-%u", i % 89);
                if (nfs_creat(nfs, path, 0644, &file) == 0)
                        nfs_close(nfs, file);
                if (i % 3 == 0)
                        nfs_rename(nfs, path, other);
                else
                        nfs_unlink(nfs, path);
                churn->rounds = i;
        }
        nfs_umount(nfs);
        nfs_destroy_context(nfs);
        return NULL;
}

/* The other half of the names, which the base has not; then each GONE-th goes, of either half. */
static void fill_many(struct fixture *f)
{
        char path[64];

        for (long i = f->names / 2; i < f->names; i++) {
                struct nfsfh *file;

                snprintf(path, sizeof(path), "/many/base-%06ld", i);
                check(f, nfs_creat(f->nfs, path, 0644, &file));
                check(f, nfs_close(f->nfs, file));
        }
        for (long i = 0; i < f->names; i += GONE) {
                snprintf(path, sizeof(path), "/many/base-%06ld", i);
                check(f, nfs_unlink(f->nfs, path));
        }
}

/* A name of the directory: each once, none of those that are gone, and with its attributes. */
static void see(const struct fixture *f, const struct nfsdirent *entry, bool *seen)
{
        long number;

        if (strncmp(entry->name, "base-", 5) != 0)
                return;
        number = strtol(entry->name + 5, NULL, 10);
        assert_in_range(number, 0, f->names - 1);
        assert_int_not_equal(number % GONE, 0);
        assert_false(seen[number]);
        seen[number] = true;
        assert_int_equal(entry->mode & S_IFMT, S_IFREG);
        assert_int_equal(entry->size, number < f->names / 2 ? strlen("many/base-000000") : 0);
}

/* READDIRPLUS of many names while others come and go. */
static void large_directory_is_listed_under_churn(void **state)
{
        struct fixture *f = *state;
        struct churn churning = {.m = f->m};
        AUTO_FREE bool *seen = malloc((size_t)f->names);
        pthread_t thread;

        assert_non_null(seen);
        fill_many(f);
        nfs_set_dircache(f->nfs, 0);
        assert_int_equal(pthread_create(&thread, NULL, churn, &churning), 0);
        for (int round = 0; round < 10; round++) {
                struct nfsdir *dir;
                struct nfsdirent *entry;

                memset(seen, 0, (size_t)f->names);
                check(f, nfs_opendir(f->nfs, "/many", &dir));
                while ((entry = nfs_readdir(f->nfs, dir)) != NULL)
                        see(f, entry, seen);
                nfs_closedir(f->nfs, dir);
                for (long i = 0; i < f->names; i++)
                        assert_int_equal(seen[i], i % GONE != 0);
        }
        churning.stop = true;
        pthread_join(thread, NULL);
        assert_true(churning.rounds > 10);
}

/* --- what the library has no function for --- */

struct raw {
        char handle[64];
        u_int size;
        bool done;
        uint32_t status;
        uint32_t value; /* of what the test wants to know */
        size_t entries;
        uint64_t cookie;
        bool eof;
};

static void await(struct rpc_context *rpc, struct raw *raw)
{
        while (!raw->done) {
                struct pollfd fd = {.fd = rpc_get_fd(rpc), .events = (short)rpc_which_events(rpc)};

                assert_true(poll(&fd, 1, 10000) > 0);
                assert_int_equal(rpc_service(rpc, fd.revents), 0);
        }
}

static void on_mnt(struct rpc_context *rpc, int status, void *data, void *arg)
{
        const mountres3 *result = data;
        const fhandle3 *handle = &result->mountres3_u.mountinfo.fhandle;
        struct raw *raw = arg;

        (void)rpc;
        assert_int_equal(status, RPC_STATUS_SUCCESS);
        raw->status = (uint32_t)result->fhs_status;
        raw->size = handle->fhandle3_len;
        memcpy(raw->handle, handle->fhandle3_val, raw->size);
        raw->done = true;
}

static void on_null(struct rpc_context *rpc, int status, void *data, void *arg)
{
        struct raw *raw = arg;

        (void)rpc, (void)data;
        raw->status = (uint32_t)status;
        raw->done = true;
}

static void on_pathconf(struct rpc_context *rpc, int status, void *data, void *arg)
{
        const PATHCONF3res *result = data;
        struct raw *raw = arg;

        (void)rpc;
        assert_int_equal(status, RPC_STATUS_SUCCESS);
        raw->status = (uint32_t)result->status;
        raw->value = result->PATHCONF3res_u.resok.name_max;
        raw->done = true;
}

/* libnfs lays decoded entries out without regard to alignment. */
__attribute__((no_sanitize("alignment"))) static void on_readdir(struct rpc_context *rpc,
                                                                 int status, void *data, void *arg)
{
        const READDIR3res *result = data;
        struct raw *raw = arg;

        (void)rpc;
        assert_int_equal(status, RPC_STATUS_SUCCESS);
        raw->status = (uint32_t)result->status;
        for (entry3 *entry = result->READDIR3res_u.resok.reply.entries; entry != NULL;
             entry = entry->nextentry) {
                raw->entries++;
                raw->cookie = entry->cookie;
        }
        raw->eof = result->READDIR3res_u.resok.reply.eof;
        raw->done = true;
}

/* NULL, MNT, PATHCONF, READDIR. */
static void the_rest_answers_too(void **state)
{
        struct fixture *f = *state;
        struct rpc_context *rpc = rpc_init_context();
        struct raw raw = {0};
        PATHCONF3args pathconf;
        READDIR3args readdir = {.count = 512};

        assert_non_null(rpc);
        rpc_set_uid(rpc, TMOUNT_UID);
        rpc_set_gid(rpc, TMOUNT_GID);
        assert_int_equal(rpc_connect_async(rpc, "127.0.0.1", f->m->port, on_null, &raw), 0);
        await(rpc, &raw);
        raw.done = false;
        assert_int_equal(rpc_nfs3_null_async(rpc, on_null, &raw), 0);
        await(rpc, &raw);
        assert_int_equal(raw.status, RPC_STATUS_SUCCESS);
        raw.done = false;
        assert_int_equal(rpc_mount3_mnt_async(rpc, on_mnt, (char *)(uintptr_t)TMOUNT_EXPORT, &raw),
                         0);
        await(rpc, &raw);
        assert_int_equal(raw.status, MNT3_OK);
        raw.done = false;
        pathconf.object.data.data_len = raw.size;
        pathconf.object.data.data_val = raw.handle;
        assert_int_equal(rpc_nfs3_pathconf_async(rpc, on_pathconf, &pathconf, &raw), 0);
        await(rpc, &raw);
        assert_int_equal(raw.status, 0);
        assert_int_equal(raw.value, 255);
        readdir.dir = pathconf.object;
        while (!raw.eof) {
                raw.done = false;
                readdir.cookie = raw.cookie;
                assert_int_equal(rpc_nfs3_readdir_async(rpc, on_readdir, &readdir, &raw), 0);
                await(rpc, &raw);
                assert_int_equal(raw.status, 0);
        }
        assert_int_equal(raw.entries, 7);
        rpc_destroy_context(rpc);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(base_is_read, setup, teardown),
            cmocka_unit_test_setup_teardown(files_are_written, setup, teardown),
            cmocka_unit_test_setup_teardown(names_are_made_and_taken_away, setup, teardown),
            cmocka_unit_test_setup_teardown(large_directory_is_listed_under_churn, setup, teardown),
            cmocka_unit_test_setup_teardown(the_rest_answers_too, setup, teardown),
        };

        return cmocka_run_group_tests_name("libnfs", tests, NULL, NULL);
}
