/* hif import ORG/NAME DIR: land a directory tree. */
#include "cli/import/import.h"
#include "cli/commands/commands.h"
#include "cli/conflicts.h"
#include "cli/store.h"
#include "land/derived/derived.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>

#define NODE_CACHE_BYTES (64u << 20)

struct args {
        const char *project, *dir, *goal;
        bool no_ignore;
};

enum { OPTION_NO_IGNORE = 256 };

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct args *args = state->input;

        switch (key) {
        case 'm':
                args->goal = arg;
                return 0;
        case OPTION_NO_IGNORE:
                args->no_ignore = true;
                return 0;
        case ARGP_KEY_ARG:
                if (!args->project)
                        args->project = arg;
                else if (!args->dir)
                        args->dir = arg;
                else
                        return ARGP_ERR_UNKNOWN;
                return 0;
        case ARGP_KEY_END:
                if (!args->project)
                        argp_error(state, "which project? Name it as ORG/NAME");
                if (!args->dir)
                        argp_error(state, "which directory?");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp_option options[] = {
    {"goal", 'm', "GOAL", 0, "What the landing is for (default: \"Import DIR\")", 0},
    {"no-ignore", OPTION_NO_IGNORE, NULL, 0,
     "Land what .gitignore and .hifignore files ignore, too", 0},
    {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "ORG/NAME DIR",
    .doc =
        "Land a directory tree as one landing, so that the project is what DIR is.\v"
        "Files, executable bits, symbolic links, empty directories and modification times are "
        "kept. "
        "What .gitignore and .hifignore files ignore is neither landed nor removed. Importing "
        "again lands what changed since; an import that was interrupted goes on where it stopped."};

/* One import. Zero-initialised is empty; see import_free. */
struct import {
        struct cli *cli;
        const struct args *args;
        struct hif_why *why;
        struct land_hooks hooks;
        char *dir;  /* canonical */
        char *goal; /* as given, or made up */
        struct store *store;
        struct project project;
        struct slot_read tail;
        struct pool *pool;
        struct walk walk;
        bool walked;
        struct import_state state;
        bool have_state;
        struct import_changes changes;
        struct import_reader reader;
        struct session session;
        struct land *land;
        struct land_progress sent;
        struct progress *progress;
        struct land_result result;
};

static void import_free(struct import *im)
{
        land_free(im->land);
        bloom_free(&im->session.bloom);
        import_changes_free(&im->changes);
        if (im->walked)
                walk_free(&im->walk);
        if (im->have_state)
                import_state_close(&im->state, false);
        pool_free(im->pool);
        slot_read_free(&im->tail);
        store_close(im->store);
        progress_end(im->progress);
        free(im->dir);
        free(im->goal);
}

static void show(struct import *im, const char *what)
{
        progress_end(im->progress);
        im->progress = progress_begin(im->cli, what);
}

/* --- what is imported --- */

static enum hif_err check_dir(struct import *im)
{
        AUTO_FREE char *mount_point = NULL;
        bool mounted = false;
        enum hif_err err;

        im->dir = realpath(im->args->dir, NULL);
        if (!im->dir) {
                err = hif_err_from_errno(errno);
                return why_set(im->why, err, "cannot import %s: %s", im->args->dir,
                               hif_strerror(err));
        }
        err = mounts_find(&im->cli->env, im->dir, &mounted, &mount_point);
        if (err != HIF_OK && err != HIF_ENOENT) /* without /proc there are no mounts of ours */
                return why_set(im->why, err, "cannot read the list of mounts: %s",
                               hif_strerror(err));
        if (mounted)
                return why_set(im->why, HIF_EINVAL,
                               "%s is in the mount of a project, at %s: land its edits with \"hif "
                               "land\" there, or copy it elsewhere to import it",
                               im->args->dir, mount_point);
        return HIF_OK;
}

static const char *store_dir(const struct import *im)
{
        static const char scheme[] = "file://";
        const char *url = store_url(im->store);

        return strncmp(url, scheme, strlen(scheme)) == 0 ? url + strlen(scheme) : NULL;
}

/* A directory within the store can only be a mistake. */
static enum hif_err check_store(struct import *im)
{
        AUTO_FREE char *store = store_dir(im) ? realpath(store_dir(im), NULL) : NULL;

        if (store && path_within(span_str(im->dir), span_str(store)))
                return why_set(im->why, HIF_EINVAL,
                               "%s lies in the store itself (%s): what it holds is no project's "
                               "source",
                               im->args->dir, store);
        return HIF_OK;
}

static enum hif_err make_goal(struct import *im)
{
        const char *name = strrchr(im->dir, '/');

        if (im->args->goal)
                im->goal = strdup(im->args->goal);
        else if (asprintf(&im->goal, "Import %s", name && name[1] ? name + 1 : im->dir) < 0)
                im->goal = NULL;
        return im->goal ? HIF_OK : why_set(im->why, HIF_ENOMEM, "out of memory");
}

static enum hif_err open_all(struct import *im)
{
        enum hif_err err = check_dir(im);

        if (err == HIF_OK)
                err = make_goal(im);
        if (err == HIF_OK)
                err = cli_store(im->cli, false, &im->store, im->why);
        if (err == HIF_OK)
                err = cli_store_trusted(im->cli, im->store, im->why);
        if (err == HIF_OK)
                err = project_open(&im->cli->env, im->store, im->args->project, &im->project,
                                   im->why);
        if (err == HIF_OK)
                err = check_store(im);
        if (err == HIF_OK)
                err = cli_pool(im->cli, &im->pool, im->why);
        if (err == HIF_OK)
                err = project_tail(&im->project, 0, &im->tail, im->why);
        return err;
}

/* --- its session --- */

/* An earlier run may have landed just before it died: then its session is closed. */
static enum hif_err open_session(struct import *im)
{
        struct import_state *state = &im->state;
        struct hif_hash slot, tree;
        uint64_t position;
        enum hif_err err = import_state_open(im->cli, &im->project, im->dir, state, im->why);

        if (err != HIF_OK)
                return err;
        im->have_state = true;
        if (state->resumed && state->origin <= im->tail.slot.position) {
                err = land_find(&im->project, &state->session, state->origin, &position, &slot,
                                &tree, im->why);
                if (err == HIF_ENOENT)
                        return HIF_OK;
                if (err != HIF_OK)
                        return err;
        }
        return import_state_renew(state, im->tail.slot.position, im->why);
}

static enum hif_err describe_session(struct import *im)
{
        uint64_t now_ms = env_wall_ns(&im->cli->env) / 1000000;
        struct session *session = &im->session;
        enum hif_err err;

        *session = (struct session){.id = im->state.session,
                                    .state = SESSION_LANDED,
                                    .origin = im->state.origin,
                                    .base_position = im->tail.slot.position,
                                    .base_slot = im->tail.hash,
                                    .author = span_str(im->cli->config.author),
                                    .goal = span_str(im->goal),
                                    .created = hlc_next(0, now_ms),
                                    .updated = hlc_next(0, now_ms)};
        /* Ancestors that are no change themselves count too. */
        err = bloom_init(&session->bloom, (uint32_t)im->changes.count * 2 + 64);
        if (err != HIF_OK)
                return why_set(im->why, err, "too many changes for one landing");
        for (size_t i = 0; i < im->changes.count; i++)
                bloom_add_path(&session->bloom, im->changes.items[i].path);
        return HIF_OK;
}

/* --- the landing --- */

static void on_progress(struct land_hooks *hooks, const struct land_progress *progress)
{
        struct import *im = (struct import *)((char *)hooks - offsetof(struct import, hooks));

        im->sent = *progress;
        progress_bytes(im->progress, progress->bytes_done, progress->bytes_total);
}

static enum hif_err walk_and_compare(struct import *im)
{
        struct node_reader *reader;
        enum hif_err err;
        int fd;

        fd = open(im->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
                err = hif_err_from_errno(errno);
                return why_set(im->why, err, "cannot import %s: %s", im->args->dir,
                               hif_strerror(err));
        }
        show(im, "looking");
        im->walked = true;
        err = import_walk(&im->walk, im->cli, im->pool, im->args->dir, fd, !im->args->no_ignore,
                          store_dir(im), im->progress, im->why);
        if (err == HIF_OK)
                err = node_reader_new(&im->project, NODE_CACHE_BYTES, &reader);
        if (err != HIF_OK)
                return err;
        err = import_compare(&im->walk, reader, &im->tail.slot.tree, &im->changes, im->why);
        node_reader_free(reader);
        return err;
}

static enum hif_err stage(struct import *im)
{
        struct hif_why why = {0};
        enum hif_err err;

        import_reader_init(&im->reader, im->walk.fd, im->changes.items);
        show(im, "importing");
        err = land_stage(im->land, im->changes.items, im->changes.count, &im->reader.reader, &why);
        if (err == HIF_EACCES)
                return why_set(im->why, err,
                               "%.900s; make it readable, or name it in a .hifignore file",
                               why.text);
        if (err != HIF_OK)
                *im->why = why;
        return err;
}

static enum hif_err nothing(struct import *im)
{
        if (im->walk.stats.ignored > 0)
                return why_set(im->why, HIF_ENOTHING,
                               "nothing to import: %s holds what is in %s already, at @%" PRIu64
                               ", but for %" PRIu64 " ignored name(s); --no-ignore takes them too",
                               im->args->project, im->args->dir, im->tail.slot.position,
                               im->walk.stats.ignored);
        return why_set(im->why, HIF_ENOTHING,
                       "nothing to import: %s holds what is in %s already, at @%" PRIu64,
                       im->args->project, im->args->dir, im->tail.slot.position);
}

static bool store_time(struct land_hooks *hooks, uint64_t *wall_ns)
{
        struct import *im = (struct import *)((char *)hooks - offsetof(struct import, hooks));

        return store_date(im->store, wall_ns);
}

static enum hif_err land(struct import *im)
{
        enum hif_err err = describe_session(im);

        im->hooks.progress = on_progress;
        im->hooks.store_time = store_time;
        if (err == HIF_OK)
                err = land_begin(&im->project, &im->session, NULL, im->pool, &im->hooks,
                                 im->state.journal, &im->land);
        if (err == HIF_OK)
                err = stage(im);
        if (err != HIF_OK)
                return err;
        import_drop_equal(&im->changes);
        if (im->changes.count == 0)
                return nothing(im);
        show(im, "landing");
        err = land_commit(im->land, im->changes.items, im->changes.count, NULL, false, &im->result,
                          im->why);
        return err == HIF_ENOTHING ? nothing(im) : err;
}

static enum hif_err import(struct import *im)
{
        enum hif_err err = open_all(im);

        if (err == HIF_OK)
                err = open_session(im);
        if (err == HIF_OK)
                err = walk_and_compare(im);
        if (err == HIF_OK)
                err = im->changes.count == 0 ? nothing(im) : land(im);
        if (im->have_state && (err == HIF_OK || err == HIF_ENOTHING)) {
                import_state_close(&im->state, true);
                im->have_state = false;
        }
        progress_end(im->progress);
        im->progress = NULL;
        return err;
}

/* --- what is said of it --- */

static int report_json(const struct import *im)
{
        const struct walk_stats *stats = &im->walk.stats;
        char id[SESSION_ID_HEX_SIZE];

        session_id_to_hex(&im->session.id, id);
        return cli_print_json(
            im->cli,
            json_pack("{s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o}",
                      "project", im->args->project, "position", (json_int_t)im->result.position,
                      "session", id, "paths", (json_int_t)im->result.paths, "files",
                      (json_int_t)stats->files, "directories", (json_int_t)stats->dirs, "symlinks",
                      (json_int_t)stats->symlinks, "bytes", (json_int_t)stats->bytes, "ignored",
                      (json_int_t)stats->ignored, "skipped", (json_int_t)stats->special,
                      "objects_put", (json_int_t)im->sent.objects_put, "bytes_put",
                      (json_int_t)im->sent.bytes_put, "resumed", im->state.resumed, "conflicts",
                      conflicts_to_json(&im->result)));
}

/* Someone landed other versions of the same paths while this import ran. */
static int report_conflict(const struct import *im)
{
        json_t *conflicts;
        int code;

        if (im->cli->json) {
                code = report_json(im);
                return code == EXIT_DONE ? EXIT_CONFLICT : code;
        }
        conflicts = conflicts_to_json(&im->result);
        if (!conflicts)
                return cli_fail(im->cli, HIF_ECONFLICT, im->why);
        conflicts_print(conflicts, "the import began");
        json_decref(conflicts);
        fputs("Importing again would replace their versions of these paths: first copy to ",
              stdout);
        cli_print_path(span_str(im->args->dir));
        fputs(" what you want to keep of them.\n", stdout);
        return cli_finish(im->cli, EXIT_CONFLICT);
}

static int report(const struct import *im)
{
        const struct walk_stats *stats = &im->walk.stats;
        char id[SESSION_ID_HEX_SIZE];

        if (im->cli->json)
                return report_json(im);
        session_id_to_hex(&im->session.id, id);
        printf("Imported %" PRIu64 " files, %" PRIu64 " directories, %" PRIu64
               " symbolic links; %u paths changed\n",
               stats->files, stats->dirs, stats->symlinks, im->result.paths);
        printf("Landed session %s\nLanding position: %s%" PRIu64 "%s\n", id,
               cli_color(im->cli, COLOR_BOLD), im->result.position, cli_color(im->cli, COLOR_NONE));
        return cli_finish(im->cli, EXIT_DONE);
}

int cmd_import(struct cli *cli, int argc, char **argv)
{
        struct args args = {0};
        struct hif_why why = {0};
        struct layout layout;
        struct import im = {.cli = cli, .args = &args, .why = &why};
        enum hif_err err;
        int code;

        cli_parse(cli, &argp, argc, argv, &args);
        if (layout_init(&layout, args.project, &why) != HIF_OK)
                return cli_usage(cli, "%s", why.text);
        if (args.goal && strlen(args.goal) > SESSION_GOAL_MAX)
                return cli_usage(cli, "the goal is too long: at most %u bytes", SESSION_GOAL_MAX);
        err = import(&im);
        if (err == HIF_ECONFLICT && im.result.conflict_count > 0)
                code = report_conflict(&im);
        else
                code = err == HIF_OK ? report(&im) : cli_fail(cli, err, &why);
        if (err == HIF_OK) /* what it completed; everything was said by now */
                derived_after_landing(&im.project, im.result.position);
        import_free(&im);
        return code;
}
