/* The queue itself: messages lie behind one another in chunks of memory, each as a record: when it was received, its
 * payload.  One chunk after another is filled and read, so that a message is written and read in one place, memory
 * follows what is queued within a half, in a large queue much closer, nothing is ever moved, and a burst gives its
 * memory back as it is read.  The last chunk read is kept for the next one needed: a ring at its capacity goes round
 * without the allocator.  A ring that holds nothing has no chunk, or a single one that it fills from the start again,
 * which keeps a fast consumer's queue in the cache.
 *
 * Length and kind of each message, its mark, stand apart in a small circular array.  The oldest message of a full ring
 * can so be dropped without a look at its record: many full rings are larger than any cache near the core, and the wait
 * for that line of memory was half of what queueing a message cost. */
#ifndef JETSOCKET_RING_H
#define JETSOCKET_RING_H

#include <stdlib.h>
#include <string.h>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#define RING_MAPS 1
#endif

#include "breaks.h"
#include "sink.h"

enum {
    /* Of an empty ring, and of any other: most channels of many are quiet. */
    RING_FIRST_CHUNK = 256,
    RING_SMALLEST_CHUNK = 1024,
    /* With what stands before its data, 64 KiB: such chunks are pages of their own, which go back to the system when
     * they are read.  Of smaller ones the allocator keeps what lies between others in use. */
    RING_LARGEST_CHUNK = 65536 - 24,
    /* So much was queued only in a burst. */
    RING_BURST = 4 * 65536,
    /* A chunk found too large this many times in a row is given back. */
    RING_CALM = 64,
    RING_FEWEST_MARKS = 16,
    /* More marks than that are given back as soon as a ring is empty. */
    RING_MOST_IDLE_MARKS = 8192,
    /* A mark is twice the length, plus one for a binary message; a length that is too long for one stands in the
     * record. */
    RING_LONG = 0x7FFF
};

typedef enum { RING_DROP_OLDEST, RING_DROP_NEWEST, RING_BLOCK } ring_overflow_t;

typedef struct ring_chunk ring_chunk;

struct ring_chunk {
    ring_chunk *next;
    size_t size;
    char *used; /* where the last record ends, once the next chunk is being filled */
};

typedef struct ring_t ring_t;

