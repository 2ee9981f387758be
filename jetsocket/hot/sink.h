/* Where whole messages go.  A decoder sees no more of a ring or a router than this. */
#ifndef JETSOCKET_SINK_H
#define JETSOCKET_SINK_H

#include <stddef.h>
#include <stdint.h>

/* A message as it lies in the memory of whoever hands it on: valid until accept() returns. */
typedef struct {
    const char *data;
    size_t length;
    int binary;
} span_t;

typedef struct sink_t sink_t;

/* accept() takes messages in their order, `count` of them, at least one, all received at the same time (nanoseconds
 * since the epoch).  The answer: how many it took; fewer than `count` where there was no room for the next one; -1 where
 * there was no memory for the very first.  Many at once, because what one message has to wait for (the memory of its
 * queue) can then be on its way while others are looked at. */
struct sink_t {
    ptrdiff_t (*accept)(sink_t *sink, const span_t *spans, size_t count, int64_t received_ns);
    void *owner;
};

#if defined(__GNUC__) || defined(__clang__)
#define HINT_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define HINT_RARE(condition) __builtin_expect(!!(condition), 0)
/* Memory that will soon be needed; a wrong address does no harm, hence the integers. */
#define HINT_READ(base, ahead) __builtin_prefetch((const void *)((uintptr_t)(base) + (ahead)), 0)
#define HINT_WRITE(base, ahead) __builtin_prefetch((const void *)((uintptr_t)(base) + (ahead)), 1)
/* Code that seldom runs does not stand in the way of what does. */
#define HINT_NEVER_INLINE __attribute__((noinline, unused))
#else
#define HINT_LIKELY(condition) (condition)
#define HINT_RARE(condition) (condition)
#define HINT_NEVER_INLINE
#define HINT_READ(base, ahead) ((void)(base))
#define HINT_WRITE(base, ahead) ((void)(base))
#endif

#endif
