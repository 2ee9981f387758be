/* A fast hash of short keys: two overlapping words cover up to 16 bytes, longer keys go 16 at a time, and a product of
 * 64 by 64 bits folded to 64 mixes them.  The table compares whole keys, so a collision costs time, never correctness.
 * The seed is random, one for each process: channels are often named by the server, in its list of instruments, and
 * names that all collide under known constants are quickly found. */
#ifndef JETSOCKET_HASH_H
#define JETSOCKET_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_MSC_VER) && defined(_M_X64)
#include <intrin.h>
#endif

/* Up to so many bytes a key's words and its length say all of it. */
#define HASH_WHOLE 16

/* The first and the last eight bytes of a key, which overlap in a short one; of a long one, the last sixteen. */
typedef struct {
    uint64_t first;
    uint64_t last;
} hash_words;

static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#elif defined(_MSC_VER) && defined(_M_X64)
    uint64_t high;
    uint64_t low = _umul128(a, b, &high);
    return low ^ high;
#else
    uint64_t cross = (a >> 32) * (uint32_t)b + (a & 0xFFFFFFFFu) * (b >> 32);
    return (a * b) ^ (cross >> 29) ^ ((a >> 32) * (b >> 32));
#endif
}

static inline uint64_t hash_word(const char *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

static inline uint64_t hash_half(const char *p)
{
    uint32_t half;
    memcpy(&half, p, 4);
    return half;
}

static inline hash_words hash_words_of(const char *key, size_t length)
{
    hash_words words = {0, 0};
    if (length > HASH_WHOLE) {
        words.first = hash_word(key + length - 16);
        words.last = hash_word(key + length - 8);
    } else if (length >= 8) {
        words.first = hash_word(key);
        words.last = hash_word(key + length - 8);
    } else if (length >= 4) {
        words.first = hash_half(key);
        words.last = hash_half(key + length - 4);
    } else if (length > 0) {
        words.first = (uint64_t)(uint8_t)key[0] << 16 | (uint64_t)(uint8_t)key[length / 2] << 8 |
                      (uint8_t)key[length - 1];
    }
    return words;
}

static inline uint64_t hash_key(const char *key, size_t length, hash_words words, const uint64_t seed[2])
{
    uint64_t state = seed[0] ^ (uint64_t)length;
    for (; length > HASH_WHOLE; length -= 16) {
        state = hash_fold(hash_word(key) ^ seed[1], hash_word(key + 8) ^ state);
        key += 16;
    }
    return hash_fold(words.first ^ seed[1], words.last ^ state);
}

#endif
