/* Incremental UTF-8 validation (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
 *
 * Text arrives in pieces that end anywhere, so what the next byte must be is carried from call to call in one
 * word: the number of bytes still missing (bits 0-7) and the range allowed for the next one (bits 8-15 the lowest,
 * bits 16-23 the highest).  Zero means "at a character boundary"; whoever ends a message must see zero there.
 * A fault is reported at the first byte that no valid text could have in that place (RFC 6455 section 8.1 lets a
 * peer fail fast; a message limit must not delay it).
 */
#ifndef JETSOCKET_UTF8_H
#define JETSOCKET_UTF8_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "scan.h"
#include "utf8_wide.h"

/* How many of the n bytes at p, from the first, are ASCII. */
static inline size_t utf8_ascii_run(const uint8_t *p, size_t n)
{
    size_t i = 0;
#if defined(SCAN_SSE2)
    if (n >= 16) {
        for (; n - i >= 64; i += 64) {
            const __m128i *at = (const __m128i *)(const void *)(p + i);
            __m128i low = _mm_or_si128(_mm_loadu_si128(at), _mm_loadu_si128(at + 1));
            __m128i high = _mm_or_si128(_mm_loadu_si128(at + 2), _mm_loadu_si128(at + 3));
            if (_mm_movemask_epi8(_mm_or_si128(low, high)) != 0) {
                break;
            }
        }
        while (i < n) {
            /* The last sixteen overlap with what was found to be ASCII: no byte is looked at alone. */
            const size_t from = n - i >= 16 ? i : n - 16;
            const int wide = _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + from)));
            if (wide != 0) {
                return from + scan_lowest_bit((uint64_t)(unsigned)wide);
            }
            i = from + 16;
        }
        return n;
    }
#elif defined(SCAN_NEON)
    for (; n - i >= 64; i += 64) {
        uint8x16_t low = vorrq_u8(vld1q_u8(p + i), vld1q_u8(p + i + 16));
        uint8x16_t high = vorrq_u8(vld1q_u8(p + i + 32), vld1q_u8(p + i + 48));
        if (vmaxvq_u8(vorrq_u8(low, high)) >= 0x80) {
            break;
        }
    }
#endif
    for (; n - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
    }
    while (i < n && p[i] < 0x80) {
        i++;
    }
    return i;
}

/* Whether n bytes are all ASCII: nearly all that exchanges send is, and then nothing else has to be found out. */
typedef int (*utf8_ascii_function)(const uint8_t *p, size_t n);

static inline int utf8_is_ascii_baseline(const uint8_t *p, size_t n)
{
    return utf8_ascii_run(p, n) == n;
}

#if defined(SCAN_AVX2)
SCAN_TARGET_AVX2 static inline int utf8_is_ascii_avx2(const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;
    __m256i all;
    if (n < 32) {
        return utf8_is_ascii_baseline(p, n);
    }
    for (; end - p >= 256; p += 256) {
        int i;
        all = _mm256_loadu_si256((const __m256i *)(const void *)p);
        for (i = 32; i < 256; i += 32) {
            all = _mm256_or_si256(all, _mm256_loadu_si256((const __m256i *)(const void *)(p + i)));
        }
        if (_mm256_movemask_epi8(all) != 0) {
            return 0;
        }
    }
    /* The last thirty-two overlap with what was looked at. */
    all = _mm256_loadu_si256((const __m256i *)(const void *)(end - 32));
    for (; end - p > 32; p += 32) {
        all = _mm256_or_si256(all, _mm256_loadu_si256((const __m256i *)(const void *)p));
    }
    return _mm256_movemask_epi8(all) == 0;
}
#endif

static inline utf8_ascii_function utf8_is_ascii_for_this_machine(void)
{
#if defined(SCAN_AVX2)
    if (scan_has_avx2()) {
        return utf8_is_ascii_avx2;
    }
#endif
    return utf8_is_ascii_baseline;
}

/* The state after a lead byte >= 0x80; 0 for a byte that leads nothing. */
static inline uint32_t utf8_after_lead(uint8_t lead)
{
    uint32_t missing;
    uint32_t lowest = 0x80;
    uint32_t highest = 0xBF;
    if (lead < 0xC2) { /* a continuation byte, or the overlong C0 and C1 */
        return 0;
    }
    if (lead < 0xE0) {
        missing = 1;
    } else if (lead < 0xF0) {
        missing = 2;
        if (lead == 0xE0) {
            lowest = 0xA0;
        } else if (lead == 0xED) {
            highest = 0x9F;
        }
    } else if (lead < 0xF5) {
        missing = 3;
        if (lead == 0xF0) {
            lowest = 0x90;
        } else if (lead == 0xF4) {
            highest = 0x8F;
        }
    } else {
        return 0;
    }
    return missing | lowest << 8 | highest << 16;
}

/* Length (2 to 4) of the whole valid character that starts with a byte >= 0x80 at p, with at least four bytes
 * readable; 0: not valid. */
static inline size_t utf8_whole_character(const uint8_t *p)
{
    const uint8_t lead = p[0];
    const uint8_t second = p[1];
    if (lead < 0xE0) {
        return lead >= 0xC2 && (second & 0xC0) == 0x80 ? 2 : 0;
    }
    if (lead < 0xF0) {
        if (((second & 0xC0) | (p[2] & 0xC0) << 2) != (0x80 | 0x80 << 2)) {
            return 0;
        }
        return (lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ? 0 : 3;
    }
    if (lead > 0xF4 || (second & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80) {
        return 0;
    }
    return (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F) ? 0 : 4;
}

/* n if the n bytes at p continue valid text, else the index of the first offending byte (always < n).
 * *state: 0 before the first piece; carried to the next.  After a fault it is of no further use. */
SCAN_OUTLINE size_t utf8_validate(const uint8_t *p, size_t n, uint32_t *state, utf8_wide_function wide)
{
    uint32_t expected = *state;
    size_t i = 0;
    int widely = 1;
    for (;;) {
        while (expected != 0) {
            uint32_t missing = expected & 0xFF;
            if (i == n) {
                *state = expected;
                return n;
            }
            if (p[i] < ((expected >> 8) & 0xFF) || p[i] > expected >> 16) {
                *state = expected;
                return i;
            }
            i++;
            expected = missing > 1 ? (missing - 1) | UINT32_C(0x80) << 8 | UINT32_C(0xBF) << 16 : 0;
        }
        if (i < n && p[i] < 0x80) {
            i += utf8_ascii_run(p + i, n - i);
        }
        if (widely && i < n) {
            i += wide(p + i, n - i);
            widely = 0;
        }
        while (n - i >= 4 && p[i] >= 0x80) {
            size_t length = utf8_whole_character(p + i);
            if (length == 0) {
                break; /* the slow way finds which byte it is */
            }
            i += length;
        }
        if (i == n) {
            *state = 0;
            return n;
        }
        if (p[i] >= 0x80) {
            expected = utf8_after_lead(p[i]);
            if (expected == 0) {
                *state = 0;
                return i;
            }
            i++;
        }
    }
}

#endif
