/* fixture.h - an overlay on a simulated machine, and verbs for the tests. */
#ifndef HIF_TESTS_OVERLAY_FIXTURE_H
#define HIF_TESTS_OVERLAY_FIXTURE_H

#include "base/simenv.h"
#include "overlay/overlay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TOVERLAY_DIR "/home/agent/overlay"

struct toverlay {
        struct simenv *sim;
        struct env *env;
        struct pool *pool;
        struct overlay *overlay;
        struct overlay_config config;
};

int toverlay_setup(void **state);
int toverlay_teardown(void **state);

void toverlay_open(struct toverlay *t);
/* Forget the overlay as a dying process does, and open what it left. */
void toverlay_kill(struct toverlay *t);
void toverlay_power_cut(struct toverlay *t);
/* Drop without any clean-up on the disk; the machine is to be killed or cut next. */
void toverlay_drop(struct toverlay *t);
/* Name a new start of the machine. */
void toverlay_boot(struct simenv *sim);

/* One transaction each. */
uint64_t t_create(struct toverlay *t, uint64_t dir, const char *name);
void t_write(struct toverlay *t, uint64_t id, uint64_t offset, const char *text);
void t_fill(struct toverlay *t, uint64_t id, uint64_t offset, uint8_t byte, size_t size);
void t_truncate(struct toverlay *t, uint64_t id, uint64_t size);
void t_remove(struct toverlay *t, uint64_t dir, const char *name, uint64_t id);
uint64_t t_commit(struct otx *tx);

void t_sync(struct toverlay *t);
/* The content as one would read it; base bytes read as '?'. */
void t_expect(struct toverlay *t, uint64_t id, const char *text);
void t_read(struct toverlay *t, uint64_t id, uint8_t *out, size_t size);
uint64_t t_lookup(struct toverlay *t, uint64_t dir, const char *name);
uint64_t t_hash(const char *name);

#endif
