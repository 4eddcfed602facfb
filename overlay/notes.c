/* notes.c - what was said and decided, oldest first: appended, and dropped from the front. */
#include "overlay/rows.h"

#include <stdlib.h>

size_t note_size(const struct onote *note)
{
        return sizeof(struct note_row) + note->role.size + note->text.size;
}

enum hif_err notes_reserve(struct notes *notes, size_t more)
{
        size_t capacity = notes->capacity * 2;
        struct note_row **grown;

        if (notes->count + more <= notes->capacity)
                return HIF_OK;
        if (capacity < notes->count + more)
                capacity = notes->count + more + 64;
        grown = realloc(notes->rows, capacity * sizeof(struct note_row *));
        if (grown == NULL)
                return HIF_ENOMEM;
        notes->rows = grown;
        notes->capacity = capacity;
        return HIF_OK;
}

enum hif_err notes_add(struct notes *notes, struct slab *slab, uint64_t seq,
                       const struct onote *note)
{
        struct note_row *row;
        uint8_t *bytes;

        if (notes_reserve(notes, 1) != HIF_OK)
                return HIF_ENOMEM;
        row = slab_alloc(slab, note_size(note));
        if (row == NULL)
                return HIF_ENOMEM;
        bytes = (uint8_t *)(row + 1);
        row->note = *note;
        row->note.seq = note->seq != 0 ? note->seq : seq;
        if (note->role.size > 0)
                memcpy(bytes, note->role.data, note->role.size);
        if (note->text.size > 0)
                memcpy(bytes + note->role.size, note->text.data, note->text.size);
        row->note.role = span_of(bytes, note->role.size);
        row->note.text = span_of(bytes + note->role.size, note->text.size);
        notes->rows[notes->count++] = row;
        notes->bytes += note->role.size + note->text.size;
        return HIF_OK;
}

void notes_drop(struct notes *notes, struct slab *slab, uint64_t through)
{
        size_t drop = 0;

        while (drop < notes->count && notes->rows[drop]->note.seq <= through) {
                const struct onote *note = &notes->rows[drop]->note;

                notes->bytes -= note->role.size + note->text.size;
                slab_free(slab, notes->rows[drop], note_size(note));
                drop++;
        }
        if (drop == 0)
                return;
        notes->count -= drop;
        memmove(notes->rows, notes->rows + drop, notes->count * sizeof(struct note_row *));
}

void notes_free(struct notes *notes)
{
        free(notes->rows);
        *notes = (struct notes){0};
}
