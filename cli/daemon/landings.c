#include "cli/daemon/landings.h"

#include "cli/store.h"

#include <stdlib.h>
#include <string.h>

struct landings {
        struct daemon *daemon;
        struct landings *next;
        int users;
        char *store_url, *project_name;
        struct store *store;
        struct project project;
        struct fetch_origin *origin;
        struct fetch_nodes nodes;
        struct fetch_nodes_made made;
        struct land_queue *queue;
};

static void landings_free(struct landings *landings)
{
        land_queue_free(landings->queue);
        if (landings->origin != NULL)
                fetch_origin_free(landings->origin);
        store_close(landings->store);
        free(landings->store_url);
        free(landings->project_name);
        free(landings);
}

/* It was there when the workspace was mounted: a directory that is gone will come back. */
static enum hif_err open_store(struct landings *landings, struct hif_why *why)
{
        struct hif_why gone = {0};
        enum hif_err err = cli_store_open(landings->daemon->cli, landings->store_url, false,
                                          &landings->store, &gone);

        if (err == HIF_ENOENT)
                return why_set(why, HIF_EUNREACHABLE, "the store is unreachable: %s", gone.text);
        if (err != HIF_OK && why != NULL)
                *why = gone;
        return err;
}

static enum hif_err landings_new(struct daemon *daemon, const char *store_url, const char *project,
                                 struct landings **out, struct hif_why *why)
{
        struct env *env = &daemon->cli->env;
        struct landings *landings = calloc(1, sizeof(*landings));
        enum hif_err err = HIF_ENOMEM;

        if (landings == NULL)
                return HIF_ENOMEM;
        landings->daemon = daemon;
        landings->store_url = strdup(store_url);
        landings->project_name = strdup(project);
        if (landings->store_url != NULL && landings->project_name != NULL)
                err = open_store(landings, why);
        if (err == HIF_OK)
                err = project_open(env, landings->store, project, &landings->project, why);
        if (err == HIF_OK)
                err = fetch_origin_new(daemon->fetch, landings->store, &landings->project.layout,
                                       &landings->origin);
        if (err == HIF_OK) {
                fetch_nodes_init(&landings->nodes, daemon->fetch);
                err = land_queue_new(&landings->project, &landings->nodes.source, &landings->queue);
        }
        if (err != HIF_OK) {
                landings_free(landings);
                return err;
        }
        fetch_nodes_made_init(&landings->made, landings->origin);
        land_queue_keep(landings->queue, &landings->made.sink);
        *out = landings;
        return HIF_OK;
}

enum hif_err landings_enter(struct daemon *daemon, const char *store_url, const char *project,
                            struct landings **out, struct hif_why *why)
{
        struct landings *landings;
        enum hif_err err = HIF_OK;

        pthread_mutex_lock(&daemon->landing);
        for (landings = daemon->landings; landings != NULL; landings = landings->next)
                if (strcmp(landings->store_url, store_url) == 0 &&
                    strcmp(landings->project_name, project) == 0)
                        break;
        if (landings == NULL) {
                err = landings_new(daemon, store_url, project, &landings, why);
                if (err == HIF_OK) {
                        landings->next = daemon->landings;
                        daemon->landings = landings;
                }
        }
        if (err == HIF_OK) {
                landings->users++;
                *out = landings;
        }
        pthread_mutex_unlock(&daemon->landing);
        return err;
}

void landings_leave(struct landings *landings)
{
        struct landings **at;
        struct daemon *daemon;

        if (landings == NULL)
                return;
        daemon = landings->daemon;
        pthread_mutex_lock(&daemon->landing);
        if (--landings->users == 0) {
                for (at = &daemon->landings; *at != landings; at = &(*at)->next)
                        ;
                *at = landings->next;
        } else {
                landings = NULL;
        }
        pthread_mutex_unlock(&daemon->landing);
        if (landings != NULL)
                landings_free(landings);
}

struct land_queue *landings_queue(struct landings *landings)
{
        return landings->queue;
}
