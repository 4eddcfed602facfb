/* The progress line. */
#include "cli/cli.h"

#include <inttypes.h>

#define REDRAW_NS    100000000u
#define LEFT_AFTER_S 2.0

struct progress {
        struct env *env;
        const char *what;
        uint64_t started_ns, drawn_ns;
};

struct progress *progress_begin(const struct cli *cli, const char *what)
{
        struct progress *progress;

        if (!cli->progress)
                return NULL;
        progress = calloc(1, sizeof(*progress));
        if (!progress)
                return NULL;
        progress->env = (struct env *)&cli->env;
        progress->what = what;
        progress->started_ns = env_mono_ns(progress->env);
        return progress;
}

static void size_text(uint64_t bytes, char out[16])
{
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
        double size = (double)bytes;
        unsigned unit = 0;

        for (; size >= 1000 && unit < 5; unit++)
                size /= 1024;
        (void)snprintf(out, 16, unit && size < 10 ? "%.1f %s" : "%.0f %s", size, units[unit]);
}

/* Time to draw again? *seconds: since the beginning. */
static bool is_due(struct progress *progress, double *seconds)
{
        uint64_t now = env_mono_ns(progress->env);

        if (progress->drawn_ns != 0 && now - progress->drawn_ns < REDRAW_NS)
                return false;
        progress->drawn_ns = now;
        *seconds = (double)(now - progress->started_ns) / 1e9;
        return true;
}

static unsigned percent(uint64_t done, uint64_t total)
{
        return (unsigned)((double)done * 100 / (double)total);
}

static void rate_text(uint64_t bytes, double seconds, char out[16])
{
        size_text(seconds > 0.05 ? (uint64_t)((double)bytes / seconds) : 0, out);
}

/* ", 3:20 left", once there is something to tell it by. */
static void left_text(uint64_t done, uint64_t total, double seconds, char out[32])
{
        double left = done > 0 ? seconds * (double)(total - done) / (double)done : 0;
        uint64_t whole = (uint64_t)left;

        out[0] = '\0';
        if (done == 0 || done >= total || seconds < LEFT_AFTER_S || left > 1e8)
                return;
        if (whole >= 3600)
                (void)snprintf(out, 32, ", %" PRIu64 ":%02u:%02u left", whole / 3600,
                               (unsigned)(whole / 60 % 60), (unsigned)(whole % 60));
        else
                (void)snprintf(out, 32, ", %u:%02u left", (unsigned)(whole / 60),
                               (unsigned)(whole % 60));
}

void progress_set(struct progress *progress, uint64_t done, uint64_t total, uint64_t bytes)
{
        char size[16], rate[16], left[32];
        double seconds;

        if (!progress || !is_due(progress, &seconds))
                return;
        if (total == 0) {
                (void)fprintf(stderr, "\r%s: %" PRIu64 "\033[K", progress->what, done);
                return;
        }
        size_text(bytes, size);
        rate_text(bytes, seconds, rate);
        left_text(done, total, seconds, left);
        (void)fprintf(stderr, "\r%s: %3u%% (%" PRIu64 "/%" PRIu64 "), %s, %s/s%s\033[K",
                      progress->what, percent(done, total), done, total, size, rate, left);
}

void progress_bytes(struct progress *progress, uint64_t done, uint64_t total)
{
        char size[16], all[16], rate[16], left[32];
        double seconds;

        if (!progress || total == 0 || !is_due(progress, &seconds))
                return;
        size_text(done, size);
        size_text(total, all);
        rate_text(done, seconds, rate);
        left_text(done, total, seconds, left);
        (void)fprintf(stderr, "\r%s: %3u%%, %s of %s, %s/s%s\033[K", progress->what,
                      percent(done, total), size, all, rate, left);
}

void progress_pause(struct progress *progress)
{
        if (progress && progress->drawn_ns != 0)
                (void)fputs("\r\033[K", stderr);
}

void progress_end(struct progress *progress)
{
        progress_pause(progress);
        free(progress);
}
