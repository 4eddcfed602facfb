#include "cli/commands/known.h"

#include "base/cleanup.h"
#include "cli/commands/session.h"
#include "cli/mounts.h"
#include "core/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int known_fail(struct cli *cli, enum hif_err err, const struct hif_why *why)
{
        AUTO_FREE char *here = NULL;
        AUTO_BUF struct buf text = {0};
        struct hif_why ignored;
        json_t *known = NULL;
        int code;

        if (err == HIF_EUNREACHABLE && cli_absolute(cli, ".", &here, &ignored) == HIF_OK)
                known = known_mount_of(cli, here);
        if (json_text(known, "session")[0] != '\0')
                buf_printf(&text,
                           "without it is known: this is session '%s' of %s, base @%lld, at '%s'; "
                           "its edits are kept in '%s', and what they are is told when a server "
                           "answers again",
                           json_text(known, "session"), json_text(known, "project"),
                           (long long)json_integer_value(json_object_get(known, "base")),
                           json_text(known, "mount_point"), json_text(known, "directory"));
        code = cli_fail_with(cli, err, why, "known", known);
        if (!cli->json && !buf_failed(&text) && text.size > 0) {
                AUTO_BUF struct buf clean = {0};

                text_escape(&clean, buf_span(&text));
                if (!buf_failed(&clean))
                        (void)fprintf(stderr, "hif: %.*s\n", (int)clean.size,
                                      (const char *)clean.data);
        }
        return code;
}
