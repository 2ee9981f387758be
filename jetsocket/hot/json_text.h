/* The scalars of JSON text: strict reading, unescaping, comparing.  All functions take the readable range; a result
 * of NULL means that the text is not valid JSON there, or ends too early. */
#ifndef JETSOCKET_JSON_TEXT_H
#define JETSOCKET_JSON_TEXT_H

#include "scan.h"
#include "utf8.h"

typedef enum { JSON_OTHER, JSON_NUMBER, JSON_STRING, JSON_ESCAPED_STRING } json_kind;

/* A scalar as it stands in the message; a string without its quotation marks. */
typedef struct {
    const uint8_t *text;
    size_t length;
    json_kind kind;
    unsigned high; /* nonzero: the text is not all ASCII */
} json_scalar;

SCAN_INLINE const uint8_t *json_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p <= 0x20 && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
    }
    return p;
}

/* 0 to 15, or 16 for what is no hexadecimal digit. */
static inline unsigned json_hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
}

/* The number of bytes, 2 or 6, of a valid escape that starts with the backslash at p; 0: not valid. */
static inline size_t json_escape_length(const uint8_t *p, const uint8_t *end)
{
    int i;
    if (end - p < 2) {
        return 0;
    }
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return 2;
    case 'u':
        if (end - p < 6) {
            return 0;
        }
        for (i = 2; i < 6; i++) {
            if (json_hex_digit(p[i]) == 16) {
                return 0;
            }
        }
        return 6;
    default:
        return 0;
    }
}

/* Read the rest of a string, p behind its opening quotation mark; behind the closing one. */
SCAN_INLINE const uint8_t *json_string(const uint8_t *begin, const uint8_t *p, const uint8_t *end, json_scalar *scalar)
{
    scalar->text = p;
    scalar->kind = JSON_STRING;
    scalar->high = 0;
    for (;;) {
        size_t length;
        p = scan_string(begin, p, end, &scalar->high);
        if (p == end) {
            return NULL;
        }
        if (*p == '"') {
            scalar->length = (size_t)(p - scalar->text);
            return p + 1;
        }
        if (*p != '\\' || (length = json_escape_length(p, end)) == 0) {
            return NULL;
        }
        scalar->kind = JSON_ESCAPED_STRING;
        p += length;
    }
}

static inline const uint8_t *json_digits(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *start = p;
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p == start ? NULL : p;
}

static inline const uint8_t *json_literal(const uint8_t *p, const uint8_t *end, const char *literal, size_t length)
{
    return (size_t)(end - p) >= length && memcmp(p, literal, length) == 0 ? p + length : NULL;
}

static inline const uint8_t *json_number(const uint8_t *p, const uint8_t *end)
{
    if (*p == '-' && ++p == end) {
        return NULL;
    }
    p = *p == '0' ? p + 1 : json_digits(p, end);
    if (p != NULL && p < end && *p == '.') {
        p = json_digits(p + 1, end);
    }
    if (p != NULL && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) {
            p++;
        }
        p = json_digits(p, end);
    }
    return p;
}

/* Read the scalar at p, which is < end.  What may stand behind it is the caller's to check. */
SCAN_INLINE const uint8_t *json_read(const uint8_t *begin, const uint8_t *p, const uint8_t *end, json_scalar *scalar)
{
    if (*p == '"') {
        return json_string(begin, p + 1, end, scalar);
    }
    scalar->kind = JSON_OTHER;
    switch (*p) {
    case 't':
        return json_literal(p, end, "true", 4);
    case 'f':
        return json_literal(p, end, "false", 5);
    case 'n':
        return json_literal(p, end, "null", 4);
    case 'N':
        return json_literal(p, end, "NaN", 3);
    case 'I':
        return json_literal(p, end, "Infinity", 8);
    case '-':
        if (end - p >= 2 && p[1] == 'I') {
            return json_literal(p, end, "-Infinity", 9);
        }
        break;
    default:
        break;
    }
    scalar->kind = JSON_NUMBER;
    scalar->text = p;
    scalar->high = 0;
    p = json_number(p, end);
    scalar->length = p == NULL ? 0 : (size_t)(p - scalar->text);
    return p;
}

/* Whether a number that ends at p is complete. */
SCAN_INLINE int json_is_delimited(const uint8_t *p, const uint8_t *end)
{
    return p < end && (*p == ',' || *p == '}' || *p == ']' || *p == ' ' || *p == '\n' || *p == '\r' || *p == '\t');
}

/* Whether n bytes are UTF-8, with surrogates let pass as Python's "surrogatepass" does. */
static inline int json_is_text(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while ((i += utf8_ascii_run(p + i, n - i)) < n) {
        uint32_t expected = utf8_after_lead(p[i]);
        uint32_t missing = expected & 0xFF;
        uint32_t highest = p[i] == 0xED ? 0xBF : expected >> 16;
        uint32_t k;
        if (expected == 0 || n - i <= missing || p[i + 1] < ((expected >> 8) & 0xFF) || p[i + 1] > highest) {
            return 0;
        }
        for (k = 2; k <= missing; k++) {
            if ((p[i + k] & 0xC0) != 0x80) {
                return 0;
            }
        }
        i += missing + 1;
    }
    return 1;
}

static inline uint32_t json_four_digits(const uint8_t *p)
{
    return json_hex_digit(p[0]) << 12 | json_hex_digit(p[1]) << 8 | json_hex_digit(p[2]) << 4 | json_hex_digit(p[3]);
}

/* Write the unescaped text of a valid string; the number of bytes, never more than n.  A pair of surrogates is one
 * character; a lone one is written as its three bytes. */
static inline size_t json_unescape(uint8_t *to, const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;
    uint8_t *out = to;
    while (p < end) {
        uint32_t c;
        if (*p != '\\') {
            *out++ = *p++;
            continue;
        }
        c = p[1];
        p += 2;
        switch (c) {
        case 'b':
            c = '\b';
            break;
        case 'f':
            c = '\f';
            break;
        case 'n':
            c = '\n';
            break;
        case 'r':
            c = '\r';
            break;
        case 't':
            c = '\t';
            break;
        case 'u':
            c = json_four_digits(p);
            p += 4;
            if (c >= 0xD800 && c < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
                uint32_t low = json_four_digits(p + 2);
                if (low >= 0xDC00 && low < 0xE000) {
                    c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
                    p += 6;
                }
            }
            break;
        default:
            break;
        }
        if (c < 0x80) {
            *out++ = (uint8_t)c;
        } else if (c < 0x800) {
            *out++ = (uint8_t)(0xC0 | c >> 6);
            *out++ = (uint8_t)(0x80 | (c & 0x3F));
        } else {
            if (c < 0x10000) {
                *out++ = (uint8_t)(0xE0 | c >> 12);
            } else {
                *out++ = (uint8_t)(0xF0 | c >> 18);
                *out++ = (uint8_t)(0x80 | ((c >> 12) & 0x3F));
            }
            *out++ = (uint8_t)(0x80 | ((c >> 6) & 0x3F));
            *out++ = (uint8_t)(0x80 | (c & 0x3F));
        }
    }
    return (size_t)(out - to);
}

#endif
