/* arena.h - many small allocations that are freed together. Not thread-safe. */
#ifndef HIF_BASE_ARENA_H
#define HIF_BASE_ARENA_H

#include "base/buf.h"

struct arena_block;

/* Zero-initialised is empty and valid. */
struct arena {
        struct arena_block *blocks;
        size_t used; /* bytes handed out */
};

/* 16-byte aligned, uninitialised; NULL when out of memory. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_zalloc(struct arena *arena, size_t size);
/* A copy; {NULL, 0} with a non-zero source size when out of memory. */
struct span arena_span(struct arena *arena, struct span span);
char *arena_str(struct arena *arena, const char *text);
void arena_free(struct arena *arena); /* leaves it empty and valid */
#define AUTO_ARENA CLEANUP(arena_free)

#endif
