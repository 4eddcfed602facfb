/* gitignore(5)'s patterns. A path is matched component by component; only "**" as a whole component
 * stands for several. So both levels are plain globs, for which going back to the last star is
 * enough, and no pattern takes exponential time. */
#include "cli/ignore_pattern.h"

#include <ctype.h>

/* --- parsing --- */

/* "Trailing spaces are ignored unless they are quoted with backslash". */
static size_t without_trailing_spaces(struct span line)
{
        size_t end = 0;

        for (size_t i = 0; i < line.size; i++) {
                if (line.data[i] == '\\' && i + 1 < line.size)
                        end = ++i + 1;
                else if (line.data[i] != ' ')
                        end = i + 1;
        }
        return end;
}

bool pattern_parse(struct span line, struct pattern *out)
{
        struct pattern pattern = {0};
        struct span text = line;

        if (text.size > 0 && text.data[text.size - 1] == '\r')
                text.size--;
        if (text.size == 0 || text.data[0] == '#')
                return false;
        text.size = without_trailing_spaces(text);
        if (text.size > 0 && text.data[0] == '!') {
                pattern.negated = true;
                text = span_of(text.data + 1, text.size - 1);
        }
        if (text.size > 0 && text.data[text.size - 1] == '/') {
                pattern.dir_only = true;
                text.size--;
        }
        if (text.size == 0)
                return false;
        pattern.anchored = memchr(text.data, '/', text.size) != NULL;
        if (text.data[0] == '/')
                text = span_of(text.data + 1, text.size - 1);
        pattern.literal = true;
        for (size_t i = 0; i < text.size; i++)
                if (strchr("*?[\\", text.data[i]) && text.data[i] != 0)
                        pattern.literal = false;
        pattern.text = text;
        *out = pattern;
        return text.size > 0;
}

/* --- matching a name --- */

static bool in_class(struct span name, uint8_t byte)
{
        static const struct {
                const char *name;
                int (*has)(int);
        } classes[] = {{"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank},
                       {"cntrl", iscntrl}, {"digit", isdigit}, {"graph", isgraph},
                       {"lower", islower}, {"print", isprint}, {"punct", ispunct},
                       {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit}};

        for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
                if (span_eq(name, span_str(classes[i].name)))
                        return classes[i].has(byte) != 0;
        return false;
}

/* The size of "[:name:]" at the start of text, or 0. */
static size_t class_size(struct span text, struct span *name)
{
        if (text.size < 4 || text.data[0] != '[' || text.data[1] != ':')
                return 0;
        for (size_t i = 2; i + 1 < text.size && text.data[i] != ']'; i++) {
                if (text.data[i] == ':' && text.data[i + 1] == ']') {
                        *name = span_of(text.data + 2, i - 2);
                        return i + 2;
                }
        }
        return 0;
}

/* One byte of a set, which may be quoted. */
static bool set_byte(struct reader *rd, uint8_t *out)
{
        *out = rd_u8(rd);
        if (*out == '\\')
                *out = rd_u8(rd);
        return !rd_bad(rd);
}

/* Does the set at the start of text ("[a-z]") have the byte? *size: of the set; 0: it has no end,
 * and matches nothing. */
static bool set_match(struct span text, uint8_t byte, size_t *size)
{
        struct reader rd = rd_open(span_of(text.data + 1, text.size - 1));
        bool negated, found = false;

        *size = 0;
        negated = rd_left(&rd) > 0 && (*rd.next == '!' || *rd.next == '^');
        if (negated)
                rd.next++;
        for (bool first = true; rd_left(&rd) > 0; first = false) {
                struct span name;
                size_t n = class_size(span_of(rd.next, rd_left(&rd)), &name);
                uint8_t low, high;

                if (*rd.next == ']' && !first) {
                        *size = (size_t)(rd.next - text.data) + 1;
                        return found != negated;
                }
                if (n > 0) {
                        found |= in_class(name, byte);
                        rd.next += n;
                        continue;
                }
                if (!set_byte(&rd, &low))
                        return false;
                high = low;
                if (rd_left(&rd) >= 2 && rd.next[0] == '-' && rd.next[1] != ']') {
                        rd.next++;
                        if (!set_byte(&rd, &high))
                                return false;
                }
                found |= low <= byte && byte <= high;
        }
        return false;
}

/* Does the element at the start of the pattern match the byte? *size: of the element. */
static bool element_match(struct span pattern, uint8_t byte, size_t *size)
{
        *size = 1;
        if (pattern.data[0] == '?')
                return true;
        if (pattern.data[0] == '[') {
                bool matched = set_match(pattern, byte, size);

                return matched && *size > 0;
        }
        if (pattern.data[0] == '\\') {
                *size = 2;
                return pattern.size > 1 && pattern.data[1] == byte;
        }
        return pattern.data[0] == byte;
}

/* Stars in a name match any number of bytes. */
static bool name_match(struct span pattern, struct span name)
{
        size_t p = 0, n = 0, star = SIZE_MAX, star_n = 0;

        while (n < name.size) {
                size_t size;

                if (p < pattern.size && pattern.data[p] == '*') {
                        star = ++p;
                        star_n = n;
                } else if (p < pattern.size &&
                           element_match(span_of(pattern.data + p, pattern.size - p), name.data[n],
                                         &size)) {
                        p += size;
                        n++;
                } else if (star != SIZE_MAX) {
                        p = star;
                        n = ++star_n;
                } else {
                        return false;
                }
        }
        while (p < pattern.size && pattern.data[p] == '*')
                p++;
        return p == pattern.size;
}

/* --- matching a path --- */

static struct span component(struct span path, size_t at)
{
        const uint8_t *start = path.data + at;
        const uint8_t *end = at < path.size ? memchr(start, '/', path.size - at) : NULL;

        return span_of(start, end ? (size_t)(end - start) : path.size - at);
}

static bool is_globstar(struct span name)
{
        for (size_t i = 0; i < name.size; i++)
                if (name.data[i] != '*')
                        return false;
        return name.size >= 2;
}

/* "a/b": offsets stand at the start of a component, or one past the end. A "**" matches any number
 * of components, at the end of the pattern at least one. */
static bool path_match(struct span pattern, struct span path)
{
        size_t p = 0, n = 0, star = SIZE_MAX, star_n = 0;

        while (n <= path.size) {
                struct span want = p <= pattern.size ? component(pattern, p) : (struct span){0};
                struct span name = component(path, n);

                if (p <= pattern.size && is_globstar(want)) {
                        if (p + want.size >= pattern.size)
                                return true;
                        star = p += want.size + 1;
                        star_n = n;
                } else if (p <= pattern.size && name_match(want, name)) {
                        p += want.size + 1;
                        n += name.size + 1;
                } else if (star != SIZE_MAX) {
                        p = star;
                        n = star_n += component(path, star_n).size + 1;
                } else {
                        return false;
                }
        }
        return p > pattern.size;
}

bool pattern_match(const struct pattern *pattern, struct span path, bool is_dir)
{
        struct span name = path;
        const uint8_t *slash;

        if (pattern->dir_only && !is_dir)
                return false;
        if (pattern->anchored)
                return pattern->literal ? span_eq(pattern->text, path)
                                        : path_match(pattern->text, path);
        slash = memrchr(path.data, '/', path.size);
        if (slash)
                name = span_of(slash + 1, (size_t)(path.data + path.size - slash) - 1);
        return pattern->literal ? span_eq(pattern->text, name) : name_match(pattern->text, name);
}
