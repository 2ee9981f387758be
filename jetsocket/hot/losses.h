/* What a ring notes of the messages that are lost to it, besides counting them: once somebody has asked for that. */
#ifndef JETSOCKET_LOSSES_H
#define JETSOCKET_LOSSES_H

#include "breaks.h"

/* Of the messages that never stood at the head, those aside: how many a stream has seen; where the first of those that it
 * has not seen would have stood, when that one was received and when the last was. */
typedef struct {
    int looked; /* whether anybody has; what was aside before is only counted */
    int told;   /* of the break that router_note_everywhere() is at */
    uint64_t seen;
    uint64_t at;
    int64_t since_ns;
    int64_t until_ns;
    breaks_t breaks;
} losses_t;

/* One more is aside, besides `aside` others: it would have been the one of index `at`. */
static inline void losses_aside(losses_t *losses, uint64_t aside, uint64_t at, int64_t received_ns)
{
    if (!losses->looked) {
        return;
    }
    if (aside == losses->seen) {
        losses->at = at;
        losses->since_ns = received_ns;
    }
    losses->until_ns = received_ns;
}

static inline void losses_free(losses_t *losses)
{
    if (losses != NULL) {
        breaks_forget(&losses->breaks);
        free(losses);
    }
}

#endif
