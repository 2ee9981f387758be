/* A queue of the newest message of each key.
 *
 * What is queued of a key is an entry: a buffer that holds the key and behind it the payload, which grows as needed and
 * is written over when the next message of the key comes.  The entries are linked in the order in which their keys came,
 * and those that have a key are found in an open-addressing table by its hash.  An entry that was read is kept with its
 * buffer for the next key that comes, but no more of them than are queued, so that memory follows what is queued; and
 * an empty queue gives back what was more than was needed.
 *
 * Of its ring, counts, bounds and waiting are used; the arena is empty, but for `oldest`, which points to when the oldest
 * message was received, as in any ring, and `allocated`. */
#ifndef JETSOCKET_LATEST_H
#define JETSOCKET_LATEST_H

#include "hash.h"
#include "keys.h"
#include "latest_table.h"
#include "watch.h"

enum {
    LATEST_SMALLEST_BUFFER = 64,
    /* A larger buffer does not outlive its message, nor one that is this many times too large. */
    LATEST_LARGEST_KEPT = 4096,
    LATEST_TOO_LARGE = 8,
    LATEST_SMALLEST_TABLE = 16,
    /* Besides as many as are queued. */
    LATEST_SPARE = 16
};

typedef struct {
    watch_t watch; /* of the ring */
    ring_t *ring;
    key_plan_t *plan; /* NULL: there is no key */
    uint64_t seed[2];
    latest_entry *first;
    latest_entry *last;
    latest_entry *unkeyed; /* that of messages without a key, which is in no table */
    latest_entry *spare;
    size_t spares;
    latest_table table;
    size_t most; /* that were queued since the queue was empty */
    unsigned calm;
    uint64_t conflated;
} latest_t;

static inline latest_key latest_key_of(latest_t *latest, const span_t *span)
{
    latest_key key = {NULL, 0, 0, 0};
    ptrdiff_t length = -1;
    if (latest->plan != NULL) {
        length = key_locate(latest->plan, span->data, span->length, &key.data);
    }
    if (length >= 0) {
        key.keyed = 1;
        key.length = (size_t)length;
        key.hash = hash_key(key.data, key.length, hash_words_of(key.data, key.length), latest->seed);
    }
    return key;
}

static inline latest_entry *latest_entry_of(const latest_t *latest, const latest_key *key)
{
    if (!key->keyed) {
        return latest->unkeyed;
    }
    return latest->table.n_slots == 0 ? NULL : latest->table.slots[latest_table_find(&latest->table, key)].entry;
}

/* A table of another size, 0 or a power of two that is more than the keys; -1 when there is no memory. */
static inline int latest_resize(latest_t *latest, size_t n_slots)
{
    const size_t before = latest->table.n_slots;
    if (latest_table_resize(&latest->table, n_slots) < 0) {
        return -1;
    }
    latest->ring->arena.allocated += n_slots * sizeof(latest_slot);
    latest->ring->arena.allocated -= before * sizeof(latest_slot);
    return 0;
}

static inline void latest_release(latest_t *latest, latest_entry *entry)
{
    latest->ring->arena.allocated -= sizeof *entry + entry->size;
    free(entry->buffer);
    free(entry);
}

/* As one more is spare and one fewer queued, it is up to two that are too many. */
static inline void latest_trim_spares(latest_t *latest)
{
    while (latest->spares > latest->ring->count + LATEST_SPARE) {
        latest_entry *entry = latest->spare;
        latest->spare = entry->next;
        latest->spares--;
        latest_release(latest, entry);
    }
}

static inline void latest_release_spares(latest_t *latest)
{
    while (latest->spare != NULL) {
        latest_entry *entry = latest->spare;
        latest->spare = entry->next;
        latest_release(latest, entry);
    }
    latest->spares = 0;
}

