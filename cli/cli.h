/* cli.h - what all commands share: environment, configuration, output, exit codes.
 *
 * One file a command (cmd_*.c), each with one function of type `command_fn`, listed in commands.c.
 * Arguments are parsed with argp. Results go to stdout: text for people, or with --json one JSON
 * value (docs/cli.md gives the shapes). Progress and errors go to stderr. */
#ifndef HIF_CLI_CLI_H
#define HIF_CLI_CLI_H

#include "base/buf.h"
#include "base/env.h"
#include "base/err.h"
#include "base/pool.h"
#include "store/store.h"

#include <argp.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>

/* Exit codes, documented in docs/cli.md. */
enum cli_exit {
        EXIT_DONE = 0,
        EXIT_FAILED = 1,      /* it did not work; nothing was lost */
        EXIT_USAGE = 2,       /* the command line is wrong */
        EXIT_CONFLICT = 3,    /* land, import: overlapping changes */
        EXIT_UNKNOWN = 4,     /* land: the outcome is not known; run it again */
        EXIT_NOTHING = 5,     /* land: nothing to land */
        EXIT_NOT_FOUND = 6,   /* no such project, session, position, path, mount */
        EXIT_UNREACHABLE = 7, /* the store or the daemon does not answer */
        EXIT_DAMAGED = 8,     /* fsck: there are errors */
        EXIT_WARNINGS = 9,    /* fsck: there are warnings, and no errors */
};

/* Where things are (XDG Base Directory Specification); absolute, created 0700 when first used. */
struct cli_paths {
        char *config_file; /* $XDG_CONFIG_HOME/hif/config */
        char *data_dir;    /* $XDG_DATA_HOME/hif: the default store */
        char *state_dir;   /* $XDG_STATE_HOME/hif: workspaces/, and: */
        char *log_file;    /* daemon.log */
        char *daemon_lock; /* daemon.lock: the supervisor's as long as it lives */
        char *server_lock; /* server.lock: the server's */
        char *run_dir;     /* run/: for sockets that cannot be in runtime_dir */
        char *runtime_dir; /* $XDG_RUNTIME_DIR/hif, else run_dir: sockets.h */
        char *cache_dir;   /* $XDG_CACHE_HOME/hif: the SSD tier */
};

/* The config file ("name = value" lines in ini sections), with defaults filled in; the environment
 * (HIF_STORE, HIF_S3_ADDRESSING, HIF_AUTHOR) and the command line go before it. */
struct cli_config {
        char *store;               /* URL; default file://{data_dir}/store */
        char *s3_addressing;       /* "auto", "path", "virtual"; NULL: as AWS's files say */
        char *author;              /* "Name <mail>"; default from the user database and host name */
        char *front_end;           /* "auto", "nfs", "fuse" */
        char *durability;          /* "process", "power" */
        char *netns;               /* "auto", "off": a network namespace for NFS mounts */
        char *publish;             /* "auto", "manual": open sessions, to the store */
        char *land_mode;           /* "solo", "epoch" */
        char *holder;              /* "user@machine"; not in the file */
        uint64_t ram_max, ssd_max; /* bytes */
        uint32_t threads;          /* of the pool; 0 = number of CPUs */
        uint32_t loops;            /* event loops; 0 = 1 */
        char *ahead;               /* uploads ahead of landings: "auto", "on", "off" */
        uint32_t ahead_after;      /* ... of what has not been written for so many seconds */
};

struct cli {
        struct env env;
        struct cli_paths paths;
        struct cli_config config;
        bool json;
        bool color;            /* stdout is a terminal and NO_COLOR is not set */
        bool progress;         /* stderr is a terminal */
        const char *directory; /* -C DIR, else NULL */
};

typedef int command_fn(struct cli *cli, int argc, char **argv);

struct command {
        const char *name;
        const char *summary; /* one line for `hif help` */
        command_fn *run;
};
extern const struct command commands[]; /* ends with name NULL */

/* --- set-up (cli.c, config.c) --- */

/* Environment, paths and configuration. The error names file, line and key. Releases what it made
 * when it fails. */
