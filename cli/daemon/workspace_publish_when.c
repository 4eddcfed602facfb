/* workspace_publish_when.c - when a session is published without being asked to. */
#include "cli/daemon/workspace_publish_when.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/daemon/call.h"
#include "cli/daemon/workspace_holder.h"
#include "cli/daemon/workspace_publish.h"
#include "cli/daemon/workspace_records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNMOUNT_CONTENT_MAX   (64u << 20) /* unmounting does not upload more than this */
#define PUBLISH_SILENT_MAX_MS 2000 /* nor does it wait longer for a store that says nothing */
#define WORDS_PAUSE_NS        (15ull * 1000000000) /* between notes that are published */
#define FAILURE_PAUSE_NS      (60ull * 1000000000) /* after one that could not be */

bool workspace_publishes(const struct workspace *workspace)
{
        return strcmp(workspace->daemon->cli->config.publish, "auto") == 0 && !workspace->read_only;
}

void workspace_publish_words(struct workspace *workspace, bool now, char **warning)
{
        struct publish publish = {.what = PUBLISH_WORDS};
        uint64_t mono = env_mono_ns(&workspace->daemon->cli->env);
        struct hif_why why = {0};
        enum hif_err err;

        if (!workspace_publishes(workspace) || (!now && mono < workspace->words_after_ns) ||
            (workspace->words_failed && mono < workspace->words_after_ns))
                return;
        err = workspace_publish(workspace, &publish, NULL, &why);
        mono = env_mono_ns(&workspace->daemon->cli->env);
        workspace->words_failed = err != HIF_OK;
        workspace->words_after_ns = mono + (err == HIF_OK ? WORDS_PAUSE_NS : FAILURE_PAUSE_NS);
        if (err != HIF_OK && err != HIF_ENOTHING && warning != NULL &&
            asprintf(warning, "it is kept here, but others do not see it: %s", why.text) < 0)
                *warning = NULL;
}

/* --- around mounting --- */

void workspace_publish_mounted(struct workspace *workspace, char **warning)
{
        const struct publish publish = {.what = PUBLISH_HOLDER};
        struct hif_why why = {0};
        enum hif_err err;

        if (!workspace_publishes(workspace))
                return;
        err = workspace_publish(workspace, &publish, NULL, &why);
        if ((err == HIF_EBUSY || err == HIF_EEXIST) && asprintf(warning, "%s", why.text) < 0)
                *warning = NULL;
        else if (err != HIF_OK && err != HIF_ENOTHING)
                log_line(workspace->daemon->cli->env.log, LOG_WARN, "daemon", "%s", why.text);
}

static int not_published(const struct workspace *workspace, enum hif_err err,
                         const struct hif_why *why, char **warning)
{
        if (err == HIF_ELIMIT)
                return asprintf(warning,
                                "more than %u MiB of contents were not published: others do not "
                                "see the newest edits of session %s. To change that, mount it "
                                "again and run `hif session publish`",
                                UNMOUNT_CONTENT_MAX >> 20, workspace->session_name);
        if (err == HIF_EBUSY || err == HIF_EEXIST)
                return asprintf(warning, "%s", why->text);
        if (err == HIF_ECANCELED)
                return asprintf(warning,
                                "session %s was not published, so that only this machine can go on "
                                "with it: the store %s has said nothing for %d s. To publish it, "
                                "mount it again and run `hif session publish`",
                                workspace->session_name, workspace->store_url,
                                PUBLISH_SILENT_MAX_MS / 1000);
        return asprintf(warning,
                        "session %s was not published, so that only this machine can go on with "
                        "it: %s",
                        workspace->session_name, why->text);
}

void workspace_publish_unmounted(struct workspace *workspace, char **warning)
{
        struct publish publish = {
            .what = PUBLISH_ALL, .release = true, .content_max = UNMOUNT_CONTENT_MAX};
        struct hif_why why = {0}, again = {0};
        enum hif_err err;

        if (!workspace_publishes(workspace))
                return;
        if (workspace->conflicted)
                publish.state = SESSION_CONFLICTED;
        /* The mount is gone: nobody waits for a store that says nothing. */
        store_cancel_silent(workspace->store, PUBLISH_SILENT_MAX_MS);
        err = workspace_publish(workspace, &publish, NULL, &why);
        if (err == HIF_OK || err == HIF_ENOTHING)
                return;
        log_line(workspace->daemon->cli->env.log, LOG_INFO, "daemon", "%s", why.text);
        if (not_published(workspace, err, &why, warning) < 0)
                *warning = NULL;
        publish.what = PUBLISH_WORDS;
        if (err == HIF_ELIMIT && workspace_publish(workspace, &publish, NULL, &again) != HIF_OK)
                log_line(workspace->daemon->cli->env.log, LOG_WARN, "daemon", "%s", again.text);
}

/* --- around a landing --- */

enum hif_err workspace_may_land(struct workspace *workspace, struct hif_why *why)
{
        struct loading loading = {.workspace = workspace};
        struct open_read read = {0};
        struct hif_why ignored = {0};
        uint64_t position;
        enum hif_err err;

        loop_call(workspace->loop, load_published, &loading);
        if (!loading.have_holder ||
            open_record_read(&workspace->project, &workspace->session, &read, &ignored) != HIF_OK)
                return HIF_OK;
        err = HIF_OK;
        if (memcmp(read.record.holder, loading.published.holder, OPEN_HOLDER_SIZE) != 0) {
                err = holder_find_slot(workspace, &position, why);
                if (err == HIF_ENOENT)
                        err = holder_split(workspace, &read.record, "landed", why);
        }
        open_read_free(&read);
        return err;
}

void workspace_record_conflicted(struct workspace *workspace)
{
        const struct publish publish = {.what = PUBLISH_HOLDER, .state = SESSION_CONFLICTED};
        struct hif_why why = {0};
        enum hif_err err;

        workspace->conflicted = true;
        err = workspace_publishes(workspace) ? workspace_publish(workspace, &publish, NULL, &why)
                                             : HIF_OK;
        if (err == HIF_OK || err == HIF_ENOTHING)
                err = workspace_summary(workspace, "conflicted");
        if (err != HIF_OK)
                log_line(workspace->daemon->cli->env.log, LOG_WARN, "daemon", "%s",
                         why.text[0] != '\0' ? why.text : hif_strerror(err));
}

void workspace_record_landed(struct workspace *workspace, const struct session_id *session)
{
        struct hif_why why = {0};

        workspace->conflicted = false;
        if (open_record_remove(&workspace->project, session, &why) != HIF_OK)
                log_line(workspace->daemon->cli->env.log, LOG_WARN, "daemon", "%s", why.text);
}
