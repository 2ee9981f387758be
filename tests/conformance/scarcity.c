/* The allocator of glibc, but it fails on command: see scarcity.py. */
#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void __libc_free(void *memory);

/* How many allocations succeed before those that fail, -1: all; how many fail; how many did; how many are not freed. */
long scarcity_left = -1;
long scarcity_length = 1;
long scarcity_met;
long scarcity_live;

static int scarcity_fails(void)
{
    if (scarcity_left < 0) {
        return 0;
    }
    if (scarcity_left > 0) {
        scarcity_left--;
        return 0;
    }
    scarcity_met++;
    if (scarcity_met >= scarcity_length) {
        scarcity_left = -1;
    }
    errno = ENOMEM;
    return 1;
}

static void *scarcity_counted(void *memory)
{
    scarcity_live += memory != NULL;
    return memory;
}

void *malloc(size_t size)
{
    return scarcity_fails() ? NULL : scarcity_counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return scarcity_fails() ? NULL : scarcity_counted(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size)
{
    if (scarcity_fails()) {
        return NULL;
    }
    return memory == NULL ? scarcity_counted(__libc_malloc(size)) : __libc_realloc(memory, size);
}

void free(void *memory)
{
    scarcity_live -= memory != NULL;
    __libc_free(memory);
}
