/* request.h - is a request whole? libfuse believes every length and every name that it is given.
 *
 * The kernel sends whole requests. What lies in a predecessor's ledger, or came from a kernel that
 * speaks otherwise, need not be one; no byte past its end may be read. */
#ifndef HIF_FUSE_REQUEST_H
#define HIF_FUSE_REQUEST_H

#include "base/buf.h"

#include <linux/fuse.h>

/* Its length is told, its arguments are there, its names end within it. Of an operation that is not
 * known only the header is looked at: it gets ENOSYS. */
bool request_is_whole(struct span request);
/* Does the kernel wait for an answer? The request has a header. */
bool request_wants_answer(const struct fuse_in_header *in);

#endif
