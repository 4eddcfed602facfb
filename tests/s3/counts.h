/* counts.h - what went through the proxy: requests, bytes, connections, and round trips.
 *
 * Round trips are the longest chain of requests each of which began after the one before was
 * answered: what a client that waits only for what it needs pays in latency. Requests side by side
 * are one trip. Thread-safe. */
#ifndef HIF_TESTS_S3_COUNTS_H
#define HIF_TESTS_S3_COUNTS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

enum count_method { COUNT_GET, COUNT_HEAD, COUNT_PUT, COUNT_POST, COUNT_DELETE, COUNT_OTHER };
#define COUNT_METHODS (COUNT_OTHER + 1)

struct counts {
        pthread_mutex_t lock;
        uint64_t requests[COUNT_METHODS];
        uint64_t answered, faults, connections;
        uint64_t bytes_in, bytes_out; /* from clients, and to them; headers included */
        uint64_t trips;
        uint64_t resets; /* a request from before one is the first trip after it */
};

void counts_init(struct counts *counts);
void counts_destroy(struct counts *counts);
void counts_reset(struct counts *counts);

void counts_connection(struct counts *counts);
/* A request's place in the chain. */
struct trip {
        uint64_t number, resets;
};
struct trip counts_request(struct counts *counts, const char *method);
void counts_answered(struct counts *counts, struct trip trip);
void counts_fault(struct counts *counts);
void counts_bytes(struct counts *counts, uint64_t in, uint64_t out);

/* One line of JSON. */
void counts_print(struct counts *counts, char *out, size_t size);

#endif
