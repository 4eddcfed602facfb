/* Rows and transactions: what is committed shows, what is not does not, and what was acknowledged
 * is there again after the process died. */
#include "count_ops.h"
#include "fixture.h"

#include "core/nodeid.h"

#include <stdio.h>
#include <stdlib.h>

/* A file that was created is there, with its attributes, and after a kill -9 too. */
static void created_file_survives_kill(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "main.c");

        assert_int_equal(t_lookup(t, NODEID_ROOT, "main.c"), id);
        toverlay_kill(t);
        assert_int_equal(t_lookup(t, NODEID_ROOT, "main.c"), id);
        const struct onode *node = overlay_node(t->overlay, id);

        assert_non_null(node);
        assert_int_equal(node->kind, ONODE_FILE);
        assert_int_equal(node->mode, 0644);
        assert_int_equal(node->name.size, 6);
        assert_memory_equal(node->name.data, "main.c", 6);
        assert_true(node->seq > 0);
        assert_int_equal(count_ops(t->overlay), 1);
}

/* Before commit the overlay shows the old state; an aborted transaction leaves nothing. */
static void aborted_transaction_leaves_nothing(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "a");
        struct otx *tx = otx_begin(t->overlay);

        otx_node(tx, id)->mode = 0600;
        otx_dirent_del(tx, NODEID_ROOT, t_hash("a"), span_str("a"));
        otx_value(tx, "session", span_str("x"));
        assert_int_equal(overlay_node(t->overlay, id)->mode, 0644);
        assert_int_equal(t_lookup(t, NODEID_ROOT, "a"), id);
        otx_abort(tx);
        assert_int_equal(overlay_node(t->overlay, id)->mode, 0644);
        assert_int_equal(overlay_value(t->overlay, "session").size, 0);
}

/* Every field of a node row comes back as it was. */
static void all_node_fields_survive_kill(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = nodeid_base(3, 77), seq;
        struct otx *tx = otx_begin(t->overlay);
        struct onode *node = otx_node(tx, id);
        const struct onode *row;

        node->kind = ONODE_SYMLINK;
        node->flags = ONODE_PLACED | ONODE_VERIFIER;
        node->mode = 0777;
        node->uid = 1000;
        node->gid = 1001;
        node->nlink = 2;
        node->size = 5;
        node->atime = (struct hif_time){-1, 1};
        node->mtime = (struct hif_time){2, 3};
        node->ctime = (struct hif_time){4, 999999999};
        node->parent = 9;
        node->name = span_str("link");
        node->target = span_str("there");
        node->verifier = 0x1122334455667788;
        node->base_limit = 5;
        node->base = (struct entry){.kind = ENTRY_EXEC, .size = 5, .mtime = {7, 8}};
        node->base.hash.bytes[31] = 1;
        node->base.tag = (struct landing_tag){.position = 10, .id = 11};
        node->base.loc.offset = 12;
        node->base.loc.size = 13;
        seq = t_commit(tx);
        toverlay_kill(t);
        row = overlay_node(t->overlay, id);
        assert_non_null(row);
        assert_int_equal(row->seq, seq);
        assert_int_equal(row->kind, ONODE_SYMLINK);
        assert_int_equal(row->flags, ONODE_PLACED | ONODE_VERIFIER);
        assert_int_equal(row->uid, 1000);
        assert_int_equal(row->gid, 1001);
        assert_int_equal(row->nlink, 2);
        assert_int_equal(row->size, 5);
        assert_int_equal(row->atime.sec, -1);
        assert_int_equal(row->mtime.nsec, 3);
        assert_int_equal(row->ctime.nsec, 999999999);
        assert_int_equal(row->parent, 9);
        assert_true(span_eq(row->target, span_str("there")));
        assert_true(row->verifier == 0x1122334455667788);
        assert_int_equal(row->base_limit, 5);
        assert_int_equal(row->base.kind, ENTRY_EXEC);
        assert_int_equal(row->base.hash.bytes[31], 1);
        assert_int_equal(row->base.tag.id, 11);
        assert_int_equal(row->base.loc.size, 13);
}