/* What every message needs comes first, in as few lines of the cache as it fits. */
struct ring_t {
    sink_t sink;
    char *write; /* where the next record goes, `room` bytes before its chunk ends */
    size_t room;
    uint16_t *marks;
    size_t last_slot; /* how many marks there are, a power of two, less one; SIZE_MAX: none */
    size_t first;
    size_t count;
    size_t capacity;
    size_t nbytes;
    size_t max_bytes;
    char *oldest;
    char *stop; /* where the oldest record's chunk ends; NULL while that is the one being filled */
    uint64_t received;
    uint64_t dropped;
    ring_overflow_t overflow;
    int waiting;
    int listed; /* on the list of a router to be woken */
    int refused;
    uint64_t delivered;
    struct watch_t *watch; /* NULL: a message is queued, and nothing else; see watch.h */
    ring_chunk *head;
    ring_chunk *tail;
    ring_chunk *spare;
    size_t allocated;
    size_t passed; /* bytes of the chunks that were read since the ring was empty */
    unsigned calm;
    /* From here on, what few messages need.  Of `dropped`, those that never stood at the head; how many of them a stream
     * has seen; where the first of those that it has not seen would have stood, when that one was received and when the
     * last was. */
    uint64_t aside;
    uint64_t aside_seen;
    uint64_t aside_at;
    int64_t aside_since_ns;
    int64_t aside_until_ns;
    breaks_t breaks;
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

static inline char *ring_chunk_data(ring_chunk *chunk)
{
    return (char *)(chunk + 1);
}

/* The oldest message, where it lies; there must be one. */
static inline span_t ring_front(const ring_t *ring)
{
    const uint16_t mark = ring->marks[ring->first];
    const char *payload = ring->oldest + sizeof(int64_t);
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
    memcpy(&received_ns, ring->oldest, sizeof received_ns);
    return received_ns;
}

static inline void ring_drop_marks(ring_t *ring)
{
    ring->allocated -= (ring->last_slot + 1) * sizeof(uint16_t);
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
    ring->allocated += more * sizeof(uint16_t);
    return 0;
}

static inline ring_chunk *ring_allocate(size_t size)
{
    ring_chunk *chunk;
#if defined(RING_MAPS)
    if (size == RING_LARGEST_CHUNK) {
        void *pages = mmap(NULL, sizeof(ring_chunk) + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        chunk = pages == MAP_FAILED ? NULL : (ring_chunk *)pages;
    } else
#endif
    {
        chunk = (ring_chunk *)malloc(sizeof(ring_chunk) + size);
    }
    if (chunk != NULL) {
        chunk->size = size;
    }
    return chunk;
}

static inline void ring_free(ring_chunk *chunk)
{
#if defined(RING_MAPS)
    if (chunk->size == RING_LARGEST_CHUNK) {
        munmap(chunk, sizeof(ring_chunk) + chunk->size);
        return;
    }
#endif
    free(chunk);
}

static inline void ring_release(ring_t *ring, ring_chunk *chunk)
{
    ring->allocated -= chunk->size;
    ring_free(chunk);
}

static inline void ring_release_all(ring_t *ring)
{
    ring->head = ring->tail = NULL;
    ring->write = ring->oldest = ring->stop = NULL;
    ring->room = 0;
}

/* A chunk with room for `needed` bytes at the ring's end; -1 when there is no memory. */
static inline int ring_extend(ring_t *ring, size_t needed)
{
    ring_chunk *chunk = ring->spare;
    size_t least;
    size_t size;
    if (ring->count == 0 && ring->tail != NULL) {
        /* The one chunk of an empty ring is too small: it is replaced, rather than read on from it. */
        ring_release(ring, ring->tail);
        ring_release_all(ring);
    }
    /* Half of what is there: a ring wastes no more than that, a large one much less, and takes few steps to grow. */
    size = ring->allocated / 2;
    least = ring->tail == NULL ? RING_FIRST_CHUNK : RING_SMALLEST_CHUNK;
    size = size > RING_LARGEST_CHUNK ? RING_LARGEST_CHUNK : size < least ? least : size;
    size = size < needed ? needed : size;
    if (chunk != NULL) {
        ring->spare = NULL;
        if (chunk->size < needed || chunk->size * 2 < size || chunk->size / 2 > size + RING_LARGEST_CHUNK) {
            ring_release(ring, chunk);
            chunk = NULL;
        }
    }
    if (chunk == NULL) {
        chunk = ring_allocate(size);
        if (chunk == NULL) {
            return -1;
        }
        ring->allocated += size;
    }
    chunk->next = NULL;
    chunk->used = NULL;
    if (ring->tail == NULL) {
        ring->head = chunk;
        ring->oldest = ring_chunk_data(chunk);
    } else {
        ring->tail->next = chunk;
        ring->tail->used = ring->write;
        if (ring->head == ring->tail) {
            ring->stop = ring->write;
        }
    }
    ring->tail = chunk;
    ring->write = ring_chunk_data(chunk);
    ring->room = chunk->size;
    return 0;
}

/* Keep a chunk that was read for the next one needed; the larger of two.  One of an odd size, for a large message, too:
 * while more is queued another such message is likely, and memory of that size is dear to get. */
static inline void ring_recycle(ring_t *ring, ring_chunk *chunk)
{
    ring_chunk *other = ring->spare;
    if (other != NULL && other->size >= chunk->size) {
        ring_release(ring, chunk);
        return;
    }
    ring->spare = chunk;
    if (other != NULL) {
        ring_release(ring, other);
    }
}

/* Nothing is queued: start from the front of the last chunk, and give back what was more than was needed. */
static inline void ring_emptied(ring_t *ring)
{
    ring_chunk *chunk = ring->tail;
    const size_t passed = ring->passed;
    /* After a burst not even the last chunk, if it is as large as they get. */
    int keep = chunk->size < RING_LARGEST_CHUNK || (chunk->size == RING_LARGEST_CHUNK && passed < RING_BURST);
    ring->passed = 0;
    if (ring->spare != NULL && (ring->spare->size > RING_LARGEST_CHUNK || passed >= RING_BURST)) {
        ring_release(ring, ring->spare);
        ring->spare = NULL;
    }
    if (keep) {
        const size_t used = (size_t)(ring->write - ring_chunk_data(chunk));
        ring->calm = used * 4 <= chunk->size ? ring->calm + 1 : 0;
        if (ring->calm > RING_CALM) {
            ring->calm = 0;
            if (ring->spare != NULL) {
                ring_release(ring, ring->spare);
                ring->spare = NULL;
            }
            keep = chunk->size <= RING_SMALLEST_CHUNK;
        }
    }
    if (keep) {
        ring->write = ring->oldest = ring_chunk_data(chunk);
        ring->room = chunk->size;
    } else {
        ring_release(ring, chunk);
        ring_release_all(ring);
    }
    if (ring->last_slot >= RING_MOST_IDLE_MARKS && ring->marks != NULL) {
        ring_drop_marks(ring);
    }
}

/* To the chunk behind the oldest one, which was read. */
static inline void ring_next_chunk(ring_t *ring)
{
    ring_chunk *chunk = ring->head;
    ring->passed += (size_t)(chunk->used - ring_chunk_data(chunk));
    ring->head = chunk->next;
    ring->oldest = ring_chunk_data(ring->head);
    ring->stop = ring->head->used;
    ring_recycle(ring, chunk);
}

/* Take the oldest record out, whose message has `length` bytes. */
static inline void ring_pop(ring_t *ring, size_t length)
{
    ring->oldest += ring_record_size(length);
    ring->first = (ring->first + 1) & ring->last_slot;
    ring->nbytes -= length;
    if (--ring->count == 0) {
        ring_emptied(ring);
    } else if (ring->oldest == ring->stop) {
        ring_next_chunk(ring);
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
    if (ring->aside == ring->aside_seen) {
        ring->aside_at = at;
        ring->aside_since_ns = received_ns;
    }
    ring->aside_until_ns = received_ns;
    ring->aside++;
    ring->received++;
    ring->dropped++;
}

/* Queue a message.  0: taken, or dropped and counted; 1: no room (RING_BLOCK); -1: out of memory. */
static inline int ring_push(ring_t *ring, const span_t *span, int64_t received_ns)
{
    const size_t length = span->length;
    const size_t needed = ring_record_size(length);
    char *payload;
    size_t mark = length;
    if (ring_is_full(ring, length)) {
        const int verdict = ring_make_room(ring, length);
        if (verdict == 1) {
            return 1;
        }
        if (verdict == 2) {
            ring_turned_away(ring, ring_tail(ring), received_ns);
            return 0;
        }
    }
    if (HINT_RARE(ring->count == ring->last_slot + 1) && ring_more_marks(ring) < 0) {
        return -1;
    }
    if (HINT_RARE(ring->room < needed) && ring_extend(ring, needed) < 0) {
        return -1;
    }
    memcpy(ring->write, &received_ns, sizeof received_ns);
    payload = ring->write + sizeof received_ns;
    if (HINT_RARE(length >= RING_LONG)) {
        const uint64_t written = length;
        memcpy(payload, &written, sizeof written);
        payload += sizeof written;
        mark = RING_LONG;
    }
    memcpy(payload, span->data, length);
    ring->marks[(ring->first + ring->count) & ring->last_slot] = (uint16_t)(mark << 1 | (size_t)(span->binary != 0));
    ring->write += needed;
    ring->room -= needed;
    ring->count++;
    ring->nbytes += length;
    ring->received++;
    return 0;
}

/* Give all memory back. */
static inline void ring_clear(ring_t *ring)
{
    ring_chunk *chunk = ring->head;
    while (chunk != NULL) {
        ring_chunk *next = chunk->next;
        ring_free(chunk);
        chunk = next;
    }
    if (ring->spare != NULL) {
        ring_free(ring->spare);
        ring->spare = NULL;
    }
    ring_drop_marks(ring);
    ring_release_all(ring);
    ring->allocated = ring->count = ring->nbytes = ring->passed = 0;
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
