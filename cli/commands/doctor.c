/* hif doctor: what is wrong on this machine, and what to do about it. */
#include "cli/doctor/doctor.h"
#include "cli/commands/commands.h"

#include <stdio.h>

struct args {
        bool fix;
};

static const struct argp_option options[] = {
    {"fix", 'f', NULL, 0,
     "Also put right what loses nothing: detach mounts without a server, remove marks and sockets "
     "without an owner",
     0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct args *args = state->input;

        (void)arg;
        if (key != 'f')
                return ARGP_ERR_UNKNOWN;
        args->fix = true;
        return 0;
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .doc =
        "Look at mounts, daemon, sessions, store and this machine, and say what is wrong and what "
        "to do. It ends in time, whatever hangs."};

int cmd_doctor(struct cli *cli, int argc, char **argv)
{
        struct args args = {0};
        struct doctor doctor = {.cli = cli, .findings = json_array()};
        int code, printed;

        cli_parse(cli, &argp, argc, argv, &args);
        doctor.fix = args.fix;
        doctor_store_begin(&doctor);
        doctor_machine(&doctor);
        doctor_daemon(&doctor);
        doctor_mounts(&doctor);
        doctor_sessions(&doctor);
        doctor_store(&doctor);
        json_decref(doctor.served);
        code = doctor.errors > 0 ? EXIT_DAMAGED : doctor.warnings > 0 ? EXIT_WARNINGS : EXIT_DONE;
        if (cli->json) {
                printed = cli_print_json(
                    cli, json_pack("{s:o, s:i, s:i}", "findings", doctor.findings, "warnings",
                                   (int)doctor.warnings, "errors", (int)doctor.errors));
                return printed == EXIT_DONE ? code : printed;
        }
        json_decref(doctor.findings);
        if (doctor.errors + doctor.warnings == 0)
                printf("nothing is wrong\n");
        return cli_finish(cli, code);
}