/* Room in the buffer for `needed` bytes, and not much more, with what is in it left or not; -1: there is no memory. */
static inline int latest_fit(latest_t *latest, latest_entry *entry, size_t needed)
{
    size_t size = entry->size;
    char *buffer;
    if (needed > size || entry->buffer == NULL) {
        /* A little more: the next message of this key is seldom of the same length. */
        size = needed + needed / 8;
        size = size < LATEST_SMALLEST_BUFFER ? LATEST_SMALLEST_BUFFER : (size + 15) & ~(size_t)15;
    } else if (size > LATEST_LARGEST_KEPT && size / LATEST_TOO_LARGE > needed) {
        size = needed < LATEST_SMALLEST_BUFFER ? LATEST_SMALLEST_BUFFER : needed;
    } else {
        return 0;
    }
    buffer = (char *)realloc(entry->buffer, size);
    if (buffer == NULL) {
        return needed > entry->size ? -1 : 0;
    }
    latest->ring->arena.allocated += size;
    latest->ring->arena.allocated -= entry->size;
    entry->buffer = buffer;
    entry->size = size;
    return 0;
}

/* The ring shows when its oldest message was received. */
static inline void latest_show(latest_t *latest)
{
    latest->ring->arena.oldest = latest->first == NULL ? NULL : (char *)&latest->first->received_ns;
}

/* An entry for a key, in no list, with room for `length` bytes behind it; NULL when there is no memory. */
static inline latest_entry *latest_new(latest_t *latest, const latest_key *key, size_t length)
{
    latest_entry *entry = latest->spare;
    if (key->keyed && (latest->table.count + 1) * 2 > latest->table.n_slots &&
        latest_resize(latest, latest->table.n_slots == 0 ? LATEST_SMALLEST_TABLE : latest->table.n_slots * 2) < 0) {
        return NULL;
    }
    if (entry != NULL) {
        latest->spare = entry->next;
        latest->spares--;
    } else {
        entry = (latest_entry *)calloc(1, sizeof *entry);
        if (entry == NULL) {
            return NULL;
        }
        latest->ring->arena.allocated += sizeof *entry;
    }
    if (latest_fit(latest, entry, key->length + length) < 0) {
        latest_release(latest, entry);
        return NULL;
    }
    if (key->length != 0) {
        memcpy(entry->buffer, key->data, key->length);
    }
    entry->key_length = key->length;
    entry->hash = key->hash;
    entry->keyed = key->keyed;
    entry->next = NULL;
    return entry;
}

/* Nothing is queued: give back what was more than was needed. */
static inline void latest_emptied(latest_t *latest)
{
    const ring_t *ring = latest->ring;
    const int wide = latest->table.n_slots > LATEST_SMALLEST_TABLE && latest->most * 8 < latest->table.n_slots;
    latest->calm = wide || latest->most * 4 <= latest->spares ? latest->calm + 1 : 0;
    if (ring->arena.allocated >= ARENA_BURST || latest->calm > ARENA_CALM) {
        latest->calm = 0;
        latest_release_spares(latest);
        (void)latest_resize(latest, 0);
    }
    latest->most = 0;
}

/* Take an entry out, which is the first, or stands behind `before`. */
static inline void latest_unlink(latest_t *latest, latest_entry *before, latest_entry *entry)
{
    ring_t *ring = latest->ring;
    if (before == NULL) {
        latest->first = entry->next;
    } else {
        before->next = entry->next;
    }
    if (latest->last == entry) {
        latest->last = before;
    }
    if (entry->keyed) {
        latest_table_remove(&latest->table, entry);
        if (latest->table.count * 8 < latest->table.n_slots && latest->table.n_slots > LATEST_SMALLEST_TABLE) {
            /* Where there is no memory, it stays as it is. */
            (void)latest_resize(latest, latest->table.n_slots / 2);
        }
    } else {
        latest->unkeyed = NULL;
    }
    latest_show(latest);
    ring->nbytes -= entry->length;
    ring->count--;
    if (entry->size > LATEST_LARGEST_KEPT) {
        latest_release(latest, entry);
    } else {
        entry->next = latest->spare;
        latest->spare = entry;
        latest->spares++;
    }
    latest_trim_spares(latest);
    if (ring->count == 0) {
        latest_emptied(latest);
    }
}

