/* sessions.c - sessions on this machine that need someone's attention. */
#include "base/cleanup.h"
#include "cli/bounded.h"
#include "cli/doctor/doctor.h"
#include "cli/known.h"
#include "cli/mounts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_TIMEOUT_MS 2000

static enum hif_err look(void *path, int out)
{
        struct stat st;

        (void)out;
        return lstat(path, &st) == 0 ? HIF_OK : hif_err_from_errno(errno);
}

/* A mount of ours is there, and may hang: it is not looked at. */
static bool is_gone(struct doctor *doctor, const char *path)
{
        AUTO_FREE char *mount_point = NULL;
        bool found = false;

        if (mounts_find(&doctor->cli->env, path, &found, &mount_point) == HIF_OK && found)
                return false;
        return bounded_run(LOOK_TIMEOUT_MS, look, (void *)(uintptr_t)path, NULL) == HIF_ENOENT;
}

static const json_t *served_as(const struct doctor *doctor, const char *mount_point)
{
        json_t *item;
        size_t index;

        json_array_foreach(doctor->served, index, item) if (strcmp(json_text(item, "mount_point"),
                                                                   mount_point) == 0) return item;
        return NULL;
}

/* Marked as mounted: the next daemon brings it back, if there is a place for it. */
static void check_mark(struct doctor *doctor, const json_t *session)
{
        const char *at = json_text(session, "mount_point");
        AUTO_FREE char *mark = NULL;

        if (asprintf(&mark, "%s/mounted", json_text(session, "directory")) < 0) {
                mark = NULL;
                return;
        }
        if (served_as(doctor, at) != NULL)
                return;
        if (is_gone(doctor, at)) {
                if (doctor->fix && unlink(mark) == 0)
                        doctor_fixed(doctor, "mark",
                                     "session '%s' of %s counted as mounted at '%s', which is "
                                     "gone; it does not any more",
                                     json_text(session, "session"), json_text(session, "project"),
                                     at);
                else
                        doctor_say(doctor, "mark", DOCTOR_WARNING,
                                   "`hif doctor --fix` takes the mark away; then mount it where "
                                   "you like",
                                   "session '%s' of %s counts as mounted at '%s', which is gone",
                                   json_text(session, "session"), json_text(session, "project"),
                                   at);
                return;
        }
        if (doctor->served != NULL)
                doctor_say(doctor, "mark", DOCTOR_WARNING,
                           "any command there tries again, and says why it fails; `hif unmount "
                           "--force` gives it up",
                           "session '%s' of %s was mounted at '%s', and could not be brought back",
                           json_text(session, "session"), json_text(session, "project"), at);
        else if (!doctor->hung)
                doctor_say(doctor, "mark", DOCTOR_OK, NULL,
                           "session '%s' of %s comes back at '%s' with the next daemon",
                           json_text(session, "session"), json_text(session, "project"), at);
}

static void check_session(struct doctor *doctor, const json_t *session)
{
        const json_t *served = served_as(doctor, json_text(session, "mount_point"));

        if (json_is_true(json_object_get(session, "mounted")))
                check_mark(doctor, session);
        if (strcmp(json_text(session, "state"), "conflicted") == 0)
                doctor_say(doctor, "session", DOCTOR_NOTE, "`hif land` there says with what",
                           "session '%s' of %s could not land, as others changed the same",
                           json_text(session, "session"), json_text(session, "project"));
        if (json_is_true(json_object_get(served, "damaged")))
                doctor_say(doctor, "session", DOCTOR_ERROR,
                           "`hif session export` saves what can be read",
                           "session '%s' of %s is damaged, and mounted read-only",
                           json_text(session, "session"), json_text(session, "project"));
        if (json_text(served, "operations_damaged")[0] != '\0')
                doctor_say(doctor, "session", DOCTOR_ERROR, NULL,
                           "session '%s' of %s cannot be landed: %s", json_text(session, "session"),
                           json_text(session, "project"), json_text(served, "operations_damaged"));
}

void doctor_sessions(struct doctor *doctor)
{
        json_t *sessions = NULL, *session;
        size_t index;
        enum hif_err err = sessions_here(doctor->cli, &sessions);

        if (err != HIF_OK)
                doctor_say(doctor, "session", DOCTOR_ERROR, NULL,
                           "the sessions in '%s/workspaces' could not be read: %s",
                           doctor->cli->paths.state_dir, hif_strerror(err));
        doctor->sessions = json_array_size(sessions);
        json_array_foreach(sessions, index, session) check_session(doctor, session);
        json_decref(sessions);
}