HIF_MUST_USE enum hif_err cli_init(struct cli *cli, struct hif_why *why);
void cli_free(struct cli *cli);
/* HIF_EINVAL: a line that is wrong or a key that is not known. No file is no error. */
HIF_MUST_USE enum hif_err config_load(struct env *env, const char *path, struct cli_config *config,
                                      struct hif_why *why);

/* Create a directory of `paths` (0700) with all that is above it. */
HIF_MUST_USE enum hif_err cli_mkdir(struct cli *cli, const char *path, struct hif_why *why);

/* The configured store, with a relative directory taken from where we stand. The caller's to free.
 */
HIF_MUST_USE enum hif_err cli_store_url(const struct cli *cli, char **out, struct hif_why *why);

/* Open the configured store. create: make its directory, where it is one. */
HIF_MUST_USE enum hif_err cli_store(struct cli *cli, bool create, struct store **out,
                                    struct hif_why *why);
/* A pool with the configured number of threads. */
HIF_MUST_USE enum hif_err cli_pool(struct cli *cli, struct pool **out, struct hif_why *why);

/* --- command lines (parse.c) --- */

/* Parse a command's arguments with argp, together with the options that every command has (--json,
 * -C, --store, --help). argp->parser gets `input` as state->input; argp->children must be NULL.
 * A wrong command line and --help end the process, the former with EXIT_USAGE. */
void cli_parse(struct cli *cli, const struct argp *argp, int argc, char **argv, void *input);
/* Run the command that argv[1] names, out of a table of subcommands ("hif project create"). */
int cli_subcommand(struct cli *cli, const struct command *table, int argc, char **argv);
/* For both levels: find argv[0] in the table and run it with argv[0] = "hif ... NAME"; a name that
 * is not there is an error with the nearest one that is. prefix: "hif", "hif project". */
int cli_dispatch(struct cli *cli, const struct command *table, const char *prefix, int argc,
                 char **argv);
/* The options that every command has, for main's own parser; its input is a struct cli. */
extern const struct argp cli_argp;

/* ORG/NAME[@N][:PATH] taken apart. */
struct project_arg {
        char *project; /* "org/name" */
        bool at;
        uint64_t position;
        char *path; /* NULL: none; without slashes at both ends */
};
/* HIF_EINVAL with a sentence. */
HIF_MUST_USE enum hif_err project_arg_parse(const char *text, struct project_arg *out,
                                            struct hif_why *why);
void project_arg_free(struct project_arg *arg);
/* A path inside a project, with slashes at its ends taken off. HIF_EINVAL. */
HIF_MUST_USE enum hif_err path_arg_parse(const char *text, char **out, struct hif_why *why);
/* "@12" or "12". */
HIF_MUST_USE enum hif_err position_parse(const char *text, uint64_t *out, struct hif_why *why);

/* --- where we stand (place.c) --- */

/* The absolute form of a path, from -C DIR or the current directory. "." and ".." are carried out
 * as words: no file system is asked, since a mount's may hang. */
HIF_MUST_USE enum hif_err cli_absolute(const struct cli *cli, const char *path, char **out,
                                       struct hif_why *why);
/* The same, where symbolic links are followed that lead into a mount of ours. Nothing is asked of
 * those mounts, and what else may hang does so in a child, which is given up after a second in which
 * it did nothing. */
HIF_MUST_USE enum hif_err cli_place(struct cli *cli, const char *path, char **out,
                                    struct hif_why *why);
/* What that child does. HIF_OK: the absolute path comes into a mount of ours, as `out`; HIF_ENOENT:
 * it does not, `out` is what it stands for. `before` (or NULL) is called with each place that is
 * looked at, just before. */
HIF_MUST_USE enum hif_err place_follow(struct env *env, const char *path,
                                       enum hif_err (*before)(void *arg, const char *path),
                                       void *arg, char out[PATH_MAX]);
/* Put it into a request to the daemon, as "path". */
HIF_MUST_USE enum hif_err cli_put_place(struct cli *cli, json_t *request, const char *path,
                                        struct hif_why *why);
