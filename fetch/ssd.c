/* ssd.c - which segments there are: opening, eviction, and the calls of ssd.h. */
#include "fetch/ssd.h"

#include "base/log.h"
#include "fetch/ssd_index.h"
#include "fetch/ssd_segment.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SEGMENTS_MIN     8              /* a limit is cut in at least so many */
#define WRITE_PAUSE_NS   10000000000ull /* after a write that failed: a full disk stays full */
#define EVICTIONS_MAX    64             /* by one put */
#define SEGMENT_NAME_MAX 16

struct ssd {
        struct env *env;
        char *dir;
        int lock_fd;
        uint64_t bytes_max;
        uint64_t segment_max;

        pthread_mutex_t mutex; /* the rest */
        struct ssd_index index;
        struct ssd_segment *oldest[SSD_CLASSES], *newest[SSD_CLASSES];
        uint64_t charged[SSD_CLASSES]; /* of the limit, dead segments included */
        uint32_t next_id;
        uint32_t holders; /* of nodes */
        bool held_lost;   /* nodes went while they were held: told */
        uint64_t paused_until_ns;
};

static enum ssd_class class_of(enum fetch_kind kind)
{
        return kind == FETCH_NODE ? SSD_NODES : SSD_DATA;
}

static uint64_t charged(const struct ssd *ssd)
{
        return ssd->charged[SSD_NODES] + ssd->charged[SSD_DATA];
}

/* --- segments come and go: with the mutex held --- */

static void append_segment(struct ssd *ssd, struct ssd_segment *segment)
{
        struct ssd_segment *newest = ssd->newest[segment->class];

        *(newest ? &newest->next : &ssd->oldest[segment->class]) = segment;
        ssd->newest[segment->class] = segment;
        ssd->charged[segment->class] += segment->charge;
}

static char *segment_path(const struct ssd *ssd, enum ssd_class class, uint32_t id)
{
        char *path = NULL;

        return asprintf(&path, "%s/%c-%08x", ssd->dir, class == SSD_NODES ? 'n' : 'd', id) < 0
                   ? NULL
                   : path;
}

static struct ssd_segment *segment_new(struct ssd *ssd, enum ssd_class class, uint32_t id,
                                       int flags)
{
        struct ssd_segment *segment = calloc(1, sizeof(*segment));

        if (!segment)
                return NULL;
        segment->fd = -1;
        segment->class = class;
        segment->id = id;
        segment->charge = SSD_TRAILER_SIZE;
        segment->path = segment_path(ssd, class, id);
        if (!segment->path ||
            ssd->env->ops->open(ssd->env, segment->path, O_RDWR | flags, 0600, &segment->fd) ||
            map_put(&ssd->index.segments, id, segment) != HIF_OK) {
                ssd_segment_free(ssd->env, segment);
                return NULL;
        }
        return segment;
}

/* The class that gives way: data, until nodes are more than half; with holders, until nodes are all
 * that there is. */
static enum ssd_class class_to_evict(const struct ssd *ssd)
{
        if (!ssd->oldest[SSD_DATA])
                return SSD_NODES;
        if (!ssd->oldest[SSD_NODES])
                return SSD_DATA;
        if (ssd->holders > 0)
                return SSD_DATA;
        return ssd->charged[SSD_NODES] > ssd->bytes_max / 2 ? SSD_NODES : SSD_DATA;
}

void ssd_hold_nodes(struct ssd *ssd)
{
        pthread_mutex_lock(&ssd->mutex);
        ssd->holders++;
        pthread_mutex_unlock(&ssd->mutex);
}

void ssd_release_nodes(struct ssd *ssd)
{
        pthread_mutex_lock(&ssd->mutex);
        assert(ssd->holders > 0);
        if (--ssd->holders == 0)
                ssd->held_lost = false;
        pthread_mutex_unlock(&ssd->mutex);
}

/* The limit goes before the promise: a tree that is larger than it is not all there offline. */
static void tell_lost(struct ssd *ssd)
{
        if (ssd->holders == 0 || ssd->held_lost)
                return;
        ssd->held_lost = true;
        log_line(
            ssd->env->log, LOG_WARN, "fetch",
            "the tree nodes of what is mounted are more than the cache %s may hold: some paths "
            "will not be found while their store does not answer; a larger ssd-max helps",
            ssd->dir);
}

/* Take the oldest segment out of sight; NULL: there is none. Its bytes count until its file is
 * gone. */
static struct ssd_segment *kill_oldest(struct ssd *ssd)
{
        enum ssd_class class = class_to_evict(ssd);
        struct ssd_segment *segment = ssd->oldest[class];

