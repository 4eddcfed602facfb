/* data_check.c - are the files of written bytes what the rows say? */
#include "overlay/data_files.h"

#include <limits.h>
#include <stdio.h>

/* How large a file is with what the log carries of it. */
static uint64_t kept_size(const struct data *data, uint32_t file, uint64_t size)
{
        for (size_t i = 0; i < data->kept_count; i++) {
                const struct kept *kept = &data->kept[i];

                if (kept->file == file && kept->at <= size && kept->at + kept->size > size)
                        size = kept->at + kept->size;
        }
        return size;
}

static enum hif_err check_file(struct data *data, struct dfile *file, struct damage *damage,
                               struct idmap *bad)
{
        char path[PATH_MAX];
        const char *name = path + strlen(data->dir) + 1;
        struct stat st = {0};
        enum hif_err err = dfile_path(data, file->number, path);

        if (err == HIF_OK)
                err = data->env->ops->stat(data->env, path, &st);
        if (err == HIF_ENOMEM || err == HIF_ENOSPC)
                return err; /* says nothing about the file */
        if (err == HIF_OK || err == HIF_ENOENT)
                file->found = kept_size(data, file->number, (uint64_t)st.st_size);
        if ((err == HIF_OK || err == HIF_ENOENT) && file->found >= file->end)
                return HIF_OK;
        if (err == HIF_OK) {
                damage_add(damage, "%s has %llu of %llu bytes: content is lost", name,
                           (unsigned long long)file->found, (unsigned long long)file->end);
        } else if (err == HIF_ENOENT) {
                damage_add(damage, "%s is missing: content is lost", name);
        } else {
                damage_add(damage, "%s cannot be looked at: %s", name, hif_strerror(err));
        }
        if (bad != NULL)
                return idmap_put(bad, file->number, file);
        return err == HIF_OK || err == HIF_ENOENT ? HIF_ECORRUPT : err;
}

enum hif_err data_check(struct data *data, struct damage *damage, struct idmap *bad)
{
        enum hif_err err = HIF_OK;
        uint64_t number;
        void *value;

        for (struct idmap_at at = {0};
             err == HIF_OK && idmap_next(&data->files, &at, &number, &value);) {
                struct dfile *file = value;

                if (file->live > 0)
                        err = check_file(data, file, damage, bad);
        }
        return err;
}

struct telling {
        struct data *data;
        struct damage *damage;
};

static bool tell_orphan(void *arg, const char *name)
{
        struct telling *telling = arg;
        struct data *data = telling->data;
        const struct dfile *file;
        char path[PATH_MAX];
        struct stat st;
        uint32_t number;

        if (!dfile_number(name, &number) || dfile_path(data, number, path) != HIF_OK ||
            data->env->ops->stat(data->env, path, &st) != HIF_OK || st.st_size == 0)
                return true;
        file = idmap_get(&data->files, number);
        if (file == NULL || file->live == 0)
                damage_add(telling->damage,
                           "data/%s holds %llu bytes, and nothing says any more of which files",
                           name, (unsigned long long)st.st_size);
        return true;
}

void data_tell_orphans(struct data *data, struct damage *damage)
{
        struct telling telling = {.data = data, .damage = damage};
        char path[PATH_MAX];

        /* Told to help: what cannot be listed was told already. */
        if (snprintf(path, sizeof(path), "%s/data", data->dir) < (int)sizeof(path))
                (void)!data->env->ops->list(data->env, path, tell_orphan, &telling);
}
