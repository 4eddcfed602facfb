#include "tnfs.h"

#include <stdio.h>

#define NAMES 300

/* One page as it came. */
struct tpage {
        uint32_t status;
        size_t resok_size; /* bytes on the wire, without the status */
        size_t dir_bytes;  /* fileids, names, cookies, as dircount counts them */
        uint64_t cookies[4096];
        uint64_t ids[4096];
        char names[4096][64];
        size_t count;
        uint64_t verifier;
        bool eof;
};

static struct tpage page;

static void list(struct tnfs *t, bool plus, uint64_t dir, uint64_t cookie, uint64_t verifier,
                 uint32_t dircount, uint32_t count)
{
        AUTO_BUF struct buf args = {0};
        struct reader *rd = &t->reply.rd;

        put_handle(&args, dir);
        buf_put_u64(&args, cookie);
        buf_put_u64(&args, verifier);
        if (plus)
                buf_put_u32(&args, dircount);
        buf_put_u32(&args, count);
        tclient_nfs(&t->c, plus ? NFS_READDIRPLUS : NFS_READDIR, &args, &t->reply);
        assert_int_equal(t->reply.stat, RPC_SUCCESS);
        page.status = t->reply.status;
        page.count = 0;
        page.dir_bytes = 0;
        page.resok_size = rd_left(rd);
        assert_int_equal(get_post_op(rd).fileid, dir);
        if (page.status != NFS3_OK) {
                assert_true(rd_done(rd));
                return;
        }
        page.verifier = rd_u64(rd);
        while (rd_u32(rd) == 1) {
                uint64_t id = page.ids[page.count] = rd_u64(rd);
                struct span name = get_opaque(rd);

                assert_in_range(name.size, 1, 63);
                memcpy(page.names[page.count], name.data, name.size);
                page.names[page.count][name.size] = '\0';
                page.cookies[page.count] = rd_u64(rd);
                page.dir_bytes += 8 + 4 + xdr_padded(name.size) + 8;
                if (plus) {
                        struct tattr attr = get_post_op(rd);

                        assert_true(attr.have);
                        assert_int_equal(attr.fileid, id);
                        assert_int_equal(rd_u32(rd), 1);
                        assert_int_equal(get_handle(rd), id);
                }
                page.count++;
        }
        page.eof = rd_u32(rd) == 1;
        assert_true(rd_done(rd));
}

static uint64_t make_names(struct tnfs *t)
{
        char path[64];

        assert_int_equal(tmount_mkdir(t->m, "many"), HIF_OK);
        for (int i = 0; i < NAMES; i++) {
                snprintf(path, sizeof(path), "many/name-%.*s%d", i % 7, "xxxxxxx", i);
                assert_int_equal(tmount_create(t->m, path, NULL), HIF_OK);
        }
        return tmount_id(t->m, "many");
}

/* Everything there is, with "." and "..", in one page when it fits. */
static void one_page_lists_everything(void **state)
{
        struct tnfs *t = *state;
        static const char *const names[] = {".", "..", "file", "run.sh", "link", "dir", "big"};

        for (int plus = 0; plus < 2; plus++) {
                list(t, plus, NODEID_ROOT, 0, 0, 65536, 65536);
                assert_int_equal(page.status, NFS3_OK);
                assert_true(page.eof);
                assert_int_equal(page.count, 7);
                for (size_t i = 0; i < 7; i++) {
                        size_t found = 0;

                        for (size_t j = 0; j < 7; j++)
                                found += strcmp(page.names[j], names[i]) == 0;
                        assert_int_equal(found, 1);
                }
                assert_int_equal(page.ids[0], NODEID_ROOT);
                assert_int_equal(page.ids[1], NODEID_ROOT);
        }
}

/* Walk with pages of that size; every name must come exactly once. */
static void walk(struct tnfs *t, bool plus, uint64_t dir, uint32_t dircount, uint32_t count)
{
        bool seen[NAMES] = {false};
        uint64_t cookie = 0;
        size_t names = 0;

        do {
                list(t, plus, dir, cookie, 0xdead, dircount, count);
                assert_int_equal(page.status, NFS3_OK);
                assert_true(page.resok_size <= count);
                assert_true(page.count > 0 || page.eof);
                if (plus && page.count > 1)
                        assert_true(page.dir_bytes <= dircount);
                for (size_t i = 0; i < page.count; i++) {
                        const char *digits = page.names[i] + strcspn(page.names[i], "0123456789");
                        long number;

                        if (page.names[i][0] == '.')
                                continue;
                        number = strtol(digits, NULL, 10);
                        assert_in_range(number, 0, NAMES - 1);
                        assert_false(seen[number]);
                        seen[number] = true;
                        names++;
                }
                if (page.count > 0)
                        cookie = page.cookies[page.count - 1];
        } while (!page.eof);
        assert_int_equal(names, NAMES);
}

