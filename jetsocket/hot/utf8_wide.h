/* UTF-8 validation of 64 bytes at a time, for text that is not ASCII.
 *
 * Of any two bytes that follow one another, the high half of the first, its low half, and the high half of the second
 * each allow some faults; there is one where all three allow the same.  Three lookups in tables of sixteen, one bit a
 * fault, find that for 32 pairs at once.  What two bytes cannot tell is whether a third and a fourth continue as their
 * lead says: there a pair of continuations is right, and nowhere else.  (J. Keiser, D. Lemire: Validating UTF-8 in less
 * than one instruction per byte, 2021.)
 */
#ifndef JETSOCKET_UTF8_WIDE_H
#define JETSOCKET_UTF8_WIDE_H

#include <stddef.h>
#include <stdint.h>

#include "scan.h"

/* How many of the n bytes at p, which begin at a character boundary, are valid and end at one: up to the last such
 * place that is quickly found.  What stands there, a fault or the rest of the text, is for others to see. */
typedef size_t (*utf8_wide_function)(const uint8_t *p, size_t n);

static inline size_t utf8_wide_nothing(const uint8_t *p, size_t n)
{
    (void)p;
    (void)n;
    return 0;
}

/* The boundary at or before p + n, behind at most three bytes of a character that goes on. */
static inline size_t utf8_last_boundary(const uint8_t *p, size_t n)
{
    size_t back;
    for (back = 1; back <= 3 && back <= n; back++) {
        const uint8_t byte = p[n - back];
        if (byte >= 0xC0) {
            const size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
            return length > back ? n - back : n;
        }
    }
    return n;
}

#if defined(SCAN_AVX2)
enum {
    UTF8_ENDS_EARLY = 1,          /* a lead, then no continuation */
    UTF8_LED_BY_NONE = 1 << 1,    /* ASCII, then a continuation */
    UTF8_OVERLONG_3 = 1 << 2,     /* E0, then less than A0 */
    UTF8_ABOVE_LAST = 1 << 3,     /* F4, then 90 or more; F5 and above, then the same */
    UTF8_SURROGATE = 1 << 4,      /* ED, then A0 or more */
    UTF8_OVERLONG_2 = 1 << 5,     /* C0 or C1 */
    UTF8_OVERLONG_4 = 1 << 6,     /* F0, then less than 90; F5 and above, then the same */
    UTF8_CONTINUATIONS = 1 << 7,  /* two: a fault but where a lead asks for them */
    UTF8_IN_ANY_LOW_HALF = UTF8_ENDS_EARLY | UTF8_LED_BY_NONE | UTF8_CONTINUATIONS,
    UTF8_IN_F5_AND_ABOVE = UTF8_IN_ANY_LOW_HALF | UTF8_ABOVE_LAST | UTF8_OVERLONG_4,
    UTF8_IN_ANY_CONTINUATION = UTF8_LED_BY_NONE | UTF8_OVERLONG_2 | UTF8_CONTINUATIONS
};

SCAN_TARGET_AVX2 SCAN_INLINE __m256i utf8_table(char a, char b, char c, char d, char e, char f, char g, char h, char i,
                                                char j, char k, char l, char m, char n, char o, char p)
{
    return _mm256_broadcastsi128_si256(_mm_setr_epi8(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p));
}

