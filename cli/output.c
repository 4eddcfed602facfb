/* What people and programs read: errors, JSON, names that may hold any byte. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <time.h>

/* --- errors --- */

int cli_exit_of(enum hif_err err)
{
        switch (err) {
        case HIF_OK:
                return EXIT_DONE;
        case HIF_ECONFLICT:
                return EXIT_CONFLICT;
        case HIF_EUNKNOWN:
                return EXIT_UNKNOWN;
        case HIF_ENOTHING:
                return EXIT_NOTHING;
        case HIF_ENOENT:
                return EXIT_NOT_FOUND;
        case HIF_EUNREACHABLE:
        case HIF_ETIMEDOUT:
                return EXIT_UNREACHABLE;
        default:
                return EXIT_FAILED;
        }
}

/* more: taken over. */
static void print_error(const struct cli *cli, const char *code, const char *text, const char *name,
                        json_t *more)
{
        AUTO_BUF struct buf clean = {0};
        json_t *object;

        /* Texts name things from outside: a file name, a goal. */
        text_escape(&clean, span_str(text));
        if (!cli->json) {
                if (buf_failed(&clean))
                        (void)fputs("hif: out of memory\n", stderr);
                else
                        (void)fprintf(stderr, "hif: %.*s\n", (int)clean.size,
                                      (const char *)clean.data);
                json_decref(more);
                return;
        }
        object = json_pack("{s:{s:s, s:s%}}", "error", "code", code, "text",
                           (const char *)clean.data, clean.size);
        if (more != NULL)
                (void)json_object_set_new(object, name, more);
        (void)cli_print_json(cli, object);
}

int cli_fail(const struct cli *cli, enum hif_err err, const struct hif_why *why)
{
        return cli_fail_with(cli, err, why, NULL, NULL);
}

int cli_fail_with(const struct cli *cli, enum hif_err err, const struct hif_why *why,
                  const char *name, json_t *more)
{
        print_error(cli, hif_err_name(err), why && why->text[0] ? why->text : hif_strerror(err),
                    name, more);
        return cli_exit_of(err);
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
        struct hif_why why;
        va_list args;

        va_start(args, format);
        (void)vsnprintf(why.text, sizeof(why.text), format, args);
        va_end(args);
        print_error(cli, "USAGE", why.text, NULL, NULL);
        return EXIT_USAGE;
}

void cli_warn(const struct cli *cli, const char *format, ...)
{
        AUTO_BUF struct buf clean = {0};
        struct hif_why why;
        va_list args;

        (void)cli;
        va_start(args, format);
        (void)vsnprintf(why.text, sizeof(why.text), format, args);
        va_end(args);
        text_escape(&clean, span_str(why.text));
        if (!buf_failed(&clean))
                (void)fprintf(stderr, "hif: warning: %.*s\n", (int)clean.size,
                              (const char *)clean.data);
}

int cli_finish(const struct cli *cli, int code)
{
        (void)cli;
        if (fflush(stdout) == 0 && !ferror(stdout))
                return code;
        if (errno != EPIPE)
                (void)fprintf(stderr, "hif: cannot write the output: %s\n",
                              hif_strerror(hif_err_from_errno(errno)));
        return EXIT_FAILED;
}

/* --- JSON --- */

int cli_print_json(const struct cli *cli, json_t *value)
{
        if (!value) {
                (void)fputs("hif: out of memory\n", stderr);
                return EXIT_FAILED;
        }
        (void)json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
        json_decref(value);
        (void)fputc('\n', stdout);
        return cli_finish(cli, EXIT_DONE);
}

/* Bytes of the UTF-8 sequence at the start of text (RFC 3629: no overlong forms, no surrogates,
 * nothing over U+10FFFF), or 0. */
static size_t sequence(struct span text, uint32_t *out)
{
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        uint8_t first = text.data[0];
        size_t n = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : 4;
        uint32_t code;

        if (n == 1) {
                *out = first;
                return 1;
        }
        if (n > text.size || (n == 4 && first >> 3 != 30))
                return 0;
        code = first & (0x7fu >> n);
        for (size_t i = 1; i < n; i++) {
                if (text.data[i] >> 6 != 2)
                        return 0;
                code = code << 6 | (text.data[i] & 0x3f);
        }
        if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
                return 0;
        *out = code;
        return n;
}

