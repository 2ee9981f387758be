/* The floor: receives and splits frames, and does nothing with them. No client in any language does less: not even
 * the bytes of a message that is larger than a read are put together.
 *
 * cc -O2 -o floor floor.c && ./floor ws://127.0.0.1:PORT/COURSE/COUNT 100; prints the same report as the other contenders.
 */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 256 * 1024 };

/* What a read cut off is moved to the front if it is short; the rest of a large message is passed over instead. */
enum { SHORT = 4096 };

static uint8_t buffer[2 * READ_SIZE];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) {
        fail("clock_gettime");
    }
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void send_all(int fd, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, 0);
        if (sent < 0) {
            fail("send");
        }
        at += sent;
        size -= (size_t)sent;
    }
}

/* A masked text frame of less than 126 bytes; a mask of zeros leaves the payload as it is. */
static void send_text(int fd, const char *text)
{
    uint8_t frame[6 + 125] = {0x81};
    size_t size = strlen(text);
    frame[1] = (uint8_t)(0x80 | size);
    memcpy(frame + 6, text, size);
    send_all(fd, frame, 6 + size);
}

static int open_connection(const char *uri)
{
    unsigned port = 0;
    char path[128];
    if (sscanf(uri, "ws://127.0.0.1:%u%127s", &port, path) != 2) {
        fprintf(stderr, "not an address of the sender: %s\n", uri);
        exit(2);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        fail("connect");
    }
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        fail("setsockopt");
    }
    char request[512];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                        path, port);
    send_all(fd, request, (size_t)size);
    /* The sender says nothing after its answer until it is started: byte by byte is good enough. */
    for (uint32_t tail = 0; tail != 0x0d0a0d0a;) {
        uint8_t byte;
        if (recv(fd, &byte, 1, 0) != 1) {
            fail("recv");
        }
        tail = tail << 8 | byte;
    }
    return fd;
}

/* The length of the payload of the frame at `at`, of which `have` bytes are there; *head is set to where it begins, or to
 * 0 where the head is not whole. */
static uint64_t payload_length(const uint8_t *at, size_t have, size_t *head)
{
    *head = 0;
    if (have < 2) {
        return 0;
    }
    uint64_t length = at[1];
    size_t start = 2;
    if (length == 126) {
        start = 4;
        length = (uint64_t)at[2] << 8 | at[3];
    } else if (length == 127) {
        length = 0;
        for (start = 2; start < 10; start++) {
            length = length << 8 | at[start];
        }
    }
    if (have < start) {
        return 0;
    }
    *head = start;
    return length;
}

/* Until the close frame; returns how many messages came before it. */
static unsigned long receive_all(int fd)
{
    unsigned long messages = 0;
    size_t have = 0;      /* of a frame that is not whole */
    uint64_t missing = 0; /* of a payload */
    for (;;) {
        ssize_t got = recv(fd, buffer + have, READ_SIZE, 0);
        if (got <= 0) {
            fail("recv");
        }
        have += (size_t)got;
        if (missing >= have) {
            missing -= have;
            have = 0;
            continue;
        }
        size_t at = (size_t)missing;
        missing = 0;
        while (at < have) {
            size_t head;
            uint64_t length = payload_length(buffer + at, have - at, &head);
            if (head == 0) {
                break;
            }
            if ((buffer[at] & 0x0f) == 8) {
                return messages;
            }
            if (have - at - head < length) {
                if (have - at > SHORT) {
                    messages++;
                    missing = length - (have - at - head);
                    at = have;
                }
                break;
            }
            messages++;
            at += head + (size_t)length;
        }
        memmove(buffer, buffer + at, have - at);
        have -= at;
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: floor URI CHANNELS\n");
        return 2;
    }
    int fd = open_connection(argv[1]);
    for (int channel = atoi(argv[2]); channel > 0; channel--) {
        send_text(fd, "{\"method\":\"SUBSCRIBE\",\"params\":[\"sym00usdt@trade\"],\"id\":1}");
    }
    int64_t wall = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    send_text(fd, "{\"method\":\"SUBSCRIBE\",\"params\":[\"end\"],\"id\":1}");
    unsigned long messages = receive_all(fd);
    cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = now_ns(CLOCK_MONOTONIC) - wall;
    printf("{\"held\": %lu, \"cpu_ns\": %lld, \"wall_ns\": %lld}\n", messages, (long long)cpu, (long long)wall);
    close(fd);
    return 0;
}
