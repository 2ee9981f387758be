/* A queue for many channels: a ring whose records say whose they are.
 *
 * In front of a message's payload, in its record, stands the address of its channel's share.  A share counts what the
 * messages of its channel came to, and is there as long as one of them is queued, or somebody may put another one in.
 * The ring's own counts are of payloads alone. */
#ifndef JETSOCKET_GROUP_H
#define JETSOCKET_GROUP_H

#include "watch.h"

typedef struct group_share group_share;

struct group_share {
    watch_t watch; /* of the ring that a router puts the messages of this channel into */
    ring_t *group;
    void *channel; /* a Python object */
    void *tally;   /* of one that has departed: another, or NULL */
    group_share *next;
    uint64_t delivered;
    uint64_t dropped;
    size_t queued;
    size_t nbytes;
    int departed; /* nobody puts any more in */
    int counted;  /* its tally has been told of it; what was queued then counts there as dropped */
};

enum { GROUP_TAG = sizeof(group_share *) };

/* The share of the oldest message, which lies at `front`; there must be one. */
static inline group_share *group_front(const ring_t *ring, span_t *front)
{
    group_share *share;
    *front = ring_front(ring);
    memcpy(&share, front->data, sizeof share);
    front->data += GROUP_TAG;
    front->length -= GROUP_TAG;
    return share;
}

/* The share of the message that so many others stand in front of; there must be one. */
static inline group_share *group_at(const ring_t *ring, size_t others)
{
    ring_t behind = *ring;
    group_share *share;
    span_t front;
    while (others-- != 0) {
        behind.arena.oldest += ring_record_size(ring_front(&behind).length);
        behind.first = (behind.first + 1) & behind.last_slot;
        if (behind.arena.oldest == behind.arena.head->used) {
            behind.arena.head = behind.arena.head->next;
            behind.arena.oldest = arena_chunk_data(behind.arena.head);
        }
    }
    share = group_front(&behind, &front);
    return share;
}

/* Take the oldest message out, which has `length` bytes. */
static inline void group_pop(ring_t *ring, group_share *share, size_t length)
{
    share->queued--;
    share->nbytes -= length;
    ring->nbytes += GROUP_TAG;
    ring_pop(ring, GROUP_TAG + length);
}

static inline void group_drop_oldest(ring_t *ring)
{
    span_t front;
    group_share *share = group_front(ring, &front);
    group_pop(ring, share, front.length);
    share->dropped++;
    ring->dropped++;
}

/* As ring_make_room(). */
static inline int group_make_room(ring_t *ring, size_t length)
{
    if (ring->overflow != RING_DROP_OLDEST || length > ring->max_bytes) {
        return ring_make_room(ring, length);
    }
    do {
        group_drop_oldest(ring);
    } while (ring->count >= ring->capacity || length > ring->max_bytes - ring->nbytes);
    return 0;
}

/* As ring_push(), of a message of `share`. */
static inline int group_push(ring_t *ring, group_share *share, const span_t *span, int64_t received_ns)
{
    if (ring_is_full(ring, span->length)) {
        const int verdict = group_make_room(ring, span->length);
        if (verdict == 1) {
            return 1;
        }
        if (verdict == 2) {
            ring_turned_away(ring, ring_tail(ring), received_ns);
            share->dropped++;
            return 0;
        }
    }
    if (ring_append(ring, &share, GROUP_TAG, span, received_ns) < 0) {
        return -1;
    }
    share->queued++;
    share->nbytes += span->length;
    return 0;
}

/* What rings that belong to a group have for a watch. */
static inline int group_store(ring_t *ring, const span_t *span, int64_t received_ns)
{
    group_share *share = (group_share *)(void *)ring->watch; /* its first member */
    return group_push(share->group, share, span, received_ns);
}

static inline int group_refuses(ring_t *ring, size_t length)
{
    return watch_ring_refuses(ring->watch->taken_from, length);
}

static inline ptrdiff_t group_accept(sink_t *sink, const span_t *spans, size_t count, int64_t received_ns)
{
    ring_t *ring = (ring_t *)(void *)sink; /* its first member */
    size_t i;
    for (i = 0; i < count; i++) {
        const int verdict = group_store(ring, &spans[i], received_ns);
        if (verdict != 0) {
            return verdict < 0 && i == 0 ? -1 : (ptrdiff_t)i;
        }
    }
    return (ptrdiff_t)count;
}

/* `ring`, which is the group's own or a channel's, stores in `group` as `share`. */
static inline void group_bind(ring_t *ring, group_share *share, ring_t *group, void *channel)
{
    memset(share, 0, sizeof *share);
    share->watch.store = group_store;
    share->watch.refuses = group_refuses;
    share->watch.taken_from = group;
    share->group = group;
    share->channel = channel;
    ring->sink.accept = group_accept;
    ring->watch = &share->watch;
}

#endif
