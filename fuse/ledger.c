#include "fuse/ledger.h"

#include "base/map.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC       0x48464c47u /* "HFLG" */
#define VERSION     1u
#define PAGE        4096u
#define SLOT_COUNT  (1u + LEDGER_SMALL_COUNT + LEDGER_LARGE_COUNT)
#define FIRST_LARGE (1u + LEDGER_SMALL_COUNT)
/* No mount lives for so many requests; what comes after it must not become 0, which is free. */
#define ORDER_MAX (UINT64_MAX / 2)

#define SLOTS_AT   ((size_t)PAGE)
#define OPENS_AT   pages(SLOTS_AT + SLOT_COUNT * sizeof(struct ledger_slot))
#define INBOX_AT   pages(OPENS_AT + LEDGER_OPENS_MAX * sizeof(struct open_file))
#define SMALL_AT   (INBOX_AT + LEDGER_REQUEST_MAX)
#define LARGE_AT   (SMALL_AT + (size_t)LEDGER_SMALL_COUNT * LEDGER_SMALL_MAX)
#define TOTAL_SIZE (LARGE_AT + (size_t)LEDGER_LARGE_COUNT * LEDGER_REQUEST_MAX)

struct open_file {
        uint64_t node, count;
};

struct head {
        uint32_t magic, version;
        uint64_t size;
        uint64_t opens_used;
};

_Static_assert(sizeof(struct ledger_slot) == 32, "as drawn in ledger.h");

struct ledger {
        int fd;
        uint8_t *base;
        struct head *head;
        struct ledger_slot *slots;
        struct open_file *files;
        uint64_t order; /* of the newest slot */
        uint16_t small_free[LEDGER_SMALL_COUNT], large_free[LEDGER_LARGE_COUNT];
        size_t small_free_count, large_free_count;
        struct map open;     /* node: index of its open_file, plus one */
        uint32_t *open_free; /* below head->opens_used */
        size_t open_free_count;
};

static inline size_t pages(size_t size)
{
        return (size + PAGE - 1) / PAGE * PAGE;
}

/* Nothing may be moved across by the compiler; a process that dies is seen by another as it was. */
static void settle(void)
{
        atomic_signal_fence(memory_order_seq_cst);
}

/* --- life --- */

static enum hif_err attach(int fd, struct ledger **out)
{
        struct ledger *ledger = calloc(1, sizeof(*ledger));

        if (ledger == NULL)
                return HIF_ENOMEM;
        ledger->open_free = malloc(LEDGER_OPENS_MAX * sizeof(*ledger->open_free));
        ledger->base = mmap(NULL, TOTAL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (ledger->open_free == NULL || ledger->base == MAP_FAILED) {
                if (ledger->base != MAP_FAILED)
                        munmap(ledger->base, TOTAL_SIZE);
                free(ledger->open_free);
                free(ledger);
                return HIF_ENOMEM;
        }
        /* What the kernel writes into stays in memory, so that a death can not cut a read short.
         * Where that is not allowed it is only likely. */
        (void)!mlock(ledger->base + INBOX_AT, LEDGER_REQUEST_MAX);
        ledger->fd = fd;
        ledger->head = (struct head *)ledger->base;
        ledger->slots = (struct ledger_slot *)(ledger->base + SLOTS_AT);
        ledger->files = (struct open_file *)(ledger->base + OPENS_AT);
        *out = ledger;
        return HIF_OK;
}

/* The lists of what is free and open, from what the mapping says. */
static enum hif_err take_stock(struct ledger *ledger)
{
        for (size_t i = SLOT_COUNT; i-- > 1;) {
                const struct ledger_slot *slot = &ledger->slots[i];

                if (slot->order > ledger->order)
                        ledger->order = slot->order;
                if (slot->order != 0)
                        continue;
                if (i < FIRST_LARGE)
                        ledger->small_free[ledger->small_free_count++] = (uint16_t)i;
                else
                        ledger->large_free[ledger->large_free_count++] = (uint16_t)i;
        }
        for (size_t i = ledger->head->opens_used; i-- > 0;) {
                if (ledger->files[i].count == 0)
                        ledger->open_free[ledger->open_free_count++] = (uint32_t)i;
                else if (map_put(&ledger->open, ledger->files[i].node, (void *)(i + 1)) != HIF_OK)
                        return HIF_ENOMEM;
        }
        return HIF_OK;
}

enum hif_err ledger_new(struct ledger **out)
{
        struct head head = {.magic = MAGIC, .version = VERSION, .size = TOTAL_SIZE};
        struct ledger *ledger;
        int fd = memfd_create("hif-fuse", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        enum hif_err err;

        if (fd < 0)
                return hif_err_from_errno(errno);
        if (ftruncate(fd, (off_t)TOTAL_SIZE) != 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
                err = hif_err_from_errno(errno);
                close(fd);
                return err;
        }
        err = attach(fd, &ledger);
        if (err != HIF_OK) {
                close(fd);
                return err;
        }
        memcpy(ledger->base, &head, sizeof(head));
        err = take_stock(ledger);
        if (err != HIF_OK) {
                ledger_free(ledger);
                return err;
        }
        *out = ledger;
        return HIF_OK;
}

/* Can it be mapped, without SIGBUS, and is it what this program would have made? */
static bool is_ledger(int fd)
{
        struct head head;
        struct stat st;
        int seals = fcntl(fd, F_GET_SEALS);

        return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd, &st) == 0 &&
               st.st_size == (off_t)TOTAL_SIZE &&
               pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) && head.magic == MAGIC &&
               head.version == VERSION && head.size == TOTAL_SIZE;
}

