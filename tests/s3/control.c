/* The proxy's language: one line, one reply. */
#include "proxy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 8

static bool say(char *reply, const char *text)
{
        snprintf(reply, S3FAULT_REPLY_MAX, "%s", text);
        return true;
}

static bool refuse(char *reply, const char *text)
{
        (void)say(reply, text);
        return false;
}

static bool number(const char *text, uint64_t *out)
{
        char *end;

        *out = strtoull(text, &end, 10);
        return *text != '\0' && *end == '\0' && *text != '-';
}

static bool add_rule(struct s3fault *proxy, struct fault_rule *rule, char **words, size_t count,
                     char *reply)
{
        uint32_t id;

        if (strlen(words[1]) >= sizeof(rule->method) || strlen(words[2]) >= sizeof(rule->target))
                return refuse(reply, "error: method or target too long");
        memcpy(rule->method, words[1], strlen(words[1]) + 1);
        memcpy(rule->target, words[2], strlen(words[2]) + 1);
        words += rule->by_chance ? 4 : 5;
        count -= rule->by_chance ? 4 : 5;
        if (!fault_action_parse(words[0], &rule->action))
                return refuse(reply, "error: no such action");
        if (count > 1 && !number(words[1], &rule->argument))
                return refuse(reply, "error: the argument is not a number");
        if (!faults_add(proxy->relay.faults, rule, &id))
                return refuse(reply, "error: too many rules");
        snprintf(reply, S3FAULT_REPLY_MAX, "ok %" PRIu32, id);
        return true;
}

static bool say_add(struct s3fault *proxy, char **words, size_t count, char *reply)
{
        struct fault_rule rule = {.count = UINT64_MAX};

        if (count < 6 || !number(words[3], &rule.skip) ||
            (strcmp(words[4], "-1") != 0 && !number(words[4], &rule.count)))
                return refuse(reply, "error: add METHOD TARGET SKIP COUNT ACTION [ARG]");
        return add_rule(proxy, &rule, words, count, reply);
}

static bool say_chance(struct s3fault *proxy, char **words, size_t count, char *reply)
{
        struct fault_rule rule = {.by_chance = true};
        double percent;

        if (count < 5 || (percent = strtod(words[3], NULL)) < 0 || percent > 100)
                return refuse(reply, "error: chance METHOD TARGET PERCENT ACTION [ARG]");
        rule.per_million = (uint32_t)(percent * 10000);
        return add_rule(proxy, &rule, words, count, reply);
}

static bool say_about_rule(struct s3fault *proxy, const char *verb, const char *id_text,
                           char *reply)
{
        struct faults *faults = proxy->relay.faults;
        uint64_t id, hits = 0;
        bool known;

        if (!number(id_text, &id) || id > UINT32_MAX)
                return refuse(reply, "error: a rule's id is a number");
        if (strcmp(verb, "hits") == 0)
                known = faults_hits(faults, (uint32_t)id, &hits);
        else if (strcmp(verb, "release") == 0)
                known = faults_release(faults, (uint32_t)id);
        else
                known = faults_delete(faults, (uint32_t)id);
        if (!known)
                return refuse(reply, "error: no such rule");
        if (strcmp(verb, "hits") != 0)
                return say(reply, "ok");
        snprintf(reply, S3FAULT_REPLY_MAX, "%" PRIu64, hits);
        return true;
}

static bool say_latency(struct s3fault *proxy, const char *text, char *reply)
{
        uint64_t ms;

        if (!number(text, &ms) || ms > 60000)
                return refuse(reply, "error: latency MS, at most 60000");
        __atomic_store_n(&proxy->relay.latency_ms, (uint32_t)ms, __ATOMIC_RELAXED);
        return say(reply, "ok");
}

static bool say_dialect(struct s3fault *proxy, const char *flags, char *reply)
{
        unsigned dialect;

        if (!dialect_parse(flags, &dialect))
                return refuse(reply, "error: dialect is any of q, c, e; or -");
        __atomic_store_n(&proxy->relay.dialect, dialect, __ATOMIC_RELAXED);
        return say(reply, "ok");
}

static bool say_trace(struct s3fault *proxy, const char *text, char *reply)
{
        if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
                return refuse(reply, "error: trace on, or trace off");
        __atomic_store_n(&proxy->relay.trace, strcmp(text, "on") == 0, __ATOMIC_RELAXED);
        return say(reply, "ok");
}

bool s3fault_say(struct s3fault *proxy, const char *line, char reply[S3FAULT_REPLY_MAX])
{
        char copy[2 * FAULT_MATCH_MAX];
        char *words[WORDS_MAX] = {0}, *rest = copy;
        size_t count = 0;
        const char *verb;

        snprintf(copy, sizeof(copy), "%s", line);
        while (count < WORDS_MAX && (words[count] = strtok_r(rest, " \r\n", &rest)))
                count++;
        verb = count > 0 ? words[0] : "";
        if (strcmp(verb, "add") == 0)
                return say_add(proxy, words, count, reply);
        if (strcmp(verb, "chance") == 0)
                return say_chance(proxy, words, count, reply);
        if (count == 2 && strcmp(verb, "latency") == 0)
                return say_latency(proxy, words[1], reply);
        if (count == 2 && strcmp(verb, "dialect") == 0)
                return say_dialect(proxy, words[1], reply);
        if (count == 2 && strcmp(verb, "trace") == 0)
                return say_trace(proxy, words[1], reply);
        if (count == 2 &&
            (strcmp(verb, "hits") == 0 || strcmp(verb, "release") == 0 || strcmp(verb, "del") == 0))
                return say_about_rule(proxy, verb, words[1], reply);
        if (strcmp(verb, "clear") == 0) {
                faults_clear(proxy->relay.faults);
                return say(reply, "ok");
        }
        if (strcmp(verb, "reset") == 0) {
                counts_reset(&proxy->relay.counts);
                return say(reply, "ok");
        }
        if (strcmp(verb, "stats") == 0) {
                counts_print(&proxy->relay.counts, reply, S3FAULT_REPLY_MAX);
                return true;
        }
        return refuse(reply, "error: add, chance, del, clear, hits, release, latency, dialect, "
                             "trace, stats or reset");
}
