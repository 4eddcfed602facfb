/* pmodel.h - what a directory should hold after the first k operations of the load: the load chooses
 * its operations by it, and the replay compares with it. */
#ifndef HIF_TESTS_POWER_PMODEL_H
#define HIF_TESTS_POWER_PMODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PMODEL_PATH 64
#define PMODEL_MAX  512

enum pop_kind {
        POP_CREATE = 1, /* open(O_CREAT | O_EXCL) */
        POP_WRITE,      /* size bytes at offset, made from seed */
        POP_TRUNCATE,   /* to size */
        POP_RENAME,     /* over what is there */
        POP_UNLINK,
        POP_MKDIR,
        POP_SYMLINK, /* to path2 */
        POP_CHMOD,   /* to size */
        POP_FSYNC,
};

/* As it is in a trace. */
struct pop {
        uint32_t kind, file; /* of the file: it keeps its number under other names */
        uint64_t offset, size, seed;
        char path[PMODEL_PATH], path2[PMODEL_PATH];
};

struct pentry {
        char path[PMODEL_PATH];
        char kind; /* 'f', 'd', 'l' */
        uint32_t file, mode;
        uint8_t *bytes; /* of 'l' the target */
        size_t size;
        bool scattered; /* beyond 64 KiB or in many pieces: rewritten where it lies */
        unsigned writes;
};

struct pmodel {
        struct pentry entries[PMODEL_MAX];
        size_t count;
};

void pmodel_apply(struct pmodel *model, const struct pop *op);
struct pentry *pmodel_find(struct pmodel *model, const char *path);
void pmodel_free(struct pmodel *model);
/* Byte i of what a write puts. */
uint8_t pop_byte(const struct pop *op, uint64_t i);

#endif