/* Drop the key that is queued longest, but not `kept`. */
static inline void latest_drop_oldest(latest_t *latest, const latest_entry *kept, int64_t received_ns)
{
    ring_t *ring = latest->ring;
    latest_entry *oldest = latest->first;
    if (oldest != kept) {
        latest_unlink(latest, NULL, oldest);
        ring->dropped++;
        return;
    }
    latest_unlink(latest, oldest, oldest->next);
    ring_turned_away(ring, ring_head(ring), received_ns);
}

/* As ring_push(). */
static inline int latest_push(latest_t *latest, const span_t *span, int64_t received_ns)
{
    ring_t *ring = latest->ring;
    const latest_key key = latest_key_of(latest, span);
    latest_entry *entry = latest_entry_of(latest, &key);
    if (span->length > ring->max_bytes) {
        ring_turned_away(ring, ring_tail(ring), received_ns);
        return 0;
    }
    if (entry != NULL) {
        if (latest_fit(latest, entry, key.length + span->length) < 0) {
            return -1;
        }
        ring->nbytes -= entry->length;
        entry->length = 0;
        latest->conflated++;
        ring_turned_away(ring, ring_head(ring), received_ns);
    }
    while (span->length > ring->max_bytes - ring->nbytes || (entry == NULL && ring->count >= ring->capacity)) {
        latest_drop_oldest(latest, entry, received_ns);
    }
    if (entry == NULL) {
        entry = latest_new(latest, &key, span->length);
        if (entry == NULL) {
            return -1;
        }
        if (latest->last == NULL) {
            latest->first = entry;
        } else {
            latest->last->next = entry;
        }
        latest->last = entry;
        if (key.keyed) {
            latest_table_put(&latest->table, entry);
        } else {
            latest->unkeyed = entry;
        }
        ring->count++;
        latest->most = ring->count > latest->most ? ring->count : latest->most;
    }
    memcpy(entry->buffer + key.length, span->data, span->length);
    entry->length = span->length;
    entry->binary = span->binary;
    entry->received_ns = received_ns;
    ring->nbytes += span->length;
    latest_show(latest);
    return 0;
}

/* What the ring has for a watch. */
static inline int latest_store(ring_t *ring, const span_t *span, int64_t received_ns)
{
    return latest_push((latest_t *)(void *)ring->watch, span, received_ns); /* its first member */
}

static inline ptrdiff_t latest_accept(sink_t *sink, const span_t *spans, size_t count, int64_t received_ns)
{
    ring_t *ring = (ring_t *)(void *)sink; /* its first member */
    size_t i;
    for (i = 0; i < count; i++) {
        if (latest_store(ring, &spans[i], received_ns) < 0) {
            return i == 0 ? -1 : (ptrdiff_t)i;
        }
    }
    return (ptrdiff_t)count;
}

static inline void latest_init(latest_t *latest, ring_t *ring)
{
    memset(latest, 0, sizeof *latest);
    latest->ring = ring;
    latest->watch.store = latest_store;
    ring->sink.accept = latest_accept;
    ring->watch = &latest->watch;
}

/* The oldest message; there must be one. */
static inline span_t latest_front(const latest_t *latest)
{
    const latest_entry *entry = latest->first;
    span_t front;
    front.data = entry->buffer + entry->key_length;
    front.length = entry->length;
    front.binary = entry->binary;
    return front;
}

/* Take it out. */
static inline void latest_pop(latest_t *latest)
{
    latest_unlink(latest, NULL, latest->first);
}

/* Give all memory back; what is queued is gone. */
static inline void latest_clear(latest_t *latest)
{
    while (latest->first != NULL) {
        latest_entry *entry = latest->first;
        latest->first = entry->next;
        latest_release(latest, entry);
    }
    latest->last = latest->unkeyed = NULL;
    latest_release_spares(latest);
    latest->ring->arena.allocated -= latest->table.n_slots * sizeof(latest_slot);
    free(latest->table.slots);
    latest->table.slots = NULL;
    latest->table.n_slots = latest->table.count = latest->most = 0;
    latest_show(latest);
}

#endif
