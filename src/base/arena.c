#include "base/arena.h"

#include <stdlib.h>

#define ALIGNMENT      16
#define BLOCK_SIZE_MIN 4096
#define BLOCK_SIZE_MAX (256 * 1024)

struct arena_block {
        struct arena_block *next;
        size_t size, used; /* of bytes */
        _Alignas(ALIGNMENT) uint8_t bytes[];
};

static struct arena_block *block_new(size_t size)
{
        struct arena_block *block;

        block = malloc(sizeof(*block) + size);
        if (!block)
                return NULL;
        block->next = NULL;
        block->size = size;
        block->used = 0;
        return block;
}

/* A block with room for size. One that is large gets a block of its own behind the head, whose
 * room is not given up. */
static struct arena_block *arena_grow(struct arena *arena, size_t size)
{
        struct arena_block *head = arena->blocks;
        size_t block_size = head ? head->size * 2 : BLOCK_SIZE_MIN;
        struct arena_block *block;

        if (block_size > BLOCK_SIZE_MAX)
                block_size = BLOCK_SIZE_MAX;
        if (head && size > block_size / 4) {
                block = block_new(size);
                if (!block)
                        return NULL;
                block->next = head->next;
                head->next = block;
                return block;
        }
        block = block_new(size > block_size ? size : block_size);
        if (!block)
                return NULL;
        block->next = head;
        arena->blocks = block;
        return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
        struct arena_block *block = arena->blocks;
        size_t rounded;
        void *room;

        if (size > PTRDIFF_MAX / 2) /* no object is larger, and nothing below can overflow */
                return NULL;
        rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
        if (!block || rounded > block->size - block->used) {
                block = arena_grow(arena, rounded);
                if (!block)
                        return NULL;
        }
        room = block->bytes + block->used;
        block->used += rounded;
        arena->used += rounded;
        return room;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
        void *room = arena_alloc(arena, size);

        return room ? memset(room, 0, size) : NULL;
}

struct span arena_span(struct arena *arena, struct span span)
{
        uint8_t *copy;

        if (span.size == 0)
                return span_of(NULL, 0);
        copy = arena_alloc(arena, span.size);
        if (!copy)
                return span_of(NULL, 0);
        memcpy(copy, span.data, span.size);
        return span_of(copy, span.size);
}

char *arena_str(struct arena *arena, const char *text)
{
        return (char *)arena_span(arena, span_of(text, strlen(text) + 1)).data;
}

void arena_free(struct arena *arena)
{
        struct arena_block *next;

        for (struct arena_block *block = arena->blocks; block; block = next) {
                next = block->next;
                free(block);
        }
        *arena = (struct arena){0};
}
