/* op.h - one operation of random_ops: drawn from a seed, written as a line, read from one.
 *
 * What is drawn depends on the seed and the operation's number alone, never on what happened before:
 * any of a run's operations can be left out, and the others stay what they were. */
#ifndef HIF_TESTS_MOUNT_OP_H
#define HIF_TESTS_MOUNT_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OP_NAMES     8  /* each directory may have these, see op_name */
#define OP_DEPTH_MAX 3  /* components of a path */
#define OP_FDS       5  /* files open at once */
#define OP_LINE_MAX  96 /* bytes of an operation as text */

/* A path below the worker's directory, as numbers of names. depth 0: the directory itself. */
struct op_path {
        unsigned depth;
        unsigned char name[OP_DEPTH_MAX];
};

enum op_kind {
        OP_OPEN, /* into slot fd; how: OPEN_* */
        OP_CLOSE,
        OP_READ,
        OP_WRITE, /* at the end where opened with OPEN_APPEND */
        OP_COPY,  /* copy_file_range, from fd at offset to fd2 at offset2 */
        OP_MAP_READ,
        OP_MAP_WRITE, /* how & 1: with msync */
        OP_TRUNCATE,  /* by path a, to size */
        OP_FTRUNCATE,
        OP_ALLOCATE, /* how: FALLOC_FL_* */
        OP_SYNC,     /* how & 1: fdatasync */
        OP_FORGET,   /* sync, and ask the kernel to drop what it has cached */
        OP_UNLINK,
        OP_RENAME, /* a to b */
        OP_LINK,   /* a also as b */
        OP_SYMLINK,
        OP_READLINK,
        OP_MKDIR,
        OP_RMDIR,
        OP_CHMOD, /* to mode size */
        OP_TIMES, /* mtime: size seconds, offset nanoseconds */
        OP_STAT,
        OP_FSTAT,
        OP_LIST,
        OP_CHECK, /* everything, byte by byte */
        OP_RUN,   /* close all; then the command with this number; then everything is checked */
        OP_KINDS,
};

enum {
        OPEN_READ_ONLY = 1,
        OPEN_APPEND = 2,
        OPEN_DIRECT = 4,
        OPEN_CREATE = 8,
        OPEN_EXCLUSIVE = 16,
        OPEN_TRUNCATE = 32,
        OPEN_SYNC = 64,
        OPEN_MODE = 128, /* one of op_mode, times this */
};

/* Fields that a kind does not use are 0. tag: which write this is, see content.h. */
struct op {
        enum op_kind kind;
        struct op_path a, b;
        unsigned fd, fd2, how;
        uint64_t offset, offset2, size;
        uint32_t tag;
};

/* A name of up to 255 bytes, of all sorts; index < OP_NAMES. */
const char *op_name(unsigned index);

/* A mode; any index. */
unsigned op_mode(unsigned index);

/* Operation `number` (from 1) of the worker with this seed. Each `run_every`th is an OP_RUN, of the commands in turn
 * (0: none). */
struct op op_draw(uint64_t seed, uint32_t number, uint32_t run_every);

/* The operation as a line, without the newline; op_parse reads it back. */
void op_format(const struct op *op, char out[OP_LINE_MAX]);
bool op_parse(const char *line, struct op *op);

/* A well mixed number of these two. */
uint64_t op_mix(uint64_t a, uint64_t b);

#endif
