/* A hint that memory will soon be written; a wrong address does no harm. */
#ifndef JETSOCKET_PREFETCH_H
#define JETSOCKET_PREFETCH_H

#if defined(__GNUC__) || defined(__clang__)
#define prefetch_write(address) __builtin_prefetch((address), 1)
#else
#define prefetch_write(address) ((void)(address))
#endif

#endif
