/* model.c - see model.h. */
#include "model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *ptr)
{
        if (ptr == NULL)
                abort();
        return ptr;
}

#define TRACE(model, ...)                                                                          \
        do {                                                                                       \
                if ((model)->trace)                                                                \
                        fprintf(stderr, __VA_ARGS__);                                              \
        } while (0)
typedef unsigned long long ull;

static void drop(struct mfile *file)
{
        if (file != NULL && --file->refs == 0)
                free(file);
}

static void state_free(struct mstate *state)
{
        for (size_t i = 0; i < MODEL_FILES; i++)
                drop(state->files[i]);
        memset(state, 0, sizeof(*state));
}

static void state_copy(struct mstate *to, const struct mstate *from)
{
        *to = *from;
        for (size_t i = 0; i < MODEL_FILES; i++)
                if (to->files[i] != NULL)
                        to->files[i]->refs++;
}

static struct mstate *latest(const struct model *model)
{
        return &model->states[model->count - 1];
}

bool model_init(struct model *model)
{
        memset(model, 0, sizeof(*model));
        model->capacity = 64;
        model->states = must(calloc(model->capacity, sizeof(*model->states)));
        model->count = 1;
        return true;
}

#define WRITE_STAYS UINT64_MAX /* mwrite.after of bytes that a power cut may bring back */

static void forget_writes(struct model *model, bool all)
{
        size_t kept = 0;

        for (size_t i = 0; i < model->write_count; i++) {
                if (!all && model->writes[i].after == WRITE_STAYS)
                        model->writes[kept++] = model->writes[i];
                else
                        free(model->writes[i].bytes);
        }
        model->write_count = kept;
}

void model_free(struct model *model)
{
        for (size_t i = 0; i < model->count; i++)
                state_free(&model->states[i]);
        forget_writes(model, true);
        free(model->states);
        free(model->writes);
        free(model->op_seqs);
        free(model->note_seqs);
}

/* --- changes --- */

void model_begin(struct model *model)
{
        state_copy(&model->next, latest(model));
        model->next_ops = model->next_notes = 0;
}

static void append_seqs(uint64_t **seqs, size_t *capacity, size_t *end, size_t *more, uint64_t seq)
{
        if (*end + *more > *capacity) {
                *capacity = (*end + *more) * 2 + 64;
                *seqs = must(realloc(*seqs, *capacity * sizeof(uint64_t)));
        }
        for (; *more > 0; (*more)--)
                (*seqs)[(*end)++] = seq;
}

void model_commit(struct model *model, uint64_t seq)
{
        struct mstate *next = &model->next;

        TRACE(model, "record %llu\n", (ull)seq);
        /* A transaction that changed nothing is no record. */
        if (seq == model->newest) {
                state_free(latest(model));
                model->count--;
        }
        append_seqs(&model->op_seqs, &model->op_capacity, &next->op_end, &model->next_ops, seq);
        append_seqs(&model->note_seqs, &model->note_capacity, &next->note_end, &model->next_notes,
                    seq);
        if (model->count == model->capacity) {
                model->capacity *= 2;
                model->states =
                    must(realloc(model->states, model->capacity * sizeof(*model->states)));
        }
        next->seq = model->newest = seq;
        model->states[model->count++] = *next;
        memset(next, 0, sizeof(*next));
}

static struct mfile **file_slot(struct mstate *state, uint64_t id)
{
        for (size_t i = 0; i < MODEL_FILES; i++)
                if (id == 0 ? state->files[i] == NULL
                            : state->files[i] != NULL && state->files[i]->id == id)
                        return &state->files[i];
        return NULL;
}

static struct mfile *file_resize(struct mfile **slot, uint64_t id, size_t size)
{
        struct mfile *file = must(calloc(1, sizeof(*file) + size));
        const struct mfile *old = *slot;

