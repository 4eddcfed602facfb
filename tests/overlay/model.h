/* model.h - what an overlay should hold, after each record of its history. Files are immutable and
 * shared between states; each change copies the one it touches. */
#ifndef HIF_TESTS_OVERLAY_MODEL_H
#define HIF_TESTS_OVERLAY_MODEL_H

#include "overlay/overlay.h"

#define MODEL_FILES    64
#define MODEL_VALUES   4
#define MODEL_FILE_MAX 90000

struct mfile {
        unsigned refs;
        uint64_t id;
        uint16_t mode;
        size_t size;
        uint8_t bytes[];
};

struct mentry {
        uint64_t dir, id; /* id 0: free */
        char name[8];
};

struct mstate {
        uint64_t seq;
        struct mfile *files[MODEL_FILES];
        struct mentry entries[MODEL_FILES];
        char values[MODEL_VALUES][16];
        size_t op_first, op_end;     /* in model.op_seqs */
        size_t note_first, note_end; /* in model.note_seqs */
};

/* A write that may show in an older state, as it may have lain in the same place. */
struct mwrite {
        uint64_t after; /* the newest record when it came */
        uint64_t id, offset;
        size_t size;
        uint8_t *bytes;
};

struct model {
        struct mstate *states; /* the synced one, then each record since */
        size_t count, capacity;
        uint64_t newest, synced;
        uint64_t *op_seqs, *note_seqs;
        size_t op_capacity, note_capacity;
        struct mwrite *writes;
        size_t write_count, write_capacity;
        struct mstate next; /* being made */
        size_t next_ops, next_notes;
        bool trace; /* every change to stderr */
};

bool model_init(struct model *model);
void model_free(struct model *model);

void model_begin(struct model *model);
void model_commit(struct model *model, uint64_t seq);
/* Aborted writes may have left bytes behind: those are read from the overlay. */
void model_abort(struct model *model, struct overlay *overlay);

void model_create(struct model *model, uint64_t dir, const char *name, uint64_t id);
void model_remove(struct model *model, uint64_t dir, const char *name, uint64_t id);
void model_write(struct model *model, uint64_t id, uint64_t offset, const uint8_t *bytes,
                 size_t size);
void model_truncate(struct model *model, uint64_t id, uint64_t size);
void model_mode(struct model *model, uint64_t id, uint16_t mode);
void model_value(struct model *model, const char *name, const char *value);
void model_ops_drop(struct model *model, uint64_t through);
void model_note(struct model *model);
void model_notes_drop(struct model *model, uint64_t through);

void model_about_to_write(struct model *model, uint64_t id, uint64_t offset, const uint8_t *bytes,
                          size_t size);
/* Everything up to seq was promised to survive. */
void model_synced(struct model *model, uint64_t seq);
/* The newest state is also that of this record. */
void model_alias(struct model *model, uint64_t seq);
/* History starts anew at the state of record `known`, which is what the overlay holds at seq. Its
 * bytes are taken from the overlay; false when they cannot be read. cut: after a power cut, which
 * settles what the disk holds. */
bool model_restart(struct model *model, struct overlay *overlay, uint64_t known, uint64_t seq,
                   bool cut);

/* The newest record at or before seq of which the state is known. */
uint64_t model_known(const struct model *model, uint64_t seq);
/* False, with a reason, when the overlay does not hold the state of that record. Reading may fail
 * (the machine may die): what cannot be read is not compared. */
bool model_matches(const struct model *model, struct overlay *overlay, uint64_t seq, char *what,
                   size_t what_size);

/* Are these operations those of the records in the list? What cannot be read is not compared. *dropped:
 * some of them are gone since they were taken. */
bool model_ops_are(const uint64_t *list, size_t count, struct overlay *overlay,
                   const struct overlay_ops *ops, bool *dropped);

bool model_any_file(const struct model *model, uint64_t random, uint64_t *id);
/* What a name leads to in the state that is being made. */
bool model_entry(const struct model *model, uint64_t dir, const char *name, uint64_t *id);
bool model_any_entry(const struct model *model, uint64_t random, uint64_t *dir, char name[8],
                     uint64_t *id);

#endif
