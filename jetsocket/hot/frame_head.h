/* The head of a frame, and what may be wrong with it: RFC 6455 sections 5.2, 5.4 and 5.5. */
#ifndef JETSOCKET_FRAME_HEAD_H
#define JETSOCKET_FRAME_HEAD_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t size; /* of the head itself */
    uint64_t length;
    const char *problem; /* NULL: nothing is wrong, and size and length are known; `{}` in it is the opcode */
} frame_head;

/* What is wrong with a frame's first byte.  `assembling`: a message has begun and not ended; `inflates`: messages may be
 * compressed (RFC 7692 section 6). */
static inline const char *frame_first_problem(uint8_t first, int assembling, int inflates)
{
    const int opcode = first & 0x0F;
    const int begins = opcode == 1 || opcode == 2;
    if ((first & 0x30) || ((first & 0x40) && !(inflates && begins))) {
        return "reserved bits set in a frame's header";
    }
    if ((opcode >= 3 && opcode <= 7) || opcode >= 0xB) {
        return "a frame with the reserved opcode {}";
    }
    if (opcode >= 8) {
        return first & 0x80 ? NULL : "a fragmented control frame";
    }
    if (!begins && !assembling) {
        return "a continuation frame with nothing to continue";
    }
    if (begins && assembling) {
        return "a new message before the last one ended";
    }
    return NULL;
}

/* Read the head of a frame from a server, of which `available` bytes are there, at least one.  0: too few to tell. */
static inline int frame_head_read(const uint8_t *data, size_t available, int assembling, int inflates, frame_head *head)
{
    size_t i;
    head->problem = frame_first_problem(data[0], assembling, inflates);
    if (head->problem != NULL) {
        return 1;
    }
    if (available < 2) {
        return 0;
    }
    head->size = 2;
    head->length = data[1];
    if (head->length < 126) {
        return 1;
    }
    if (head->length & 0x80) {
        head->problem = "a masked frame from the server";
        return 1;
    }
    if (data[0] & 0x08) {
        head->problem = "a control frame longer than 125 bytes";
        return 1;
    }
    head->size = head->length == 126 ? 4 : 10;
    if (available < head->size) {
        return 0;
    }
    head->length = 0;
    for (i = 2; i < head->size; i++) {
        head->length = head->length << 8 | data[i];
    }
    if (head->length >> 63) {
        head->problem = "a frame length with the highest bit set";
    } else if (head->length < (head->size == 4 ? 126u : 65536u)) {
        head->problem = "a frame length not in its shortest form";
    }
    return 1;
}

#endif
