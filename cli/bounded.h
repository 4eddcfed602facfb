/* bounded.h - what may hang in the kernel runs in a process of its own, for so long and no longer.
 *
 * A mount whose server hangs holds everyone who touches it, and not even SIGKILL always helps. So
 * commands do not touch mounts themselves: a child does, and if it hangs it is left behind. */
#ifndef HIF_CLI_BOUNDED_H
#define HIF_CLI_BOUNDED_H

#include "base/buf.h"
#include "base/err.h"

/* Run in a child: what it returns is returned here; what it writes to the descriptor `out` is
 * appended to `said` (NULL: dropped). HIF_ETIMEDOUT: it was not done in time, and is killed, or
 * hangs beyond that; HIF_EIO: it died. Only for programs with one thread. The child has no other
 * descriptor of ours: whoever reads our output does not wait for one that hangs. */
HIF_MUST_USE enum hif_err bounded_run(uint64_t timeout_ms, enum hif_err (*run)(void *arg, int out),
                                      void *arg, struct buf *said);

/* The same in two steps, so that many can run at once and are waited for together. */
struct bounded {
        int pid, out;
        uint64_t deadline_ms;
        enum hif_err err; /* it could not be started */
};
void bounded_begin(struct bounded *bounded, uint64_t timeout_ms,
                   enum hif_err (*run)(void *arg, int out), void *arg);
HIF_MUST_USE enum hif_err bounded_end(struct bounded *bounded, struct buf *said);

/* For places of the user's, where a time alone tells nothing: a busy machine keeps a child waiting for
 * a processor, a slow disk answers late, and both are no reason to give up. One that hangs waits for
 * one and the same thing all the time. */
struct bounded_wait {
        uint64_t waited_ms;
        uint64_t still_ms;      /* it did nothing for so long, and wanted no processor */
        const struct buf *said; /* so far */
};
/* As bounded_run, while go_on(), asked every 100 ms, says so. Else HIF_ETIMEDOUT. */
HIF_MUST_USE enum hif_err bounded_watch(bool (*go_on)(void *arg, const struct bounded_wait *wait),
                                        enum hif_err (*run)(void *arg, int out), void *arg,
                                        struct buf *said);

#endif
