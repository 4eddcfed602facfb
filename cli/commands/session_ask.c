/* session_ask.c - asking the daemon about a session. */
#include "cli/commands/session.h"

#include "cli/control.h"

enum hif_err session_ask(struct cli *cli, json_t *request, json_t **result, struct hif_why *why)
{
        enum hif_err err = cli_put_place(cli, request, ".", why);

        if (err != HIF_OK) {
                json_decref(request);
                return err;
        }
        return control_ask(cli, request, NULL, NULL, result, why);
}
