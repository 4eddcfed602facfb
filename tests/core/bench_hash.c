/* bench_hash.c - MB per CPU-second of one-shot hashing, for each back end and size, and b3sum on
 * the same bytes in the same run.
 *
 *   bench_hash [SECONDS-PER-FIGURE]      default 0.2; the best of five parts of it counts
 *
 * b3sum maps its file and pays for start-up and page faults. So there are two ratios: to hashing
 * from memory, and to mapping and hashing the same file here; b3sum's start-up, measured on an
 * empty file, is taken off. */
#include "core/hash.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILE_SIZE ((size_t)64 << 20)
#define PARTS     5

extern char **environ;

static const char *const backends[] = {"portable", "sse41", "avx2", "avx512"};
#define BACKEND_COUNT (sizeof(backends) / sizeof(backends[0]))

static const struct {
        const char *name;
        size_t size;
} sizes[] = {
    {"64 B", 64},         {"1 KiB", 1 << 10}, {"1500 B", 1500},
    {"3000 B", 3000},     {"4 KiB", 4 << 10}, {"16 KiB", 16 << 10},
    {"64 KiB", 64 << 10}, {"1 MiB", 1 << 20}, {"64 MiB", FILE_SIZE},
};
#define SIZE_COUNT (sizeof(sizes) / sizeof(sizes[0]))

static double cpu_seconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
        return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Best MB per CPU-second of hash_of on `size` bytes. */
static double measure(const uint8_t *data, size_t size, double seconds)
{
        struct hif_hash hash = {0};
        double best = 0;

        for (int part = 0; part < PARTS; part++) {
                size_t bytes = 0;
                double start = cpu_seconds(), spent;

                do {
                        for (size_t batch = 0; batch < 65536; batch += size) {
                                hash = hash_of(HASH_BLOB, span_of(data, size));
                                __asm__ volatile("" : : "r"(&hash) : "memory");
                                bytes += size;
                        }
                        spent = cpu_seconds() - start;
                } while (spent < seconds / PARTS);
                if ((double)bytes / 1e6 / spent > best)
                        best = (double)bytes / 1e6 / spent;
        }
        return best;
}

/* CPU-seconds of mapping and hashing a file; the least of PARTS. */
static double file_seconds(int fd, struct hif_hash *hash)
{
        double best = 1e9;

        for (int part = 0; part < PARTS; part++) {
                double start = cpu_seconds(), spent;
                void *map = mmap(NULL, FILE_SIZE, PROT_READ, MAP_PRIVATE, fd, 0);

                if (map == MAP_FAILED) {
                        perror("bench_hash: mmap");
                        exit(1);
                }
                *hash = hash_of(HASH_BLOB, span_of(map, FILE_SIZE));
                munmap(map, FILE_SIZE);
                spent = cpu_seconds() - start;
                best = spent < best ? spent : best;
        }
        return best;
}

/* CPU-seconds of `b3sum --num-threads 1 PATH`, the least of PARTS; negative when it cannot be run
 * or prints another hash than `expected`. */
static double b3sum_seconds(const char *path, const char *expected)
{
        char *argv[] = {"b3sum", "--num-threads", "1", "--no-names", (char *)(uintptr_t)path, NULL};
        double best = 1e9;

        for (int part = 0; part < PARTS; part++) {
                posix_spawn_file_actions_t actions;
                struct rusage usage;
                char output[80] = {0};
                double spent;
                int ends[2], status, spawned;
                ssize_t got;
                pid_t pid;

                if (pipe(ends) != 0)
                        return -1;
                posix_spawn_file_actions_init(&actions);
                posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
                posix_spawn_file_actions_addclose(&actions, ends[0]);
                posix_spawn_file_actions_addclose(&actions, ends[1]);
                spawned = posix_spawnp(&pid, "b3sum", &actions, NULL, argv, environ);
                posix_spawn_file_actions_destroy(&actions);
                close(ends[1]);
                got = spawned == 0 ? read(ends[0], output, sizeof(output) - 1) : -1;
                close(ends[0]);
                if (spawned != 0 || wait4(pid, &status, 0, &usage) != pid || status != 0 ||
                    got < 64 || strncmp(output, expected, 64) != 0)
                        return -1;
                spent = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                        (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
                best = spent < best ? spent : best;
        }
        return best;
}

static void compare_with_b3sum(const uint8_t *data, const double memory_rates[BACKEND_COUNT])
{
        struct hif_hash hash = hash_of(HASH_BLOB, (struct span){0});
        char path[] = "/tmp/bench_hash.XXXXXX", hex[HIF_HASH_HEX_SIZE];
        double ours[BACKEND_COUNT], startup, theirs;
        int fd = mkstemp(path);

        if (fd < 0) {
                perror("bench_hash: mkstemp");
                exit(1);
        }
        hash_to_hex(&hash, hex);
        startup = b3sum_seconds(path, hex);
        for (size_t done = 0; done < FILE_SIZE;) {
                ssize_t wrote = write(fd, data + done, FILE_SIZE - done);

                if (wrote <= 0) {
                        perror("bench_hash: write");
                        unlink(path);
                        exit(1);
                }
                done += (size_t)wrote;
        }
        for (size_t b = 0; b < BACKEND_COUNT; b++)
                ours[b] = blake3_use_backend(backends[b]) ? file_seconds(fd, &hash) : 0;
        hash_to_hex(&hash, hex);
        theirs = b3sum_seconds(path, hex) - startup;
        close(fd);
        unlink(path);
        if (startup < 0 || theirs <= 0) {
                printf("b3sum: not on PATH, or its hashes differ\n");
                return;
        }
        printf("b3sum --num-threads 1, 64 MiB: %.0f MB/s (start-up of %.1f ms taken off)\n",
               (double)FILE_SIZE / 1e6 / theirs, startup * 1e3);
        for (size_t b = 0; b < BACKEND_COUNT; b++) {
                if (ours[b] > 0)
                        printf("%-9s mapped file %6.0f MB/s, %.2f x b3sum; memory %.2f x\n",
                               backends[b], (double)FILE_SIZE / 1e6 / ours[b], theirs / ours[b],
                               memory_rates[b] / ((double)FILE_SIZE / 1e6 / theirs));
        }
}

int main(int argc, char **argv)
{
        double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.2;
        double rates[BACKEND_COUNT] = {0};
        uint8_t *data = malloc(FILE_SIZE);

        if (data == NULL) {
                perror("bench_hash");
                return 1;
        }
        for (size_t i = 0; i < FILE_SIZE; i++)
                data[i] = (uint8_t)(i % 251);
        printf("MB per CPU-second of hash_of; %s is what this CPU gets\n", blake3_backend());
        printf("%-9s", "");
        for (size_t s = 0; s < SIZE_COUNT; s++)
                printf(" %8s", sizes[s].name);
        printf("\n");
        for (size_t b = 0; b < BACKEND_COUNT; b++) {
                if (!blake3_use_backend(backends[b]))
                        continue;
                printf("%-9s", backends[b]);
                for (size_t s = 0; s < SIZE_COUNT; s++) {
                        rates[b] = measure(data, sizes[s].size, seconds);
                        printf(" %8.0f", rates[b]);
                        fflush(stdout);
                }
                printf("\n");
        }
        compare_with_b3sum(data, rates);
        free(data);
        return 0;
}
