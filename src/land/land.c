/* One session's landing: what it begins with, and what it has learned of its base. */
#include "land/batch.h"

#include <inttypes.h>
#include <stdlib.h>

#define SKEW_MS_DEFAULT 300000u

void land_intent_free(struct land_intent *intent)
{
        buf_free(&intent->slot);
}

static struct land *land_new(const struct project *project, const struct session *session)
{
        struct land *land = calloc(1, sizeof(*land));

        if (!land)
                return NULL;
        land->project = project;
        land->session = session;
        land->env = project->env;
        land->journal.fd = -1;
        land->scan = (struct scan){.project = project,
                                   .session = session->id,
                                   .origin = session->origin,
                                   .position = session->origin,
                                   .base_position = session->base_position,
                                   .base_slot = session->base_slot};
        if (session->origin == session->base_position)
                land->scan.hash = session->base_slot;
        env_random(land->env, &land->mix, sizeof(land->mix));
        return land;
}

enum hif_err land_begin(const struct project *project, const struct session *session,
                        struct tree_source *nodes, struct pool *pool, struct land_hooks *hooks,
                        const char *journal_path, struct land **out)
{
        struct land *land = land_new(project, session);
        enum hif_err err;

        if (!land)
                return HIF_ENOMEM;
        land->pool = pool;
        land->hooks = hooks;
        err = land_line_new(project, nodes, &land->line);
        if (err == HIF_OK) {
                land->reader = land->line->reader;
                land->codec = land->line->codec;
        }
        if (err == HIF_OK && journal_path)
                err = journal_open(land->env, journal_path, project, &session->id, &land->known,
                                   &land->journal);
        if (err != HIF_OK) {
                land_free(land);
                return err;
        }
        *out = land;
        return HIF_OK;
}

enum hif_err land_of_others(const struct project *project, const struct session *session,
                            struct land **out)
{
        *out = land_new(project, session);
        return *out ? HIF_OK : HIF_ENOMEM;
}

void land_free(struct land *land)
{
        if (!land)
                return;
        land_drop_staged(land);
        merge_free(&land->merge);
        scan_free(&land->scan);
        journal_close(&land->journal);
        known_free(&land->known);
        land_line_free(land->line);
        free(land);
}

void land_know_base(struct land *land, const struct hif_hash *tree)
{
        land->base_tree = *tree;
        land->base_told = true;
}

enum hif_err check_skew(const struct land *land, struct hif_why *why)
{
        struct land_hooks *hooks = land->hooks;
        uint64_t limit_ms = hooks && hooks->skew_max_ms ? hooks->skew_max_ms : SKEW_MS_DEFAULT;
        uint64_t ours = env_wall_ns(land->env), theirs, off_ms;

        if (!hooks || !hooks->store_time || !hooks->store_time(hooks, &theirs))
                return HIF_OK;
        off_ms = (ours > theirs ? ours - theirs : theirs - ours) / 1000000;
        if (off_ms <= limit_ms)
                return HIF_OK;
        return why_set(why, HIF_EINVAL,
                       "this machine's clock is %" PRIu64 " s %s that of %s: set it, then land",
                       off_ms / 1000, ours > theirs ? "ahead of" : "behind",
                       store_url(land->project->store));
}
