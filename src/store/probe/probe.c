/* probe.c - the whole, and the verdict. */
#include "store/probe/probe_impl.h"

#include <stdio.h>
#include <stdlib.h>

static int compare_ns(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static uint64_t median(struct probe_times *times)
{
        if (times->count == 0)
                return 0;
        qsort(times->ns, times->count, sizeof(times->ns[0]), compare_ns);
        return times->ns[times->count / 2];
}

static const char *what_is_lost(enum probe_check check)
{
        switch (check) {
        case PROBE_CREATE_RACE:
        case PROBE_CREATE_EXISTING:
                return "Two landings could take the same position, and one of them would be "
                       "silently gone";
        case PROBE_MATCH_RIGHT:
        case PROBE_MATCH_STALE:
        case PROBE_MATCH_FOREIGN:
        case PROBE_MATCH_ABSENT:
        case PROBE_MATCH_RACE:
                return "What one writes would silently replace what another has just written";
        default:
                return "What was landed could not be read back reliably";
        }
}

/* Why, in the store's own words where it has some. */
static enum hif_err cannot_tell(const struct probe *probe, const struct probe_finding *failed,
                                struct hif_why *why)
{
        const char *url = store_url(probe->store);
        struct hif_why said;

        if (!store_why(probe->store, failed->err, &said))
                (void)why_set(&said, failed->err, "%s", failed->text);
        if (failed->err == HIF_EDENIED || failed->err == HIF_EROFS)
                return why_set(why, failed->err,
                               "the store %.200s does not let these credentials write, so it "
                               "cannot be told whether landing there is safe: %.700s",
                               url, said.text);
        if (failed->err == HIF_EUNREACHABLE)
                return why_set(why, failed->err,
                               "the store %.200s does not answer: %.600s. Is the network up, and "
                               "the endpoint right? `hif doctor` looks at it",
                               url, said.text);
        return why_set(why, failed->err,
                       "it cannot be told whether the store %.200s is safe to land in: %.700s", url,
                       said.text);
}

static enum hif_err verdict(struct probe *probe, struct hif_why *why)
{
        static const struct probe_finding not_run = {.err = HIF_EIO, .text = "not all was tried"};
        const struct probe_finding *failed = NULL, *missing = NULL;

        for (int i = 0; i < PROBE_CHECKS; i++) {
                const struct probe_finding *finding = &probe->report->findings[i];

                if (!probe_check_essential((enum probe_check)i))
                        continue;
                if (finding->state == PROBE_BROKEN)
                        return why_set(
                            why, HIF_ENOTSUP,
                            "the store %.300s ignores conditions or loses what is written (%s: "
                            "%s). %s. It is not used; take one that honours If-None-Match and "
                            "If-Match when writing. `hif store probe` shows each check",
                            store_url(probe->store), probe_check_name((enum probe_check)i),
                            finding->text, what_is_lost((enum probe_check)i));
                if (finding->state == PROBE_FAILED && !failed)
                        failed = finding;
                if (finding->state == PROBE_NOT_RUN)
                        missing = &not_run;
        }
        if (!failed)
                failed = missing;
        if (!failed)
                return HIF_OK;
        return cannot_tell(probe, failed, why);
}

enum hif_err store_probe(struct store *store, struct probe_report *report, struct hif_why *why)
{
        struct probe probe = {
            .store = store, .report = report, .started_ns = env_mono_ns(store->env)};
        struct store_stats stats = store_stats_get(store), after;
        uint64_t random = env_random_u64(store->env);

        *report = (struct probe_report){0};
        snprintf(probe.id, sizeof(probe.id), "%016llx", (unsigned long long)random);
        probe_check_all(&probe);
        after = store_stats_get(store);
        for (int i = 0; i <= STORE_LIST; i++)
                report->requests += after.requests[i] - stats.requests[i];
        report->put_ns = median(&probe.put);
        report->get_ns = median(&probe.get);
        report->list_ns = median(&probe.list);
        report->delete_ns = median(&probe.remove);
        return verdict(&probe, why);
}
