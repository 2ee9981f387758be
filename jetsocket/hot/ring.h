/* The queue itself: messages lie behind one another in an arena (arena.h), each as a record: when it was received, its
 * payload.
 *
 * Length and kind of each message, its mark, stand apart in a small circular array.  The oldest message of a full ring
 * can so be dropped without a look at its record: many full rings are larger than any cache near the core, and the wait
 * for that line of memory was half of what queueing a message cost. */
#ifndef JETSOCKET_RING_H
#define JETSOCKET_RING_H

#include <string.h>

#include "arena.h"
#include "losses.h"
#include "sink.h"

enum {
    RING_FEWEST_MARKS = 16,
    /* More marks than that are given back as soon as a ring is empty. */
    RING_MOST_IDLE_MARKS = 8192,
    /* A mark is twice the length, plus one for a binary message; a length that is too long for one stands in the
     * record. */
    RING_LONG = 0x7FFF
};

typedef enum { RING_DROP_OLDEST, RING_DROP_NEWEST, RING_BLOCK } ring_overflow_t;

typedef struct ring_t ring_t;

/* What every message needs comes first, up to the arena's `stop`, in as few lines of the cache as it fits. */
struct ring_t {
    sink_t sink;
    uint16_t *marks;
    size_t last_slot; /* how many marks there are, a power of two, less one; SIZE_MAX: none */
    size_t first;
    size_t count;
    size_t capacity;
    size_t nbytes;
    size_t max_bytes;
    uint64_t dropped;
    ring_overflow_t overflow;
    int waiting;
    int listed; /* on the list of a router to be woken */
    int refused;
    struct watch_t *watch; /* NULL: a message is queued, and nothing else; see watch.h */
    arena_t arena;         /* its `allocated` is of the marks, too */
    uint64_t delivered;
    uint64_t aside;   /* of `dropped`, those that never stood at the head */
    losses_t *losses; /* NULL: nobody has asked for more than these counts */
};

static inline void ring_init(ring_t *ring)
{
    memset(ring, 0, sizeof *ring);
    ring->capacity = ring->max_bytes = SIZE_MAX;
    ring->last_slot = SIZE_MAX;
}

/* The index of the oldest message, of all that were ever queued. */
static inline uint64_t ring_head(const ring_t *ring)
{
    return ring->delivered + ring->dropped - ring->aside;
}

/* All that were ever offered and not refused. */
static inline uint64_t ring_received(const ring_t *ring)
{
    return ring->delivered + ring->dropped + ring->count;
}

/* The index of the next message that will be queued. */
static inline uint64_t ring_tail(const ring_t *ring)
{
    return ring_head(ring) + ring->count;
}

static inline size_t ring_record_size(size_t length)
{
    const size_t head = sizeof(int64_t) + (length < RING_LONG ? 0 : sizeof(uint64_t));
    return (head + length + 7) & ~(size_t)7;
}

/* The oldest message, where it lies; there must be one. */
static inline span_t ring_front(const ring_t *ring)
{
    const uint16_t mark = ring->marks[ring->first];
    const char *payload = ring->arena.oldest + sizeof(int64_t);
    span_t span;
    span.length = mark >> 1;
    span.binary = mark & 1;
    if (HINT_RARE(span.length == RING_LONG)) {
        uint64_t length;
        memcpy(&length, payload, sizeof length);
        span.length = (size_t)length;
        payload += sizeof length;
    }
    span.data = payload;
    return span;
}

static inline int64_t ring_front_received_ns(const ring_t *ring)
{
    int64_t received_ns;
    memcpy(&received_ns, ring->arena.oldest, sizeof received_ns);
    return received_ns;
}

static inline void ring_drop_marks(ring_t *ring)
{
    ring->arena.allocated -= (ring->last_slot + 1) * sizeof(uint16_t);
    free(ring->marks);
    ring->marks = NULL;
    ring->last_slot = SIZE_MAX;
    ring->first = 0;
}

/* Twice as many marks; called when every slot is taken.  -1 when there is no memory. */
static inline int ring_more_marks(ring_t *ring)
{
    const size_t slots = ring->last_slot + 1;
    const size_t more = slots == 0 ? RING_FEWEST_MARKS : slots * 2;
    const size_t upper = slots - ring->first;
    uint16_t *marks = (uint16_t *)malloc(more * sizeof(uint16_t));
    if (marks == NULL) {
        return -1;
    }
    /* The older part reaches to the end, the newer begins at the front. */
    if (slots != 0) {
        memcpy(marks, ring->marks + ring->first, upper * sizeof(uint16_t));
        memcpy(marks + upper, ring->marks, ring->first * sizeof(uint16_t));
    }
    ring_drop_marks(ring);
    ring->marks = marks;
    ring->last_slot = more - 1;
    ring->arena.allocated += more * sizeof(uint16_t);
    return 0;
}

/* Nothing is queued. */
static inline void ring_emptied(ring_t *ring)
{
    arena_emptied(&ring->arena);
    if (ring->last_slot >= RING_MOST_IDLE_MARKS && ring->marks != NULL) {
        ring_drop_marks(ring);
    }
}

