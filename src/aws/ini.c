/* The file's bytes stay where they were read; sections, keys and values point into them. */
#include "aws/ini.h"

#include "aws/wipe.h"
#include "base/log.h"

#include <fcntl.h>
#include <strings.h>

struct entry {
        size_t section;    /* index */
        const char *outer; /* "s3" of a nested setting, else NULL */
        char *key;
        char *value;
};

struct aws_ini {
        char *text; /* of `size` bytes and a zero byte */
        size_t size;
        const char **sections;
        size_t section_count;
        struct entry *entries;
        size_t entry_count;
        bool found, exposed;
};

/* Where the reader is. */
struct scan {
        struct aws_ini *ini;
        const char *path;
        size_t line;
        size_t indent;      /* of the last setting that was not nested */
        struct entry *last; /* that setting, or a setting nested in it */
        struct hif_why *why;
};

void aws_ini_free(struct aws_ini *ini)
{
        if (!ini)
                return;
        if (ini->text)
                OPENSSL_cleanse(ini->text, ini->size);
        free(ini->text);
        free(ini->sections);
        free(ini->entries);
        free(ini);
}

bool aws_ini_found(const struct aws_ini *ini)
{
        return ini->found;
}

bool aws_ini_exposed(const struct aws_ini *ini)
{
        return ini->exposed;
}

const char *aws_ini_section(const struct aws_ini *ini, size_t index)
{
        return index < ini->section_count ? ini->sections[index] : NULL;
}

static bool find_section(const struct aws_ini *ini, const char *name, size_t *index)
{
        for (size_t i = 0; i < ini->section_count; i++) {
                if (strcmp(ini->sections[i], name) == 0) {
                        *index = i;
                        return true;
                }
        }
        return false;
}

bool aws_ini_has(const struct aws_ini *ini, const char *section)
{
        size_t index;

        return find_section(ini, section, &index);
}

/* Whether the entry is called "outer.key", or "key". */
static bool entry_is(const struct entry *entry, const char *name)
{
        size_t outer;

        if (!entry->outer)
                return strcmp(entry->key, name) == 0;
        outer = strlen(entry->outer);
        return strncmp(entry->outer, name, outer) == 0 && name[outer] == '.' &&
               strcmp(entry->key, name + outer + 1) == 0;
}

const char *aws_ini_get(const struct aws_ini *ini, const char *section, const char *key)
{
        size_t index;

        if (!find_section(ini, section, &index))
                return NULL;
        for (size_t i = ini->entry_count; i > 0; i--) {
                const struct entry *entry = &ini->entries[i - 1];

                if (entry->section == index && entry_is(entry, key))
                        return entry->value;
        }
        return NULL;
}

/* --- reading --- */

static enum hif_err wrong(struct scan *scan, const char *what)
{
        return why_set(scan->why, HIF_EINVAL, "%s:%zu: %s", scan->path, scan->line, what);
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

/* Without the blanks at both ends, which are cut off in place. */
static char *trim(char *text)
{
        size_t size;

        while (is_blank(*text))
                text++;
        size = strlen(text);
        while (size > 0 && is_blank(text[size - 1]))
                text[--size] = '\0';
        return text;
}

/* "[profile  ci]" and "[profile \"ci\"]" are both "profile ci". */
static enum hif_err add_section(struct scan *scan, char *line)
{
        struct aws_ini *ini = scan->ini;
        char *end = strchr(line, ']'), *name, *rest;
        size_t index, kind;

        if (!end)
                return wrong(scan, "the \"[\" of a section has no \"]\"");
        *end = '\0';
        name = trim(line + 1);
        kind = strcspn(name, " \t");
        if (name[kind]) {
                rest = trim(name + kind);
                if (rest[0] == '"' || rest[0] == '\'') {
                        rest[strcspn(rest + 1, "\"'") + 1] = '\0';
                        rest++;
                }
                name[kind] = ' ';
                memmove(name + kind + 1, rest, strlen(rest) + 1);
        }
        scan->last = NULL;
        scan->indent = 0;
        if (!find_section(ini, name, &index)) {
                ini->sections[ini->section_count] = name;
                index = ini->section_count++;
        }
        /* The current section is the last one of the array: settings name it by number. */
        scan->ini->entries[ini->entry_count].section = index;
        return HIF_OK;
}

static void lower(char *text)
{
        for (; *text; text++)
                if (*text >= 'A' && *text <= 'Z')
                        *text = (char)(*text - 'A' + 'a');
}

/* A further line of a value: it moves to the end of what there is, with a newline between. */
static void continue_value(struct entry *entry, const char *text)
{
        size_t size = strlen(entry->value);

        entry->value[size] = '\n';
        memmove(entry->value + size + 1, text, strlen(text) + 1);
}

static enum hif_err add_setting(struct scan *scan, char *text, size_t indent)
{
        struct aws_ini *ini = scan->ini;
        struct entry *entry = &ini->entries[ini->entry_count];
        bool nested = scan->last && indent > scan->indent;
        char *equals = strchr(text, '=');

        if (ini->section_count == 0)
                return wrong(scan, "a setting before the first section");
        if (nested && !scan->last->outer && scan->last->value[0]) {
                continue_value(scan->last, text);
                return HIF_OK;
        }
        if (!equals)
                return wrong(scan, "this is neither \"[section]\" nor \"key = value\"");
        *equals = '\0';
        entry->outer = !nested ? NULL : scan->last->outer ? scan->last->outer : scan->last->key;
        entry->key = trim(text);
        entry->value = trim(equals + 1);
        lower(entry->key);
        if (!nested)
                scan->indent = indent;
        scan->last = entry;
        ini->entries[++ini->entry_count].section = entry->section;
        return HIF_OK;
}

static enum hif_err add_line(struct scan *scan, char *line)
{
        size_t indent = strspn(line, " \t");
        char *text = trim(line);