/* A path for system calls: as it is, or below -C DIR. */
HIF_MUST_USE enum hif_err cli_path(const struct cli *cli, const char *path, char **out);
/* The project whose mount holds the directory `dir` (NULL: where we stand); the caller's to free.
 * HIF_ENOENT: none. */
HIF_MUST_USE enum hif_err cli_project_of(struct cli *cli, const char *dir, char **project,
                                         struct hif_why *why);
/* A path as it is called inside the workspace that holds it. */
HIF_MUST_USE enum hif_err cli_path_in_mount(struct cli *cli, const char *path, char **out,
                                            struct hif_why *why);

/* --- output (output.c) --- */

/* Report a failure (text on stderr, or {"error": {"code", "text"}} on stdout with --json) and give
 * the exit code. why may be NULL, or empty. */
int cli_fail(const struct cli *cli, enum hif_err err, const struct hif_why *why);
/* The same, and with --json what is known all the same (taken over), under that name. */
int cli_fail_with(const struct cli *cli, enum hif_err err, const struct hif_why *why,
                  const char *name, json_t *more);
/* As cli_fail, and, if it means that the daemon does not answer, with what is known all the same of
 * the workspace in which we stand. place.c */
int cli_fail_here(struct cli *cli, enum hif_err err, const struct hif_why *why);
/* The same for a command line that is wrong in a way that argp cannot see. */
int cli_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_warn(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_exit_of(enum hif_err err);
/* Print a JSON value (taken over; NULL: out of memory) to stdout and give EXIT_DONE. */
int cli_print_json(const struct cli *cli, json_t *value);
/* Flush stdout and see whether all of it was written: a full disk is an error. */
int cli_finish(const struct cli *cli, int code);

/* Bytes of a path or name for people: control characters, backslashes and invalid UTF-8 escaped as
 * in C, so that no name can move a terminal's cursor or pass for another. */
void cli_print_path(struct span path);
/* The same for texts: lines stay lines, each but the first indented by `indent`. */
void cli_print_text(struct span text, unsigned indent);
/* Appends what cli_print_path prints, for messages. */
void text_escape(struct buf *out, struct span text);
/* For JSON: valid UTF-8, other bytes as U+FFFD with the exact ones in a "KEY_bytes" hexadecimal
 * field beside it. Out of memory: the field is missing. */
void json_set_path(json_t *object, const char *key, struct span path);
/* Append the exact bytes that json_set_path was given. */
void json_get_path(const json_t *object, const char *key, struct buf *out);
/* For arrays: a string, or where the path is no UTF-8, an object with it as "path". NULL: out of
 * memory. And the exact bytes of such an item. */
json_t *json_path_item(struct span path);
void json_get_path_item(const json_t *item, struct buf *out);
/* The string of a field, or "". */
const char *json_text(const json_t *object, const char *name);
/* Seconds since 1970 with nanoseconds, as "2026-01-31T12:00:00.123456789Z". */
#define TIME_TEXT_SIZE 40
void time_text(int64_t sec, uint32_t nsec, char out[TIME_TEXT_SIZE]);

enum cli_color { COLOR_NONE, COLOR_BOLD, COLOR_DIM, COLOR_GREEN, COLOR_RED, COLOR_YELLOW };
/* The sequence that turns a colour on (COLOR_NONE: off), or "" where there is no colour. */
const char *cli_color(const struct cli *cli, enum cli_color color);

/* --- progress (progress.c) --- */

/* A progress line on stderr, redrawn at most ten times a second; nothing when !cli->progress. NULL
 * (out of memory) is fine for the others. */
struct progress;
struct progress *progress_begin(const struct cli *cli, const char *what);
void progress_set(struct progress *progress, uint64_t done, uint64_t total, uint64_t bytes);
/* The same for work that is counted in bytes alone. */
void progress_bytes(struct progress *progress, uint64_t done, uint64_t total);
/* Clears the line, so that something can be printed; the next call of the others draws it again. */
void progress_pause(struct progress *progress);
void progress_end(struct progress *progress); /* clears the line */

#endif
