/* What becomes of a message besides being queued in a plain ring.
 *
 * A ring's `watch` is NULL, and then a router has no more to do with a message than ring_push().  Where it is not, the
 * ring is of another kind, and says itself how it takes a message; or it is no ring at all, but stands in the router's
 * table for a channel that has more than one, or whose messages are looked at. */
#ifndef JETSOCKET_WATCH_H
#define JETSOCKET_WATCH_H

#include "ring.h"
#include "sequence.h"

typedef struct watch_t watch_t;

/* What is looked for in a channel's messages: see Watch in watch_py.py. */
typedef struct {
    key_plan_t *skip; /* NULL: nothing is skipped */
    const char *text;
    size_t length;
    uint64_t skipped;
    sequence_t *sequence; /* or NULL */
} watch_rules_t;

/* A channel with several rings, or with rules. */
typedef struct {
    watch_rules_t *rules; /* or NULL */
    ring_t **rings;
    size_t count; /* at least one */
} watch_channel_t;

struct watch_t {
    /* As ring_push(); NULL: that. */
    int (*store)(ring_t *ring, const span_t *span, int64_t received_ns);
    /* Whether store() would give 1 for a message of this length; it must also set `refused` of the ring that has no
     * room then, as ring_push() does.  Changes nothing else.  NULL: watch_ring_refuses(). */
    int (*refuses)(ring_t *ring, size_t length);
    /* The ring whose consumer takes what is stored in this one; NULL: the ring itself. */
    ring_t *taken_from;
    /* Of what is no ring; NULL: it is one. */
    watch_channel_t *channel;
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

/* Whether the message is but a sign of life. */
static inline int watch_skips(watch_rules_t *rules, const span_t *span)
{
    const char *text = NULL;
    ptrdiff_t length;
    if (rules == NULL || rules->skip == NULL) {
        return 0;
    }
    length = key_locate(rules->skip, span->data, span->length, &text);
    return length >= 0 && (size_t)length == rules->length && memcmp(text, rules->text, rules->length) == 0;
}

/* Whether some ring of the channel has no room for the message. */
static inline int watch_channel_refuses(const watch_channel_t *channel, const span_t *span)
{
    size_t i;
    for (i = 0; i < channel->count; i++) {
        if (watch_refuses(channel->rings[i], span->length)) {
            return 1;
        }
    }
    return 0;
}

/* Remember that something is missing before the message of index `at`. */
static inline void watch_note(ring_t *heard, uint64_t at, const sequence_step *step, int64_t since_ns, int64_t until_ns)
{
    break_t found;
    found.at = at;
    found.expected = step->expected;
    found.got = step->got;
    found.missing = step->missing;
    found.since_ns = since_ns;
    found.until_ns = until_ns;
    /* The router has seen to it that there is memory for one at least: see reserve() there. */
    if (ring_losses(heard) != NULL) {
        breaks_note(&heard->losses->breaks, &found);
    }
}

#endif
