#include "cli/daemon/netns.h"

#include "base/log.h"
#include "cli/daemon/unresumed.h"
#include "cli/supervisor/helper.h"

#include <unistd.h>

enum hif_err netns_enter(struct daemon *daemon, bool there, struct hif_why *why)
{
        const struct help_request request = {.op = HELP_NETNS_MAKE};
        struct netns *netns = &daemon->netns;
        enum hif_err err = HIF_OK;

        if (geteuid() != 0)
                return why_set(why, HIF_EPERM, "only root may make one");
        pthread_mutex_lock(&netns->lock);
        if (!there) {
                err = help_ask(daemon->hold, &request, NULL, why);
                if (err == HIF_OK && netns->users == 0)
                        log_line(daemon->cli->env.log, LOG_INFO, "daemon",
                                 "NFS mounts get a network namespace of their own ('%s/netns')",
                                 daemon->cli->paths.state_dir);
        }
        if (err == HIF_OK)
                netns->users++;
        pthread_mutex_unlock(&netns->lock);
        return err;
}

void netns_leave(struct daemon *daemon, bool needed)
{
        const struct help_request request = {.op = HELP_NETNS_REMOVE};
        struct netns *netns = &daemon->netns;
        bool others = daemon_unresumed_any(daemon);
        struct hif_why why = {0};

        pthread_mutex_lock(&netns->lock);
        netns->users--;
        if (netns->users == 0 && !needed && !others &&
            help_ask(daemon->hold, &request, NULL, &why) != HIF_OK)
                log_line(daemon->cli->env.log, LOG_WARN, "daemon",
                         "the network namespace '%s/netns' could not be removed: %s",
                         daemon->cli->paths.state_dir, why.text);
        pthread_mutex_unlock(&netns->lock);
}

enum hif_err netns_open(struct daemon *daemon, int what, uint16_t port, int *out,
                        struct hif_why *why)
{
        const struct help_request request = {.op = (enum help_op)what, .port = port};

        return help_ask(daemon->hold, &request, out, why);
}
