/* test_fuse_ledger.c - the list that outlives a FUSE server, and the note of its handshake. */
#include "fuse/handshake.h"
#include "fuse/ledger.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int setup(void **state)
{
        struct ledger *ledger;

        assert_int_equal(ledger_new(&ledger), HIF_OK);
        *state = ledger;
        return 0;
}

static int teardown(void **state)
{
        ledger_free(*state);
        return 0;
}

/* As if the kernel had given it to read(2). */
static void receive(struct ledger *ledger, uint64_t unique, uint32_t size)
{
        struct fuse_in_header in = {.len = size, .opcode = FUSE_WRITE, .unique = unique};
        uint8_t *bytes = ledger_request(ledger, ledger_inbox(ledger));

        memset(bytes, (int)unique, size);
        memcpy(bytes, &in, sizeof(in));
}

static struct ledger *successor(const struct ledger *ledger)
{
        struct ledger *next;

        assert_int_equal(ledger_open(dup(ledger_fd(ledger)), &next), HIF_OK);
        return next;
}

/* What waits is found in the order in which it came, with all its bytes; what was answered is not. */
static void what_waits_is_found_by_the_next(void **state)
{
        const uint32_t sizes[] = {40, 8192, 8193, LEDGER_REQUEST_MAX, 100};
        struct ledger *ledger = *state, *next;
        struct ledger_slot *slots[5];
        uint64_t order = 0;

        for (uint64_t i = 0; i < 5; i++) {
                receive(ledger, 10 + i, sizes[i]);
                slots[i] = ledger_keep(ledger);
                assert_non_null(slots[i]);
                ledger_clear(ledger);
        }
        slots[4]->flags |= LEDGER_INTERRUPTED;
        ledger_drop(ledger, slots[1]);
        next = successor(ledger);
        for (uint64_t i = 0; i < 5; i++) {
                const struct ledger_slot *slot;
                const uint8_t *bytes;

                if (i == 1)
                        continue;
                slot = ledger_after(next, order);
                assert_non_null(slot);
                order = slot->order;
                bytes = ledger_request(next, slot);
                assert_int_equal(slot->unique, 10 + i);
                assert_int_equal(slot->size, sizes[i]);
                assert_int_equal(bytes[sizes[i] - 1], sizes[i] > 40 ? 10 + i : 0);
                assert_int_equal(slot->flags, i == 4 ? LEDGER_INTERRUPTED : 0);
        }
        assert_null(ledger_after(next, order));
        assert_int_equal(ledger_inbox_left(next), 0);
        ledger_free(next);
}

/* What was just read is there, too; unless it had been moved already when the server died. */
static void what_was_just_read_is_found_once(void **state)
{
        struct ledger *ledger = *state, *next;

        receive(ledger, 7, 60);
        next = successor(ledger);
        assert_int_equal(ledger_inbox_left(next), 60);
        ledger_free(next);
        assert_non_null(ledger_keep(ledger)); /* and no ledger_clear */
        next = successor(ledger);
        assert_int_equal(ledger_inbox_left(next), 0);
        assert_non_null(ledger_after(next, 0));
        ledger_free(next);
}

/* So many may wait; a large one more is not taken, and a small one may take a large place. */
static void room_ends_and_comes_back(void **state)
{
        struct ledger *ledger = *state;
        struct ledger_slot *slot = NULL;

        for (uint64_t i = 0; i < LEDGER_LARGE_COUNT; i++) {
                assert_true(ledger_has_room(ledger));
                receive(ledger, i + 1, 100000);
                slot = ledger_keep(ledger);
                assert_non_null(slot);
        }
        assert_false(ledger_has_room(ledger));
        assert_null(ledger_keep(ledger));
        receive(ledger, 99, 50);
        assert_non_null(ledger_keep(ledger));
        ledger_drop(ledger, slot);
        assert_true(ledger_has_room(ledger));
        receive(ledger, 100, 200000);
        assert_ptr_equal(ledger_keep(ledger), slot);
}

static void files_stay_open_as_often_as_they_were_opened(void **state)
{
        struct ledger *ledger = *state, *next;
        uint64_t node = 0;
        size_t at = 0;
        bool first;

        assert_int_equal(ledger_opened(ledger, 5, &first), HIF_OK);
        assert_true(first);
        assert_int_equal(ledger_opened(ledger, 6, &first), HIF_OK);
        assert_int_equal(ledger_opened(ledger, 5, &first), HIF_OK);
        assert_false(first);
        assert_true(ledger_closed(ledger, 6));
        assert_false(ledger_closed(ledger, 5));
        next = successor(ledger);
        assert_true(ledger_next_open(next, &at, &node));
        assert_int_equal(node, 5);
        assert_false(ledger_next_open(next, &at, &node));
        assert_int_equal(ledger_opened(next, 6, &first), HIF_OK);
        assert_true(first);
        assert_true(ledger_closed(next, 5));
        assert_false(ledger_closed(next, 5)); /* nor again */
        ledger_free(next);
}

