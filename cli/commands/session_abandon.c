/* hif session abandon. */
#include "base/cleanup.h"
#include "cli/commands/session.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/daemon/workspace_records.h"
#include "cli/session/session_open.h"
#include "cli/view.h"
#include "core/layout.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct abandon_args {
        const char *project, *session;
        bool force;
};

static const struct argp_option abandon_options[] = {
    {"force", 'f', NULL, 0, "Also one that is in use elsewhere", 0}, {0}};

static error_t parse_abandon(int key, char *arg, struct argp_state *state)
{
        struct abandon_args *args = state->input;

        switch (key) {
        case 'f':
                args->force = true;
                return 0;
        case ARGP_KEY_ARG:
                if (args->project == NULL)
                        args->project = arg;
                else if (args->session == NULL)
                        args->session = arg;
                else
                        return ARGP_ERR_UNKNOWN;
                return 0;
        case ARGP_KEY_END:
                if (args->session == NULL)
                        argp_error(state,
                                   "which session? Name project and session, as `hif session "
                                   "list` shows them");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp abandon_argp = {
    .options = abandon_options,
    .parser = parse_abandon,
    .args_doc = "ORG/NAME SESSION",
    .doc =
        "Give a session up. It must not be mounted. Its edits are moved aside, to a directory "
        "that is printed; moving it back undoes this. Where it lies open in the store, it is "
        "marked as abandoned there. SESSION may also be one that is only there: the start of its "
        "id."};

/* --- in the store --- */

static enum hif_err mark(const struct project *project, struct open_read *read, struct hif_why *why)
{
        enum hif_err err;

        read->record.state = SESSION_ABANDONED;
        read->record.held = false;
        read->record.revision++;
        err = open_record_write(project, &read->record, &read->tag, why);
        return err == HIF_ELOST
                   ? why_set(why, HIF_EBUSY, "someone is just changing that session; try again")
                   : err;
}

/* The id, the holder and the store of a session that is not mounted. */
struct identity {
        struct session_id id;
        uint8_t holder[OPEN_HOLDER_SIZE];
        bool published;
        char *store;
};

static void read_identity(const struct overlay *overlay, struct identity *out)
{
        struct span id = overlay_value(overlay, VALUE_SESSION_ID);
        struct span holder = overlay_value(overlay, VALUE_HOLDER);

        out->published = id.size == SESSION_ID_SIZE && holder.size == OPEN_HOLDER_SIZE;
        if (out->published) {
                memcpy(out->id.bytes, id.data, id.size);
                memcpy(out->holder, holder.data, holder.size);
        }
        out->store = records_text(overlay, VALUE_STORE);
}

/* Say in the store that it is given up, where this machine holds it. */
static enum hif_err tell_store(struct cli *cli, const char *project_name,
                               const struct overlay *overlay, struct hif_why *why)
{
        struct identity identity = {0};
        struct open_read read = {0};
        struct store *store = NULL;
        struct project project;
        enum hif_err err = HIF_OK;

        read_identity(overlay, &identity);
        if (identity.published && identity.store != NULL) {
                err = store_open(&cli->env, identity.store, false, &store, why);
                if (err == HIF_OK)
                        err = project_open(&cli->env, store, project_name, &project, why);
                if (err == HIF_OK)
                        err = open_record_read(&project, &identity.id, &read, why);
                if (err == HIF_OK &&
                    memcmp(read.record.holder, identity.holder, OPEN_HOLDER_SIZE) == 0)
                        err = mark(&project, &read, why);
                open_read_free(&read);
                store_close(store);
        }
        free(identity.store);
        return err == HIF_ENOENT ? HIF_OK : err;
}

/* One that is not on this machine. */
static enum hif_err abandon_remote(struct cli *cli, const struct abandon_args *args, json_t **about,
                                   struct hif_why *why)
{
        struct open_read read = {0};
        struct view view = {0};
        char since[TIME_TEXT_SIZE];
        enum hif_err err = view_open(cli, args->project, &view, why);

        if (err == HIF_OK)
                err = session_open_find(&view.project, args->session, &read, why);
        if (err == HIF_ENOENT && why->text[0] == '\0')
                why_set(why, err,
                        "%s has no open session '%s', here or in the store; `hif session list -a` "
                        "shows what there is",
                        args->project, args->session);
        if (err == HIF_OK && read.record.state == SESSION_ABANDONED)
                err = why_set(why, HIF_ENOENT, "session %s of %s is abandoned already",
                              args->session, args->project);
        if (err == HIF_OK && read.record.held && !args->force) {
                session_when(read.record.held_ns, since);
                err = why_set(why, HIF_EBUSY,
                              "session %s is in use by %.*s on %.*s since %s; to give it up all "
                              "the same, use --force",
                              args->session, (int)read.record.author.size,
                              (const char *)read.record.author.data,
                              (int)read.record.holder_name.size,
                              (const char *)read.record.holder_name.data, since);
        }
        if (err == HIF_OK)
                err = mark(&view.project, &read, why);
        if (err == HIF_OK) {
                *about = session_record_to_json(args->project, &read.record);
                err = *about != NULL ? HIF_OK : HIF_ENOMEM;
        }
        open_read_free(&read);
        view_close(&view);
        return err;
}

/* --- here --- */

/* state_dir/abandoned/{org}.{name}.{session}.{ns} */
static enum hif_err move_aside(struct cli *cli, const char *from, const struct abandon_args *args,
                               char **to, struct hif_why *why)
{
        AUTO_FREE char *dir = NULL;
        size_t org = strcspn(args->project, "/");
        enum hif_err err;

        if (asprintf(&dir, "%s/abandoned", cli->paths.state_dir) < 0) {
                dir = NULL;
                return HIF_ENOMEM;
        }
        if (asprintf(to, "%s/%.*s.%s.%s.%llu", dir, (int)org, args->project,
                     args->project + org + 1, args->session,
                     (unsigned long long)env_wall_ns(&cli->env)) < 0) {
                *to = NULL;
                return HIF_ENOMEM;
        }
        err = cli_mkdir(cli, dir, why);
        if (err != HIF_OK)
                return err;
        err = cli->env.ops->rename(&cli->env, from, *to);
        if (err != HIF_OK)
                return why_set(why, err, "'%s' could not be moved to '%s': %s", from, *to,
                               hif_strerror(err));
        return env_sync_dir(&cli->env, dir);
}

/* HIF_OK: nobody has it open, and nobody can until *overlay is closed; NULL if it is too damaged to be
 * opened. What is being mounted is not moved away. */
static enum hif_err seize(struct cli *cli, const struct abandon_args *args, const char *from,
                          struct overlay **overlay, struct hif_why *store_why, struct hif_why *why)
{
        AUTO_FREE char *mounted = NULL;
        enum hif_err err;

        if (asprintf(&mounted, "%s/mounted", from) < 0) {
                mounted = NULL;
                return HIF_ENOMEM;
        }
        err = HIF_EBUSY;
        if (access(mounted, F_OK) != 0) /* else there is nothing to wait for */
                err = overlay_open_salvage(&cli->env, NULL, from, overlay, store_why);
        if (access(mounted, F_OK) == 0)
                return why_set(why, HIF_EBUSY,
                               "session '%s' of %s is mounted; `hif unmount` it first",
                               args->session, args->project);
        if (err == HIF_EBUSY)
                return why_set(why, HIF_EBUSY,
                               "session '%s' of %s is just being mounted or unmounted; try again",
                               args->session, args->project);
        return HIF_OK;
}

static enum hif_err give_up(struct cli *cli, const struct abandon_args *args, const char *from,
                            char **to, struct hif_why *why)
{
        struct hif_why store_why = {0};
        struct overlay *overlay = NULL;
        enum hif_err err = seize(cli, args, from, &overlay, &store_why, why);

        if (err == HIF_OK) {
                if (overlay == NULL ||
                    tell_store(cli, args->project, overlay, &store_why) != HIF_OK)
                        cli_warn(cli, "others may still see the session as open: %s",
                                 store_why.text);
                err = move_aside(cli, from, args, to, why);
        }
        overlay_close(overlay);
        return err;
}

static enum hif_err abandon(struct cli *cli, const struct abandon_args *args, char **to,
                            struct hif_why *why)
{
        AUTO_FREE char *from = NULL;

        if (asprintf(&from, "%s/workspaces/%s/%s", cli->paths.state_dir, args->project,
                     args->session) < 0) {
                from = NULL;
                return HIF_ENOMEM;
        }
        return access(from, F_OK) == 0 ? give_up(cli, args, from, to, why) : HIF_ENOENT;
}

static int tell_remote(struct cli *cli, json_t *about)
{
        if (cli->json)
                return cli_print_json(cli, about);
        printf("Abandoned session %s of %s in the store\n", json_text(about, "id"),
               json_text(about, "project"));
        json_decref(about);
        return cli_finish(cli, EXIT_DONE);
}

int cmd_session_abandon(struct cli *cli, int argc, char **argv)
{
        struct abandon_args args = {0};
        struct layout layout;
        struct hif_why why = {0};
        AUTO_FREE char *to = NULL;
        json_t *about = NULL;
        enum hif_err err;

        cli_parse(cli, &abandon_argp, argc, argv, &args);
        if (layout_init(&layout, args.project, &why) != HIF_OK)
                return cli_usage(cli, "%s", why.text);
        if (strchr(args.session, '/') != NULL || args.session[0] == '.' || args.session[0] == '\0')
                return cli_usage(
                    cli, "'%s' cannot name a session; `hif session list` shows what there is",
                    args.session);
        err = abandon(cli, &args, &to, &why);
        if (err == HIF_ENOENT)
                err = abandon_remote(cli, &args, &about, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (about != NULL)
                return tell_remote(cli, about);
        if (cli->json)
                return cli_print_json(cli, json_pack("{s:s, s:s, s:s}", "project", args.project,
                                                     "session", args.session, "moved_to", to));
        printf("Abandoned session %s of %s; its edits are in %s\n", args.session, args.project, to);
        return cli_finish(cli, EXIT_DONE);
}
