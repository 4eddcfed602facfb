/* open.h - S3 stores as the environment describes them. */
#ifndef HIF_STORE_S3_OPEN_H
#define HIF_STORE_S3_OPEN_H

#include "store/store.h"

/* check: ask for the bucket at once, instead of leaving that to the first request. */
HIF_MUST_USE enum hif_err s3_open(struct env *env, const char *url, bool check, struct store **out,
                                  struct hif_why *why);

#endif