/* No page is larger than it may be, whatever the limit, and all make progress. */
static void pages_of_every_size_list_each_name_once(void **state)
{
        struct tnfs *t = *state;
        uint64_t dir = make_names(t);

        for (uint32_t count = 160; count < 2000; count += 37)
                walk(t, false, dir, 0, count);
        for (uint32_t count = 280; count < 4000; count += 93)
                walk(t, true, dir, count / 2, count);
        walk(t, true, dir, 0, 4096);   /* a hint that nothing meets: one a page */
        walk(t, true, dir, 100, 4096); /* two or three a page */
        walk(t, true, dir, 0xffffffff, 0xffffffff);
        walk(t, false, dir, 0, 0xffffffff);
}

/* A page is cut only where one more entry would not fit. */
static void pages_are_filled_to_the_last_entry(void **state)
{
        struct tnfs *t = *state;
        uint64_t dir = make_names(t);

        for (int plus = 0; plus < 2; plus++) {
                size_t counts[2] = {0};

                for (uint32_t count = 1000; count < 1600; count++) {
                        size_t entry;

                        list(t, plus, dir, 0, 0, 65536, count);
                        assert_true(page.resok_size <= count);
                        assert_true(page.count >= counts[plus]);
                        counts[plus] = page.count;
                        entry = 24 + xdr_padded(18) + (plus ? 88 + 36 : 0);
                        assert_true(page.resok_size + entry > count);
                }
        }
}

/* TOOSMALL means that not even one entry fits, and is said by a byte. */
static void too_small_a_page_says_so(void **state)
{
        struct tnfs *t = *state;
        /* resok: attributes 88, verifier 8, "." with its head 28, end 8 */
        const uint32_t dir_min = 88 + 8 + 28 + 8, plus_min = dir_min + 88 + 36;

        list(t, false, NODEID_ROOT, 0, 0, 0, dir_min);
        assert_int_equal(page.status, NFS3_OK);
        assert_int_equal(page.count, 1);
        assert_int_equal(page.resok_size, dir_min);
        list(t, false, NODEID_ROOT, 0, 0, 0, dir_min - 1);
        assert_int_equal(page.status, NFS3ERR_TOOSMALL);
        list(t, true, NODEID_ROOT, 0, 0, 4096, plus_min);
        assert_int_equal(page.status, NFS3_OK);
        assert_int_equal(page.count, 1);
        list(t, true, NODEID_ROOT, 0, 0, 4096, plus_min - 1);
        assert_int_equal(page.status, NFS3ERR_TOOSMALL);
        list(t, false, NODEID_ROOT, 0, 0, 0, 0);
        assert_int_equal(page.status, NFS3ERR_TOOSMALL);
        /* Past the end there is nothing that would have to fit. */
        list(t, false, NODEID_ROOT, INT64_MAX, 0, 0, 104);
        assert_int_equal(page.status, NFS3_OK);
        assert_true(page.eof);
}

/* The verifier stays through changes and restarts, and a wrong one is no error. */
static void cookies_outlive_changes_and_restarts(void **state)
{
        struct tnfs *t = *state;
        uint64_t dir = make_names(t), verifier, cookie;
        char path[80], next[64];

        list(t, false, dir, 0, 0, 0, 1000);
        verifier = page.verifier;
        cookie = page.cookies[4];
        snprintf(next, sizeof(next), "%s", page.names[5]);
        snprintf(path, sizeof(path), "many/%s", page.names[4]);
        assert_int_equal(tmount_remove(t->m, path), HIF_OK); /* the very name of the cookie */
        list(t, false, dir, cookie, 12345, 0, 1000);
        assert_int_equal(page.status, NFS3_OK);
        assert_string_equal(page.names[0], next);
        assert_int_equal(page.verifier, verifier);
        tmount_restart(t->m);
        tnfs_reconnect(t);
        list(t, false, dir, cookie, verifier, 0, 1000);
        assert_string_equal(page.names[0], next);
        assert_int_equal(page.verifier, verifier);
        list(t, false, NODEID_ROOT, 0, 0, 0, 1000);
        assert_int_not_equal(page.verifier, verifier);
}

/* A change for each page: a name is made, one goes that was made before, one moves to a new name. */
struct churn {
        size_t made, gone, moved;
};

