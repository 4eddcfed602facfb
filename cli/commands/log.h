/* log.h - one landing, as hif log shows it. Private to log. */
#ifndef HIF_CLI_COMMANDS_LOG_H
#define HIF_CLI_COMMANDS_LOG_H

#include "cli/cli.h"
#include "land/derived/history.h"

/* Append it to a list. HIF_ENOMEM. */
HIF_MUST_USE enum hif_err log_item_json(json_t *list, const struct history_item *item,
                                        bool with_paths);
void log_item_print(const struct cli *cli, const struct history_item *item, bool with_paths);

#endif
