/* Numbers that follow one another from message to message: see Sequence in watch_py.py. */
#ifndef JETSOCKET_SEQUENCE_H
#define JETSOCKET_SEQUENCE_H

#include "keys.h"
#include "sink.h"

/* So many digits a number has at most. */
enum { SEQUENCE_DIGITS = 19 };

typedef enum { SEQUENCE_NEXT, SEQUENCE_PREVIOUS, SEQUENCE_RANGE } sequence_rule;

typedef struct {
    key_plan_t *path;
    key_plan_t *other; /* NULL: SEQUENCE_NEXT has none */
    sequence_rule rule;
    int known; /* whether there was any number yet */
    int64_t last;
    int64_t last_ns;
    int strayed; /* whether the last message was repeated; then `behind` is its number */
    int64_t behind;
    uint64_t breaks;
    uint64_t repeated;
} sequence_t;

/* What a message's numbers say. */
typedef struct {
    int64_t number;
    int repeated;
    int broken;
    int64_t expected; /* of a break, as is the rest */
    int64_t got;
    int64_t missing; /* -1: unknown */
} sequence_step;

/* The whole number at a path; 0 where there is none. */
static inline int sequence_number(key_plan_t *path, const span_t *span, int64_t *number)
{
    const char *text = NULL;
    ptrdiff_t length = key_locate(path, span->data, span->length, &text);
    uint64_t value = 0;
    int negative;
    ptrdiff_t i;
    if (length <= 0) {
        return 0;
    }
    negative = text[0] == '-';
    text += negative;
    length -= negative;
    if (length == 0 || length > SEQUENCE_DIGITS) {
        return 0;
    }
    /* 19 digits stay below 2**64. */
    for (i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (value > INT64_MAX) {
        return 0;
    }
    *number = negative ? -(int64_t)value : (int64_t)value;
    return 1;
}

/* Whether a message that is not above the last one follows the one before it, which was not either: `named` is what it
 * goes by. */
static inline int sequence_follows(const sequence_t *sequence, int64_t number, int64_t named)
{
    if (!sequence->strayed || number <= sequence->behind) {
        return 0;
    }
    /* There is a number above the one behind. */
    return sequence->rule == SEQUENCE_PREVIOUS ? named == sequence->behind : named <= sequence->behind + 1;
}

static inline void sequence_break(sequence_step *step, int64_t expected, int64_t got, int64_t missing)
{
    step->broken = 1;
    step->expected = expected;
    step->got = got;
    step->missing = missing;
}

/* Look at a message's numbers; 0 where it has none. */
static inline int sequence_look(const sequence_t *sequence, const span_t *span, sequence_step *step)
{
    const int previous = sequence->rule == SEQUENCE_PREVIOUS;
    const int64_t last = sequence->last;
    int64_t named;
    memset(step, 0, sizeof *step);
    if (!sequence_number(sequence->path, span, &step->number)) {
        return 0;
    }
    if (!sequence->known) {
        return 1;
    }
    named = step->number;
    if (sequence->rule != SEQUENCE_NEXT && !sequence_number(sequence->other, span, &named)) {
        return 1;
    }
    if (previous && (named < 0 || named == last)) {
        return 1;
    }
    if (step->number <= last) {
        step->repeated = !sequence_follows(sequence, step->number, named);
        if (!step->repeated) {
            /* The largest number is not followed by one that could be expected. */
            sequence_break(step, previous || last == INT64_MAX ? last : last + 1, named, -1);
        }
    } else if (previous) {
        sequence_break(step, last, named, -1);
    } else if (named > last + 1) { /* there is a number above the last one */
        const uint64_t missing = (uint64_t)named - (uint64_t)(last + 1);
        sequence_break(step, last + 1, named, missing > INT64_MAX ? INT64_MAX : (int64_t)missing);
    }
    return 1;
}

/* The message was taken. */
static inline void sequence_go_on(sequence_t *sequence, const sequence_step *step, int64_t received_ns)
{
    sequence->strayed = step->repeated;
    if (step->repeated) {
        sequence->repeated++;
        sequence->behind = step->number;
        return;
    }
    sequence->breaks += (uint64_t)step->broken;
    sequence->known = 1;
    sequence->last = step->number;
    sequence->last_ns = received_ns;
}

#endif
