/* From a message to the ring of its channel.
 *
 * A channel's name is hashed where it stands in the message and looked up in an open-addressing table with linear
 * probing, at most half full.  Its slots hold the whole of a short name, two words and a length, and point to a long
 * one: no Python string is made, two names that collide are still told apart, and a short name is compared without
 * another line of memory.
 *
 * With many channels nothing of a message's ring is in the cache near the core when it comes.  So messages go through in
 * runs, in steps: each step asks for the memory that the next one needs, and the waits of a whole run overlap.
 */
#ifndef JETSOCKET_ROUTER_H
#define JETSOCKET_ROUTER_H

#include "hash.h"
#include "keys.h"
#include "watch.h"

enum { ROUTER_RUN = 16 };

/* An empty slot has no ring. */
typedef struct {
    hash_words words; /* of a name that is longer than they are: its hash, and where it lies */
    size_t length;
    ring_t *ring;
} router_slot;

typedef struct {
    sink_t sink;
    key_plan_t *plan;
    router_slot *slots;
    size_t mask;
    uint64_t seed[2];
    ring_t *spill;
    uint64_t routed;
    uint64_t unroutable;
    /* The rings to wake after this read; there is room for every ring. */
    ring_t **wakes;
    size_t waking;
} router_t;

/* A name that is looked up. */
typedef struct {
    const char *name;
    size_t length;
    hash_words words;
    uint64_t hash;
} router_name;

static inline router_name router_name_of(const router_t *router, const char *name, size_t length)
{
    router_name sought;
    sought.name = name;
    sought.length = length;
    sought.words = hash_words_of(name, length);
    sought.hash = hash_key(name, length, sought.words, router->seed);
    return sought;
}

static inline const char *router_long_name(const router_slot *slot)
{
    return (const char *)(uintptr_t)slot->words.last;
}

static inline int router_is(const router_slot *slot, const router_name *sought)
{
    if (slot->length != sought->length) {
        return 0;
    }
    if (HINT_LIKELY(sought->length <= HASH_WHOLE)) {
        return ((slot->words.first ^ sought->words.first) | (slot->words.last ^ sought->words.last)) == 0;
    }
    return slot->words.first == sought->hash && memcmp(router_long_name(slot), sought->name, sought->length) == 0;
}

/* The slot of a name, or the empty one where it would go. */
static inline router_slot *router_find(const router_t *router, const router_name *sought)
{
    size_t at = (size_t)sought->hash & router->mask;
    while (router->slots[at].ring != NULL && !router_is(&router->slots[at], sought)) {
        at = (at + 1) & router->mask;
    }
    return &router->slots[at];
}

/* Put a name into the table, which has room; the name's bytes must stay where they are as long as it is there. */
static inline void router_put(router_t *router, const char *name, size_t length, ring_t *ring)
{
    const router_name sought = router_name_of(router, name, length);
    router_slot *slot = router_find(router, &sought);
    slot->length = length;
    slot->ring = ring;
    slot->words = sought.words;
    if (length > HASH_WHOLE) {
        slot->words.first = sought.hash;
        slot->words.last = (uint64_t)(uintptr_t)name;
    }
}

/* Where a name in the table would be if no other were there. */
static inline size_t router_home(const router_t *router, const router_slot *slot)
{
    uint64_t hash = slot->words.first;
    if (slot->length <= HASH_WHOLE) {
        hash = hash_key(NULL, slot->length, slot->words, router->seed);
    }
    return (size_t)hash & router->mask;
}

/* Take a name out of the table; nothing happens where it is not there. */
static inline void router_take_out(router_t *router, const char *name, size_t length)
{
    const router_name sought = router_name_of(router, name, length);
    size_t hole = (size_t)(router_find(router, &sought) - router->slots);
    size_t at = hole;
    if (router->slots[hole].ring == NULL) {
        return;
    }
    /* Close the gap: whatever follows without a break moves up, unless that would put it before its home. */
    for (;;) {
        size_t home;
        at = (at + 1) & router->mask;
        if (router->slots[at].ring == NULL) {
            break;
        }
        home = router_home(router, &router->slots[at]);
        if (((at - home) & router->mask) >= ((at - hole) & router->mask)) {
            router->slots[hole] = router->slots[at];
            hole = at;
        }
    }
    router->slots[hole].ring = NULL;
}

/* The first step: the channel's name in each message, and its slot on its way.  The ring where it is known already: a
 * name that is put together lies in the plan's memory, and is looked up before the next one is. */
