/* What doctor found: a line for each finding, and the same as JSON. */
#include "base/cleanup.h"
#include "cli/doctor/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIXED "fixed" /* what is printed where others have a severity */

static const char *name_of(enum doctor_severity severity)
{
        switch (severity) {
        case DOCTOR_OK:
                return "ok";
        case DOCTOR_NOTE:
                return "note";
        case DOCTOR_WARNING:
                return "warning";
        case DOCTOR_ERROR:
                return "error";
        }
        return "error";
}

static void print(const struct cli *cli, const char *state, enum cli_color color, const char *text,
                  const char *todo)
{
        printf("%s%-7s%s  ", cli_color(cli, color), state, cli_color(cli, COLOR_NONE));
        cli_print_path(span_str(text));
        printf("\n");
        if (todo != NULL)
                printf("         %s\n", todo);
}

static void add(struct doctor *doctor, const char *name, const char *severity, const char *text,
                const char *todo, bool fixed)
{
        json_t *finding = json_pack("{s:s, s:s, s:s, s:b}", "name", name, "severity", severity,
                                    "text", text, "fixed", fixed);

        if (finding != NULL && todo != NULL)
                (void)json_object_set_new(finding, "todo", json_string(todo));
        (void)json_array_append_new(doctor->findings, finding);
}

/* A finding counts even where there is no memory for its sentence. */
__attribute__((format(printf, 1, 0))) static char *sentence(const char *format, va_list args)
{
        char *text = NULL;

        return vasprintf(&text, format, args) >= 0 ? text : NULL;
}

static void report(struct doctor *doctor, const char *name, const char *state, enum cli_color color,
                   const char *text, const char *todo)
{
        bool fixed = strcmp(state, FIXED) == 0;

        if (text == NULL)
                text = "found, but there is no memory to say what";
        add(doctor, name, fixed ? name_of(DOCTOR_OK) : state, text, todo, fixed);
        if (!doctor->cli->json)
                print(doctor->cli, state, color, text, todo);
}

void doctor_say(struct doctor *doctor, const char *name, enum doctor_severity severity,
                const char *todo, const char *format, ...)
{
        static const enum cli_color colors[] = {[DOCTOR_OK] = COLOR_GREEN,
                                                [DOCTOR_NOTE] = COLOR_DIM,
                                                [DOCTOR_WARNING] = COLOR_YELLOW,
                                                [DOCTOR_ERROR] = COLOR_RED};
        AUTO_FREE char *text = NULL;
        va_list args;

        va_start(args, format);
        text = sentence(format, args);
        va_end(args);
        doctor->warnings += severity == DOCTOR_WARNING;
        doctor->errors += severity == DOCTOR_ERROR;
        report(doctor, name, name_of(severity), colors[severity], text, todo);
}

void doctor_fixed(struct doctor *doctor, const char *name, const char *format, ...)
{
        AUTO_FREE char *text = NULL;
        va_list args;

        va_start(args, format);
        text = sentence(format, args);
        va_end(args);
        report(doctor, name, FIXED, COLOR_GREEN, text, NULL);
}
