/* Scanning JSON text with vector instructions: to the end of a plain run of a string.  scan_skip.h goes on from here,
 * to the end of a nested value.
 *
 * SSE2 and NEON are the baselines of their machines; AVX2 is chosen at run time (GCC and Clang, but with
 * -DJETSOCKET_BASELINE); anything else, and -DJETSOCKET_SCALAR, takes the portable path.  Nothing is read outside
 * [begin, end): where a whole vector does not fit before the end, the last whole vector of the message is read instead
 * and shifted, or else a padded copy.
 */
#ifndef JETSOCKET_SCAN_H
#define JETSOCKET_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#define SCAN_INLINE static inline __attribute__((always_inline))
#define SCAN_OUTLINE static __attribute__((noinline, unused))
#elif defined(_MSC_VER)
#include <intrin.h>
#define SCAN_INLINE static __forceinline
#define SCAN_OUTLINE static __declspec(noinline)
#else
#define SCAN_INLINE static inline
#define SCAN_OUTLINE static inline
#endif

#if defined(JETSOCKET_SCALAR)
#define SCAN_BASELINE "scalar"
#elif defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define SCAN_SSE2 1
#define SCAN_BASELINE "sse2"
#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__) && !defined(JETSOCKET_BASELINE)
#include <immintrin.h>
#define SCAN_AVX2 1
#define SCAN_TARGET_AVX2 __attribute__((target("avx2,pclmul,popcnt,bmi")))
#endif
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#define SCAN_NEON 1
#define SCAN_BASELINE "neon"
#else
#define SCAN_BASELINE "scalar"
#endif

SCAN_INLINE unsigned scan_lowest_bit(uint64_t bits)
{
#if defined(__GNUC__) || defined(__clang__)
    return (unsigned)__builtin_ctzll(bits);
#elif defined(_MSC_VER) && (defined(_M_X64) || defined(_M_ARM64))
    unsigned long index;
    _BitScanForward64(&index, bits);
    return (unsigned)index;
#else
    unsigned index = 0;
    while ((bits & 1) == 0) {
        bits >>= 1;
        index++;
    }
    return index;
#endif
}

#if defined(SCAN_AVX2)
static inline int scan_has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("popcnt") &&
           __builtin_cpu_supports("bmi");
}
#else
static inline int scan_has_avx2(void)
{
    return 0;
}
#endif

/* "avx2", "sse2", "neon" or "scalar": what runs on this machine. */
static inline const char *scan_simd_level(void)
{
    return scan_has_avx2() ? "avx2" : SCAN_BASELINE;
}

/* The first byte of [p, end) that ends a run of plain string content: a quotation mark, a backslash or a control
 * character; end if there is none.  *high becomes nonzero if a byte before it is not ASCII. */
static inline const uint8_t *scan_string(const uint8_t *begin, const uint8_t *p, const uint8_t *end, unsigned *high)
{
#if defined(SCAN_SSE2)
    while (p < end) {
        const uint8_t *at = p;
        unsigned shift = 0;
        unsigned stops;
        unsigned wide;
        __m128i v;
        if (end - p < 16) {
            if (end - begin < 16) {
                break;
            }
            at = end - 16;
            shift = (unsigned)(p - at);
        }
        v = _mm_loadu_si128((const __m128i *)(const void *)at);
        wide = (unsigned)_mm_movemask_epi8(v) >> shift;
        stops = (unsigned)_mm_movemask_epi8(_mm_or_si128(
                    _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))),
                    _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1F)), v))) >>
                shift;
        if (stops != 0) {
            *high |= wide & ((stops & (~stops + 1)) - 1);
            return p + scan_lowest_bit(stops);
        }
        *high |= wide;
        p = at + 16;
    }
#else
    (void)begin;
#endif
    for (; p < end && *p != '"' && *p != '\\' && *p >= 0x20; p++) {
        *high |= *p & 0x80;
    }
    return p;
}

#endif
