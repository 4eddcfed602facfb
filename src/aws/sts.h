/* sts.h - AWS's Security Token Service: keys for a role. Inside aws_*.c only. */
#ifndef HIF_AWS_STS_H
#define HIF_AWS_STS_H

#include "aws/source.h"

/* The body of a request, as a form; wipe_buf it. value NULL: left out. */
void aws_form_put(struct buf *form, const char *name, const char *value);

/* POST the form to STS, signed with `key` unless that is NULL, and take the credentials of its
 * answer; out->source has been set. key may be that of out. HIF_EDENIED with what STS says,
 * HIF_ECANCELED, HIF_ENOMEM. */
HIF_MUST_USE enum hif_err aws_sts_call(struct aws_chain *chain, struct span form,
                                       const struct aws_key *key, struct aws_fetched *out,
                                       struct hif_why *why);

/* "hif-SECONDS", where no name is given for the session of a role. */
#define AWS_SESSION_NAME_SIZE 40
void aws_session_name(struct aws_chain *chain, char out[AWS_SESSION_NAME_SIZE]);

#endif