        file->refs = 1;
        file->id = id;
        file->mode = 0644;
        file->size = size;
        if (old != NULL) {
                file->mode = old->mode;
                memcpy(file->bytes, old->bytes, old->size < size ? old->size : size);
        }
        drop(*slot);
        *slot = file;
        return file;
}

void model_create(struct model *model, uint64_t dir, const char *name, uint64_t id)
{
        struct mstate *state = &model->next;
        struct mentry *entry = NULL;
        struct mfile **slot = file_slot(state, 0);

        TRACE(model, "  create %llu as %s in %llu\n", (ull)id, name, (ull)dir);

        for (size_t i = 0; i < MODEL_FILES; i++) {
                struct mentry *at = &state->entries[i];

                if (at->id != 0 && at->dir == dir && strcmp(at->name, name) == 0) {
                        entry = at; /* the name moves; the caller deletes the node */
                        slot = file_slot(state, entry->id);
                        if (slot != NULL) {
                                drop(*slot);
                                *slot = NULL;
                        }
                        break;
                }
                if (at->id == 0 && entry == NULL)
                        entry = at;
        }
        entry->dir = dir;
        entry->id = id;
        snprintf(entry->name, sizeof(entry->name), "%s", name);
        file_resize(slot, id, 0);
        model->next_ops++;
}

void model_remove(struct model *model, uint64_t dir, const char *name, uint64_t id)
{
        struct mfile **slot = file_slot(&model->next, id);

        TRACE(model, "  remove %llu\n", (ull)id);
        for (size_t i = 0; i < MODEL_FILES; i++) {
                struct mentry *at = &model->next.entries[i];

                if (at->dir == dir && strcmp(at->name, name) == 0)
                        memset(at, 0, sizeof(*at));
        }
        if (slot != NULL) {
                drop(*slot);
                *slot = NULL;
        }
}

void model_write(struct model *model, uint64_t id, uint64_t offset, const uint8_t *bytes,
                 size_t size)
{
        struct mfile **slot = file_slot(&model->next, id), *file;
        size_t end = (size_t)offset + size;

        TRACE(model, "  write %llu at %llu, %zu bytes from %02x\n", (ull)id, (ull)offset, size,
              bytes[0]);
        file = file_resize(slot, id, end > (*slot)->size ? end : (*slot)->size);
        memcpy(file->bytes + offset, bytes, size);
}

void model_truncate(struct model *model, uint64_t id, uint64_t size)
{
        TRACE(model, "  truncate %llu to %llu\n", (ull)id, (ull)size);
        file_resize(file_slot(&model->next, id), id, (size_t)size);
}

void model_mode(struct model *model, uint64_t id, uint16_t mode)
{
        struct mfile **slot = file_slot(&model->next, id);

        file_resize(slot, id, (*slot)->size)->mode = mode;
}

void model_value(struct model *model, const char *name, const char *value)
{
        snprintf(model->next.values[name[1] - '0'], 16, "%s", value);
}

void model_ops_drop(struct model *model, uint64_t through)
{
        struct mstate *next = &model->next;

        while (next->op_first < next->op_end && model->op_seqs[next->op_first] <= through)
                next->op_first++;
}

void model_note(struct model *model)
{
        model->next_notes++;
}

void model_notes_drop(struct model *model, uint64_t through)
{
        struct mstate *next = &model->next;

        while (next->note_first < next->note_end && model->note_seqs[next->note_first] <= through)
                next->note_first++;
}

void model_about_to_write(struct model *model, uint64_t id, uint64_t offset, const uint8_t *bytes,
                          size_t size)
{
        struct mwrite *write;

        if (model->write_count == model->write_capacity) {
                model->write_capacity = model->write_capacity * 2 + 64;
                model->writes =
                    must(realloc(model->writes, model->write_capacity * sizeof(*model->writes)));
        }
        write = &model->writes[model->write_count++];
        *write = (struct mwrite){model->newest, id, offset, size, must(malloc(size))};
        memcpy(write->bytes, bytes, size);
}

/* --- history --- */

