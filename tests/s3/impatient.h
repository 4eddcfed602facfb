/* impatient.h - an S3 store that gives up early, so that a test need not wait for real timeouts. */
#ifndef HIF_TESTS_S3_IMPATIENT_H
#define HIF_TESTS_S3_IMPATIENT_H

#include "store/store.h"

/* As store_open, with AWS_ENDPOINT_URL and the key in the environment; a request without an answer
 * is given up after timeout_ms. Other URLs, or a timeout_ms of 0: store_open. */
HIF_MUST_USE enum hif_err impatient_open(struct env *env, const char *url, uint64_t timeout_ms,
                                         struct store **out, struct hif_why *why);

#endif
