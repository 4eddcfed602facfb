/* hif session start, note, decide: what a session is for, and what is said on the way. */
#include "base/cleanup.h"
#include "cli/commands/session.h"
#include "core/layout.h"
#include "core/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_FROM_GOAL_MAX 40
#define NAME_TRIES         1000

/* --- start --- */

struct start_args {
        const char *goal, *project, *dir;
};

static error_t parse_start(int key, char *arg, struct argp_state *state)
{
        struct start_args *args = state->input;

        switch (key) {
        case ARGP_KEY_ARG:
                if (args->goal == NULL)
                        args->goal = arg;
                else if (args->project == NULL)
                        args->project = arg;
                else if (args->dir == NULL)
                        args->dir = arg;
                else
                        return ARGP_ERR_UNKNOWN;
                return 0;
        case ARGP_KEY_END:
                if (args->goal == NULL || args->goal[0] == '\0')
                        argp_error(state, "what for? Say in a sentence what the session is to "
                                          "achieve");
                if (args->project != NULL && args->dir == NULL)
                        argp_error(state, "where? Name an empty directory to mount on");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp start_argp = {
    .parser = parse_start,
    .args_doc = "GOAL [ORG/NAME DIR]",
    .doc = "Give the session in which you stand (or -C DIR) its goal: what `hif land` will write "
           "into the log. With a project and a directory: mount a new session with this goal "
           "there; its name is made from the goal."};

/* A name that a session can have, out of the words of a goal. */
static void name_of_goal(const char *goal, char out[NAME_FROM_GOAL_MAX + 1])
{
        size_t size = 0;

        for (; *goal != '\0' && size < NAME_FROM_GOAL_MAX; goal++) {
                bool word = (*goal >= 'a' && *goal <= 'z') || (*goal >= '0' && *goal <= '9');
                bool upper = *goal >= 'A' && *goal <= 'Z';

                if (word || upper)
                        out[size++] = upper ? (char)(*goal - 'A' + 'a') : *goal;
                else if (size > 0 && out[size - 1] != '-')
                        out[size++] = '-';
        }
        while (size > 0 && out[size - 1] == '-')
                size--;
        out[size] = '\0';
        if (size == 0)
                strcpy(out, "session");
}

/* One that no session of the project has here. */
static enum hif_err free_name(struct cli *cli, const struct start_args *args, char **out,
                              struct hif_why *why)
{
        char stem[NAME_FROM_GOAL_MAX + 1];

        name_of_goal(args->goal, stem);
        for (unsigned i = 1; i <= NAME_TRIES; i++) {
                AUTO_FREE char *name = NULL, *path = NULL;

                if ((i == 1 ? asprintf(&name, "%s", stem) : asprintf(&name, "%s-%u", stem, i)) <
                        0 ||
                    asprintf(&path, "%s/workspaces/%s/%s", cli->paths.state_dir, args->project,
                             name) < 0)
                        return HIF_ENOMEM;
                if (access(path, F_OK) != 0 && errno == ENOENT) {
                        *out = STEAL(name);
                        return HIF_OK;
                }
        }
        return why_set(why, HIF_EEXIST,
                       "%u sessions of this goal are here already; `hif session list` shows them",
                       NAME_TRIES);
}

static enum hif_err start_mounted(struct cli *cli, const struct start_args *args, json_t **result,
                                  struct hif_why *why)
{
        AUTO_FREE char *name = NULL;
        enum hif_err err = free_name(cli, args, &name, why);

        return err == HIF_OK
                   ? mount_session(cli, args->project, args->dir, name, args->goal, result, why)
                   : err;
}

int cmd_session_start(struct cli *cli, int argc, char **argv)
{
        struct start_args args = {0};
        struct hif_why why = {0};
        struct layout layout;
        json_t *request, *result = NULL;
        enum hif_err err;

        cli_parse(cli, &start_argp, argc, argv, &args);
        request = json_pack("{s:s, s:s}", "op", "session_start", "goal", args.goal);
        if (request == NULL)
                return cli_usage(cli, "the goal is not valid UTF-8 text");
        if (args.project == NULL) {
                err = session_ask(cli, request, &result, &why);
        } else {
                json_decref(request);
                if (layout_init(&layout, args.project, &why) != HIF_OK)
                        return cli_usage(cli, "%s", why.text);
                err = start_mounted(cli, &args, &result, &why);
        }
        if (err == HIF_EINVAL)
                return cli_usage(cli, "%s", why.text);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, result);
        warn_of(cli, result);
        printf("Session %s (%s) of %s, base @%lld, at ", json_text(result, "session"),
               json_text(result, "id"), json_text(result, "project"),
               (long long)json_integer_value(json_object_get(result, "base")));
        cli_print_path(span_str(json_text(result, "mount_point")));
        printf("\nGoal: ");
        cli_print_text(span_str(args.goal), 6);
        printf("\n");
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}

/* --- note, decide --- */

struct note_args {
        const char *role, *text;
        bool decision;
};

static const struct argp_option note_options[] = {
    {"role", 'r', "ROLE", 0, "Who says it: \"user\" (default), \"agent\", or any word", 0}, {0}};

static error_t parse_note(int key, char *arg, struct argp_state *state)
{
        struct note_args *args = state->input;

        switch (key) {
        case 'r':
                args->role = arg;
                return 0;
        case ARGP_KEY_ARG:
                if (args->text != NULL)
                        return ARGP_ERR_UNKNOWN;
                args->text = arg;
                return 0;
        case ARGP_KEY_END:
                if (args->text == NULL)
                        argp_error(state, "what? Give a text, or - to read it from standard input");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp note_argp = {
    .options = note_options,
    .parser = parse_note,
    .args_doc = "TEXT|-",
    .doc =
        "Append to the conversation of the session in which you stand (or -C DIR). It lands with "
        "the session. With - the text is read from standard input."};

static const struct argp decide_argp = {
    .parser = parse_note,
    .args_doc = "TEXT|-",
    .doc = "Append a decision to the session in which you stand (or -C DIR): what was chosen, and "
           "why. It lands with the session. With - the text is read from standard input."};

/* The text, from standard input where it is "-". One line end at its end is not part of it. */
static enum hif_err read_text(const char *arg, struct buf *out, struct hif_why *why)
{
        if (strcmp(arg, "-") != 0) {
                buf_put(out, arg, strlen(arg));
                return buf_failed(out) ? HIF_ENOMEM : HIF_OK;
        }
        for (;;) {
                uint8_t *at = buf_reserve(out, 65536);
                ssize_t n = at != NULL ? read(STDIN_FILENO, at, 65536) : 0;

                if (at == NULL)
                        return HIF_ENOMEM;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return why_set(why, hif_err_from_errno(errno),
                                       "standard input cannot be read: %s", strerror(errno));
                if (n == 0)
                        break;
                buf_extend(out, (size_t)n);
                if (out->size > SESSION_TEXT_MAX + 1)
                        return why_set(why, HIF_EINVAL,
                                       "the text on standard input is over %u bytes, which is what "
                                       "one note holds; split it",
                                       SESSION_TEXT_MAX);
        }
        if (out->size > 0 && out->data[out->size - 1] == '\n')
                out->size--;
        return HIF_OK;
}

static int note(struct cli *cli, const struct note_args *args)
{
        AUTO_BUF struct buf text = {0};
        struct hif_why why = {0};
        json_t *result = NULL, *request;
        enum hif_err err = read_text(args->text, &text, &why);

        if (err == HIF_EINVAL || (err == HIF_OK && text.size == 0))
                return cli_usage(cli, "%s", err != HIF_OK ? why.text : "the text is empty");
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        request = json_pack("{s:s, s:s, s:s%, s:b}", "op", "session_note", "role",
                            args->role != NULL ? args->role : "user", "text",
                            (const char *)text.data, text.size, "decision", args->decision);
        if (request == NULL)
                return cli_usage(cli, "the text is not valid UTF-8");
        err = session_ask(cli, request, &result, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, result);
        warn_of(cli, result);
        printf("%s in session %s\n", args->decision ? "Decision kept" : "Noted",
               json_text(result, "session"));
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}

int cmd_session_note(struct cli *cli, int argc, char **argv)
{
        struct note_args args = {0};

        cli_parse(cli, &note_argp, argc, argv, &args);
        if (args.role != NULL && (args.role[0] == '\0' || strlen(args.role) > SESSION_ROLE_MAX))
                return cli_usage(cli,
                                 "a role is a word of 1 to %u bytes, such as \"user\" or \"agent\"",
                                 SESSION_ROLE_MAX);
        return note(cli, &args);
}

int cmd_session_decide(struct cli *cli, int argc, char **argv)
{
        struct note_args args = {.decision = true};

        cli_parse(cli, &decide_argp, argc, argv, &args);
        return note(cli, &args);
}