        if (!segment)
                return NULL;
        if (class == SSD_NODES)
                tell_lost(ssd);
        ssd->oldest[class] = segment->next;
        if (!segment->next)
                ssd->newest[class] = NULL;
        segment->next = NULL;
        segment->dead = true;
        map_del(&ssd->index.segments, segment->id);
        return segment;
}

/* Give a dead segment's space back. Without the mutex: removing a file may take milliseconds. */
static void bury(struct ssd *ssd, struct ssd_segment *segment)
{
        enum ssd_class class = segment->class;
        uint64_t charge = segment->charge;
        /* A file that stays is found at the next opening, and counted again then. */
        enum hif_err err = ssd->env->ops->unlink(ssd->env, segment->path);

        ssd_segment_free(ssd->env, segment);
        if (err && err != HIF_ENOENT)
                return;
        pthread_mutex_lock(&ssd->mutex);
        ssd->charged[class] -= charge;
        pthread_mutex_unlock(&ssd->mutex);
}

/* After reading or writing, with the mutex held; drops it. The last one out does what waits. Once
 * nobody is in, a segment that is not dead is anybody's to bury: it is not looked at any more. */
static void leave(struct ssd *ssd, struct ssd_segment *segment)
{
        enum hif_err ignored;
        bool bury_it;

        if (segment->users == 1 && !segment->dead && segment->sealed && !segment->footed) {
                segment->footed = true;
                pthread_mutex_unlock(&ssd->mutex);
                /* Without a footer it is walked at the next opening. */
                ignored = ssd_footer_write(ssd->env, segment);
                (void)ignored;
                pthread_mutex_lock(&ssd->mutex);
                free(segment->records);
                segment->records = NULL;
        }
        bury_it = --segment->users == 0 && segment->dead;
        pthread_mutex_unlock(&ssd->mutex);
        if (bury_it)
                bury(ssd, segment);
}

/* --- opening --- */

struct found {
        struct ssd *ssd;
        struct {
                uint32_t id;
                enum ssd_class class;
        } * items;
        size_t count, capacity;
        bool failed;
};

static bool found_add(void *arg, const char *name)
{
        struct found *found = arg;
        char again[SEGMENT_NAME_MAX];
        unsigned id;
        char class;

        if (sscanf(name, "%c-%8x", &class, &id) != 2 || (class != 'n' && class != 'd') || id == 0)
                return true;
        snprintf(again, sizeof(again), "%c-%08x", class, id);
        if (strcmp(again, name) != 0)
                return true;
        if (found->count == found->capacity) {
                size_t capacity = found->capacity ? found->capacity * 2 : 64;
                void *items = realloc(found->items, capacity * sizeof(*found->items));

                if (!items) {
                        found->failed = true;
                        return false;
                }
                found->items = items;
                found->capacity = capacity;
        }
        found->items[found->count].id = id;
        found->items[found->count++].class = class == 'n' ? SSD_NODES : SSD_DATA;
        return true;
}

static int by_id(const void *a, const void *b)
{
        const uint32_t *x = a, *y = b; /* the id comes first */

        return (*x > *y) - (*x < *y);
}

static enum hif_err load_one(struct ssd *ssd, enum ssd_class class, uint32_t id)
{
        struct ssd_segment *segment = segment_new(ssd, class, id, 0);
        enum hif_err err;

        if (!segment)
                return HIF_EIO;
        err = ssd_segment_load(ssd->env, segment);
        for (size_t i = 0; !err && i < segment->record_count; i++)
                err = ssd_index_put(&ssd->index, id, segment->records[i]);
        if (err) {
                map_del(&ssd->index.segments, id);
                ssd_segment_free(ssd->env, segment);
                return err;
        }
        if (segment->sealed) {
                free(segment->records);
                segment->records = NULL;
        }
        append_segment(ssd, segment);
        return HIF_OK;
}

/* Only the newest segment of a class goes on being written. */
static void seal_older(struct ssd *ssd)
{
        for (int class = 0; class < SSD_CLASSES; class ++) {
                for (struct ssd_segment *s = ssd->oldest[class]; s && s->next; s = s->next) {
                        s->sealed = s->footed = true;
                        free(s->records);
                        s->records = NULL;
                }
        }
}

static enum hif_err load_all(struct ssd *ssd)
{
        struct found found = {.ssd = ssd};
        enum hif_err err = ssd->env->ops->list(ssd->env, ssd->dir, found_add, &found);

