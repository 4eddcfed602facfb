/* faulty_malloc.c - malloc and its family, before the sanitizer's or the C library's. */
#include "faults.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_int_fast64_t live;

/* What a sanitizer puts in their place, if there is one. */
__attribute__((weak)) void *__interceptor_malloc(size_t size);
__attribute__((weak)) void *__interceptor_calloc(size_t count, size_t size);
__attribute__((weak)) void *__interceptor_realloc(void *old, size_t size);
__attribute__((weak)) void *__interceptor_memalign(size_t alignment, size_t size);
__attribute__((weak)) void __interceptor_free(void *memory);
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

int64_t fault_live(void)
{
        return live;
}

static bool fails(const char *name)
{
        if (!fault_point(FAULT_MALLOC, name, NULL))
                return false;
        errno = ENOMEM;
        return true;
}

static void *counted(void *memory)
{
        if (memory != NULL)
                live++;
        return memory;
}

void *malloc(size_t size)
{
        if (fails("malloc"))
                return NULL;
        return counted(__interceptor_malloc != NULL ? __interceptor_malloc(size)
                                                    : __libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
        if (fails("calloc"))
                return NULL;
        return counted(__interceptor_calloc != NULL ? __interceptor_calloc(count, size)
                                                    : __libc_calloc(count, size));
}

void *realloc(void *old, size_t size)
{
        void *memory;

        if ((size > 0 || old == NULL) && fails("realloc"))
                return NULL;
        memory = __interceptor_realloc != NULL ? __interceptor_realloc(old, size)
                                               : __libc_realloc(old, size);
        if (old == NULL && memory != NULL)
                live++;
        if (old != NULL && size == 0 && memory == NULL)
                live--;
        return memory;
}

void *reallocarray(void *old, size_t count, size_t size)
{
        size_t bytes;

        if (__builtin_mul_overflow(count, size, &bytes)) {
                errno = ENOMEM;
                return NULL;
        }
        return realloc(old, bytes);
}

void *memalign(size_t alignment, size_t size)
{
        if (fails("memalign"))
                return NULL;
        return counted(__interceptor_memalign != NULL ? __interceptor_memalign(alignment, size)
                                                      : __libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
        return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
        void *memory = memalign(alignment, size);

        if (memory == NULL)
                return ENOMEM;
        *out = memory;
        return 0;
}

void free(void *memory)
{
        if (memory == NULL)
                return;
        live--;
        if (__interceptor_free != NULL)
                __interceptor_free(memory);
        else
                __libc_free(memory);
}
