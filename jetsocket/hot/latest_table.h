/* The entries of a queue of the newest message of each key, and the table in which they are found by their keys: open
 * addressing, by the key's hash. */
#ifndef JETSOCKET_LATEST_TABLE_H
#define JETSOCKET_LATEST_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct latest_entry latest_entry;

struct latest_entry {
    int64_t received_ns;
    latest_entry *next; /* the key that came after it; of a spare one, another */
    uint64_t hash;
    char *buffer;
    size_t size;
    size_t key_length;
    size_t length;
    int binary;
    int keyed;
};

typedef struct {
    uint64_t hash;
    latest_entry *entry; /* NULL: an empty slot */
} latest_slot;

typedef struct {
    latest_slot *slots;
    size_t n_slots; /* a power of two, or 0 */
    size_t count;
} latest_table;

/* Of the message that is looked at. */
typedef struct {
    const char *data;
    size_t length;
    uint64_t hash;
    int keyed;
} latest_key;

/* The slot of a key, or the empty one where it would go; there must be a table. */
static inline size_t latest_table_find(const latest_table *table, const latest_key *key)
{
    const size_t mask = table->n_slots - 1;
    size_t at = (size_t)key->hash & mask;
    for (;; at = (at + 1) & mask) {
        const latest_slot *slot = &table->slots[at];
        if (slot->entry == NULL || (slot->hash == key->hash && slot->entry->key_length == key->length &&
                                    memcmp(slot->entry->buffer, key->data, key->length) == 0)) {
            return at;
        }
    }
}

/* Put an entry into an empty slot of `slots`; there must be one. */
static inline void latest_place(latest_slot *slots, size_t n_slots, latest_entry *entry)
{
    size_t at = (size_t)entry->hash & (n_slots - 1);
    while (slots[at].entry != NULL) {
        at = (at + 1) & (n_slots - 1);
    }
    slots[at].hash = entry->hash;
    slots[at].entry = entry;
}

/* A table of another size, 0 or a power of two that is more than the keys; -1 when there is no memory. */
static inline int latest_table_resize(latest_table *table, size_t n_slots)
{
    latest_slot *slots = NULL;
    size_t i;
    if (n_slots != 0) {
        slots = (latest_slot *)calloc(n_slots, sizeof(latest_slot));
        if (slots == NULL) {
            return -1;
        }
    }
    for (i = 0; i < table->n_slots; i++) {
        if (table->slots[i].entry != NULL) {
            latest_place(slots, n_slots, table->slots[i].entry);
        }
    }
    free(table->slots);
    table->slots = slots;
    table->n_slots = n_slots;
    return 0;
}

/* Put an entry into the table, which has room and not its key. */
static inline void latest_table_put(latest_table *table, latest_entry *entry)
{
    latest_place(table->slots, table->n_slots, entry);
    table->count++;
}

/* Take an entry out of the table, which it is in. */
static inline void latest_table_remove(latest_table *table, const latest_entry *entry)
{
    const size_t mask = table->n_slots - 1;
    size_t hole = (size_t)entry->hash & mask;
    size_t at;
    while (table->slots[hole].entry != entry) {
        hole = (hole + 1) & mask;
    }
    /* Close the gap: whatever follows without a break moves up, unless that would put it before its home. */
    for (at = (hole + 1) & mask; table->slots[at].entry != NULL; at = (at + 1) & mask) {
        const size_t home = (size_t)table->slots[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole].entry = NULL;
    table->count--;
}

#endif
