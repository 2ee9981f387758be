/* What a ring remembers of breaks in the numbers of its messages: where some are missing. */
#ifndef JETSOCKET_BREAKS_H
#define JETSOCKET_BREAKS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    /* So many are noted one by one until somebody takes them. */
    BREAKS_MOST = 1024,
    BREAKS_FEWEST = 2
};

/* Messages are missing before the one of index `at`: see take_breaks() in ring_py.py. */
typedef struct {
    uint64_t at;
    int64_t expected;
    int64_t got;
    int64_t missing; /* -1: unknown */
    int64_t since_ns;
    int64_t until_ns;
} break_t;

typedef struct {
    break_t *notes;
    size_t count;
    size_t slots;
} breaks_t;

static inline void breaks_forget(breaks_t *breaks)
{
    free(breaks->notes);
    breaks->notes = NULL;
    breaks->count = breaks->slots = 0;
}

/* Room for one more; -1 when there is none. */
static inline int breaks_reserve(breaks_t *breaks)
{
    if (breaks->count == breaks->slots) {
        const size_t slots = breaks->slots == 0 ? BREAKS_FEWEST : breaks->slots * 2;
        break_t *notes = NULL;
        if (slots <= BREAKS_MOST) {
            notes = (break_t *)realloc(breaks->notes, slots * sizeof(break_t));
        }
        if (notes == NULL) {
            return -1;
        }
        breaks->notes = notes;
        breaks->slots = slots;
    }
    return 0;
}

/* All that are noted, for breaks_forget(); none are any more. */
static inline breaks_t breaks_take(breaks_t *breaks)
{
    breaks_t taken = {NULL, 0, 0};
    if (breaks->count != 0) {
        const breaks_t none = taken;
        taken = *breaks;
        *breaks = none;
        /* So that the next one needs no memory; where there is none now, there may be then. */
        (void)breaks_reserve(breaks);
    }
    return taken;
}

/* Those that were taken can be taken later, unless others have been noted since. */
static inline void breaks_put_back(breaks_t *breaks, breaks_t *taken)
{
    if (breaks->count == 0) {
        const breaks_t noted = *breaks;
        *breaks = *taken;
        *taken = noted;
    }
}

/* Without room for it, the last one stands for both. */
static inline void breaks_note(breaks_t *breaks, const break_t *found)
{
    break_t *last;
    if (breaks_reserve(breaks) == 0) {
        breaks->notes[breaks->count++] = *found;
        return;
    }
    if (breaks->count == 0) {
        return;
    }
    last = &breaks->notes[breaks->count - 1];
    last->got = found->got;
    last->until_ns = found->until_ns;
    if (last->missing < 0 || found->missing < 0) {
        last->missing = -1;
    } else {
        last->missing = found->missing > INT64_MAX - last->missing ? INT64_MAX : last->missing + found->missing;
    }
}

#endif
