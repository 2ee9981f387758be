/* A hint that memory will soon be written; a wrong address does no harm. */
#ifndef JETSOCKET_PREFETCH_H
#define JETSOCKET_PREFETCH_H

#include <stddef.h>
#include <stdint.h>

/* `ahead` bytes behind `base`, which may be far outside of what it points into: hence the integers. */
static inline void prefetch_write(const void *base, size_t ahead)
{
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch((const void *)((uintptr_t)base + ahead), 1);
#else
    (void)base;
    (void)ahead;
#endif
}

#endif
