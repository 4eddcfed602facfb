#include "cli/supervisor/shelf.h"

#include "cli/supervisor/wire.h"

#include <stdlib.h>
#include <unistd.h>

static struct shelf_item *find(const struct shelf *shelf, struct span name)
{
        for (size_t i = 0; i < shelf->count; i++)
                if (span_eq(span_str(shelf->items[i].name), name))
                        return &shelf->items[i];
        return NULL;
}

const struct shelf_item *shelf_find(const struct shelf *shelf, struct span name)
{
        return find(shelf, name);
}

static void free_item(struct shelf_item *item)
{
        free(item->name);
        free((void *)(uintptr_t)item->note.data);
        close(item->fd);
}

static bool is_name(struct span name)
{
        return name.size > 0 && name.size <= WIRE_NAME_MAX &&
               memchr(name.data, '\0', name.size) == NULL;
}

static bool grow(struct shelf *shelf)
{
        size_t capacity = shelf->capacity > 0 ? 2 * shelf->capacity : 16;
        struct shelf_item *items = realloc(shelf->items, capacity * sizeof(*items));

        if (items == NULL)
                return false;
        shelf->items = items;
        shelf->capacity = capacity;
        return true;
}

enum hif_err shelf_put(struct shelf *shelf, struct span name, int fd, struct span note)
{
        struct shelf_item item = {.fd = fd}, *old;
        enum hif_err err = HIF_OK;
        uint8_t *copy = malloc(note.size > 0 ? note.size : 1);

        if (!is_name(name) || note.size > WIRE_NOTE_MAX)
                err = HIF_EINVAL;
        else
                item.name = strndup((const char *)name.data, name.size);
        old = item.name != NULL ? find(shelf, name) : NULL;
        if (err == HIF_OK && old == NULL && shelf->count == SHELF_MAX)
                err = HIF_ELIMIT;
        else if (err == HIF_OK &&
                 (item.name == NULL || copy == NULL ||
                  (old == NULL && shelf->count == shelf->capacity && !grow(shelf))))
                err = HIF_ENOMEM;
        item.note = span_of(copy, note.size);
        if (err != HIF_OK) {
                free_item(&item);
                return err;
        }
        if (note.size > 0)
                memcpy(copy, note.data, note.size);
        if (old != NULL)
                free_item(old);
        else
                old = &shelf->items[shelf->count++];
        *old = item;
        return HIF_OK;
}

enum hif_err shelf_drop(struct shelf *shelf, struct span name)
{
        struct shelf_item *item = find(shelf, name);

        if (item == NULL)
                return HIF_ENOENT;
        free_item(item);
        *item = shelf->items[--shelf->count];
        return HIF_OK;
}

void shelf_free(struct shelf *shelf)
{
        for (size_t i = 0; i < shelf->count; i++)
                free_item(&shelf->items[i]);
        free(shelf->items);
        *shelf = (struct shelf){0};
}
