/* trips.h - a store before another one that counts round trips: what is sent before an answer to it
 * is waited for is one, however many requests that are. */
#ifndef TESTS_LAND_TRIPS_H
#define TESTS_LAND_TRIPS_H

#include "store/store.h"

struct trips {
        struct store store; /* hand this one out */
        struct store *inner;
        uint64_t trips, requests;
        uint64_t slots, heads;   /* of the requests: for slots, for the head object */
        uint64_t puts, contents; /* of any kind; of packs and blobs */
        uint64_t deletes;
        uint64_t nodes_read, nodes_put; /* of the tree */
};

/* inner stays the caller's. Needs no end. */
void trips_init(struct trips *trips, struct env *env, struct store *inner);

#endif
