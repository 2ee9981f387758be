/* To the end of a nested JSON value, 64 bytes at a time, as bit masks (bit i for byte i): quotation marks, without the
 * escaped ones; from them, by a running XOR, which bytes are inside strings; the brackets outside.  The masks are
 * looked at bit by bit only where the value could end.
 *
 * A backslash takes the meaning from the byte behind it wherever it stands; the kinds of the brackets are not compared.
 */
#ifndef JETSOCKET_SCAN_SKIP_H
#define JETSOCKET_SCAN_SKIP_H

#include "scan.h"

typedef struct {
    uint64_t quotes, backslashes, opens, closes;
} scan_block;

typedef struct {
    uint64_t depth;   /* of brackets, never 0 while scanning */
    uint64_t inside;  /* all ones while a string is open */
    uint64_t escaped; /* 1 if the first byte of the next block is escaped */
} scan_skip_state;

/* Where the object or array ends that p lies in, just behind its bracket; NULL if it does not.  begin is where the
 * readable bytes start. */
typedef const uint8_t *(*scan_skip_function)(const uint8_t *begin, const uint8_t *p, const uint8_t *end);

SCAN_INLINE unsigned scan_count_bits(uint64_t bits)
{
#if defined(__GNUC__) || defined(__clang__)
    return (unsigned)__builtin_popcountll(bits);
#else
    unsigned count = 0;
    for (; bits != 0; bits &= bits - 1) {
        count++;
    }
    return count;
#endif
}

/* Bit i of the answer is the XOR of bits 0 to i. */
SCAN_INLINE uint64_t scan_running_xor(uint64_t bits)
{
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^= bits << 32;
    return bits;
}

/* Which bytes stand behind a backslash that is not itself escaped.  Backslashes are rare: one step for each. */
SCAN_INLINE uint64_t scan_escaped(uint64_t backslashes, uint64_t *carry)
{
    uint64_t escaped = *carry;
    *carry = 0;
    while ((backslashes &= ~escaped) != 0) {
        uint64_t bit = backslashes & (~backslashes + 1);
        escaped |= bit << 1;
        *carry = bit >> 63;
        backslashes ^= bit;
    }
    return escaped;
}

/* One block, of which in_string is the running XOR of its quotation marks.  p: where the block starts. */
SCAN_INLINE const uint8_t *scan_skip_brackets(scan_skip_state *state, const scan_block *block, uint64_t in_string,
                                              const uint8_t *p)
{
    uint64_t opens;
    uint64_t closes;
    uint64_t closed;
    in_string ^= state->inside;
    state->inside = UINT64_C(0) - (in_string >> 63);
    opens = block->opens & ~in_string;
    closes = block->closes & ~in_string;
    closed = scan_count_bits(closes);
    if (closed >= state->depth) {
        uint64_t depth = state->depth;
        uint64_t left;
        for (left = closes; left != 0; left &= left - 1) {
            uint64_t before = (left & (~left + 1)) - 1;
            depth--;
            if (depth + scan_count_bits(opens & before) == 0) {
                return p + scan_lowest_bit(left) + 1;
            }
        }
    }
    state->depth += scan_count_bits(opens);
    state->depth -= closed;
    return NULL;
}

/* Take out of the block what a backslash makes meaningless. */
SCAN_INLINE void scan_unescape(scan_skip_state *state, scan_block *block)
{
    if ((block->backslashes | state->escaped) != 0) {
        uint64_t meant = ~scan_escaped(block->backslashes, &state->escaped);
        block->quotes &= meant;
        block->opens &= meant;
        block->closes &= meant;
    }
}

SCAN_INLINE scan_block scan_shift(scan_block block, unsigned by)
{
    block.quotes >>= by;
    block.backslashes >>= by;
    block.opens >>= by;
    block.closes >>= by;
    return block;
}

/* '[' and '{' differ in one bit, 0x20, as do ']' and '}': with it set, two comparisons find the four. */
#if defined(SCAN_SSE2)
SCAN_INLINE uint64_t scan_equal_sse2(__m128i a, __m128i b, __m128i c, __m128i d, char what)
{
    const __m128i byte = _mm_set1_epi8(what);
    uint64_t low = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, byte));
    low |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b, byte)) << 16;
    low |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(c, byte)) << 32;
    low |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(d, byte)) << 48;
    return low;
}

SCAN_INLINE scan_block scan_classify(const uint8_t *p)
{
    const __m128i *at = (const __m128i *)(const void *)p;
    const __m128i bit = _mm_set1_epi8(0x20);
    __m128i a = _mm_loadu_si128(at), b = _mm_loadu_si128(at + 1);
    __m128i c = _mm_loadu_si128(at + 2), d = _mm_loadu_si128(at + 3);
    scan_block block;
    block.quotes = scan_equal_sse2(a, b, c, d, '"');
    block.backslashes = scan_equal_sse2(a, b, c, d, '\\');
    a = _mm_or_si128(a, bit);
    b = _mm_or_si128(b, bit);
    c = _mm_or_si128(c, bit);
    d = _mm_or_si128(d, bit);
    block.opens = scan_equal_sse2(a, b, c, d, '{');
    block.closes = scan_equal_sse2(a, b, c, d, '}');
    return block;
}
#elif defined(SCAN_NEON)
SCAN_INLINE uint64_t scan_equal_neon(const uint8x16_t v[4], uint8_t what)
{
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t weight = vld1q_u8(weights);
    const uint8x16_t byte = vdupq_n_u8(what);
    uint8x16_t low = vpaddq_u8(vandq_u8(vceqq_u8(v[0], byte), weight), vandq_u8(vceqq_u8(v[1], byte), weight));
    uint8x16_t high = vpaddq_u8(vandq_u8(vceqq_u8(v[2], byte), weight), vandq_u8(vceqq_u8(v[3], byte), weight));
    low = vpaddq_u8(low, high);
    low = vpaddq_u8(low, low);
    return vgetq_lane_u64(vreinterpretq_u64_u8(low), 0);
}

