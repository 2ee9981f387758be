/* Part of keys.h: keys of several paths, alternatives, or text between them. */
#ifndef JETSOCKET_KEYS_TEMPLATE_H
#define JETSOCKET_KEYS_TEMPLATE_H

/* Note what became of some paths; 1 if the answer is certain with that, 0 to go on. */
SCAN_INLINE int key_settle(key_state *state, uint64_t absent, uint64_t unusable, uint64_t found)
{
    const key_plan_t *plan = state->plan;
    size_t i;
    absent &= state->pending;
    unusable &= state->pending;
    found &= state->pending;
    if (plan->simple) {
        state->failed = (absent | unusable) != 0;
        state->pending &= ~found;
        return state->failed || state->pending == 0;
    }
    state->absent |= absent;
    state->found |= found;
    state->pending &= ~(absent | unusable | found);
    for (i = 0; i < plan->n_parts; i++) {
        uint64_t present = plan->parts[i].alternatives & ~state->absent;
        uint64_t first = present & (~present + 1);
        if ((first & state->found) != 0) {
            state->pending &= ~plan->parts[i].alternatives;
        } else if ((first & state->pending) == 0) {
            state->failed = 1;
            return 1;
        }
    }
    return state->pending == 0;
}

static inline const uint8_t *key_fault(key_state *state)
{
    state->failed = 1;
    return NULL;
}

/* Walk the value at p, which is no object or array.  The answer of this and of all below: where the value ends, or NULL
 * if the walk ends here, with state->failed or nothing pending. */
SCAN_INLINE const uint8_t *key_walk_scalar(key_state *state, const key_node *node, const uint8_t *p)
{
    json_scalar value;
    uint64_t left;
    int usable;
    p = key_value(state->begin, p, state->end, &value, &usable);
    if (p == NULL) {
        return key_fault(state);
    }
    for (left = usable ? node->leaf : 0; left != 0; left &= left - 1) {
        state->values[scan_lowest_bit(left)] = value;
    }
    return key_settle(state, node->named | node->indexed, usable ? 0 : node->leaf, usable ? node->leaf : 0) ? NULL : p;
}

static inline const uint8_t *key_walk_container(key_state *state, const key_node *node, const uint8_t *p);

/* Walk the value at p, which some pending path leads to. */
SCAN_INLINE const uint8_t *key_walk(key_state *state, const key_node *node, const uint8_t *p)
{
    if (p == state->end) {
        return key_fault(state);
    }
    return *p == '{' || *p == '[' ? key_walk_container(state, node, p) : key_walk_scalar(state, node, p);
}

/* The two below: p is behind the opening bracket. */
static inline const uint8_t *key_walk_object(key_state *state, const key_node *node, const uint8_t *p)
{
    const uint8_t *begin = state->begin;
    const uint8_t *end = state->end;
    p = json_space(p, end);
    if (p == end || *p != '}') {
        for (;;) {
            const key_name *name;
            p = key_member(state->plan, node, begin, p, end, &name);
            if (p == NULL) {
                return key_fault(state);
            }
            if (name != NULL && (name->child->paths & state->pending) != 0) {
                p = key_walk(state, name->child, p);
                if (p == NULL) {
                    return NULL;
                }
                if ((node->named & state->pending) == 0) {
                    p = state->plan->skip(begin, p, end);
                    return p == NULL ? key_fault(state) : p;
                }
            } else {
                p = key_skip_value(state->plan, begin, p, end);
                if (p == NULL) {
                    return key_fault(state);
                }
            }
            p = json_space(p, end);
            if (p == end || *p != ',') {
                break;
            }
            p = json_space(p + 1, end);
        }
    }
    if (p == end || *p != '}') {
        return key_fault(state);
    }
    return key_settle(state, node->named, 0, 0) ? NULL : p + 1;
}