/* Whoever holds the memory can not make us leave it. */
static void check(struct ledger *ledger)
{
        for (size_t i = 1; i < SLOT_COUNT; i++) {
                struct ledger_slot *slot = &ledger->slots[i];

                if (slot->order > ORDER_MAX || slot->size < sizeof(struct fuse_in_header) ||
                    slot->size > (i < FIRST_LARGE ? LEDGER_SMALL_MAX : LEDGER_REQUEST_MAX))
                        slot->order = 0;
        }
        if (ledger->head->opens_used > LEDGER_OPENS_MAX)
                ledger->head->opens_used = LEDGER_OPENS_MAX;
}

enum hif_err ledger_open(int fd, struct ledger **out)
{
        struct ledger *ledger;
        enum hif_err err;

        if (!is_ledger(fd))
                return HIF_ECORRUPT;
        err = attach(fd, &ledger);
        if (err != HIF_OK)
                return err;
        check(ledger);
        err = take_stock(ledger);
        if (err != HIF_OK) {
                ledger->fd = -1;
                ledger_free(ledger);
                return err;
        }
        *out = ledger;
        return HIF_OK;
}

void ledger_free(struct ledger *ledger)
{
        if (ledger == NULL)
                return;
        munmap(ledger->base, TOTAL_SIZE);
        if (ledger->fd >= 0)
                close(ledger->fd);
        map_free(&ledger->open);
        free(ledger->open_free);
        free(ledger);
}

int ledger_fd(const struct ledger *ledger)
{
        return ledger->fd;
}

/* --- requests --- */

struct ledger_slot *ledger_inbox(struct ledger *ledger)
{
        return &ledger->slots[0];
}

uint8_t *ledger_request(const struct ledger *ledger, const struct ledger_slot *slot)
{
        size_t index = (size_t)(slot - ledger->slots);

        if (index == 0)
                return ledger->base + INBOX_AT;
        if (index < FIRST_LARGE)
                return ledger->base + SMALL_AT + (index - 1) * LEDGER_SMALL_MAX;
        return ledger->base + LARGE_AT + (index - FIRST_LARGE) * LEDGER_REQUEST_MAX;
}

static struct fuse_in_header inbox_header(const struct ledger *ledger)
{
        struct fuse_in_header in;

        memcpy(&in, ledger->base + INBOX_AT, sizeof(in));
        return in;
}

void ledger_clear(struct ledger *ledger)
{
        settle();
        memset(ledger->base + INBOX_AT, 0, sizeof(uint32_t));
        settle();
        ledger->slots[0].flags = 0;
}

struct ledger_slot *ledger_keep(struct ledger *ledger)
{
        struct fuse_in_header in = inbox_header(ledger);
        struct ledger_slot *slot;

