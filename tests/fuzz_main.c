/* fuzz_main.c - a main for fuzz targets where libFuzzer's is not linked, so that every compiler
 * builds them as plain tests.
 *
 *      TARGET [-s SEED] [-r ROUNDS | -t TOTAL] [-o ROUND] FILE|DIRECTORY...
 *
 * Runs each input as it is, then ROUNDS seeded mutations of it, or as many as make about TOTAL of
 * all. After a crash it says which; -o runs that one round alone. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_SIZE_MAX ((size_t)8 << 20)
#define ROUNDS_DEFAULT 2000
#define GROWTH_MAX     64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

struct options {
        uint64_t seed;
        long rounds, total; /* total 0: rounds counts */
        long only;          /* -1: all */
};

/* For the crash handlers, which take no argument. */
static char now_running[PATH_MAX + 96];

static void say_what_ran(void)
{
        ssize_t done = write(STDERR_FILENO, now_running, strlen(now_running));

        (void)done;
}

static void on_signal(int number)
{
        say_what_ran();
        signal(number, SIG_DFL);
        raise(number);
}

static uint64_t next_random(uint64_t *random)
{
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        return *random;
}

static size_t below(uint64_t *random, size_t limit)
{
        return limit > 0 ? (size_t)(next_random(random) % limit) : 0;
}

/* One change in place; data has room for GROWTH_MAX more bytes. */
static size_t mutate_once(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
        static const uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xff, '/', '.'};
        size_t at = below(random, size), count;

        if (size == 0)
                return 0;
        switch (next_random(random) % 6) {
        case 0:
                data[at] ^= (uint8_t)(1u << (next_random(random) & 7));
                return size;
        case 1:
                data[at] = telling[below(random, sizeof(telling))];
                return size;
        case 2:
                data[at] = (uint8_t)next_random(random);
                return size;
        case 3: /* drop a part */
                count = 1 + below(random, size - at < 16 ? size - at : 16);
                if (count > size - at)
                        count = size - at;
                memmove(data + at, data + at + count, size - at - count);
                return size - count;
        case 4: /* repeat a part */
                count = 1 + below(random, size - at < 16 ? size - at : 16);
                if (count > size - at || size + count > capacity)
                        return size;
                memmove(data + at + count, data + at, size - at);
                return size + count;
        default: /* a length, perhaps */
                if (size - at < 4)
                        return size;
                memset(data + at, next_random(random) & 1 ? 0xff : 0, 2 + below(random, 3));
                return size;
        }
}

/* From memory of just its size, so that a sanitizer sees the first byte read past the end. */
static void run_exact(const uint8_t *data, size_t size)
{
        uint8_t *copy = malloc(size ? size : 1);

        if (!copy)
                abort();
        memcpy(copy, data, size);
        LLVMFuzzerTestOneInput(copy, size);
        free(copy);
}

static void run_input(const struct options *options, const char *path, const uint8_t *data,
                      size_t size)
{
        size_t capacity = size + GROWTH_MAX;
        uint8_t *copy = malloc(capacity);

        if (!copy)
                abort();
        snprintf(now_running, sizeof(now_running), "input: %s\n", path);
        run_exact(data, size);
        for (long round = 0; round < options->rounds; round++) {
                uint64_t random = (options->seed + 1) * 0x9e3779b97f4a7c15 + (uint64_t)round + 1;
                size_t now = size, changes;

                if (options->only >= 0 && round != options->only)
                        continue;
                snprintf(now_running, sizeof(now_running), "input: -s %llu -o %ld %s\n",
                         (unsigned long long)options->seed, round, path);
                for (int i = 0; i < 8; i++)
                        (void)next_random(&random); /* neighbouring rounds shall differ */
                memcpy(copy, data, size);
                changes = 1 + below(&random, 6);
                for (size_t i = 0; i < changes; i++)
                        now = mutate_once(copy, now, capacity, &random);
                run_exact(copy, now);
        }
        free(copy);
}

static int run_file(const struct options *options, const char *path)
{
        FILE *file = fopen(path, "rb");
        uint8_t *data = malloc(INPUT_SIZE_MAX);
        size_t size;

        if (!file || !data) {
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
                if (file)
                        fclose(file);
                free(data);
                return -1;
        }
        size = fread(data, 1, INPUT_SIZE_MAX, file);
        fclose(file);
        run_input(options, path, data, size);
        free(data);
        return 1;
}

static bool is_input(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

/* How many inputs ran; -1 when one cannot be read. */
static int run_path(const struct options *options, const char *path)
{
        struct dirent **names;
        struct stat stat_of;
        int count, ran = 0;

        if (stat(path, &stat_of) == 0 && !S_ISDIR(stat_of.st_mode))
                return run_file(options, path);
        count = scandir(path, &names, NULL, alphasort);
        if (count < 0) {
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
                return -1;
        }
        for (int i = 0; i < count; i++) {
                char full[PATH_MAX];
                int one;

                snprintf(full, sizeof(full), "%s/%s", path, names[i]->d_name);
                if (is_input(names[i]) && ran >= 0) {
                        one = run_file(options, full);
                        ran = one < 0 ? -1 : ran + one;
                }
                free(names[i]);
        }
        free(names);
        return ran;
}

static long count_inputs(const char *path)
{
        DIR *dir = opendir(path);
        struct dirent *entry;
        long count = 0;

        if (!dir)
                return 1;
        while ((entry = readdir(dir)) != NULL)
                count += is_input(entry);
        closedir(dir);
        return count;
}

static long number(const char *text)
{
        char *end;
        long value = strtol(text, &end, 0);

        if (end == text || *end || value < 0) {
                fprintf(stderr, "\"%s\" is not a number\n", text);
                exit(2);
        }
        return value;
}

int main(int argc, char **argv)
{
        struct options options = {.seed = 1, .rounds = ROUNDS_DEFAULT, .only = -1};
        long there = 0;
        int option, inputs = 0;

        while ((option = getopt(argc, argv, "s:r:t:o:")) != -1) {
                if (option == 's')
                        options.seed = strtoull(optarg, NULL, 0);
                else if (option == 'r')
                        options.rounds = number(optarg);
                else if (option == 't')
                        options.total = number(optarg);
                else if (option == 'o')
                        options.only = number(optarg);
                else
                        return 2;
        }
        for (int i = optind; i < argc; i++)
                there += count_inputs(argv[i]);
        if (options.total > 0 && there > 0)
                options.rounds = (options.total + there - 1) / there;
        if (options.only >= options.rounds)
                options.rounds = options.only + 1;
        signal(SIGABRT, on_signal);
        signal(SIGSEGV, on_signal);
        signal(SIGBUS, on_signal);
        if (__sanitizer_set_death_callback)
                __sanitizer_set_death_callback(say_what_ran);
        for (int i = optind; i < argc; i++) {
                int ran = run_path(&options, argv[i]);

                if (ran < 0)
                        return 1;
                inputs += ran;
        }
        if (inputs == 0) {
                fprintf(stderr, "no inputs\n"); /* a test that runs nothing must not pass */
                return 1;
        }
        printf("%d inputs, %ld mutations of each, seed %llu: no crash\n", inputs,
               options.only >= 0 ? 1 : options.rounds, (unsigned long long)options.seed);
        return 0;
}