static size_t find(const struct model *model, uint64_t seq)
{
        size_t at = 0;

        while (at + 1 < model->count && model->states[at + 1].seq <= seq)
                at++;
        return at;
}

static void forget_before(struct model *model, size_t keep)
{
        for (size_t i = 0; i < keep; i++)
                state_free(&model->states[i]);
        model->count -= keep;
        memmove(model->states, model->states + keep, model->count * sizeof(*model->states));
}

void model_synced(struct model *model, uint64_t seq)
{
        TRACE(model, "synced %llu\n", (ull)seq);
        forget_before(model, find(model, seq));
        model->synced = seq;
}

void model_alias(struct model *model, uint64_t seq)
{
        model->newest = seq;
        model_begin(model);
        model_commit(model, seq);
}

uint64_t model_known(const struct model *model, uint64_t seq)
{
        return model->states[find(model, seq)].seq;
}

/* --- comparing --- */

static bool read_content(struct overlay *overlay, const struct onode *node, uint8_t *out)
{
        uint64_t offset = 0;
        struct opiece piece;

        while (overlay_pieces(node, offset, UINT64_MAX, &piece, 1) > 0) {
                if (piece.kind != OPIECE_DATA)
                        memset(out + offset, piece.kind == OPIECE_BASE ? '?' : 0, piece.size);
                else if (overlay_read(overlay, &piece, true, out + offset) != HIF_OK)
                        return false;
                offset += piece.size;
        }
        return offset == node->size;
}

static bool allowed(const struct model *model, uint64_t seq, uint64_t id, uint64_t offset,
                    uint8_t byte)
{
        for (size_t i = 0; i < model->write_count; i++) {
                const struct mwrite *write = &model->writes[i];

                if (write->after >= seq && write->id == id && offset >= write->offset &&
                    offset < write->offset + write->size &&
                    write->bytes[offset - write->offset] == byte)
                        return true;
        }
        return false;
}

static bool file_matches(const struct model *model, struct overlay *overlay, uint64_t seq,
                         const struct mfile *file, char *what, size_t what_size)
{
        const struct onode *node = overlay_node(overlay, file->id);
        uint8_t *bytes;
        bool same = true;

        if (node == NULL) {
                snprintf(what, what_size, "node %llu is gone", (unsigned long long)file->id);
                return false;
        }
        if (node->size != file->size || node->mode != file->mode) {
                snprintf(what, what_size, "node %llu: size %llu, not %zu; mode %o, not %o",
                         (unsigned long long)file->id, (unsigned long long)node->size, file->size,
                         (unsigned)node->mode, (unsigned)file->mode);
                return false;
        }
        if (overlay_reply(overlay, file->id) == NULL) {
                snprintf(what, what_size, "the answer to making %llu is forgotten", (ull)file->id);
                return false;
        }
        bytes = must(malloc(file->size + 1));
        if (read_content(overlay, node, bytes)) {
                for (size_t i = 0; i < file->size && same; i++) {
                        same = bytes[i] == file->bytes[i] ||
                               allowed(model, seq, file->id, i, bytes[i]);
                        if (!same)
                                snprintf(what, what_size, "node %llu, byte %zu is %02x, not %02x",
                                         (unsigned long long)file->id, i, bytes[i], file->bytes[i]);
                }
        }
        free(bytes);
        return same;
}