        if (!err && found.failed)
                err = HIF_ENOMEM;
        if (!err && found.count)
                qsort(found.items, found.count, sizeof(*found.items), by_id);
        for (size_t i = 0; !err && i < found.count; i++) {
                err = load_one(ssd, found.items[i].class, found.items[i].id);
                /* A cache: what cannot be read does not count, but for its name. */
                if (err && err != HIF_ENOMEM)
                        err = HIF_OK;
                if (ssd->next_id <= found.items[i].id)
                        ssd->next_id = found.items[i].id + 1;
        }
        free(found.items);
        if (err)
                return err;
        seal_older(ssd);
        while (charged(ssd) > ssd->bytes_max) {
                struct ssd_segment *segment = kill_oldest(ssd);

                if (!segment)
                        return HIF_EIO;
                bury(ssd, segment);
        }
        return HIF_OK;
}

static enum hif_err lock_take(struct ssd *ssd)
{
        AUTO_FREE char *path = NULL;
        enum hif_err err;

        if (asprintf(&path, "%s/lock", ssd->dir) < 0) {
                path = NULL;
                return HIF_ENOMEM;
        }
        err = ssd->env->ops->open(ssd->env, path, O_RDWR | O_CREAT, 0600, &ssd->lock_fd);
        if (err)
                return err;
        return env_lock(ssd->env, ssd->lock_fd, path, ENV_LOCK_WAIT_MS);
}

enum hif_err ssd_open(struct env *env, const char *dir, uint64_t bytes_max, struct ssd **out,
                      struct hif_why *why)
{
        struct ssd *ssd = calloc(1, sizeof(*ssd));
        enum hif_err err;

        if (!ssd)
                return HIF_ENOMEM;
        pthread_mutex_init(&ssd->mutex, NULL);
        ssd->env = env;
        ssd->lock_fd = -1;
        ssd->next_id = 1;
        ssd->bytes_max = bytes_max;
        ssd->segment_max =
            bytes_max / SEGMENTS_MIN < SSD_SEGMENT_MAX ? bytes_max / SEGMENTS_MIN : SSD_SEGMENT_MAX;
        ssd->dir = strdup(dir);
        err = ssd->dir ? env_mkdirs(env, dir, 0700) : HIF_ENOMEM;
        if (!err)
                err = lock_take(ssd);
        if (!err)
                err = load_all(ssd);
        if (err) {
                ssd_close(ssd);
                if (err == HIF_EBUSY)
                        return why_set(why, err,
                                       "the cache %s is in use by another process; stop that one, "
                                       "or give this one a directory of its own",
                                       dir);
                return why_set(why, err, "the cache %s cannot be opened: %s", dir,
                               hif_strerror(err));
        }
        *out = ssd;
        return HIF_OK;
}

void ssd_close(struct ssd *ssd)
{
        if (!ssd)
                return;
        for (int class = 0; class < SSD_CLASSES; class ++) {
                while (ssd->oldest[class]) {
                        struct ssd_segment *segment = ssd->oldest[class];

                        assert(segment->users == 0);
                        ssd->oldest[class] = segment->next;
                        ssd_segment_free(ssd->env, segment);
                }
        }
        ssd_index_free(&ssd->index);
        if (ssd->lock_fd >= 0)
                ssd->env->ops->close(ssd->env, ssd->lock_fd);
        pthread_mutex_destroy(&ssd->mutex);
        free(ssd->dir);
        free(ssd);
}

/* --- reading --- */

bool ssd_has(struct ssd *ssd, enum fetch_kind kind, const struct hif_hash *hash)
{
        bool found;

        pthread_mutex_lock(&ssd->mutex);
        found = ssd_index_find(&ssd->index, ssd_key(kind, hash)) != NULL;
        pthread_mutex_unlock(&ssd->mutex);
        return found;
}

void ssd_drop(struct ssd *ssd, enum fetch_kind kind, const struct hif_hash *hash)
{
        struct ssd_slot *slot;

        pthread_mutex_lock(&ssd->mutex);
        slot = ssd_index_find(&ssd->index, ssd_key(kind, hash));
        if (slot)
                slot->segment = 0;
        pthread_mutex_unlock(&ssd->mutex);
}

enum hif_err ssd_get(struct ssd *ssd, enum fetch_kind kind, const struct hif_hash *hash,
                     struct buf *out)
{
        struct ssd_segment *segment;
        struct ssd_record record;
        struct ssd_slot *slot;
        enum hif_err err;

