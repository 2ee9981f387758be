/* The walk of a message along the trie of a channel key's paths: key_locate().
 *
 * keys_scan_py.py says in full what is walked, what is skipped, and when the walk ends; this is the same in C.  A key
 * that is one path, the usual case, is followed step by step (key_follow); any other one is walked by recursion over
 * the trie (key_walk), at most 64 deep however deep the message is.  Sets of paths are bit masks.
 */
#ifndef JETSOCKET_KEYS_H
#define JETSOCKET_KEYS_H

#include <stdlib.h>

#include "json_text.h"
#include "scan_skip.h"

#define KEY_MAX_PATHS 64
#define KEY_COPY_SLACK 16
#define KEY_LEAD 32

typedef struct key_node key_node;

/* A name as it stands in a message with its closing quotation mark: the first 16 bytes, and which of them count. */
typedef struct {
    uint64_t word[2];
    uint64_t mask[2];
    const uint8_t *text;
    size_t length;
    int plain; /* 0: JSON can write this name with escapes only */
    key_node *child;
} key_name;

typedef struct {
    uint64_t index;
    key_node *child;
} key_index;

struct key_node {
    uint64_t leaf;    /* the paths that end here */
    uint64_t named;   /* that go on by a name */
    uint64_t indexed; /* that go on by an index */
    uint64_t paths;   /* all of these */
    key_name *names;
    key_index *indices;
    size_t n_names;
    size_t n_indices;
};

typedef struct {
    const uint8_t *text; /* what stands before the value; KEY_COPY_SLACK bytes behind it can be read, as of `tail` */
    size_t length;
    uint64_t alternatives; /* the value is that of the first of these that is present */
} key_part;

typedef struct {
    key_node *root;
    key_part *parts;
    size_t n_parts;
    const uint8_t *tail;
    size_t tail_length;
    uint64_t paths;
    uint8_t lead[KEY_LEAD]; /* see key_lead */
    size_t lead_length;     /* 0: this key has none */
    int bare;           /* one path and nothing else */
    int simple;         /* no part has alternatives */
    uint8_t *scratch;
    size_t scratch_size;
    scan_skip_function skip;
} key_plan_t;

typedef struct {
    key_plan_t *plan;
    const uint8_t *begin;
    const uint8_t *end;
    uint64_t pending; /* paths that may still matter */
    uint64_t absent;
    uint64_t found;
    int failed; /* certain: no channel */
    json_scalar values[KEY_MAX_PATHS];
} key_state;

/* At least this many bytes of scratch (and KEY_COPY_SLACK more), old contents lost; NULL when out of memory.  One
 * monstrous key does not keep its memory for ever. */
static inline uint8_t *key_scratch(key_plan_t *plan, size_t size)
{
    size_t wanted = size < 256 ? 256 : size;
    if (wanted > plan->scratch_size || (plan->scratch_size > 65536 && wanted < 4096)) {
        free(plan->scratch);
        plan->scratch_size = 0;
        plan->scratch = (uint8_t *)malloc(wanted + KEY_COPY_SLACK);
        if (plan->scratch == NULL) {
            return NULL;
        }
        plan->scratch_size = wanted;
    }
    return plan->scratch;
}

/* Whether the name stands at p, unescaped and with its closing quotation mark. */
SCAN_INLINE int key_stands_at(const key_name *name, const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p);
    if (left >= 16) {
        uint64_t word[2];
        memcpy(word, p, 16);
        if ((((word[0] ^ name->word[0]) & name->mask[0]) | ((word[1] ^ name->word[1]) & name->mask[1])) != 0) {
            return 0;
        }
        if (name->length < 16) {
            return name->plain;
        }
    }
    return left > name->length && p[name->length] == '"' && memcmp(p, name->text, name->length) == 0 && name->plain;
}

/* Whether an escaped name of a message means this name. */
static inline int key_means(key_plan_t *plan, const key_name *name, const json_scalar *written)
{
    uint8_t *text;
    if (written->length / 6 > name->length) { /* at most six bytes are written for each that is meant */
        return 0;
    }
    text = key_scratch(plan, written->length);
    return text != NULL && json_unescape(text, written->text, written->length) == name->length &&
           memcmp(text, name->text, name->length) == 0;
}

/* Step over the unwanted value at p. */
SCAN_INLINE const uint8_t *key_skip_value(const key_plan_t *plan, const uint8_t *begin, const uint8_t *p,
                                          const uint8_t *end)
{
    json_scalar ignored;
    if (p == end) {
        return NULL;
    }
    if (*p == '{' || *p == '[') {
        return plan->skip(begin, p + 1, end);
    }
    return json_read(begin, p, end, &ignored);
}

/* To the member behind a comma: its first byte, or NULL. */
SCAN_INLINE const uint8_t *key_next(const uint8_t *p, const uint8_t *end)
{
    p = json_space(p, end);
    return p < end && *p == ',' ? json_space(p + 1, end) : NULL;
}

/* Read the name whose opening quotation mark is at p, up to the value behind the colon; *found is the entry of the
 * node that it is, or NULL. */