static bool entries_match(const struct mstate *state, struct overlay *overlay, char *what,
                          size_t what_size)
{
        size_t count = 0;

        for (size_t i = 0; i < MODEL_FILES; i++) {
                const struct mentry *entry = &state->entries[i];
                const struct odirent *row;

                if (entry->id == 0)
                        continue;
                row = overlay_dirent(overlay, entry->dir, (uint64_t)entry->name[1] & 3,
                                     span_str(entry->name));
                if (row == NULL || row->child != entry->id) {
                        snprintf(what, what_size, "entry %s of %llu is wrong", entry->name,
                                 (unsigned long long)entry->dir);
                        return false;
                }
                count++;
        }
        for (uint64_t dir = 0; dir <= 4; dir++) {
                const struct odirent *row = overlay_dirent_seek(overlay, dir, 0, (struct span){0});
                size_t listed = 0;

                for (; row != NULL; row = overlay_dirent_next(overlay, row))
                        listed++;
                if (listed != overlay_dirent_count(overlay, dir))
                        snprintf(what, what_size, "directory %llu lists %zu",
                                 (unsigned long long)dir, listed);
        }
        if (overlay_stats(overlay).dirents != count)
                snprintf(what, what_size, "%llu entries, not %zu",
                         (unsigned long long)overlay_stats(overlay).dirents, count);
        return what[0] == '\0';
}

static bool notes_match(const struct model *model, const struct mstate *state,
                        const struct overlay *overlay, char *what, size_t what_size)
{
        size_t count = state->note_end - state->note_first;

        if (overlay_note_count(overlay) != count) {
                snprintf(what, what_size, "%zu notes, not %zu", overlay_note_count(overlay), count);
                return false;
        }
        for (size_t i = 0; i < count; i++) {
                struct onote note = overlay_note(overlay, i);

                if (note.seq != model->note_seqs[state->note_first + i] ||
                    !span_eq(note.role, span_str("agent")) ||
                    !span_eq(note.text, span_str("said"))) {
                        snprintf(what, what_size, "note %zu is wrong", i);
                        return false;
                }
        }
        return true;
}

struct seqs {
        const uint64_t *left;
        size_t count, seen;
        bool wrong;
};

static enum hif_err see_op(void *arg, uint64_t seq, const struct session_op *op)
{
        struct seqs *seqs = arg;

        (void)op;
        seqs->wrong |= seqs->seen >= seqs->count || seqs->left[seqs->seen] != seq;
        seqs->seen++;
        return HIF_OK;
}

bool model_ops_are(const uint64_t *list, size_t count, struct overlay *overlay,
                   const struct overlay_ops *ops, bool *dropped)
{
        struct seqs seqs = {.left = list, .count = count};
        struct hif_why why = {""};
        enum hif_err err = overlay_ops_each(overlay, ops, see_op, &seqs, &why);

        *dropped = err == HIF_ECANCELED && seqs.seen == 0;
        return err == HIF_OK ? seqs.seen == count && !seqs.wrong : err != HIF_ECORRUPT;
}

/* Each once, in order, wherever it is by now. */
static bool ops_match(const uint64_t *list, size_t count, struct overlay *overlay, char *what,
                      size_t what_size)
{
        struct overlay_ops ops;
        uint64_t last = count > 0 ? list[count - 1] : 0;
        bool dropped, same;

        if (overlay_ops_take(overlay, &ops) != HIF_OK)
                abort();
        same = model_ops_are(list, count, overlay, &ops, &dropped);
        overlay_ops_free(&ops);
        if (same && overlay_op_last(overlay) == last)
                return true;
        snprintf(what, what_size, "not the %zu operations up to %llu, but some up to %llu", count,
                 (ull)last, (ull)overlay_op_last(overlay));
        return false;
}

bool model_matches(const struct model *model, struct overlay *overlay, uint64_t seq, char *what,
                   size_t what_size)
{
        const struct mstate *state = &model->states[find(model, seq)];
        size_t count = 0;
        const uint64_t *ops;

        for (size_t i = 0; i < MODEL_FILES; i++) {
                if (state->files[i] == NULL)
                        continue;
                count++;
                if (!file_matches(model, overlay, state->seq, state->files[i], what, what_size))
                        return false;
        }
        if (overlay_stats(overlay).nodes != count) {
                snprintf(what, what_size, "%llu nodes, not %zu",
                         (unsigned long long)overlay_stats(overlay).nodes, count);
                return false;
        }
        for (size_t i = 0; i < MODEL_VALUES; i++) {
                char name[3] = {'v', (char)('0' + i), '\0'};

                if (!span_eq(overlay_value(overlay, name), span_str(state->values[i]))) {
                        snprintf(what, what_size, "value %s is wrong", name);
                        return false;
                }
        }
        ops = model->op_seqs != NULL ? &model->op_seqs[state->op_first] : NULL;
        return ops_match(ops, state->op_end - state->op_first, overlay, what, what_size) &&
               notes_match(model, state, overlay, what, what_size) &&
               entries_match(state, overlay, what, what_size);
}

