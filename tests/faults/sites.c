#include "sites.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#define SITES_MAX  16384u /* a power of two */
#define FRAMES_MAX 6u     /* callers that make a site what it is */
#define FILE_MAX   (1u << 20)
#define SKIPPED    3u /* this file, faults.c, the function that fails */

struct site {
        atomic_uint_fast64_t key; /* 0: free */
        atomic_uint_fast64_t count;
        atomic_uint hits;
        uint64_t fail_at;
        _Atomic(const char *) name;
};

static struct site sites[SITES_MAX];
static atomic_uint_fast64_t points;
static bool chosen;
static __thread bool inside; /* the unwinder's own calls are no points */

/* NULL: too many. */
static struct site *site_of(uint64_t key)
{
        for (uint64_t i = 0; i < SITES_MAX; i++) {
                struct site *site = &sites[(key + i) & (SITES_MAX - 1)];
                uint_fast64_t free = 0;

                if (site->key == key || atomic_compare_exchange_strong(&site->key, &free, key) ||
                    free == key)
                        return site;
        }
        return NULL;
}

struct walk {
        uint64_t hash;
        unsigned frames;
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
        hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
        return hash ^ hash >> 29;
}

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *arg)
{
        struct walk *walk = arg;
        uintptr_t at = _Unwind_GetIP(context);
        struct dl_find_object object;

        if (walk->frames++ < SKIPPED)
                return _URC_NO_REASON;
        if (_dl_find_object((void *)at, &object) == 0)
                at -= (uintptr_t)object.dlfo_map_start;
        walk->hash = mix(walk->hash, at);
        return walk->frames < SKIPPED + FRAMES_MAX ? _URC_NO_REASON : _URC_END_OF_STACK;
}

void sites_load(const char *path)
{
        static char text[FILE_MAX];
        long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC), size = 0;
        char *at = text, *end;

        if (fd >= 0)
                size = syscall(SYS_read, fd, text, sizeof(text) - 1);
        if (fd < 0 || size < 0)
                _exit(125);
        syscall(SYS_close, fd);
        chosen = true;
        for (;; at = end) {
                uint64_t key = strtoull(at, &end, 16);
                struct site *site;

                if (end == at || key == 0)
                        return;
                site = site_of(key);
                if (site == NULL)
                        _exit(125);
                site->fail_at = strtoull(end, &end, 10);
        }
}

bool sites_chosen(void)
{
        return chosen;
}

bool sites_point(const char *name, uint64_t *number)
{
        struct walk walk = {.hash = 1};
        struct site *site;

        if (inside)
                return false;
        inside = true;
        for (const char *c = name; *c != '\0'; c++)
                walk.hash = mix(walk.hash, (uint64_t)*c);
        _Unwind_Backtrace(step, &walk);
        inside = false;
        site = site_of(walk.hash | 1);
        if (site == NULL)
                _exit(125);
        site->name = name;
        if (number != NULL)
                *number = atomic_fetch_add(&points, 1);
        if (atomic_fetch_add(&site->count, 1) + 1 != site->fail_at)
                return false;
        site->hits++;
        return true;
}

void sites_report(int fd)
{
        for (size_t i = 0; chosen && i < SITES_MAX; i++) {
                const struct site *site = &sites[i];
                char line[128];
                int size;

                if (site->key == 0 || site->count == 0)
                        continue;
                size = snprintf(line, sizeof(line), "site %llx %llu %u %s\n",
                                (unsigned long long)site->key, (unsigned long long)site->count,
                                site->hits, site->name);
                if (syscall(SYS_write, fd, line, (size_t)size) != size)
                        _exit(125);
        }
}
