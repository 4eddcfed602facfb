/* place.h - a fresh place for a test's store, on the back end of one's choice.
 *
 *      memory       store_mem
 *      directory    a new directory in TMPDIR
 *      s3           the S3 server of the tests (HIF_TEST_S3, AWS_*: integration/s3/with_s3.sh)
 *      s3-dialect   as another server would be: 409 for a lost race, tags without quotes
 *      s3-quotes    as one that wants If-Match in quotes, as ETags come
 *      s3-noise     with many answers to GET, HEAD and DELETE cut, lost, late, or 503
 *      s3-faults    with a proxy that waits to be told, and requests given up after a second
 *
 * Any problem fails the test. */
#ifndef HIF_TESTS_S3_PLACE_H
#define HIF_TESTS_S3_PLACE_H

#include "s3/s3fault.h"
#include "store/store.h"

struct place;

/* What the environment asks for (HIF_TEST_STORE), or NULL. */
const char *place_asked(void);

struct place *place_new(struct env *env, const char *kind);
void place_free(struct place *place); /* closes the store and ends the proxy; NULL is fine */
struct store *place_store(struct place *place);
const char *place_url(struct place *place); /* for another store_open; NULL: memory has none */

/* NULL where there is none. */
struct s3fault *place_proxy(struct place *place);
/* A line for the proxy; returns the reply's last word: a rule's id, a count. */
const char *place_say(struct place *place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
