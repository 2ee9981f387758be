/* The least that taking in a read costs: each frame's length from its header, each payload copied into a buffer that
 * goes round.  Unmasked frames of up to 64 KiB - 1, whole ones; returns how many there were. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ARENA = 256 * 1024 };

static uint8_t arena[ARENA];

size_t floor_split(const uint8_t *data, size_t size)
{
    size_t count = 0;
    size_t at = 0;
    size_t used = 0;
    while (size - at >= 4) {
        size_t length = data[at + 1];
        size_t start = at + 2;
        if (length == 126) {
            length = (size_t)data[at + 2] << 8 | data[at + 3];
            start += 2;
        }
        if (size - start < length) {
            break;
        }
        if (ARENA - used < length) {
            used = 0;
        }
        memcpy(arena + used, data + start, length);
        used += length;
        at = start + length;
        count++;
    }
    return count;
}