/* Values are set, replaced, deleted by an empty one, and survive. */
static void values_survive_kill(void **state)
{
        struct toverlay *t = *state;
        struct otx *tx = otx_begin(t->overlay);

        otx_value(tx, "session", span_str("one"));
        otx_value(tx, "intent", span_str("two"));
        otx_value(tx, "session", span_str("three"));
        t_commit(tx);
        tx = otx_begin(t->overlay);
        otx_value(tx, "intent", (struct span){0});
        t_commit(tx);
        toverlay_kill(t);
        assert_true(span_eq(overlay_value(t->overlay, "session"), span_str("three")));
        assert_int_equal(overlay_value(t->overlay, "intent").size, 0);
}

static void note(struct otx *tx, enum onote_kind kind, const char *role, const char *text)
{
        struct onote note = {.kind = kind, .role = span_str(role), .text = span_str(text)};

        otx_note(tx, &note);
}

/* Notes come back in the order in which they were made, those up to a landing are dropped, and a
 * text of the largest size is one record. */
static void notes_survive_kill_and_are_dropped_up_to_a_record(void **state)
{
        struct toverlay *t = *state;
        struct otx *tx = otx_begin(t->overlay);
        char *large = malloc(SESSION_TEXT_MAX + 1);
        struct onote got;
        uint64_t first;

        note(tx, ONOTE_MESSAGE, "user", "why");
        note(tx, ONOTE_DECISION, "", "because");
        first = t_commit(tx);
        memset(large, 'x', SESSION_TEXT_MAX);
        large[SESSION_TEXT_MAX] = '\0';
        tx = otx_begin(t->overlay);
        note(tx, ONOTE_MESSAGE, "agent", large);
        t_commit(tx);
        toverlay_kill(t);
        assert_int_equal(overlay_note_count(t->overlay), 3);
        assert_int_equal(overlay_note_bytes(t->overlay), 4 + 3 + 7 + 5 + SESSION_TEXT_MAX);
        got = overlay_note(t->overlay, 1);
        assert_int_equal(got.kind, ONOTE_DECISION);
        assert_int_equal(got.role.size, 0);
        assert_true(span_eq(got.text, span_str("because")));
        assert_true(got.seq == first);
        tx = otx_begin(t->overlay);
        otx_notes_drop(tx, first);
        t_commit(tx);
        toverlay_kill(t);
        assert_int_equal(overlay_note_count(t->overlay), 1);
        got = overlay_note(t->overlay, 0);
        assert_true(span_eq(got.role, span_str("agent")));
        assert_true(span_eq(got.text, span_str(large)));
        assert_int_equal(overlay_note_bytes(t->overlay), 5 + SESSION_TEXT_MAX);
        free(large);
}

/* Of the replies the newest OVERLAY_REPLIES_MAX are kept, also over a restart. */
static void newest_replies_are_kept(void **state)
{
        struct toverlay *t = *state;

        for (uint64_t i = 0; i < OVERLAY_REPLIES_MAX + 10; i++) {
                struct otx *tx = otx_begin(t->overlay);

                otx_reply(tx,
                          &(struct overlay_reply){.key = i * 77, .xid = (uint32_t)i, .node = i});
                t_commit(tx);
        }
        toverlay_kill(t);
        assert_null(overlay_reply(t->overlay, 9 * 77));
        assert_non_null(overlay_reply(t->overlay, 10 * 77));
        assert_int_equal(overlay_reply(t->overlay, 500 * 77)->node, 500);
        assert_int_equal(overlay_reply(t->overlay, (OVERLAY_REPLIES_MAX + 9) * 77)->xid,
                         OVERLAY_REPLIES_MAX + 9);
}

/* A number is never given out twice, not even one whose record a power cut took. */
static void numbers_are_never_reused(void **state)
{
        struct toverlay *t = *state;
        uint64_t lost = 0, next;

        for (int i = 0; i < 100; i++)
                lost = t_create(t, NODEID_ROOT, "x");
        toverlay_power_cut(t);
        next = overlay_new_id(t->overlay);
        assert_true(next > lost);
        toverlay_kill(t);
        assert_true(overlay_new_id(t->overlay) > next);
}

/* What was not synced may go with the power; what overlay_sync waited for may not. */
static void synced_prefix_survives_power_cut(void **state)
{
        struct toverlay *t = *state;

        /* What was not synced is there by chance. */
        for (unsigned round = 0; round < 20; round++) {
                uint64_t id;
                char name[16];

                snprintf(name, sizeof(name), "kept-%u", round);
                id = t_create(t, NODEID_ROOT, name);
                t_write(t, id, 0, "kept content");
                t_sync(t);
                assert_int_equal(overlay_durable(t->overlay), overlay_seq(t->overlay));
                t_write(t, id, 5, "lost");
                toverlay_power_cut(t);
                assert_int_equal(t_lookup(t, NODEID_ROOT, name), id);
                t_expect(t, id, "kept content");
        }
}

