#include "pmodel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL (64u << 10)
#define PIECES                                                                                     \
        20 /* writes from which on a file may be kept in pieces of its own: each makes up to two */

uint8_t pop_byte(const struct pop *op, uint64_t i)
{
        uint64_t x = op->seed + (i / 8) * 0x9e3779b97f4a7c15u;

        x = (x ^ x >> 31) * 0xbf58476d1ce4e5b9u;
        return (uint8_t)(x >> (i % 8 * 8));
}

struct pentry *pmodel_find(struct pmodel *model, const char *path)
{
        for (size_t i = 0; i < model->count; i++)
                if (strcmp(model->entries[i].path, path) == 0)
                        return &model->entries[i];
        return NULL;
}

static void drop(struct pmodel *model, struct pentry *entry)
{
        if (entry == NULL)
                return;
        free(entry->bytes);
        *entry = model->entries[--model->count];
}

static struct pentry *add(struct pmodel *model, const char *path, char kind)
{
        struct pentry *entry = &model->entries[model->count++];

        if (model->count > PMODEL_MAX)
                abort();
        *entry = (struct pentry){.kind = kind, .mode = kind == 'd' ? 0755 : 0644};
        snprintf(entry->path, sizeof(entry->path), "%s", path);
        return entry;
}

static void resize(struct pentry *entry, size_t size)
{
        entry->bytes = realloc(entry->bytes, size + 1);
        if (entry->bytes == NULL)
                abort();
        if (size > entry->size)
                memset(entry->bytes + entry->size, 0, size - entry->size);
        entry->size = size;
}

void pmodel_apply(struct pmodel *model, const struct pop *op)
{
        struct pentry *entry = pmodel_find(model, op->path);

        switch ((enum pop_kind)op->kind) {
        case POP_CREATE:
                add(model, op->path, 'f')->file = op->file;
                break;
        case POP_WRITE:
                if (op->offset + op->size > entry->size)
                        resize(entry, op->offset + op->size);
                for (uint64_t i = 0; i < op->size; i++)
                        entry->bytes[op->offset + i] = pop_byte(op, i);
                entry->scattered |= op->offset + op->size > SMALL || ++entry->writes > PIECES;
                break;
        case POP_TRUNCATE:
                resize(entry, op->size);
                break;
        case POP_RENAME:
                drop(model, pmodel_find(model, op->path2));
                snprintf(pmodel_find(model, op->path)->path, PMODEL_PATH, "%s", op->path2);
                break;
        case POP_UNLINK:
                drop(model, entry);
                break;
        case POP_MKDIR:
                add(model, op->path, 'd');
                break;
        case POP_SYMLINK:
                entry = add(model, op->path, 'l');
                resize(entry, strlen(op->path2));
                memcpy(entry->bytes, op->path2, entry->size);
                break;
        case POP_CHMOD:
                entry->mode = (uint32_t)op->size;
                break;
        case POP_FSYNC:
                break;
        }
}

void pmodel_free(struct pmodel *model)
{
        while (model->count > 0)
                drop(model, &model->entries[0]);
}