static void change(struct tnfs *t, struct churn *churn)
{
        char from[64], to[64];

        snprintf(to, sizeof(to), "many/churn-%zu", churn->made++);
        assert_int_equal(tmount_create(t->m, to, NULL), HIF_OK);
        if (churn->made % 2 == 0) {
                snprintf(from, sizeof(from), "many/churn-%zu", churn->gone++);
                assert_int_equal(tmount_remove(t->m, from), HIF_OK);
        } else if (churn->made % 3 == 0) {
                snprintf(from, sizeof(from), "many/churn-%zu", churn->made - 1);
                snprintf(to, sizeof(to), "many/moved-%zu", churn->moved++);
                assert_int_equal(tmount_rename(t->m, from, to), HIF_OK);
                assert_int_equal(tmount_create(t->m, from, NULL), HIF_OK);
        }
}

static void walk_under_churn(struct tnfs *t, bool plus, uint64_t dir, uint32_t count,
                             struct churn *churn)
{
        bool seen[NAMES] = {false};
        size_t names = 0, gone = churn->gone;
        uint64_t cookie = 0;

        do {
                list(t, plus, dir, cookie, 0, count, count);
                assert_int_equal(page.status, NFS3_OK);
                for (size_t i = 0; i < page.count; i++) {
                        const char *digits = page.names[i] + 5;
                        size_t number;

                        if (sscanf(page.names[i], "churn-%zu", &number) == 1)
                                assert_true(number >= gone);
                        if (strncmp(page.names[i], "name-", 5) != 0)
                                continue;
                        number = strtoul(digits + strspn(digits, "x"), NULL, 10);
                        assert_in_range(number, 0, NAMES - 1);
                        assert_false(seen[number]);
                        seen[number] = true;
                        names++;
                }
                if (page.count > 0) {
                        assert_true(page.cookies[page.count - 1] > cookie); /* so it ends */
                        cookie = page.cookies[page.count - 1];
                }
                change(t, churn);
        } while (!page.eof);
        assert_int_equal(names, NAMES);
}

/* While names come and go, those that stay are listed exactly once, and those that were gone not at
 * all, in pages of all sizes. */
static void churn_hides_no_stable_name(void **state)
{
        static const uint32_t sizes[] = {300, 512, 1000, 4096, 32768};
        struct tnfs *t = *state;
        uint64_t dir = make_names(t);
        struct churn churn = {0};

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                walk_under_churn(t, false, dir, sizes[i], &churn);
                walk_under_churn(t, true, dir, sizes[i], &churn);
        }
}

/* What is no directory has no names. */
static void only_directories_are_listed(void **state)
{
        struct tnfs *t = *state;
        AUTO_BUF struct buf args = {0};

        put_handle(&args, tmount_id(t->m, "file"));
        buf_put_u64(&args, 0);
        buf_put_u64(&args, 0);
        buf_put_u32(&args, 4096);
        tnfs_call(t, NFS_READDIR, &args, NFS3ERR_NOTDIR);
        get_post_op(&t->reply.rd);
        assert_true(rd_done(&t->reply.rd));
}

/* A listing whose nodes have to be fetched first comes whole, and fetches no content. */
static void cold_listing_needs_no_content(void **state)
{
        struct tnfs *t = *state;
        uint64_t blobs, hints;

        tmount_cool(t->m);
        tnfs_reconnect(t);
        blobs = fetch_stats(t->m->fetch).store_blobs;
        hints = fetch_stats(t->m->fetch).hints;
        list(t, true, NODEID_ROOT, 0, 0, 65536, 65536);
        assert_int_equal(page.count, 7);
        tmount_settle(t->m);
        assert_int_equal(fetch_stats(t->m->fetch).store_blobs, blobs);
        assert_int_equal(fetch_stats(t->m->fetch).hints, hints);
        assert_true(fetch_stats(t->m->fetch).store_nodes > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TNFS_TEST(one_page_lists_everything),
            TNFS_TEST(pages_of_every_size_list_each_name_once),
            TNFS_TEST(pages_are_filled_to_the_last_entry),
            TNFS_TEST(too_small_a_page_says_so),
            TNFS_TEST(cookies_outlive_changes_and_restarts),
            TNFS_TEST(churn_hides_no_stable_name),
            TNFS_TEST(only_directories_are_listed),
            TNFS_TEST(cold_listing_needs_no_content),
        };

        return cmocka_run_group_tests_name("nfs3_dir", tests, NULL, NULL);
}
