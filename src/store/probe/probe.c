/* Names, findings, and the verdict. */
#include "store/probe/probe_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
        const char *name, *title;
        bool essential;
} checks[PROBE_CHECKS] = {
    [PROBE_CREATE_RACE] = {"create-race", "one of several simultaneous creations wins", true},
    [PROBE_CREATE_EXISTING] = {"create-existing", "what exists is not created again", true},
    [PROBE_MATCH_RIGHT] = {"match-right", "a replacement with the current tag succeeds", true},
    [PROBE_MATCH_STALE] = {"match-stale", "a replacement with an old tag fails", true},
    [PROBE_MATCH_FOREIGN] = {"match-foreign", "a replacement with a foreign tag fails", true},
    [PROBE_MATCH_ABSENT] = {"match-absent", "a replacement of what is not there fails", true},
    [PROBE_MATCH_RACE] = {"match-race", "one of several simultaneous replacements wins", true},
    [PROBE_READ] = {"read-after-write", "what was written is read", true},
    [PROBE_RANGE] = {"range", "a part of an object can be read", true},
    [PROBE_LIST] = {"list-after-write", "what was written is listed", false},
    [PROBE_DELETE] = {"delete", "what was deleted is gone", false},
};

const char *probe_check_name(enum probe_check check)
{
        return checks[check].name;
}

const char *probe_check_title(enum probe_check check)
{
        return checks[check].title;
}

bool probe_check_essential(enum probe_check check)
{
        return checks[check].essential;
}

const char *probe_state_name(enum probe_state state)
{
        static const char *const names[] = {[PROBE_NOT_RUN] = "not run",
                                            [PROBE_GOOD] = "good",
                                            [PROBE_BROKEN] = "broken",
                                            [PROBE_FAILED] = "failed"};

        return names[state];
}

/* --- findings --- */

void probe_good(struct probe *probe, enum probe_check check)
{
        struct probe_finding *finding = &probe->report->findings[check];

        if (finding->state == PROBE_NOT_RUN)
                finding->state = PROBE_GOOD;
}

void probe_bad(struct probe *probe, enum probe_check check, enum probe_state state,
               enum hif_err err, const char *format, ...)
{
        struct probe_finding *finding = &probe->report->findings[check];
        va_list args;

        if (finding->state == PROBE_BROKEN ||
            (finding->state == PROBE_FAILED && state != PROBE_BROKEN))
                return;
        finding->state = state;
        finding->err = err;
        va_start(args, format);
        (void)vsnprintf(finding->text, sizeof(finding->text), format, args);
        va_end(args);
}

/* --- the verdict --- */

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

                if (!checks[i].essential)
                        continue;
                if (finding->state == PROBE_BROKEN)
                        return why_set(
                            why, HIF_ENOTSUP,
                            "the store %.300s ignores conditions or loses what is written (%s: "
                            "%s). %s. It is not used; take one that honours If-None-Match and "
                            "If-Match when writing. `hif store probe` shows each check",
                            store_url(probe->store), checks[i].name, finding->text,
                            what_is_lost((enum probe_check)i));
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
