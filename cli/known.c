#include "cli/known.h"

#include "base/cleanup.h"
#include "cli/mounts.h"
#include "core/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool session_name_valid(const char *name)
{
        size_t size =
            strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

        return size > 0 && size <= SESSION_NAME_MAX && name[size] == '\0' && name[0] != '.' &&
               name[0] != '-';
}

/* --- the sessions that this machine holds, by their summaries --- */

struct finding {
        struct cli *cli;
        const char *dir;
        int depth;
        json_t *sessions;
};

static bool list_one(void *arg, const char *name)
{
        struct finding *finding = arg;
        struct finding deeper = *finding;
        struct env *env = &finding->cli->env;
        AUTO_FREE char *path = NULL, *file = NULL;
        json_t *summary;

        if (asprintf(&path, "%s/%s", finding->dir, name) < 0) {
                path = NULL;
                return false;
        }
        deeper.dir = path;
        deeper.depth++;
        if (finding->depth < 2) {
                (void)!env->ops->list(env, path, list_one, &deeper);
                return true;
        }
        if (asprintf(&file, "%s/session.json", path) < 0) {
                file = NULL;
                return false;
        }
        summary = json_load_file(file, JSON_REJECT_DUPLICATES, NULL);
        if (summary == NULL)
                return true; /* a session that was never mounted to the end */
        free(file);
        if (asprintf(&file, "%s/mounted", path) < 0)
                file = NULL;
        json_object_set_new(summary, "mounted", json_boolean(file && access(file, F_OK) == 0));
        json_object_set_new(summary, "directory", json_string(path));
        json_array_append_new(finding->sessions, summary);
        return true;
}

enum hif_err sessions_here(struct cli *cli, json_t **out)
{
        AUTO_FREE char *root = NULL;
        struct finding finding = {.cli = cli, .sessions = json_array()};
        enum hif_err err;

        if (asprintf(&root, "%s/workspaces", cli->paths.state_dir) < 0) {
                root = NULL;
                return HIF_ENOMEM;
        }
        finding.dir = root;
        err = cli->env.ops->list(&cli->env, root, list_one, &finding);
        *out = finding.sessions;
        return err == HIF_ENOENT ? HIF_OK : err;
}

/* --- those that are mounted, by the kernel's list --- */

struct listing {
        json_t *sessions, *out;
};

static json_t *describe(const json_t *session)
{
        static const char *const names[] = {"project",     "session",   "id",    "base",
                                            "mount_point", "front_end", "store", "directory"};
        json_t *item = json_object();

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                (void)json_object_set(item, names[i], json_object_get(session, names[i]));
        return item;
}

/* The session of a mount that is at its place. */
static json_t *session_at(json_t *sessions, const char *path)
{
        json_t *session;
        size_t index;

        json_array_foreach(sessions, index, session)
        {
                if (json_is_true(json_object_get(session, "mounted")) &&
                    strcmp(json_text(session, "mount_point"), path) == 0)
                        return session;
        }
        return NULL;
}

/* That of one which has moved along with a directory: by its device, and over FUSE its project. */
static json_t *session_of(json_t *sessions, const struct mount *mount)
{
        json_t *session;
        size_t index;

        json_array_foreach(sessions, index, session)
        {
                AUTO_BUF struct buf source = {0};
                bool nfs = strcmp(json_text(session, "front_end"), "nfs") == 0;

                if (!json_is_true(json_object_get(session, "mounted")) || mount->minor == 0 ||
                    json_integer_value(json_object_get(session, "device")) != mount->minor)
                        continue;
                buf_printf(&source, "hif:%s", json_text(session, "project"));
                if (nfs || (!buf_failed(&source) && span_eq(buf_span(&source), mount->source)))
                        return session;
        }
        return NULL;
}

/* Other users' are in the kernel's list, too. */
static bool add_mount(void *arg, const struct mount *mount)
{
        struct listing *listing = arg;
        json_t *session = mount->ours ? session_at(listing->sessions, mount->path) : NULL, *item;

        if (mount->ours && session == NULL)
                session = session_of(listing->sessions, mount);
        if (session == NULL)
                return true;
        item = describe(session);
        if (strcmp(json_text(session, "mount_point"), mount->path) != 0) {
                json_object_set(item, "moved_from", json_object_get(session, "mount_point"));
                json_set_path(item, "mount_point", span_str(mount->path));
        }
        return json_array_append_new(listing->out, item) == 0;
}

enum hif_err known_mounts(struct cli *cli, json_t **out)
{
        struct listing listing = {.out = json_array()};
        enum hif_err err = sessions_here(cli, &listing.sessions);

        if (err == HIF_OK)
                err = mounts_each(&cli->env, add_mount, &listing);
        json_decref(listing.sessions);
        *out = listing.out;
        return err;
}

/* The mount that holds a path; the last lies on top. */
static json_t *holder_of(json_t *mounts, const char *path)
{
        json_t *item, *found = NULL;
        size_t index;

        json_array_foreach(mounts, index, item)
        {
                if (path_within(span_str(path), span_str(json_text(item, "mount_point"))))
                        found = item;
        }
        return json_incref(found);
}

json_t *known_mount_of(struct cli *cli, const char *path)
{
        json_t *mounts = NULL, *found = NULL;

        if (known_mounts(cli, &mounts) == HIF_OK)
                found = holder_of(mounts, path);
        json_decref(mounts);
        return found;
}
