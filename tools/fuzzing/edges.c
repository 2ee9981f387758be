/* Tells libFuzzer which parts of the compiled modules ran.
 *
 * JETSOCKET_BUILD=fuzz has gcc call __sanitizer_cov_trace_pc() in every basic block, and a function for every comparison.
 * libFuzzer, which lies in one of atheris' modules, wants counters instead: each block that is met gets one of its own.
 * Loaded with RTLD_GLOBAL before the compiled modules; connect_edges() then says where libFuzzer is.
 */
#include <stddef.h>
#include <stdint.h>

enum { BLOCKS = 1 << 15, SLOTS = 4 * BLOCKS };

typedef struct {
    uintptr_t pc;
    uintptr_t flags;
} place_t;

static uint8_t counters[BLOCKS];
static place_t places[BLOCKS];
/* Open addressing by the address of the call; 0 is an empty slot. */
static uintptr_t known[SLOTS];
static uint32_t number[SLOTS];
static uint32_t blocks;

typedef void (*compare1_t)(uint8_t, uint8_t);
typedef void (*compare2_t)(uint16_t, uint16_t);
typedef void (*compare4_t)(uint32_t, uint32_t);
typedef void (*compare8_t)(uint64_t, uint64_t);
typedef void (*switch_t)(uint64_t, uint64_t *);

static struct {
    compare1_t compare1;
    compare2_t compare2;
    compare4_t compare4;
    compare8_t compare8;
    compare1_t constant1;
    compare2_t constant2;
    compare4_t constant4;
    compare8_t constant8;
    switch_t cases;
} fuzzer;

/* `functions` in the order of the struct above. To be called once, before the fuzzing begins. */
void connect_edges(void (*counters_init)(uint8_t *, uint8_t *), void (*places_init)(const uintptr_t *, const uintptr_t *),
                   void *const *functions)
{
    counters_init(counters, counters + BLOCKS);
    places_init((const uintptr_t *)places, (const uintptr_t *)(places + BLOCKS));
    fuzzer.compare1 = (compare1_t)functions[0];
    fuzzer.compare2 = (compare2_t)functions[1];
    fuzzer.compare4 = (compare4_t)functions[2];
    fuzzer.compare8 = (compare8_t)functions[3];
    fuzzer.constant1 = (compare1_t)functions[4];
    fuzzer.constant2 = (compare2_t)functions[5];
    fuzzer.constant4 = (compare4_t)functions[6];
    fuzzer.constant8 = (compare8_t)functions[7];
    fuzzer.cases = (switch_t)functions[8];
}

void __sanitizer_cov_trace_pc(void)
{
    const uintptr_t pc = (uintptr_t)__builtin_return_address(0);
    size_t at = (size_t)((uint64_t)pc * UINT64_C(0x9E3779B97F4A7C15) >> 40) & (SLOTS - 1);
    while (known[at] != pc) {
        if (known[at] == 0) {
            uint32_t mine = blocks;
            if (mine == BLOCKS - 1) {
                /* The last counter stands for all blocks that came too late. */
                counters[mine]++;
                return;
            }
            blocks++;
            known[at] = pc;
            number[at] = mine;
            places[mine].pc = pc;
            break;
        }
        at = (at + 1) & (SLOTS - 1);
    }
    counters[number[at]]++;
}

/* Each is a jump, so that libFuzzer sees the address of the comparison itself. */
#define FORWARD(name, type, member)                                                                                    \
    void name(type one, type other)                                                                                    \
    {                                                                                                                  \
        if (fuzzer.member != NULL) {                                                                                   \
            fuzzer.member(one, other);                                                                                 \
        }                                                                                                              \
    }

FORWARD(__sanitizer_cov_trace_cmp1, uint8_t, compare1)
FORWARD(__sanitizer_cov_trace_cmp2, uint16_t, compare2)
FORWARD(__sanitizer_cov_trace_cmp4, uint32_t, compare4)
FORWARD(__sanitizer_cov_trace_cmp8, uint64_t, compare8)
FORWARD(__sanitizer_cov_trace_const_cmp1, uint8_t, constant1)
FORWARD(__sanitizer_cov_trace_const_cmp2, uint16_t, constant2)
FORWARD(__sanitizer_cov_trace_const_cmp4, uint32_t, constant4)
FORWARD(__sanitizer_cov_trace_const_cmp8, uint64_t, constant8)

void __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases)
{
    if (fuzzer.cases != NULL) {
        fuzzer.cases(value, cases);
    }
}

/* libFuzzer has nothing for these. */
void __sanitizer_cov_trace_cmpf(float one, float other)
{
    (void)one;
    (void)other;
}

void __sanitizer_cov_trace_cmpd(double one, double other)
{
    (void)one;
    (void)other;
}
