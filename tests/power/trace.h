/* trace.h - what a recording of a program's disk is: events in the order in which they happened.
 *
 * Recorded by preload.c in every process that runs with it, and by load.c, which says what was
 * acknowledged. Each event is one append to the same file: so the file's order is the order. Numbers
 * are this machine's own: a trace is replayed where it was made. */
#ifndef HIF_TESTS_POWER_TRACE_H
#define HIF_TESTS_POWER_TRACE_H

#include <stdint.h>

enum trace_kind {
        TRACE_CREATE = 1,     /* a file: a = inode; payload: its path */
        TRACE_WRITE = 2,      /* a = inode, b = offset; payload: bytes; also stores into mappings */
        TRACE_TRUNCATE = 3,   /* a = inode, b = size */
        TRACE_ALLOCATE = 4,   /* a = inode, b = offset, c = size */
        TRACE_PUNCH = 5,      /* a = inode, b = offset, c = size */
        TRACE_SYNC_BEGIN = 6, /* a = inode, b = 1: a directory, c = number of this sync; payload:
                               * the path */
        TRACE_SYNC_END = 7,   /* c = its number: it succeeded */
        TRACE_MKDIR = 8,      /* payload: path */
        TRACE_RMDIR = 9,
        TRACE_UNLINK = 10,
        TRACE_LINK = 11,     /* payload: path, 0, path */
        TRACE_RENAME = 12,   /* payload: from, 0, to */
        TRACE_OP_BEGIN = 20, /* a = number; payload: struct load_op and its names */
        TRACE_OP_END = 21,   /* a = number, b = 1: it was done, 0: refused; c = 1: it is stable */
        TRACE_LANDED = 22,   /* a = position */
};

struct trace_event {
        uint32_t size; /* of the payload, which follows */
        uint32_t kind;
        uint64_t ns; /* CLOCK_MONOTONIC */
        uint64_t a, b, c;
};

#endif
