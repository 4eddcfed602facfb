/* answer.h - what sources of credentials answer with: JSON, XML, times. Inside aws_*.c only.
 * All of it is as hostile as any input, and may hold secrets: none is ever quoted. */
#ifndef HIF_AWS_ANSWER_H
#define HIF_AWS_ANSWER_H

#include "aws/source.h"

/* "2026-01-31T12:00:00Z", with a fraction, or with an offset instead of Z. */
bool aws_time_parse(const char *text, uint64_t *wall_ns);

/* A JSON object with AccessKeyId, SecretAccessKey, the session token under `token_name`, and
 * Expiration, the latter two optional; Version, if `version` is set, must be 1, and Code, if there,
 * "Success". out->source has been set, and names the source in the sentence. HIF_EDENIED. */
HIF_MUST_USE enum hif_err aws_json_key(struct span json, const char *token_name, bool version,
                                       struct aws_fetched *out, struct hif_why *why);

/* STS's answer: a Credentials element. The same. */
HIF_MUST_USE enum hif_err aws_sts_key(struct span xml, struct aws_fetched *out,
                                      struct hif_why *why);
/* The Code of STS's error, or "": a short word of letters and digits. */
#define AWS_STS_CODE_SIZE 64
void aws_sts_error(struct span xml, char code[AWS_STS_CODE_SIZE]);

#endif
