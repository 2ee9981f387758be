/* Bytes in the order in which they came: chunks of memory, of which one after another is filled and read, so that what
 * is queued is written and read in one place, memory follows it within a half, in a large queue much closer, nothing is
 * ever moved, and a burst gives its memory back as it is read.  The last chunk read is kept for the next one needed: a
 * queue at its capacity goes round without the allocator.  An arena that holds nothing has no chunk, or a single one that
 * it fills from the start again, which keeps a fast consumer's queue in the cache.
 *
 * Where what was written begins and ends, and whether there is any, its owner knows. */
#ifndef JETSOCKET_ARENA_H
#define JETSOCKET_ARENA_H

#include <stddef.h>
#include <stdlib.h>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#define ARENA_MAPS 1
#endif

enum {
    /* Of an empty one, and of any other: most channels of many are quiet. */
    ARENA_FIRST_CHUNK = 256,
    ARENA_SMALLEST_CHUNK = 1024,
    /* With what stands before its data, 64 KiB: such chunks are pages of their own, which go back to the system when
     * they are read.  Of smaller ones the allocator keeps what lies between others in use. */
    ARENA_LARGEST_CHUNK = 65536 - 24,
    /* So much was queued only in a burst. */
    ARENA_BURST = 4 * 65536,
    /* A chunk found too large this many times in a row is given back. */
    ARENA_CALM = 64
};

typedef struct arena_chunk arena_chunk;

struct arena_chunk {
    arena_chunk *next;
    size_t size;
    char *used; /* where what is in it ends, once the next chunk is being filled */
};

/* What is needed of it for every message comes first. */
typedef struct {
    char *write; /* where the next bytes go, `room` of them before the chunk ends */
    size_t room;
    char *oldest; /* what comes next when it is read */
    char *stop;   /* where its chunk ends; NULL while that is the one being filled */
    arena_chunk *head;
    arena_chunk *tail;
    arena_chunk *spare;
    size_t allocated; /* also of what its owner counts in */
    size_t passed;    /* bytes of the chunks that were read since it was empty */
    unsigned calm;
} arena_t;

static inline char *arena_chunk_data(arena_chunk *chunk)
{
    return (char *)(chunk + 1);
}

