/* log_rate.c - how many lines pass: of a kind, and in all. */
#include "base/log_impl.h"

#include <stdio.h>
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

void log_rate_init(struct log_rate *rate, uint64_t now_ns)
{
        *rate = (struct log_rate){0};
        rate->quiet = rate->loud = (struct log_bucket){now_ns, LOG_BURST};
}

static bool bucket_take(struct log_bucket *bucket, uint64_t burst, uint64_t interval_ns,
                        uint64_t now_ns)
{
        uint64_t refill = (now_ns - bucket->refilled_ns) / interval_ns;

        bucket->refilled_ns += refill * interval_ns;
        bucket->tokens = refill < burst - bucket->tokens ? bucket->tokens + refill : burst;
        if (bucket->tokens == 0)
                return false;
        bucket->tokens--;
        return true;
}

/* --- kinds --- */

static bool is_word(char c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               (unsigned char)c >= 0x80;
}

/* FNV-1a. Who finds two texts of one hash has hidden a line of his own. */
static void mix(uint64_t *hash, const char *text, size_t size)
{
        for (size_t i = 0; i < size; i++)
                *hash = (*hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
}

/* Of all but words with a digit, and what stands in quotes. */
static uint64_t kind_hash(enum log_level level, const char *room, const char *text)
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)level;

        mix(&hash, room, strlen(room) + 1);
        while (*text != '\0') {
                const char *start = text;
                bool digits = false;

                if (*text == '\'') {
                        const char *end = strchr(text + 1, '\'');

                        mix(&hash, "'", 1);
                        text = end != NULL ? end + 1 : text + 1;
                        continue;
                }
                for (; is_word(*text); text++)
                        digits = digits || (*text >= '0' && *text <= '9');
                if (text == start)
                        mix(&hash, text++, 1);
                else if (digits)
                        mix(&hash, "#", 1);
                else
                        mix(&hash, start, (size_t)(text - start));
        }
        return hash != 0 ? hash : 1;
}

/* That of this hash, or the one that was not asked for longest. */
static struct log_kind *find(struct log_rate *rate, uint64_t hash)
{
        struct log_kind *oldest = &rate->kinds[0];

        for (size_t i = 0; i < LOG_KINDS; i++) {
                struct log_kind *kind = &rate->kinds[i];

                if (kind->hash == hash)
                        return kind;
                if (kind->asked_ns < oldest->asked_ns)
                        oldest = kind;
        }
        return oldest;
}

struct log_kind *log_rate_take(struct log_rate *rate, enum log_level level, const char *room,
                               const char *text, uint64_t now_ns, struct log_kind *forgotten)
{
        uint64_t hash = kind_hash(level, room, text);
        struct log_kind *kind = find(rate, hash);

        forgotten->left_out = 0;
        if (kind->hash != hash) {
                *forgotten = *kind;
                *kind = (struct log_kind){
                    .hash = hash, .bucket = {now_ns, LOG_KIND_BURST}, .level = level, .room = room};
        }
        kind->asked_ns = now_ns;
        if (!bucket_take(&kind->bucket, LOG_KIND_BURST, 60 * SECOND_NS / LOG_KIND_PER_MINUTE,
                         now_ns)) {
                kind->left_out++;
                snprintf(kind->sample, sizeof(kind->sample), "%s", text);
                return NULL;
        }
        if (!bucket_take(level < LOG_WARN ? &rate->quiet : &rate->loud, LOG_BURST,
                         SECOND_NS / LOG_PER_SECOND, now_ns)) {
                rate->dropped++;
                return NULL;
        }
        return kind;
}

bool log_rate_untold(struct log_rate *rate, bool any, uint64_t now_ns, struct log_kind *out)
{
        for (size_t i = 0; i < LOG_KINDS; i++) {
                struct log_kind *kind = &rate->kinds[i];

                if (kind->left_out == 0 ||
                    (!any && now_ns - kind->asked_ns < LOG_KIND_QUIET_S * SECOND_NS))
                        continue;
                *out = *kind;
                kind->left_out = 0;
                return true;
        }
        return false;
}