static inline const uint8_t *key_walk_array(key_state *state, const key_node *node, const uint8_t *p)
{
    const uint8_t *begin = state->begin;
    const uint8_t *end = state->end;
    const key_index *next = node->indices; /* in ascending order */
    const key_index *last = next + node->n_indices;
    uint64_t index = 0;
    p = json_space(p, end);
    if (p == end || *p != ']') {
        for (;; index++) {
            const key_node *child = NULL;
            if (next < last && next->index == index) {
                child = next->child;
                next++;
            }
            if (child != NULL && (child->paths & state->pending) != 0) {
                p = key_walk(state, child, p);
                if (p == NULL) {
                    return NULL;
                }
                if ((node->indexed & state->pending) == 0) {
                    p = state->plan->skip(begin, p, end);
                    return p == NULL ? key_fault(state) : p;
                }
            } else {
                p = key_skip_value(state->plan, begin, p, end);
                if (p == NULL) {
                    return key_fault(state);
                }
            }
            p = json_space(p, end);
            if (p == end || *p != ',') {
                break;
            }
            p = json_space(p + 1, end);
        }
    }
    if (p == end || *p != ']') {
        return key_fault(state);
    }
    return key_settle(state, node->indexed, 0, 0) ? NULL : p + 1;
}

static inline const uint8_t *key_walk_container(key_state *state, const key_node *node, const uint8_t *p)
{
    int is_object = *p == '{';
    uint64_t goes_on = is_object ? node->named : node->indexed;
    if (key_settle(state, is_object ? node->indexed : node->named, node->leaf, 0)) {
        return NULL;
    }
    if ((goes_on & state->pending) == 0) {
        p = state->plan->skip(state->begin, p + 1, state->end);
        return p == NULL ? key_fault(state) : p;
    }
    return is_object ? key_walk_object(state, node, p + 1) : key_walk_array(state, node, p + 1);
}

/* Copy n bytes to where KEY_COPY_SLACK bytes more may be written; nothing at or behind `end` is read.  Pieces are
 * short, and a call of memcpy costs more than such a copy. */
SCAN_INLINE uint8_t *key_copy(uint8_t *to, const uint8_t *from, size_t n, const uint8_t *end)
{
    if (n <= KEY_COPY_SLACK && end - from >= KEY_COPY_SLACK) {
        memcpy(to, from, KEY_COPY_SLACK);
    } else {
        memcpy(to, from, n);
    }
    return to + n;
}

SCAN_OUTLINE ptrdiff_t key_fill(key_plan_t *plan, const uint8_t *begin, const uint8_t *p, const uint8_t *end,
                                 const char **key)
{
    key_state state;
    const json_scalar *chosen[KEY_MAX_PATHS];
    size_t size = plan->tail_length;
    size_t i;
    uint8_t *text;
    uint8_t *to;
    state.plan = plan;
    state.begin = begin;
    state.end = end;
    state.pending = plan->paths;
    state.absent = 0;
    state.found = 0;
    state.failed = 0;
    if (key_walk(&state, plan->root, p) != NULL || state.failed) {
        return -1;
    }
    for (i = 0; i < plan->n_parts; i++) {
        uint64_t present = plan->parts[i].alternatives & ~state.absent;
        chosen[i] = &state.values[scan_lowest_bit(present)];
        size += plan->parts[i].length + chosen[i]->length;
    }
    text = key_scratch(plan, size);
    if (text == NULL) {
        return -1;
    }
    to = text;
    for (i = 0; i < plan->n_parts; i++) {
        const key_part *part = &plan->parts[i];
        to = key_copy(to, part->text, part->length, part->text + part->length + KEY_COPY_SLACK);
        if (chosen[i]->kind == JSON_ESCAPED_STRING) {
            to += json_unescape(to, chosen[i]->text, chosen[i]->length);
        } else {
            to = key_copy(to, chosen[i]->text, chosen[i]->length, end);
        }
    }
    to = key_copy(to, plan->tail, plan->tail_length, plan->tail + plan->tail_length + KEY_COPY_SLACK);
    *key = (const char *)text;
    return (ptrdiff_t)(to - text);
}

#endif
