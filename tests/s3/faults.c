#include "faults.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct live_rule {
        struct fault_rule rule;
        uint32_t id; /* 0: free */
        uint64_t seen, hits;
        bool released;
};

struct faults {
        pthread_mutex_t lock;
        pthread_cond_t changed; /* a rule was released or removed, or stopped was set */
        struct live_rule rules[FAULT_RULES_MAX];
        uint32_t id_last;
        uint64_t seed;
        bool stopped;
};

bool fault_action_parse(const char *name, enum fault_action *out)
{
        static const char *const names[] = {
            [FAULT_DELAY] = "delay",
            [FAULT_HOLD] = "hold",
            [FAULT_STATUS] = "status",
            [FAULT_RESET] = "reset",
            [FAULT_CLOSE] = "close",
            [FAULT_HANG] = "hang",
            [FAULT_CUT_REQUEST] = "cutreq",
            [FAULT_LATE] = "late",
            [FAULT_LOST] = "lost",
            [FAULT_RESET_LATE] = "resetlate",
            [FAULT_CLOSE_LATE] = "closelate",
            [FAULT_HANG_LATE] = "hanglate",
            [FAULT_CUT_ANSWER] = "cutresp",
        };

        for (size_t i = 1; i < sizeof(names) / sizeof(names[0]); i++)
                if (strcmp(names[i], name) == 0) {
                        *out = (enum fault_action)i;
                        return true;
                }
        return false;
}

struct faults *faults_new(uint64_t seed)
{
        struct faults *faults = calloc(1, sizeof(*faults));
        pthread_condattr_t attributes;

        if (!faults)
                return NULL;
        faults->seed = seed;
        pthread_mutex_init(&faults->lock, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&faults->changed, &attributes);
        pthread_condattr_destroy(&attributes);
        return faults;
}

void faults_free(struct faults *faults)
{
        if (!faults)
                return;
        pthread_cond_destroy(&faults->changed);
        pthread_mutex_destroy(&faults->lock);
        free(faults);
}

static struct live_rule *find(struct faults *faults, uint32_t id)
{
        for (size_t i = 0; id != 0 && i < FAULT_RULES_MAX; i++)
                if (faults->rules[i].id == id)
                        return &faults->rules[i];
        return NULL;
}

/* Rules stay sorted by id: a new one goes behind the last that is in use. */
static struct live_rule *free_rule(struct faults *faults)
{
        size_t used = 0;

        for (size_t i = 0; i < FAULT_RULES_MAX; i++)
                if (faults->rules[i].id != 0)
                        faults->rules[used++] = faults->rules[i];
        for (size_t i = used; i < FAULT_RULES_MAX; i++)
                faults->rules[i] = (struct live_rule){0};
        return used < FAULT_RULES_MAX ? &faults->rules[used] : NULL;
}

bool faults_add(struct faults *faults, const struct fault_rule *rule, uint32_t *id)
{
        struct live_rule *live;

        pthread_mutex_lock(&faults->lock);
        live = free_rule(faults);
        if (live) {
                *live = (struct live_rule){.rule = *rule, .id = ++faults->id_last};
                *id = live->id;
        }
        pthread_mutex_unlock(&faults->lock);
        return live != NULL;
}

bool faults_delete(struct faults *faults, uint32_t id)
{
        struct live_rule *live;

        pthread_mutex_lock(&faults->lock);
        live = find(faults, id);
        if (live)
                live->id = 0;
        pthread_cond_broadcast(&faults->changed);
        pthread_mutex_unlock(&faults->lock);
        return live != NULL;
}

void faults_clear(struct faults *faults)
{
        pthread_mutex_lock(&faults->lock);
        memset(faults->rules, 0, sizeof(faults->rules));
        pthread_cond_broadcast(&faults->changed);
        pthread_mutex_unlock(&faults->lock);
}

bool faults_hits(struct faults *faults, uint32_t id, uint64_t *out)
{
        struct live_rule *live;

        pthread_mutex_lock(&faults->lock);
        live = find(faults, id);
        if (live)
                *out = live->hits;
        pthread_mutex_unlock(&faults->lock);
        return live != NULL;
}

bool faults_release(struct faults *faults, uint32_t id)
{
        struct live_rule *live;

        pthread_mutex_lock(&faults->lock);
        live = find(faults, id);
        if (live)
                live->released = true;
        pthread_cond_broadcast(&faults->changed);
        pthread_mutex_unlock(&faults->lock);
        return live != NULL;
}

void faults_stop(struct faults *faults)
{
        pthread_mutex_lock(&faults->lock);
        faults->stopped = true;
        pthread_cond_broadcast(&faults->changed);
        pthread_mutex_unlock(&faults->lock);
}

/* --- requests --- */

static bool matches(const struct fault_rule *rule, const char *method, const char *target)
{
        if (strcmp(rule->method, "*") != 0 && strcmp(rule->method, method) != 0)
                return false;
        if (rule->target[0] == '*')
                return strstr(target, rule->target + 1) != NULL;
        return strncmp(target, rule->target, strlen(rule->target)) == 0;
}

/* splitmix64's finisher: the draw is a function of seed, rule and number, whatever thread asks. */
static uint32_t draw_million(uint64_t seed, uint32_t id, uint64_t number)
{
        uint64_t x = seed + ((uint64_t)id << 40) + number * UINT64_C(0x9e3779b97f4a7c15);

        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        return (uint32_t)((x ^ (x >> 31)) % 1000000);
}

static bool acts(struct faults *faults, struct live_rule *live)
{
        const struct fault_rule *rule = &live->rule;
        uint64_t number = live->seen++;

        if (rule->by_chance)
                return draw_million(faults->seed, live->id, number) < rule->per_million;
        return number >= rule->skip && number - rule->skip < rule->count;
}

struct fault faults_match(struct faults *faults, const char *method, const char *target)
{
        struct fault fault = {.action = FAULT_NONE};

        pthread_mutex_lock(&faults->lock);
        for (size_t i = 0; i < FAULT_RULES_MAX; i++) {
                struct live_rule *live = &faults->rules[i];

                if (live->id == 0 || !matches(&live->rule, method, target) || !acts(faults, live))
                        continue;
                live->hits++;
                fault = (struct fault){
                    .action = live->rule.action, .argument = live->rule.argument, .rule = live->id};
                break;
        }
        pthread_mutex_unlock(&faults->lock);
        return fault;
}

bool faults_sleep(struct faults *faults, uint64_t ms)
{
        struct timespec until;
        int err = 0;
        bool stopped;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)(ms / 1000);
        until.tv_nsec += (long)(ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_nsec -= 1000000000;
                until.tv_sec++;
        }
        pthread_mutex_lock(&faults->lock);
        while (err == 0 && !faults->stopped)
                err = pthread_cond_timedwait(&faults->changed, &faults->lock, &until);
        stopped = faults->stopped;
        pthread_mutex_unlock(&faults->lock);
        return !stopped;
}

bool faults_hold(struct faults *faults, uint32_t id)
{
        struct live_rule *live;
        bool stopped;

        pthread_mutex_lock(&faults->lock);
        while (!faults->stopped && (live = find(faults, id)) && !live->released)
                pthread_cond_wait(&faults->changed, &faults->lock);
        stopped = faults->stopped;
        pthread_mutex_unlock(&faults->lock);
        return !stopped;
}
