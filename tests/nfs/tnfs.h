/* tnfs.h - a workspace with a known tree, a client of it, and the client's verbs. */
#ifndef HIF_TESTS_NFS_TNFS_H
#define HIF_TESTS_NFS_TNFS_H

#include "tclient.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TNFS_BIG ((size_t)5 << 20) /* of "big": several chunks */

/* "file", "run.sh" (executable), "link" -> "dir/a", "dir/a", "dir/sub/b", "big" */
struct tnfs {
        struct tmount *m;
        struct tclient c;
        struct treply reply; /* to the last call */
        uint8_t *big;
};

int tnfs_setup(void **state);
int tnfs_setup_read_only(void **state);
int tnfs_setup_power(void **state); /* OVERLAY_POWER */
/* With RAM for one large file, and a second one, "other". */
int tnfs_setup_small(void **state);
int tnfs_teardown(void **state);
#define TNFS_TEST(name) cmocka_unit_test_setup_teardown(name, tnfs_setup, tnfs_teardown)

void tnfs_reconnect(struct tnfs *t);
/* Restart with nothing in RAM, and what GETATTR of the root needs brought back. */
void tnfs_cool(struct tnfs *t);

/* One call; the status is asserted, and t->reply.rd stands behind it. */
void tnfs_call(struct tnfs *t, enum nfs_proc proc, const struct buf *args, enum nfsstat3 status);
struct tattr tnfs_getattr(struct tnfs *t, uint64_t id);
uint32_t tnfs_write(struct tnfs *t, uint64_t id, uint64_t offset, const char *text,
                    uint32_t stable);
/* wcc_data that comes next: before and after are exactly these. */
void tnfs_expect_wcc(struct tnfs *t, const struct tattr *before, uint64_t id);
void expect_same_attr(const struct tattr *a, const struct tattr *b);

#endif