SCAN_INLINE const uint8_t *key_member(key_plan_t *plan, const key_node *node, const uint8_t *begin, const uint8_t *p,
                                      const uint8_t *end, const key_name **found)
{
    const key_name *name = node->names;
    const key_name *last = name + node->n_names;
    *found = NULL;
    if (p == end || *p != '"') {
        return NULL;
    }
    p++;
    for (; name < last; name++) {
        if (key_stands_at(name, p, end)) {
            *found = name;
            p += name->length + 1;
            break;
        }
    }
    if (*found == NULL) {
        json_scalar written;
        p = json_string(begin, p, end, &written);
        if (p == NULL) {
            return NULL;
        }
        if (written.kind == JSON_ESCAPED_STRING) {
            for (name = node->names; name < last && *found == NULL; name++) {
                *found = key_means(plan, name, &written) ? name : NULL;
            }
        }
    }
    p = json_space(p, end);
    return p < end && *p == ':' ? json_space(p + 1, end) : NULL;
}

/* Read the scalar at p as a value that is asked for.  *usable: it can be (part of) a channel. */
SCAN_INLINE const uint8_t *key_value(const uint8_t *begin, const uint8_t *p, const uint8_t *end, json_scalar *scalar,
                                     int *usable)
{
    p = json_read(begin, p, end, scalar);
    if (p == NULL || (scalar->kind == JSON_NUMBER && !json_is_delimited(p, end))) {
        return NULL;
    }
    *usable = scalar->kind != JSON_OTHER && (scalar->high == 0 || json_is_text(scalar->text, scalar->length));
    return p;
}

/* A key that is one path. */
SCAN_OUTLINE ptrdiff_t key_follow(key_plan_t *plan, const uint8_t *begin, const uint8_t *p, const uint8_t *end,
                                   const char **key)
{
    const key_node *node = plan->root;
    json_scalar value;
    int usable;
    while (node->leaf == 0) {
        if (p == end) {
            return -1;
        }
        if (node->n_names != 0) {
            const key_name *found;
            if (*p != '{') {
                return -1;
            }
            p = json_space(p + 1, end);
            for (;;) {
                p = key_member(plan, node, begin, p, end, &found);
                if (p == NULL) {
                    return -1;
                }
                if (found != NULL) {
                    break;
                }
                p = key_skip_value(plan, begin, p, end);
                if (p == NULL || (p = key_next(p, end)) == NULL) {
                    return -1;
                }
            }
            node = found->child;
        } else {
            uint64_t left = node->indices->index;
            if (*p != '[') {
                return -1;
            }
            p = json_space(p + 1, end);
            for (; left != 0; left--) {
                p = key_skip_value(plan, begin, p, end);
                if (p == NULL || (p = key_next(p, end)) == NULL) {
                    return -1;
                }
            }
            node = node->indices->child;
        }
    }
    if (p == end || *p == '{' || *p == '[' || key_value(begin, p, end, &value, &usable) == NULL || !usable) {
        return -1;
    }
    if (value.kind == JSON_ESCAPED_STRING) {
        uint8_t *text = key_scratch(plan, value.length);
        *key = (const char *)text;
        return text == NULL ? -1 : (ptrdiff_t)json_unescape(text, value.text, value.length);
    }
    *key = (const char *)value.text;
    return (ptrdiff_t)value.length;
}

SCAN_INLINE uint64_t key_difference(const uint8_t *a, const uint8_t *b)
{
    uint64_t x;
    uint64_t y;
    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    return x ^ y;
}

/* Whether n bytes are the same, 1 to 32: words that overlap cost less than a call. */
SCAN_INLINE int key_begins(const uint8_t *a, const uint8_t *b, size_t n)
{
    if (n < 8) {
        size_t i;
        for (i = 0; i < n && a[i] == b[i]; i++) {
        }
        return i == n;
    }
    if ((key_difference(a, b) | key_difference(a + n - 8, b + n - 8)) != 0) {
        return 0;
    }
    return n <= 16 || (key_difference(a + 8, b + 8) | key_difference(a + n - 16, b + n - 16)) == 0;
}

/* The usual message of many feeds begins with its channel and has no white space: {"stream":" or {"arg":{"channel":"
 * and then a string.  Where such a beginning stands literally, the walk could only arrive behind it.  NULL if it does
 * not, or if anything else has to be decided: then the walk decides. */
SCAN_INLINE const char *key_lead(const key_plan_t *plan, const uint8_t *begin, const uint8_t *end, ptrdiff_t *length)
{
    const size_t size = plan->lead_length;
    const uint8_t *start;
    const uint8_t *stop;
    unsigned high = 0;
    if ((size_t)(end - begin) < size || !key_begins(begin, plan->lead, size)) {
        return NULL;
    }
    start = begin + size;
    stop = scan_string(begin, start, end, &high);
    if (stop == end || *stop != '"' || high != 0) {
        return NULL;
    }
    *length = stop - start;
    return (const char *)start;
}

#include "keys_template.h"

/* The channel of a message: its length, and *key points at its UTF-8 bytes, either in the message or in memory of the
 * plan that is valid until the next call.  -1: the message has none (or memory ran out).  Two threads must not use one
 * plan at the same time. */
static inline ptrdiff_t key_locate(key_plan_t *plan, const char *data, size_t length, const char **key)
{
    const uint8_t *begin = (const uint8_t *)data;
    const uint8_t *end = begin + length;
    const uint8_t *p = begin;
    ptrdiff_t found;
    if (plan->lead_length != 0 && (*key = key_lead(plan, begin, end, &found)) != NULL) {
        return found;
    }
    if (length >= 3 && p[0] == 0xEF && p[1] == 0xBB && p[2] == 0xBF) {
        p += 3;
    }
    p = json_space(p, end);
    return plan->bare ? key_follow(plan, begin, p, end, key) : key_fill(plan, begin, p, end, key);
}

#endif