/* Acknowledged, and in memory only; then the process dies, and the nth call of the one that opens what
 * it left fails. Whether it says so or not, nothing is given up: now or the next time, it is there.
 * Returns how many calls it took to open, or 0. */
static uint64_t open_with_failure(uint64_t nth)
{
        struct hif_why why = {""};
        struct toverlay *t;
        uint64_t id, before, calls = 0;

        toverlay_setup((void **)&t);
        id = t_create(t, NODEID_ROOT, "acknowledged");
        t_write(t, id, 0, "content");
        toverlay_drop(t);
        simenv_process_kill(t->sim);
        assert_int_equal(pool_new(0, "test", &t->pool), HIF_OK);
        before = simenv_calls(t->sim);
        simenv_fail_at(t->sim, nth, HIF_ELIMIT);
        if (overlay_open(t->env, t->pool, TOVERLAY_DIR, &t->config, &t->overlay, &why) != HIF_OK) {
                assert_true(why.text[0] != '\0');
                toverlay_open(t);
        } else {
                calls = simenv_calls(t->sim) - before;
        }
        simenv_fail_at(t->sim, 0, HIF_OK);
        assert_int_equal(t_lookup(t, NODEID_ROOT, "acknowledged"), id);
        t_expect(t, id, "content");
        toverlay_teardown((void **)&t);
        return calls;
}

static void failures_at_opening_lose_nothing(void **state)
{
        uint64_t nth = 0, calls;

        (void)state;
        do {
                calls = open_with_failure(++nth);
        } while (calls == 0 || calls >= nth);
        assert_true(nth > 20);
}

/* A transaction of many rows is one record: it fits, and is there whole. */
static void large_transaction_is_one_record(void **state)
{
        struct toverlay *t = *state;
        struct otx *tx = otx_begin(t->overlay);
        uint64_t before = overlay_seq(t->overlay);

        for (int i = 0; i < 100000; i++) {
                char name[32];

                snprintf(name, sizeof(name), "file-%d", i);
                otx_dirent_put(tx, &(struct odirent){.dir = (uint64_t)(1 + i % 7),
                                                     .hash60 = t_hash(name),
                                                     .name = span_str(name),
                                                     .child = (uint64_t)i + 2});
                if (i % 3 == 0)
                        otx_node(tx, (uint64_t)i + 2)->kind = ONODE_FILE;
        }
        assert_int_equal(t_commit(tx), before + 1);
        toverlay_kill(t);
        assert_int_equal(overlay_stats(t->overlay).dirents, 100000);
        assert_int_equal(t_lookup(t, 1 + 99999 % 7, "file-99999"), 100001);
        assert_non_null(overlay_node(t->overlay, 99999 + 2));
}

/* A record over the limit is refused, and nothing has changed. */
static void oversized_transaction_changes_nothing(void **state)
{
        struct toverlay *t = *state;
        struct otx *tx = otx_begin(t->overlay);
        struct span big = span_of(calloc(1, 65 << 20), 65 << 20);
        uint64_t seq, before = overlay_seq(t->overlay);

        otx_value(tx, "big", big);
        assert_int_equal(otx_commit(tx, &seq), HIF_ELIMIT);
        assert_int_equal(overlay_value(t->overlay, "big").size, 0);
        assert_int_equal(overlay_seq(t->overlay), before);
        free((void *)(uintptr_t)big.data);
        t_create(t, NODEID_ROOT, "after");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, toverlay_setup, toverlay_teardown)
        const struct CMUnitTest tests[] = {
            TEST(created_file_survives_kill),
            TEST(aborted_transaction_leaves_nothing),
            TEST(all_node_fields_survive_kill),
            TEST(values_survive_kill),
            TEST(notes_survive_kill_and_are_dropped_up_to_a_record),
            TEST(newest_replies_are_kept),
            TEST(numbers_are_never_reused),
            TEST(synced_prefix_survives_power_cut),
            cmocka_unit_test(failures_at_opening_lose_nothing),
            TEST(large_transaction_is_one_record),
            TEST(oversized_transaction_changes_nothing),
        };

        return cmocka_run_group_tests_name("overlay", tests, NULL, NULL);
}
