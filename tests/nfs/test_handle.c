#include "nfs/handle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint8_t key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* The bytes are part of the format: handles outlive the server that made them. */
static void handle_has_its_golden_bytes(void **state)
{
        static const uint8_t head[20] = {1,    0,    0,    0,    0xa0, 0xa1, 0xa2,
                                         0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0x40, 0x01,
                                         0x00, 0x00, 0x00, 0x00, 0x00, 0x2a};
        struct handle_seal seal = handle_seal_make(key, 0xa0a1a2a3a4a5a6a7);
        struct sipkey sip = {.k0 = 0x0102030405060708, .k1 = 0x090a0b0c0d0e0f10};
        uint8_t handle[HANDLE_SIZE];
        uint64_t id = 0;

        (void)state;
        handle_put(&seal, 0x400100000000002a, handle);
        assert_memory_equal(handle, head, sizeof(head));
        assert_int_equal(be64_get(handle + 20), siphash(sip, head, sizeof(head)));
        assert_int_equal(handle_get(&seal, span_of(handle, sizeof(handle)), &id), HIF_OK);
        assert_int_equal(id, 0x400100000000002a);
}

/* Whatever single bit is changed, the handle is not ours any more. */
static void any_flipped_bit_is_refused(void **state)
{
        struct handle_seal seal = handle_seal_make(key, 7);
        uint8_t handle[HANDLE_SIZE];
        uint64_t id = 99;

        (void)state;
        handle_put(&seal, 5, handle);
        for (size_t bit = 0; bit < sizeof(handle) * 8; bit++) {
                handle[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_equal(handle_get(&seal, span_of(handle, sizeof(handle)), &id),
                                 HIF_EBADHANDLE);
                handle[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(id, 99);
}

/* Someone who guesses: of ten million handles that are right but for their MAC, none is taken. */
static void ten_million_forged_handles_are_refused(void **state)
{
        struct handle_seal seal = handle_seal_make(key, 7);
        uint64_t x = 88172645463325252u, id = 99;
        uint8_t handle[HANDLE_SIZE];
        unsigned accepted = 0;

        (void)state;
        handle_put(&seal, 5, handle);
        for (int i = 0; i < 10000000; i++) {
                x ^= x << 13; /* xorshift64, Marsaglia 2003 */
                x ^= x >> 7;
                x ^= x << 17;
                be64_put(handle + 20, x);
                accepted += handle_get(&seal, span_of(handle, sizeof(handle)), &id) == HIF_OK;
        }
        assert_int_equal(accepted, 0);
        assert_int_equal(id, 99);
}

/* A handle of another workspace, or one made with another key, is refused. */
static void foreign_handles_are_refused(void **state)
{
        static const uint8_t other_key[16] = {1};
        struct handle_seal seal = handle_seal_make(key, 7), other = handle_seal_make(key, 8),
                           forged = handle_seal_make(other_key, 7);
        uint8_t handle[HANDLE_SIZE];
        uint64_t id;

        (void)state;
        handle_put(&other, 5, handle);
        assert_int_equal(handle_get(&seal, span_of(handle, sizeof(handle)), &id), HIF_EBADHANDLE);
        handle_put(&forged, 5, handle);
        assert_int_equal(handle_get(&seal, span_of(handle, sizeof(handle)), &id), HIF_EBADHANDLE);
}

/* Every other length is refused, without looking at bytes that are not there. */
static void other_lengths_are_refused(void **state)
{
        struct handle_seal seal = handle_seal_make(key, 7);
        uint64_t id;

        (void)state;
        for (size_t size = 0; size <= 64; size++) {
                uint8_t *bytes = calloc(1, size > 0 ? size : 1);

                assert_non_null(bytes);
                if (size >= HANDLE_SIZE)
                        handle_put(&seal, 5, bytes);
                if (size != HANDLE_SIZE)
                        assert_int_equal(handle_get(&seal, span_of(bytes, size), &id),
                                         HIF_EBADHANDLE);
                free(bytes);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(handle_has_its_golden_bytes),
            cmocka_unit_test(any_flipped_bit_is_refused),
            cmocka_unit_test(ten_million_forged_handles_are_refused),
            cmocka_unit_test(foreign_handles_are_refused),
            cmocka_unit_test(other_lengths_are_refused),
        };

        return cmocka_run_group_tests_name("handle", tests, NULL, NULL);
}
