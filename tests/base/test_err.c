/* test_err.c - names, phrases and conversions of errors. */
#include "tests/base/check.h"

#include <errno.h>
#include <string.h>

/* Every error has a name and a phrase of its own. */
static void every_error_is_described(void **state)
{
        (void)state;
        for (int a = 0; a < HIF_ERR_COUNT; a++) {
                assert_true(strlen(hif_err_name((enum hif_err)a)) > 1);
                assert_true(strlen(hif_strerror((enum hif_err)a)) > 1);
                for (int b = 0; b < a; b++) {
                        assert_string_not_equal(hif_err_name((enum hif_err)a),
                                                hif_err_name((enum hif_err)b));
                        assert_string_not_equal(hif_strerror((enum hif_err)a),
                                                hif_strerror((enum hif_err)b));
                }
        }
        assert_string_equal(hif_err_name(HIF_ENOENT), "ENOENT");
        assert_string_equal(hif_strerror(HIF_ENOENT), "no such file or directory");
}

/* A number that is no error is described too, not read out of bounds. */
static void foreign_number_is_described(void **state)
{
        (void)state;
        assert_string_equal(hif_err_name(HIF_ERR_COUNT), "UNKNOWN");
        assert_string_equal(hif_strerror((enum hif_err) - 1), "unknown error");
}

/* What POSIX and we both name survives the way to errno and back. */
static void posix_errors_go_there_and_back(void **state)
{
        static const enum hif_err posix[] = {
            HIF_OK,    HIF_EPERM,   HIF_ENOENT,    HIF_EIO,          HIF_EACCES,    HIF_EEXIST,
            HIF_EXDEV, HIF_ENOTDIR, HIF_EISDIR,    HIF_EINVAL,       HIF_EFBIG,     HIF_ENOSPC,
            HIF_EROFS, HIF_EMLINK,  HIF_ENOTEMPTY, HIF_ENAMETOOLONG, HIF_ESTALE,    HIF_ENOTSUP,
            HIF_EBUSY, HIF_ENOMEM,  HIF_EAGAIN,    HIF_ETIMEDOUT,    HIF_ECANCELED,
        };

        (void)state;
        for (size_t i = 0; i < sizeof(posix) / sizeof(posix[0]); i++)
                assert_err(hif_err_from_errno(hif_err_to_errno(posix[i])), posix[i]);
}

/* An errno that nobody foresaw is an input/output error. A quota is no disk, but as full. */
static void unknown_errno_is_eio(void **state)
{
        (void)state;
        assert_err(hif_err_from_errno(123456), HIF_EIO);
        assert_err(hif_err_from_errno(EDQUOT), HIF_EDQUOT);
        assert_true(hif_err_is_full(HIF_EDQUOT) && hif_err_is_full(HIF_ENOSPC));
        assert_false(hif_err_is_full(HIF_OK) || hif_err_is_full(HIF_EIO));
        assert_err(hif_err_from_errno(EMFILE), HIF_ELIMIT);
}

/* Every error that may reach FUSE has a positive errno. */
static void every_error_has_an_errno(void **state)
{
        (void)state;
        assert_int_equal(hif_err_to_errno(HIF_OK), 0);
        for (int err = HIF_EPERM; err < HIF_ERR_COUNT; err++)
                assert_true(hif_err_to_errno((enum hif_err)err) > 0);
        assert_int_equal(hif_err_to_errno(HIF_EBADHANDLE), ESTALE);
}

/* why_set fills in the sentence, passes the error through, and takes nobody for a listener. */
static void why_carries_the_sentence(void **state)
{
        struct hif_why why;

        (void)state;
        assert_err(why_set(&why, HIF_EIO, "%s: %d", "disk", 7), HIF_EIO);
        assert_string_equal(why.text, "disk: 7");
        assert_err(why_set(NULL, HIF_EBUSY, "nobody listens"), HIF_EBUSY);
}

/* A sentence that is too long is cut and still a string. */
static void long_why_is_cut(void **state)
{
        struct hif_why why;

        (void)state;
        assert_err(why_set(&why, HIF_EIO, "%2000s", "x"), HIF_EIO);
        assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_error_is_described),
            cmocka_unit_test(foreign_number_is_described),
            cmocka_unit_test(posix_errors_go_there_and_back),
            cmocka_unit_test(unknown_errno_is_eio),
            cmocka_unit_test(every_error_has_an_errno),
            cmocka_unit_test(why_carries_the_sentence),
            cmocka_unit_test(long_why_is_cut),
        };

        return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
