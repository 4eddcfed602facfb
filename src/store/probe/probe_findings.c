/* probe_findings.c - the names of checks, and what was found by them. */
#include "store/probe/probe_impl.h"

#include <stdarg.h>
#include <stdio.h>

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