SCAN_INLINE scan_block scan_classify(const uint8_t *p)
{
    const uint8x16_t bit = vdupq_n_u8(0x20);
    uint8x16_t v[4];
    scan_block block;
    int i;
    for (i = 0; i < 4; i++) {
        v[i] = vld1q_u8(p + 16 * i);
    }
    block.quotes = scan_equal_neon(v, '"');
    block.backslashes = scan_equal_neon(v, '\\');
    for (i = 0; i < 4; i++) {
        v[i] = vorrq_u8(v[i], bit);
    }
    block.opens = scan_equal_neon(v, '{');
    block.closes = scan_equal_neon(v, '}');
    return block;
}
#endif

#if defined(SCAN_SSE2) || defined(SCAN_NEON)
static inline const uint8_t *scan_skip_baseline(const uint8_t *begin, const uint8_t *p, const uint8_t *end)
{
    scan_skip_state state = {1, 0, 0};
    scan_block block;
    for (; end - p >= 64; p += 64) {
        const uint8_t *close;
        block = scan_classify(p);
        scan_unescape(&state, &block);
        close = scan_skip_brackets(&state, &block, scan_running_xor(block.quotes), p);
        if (close != NULL) {
            return close;
        }
    }
    if (p == end) {
        return NULL;
    }
    if (end - begin >= 64) {
        block = scan_shift(scan_classify(end - 64), (unsigned)(64 - (end - p)));
    } else {
        uint8_t padded[64] = {0};
        memcpy(padded, p, (size_t)(end - p));
        block = scan_classify(padded);
    }
    scan_unescape(&state, &block);
    return scan_skip_brackets(&state, &block, scan_running_xor(block.quotes), p);
}
#else
static inline const uint8_t *scan_skip_baseline(const uint8_t *begin, const uint8_t *p, const uint8_t *end)
{
    uint64_t depth = 1;
    int inside = 0;
    (void)begin;
    for (; p < end; p++) {
        switch (*p) {
        case '"':
            inside = !inside;
            break;
        case '\\':
            if (++p == end) {
                return NULL;
            }
            break;
        case '[':
        case '{':
            depth += inside ? 0 : 1;
            break;
        case ']':
        case '}':
            if (!inside && --depth == 0) {
                return p + 1;
            }
            break;
        default:
            break;
        }
    }
    return NULL;
}
#endif

#if defined(SCAN_AVX2)
SCAN_TARGET_AVX2 static inline uint64_t scan_equal_avx2(__m256i low, __m256i high, char what)
{
    const __m256i byte = _mm256_set1_epi8(what);
    uint64_t bits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, byte));
    return bits | (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, byte)) << 32;
}

SCAN_TARGET_AVX2 static inline scan_block scan_classify_avx2(const uint8_t *p)
{
    const __m256i bit = _mm256_set1_epi8(0x20);
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    scan_block block;
    block.quotes = scan_equal_avx2(low, high, '"');
    block.backslashes = scan_equal_avx2(low, high, '\\');
    low = _mm256_or_si256(low, bit);
    high = _mm256_or_si256(high, bit);
    block.opens = scan_equal_avx2(low, high, '{');
    block.closes = scan_equal_avx2(low, high, '}');
    return block;
}

/* A carry-less multiplication by all ones is the running XOR. */
SCAN_TARGET_AVX2 static inline uint64_t scan_running_xor_avx2(uint64_t bits)
{
    __m128i product = _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)bits), _mm_set1_epi8((char)0xFF), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

SCAN_TARGET_AVX2 static inline const uint8_t *scan_skip_avx2(const uint8_t *begin, const uint8_t *p,
                                                             const uint8_t *end)
{
    scan_skip_state state = {1, 0, 0};
    scan_block block;
    for (; end - p >= 64; p += 64) {
        const uint8_t *close;
        block = scan_classify_avx2(p);
        scan_unescape(&state, &block);
        close = scan_skip_brackets(&state, &block, scan_running_xor_avx2(block.quotes), p);
        if (close != NULL) {
            return close;
        }
    }
    if (p == end) {
        return NULL;
    }
    if (end - begin >= 64) {
        block = scan_shift(scan_classify_avx2(end - 64), (unsigned)(64 - (end - p)));
    } else {
        uint8_t padded[64] = {0};
        memcpy(padded, p, (size_t)(end - p));
        block = scan_classify_avx2(padded);
    }
    scan_unescape(&state, &block);
    return scan_skip_brackets(&state, &block, scan_running_xor_avx2(block.quotes), p);
}
#endif

static inline scan_skip_function scan_skip_for_this_machine(void)
{
#if defined(SCAN_AVX2)
    if (scan_has_avx2()) {
        return scan_skip_avx2;
    }
#endif
    return scan_skip_baseline;
}

#endif