static inline void router_read_names(router_t *router, const span_t *spans, size_t count, router_name *names,
                                     ring_t **rings)
{
    size_t i;
    for (i = 0; i < count; i++) {
        const char *name = NULL;
        const ptrdiff_t length = key_locate(router->plan, spans[i].data, spans[i].length, &name);
        rings[i] = NULL;
        names[i].name = NULL;
        if (HINT_RARE(length < 0)) {
            continue;
        }
        names[i] = router_name_of(router, name, (size_t)length);
        if (length > HASH_WHOLE && (uintptr_t)name - (uintptr_t)spans[i].data >= spans[i].length) {
            rings[i] = router_find(router, &names[i])->ring;
            names[i].name = NULL;
        } else {
            HINT_READ(&router->slots[(size_t)names[i].hash & router->mask], 0);
        }
    }
}

/* The second: each message's ring, and what is at hand of it on its way; before it, the long names in the table. */
static inline void router_find_rings(router_t *router, size_t count, const router_name *names, ring_t **rings)
{
    size_t i;
    for (i = 0; i < count; i++) {
        if (names[i].name != NULL && names[i].length > HASH_WHOLE) {
            const router_slot *slot = &router->slots[(size_t)names[i].hash & router->mask];
            if (slot->words.first == names[i].hash) {
                HINT_READ(router_long_name(slot), 0);
            }
        }
    }
    for (i = 0; i < count; i++) {
        if (names[i].name != NULL) {
            rings[i] = router_find(router, &names[i])->ring;
        }
        if (rings[i] != NULL) {
            HINT_WRITE(rings[i], 0);
            HINT_WRITE(rings[i], 64);
            HINT_WRITE(rings[i], 128);
            HINT_WRITE(rings[i], sizeof(ring_t) - 1);
        }
    }
}

/* The third: the memory that each message will be written to. */
static inline void router_reach(const span_t *spans, size_t count, ring_t *const *rings)
{
    size_t i;
    for (i = 0; i < count; i++) {
        const ring_t *ring = rings[i];
        if (ring != NULL) {
            const size_t needed = spans[i].length < 256 ? spans[i].length : 256;
            size_t ahead;
            HINT_READ(ring->head, 0);
            HINT_WRITE(ring->marks, 2 * ring->first);
            HINT_WRITE(ring->marks, 2 * ((ring->first + ring->count) & ring->last_slot));
            for (ahead = 0; ahead < needed + 64; ahead += 64) {
                HINT_WRITE(ring->write, ahead);
            }
        }
    }
}

/* The consumer of `ring` is to be woken after this read. */
static inline void router_list(router_t *router, ring_t *ring)
{
    if (ring->waiting && !ring->listed) {
        ring->listed = 1;
        router->wakes[router->waking++] = ring;
    }
}

/* As router_deliver(), for a ring with a watch. */
static HINT_NEVER_INLINE int router_watched(router_t *router, const span_t *span, ring_t *ring, int64_t received_ns)
{
    const int verdict = watch_store(ring, span, received_ns);
    if (verdict != 0) {
        return verdict;
    }
    router->routed++;
    router_list(router, watch_heard(ring));
    return 0;
}

/* The last: -1, 0 or 1 as ring_push() gives it. */
static inline int router_deliver(router_t *router, const span_t *span, ring_t *ring, int64_t received_ns)
{
    int verdict;
    if (HINT_RARE(ring == NULL)) {
        if (router->spill != NULL && watch_store(router->spill, span, received_ns) < 0) {
            return -1;
        }
        router->unroutable++;
        return 0;
    }
    if (HINT_RARE(ring->watch != NULL)) {
        return router_watched(router, span, ring, received_ns);
    }
    verdict = ring_push(ring, span, received_ns);
    if (HINT_RARE(verdict != 0)) {
        return verdict;
    }
    router->routed++;
    router_list(router, ring);
    return 0;
}

static inline ptrdiff_t router_accept(sink_t *sink, const span_t *spans, size_t count, int64_t received_ns)
{
    router_t *router = (router_t *)(void *)sink; /* its first member */
    router_name names[ROUTER_RUN];
    ring_t *rings[ROUTER_RUN];
    size_t done = 0;
    while (done < count) {
        const size_t run = count - done < ROUTER_RUN ? count - done : ROUTER_RUN;
        size_t i;
        router_read_names(router, spans + done, run, names, rings);
        router_find_rings(router, run, names, rings);
        router_reach(spans + done, run, rings);
        for (i = 0; i < run; i++) {
            const int verdict = router_deliver(router, &spans[done + i], rings[i], received_ns);
            if (verdict != 0) {
                return verdict < 0 && done + i == 0 ? -1 : (ptrdiff_t)(done + i);
            }
        }
        done += run;
    }
    return (ptrdiff_t)count;
}

#endif