        pthread_mutex_lock(&ssd->mutex);
        slot = ssd_index_find(&ssd->index, ssd_key(kind, hash));
        if (!slot) {
                pthread_mutex_unlock(&ssd->mutex);
                return HIF_ENOENT;
        }
        record = (struct ssd_record){.key = slot->key, .offset = slot->offset, .size = slot->size};
        segment = map_get(&ssd->index.segments, slot->segment);
        segment->users++;
        pthread_mutex_unlock(&ssd->mutex);

        err = ssd_record_read(ssd->env, segment->fd, &record, kind, hash, out);
        pthread_mutex_lock(&ssd->mutex);
        leave(ssd, segment);
        if (err == HIF_ECORRUPT)
                ssd_drop(ssd, kind, hash);
        return err;
}

/* --- writing --- */

/* Evict until `need` fits. The mutex is held before and after, and dropped in between. */
static bool make_room(struct ssd *ssd, uint64_t need)
{
        for (int i = 0; charged(ssd) + need > ssd->bytes_max; i++) {
                struct ssd_segment *victim = i < EVICTIONS_MAX ? kill_oldest(ssd) : NULL;
                bool busy = victim && victim->users > 0;

                /* Its last user will bury it; until then its bytes are still there. */
                if (!victim || busy)
                        return false;
                pthread_mutex_unlock(&ssd->mutex);
                bury(ssd, victim);
                pthread_mutex_lock(&ssd->mutex);
        }
        return true;
}

/* The segment that the next record of a class goes to, with the mutex held; NULL: none can be made.
 * *again: the mutex was dropped for a while. */
static struct ssd_segment *segment_for(struct ssd *ssd, enum ssd_class class, uint64_t need,
                                       bool *again)
{
        struct ssd_segment *segment = ssd->newest[class];

        *again = false;
        if (segment && !segment->sealed && segment->end > 0 &&
            segment->charge + need > ssd->segment_max) {
                segment->sealed = true;
                if (segment->users == 0) {
                        /* Nobody would write its footer: go in and out once. */
                        segment->users++;
                        leave(ssd, segment);
                        pthread_mutex_lock(&ssd->mutex);
                        *again = true;
                        return NULL;
                }
        }
        if (segment && !segment->sealed)
                return segment;
        segment = segment_new(ssd, class, ssd->next_id++, O_CREAT | O_EXCL);
        if (segment)
                append_segment(ssd, segment);
        return segment;
}

/* Room for one record: enters its segment. The mutex is held before and after. */
static struct ssd_segment *enter_for_write(struct ssd *ssd, enum ssd_class class, size_t size,
                                           uint64_t *offset)
{
        uint64_t need = ssd_record_charge(size) + SSD_TRAILER_SIZE;
        struct ssd_segment *segment;
        bool again;

        if (need > ssd->bytes_max / 2)
                return NULL;
        if (ssd->paused_until_ns && env_mono_ns(ssd->env) < ssd->paused_until_ns)
                return NULL;
        do {
                if (!make_room(ssd, need))
                        return NULL;
                segment = segment_for(ssd, class, need, &again);
        } while (again);
        if (!segment)
                return NULL;
        *offset = segment->end;
        segment->end += SSD_HEADER_SIZE + size;
        segment->charge += ssd_record_charge(size);
        ssd->charged[class] += ssd_record_charge(size);
        segment->users++;
        return segment;
}

void ssd_put(struct ssd *ssd, enum fetch_kind kind, const struct hif_hash *hash,
             struct span content)
{
        struct ssd_record record = {.key = ssd_key(kind, hash), .size = (uint32_t)content.size};
        struct ssd_segment *segment;
        uint64_t offset = 0;
        enum hif_err err;

        if (ssd_has(ssd, kind, hash))
                return;
        pthread_mutex_lock(&ssd->mutex);
        segment = enter_for_write(ssd, class_of(kind), content.size, &offset);
        pthread_mutex_unlock(&ssd->mutex);
        if (!segment)
                return;
        assert(offset <= UINT32_MAX);
        record.offset = (uint32_t)offset;
        err = ssd_record_write(ssd->env, segment->fd, offset, kind, hash, content);

        pthread_mutex_lock(&ssd->mutex);
        if (!err)
                err = ssd_segment_add(segment, record);
        if (!err && !segment->dead)
                err = ssd_index_put(&ssd->index, segment->id, record);
        if (err) {
                segment->sealed = true;
                ssd->paused_until_ns = env_mono_ns(ssd->env) + WRITE_PAUSE_NS;
        }
        leave(ssd, segment);
}

uint64_t ssd_bytes(struct ssd *ssd)
{
        uint64_t bytes;

        pthread_mutex_lock(&ssd->mutex);
        bytes = charged(ssd);
        pthread_mutex_unlock(&ssd->mutex);
        return bytes;
}