/* Not zero where a byte of `block` makes the text invalid; `before`: the 32 bytes that precede it. */
SCAN_TARGET_AVX2 SCAN_INLINE __m256i utf8_faults(__m256i block, __m256i before)
{
    const __m256i first_high = utf8_table(
        UTF8_LED_BY_NONE, UTF8_LED_BY_NONE, UTF8_LED_BY_NONE, UTF8_LED_BY_NONE, UTF8_LED_BY_NONE, UTF8_LED_BY_NONE,
        UTF8_LED_BY_NONE, UTF8_LED_BY_NONE, (char)UTF8_CONTINUATIONS, (char)UTF8_CONTINUATIONS,
        (char)UTF8_CONTINUATIONS, (char)UTF8_CONTINUATIONS, UTF8_ENDS_EARLY | UTF8_OVERLONG_2, UTF8_ENDS_EARLY,
        UTF8_ENDS_EARLY | UTF8_OVERLONG_3 | UTF8_SURROGATE, UTF8_ENDS_EARLY | UTF8_ABOVE_LAST | UTF8_OVERLONG_4);
    const __m256i first_low = utf8_table(
        (char)(UTF8_IN_ANY_LOW_HALF | UTF8_OVERLONG_2 | UTF8_OVERLONG_3 | UTF8_OVERLONG_4),
        (char)(UTF8_IN_ANY_LOW_HALF | UTF8_OVERLONG_2), (char)UTF8_IN_ANY_LOW_HALF, (char)UTF8_IN_ANY_LOW_HALF,
        (char)(UTF8_IN_ANY_LOW_HALF | UTF8_ABOVE_LAST), (char)UTF8_IN_F5_AND_ABOVE, (char)UTF8_IN_F5_AND_ABOVE,
        (char)UTF8_IN_F5_AND_ABOVE, (char)UTF8_IN_F5_AND_ABOVE, (char)UTF8_IN_F5_AND_ABOVE, (char)UTF8_IN_F5_AND_ABOVE,
        (char)UTF8_IN_F5_AND_ABOVE, (char)UTF8_IN_F5_AND_ABOVE, (char)(UTF8_IN_F5_AND_ABOVE | UTF8_SURROGATE),
        (char)UTF8_IN_F5_AND_ABOVE, (char)UTF8_IN_F5_AND_ABOVE);
    const __m256i second_high = utf8_table(
        UTF8_ENDS_EARLY, UTF8_ENDS_EARLY, UTF8_ENDS_EARLY, UTF8_ENDS_EARLY, UTF8_ENDS_EARLY, UTF8_ENDS_EARLY,
        UTF8_ENDS_EARLY, UTF8_ENDS_EARLY, (char)(UTF8_IN_ANY_CONTINUATION | UTF8_OVERLONG_3 | UTF8_OVERLONG_4),
        (char)(UTF8_IN_ANY_CONTINUATION | UTF8_OVERLONG_3 | UTF8_ABOVE_LAST),
        (char)(UTF8_IN_ANY_CONTINUATION | UTF8_SURROGATE | UTF8_ABOVE_LAST),
        (char)(UTF8_IN_ANY_CONTINUATION | UTF8_SURROGATE | UTF8_ABOVE_LAST), UTF8_ENDS_EARLY, UTF8_ENDS_EARLY,
        UTF8_ENDS_EARLY, UTF8_ENDS_EARLY);
    const __m256i half = _mm256_set1_epi8(0x0F);
    /* Each byte's first, second and third neighbour to the left. */
    const __m256i across = _mm256_permute2x128_si256(before, block, 0x21);
    const __m256i one_back = _mm256_alignr_epi8(block, across, 15);
    const __m256i two_back = _mm256_alignr_epi8(block, across, 14);
    const __m256i three_back = _mm256_alignr_epi8(block, across, 13);
    const __m256i pairs = _mm256_and_si256(
        _mm256_and_si256(
            _mm256_shuffle_epi8(first_high, _mm256_and_si256(_mm256_srli_epi16(one_back, 4), half)),
            _mm256_shuffle_epi8(first_low, _mm256_and_si256(one_back, half))),
        _mm256_shuffle_epi8(second_high, _mm256_and_si256(_mm256_srli_epi16(block, 4), half)));
    /* The highest bit is set two behind E0 and above, and three behind F0 and above. */
    const __m256i third = _mm256_subs_epu8(two_back, _mm256_set1_epi8(0xE0 - 0x80));
    const __m256i fourth = _mm256_subs_epu8(three_back, _mm256_set1_epi8(0xF0 - 0x80));
    const __m256i continued = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(pairs, continued);
}

SCAN_TARGET_AVX2 static inline size_t utf8_wide_avx2(const uint8_t *p, size_t n)
{
    /* ASCII, as far as what follows is concerned. */
    __m256i before = _mm256_setzero_si256();
    size_t i = 0;
    for (; n - i >= 64; i += 64) {
        const __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        const __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(p + i + 32));
        const __m256i faults = _mm256_or_si256(utf8_faults(low, before), utf8_faults(high, low));
        if (!_mm256_testz_si256(faults, faults)) {
            break;
        }
        before = high;
    }
    return utf8_last_boundary(p, i);
}
#endif

static inline utf8_wide_function utf8_wide_for_this_machine(void)
{
#if defined(SCAN_AVX2)
    if (scan_has_avx2()) {
        return utf8_wide_avx2;
    }
#endif
    return utf8_wide_nothing;
}

#endif
