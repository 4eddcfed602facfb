/* store.h - opening stores: which one is meant, and whether it may be trusted.
 *
 * Landing rests on conditional writes, and a store that ignores conditions loses landings without a
 * sign. So a store that is not on this machine is probed (store/probe/probe.h) when it is first used.
 * That it passed is remembered by endpoint and bucket, in the state directory's probes/; a store
 * that fails is refused, and asked again next time. Who may not write there can read all the same.
 */
#ifndef HIF_CLI_STORE_H
#define HIF_CLI_STORE_H

#include "cli/cli.h"
#include "store/probe/probe.h"

/* From here on this process holds secrets: neither a core file nor a debugger of the same user gets
 * its memory. Opening an S3 store does it, too. */
void cli_guard_memory(void);

/* The default store's URL; NULL: out of memory. */
char *cli_default_store(const char *data_dir);

/* Open a store by the URL that cli_store_url gives. create: it will be written to; its directory
 * is made, where it is one. HIF_ENOTSUP: it does not keep its promises; the errors of store_open
 * and of store_probe, but that of credentials which may not write, unless create is set. */
HIF_MUST_USE enum hif_err cli_store_open(struct cli *cli, const char *url, bool create,
                                         struct store **out, struct hif_why *why);
/* Open the configured store, and leave the probe to the caller. check: see that a bucket is there.
 */
HIF_MUST_USE enum hif_err cli_store_unprobed(struct cli *cli, bool check, struct store **out,
                                             struct hif_why *why);
/* What stands for the key that the environment has for this store, as long as no profile goes before
 * it; so that command and daemon can be told apart. False: there is none. */
#define CLI_KEY_SIZE 17
bool cli_own_key(const char *url, char out[CLI_KEY_SIZE]);
/* Before landing in an open store: is it known, or passes it the probe now? */
HIF_MUST_USE enum hif_err cli_store_trusted(struct cli *cli, struct store *store,
                                            struct hif_why *why);
/* Has it passed the probe, as far as this machine remembers? */
bool cli_store_is_known(struct cli *cli, struct store *store);
/* Probe anew, whatever is known, and remember the result. */
HIF_MUST_USE enum hif_err cli_store_probe(struct cli *cli, struct store *store,
                                          struct probe_report *report, struct hif_why *why);

#endif
