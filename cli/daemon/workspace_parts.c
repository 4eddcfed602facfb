#include "cli/daemon/workspace_parts.h"

#include "cli/daemon/call.h"
#include "cli/daemon/landings.h"
#include "cli/daemon/mount_fuse.h"
#include "cli/store.h"
#include "land/derived/derived.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void workspace_free(struct workspace *workspace)
{
        struct place_before *before;

        if (workspace == NULL)
                return;
        pthread_mutex_destroy(&workspace->lock);
        free(workspace->project_name);
        free(workspace->session_name);
        free(workspace->dir);
        free(workspace->mount_point);
        while ((before = workspace->before) != NULL) {
                workspace->before = before->next;
                free(before->mount_point);
                free(before);
        }
        free(workspace->store_url);
        free(workspace);
}

/* A workspace that comes back waits for no store: what it has to know of the project is with its
 * records. */
static enum hif_err open_project(struct workspace *workspace, struct hif_why *why)
{
        struct env *env = &workspace->daemon->cli->env;
        struct span known = workspace->overlay != NULL
                                ? overlay_value(workspace->overlay, VALUE_FORMAT)
                                : (struct span){0};

        if (known.size > 0 && project_open_known(env, workspace->store, workspace->project_name,
                                                 known, &workspace->project, why) == HIF_OK)
                return HIF_OK;
        return project_open(env, workspace->store, workspace->project_name, &workspace->project,
                            why);
}

/* A content that does not lie where its entry says: fetch_locator.find. */
static size_t find_places(void *arg, const struct hif_hash *hash, uint64_t content_size,
                          struct pack_loc *places, size_t most)
{
        return hash_index_find(arg, hash, content_size, places, most);
}

enum hif_err workspace_open_store(struct workspace *workspace, struct hif_why *why)
{
        struct cli *cli = workspace->daemon->cli;
        enum hif_err err = cli_store_open(cli, workspace->store_url, false, &workspace->store, why);

        if (err == HIF_OK)
                err = open_project(workspace, why);
        if (err == HIF_OK)
                err = fetch_origin_new(workspace->daemon->fetch, workspace->store,
                                       &workspace->project.layout, &workspace->origin);
        if (err == HIF_OK)
                fetch_origin_set_locator(
                    workspace->origin,
                    (struct fetch_locator){.find = find_places, .arg = &workspace->project});
        return err;
}

struct workspace *workspace_new(struct daemon *daemon, const struct workspace_options *options)
{
        struct workspace *workspace = calloc(1, sizeof(*workspace));

        if (workspace == NULL)
                return NULL;
        pthread_mutex_init(&workspace->lock, NULL);
        workspace->daemon = daemon;
        workspace->project_name = strdup(options->project);
        workspace->session_name = strdup(options->session);
        workspace->mount_point = strdup(options->mount_point);
        workspace->store_url = strdup(options->store_url);
        workspace->read_only = options->read_only;
        workspace->power = options->power;
        workspace->allow_other = options->allow_other;
        workspace->isolated = !options->no_netns;
        workspace->peers = workspace->ghost = -1;
        mounter_init(workspace);
        workspace->front = options->front_end;
        if (asprintf(&workspace->dir, "%s/workspaces/%s/%s", daemon->cli->paths.state_dir,
                     options->project, options->session) < 0)
                workspace->dir = NULL;
        if (workspace->project_name == NULL || workspace->session_name == NULL ||
            workspace->mount_point == NULL || workspace->store_url == NULL ||
            workspace->dir == NULL) {
                workspace_free(workspace);
                return NULL;
        }
        pthread_mutex_lock(&daemon->lock);
        workspace->loop = daemon->loops[daemon->next_loop++ % daemon->loop_count];
        pthread_mutex_unlock(&daemon->lock);
        return workspace;
}

static void close_vfs(void *arg)
{
        struct workspace *workspace = arg;

        vfs_close(workspace->vfs);
        workspace->vfs = NULL;
}

/* Everything but the front end, in the other order. */
void workspace_close_parts(struct workspace *workspace)
{
        if (workspace->vfs != NULL)
                loop_call(workspace->loop, close_vfs, workspace);
        overlay_close(workspace->overlay);
        landings_leave(workspace->landings);
        workspace->landings = NULL;
        store_cancel(workspace->store); /* what is still being prefetched interests nobody now */
        if (workspace->origin != NULL)
                fetch_origin_free(workspace->origin);
        store_close(workspace->store);
        workspace->overlay = NULL;
        workspace->origin = NULL;
        workspace->store = NULL;
}
