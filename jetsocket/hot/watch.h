/* What becomes of a message besides being queued in a plain ring.
 *
 * A ring's `watch` is NULL, and then a router has no more to do with a message than ring_push(). Where it is not, the
 * ring is of another kind: it says itself how it takes a message. */
#ifndef JETSOCKET_WATCH_H
#define JETSOCKET_WATCH_H

#include "ring.h"

typedef struct watch_t watch_t;

struct watch_t {
    /* As ring_push(); NULL: that. */
    int (*store)(ring_t *ring, const span_t *span, int64_t received_ns);
    /* Whether store() would give 1 for a message of this length; it must also set `refused` of the ring that has no
     * room then, as ring_push() does. Changes nothing else. NULL: watch_ring_refuses(). */
    int (*refuses)(ring_t *ring, size_t length);
    /* The ring whose consumer takes what is stored in this one; NULL: the ring itself. */
    ring_t *taken_from;
};

static inline int watch_ring_refuses(ring_t *ring, size_t length)
{
    if (ring->overflow == RING_BLOCK && ring->count != 0 && ring_is_full(ring, length)) {
        ring->refused = 1;
        return 1;
    }
    return 0;
}

/* Whether watch_store() would give 1. */
static inline int watch_refuses(ring_t *ring, size_t length)
{
    if (ring->watch != NULL && ring->watch->refuses != NULL) {
        return ring->watch->refuses(ring, length);
    }
    return watch_ring_refuses(ring, length);
}

/* ring_push(), for a ring of any kind. */
static inline int watch_store(ring_t *ring, const span_t *span, int64_t received_ns)
{
    if (ring->watch != NULL && ring->watch->store != NULL) {
        return ring->watch->store(ring, span, received_ns);
    }
    return ring_push(ring, span, received_ns);
}

/* The ring whose consumer hears of what this one got. */
static inline ring_t *watch_heard(ring_t *ring)
{
    return ring->watch != NULL && ring->watch->taken_from != NULL ? ring->watch->taken_from : ring;
}

#endif
