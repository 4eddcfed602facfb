/* What a hit and a miss cost: bench_fetch [OBJECTS]. */
#include "tfetch.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define PEEKS 4000000u

static uint64_t now_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

struct peeker {
        pthread_t thread;
        struct tfetch *t;
        const struct fetch_want *wants;
        size_t count;
        uint64_t random;
        double ns;
};

static void *peek(void *arg)
{
        struct peeker *peeker = arg;
        uint64_t start = now_ns();
        size_t at = (size_t)peeker->random;

        for (size_t i = 0; i < PEEKS; i++) {
                struct fetch_ref *ref;

                at = (at + 7919) % peeker->count;
                if (fetch_peek(peeker->t->fetch, FETCH_BLOB, &peeker->wants[at].hash, &ref))
                        abort();
                fetch_unref(ref);
        }
        peeker->ns = (double)(now_ns() - start) / PEEKS;
        return NULL;
}

static void bench_peek(struct tfetch *t, const struct fetch_want *wants, size_t count,
                       size_t threads)
{
        struct peeker peekers[8];
        double worst = 0;

        for (size_t i = 0; i < threads; i++) {
                peekers[i] = (struct peeker){.t = t, .wants = wants, .count = count, .random = i};
                if (pthread_create(&peekers[i].thread, NULL, peek, &peekers[i]))
                        abort();
        }
        for (size_t i = 0; i < threads; i++) {
                pthread_join(peekers[i].thread, NULL);
                worst = peekers[i].ns > worst ? peekers[i].ns : worst;
        }
        printf("peek and unref, %5zu objects, %zu thread(s): %6.1f ns\n", count, threads, worst);
}

static void bench_miss(struct tfetch *t, const struct fetch_want *wants, size_t count,
                       const char *what)
{
        uint64_t start, requests;
        double us;

        tfetch_restart(t);
        requests = tgets(t);
        start = now_ns();
        for (size_t at = 0; at < count; at += FETCH_WANTS_MAX) {
                size_t part = count - at < FETCH_WANTS_MAX ? count - at : FETCH_WANTS_MAX;
                struct twait wait;

                twant(t, &wait, wants + at, part);
                fetch_quiesce(t->fetch);
                if (wait.err)
                        abort();
                fetch_waiter_release(&wait.waiter);
        }
        us = (double)(now_ns() - start) / 1000 / (double)count;
        printf("miss, %-28s %7.2f us an object, %5.1f objects a request\n", what, us,
               (double)count / (double)(tgets(t) - requests));
}

int main(int argc, char **argv)
{
        size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 4096;
        struct fetch_want *lone = calloc(count, sizeof(*lone));
        struct fetch_want *packed = calloc(count, sizeof(*packed));
        struct tfetch t;

        if (count == 0 || !lone || !packed)
                return 1;
        tfetch_start(&t, &(struct tfetch_options){.threads = 0});
        for (size_t i = 0; i < count; i++)
                lone[i] = tput_blob(&t, i, 4096);
        tput_pack(&t, count, 4096, count, packed);
        bench_miss(&t, lone, count, "4 KiB, one by one:");
        bench_miss(&t, packed, count, "4 KiB, from a pack:");
        bench_peek(&t, packed, count < 64 ? count : 64, 1);
        bench_peek(&t, packed, count, 1);
        bench_peek(&t, packed, count, 2);
        tfetch_stop(&t);
        free(lone);
        free(packed);
        return 0;
}
