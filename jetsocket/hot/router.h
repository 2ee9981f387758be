/* From a message to the ring of its channel.
 *
 * A channel's name is hashed where it stands in the message, and looked up in a table (router_table.h).
 *
 * With many channels nothing of a message's ring is in the cache near the core when it comes.  So messages go through in
 * runs, in steps: each step asks for the memory that the next one needs, and the waits of a whole run overlap.
 */
#ifndef JETSOCKET_ROUTER_H
#define JETSOCKET_ROUTER_H

#include "router_table.h"

enum { ROUTER_RUN = 16 };

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
            HINT_WRITE(rings[i], offsetof(ring_t, delivered));
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
            HINT_READ(ring->arena.head, 0);
            HINT_WRITE(ring->marks, 2 * ring->first);
            HINT_WRITE(ring->marks, 2 * ((ring->first + ring->count) & ring->last_slot));
            for (ahead = 0; ahead < needed + 64; ahead += 64) {
                HINT_WRITE(ring->arena.write, ahead);
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

/* To a channel that is looked at, or has several rings. */
static inline int router_deliver_to_all(router_t *router, const span_t *span, watch_channel_t *channel,
                                        int64_t received_ns)
{
    watch_rules_t *rules = channel->rules;
    sequence_step step;
    int stepped;
    size_t i;
    if (watch_skips(rules, span)) {
        rules->skipped++;
        router->unroutable++;
        return 0;
    }
    if (watch_channel_refuses(channel, span)) {
        return 1;
    }
    stepped = rules != NULL && rules->sequence != NULL && sequence_look(rules->sequence, span, &step);
    for (i = 0; i < channel->count; i++) {
        ring_t *ring = channel->rings[i];
        ring_t *heard = watch_heard(ring);
        const uint64_t at = ring_tail(heard);
        if (watch_store(ring, span, received_ns) < 0) {
            if (i == 0) {
                return -1;
            }
            /* Those before have it, and it is not offered again: it is lost to this one. */
            ring_turned_away(ring, at, received_ns);
        }
        if (stepped && step.broken) {
            watch_note(heard, at, &step, rules->sequence->last_ns, received_ns);
        }
        router_list(router, heard);
    }
    if (stepped) {
        sequence_go_on(rules->sequence, &step, received_ns);
    }
    router->routed++;
    return 0;
}

/* As router_deliver(), for a ring with a watch. */
static HINT_NEVER_INLINE int router_watched(router_t *router, const span_t *span, ring_t *ring, int64_t received_ns)
{
    int verdict;
    if (ring->watch->channel != NULL) {
        return router_deliver_to_all(router, span, ring->watch->channel, received_ns);
    }
    verdict = watch_store(ring, span, received_ns);
    if (verdict == 0) {
        router->routed++;
        router_list(router, watch_heard(ring));
    }
    return verdict;
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

/* Whether some ring behind a slot of the table has no room for the message. */
static inline int router_refuses(const span_t *span, ring_t *ring)
{
    if (ring == NULL) {
        return 0;
    }
    if (ring->watch != NULL && ring->watch->channel != NULL) {
        const watch_channel_t *channel = ring->watch->channel;
        return !watch_skips(channel->rules, span) && watch_channel_refuses(channel, span);
    }
    return watch_refuses(ring, span->length);
}

/* One ring of router_note_everywhere(). `step` is NULL before the first, so that a group of channels is told once. */
static inline void router_note(router_t *router, ring_t *ring, const sequence_step *step, int64_t received_ns)
{
    ring_t *heard = watch_heard(ring);
    losses_t *losses = ring_losses(heard);
    if (losses == NULL) {
        return;
    }
    if (step == NULL) {
        losses->told = 0;
    } else if (!losses->told) {
        losses->told = 1;
        watch_note(heard, ring_tail(heard), step, router->sequence->last_ns, received_ns);
        router_list(router, heard);
    }
}

/* A break in the router's own sequence is one of every channel. */
static inline void router_note_everywhere(router_t *router, const sequence_step *step, int64_t received_ns)
{
    size_t at;
    for (at = 0; at <= router->mask; at++) {
        ring_t *ring = router->slots[at].ring;
        if (ring != NULL && ring->watch != NULL && ring->watch->channel != NULL) {
            const watch_channel_t *channel = ring->watch->channel;
            size_t i;
            for (i = 0; i < channel->count; i++) {
                router_note(router, channel->rings[i], step, received_ns);
            }
        } else if (ring != NULL) {
            router_note(router, ring, step, received_ns);
        }
    }
}

/* router_deliver(), where a sequence runs through all messages. */
static inline int router_deliver_in_order(router_t *router, const span_t *span, ring_t *ring, int64_t received_ns)
{
    sequence_step step;
    if (sequence_look(router->sequence, span, &step)) {
        if (router_refuses(span, ring)) {
            return 1;
        }
        if (step.broken) {
            router_note_everywhere(router, NULL, received_ns);
            router_note_everywhere(router, &step, received_ns);
        }
        sequence_go_on(router->sequence, &step, received_ns);
    }
    return router_deliver(router, span, ring, received_ns);
}

/* As router_accept(). */
static inline ptrdiff_t router_accept_in_order(sink_t *sink, const span_t *spans, size_t count, int64_t received_ns)
{
    router_t *router = (router_t *)(void *)sink; /* its first member */
    router_name names[ROUTER_RUN];
    ring_t *rings[ROUTER_RUN];
    size_t done;
    for (done = 0; done < count; done++) {
        const size_t at = done % ROUTER_RUN;
        int verdict;
        if (at == 0) {
            const size_t run = count - done < ROUTER_RUN ? count - done : ROUTER_RUN;
            router_read_names(router, spans + done, run, names, rings);
            router_find_rings(router, run, names, rings);
        }
        verdict = router_deliver_in_order(router, &spans[done], rings[at], received_ns);
        if (verdict != 0) {
            return verdict < 0 && done == 0 ? -1 : (ptrdiff_t)done;
        }
    }
    return (ptrdiff_t)count;
}

#endif
