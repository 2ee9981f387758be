/* The table in which a router looks up a channel's name.
 *
 * Open addressing with linear probing, at most half full.  Its slots hold the whole of a short name, two words and a
 * length, and point to a long one: no Python string is made, two names that collide are still told apart, and a short
 * name is compared without another line of memory. */
#ifndef JETSOCKET_ROUTER_TABLE_H
#define JETSOCKET_ROUTER_TABLE_H

#include "hash.h"
#include "keys.h"
#include "watch.h"

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
    sequence_t *sequence; /* of all messages, then with router_accept_in_order() as the sink's accept(); or NULL */
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

#endif
