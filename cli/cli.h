/* cli.h - what all commands share: environment, configuration, output, exit codes.
 *
 * One file a command (cmd_*.c), each with one function of type `command_fn`, listed in commands.c.
 * Arguments are parsed with argp. Results go to stdout: text for people, or with --json one JSON
 * value (docs/cli.md gives the shapes). Progress and errors go to stderr. */
#ifndef HIF_CLI_CLI_H
#define HIF_CLI_CLI_H

#include "base/env.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "store/store.h"

#include <jansson.h>
#include <stdbool.h>

/* Exit codes, documented in docs/cli.md. */
enum cli_exit {
        EXIT_DONE = 0,
        EXIT_FAILED = 1,      /* it did not work; nothing was lost */
        EXIT_USAGE = 2,       /* the command line is wrong */
        EXIT_CONFLICT = 3,    /* land: overlapping changes */
        EXIT_UNKNOWN = 4,     /* land: the outcome is not known; run it again */
        EXIT_NOTHING = 5,     /* land: nothing to land */
        EXIT_NOT_FOUND = 6,   /* no such project, session, position, path, mount */
        EXIT_UNREACHABLE = 7, /* the store or the daemon does not answer */
};

/* Where things are (XDG Base Directory Specification); absolute, created 0700 when first used. */
struct cli_paths {
        char *config_file; /* $XDG_CONFIG_HOME/hif/config */
        char *data_dir;    /* $XDG_DATA_HOME/hif: the default store */
        char *state_dir;   /* $XDG_STATE_HOME/hif: workspaces/, daemon.log, daemon.lock */
        char *cache_dir;   /* $XDG_CACHE_HOME/hif: the SSD tier */
        char *runtime_dir; /* $XDG_RUNTIME_DIR/hif, else state_dir/run: control.sock */
};

/* The config file ("name = value" lines in ini sections), with defaults filled in; the environment
 * (HIF_STORE, HIF_AUTHOR) and the command line go before it. */
struct cli_config {
        char *store;               /* URL; default file://{data_dir}/store */
        char *author;              /* "Name <mail>"; default from the user database and host name */
        char *front_end;           /* "auto", "nfs", "fuse" */
        char *durability;          /* "process", "power" */
        uint64_t ram_max, ssd_max; /* bytes */
        uint32_t threads;          /* of the pool; 0 = number of CPUs */
        uint32_t loops;            /* event loops; 0 = 1 */
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

/* --- set-up (cli.c) ------------------------------------------------------------------------------
 */

HIF_MUST_USE enum hif_err cli_init(struct cli *cli, struct hif_why *why);
void cli_free(struct cli *cli);
/* Options that every command has (--json, -C, --store, --help); the argp child to include. */
extern const struct argp cli_argp;

/* Open the configured store. */
HIF_MUST_USE enum hif_err cli_store(struct cli *cli, bool create, struct store **out,
                                    struct hif_why *why);

/* --- output (output.c)
 * ---------------------------------------------------------------------------- */

/* Report a failure (text, or {"error": {"code", "text"}} with --json) and give the exit code. */
int cli_fail(const struct cli *cli, enum hif_err err, const struct hif_why *why);
int cli_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Print a JSON value (taken over) to stdout and give EXIT_DONE. */
int cli_print_json(const struct cli *cli, json_t *value);
/* Bytes of a path or name for people: control characters and invalid UTF-8 escaped; for JSON: valid
 * UTF-8, other bytes as U+FFFD with the exact ones in a "…_bytes" hexadecimal field beside it. */
void cli_print_path(struct span path);
void json_set_path(json_t *object, const char *key, struct span path);

/* A progress line on stderr, redrawn at most ten times a second; nothing when !cli->progress. */
struct progress;
struct progress *progress_begin(const struct cli *cli, const char *what);
void progress_set(struct progress *progress, uint64_t done, uint64_t total, uint64_t bytes);
void progress_end(struct progress *progress); /* clears the line */

#endif