/* Take the overlay's bytes of all files; they were compared before. Where they differ, a write that
 * never was acknowledged is to be seen, and the power may take it away again. */
static bool take_content(struct model *model, struct mstate *state, struct overlay *overlay)
{
        for (size_t i = 0; i < MODEL_FILES; i++) {
                struct mfile *file = state->files[i], *taken = NULL;
                const struct onode *node = file != NULL ? overlay_node(overlay, file->id) : NULL;

                if (file == NULL)
                        continue;
                if (node == NULL || node->size != file->size)
                        return false;
                file->refs++;
                taken = file_resize(&state->files[i], file->id, file->size);
                if (!read_content(overlay, node, taken->bytes)) {
                        drop(file);
                        return false;
                }
                for (size_t at = 0; at < file->size; at++) {
                        size_t end = at;

                        while (end < file->size && file->bytes[end] != taken->bytes[end])
                                end++;
                        if (end == at)
                                continue;
                        model_about_to_write(model, file->id, at, file->bytes + at, end - at);
                        model->writes[model->write_count - 1].after = WRITE_STAYS;
                        at = end;
                }
                drop(file);
        }
        return true;
}

void model_abort(struct model *model, struct overlay *overlay)
{
        TRACE(model, "aborted\n");
        state_free(&model->next);
        model->next_ops = 0;
        /* The bytes were compared, or will be with the aborted write among those that may show. */
        model_begin(model);
        if (take_content(model, &model->next, overlay))
                model_commit(model, model->newest);
        else
                state_free(&model->next);
}

bool model_restart(struct model *model, struct overlay *overlay, uint64_t known, uint64_t seq,
                   bool cut)
{
        size_t at = find(model, known);

        TRACE(model, "opened at record %llu with the state of %llu%s\n", (ull)seq, (ull)known,
              cut ? ", after a power cut" : "");
        forget_before(model, at);
        while (model->count > 1)
                state_free(&model->states[--model->count]);
        model->states[0].seq = model->newest = model->synced = seq;
        forget_writes(model, cut);
        return take_content(model, &model->states[0], overlay);
}

/* --- choices --- */

bool model_any_file(const struct model *model, uint64_t random, uint64_t *id)
{
        const struct mstate *state = model->next.seq != 0 ? &model->next : latest(model);

        for (size_t i = 0; i < MODEL_FILES; i++) {
                const struct mfile *file = state->files[(random + i) % MODEL_FILES];

                if (file == NULL)
                        continue;
                *id = file->id;
                return true;
        }
        return false;
}

bool model_entry(const struct model *model, uint64_t dir, const char *name, uint64_t *id)
{
        for (size_t i = 0; i < MODEL_FILES; i++) {
                const struct mentry *entry = &model->next.entries[i];

                if (entry->id == 0 || entry->dir != dir || strcmp(entry->name, name) != 0)
                        continue;
                *id = entry->id;
                return true;
        }
        return false;
}

bool model_any_entry(const struct model *model, uint64_t random, uint64_t *dir, char name[8],
                     uint64_t *id)
{
        for (size_t i = 0; i < MODEL_FILES; i++) {
                const struct mentry *entry = &model->next.entries[(random + i) % MODEL_FILES];

                if (entry->id == 0)
                        continue;
                *dir = entry->dir;
                *id = entry->id;
                memcpy(name, entry->name, 8);
                return true;
        }
        return false;
}
