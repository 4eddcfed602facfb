/* What landings change, and what a worker keeps while it is dead. */
#include "s3/impatient.h"
#include "s3/many.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT_FILES   8  /* of a worker: the one before is removed */
#define SHARED_FILES 4  /* of a worker in the common directory */
#define LARGE_EVERY  10 /* a file too large for a pack */
#define LARGE_BYTES  300000

static void set_text(struct many_change *change, unsigned worker, unsigned landing)
{
        int size = asprintf(&change->content, "worker %u, landing %u\n", worker, landing);

        if (size < 0)
                abort();
        change->size = (size_t)size;
}

static void set_large(struct many_change *change, unsigned worker, unsigned landing)
{
        uint32_t x = worker * 1000003 + landing;

        change->size = LARGE_BYTES;
        change->content = malloc(LARGE_BYTES);
        if (!change->content)
                abort();
        for (size_t i = 0; i < LARGE_BYTES; i++) {
                x = x * 1664525 + 1013904223;
                change->content[i] = (char)(x >> 24);
        }
}

size_t many_changes(unsigned worker, unsigned landing, struct many_change out[MANY_CHANGES_MAX])
{
        size_t count = 0;

        memset(out, 0, MANY_CHANGES_MAX * sizeof(out[0]));
        snprintf(out[count].path, sizeof(out[count].path), "all/%u-%u", worker,
                 landing % SHARED_FILES);
        set_text(&out[count++], worker, landing);
        snprintf(out[count].path, sizeof(out[count].path), "own/%u/%u", worker, landing);
        set_text(&out[count++], worker, landing);
        if (landing >= KEPT_FILES)
                snprintf(out[count++].path, sizeof(out[0].path), "own/%u/%u", worker,
                         landing - KEPT_FILES);
        if (landing % LARGE_EVERY == LARGE_EVERY - 1) {
                snprintf(out[count].path, sizeof(out[count].path), "own/%u/large", worker);
                set_large(&out[count++], worker, landing);
        }
        return count;
}

void many_changes_free(struct many_change *changes, size_t count)
{
        for (size_t i = 0; i < count; i++)
                free(changes[i].content);
}

bool many_open(const char *url, uint64_t timeout_ms, struct env *env, struct store **store,
               struct project *out)
{
        struct hif_why why = {.text = ""};
        enum hif_err err = impatient_open(env, url, timeout_ms, store, &why);

        if (err == HIF_OK)
                err = project_create(env, *store, MANY_PROJECT, "A <a@b>", out, &why);
        if (err == HIF_EEXIST)
                err = project_open(env, *store, MANY_PROJECT, out, &why);
        if (err != HIF_OK)
                fprintf(stderr, "%s: %s\n", url, why.text);
        return err == HIF_OK;
}

/* --- between lives: one file, replaced as a whole. Processes die, the machine does not: no sync
 * --- */

static void state_path(const struct many_options *options, unsigned worker, const char *suffix,
                       char out[512])
{
        snprintf(out, 512, "%s/%u%s", options->state, worker, suffix);
}

bool many_load(const struct many_options *options, unsigned worker, struct many_saved *out)
{
        char path[512];
        FILE *file;
        uint64_t slot_size = 0;
        bool good;

        *out = (struct many_saved){0};
        state_path(options, worker, ".state", path);
        file = fopen(path, "r");
        if (!file)
                return true; /* its first life */
        good = fread(out, sizeof(*out), 1, file) == 1;
        out->intent.slot = (struct buf){0};
        if (good && out->intended) {
                good = fread(&slot_size, sizeof(slot_size), 1, file) == 1 &&
                       slot_size <= SLOT_SIZE_MAX;
                for (uint64_t i = 0; good && i < slot_size; i++)
                        buf_put_u8(&out->intent.slot, (uint8_t)fgetc(file));
        }
        fclose(file);
        return good;
}

bool many_save(const struct many_options *options, unsigned worker, const struct many_saved *saved)
{
        char path[512], part[512];
        uint64_t slot_size = saved->intent.slot.size;
        FILE *file;
        bool good;

        state_path(options, worker, ".state", path);
        state_path(options, worker, ".state.part", part);
        file = fopen(part, "w");
        if (!file)
                return false;
        good = fwrite(saved, sizeof(*saved), 1, file) == 1;
        if (saved->intended)
                good = good && fwrite(&slot_size, sizeof(slot_size), 1, file) == 1 &&
                       fwrite(saved->intent.slot.data, 1, slot_size, file) == slot_size;
        return fclose(file) == 0 && good && rename(part, path) == 0;
}

bool many_told(const struct many_options *options, unsigned worker, unsigned landing,
               uint64_t position)
{
        char path[512], line[64];
        int fd, size;
        bool good;

        state_path(options, worker, ".told", path);
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        size = snprintf(line, sizeof(line), "%u %" PRIu64 "\n", landing, position);
        good = fd >= 0 && write(fd, line, (size_t)size) == size;
        if (fd >= 0)
                close(fd);
        return good;
}