void json_set_path(json_t *object, const char *key, struct span path)
{
        AUTO_BUF struct buf text = {0};
        AUTO_BUF struct buf hex = {0};
        AUTO_FREE char *bytes_key = NULL;
        bool exact = true;

        for (size_t at = 0; at < path.size;) {
                uint32_t code;
                size_t n = sequence(span_of(path.data + at, path.size - at), &code);

                if (n > 0)
                        buf_put(&text, path.data + at, n);
                else
                        buf_put(&text, "\xef\xbf\xbd", 3);
                exact = exact && n > 0;
                at += n > 0 ? n : 1;
        }
        if (buf_failed(&text))
                return;
        (void)json_object_set_new(
            object, key, json_stringn(text.data ? (const char *)text.data : "", text.size));
        if (exact)
                return;
        for (size_t i = 0; i < path.size; i++)
                buf_printf(&hex, "%02x", path.data[i]);
        if (!buf_failed(&hex) && asprintf(&bytes_key, "%s_bytes", key) >= 0)
                (void)json_object_set_new(object, bytes_key,
                                          json_stringn((const char *)hex.data, hex.size));
}

/* --- text --- */

/* What could move a cursor, hide text or change its direction on a terminal. */
static bool is_control(uint32_t code)
{
        return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200b && code <= 0x200f) ||
               (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x2069) ||
               code == 0xfeff;
}

static void escape_one(struct buf *out, struct span bytes)
{
        static const char names[] = "abtnvfr";

        if (bytes.size == 1 && bytes.data[0] >= '\a' && bytes.data[0] <= '\r') {
                buf_printf(out, "\\%c", names[bytes.data[0] - '\a']);
                return;
        }
        for (size_t i = 0; i < bytes.size; i++)
                buf_printf(out, "\\x%02x", bytes.data[i]);
}

/* backslash: in names, where an escape must be told from the real thing. */
static void escape(struct buf *out, struct span text, bool backslash)
{
        for (size_t at = 0; at < text.size;) {
                uint32_t code = 0;
                size_t n = sequence(span_of(text.data + at, text.size - at), &code);
                struct span bytes = span_of(text.data + at, n > 0 ? n : 1);

                if (n == 0 || is_control(code))
                        escape_one(out, bytes);
                else if (backslash && code == '\\')
                        buf_printf(out, "\\\\");
                else
                        buf_put_span(out, bytes);
                at += bytes.size;
        }
}

void text_escape(struct buf *out, struct span text)
{
        escape(out, text, false);
}

static void print_buf(const struct buf *buf)
{
        if (!buf_failed(buf) && buf->size > 0)
                (void)fwrite(buf->data, 1, buf->size, stdout);
}

void cli_print_path(struct span path)
{
        AUTO_BUF struct buf out = {0};

        escape(&out, path, true);
        print_buf(&out);
}

void cli_print_text(struct span text, unsigned indent)
{
        while (text.size > 0) {
                AUTO_BUF struct buf out = {0};
                const uint8_t *end = memchr(text.data, '\n', text.size);
                size_t n = end ? (size_t)(end - text.data) : text.size;

                escape(&out, span_of(text.data, n), false);
                print_buf(&out);
                if (!end || n + 1 == text.size)
                        return;
                printf("\n%*s", (int)indent, "");
                text = span_of(end + 1, text.size - n - 1);
        }
}

void time_text(int64_t sec, uint32_t nsec, char out[TIME_TEXT_SIZE])
{
        time_t when = (time_t)sec;
        struct tm tm;
        char date[24];

        if (!gmtime_r(&when, &tm) || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
                (void)snprintf(out, TIME_TEXT_SIZE, "@%lld", (long long)sec);
        else
                (void)snprintf(out, TIME_TEXT_SIZE, "%s.%09uZ", date, nsec);
}

const char *cli_color(const struct cli *cli, enum cli_color color)
{
        static const char *const codes[] = {
            [COLOR_NONE] = "\033[0m",   [COLOR_BOLD] = "\033[1m", [COLOR_DIM] = "\033[2m",
            [COLOR_GREEN] = "\033[32m", [COLOR_RED] = "\033[31m", [COLOR_YELLOW] = "\033[33m"};

        return cli->color ? codes[color] : "";
}

const char *json_text(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(object, name));

        return text != NULL ? text : "";
}