static void too_many_open_files_are_refused(void **state)
{
        struct ledger *ledger = *state;
        bool first;

        for (uint64_t node = 1; node <= LEDGER_OPENS_MAX; node++)
                assert_int_equal(ledger_opened(ledger, node, &first), HIF_OK);
        assert_int_equal(ledger_opened(ledger, 1ull << 40, &first), HIF_ELIMIT);
        assert_true(ledger_closed(ledger, 77));
        assert_int_equal(ledger_opened(ledger, 1ull << 40, &first), HIF_OK);
        assert_true(first);
}

/* Another version's, another file, one that could be cut while it is mapped: not read. Garbage: read,
 * and nothing of it leads out of the memory. */
static void what_is_no_ledger_is_refused(void **state)
{
        struct ledger *ledger = *state, *next;
        int other = memfd_create("other", MFD_ALLOW_SEALING), fd = ledger_fd(ledger);
        uint32_t version = 2;
        uint8_t garbage[4096];
        uint64_t node;

        assert_true(other >= 0 && ftruncate(other, 1 << 20) == 0);
        assert_int_equal(ledger_open(other, &next), HIF_ECORRUPT);
        close(other);
        srand(1);
        for (off_t at = 16; at < (1 << 17); at += (off_t)sizeof(garbage)) {
                for (size_t i = 0; i < sizeof(garbage); i++)
                        garbage[i] = (uint8_t)rand();
                assert_int_equal(pwrite(fd, garbage, sizeof(garbage), at), sizeof(garbage));
        }
        next = successor(ledger);
        for (const struct ledger_slot *slot = ledger_after(next, 0); slot != NULL;
             slot = ledger_after(next, slot->order))
                assert_true(slot->size <= LEDGER_REQUEST_MAX);
        for (size_t i = 0; ledger_next_open(next, &i, &node);)
                assert_true(i <= LEDGER_OPENS_MAX);
        ledger_free(next);
        assert_int_equal(pwrite(fd, &version, sizeof(version), 4), sizeof(version));
        fd = dup(fd);
        assert_int_equal(ledger_open(fd, &next), HIF_ECORRUPT);
        close(fd);
}

/* After the largest order that there can be would come 0, which is free: who claims it is not kept. */
static void what_is_kept_after_damage_can_be_dropped(void **state)
{
        struct ledger *ledger = *state, *next;
        struct ledger_slot *slot;

        receive(ledger, 1, 100);
        slot = ledger_keep(ledger);
        assert_non_null(slot);
        ledger_clear(ledger);
        slot->order = UINT64_MAX;
        next = successor(ledger);
        assert_null(ledger_after(next, 0));
        receive(next, 2, 100);
        slot = ledger_keep(next);
        assert_non_null(slot);
        assert_ptr_equal(ledger_after(next, 0), slot);
        ledger_drop(next, slot);
        ledger_free(next);
}

/* --- the handshake's note --- */

static void a_note_is_read_back_whole_or_not_at_all(void **state)
{
        uint8_t request[104] = {104}, reply[80] = {80};
        struct handshake given = {.key = {1, 2}, .want = 0x1234}, got;
        AUTO_BUF struct buf note = {0};

        (void)state;
        buf_put(&given.request, request, sizeof(request));
        buf_put(&given.reply, reply, sizeof(reply));
        handshake_encode(&given, &note);
        assert_false(buf_failed(&note));
        assert_int_equal(handshake_decode(buf_span(&note), &got), HIF_OK);
        assert_int_equal(got.key.k0, 1);
        assert_int_equal(got.key.k1, 2);
        assert_int_equal(got.want, 0x1234);
        assert_true(span_eq(buf_span(&got.request), buf_span(&given.request)));
        assert_true(span_eq(buf_span(&got.reply), buf_span(&given.reply)));
        handshake_free(&got);
        for (size_t size = 0; size < note.size; size++)
                assert_int_equal(handshake_decode(span_of(note.data, size), &got), HIF_ECORRUPT);
        buf_put_u8(&note, 0);
        assert_int_equal(handshake_decode(buf_span(&note), &got), HIF_ECORRUPT);
        note.size--;
        note.data[4] = 2;
        assert_int_equal(handshake_decode(buf_span(&note), &got), HIF_EUNSUPPORTED);
        handshake_free(&given);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(what_waits_is_found_by_the_next, setup, teardown),
            cmocka_unit_test_setup_teardown(what_was_just_read_is_found_once, setup, teardown),
            cmocka_unit_test_setup_teardown(room_ends_and_comes_back, setup, teardown),
            cmocka_unit_test_setup_teardown(files_stay_open_as_often_as_they_were_opened, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(too_many_open_files_are_refused, setup, teardown),
            cmocka_unit_test_setup_teardown(what_is_no_ledger_is_refused, setup, teardown),
            cmocka_unit_test_setup_teardown(what_is_kept_after_damage_can_be_dropped, setup,
                                            teardown),
            cmocka_unit_test(a_note_is_read_back_whole_or_not_at_all),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