/* Take the oldest record out, whose message has `length` bytes. */
static inline void ring_pop(ring_t *ring, size_t length)
{
    ring->arena.oldest += ring_record_size(length);
    ring->first = (ring->first + 1) & ring->last_slot;
    ring->nbytes -= length;
    if (--ring->count == 0) {
        ring_emptied(ring);
    } else if (ring->arena.oldest == ring->arena.stop) {
        arena_next_chunk(&ring->arena);
    }
}

/* A message of `length` does not fit.  0: it does now; 1: refused; 2: it is dropped. */
static inline int ring_make_room(ring_t *ring, size_t length)
{
    if (ring->overflow == RING_BLOCK) {
        /* Any message is taken while the ring is empty: one over `max_bytes` would never get in otherwise. */
        if (ring->count == 0) {
            return 0;
        }
        ring->refused = 1;
        return 1;
    }
    if (ring->overflow == RING_DROP_NEWEST || length > ring->max_bytes) {
        return 2;
    }
    do {
        ring_pop(ring, ring_front(ring).length);
        ring->dropped++;
    } while (ring->count >= ring->capacity || length > ring->max_bytes - ring->nbytes);
    return 0;
}

static inline int ring_is_full(const ring_t *ring, size_t length)
{
    /* nbytes <= max_bytes but for one message that a blocking ring took while it was empty: then count is not 0. */
    return ring->count >= ring->capacity || ring->nbytes > ring->max_bytes ||
           length > ring->max_bytes - ring->nbytes;
}

/* Count a message that is dropped without having stood at the head.  It would have been the one of index `at`. */
static inline void ring_turned_away(ring_t *ring, uint64_t at, int64_t received_ns)
{
    if (ring->losses != NULL) {
        losses_aside(ring->losses, ring->aside, at, received_ns);
    }
    ring->aside++;
    ring->dropped++;
}

/* Write the record of a message at the end: `tag`, which may be of no bytes, and the payload.  -1: out of memory. */
static inline int ring_append(ring_t *ring, const void *tag, size_t tag_size, const span_t *span, int64_t received_ns)
{
    const size_t length = tag_size + span->length;
    const size_t needed = ring_record_size(length);
    char *payload;
    size_t mark = length;
    if (HINT_RARE(ring->count == ring->last_slot + 1) && ring_more_marks(ring) < 0) {
        return -1;
    }
    if (HINT_RARE(ring->arena.room < needed) && arena_extend(&ring->arena, needed, ring->count == 0) < 0) {
        return -1;
    }
    memcpy(ring->arena.write, &received_ns, sizeof received_ns);
    payload = ring->arena.write + sizeof received_ns;
    if (HINT_RARE(length >= RING_LONG)) {
        const uint64_t written = length;
        memcpy(payload, &written, sizeof written);
        payload += sizeof written;
        mark = RING_LONG;
    }
    if (tag_size != 0) {
        memcpy(payload, tag, tag_size);
    }
    memcpy(payload + tag_size, span->data, span->length);
    ring->marks[(ring->first + ring->count) & ring->last_slot] = (uint16_t)(mark << 1 | (size_t)(span->binary != 0));
    ring->arena.write += needed;
    ring->arena.room -= needed;
    ring->count++;
    ring->nbytes += span->length;
    return 0;
}

/* Queue a message.  0: taken, or dropped and counted; 1: no room (RING_BLOCK); -1: out of memory. */
static inline int ring_push(ring_t *ring, const span_t *span, int64_t received_ns)
{
    if (ring_is_full(ring, span->length)) {
        const int verdict = ring_make_room(ring, span->length);
        if (verdict == 1) {
            return 1;
        }
        if (verdict == 2) {
            ring_turned_away(ring, ring_tail(ring), received_ns);
            return 0;
        }
    }
    return ring_append(ring, NULL, 0, span, received_ns);
}

/* Give the memory of all messages back. */
static inline void ring_clear(ring_t *ring)
{
    ring_drop_marks(ring);
    arena_clear(&ring->arena);
    ring->count = ring->nbytes = 0;
}

/* What is lost of it, from now on noted; NULL when there is no memory. */
static inline losses_t *ring_losses(ring_t *ring)
{
    if (ring->losses == NULL) {
        ring->losses = (losses_t *)calloc(1, sizeof(losses_t));
    }
    return ring->losses;
}

static inline int ring_has_breaks(const ring_t *ring)
{
    return ring->losses != NULL && ring->losses->breaks.count != 0;
}

static inline ptrdiff_t ring_accept(sink_t *sink, const span_t *spans, size_t count, int64_t received_ns)
{
    ring_t *ring = (ring_t *)(void *)sink; /* its first member */
    size_t i;
    for (i = 0; i < count; i++) {
        const int verdict = ring_push(ring, &spans[i], received_ns);
        if (verdict != 0) {
            return verdict < 0 && i == 0 ? -1 : (ptrdiff_t)i;
        }
    }
    return (ptrdiff_t)count;
}

#endif