static inline arena_chunk *arena_allocate(size_t size)
{
    arena_chunk *chunk;
#if defined(ARENA_MAPS)
    if (size == ARENA_LARGEST_CHUNK) {
        void *pages = mmap(NULL, sizeof(arena_chunk) + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        chunk = pages == MAP_FAILED ? NULL : (arena_chunk *)pages;
    } else
#endif
    {
        chunk = (arena_chunk *)malloc(sizeof(arena_chunk) + size);
    }
    if (chunk != NULL) {
        chunk->size = size;
    }
    return chunk;
}

static inline void arena_free(arena_chunk *chunk)
{
#if defined(ARENA_MAPS)
    if (chunk->size == ARENA_LARGEST_CHUNK) {
        munmap(chunk, sizeof(arena_chunk) + chunk->size);
        return;
    }
#endif
    free(chunk);
}

static inline void arena_release(arena_t *arena, arena_chunk *chunk)
{
    arena->allocated -= chunk->size;
    arena_free(chunk);
}

static inline void arena_release_all(arena_t *arena)
{
    arena->head = arena->tail = NULL;
    arena->write = arena->oldest = arena->stop = NULL;
    arena->room = 0;
}

/* A chunk with room for `needed` bytes at the end; -1 when there is no memory.  `empty`: nothing is left to be read. */
static inline int arena_extend(arena_t *arena, size_t needed, int empty)
{
    arena_chunk *chunk = arena->spare;
    size_t least;
    size_t size;
    if (empty && arena->tail != NULL) {
        /* The one chunk there is is too small: it is replaced, rather than read on from it. */
        arena_release(arena, arena->tail);
        arena_release_all(arena);
    }
    /* Half of what is there: it wastes no more than that, a large one much less, and takes few steps to grow. */
    size = arena->allocated / 2;
    least = arena->tail == NULL ? ARENA_FIRST_CHUNK : ARENA_SMALLEST_CHUNK;
    size = size > ARENA_LARGEST_CHUNK ? ARENA_LARGEST_CHUNK : size < least ? least : size;
    size = size < needed ? needed : size;
    if (chunk != NULL) {
        arena->spare = NULL;
        if (chunk->size < needed || chunk->size * 2 < size || chunk->size / 2 > size + ARENA_LARGEST_CHUNK) {
            arena_release(arena, chunk);
            chunk = NULL;
        }
    }
    if (chunk == NULL) {
        chunk = arena_allocate(size);
        if (chunk == NULL) {
            return -1;
        }
        arena->allocated += size;
    }
    chunk->next = NULL;
    chunk->used = NULL;
    if (arena->tail == NULL) {
        arena->head = chunk;
        arena->oldest = arena_chunk_data(chunk);
    } else {
        arena->tail->next = chunk;
        arena->tail->used = arena->write;
        if (arena->head == arena->tail) {
            arena->stop = arena->write;
        }
    }
    arena->tail = chunk;
    arena->write = arena_chunk_data(chunk);
    arena->room = chunk->size;
    return 0;
}

/* Keep a chunk that was read for the next one needed; the larger of two.  One of an odd size, for a large message, too:
 * while more is queued another such message is likely, and memory of that size is dear to get. */
static inline void arena_recycle(arena_t *arena, arena_chunk *chunk)
{
    arena_chunk *other = arena->spare;
    if (other != NULL && other->size >= chunk->size) {
        arena_release(arena, chunk);
        return;
    }
    arena->spare = chunk;
    if (other != NULL) {
        arena_release(arena, other);
    }
}

/* All was read: start from the front of the last chunk, and give back what was more than was needed. */
static inline void arena_emptied(arena_t *arena)
{
    arena_chunk *chunk = arena->tail;
    const size_t passed = arena->passed;
    /* After a burst not even the last chunk, if it is as large as they get. */
    int keep = chunk->size < ARENA_LARGEST_CHUNK || (chunk->size == ARENA_LARGEST_CHUNK && passed < ARENA_BURST);
    arena->passed = 0;
    if (arena->spare != NULL && (arena->spare->size > ARENA_LARGEST_CHUNK || passed >= ARENA_BURST)) {
        arena_release(arena, arena->spare);
        arena->spare = NULL;
    }
    if (keep) {
        const size_t used = (size_t)(arena->write - arena_chunk_data(chunk));
        arena->calm = used * 4 <= chunk->size ? arena->calm + 1 : 0;
        if (arena->calm > ARENA_CALM) {
            arena->calm = 0;
            if (arena->spare != NULL) {
                arena_release(arena, arena->spare);
                arena->spare = NULL;
            }
            keep = chunk->size <= ARENA_SMALLEST_CHUNK;
        }
    }
    if (keep) {
        arena->write = arena->oldest = arena_chunk_data(chunk);
        arena->room = chunk->size;
    } else {
        arena_release(arena, chunk);
        arena_release_all(arena);
    }
}

/* To the chunk behind the oldest one, which was read. */
static inline void arena_next_chunk(arena_t *arena)
{
    arena_chunk *chunk = arena->head;
    arena->passed += (size_t)(chunk->used - arena_chunk_data(chunk));
    arena->head = chunk->next;
    arena->oldest = arena_chunk_data(arena->head);
    arena->stop = arena->head->used;
    arena_recycle(arena, chunk);
}

/* Give all memory back; what the owner has counted in is no longer. */
static inline void arena_clear(arena_t *arena)
{
    arena_chunk *chunk = arena->head;
    while (chunk != NULL) {
        arena_chunk *next = chunk->next;
        arena_free(chunk);
        chunk = next;
    }
    if (arena->spare != NULL) {
        arena_free(arena->spare);
        arena->spare = NULL;
    }
    arena_release_all(arena);
    arena->allocated = arena->passed = 0;
}

#endif
