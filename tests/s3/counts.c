#include "counts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void counts_init(struct counts *counts)
{
        *counts = (struct counts){0};
        pthread_mutex_init(&counts->lock, NULL);
}

void counts_destroy(struct counts *counts)
{
        pthread_mutex_destroy(&counts->lock);
}

void counts_reset(struct counts *counts)
{
        pthread_mutex_lock(&counts->lock);
        memset(counts->requests, 0, sizeof(counts->requests));
        counts->answered = counts->faults = counts->connections = 0;
        counts->bytes_in = counts->bytes_out = counts->trips = 0;
        counts->resets++;
        pthread_mutex_unlock(&counts->lock);
}

void counts_connection(struct counts *counts)
{
        pthread_mutex_lock(&counts->lock);
        counts->connections++;
        pthread_mutex_unlock(&counts->lock);
}

static enum count_method method_of(const char *name)
{
        static const char *const names[] = {
            [COUNT_GET] = "GET",   [COUNT_HEAD] = "HEAD",     [COUNT_PUT] = "PUT",
            [COUNT_POST] = "POST", [COUNT_DELETE] = "DELETE",
        };

        for (size_t i = 0; i < COUNT_OTHER; i++)
                if (strcmp(names[i], name) == 0)
                        return (enum count_method)i;
        return COUNT_OTHER;
}

struct trip counts_request(struct counts *counts, const char *method)
{
        struct trip trip;

        pthread_mutex_lock(&counts->lock);
        counts->requests[method_of(method)]++;
        trip = (struct trip){.number = counts->trips + 1, .resets = counts->resets};
        pthread_mutex_unlock(&counts->lock);
        return trip;
}

void counts_answered(struct counts *counts, struct trip trip)
{
        pthread_mutex_lock(&counts->lock);
        counts->answered++;
        if (trip.resets != counts->resets)
                trip.number = 1;
        if (counts->trips < trip.number)
                counts->trips = trip.number;
        pthread_mutex_unlock(&counts->lock);
}

void counts_fault(struct counts *counts)
{
        pthread_mutex_lock(&counts->lock);
        counts->faults++;
        pthread_mutex_unlock(&counts->lock);
}

void counts_bytes(struct counts *counts, uint64_t in, uint64_t out)
{
        pthread_mutex_lock(&counts->lock);
        counts->bytes_in += in;
        counts->bytes_out += out;
        pthread_mutex_unlock(&counts->lock);
}

void counts_print(struct counts *counts, char *out, size_t size)
{
        pthread_mutex_lock(&counts->lock);
        snprintf(
            out, size,
            "{\"get\": %" PRIu64 ", \"head\": %" PRIu64 ", \"put\": %" PRIu64 ", \"post\": %" PRIu64
            ", \"delete\": %" PRIu64 ", \"other\": %" PRIu64 ", \"answered\": %" PRIu64
            ", \"trips\": %" PRIu64 ", \"faults\": %" PRIu64 ", \"connections\": %" PRIu64
            ", \"bytes_in\": %" PRIu64 ", \"bytes_out\": %" PRIu64 "}",
            counts->requests[COUNT_GET], counts->requests[COUNT_HEAD], counts->requests[COUNT_PUT],
            counts->requests[COUNT_POST], counts->requests[COUNT_DELETE],
            counts->requests[COUNT_OTHER], counts->answered, counts->trips, counts->faults,
            counts->connections, counts->bytes_in, counts->bytes_out);
        pthread_mutex_unlock(&counts->lock);
}
