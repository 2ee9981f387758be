/* Frame masking, RFC 6455 section 5.3: byte i of the payload is XORed with byte i mod 4 of the key. */
#ifndef JETSOCKET_MASK_H
#define JETSOCKET_MASK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Masks (or unmasks, which is the same) n bytes from src to dst.  dst is src itself, or does not overlap it. */
static inline void mask_bytes(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4])
{
    uint32_t half;
    uint64_t wide;
    size_t i = 0;
    /* Through memcpy the words have the machine's own byte order on both sides, so no order is assumed. */
    memcpy(&half, key, 4);
    wide = (uint64_t)half << 32 | half;
    for (; n - i >= 32; i += 32) { /* one fixed-size block: compilers make vector instructions of it */
        uint64_t block[4];
        memcpy(block, src + i, 32);
        block[0] ^= wide;
        block[1] ^= wide;
        block[2] ^= wide;
        block[3] ^= wide;
        memcpy(dst + i, block, 32);
    }
    for (; n - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, src + i, 8);
        word ^= wide;
        memcpy(dst + i, &word, 8);
    }
    for (; i < n; i++) {
        dst[i] = (uint8_t)(src[i] ^ key[i & 3]);
    }
}

#endif