        if (in.len < sizeof(in) || in.len > LEDGER_REQUEST_MAX)
                return NULL;
        if (in.len <= LEDGER_SMALL_MAX && ledger->small_free_count > 0)
                slot = &ledger->slots[ledger->small_free[--ledger->small_free_count]];
        else if (ledger->large_free_count > 0)
                slot = &ledger->slots[ledger->large_free[--ledger->large_free_count]];
        else
                return NULL;
        memcpy(ledger_request(ledger, slot), ledger->base + INBOX_AT, in.len);
        slot->unique = in.unique;
        slot->size = in.len;
        slot->flags = ledger->slots[0].flags;
        settle();
        slot->order = ++ledger->order;
        settle();
        return slot;
}

bool ledger_has_room(const struct ledger *ledger)
{
        return ledger->large_free_count > 0;
}

void ledger_drop(struct ledger *ledger, struct ledger_slot *slot)
{
        uint16_t index;

        if (slot == NULL)
                return;
        index = (uint16_t)(slot - ledger->slots);
        assert(slot->order != 0 && index > 0);
        settle();
        slot->order = 0;
        settle();
        if (index < FIRST_LARGE) {
                ledger->small_free[ledger->small_free_count++] = index;
                return;
        }
        ledger->large_free[ledger->large_free_count++] = index;
        /* A megabyte that may not be needed for long. */
        (void)!madvise(ledger_request(ledger, slot), LEDGER_REQUEST_MAX, MADV_REMOVE);
}

struct ledger_slot *ledger_after(struct ledger *ledger, uint64_t order)
{
        struct ledger_slot *first = NULL;

        for (size_t i = 1; i < SLOT_COUNT; i++) {
                struct ledger_slot *slot = &ledger->slots[i];

                if (slot->order > order && (first == NULL || slot->order < first->order))
                        first = slot;
        }
        return first;
}

uint32_t ledger_inbox_left(const struct ledger *ledger)
{
        struct fuse_in_header in = inbox_header(ledger);

        if (in.len < sizeof(in) || in.len > LEDGER_REQUEST_MAX)
                return 0;
        for (size_t i = 1; i < SLOT_COUNT; i++)
                if (ledger->slots[i].order != 0 && ledger->slots[i].unique == in.unique)
                        return 0;
        return in.len;
}

/* --- open files --- */

enum hif_err ledger_opened(struct ledger *ledger, uint64_t node, bool *first)
{
        size_t index = (uintptr_t)map_get(&ledger->open, node);
        bool fresh = ledger->open_free_count == 0;

        if (index != 0) {
                ledger->files[index - 1].count++;
                *first = false;
                return HIF_OK;
        }
        if (fresh && ledger->head->opens_used == LEDGER_OPENS_MAX)
                return HIF_ELIMIT;
        index = fresh ? ledger->head->opens_used : ledger->open_free[ledger->open_free_count - 1];
        if (map_put(&ledger->open, node, (void *)(index + 1)) != HIF_OK)
                return HIF_ENOMEM;
        if (fresh)
                ledger->head->opens_used++;
        else
                ledger->open_free_count--;
        settle();
        ledger->files[index].node = node;
        settle();
        ledger->files[index].count = 1;
        settle();
        *first = true;
        return HIF_OK;
}

bool ledger_is_open(const struct ledger *ledger, uint64_t node)
{
        return map_get(&ledger->open, node) != NULL;
}

bool ledger_closed(struct ledger *ledger, uint64_t node)
{
        size_t index = (uintptr_t)map_get(&ledger->open, node);

        if (index == 0 || --ledger->files[index - 1].count > 0)
                return false;
        (void)map_del(&ledger->open, node);
        ledger->open_free[ledger->open_free_count++] = (uint32_t)(index - 1);
        return true;
}

bool ledger_next_open(const struct ledger *ledger, size_t *index, uint64_t *node)
{
        for (; *index < ledger->head->opens_used; ++*index)
                if (ledger->files[*index].count > 0) {
                        *node = ledger->files[(*index)++].node;
                        return true;
                }
        return false;
}