        if (text[0] == '\0' || text[0] == '#' || text[0] == ';')
                return HIF_OK;
        if (strlen(text) > AWS_INI_LINE_MAX)
                return wrong(scan, "the line is too long");
        if (text[0] == '[' && indent == 0)
                return add_section(scan, text);
        return add_setting(scan, text, indent);
}

static enum hif_err parse(struct aws_ini *ini, const char *path, struct hif_why *why)
{
        struct scan scan = {.ini = ini, .path = path, .why = why};
        char *line = ini->text, *end = ini->text ? ini->text + ini->size : NULL;
        enum hif_err err = HIF_OK;
        size_t lines = 1;

        for (size_t i = 0; i < ini->size; i++)
                lines += ini->text[i] == '\n';
        if (lines > AWS_INI_ENTRIES_MAX)
                return why_set(why, HIF_EINVAL, "%s has more than %u lines", path,
                               AWS_INI_ENTRIES_MAX);
        ini->sections = calloc(lines, sizeof(*ini->sections));
        ini->entries = calloc(lines + 1, sizeof(*ini->entries));
        if (!ini->sections || !ini->entries)
                return why_set(why, HIF_ENOMEM, "out of memory");
        while (err == HIF_OK && line < end) {
                char *newline = memchr(line, '\n', (size_t)(end - line));
                char *after = newline ? newline : end;

                scan.line++;
                *after = '\0';
                if (strlen(line) != (size_t)(after - line))
                        return wrong(&scan, "the line holds a zero byte");
                err = add_line(&scan, line);
                line = after + 1;
        }
        return err;
}

enum hif_err aws_ini_parse(const char *name, struct span text, struct aws_ini **out,
                           struct hif_why *why)
{
        struct aws_ini *ini = calloc(1, sizeof(*ini));
        enum hif_err err = HIF_ENOMEM;

        if (ini)
                ini->text = malloc(text.size + 1);
        if (ini && ini->text) {
                if (text.size > 0)
                        memcpy(ini->text, text.data, text.size);
                ini->text[text.size] = '\0';
                ini->size = text.size;
                ini->found = true;
                err = parse(ini, name, why);
        }
        if (err == HIF_OK)
                *out = ini;
        else
                aws_ini_free(ini);
        return err;
}

/* Its content; whether it is there and who may read it go to ini. */
static enum hif_err read_open(struct env *env, int fd, struct aws_ini *ini)
{
        struct stat st;
        enum hif_err err = env->ops->fstat(env, fd, &st);

        if (err != HIF_OK)
                return err;
        if (S_ISDIR(st.st_mode))
                return HIF_EISDIR;
        if (!S_ISREG(st.st_mode))
                return HIF_EINVAL;
        if (st.st_size > (off_t)AWS_INI_FILE_MAX)
                return HIF_ELIMIT;
        ini->text = malloc((size_t)st.st_size + 1);
        if (!ini->text)
                return HIF_ENOMEM;
        ini->size = (size_t)st.st_size;
        ini->text[ini->size] = '\0';
        ini->exposed = (st.st_mode & 077) != 0;
        return env_read_all(env, fd, ini->text, ini->size, 0);
}

static enum hif_err read_text(struct env *env, const char *path, struct aws_ini *ini,
                              struct hif_why *why)
{
        int fd;
        enum hif_err err = env->ops->open(env, path, O_RDONLY | O_NONBLOCK, 0, &fd);

        if (err == HIF_ENOENT || err == HIF_ENOTDIR)
                return HIF_OK;
        if (err == HIF_OK && strcmp(path, "/dev/null") == 0) { /* how people say "none" */
                env->ops->close(env, fd);
                return HIF_OK;
        }
        if (err == HIF_OK) {
                ini->found = true;
                err = read_open(env, fd, ini);
                env->ops->close(env, fd);
        }
        if (err == HIF_ELIMIT)
                return why_set(why, err, "%s is larger than the %u bytes that such a file may have",
                               path, AWS_INI_FILE_MAX);
        if (err == HIF_EINVAL)
                return why_set(why, err, "%s is no regular file", path);
        if (err != HIF_OK)
                return why_set(why, err, "cannot read %s: %s", path, hif_strerror(err));
        return HIF_OK;
}

static bool holds_secrets(const struct aws_ini *ini)
{
        for (size_t i = 0; i < ini->entry_count; i++)
                if (strcmp(ini->entries[i].key, "aws_secret_access_key") == 0 ||
                    strcmp(ini->entries[i].key, "aws_session_token") == 0)
                        return true;
        return false;
}

enum hif_err aws_ini_read(struct env *env, const char *path, struct aws_ini **out,
                          struct hif_why *why)
{
        struct aws_ini *ini = calloc(1, sizeof(*ini));
        enum hif_err err;

        if (!ini)
                return why_set(why, HIF_ENOMEM, "out of memory");
        err = read_text(env, path, ini, why);
        if (err == HIF_OK)
                err = parse(ini, path, why);
        if (err != HIF_OK) {
                aws_ini_free(ini);
                return err;
        }
        ini->exposed = ini->exposed && holds_secrets(ini);
        if (ini->exposed)
                log_line(env->log, LOG_WARN, "store",
                         "%s holds secrets, and others may read it: chmod 600 it", path);
        *out = ini;
        return HIF_OK;
}
