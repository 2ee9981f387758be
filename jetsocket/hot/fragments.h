/* What came so far of a message that is sent in fragments. */
#ifndef JETSOCKET_FRAGMENTS_H
#define JETSOCKET_FRAGMENTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRAGMENTS_LEAST = 4096,
    /* More is given back when the message is complete. */
    FRAGMENTS_MOST_IDLE = 64 * 1024
};

typedef struct {
    uint8_t *data;
    size_t length;
    size_t size;
} fragments_t;

static inline void fragments_free(fragments_t *fragments)
{
    free(fragments->data);
    fragments->data = NULL;
    fragments->length = fragments->size = 0;
}

/* Add `length` bytes; all together must be fewer than SIZE_MAX.  -1: there is no memory, and nothing was changed. */
static inline int fragments_append(fragments_t *fragments, const uint8_t *data, size_t length)
{
    /* Even of nothing something is made: memcpy must not be given NULL. */
    if (fragments->data == NULL || length > fragments->size - fragments->length) {
        const size_t needed = fragments->length + length;
        size_t size = fragments->size * 2;
        uint8_t *grown;
        size = size < needed ? needed : size;
        size = size < FRAGMENTS_LEAST ? FRAGMENTS_LEAST : size;
        grown = (uint8_t *)realloc(fragments->data, size);
        if (grown == NULL) {
            return -1;
        }
        fragments->data = grown;
        fragments->size = size;
    }
    if (length != 0) {
        memcpy(fragments->data + fragments->length, data, length);
        fragments->length += length;
    }
    return 0;
}

/* The message is complete, and has been handed on. */
static inline void fragments_reset(fragments_t *fragments)
{
    fragments->length = 0;
    if (fragments->size > FRAGMENTS_MOST_IDLE) {
        fragments_free(fragments);
    }
}

#endif
